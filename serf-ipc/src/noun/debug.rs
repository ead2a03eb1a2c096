//! Nouns for people: Hoon's notation, cut short.

use std::fmt;

use super::{Noun, Repr};
use crate::limits::{DEBUG_ATOM_BYTES, DEBUG_DEPTH, DEBUG_ITEMS};

/// `[%work 12 'some text' 0x1234 ..]`: terms and texts where the bytes look like some, and `..` for what lies deeper or
/// further than the limits of this crate.
impl fmt::Debug for Noun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_noun(f, self, DEBUG_DEPTH, &mut { DEBUG_ITEMS })
    }
}

/// Recursion is bounded by `depth`, and the whole by `items`.
fn write_noun(f: &mut fmt::Formatter<'_>, noun: &Noun, depth: usize, items: &mut usize) -> fmt::Result {
    if noun.is_atom() {
        return write_atom(f, noun);
    }
    if depth == 0 {
        return f.write_str("[..]");
    }
    f.write_str("[")?;
    let mut rest = noun;
    while let Some((head, tail)) = rest.as_cell() {
        if *items == 0 {
            return f.write_str("..]");
        }
        *items -= 1;
        write_noun(f, head, depth - 1, items)?;
        f.write_str(" ")?;
        rest = tail;
    }
    write_atom(f, rest)?;
    f.write_str("]")
}

fn write_atom(f: &mut fmt::Formatter<'_>, noun: &Noun) -> fmt::Result {
    let bytes = noun.atom_bytes().unwrap_or_default();
    let shown = &bytes[..bytes.len().min(DEBUG_ATOM_BYTES)];
    let more = if shown.len() < bytes.len() { ".." } else { "" };
    let is_term = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-';
    let is_text = |byte: &u8| (b' '..=b'~').contains(byte);
    if shown.len() > 1 && shown[0].is_ascii_lowercase() && shown.iter().all(is_term) {
        write!(f, "%{}{more}", String::from_utf8_lossy(shown))
    } else if shown.len() > 2 && shown.iter().all(is_text) {
        write!(f, "'{}{more}'", String::from_utf8_lossy(shown))
    } else if let Repr::Direct(value) = noun.0 {
        write!(f, "{value}")
    } else {
        f.write_str("0x")?;
        bytes
            .iter()
            .rev()
            .take(DEBUG_ATOM_BYTES)
            .try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(more)
    }
}
