//! Maglev tables: a slot for every hash, spread evenly, that hardly moves when targets come and go.
//!
//! After "Maglev: A Fast and Reliable Software Network Load Balancer" (NSDI 2016), section 3.4.

use crate::hash::{self, Secret};

/// Table sizes: primes, so that every stride visits every slot. A group keeps its size until it outgrows it, since a
/// change of size moves all slots.
const SIZES: [u32; 9] = [1_009, 2_003, 5_003, 10_007, 20_011, 50_021, 100_003, 500_009, 2_000_003];

/// The number of slots for `targets` targets: a prime of at least 100 for each, so that none gets a share more than
/// 1 % off the others'.
pub fn slots_for(targets: usize) -> u32 {
    let enough = |size: &u32| *size as usize >= 100 * targets;
    SIZES.into_iter().find(|size| enough(size)).unwrap_or(SIZES[SIZES.len() - 1])
}

/// The table of `slots` slots for the targets with these identities: each slot holds a position in `targets`.
///
/// The order of `targets` matters, so callers sort them. Empty if there are none.
pub fn build(targets: &[&[u8]], slots: u32) -> Vec<u32> {
    const EMPTY: u32 = u32::MAX;
    if targets.is_empty() {
        return Vec::new();
    }
    // Where each target begins and how far it steps. The constants only have to differ: what keeps attackers from
    // choosing slots is the secret of the flow hash.
    let mut walks: Vec<(u32, u32)> = targets
        .iter()
        .map(|identity| {
            let offset = hash::bytes(Secret { k0: 1, k1: 0 }, identity) % u64::from(slots);
            let skip = hash::bytes(Secret { k0: 2, k1: 0 }, identity) % u64::from(slots - 1) + 1;
            (offset as u32, skip as u32)
        })
        .collect();
    let mut table = vec![EMPTY; slots as usize];
    let mut filled = 0;
    loop {
        for (target, (at, skip)) in walks.iter_mut().enumerate() {
            while table[*at as usize] != EMPTY {
                *at = (*at + *skip) % slots;
            }
            table[*at as usize] = target as u32;
            filled += 1;
            if filled == slots {
                return table;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identities(count: usize) -> Vec<Vec<u8>> {
        (0..count).map(|i| format!("10.0.{}.{}:8080", i / 256, i % 256).into_bytes()).collect()
    }

    fn table(identities: &[Vec<u8>], slots: u32) -> Vec<u32> {
        build(&identities.iter().map(Vec::as_slice).collect::<Vec<_>>(), slots)
    }

    #[test]
    fn golden() {
        // Written down once: a change here moves every client of every installation.
        assert_eq!(table(&identities(3), 13), GOLDEN);
    }
    const GOLDEN: [u32; 13] = [2, 1, 0, 0, 0, 2, 0, 2, 1, 2, 0, 1, 1];

    #[test]
    fn sizes_are_primes_of_at_least_a_hundred_slots_a_target() {
        for size in SIZES {
            assert!((2..size).take_while(|d| d * d <= size).all(|d| size % d != 0), "{size}");
        }
        for targets in [0, 1, 10, 11, 100, 500, 1000, 3000, 16384] {
            assert!(slots_for(targets) as usize >= 100 * targets);
        }
    }

    #[test]
    fn balance_is_within_two_percent() {
        for count in [2, 4, 10, 100, 1000] {
            let slots = slots_for(count);
            let mut shares = vec![0_u32; count];
            for target in table(&identities(count), slots) {
                shares[target as usize] += 1;
            }
            let fair = f64::from(slots) / count as f64;
            for share in shares {
                assert!((f64::from(share) - fair).abs() <= fair * 0.02, "{share} of {fair} with {count}");
            }
        }
    }

    #[test]
    fn removing_one_of_a_hundred_moves_at_most_two_percent_of_the_others() {
        let all = identities(100);
        let slots = slots_for(100);
        let before = table(&all, slots);
        for removed in [0, 17, 50, 99] {
            let mut rest = all.clone();
            rest.remove(removed);
            let after = table(&rest, slots);
            let others = before.iter().zip(&after).filter(|(old, _)| **old as usize != removed);
            let moved = others.clone().filter(|(old, new)| all[**old as usize] != rest[**new as usize]).count();
            let share = moved as f64 / others.count() as f64;
            assert!(share <= 0.02, "{share} moved when {removed} was removed");
        }
    }

    #[test]
    fn no_target_no_slot() {
        assert!(build(&[], 1009).is_empty());
    }
}
