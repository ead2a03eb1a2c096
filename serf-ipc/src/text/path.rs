//! Paths and wires: lists of knots, written `/a/b/c`.

use std::fmt;
use std::str::FromStr;

use super::{TextError, cord};
use crate::{FromNoun, Noun, ShapeError, ToNoun};

/// A path, or a wire: knots that are UTF-8.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path(pub Vec<String>);

/// As the kernel's `spat`, which writes what is in a knot as it is.
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("/");
        }
        self.0.iter().try_for_each(|knot| write!(f, "/{knot}"))
    }
}

/// As the kernel's `stab`: a knot may be empty, but not the last; `/` is the empty path.
impl FromStr for Path {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Path, TextError> {
        let wrong = || TextError::new(text, "a path like /a/b");
        let knots = text.strip_prefix('/').ok_or_else(wrong)?;
        if knots.is_empty() {
            return Ok(Path::default());
        }
        let good = knots.split('/').all(cord::is_knot) && !knots.ends_with('/');
        if good {
            Ok(Path(knots.split('/').map(str::to_owned).collect()))
        } else {
            Err(wrong())
        }
    }
}

impl<const N: usize> From<[&str; N]> for Path {
    fn from(knots: [&str; N]) -> Path {
        Path(knots.map(str::to_owned).into())
    }
}

impl ToNoun for Path {
    fn to_noun(&self) -> Noun {
        self.0.to_noun()
    }
}

impl FromNoun for Path {
    fn from_noun(noun: &Noun) -> Result<Path, ShapeError> {
        Vec::from_noun(noun).map(Path)
    }
}

/// Whether a path of the file system is canonical, as vere wants it of files that a ship names: no empty component,
/// no `.` and no `..`. One `/` may come first, and `/` alone is canonical.
#[must_use]
pub fn is_canonical_file_path(path: &str) -> bool {
    let relative = path.strip_prefix('/').unwrap_or(path);
    path == "/" || relative.split('/').all(|name| !matches!(name, "" | "." | ".."))
}
