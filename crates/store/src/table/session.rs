//! Signed nonces and the tokens that stand for a signed-in address.

use posthuman_types::{Address, B256};

use crate::row::{row, values};
use crate::{Connection, StoreError, Transaction};

row! {
    /// A token that stands for an address. The token itself is nowhere; who presents it is compared by digest.
    pub struct AccessTokenRow in "access_tokens" {
        /// SHA-256 of the token.
        pub digest: B256,
        /// The address it stands for.
        pub address: Address,
        /// When it was given, in seconds since 1970 (Unix time).
        pub created_at: u64,
        /// From when it no longer counts.
        pub expires_at: u64,
    }
}

impl Connection {
    /// The last nonce that an address used; 0 before the first.
    ///
    /// # Errors
    /// The database fails.
    pub async fn last_nonce(&mut self, address: Address) -> Result<u64, StoreError> {
        self.count("SELECT nonce FROM nonces WHERE address = $1", values![&address])
            .await
    }

    /// The token of a digest, unless it ended.
    ///
    /// # Errors
    /// The database fails.
    pub async fn access_token(
        &mut self,
        digest: B256,
        now: u64,
    ) -> Result<Option<AccessTokenRow>, StoreError> {
        self.select_one("WHERE digest = $1 AND expires_at > $2", values![&digest, &now])
            .await
    }
}

impl Transaction {
    /// Uses up a nonce: it must be larger than every one that the address used before, 1 or more.
    ///
    /// # Errors
    /// [`StoreError::NonceReplayed`] where it is not; a nonce over 2^63 − 1; the database fails.
    pub async fn use_nonce(&mut self, address: Address, nonce: u64) -> Result<(), StoreError> {
        let last = self.last_nonce(address).await?;
        if nonce <= last {
            return Err(StoreError::NonceReplayed {
                address,
                nonce,
                next: last + 1,
            });
        }
        let sql = "INSERT INTO nonces (address, nonce) VALUES ($1, $2)
                   ON CONFLICT (address) DO UPDATE SET nonce = excluded.nonce";
        self.execute(sql, values![&address, &nonce]).await.map(drop)
    }

    /// Adds a token.
    ///
    /// # Errors
    /// The digest is taken, or the database fails.
    pub async fn insert_access_token(&mut self, token: &AccessTokenRow) -> Result<(), StoreError> {
        self.insert(token, &[]).await
    }

    /// Removes the tokens that ended, and says how many.
    ///
    /// # Errors
    /// The database fails.
    pub async fn delete_ended_access_tokens(&mut self, now: u64) -> Result<u64, StoreError> {
        self.execute("DELETE FROM access_tokens WHERE expires_at <= $1", values![&now])
            .await
    }
}
