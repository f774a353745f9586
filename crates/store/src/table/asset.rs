//! Assets as the indexer saw them on the chain, and their lineage.

use posthuman_types::api::AssetKind;
use posthuman_types::{Address, B256, Did, Digest};

use crate::row::{row, values};
use crate::{Connection, StoreError, Transaction};

/// No line of models is longer; a circle of parents, which only a forged DDO can make, ends there too.
const LONGEST_LINE: u64 = 1_000;

row! {
    /// An asset.
    pub struct AssetRow in "assets" {
        /// Its DID.
        pub did: Did,
        /// Chain id.
        pub chain_id: u64,
        /// Its data NFT.
        pub nft: Address,
        /// Its datatoken.
        pub datatoken: Address,
        /// Id of the fixed-rate exchange that was opened at its birth.
        pub exchange: Option<B256>,
        /// What kind of asset it is.
        pub kind: AssetKind,
        /// Its name.
        pub name: String,
        /// What it is, for people.
        pub description: String,
        /// Who made it, for people.
        pub author: String,
        /// Words to find it by.
        pub tags: Vec<String>,
        /// State of its metadata in the data NFT: 0 is active.
        pub state: u64,
        /// The model it was trained from.
        pub parent: Option<Did>,
        /// Root of the commitment to its weights.
        pub commitment_root: Option<Digest>,
        /// Who trained or imported it.
        pub trainer: Option<Address>,
        /// When its metadata was first written, in seconds since 1970 (Unix time), by the chain's clock.
        pub created_at: u64,
        /// When its metadata was last written.
        pub updated_at: u64,
        /// Block of the newest metadata event.
        pub block_number: u64,
        /// Transaction of that event.
        pub transaction_hash: B256,
        /// The whole DDO as JSON text.
        pub ddo: String,
    }
}

impl Connection {
    /// The asset of a DID.
    ///
    /// # Errors
    /// The database fails.
    pub async fn asset(&mut self, did: &Did) -> Result<Option<AssetRow>, StoreError> {
        self.select_one("WHERE did = $1", values![did]).await
    }

    /// The asset of a data NFT.
    ///
    /// # Errors
    /// The database fails.
    pub async fn asset_of_nft(
        &mut self,
        chain_id: u64,
        nft: Address,
    ) -> Result<Option<AssetRow>, StoreError> {
        self.select_one("WHERE chain_id = $1 AND nft = $2", values![&chain_id, &nft])
            .await
    }

    /// The asset whose service sells for a datatoken.
    ///
    /// # Errors
    /// The database fails.
    pub async fn asset_of_datatoken(
        &mut self,
        chain_id: u64,
        token: Address,
    ) -> Result<Option<AssetRow>, StoreError> {
        self.select_one(
            "WHERE chain_id = $1 AND datatoken = $2",
            values![&chain_id, &token],
        )
        .await
    }

    /// Assets of one kind, oldest first.
    ///
    /// # Errors
    /// The database fails.
    pub async fn assets_of_kind(&mut self, kind: AssetKind) -> Result<Vec<AssetRow>, StoreError> {
        self.select("WHERE kind = $1 ORDER BY created_at, did", values![&kind])
            .await
    }

    /// Models that were trained from this one, oldest first.
    ///
    /// # Errors
    /// The database fails.
    pub async fn children(&mut self, did: &Did) -> Result<Vec<AssetRow>, StoreError> {
        self.select("WHERE parent = $1 ORDER BY created_at, did", values![did])
            .await
    }

    /// The asset, its parent, its parent's parent and so on; empty where there is no such asset.
    ///
    /// The walk ends at the first parent that the index does not hold, and after 1,000 steps.
    ///
    /// # Errors
    /// The database fails.
    pub async fn lineage(&mut self, did: &Did) -> Result<Vec<AssetRow>, StoreError> {
        let tail = "JOIN (
                WITH RECURSIVE line (did, parent, generation) AS (
                    SELECT did, parent, 0 FROM assets WHERE did = $1
                    UNION ALL
                    SELECT next.did, next.parent, line.generation + 1
                    FROM line JOIN assets next ON next.did = line.parent WHERE line.generation < $2 - 1
                )
                SELECT did AS member, generation FROM line
            ) ON member = assets.did ORDER BY generation";
        self.select(tail, values![did, &LONGEST_LINE]).await
    }
}

impl Transaction {
    /// Writes an asset, over an older version of it if there is one, and indexes its words.
    ///
    /// # Errors
    /// The data NFT belongs to another asset, or the database fails.
    pub async fn put_asset(&mut self, asset: &AssetRow) -> Result<(), StoreError> {
        self.upsert(asset, "did").await?;
        self.index_words(asset).await
    }
}
