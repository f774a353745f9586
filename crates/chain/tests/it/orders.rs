//! Orders with the provider's fee, to the unit; attestations; and what the contracts let pass.

use posthuman_chain::*;
use posthuman_types::api::ProviderFee;
use posthuman_types::{Address, Amount, B256, Bytes, OrderId, U256, keccak256};

use crate::market::{self, Market, tokens, told};

const SERVICE: u64 = 2;
const FEE: u64 = 1_234_567_890_123_456_789;

/// A datatoken of the node, of which Alice has two.
async fn datatoken(market: &Market) -> Datatoken {
    let (_, datatoken) = market.publish().await;
    market
        .send(&market.node, datatoken.mint(market.alice.address(), tokens(2)))
        .await;
    datatoken
}

fn fee(market: &Market) -> ProviderFee {
    let token = market.chain.address_book().ocean;
    let amount = Amount(U256::from(FEE));
    sign_provider_fee(
        &market.node,
        token,
        amount,
        1_999_999_999,
        Bytes::from_static(b"quote"),
    )
    .unwrap()
}

async fn order(market: &Market, datatoken: &Datatoken, fee: &ProviderFee) -> Receipt {
    let approvals = datatoken
        .order_approvals(market.alice.address(), fee, &MarketFee::NONE)
        .await
        .unwrap();
    for approval in approvals {
        market.send(&market.alice, approval).await;
    }
    let call = datatoken.start_order(market.bob.address(), SERVICE, fee, &MarketFee::NONE);
    market.send(&market.alice, call).await
}

#[tokio::test]
async fn an_order_moves_exactly_what_it_says() {
    let market = market::open().await;
    let (chain, ocean) = (&market.chain, market.chain.ocean());
    let datatoken = datatoken(&market).await;
    let fee = fee(&market);
    let before = market.balance(&ocean, &market.node).await;
    let receipt = order(&market, &datatoken, &fee).await;

    let gross = U256::from(FEE);
    let net = chain.net_provider_fee(gross).await.unwrap();
    assert!(net < gross);
    assert_eq!(market.balance(&ocean, &market.node).await, before + net);
    let community = chain.community_collector().await.unwrap();
    assert_eq!(ocean.balance_of(community).await.unwrap(), gross - net);
    assert_eq!(market.balance(&ocean, &market.alice).await, tokens(1000) - gross);
    let standing = ocean
        .allowance(market.alice.address(), datatoken.address())
        .await
        .unwrap();
    assert_eq!(standing, U256::ZERO, "no allowance is left");
    // The data NFT's owner, the node, is the payment collector.
    let consume_fee = chain.consume_fee().await.unwrap();
    assert_eq!(
        market.balance(datatoken.token(), &market.node).await,
        tokens(1) - consume_fee
    );

    let orders = chain.orders_in(receipt.transaction).await.unwrap();
    let [record] = &orders[..] else {
        panic!("{orders:?}")
    };
    assert_eq!(record.id.transaction, receipt.transaction);
    assert_eq!(
        (record.consumer, record.payer),
        (market.bob.address(), market.alice.address())
    );
    assert_eq!(
        (record.datatoken, record.service_index, record.amount),
        (datatoken.address(), SERVICE, tokens(1))
    );
    assert_eq!(record.provider_fee.as_ref(), Some(&fee));
    assert_eq!(
        provider_fee_signer(record.provider_fee.as_ref().unwrap()),
        Some(market.node.address())
    );
    let timestamp = chain
        .block_timestamp(receipt.block_number)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (record.block_number, record.block_timestamp),
        (receipt.block_number, timestamp)
    );
    assert_eq!(chain.order(&record.id).await.unwrap().as_ref(), Some(record));
    assert_eq!(
        chain
            .order(&OrderId {
                log_index: 99,
                ..record.id
            })
            .await
            .unwrap(),
        None
    );
    assert_eq!(
        chain
            .order(&OrderId {
                chain_id: 1,
                ..record.id
            })
            .await
            .unwrap(),
        None
    );
}

#[tokio::test]
async fn fees_of_markets_are_approved_together() {
    let market = market::open().await;
    let ocean = market.chain.address_book().ocean;
    let market_fee = MarketFee {
        address: Address::repeat_byte(5),
        token: ocean,
        amount: U256::from(70),
    };
    let spec = DatatokenSpec {
        market_fee,
        ..market.datatoken_spec(&market.node)
    };
    let receipt = market
        .send(
            &market.node,
            market.chain.publish(&market.nft_spec(&market.node), &spec),
        )
        .await;
    let datatoken = market
        .chain
        .datatoken(market.chain.published(&receipt).unwrap().datatoken);
    assert_eq!(datatoken.publishing_market_fee().await.unwrap(), market_fee);
    market
        .send(&market.node, datatoken.mint(market.alice.address(), tokens(1)))
        .await;

    let fee = fee(&market);
    let consuming = MarketFee {
        address: Address::repeat_byte(6),
        token: ocean,
        amount: U256::from(9),
    };
    let approvals = datatoken
        .order_approvals(market.alice.address(), &fee, &consuming)
        .await
        .unwrap();
    assert_eq!(approvals.len(), 1);
    market.send(&market.alice, approvals[0].clone()).await;
    let allowance = market
        .chain
        .ocean()
        .allowance(market.alice.address(), datatoken.address())
        .await
        .unwrap();
    assert_eq!(allowance, U256::from(FEE + 79));
    assert!(
        datatoken
            .order_approvals(market.alice.address(), &fee, &consuming)
            .await
            .unwrap()
            .is_empty()
    );
    market
        .send(
            &market.alice,
            datatoken.start_order(market.alice.address(), 0, &fee, &consuming),
        )
        .await;
    let paid = market
        .chain
        .ocean()
        .balance_of(Address::repeat_byte(6))
        .await
        .unwrap();
    assert_eq!(paid, U256::from(9));
}

