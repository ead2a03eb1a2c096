//! Bytes in hexadecimal with their number, as Hoon's `base16` of `mimes:html` has them: the first digit is the highest.

use super::TextError;
use crate::{Noun, Octs};

/// So many bytes of an atom in hexadecimal, highest first; zeros fill it up, and higher bytes are left out.
#[must_use]
pub fn encode(octs: &Octs) -> String {
    octs.data.iter().rev().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of a text in hexadecimal; an odd number of digits counts as if a zero stood before them.
///
/// # Errors
/// If something else than hexadecimal digits of either case is in it.
pub fn decode(text: &str) -> Result<Octs, TextError> {
    let digit = |byte: &u8| {
        char::from(*byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let byte = |pair: &[u8]| pair.iter().try_fold(0, |high, low| Some(high << 4 | digit(low)?));
    let bytes: Option<Vec<u8>> = text.as_bytes().rchunks(2).map(byte).collect();
    bytes
        .map(Octs::from)
        .ok_or_else(|| TextError::new(text, "hexadecimal digits"))
}

/// [`encode`] of an atom with its own number of bytes.
#[must_use]
pub fn encode_atom(atom: &Noun) -> Option<String> {
    atom.atom_bytes().map(|bytes| encode(&Octs::from(bytes.as_ref())))
}
