//! What a node publishes at its first start: the blank model, which is also its identity, and the typed operations.
//!
//! Every transaction goes through the outbox under a fixed key, so later starts find everything done.

use posthuman_assets::{
    BlankFacts, FileObject, FilesObject, OperationFacts, Published as Metadata, TrustedOperation, blank_ddo,
    lineage, operation_ddo, seal_files,
};
use posthuman_chain::bindings::INft;
use posthuman_chain::{DatatokenSpec, MarketFee, NftSpec, Published, Wallet};
use posthuman_jobs::break_point::break_point;
use posthuman_store::{TransactionRow, TransactionState};
use posthuman_types::{Address, Did, Operation};

use crate::error::{NodeError, OrFault};
use crate::node::Node;

/// The node's own assets.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// The data NFT in whose store the receipt signer is registered: the blank model's.
    pub nft: Address,
    /// The blank model.
    pub blank: Did,
    /// The operations in the order of their service indices.
    pub operations: [Did; 3],
    /// What model services trust, in the same order.
    pub trusted: [TrustedOperation; 3],
}

impl Identity {
    /// Before the first start is done nothing is known.
    pub(crate) fn unknown() -> Self {
        let none = || posthuman_assets::did_for(Address::ZERO, 0);
        let trust = |operation| {
            TrustedOperation::of(
                none(),
                &OperationFacts {
                    operation,
                    engine: String::new(),
                },
            )
        };
        Self {
            nft: Address::ZERO,
            blank: none(),
            operations: [none(), none(), none()],
            trusted: Operation::ALL.map(trust),
        }
    }
}

/// How the outbox names the registrations of receipt signers.
const SIGNER_PREFIX: &str = "bootstrap:signer:";

impl Node {
    /// Publishes what is missing of the node's own assets.
    pub(crate) async fn bootstrap(&self) -> Result<Identity, NodeError> {
        let mut operations = Vec::new();
        let mut trusted = Vec::new();
        for operation in Operation::ALL {
            let (did, trust) = self.publish_operation(operation).await?;
            break_point("bootstrap.operation");
            operations.push(did);
            trusted.push(trust);
        }
        let train = trusted
            .first()
            .cloned()
            .ok_or_else(|| NodeError::bug("publishing the operations"))?;
        let (nft, blank) = self.publish_blank(&train).await?;
        let arrays = |_| NodeError::bug("publishing the operations");
        Ok(Identity {
            nft,
            blank,
            operations: operations.try_into().map_err(arrays)?,
            trusted: trusted
                .try_into()
                .map_err(|_| NodeError::bug("publishing the operations"))?,
        })
    }

    async fn publish_operation(&self, operation: Operation) -> Result<(Did, TrustedOperation), NodeError> {
        let key = format!("bootstrap:{operation}");
        let name = format!("Posthuman operation: {operation}");
        let (nft, datatoken) = self.own_tokens(&name, "PHO");
        let receipt = self
            .outbox
            .execute(&format!("{key}:create"), self.chain.publish(&nft, &datatoken))
            .await?;
        let published = self.chain.published(&receipt)?;
        let did = posthuman_assets::did_for(published.nft, self.chain.id());
        let facts = OperationFacts {
            operation,
            engine: self.engine_version.clone(),
        };
        let metadata_key = format!("{key}:metadata");
        if !self.outbox.has(&metadata_key).await? {
            let mut listing = self.listing(
                &published,
                self.engine_files(&published, operation)?,
                self.block_time(&published).await?,
            );
            listing.name = name;
            listing.description = describe(operation).to_owned();
            listing.tags = vec!["operation".to_owned(), operation.to_string()];
            let ddo = operation_ddo(listing, facts.clone()).or_fault("writing the DDO of an operation")?;
            let receipt = self
                .publish_metadata(&metadata_key, published.nft, &Metadata::plain(&ddo))
                .await?;
            self.index_receipt(&receipt).await?;
        }
        Ok((did.clone(), TrustedOperation::of(did, &facts)))
    }

    async fn publish_blank(&self, train: &TrustedOperation) -> Result<(Address, Did), NodeError> {
        let (nft, datatoken) = self.own_tokens("Blank model", "PHB");
        let sale = self.sale_that_mints(self.options.market.blank_price);
        let call = self.chain.publish_with_fixed_rate(&nft, &datatoken, &sale);
        let receipt = self.outbox.execute("bootstrap:blank:create", call).await?;
        let published = self.chain.published(&receipt)?;
        let store = self.chain.nft(published.nft);
        self.register_signer(&store).await?;
        let identity = posthuman_assets::encode_address(published.nft);
        self.outbox
            .execute("bootstrap:blank:node", store.set_data(lineage::NODE, identity))
            .await?;
        break_point("bootstrap.blank");
        if !self.outbox.has("bootstrap:blank:metadata").await? {
            let files = self.engine_files(&published, Operation::Train)?;
            let mut listing = self.listing(&published, files, self.block_time(&published).await?);
            listing.name = "Blank model".to_owned();
            listing.description =
                "No weights: an order on its training service makes a model of your own from scratch, \
                                   with a tokenizer trained on your text."
                    .to_owned();
            listing.tags = vec!["blank".to_owned()];
            let facts = BlankFacts {
                engine: self.engine_version.clone(),
                allowances: self.options.market.allowances,
                exchange: published.exchange,
            };
            let ddo = blank_ddo(listing, facts, train).or_fault("writing the DDO of the blank model")?;
            let receipt = self
                .publish_metadata("bootstrap:blank:metadata", published.nft, &Metadata::plain(&ddo))
                .await?;
            self.index_receipt(&receipt).await?;
        }
        Ok((
            published.nft,
            posthuman_assets::did_for(published.nft, self.chain.id()),
        ))
    }

