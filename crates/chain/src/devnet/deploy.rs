//! Deployment of Ocean's suite on a fresh devnet.
//!
//! Everything is signed first, with nonces that follow one another, so that addresses are the same on every fresh chain;
//! then sent in one go, then checked. The order and the constructor arguments are those of Ocean's own script, plus what
//! pools and resale need: the pool template given to the router's constructor, `SideStaking`, and the 1.1.15 exchange.

use alloy::consensus::TxEip1559;
use alloy::sol_types::{SolCall, SolValue};
use posthuman_types::{Address, Bytes, U256};
use serde_json::{Map, Value};

use super::artifacts::{Artifacts, Version};
use super::error::DevnetError;
use super::{CHAIN_ID, PROVIDER_FEE_SHARE};
use crate::address_book::{AddressBook, DEVELOPMENT};
use crate::bindings::{IEnterpriseFeeCollector, INftFactory, IRouter};
use crate::client::Chain;
use crate::error::ChainError;
use crate::transaction::SignedTransaction;
use crate::wallet::Wallet;

/// The largest deployment takes 5.5 million.
const GAS: u64 = 8_000_000;
/// Ten gwei: anvil starts at one and falls while blocks are nearly empty.
const FEE: u128 = 10_000_000_000;
const SWAP_FEE_APPROVED: u64 = 1_000_000_000_000_000;
const SWAP_FEE_OTHER: u64 = 2_000_000_000_000_000;
const CONSUME_FEE: u64 = 30_000_000_000_000_000;

/// One transaction of the deployment.
struct Step {
    to: Option<Address>,
    data: Bytes,
    what: String,
}

/// The deployment, written down before any of it is sent.
struct Plan<'a> {
    artifacts: &'a Artifacts,
    owner: Address,
    first_nonce: u64,
    steps: Vec<Step>,
}

/// Deploys everything and says where it is.
pub(super) async fn deploy(
    chain: &Chain,
    owner: &Wallet,
    artifacts: &Artifacts,
) -> Result<AddressBook, DevnetError> {
    let first_nonce = chain
        .transaction_count(owner.address())
        .await
        .map_err(failed("counting transactions"))?;
    let start_block = chain
        .block_number()
        .await
        .map_err(failed("reading the newest block"))?;
    let mut plan = Plan {
        artifacts,
        owner: owner.address(),
        first_nonce,
        steps: Vec::new(),
    };
    let mut book = plan.suite()?;
    book.start_block = start_block;
    let sent = plan.send(chain, owner).await?;
    for (signed, step) in sent.iter().zip(&plan.steps) {
        let receipt = chain.wait(signed).await.map_err(failed(&step.what))?;
        if !receipt.success {
            let what = format!("transaction {}", signed.hash);
            let why = "it failed on a chain where it cannot".to_owned();
            return Err(failed(&step.what)(ChainError::UnexpectedAnswer { what, why }));
        }
    }
    tracing::info!(transactions = sent.len(), router = %book.router, "deployed the contracts");
    Ok(book)
}

/// Names the step in which something failed.
fn failed(step: &str) -> impl FnOnce(ChainError) -> DevnetError {
    let step = step.to_owned();
    move |source| DevnetError::Deployment {
        step,
        source: Box::new(source),
    }
}