#[tokio::test]
async fn orders_that_cannot_be_paid_are_told() {
    let market = market::open().await;
    let datatoken = datatoken(&market).await;
    let fee = fee(&market);
    let start =
        |fee: &ProviderFee| datatoken.start_order(market.alice.address(), SERVICE, fee, &MarketFee::NONE);
    let sentence = market.refused(&market.alice, start(&fee)).await;
    assert!(
        sentence.contains("approve exactly this amount first"),
        "{sentence}"
    );
    let sentence = market.refused(&market.bob, start(&fee)).await;
    assert!(
        sentence.contains("costs one datatoken and the payer has less"),
        "{sentence}"
    );
    let changed = ProviderFee {
        amount: Amount(U256::from(FEE - 1)),
        ..fee
    };
    let error = market
        .chain
        .send(&market.alice, start(&changed))
        .await
        .unwrap_err();
    assert!(
        told(&error).contains("not signed by the provider it names"),
        "{}",
        told(&error)
    );
    assert_eq!(error.class(), posthuman_types::ErrorClass::Unauthorized);
}

#[tokio::test]
async fn a_fee_of_nobody_passes_the_contract_and_is_seen() {
    let market = market::open().await;
    let datatoken = datatoken(&market).await;
    let nobody = ProviderFee {
        address: Address::ZERO,
        v: 0,
        r: B256::ZERO,
        s: B256::ZERO,
        ..fee(&market)
    };
    let call = datatoken.start_order(market.alice.address(), SERVICE, &nobody, &MarketFee::NONE);
    let receipt = market.send(&market.alice, call).await;
    let orders = market.chain.orders_of(&receipt).await.unwrap();
    assert_eq!(
        provider_fee_signer(orders[0].provider_fee.as_ref().unwrap()),
        None
    );
}

#[tokio::test]
async fn an_order_is_renewed_and_attested() {
    let market = market::open().await;
    let (datatoken, fee) = (datatoken(&market).await, fee(&market));
    let receipt = order(&market, &datatoken, &fee).await;
    for approval in datatoken
        .order_approvals(market.alice.address(), &fee, &MarketFee::NONE)
        .await
        .unwrap()
    {
        market.send(&market.alice, approval).await;
    }
    let renewed = market
        .send(&market.alice, datatoken.reuse_order(receipt.transaction, &fee))
        .await;
    assert!(
        market.chain.orders_of(&renewed).await.unwrap().is_empty(),
        "a renewal is no order"
    );

    let consumer_data = Bytes::from_static(b"order, input, parameters");
    let signature = market
        .bob
        .sign_message(keccak256(&consumer_data).as_slice())
        .unwrap();
    let execution = Execution {
        order_transaction: receipt.transaction,
        provider_data: Bytes::copy_from_slice(B256::repeat_byte(3).as_slice()),
        consumer_data,
        consumer_signature: signature.as_bytes().to_vec().into(),
        consumer: market.bob.address(),
    };
    let attestation = datatoken.order_executed(&market.node, &execution).unwrap();
    let attested = market.send(&market.node, attestation.clone()).await;
    let records = datatoken.executions(receipt.transaction, 0).await.unwrap();
    let [record] = &records[..] else {
        panic!("{records:?}")
    };
    assert_eq!(
        (record.provider, &record.execution),
        (market.node.address(), &execution)
    );
    assert_eq!(record.transaction, attested.transaction);
    assert!(datatoken.executions(B256::ZERO, 0).await.unwrap().is_empty());

    let sentence = market.refused(&market.alice, attestation).await;
    assert!(
        sentence.contains("the sending wallet must have signed"),
        "{sentence}"
    );
    let forged = Execution {
        consumer: market.alice.address(),
        ..execution.clone()
    };
    let sentence = market
        .refused(
            &market.node,
            datatoken.order_executed(&market.node, &forged).unwrap(),
        )
        .await;
    assert!(
        sentence.contains("consumer's signature does not cover"),
        "{sentence}"
    );
    let own = Execution {
        consumer: market.node.address(),
        ..execution
    };
    let sentence = market
        .refused(
            &market.node,
            datatoken.order_executed(&market.node, &own).unwrap(),
        )
        .await;
    assert!(sentence.contains("are the same wallet"), "{sentence}");
}
