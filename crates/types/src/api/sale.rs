//! Selling datatokens that one holds.

use alloy_primitives::{Address, B256};
use serde::{Deserialize, Serialize};

use crate::{Amount, Did};

/// `POST /sales`: asks the node to open an exchange on which the signed-in address sells its own datatokens.
/// Asking again gives the same exchange.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenSale {
    /// The asset.
    pub did: Did,
    /// Price of one datatoken in the base token.
    pub price: Amount,
}

/// An exchange on which a holder sells. The holder then allows `contract` exactly the datatokens to be sold; proceeds
/// go to the datatoken's payment collector, so that a resale pays the ancestors too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sale {
    /// The asset.
    pub did: Did,
    /// Its datatoken.
    pub datatoken: Address,
    /// Who sells.
    pub owner: Address,
    /// The exchange contract.
    pub contract: Address,
    /// The exchange's id in it.
    pub exchange: B256,
    /// Price of one datatoken in the base token, without fees.
    pub price: Amount,
    /// Token of the price.
    pub base_token: Address,
}
