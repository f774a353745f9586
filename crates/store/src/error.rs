//! What can go wrong with durable rows, in sentences.

use std::path::{Path, PathBuf};

use posthuman_types::{Address, ErrorClass};

/// A cause that belongs to the database driver, whose types stay inside this crate.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Everything that can go wrong in this crate.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file cannot be opened or created.
    #[error(
        "the database {path} cannot be opened: check that its folder exists and that this user may write there"
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// What the driver says.
        source: Cause,
    },
    /// The file was written by a newer program.
    #[error(
        "the database {path} has schema version {found}, newer than the {known} that this program knows: \
         run the newer program again, or restore the backup that you made before upgrading"
    )]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// Its newest migration that this program lacks.
        found: i64,
        /// The newest migration of this program.
        known: i64,
    },
    /// A migration could not be applied, or was applied in another text.
    #[error("the database {path} could not be brought to this program's schema: nothing in it was changed")]
    Migration {
        /// The file.
        path: PathBuf,
        /// What the driver says.
        source: Cause,
    },
    /// No room is left for the database.
    #[error(
        "the disk that holds the database {path} is full: free some space and try again; nothing was lost"
    )]
    DiskFull {
        /// The file.
        path: PathBuf,
    },
    /// The disk does not read or write.
    #[error(
        "the disk that holds the database {path} fails to read or write: check it, its free space and its quota"
    )]
    Disk {
        /// The file.
        path: PathBuf,
        /// What the driver says.
        source: Cause,
    },
    /// Writing on after an error that ended the transaction.
    #[error(
        "the transaction on the database {path} ended with an error before: nothing of it was written; begin again"
    )]
    Aborted {
        /// The file.
        path: PathBuf,
    },
    /// The file may not be written.
    #[error("the database {path} is read-only: give this user the right to write the file and its folder")]
    ReadOnly {
        /// The file.
        path: PathBuf,
    },
    /// Another transaction holds the database for too long.
    #[error("the database {path} is busy with another transaction: try again in a moment")]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// The file is damaged or is no database.
    #[error("the database {path} is damaged or is not a database: restore it from a backup")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What the driver says.
        source: Cause,
    },
    /// A statement failed for a reason that the program should have prevented.
    #[error("the database {path} refused a statement")]
    Query {
        /// The file.
        path: PathBuf,
        /// What the driver says.
        source: Cause,
    },
    /// A row holds something that this program did not write.
    #[error("column `{column}` of table `{table}` holds a value that cannot be read: {expected}")]
    Unreadable {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// What should stand there.
        expected: String,
    },
    /// A number over 2^63 − 1, the largest that a column holds.
    #[error("the number {value} is too large: the largest that is stored is 9223372036854775807")]
    NumberTooLarge {
        /// The number.
        value: u64,
    },
    /// A unique rule forbids the row.
    #[error("{rule}")]
    Taken {
        /// The rule.
        rule: UniqueRule,
    },
    /// A signed nonce that is not larger than every one before.
    #[error(
        "nonce {nonce} of {address} was used before or is too low: sign again with nonce {next} or larger"
    )]
    NonceReplayed {
        /// Who signed.
        address: Address,
        /// The nonce that came.
        nonce: u64,
        /// The least that is accepted now.
        next: u64,
    },
    /// A chunk of an upload that does not start where the last one ended.
    #[error(
        "upload {id} is at byte {received}, not at {offset}: send the chunk that starts at byte {received}"
    )]
    UploadOffset {
        /// The upload.
        id: String,
        /// Where the chunk starts.
        offset: u64,
        /// Where it should start.
        received: u64,
    },
    /// No such row.
    #[error("there is no {what} `{id}` here")]
    Missing {
        /// What was looked for.
        what: &'static str,
        /// Its id in text.
        id: String,
    },
}

