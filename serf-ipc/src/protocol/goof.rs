//! Why a computation failed: `[mote tang]`.

use super::term::cell;
use crate::noun::{AtPath, FromNoun, Noun, ShapeError, ToNoun};
use std::fmt;

/// A failed computation: `[mote tang]` (`spec/ipc.md` section 6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Goof {
    /// What kind of failure, without the `%`: `exit`, `evil`, `fail`, `meme`, `intr`, `term`, `alrm`, `over`, `full`.
    pub mote: String,
    /// The stack trace as a list of tanks; empty for `evil`, and where there is no kernel.
    pub tang: Noun,
}

impl Goof {
    /// Whether the failure is of this kind.
    #[must_use]
    pub fn is(&self, mote: &str) -> bool {
        self.mote == mote
    }
}

/// The mote as vere writes it: `%exit`.
impl fmt::Display for Goof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.mote)
    }
}

impl ToNoun for Goof {
    fn to_noun(&self) -> Noun {
        Noun::cell(Noun::cord(&self.mote), self.tang.clone())
    }
}

impl FromNoun for Goof {
    fn from_noun(noun: &Noun) -> Result<Goof, ShapeError> {
        let (mote, tang) = cell(noun, "a goof ([mote tang])")?;
        Ok(Goof {
            mote: String::from_noun(mote).at("mote")?,
            tang: tang.clone(),
        })
    }
}
