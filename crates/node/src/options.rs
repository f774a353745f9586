//! What a node is started with.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use posthuman_chain::{SplitterCode, Wallet};
use posthuman_jobs::vault::MasterKey;
use posthuman_types::api::{Allowances, Fees, NodeLimits};
use posthuman_types::{Amount, U256};

/// Everything a node needs to start. Keys come opened: how they were unlocked is the binary's business.
pub struct NodeOptions {
    /// Folder of the database, the vault and job directories. One node at a time uses it.
    pub data: PathBuf,
    /// Where HTTP is served; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The address under which users reach the node, for DDOs; absent: the address it listens on.
    pub public_url: Option<String>,
    /// JSON-RPC endpoint of the chain.
    pub rpc: String,
    /// Ocean's address file.
    pub address_file: PathBuf,
    /// Chain id that the endpoint must have.
    pub chain_id: u64,
    /// Receives fees, owns data NFTs, sends the node's transactions and nothing else.
    pub wallet: Wallet,
    /// Signs receipts, refusals and publication statements.
    pub receipt_signer: Wallet,
    /// Keys that signed receipts before: the receipt of an order is signed by the key that was registered when the order
    /// was paid.
    pub former_receipt_signers: Vec<Wallet>,
    /// Wraps the keys of the vault.
    pub master_key: MasterKey,
    /// The keystore file of the wallet: what the sandbox probe tries to read and must not.
    pub keystore: PathBuf,
    /// Creation code of the contract that pays a child's proceeds to its trainer and to its parent.
    pub splitter: SplitterCode,
    /// The executable whose hidden `worker` command runs jobs.
    pub executable: PathBuf,
    /// Whether workers are confined. `false` only by the operator's own word.
    pub sandbox: bool,
    /// The market's terms.
    pub market: MarketOptions,
    /// How work is run.
    pub work: WorkOptions,
}

/// The terms under which a node offers work.
#[derive(Clone, Debug)]
pub struct MarketOptions {
    /// Fees per 1,000 tokens.
    pub fees: Fees,
    /// What one order allows.
    pub allowances: Allowances,
    /// Datatokens minted at the birth of a model.
    pub birth_supply: Amount,
    /// Price of one datatoken of the blank model.
    pub blank_price: Amount,
    /// What is accepted.
    pub limits: NodeLimits,
    /// Seconds for which a sign-in holds.
    pub access_token_seconds: u64,
    /// Seconds after which an upload that nothing used is dropped.
    pub upload_seconds: u64,
    /// Seconds after its last turn when an inference session is closed and settled.
    pub session_seconds: u64,
}

impl Default for MarketOptions {
    fn default() -> Self {
        let milli = |thousandths: u64| Amount(U256::from(thousandths) * U256::from(10).pow(U256::from(15)));
        Self {
            fees: Fees {
                train: milli(1),
                infer: milli(2),
                evaluate: milli(1),
            },
            allowances: Allowances {
                train: 2_000_000,
                infer: 20_000,
                evaluate: 500_000,
            },
            birth_supply: Amount::tokens(100),
            blank_price: Amount::tokens(1),
            limits: NodeLimits {
                upload_bytes: 1 << 30,
                chunk_bytes: 4 << 20,
                prompt_bytes: 64 << 10,
                quote_seconds: 600,
                model_parameters: 200_000_000,
            },
            access_token_seconds: 3600,
            upload_seconds: 24 * 3600,
            session_seconds: 900,
        }
    }
}

/// How a node runs jobs and follows the chain.
#[derive(Clone, Debug)]
pub struct WorkOptions {
    /// Threads of one worker.
    pub threads: u16,
    /// Workers at the same time.
    pub workers: u16,
    /// Largest address space of a worker.
    pub memory_bytes: u64,
    /// Most processor time of a worker.
    pub cpu_seconds: u64,
    /// Longest wall-clock time of a worker.
    pub deadline: Duration,
    /// Training steps between two sealed checkpoints; 0 makes none.
    pub checkpoint_every: u32,
    /// How often the chain is asked for new blocks.
    pub poll_interval: Duration,
    /// How long a transaction is awaited.
    pub transaction_deadline: Duration,
}

impl Default for WorkOptions {
    fn default() -> Self {
        Self {
            threads: 2,
            workers: 1,
            memory_bytes: 16 << 30,
            cpu_seconds: 48 * 3600,
            deadline: Duration::from_secs(24 * 3600),
            checkpoint_every: 200,
            poll_interval: Duration::from_millis(500),
            transaction_deadline: Duration::from_secs(120),
        }
    }
}
