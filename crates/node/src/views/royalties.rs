//! Who is paid for a model, as the chain has it now.

use posthuman_chain::Splitter;
use posthuman_types::api::{BirthMint, Payee, Royalties};
use posthuman_types::{Address, Did, U256};

use crate::error::{ErrorCode, NodeError};
use crate::node::Node;

const WHOLE_BPS: u16 = 10_000;

impl Node {
    /// The collector of a model, its payees, and whether anything was changed since birth.
    pub(crate) async fn royalties(&self, did: &Did) -> Result<Royalties, NodeError> {
        let row = self.known_asset(did).await?;
        let facts = self.model_facts(&row)?.ok_or_else(|| {
            NodeError::rejected(
                ErrorCode::AssetNotFound,
                format!("{did} is not a model of this node, so it has no royalties here."),
            )
        })?;
        let collector = self.chain.datatoken(row.datatoken).payment_collector().await?;
        let (payees, final_shares) = self.payees(collector).await?;
        let flagged = self
            .store
            .read()
            .await?
            .collectors(self.chain.id(), row.datatoken)
            .await?;
        Ok(Royalties {
            did: did.clone(),
            birth_collector: facts.collector,
            collector,
            collector_changed: collector != facts.collector || flagged.iter().any(|change| change.flagged),
            payees,
            birth_mint: facts
                .initial_supply
                .into_iter()
                .map(|(address, amount)| BirthMint { address, amount })
                .collect(),
            final_shares,
        })
    }

    async fn payees(&self, collector: Address) -> Result<(Vec<Payee>, bool), NodeError> {
        if !self.chain.is_contract(collector).await? {
            return Ok((
                vec![Payee {
                    address: collector,
                    share_bps: WHOLE_BPS,
                }],
                true,
            ));
        }
        let splitter: Splitter = self.chain.splitter(collector);
        let payees = splitter.payees().await?;
        let total = payees
            .iter()
            .fold(U256::ZERO, |sum, (_, share)| sum.saturating_add(*share))
            .max(U256::ONE);
        let in_bps = |share: U256| {
            u16::try_from(share.saturating_mul(U256::from(WHOLE_BPS)) / total).unwrap_or(WHOLE_BPS)
        };
        let payees = payees
            .into_iter()
            .map(|(address, share)| Payee {
                address,
                share_bps: in_bps(share),
            })
            .collect();
        Ok((payees, splitter.is_renounced().await?))
    }
}
