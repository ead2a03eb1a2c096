//! A noun as bytes: `spec/ipc.md` section 2.

use super::bits::BitWriter;
use super::seen::Seen;
use super::{Noun, Repr};

/// Room for a small event, in bytes.
const SMALL: usize = 512;
/// Room on the stack for the tails that wait in a small event.
const SHALLOW: usize = 32;

/// The bytes of a noun. One noun has one jam: equal nouns give equal bytes, whatever they share in memory.
///
/// Takes time linear in the cells that are in memory.
#[must_use]
pub fn jam(noun: &Noun) -> Vec<u8> {
    let mut out = BitWriter::with_capacity(SMALL);
    let mut cells = Seen::new();
    let mut atoms = SeenAtoms::new();
    let mut waiting = Vec::with_capacity(SHALLOW);
    let mut next = Some(noun);
    while let Some(noun) = next {
        let here = out.position();
        if let Some((head, tail)) = noun.as_cell() {
            match cells.find_or_insert(noun, here) {
                Some(there) => put_reference(&mut out, there),
                None => {
                    out.put(0b01, 2);
                    waiting.push(tail);
                    next = Some(head);
                    continue;
                }
            }
        } else {
            match atoms.reference(noun, here) {
                Some(there) => put_reference(&mut out, there),
                None => put_atom(&mut out, noun),
            }
        }
        next = waiting.pop();
    }
    out.finish()
}

/// The atoms that may be referred to.
struct SeenAtoms<'a> {
    seen: Seen<'a>,
    /// The lengths that these atoms have in bits, each as a bit; the last one stands for all that are longer.
    lengths: u64,
}

impl<'a> SeenAtoms<'a> {
    fn new() -> SeenAtoms<'a> {
        SeenAtoms {
            seen: Seen::new(),
            lengths: 0,
        }
    }

    /// The place to refer to instead of writing this atom here.
    ///
    /// An atom is referred to only if it is longer than the number of the place where it stood first. So one that is
    /// not longer there will never be referred to, and is not kept: in a large noun hardly any small atom is.
    fn reference(&mut self, atom: &'a Noun, here: u64) -> Option<u64> {
        let bits = atom.bit_len().unwrap_or(0);
        let length = 1 << bits.min(63);
        let there = if bits > bit_len(here) {
            self.lengths |= length;
            self.seen.find_or_insert(atom, here)
        } else if self.lengths & length != 0 {
            self.seen.find(atom)
        } else {
            None
        };
        there.filter(|there| bits > bit_len(*there))
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
    out.put(0, 1);
    match &atom.0 {
        Repr::Direct(value) => put_mat(out, *value),
        Repr::Big(atom) => {
            put_length(out, atom.bit_len());
            out.put_significant(atom.bytes());
        }
        Repr::Cell(_) => unreachable!("only atoms come here"),
    }
}

/// A number that says itself where it ends.
fn put_mat(out: &mut BitWriter, value: u64) {
    if value == 0 {
        out.put(1, 1);
    } else {
        let bits = bit_len(value);
        put_length(out, bits);
        out.put(value, bits as u32);
    }
}

/// The length of a mat that is not 0: as many zeros as the length has bits, a one, the length without its highest bit.
fn put_length(out: &mut BitWriter, bits: u64) {
    let size = bit_len(bits) as u32;
    let low = bits & !(1 << (size - 1));
    if size <= 32 {
        out.put((low << 1 | 1) << size, 2 * size);
    } else {
        out.put(1 << size, size + 1);
        out.put(low, size - 1);
    }
}
