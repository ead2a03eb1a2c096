//! The nouns that a jam has written, and the places where they stand.

use super::Noun;
use super::equality::Unifier;

/// Slots of a new table: enough for a small event.
const FIRST_SLOTS: usize = 128;
/// How much a full table grows: few large steps, since every step costs a walk over all entries.
const GROWTH: usize = 4;

/// A table with open addressing. Large nouns make it larger than the processor's caches, so that its cost is that of
/// reaching into memory: a slot is one small word, and looking at it tells all but exactly whether it is the right one.
pub(super) struct Seen<'a> {
    /// The number of an entry, counted from 1, below; some bits of its hash above. 0 is free. The length is a power of
    /// two and more than twice the number of entries.
    slots: Vec<u32>,
    entries: Vec<(u64, &'a Noun)>,
    unifier: Unifier,
}

impl<'a> Seen<'a> {
    pub(super) fn new() -> Seen<'a> {
        Seen {
            slots: Vec::new(),
            entries: Vec::new(),
            unifier: Unifier::default(),
        }
    }

    /// The place of an equal noun.
    pub(super) fn find(&mut self, noun: &Noun) -> Option<u64> {
        if self.entries.is_empty() {
            None
        } else {
            self.probe(noun.table_hash(), noun).ok()
        }
    }

    /// The place of an equal noun; if there is none, this one stands here.
    pub(super) fn find_or_insert(&mut self, noun: &'a Noun, here: u64) -> Option<u64> {
        if self.entries.len() * 2 >= self.slots.len() {
            self.grow();
        }
        let hash = noun.table_hash();
        match self.probe(hash, noun) {
            Ok(there) => Some(there),
            Err(free) => {
                self.entries.push((here, noun));
                self.slots[free] = self.tag(hash) | self.entries.len() as u32;
                None
            }
        }
    }

    /// The place of an equal noun, or the slot for this one.
    fn probe(&mut self, hash: u32, noun: &Noun) -> Result<u64, usize> {
        let mask = self.slots.len() - 1;
        let tag = self.tag(hash);
        let mut at = hash as usize & mask;
        loop {
            let slot = self.slots[at];
            if slot == 0 {
                return Err(at);
            }
            if slot & !self.number_mask() == tag {
                let (there, seen) = self.entries[(slot & self.number_mask()) as usize - 1];
                if seen.table_hash() == hash && self.unifier.equal(noun, seen) {
                    return Ok(there);
                }
            }
            at = (at + 1) & mask;
        }
    }

    /// The bits of a slot that hold an entry's number: there are half as many entries as slots.
    fn number_mask(&self) -> u32 {
        (self.slots.len() - 1) as u32
    }

    /// The bits of a hash that a slot holds; those that choose the slot are not among them.
    fn tag(&self, hash: u32) -> u32 {
        hash & !self.number_mask()
    }

    fn grow(&mut self) {
        let size = if self.slots.is_empty() {
            FIRST_SLOTS
        } else {
            self.slots.len() * GROWTH
        };
        assert!(
            size <= 1 << 32,
            "a noun of more than 2^30 cells has no jam that could be kept"
        );
        self.slots = vec![0; size];
        self.entries.reserve(size / 4);
        let mask = size - 1;
        for (number, (_, noun)) in self.entries.iter().enumerate() {
            let hash = noun.table_hash();
            let mut at = hash as usize & mask;
            while self.slots[at] != 0 {
                at = (at + 1) & mask;
            }
            self.slots[at] = self.tag(hash) | (number as u32 + 1);
        }
    }
}
