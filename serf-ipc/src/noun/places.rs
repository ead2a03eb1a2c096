//! The places in a jam that are referred to, and the nouns that stand there.

use super::Noun;

/// Which places of an input are wanted, as one bit for each, and the nouns of these places. It takes two bytes for each
/// of the input and the time of a few steps in memory for each question; nothing where no place is wanted.
pub(super) struct Places {
    /// How many words the input needs.
    len: usize,
    words: Vec<Word>,
    /// The nouns at the wanted places, in the order of the places, as far as they are known.
    nouns: Vec<Option<Noun>>,
}

/// 64 places.
#[derive(Clone, Copy, Default)]
struct Word {
    wanted: u64,
    /// How many places are wanted in the words before.
    before: usize,
}

impl Places {
    /// No place of an input of so many bytes.
    pub(super) fn new(bytes: usize) -> Places {
        Places {
            len: bytes / 8 + 1,
            words: Vec::new(),
            nouns: Vec::new(),
        }
    }

    /// Marks a place of the input as wanted.
    pub(super) fn want(&mut self, place: u64) {
        if self.words.is_empty() {
            self.words.resize(self.len, Word::default());
        }
        let (word, bit) = split(place);
        self.words[word].wanted |= bit;
    }

    /// Makes room for the nouns, when every wanted place is marked.
    pub(super) fn number(&mut self) {
        let mut count = 0;
        for word in &mut self.words {
            word.before = count;
            count += word.wanted.count_ones() as usize;
        }
        self.nouns.resize(count, None);
    }

    /// Whether a place is wanted.
    pub(super) fn is_wanted(&self, place: u64) -> bool {
        let (word, bit) = split(place);
        self.words.get(word).is_some_and(|word| word.wanted & bit != 0)
    }

    /// Keeps the noun of a wanted place.
    pub(super) fn keep(&mut self, place: u64, noun: &Noun) {
        let index = self.index(place);
        self.nouns[index] = Some(noun.clone());
    }

    /// The noun of a wanted place, if it is known.
    pub(super) fn get(&self, place: u64) -> Option<Noun> {
        self.nouns[self.index(place)].clone()
    }

    fn index(&self, place: u64) -> usize {
        let (word, bit) = split(place);
        let word = self.words[word];
        word.before + (word.wanted & (bit - 1)).count_ones() as usize
    }
}

/// The word of a place, and its bit there.
fn split(place: u64) -> (usize, u64) {
    ((place / 64) as usize, 1 << (place % 64))
}
