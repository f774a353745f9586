//! Making assets: a data NFT with its datatoken and, in the same transaction, a place where it is sold.

use posthuman_types::{Address, B256, U256};

use crate::bindings::{IDatatoken, INftFactory};
use crate::call::Call;
use crate::client::Chain;
use crate::datatoken::MarketFee;
use crate::error::ChainError;
use crate::transaction::Receipt;

/// Ocean's plain templates, of data NFTs and of datatokens.
const PLAIN_TEMPLATE: u64 = 1;
/// Template 1 ignores the cap but refuses zero.
const CAP: U256 = U256::MAX;
const DATATOKEN_DECIMALS: u64 = 18;

/// A data NFT to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NftSpec {
    /// Name.
    pub name: String,
    /// Symbol.
    pub symbol: String,
    /// Token URI, for wallets.
    pub token_uri: String,
    /// Whether it can change hands later.
    pub transferable: bool,
    /// Who owns it and has every role at birth.
    pub owner: Address,
}

/// A datatoken of template 1 to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatatokenSpec {
    /// Name.
    pub name: String,
    /// Symbol.
    pub symbol: String,
    /// Who may mint.
    pub minter: Address,
    /// Who gets what orders and sales pay; zero for the data NFT's owner.
    pub payment_collector: Address,
    /// What the publishing market takes per order.
    pub market_fee: MarketFee,
}

/// A sale at a fixed price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FixedRateSpec {
    /// What is paid with.
    pub base_token: Address,
    /// Decimals of the base token.
    pub base_decimals: u8,
    /// Shown as the exchange's owner. On the resale exchange its balance is what is sold.
    pub owner: Address,
    /// Base tokens per whole datatoken, times 10^18; at least 10^10.
    pub rate: U256,
    /// Share of the publishing market in each swap, times 10^18: zero, or 10^14 to 5·10^17.
    pub market_fee: U256,
    /// Who gets that share.
    pub market_fee_collector: Address,
    /// The only address that may swap, or zero for anyone.
    pub allowed_swapper: Address,
    /// Whether the exchange makes the datatokens that it sells.
    pub with_mint: bool,
}

/// A dispenser: datatokens for free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DispenserSpec {
    /// The most it gives at a time.
    pub max_tokens: U256,
    /// Whoever holds this much gets nothing. It counts by address, so it is no protection against many addresses.
    pub max_balance: U256,
    /// Whether it makes the datatokens that it gives.
    pub with_mint: bool,
    /// The only address that may ask, or zero for anyone.
    pub allowed_swapper: Address,
}

/// A pool of two tokens, half and half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolSpec {
    /// The other token.
    pub base_token: Address,
    /// Decimals of the base token.
    pub base_decimals: u8,
    /// Datatokens per base token, times 10^18, above 10^12.
    pub rate: U256,
    /// Base tokens put in by the publisher. The *factory* must be allowed to take them first.
    pub initial_liquidity: U256,
    /// Share of the liquidity providers in each swap, times 10^18: 10^14 to 10^17.
    pub liquidity_fee: U256,
    /// Share of the publishing market, times 10^18: zero, or 10^14 to 10^17.
    pub market_fee: U256,
    /// Who gets that share.
    pub market_fee_collector: Address,
    /// Who gets the first pool shares.
    pub publisher: Address,
}

/// What a publishing transaction made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// The data NFT.
    pub nft: Address,
    /// The datatoken.
    pub datatoken: Address,
    /// The fixed-rate exchange's id.
    pub exchange: Option<B256>,
    /// The dispenser contract.
    pub dispenser: Option<Address>,
    /// The pool.
    pub pool: Option<Address>,
    /// The transaction.
    pub transaction: B256,
    /// Its block.
    pub block_number: u64,
}

impl Chain {
    /// Makes a data NFT and its datatoken.
    pub fn publish(&self, nft: &NftSpec, datatoken: &DatatokenSpec) -> Call {
        let call = INftFactory::createNftWithErc20Call {
            _NftCreateData: nfts(nft),
            _ErcCreateData: ercs(datatoken),
        };
        self.factory_call(&call, nft, "")
    }

    /// Makes a data NFT, its datatoken and a sale at a fixed price on the 2.6.0 exchange.
    pub fn publish_with_fixed_rate(
        &self,
        nft: &NftSpec,
        datatoken: &DatatokenSpec,
        sale: &FixedRateSpec,
    ) -> Call {
        let (addresses, uints) = fixed_rate_arguments(sale);
        let call = INftFactory::createNftWithErc20WithFixedRateCall {
            _NftCreateData: nfts(nft),
            _ErcCreateData: ercs(datatoken),
            _FixedData: INftFactory::FixedData {
                fixedPriceAddress: self.address_book().fixed_price,
                addresses,
                uints,
            },
        };
        self.factory_call(&call, nft, " with a fixed-rate exchange")
    }

    /// Makes a data NFT, its datatoken and a dispenser.
    pub fn publish_with_dispenser(
        &self,
        nft: &NftSpec,
        datatoken: &DatatokenSpec,
        gift: &DispenserSpec,
    ) -> Call {
        let call = INftFactory::createNftWithErc20WithDispenserCall {
            _NftCreateData: nfts(nft),
            _ErcCreateData: ercs(datatoken),
            _DispenserData: INftFactory::DispenserData {
                dispenserAddress: self.address_book().dispenser,
                maxTokens: gift.max_tokens,
                maxBalance: gift.max_balance,
                withMint: gift.with_mint,
                allowedSwapper: gift.allowed_swapper,
            },
        };
        self.factory_call(&call, nft, " with a dispenser")
    }

