//! Exchanges on which holders sell: Ocean's older fixed-rate exchange, the only one that sells a holder's own tokens.

use posthuman_chain::FixedRate;
use posthuman_types::api::{OpenSale, Sale};
use posthuman_types::{Address, B256};

use crate::error::{ErrorCode, NodeError};
use crate::node::Node;

const BASE_DECIMALS: u8 = 18;

impl Node {
    /// Opens an exchange for a holder, or gives the one that is open, at the price asked for. The holder then allows it exactly what is for
    /// sale; its proceeds go to the datatoken's payment collector.
    pub(crate) async fn open_sale(&self, seller: Address, sale: OpenSale) -> Result<Sale, NodeError> {
        let row = self.known_asset(&sale.did).await?;
        self.model_facts(&row)?.ok_or_else(|| {
            let message = format!(
                "{} is not a model of this node, so no sale can be opened on it here.",
                sale.did
            );
            NodeError::rejected(ErrorCode::AssetNotFound, message)
        })?;
        if sale.price.0.is_zero() {
            return Err(NodeError::rejected(
                ErrorCode::ParametersInvalid,
                "The price of a sale must be above zero.",
            ));
        }
        let balance = self.chain.token(row.datatoken).balance_of(seller).await?;
        if balance.is_zero() {
            let message = format!(
                "{seller} holds no datatokens of {}, so there is nothing to sell.",
                sale.did
            );
            return Err(NodeError::rejected(ErrorCode::SaleNotHolder, message));
        }
        let contract = self.chain.resale()?;
        let base_token = self.chain.address_book().ocean;
        let id = FixedRate::exchange_id(base_token, row.datatoken);
        if contract.exchange(id).await?.is_none() {
            let call = self.chain.datatoken(row.datatoken).open_resale(
                seller,
                base_token,
                BASE_DECIMALS,
                sale.price.0,
            )?;
            self.outbox.execute(&format!("sale:{}", sale.did), call).await?;
        }
        let exchange = contract
            .exchange(id)
            .await?
            .ok_or_else(|| NodeError::bug("reading an exchange that was opened"))?;
        if exchange.owner != seller {
            let message = format!(
                "{} already sells datatokens of {} on the one exchange that the contract allows for it; transfer or wait.",
                exchange.owner, sale.did
            );
            return Err(NodeError::rejected(ErrorCode::SaleTaken, message));
        }
        if exchange.rate != sale.price.0 {
            self.change_price(&contract, id, &sale).await?;
        }
        Ok(Sale {
            did: sale.did,
            datatoken: row.datatoken,
            owner: seller,
            contract: contract.address(),
            exchange: id,
            price: sale.price,
            base_token,
        })
    }

    /// Sets another price on an exchange, at the word of its owner, who cannot do it: the contract lets only the data
    /// NFT's owner, which is this node.
    async fn change_price(&self, contract: &FixedRate, id: B256, sale: &OpenSale) -> Result<(), NodeError> {
        // As often as the price changes, but once where one request is sent twice.
        let count = self.chain.transaction_count(self.wallet()).await?;
        let key = format!("sale:{}:price:{}:{count}", sale.did, sale.price);
        self.outbox
            .execute(&key, contract.set_rate(id, sale.price.0))
            .await?;
        Ok(())
    }
}
