//! A noun from bytes: `spec/ipc.md` section 2.
//!
//! The bytes may come from anywhere. A first pass checks every tag and length and notes which places are referred
//! to, without building anything; the second pass builds, and keeps only the nouns at those places. So bad lengths
//! cost no memory, and neither does a table where nothing is referred to.

use super::Noun;
use super::bits::{BitReader, PEEK_BITS};
use super::places::Places;

/// Why some bytes are not the jam of a noun. Places are counted in bits from the start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CueError {
    /// The input ends before the noun does.
    #[error("the jammed noun is cut off: its {bytes} bytes end within it")]
    Truncated {
        /// How long the input is.
        bytes: usize,
    },
    /// An atom's length is written with 64 bits or more; no such atom fits in a computer.
    #[error("the jammed noun is malformed: at bit {at} an atom's length itself is 64 bits long or longer")]
    LengthTooLong {
        /// Where the atom or reference begins.
        at: u64,
    },
    /// An atom claims more bits than are left.
    #[error(
        "the jammed noun is malformed: at bit {at} an atom of {bits} bits begins, of which {left} are there"
    )]
    BeyondInput {
        /// Where the atom or reference begins.
        at: u64,
        /// How many bits it claims to have.
        bits: u64,
        /// How many bits the input still has.
        left: u64,
    },
    /// A back-reference to a place where no noun has been completed before.
    #[error(
        "the jammed noun is malformed: at bit {at} it refers back to bit {to}, where no noun is complete"
    )]
    BackReference {
        /// Where the reference begins.
        at: u64,
        /// The place that it names.
        to: u64,
    },
    /// A back-reference with more bits than any place needs; vere refuses it too.
    #[error("the jammed noun is malformed: at bit {at} it refers back with a number of {bits} bits")]
    LongReference {
        /// Where the reference begins.
        at: u64,
        /// How long the number is.
        bits: u64,
    },
}

/// The longest back-reference that vere reads.
const REFERENCE_BITS: u64 = 62;
/// Room on the stack for the heads that wait in a small event.
const SHALLOW: usize = 32;

/// The noun that these bytes are the jam of. Bits after it are ignored.
///
/// Takes time linear in the input, and memory in proportion to it: at most one cell for two bits.
///
/// # Errors
/// If the bytes end too early, or announce what they do not hold.
pub fn cue(bytes: &[u8]) -> Result<Noun, CueError> {
    let mut places = scan(bytes)?;
    let mut reader = BitReader::new(bytes);
    // The cells that are being read, outermost first: nothing, or the head that is there already.
    let mut open: Vec<Option<Noun>> = Vec::with_capacity(SHALLOW);
    // Those among them that are referred to: how many are open down to there, and the place.
    let mut wanted: Vec<(usize, u64)> = Vec::new();
    loop {
        let at = reader.position();
        let mut noun = match read_item(&mut reader)? {
            Item::Cell => {
                open.push(None);
                if places.is_wanted(at) {
                    wanted.push((open.len(), at));
                }
                continue;
            }
            Item::Atom { bits } => {
                let atom = read_atom(&mut reader, bits);
                if places.is_wanted(at) {
                    places.keep(at, &atom);
                }
                atom
            }
            Item::Reference { to } => places.get(to).ok_or(CueError::BackReference { at, to })?,
        };
        // The noun is the head of the innermost cell, or it completes that one, and this perhaps the next one.
        loop {
            let depth = open.len();
            let Some(innermost) = open.last_mut() else {
                return Ok(noun);
            };
            let Some(head) = innermost.take() else {
                *innermost = Some(noun);
                break;
            };
            open.pop();
            noun = Noun::cell(head, noun);
            if let Some((_, at)) = wanted.pop_if(|(wanted, _)| *wanted == depth) {
                places.keep(at, &noun);
            }
        }
    }
}

/// Checks every tag and length, and collects the places that are referred to.
fn scan(bytes: &[u8]) -> Result<Places, CueError> {
    let mut reader = BitReader::new(bytes);
    let mut places = Places::new(bytes.len());
    let mut missing: u64 = 1;
    while missing > 0 {
        match read_item(&mut reader)? {
            Item::Cell => missing += 1,
            Item::Atom { bits } => {
                reader.skip(bits);
                missing -= 1;
            }
            Item::Reference { to } => {
                places.want(to);
                missing -= 1;
            }
        }
    }
    places.number();
    Ok(places)
}

