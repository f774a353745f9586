//! The table of public error codes: one row each, for answers, documentation and tests.

use std::str::FromStr;

use posthuman_types::ErrorClass;

/// One public error code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorRow {
    /// The code in snake case. It never changes its meaning.
    pub code: &'static str,
    /// Who can mend it.
    pub class: ErrorClass,
    /// What happened, in a sentence.
    pub cause: &'static str,
    /// What to do, in a sentence.
    pub remedy: &'static str,
}

macro_rules! error_codes {
    ($($variant:ident $code:literal $class:ident $cause:literal $remedy:literal)*) => {
        /// A public error code; each has a page of its own in `docs/errors/`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $(#[doc = $cause] $variant,)*
        }

        /// All public error codes, in the order of [`ErrorCode`]'s variants.
        pub const ERROR_CODES: &[ErrorRow] = &[
            $(ErrorRow { code: $code, class: ErrorClass::$class, cause: $cause, remedy: $remedy },)*
        ];

        impl ErrorCode {
            /// All codes, in the order of [`ERROR_CODES`].
            pub const ALL: &[Self] = &[$(Self::$variant,)*];
        }
    };
}

error_codes! {
    WrongChain "wrong_chain" Caller
        "The request names another chain than the one this node works on."
        "Compare `chain_id` of `GET /api/v1/node` with the chain of your order, and order on that chain."
    OrderNotFound "order_not_found" NotFound
        "The transaction holds no such order, or it is not mined yet."
        "Wait until the transaction is mined, then send its hash and the log index of its `OrderStarted` event."
    OrderNotPaidHere "order_not_paid_here" Payment
        "The provider fee of the order went to another node."
        "Start the job at the node that was paid, or ask this node for a quote and order with its fee."
    OrderForAnotherAsset "order_for_another_asset" Payment
        "The order spent the datatoken of another asset."
        "Name the datatoken that was spent, or order the asset that you mean."
    OrderForAnotherOperation "order_for_another_operation" Payment
        "The order was placed on the service of another operation."
        "Start the operation that was ordered, or order again with the service index of the quote."
    OrderUsed "order_used" Conflict
        "The order already paid for a job that succeeded."
        "Fetch that job's result, or buy another order."
    OrderRunning "order_running" Conflict
        "A job on this order waits or runs."
        "Wait for it, or cancel it before you start another one."
    NotTheConsumer "not_the_consumer" Unauthorized
        "Somebody else is the consumer of this order."
        "Sign with the wallet that the order names as consumer."
    BadSignature "bad_signature" Unauthorized
        "The signature is not that of the named address over this request."
        "Sign exactly the bytes of this request with the key of that address; a contract wallet must accept the signature by ERC-1271."
    NonceReplayed "nonce_replayed" Conflict
        "The nonce is not larger than the last one that this address used."
        "Ask `GET /api/v1/nonces/{address}` for the next nonce and sign again."
    FeeMissing "fee_missing" Payment
        "The order carries no provider fee."
        "Ask `POST /api/v1/initialize` for a quote and pass its signed fee to `startOrder`."
    FeeExpired "fee_expired" Payment
        "The order was mined after its quote had ended."
        "Ask for a new quote and pay its fee for the same order (`posthuman order --renew ORDER`); no datatoken is spent again."
    FeeReplayed "fee_replayed" Conflict
        "The quote of this order already paid for another order."
        "Each quote pays for one order: ask for a new one and pay its fee for the same order (`posthuman order --renew ORDER`)."
    FeeMismatch "fee_mismatch" Payment
        "The provider fee of the order is not the one that this node signed for it."
        "Pass the quote's fee to `startOrder` unchanged, with the consumer, datatoken and service that were quoted."
    InputMismatch "input_mismatch" Caller
        "The inputs or parameters are not those that were quoted or signed."
        "Send the uploads and parameters of the quote, and sign their digest."
    AllowanceExceeded "allowance_exceeded" Payment
        "The job needs more tokens than one order allows."
        "Shorten the text or take fewer steps; the asset's `allowances` say how many tokens an order covers."
    ContextExceeded "context_exceeded" Caller
        "The text and the answer together are longer than the context of the model."
        "Shorten the prompt or the sequence, or ask for fewer tokens; the asset's `architecture.context` is the limit."
    ArchitectureUnsupported "architecture_unsupported" Caller
        "The node cannot make or run a model of this shape."
        "Choose a shape within the limits of `GET /api/v1/node`, of a family that it supports."
    TextMissing "text_missing" Caller
        "The operation needs a text that was not sent."
        "Name an upload for every input of the operation."
    TextEmpty "text_empty" Caller
        "The text is empty."
        "Send a text with at least one character."
    TextBinary "text_binary" Caller
        "The file holds zero bytes or many control characters, as no text does; it looks like a binary file."
        "Send plain text in UTF-8."
    TextNotUtf8 "text_not_utf8" Caller
        "The text is not UTF-8."
        "Convert it to UTF-8 and send it again."
    TextTooLarge "text_too_large" TooLarge
        "The text is larger than the node accepts."
        "Shorten it; `GET /api/v1/node` names the limits."
    TextTooShort "text_too_short" Caller
        "The text is too short for the operation."
        "Send a longer text or choose a shorter sequence."
    ParametersInvalid "parameters_invalid" Caller
        "The parameters are not canonical, not of this operation, or out of range."
        "Write them as the documentation of the operation says and send them again."
    ModelInvalid "model_invalid" Caller
        "The files are not a model that this node can read."
        "Send the files of a Hugging Face folder (`config.json`, `tokenizer.json`, `model.safetensors` and what else is in it), or one GGUF file, of a model of the family GPT-2, Llama, Mistral, Qwen2 or Qwen3."
    UnchangedWeights "unchanged_weights" Caller
        "The training would leave the weights as they were."
        "Choose a learning rate above zero and at least one step. The order stays open."
    LossNotFinite "loss_not_finite" Caller
        "The loss or the gradient of the training stopped being a number."
        "Start again with a lower learning rate or more warm-up steps. The order stays open."
    OutOfMemory "out_of_memory" Caller
        "The job needed more memory than a worker may have."
        "Start again with a smaller batch, a shorter sequence or a smaller model. The order stays open."
    ProcessorTimeExceeded "processor_time_exceeded" Caller
        "The job needed more processor time than a worker may have."
        "Start again with fewer steps or a smaller model. The order stays open."
    DeadlineExceeded "deadline_exceeded" Unavailable
        "The job took longer than a worker may work."
        "Start again with fewer steps, or when the node is less busy. The order stays open."
    WorkerCrashed "worker_crashed" Bug
        "The worker process ended without a word, more than once."
        "Tell the node's operator the id of the job. The order stays open."
    WeightsCorrupted "weights_corrupted" Bug
        "The sealed weights of the model are damaged on the node's disk; they were not used."
        "Tell the node's operator, who can restore them from a backup. An order that was paid stays open."
    InputCorrupted "input_corrupted" Bug
        "An input of the job is damaged on the node's disk; it was not used."
        "Send the file and start the job again, and tell the node's operator. The order stays open."
    OutputNotAllowed "output_not_allowed" Bug
        "The worker left something among its results that does not belong there; nothing of it was kept."
        "Tell the node's operator the id of the job. The order stays open."
    WorkerProtocol "worker_protocol" Bug
        "The worker said something that the node does not understand."
        "Tell the node's operator the id of the job. The order stays open."
    SandboxUnavailable "sandbox_unavailable" Unavailable
        "The worker could not lock itself up, and so did not open the weights."
        "Tell the node's operator that the kernel must offer Landlock and seccomp. The order stays open."
    WorkerInternal "worker_internal" Bug
        "The worker met a fault of its own."
        "Tell the node's operator the id of the job. The order stays open."
    WorkerNotStarted "worker_not_started" Unavailable
        "The node could not start a worker or take its result, several times; perhaps its disk is full."
        "Start the job again later, and tell the node's operator. The order stays open."
    WorkerLost "worker_lost" Bug
        "The node lost the worker of the job, or was itself stopped, several times."
        "Start the job again, and tell the node's operator the id of the job. The order stays open."
    StatementMismatch "statement_mismatch" Bug
        "The worker did other work than it was asked to do; nothing of it was kept."
        "Tell the node's operator the id of the job. The order stays open."
    UploadNotFound "upload_not_found" NotFound
        "There is no such upload of yours; it may have expired."
        "Announce the file with `POST /api/v1/uploads` and send it again."
    UploadIncomplete "upload_incomplete" Conflict
        "The upload has not arrived in full."
        "Ask `GET /api/v1/uploads/{id}` and send the rest from `received` on."
    UploadOffset "upload_offset" Conflict
        "The chunk does not begin where the upload ends so far."
        "Ask `GET /api/v1/uploads/{id}` and go on at `received`."
    UploadDigest "upload_digest" Caller
        "The bytes that arrived do not have the digest that was announced. None of them were kept."
        "Send the file again from offset 0, or announce it anew if it has changed."
    UploadTooLarge "upload_too_large" TooLarge
        "The file or the chunk is larger than the node accepts."
        "Keep to `limits.upload_bytes` and `limits.chunk_bytes` of `GET /api/v1/node`."
    UploadTooMany "upload_too_many" Conflict
        "This address holds as many uploads as the node keeps for one address."
        "Remove uploads that you do not need with `DELETE /api/v1/uploads/{id}`, or wait until they expire."
    AssetNotFound "asset_not_found" NotFound
        "This node knows no such asset."
        "Check the DID; a new asset appears after its block is indexed."
    AssetNotActive "asset_not_active" Conflict
        "The asset is retired or was taken off the market."
        "Choose another asset."
    JobNotFound "job_not_found" NotFound
        "There is no such job of yours."
        "Check the id and sign in as the consumer who started it."
    JobFinal "job_final" Conflict
        "The job has ended."
        "Look at its state: an ended job cannot be changed."
    OutputNotFound "output_not_found" NotFound
        "The job has no such output, or has not finished."
        "Wait for the job's end and take a name from its `outputs`."
    ReceiptNotFound "receipt_not_found" NotFound
        "There is no such receipt."
        "Check the digest or wait until the job is receipted."
    SessionClosed "session_closed" Conflict
        "The inference session is closed."
        "Buy another order to go on."
    PreviousMismatch "previous_mismatch" Conflict
        "The turn does not follow the newest receipt of the session."
        "Ask `GET /api/v1/orders/{order}` for `next_turn` and `last_receipt`, and sign again."
    SaleNotHolder "sale_not_holder" Caller
        "The address holds no datatokens of this asset to sell."
        "Buy datatokens first, or sign in with the address that holds them."
    SaleTaken "sale_taken" Conflict
        "Another holder sells this asset on the one exchange that the contract allows for it."
        "Transfer your datatokens to a buyer directly, or wait until that sale has ended."
    ImportInvalid "import_invalid" Caller
        "The model cannot be imported as it was described."
        "Correct what the message names and send the request again."
    DiskFull "disk_full" Unavailable
        "The node's disk is full; nothing of this request was kept."
        "Tell the node's operator to make room, and try again."
    StorageUnavailable "storage_unavailable" Unavailable
        "The node cannot use its files at the moment; nothing of this request was kept."
        "Try again later, or tell the node's operator to look at the log."
    ChainUnavailable "chain_unavailable" Unavailable
        "The node cannot reach its chain at the moment."
        "Try again in a moment; if it lasts, tell the node's operator."
    StartupFailed "startup_failed" Unavailable
        "The node cannot start."
        "Do what the message says and start it again."
    NodeShuttingDown "node_shutting_down" Unavailable
        "The node is shutting down."
        "Try again in a moment; jobs that were admitted go on after the restart."
    NodeBusy "node_busy" Unavailable
        "The node answers as many requests as it can at once."
        "Try again in a moment."
    NotFound "not_found" NotFound
        "There is nothing at this address."
        "Check the path; `GET /` names the dialects that the node speaks."
    MethodNotAllowed "method_not_allowed" Caller
        "This address does not answer this method."
        "Use one of the methods in the answer's `Allow` header."
    BodyInvalid "body_invalid" Caller
        "The body is not what this address expects."
        "Correct what the message names and send the request again."
    BodyTooLarge "body_too_large" TooLarge
        "The body is larger than this address accepts."
        "Send less; files go to `POST /api/v1/uploads`."
    BodyTimeout "body_timeout" Caller
        "The body did not arrive in time."
        "Send it again; use smaller chunks on a slow line."
    ContentTypeUnsupported "content_type_unsupported" Caller
        "The body has a content type that this address does not read."
        "Send JSON with `Content-Type: application/json`."
    QueryInvalid "query_invalid" Caller
        "The query or a header holds a value that this address does not read."
        "Correct what the message names."
    IdInvalid "id_invalid" Caller
        "The path holds something that is not an identifier of the expected kind."
        "Correct what the message names."
    Unauthorized "unauthorized" Unauthorized
        "This address is private and the request carries no valid access token."
        "Sign the next nonce (`GET /api/v1/nonces/{address}`), send it to `POST /api/v1/sign-in`, and put the token into the header `Authorization: Bearer TOKEN`."
    Internal "internal" Bug
        "The node met a fault of its own."
        "Tell the node's operator the reference in the message; trying again later does no harm."
}

