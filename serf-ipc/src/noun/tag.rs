//! What tells the shapes of a tagged union apart: a term or a small number in the head.

use super::Noun;

/// A literal that stands in the head of a tagged union: `"work"` or `0`.
pub trait Tag {
    /// Whether this noun is the tag.
    fn is(&self, noun: &Noun) -> bool;

    /// The tag as a noun.
    fn noun(&self) -> Noun;
}

impl Tag for &str {
    fn is(&self, noun: &Noun) -> bool {
        noun.is_cord(self)
    }

    fn noun(&self) -> Noun {
        Noun::cord(self)
    }
}

impl Tag for u64 {
    fn is(&self, noun: &Noun) -> bool {
        noun.as_u64() == Some(*self)
    }

    fn noun(&self) -> Noun {
        Noun::atom(*self)
    }
}
