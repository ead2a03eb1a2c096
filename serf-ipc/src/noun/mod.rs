//! Nouns: the values that a king and a serf exchange.
//!
//! A noun is an *atom* (a natural number of any size) or a *cell* (an ordered pair of nouns). Nouns are
//! immutable and shared: a clone copies a pointer. Atoms below 2^64 lie in the [`Noun`] itself.
//!
//! Nouns from outside may be a million cells deep, and may share so much that a kilobyte stands for 2^60
//! leaves. So nothing in this module recurses, and equality, [`Noun::mug`], [`jam()`], [`cue()`] and drop take time
//! linear in the cells that are in memory, whatever tree these stand for.

mod atom;
mod bits;
mod convert;
mod cue;
mod debug;
mod equality;
mod hash;
mod jam;
mod list;
mod macros;
mod mug;
mod places;
mod seen;
mod shape;
mod tag;

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use seguro_event::Mug;

use atom::{Atom, significant};

pub use convert::{FromNoun, Octs, ToNoun};
pub use cue::{CueError, cue};
pub use jam::jam;
pub use list::ListIter;
pub use mug::{mug_bytes, mug_octets, murmur3};
pub use shape::{AtPath, ShapeError};
pub use tag::Tag;

/// A noun. Cheap to clone, equal by structure, `Send` and `Sync`.
#[derive(Clone)]
pub struct Noun(Repr);

/// An atom that fits in 64 bits is always `Direct`, so that each noun has one form only.
#[derive(Clone)]
enum Repr {
    Direct(u64),
    Big(Arc<Atom>),
    Cell(Arc<Cell>),
}

/// A pair of nouns.
struct Cell {
    /// The mug, 0 until it is computed.
    mug: AtomicU32,
    hash: u32,
    head: Noun,
    tail: Noun,
}

impl Noun {
    /// `0`, which is also `~`: the empty list, the empty unit, the empty cord.
    pub const ZERO: Noun = Noun(Repr::Direct(0));
    /// The loobean `&`, which is 0.
    pub const YES: Noun = Noun(Repr::Direct(0));
    /// The loobean `|`, which is 1.
    pub const NO: Noun = Noun(Repr::Direct(1));

    /// The atom with this value.
    #[must_use]
    pub const fn atom(value: u64) -> Noun {
        Noun(Repr::Direct(value))
    }

    /// The atom with this value.
    #[must_use]
    pub fn from_u128(value: u128) -> Noun {
        match u64::try_from(value) {
            Ok(small) => Noun::atom(small),
            Err(_) => Noun::from_le_bytes(&value.to_le_bytes()),
        }
    }

    /// The atom whose little-endian bytes these are; zero bytes at the end do not count.
    #[must_use]
    pub fn from_le_bytes(bytes: &[u8]) -> Noun {
        let bytes = significant(bytes);
        match direct(bytes) {
            Some(value) => Noun::atom(value),
            None => Noun(Repr::Big(Arc::new(Atom::from_slice(bytes)))),
        }
    }

    /// As [`Noun::from_le_bytes`], keeping the vector when it is large.
    #[must_use]
    pub fn from_le_vec(mut bytes: Vec<u8>) -> Noun {
        bytes.truncate(significant(&bytes).len());
        match direct(&bytes) {
            Some(value) => Noun::atom(value),
            None => Noun(Repr::Big(Arc::new(Atom::from_vec(bytes)))),
        }
    }

    /// The cord (`@t`, `@ta`, `@tas`) with this text: its UTF-8 bytes, the first one lowest.
    #[must_use]
    pub fn cord(text: &str) -> Noun {
        Noun::from_le_bytes(text.as_bytes())
    }

    /// The cell `[head tail]`.
    #[must_use]
    pub fn cell(head: Noun, tail: Noun) -> Noun {
        let hash = hash::of_pair(head.hash_word(), tail.hash_word());
        Noun(Repr::Cell(Arc::new(Cell {
            mug: AtomicU32::new(0),
            hash,
            head,
            tail,
        })))
    }

