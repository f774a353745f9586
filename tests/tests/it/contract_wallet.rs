//! A contract wallet as the consumer: it signs by ERC-1271, which Ocean's `orderExecuted` cannot check, so the digest of
//! its receipt stands in the store (ERC-725Y) of the model's data NFT.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::{Duration, Instant};

use alloy_sol_types::{SolConstructor, sol};
use e2e::files::repository;
use e2e::market::{MarketSetup, Person, TestMarket};
use e2e::process::{Finished, posthuman};
use e2e::texts;
use posthuman::{Goal, Market};
use posthuman_chain::{Call, Chain, ConsumeMarket, MarketFee, Receipt, Wallet};
use posthuman_types::api::{AccessToken, Asset, Job, Order, OrderState, Quote, QuoteRequest, SignIn};
use posthuman_types::{
    Address, Amount, Bytes, Digest, Input, InputManifest, JobId, Operation, OrderId, Parameters,
    SignedReceipt, StartRequest, U256, keccak256,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::bad_input::answer;
use crate::bad_input::raw::{Raw, Start, error_of};
use crate::ground::{block_on, ground};

sol! {
    /// LUKSO's Universal Profile, which takes a signature of its owner for its own.
    contract UniversalProfile {
        constructor(address initialOwner);
        function execute(uint256 operationType, address target, uint256 value, bytes memory data) external payable returns (bytes memory);
    }
}

/// Where `make reader` installs the wallet's creation code.
const ARTIFACT: &str =
    "tests/reader/node_modules/@lukso/universalprofile-contracts/artifacts/UniversalProfile.json";
/// OCEAN of the wallet, whole.
const PURSE: u64 = 100;
/// Who owns the wallet, and whoever tries to speak for it.
const OWNER: Person = Person::Derek;
const STRANGER: Person = Person::Elena;

#[test]
fn a_contract_wallet_orders_and_its_receipt_stands_in_the_data_nfts_store() {
    let ground = ground();
    block_on(async {
        let market = ground.frozen.thaw(MarketSetup::default()).await.unwrap();
        let mut consumer = Consumer::new(&market).await;
        consumer.sign_in().await;
        let order = consumer.order(&ground.root).await;

        let first = consumer.turn(&ground.root, order, None, "Call me").await;
        assert_eq!(stored(&market, &ground.root, order).await, Bytes::new());
        let last = consumer
            .turn(&ground.root, order, Some(&first), "Some years")
            .await;
        let closed: Order = consumer
            .post(&format!("/api/v1/orders/{order}/close"), &Value::Null)
            .await;
        assert_eq!(closed.last_receipt, last.digest);

        let job = consumer.until(last.receipt.job, Goal::Settled).await;
        assert!(job.settlement.is_some(), "{job:?}");
        let digest = last.receipt.digest().to_string();
        assert_eq!(stored(&market, &ground.root, order).await, digest.into_bytes());
        let datatoken = market.chain().datatoken(ground.root.datatoken);
        assert_eq!(datatoken.executions(order.transaction, 0).await.unwrap(), []);
        verify_both(&market, &first, &last);
    });
}

/// Of the two turns only the last stands in the store; it vouches for the first if both are at hand.
fn verify_both(market: &TestMarket, first: &SignedReceipt, last: &SignedReceipt) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("receipt.json");
    let environment = market.environment(OWNER);
    let environment: Vec<(&str, &OsStr)> = environment
        .iter()
        .map(|(name, value): &(&str, OsString)| (*name, value.as_os_str()))
        .collect();
    let verify =
        |receipt: &OsStr| -> Finished { posthuman(&[OsStr::new("verify"), receipt], &environment).unwrap() };

    write(&path, last);
    let holds = verify(path.as_os_str());
    assert_eq!(holds.code(), Some(0), "{holds:?}");
    assert!(
        holds
            .stdout
            .contains("in the data NFT's store, as for a contract wallet"),
        "{holds:?}"
    );
    // A receipt that the node signed, of the same order, whose digest is not what the store holds.
    write(&path, first);
    let refused = verify(path.as_os_str());
    assert_eq!(refused.code(), Some(4), "{refused:?}");
    assert!(
        refused.stderr.contains("the receipt does not hold: attested"),
        "{refused:?}"
    );
    let linked = verify(first.digest.to_string().as_ref());
    assert_eq!(linked.code(), Some(0), "{linked:?}");
    assert!(linked.stdout.contains("by the chain of receipts"), "{linked:?}");
}

