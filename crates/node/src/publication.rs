//! The birth of a model on the chain: collector, data NFT and datatoken, mint, lineage, metadata.
//!
//! Each step is a transaction of the outbox under a key of this birth, so the whole can be run again after a crash at
//! any line and goes on where it stopped. The rule of rewards stands in `docs/rewards.md`.

use std::collections::BTreeMap;

use posthuman_assets::{
    ArchitectureFacts, FileObject, FilesObject, Lineage, LineageRecord, Listing, ModelFacts, Origin, Parent,
    Published as Metadata, lineage, model_ddo, seal_files,
};
use posthuman_chain::{
    AssetState, Collector, DatatokenSpec, FixedRateSpec, MarketFee, NftSpec, ParentAtBirth, Published,
    Receipt, Splitter, birth_mint, collector_shares,
};
use posthuman_jobs::break_point::break_point;
use posthuman_types::{Address, Amount, Commitment, Did, Digest, JobId, ObjectId, Publication, U256};

use crate::error::{NodeError, OrFault};
use crate::node::Node;

const DATATOKEN_DECIMALS: u8 = 18;

/// Everything that decides how a model is born.
pub(crate) struct Birth {
    /// Names this birth among the outbox's keys: `publish:JOB` or `import:DIGEST`.
    pub key: String,
    /// What the trainer asked for.
    pub publication: Publication,
    /// Who trained or imported it.
    pub trainer: Address,
    /// Its shape.
    pub architecture: ArchitectureFacts,
    /// Commitment to its weights.
    pub commitment: Commitment,
    /// Digest of its tokenizer.
    pub tokenizer: Digest,
    /// Name and version of the numerics it was made with.
    pub engine: String,
    /// What its own children will owe.
    pub parent_share_bps: u16,
    /// The model it was trained from.
    pub parent: Option<ParentModel>,
    /// What made it.
    pub making: Making,
    /// Its sealed weights.
    pub object: ObjectId,
    /// When it was made.
    pub at: u64,
}

/// What made a model.
pub(crate) enum Making {
    /// A training on this node.
    Trained { job: JobId, receipt: Digest },
    /// An import, by the digests of its configuration and of its files.
    Imported { config: Digest, source: Digest },
}

/// What a birth needs to know of the parent.
pub(crate) struct ParentModel {
    pub did: Did,
    pub nft: Address,
    pub facts: ModelFacts,
}

impl Node {
    /// Puts a model on the market. Run again for the same birth it completes what is missing.
    pub(crate) async fn bear(&self, birth: &Birth) -> Result<Did, NodeError> {
        let collector = self.make_collector(birth).await?;
        break_point("publish.collector");
        let published = self.make_tokens(birth, collector).await?;
        break_point("publish.exchange");
        let mint = self.mint(birth, &published).await?;
        self.outbox
            .execute(
                &format!("{}:remove_minter", birth.key),
                self.chain
                    .datatoken(published.datatoken)
                    .remove_minter(self.wallet()),
            )
            .await?;
        break_point("publish.minter");
        let origin = self.origin_of(birth, published.nft).await?;
        let facts = self.facts(birth, &published, collector, mint, origin);
        self.store_lineage(birth, &published, &facts).await?;
        break_point("publish.lineage");
        let receipt = self.write_metadata(birth, &published, facts).await?;
        break_point("publish.metadata");
        self.index_receipt(&receipt).await?;
        Ok(posthuman_assets::did_for(published.nft, self.chain.id()))
    }

    /// The payment collector: the trainer, the parent's collector, or a Splitter whose shares nobody can change.
    async fn make_collector(&self, birth: &Birth) -> Result<Address, NodeError> {
        let parent = match &birth.parent {
            Some(parent) => Some(self.parent_at_birth(birth, parent).await?),
            None => None,
        };
        let payees = match collector_shares(parent, birth.trainer) {
            Collector::Existing(address) => return Ok(address),
            Collector::Splitter(payees) => payees,
        };
        let payees: Vec<_> = payees
            .into_iter()
            .map(|(payee, share)| (payee, U256::from(share)))
            .collect();
        let receipt = self
            .outbox
            .execute(
                &format!("{}:splitter", birth.key),
                Splitter::deploy(&self.options.splitter, &payees),
            )
            .await?;
        break_point("publish.splitter");
        let splitter = Splitter::deployed(&receipt)?;
        self.outbox
            .execute(
                &format!("{}:renounce", birth.key),
                self.chain.splitter(splitter).renounce(),
            )
            .await?;
        Ok(splitter)
    }