    /// The list of these items, ended by `~`.
    #[must_use]
    pub fn list(items: impl IntoIterator<Item = Noun>) -> Noun {
        let items: Vec<Noun> = items.into_iter().collect();
        items
            .into_iter()
            .rev()
            .fold(Noun::ZERO, |tail, item| Noun::cell(item, tail))
    }

    /// `~`, or `[~ item]`.
    #[must_use]
    pub fn unit(item: Option<Noun>) -> Noun {
        item.map_or(Noun::ZERO, |item| Noun::cell(Noun::ZERO, item))
    }

    /// A loobean: true is 0, false is 1.
    #[must_use]
    pub const fn loob(truth: bool) -> Noun {
        if truth { Noun::YES } else { Noun::NO }
    }

    /// Whether this is an atom.
    #[must_use]
    pub fn is_atom(&self) -> bool {
        !self.is_cell()
    }

    /// Whether this is a cell.
    #[must_use]
    pub fn is_cell(&self) -> bool {
        matches!(self.0, Repr::Cell(_))
    }

    /// Head and tail, if this is a cell.
    #[must_use]
    pub fn as_cell(&self) -> Option<(&Noun, &Noun)> {
        match &self.0 {
            Repr::Cell(cell) => Some((&cell.head, &cell.tail)),
            _ => None,
        }
    }

    /// Head and tail.
    ///
    /// # Errors
    /// If this is an atom.
    pub fn split(&self) -> Result<(&Noun, &Noun), ShapeError> {
        self.as_cell().ok_or_else(|| ShapeError::new("a cell", self))
    }

    /// The head, if this is a cell.
    #[must_use]
    pub fn head(&self) -> Option<&Noun> {
        self.as_cell().map(|(head, _)| head)
    }

    /// The tail, if this is a cell.
    #[must_use]
    pub fn tail(&self) -> Option<&Noun> {
        self.as_cell().map(|(_, tail)| tail)
    }

