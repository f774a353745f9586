//! From an HTTP answer to a typed error.

use posthuman_types::ErrorClass;
use posthuman_types::api::ErrorBody;

use crate::error::NodeAnswer;

const CLASSES: [ErrorClass; 8] = [
    ErrorClass::Caller,
    ErrorClass::Unauthorized,
    ErrorClass::Payment,
    ErrorClass::NotFound,
    ErrorClass::Conflict,
    ErrorClass::TooLarge,
    ErrorClass::Unavailable,
    ErrorClass::Bug,
];

/// Longest part of a foreign body that is shown.
const EXCERPT: usize = 200;

/// Reads an error body; a body of another shape, as a proxy sends, is quoted in part.
pub(super) fn read(status: u16, body: &[u8]) -> NodeAnswer {
    let class = class_of(status);
    match serde_json::from_slice::<ErrorBody>(body) {
        Ok(ErrorBody { error }) => NodeAnswer {
            status,
            code: error.code,
            message: error.message,
            class,
            refusal: error.refusal,
        },
        Err(_) => {
            let text: String = String::from_utf8_lossy(body)
                .chars()
                .filter(|c| !c.is_control())
                .take(EXCERPT)
                .collect();
            let message = format!("HTTP status {status} without the body of a Posthuman node: {text:?}");
            NodeAnswer {
                status,
                code: format!("http_{status}"),
                message,
                class,
                refusal: None,
            }
        }
    }
}

fn class_of(status: u16) -> ErrorClass {
    CLASSES
        .into_iter()
        .find(|class| class.http_status() == status)
        .unwrap_or(match status {
            403 => ErrorClass::Unauthorized,
            408 | 425 | 429 | 502 | 504 => ErrorClass::Unavailable,
            400..=499 => ErrorClass::Caller,
            _ => ErrorClass::Bug,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_node_s_words_arrive() {
        let body = br#"{"error":{"code":"order_used","message":"Order 8996:0x1:0 was used. Buy another."}}"#;
        let answer = read(409, body);
        assert_eq!(answer.code, "order_used");
        assert_eq!(answer.class, ErrorClass::Conflict);
        assert_eq!(
            answer.to_string(),
            "Order 8996:0x1:0 was used. Buy another. (order_used)"
        );
    }

    #[test]
    fn a_proxy_s_page_is_quoted_in_part() {
        let answer = read(502, format!("<html>\n{}", "x".repeat(5000)).as_bytes());
        assert_eq!(answer.class, ErrorClass::Unavailable);
        assert!(
            answer.message.len() < 400 && answer.message.contains("<html>"),
            "{}",
            answer.message
        );
    }

    #[test]
    fn every_class_comes_back_from_its_status() {
        for class in CLASSES {
            assert_eq!(read(class.http_status(), b"{}").class, class);
        }
    }
}