    /// The parent's collector as it is now, which is as it was at the parent's birth unless somebody meddled.
    async fn parent_at_birth(&self, birth: &Birth, parent: &ParentModel) -> Result<ParentAtBirth, NodeError> {
        let recorded = parent.facts.collector;
        let now = self.parent_collector(parent.nft).await?;
        if now != recorded {
            tracing::warn!(birth = birth.key, parent = %parent.did, %recorded, %now, "the parent's collector was changed; the recorded one is paid");
        }
        Ok(ParentAtBirth {
            share_bps: parent.facts.parent_share_bps,
            trainer: parent.facts.lineage.trainer,
            collector: recorded,
        })
    }

    async fn parent_collector(&self, nft: Address) -> Result<Address, NodeError> {
        let datatokens = self.chain.nft(nft).datatokens().await?;
        let datatoken = datatokens
            .first()
            .ok_or_else(|| NodeError::bug("reading the datatoken of a parent"))?;
        Ok(self.chain.datatoken(*datatoken).payment_collector().await?)
    }

    /// Data NFT and datatoken; for a root of a line also the exchange that sells it.
    async fn make_tokens(&self, birth: &Birth, collector: Address) -> Result<Published, NodeError> {
        let nft = NftSpec {
            name: birth.publication.name.clone(),
            symbol: "PHM".to_owned(),
            token_uri: String::new(),
            // A transfer would reset the payment collector, so there is none.
            transferable: false,
            owner: self.wallet(),
        };
        let datatoken = DatatokenSpec {
            name: format!("Access to {}", birth.publication.name),
            symbol: "PHM-DT".to_owned(),
            minter: self.wallet(),
            payment_collector: collector,
            market_fee: MarketFee::NONE,
        };
        let call = match birth.publication.price {
            Some(price) if birth.parent.is_none() => {
                self.chain
                    .publish_with_fixed_rate(&nft, &datatoken, &self.sale_that_mints(price))
            }
            _ => self.chain.publish(&nft, &datatoken),
        };
        let receipt = self
            .outbox
            .execute(&format!("{}:create", birth.key), call)
            .await?;
        Ok(self.chain.published(&receipt)?)
    }

    /// The exchange of a root: it mints what it sells; the proceeds go to the payment collector.
    pub(crate) fn sale_that_mints(&self, price: Amount) -> FixedRateSpec {
        FixedRateSpec {
            base_token: self.chain.address_book().ocean,
            base_decimals: DATATOKEN_DECIMALS,
            owner: self.wallet(),
            rate: price.0,
            market_fee: U256::ZERO,
            market_fee_collector: self.wallet(),
            allowed_swapper: Address::ZERO,
            with_mint: true,
        }
    }

    async fn mint(&self, birth: &Birth, published: &Published) -> Result<Vec<(Address, U256)>, NodeError> {
        let parent = birth.parent.as_ref();
        let holders: Option<Vec<_>> = parent.map(|parent| {
            parent
                .facts
                .initial_supply
                .iter()
                .map(|(holder, amount)| (*holder, amount.0))
                .collect()
        });
        let mint = birth_mint(
            self.options.market.birth_supply.0,
            parent.map_or(0, |parent| parent.facts.parent_share_bps),
            holders.as_deref(),
            parent.map(|parent| parent.facts.lineage.trainer),
            birth.trainer,
        );
        let datatoken = self.chain.datatoken(published.datatoken);
        for (index, (holder, amount)) in mint.iter().enumerate() {
            let key = format!("{}:mint:{index}", birth.key);
            self.outbox
                .execute(&key, datatoken.mint(*holder, *amount))
                .await?;
            break_point("publish.mint");
        }
        Ok(mint)
    }

    async fn origin_of(&self, birth: &Birth, nft: Address) -> Result<Origin, NodeError> {
        match birth.making {
            Making::Trained { job, receipt } => Ok(Origin::Trained { job, receipt }),
            Making::Imported { config, source } => self.state_publication(birth, nft, (config, source)).await,
        }
    }

    fn facts(
        &self,
        birth: &Birth,
        published: &Published,
        collector: Address,
        mint: Vec<(Address, U256)>,
        origin: Origin,
    ) -> ModelFacts {
        let initial_supply: BTreeMap<_, _> = mint
            .into_iter()
            .map(|(holder, amount)| (holder, Amount(amount)))
            .collect();
        ModelFacts {
            architecture: birth.architecture.clone(),
            commitment: birth.commitment.clone(),
            tokenizer: birth.tokenizer,
            engine: birth.engine.clone(),
            allowances: self.options.market.allowances,
            parent_share_bps: birth.parent_share_bps,
            lineage: self.lineage_of(birth, published.nft, origin),
            initial_supply,
            collector,
            exchange: published.exchange,
            baseline: None,
        }
    }