fn write(path: &Path, receipt: &SignedReceipt) {
    std::fs::write(path, serde_json::to_vec(receipt).unwrap()).unwrap();
}

/// What the store holds for an order.
async fn stored(market: &TestMarket, asset: &Asset, order: OrderId) -> Bytes {
    let nft = market.chain().nft(asset.nft);
    nft.data(&format!("posthuman.receipt:{order}")).await.unwrap()
}

/// A contract wallet and how it speaks with the node.
struct Consumer {
    chain: Chain,
    wallet: Address,
    owner: Wallet,
    raw: Raw,
    /// The owner's own view of the market, for what is private to nobody.
    market: Market,
}

impl Consumer {
    /// Deploys the wallet and fills its purse.
    async fn new(market: &TestMarket) -> Self {
        let (chain, owner) = (market.chain().clone(), OWNER.wallet());
        let code = creation_code(owner.address());
        let receipt = chain
            .send(&owner, Call::create(code, "deploying a contract wallet"))
            .await
            .unwrap();
        let wallet = receipt.created.unwrap();
        let purse = chain.ocean().transfer(wallet, Amount::tokens(PURSE).0);
        chain.send(&owner, purse).await.unwrap();
        Self {
            chain,
            wallet,
            owner,
            raw: Raw::new(market.node_url()),
            market: market.person(OWNER).await.unwrap(),
        }
    }

    /// Has the wallet send a call.
    async fn execute(&self, call: Call) -> Receipt {
        let execute = UniversalProfile::executeCall {
            operationType: U256::ZERO,
            target: call.to.unwrap(),
            value: call.value,
            data: call.data,
        };
        let call = Call::contract(self.wallet, &execute, call.label);
        self.chain.send(&self.owner, call).await.unwrap()
    }

    /// Gets a token for the wallet by the owner's signature, which a stranger's is not.
    async fn sign_in(&mut self) {
        let nonce = self.next_nonce().await;
        let signed_by = |wallet: &Wallet| {
            let info = self.market.info();
            let message = SignIn::message(info.wallet, info.chain_id, self.wallet, nonce);
            let signature = wallet.sign_message(message.as_bytes()).unwrap();
            let sign_in = SignIn {
                address: self.wallet,
                nonce,
                signature: signature.as_bytes().to_vec().into(),
            };
            serde_json::to_value(sign_in).unwrap()
        };
        let path = "/api/v1/sign-in";
        let refused = self.raw.post(path, signed_by(&STRANGER.wallet())).await;
        assert_eq!((refused.0, error_of(&refused).0), (401, "bad_signature"));
        assert_eq!(self.next_nonce().await, nonce);
        let token: AccessToken = self.post(path, &signed_by(&self.owner)).await;
        assert_eq!(token.address, self.wallet);
        self.raw.token = Some(token.token);
    }

    /// Buys a datatoken and pays with it for an inference session.
    async fn order(&self, asset: &Asset) -> OrderId {
        let price = &asset.prices[0];
        let exchange = self.chain.fixed_rate_at(price.contract);
        let one = Amount::tokens(1).0;
        let purchase = exchange
            .purchase(self.wallet, price.exchange, one, ConsumeMarket::default())
            .await
            .unwrap();
        for call in purchase {
            self.execute(call).await;
        }
        let request = QuoteRequest {
            did: asset.did.clone(),
            operation: Operation::Infer,
            consumer: self.wallet,
            inputs: Vec::new(),
            parameters: Parameters::Infer(texts::greedy()).to_canonical(),
        };
        let quote: Quote = self.post("/api/v1/initialize", &request).await;
        let (fee, market_fee) = (&quote.provider_fee, &MarketFee::NONE);
        let datatoken = self.chain.datatoken(quote.datatoken);
        let approvals = datatoken.order_approvals(self.wallet, fee, market_fee).await;
        for call in approvals.unwrap() {
            self.execute(call).await;
        }
        let call = datatoken.start_order(self.wallet, quote.service_index, fee, market_fee);
        let orders = self.chain.orders_of(&self.execute(call).await).await.unwrap();
        let [order] = orders.as_slice() else {
            panic!("one order, not {orders:?}")
        };
        assert_eq!((order.consumer, order.payer), (self.wallet, self.wallet));
        order.id
    }

