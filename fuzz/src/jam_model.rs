//! Jam and cue as their definition reads (`spec/ipc.md` section 2): a vector of bits, recursion, a list of what was seen.

use serf_ipc::Noun;
use std::collections::HashMap;

/// How deep both recurse, so that the fuzzer's stack is enough.
pub const DEPTH: usize = 2_000;

/// The longest back-reference that vere reads, in bits.
const REFERENCE_BITS: u64 = 62;

/// Why there is no noun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// These bytes are no jam.
    Malformed,
    /// The noun is deeper than [`DEPTH`]: the model does not know.
    TooDeep,
}

/// The noun that these bytes are the jam of.
///
/// # Errors
/// If they are none, or it is too deep for the model.
pub fn cue(bytes: &[u8]) -> Result<Noun, Refused> {
    let bits = bytes
        .iter()
        .flat_map(|byte| (0..8).map(move |at| byte >> at & 1 == 1))
        .collect();
    Reader {
        bits,
        at: 0,
        complete: HashMap::new(),
    }
    .noun(0)
}

struct Reader {
    /// All of the input, the first bit first.
    bits: Vec<bool>,
    at: usize,
    /// The nouns that were read, by the places where they begin.
    complete: HashMap<u64, Noun>,
}

impl Reader {
    fn noun(&mut self, depth: usize) -> Result<Noun, Refused> {
        if depth > DEPTH {
            return Err(Refused::TooDeep);
        }
        let start = self.at as u64;
        let noun = if !self.bit()? {
            atom(&self.mat()?)
        } else if !self.bit()? {
            let head = self.noun(depth + 1)?;
            let tail = self.noun(depth + 1)?;
            Noun::cell(head, tail)
        } else {
            let to = self.mat()?;
            if to.len() as u64 > REFERENCE_BITS {
                return Err(Refused::Malformed);
            }
            // Where a reference stands is no place to refer to: it is not kept below.
            return self.complete.get(&number(&to)).cloned().ok_or(Refused::Malformed);
        };
        self.complete.insert(start, noun.clone());
        Ok(noun)
    }

    fn bit(&mut self) -> Result<bool, Refused> {
        let bit = self.bits.get(self.at).copied().ok_or(Refused::Malformed)?;
        self.at += 1;
        Ok(bit)
    }

    fn take(&mut self, count: u64) -> Result<Vec<bool>, Refused> {
        if count > (self.bits.len() - self.at) as u64 {
            return Err(Refused::Malformed);
        }
        (0..count).map(|_| self.bit()).collect()
    }

    /// As many zeros as the length has bits, a one, the length without its highest bit, so many bits.
    fn mat(&mut self) -> Result<Vec<bool>, Refused> {
        let mut zeros = 0;
        while !self.bit()? {
            zeros += 1;
        }
        if zeros == 0 {
            return Ok(Vec::new());
        }
        if zeros > 63 {
            return Err(Refused::Malformed);
        }
        let mut length = self.take(zeros - 1)?;
        length.push(true);
        self.take(number(&length))
    }
}

/// The jam of a noun, or nothing if it is deeper than [`DEPTH`].
pub fn jam(noun: &Noun) -> Option<Vec<u8>> {
    let mut writer = Writer {
        bits: Vec::new(),
        seen: Vec::new(),
    };
    writer.noun(noun, 0)?;
    let byte = |bits: &[bool]| number(bits) as u8;
    Some(writer.bits.chunks(8).map(byte).collect())
}

struct Writer {
    bits: Vec<bool>,
    /// Every noun that was written, and where first.
    seen: Vec<(Noun, u64)>,
}

impl Writer {
    /// A cell that was written before is referred to; an atom only if the place has fewer bits than the atom.
    fn noun(&mut self, noun: &Noun, depth: usize) -> Option<()> {
        if depth > DEPTH {
            return None;
        }
        let before = self.seen.iter().find(|(seen, _)| seen == noun).map(|(_, at)| *at);
        let here = self.bits.len() as u64;
        if before.is_none() {
            self.seen.push((noun.clone(), here));
        }
        match (noun.as_cell(), before) {
            (Some(_), Some(before)) => self.reference(before),
            (Some((head, tail)), None) => {
                self.bits.extend([true, false]);
                self.noun(head, depth + 1)?;
                self.noun(tail, depth + 1)?;
            }
            (None, Some(before)) if bits_of(noun).len() > binary(before).len() => self.reference(before),
            (None, _) => {
                self.bits.push(false);
                self.mat(&bits_of(noun));
            }
        }
        Some(())
    }

    fn reference(&mut self, to: u64) {
        self.bits.extend([true, true]);
        self.mat(&binary(to));
    }

    fn mat(&mut self, value: &[bool]) {
        let mut length = binary(value.len() as u64);
        self.bits.extend(length.iter().map(|_| false));
        self.bits.push(true);
        length.pop();
        self.bits.extend(length);
        self.bits.extend(value);
    }
}

/// The bits of a number up to its highest one, the lowest first.
fn binary(mut value: u64) -> Vec<bool> {
    let mut bits = Vec::new();
    while value != 0 {
        bits.push(value & 1 == 1);
        value >>= 1;
    }
    bits
}

/// The bits of an atom up to its highest one; none for a cell.
fn bits_of(noun: &Noun) -> Vec<bool> {
    let bytes = noun.atom_bytes().unwrap_or_default();
    let mut bits: Vec<bool> = bytes
        .iter()
        .flat_map(|byte| (0..8).map(move |at| byte >> at & 1 == 1))
        .collect();
    while bits.last() == Some(&false) {
        bits.pop();
    }
    bits
}

/// The number of at most 64 bits, the lowest first.
fn number(bits: &[bool]) -> u64 {
    bits.iter()
        .rev()
        .fold(0, |value, bit| value << 1 | u64::from(*bit))
}

fn atom(bits: &[bool]) -> Noun {
    let bytes: Vec<u8> = bits.chunks(8).map(|byte| number(byte) as u8).collect();
    Noun::from_le_bytes(&bytes)
}