impl ErrorCode {
    /// The row of the table.
    pub fn row(self) -> &'static ErrorRow {
        &ERROR_CODES[self as usize]
    }

    /// The text form.
    pub fn as_str(self) -> &'static str {
        self.row().code
    }

    /// Who can mend it.
    pub fn class(self) -> ErrorClass {
        self.row().class
    }

    /// The HTTP status: that of the class, but where HTTP has a status of its own for the very thing.
    pub fn http_status(self) -> u16 {
        match self {
            Self::MethodNotAllowed => 405,
            Self::BodyTimeout => 408,
            Self::ContentTypeUnsupported => 415,
            _ => self.class().http_status(),
        }
    }
}

/// A text that is no public error code.
#[derive(Clone, Debug, thiserror::Error)]
#[error("`{0}` is not an error code")]
pub struct ErrorCodeError(String);

impl FromStr for ErrorCode {
    type Err = ErrorCodeError;

    fn from_str(text: &str) -> Result<Self, ErrorCodeError> {
        Self::ALL
            .iter()
            .copied()
            .find(|code| code.as_str() == text)
            .ok_or_else(|| ErrorCodeError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use posthuman_jobs::engine::local::{FailureCode, RefusalCode};

    use super::*;

    #[test]
    fn codes_are_told_apart_and_read_back() {
        let codes: BTreeSet<_> = ERROR_CODES.iter().map(|row| row.code).collect();
        assert_eq!(codes.len(), ERROR_CODES.len());
        for code in ErrorCode::ALL {
            assert_eq!(code.as_str().parse::<ErrorCode>().unwrap(), *code);
            let snake = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
            assert!(code.as_str().bytes().all(snake), "{}", code.as_str());
        }
        assert!("no_such_code".parse::<ErrorCode>().is_err());
    }

    #[test]
    fn every_code_of_a_worker_is_public() {
        let refusals = RefusalCode::ALL.iter().map(|code| code.as_str());
        for code in refusals.chain(FailureCode::ALL.iter().map(|code| code.as_str())) {
            assert!(code.parse::<ErrorCode>().is_ok(), "{code} has no row");
        }
    }

    #[test]
    fn sentences_end() {
        for row in ERROR_CODES {
            for sentence in [row.cause, row.remedy] {
                assert!(
                    sentence.ends_with('.') && !sentence.contains("  "),
                    "{}: {sentence}",
                    row.code
                );
            }
        }
    }

    /// A page may say more than the table, never something else.
    #[test]
    fn pages_say_what_the_table_says() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors");
        let index =
            std::fs::read_to_string(folder.join("README.md")).expect("docs/errors/README.md is there");
        for code in ErrorCode::ALL {
            let (row, status) = (code.row(), code.http_status());
            let page = std::fs::read_to_string(folder.join(format!("{}.md", row.code)))
                .unwrap_or_else(|error| panic!("docs/errors/{}.md: {error}", row.code));
            for part in [
                &format!("# `{}`", row.code),
                &format!("HTTP status {status}"),
                row.cause,
                row.remedy,
            ] {
                assert!(page.contains(part), "docs/errors/{}.md lacks: {part}", row.code);
            }
            assert!(
                index.contains(&format!("({}.md)", row.code)),
                "docs/errors/README.md lacks {}",
                row.code
            );
        }
    }
}