impl StoreError {
    /// Who can mend it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Open { .. }
            | Self::DiskFull { .. }
            | Self::Disk { .. }
            | Self::ReadOnly { .. }
            | Self::Busy { .. } => ErrorClass::Unavailable,
            Self::NewerSchema { .. } | Self::Migration { .. } | Self::Corrupt { .. } => {
                ErrorClass::Unavailable
            }
            Self::Taken { .. } | Self::NonceReplayed { .. } | Self::UploadOffset { .. } => {
                ErrorClass::Conflict
            }
            Self::NumberTooLarge { .. } => ErrorClass::Caller,
            Self::Missing { .. } => ErrorClass::NotFound,
            Self::Aborted { .. } | Self::Query { .. } | Self::Unreadable { .. } => ErrorClass::Bug,
        }
    }

    /// The public code, which has a page in the documentation.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Open { .. } => "database_unreachable",
            Self::NewerSchema { .. } => "database_newer",
            Self::Migration { .. } => "database_migration",
            Self::DiskFull { .. } => "disk_full",
            Self::Disk { .. } => "disk_failed",
            Self::ReadOnly { .. } => "database_read_only",
            Self::Busy { .. } => "database_busy",
            Self::Corrupt { .. } => "database_damaged",
            Self::Aborted { .. } | Self::Query { .. } | Self::Unreadable { .. } => "internal",
            Self::NumberTooLarge { .. } => "number_too_large",
            Self::Taken { rule } => rule.code(),
            Self::NonceReplayed { .. } => "nonce_replayed",
            Self::UploadOffset { .. } => "upload_offset",
            Self::Missing { .. } => "not_found",
        }
    }

    /// Sorts an error of the driver into those a user can act on.
    pub(crate) fn from_driver(path: &Path, source: sqlx::Error) -> Self {
        let path = path.to_owned();
        let Some(code) = result_code(&source) else {
            return match source {
                sqlx::Error::PoolTimedOut => Self::Busy { path },
                sqlx::Error::Io(ref error) if error.kind() == std::io::ErrorKind::StorageFull => {
                    Self::DiskFull { path }
                }
                source => Self::Query {
                    path,
                    source: source.into(),
                },
            };
        };
        if let Some(rule) = UniqueRule::of(&source) {
            return Self::Taken { rule };
        }
        // Primary result codes of SQLite, https://www.sqlite.org/rescode.html; the low byte of an extended code.
        match code & 0xff {
            5 | 6 => Self::Busy { path },
            8 => Self::ReadOnly { path },
            10 => Self::Disk {
                path,
                source: source.into(),
            },
            11 | 26 => Self::Corrupt {
                path,
                source: source.into(),
            },
            13 => Self::DiskFull { path },
            14 => Self::Open {
                path,
                source: source.into(),
            },
            _ => Self::Query {
                path,
                source: source.into(),
            },
        }
    }
}

fn result_code(error: &sqlx::Error) -> Option<u32> {
    error.as_database_error()?.code()?.parse().ok()
}

macro_rules! unique_rules {
    ($($(#[$documentation:meta])* $name:ident: $columns:literal, $code:literal, $sentence:literal;)*) => {
        /// A rule that at most one row may have some value.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum UniqueRule {
            $($(#[$documentation])* $name,)*
        }

        impl UniqueRule {
            const ALL: &'static [(Self, &'static str)] = &[$((Self::$name, $columns)),*];

            /// The public code, which has a page in the documentation.
            pub fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }
        }

        impl std::fmt::Display for UniqueRule {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(match self { $(Self::$name => $sentence,)* })
            }
        }
    };
}

unique_rules! {
    /// One quote pays for one order.
    OrderPerQuote: "orders.quote_id", "fee_replayed",
        "this provider fee already paid for another order: ask for a new quote and order again";
    /// One log is one order.
    Order: "orders.id", "order_known", "this order is already recorded";
    /// One order pays one job, per turn of a session.
    JobPerTurn: "jobs.order_id, jobs.turn", "order_in_use",
        "this order already pays for another job: wait for it, or cancel it first";
    /// A job id names one request.
    Job: "jobs.id", "job_known", "this request was sent before and its job exists";
    /// One job has one receipt.
    ReceiptPerJob: "receipts.job_id", "receipt_known", "this job already has a receipt";
    /// One turn of an order has one receipt.
    ReceiptPerTurn: "receipts.order_id, receipts.turn", "receipt_known", "this turn of the order already has a receipt";
    /// One digest is one receipt.
    Receipt: "receipts.digest", "receipt_known", "this receipt is already recorded";
    /// One commitment is one model.
    Model: "models.root", "model_known", "a model with these weights is already here";
    /// One object holds one model.
    ModelPerObject: "models.object", "model_known", "this sealed object already belongs to another model";
    /// One asset is one model.
    ModelPerAsset: "models.did", "model_known", "this asset already has a model";
    /// One job makes one model.
    ModelPerJob: "models.job_id", "model_known", "this job already made a model";
    /// One key is one import.
    Import: "imports.key", "import_known", "this import is already recorded";
    /// One model is one import.
    ImportPerModel: "imports.root", "import_known", "this model was already imported";
    /// One data NFT is one asset.
    AssetPerNft: "assets.chain_id, assets.nft", "asset_known", "this data NFT already belongs to another asset";
    /// An upload id names one upload.
    Upload: "uploads.id", "upload_known", "this upload id is taken";
    /// A quote id names one quote.
    Quote: "quotes.id", "quote_known", "this quote id is taken";
    /// A token is given once.
    AccessToken: "access_tokens.digest", "token_known", "this access token is taken";
    /// A nonce of the wallet carries one transaction.
    TransactionPerNonce: "transactions.chain_id, transactions.sender, transactions.nonce", "wallet_nonce_taken",
        "this nonce of the node's wallet already carries another transaction";
    /// A hash names one transaction.
    TransactionHash: "transactions.hash", "transaction_known", "this transaction is already recorded under another key";
}

impl UniqueRule {
    fn of(error: &sqlx::Error) -> Option<Self> {
        let error = error
            .as_database_error()
            .filter(|error| error.is_unique_violation())?;
        let columns = error.message().rsplit("failed: ").next()?;
        Self::ALL
            .iter()
            .find(|(_, of)| *of == columns)
            .map(|(rule, _)| *rule)
    }
}
