//! How rows of the store become answers of the market dialect.

mod assets;
mod jobs;
mod royalties;

use posthuman_store::StoreError;

use crate::error::{ErrorCode, NodeError};

/// A page that begins beyond every number that is stored is a mistake of the query.
fn of_page(error: StoreError) -> NodeError {
    match error {
        StoreError::NumberTooLarge { value } => {
            let remedy = ErrorCode::QueryInvalid.row().remedy;
            let message = format!("{value} in the query is too large. {remedy}");
            NodeError::rejected(ErrorCode::QueryInvalid, message)
        }
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_beyond_all_numbers_is_a_mistake_of_the_query() {
        let error = of_page(StoreError::NumberTooLarge { value: u64::MAX });
        assert_eq!(error.code(), "query_invalid");
        assert!(error.message().contains("18446744073709551615"));
    }
}
