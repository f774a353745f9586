//! A datatoken: who may mint it, who is paid, and where it is sold. Orders are in [`order`](crate::order).

use alloy::sol_types::SolValue;
use posthuman_types::{Address, B256, U256, keccak256};

use crate::bindings::IDatatoken;
use crate::call::Call;
use crate::client::Chain;
use crate::error::ChainError;
use crate::token::Token;
use crate::wallet::Wallet;

/// A datatoken of template 1. One whole token (10^18 base units) pays one order.
#[derive(Clone, Debug)]
pub struct Datatoken {
    token: Token,
}

/// What an account may do with a datatoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatatokenRoles {
    /// May mint.
    pub minter: bool,
    /// May change who is paid.
    pub payment_manager: bool,
    /// May administer it: the data NFT's role.
    pub deployer: bool,
}

/// What the market that published an asset takes per order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarketFee {
    /// Who gets it; zero for nobody.
    pub address: Address,
    /// In which token; zero for none.
    pub token: Address,
    /// How much of it, in base units.
    pub amount: U256,
}

impl MarketFee {
    /// No fee.
    pub const NONE: Self = Self {
        address: Address::ZERO,
        token: Address::ZERO,
        amount: U256::ZERO,
    };

    /// Whether anything is due.
    pub fn is_due(&self) -> bool {
        !(self.amount.is_zero() || self.token.is_zero() || self.address.is_zero())
    }
}

impl Chain {
    /// The datatoken at an address. Asks nothing; see [`is_datatoken`](Self::is_datatoken).
    pub fn datatoken(&self, address: Address) -> Datatoken {
        Datatoken {
            token: self.token(address),
        }
    }
}

/// Reads fail if the chain does not answer or the address is no datatoken.
impl Datatoken {
    /// Where it is.
    pub fn address(&self) -> Address {
        self.token.address()
    }

    /// The same contract as a plain token.
    pub fn token(&self) -> &Token {
        &self.token
    }

    /// Its data NFT.
    ///
    /// # Errors
    /// See above.
    pub async fn nft(&self) -> Result<Address, ChainError> {
        self.chain()
            .read(self.address(), &IDatatoken::getERC721AddressCall {})
            .await
    }

    /// Who gets the datatokens of orders and the proceeds of sales.
    ///
    /// # Errors
    /// See above.
    pub async fn payment_collector(&self) -> Result<Address, ChainError> {
        self.chain()
            .read(self.address(), &IDatatoken::getPaymentCollectorCall {})
            .await
    }

    /// What an account may do.
    ///
    /// # Errors
    /// See above.
    pub async fn roles(&self, user: Address) -> Result<DatatokenRoles, ChainError> {
        let roles = self
            .chain()
            .read(self.address(), &IDatatoken::getPermissionsCall { user })
            .await?;
        let deployer = self
            .chain()
            .read(self.address(), &IDatatoken::isERC20DeployerCall { user })
            .await?;
        Ok(DatatokenRoles {
            minter: roles.minter,
            payment_manager: roles.paymentManager,
            deployer,
        })
    }

    /// What the publishing market takes per order.
    ///
    /// # Errors
    /// See above.
    pub async fn publishing_market_fee(&self) -> Result<MarketFee, ChainError> {
        let fee = self
            .chain()
            .read(self.address(), &IDatatoken::getPublishingMarketFeeCall {})
            .await?;
        Ok(MarketFee {
            address: fee._0,
            token: fee._1,
            amount: fee._2,
        })
    }

    /// The fixed-rate exchanges it was given: contract and exchange id.
    ///
    /// # Errors
    /// See above.
    pub async fn fixed_rates(&self) -> Result<Vec<(Address, B256)>, ChainError> {
        let rates = self
            .chain()
            .read(self.address(), &IDatatoken::getFixedRatesCall {})
            .await?;
        Ok(rates
            .into_iter()
            .map(|rate| (rate.contractAddress, rate.id))
            .collect())
    }

    /// The dispensers it was given.
    ///
    /// # Errors
    /// See above.
    pub async fn dispensers(&self) -> Result<Vec<Address>, ChainError> {
        self.chain()
            .read(self.address(), &IDatatoken::getDispensersCall {})
            .await
    }

    /// Its pools; there is at most one.
    ///
    /// # Errors
    /// See above.
    pub async fn pools(&self) -> Result<Vec<Address>, ChainError> {
        self.chain()
            .read(self.address(), &IDatatoken::getPoolsCall {})
            .await
    }

