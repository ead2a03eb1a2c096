//! Tapes: text as a list of its UTF-8 bytes.

use crate::{FromNoun, Noun, ShapeError, ToNoun};

/// A text that is a list of bytes as a noun.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tape(pub String);

impl From<&str> for Tape {
    fn from(text: &str) -> Tape {
        Tape(text.to_owned())
    }
}

impl ToNoun for Tape {
    fn to_noun(&self) -> Noun {
        self.0.as_bytes().to_noun()
    }
}

/// Bytes that are not UTF-8 become U+FFFD: tapes are for people to read.
impl FromNoun for Tape {
    fn from_noun(noun: &Noun) -> Result<Tape, ShapeError> {
        let bytes = Vec::<u8>::from_noun(noun)?;
        Ok(Tape(String::from_utf8_lossy(&bytes).into_owned()))
    }
}
