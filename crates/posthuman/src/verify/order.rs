//! The order that a receipt names, as it stands on the chain.

use posthuman_assets::{LineageRecord, commitment_key, decode_commitment, did_for, lineage_key};
use posthuman_chain::{Chain, OrderRecord, provider_fee_signer};
use posthuman_types::api::ProviderFee;
use posthuman_types::order::QuoteBinding;
use posthuman_types::{Commitment, Operation, Receipt};

use super::Verification;
use super::history::History;
use crate::MarketError;

/// Compares consumer, datatoken, service and fee. Returns the order, if there is one.
pub(super) async fn check(
    chain: &Chain,
    receipt: &Receipt,
    verification: &mut Verification,
) -> Result<Option<OrderRecord>, MarketError> {
    let Some(order) = chain.order(&receipt.order).await? else {
        verification.check(
            "order",
            false,
            format!("the chain has no order {}", receipt.order),
        );
        return Ok(None);
    };
    verification.check(
        "order",
        true,
        format!("{} in block {}", receipt.order, order.block_number),
    );
    let real = chain.is_datatoken(order.datatoken).await?;
    verification.check("datatoken of the factory", real, order.datatoken.to_string());
    verification.same("datatoken", receipt.datatoken, order.datatoken);
    if real {
        verification.same(
            "data NFT",
            receipt.nft,
            chain.datatoken(order.datatoken).nft().await?,
        );
    }
    let did = did_for(receipt.nft, chain.id()).to_string();
    verification.same("asset", receipt.asset.as_str(), did.as_str());
    verification.same("consumer", receipt.consumer, order.consumer);
    let service =
        Operation::from_service_index(order.service_index).map_or("no operation", Operation::as_str);
    verification.same("operation", receipt.operation.as_str(), service);
    check_fee(chain, receipt, &order, verification).await?;
    Ok(Some(order))
}

/// The fee is the order's own or that of a later renewal; where none fits, the order's own says why.
async fn check_fee(
    chain: &Chain,
    receipt: &Receipt,
    order: &OrderRecord,
    verification: &mut Verification,
) -> Result<(), MarketError> {
    let mut fees: Vec<ProviderFee> = order.provider_fee.iter().cloned().collect();
    if !fees.iter().any(|fee| fits(chain, receipt, order, fee)) {
        let datatoken = chain.datatoken(order.datatoken);
        let renewals = datatoken
            .renewals(order.id.transaction, order.block_number)
            .await?;
        fees.extend(renewals.into_iter().map(|renewal| renewal.fee));
    }
    let paid = fees
        .iter()
        .find(|fee| fits(chain, receipt, order, fee))
        .or(fees.first());
    let Some(fee) = paid else {
        verification.check("fee", false, "the order paid no provider fee");
        return Ok(());
    };
    verification.same("fee amount", receipt.fee_amount, fee.amount);
    verification.same("fee token", receipt.fee_token, fee.token);
    verification.same("fee receiver", receipt.node, fee.address);
    verification.check(
        "fee signature",
        provider_fee_signer(fee) == Some(receipt.node),
        format!("by the node's wallet {}", receipt.node),
    );
    verification.check(
        "fee binding",
        is_bound(chain, receipt, order, fee),
        "the fee was signed for this consumer, datatoken, service and chain",
    );
    Ok(())
}

fn fits(chain: &Chain, receipt: &Receipt, order: &OrderRecord, fee: &ProviderFee) -> bool {
    receipt.fee_amount == fee.amount
        && receipt.fee_token == fee.token
        && receipt.node == fee.address
        && provider_fee_signer(fee) == Some(receipt.node)
        && is_bound(chain, receipt, order, fee)
}

fn is_bound(chain: &Chain, receipt: &Receipt, order: &OrderRecord, fee: &ProviderFee) -> bool {
    QuoteBinding::decode(&fee.provider_data).is_some_and(|binding| {
        binding.consumer == order.consumer
            && binding.datatoken == order.datatoken
            && binding.operation == receipt.operation
            && binding.chain_id == chain.id()
    })
}

/// The weights that went in are those that the asset's data NFT committed to when the order was paid.
pub(super) fn check_weights(receipt: &Receipt, asset: &History, block: u64, verification: &mut Verification) {
    let on_chain: Option<Commitment> = asset
        .value_at(commitment_key(), block)
        .and_then(|value| decode_commitment(value).ok());
    let text = |commitment: Option<&Commitment>| {
        commitment.map_or_else(
            || "none".to_owned(),
            |commitment| format!("{} {}", commitment.scheme, commitment.root),
        )
    };
    verification.same(
        "weights",
        text(receipt.commitment_in.as_ref()),
        text(on_chain.as_ref()),
    );
}

/// A payment collector other than the one at the model's birth is a warning: ancestors may go unpaid.
///
/// What was written first is what counts: whoever can change the collector can write another record afterwards.
pub(super) async fn check_collector(
    chain: &Chain,
    receipt: &Receipt,
    asset: &History,
    verification: &mut Verification,
) -> Result<(), MarketError> {
    let mut written = asset.values(lineage_key());
    let Some(birth) = written.next() else {
        return Ok(());
    };
    if written.any(|later| later != birth) {
        verification.warnings.push(
            "the lineage in the data NFT's store was changed after the model's birth; what was written first counts"
                .to_owned(),
        );
    }
    let own = did_for(receipt.nft, chain.id());
    let record = LineageRecord::decode(birth).and_then(|record| record.validate_for(&own).map(|()| record));
    let record = match record {
        Ok(record) => record,
        Err(error) => {
            let warning = format!("{error}, so the payment collector at the model's birth is not known");
            verification.warnings.push(warning);
            return Ok(());
        }
    };
    let now = chain.datatoken(receipt.datatoken).payment_collector().await?;
    if now != record.collector {
        verification.warnings.push(format!(
            "the payment collector is {now} and was {} at the model's birth: ancestors may go unpaid",
            record.collector
        ));
    }
    Ok(())
}
