//! A noun from bytes: `spec/ipc.md` section 2.
//!
//! The bytes may come from anywhere. A first pass checks every tag and length and notes which places are referred
//! to, without building anything; the second pass builds, and keeps only the nouns at those places. So bad lengths
//! cost no memory, and neither does a table where nothing is referred to.

use super::Noun;
use super::bits::BitReader;

/// Why some bytes are not the jam of a noun. Places are counted in bits from the start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CueError {
    /// The input ends before the noun does.
    #[error("the jammed noun is cut off: {bytes} bytes end within it")]
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
    #[error("the jammed noun is malformed: at bit {at} it refers back to bit {to}, where no noun stands")]
    BackReference {
        /// Where the reference begins.
        at: u64,
        /// The place that it names; the highest number if it names none that fits.
        to: u64,
    },
}

/// What stands at a place: a tag and what belongs to it.
enum Item {
    Atom { bits: u64 },
    Cell,
    Reference { to: u64 },
}

/// The longest back-reference that vere reads.
const REFERENCE_BITS: u64 = 62;

/// The noun that these bytes are the jam of. Bits after it are ignored.
///
/// Takes time linear in the input (times a logarithm where it refers back), and memory in proportion to it: at most
/// one cell for two bits.
///
/// # Errors
/// If the bytes end too early, or announce what they do not hold.
pub fn cue(bytes: &[u8]) -> Result<Noun, CueError> {
    let mut kept = Kept::new(scan(bytes)?);
    let mut reader = BitReader::new(bytes);
    let mut stack: Vec<Frame> = Vec::new();
    loop {
        let at = reader.position();
        let keep = kept.slot_for(at)?;
        let mut noun = match read_item(&mut reader, bytes)? {
            Item::Cell => {
                stack.push(Frame { head: None, keep });
                continue;
            }
            Item::Atom { bits } => {
                let atom = read_atom(&mut reader, bits);
                kept.fill(keep, &atom);
                atom
            }
            Item::Reference { to } => kept.get(to).ok_or(CueError::BackReference { at, to })?,
        };
        loop {
            match stack.last_mut() {
                None => return Ok(noun),
                Some(frame) => match frame.head.take() {
                    None => {
                        frame.head = Some(noun);
                        break;
                    }
                    Some(head) => {
                        noun = Noun::cell(head, noun);
                        kept.fill(frame.keep, &noun);
                        stack.pop();
                    }
                },
            }
        }
    }
}

/// A cell whose tail, or whose head too, is still to be read.
struct Frame {
    head: Option<Noun>,
    keep: Option<usize>,
}

/// Checks tags and lengths, and returns the places that are referred to, in order.
fn scan(bytes: &[u8]) -> Result<Vec<u64>, CueError> {
    let mut reader = BitReader::new(bytes);
    let mut places = Vec::new();
    let mut missing: u64 = 1;
    while missing > 0 {
        match read_item(&mut reader, bytes)? {
            Item::Cell => missing += 1,
            Item::Atom { bits } => {
                reader.skip(bits);
                missing -= 1;
            }
            Item::Reference { to } => {
                places.push(to);
                missing -= 1;
            }
        }
    }
    places.sort_unstable();
    places.dedup();
    Ok(places)
}

/// Reads a tag and what follows it, up to an atom's bits: these are there.
fn read_item(reader: &mut BitReader<'_>, bytes: &[u8]) -> Result<Item, CueError> {
    let at = reader.position();
    let tag = reader.peek() & 0b11;
    let truncated = CueError::Truncated { bytes: bytes.len() };
    if tag & 1 == 0 {
        reader.skip(1);
        if reader.left() == 0 {
            return Err(truncated);
        }
        return Ok(Item::Atom {
            bits: read_length(reader, at, bytes)?,
        });
    }
    reader.skip(2);
    if reader.left() == 0 {
        return Err(truncated);
    }
    if tag == 0b01 {
        return Ok(Item::Cell);
    }
    let bits = read_length(reader, at, bytes)?;
    if bits > REFERENCE_BITS {
        return Err(CueError::BackReference { at, to: u64::MAX });
    }
    let to = reader.take(bits as u32);
    if to >= at {
        Err(CueError::BackReference { at, to })
    } else {
        Ok(Item::Reference { to })
    }
}

/// Reads the length of an atom, and sees that the input holds as much.
fn read_length(reader: &mut BitReader<'_>, at: u64, bytes: &[u8]) -> Result<u64, CueError> {
    let truncated = CueError::Truncated { bytes: bytes.len() };
    let mut size = 0;
    while reader.left() > 0 && reader.peek() & 1 == 0 {
        size += 1;
        reader.skip(1);
    }
    if size >= 64 {
        return Err(CueError::LengthTooLong { at });
    }
    reader.skip(1);
    let low = size.max(1) - 1;
    if reader.left() < u64::from(low) || reader.position() > bytes.len() as u64 * 8 {
        return Err(truncated);
    }
    if size == 0 {
        return Ok(0);
    }
    let bits = 1 << low | reader.take(low);
    let left = reader.left();
    if bits > left {
        Err(CueError::BeyondInput { at, bits, left })
    } else {
        Ok(bits)
    }
}

/// Reads an atom of which every bit is there.
fn read_atom(reader: &mut BitReader<'_>, bits: u64) -> Noun {
    if bits <= 64 {
        Noun::atom(reader.take(bits as u32))
    } else {
        Noun::from_le_vec(reader.take_bytes(bits))
    }
}

/// The nouns at the places that are referred to.
struct Kept {
    places: Vec<u64>,
    nouns: Vec<Option<Noun>>,
    /// The first place not passed yet.
    next: usize,
}

impl Kept {
    fn new(places: Vec<u64>) -> Kept {
        Kept {
            nouns: vec![None; places.len()],
            places,
            next: 0,
        }
    }

    /// Where to keep the noun that begins here, if it is referred to. Called with rising places.
    fn slot_for(&mut self, at: u64) -> Result<Option<usize>, CueError> {
        while self.places.get(self.next).is_some_and(|place| *place < at) {
            self.next += 1;
        }
        let here = self.places.get(self.next) == Some(&at);
        Ok(here.then_some(self.next))
    }

    fn fill(&mut self, slot: Option<usize>, noun: &Noun) {
        if let Some(slot) = slot {
            self.nouns[slot] = Some(noun.clone());
        }
    }

    fn get(&self, place: u64) -> Option<Noun> {
        let slot = self.places.binary_search(&place).ok()?;
        self.nouns[slot].clone()
    }
}
