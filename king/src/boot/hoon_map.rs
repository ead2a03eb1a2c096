//! A Hoon `map` from ships, as the kernel lays it out: a treap that the keys' mugs decide, whatever order they came in.

use serf_ipc::{Noun, n};
use std::collections::BTreeMap;

/// A key: its number, its place from left to right (`+gor`), and how near to the root it belongs (`+mor`).
struct Entry<'a> {
    gor: (u32, u128),
    mor: (u32, u128),
    noun: Noun,
    value: &'a Noun,
}

/// The map.
pub(super) fn map(entries: &BTreeMap<u128, Noun>) -> Noun {
    let entry = |(key, value): (&u128, _)| {
        let noun = Noun::from_u128(*key);
        let mug = noun.mug().0;
        Entry {
            // Keys of one mug are in their own order.
            gor: (mug, *key),
            mor: (Noun::atom(u64::from(mug)).mug().0, *key),
            noun,
            value,
        }
    };
    let mut sorted = entries.iter().map(entry).collect::<Vec<_>>();
    sorted.sort_by_key(|entry| entry.gor);
    tree(&sorted)
}

/// The root is what `+mor` has first; what lies to either side of it makes its branches. The depth is that of a random tree.
fn tree(sorted: &[Entry<'_>]) -> Noun {
    let Some((root, entry)) = sorted.iter().enumerate().min_by_key(|(_, entry)| entry.mor) else {
        return Noun::ZERO;
    };
    n![
        n![entry.noun.clone(), entry.value.clone()],
        tree(&sorted[..root]),
        tree(&sorted[root + 1..])
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `(mug (malt (turn (gulf 0 255) |=(a=@ [a +(a)]))))` and that of five of them, in the C program's own kernel.
    #[test]
    fn it_is_the_kernel_s() {
        let map_of = |keys: &[u128]| map(&keys.iter().map(|key| (*key, Noun::from_u128(key + 1))).collect());
        assert_eq!(map_of(&[]), Noun::ZERO);
        assert_eq!(map_of(&[3]), n![n![3_u64, 4_u64], Noun::ZERO, Noun::ZERO]);
        assert_eq!(map_of(&[0, 1, 2, 3, 4]).mug().0, FIVE);
        assert_eq!(map_of(&(0..=255).collect::<Vec<_>>()).mug().0, ALL);
    }

    const FIVE: u32 = 181_005_072;
    const ALL: u32 = 497_224_507;
}
