//! Signing in: one signature of the next nonce, answered by a token that stands for the address for a while.
//!
//! The token is 32 random bytes; the database keeps only its SHA-256, so that a stolen database signs nobody in.

use alloy_primitives::{eip191_hash_message, hex};
use posthuman_store::{AccessTokenRow, Store, StoreError};
use posthuman_types::api::{AccessToken, NextNonce, SignIn};
use posthuman_types::{Address, B256};
use sha2::{Digest as _, Sha256};

use crate::Node;
use crate::error::{ErrorCode, NodeError};

/// Length of a token before it is written in hexadecimal digits.
const TOKEN_BYTES: usize = 32;

impl Node {
    /// The nonce that an address signs next.
    ///
    /// # Errors
    /// The database fails.
    pub async fn next_nonce(&self, address: Address) -> Result<NextNonce, NodeError> {
        let last = self.store.read().await?.last_nonce(address).await?;
        Ok(NextNonce { nonce: last + 1 })
    }

    /// Gives a token for a signed nonce, and uses the nonce up. A signature that does not count uses up nothing.
    ///
    /// # Errors
    /// `bad_signature`, `nonce_replayed`; the database or, for a contract wallet, the chain fails.
    pub async fn sign_in(&self, sign_in: SignIn) -> Result<AccessToken, NodeError> {
        let info = self.info();
        let message = SignIn::message(info.wallet, info.chain_id, sign_in.address, sign_in.nonce);
        self.check_signature(sign_in.address, eip191_hash_message(message), &sign_in.signature)
            .await?;
        let expires_in = self.options.market.access_token_seconds;
        give_token(
            &self.store,
            sign_in.address,
            sign_in.nonce,
            self.clock.now_seconds(),
            expires_in,
        )
        .await
    }

    /// The address that a token stands for.
    ///
    /// # Errors
    /// `unauthorized` for an unknown or ended token; the database fails.
    pub async fn authenticate(&self, token: &str) -> Result<Address, NodeError> {
        address_of(&self.store, token, self.clock.now_seconds()).await
    }

    /// Checks that `address` signed `hash`, with its own key or as a contract wallet (ERC-1271).
    ///
    /// `hash` is the final hash: for `personal_sign` the one of EIP-191.
    ///
    /// # Errors
    /// `bad_signature`; where the address did not sign with its key, the chain fails.
    pub async fn check_signature(
        &self,
        address: Address,
        hash: B256,
        signature: &[u8],
    ) -> Result<(), NodeError> {
        let recovered = posthuman_proofs::recover_signer(hash, signature).ok();
        if recovered == Some(address) {
            return Ok(());
        }
        let accepted = self.chain.is_contract(address).await?
            && self.chain.is_valid_signature(address, hash, signature).await?;
        if accepted {
            Ok(())
        } else {
            Err(bad_signature(address, recovered))
        }
    }
}

fn bad_signature(address: Address, recovered: Option<Address>) -> NodeError {
    let found = match recovered {
        Some(other) => format!("The signature over this request is by {other}"),
        None => "The bytes are not a signature of 65 bytes".to_owned(),
    };
    let remedy = ErrorCode::BadSignature.row().remedy;
    NodeError::rejected(
        ErrorCode::BadSignature,
        format!("{found}, not by {address}. {remedy}"),
    )
}

async fn give_token(
    store: &Store,
    address: Address,
    nonce: u64,
    now: u64,
    expires_in: u64,
) -> Result<AccessToken, NodeError> {
    let token = hex::encode(rand::random::<[u8; TOKEN_BYTES]>());
    let expires_at = now.saturating_add(expires_in);
    let mut transaction = store.begin().await?;
    transaction.use_nonce(address, nonce).await.map_err(of_nonce)?;
    transaction.delete_ended_access_tokens(now).await?;
    transaction
        .insert_access_token(&AccessTokenRow {
            digest: digest_of(&token),
            address,
            created_at: now,
            expires_at,
        })
        .await?;
    transaction.commit().await?;
    Ok(AccessToken {
        token,
        address,
        expires_at,
    })
}

async fn address_of(store: &Store, token: &str, now: u64) -> Result<Address, NodeError> {
    let row = store.read().await?.access_token(digest_of(token), now).await?;
    row.map(|row| row.address).ok_or_else(|| {
        let remedy = ErrorCode::Unauthorized.row().remedy;
        NodeError::rejected(
            ErrorCode::Unauthorized,
            format!("The access token is unknown here or has ended. {remedy}"),
        )
    })
}

/// What a nonce that was used before, or can never be stored, tells the caller.
pub(crate) fn of_nonce(error: StoreError) -> NodeError {
    match error {
        StoreError::NonceReplayed { address, nonce, next } => NodeError::rejected(
            ErrorCode::NonceReplayed,
            format!(
                "Nonce {nonce} of {address} was used before or is too low. Sign again with nonce {next} or larger."
            ),
        ),
        StoreError::NumberTooLarge { value } => NodeError::rejected(
            ErrorCode::BodyInvalid,
            format!(
                "Nonce {value} is too large. Ask `GET /api/v1/nonces/{{address}}` for the next one and sign it."
            ),
        ),
        other => other.into(),
    }
}

fn digest_of(token: &str) -> B256 {
    B256::from_slice(&Sha256::digest(token.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: Address = Address::repeat_byte(0xa1);

    async fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("node.sqlite")).await.unwrap();
        (folder, store)
    }

    #[tokio::test]
    async fn a_token_stands_for_its_address_until_it_ends() {
        let (_folder, store) = store().await;
        let token = give_token(&store, ALICE, 1, 100, 50).await.unwrap();
        assert_eq!(
            (token.address, token.expires_at, token.token.len()),
            (ALICE, 150, 64)
        );
        assert_eq!(address_of(&store, &token.token, 149).await.unwrap(), ALICE);
        for (token, now) in [(token.token.as_str(), 150), ("", 100), ("0", 100)] {
            let error = address_of(&store, token, now).await.unwrap_err();
            assert_eq!(error.code(), "unauthorized");
            assert!(error.message().contains("POST /api/v1/sign-in"));
        }
    }

    #[tokio::test]
    async fn a_nonce_signs_in_once() {
        let (_folder, store) = store().await;
        give_token(&store, ALICE, 5, 100, 50).await.unwrap();
        for nonce in [5, 4, 0] {
            let error = give_token(&store, ALICE, nonce, 100, 50).await.unwrap_err();
            assert_eq!(error.code(), "nonce_replayed");
            assert!(
                error.message().contains("nonce 6 or larger"),
                "{}",
                error.message()
            );
        }
        let error = give_token(&store, ALICE, u64::MAX, 100, 50).await.unwrap_err();
        assert_eq!(error.code(), "body_invalid");
        give_token(&store, ALICE, 6, 100, 50).await.unwrap();
    }

    #[tokio::test]
    async fn the_database_does_not_hold_the_token() {
        let (_folder, store) = store().await;
        let token = give_token(&store, ALICE, 1, 100, 50).await.unwrap();
        let digest = digest_of(&token.token);
        let row = store
            .read()
            .await
            .unwrap()
            .access_token(digest, 100)
            .await
            .unwrap()
            .unwrap();
        assert!(!format!("{row:?}").contains(&token.token));
    }
}
