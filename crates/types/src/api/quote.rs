//! Checking a job before paying.

use alloy_primitives::{Address, B256, Bytes};
use serde::{Deserialize, Serialize};

use super::InputReference;
use crate::{Amount, Did, Digest, InputManifest, Operation, QuoteId};

/// `POST /initialize`: asks what a job would cost and whether it fits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QuoteRequest {
    /// The asset.
    pub did: Did,
    /// The operation.
    pub operation: Operation,
    /// Who will order and start it.
    pub consumer: Address,
    /// The inputs; none for an inference session, whose prompts come turn by turn.
    pub inputs: Vec<InputReference>,
    /// Parameters in canonical text.
    pub parameters: String,
}

/// A binding offer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quote {
    /// The offer. It pays for one order.
    pub id: QuoteId,
    /// The asset.
    pub did: Did,
    /// The operation.
    pub operation: Operation,
    /// The datatoken of which one whole is spent.
    pub datatoken: Address,
    /// Service index for `startOrder`.
    pub service_index: u64,
    /// Tokens that an order of this quote allows: what the job trains or scores, or for a session all of `allowance`.
    pub tokens: u64,
    /// The most tokens that any order of this service allows.
    pub allowance: u64,
    /// Tokens of each input by the model's tokenizer, or an estimate from its length where the tokenizer is yet to be trained.
    pub input_tokens: Vec<(String, u64)>,
    /// The inputs as the node has them.
    pub inputs: InputManifest,
    /// Their digest, for the start request.
    pub input: Digest,
    /// The signed fee for `startOrder`.
    pub provider_fee: ProviderFee,
}

/// Ocean's provider fee as `startOrder` takes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderFee {
    /// Receives the fee and signs it: the node's wallet.
    pub address: Address,
    /// Token of the fee.
    pub token: Address,
    /// Gross amount; the router takes the community's share from it.
    pub amount: Amount,
    /// Until when an order with this fee is accepted.
    pub valid_until: u64,
    /// What the signature binds besides the fee ([`crate::order::QuoteBinding`]).
    pub provider_data: Bytes,
    /// Recovery id, 27 or 28.
    pub v: u8,
    /// First half of the signature.
    pub r: B256,
    /// Second half.
    pub s: B256,
}