impl Plan<'_> {
    /// Signs all steps and sends them without waiting for any.
    async fn send(&self, chain: &Chain, owner: &Wallet) -> Result<Vec<SignedTransaction>, DevnetError> {
        let mut sent = Vec::with_capacity(self.steps.len());
        for (nonce, step) in (self.first_nonce..).zip(&self.steps) {
            let transaction = TxEip1559 {
                chain_id: CHAIN_ID,
                nonce,
                gas_limit: GAS,
                max_fee_per_gas: FEE,
                max_priority_fee_per_gas: 1,
                to: step.to.into(),
                value: U256::ZERO,
                input: step.data.clone(),
                ..TxEip1559::default()
            };
            let signed = owner.sign_transaction(transaction).map_err(failed(&step.what))?;
            chain.broadcast(&signed).await.map_err(failed(&step.what))?;
            sent.push(signed);
        }
        Ok(sent)
    }

    /// Writes all steps down, in Ocean's order.
    fn suite(&mut self) -> Result<AddressBook, DevnetError> {
        let mut others = Map::new();
        let ocean = self.create("utils/OceanToken.sol", "OceanToken", self.owner.abi_encode())?;
        let dai = self.mock_token("DAI", 18)?;
        let usdc = self.mock_token("USDC", 6)?;
        let owners = (self.owner, self.owner).abi_encode_params();
        let collector = self.create(
            "communityFee/OPFCommunityFeeCollector.sol",
            "OPFCommunityFeeCollector",
            owners.clone(),
        )?;
        let enterprise_collector = self.create(
            "communityFee/EnterpriseFeeCollector.sol",
            "EnterpriseFeeCollector",
            owners,
        )?;
        let pool_template = self.create("pools/balancer/BPool.sol", "BPool", Vec::new())?;
        let router_arguments =
            (self.owner, ocean, pool_template, collector, Vec::<Address>::new()).abi_encode_params();
        let router = self.create("pools/FactoryRouter.sol", "FactoryRouter", router_arguments)?;
        let exchanges = self.exchanges(router, enterprise_collector)?;
        let datatokens = [
            self.create("templates/ERC20Template.sol", "ERC20Template", Vec::new())?,
            self.create(
                "templates/ERC20TemplateEnterprise.sol",
                "ERC20TemplateEnterprise",
                Vec::new(),
            )?,
            self.create("templates/ERC20Template3.sol", "ERC20Template3", Vec::new())?,
            self.create("templates/ERC20Template4.sol", "ERC20Template4", Vec::new())?,
        ];
        let nft_template = self.create("templates/ERC721Template.sol", "ERC721Template", Vec::new())?;
        let dispenser = self.create("pools/dispenser/Dispenser.sol", "Dispenser", router.abi_encode())?;
        let factory_arguments = (nft_template, datatokens[0], router).abi_encode_params();
        let factory = self.create("ERC721Factory.sol", "ERC721Factory", factory_arguments)?;
        self.wire(router, factory, dispenser, &exchanges, &datatokens, dai);
        self.extras(router, enterprise_collector, ocean, &mut others)?;
        for (key, address) in [
            ("MockDAI", dai),
            ("MockUSDC", usdc),
            ("EnterpriseFeeCollector", enterprise_collector),
            ("FixedPriceEnterprise", exchanges.enterprise),
        ] {
            insert(&mut others, key, address);
        }
        Ok(AddressBook {
            network: DEVELOPMENT.to_owned(),
            chain_id: CHAIN_ID,
            start_block: 0,
            ocean,
            router,
            fixed_price: exchanges.current,
            fixed_price_resale: Some(exchanges.resale),
            dispenser,
            nft_factory: factory,
            side_staking: Some(exchanges.side_staking),
            pool_template: Some(pool_template),
            community_fee_collector: Some(collector),
            nft_templates: [("1".to_owned(), nft_template)].into(),
            datatoken_templates: (1..).map(|index: u8| index.to_string()).zip(datatokens).collect(),
            others,
        })
    }

    fn mock_token(&mut self, name: &str, decimals: u8) -> Result<Address, DevnetError> {
        let arguments = (name.to_owned(), name.to_owned(), U256::from(decimals)).abi_encode_params();
        self.create("utils/mock/MockERC20Decimals.sol", "MockERC20Decimals", arguments)
    }

    fn exchanges(
        &mut self,
        router: Address,
        enterprise_collector: Address,
    ) -> Result<Exchanges, DevnetError> {
        let with_router = router.abi_encode();
        let fixed_rate = "pools/fixedRate/FixedRateExchange.sol";
        Ok(Exchanges {
            current: self.create(fixed_rate, "FixedRateExchange", with_router.clone())?,
            enterprise: self.create(
                "pools/fixedRate/FixedRateExchangeEnterprise.sol",
                "FixedRateExchangeEnterprise",
                (router, enterprise_collector).abi_encode_params(),
            )?,
            side_staking: self.create_of(
                Version::Earlier,
                "pools/ssContracts/SideStaking.sol",
                "SideStaking",
                with_router.clone(),
            )?,
            resale: self.create_of(Version::Earlier, fixed_rate, "FixedRateExchange", with_router)?,
        })
    }

    /// Tells factory and router of each other and of everything else.
    fn wire(
        &mut self,
        router: Address,
        factory: Address,
        dispenser: Address,
        exchanges: &Exchanges,
        datatokens: &[Address],
        dai: Address,
    ) {
        for template in &datatokens[1..] {
            self.call(
                factory,
                &INftFactory::addTokenTemplateCall {
                    _templateAddress: *template,
                },
            );
        }
        self.call(router, &IRouter::addFactoryCall { _factory: factory });
        for exchange in [exchanges.current, exchanges.enterprise, exchanges.resale] {
            self.call(
                router,
                &IRouter::addFixedRateContractCall { _fixedRate: exchange },
            );
        }
        self.call(
            router,
            &IRouter::addDispenserContractCall {
                _dispenser: dispenser,
            },
        );
        self.call(
            router,
            &IRouter::addSSContractCall {
                _ssContract: exchanges.side_staking,
            },
        );
        self.call(router, &IRouter::addApprovedTokenCall { tokenAddress: dai });
        self.call(
            router,
            &IRouter::updateOPCFeeCall {
                _newSwapOceanFee: U256::from(SWAP_FEE_APPROVED),
                _newSwapNonOceanFee: U256::from(SWAP_FEE_OTHER),
                _newConsumeFee: U256::from(CONSUME_FEE),
                _newProviderFee: U256::from(PROVIDER_FEE_SHARE),
            },
        );
        self.call(
            router,
            &IRouter::updateMinVestingPeriodCall {
                _newPeriod: U256::ZERO,
            },
        );
    }

    /// What Ocean's other clients look for on a network.
    fn extras(
        &mut self,
        router: Address,
        enterprise_collector: Address,
        ocean: Address,
        others: &mut Map<String, Value>,
    ) -> Result<(), DevnetError> {
        let batch = self.create("rewards/BatchPayments.sol", "BatchPayments", Vec::new())?;
        let escrow = self.create(
            "escrow/Escrow.sol",
            "Escrow",
            (router, Address::ZERO).abi_encode_params(),
        )?;
        let enterprise_escrow = self.create(
            "escrow/EnterpriseEscrow.sol",
            "EnterpriseEscrow",
            enterprise_collector.abi_encode(),
        )?;
        let access_list = self.create("accesslists/AccessList.sol", "AccessList", Vec::new())?;
        let access_lists = self.create(
            "accesslists/AccessListFactory.sol",
            "AccessListFactory",
            access_list.abi_encode(),
        )?;
        self.call(
            enterprise_collector,
            &IEnterpriseFeeCollector::updateTokenCall {
                tokenAddress: ocean,
                minFee: U256::ZERO,
                maxFee: U256::MAX,
                feePercentage: U256::from(SWAP_FEE_APPROVED),
                allowed: true,
            },
        );
        insert(others, "BatchPayments", batch);
        insert(others, "Escrow", escrow);
        insert(others, "EnterpriseEscrow", enterprise_escrow);
        insert(others, "AccessListFactory", access_lists);
        Ok(())
    }

    fn create(&mut self, source: &str, contract: &str, arguments: Vec<u8>) -> Result<Address, DevnetError> {
        self.create_of(Version::Current, source, contract, arguments)
    }

    fn create_of(
        &mut self,
        version: Version,
        source: &str,
        contract: &str,
        arguments: Vec<u8>,
    ) -> Result<Address, DevnetError> {
        let mut code = self.artifacts.creation_code(version, source, contract)?;
        code.extend(arguments);
        let address = self.owner.create(self.first_nonce + self.steps.len() as u64);
        self.steps.push(Step {
            to: None,
            data: code.into(),
            what: format!("creating {contract}"),
        });
        Ok(address)
    }

    fn call<C: SolCall>(&mut self, to: Address, call: &C) {
        self.steps.push(Step {
            to: Some(to),
            data: call.abi_encode().into(),
            what: C::SIGNATURE.to_owned(),
        });
    }
}

struct Exchanges {
    current: Address,
    enterprise: Address,
    resale: Address,
    side_staking: Address,
}

fn insert(others: &mut Map<String, Value>, key: &str, address: Address) {
    others.insert(key.to_owned(), Value::String(address.to_string()));
}
