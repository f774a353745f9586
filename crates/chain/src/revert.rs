//! Reasons for which contracts refuse, in words.

use std::fmt;

use alloy::sol_types::{Panic, Revert as RevertString, SolError};
use posthuman_types::{ErrorClass, U256};

/// Why a contract refused, raw and explained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revert {
    reason: String,
    explanation: Option<&'static Explanation>,
}

impl Revert {
    /// Reads what a reverted call returned (`Error(string)`, `Panic(uint256)`, a custom error, or nothing).
    pub fn from_data(data: &[u8]) -> Self {
        if data.is_empty() {
            return Self {
                reason: String::new(),
                explanation: Some(&WITHOUT_REASON),
            };
        }
        if let Ok(error) = RevertString::abi_decode(data) {
            return Self::from_reason(&error.reason);
        }
        if let Ok(panic) = Panic::abi_decode(data) {
            return Self::from_panic(panic.code);
        }
        Self {
            reason: format!("0x{}", alloy::hex::encode(data)),
            explanation: None,
        }
    }

    /// Reads a reason that arrived as text, for example inside a node's error message.
    pub fn from_reason(reason: &str) -> Self {
        let explanation = EXPLANATIONS.iter().find(|entry| reason.contains(entry.pattern));
        Self {
            reason: reason.to_owned(),
            explanation,
        }
    }

    fn from_panic(code: U256) -> Self {
        let what = match code.try_into().unwrap_or(u64::MAX) {
            0x01 => "an assertion failed",
            0x11 => "an amount overflows or would become negative",
            0x12 => "a division by zero",
            0x32 => "an index outside its list",
            0x41 => "too much memory was asked for",
            _ => "a fault in the contract",
        };
        Self {
            reason: format!("panic {code:#x}: {what}"),
            explanation: None,
        }
    }

    /// The contract's own words, empty if it gave none.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Who can mend it. Lack of tokens or allowance is a matter of payment, lack of a role one of rights.
    pub fn class(&self) -> ErrorClass {
        self.explanation
            .map_or(ErrorClass::Caller, |explanation| explanation.class)
    }
}

impl fmt::Display for Revert {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.explanation, self.reason.as_str()) {
            (Some(explanation), "") => formatter.write_str(explanation.sentence),
            (Some(explanation), reason) => write!(
                formatter,
                "{} (the contract says: {reason})",
                explanation.sentence
            ),
            (None, reason) => write!(formatter, "the contract says: {reason}"),
        }
    }
}

impl std::error::Error for Revert {}

#[derive(Debug, PartialEq, Eq)]
struct Explanation {
    pattern: &'static str,
    class: ErrorClass,
    sentence: &'static str,
}

const fn explain(pattern: &'static str, class: ErrorClass, sentence: &'static str) -> Explanation {
    Explanation {
        pattern,
        class,
        sentence,
    }
}

use ErrorClass::{Caller, Conflict, Payment, Unauthorized};

static WITHOUT_REASON: Explanation = explain(
    "",
    Caller,
    "the contract gave no reason; the address may be no contract of the expected kind, or the gas ran out",
);

