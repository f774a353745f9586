//! The provider's fee of an order: its signature, and what of it reaches the provider.

use alloy::signers::Signature;
use posthuman_types::api::ProviderFee;
use posthuman_types::{Address, Amount, B256, Bytes, U256, keccak256};

use crate::bindings::IRouter;
use crate::client::Chain;
use crate::error::ChainError;
use crate::wallet::Wallet;

/// Shares of the router are in parts of this.
const WHOLE: U256 = U256::from_limbs([1_000_000_000_000_000_000, 0, 0, 0]);

/// Digest of a provider fee before the EIP-191 prefix:
/// Keccak-256 of data, address, token, amount and `valid_until`, packed.
pub fn provider_fee_digest(fee: &ProviderFee) -> B256 {
    let mut packed = fee.provider_data.to_vec();
    packed.extend_from_slice(fee.address.as_slice());
    packed.extend_from_slice(fee.token.as_slice());
    packed.extend_from_slice(&fee.amount.0.to_be_bytes::<32>());
    packed.extend_from_slice(&U256::from(fee.valid_until).to_be_bytes::<32>());
    keccak256(packed)
}

/// Signs a provider fee for the wallet's own address.
///
/// # Errors
/// A failure of the signer.
pub fn sign_provider_fee(
    wallet: &Wallet,
    token: Address,
    amount: Amount,
    valid_until: u64,
    provider_data: Bytes,
) -> Result<ProviderFee, ChainError> {
    let address = wallet.address();
    let (v, r, s) = (0, B256::ZERO, B256::ZERO);
    let mut fee = ProviderFee {
        address,
        token,
        amount,
        valid_until,
        provider_data,
        v,
        r,
        s,
    };
    let signature = wallet.sign_message(provider_fee_digest(&fee).as_slice())?;
    fee.v = 27 + u8::from(signature.v());
    fee.r = signature.r().into();
    fee.s = signature.s().into();
    Ok(fee)
}

/// Who signed a provider fee; nothing if the signature is none at all.
pub fn provider_fee_signer(fee: &ProviderFee) -> Option<Address> {
    let odd = match fee.v {
        27 => false,
        28 => true,
        _ => return None,
    };
    let signature = Signature::new(fee.r.into(), fee.s.into(), odd);
    signature.recover_address_from_msg(provider_fee_digest(fee)).ok()
}

/// What of a provider fee reaches the provider when the router takes `share` (of 10^18) for the community, rounded down.
pub fn net_of_share(amount: U256, share: U256) -> U256 {
    // The contract multiplies in 256 bits and reverts on overflow, so no such fee is ever charged.
    let cut = amount
        .checked_mul(share)
        .map_or(amount, |product| product / WHOLE);
    amount.saturating_sub(cut)
}

impl Chain {
    /// The share of provider fees that the router takes for the community, times 10^18.
    ///
    /// # Errors
    /// No answer.
    pub async fn provider_fee_share(&self) -> Result<U256, ChainError> {
        self.read(self.address_book().router, &IRouter::getOPCProviderFeeCall {})
            .await
    }

    /// What of a provider fee reaches the provider.
    ///
    /// # Errors
    /// No answer.
    pub async fn net_provider_fee(&self, amount: U256) -> Result<U256, ChainError> {
        Ok(net_of_share(amount, self.provider_fee_share().await?))
    }

    /// The part of an order's datatoken that goes to the community, in base units (an amount, not a share).
    ///
    /// # Errors
    /// No answer.
    pub async fn consume_fee(&self) -> Result<U256, ChainError> {
        self.read(self.address_book().router, &IRouter::getOPCConsumeFeeCall {})
            .await
    }

    /// Where the community's parts go.
    ///
    /// # Errors
    /// No answer.
    pub async fn community_collector(&self) -> Result<Address, ChainError> {
        self.read(self.address_book().router, &IRouter::getOPCCollectorCall {})
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fee(wallet: &Wallet) -> ProviderFee {
        let data = Bytes::from_static(b"quote");
        sign_provider_fee(
            wallet,
            Address::repeat_byte(1),
            Amount::tokens(2),
            1_800_000_000,
            data,
        )
        .unwrap()
    }

    #[test]
    fn a_fee_recovers_to_its_signer_and_any_change_breaks_it() {
        let wallet = Wallet::random();
        let signed = fee(&wallet);
        assert_eq!(provider_fee_signer(&signed), Some(wallet.address()));
        let changes: [fn(&mut ProviderFee); 6] = [
            |fee| fee.token = Address::repeat_byte(2),
            |fee| fee.amount = Amount::tokens(1),
            |fee| fee.valid_until += 1,
            |fee| fee.provider_data = Bytes::from_static(b"quota"),
            |fee| fee.address = Address::ZERO,
            |fee| fee.v = 55 - fee.v,
        ];
        for change in changes {
            let mut changed = signed.clone();
            change(&mut changed);
            assert_ne!(provider_fee_signer(&changed), Some(wallet.address()));
        }
        let junk = ProviderFee {
            v: 1,
            r: B256::ZERO,
            s: B256::ZERO,
            ..signed
        };
        assert_eq!(provider_fee_signer(&junk), None);
    }

    #[test]
    fn the_net_fee_rounds_for_the_provider_as_the_contract_does() {
        let share = U256::from(1_000_000_000_000_000_u64);
        assert_eq!(net_of_share(U256::from(1_000_000), share), U256::from(999_000));
        assert_eq!(net_of_share(U256::from(999), share), U256::from(999));
        assert_eq!(net_of_share(U256::from(7), U256::ZERO), U256::from(7));
    }
}
