//! Digests of nouns: computed from the leaves up without recursion, and kept in the cells.
//!
//! Two digests share this walk: the mug, which is part of the protocol, and a keyed hash for tables in memory.
//! The mug would do for the tables but for its enemies: anybody can make a million cells with one mug, and a
//! table of these takes quadratic time.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Cell, Noun, Repr};

/// The digests of one cell or large atom; 0 is "not computed yet". Threads that race compute the same value.
pub(super) struct Digests {
    mug: AtomicU32,
    hash: AtomicU32,
}

impl Digests {
    pub(super) fn new() -> Digests {
        Digests {
            mug: AtomicU32::new(0),
            hash: AtomicU32::new(0),
        }
    }

    pub(super) fn mug(&self) -> &AtomicU32 {
        &self.mug
    }

    /// Whether both have some digest by which they differ.
    pub(super) fn contradict(&self, other: &Digests) -> bool {
        let differ = |a: &AtomicU32, b: &AtomicU32| {
            let (a, b) = (a.load(Ordering::Relaxed), b.load(Ordering::Relaxed));
            a != 0 && b != 0 && a != b
        };
        differ(&self.mug, &other.mug) || differ(&self.hash, &other.hash)
    }
}

/// A digest made of those of the leaves. Never 0.
pub(super) trait Digest {
    fn cache<'a>(&self, digests: &'a Digests) -> &'a AtomicU32;
    fn direct(&self, value: u64) -> u32;
    fn bytes(&self, bytes: &[u8]) -> u32;
    fn pair(&self, head: u32, tail: u32) -> u32;
}

/// The digest of a noun, taking time linear in the cells that have none yet.
pub(super) fn digest<D: Digest>(kind: &D, noun: &Noun) -> u32 {
    let Some(root) = pending(kind, noun) else {
        return known(kind, noun);
    };
    let mut stack = vec![root];
    while let Some(cell) = stack.last().copied() {
        let before = stack.len();
        stack.extend(pending(kind, &cell.tail));
        stack.extend(pending(kind, &cell.head));
        if stack.len() == before {
            let digest = kind.pair(known(kind, &cell.head), known(kind, &cell.tail));
            kind.cache(&cell.digests).store(digest, Ordering::Relaxed);
            stack.pop();
        }
    }
    known(kind, noun)
}

/// The noun as a cell, if its digest is still to be computed.
fn pending<'a, D: Digest>(kind: &D, noun: &'a Noun) -> Option<&'a Cell> {
    match &noun.0 {
        Repr::Cell(cell) if kind.cache(&cell.digests).load(Ordering::Relaxed) == 0 => Some(cell),
        _ => None,
    }
}

/// The digest of an atom, or of a cell that has one.
fn known<D: Digest>(kind: &D, noun: &Noun) -> u32 {
    match &noun.0 {
        Repr::Direct(value) => kind.direct(*value),
        Repr::Cell(cell) => kind.cache(&cell.digests).load(Ordering::Relaxed),
        Repr::Big(atom) => {
            let cache = kind.cache(&atom.digests);
            let mut digest = cache.load(Ordering::Relaxed);
            if digest == 0 {
                digest = kind.bytes(atom.bytes());
                cache.store(digest, Ordering::Relaxed);
            }
            digest
        }
    }
}

/// A hash for tables in this process, keyed afresh at each start.
#[derive(Clone, Copy)]
pub(super) struct Keyed {
    key: [u64; 2],
}

impl Keyed {
    pub(super) fn new() -> Keyed {
        static KEY: LazyLock<[u64; 2]> = LazyLock::new(|| {
            let state = RandomState::new();
            [state.hash_one(0), state.hash_one(1) | 1]
        });
        Keyed { key: *KEY }
    }

    /// Multiplies two words to 128 bits and folds these: each bit of both reaches the middle of the product.
    fn mix(a: u64, b: u64) -> u64 {
        let product = u128::from(a) * u128::from(b);
        (product as u64) ^ (product >> 64) as u64
    }

    fn finish(self, word: u64) -> u32 {
        ((Keyed::mix(word ^ self.key[0], self.key[1]) >> 32) as u32).max(1)
    }
}

impl Digest for Keyed {
    fn cache<'a>(&self, digests: &'a Digests) -> &'a AtomicU32 {
        &digests.hash
    }

    fn direct(&self, value: u64) -> u32 {
        self.finish(value)
    }

    fn bytes(&self, bytes: &[u8]) -> u32 {
        let (words, rest) = bytes.as_chunks::<8>();
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        let mut state = bytes.len() as u64;
        for word in words.iter().chain([&last]) {
            state = Keyed::mix(state ^ u64::from_le_bytes(*word) ^ self.key[0], self.key[1]).rotate_left(23);
        }
        self.finish(state)
    }

    fn pair(&self, head: u32, tail: u32) -> u32 {
        self.finish(
            (u64::from(head) << 32 | u64::from(tail))
                .rotate_left(17)
                .wrapping_add(self.key[1]),
        )
    }
}
