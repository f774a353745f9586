//! What every test begins with: a devnet with five users and a node, each with 1,000 OCEAN.

use posthuman_chain::devnet::{self, Devnet, DevnetOptions};
use posthuman_chain::*;
use posthuman_types::{Address, U256};

pub struct Market {
    pub devnet: Devnet,
    pub chain: Chain,
    pub node: Wallet,
    pub alice: Wallet,
    pub bob: Wallet,
}

/// Whole tokens in base units.
pub fn tokens(whole: u64) -> U256 {
    U256::from(whole) * U256::from(10).pow(U256::from(18))
}

/// Thousandths of a token in base units.
pub fn milli(thousandths: u64) -> U256 {
    tokens(thousandths) / U256::from(1000)
}

pub async fn open() -> Market {
    let devnet = Devnet::start(DevnetOptions::ephemeral())
        .await
        .map_err(told)
        .unwrap();
    let chain = devnet.chain().clone();
    let [node, alice, bob] = [devnet::NODE, devnet::ALICE, devnet::BOB].map(devnet::account);
    for wallet in [&node, &alice, &bob] {
        devnet::fund(&chain, wallet.address(), tokens(1000), U256::ZERO)
            .await
            .unwrap();
    }
    Market {
        devnet,
        chain,
        node,
        alice,
        bob,
    }
}

/// An error with all its causes in one line.
pub fn told(error: impl std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

impl Market {
    pub fn splitter_code(&self) -> SplitterCode {
        SplitterCode::read(&posthuman_chain::devnet::contracts_folder()).unwrap()
    }

    pub async fn send(&self, wallet: &Wallet, call: Call) -> Receipt {
        self.chain.send(wallet, call).await.map_err(told).unwrap()
    }

    /// The sentence with which a call is refused.
    pub async fn refused(&self, wallet: &Wallet, call: Call) -> String {
        told(self.chain.send(wallet, call).await.unwrap_err())
    }

    pub fn nft_spec(&self, owner: &Wallet) -> NftSpec {
        NftSpec {
            name: "Moby".into(),
            symbol: "MOBY".into(),
            token_uri: String::new(),
            transferable: true,
            owner: owner.address(),
        }
    }

    pub fn datatoken_spec(&self, minter: &Wallet) -> DatatokenSpec {
        DatatokenSpec {
            name: "Moby access".into(),
            symbol: "MOBY-1".into(),
            minter: minter.address(),
            payment_collector: Address::ZERO,
            market_fee: MarketFee::NONE,
        }
    }

    pub fn sale(&self, owner: &Wallet, price: U256) -> FixedRateSpec {
        FixedRateSpec {
            base_token: self.chain.address_book().ocean,
            base_decimals: 18,
            owner: owner.address(),
            rate: price,
            market_fee: U256::ZERO,
            market_fee_collector: owner.address(),
            allowed_swapper: Address::ZERO,
            with_mint: true,
        }
    }

    /// An asset of the node's wallet with a plain datatoken, minted by the node.
    pub async fn publish(&self) -> (Nft, Datatoken) {
        let call = self
            .chain
            .publish(&self.nft_spec(&self.node), &self.datatoken_spec(&self.node));
        let receipt = self.send(&self.node, call).await;
        let published = self.chain.published(&receipt).unwrap();
        (
            self.chain.nft(published.nft),
            self.chain.datatoken(published.datatoken),
        )
    }

    pub async fn balance(&self, token: &Token, wallet: &Wallet) -> U256 {
        token.balance_of(wallet.address()).await.unwrap()
    }
}