    /// Makes new tokens. For minters.
    pub fn mint(&self, account: Address, amount: U256) -> Call {
        let call = IDatatoken::mintCall {
            account,
            value: amount,
        };
        self.call(
            &call,
            format!("minting {amount} of datatoken {} for {account}", self.address()),
        )
    }

    /// Destroys tokens of the sender.
    pub fn burn(&self, amount: U256) -> Call {
        self.call(
            &IDatatoken::burnCall { amount },
            format!("burning {amount} of datatoken {}", self.address()),
        )
    }

    /// Destroys tokens of another that the sender is allowed to take.
    pub fn burn_from(&self, account: Address, amount: U256) -> Call {
        let label = format!("burning {amount} of datatoken {} of {account}", self.address());
        self.call(&IDatatoken::burnFromCall { account, amount }, label)
    }

    /// Lets an account mint. For deployers.
    pub fn add_minter(&self, minter: Address) -> Call {
        let label = format!("letting {minter} mint datatoken {}", self.address());
        self.call(&IDatatoken::addMinterCall { _minter: minter }, label)
    }

    /// Takes the right to mint away. For deployers. While the NFT has an owner, they can give it again.
    pub fn remove_minter(&self, minter: Address) -> Call {
        let label = format!(
            "taking from {minter} the right to mint datatoken {}",
            self.address()
        );
        self.call(&IDatatoken::removeMinterCall { _minter: minter }, label)
    }

    /// Lets an account change who is paid. For deployers.
    pub fn add_payment_manager(&self, manager: Address) -> Call {
        let label = format!(
            "letting {manager} choose who is paid for datatoken {}",
            self.address()
        );
        self.call(
            &IDatatoken::addPaymentManagerCall {
                _paymentManager: manager,
            },
            label,
        )
    }

    /// Takes that right away. For deployers.
    pub fn remove_payment_manager(&self, manager: Address) -> Call {
        let label = format!(
            "taking from {manager} the right to choose who is paid for datatoken {}",
            self.address()
        );
        self.call(
            &IDatatoken::removePaymentManagerCall {
                _paymentManager: manager,
            },
            label,
        )
    }

    /// Chooses who is paid; the zero address means the data NFT's owner.
    /// For the NFT's owner, deployers and payment managers.
    pub fn set_payment_collector(&self, collector: Address) -> Call {
        let label = format!(
            "making {collector} the payment collector of datatoken {}",
            self.address()
        );
        self.call(
            &IDatatoken::setPaymentCollectorCall {
                _newPaymentCollector: collector,
            },
            label,
        )
    }

    /// An EIP-2612 permit of `holder` for `spender`, signed here and sent by anyone.
    ///
    /// Unlike the standard, this template compares the deadline with the **block number**.
    ///
    /// # Errors
    /// The spender is the router, or the chain does not answer.
    pub async fn permit(
        &self,
        holder: &Wallet,
        spender: Address,
        amount: U256,
        deadline_block: u64,
    ) -> Result<Call, ChainError> {
        self.token.refuse_router(spender, amount)?;
        let owner = holder.address();
        let nonce = self
            .chain()
            .read(self.address(), &IDatatoken::noncesCall(owner))
            .await?;
        let domain = self
            .chain()
            .read(self.address(), &IDatatoken::DOMAIN_SEPARATORCall {})
            .await?;
        let deadline = U256::from(deadline_block);
        let kind =
            keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
        let message = keccak256((kind, owner, spender, amount, nonce, deadline).abi_encode());
        let digest = keccak256([&[0x19, 0x01], domain.as_slice(), message.as_slice()].concat());
        let signature = holder.sign_digest(digest)?;
        let call = IDatatoken::permitCall {
            owner,
            spender,
            value: amount,
            deadline,
            v: 27 + u8::from(signature.v()),
            r: signature.r().into(),
            s: signature.s().into(),
        };
        Ok(self.call(
            &call,
            format!(
                "permitting {spender} {amount} of datatoken {} of {owner}",
                self.address()
            ),
        ))
    }

    pub(crate) fn chain(&self) -> &Chain {
        self.token.chain()
    }

    pub(crate) fn call<C: alloy::sol_types::SolCall>(&self, call: &C, label: String) -> Call {
        Call::contract(self.address(), call, label)
    }
}
