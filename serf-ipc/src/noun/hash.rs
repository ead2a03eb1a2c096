//! A hash of nouns for tables in this process: made when a noun is made, and kept in it.
//!
//! The mug would do for the tables but for its enemies: anybody can make a million cells with one mug, and a table of
//! these takes quadratic time. So this one is keyed, afresh at each start, and its values never leave the process.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

/// Two secret words.
static KEY: LazyLock<[u64; 2]> = LazyLock::new(|| {
    let state = RandomState::new();
    [state.hash_one(0), state.hash_one(1)]
});

/// How many words of a long atom are hashed side by side: a multiplication waits for the one before it in its lane only.
const LANES: usize = 4;

/// The hash of a pair, from words that stand for its halves: an atom below 2^64 for itself, any other noun by its hash.
pub(super) fn of_pair(head: u64, tail: u64) -> u32 {
    (fold(head ^ KEY[0], tail ^ KEY[1]) >> 32) as u32
}

/// The hash of an atom with these bytes.
pub(super) fn of_bytes(bytes: &[u8]) -> u32 {
    let [first, second] = *KEY;
    let mut state = bytes.len() as u64;
    let mut add = |word: u64| state = fold(state ^ word, first).rotate_left(23);
    let (words, rest) = bytes.as_chunks::<8>();
    let (blocks, words) = words.as_chunks::<LANES>();
    if !blocks.is_empty() {
        let mut lanes: [u64; LANES] = std::array::from_fn(|lane| second.rotate_left(lane as u32 + 1));
        for block in blocks {
            for (lane, word) in lanes.iter_mut().zip(block) {
                *lane = fold(*lane ^ u64::from_le_bytes(*word), first);
            }
        }
        lanes.into_iter().for_each(&mut add);
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    words
        .iter()
        .chain([&last])
        .map(|word| u64::from_le_bytes(*word))
        .for_each(&mut add);
    of_pair(state, bytes.len() as u64)
}

/// Multiplies two words to 128 bits and folds these: each bit of both reaches the middle of the product.
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ (product >> 64) as u64
}
