//! Receipts, refusals and publication statements: what the node signs.
//!
//! All are EIP-712 typed data. The signing hash is the one canonical encoding; JSON is only how they travel.
//! Signing, recovering and comparing live in `proofs`.

use alloy_primitives::{Address, B256, Bytes};
use alloy_sol_types::{Eip712Domain, SolStruct, eip712_domain, sol};
use serde::{Deserialize, Serialize};

use crate::{Amount, Commitment, Digest, JobId, Operation, OrderId, Usage};

mod typed {
    use super::sol;

    sol! {
        struct Commitment {
            string scheme;
            bytes32 root;
        }

        struct Usage {
            uint64 trainedTokens;
            uint64 promptTokens;
            uint64 generatedTokens;
            uint64 scoredTokens;
        }

        struct Order {
            uint64 chainId;
            bytes32 transaction;
            uint64 logIndex;
        }

        struct Receipt {
            bytes16 job;
            string asset;
            address nft;
            string operation;
            string engine;
            Commitment commitmentIn;
            Commitment commitmentOut;
            bytes32 tokenizer;
            bytes32 input;
            string parameters;
            uint64 seed;
            bytes32 output;
            Usage usage;
            Order order;
            address consumer;
            address datatoken;
            address feeToken;
            uint256 feeAmount;
            address node;
            bytes32 request;
            bytes32 previous;
            uint64 startedAt;
            uint64 finishedAt;
        }

        struct Refusal {
            Order order;
            address consumer;
            address node;
            bytes32 request;
            string code;
            string reason;
            uint64 at;
        }

        struct Publication {
            uint64 chainId;
            address nft;
            address author;
            address node;
            Commitment commitment;
            bytes32 tokenizer;
            bytes32 config;
            bytes32 source;
            uint64 at;
        }
    }
}

/// What the node vouches for after a job: which weights, which input, which output, for which order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The job.
    pub job: JobId,
    /// DID of the asset that was ordered.
    pub asset: String,
    /// Data NFT of that asset.
    pub nft: Address,
    /// What was done.
    pub operation: Operation,
    /// Name and version of the engine's numerics.
    pub engine: String,
    /// Weights that went in; absent for a model made from scratch.
    pub commitment_in: Option<Commitment>,
    /// Weights that came out; only of a training.
    pub commitment_out: Option<Commitment>,
    /// Digest of the `tokenizer.json` in use.
    pub tokenizer: Digest,
    /// Digest of the input manifest.
    pub input: Digest,
    /// Parameters in canonical text.
    pub parameters: String,
    /// The seed among the parameters.
    pub seed: u64,
    /// Digest of the output manifest.
    pub output: Digest,
    /// What was used up.
    pub usage: Usage,
    /// The order that paid.
    pub order: OrderId,
    /// Who asked.
    pub consumer: Address,
    /// The datatoken that was spent.
    pub datatoken: Address,
    /// Token of the provider fee.
    pub fee_token: Address,
    /// The provider fee, gross, in base units.
    pub fee_amount: Amount,
    /// The node's wallet: it receives fees and sends `orderExecuted`.
    pub node: Address,
    /// Digest of the consumer's start request.
    pub request: Digest,
    /// Digest of the receipt of the turn before in an inference session; zero elsewhere.
    pub previous: Digest,
    /// When the work began, in seconds since 1970 (Unix time), by the node's clock.
    pub started_at: u64,
    /// When it ended.
    pub finished_at: u64,
}

impl Receipt {
    /// The EIP-712 signing hash: the receipt's digest, which also goes on the chain.
    pub fn digest(&self) -> Digest {
        let typed = typed::Receipt {
            job: self.job.0.into(),
            asset: self.asset.clone(),
            nft: self.nft,
            operation: self.operation.as_str().to_owned(),
            engine: self.engine.clone(),
            commitmentIn: typed_commitment(self.commitment_in.as_ref()),
            commitmentOut: typed_commitment(self.commitment_out.as_ref()),
            tokenizer: self.tokenizer,
            input: self.input,
            parameters: self.parameters.clone(),
            seed: self.seed,
            output: self.output,
            usage: typed::Usage {
                trainedTokens: self.usage.trained_tokens,
                promptTokens: self.usage.prompt_tokens,
                generatedTokens: self.usage.generated_tokens,
                scoredTokens: self.usage.scored_tokens,
            },
            order: typed_order(&self.order),
            consumer: self.consumer,
            datatoken: self.datatoken,
            feeToken: self.fee_token,
            feeAmount: self.fee_amount.0,
            node: self.node,
            request: self.request,
            previous: self.previous,
            startedAt: self.started_at,
            finishedAt: self.finished_at,
        };
        typed.eip712_signing_hash(&domain(self.order.chain_id))
    }
}