/// The first entry whose pattern is part of the reason counts, so the longer patterns stand first.
#[rustfmt::skip]
static EXPLANATIONS: &[Explanation] = &[
    // ERC-20
    explain("transfer amount exceeds balance", Payment, "the payer has fewer tokens than this moves; get more of the token or lower the amount"),
    explain("transfer amount exceeds allowance", Payment, "the payer has not allowed the contract to take this many tokens; approve exactly this amount first"),
    explain("insufficient allowance", Payment, "the payer has not allowed the contract to take this many tokens; approve exactly this amount first"),
    explain("decreased allowance below zero", Caller, "the allowance is smaller than what should be taken off it; read it and take off less"),
    explain("burn amount exceeds balance", Caller, "the holder has fewer tokens than should be burnt; lower the amount"),
    explain("burn amount exceeds allowance", Caller, "the holder has not allowed the caller to burn this many tokens; approve exactly this amount first"),
    explain("to the zero address", Caller, "the receiver is the zero address; give a real one"),
    explain("ERC20Capped: cap exceeded", Caller, "the token's cap would be exceeded; mint less"),
    explain("cap exceeded", Caller, "the datatoken's cap would be exceeded; mint less"),
    explain("Transfer amount is too low", Caller, "the token delivered less than it was asked to move; tokens that take a fee on transfer do not work here"),
    explain("SafeERC20", Caller, "the token refused the transfer; check balance and allowance of the payer"),
    explain("ERC20DT: EXPIRED", Conflict, "the permit's deadline, a block number, has passed; sign a new one"),
    explain("ERC20DT: INVALID_SIGNATURE", Unauthorized, "the permit is not signed by the holder for this amount, spender and nonce; sign it again"),
    // Orders
    explain("Not enough datatokens to start Order", Payment, "an order costs one datatoken and the payer has less; buy one first"),
    explain("Invalid provider fee", Unauthorized, "the provider fee is not signed by the provider it names; ask the node for a new quote and change nothing in it"),
    explain("Provider cannot be the consumer", Caller, "the consumer of an order and the provider that executes it are the same wallet; use different ones"),
    explain("Provider signature check failed", Unauthorized, "the provider's signature does not cover this order and data; the sending wallet must have signed them"),
    explain("Consumer signature check failed", Unauthorized, "the consumer's signature does not cover this consumer data, or the consumer is a contract wallet"),
    // Roles
    explain("NOT MINTER", Unauthorized, "the sender is no minter of this datatoken; a deployer can add it, unless minting was given up for good"),
    explain("NOT DEPLOYER ROLE", Unauthorized, "the sender may not administer this datatoken; the owner of its data NFT can grant the role of deployer"),
    explain("NOT ERC20DEPLOYER_ROLE", Unauthorized, "the sender may not create datatokens for this data NFT; its owner can grant the role of deployer"),
    explain("NOT METADATA_ROLE", Unauthorized, "the sender may not write this asset's metadata; a manager of the data NFT can grant the role"),
    explain("NOT STORE UPDATER", Unauthorized, "the sender may not write this data NFT's store; a manager can grant the role"),
    explain("NOT PAYMENT MANAGER", Unauthorized, "the sender may not change who is paid; the data NFT's owner or a payment manager can"),
    explain("NOT MANAGER", Unauthorized, "the sender is no manager of this data NFT; its owner can make it one"),
    explain("not NFTOwner", Unauthorized, "the sender does not own this data NFT"),
    explain("not publishMarketFeeAddress", Unauthorized, "only the receiver of the publishing market's fee may change it"),
    explain("Is non transferable", Caller, "this data NFT was made as not transferable"),
    explain("caller is not the owner", Unauthorized, "the sender does not own this contract, or its ownership was given up"),
    explain("NOT OWNER", Unauthorized, "the sender does not own the router"),
    explain("invalid exchange owner", Unauthorized, "only the data NFT's owner or a deployer of the datatoken may change this exchange"),
    // Fixed rate
    explain("Exchange does not exist", Caller, "there is no such exchange, or it is switched off; look for the asset's current exchange"),
    explain("Exchange is not active", Conflict, "the exchange is switched off"),
    explain("Exchange already exists", Conflict, "this exchange contract holds one exchange per pair of tokens and this pair has one; use it or change its rate"),
    explain("Too many base tokens", Payment, "the price with fees is above the maximum given; ask for a new quote and raise the maximum"),
    explain("Too few base tokens", Caller, "the proceeds after fees are below the minimum given; ask for a new quote and lower the minimum"),
    explain("No available datatokens", Conflict, "the exchange may not mint and holds too few datatokens"),
    explain("Not enough base tokens", Conflict, "the exchange has not taken in enough to pay for this sale; sell less"),
    explain("not allowed to swap", Unauthorized, "this exchange sells to one address only and the sender is another"),
    explain("zero datatoken amount", Caller, "the amount of datatokens is zero; give a positive one"),
    explain("Invalid exchange rate value", Caller, "the rate is below 10^10; give the base tokens per datatoken in 10^18ths"),
    explain("looks EOA", Caller, "the base token is no contract; give the address of an ERC-20 token"),
    explain("SwapFee too low", Caller, "the market's fee is under 0.01 %; take none or at least 10^14"),
    explain("SwapFee too high", Caller, "the market's fee is too high; take at most 50 %, which is 5·10^17 (10^17 in a pool)"),
    explain("Invalid FixedPriceContract", Caller, "the router does not know this exchange contract; check the address book"),
    // Dispenser
    explain("not allowed to request DT", Unauthorized, "this dispenser gives to one address only and that is another"),
    explain("Dispenser not active", Conflict, "the dispenser is switched off"),
    explain("Amount too high", Caller, "the dispenser gives less than this at a time; ask for less"),
    explain("Caller balance too high", Conflict, "the receiver holds too many datatokens already for this dispenser"),
    explain("Invalid owner", Unauthorized, "only the data NFT's owner or a deployer of the datatoken may change this dispenser"),
    // Pools
    explain("tokens already minted", Conflict, "a pool needs a datatoken that was never minted; make the pool first, or create another datatoken"),
    explain("Vesting period too low", Caller, "the vesting period is under the router's minimum; raise the number of blocks"),
    explain("invalid ssContract", Caller, "the router does not know this side staking contract; this network has no pools, or the address book is wrong"),
    explain("Wrong Pool Template", Caller, "the router does not know this pool template; check the address book"),
    explain("ERR_MAX_IN_RATIO", Caller, "a trade may bring in at most half of the pool's reserve; trade less"),
    explain("ERR_MAX_OUT_RATIO", Caller, "a trade may take out at most half of the pool's reserve; trade less"),
    explain("ERR_LIMIT_IN", Payment, "the pool asks more than the maximum given; ask for a new quote and raise the maximum"),
    explain("ERR_LIMIT_OUT", Caller, "the pool gives less than the minimum given; ask for a new quote and lower the minimum"),
    explain("ERR_LIMIT_PRICE", Caller, "the price after the trade is above the maximum given; trade less or raise the maximum"),
    explain("ERR_BAD_LIMIT_PRICE", Caller, "the pool's price is above the maximum given already; raise the maximum"),
    explain("ERR_NOT_BOUND", Caller, "the pool does not hold this token; check the pair"),
    // Splitter
    explain("length mismatch", Caller, "each payee needs exactly one share; give as many shares as payees"),
    explain("no payees", Caller, "a splitter needs at least one payee"),
    explain("shares are 0", Caller, "a payee's share is zero; leave the payee out"),
    explain("already has shares", Caller, "a payee is named twice; add its shares up"),
    explain("cannot receive ether", Caller, "a splitter takes tokens only, no ether"),
    // Set-up
    explain("FACTORY ALREADY SET", Conflict, "this router has its factory already; the suite is deployed"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_panics_custom_errors_and_silence() {
        let data = RevertString::from("ERC20: transfer amount exceeds allowance").abi_encode();
        let revert = Revert::from_data(&data);
        assert_eq!(revert.class(), ErrorClass::Payment);
        assert!(
            revert.to_string().contains("approve exactly this amount"),
            "{revert}"
        );
        assert!(
            revert
                .to_string()
                .ends_with("(the contract says: ERC20: transfer amount exceeds allowance)")
        );

        let panic = Panic {
            code: U256::from(0x11),
        }
        .abi_encode();
        assert!(Revert::from_data(&panic).to_string().contains("overflows"));
        assert!(
            Revert::from_data(&[0xde, 0xad, 0xbe, 0xef])
                .to_string()
                .contains("0xdeadbeef")
        );
        assert!(Revert::from_data(&[]).to_string().contains("no reason"));
        assert_eq!(
            Revert::from_reason("something new").to_string(),
            "the contract says: something new"
        );
    }

    #[test]
    fn no_entry_hides_a_later_one() {
        for (index, entry) in EXPLANATIONS.iter().enumerate() {
            let first = EXPLANATIONS
                .iter()
                .position(|other| entry.pattern.contains(other.pattern));
            assert_eq!(first, Some(index), "`{}` is never reached", entry.pattern);
        }
    }
}