    fn lineage_of(&self, birth: &Birth, nft: Address, origin: Origin) -> Lineage {
        let parent = birth.parent.as_ref();
        Lineage {
            root: match parent {
                Some(parent) => parent.facts.lineage.root.clone(),
                None => posthuman_assets::did_for(nft, self.chain.id()),
            },
            generation: parent.map_or(0, |parent| parent.facts.lineage.generation + 1),
            parent: parent.map(|parent| Parent {
                did: parent.did.clone(),
                nft: parent.nft,
                commitment: parent.facts.commitment.clone(),
            }),
            trainer: birth.trainer,
            origin,
        }
    }

    /// Lineage in the data NFT's own store, so that the chain alone shows it, and the node's identity.
    async fn store_lineage(
        &self,
        birth: &Birth,
        published: &Published,
        facts: &ModelFacts,
    ) -> Result<(), NodeError> {
        let record = LineageRecord {
            commitment: facts.commitment.clone(),
            parent_share_bps: facts.parent_share_bps,
            collector: facts.collector,
            lineage: facts.lineage.clone(),
        };
        let nft = self.chain.nft(published.nft);
        let value = record.encode();
        self.outbox
            .execute(
                &format!("{}:lineage", birth.key),
                nft.set_data(lineage::LINEAGE, value),
            )
            .await?;
        let identity = posthuman_assets::encode_address(self.identity.nft);
        self.outbox
            .execute(
                &format!("{}:node", birth.key),
                nft.set_data(lineage::NODE, identity),
            )
            .await?;
        let commitment = posthuman_assets::encode_commitment(&facts.commitment);
        let call = nft.set_data(lineage::COMMITMENT, commitment);
        self.outbox
            .execute(&format!("{}:commitment", birth.key), call)
            .await?;
        if let Origin::Imported { publication } = &facts.lineage.origin {
            let digest = posthuman_assets::encode_digest(*publication);
            let call = nft.set_data(lineage::PUBLICATION, digest);
            self.outbox
                .execute(&format!("{}:publication", birth.key), call)
                .await?;
        }
        Ok(())
    }

    async fn write_metadata(
        &self,
        birth: &Birth,
        published: &Published,
        facts: ModelFacts,
    ) -> Result<Receipt, NodeError> {
        let file = FileObject::Vault {
            object: birth.object,
            commitment: birth.commitment.clone(),
        };
        let files = FilesObject {
            nft: published.nft,
            datatoken: published.datatoken,
            files: vec![file],
        };
        let publication = &birth.publication;
        let listing = Listing {
            name: publication.name.clone(),
            description: publication.description.clone(),
            author: publication.author.clone(),
            license: publication.license.clone(),
            tags: vec!["language-model".to_owned(), facts.architecture.family.clone()],
            ..self.listing(
                published,
                seal_files(&self.documents_key, &files).or_fault("sealing a files object")?,
                birth.at,
            )
        };
        let ddo = model_ddo(listing, facts, &self.identity.trusted).or_fault("writing the DDO of a model")?;
        self.publish_metadata(
            &format!("{}:metadata", birth.key),
            published.nft,
            &Metadata::plain(&ddo),
        )
        .await
    }

    /// What all of the node's assets have in common.
    pub(crate) fn listing(&self, published: &Published, files: String, at: u64) -> Listing {
        Listing {
            chain_id: self.chain.id(),
            nft: published.nft,
            datatoken: published.datatoken,
            endpoint: self.public_url.clone(),
            files,
            timeout: 0,
            created: at,
            updated: at,
            name: String::new(),
            description: String::new(),
            author: "Posthuman node".to_owned(),
            license: "Apache-2.0".to_owned(),
            tags: Vec::new(),
        }
    }

    pub(crate) async fn publish_metadata(
        &self,
        key: &str,
        nft: Address,
        published: &Metadata,
    ) -> Result<Receipt, NodeError> {
        let metadata = posthuman_chain::Metadata {
            state: AssetState::Active,
            decryptor_url: self.public_url.clone(),
            decryptor_address: self.wallet().to_string(),
            flags: published.flags.clone(),
            data: published.data.clone(),
            hash: published.hash,
        };
        self.outbox
            .execute(key, self.chain.nft(nft).set_metadata(&metadata))
            .await
    }
}
