//! How the vocabulary stands in columns: one text form each.

use posthuman_types::api::{AssetKind, OrderState};
use posthuman_types::receipt::SignedRefusal;
use posthuman_types::{
    Address, Amount, B256, Bytes, Did, JobId, JobSpec, JobState, ObjectId, Operation, OrderId, QuoteId,
    SignedReceipt, Statement, UploadId,
};

use crate::StoreError;
use crate::table::job::JobInput;
use crate::table::transaction::TransactionState;
use crate::table::upload::UploadState;

/// A value on its way into or out of the database.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Null,
    Integer(i64),
    Text(String),
    Blob(Vec<u8>),
}

/// A type that fills one column. Reading says what it expected; the caller adds table and column.
pub(crate) trait Column: Sized {
    fn write(&self) -> Result<Value, StoreError>;
    fn read(value: Value) -> Result<Self, String>;
}

impl Column for u64 {
    fn write(&self) -> Result<Value, StoreError> {
        i64::try_from(*self)
            .map(Value::Integer)
            .map_err(|_| StoreError::NumberTooLarge { value: *self })
    }

    fn read(value: Value) -> Result<Self, String> {
        match value {
            Value::Integer(number) => Self::try_from(number).map_err(|_| format!("{number} is negative")),
            _ => Err("not a number".to_owned()),
        }
    }
}

impl Column for u32 {
    fn write(&self) -> Result<Value, StoreError> {
        Ok(Value::Integer(i64::from(*self)))
    }

    fn read(value: Value) -> Result<Self, String> {
        Self::try_from(u64::read(value)?).map_err(|_| "a number over 2^32 − 1".to_owned())
    }
}

impl Column for bool {
    fn write(&self) -> Result<Value, StoreError> {
        Ok(Value::Integer(i64::from(*self)))
    }

    fn read(value: Value) -> Result<Self, String> {
        Ok(u64::read(value)? != 0)
    }
}

impl Column for Bytes {
    fn write(&self) -> Result<Value, StoreError> {
        Ok(Value::Blob(self.to_vec()))
    }

    fn read(value: Value) -> Result<Self, String> {
        match value {
            Value::Blob(bytes) => Ok(bytes.into()),
            _ => Err("not bytes".to_owned()),
        }
    }
}

impl<T: Column> Column for Option<T> {
    fn write(&self) -> Result<Value, StoreError> {
        self.as_ref().map_or(Ok(Value::Null), Column::write)
    }

    fn read(value: Value) -> Result<Self, String> {
        if matches!(value, Value::Null) {
            Ok(None)
        } else {
            T::read(value).map(Some)
        }
    }
}

fn text(value: Value) -> Result<String, String> {
    match value {
        Value::Text(text) => Ok(text),
        _ => Err("not a text".to_owned()),
    }
}

/// Types whose text form is `Display` and `FromStr`.
macro_rules! text_columns {
    ($($name:ty),* $(,)?) => {
        $(impl Column for $name {
            fn write(&self) -> Result<Value, StoreError> {
                Ok(Value::Text(self.to_string()))
            }

            fn read(value: Value) -> Result<Self, String> {
                text(value)?.parse().map_err(|_| concat!("not a ", stringify!($name)).to_owned())
            }
        })*
    };
}

text_columns!(
    String, Address, Amount, B256, Did, JobId, ObjectId, Operation, OrderId, QuoteId, UploadId
);

/// Enumerations without data, whose text form is the name that their JSON has.
macro_rules! name_columns {
    ($($name:ty),* $(,)?) => {
        $(impl Column for $name {
            fn write(&self) -> Result<Value, StoreError> {
                let json = serde_json::to_value(self).expect("a name without data is always JSON");
                Ok(json.as_str().map_or(Value::Null, |name| Value::Text(name.to_owned())))
            }

            fn read(value: Value) -> Result<Self, String> {
                serde_json::from_value(text(value)?.into()).map_err(|error| error.to_string())
            }
        })*
    };
}

name_columns!(AssetKind, JobState, OrderState, TransactionState, UploadState);

/// Documents, as JSON text.
macro_rules! json_columns {
    ($($name:ty),* $(,)?) => {
        $(impl Column for $name {
            fn write(&self) -> Result<Value, StoreError> {
                Ok(Value::Text(serde_json::to_string(self).expect("these documents hold only what JSON can say")))
            }

            fn read(value: Value) -> Result<Self, String> {
                serde_json::from_str(&text(value)?).map_err(|error| error.to_string())
            }
        })*
    };
}

json_columns!(
    JobSpec,
    SignedReceipt,
    SignedRefusal,
    Statement,
    Vec<JobInput>,
    Vec<String>
);