    /// Makes a data NFT, its datatoken and a pool.
    ///
    /// The pool's side staking mints the whole supply to itself: nobody can ever mint that datatoken again, and its
    /// total supply says nothing.
    ///
    /// # Errors
    /// A network without pools.
    pub fn publish_with_pool(
        &self,
        nft: &NftSpec,
        datatoken: &DatatokenSpec,
        pool: &PoolSpec,
    ) -> Result<Call, ChainError> {
        let book = self.address_book();
        let side_staking = book.side_staking.ok_or_else(|| book.lacks("Staking"))?;
        let template = book.pool_template.ok_or_else(|| book.lacks("poolTemplate"))?;
        let (no_vesting, vesting_blocks) = (U256::ZERO, U256::from(2_426_000));
        let pool_data = INftFactory::PoolData {
            ssParams: vec![
                pool.rate,
                U256::from(pool.base_decimals),
                no_vesting,
                vesting_blocks,
                pool.initial_liquidity,
            ],
            swapFees: vec![pool.liquidity_fee, pool.market_fee],
            // The third is who pays the base token, and must be the factory itself in this call.
            addresses: vec![
                side_staking,
                pool.base_token,
                book.nft_factory,
                pool.publisher,
                pool.market_fee_collector,
                template,
            ],
        };
        let call = INftFactory::createNftWithErc20WithPoolCall {
            _NftCreateData: nfts(nft),
            _ErcCreateData: ercs(datatoken),
            _PoolData: pool_data,
        };
        Ok(self.factory_call(&call, nft, " with a pool"))
    }

    /// Reads what a publishing transaction made.
    ///
    /// # Errors
    /// The transaction made no data NFT or no datatoken.
    pub fn published(&self, receipt: &Receipt) -> Result<Published, ChainError> {
        let factory = self.address_book().nft_factory;
        let nft = receipt.event::<INftFactory::NFTCreated>(factory)?.newTokenAddress;
        let datatoken = receipt
            .event::<INftFactory::TokenCreated>(factory)?
            .newTokenAddress;
        Ok(Published {
            nft,
            datatoken,
            exchange: receipt
                .event::<IDatatoken::NewFixedRate>(datatoken)
                .ok()
                .map(|event| event.exchangeId),
            dispenser: receipt
                .event::<IDatatoken::NewDispenser>(datatoken)
                .ok()
                .map(|event| event.dispenserContract),
            pool: receipt
                .event::<IDatatoken::NewPool>(datatoken)
                .ok()
                .map(|event| event.poolAddress),
            transaction: receipt.transaction,
            block_number: receipt.block_number,
        })
    }

    /// Whether the network's factory made this data NFT. Anything else can lie about everything.
    ///
    /// # Errors
    /// No answer.
    pub async fn is_nft(&self, address: Address) -> Result<bool, ChainError> {
        let listed = self
            .read(
                self.address_book().nft_factory,
                &INftFactory::erc721ListCall(address),
            )
            .await?;
        Ok(listed == address && !address.is_zero())
    }

    /// Whether the network's factory made this datatoken.
    ///
    /// # Errors
    /// No answer.
    pub async fn is_datatoken(&self, address: Address) -> Result<bool, ChainError> {
        self.read(
            self.address_book().nft_factory,
            &INftFactory::erc20ListCall(address),
        )
        .await
    }

    fn factory_call<C: alloy::sol_types::SolCall>(&self, call: &C, nft: &NftSpec, with: &str) -> Call {
        let label = format!("publishing {} ({}){with}", nft.name, nft.symbol);
        Call::contract(self.address_book().nft_factory, call, label)
    }
}

fn nfts(spec: &NftSpec) -> INftFactory::NftCreateData {
    INftFactory::NftCreateData {
        name: spec.name.clone(),
        symbol: spec.symbol.clone(),
        templateIndex: U256::from(PLAIN_TEMPLATE),
        tokenURI: spec.token_uri.clone(),
        transferable: spec.transferable,
        owner: spec.owner,
    }
}

pub(crate) fn ercs(spec: &DatatokenSpec) -> INftFactory::ErcCreateData {
    let fee = spec.market_fee;
    INftFactory::ErcCreateData {
        templateIndex: U256::from(PLAIN_TEMPLATE),
        strings: vec![spec.name.clone(), spec.symbol.clone()],
        addresses: vec![spec.minter, spec.payment_collector, fee.address, fee.token],
        uints: vec![CAP, fee.amount],
        bytess: Vec::new(),
    }
}

pub(crate) fn fixed_rate_arguments(sale: &FixedRateSpec) -> (Vec<Address>, Vec<U256>) {
    let addresses = vec![
        sale.base_token,
        sale.owner,
        sale.market_fee_collector,
        sale.allowed_swapper,
    ];
    let decimals = [U256::from(sale.base_decimals), U256::from(DATATOKEN_DECIMALS)];
    let uints = vec![
        decimals[0],
        decimals[1],
        sale.rate,
        sale.market_fee,
        U256::from(sale.with_mint),
    ];
    (addresses, uints)
}
