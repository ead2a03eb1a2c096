//! What is wrong with a noun that does not have the shape asked for, and where.

use std::borrow::Cow;
use std::fmt;

use super::Noun;

/// A noun has not the shape that was asked for: `card.tail[2].status: expected an atom, found the cell [1 2]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShapeError(Box<Inner>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Inner {
    /// The innermost step first.
    path: Vec<Step>,
    expected: Cow<'static, str>,
    found: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Field(Cow<'static, str>),
    Item(usize),
}

impl ShapeError {
    /// A noun that is not what was `expected`, described with an article: `an atom`, `%done or %bail`.
    #[must_use]
    pub fn new(expected: impl Into<Cow<'static, str>>, found: &Noun) -> ShapeError {
        let kind = if found.is_atom() { "the atom" } else { "the cell" };
        let found = format!("{kind} {found:?}");
        ShapeError(Box::new(Inner {
            path: Vec::new(),
            expected: expected.into(),
            found,
        }))
    }

    /// The same error, seen from the noun that has this field.
    #[must_use]
    pub fn at(mut self, field: impl Into<Cow<'static, str>>) -> ShapeError {
        self.0.path.push(Step::Field(field.into()));
        self
    }

    /// The same error, seen from the list that has this item.
    #[must_use]
    pub fn at_item(mut self, item: usize) -> ShapeError {
        self.0.path.push(Step::Item(item));
        self
    }

    /// Where the noun stands: `card.tail[2].status`; empty for the whole.
    #[must_use]
    pub fn path(&self) -> String {
        let mut path = String::new();
        for step in self.0.path.iter().rev() {
            match step {
                Step::Field(name) if path.is_empty() => path.push_str(name),
                Step::Field(name) => path.extend([".", name]),
                Step::Item(item) => path.push_str(&format!("[{item}]")),
            }
        }
        path
    }

    /// What was expected there.
    #[must_use]
    pub fn expected(&self) -> &str {
        &self.0.expected
    }
}

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path();
        let colon = if path.is_empty() { "" } else { ": " };
        write!(
            f,
            "{path}{colon}expected {}, found {}",
            self.0.expected, self.0.found
        )
    }
}

impl std::error::Error for ShapeError {}

/// Says where, on a result: `u64::from_noun(noun).at("event")?`.
pub trait AtPath: Sized {
    /// [`ShapeError::at`].
    #[must_use]
    fn at(self, field: impl Into<Cow<'static, str>>) -> Self;

    /// [`ShapeError::at_item`].
    #[must_use]
    fn at_item(self, item: usize) -> Self;
}

impl<T> AtPath for Result<T, ShapeError> {
    fn at(self, field: impl Into<Cow<'static, str>>) -> Self {
        self.map_err(|error| error.at(field))
    }

    fn at_item(self, item: usize) -> Self {
        self.map_err(|error| error.at_item(item))
    }
}
