//! The connection to one chain: reads, blocks, and the address book that belongs to it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use alloy::network::TransactionBuilder;
use alloy::providers::{Provider, RootProvider};
use alloy::rpc::client::RpcClient;
use alloy::rpc::types::{BlockNumberOrTag, TransactionRequest};
use alloy::sol_types::SolCall;
use alloy::transports::http::Http;
use alloy::transports::{RpcError, TransportError, TransportResult};
use posthuman_types::{Address, B256, Bytes, U256};

use crate::address_book::AddressBook;
use crate::bindings::IErc1271;
use crate::call::Call;
use crate::endpoint::{http_client, is_loopback, show_url};
use crate::error::ChainError;
use crate::revert::Revert;

/// Waits between attempts at something that can be repeated without harm.
const RETRY_PAUSES: [Duration; 3] = [
    Duration::from_millis(100),
    Duration::from_millis(400),
    Duration::from_millis(1500),
];
const ERC1271_MAGIC: [u8; 4] = [0x16, 0x26, 0xba, 0x7e];

/// A chain and the Ocean contracts on it. Cheap to clone.
///
/// Typed handles hang on it: [`nft`](Self::nft), [`datatoken`](Self::datatoken), [`token`](Self::token),
/// [`fixed_rate`](Self::fixed_rate), [`resale`](Self::resale), [`give_away`](Self::give_away), [`pool`](Self::pool),
/// [`splitter`](Self::splitter). Their reads are async; their writes return a [`Call`].
/// Holds no key: wallets are given to [`send`](Self::send).
#[derive(Clone)]
pub struct Chain {
    inner: Arc<Inner>,
}

struct Inner {
    provider: RootProvider,
    url: String,
    book: AddressBook,
    deadline: Duration,
    poll: Duration,
}

/// How long to wait for receipts, and how often to look.
#[derive(Clone, Copy, Debug)]
pub struct ChainOptions {
    /// After this a transaction that is not known to be mined gives [`ChainError::Deadline`].
    pub receipt_deadline: Duration,
    /// The pause between two looks for a receipt.
    pub poll_interval: Duration,
}

impl Default for ChainOptions {
    fn default() -> Self {
        Self {
            receipt_deadline: Duration::from_secs(120),
            poll_interval: Duration::from_millis(50),
        }
    }
}

impl Chain {
    /// Connects over HTTP and checks that the chain is the address book's.
    ///
    /// # Errors
    /// An unusable address, no answer, or another chain id.
    pub async fn connect(url: &str, book: AddressBook) -> Result<Self, ChainError> {
        Self::connect_with(url, book, ChainOptions::default()).await
    }

