//! Exchanges on which holders sell: Ocean's older fixed-rate exchange, the only one that sells a holder's own tokens.

use std::sync::Arc;

use posthuman_chain::{Exchange, FixedRate};
use posthuman_store::AssetRow;
use posthuman_types::api::{OpenSale, Sale};
use posthuman_types::{Address, Amount, B256, Publication, U256};

use crate::error::{ErrorCode, NodeError, OrFault};
use crate::node::Node;

const BASE_DECIMALS: u8 = 18;
const WHOLE_DATATOKEN: U256 = U256::from_limbs([1_000_000_000_000_000_000, 0, 0, 0]);

impl Node {
    /// Opens an exchange for a holder, or gives the one that is open, at the price asked for. The holder then allows it
    /// exactly what is for sale; its proceeds go to the datatoken's payment collector. Whoever asked may hang up: it
    /// goes on.
    pub(crate) async fn open_sale(
        self: Arc<Self>,
        seller: Address,
        sale: OpenSale,
    ) -> Result<Sale, NodeError> {
        let opening = async move { self.sell(seller, sale).await };
        tokio::spawn(opening).await.or_fault("opening a sale")?
    }

    async fn sell(&self, seller: Address, sale: OpenSale) -> Result<Sale, NodeError> {
        let row = self.known_asset(&sale.did).await?;
        self.model_facts(&row)?.ok_or_else(|| {
            let message = format!(
                "{} is not a model of this node, so no sale can be opened on it here.",
                sale.did
            );
            NodeError::rejected(ErrorCode::AssetNotFound, message)
        })?;
        if sale.price < Publication::LEAST_PRICE {
            return Err(NodeError::rejected(
                ErrorCode::ParametersInvalid,
                "The price of a sale is less than an exchange takes: give at least 0.00000001 base tokens.",
            ));
        }
        let _selling = self.selling.lock().await;
        let base_token = self.chain.address_book().ocean;
        let id = FixedRate::exchange_id(base_token, row.datatoken);
        let exchange = self.exchange_of(seller, &sale, &row, id).await?;
        Ok(Sale {
            did: sale.did,
            datatoken: row.datatoken,
            owner: seller,
            contract: self.chain.resale()?.address(),
            exchange: id,
            price: Amount(exchange.rate),
            base_token,
        })
    }

    /// The one exchange that the contract allows for a datatoken, if it is the seller's or can become it.
    async fn exchange_of(
        &self,
        seller: Address,
        sale: &OpenSale,
        row: &AssetRow,
        id: B256,
    ) -> Result<Exchange, NodeError> {
        let contract = self.chain.resale()?;
        let open = contract.exchange(id).await?;
        if open.is_none_or(|exchange| exchange.owner != seller) {
            self.check_holder(seller, row).await?;
        }
        match open {
            None => {
                let base_token = self.chain.address_book().ocean;
                let datatoken = self.chain.datatoken(row.datatoken);
                let call = datatoken.open_resale(seller, base_token, BASE_DECIMALS, sale.price.0)?;
                self.outbox.execute(&format!("sale:{}", sale.did), call).await?;
            }
            Some(exchange) if exchange.owner != seller => {
                let message = format!(
                    "{} already sells datatokens of {} on the one exchange that the contract allows for it; transfer or wait.",
                    exchange.owner, sale.did
                );
                return Err(NodeError::rejected(ErrorCode::SaleTaken, message));
            }
            Some(exchange) if exchange.rate != sale.price.0 => self.set_rate(&contract, id, sale).await?,
            Some(exchange) => return Ok(exchange),
        }
        let exchange = contract.exchange(id).await?;
        exchange.ok_or_else(|| NodeError::bug("reading an exchange that was opened"))
    }

    async fn check_holder(&self, seller: Address, row: &AssetRow) -> Result<(), NodeError> {
        let balance = self.chain.token(row.datatoken).balance_of(seller).await?;
        if balance >= WHOLE_DATATOKEN {
            return Ok(());
        }
        let message = format!(
            "{seller} holds less than one datatoken of {}, so there is nothing to sell.",
            row.did
        );
        Err(NodeError::rejected(ErrorCode::SaleNotHolder, message))
    }

    /// Only the data NFT's owner, this node, can set a rate, whoever owns the exchange. A rate may come back, so the
    /// number of those before makes each key a new one.
    async fn set_rate(&self, contract: &FixedRate, id: B256, sale: &OpenSale) -> Result<(), NodeError> {
        let prefix = format!("sale:{}:rate:", sale.did);
        let earlier = self.store.read().await?.transactions_under(&prefix).await?.len();
        let call = contract.set_rate(id, sale.price.0);
        self.outbox.execute(&format!("{prefix}{earlier}"), call).await?;
        Ok(())
    }
}
