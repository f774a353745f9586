//! Full-text search over assets. The only file that uses SQLite's FTS5.

use posthuman_types::Did;
use posthuman_types::api::AssetQuery;

use crate::column::{Column, Value};
use crate::row::values;
use crate::table::asset::AssetRow;
use crate::{Connection, Page, StoreError, Transaction};

const DEFAULT_LIMIT: u64 = 20;
const LARGEST_LIMIT: u64 = 100;
/// Words of a query beyond these are not looked for.
const MOST_WORDS: usize = 16;

impl Connection {
    /// Active assets (metadata state 0) that a query asks for. Without words the newest come first, with words the
    /// best matches.
    ///
    /// Every word must begin some word of name, description, author or tags. Words are what letters and digits form;
    /// no character has a special meaning. A query whose words are all punctuation finds nothing.
    ///
    /// # Errors
    /// The database fails.
    pub async fn search_assets(&mut self, query: &AssetQuery) -> Result<Page<AssetRow>, StoreError> {
        let mut filter = Filter::new();
        let words = query
            .q
            .as_deref()
            .map(str::trim)
            .filter(|words| !words.is_empty());
        if let Some(words) = words {
            let Some(expression) = match_expression(words) else {
                return Ok(Page {
                    rows: Vec::new(),
                    total: 0,
                });
            };
            filter.add("asset_words MATCH", Value::Text(expression));
        }
        if let Some(kind) = &query.kind {
            filter.add("assets.kind =", kind.write()?);
        }
        if let Some(author) = &query.author {
            filter.add("assets.trainer =", author.write()?);
        }
        if let Some(parent) = &query.parent {
            filter.add("assets.parent =", parent.write()?);
        }
        let join = if words.is_some() {
            "JOIN asset_words ON asset_words.did = assets.did"
        } else {
            ""
        };
        let order = if words.is_some() {
            "bm25(asset_words, 0.0, 10.0, 2.0, 5.0, 5.0),"
        } else {
            ""
        };
        let Filter {
            condition,
            mut values,
        } = filter;
        let total = self
            .count(
                &format!("SELECT count(*) FROM assets {join} {condition}"),
                values.clone(),
            )
            .await?;
        let place = values.len();
        values.push(query.limit.unwrap_or(DEFAULT_LIMIT).min(LARGEST_LIMIT).write()?);
        values.push(query.offset.unwrap_or(0).min(i64::MAX.unsigned_abs()).write()?);
        let tail = format!(
            "{join} {condition} ORDER BY {order} assets.created_at DESC, assets.did LIMIT ${} OFFSET ${}",
            place + 1,
            place + 2
        );
        Ok(Page {
            rows: self.select(&tail, values).await?,
            total,
        })
    }
}

impl Transaction {
    pub(crate) async fn index_words(&mut self, asset: &AssetRow) -> Result<(), StoreError> {
        self.forget_words(&asset.did).await?;
        let sql =
            "INSERT INTO asset_words (did, name, description, author, tags) VALUES ($1, $2, $3, $4, $5)";
        let tags = asset.tags.join(" ");
        let values = values![&asset.did, &asset.name, &asset.description, &asset.author, &tags];
        self.execute(sql, values).await.map(drop)
    }

    pub(crate) async fn forget_words(&mut self, did: &Did) -> Result<(), StoreError> {
        self.execute("DELETE FROM asset_words WHERE did = $1", values![did])
            .await
            .map(drop)
    }
}

/// A `WHERE` clause and the values of its places.
struct Filter {
    condition: String,
    values: Vec<Value>,
}

impl Filter {
    fn new() -> Self {
        Self {
            condition: "WHERE assets.state = 0".to_owned(),
            values: Vec::new(),
        }
    }

    fn add(&mut self, test: &str, value: Value) {
        self.values.push(value);
        self.condition = format!("{} AND {test} ${}", self.condition, self.values.len());
    }
}

/// Quotes every word, so that no character of the user's is an operator of FTS5, and asks for words that begin so.
fn match_expression(words: &str) -> Option<String> {
    let terms: Vec<_> = words
        .split(|character: char| !character.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .take(MOST_WORDS)
        .map(|word| format!("\"{word}\"*"))
        .collect();
    (!terms.is_empty()).then(|| terms.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_and_operators_are_not_obeyed() {
        assert_eq!(
            match_expression("moby-dick OR \"x").as_deref(),
            Some("\"moby\"* \"dick\"* \"OR\"* \"x\"*")
        );
        assert_eq!(match_expression("*\"'();--"), None);
    }
}
