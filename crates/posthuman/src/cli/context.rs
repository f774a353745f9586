//! What every command starts from: settings, and the connections they describe.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use posthuman_chain::{AddressBook, Chain, Wallet};
use posthuman_types::{Address, Amount, Precision};

use super::Wrong;
use super::settings::Settings;
use crate::{Market, MarketError, MarketOptions, NodeClient};

/// Decimals of OCEAN and of every datatoken.
pub(crate) const DECIMALS: u8 = 18;

/// Settings and the form of the result.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub settings: Settings,
    /// Whether the result is one JSON object.
    pub json: bool,
}

impl Context {
    /// The node, read only.
    pub(crate) fn node(&self) -> anyhow::Result<NodeClient> {
        let url: String = self.settings.require("node", "the node's address")?;
        let patience = self.settings.parse("patience")?.unwrap_or(30);
        Ok(NodeClient::new(&url)?.with_patience(Duration::from_secs(patience)))
    }

    /// The node, signing in with the wallet.
    pub(crate) async fn signed_node(&self) -> anyhow::Result<NodeClient> {
        let chain_id = self.node()?.info().await?.chain_id;
        Ok(self.node()?.with_wallet(self.wallet(chain_id).await?))
    }

    /// The chain, with the addresses of the file or of the node.
    pub(crate) async fn chain(&self) -> anyhow::Result<Chain> {
        let rpc: String = self.settings.require("rpc", "the address of the chain")?;
        let book = match self.settings.path("address-file") {
            Some(path) => AddressBook::read(&path)?,
            None => crate::market::address_book(&self.node()?.info().await?),
        };
        Ok(Chain::connect(&rpc, book).await?)
    }

    /// The market with the user's wallet.
    pub(crate) async fn market(&self) -> anyhow::Result<Market> {
        let node = self.node()?;
        let info = node.info().await?;
        let options = MarketOptions {
            rpc: self.settings.require("rpc", "the address of the chain")?,
            node: node.url().to_owned(),
            address_file: self.settings.path("address-file"),
            patience: Duration::from_secs(self.settings.parse("patience")?.unwrap_or(30)),
        };
        Ok(Market::connect(options, self.wallet(info.chain_id).await?).await?)
    }

    /// The user's wallet for a chain. Devnet names are refused on every other chain: everyone knows those keys.
    pub(crate) async fn wallet(&self, chain_id: u64) -> anyhow::Result<Wallet> {
        let name: String = self.settings.require("wallet", "your wallet")?;
        if let Some(variable) = name.strip_prefix("env:") {
            return Ok(Wallet::from_environment(variable)?);
        }
        let path = PathBuf::from(&name);
        if !path.exists()
            && let Some(wallet) = super::devnet_wallet::find(&name)
        {
            super::devnet_wallet::check_chain(&name, chain_id)?;
            return Ok(wallet);
        }
        let password = self.password(&path)?;
        let opened = tokio::task::spawn_blocking(move || Wallet::from_keystore(&path, password)).await?;
        Ok(opened?)
    }

    /// Where the password of a keystore comes from: a file or a descriptor, never a question and never an argument.
    pub(crate) fn password(&self, keystore: &Path) -> anyhow::Result<Box<dyn Read + Send>> {
        if let Some(path) = self.settings.path("password-file")
            && !self.settings.beats("password-fd", "password-file")
        {
            let file = File::open(&path).map_err(|source| MarketError::File { path, source })?;
            return Ok(Box::new(file));
        }
        let Some(descriptor) = self.settings.parse::<u32>("password-fd")? else {
            let message = format!(
                "the keystore {} needs a password; give --password-file FILE or --password-fd N",
                keystore.display()
            );
            return Err(MarketError::Input(message).into());
        };
        // The descriptor is opened anew by its name, so that no raw descriptor has to be trusted to be open.
        let path = PathBuf::from(format!("/dev/fd/{descriptor}"));
        let file = File::open(&path).map_err(|source| MarketError::File { path, source })?;
        Ok(Box::new(file))
    }
}

/// Reads a text to be trained on or scored, as bytes: the node says what is wrong with them.
pub(crate) fn read_file(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).map_err(|source| {
        MarketError::File {
            path: path.to_owned(),
            source,
        }
        .into()
    })
}

/// An amount in whole tokens of 18 decimals, as flags take it.
pub(crate) fn tokens(text: &str) -> Result<Amount, String> {
    Amount::parse_tokens(text, DECIMALS).map_err(|error| error.to_string())
}

/// A share such as `20%` or `2000bps`, in basis points.
pub(crate) fn share(text: &str) -> Result<u16, String> {
    let wrong = || format!("`{text}` is not a share: write 20% or 2000bps");
    if let Some(bps) = text.strip_suffix("bps") {
        return bps.trim().parse().map_err(|_| wrong());
    }
    let percent = text.strip_suffix('%').ok_or_else(wrong)?;
    let bps = Amount::parse_tokens(percent.trim(), 2).map_err(|_| wrong())?;
    u16::try_from(bps.0).map_err(|_| wrong())
}

/// A precision: `f32` or `bf16`.
pub(crate) fn precision(text: &str) -> Result<Precision, String> {
    Precision::named(text).ok_or_else(|| format!("`{text}` is not a precision: write f32 or bf16"))
}

/// An address that a person gave: hexadecimal, or the name of a devnet wallet on a devnet. On any other chain whatever
/// such a wallet gets is gone at once.
pub(crate) fn address(text: &str, chain_id: u64) -> Result<Address, Wrong> {
    if let Some(wallet) = super::devnet_wallet::find(text) {
        super::devnet_wallet::check_chain(text, chain_id)?;
        return Ok(wallet.address());
    }
    text.parse().map_err(|_| {
        Wrong(format!(
            "`{text}` is not an address: write 0x and 40 hexadecimal digits"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_in_a_flag_wins_over_a_file_in_the_environment() {
        use std::os::fd::AsRawFd;
        let password = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(password.path(), "secret").unwrap();
        let open = File::open(password.path()).unwrap();
        let descriptor = open.as_raw_fd().to_string();
        let command = super::super::settings::add_flags(clap::Command::new("posthuman"));
        let flags = command.get_matches_from(["posthuman", "--password-fd", &descriptor]);
        let environment = |name: &str| (name == "POSTHUMAN_PASSWORD_FILE").then(|| "/nowhere".to_owned());
        let context = Context {
            settings: Settings::collect(&flags, environment).unwrap(),
            json: false,
        };
        let mut read = String::new();
        let mut source = context.password(Path::new("wallet.json")).unwrap();
        source.read_to_string(&mut read).unwrap();
        assert_eq!(read, "secret");
    }

    #[test]
    fn names_are_addresses_on_a_devnet_only() {
        let alice = address("alice", 8996).unwrap();
        assert_eq!(address(&alice.to_string(), 1).unwrap(), alice);
        let refused = address("alice", 1).unwrap_err().to_string();
        assert!(refused.contains("chain 1"), "{refused}");
        let refused = address("mallory", 8996).unwrap_err().to_string();
        assert!(refused.contains("40 hexadecimal digits"), "{refused}");
    }

    #[test]
    fn shares_are_read_exactly() {
        assert_eq!(share("20%"), Ok(2000));
        assert_eq!(share("12.5%"), Ok(1250));
        assert_eq!(share("1bps"), Ok(1));
        for text in ["20", "-1%", "0.001%", "1000%%", "%", "700%"] {
            let read = share(text);
            assert!(read.is_err() || text == "700%", "{text} gave {read:?}");
        }
    }
}