    /// Has one turn run by the owner's signature, and checks that its answer is the wallet's alone.
    async fn turn(
        &self,
        asset: &Asset,
        order: OrderId,
        previous: Option<&SignedReceipt>,
        prompt: &str,
    ) -> SignedReceipt {
        let manifest = InputManifest::new(vec![Input::describe("prompt", prompt.as_bytes())]);
        let nonce = self.next_nonce().await;
        let start = Start {
            request: StartRequest {
                order,
                datatoken: asset.datatoken,
                operation: Operation::Infer,
                input: manifest.digest(),
                parameters: Parameters::Infer(texts::greedy()).to_canonical(),
                turn: u64::from(previous.is_some()),
                previous: previous.map_or(Digest::ZERO, |receipt| receipt.digest),
                nonce,
            },
            inputs: Vec::new(),
            prompt: Some(prompt.to_owned()),
        };
        let before = self.standing(order).await;
        let forged = start.send(&self.market, &STRANGER.wallet()).await;
        assert_eq!(answer(forged, "bad_signature", 401).refusal, None);
        assert_eq!(
            (self.next_nonce().await, self.standing(order).await),
            (nonce, before)
        );

        let job = start.send(&self.market, &self.owner).await.unwrap();
        let job = self.until(job.id, Goal::Receipted).await;
        self.fetch_outputs(&job).await;
        let receipt = self.market.receipt(job.id).await.unwrap();
        assert_eq!(
            (receipt.receipt.consumer, receipt.receipt.order),
            (self.wallet, order)
        );
        receipt
    }

    /// The outputs are what the job says, for the wallet and not for its owner's own key.
    async fn fetch_outputs(&self, job: &Job) {
        assert_eq!(job.consumer, self.wallet);
        assert!(!job.outputs.is_empty(), "{job:?}");
        for output in &job.outputs {
            let path = format!("{}/api/v1/jobs/{}/outputs/{}", self.raw.url, job.id, output.name);
            let token = self.raw.token.as_ref().unwrap();
            let response = reqwest::Client::new().get(path).bearer_auth(token).send().await;
            let bytes = response
                .unwrap()
                .error_for_status()
                .unwrap()
                .bytes()
                .await
                .unwrap();
            assert_eq!(keccak256(&bytes), output.digest, "{}", output.name);
            let others = self.market.node().output(job.id, &output.name).await;
            answer(others, "job_not_found", 404);
        }
    }

    /// Waits for a job of the wallet.
    async fn until(&self, job: JobId, goal: Goal) -> Job {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let found: Job = self.get(&format!("/api/v1/jobs/{job}")).await;
            if goal.is_reached(found.state) {
                return found;
            }
            assert!(Instant::now() < end, "{goal:?} does not come: {found:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// State, tokens and turns of an order; nothing before its first turn.
    async fn standing(&self, order: OrderId) -> Option<(OrderState, u64, u64)> {
        let answer = self
            .raw
            .ask("GET", &format!("/api/v1/orders/{order}"), "", "")
            .await;
        if answer.0 == 404 {
            assert_eq!(error_of(&answer).0, "order_not_found");
            return None;
        }
        let order: Order = read(answer);
        Some((order.state, order.used_tokens, order.next_turn))
    }

    async fn next_nonce(&self) -> u64 {
        let next: Value = self.get(&format!("/api/v1/nonces/{}", self.wallet)).await;
        next["nonce"].as_u64().unwrap()
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> T {
        read(self.raw.ask("GET", path, "", "").await)
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> T {
        read(self.raw.post(path, serde_json::to_value(body).unwrap()).await)
    }
}

fn read<T: DeserializeOwned>((status, body): (u16, Value)) -> T {
    assert_eq!(status, 200, "{body}");
    serde_json::from_value(body).unwrap()
}

/// Code and argument of a wallet's creation.
fn creation_code(owner: Address) -> Bytes {
    let artifact = std::fs::read(repository().join(ARTIFACT))
        .expect("the contract wallet is not installed: run `make reader`, as `make test` does");
    let artifact: Value = serde_json::from_slice(&artifact).unwrap();
    let code: Bytes = artifact["bytecode"].as_str().unwrap().parse().unwrap();
    let argument = UniversalProfile::constructorCall { initialOwner: owner };
    [code.as_ref(), &argument.abi_encode()].concat().into()
}
