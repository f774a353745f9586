//! What strangers, and a node's wallet that was led astray, write on the chain: the index goes on and believes none of it.

use e2e::market::{MarketSetup, Person};
use posthuman_assets::{Ddo, Published, did_for};
use posthuman_chain::{AssetState, Chain, DatatokenSpec, MarketFee, Metadata, NftSpec, Wallet, devnet};
use posthuman_types::api::AssetKind;
use posthuman_types::{Address, Amount, Did};
use serde_json::{Value, json};

use crate::bad_input::answer;
use crate::ground::{block_on, ground, quiet};
use crate::patience::indexed;

const FACTS: &str = "/metadata/additionalInformation/posthuman";

#[test]
fn a_document_of_a_stranger_neither_stops_the_index_nor_passes_for_one_of_the_node() {
    let ground = ground();
    block_on(async {
        let mut market = ground.frozen.thaw(MarketSetup::default()).await.unwrap();
        let bob = market.person(Person::Bob).await.unwrap();
        let root = bob.node().ddo(&ground.root.did).await.unwrap();
        let node = bob.info().wallet;
        let chain = market.chain();
        let derek = Person::Derek.wallet();

        let broken = publish_as(chain, &derek, &root, |ddo| {
            *ddo.pointer_mut(&format!("{FACTS}/collector")).unwrap() = json!(7);
        });
        let broken = broken.await;
        let forged = publish_as(chain, &derek, &root, |_| {}).await;
        // The datatoken of Alice's model, which Derek's data NFT did not make.
        let claiming = publish_as(chain, &derek, &root, |ddo| {
            for service in ddo["services"].as_array_mut().unwrap() {
                service["datatokenAddress"] = json!(ground.root.datatoken.to_string());
            }
        });
        let claiming = claiming.await;
        for (nft, _) in [&broken, &forged] {
            let gift = chain.nft(*nft).transfer(derek.address(), node);
            chain.send(&derek, gift).await.unwrap();
        }

        // As the running node reads them, and as one reads them that finds itself their owner.
        for restarted in [false, true] {
            if restarted {
                market.stop_node().unwrap();
                market.start_node().unwrap();
            }
            let bob = market.person(Person::Bob).await.unwrap();
            indexed(&market, &bob).await;
            for (_, did) in [&broken, &forged] {
                let asset = bob.node().asset(did).await.unwrap();
                assert_eq!(asset.kind, AssetKind::Foreign, "{did}");
                assert_eq!((asset.commitment, asset.trainer), (None, None), "{did}");
            }
            answer(bob.node().asset(&claiming.1).await, "asset_not_found", 404);
            let known = bob.asset(&ground.root.did).await.unwrap();
            assert_eq!((known.kind, known.nft), (AssetKind::Model, ground.root.nft));
        }
        // Alice's model is still sold and used.
        let bob = market.person(Person::Bob).await.unwrap();
        bob.buy(&ground.root.did, Amount::tokens(1), None, &mut quiet())
            .await
            .unwrap();
        let session = bob.session(&ground.root.did, None, &mut quiet()).await;
        session.unwrap();
    });
}

#[test]
fn the_wallet_of_the_node_cannot_rewrite_the_birth_of_a_model() {
    let ground = ground();
    block_on(async {
        let mut market = ground.frozen.thaw(MarketSetup::default()).await.unwrap();
        let alice = market.person(Person::Alice).await.unwrap();
        let did = &ground.root.did;
        let born = alice.node().ddo(did).await.unwrap();
        let royalties = alice.royalties(did).await.unwrap();
        market.stop_node().unwrap();

        let (chain, wallet) = (market.chain(), devnet::account(devnet::NODE));
        let thief = Person::Derek.wallet().address();
        let datatoken = chain.datatoken(ground.root.datatoken);
        let theft = datatoken.set_payment_collector(thief);
        chain.send(&wallet, theft).await.unwrap();
        let changes: [(&str, Value); 3] = [
            ("collector", json!(thief.to_string())),
            (
                "initial_supply",
                json!({ (thief.to_string()): Amount::tokens(100) }),
            ),
            ("parent_share_bps", json!(9_000)),
        ];
        for (field, value) in changes {
            let mut ddo = born.clone();
            let facts = ddo.pointer_mut(FACTS).unwrap();
            assert_ne!(facts[field], value);
            facts[field] = value;
            write(chain, &wallet, ground.root.nft, &ddo).await;
        }
        let mut plain = born.clone();
        plain["metadata"]["additionalInformation"] = json!({});
        write(chain, &wallet, ground.root.nft, &plain).await;

        market.start_node().unwrap();
        let alice = market.person(Person::Alice).await.unwrap();
        assert_eq!(alice.node().ddo(did).await.unwrap(), born);
        let now = alice.node().royalties(did).await.unwrap();
        assert_eq!(
            (now.birth_collector, now.birth_mint),
            (royalties.birth_collector, royalties.birth_mint)
        );
        assert_eq!((now.collector, now.collector_changed), (thief, true));

        // What is not of the birth may change.
        let mut renamed = born.clone();
        renamed["metadata"]["description"] = json!("Whales.");
        write(market.chain(), &wallet, ground.root.nft, &renamed).await;
        indexed(&market, &alice).await;
        assert_eq!(alice.asset(did).await.unwrap().description, "Whales.");
    });
}

/// Publishes a copy of a document in a data NFT of somebody else's, and changes it besides. Gives the NFT and its DID.
async fn publish_as(
    chain: &Chain,
    wallet: &Wallet,
    original: &Value,
    change: impl FnOnce(&mut Value),
) -> (Address, Did) {
    let nft = NftSpec {
        name: "Copy".to_owned(),
        symbol: "COPY".to_owned(),
        token_uri: String::new(),
        transferable: true,
        owner: wallet.address(),
    };
    let datatoken = DatatokenSpec {
        name: "Access".to_owned(),
        symbol: "DT".to_owned(),
        minter: wallet.address(),
        payment_collector: wallet.address(),
        market_fee: MarketFee::NONE,
    };
    let receipt = chain.send(wallet, chain.publish(&nft, &datatoken)).await.unwrap();
    let published = chain.published(&receipt).unwrap();
    let did = did_for(published.nft, chain.id());
    let mut ddo = original.clone();
    ddo["id"] = json!(did);
    ddo["nftAddress"] = json!(published.nft.to_string());
    *ddo.pointer_mut(&format!("{FACTS}/lineage/root")).unwrap() = json!(did);
    for service in ddo["services"].as_array_mut().unwrap() {
        service["datatokenAddress"] = json!(published.datatoken.to_string());
    }
    change(&mut ddo);
    write(chain, wallet, published.nft, &ddo).await;
    (published.nft, did)
}

/// Writes a document into a data NFT.
async fn write(chain: &Chain, wallet: &Wallet, nft: Address, ddo: &Value) {
    let ddo = Ddo::parse(ddo.to_string().as_bytes()).unwrap();
    let published = Published::plain(&ddo);
    let metadata = Metadata {
        state: AssetState::Active,
        decryptor_url: String::new(),
        decryptor_address: String::new(),
        flags: published.flags,
        data: published.data,
        hash: published.hash,
    };
    let call = chain.nft(nft).set_metadata(&metadata);
    chain.send(wallet, call).await.unwrap();
}
