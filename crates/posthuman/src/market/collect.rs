//! Paying out what a model earned, up its line. Anyone may do it; the destinations are fixed on the chain.

use std::collections::BTreeSet;

use posthuman_types::{Address, Amount, B256, Did, U256};
use serde::Serialize;

use super::{Listener, Market};
use crate::MarketError;

/// One payment out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Collected {
    /// The exchange contract or the Splitter that paid.
    pub from: Address,
    /// The token.
    pub token: Address,
    /// Who was paid: the payment collector, or the Splitter's payees together.
    pub to: Vec<Address>,
    /// How much left it, in base units.
    pub amount: Amount,
    /// The transaction.
    pub transaction: B256,
}

impl Market {
    /// Collects the proceeds of every exchange of a model's datatoken, then releases the Splitter that receives them,
    /// in the base token and in datatokens, and the Splitters of its ancestors.
    ///
    /// # Errors
    /// No answer, or a refusal by the chain; what was paid out before stays so, and calling again goes on.
    pub async fn collect(
        &self,
        did: &Did,
        listener: &mut Listener<'_>,
    ) -> Result<Vec<Collected>, MarketError> {
        let asset = self.asset(did).await?;
        let datatoken = self.chain.datatoken(asset.datatoken);
        let collector = datatoken.payment_collector().await?;
        let mut collected = Vec::new();
        let mut tokens = vec![asset.datatoken];
        for (contract, id) in datatoken.fixed_rates().await? {
            let exchange = self.chain.fixed_rate_at(contract);
            let Some(state) = exchange.exchange(id).await? else {
                continue;
            };
            if !tokens.contains(&state.base_token) {
                tokens.push(state.base_token);
            }
            if !state.base_balance.is_zero() {
                let shown = self
                    .chain
                    .token(state.base_token)
                    .amount(state.base_balance)
                    .await?;
                let call = exchange.collect(id, state.base_balance);
                let call = call.with_label(format!("paying out {shown} of exchange {id}"));
                let receipt = self.send_call(call, listener).await?;
                collected.push(Collected {
                    from: contract,
                    token: state.base_token,
                    to: vec![collector],
                    amount: Amount(state.base_balance),
                    transaction: receipt.transaction,
                });
            }
        }
        for token in tokens {
            self.release_up(collector, token, &mut collected, listener)
                .await?;
        }
        Ok(collected)
    }

    /// Releases a Splitter, then those among its payees that are Splitters themselves.
    async fn release_up(
        &self,
        first: Address,
        token: Address,
        collected: &mut Vec<Collected>,
        listener: &mut Listener<'_>,
    ) -> Result<(), MarketError> {
        let (mut next, mut seen) = (vec![first], BTreeSet::new());
        while let Some(address) = next.pop() {
            if !seen.insert(address) || !self.chain.is_contract(address).await? {
                continue;
            }
            let splitter = self.chain.splitter(address);
            // A contract that is no Splitter, such as a contract wallet, keeps what it got.
            let Ok(payees) = splitter.payees().await else {
                continue;
            };
            let payees: Vec<Address> = payees.into_iter().map(|(payee, _)| payee).collect();
            let balance = self.chain.token(token).balance_of(address).await?;
            // One unit always stays: the contract keeps it.
            if balance > U256::ONE {
                let receipt = self.send_call(splitter.release(token), listener).await?;
                collected.push(Collected {
                    from: address,
                    token,
                    to: payees.clone(),
                    amount: Amount(balance - U256::ONE),
                    transaction: receipt.transaction,
                });
            }
            next.extend(payees);
        }
        Ok(())
    }
}
