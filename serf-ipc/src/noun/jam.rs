//! A noun as bytes: `spec/ipc.md` section 2.

use super::bits::BitWriter;
use super::digest::{self, Keyed};
use super::equality::Unifier;
use super::{Noun, Repr};

/// The bytes of a noun. One noun has one jam: equal nouns give equal bytes, whatever they share in memory.
#[must_use]
pub fn jam(noun: &Noun) -> Vec<u8> {
    let hasher = Keyed::new();
    // Every cell gets its hash here, so that what follows only reads.
    digest::digest(&hasher, noun);
    let mut out = BitWriter::with_capacity(256);
    let mut atoms = Seen::new();
    let mut cells = Seen::new();
    let mut stack = Vec::new();
    let mut current = noun;
    loop {
        let here = out.position();
        if let Some((head, tail)) = current.as_cell() {
            match cells.find_or_insert(digest::digest(&hasher, current), current, here) {
                Some(there) => put_reference(&mut out, there),
                None => {
                    out.put(0b01, 2);
                    stack.push(tail);
                    current = head;
                    continue;
                }
            }
        } else {
            // A reference must be shorter than the atom. One that is no longer than its first place's number never
            // gets one, so it is not recorded either.
            let bits = current.bit_len().unwrap_or(0);
            let seen = if bits > bit_len(here) {
                atoms.find_or_insert(digest::digest(&hasher, current), current, here)
            } else {
                atoms.find(|| digest::digest(&hasher, current), current)
            };
            match seen {
                Some(there) if bits > bit_len(there) => put_reference(&mut out, there),
                _ => put_atom(&mut out, current),
            }
        }
        match stack.pop() {
            Some(next) => current = next,
            None => return out.finish(),
        }
    }
}

fn bit_len(value: u64) -> u64 {
    u64::from(u64::BITS - value.leading_zeros())
}

fn put_reference(out: &mut BitWriter, there: u64) {
    out.put(0b11, 2);
    put_mat(out, there);
}

fn put_atom(out: &mut BitWriter, atom: &Noun) {
    match &atom.0 {
        Repr::Direct(value) => {
            out.put(0, 1);
            put_mat(out, *value);
        }
        Repr::Big(atom) => {
            out.put(0, 1);
            put_mat_length(out, atom.bit_len());
            out.put_significant(atom.bytes());
        }
        Repr::Cell(_) => {}
    }
}

/// A number that says itself where it ends.
fn put_mat(out: &mut BitWriter, value: u64) {
    if value == 0 {
        out.put(1, 1);
    } else {
        let bits = bit_len(value);
        put_mat_length(out, bits);
        out.put(value, bits as u32);
    }
}

/// The length of a mat that is not 0: as many zeros as the length has bits, a one, the length without its highest bit.
fn put_mat_length(out: &mut BitWriter, bits: u64) {
    let size = bit_len(bits) as u32;
    out.put(1 << size, size + 1);
    out.put(bits & !(1 << (size - 1)), size - 1);
}

/// Nouns and the places where they stand first: an open-addressed table of their hashes, and a list.
struct Seen<'a> {
    /// Hash above, index of the entry plus one below; 0 is free. The length is a power of two.
    slots: Vec<u64>,
    entries: Vec<(u64, &'a Noun)>,
    unifier: Unifier,
}

impl<'a> Seen<'a> {
    fn new() -> Seen<'a> {
        Seen {
            slots: Vec::new(),
            entries: Vec::new(),
            unifier: Unifier::default(),
        }
    }

    fn find(&mut self, hash: impl FnOnce() -> u32, noun: &Noun) -> Option<u64> {
        if self.entries.is_empty() {
            None
        } else {
            self.probe(hash(), noun).ok()
        }
    }

    fn find_or_insert(&mut self, hash: u32, noun: &'a Noun, place: u64) -> Option<u64> {
        if self.entries.len() * 2 >= self.slots.len() {
            self.grow();
        }
        match self.probe(hash, noun) {
            Ok(there) => Some(there),
            Err(free) => {
                self.entries.push((place, noun));
                let index = u32::try_from(self.entries.len());
                assert!(index.is_ok(), "more than 2^32 cells in one noun");
                self.slots[free] = u64::from(hash) << 32 | u64::from(index.unwrap_or(0));
                None
            }
        }
    }

    /// The place of an equal noun, or the slot for this one. There is a free slot.
    fn probe(&mut self, hash: u32, noun: &Noun) -> Result<u64, usize> {
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let slot = self.slots[at];
            if slot == 0 {
                return Err(at);
            }
            if (slot >> 32) as u32 == hash {
                let (there, seen) = self.entries[slot as u32 as usize - 1];
                if self.unifier.equal(noun, seen) {
                    return Ok(there);
                }
            }
            at = (at + 1) & mask;
        }
    }

    fn grow(&mut self) {
        let size = (self.slots.len() * 2).max(64);
        let old = std::mem::replace(&mut self.slots, vec![0; size]);
        for slot in old.into_iter().filter(|slot| *slot != 0) {
            let mut at = (slot >> 32) as usize & (size - 1);
            while self.slots[at] != 0 {
                at = (at + 1) & (size - 1);
            }
            self.slots[at] = slot;
        }
    }
}
