//! The mug, vere's 31-bit digest of a noun: `spec/ipc.md` section 3.

use std::sync::atomic::AtomicU32;

use seguro_event::Mug;

use super::atom::significant;
use super::digest::{Digest, Digests};

const ATOM_SEED: u32 = 0xcafe_babe;
const CELL_SEED: u32 = 0xdead_beef;
/// What an atom's mug is when every seed hashed to 0.
const ATOM_FALLBACK: u32 = 0x7fff;
/// What a cell's mug is when every seed hashed to 0.
const CELL_FALLBACK: u32 = 0xfffe;
/// How many seeds are tried for a mug that is not 0.
const TRIES: u32 = 8;

/// `MurmurHash3_x86_32` of these bytes.
#[must_use]
pub fn murmur3(seed: u32, bytes: &[u8]) -> u32 {
    let (words, rest) = bytes.as_chunks::<4>();
    let mut hash = seed;
    for word in words {
        hash = (hash ^ scramble(u32::from_le_bytes(*word))).rotate_left(13);
        hash = hash.wrapping_mul(5).wrapping_add(0xe654_6b64);
    }
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    // The length counts modulo 2^32, as in the C.
    avalanche(hash ^ scramble(u32::from_le_bytes(last)) ^ bytes.len() as u32)
}

/// The mug of the atom with these little-endian bytes; zeros at the end do not count.
#[must_use]
pub fn mug_bytes(bytes: &[u8]) -> Mug {
    Mug(mug(ATOM_SEED, ATOM_FALLBACK, significant(bytes)))
}

fn scramble(word: u32) -> u32 {
    word.wrapping_mul(0xcc9e_2d51)
        .rotate_left(15)
        .wrapping_mul(0x1b87_3593)
}

fn avalanche(mut hash: u32) -> u32 {
    hash = (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ hash >> 13).wrapping_mul(0xc2b2_ae35);
    hash ^ hash >> 16
}

fn mug(seed: u32, fallback: u32, bytes: &[u8]) -> u32 {
    (0..TRIES)
        .map(|more| murmur3(seed.wrapping_add(more), bytes))
        .map(|hash| hash >> 31 ^ hash & 0x7fff_ffff)
        .find(|mug| *mug != 0)
        .unwrap_or(fallback)
}

/// The mug as a digest that is kept in the cells.
pub(super) struct Murmur;

impl Digest for Murmur {
    fn cache<'a>(&self, digests: &'a Digests) -> &'a AtomicU32 {
        digests.mug()
    }

    fn direct(&self, value: u64) -> u32 {
        self.bytes(significant(&value.to_le_bytes()))
    }

    fn bytes(&self, bytes: &[u8]) -> u32 {
        mug(ATOM_SEED, ATOM_FALLBACK, bytes)
    }

    fn pair(&self, head: u32, tail: u32) -> u32 {
        let bytes = (u64::from(tail) << 32 | u64::from(head)).to_le_bytes();
        // The head's four bytes all count, the tail's without its leading zeros.
        let len = 8 - tail.leading_zeros() as usize / 8;
        mug(CELL_SEED, CELL_FALLBACK, &bytes[..len])
    }
}
