//! The one shape of every error, and the one place where faults are written to the log.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use posthuman_types::ErrorClass;
use posthuman_types::api::{ErrorBody, ErrorDetail};

pub(super) use crate::error::plain;
use crate::error::{ErrorCode, NodeError, chain_of_causes};

/// Seconds after which a caller may try again what was unavailable.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

/// Answers with the error's status and body. A fault is logged with a reference, and only the reference leaves, unless it
/// is one that has words for the caller.
impl IntoResponse for NodeError {
    fn into_response(self) -> Response {
        let code = self.error_code();
        let worded = matches!(self, Self::Rejected { .. } | Self::Refused { .. });
        let message = match self.class() {
            ErrorClass::Bug if !worded => fault_message(&chain_of_causes(&self)),
            ErrorClass::Unavailable => {
                tracing::warn!(
                    code = code.as_str(),
                    error = chain_of_causes(&self),
                    "unavailable"
                );
                self.message()
            }
            _ => self.message(),
        };
        let refusal = match self {
            Self::Refused { refusal, .. } => Some(*refusal),
            _ => None,
        };
        respond(
            code,
            ErrorDetail {
                code: code.as_str().to_owned(),
                message,
                refusal,
            },
        )
    }
}

/// Logs a fault in full and returns the sentence for the caller, which holds nothing but a reference to the log.
fn fault_message(internal: &str) -> String {
    let reference = format!("{:016x}", rand::random::<u64>());
    tracing::error!(reference, error = internal, "fault");
    let row = ErrorCode::Internal.row();
    format!("{} Reference: {reference}. {}", row.cause, row.remedy)
}

fn respond(code: ErrorCode, error: ErrorDetail) -> Response {
    let status = StatusCode::from_u16(code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, Json(ErrorBody { error })).into_response();
    let headers = response.headers_mut();
    match status {
        StatusCode::UNAUTHORIZED => {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        StatusCode::SERVICE_UNAVAILABLE => {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        _ => {}
    }
    // The log line of the request names the code.
    response.extensions_mut().insert(code);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn body(response: Response) -> ErrorBody {
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 16).await.unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    #[tokio::test]
    async fn a_fault_gives_a_reference_and_nothing_else() {
        let response = NodeError::fault("opening", "disk /dev/secret").into_response();
        assert_eq!(response.status(), 500);
        let error = body(response).await.error;
        assert_eq!(error.code, "internal");
        assert!(error.message.contains("Reference: "), "{}", error.message);
        assert!(!error.message.contains("secret") && !error.message.contains("opening"));
    }

    #[tokio::test]
    async fn a_fault_that_was_foreseen_says_what_it_is() {
        let response = plain(ErrorCode::WeightsCorrupted).into_response();
        assert_eq!(response.status(), 500);
        let error = body(response).await.error;
        assert_eq!(error.code, "weights_corrupted");
        assert!(error.message.contains("damaged"), "{}", error.message);
    }

    #[tokio::test]
    async fn unauthorized_and_unavailable_say_how_to_go_on() {
        let response = plain(ErrorCode::Unauthorized).into_response();
        assert_eq!(
            (
                response.status().as_u16(),
                &response.headers()[header::WWW_AUTHENTICATE]
            ),
            (401, &HeaderValue::from_static("Bearer"))
        );
        assert!(body(response).await.error.message.contains("/api/v1/sign-in"));
        let response = plain(ErrorCode::NodeBusy).into_response();
        assert_eq!(
            (
                response.status().as_u16(),
                &response.headers()[header::RETRY_AFTER]
            ),
            (503, &RETRY_AFTER)
        );
    }
}
