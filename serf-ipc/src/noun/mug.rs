//! The mug, vere's 31-bit digest of a noun: `spec/ipc.md` section 3.

use std::sync::atomic::Ordering;

use seguro_event::Mug;

use super::atom::significant;
use super::{Cell, Noun, Repr};

const ATOM_SEED: u32 = 0xcafe_babe;
const CELL_SEED: u32 = 0xdead_beef;
/// What an atom's mug is when every seed hashed to 0.
const ATOM_FALLBACK: u32 = 0x7fff;
/// What a cell's mug is when every seed hashed to 0.
const CELL_FALLBACK: u32 = 0xfffe;
/// How many seeds are tried for a mug that is not 0.
const TRIES: u32 = 8;

/// The mug of a noun. Takes time linear in the cells and large atoms that have none yet, and leaves it in them, where
/// 0 is "not computed". Threads that race compute the same value.
pub(super) fn mug(noun: &Noun) -> u32 {
    let mut stack: Vec<&Cell> = Vec::new();
    stack.extend(pending(noun));
    while let Some(cell) = stack.last().copied() {
        let before = stack.len();
        stack.extend(pending(&cell.tail));
        stack.extend(pending(&cell.head));
        if stack.len() == before {
            let mug = of_cell(known(&cell.head), known(&cell.tail));
            cell.mug.store(mug, Ordering::Relaxed);
            stack.pop();
        }
    }
    known(noun)
}

/// The noun as a cell, if its mug is still to be computed.
fn pending(noun: &Noun) -> Option<&Cell> {
    match &noun.0 {
        Repr::Cell(cell) if cell.mug.load(Ordering::Relaxed) == 0 => Some(cell),
        _ => None,
    }
}

/// The mug of an atom, or of a cell that has it.
fn known(noun: &Noun) -> u32 {
    match &noun.0 {
        Repr::Direct(value) => {
            let bytes = value.to_le_bytes();
            of_atom(&bytes[..8 - value.leading_zeros() as usize / 8])
        }
        Repr::Cell(cell) => cell.mug.load(Ordering::Relaxed),
        Repr::Big(atom) => {
            let mut mug = atom.mug.load(Ordering::Relaxed);
            if mug == 0 {
                mug = of_atom(atom.bytes());
                atom.mug.store(mug, Ordering::Relaxed);
            }
            mug
        }
    }
}

fn of_atom(bytes: &[u8]) -> u32 {
    nonzero(ATOM_SEED, ATOM_FALLBACK, bytes)
}

fn of_cell(head: u32, tail: u32) -> u32 {
    let bytes = (u64::from(tail) << 32 | u64::from(head)).to_le_bytes();
    // The head's four bytes all count, the tail's without its leading zeros.
    nonzero(
        CELL_SEED,
        CELL_FALLBACK,
        &bytes[..8 - tail.leading_zeros() as usize / 8],
    )
}

/// The first hash, folded to 31 bits, that is not 0.
fn nonzero(seed: u32, fallback: u32, bytes: &[u8]) -> u32 {
    (0..TRIES)
        .map(|more| murmur3(seed.wrapping_add(more), bytes))
        .map(|hash| hash >> 31 ^ hash & 0x7fff_ffff)
        .find(|mug| *mug != 0)
        .unwrap_or(fallback)
}

/// The mug of the atom with these little-endian bytes; zeros at the end do not count.
#[must_use]
pub fn mug_bytes(bytes: &[u8]) -> Mug {
    Mug(of_atom(significant(bytes)))
}

/// The mug of exactly these bytes, zeros at the end among them: what ames and mesa write into their packets.
#[must_use]
pub fn mug_octets(bytes: &[u8]) -> Mug {
    Mug(of_atom(bytes))
}

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
