//! A secret among the arguments.

use std::{convert::Infallible, fmt, str::FromStr};

/// A key file's text. It is not shown, and any text is taken, so that no parser's error repeats it.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyText(String);

impl KeyText {
    /// The text.
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyText {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<KeyText, Infallible> {
        Ok(KeyText(text.to_owned()))
    }
}

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyText(..)")
    }
}
