//! Short cords as numbers, so that tags are matched and made without text.

use crate::noun::{Noun, ShapeError};

/// The atom of a cord of at most eight bytes: `term("work")` is `%work`.
pub(super) const fn term(text: &str) -> u64 {
    let bytes = text.as_bytes();
    assert!(bytes.len() <= 8, "a term of at most eight bytes");
    let mut atom = 0;
    let mut at = bytes.len();
    while at > 0 {
        at -= 1;
        atom = atom << 8 | bytes[at] as u64;
    }
    atom
}

/// Head and tail of a noun that has to be a cell.
pub(super) fn cell<'a>(noun: &'a Noun, expected: &'static str) -> Result<(&'a Noun, &'a Noun), ShapeError> {
    noun.as_cell().ok_or_else(|| ShapeError::new(expected, noun))
}

/// `[tag rest]`: the tag as a number, which is nothing in use if it is not a short cord.
pub(super) fn tagged<'a>(noun: &'a Noun, expected: &'static str) -> Result<(u64, &'a Noun), ShapeError> {
    let (tag, rest) = cell(noun, expected)?;
    let tag = tag.as_u64().ok_or_else(|| ShapeError::new(expected, noun))?;
    Ok((tag, rest))
}

/// `[tag rest]` as a noun.
pub(super) fn tag(tag: u64, rest: Noun) -> Noun {
    Noun::cell(Noun::atom(tag), rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_is_the_atom_of_its_cord() {
        for text in ["", "a", "work", "quiz", "set-conf"] {
            assert_eq!(Noun::atom(term(text)), Noun::cord(text));
        }
    }
}
