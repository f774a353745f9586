//! Addresses of RPC servers, and the HTTP client for them.

use std::time::Duration;

use alloy::transports::http::reqwest;
use url::Url;

use crate::error::ChainError;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const EXPECTED: &str = "expected something like http://127.0.0.1:8545";
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) fn http_client(url: &str) -> Result<(reqwest::Client, Url), ChainError> {
    let bad = |shown: String, why: &str| ChainError::BadUrl {
        url: shown,
        why: why.to_owned(),
    };
    // Where the secrets are in a text that cannot be read, nobody knows: none of it is shown.
    let parsed: Url = url.parse().map_err(|error: url::ParseError| {
        bad("what was given".to_owned(), &format!("{error}; {EXPECTED}"))
    })?;
    match parsed.scheme() {
        "http" if parsed.host().is_some() => {}
        "https" => {
            return Err(bad(
                show_url(&parsed),
                "this build speaks no TLS; use http:// to a local node or a local TLS proxy",
            ));
        }
        _ => {
            return Err(bad(show_url(&parsed), EXPECTED));
        }
    }
    let mut builder = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(REQUEST_TIMEOUT);
    if is_loopback(&parsed) {
        // A proxy from the environment knows nothing of this machine's own ports.
        builder = builder.no_proxy();
    }
    let client = builder
        .build()
        .map_err(|error| bad(show_url(&parsed), &error.to_string()))?;
    Ok((client, parsed))
}

/// Whether an address is of this machine, which no proxy from the environment can reach.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Scheme, host and port: what stands before and after them may be a secret.
pub(crate) fn show_url(url: &Url) -> String {
    let host = url.host_str().unwrap_or("");
    match url.port() {
        Some(port) => format!("{}://{host}:{port}", url.scheme()),
        None => format!("{}://{host}", url.scheme()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unusable_addresses_are_told_without_their_secrets() {
        for (url, expected) in [
            ("https://user:secret@rpc.example/key", "no TLS"),
            ("ftp://user:secret@host", "expected something like"),
            ("127.0.0.1", "expected something like"),
            (
                "http://user:secret@host:854500",
                "invalid port number; expected something like",
            ),
            ("user:secret@host", "expected something like"),
        ] {
            let error = http_client(url).unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains("secret"), "{error}");
        }
        assert_eq!(
            show_url(&"http://a:b@host:1/key?x=y".parse().unwrap()),
            "http://host:1"
        );
    }
}