/// A tag and what belongs to it.
enum Item {
    /// An atom, whose bits follow and are all there.
    Atom { bits: u64 },
    /// A cell, whose head and tail follow.
    Cell,
    /// What stands at an earlier place.
    Reference { to: u64 },
}

/// Reads a tag and what belongs to it, but for the bits of an atom.
fn read_item(reader: &mut BitReader<'_>) -> Result<Item, CueError> {
    let at = reader.position();
    let window = reader.peek();
    match window & 0b11 {
        0b01 if reader.left() < 2 => Err(truncated(reader)),
        0b01 => {
            reader.skip(2);
            Ok(Item::Cell)
        }
        0b11 => {
            let bits = read_length(reader, window, 2)?;
            if bits > REFERENCE_BITS {
                return Err(CueError::LongReference { at, bits });
            }
            let to = reader.take(bits as u32);
            if to < at {
                Ok(Item::Reference { to })
            } else {
                Err(CueError::BackReference { at, to })
            }
        }
        _ => Ok(Item::Atom {
            bits: read_length(reader, window, 1)?,
        }),
    }
}

/// Passes over a tag and the length behind it, and sees that the input holds as many bits as it says. A length of n bits
/// is written as n zeros, a one, and its bits but for the highest.
fn read_length(reader: &mut BitReader<'_>, window: u64, tag: u32) -> Result<u64, CueError> {
    let at = reader.position();
    let zeros = (window >> tag).trailing_zeros();
    let low = zeros.saturating_sub(1);
    let end = tag + zeros + 1 + low;
    if end > PEEK_BITS {
        return read_long_length(reader, tag);
    }
    let Some(left) = reader.left().checked_sub(u64::from(end)) else {
        return Err(truncated(reader));
    };
    let bits = if zeros == 0 {
        0
    } else {
        1 << low | window >> (tag + zeros + 1) & ((1 << low) - 1)
    };
    reader.skip(u64::from(end));
    if bits > left {
        Err(CueError::BeyondInput { at, bits, left })
    } else {
        Ok(bits)
    }
}

/// `read_length` of an atom so large, or of input so short, that peeking does not do.
#[cold]
fn read_long_length(reader: &mut BitReader<'_>, tag: u32) -> Result<u64, CueError> {
    let at = reader.position();
    reader.skip(u64::from(tag));
    let mut zeros = 0u32;
    while reader.left() > 0 && reader.peek() & 1 == 0 {
        reader.skip(1);
        zeros += 1;
        if zeros == 64 {
            return Err(CueError::LengthTooLong { at });
        }
    }
    // No zeros here is no input here: a length that begins with a one is a short one.
    let Some(low) = zeros.checked_sub(1) else {
        return Err(truncated(reader));
    };
    if reader.left() < u64::from(1 + low) {
        return Err(truncated(reader));
    }
    reader.skip(1);
    let bits = 1 << low | reader.take(low);
    let left = reader.left();
    if bits > left {
        Err(CueError::BeyondInput { at, bits, left })
    } else {
        Ok(bits)
    }
}

#[cold]
fn truncated(reader: &BitReader<'_>) -> CueError {
    CueError::Truncated { bytes: reader.len() }
}

/// Reads an atom of which every bit is there.
fn read_atom(reader: &mut BitReader<'_>, bits: u64) -> Noun {
    match bits {
        0..=64 => Noun::atom(reader.take(bits as u32)),
        65..=192 => {
            // Dates and most texts, without a detour over the heap.
            let mut bytes = [0; 24];
            let mut left = bits as u32;
            for word in bytes.as_chunks_mut::<8>().0 {
                let count = left.min(64);
                *word = reader.take(count).to_le_bytes();
                left -= count;
            }
            Noun::from_le_bytes(&bytes)
        }
        _ => Noun::from_le_vec(reader.take_bytes(bits)),
    }
}