    /// The value, if this is an atom below 2^64.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        match self.0 {
            Repr::Direct(value) => Some(value),
            _ => None,
        }
    }

    /// The value, if this is an atom below 2^128.
    #[must_use]
    pub fn as_u128(&self) -> Option<u128> {
        match &self.0 {
            Repr::Direct(value) => Some(u128::from(*value)),
            Repr::Big(atom) => {
                let bytes = atom.bytes();
                let mut wide = [0; 16];
                wide.get_mut(..bytes.len())?.copy_from_slice(bytes);
                Some(u128::from_le_bytes(wide))
            }
            Repr::Cell(_) => None,
        }
    }

    /// The significant bytes of an atom, lowest first: none for 0, and the last one is never zero.
    #[must_use]
    pub fn atom_bytes(&self) -> Option<Cow<'_, [u8]>> {
        match &self.0 {
            Repr::Direct(value) => Some(Cow::Owned(significant(&value.to_le_bytes()).to_vec())),
            Repr::Big(atom) => Some(Cow::Borrowed(atom.bytes())),
            Repr::Cell(_) => None,
        }
    }

    /// How many bits an atom has, counted from its highest one bit; 0 for 0.
    #[must_use]
    pub fn bit_len(&self) -> Option<u64> {
        match &self.0 {
            Repr::Direct(value) => Some(u64::from(u64::BITS - value.leading_zeros())),
            Repr::Big(atom) => Some(atom.bit_len()),
            Repr::Cell(_) => None,
        }
    }

    /// The text of a cord; nothing for a cell or for bytes that are not UTF-8.
    #[must_use]
    pub fn as_cord(&self) -> Option<String> {
        String::from_utf8(self.atom_bytes()?.into_owned()).ok()
    }

    /// Whether this is the cord with this text, found without making one.
    #[must_use]
    pub fn is_cord(&self, text: &str) -> bool {
        let bytes = significant(text.as_bytes());
        match &self.0 {
            Repr::Direct(value) => direct(bytes) == Some(*value),
            Repr::Big(atom) => atom.bytes() == bytes,
            Repr::Cell(_) => false,
        }
    }

    /// The noun at a tree address: 1 is the whole, 2n the head of n, 2n+1 the tail of n.
    /// Nothing for address 0, and where the way leads through an atom.
    #[must_use]
    pub fn slot(&self, axis: u64) -> Option<&Noun> {
        let depth = axis.checked_ilog2()?;
        (0..depth).rev().try_fold(self, |noun, bit| {
            let (head, tail) = noun.as_cell()?;
            Some(if axis >> bit & 1 == 0 { head } else { tail })
        })
    }

    /// [`Noun::slot`] with an address of any size, as an atom; nothing if `axis` is a cell.
    #[must_use]
    pub fn slot_big(&self, axis: &Noun) -> Option<&Noun> {
        match &axis.0 {
            Repr::Direct(axis) => self.slot(*axis),
            Repr::Big(atom) => {
                let bytes = atom.bytes();
                (0..atom.bit_len() - 1).rev().try_fold(self, |noun, bit| {
                    let (head, tail) = noun.as_cell()?;
                    let byte = usize::try_from(bit / 8).ok().and_then(|at| bytes.get(at))?;
                    Some(if byte >> (bit % 8) & 1 == 0 { head } else { tail })
                })
            }
            Repr::Cell(_) => None,
        }
    }

    /// The items of a list, in order, then an error if it does not end with `~`.
    #[must_use]
    pub fn iter_list(&self) -> ListIter<'_> {
        ListIter::new(self)
    }

    /// The 31-bit digest that vere knows a noun by (`spec/ipc.md` section 3); never [`Mug::UNKNOWN`].
    /// Computed once for each cell and large atom, and kept there.
    #[must_use]
    pub fn mug(&self) -> Mug {
        Mug(mug::mug(self))
    }

    /// What stands for this noun in the hash of a cell. Equal nouns have equal words.
    fn hash_word(&self) -> u64 {
        match &self.0 {
            Repr::Direct(value) => *value,
            Repr::Big(atom) => u64::from(atom.hash),
            Repr::Cell(cell) => u64::from(cell.hash),
        }
    }

    /// A hash for tables, keyed afresh in each process.
    fn table_hash(&self) -> u32 {
        match &self.0 {
            Repr::Direct(value) => hash::of_pair(*value, 0),
            Repr::Big(atom) => atom.hash,
            Repr::Cell(cell) => cell.hash,
        }
    }
}

impl Default for Noun {
    fn default() -> Noun {
        Noun::ZERO
    }
}

/// The value of at most eight little-endian bytes.
fn direct(bytes: &[u8]) -> Option<u64> {
    let mut word = [0; 8];
    word.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(u64::from_le_bytes(word))
}

/// Takes a tree apart from the outside in, so that dropping a deep noun does not recurse: only cells that
/// nobody else holds are entered, and these have lost their cells by the time their own drop runs.
impl Drop for Cell {
    fn drop(&mut self) {
        let mut orphans = Vec::new();
        let mut next = take_cells(self, &mut orphans);
        while let Some(orphan) = next {
            next = match Arc::into_inner(orphan) {
                Some(mut cell) => take_cells(&mut cell, &mut orphans),
                None => orphans.pop(),
            };
        }
    }
}

/// Takes the children that are cells out of a dying cell. Returns the one to go on with, and leaves the other one, if
/// both are cells, for later.
fn take_cells(cell: &mut Cell, later: &mut Vec<Arc<Cell>>) -> Option<Arc<Cell>> {
    let take = |child: &mut Noun| match std::mem::replace(&mut child.0, Repr::Direct(0)) {
        Repr::Cell(cell) => Some(cell),
        atom => {
            child.0 = atom;
            None
        }
    };
    match (take(&mut cell.head), take(&mut cell.tail)) {
        (Some(head), Some(tail)) => {
            later.push(tail);
            Some(head)
        }
        (Some(only), None) | (None, Some(only)) => Some(only),
        (None, None) => later.pop(),
    }
}
