//! What a node says, compared with the chain, before anything is paid.

use posthuman_assets::{decode_address, decode_commitment, did_for};
use posthuman_chain::{Chain, provider_fee_signer};
use posthuman_types::api::{Asset, AssetKind, Quote};
use posthuman_types::order::QuoteBinding;
use posthuman_types::{Did, InputManifest, Operation};

use super::Market;
use crate::MarketError;

impl Market {
    /// The node's identity: chain, contracts, and the data NFT that names its receipt signer and belongs to its wallet.
    pub(super) async fn check_node(&self) -> Result<(), MarketError> {
        let (info, book) = (&self.info, self.chain.address_book());
        same("the node's chain id", info.chain_id, self.chain.id())?;
        same("the node's factory", info.contracts.factory, book.nft_factory)?;
        same("the node's router", info.contracts.router, book.router)?;
        same("the node's exchange", info.contracts.exchange, book.fixed_price)?;
        same("the node's base token", info.base_token, book.ocean)?;
        if let Some(resale) = book.fixed_price_resale {
            same(
                "the node's resale exchange",
                info.contracts.resale_exchange,
                resale,
            )?;
        }
        let identity = self.chain.nft(info.identity_nft);
        same("the node's wallet", info.wallet, identity.owner().await?)?;
        let signer = identity.data_at(posthuman_assets::receipt_signer_key()).await?;
        let signer = decode_address("posthuman.receipt_signer", &signer)
            .map_err(|error| untrue("the node's receipt signer", error.to_string()))?;
        same("the node's receipt signer", info.receipt_signer, signer)
    }

    /// An asset's contracts, and for a model its node and commitment.
    pub(super) async fn check_asset(&self, did: &Did, asset: &Asset) -> Result<(), MarketError> {
        check_contracts(&self.chain, did, asset).await?;
        let nft = self.chain.nft(asset.nft);
        if asset.kind != AssetKind::Model {
            return Ok(());
        }
        same("the model's owner", nft.owner().await?, self.info.wallet)?;
        let node = nft.data_at(posthuman_assets::node_key()).await?;
        let node = decode_address("posthuman.node", &node)
            .map_err(|error| untrue("the model's node", error.to_string()))?;
        same("the model's node", self.info.identity_nft, node)?;
        let commitment = nft.data_at(posthuman_assets::commitment_key()).await?;
        let commitment = decode_commitment(&commitment)
            .map_err(|error| untrue("the model's commitment", error.to_string()))?;
        if asset.commitment.as_ref() != Some(&commitment) {
            let told = asset
                .commitment
                .as_ref()
                .map_or_else(|| "none".to_owned(), |told| told.root.to_string());
            return Err(untrue(
                "the model's commitment",
                format!("the node says {told}, the chain {}", commitment.root),
            ));
        }
        Ok(())
    }

    /// A quote: for this asset, operation and input, and signed by the node for this user.
    pub(super) fn check_quote(
        &self,
        asset: &Asset,
        operation: Operation,
        inputs: &InputManifest,
        quote: &Quote,
    ) -> Result<(), MarketError> {
        same("the quote's asset", &quote.did, &asset.did)?;
        same("the quote's operation", quote.operation, operation)?;
        same("the quote's datatoken", quote.datatoken, asset.datatoken)?;
        same(
            "the quote's service",
            quote.service_index,
            operation.service_index(),
        )?;
        if quote.inputs != *inputs {
            return Err(untrue(
                "the quote's inputs",
                "the node has other bytes than were sent".to_owned(),
            ));
        }
        same("the quote's input digest", quote.input, inputs.digest())?;
        let fee = &quote.provider_fee;
        same("the fee's receiver", fee.address, self.info.wallet)?;
        same("the fee's token", fee.token, self.info.base_token)?;
        let expected = QuoteBinding {
            quote: quote.id,
            consumer: self.address(),
            datatoken: asset.datatoken,
            operation,
            chain_id: self.chain.id(),
        };
        if QuoteBinding::decode(&fee.provider_data).as_ref() != Some(&expected) {
            return Err(untrue(
                "the fee's binding",
                "it is for another quote, user, datatoken, service or chain".to_owned(),
            ));
        }
        if provider_fee_signer(fee) != Some(self.info.wallet) {
            return Err(untrue(
                "the fee's signature",
                format!("it is not by the node's wallet {}", self.info.wallet),
            ));
        }
        Ok(())
    }
}

/// An asset's DID, which its data NFT makes, and its datatoken, which the data NFT knows.
pub(crate) async fn check_contracts(chain: &Chain, did: &Did, asset: &Asset) -> Result<(), MarketError> {
    same("the asset's DID", &asset.did, did)?;
    same("the asset's data NFT", &did_for(asset.nft, chain.id()), did)?;
    if !chain
        .nft(asset.nft)
        .datatokens()
        .await?
        .contains(&asset.datatoken)
    {
        let detail = format!(
            "the data NFT {} knows no datatoken {}",
            asset.nft, asset.datatoken
        );
        return Err(untrue("the asset's datatoken", detail));
    }
    Ok(())
}

fn same<T: PartialEq + std::fmt::Display>(what: &'static str, told: T, found: T) -> Result<(), MarketError> {
    if told == found {
        return Ok(());
    }
    Err(untrue(what, format!("{told} was said, {found} was found")))
}

fn untrue(what: &'static str, detail: String) -> MarketError {
    MarketError::Untrue { what, detail }
}