    /// As [`connect`](Self::connect), with options.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_with(
        url: &str,
        book: AddressBook,
        options: ChainOptions,
    ) -> Result<Self, ChainError> {
        let chain = Self::open(url, book, options)?;
        let actual = chain
            .ask("its chain id", || chain.inner.provider.get_chain_id())
            .await?;
        let book = chain.address_book();
        if actual != book.chain_id {
            let (network, expected) = (book.network.clone(), book.chain_id);
            return Err(ChainError::WrongChain {
                url: chain.inner.url.clone(),
                network,
                expected,
                actual,
            });
        }
        Ok(chain)
    }

    /// A chain that was not asked anything yet.
    pub(crate) fn open(url: &str, book: AddressBook, options: ChainOptions) -> Result<Self, ChainError> {
        let (client, parsed) = http_client(url)?;
        let shown = show_url(&parsed);
        let local = is_loopback(&parsed);
        let provider = RootProvider::new(RpcClient::new(Http::with_client(client, parsed), local));
        let ChainOptions {
            receipt_deadline: deadline,
            poll_interval: poll,
        } = options;
        Ok(Self {
            inner: Arc::new(Inner {
                provider,
                url: shown,
                book,
                deadline,
                poll,
            }),
        })
    }

    /// The chain id.
    pub fn id(&self) -> u64 {
        self.inner.book.chain_id
    }

    /// Where the contracts are.
    pub fn address_book(&self) -> &AddressBook {
        &self.inner.book
    }

    /// The address of the RPC, without credentials, path or query.
    pub fn url(&self) -> &str {
        &self.inner.url
    }

    /// Calls a function that only reads, on the newest block.
    ///
    /// # Errors
    /// No answer, a revert, no contract at the address, or an answer of another shape.
    pub async fn read<C: SolCall>(&self, to: Address, call: &C) -> Result<C::Return, ChainError> {
        let what = format!("{} of {to}", C::SIGNATURE);
        let request = TransactionRequest::default()
            .with_to(to)
            .with_input(call.abi_encode());
        let answer = self
            .ask(&what, || self.inner.provider.call(request.clone()))
            .await?;
        if answer.is_empty() && !self.is_contract(to).await? {
            return Err(ChainError::NoContract { address: to, what });
        }
        C::abi_decode_returns(&answer).map_err(|error| ChainError::UnexpectedAnswer {
            what,
            why: error.to_string(),
        })
    }

    /// Executes a call as `from` without sending it, and returns what it returns.
    ///
    /// # Errors
    /// The reason for which it would fail.
    pub async fn simulate(&self, from: Address, call: &Call) -> Result<Bytes, ChainError> {
        self.ask(&call.label, || self.inner.provider.call(request(from, call)))
            .await
    }

    /// Wei of an account.
    ///
    /// # Errors
    /// No answer.
    pub async fn balance(&self, address: Address) -> Result<U256, ChainError> {
        self.ask("a balance", || async {
            self.inner.provider.get_balance(address).await
        })
        .await
    }

    /// Whether an address has code: a contract, contract wallets included.
    ///
    /// An account with an EIP-7702 delegation counts as a contract too.
    ///
    /// # Errors
    /// No answer.
    pub async fn is_contract(&self, address: Address) -> Result<bool, ChainError> {
        let code = self
            .ask("code", || async {
                self.inner.provider.get_code_at(address).await
            })
            .await?;
        Ok(!code.is_empty())
    }

    /// Asks a contract wallet whether a signature of `digest` is its own (ERC-1271).
    ///
    /// A revert and any other answer than the standard's count as no.
    ///
    /// # Errors
    /// No answer of the chain, or no contract at `wallet`.
    pub async fn is_valid_signature(
        &self,
        wallet: Address,
        digest: B256,
        signature: &[u8],
    ) -> Result<bool, ChainError> {
        let call = IErc1271::isValidSignatureCall {
            hash: digest,
            signature: signature.to_vec().into(),
        };
        match self.read(wallet, &call).await {
            Ok(magic) => Ok(magic == ERC1271_MAGIC),
            Err(ChainError::Reverted { .. } | ChainError::UnexpectedAnswer { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The number of the newest block.
    ///
    /// # Errors
    /// No answer.
    pub async fn block_number(&self) -> Result<u64, ChainError> {
        self.ask("its newest block", || self.inner.provider.get_block_number())
            .await
    }

    /// When a block was made, in seconds since 1970. Nothing if there is no such block.
    ///
    /// # Errors
    /// No answer.
    pub async fn block_timestamp(&self, number: u64) -> Result<Option<u64>, ChainError> {
        let tag = BlockNumberOrTag::Number(number);
        let block = self
            .ask("a block", || async {
                self.inner.provider.get_block_by_number(tag).await
            })
            .await?;
        Ok(block.map(|block| block.header.timestamp))
    }

    /// When the block of a transaction was made. That there is none is a fault: no time may stand in for it.
    pub(crate) async fn timestamp_of(&self, block: u64, transaction: B256) -> Result<u64, ChainError> {
        let timestamp = self.block_timestamp(block).await?;
        timestamp.ok_or_else(|| ChainError::UnexpectedAnswer {
            what: format!("block {block} of transaction {transaction}"),
            why: "there is no such block".into(),
        })
    }

    pub(crate) fn provider(&self) -> &RootProvider {
        &self.inner.provider
    }

    pub(crate) fn deadline(&self) -> Duration {
        self.inner.deadline
    }

    pub(crate) fn poll(&self) -> Duration {
        self.inner.poll
    }

    /// Repeats a request that has no effect, or the same effect twice, until there is an answer; then names faults.
    pub(crate) async fn ask<T, F, R>(&self, what: &str, request: F) -> Result<T, ChainError>
    where
        F: Fn() -> R,
        R: IntoFuture<Output = TransportResult<T>>,
    {
        let mut pauses = RETRY_PAUSES.into_iter();
        loop {
            match request().await {
                Ok(answer) => return Ok(answer),
                Err(error) => match (is_transient(&error), pauses.next()) {
                    (true, Some(pause)) => {
                        tracing::debug!(what, url = self.inner.url, %error, "asking the chain again");
                        tokio::time::sleep(pause).await;
                    }
                    _ => return Err(self.fault(what, error)),
                },
            }
        }
    }

    pub(crate) fn fault(&self, what: &str, error: TransportError) -> ChainError {
        if let Some(revert) = revert_of(&error) {
            return ChainError::Reverted {
                label: what.to_owned(),
                source: revert,
            };
        }
        let (url, source) = (self.inner.url.clone(), Box::new(error));
        match &*source {
            RpcError::ErrorResp(_) => ChainError::Refused {
                url,
                what: what.to_owned(),
                source,
            },
            RpcError::Transport(_) => ChainError::Unreachable { url, source },
            error => ChainError::UnexpectedAnswer {
                what: format!("{what} at {url}"),
                why: error.to_string(),
            },
        }
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Chain({} at {})", self.id(), self.inner.url)
    }
}

/// The JSON-RPC form of a call, without gas and fees.
pub(crate) fn request(from: Address, call: &Call) -> TransactionRequest {
    let request = TransactionRequest::default()
        .with_from(from)
        .with_value(call.value);
    match call.to {
        Some(to) => request.with_to(to).with_input(call.data.clone()),
        None => request.with_deploy_code(call.data.clone()),
    }
}

/// Whether asking again may help: the wire failed, or the server is overloaded.
pub(crate) fn is_transient(error: &TransportError) -> bool {
    match error {
        RpcError::Transport(_) => true,
        RpcError::ErrorResp(response) => response.is_retry_err(),
        _ => false,
    }
}

/// The revert inside an error response, if it is one.
fn revert_of(error: &TransportError) -> Option<Revert> {
    let response = error.as_error_resp()?;
    if let Some(data) = response.as_revert_data().filter(|data| !data.is_empty()) {
        return Some(Revert::from_data(&data));
    }
    let text = response
        .message
        .split_once("execution reverted")
        .map(|(_, rest)| rest.trim_start_matches(':').trim());
    text.map(|reason| {
        if reason.is_empty() {
            Revert::from_data(&[])
        } else {
            Revert::from_reason(reason)
        }
    })
}
