//! The signed request that starts a job.

use alloy_primitives::{Address, B256, Bytes, keccak256};
use alloy_sol_types::{SolValue, sol};
use serde::{Deserialize, Serialize};

use crate::{Digest, JobId, Operation, OrderId};

sol! {
    /// The bytes a consumer signs, ABI-encoded as one tuple.
    ///
    /// They become `consumerData` of Ocean's `orderExecuted`, so that the chain holds what was asked for, in the
    /// consumer's own signature.
    #[derive(Debug, PartialEq, Eq)]
    struct StartRequestData {
        string schema;
        uint64 chainId;
        bytes32 orderTransaction;
        uint64 orderLogIndex;
        address datatoken;
        string operation;
        bytes32 input;
        string parameters;
        uint64 turn;
        bytes32 previous;
        uint64 nonce;
    }
}

const SCHEMA: &str = "posthuman/start/1";

/// Asks the node to run one job on one paid order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartRequest {
    /// The order that pays.
    pub order: OrderId,
    /// The datatoken that was spent.
    pub datatoken: Address,
    /// What to run.
    pub operation: Operation,
    /// Digest of the input manifest.
    pub input: Digest,
    /// Parameters in canonical text.
    pub parameters: String,
    /// Turn of an inference session, from 0; always 0 for the other operations.
    pub turn: u64,
    /// Digest of the receipt of the turn before; zero at turn 0.
    pub previous: Digest,
    /// The consumer's next nonce at this node. It only ever grows.
    pub nonce: u64,
}

impl StartRequest {
    /// The canonical bytes.
    pub fn encode(&self) -> Bytes {
        StartRequestData {
            schema: SCHEMA.to_owned(),
            chainId: self.order.chain_id,
            orderTransaction: self.order.transaction,
            orderLogIndex: self.order.log_index,
            datatoken: self.datatoken,
            operation: self.operation.as_str().to_owned(),
            input: self.input,
            parameters: self.parameters.clone(),
            turn: self.turn,
            previous: self.previous,
            nonce: self.nonce,
        }
        .abi_encode()
        .into()
    }

    /// Reads canonical bytes back. Returns nothing for bytes of another shape, schema or operation.
    pub fn decode(data: &[u8]) -> Option<Self> {
        let data = StartRequestData::abi_decode_validate(data).ok()?;
        if data.schema != SCHEMA {
            return None;
        }
        Some(Self {
            order: OrderId {
                chain_id: data.chainId,
                transaction: data.orderTransaction,
                log_index: data.orderLogIndex,
            },
            datatoken: data.datatoken,
            operation: data.operation.parse().ok()?,
            input: data.input,
            parameters: data.parameters,
            turn: data.turn,
            previous: data.previous,
            nonce: data.nonce,
        })
    }

    /// What the consumer signs with EIP-191 (`personal_sign` over these 32 bytes): Keccak-256 of the canonical bytes.
    ///
    /// It is the message that `orderExecuted` checks the consumer's signature against.
    pub fn digest(&self) -> B256 {
        keccak256(self.encode())
    }

    /// The job this request asks for: the head of its digest.
    pub fn job_id(&self) -> JobId {
        let mut id = [0; 16];
        id.copy_from_slice(&self.digest()[..16]);
        JobId(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> StartRequest {
        StartRequest {
            order: OrderId {
                chain_id: 8996,
                transaction: B256::repeat_byte(1),
                log_index: 2,
            },
            datatoken: Address::repeat_byte(3),
            operation: Operation::Train,
            input: B256::repeat_byte(4),
            parameters: "{}".to_owned(),
            turn: 0,
            previous: B256::ZERO,
            nonce: 5,
        }
    }

    #[test]
    fn reads_back() {
        assert_eq!(StartRequest::decode(&request().encode()), Some(request()));
        assert_eq!(StartRequest::decode(b"hello"), None);
    }

    #[test]
    fn every_field_is_signed() {
        let change: [fn(&mut StartRequest); 10] = [
            |request| request.order.chain_id += 1,
            |request| request.order.transaction = B256::ZERO,
            |request| request.order.log_index += 1,
            |request| request.datatoken = Address::ZERO,
            |request| request.operation = Operation::Infer,
            |request| request.input = B256::ZERO,
            |request| request.parameters.push(' '),
            |request| request.turn += 1,
            |request| request.previous = B256::repeat_byte(9),
            |request| request.nonce += 1,
        ];
        for change in change {
            let mut other = request();
            change(&mut other);
            assert_ne!(other.digest(), request().digest());
        }
    }
}
