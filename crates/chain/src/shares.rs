//! Who owns a newborn model, and who is paid for it: pure arithmetic.
//!
//! A child owes its parent's share *s* (in basis points) to the parent's holders. The rule stands with a worked example
//! in `docs/rewards.md`.

use alloy::primitives::Uint;
use posthuman_types::{Address, U256};

/// Basis points in a whole.
pub const WHOLE_BPS: u16 = 10_000;

/// Wide enough for an amount, a share and an amount multiplied, and for sums of amounts.
type Wide = Uint<576, 9>;

/// Who gets how much of a model's first `total` datatoken units.
///
/// The trainer gets 1 − *s*. The holders of the parent's birth mint share *s* by their own fractions of it, each rounded
/// down; what remains goes to the trainer, so the sum is exactly `total`. Successive generations by one trainer count as
/// one: if the trainer trained the parent too, the parent's fractions are used as they are. Without a parent, or with
/// one that minted nothing, everything goes to the trainer.
///
/// The trainer stands first, the others follow by address; addresses named twice count once with their sum, and nobody
/// stands there with nothing, except a trainer. The order of `parent` does not matter. A share over 100 % counts as 100 %.
pub fn birth_mint(
    total: U256,
    parent_share_bps: u16,
    parent: Option<&[(Address, U256)]>,
    parent_trainer: Option<Address>,
    trainer: Address,
) -> Vec<(Address, U256)> {
    let holders = add_up(parent.unwrap_or_default());
    let minted: Wide = holders
        .iter()
        .map(|(_, amount)| *amount)
        .fold(Wide::ZERO, |sum, amount| sum + amount);
    let share_bps = if parent_trainer == Some(trainer) {
        WHOLE_BPS
    } else {
        parent_share_bps.min(WHOLE_BPS)
    };
    let mut left = total;
    let mut own = U256::ZERO;
    let mut others = Vec::new();
    for (holder, amount) in holders {
        if minted.is_zero() {
            break;
        }
        let part = Wide::from(total) * Wide::from(share_bps) * amount / (minted * Wide::from(WHOLE_BPS));
        // At most `total`, since amount ≤ minted and share ≤ whole.
        let part: U256 = part.saturating_to();
        left -= part;
        if holder == trainer {
            own += part;
        } else if !part.is_zero() {
            others.push((holder, part));
        }
    }
    let mut mint = vec![(trainer, own + left)];
    mint.append(&mut others);
    mint
}

/// What is known of the parent when a child's payment collector is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParentAtBirth {
    /// The share that its children owe, in basis points.
    pub share_bps: u16,
    /// Who trained it.
    pub trainer: Address,
    /// Its payment collector when the child is born.
    pub collector: Address,
}

/// Where a model's income goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Collector {
    /// To an address that exists: the trainer's own, or the parent's collector.
    Existing(Address),
    /// To a Splitter that is to be deployed with these payees and shares in basis points.
    Splitter(Vec<(Address, u16)>),
}

/// Where a newborn model's income goes: to the trainer of a root; to the parent's collector if its trainer trained this
/// one too; otherwise to a Splitter of the trainer with 1 − *s* and the parent's collector with *s*.
///
/// Where one of the two would get nothing there is no Splitter, since it takes no share of zero.
pub fn collector_shares(parent: Option<ParentAtBirth>, trainer: Address) -> Collector {
    let Some(parent) = parent else {
        return Collector::Existing(trainer);
    };
    let share = parent.share_bps.min(WHOLE_BPS);
    if parent.trainer == trainer || share == WHOLE_BPS {
        return Collector::Existing(parent.collector);
    }
    if share == 0 || parent.collector == trainer {
        return Collector::Existing(trainer);
    }
    Collector::Splitter(vec![(trainer, WHOLE_BPS - share), (parent.collector, share)])
}

