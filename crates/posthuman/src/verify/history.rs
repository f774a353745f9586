//! What a data NFT's store held, and who owned it, at a block of the past. Read from events, which every node of the
//! chain keeps, not from old state, which few keep.

use posthuman_chain::{Chain, Event, EventCursor, EventQuery, EventRecord};
use posthuman_types::{Address, B256, Bytes};

use crate::MarketError;

/// All events of one data NFT, in chain order.
pub(super) struct History {
    events: Vec<EventRecord>,
}

impl History {
    pub(super) async fn read(chain: &Chain, contract: Address) -> Result<Self, MarketError> {
        let query = EventQuery {
            contracts: vec![contract],
            topics: Vec::new(),
        };
        let mut cursor = EventCursor::new(query, chain.address_book().start_block);
        let mut events = Vec::new();
        while let Some(page) = cursor.next(chain).await? {
            events.extend(page.events);
        }
        Ok(Self { events })
    }

    /// The value of a key at the end of a block.
    pub(super) fn value_at(&self, key: B256, block: u64) -> Option<&Bytes> {
        let changes = self
            .events
            .iter()
            .take_while(|record| record.block_number <= block);
        changes.filter_map(|record| value(record, key)).last()
    }

    /// Every value that a key was given, from the first on.
    pub(super) fn values(&self, key: B256) -> impl Iterator<Item = &Bytes> {
        self.events.iter().filter_map(move |record| value(record, key))
    }

    /// Who owned the data NFT at the end of a block.
    pub(super) fn owner_at(&self, block: u64) -> Option<Address> {
        let transfers = self
            .events
            .iter()
            .take_while(|record| record.block_number <= block);
        transfers
            .filter_map(|record| match &record.event {
                Event::NftTransfer(transfer) => Some(transfer.to),
                _ => None,
            })
            .last()
    }
}

fn value(record: &EventRecord, key: B256) -> Option<&Bytes> {
    match &record.event {
        Event::DataChanged(change) if change.key == key => Some(&change.value),
        _ => None,
    }
}