    /// Registers the receipt signer, unless it is the one registered last. Earlier registrations are complete by now,
    /// so their number makes a new key, also where an older signer comes back.
    async fn register_signer(&self, store: &posthuman_chain::Nft) -> Result<(), NodeError> {
        let signer = posthuman_assets::encode_address(self.options.receipt_signer.address());
        if store.data(lineage::RECEIPT_SIGNER).await? == signer {
            return Ok(());
        }
        let earlier = self
            .store
            .read()
            .await?
            .transactions_under(SIGNER_PREFIX)
            .await?
            .len();
        self.outbox
            .execute(
                &format!("{SIGNER_PREFIX}{earlier}"),
                store.set_data(lineage::RECEIPT_SIGNER, signer),
            )
            .await?;
        Ok(())
    }

    /// The key that signs the receipt of an order from that block: the one that was registered then, by which
    /// `posthuman verify` measures it; today's, if that one is not held any more.
    pub(crate) async fn receipt_signer_at(&self, block: u64) -> Result<&Wallet, NodeError> {
        let today = &self.options.receipt_signer;
        let mut registrations = self.store.read().await?.transactions_under(SIGNER_PREFIX).await?;
        registrations.retain(|row| row.state == TransactionState::Mined);
        let Some(then) = registered_before_the_last(&registrations, block) else {
            return Ok(today);
        };
        let missing = || NodeError::bug("reading the registration of a receipt signer");
        let receipt = self.chain.receipt(then.hash).await?.ok_or_else(missing)?;
        let registered = receipt.event::<INft::DataChanged>(self.identity.nft)?.value;
        let registered = posthuman_assets::decode_address(lineage::RECEIPT_SIGNER, &registered)
            .or_fault("reading the registration of a receipt signer")?;
        let mut held = self.options.former_receipt_signers.iter().chain([today]);
        Ok(held.find(|key| key.address() == registered).unwrap_or_else(|| {
            tracing::warn!(
                block,
                %registered,
                "the receipt signer of that block is not held, so `posthuman verify` will not accept the receipt; \
                 start the node with --former-receipt-signer"
            );
            today
        }))
    }

    fn own_tokens(&self, name: &str, symbol: &str) -> (NftSpec, DatatokenSpec) {
        let nft = NftSpec {
            name: name.to_owned(),
            symbol: symbol.to_owned(),
            token_uri: String::new(),
            transferable: false,
            owner: self.wallet(),
        };
        let datatoken = DatatokenSpec {
            name: format!("Access to {name}"),
            symbol: format!("{symbol}-DT"),
            minter: self.wallet(),
            payment_collector: self.wallet(),
            market_fee: MarketFee::NONE,
        };
        (nft, datatoken)
    }

    fn engine_files(&self, published: &Published, operation: Operation) -> Result<String, NodeError> {
        let file = FileObject::Engine {
            operation,
            engine: self.engine_version.clone(),
        };
        let files = FilesObject {
            nft: published.nft,
            datatoken: published.datatoken,
            files: vec![file],
        };
        seal_files(&self.documents_key, &files).or_fault("sealing a files object")
    }

    async fn block_time(&self, published: &Published) -> Result<u64, NodeError> {
        let time = self.chain.block_timestamp(published.block_number).await?;
        time.ok_or_else(|| NodeError::bug("reading the time of a block"))
    }
}

/// The registration that held at a block, unless it is the last one, which holds today.
fn registered_before_the_last(registrations: &[TransactionRow], block: u64) -> Option<&TransactionRow> {
    registrations.windows(2).find_map(|pair| match pair {
        [then, next] if next.block_number > Some(block) => Some(then),
        _ => None,
    })
}

fn describe(operation: Operation) -> &'static str {
    match operation {
        Operation::Train => "Trains a model further on a text, or a new one from scratch, inside the node.",
        Operation::Infer => "Continues a prompt with a model inside the node.",
        Operation::Evaluate => {
            "Scores a text with a model inside the node: loss, perplexity, bits per byte, accuracy."
        }
    }
}

#[cfg(test)]
mod tests {
    use posthuman_types::{B256, Bytes};

    use super::*;

    #[test]
    fn a_signer_holds_from_its_registration_to_the_next() {
        let registered = |block: u64| TransactionRow {
            key: format!("{SIGNER_PREFIX}{block}"),
            label: String::new(),
            chain_id: 1,
            sender: Address::ZERO,
            nonce: block,
            hash: B256::ZERO,
            raw: Bytes::new(),
            state: TransactionState::Mined,
            block_number: Some(block),
            error: None,
            created_at: 0,
            updated_at: 0,
        };
        let rows = [5, 10, 20].map(registered);
        let at = |block| registered_before_the_last(&rows, block).and_then(|row| row.block_number);
        let held = [7, 9, 10, 19, 20, 30].map(at);
        assert_eq!(held, [Some(5), Some(5), Some(10), Some(10), None, None]);
        assert!(registered_before_the_last(&rows[..1], 7).is_none());
        assert!(registered_before_the_last(&[], 7).is_none());
    }
}