/// One entry per address, sorted by it.
fn add_up(holders: &[(Address, U256)]) -> Vec<(Address, Wide)> {
    let mut sums = std::collections::BTreeMap::<Address, Wide>::new();
    for (holder, amount) in holders {
        *sums.entry(*holder).or_default() += Wide::from(*amount);
    }
    sums.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALICE: Address = Address::repeat_byte(0xa1);
    const BOB: Address = Address::repeat_byte(0xb0);
    const CHARLIE: Address = Address::repeat_byte(0xc4);

    fn units(amount: u64) -> U256 {
        U256::from(amount)
    }

    #[test]
    fn the_worked_example() {
        let m1 = birth_mint(units(100), 2000, None, None, ALICE);
        assert_eq!(m1, [(ALICE, units(100))]);
        let m2 = birth_mint(units(100), 2000, Some(&m1), Some(ALICE), BOB);
        assert_eq!(m2, [(BOB, units(80)), (ALICE, units(20))]);
        let m3 = birth_mint(units(100), 2000, Some(&m2), Some(BOB), CHARLIE);
        assert_eq!(m3, [(CHARLIE, units(80)), (ALICE, units(4)), (BOB, units(16))]);
    }

    #[test]
    fn training_ones_own_model_again_changes_nothing() {
        let m2 = [(BOB, units(80)), (ALICE, units(20))];
        assert_eq!(birth_mint(units(100), 2000, Some(&m2), Some(BOB), BOB), m2);
        let doubled = birth_mint(units(200), 9999, Some(&m2), Some(BOB), BOB);
        assert_eq!(doubled, [(BOB, units(160)), (ALICE, units(40))]);
    }

    #[test]
    fn an_ancestor_who_trains_keeps_both_parts() {
        let m2 = [(BOB, units(80)), (ALICE, units(20))];
        let m3 = birth_mint(units(100), 2000, Some(&m2), Some(BOB), ALICE);
        assert_eq!(m3, [(ALICE, units(84)), (BOB, units(16))]);
    }

    #[test]
    fn collectors() {
        let parent = ParentAtBirth {
            share_bps: 2000,
            trainer: ALICE,
            collector: ALICE,
        };
        assert_eq!(collector_shares(None, ALICE), Collector::Existing(ALICE));
        assert_eq!(
            collector_shares(Some(parent), BOB),
            Collector::Splitter(vec![(BOB, 8000), (ALICE, 2000)])
        );
        let splitter = Address::repeat_byte(5);
        let parent = ParentAtBirth {
            share_bps: 2000,
            trainer: BOB,
            collector: splitter,
        };
        assert_eq!(collector_shares(Some(parent), BOB), Collector::Existing(splitter));
        assert_eq!(
            collector_shares(
                Some(ParentAtBirth {
                    share_bps: 0,
                    ..parent
                }),
                ALICE
            ),
            Collector::Existing(ALICE)
        );
        let all = ParentAtBirth {
            share_bps: 10_000,
            ..parent
        };
        assert_eq!(collector_shares(Some(all), ALICE), Collector::Existing(splitter));
    }

    fn amounts() -> impl Strategy<Value = U256> {
        prop_oneof![
            any::<u64>().prop_map(U256::from),
            any::<[u64; 4]>().prop_map(U256::from_limbs),
            Just(U256::MAX)
        ]
    }

    fn holders() -> impl Strategy<Value = Vec<(Address, U256)>> {
        prop::collection::vec(
            (
                any::<u8>().prop_map(|byte| Address::repeat_byte(byte % 8)),
                amounts(),
            ),
            0..12,
        )
    }

    proptest! {
        #[test]
        fn sums_exactly_in_any_order(
            total in amounts(), share in any::<u16>(), parent in holders(), trainer in 0_u8..8, parent_trainer in 0_u8..8,
        ) {
            let (trainer, before) = (Address::repeat_byte(trainer), Some(Address::repeat_byte(parent_trainer)));
            let mint = birth_mint(total, share, Some(&parent), before, trainer);
            let sum = mint.iter().fold(Wide::ZERO, |sum, (_, amount)| sum + Wide::from(*amount));
            prop_assert_eq!(sum, Wide::from(total));
            let mut reversed = parent.clone();
            reversed.reverse();
            prop_assert_eq!(&birth_mint(total, share, Some(&reversed), before, trainer), &mint);
            let mut addresses: Vec<_> = mint.iter().map(|(address, _)| *address).collect();
            addresses.sort();
            addresses.dedup();
            prop_assert_eq!(addresses.len(), mint.len());
        }

        #[test]
        fn a_splitters_shares_are_whole_and_none_is_zero(share_bps in any::<u16>(), trainers in (0_u8..3, 0_u8..3, 0_u8..4)) {
            let [trainer, before, collector] = [trainers.0, trainers.1, trainers.2].map(Address::repeat_byte);
            let parent = ParentAtBirth { share_bps, trainer: before, collector };
            if let Collector::Splitter(payees) = collector_shares(Some(parent), trainer) {
                prop_assert_eq!(payees.iter().map(|(_, share)| share).sum::<u16>(), WHOLE_BPS);
                prop_assert!(payees.iter().all(|(_, share)| *share > 0) && payees[0].0 != payees[1].0);
            }
        }

        #[test]
        fn nobody_gets_more_than_their_fraction(total in any::<u64>(), share in 0_u16..=10_000, parts in prop::collection::vec(1_u32.., 1..6)) {
            let parent: Vec<_> = parts.iter().enumerate()
                .map(|(index, part)| (Address::repeat_byte(index as u8 + 1), units(u64::from(*part)))).collect();
            let minted: u128 = parts.iter().map(|part| u128::from(*part)).sum();
            let trainer = Address::repeat_byte(0xff);
            for (holder, amount) in birth_mint(units(total), share, Some(&parent), None, trainer).into_iter().skip(1) {
                let part = u128::from(parts[holder[0] as usize - 1]);
                let fraction = Wide::from(total) * Wide::from(share) * Wide::from(part);
                let whole = Wide::from(minted) * Wide::from(10_000);
                let amount = Wide::from(amount) * whole;
                prop_assert!(amount <= fraction && fraction < amount + whole);
            }
        }
    }
}