/// A receipt with the receipt signer's signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedReceipt {
    /// What is signed.
    pub receipt: Receipt,
    /// Its digest, for convenience: who verifies computes it anew.
    pub digest: Digest,
    /// 65 bytes r ‖ s ‖ v, v 27 or 28, over the digest.
    pub signature: Bytes,
}

/// Why the node did not run what was asked. Signed, so that nobody is turned away in silence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The order that was named.
    pub order: OrderId,
    /// Who asked.
    pub consumer: Address,
    /// The node's wallet.
    pub node: Address,
    /// Digest of the consumer's start request.
    pub request: Digest,
    /// Public error code, with a page of its own in the documentation.
    pub code: String,
    /// The reason in a sentence.
    pub reason: String,
    /// When, in seconds since 1970 (Unix time).
    pub at: u64,
}

impl Refusal {
    /// The EIP-712 signing hash.
    pub fn digest(&self) -> Digest {
        let typed = typed::Refusal {
            order: typed_order(&self.order),
            consumer: self.consumer,
            node: self.node,
            request: self.request,
            code: self.code.clone(),
            reason: self.reason.clone(),
            at: self.at,
        };
        typed.eip712_signing_hash(&domain(self.order.chain_id))
    }
}

/// A refusal with the receipt signer's signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedRefusal {
    /// What is signed.
    pub refusal: Refusal,
    /// 65 bytes r ‖ s ‖ v, v 27 or 28, over its digest.
    pub signature: Bytes,
}

/// What the node vouches for after importing a model that was trained elsewhere: it has no job and so no receipt.
///
/// It says whose model became which asset, not how it was made. Its digest goes into the data NFT's store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicationStatement {
    /// Chain id of the data NFT.
    pub chain_id: u64,
    /// The data NFT of the new asset.
    pub nft: Address,
    /// Who brought the model.
    pub author: Address,
    /// The node's wallet.
    pub node: Address,
    /// The sealed weights.
    pub commitment: Commitment,
    /// Digest of `tokenizer.json`.
    pub tokenizer: Digest,
    /// Digest of `config.json` as it was brought.
    pub config: Digest,
    /// Digest of the file of weights as it was brought, before it was sealed.
    pub source: Digest,
    /// When, in seconds since 1970 (Unix time), by the node's clock.
    pub at: u64,
}

impl PublicationStatement {
    /// The EIP-712 signing hash.
    pub fn digest(&self) -> Digest {
        let typed = typed::Publication {
            chainId: self.chain_id,
            nft: self.nft,
            author: self.author,
            node: self.node,
            commitment: typed_commitment(Some(&self.commitment)),
            tokenizer: self.tokenizer,
            config: self.config,
            source: self.source,
            at: self.at,
        };
        typed.eip712_signing_hash(&domain(self.chain_id))
    }
}

/// A publication statement with the receipt signer's signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedPublication {
    /// What is signed.
    pub statement: PublicationStatement,
    /// Its digest, for convenience: who verifies computes it anew.
    pub digest: Digest,
    /// 65 bytes r ‖ s ‖ v, v 27 or 28, over the digest.
    pub signature: Bytes,
}

fn domain(chain_id: u64) -> Eip712Domain {
    eip712_domain! { name: "Posthuman", version: "1", chain_id: chain_id, }
}

fn typed_commitment(commitment: Option<&Commitment>) -> typed::Commitment {
    match commitment {
        Some(commitment) => typed::Commitment {
            scheme: commitment.scheme.clone(),
            root: commitment.root,
        },
        None => typed::Commitment {
            scheme: String::new(),
            root: B256::ZERO,
        },
    }
}

fn typed_order(order: &OrderId) -> typed::Order {
    typed::Order {
        chainId: order.chain_id,
        transaction: order.transaction,
        logIndex: order.log_index,
    }
}
