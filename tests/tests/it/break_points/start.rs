//! A node that dies while it starts for the first time.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use e2e::market::{MarketSetup, Person, TestMarket};
use posthuman_types::api::AssetQuery;

use super::audit;
use crate::ground::block_on;

#[test]
fn a_first_start_that_is_cut_off_again_and_again_publishes_everything_once() {
    block_on(async {
        let mut market = TestMarket::prepare(MarketSetup::default()).await.unwrap();
        for place in [
            "outbox.signed",
            "outbox.broadcast",
            "bootstrap.operation@2",
            "outbox.mined@2",
            "bootstrap.blank",
        ] {
            market.setup().environment = MarketSetup::dying_at(place).environment;
            let ended = market
                .spawn_node()
                .unwrap()
                .wait_end(Duration::from_secs(180))
                .unwrap();
            assert_eq!(ended.signal(), Some(9), "{place}: {ended}");
        }
        market.setup().environment.clear();
        market.start_node().unwrap();
        let alice = market.person(Person::Alice).await.unwrap();
        let assets = alice.assets(&AssetQuery::default()).await.unwrap();
        assert_eq!(assets.assets.len(), 4, "{assets:?}");
        assert_eq!(audit::nfts(&market).await.unwrap(), 4);
        market.stop_node().unwrap();
        audit::outbox(&market, &[]).await.unwrap();
        audit::vault(market.data()).await.unwrap();
    });
}
