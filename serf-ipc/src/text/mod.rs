//! Atoms as text and back, by their *aura*: what Hoon's `scot`, `slaw`, `stab` and `spat` do.
//!
//! The king writes auras into wires (`0v1d.8tjvu`, `1.234`) and reads them there, on the command line (`~zod`) and in
//! files of keys (`0w...`). Each aura has its file; [`scot`] and [`slaw`] choose one at run time.

pub mod base16;
pub mod cord;
pub mod da;
pub mod number;
pub mod p;
pub mod path;
pub mod tape;

use crate::Noun;
use crate::limits::TEXT_ERROR_CHARS;
use number::Base;

pub use path::Path;
pub use tape::Tape;

/// What an atom stands for, and so how it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Aura {
    /// `@da`, a date: `~2026.11.23..02.06.58..3380`.
    Da,
    /// `@p`, a ship: `~zod`.
    P,
    /// `@t`, any text, escaped: `~~hello.world`.
    T,
    /// `@ta`, a knot: `~.some_text.txt`.
    Ta,
    /// `@tas`, a term: `work`.
    Tas,
    /// `@ud`, decimal: `1.234.567`.
    Ud,
    /// `@uv`, in base 32: `0v1.2kpo6`.
    Uv,
    /// `@uw`, in base 64: `0w2.~Zm1-`.
    Uw,
    /// `@ux`, hexadecimal: `0xdead.beef`.
    Ux,
}

/// Text that is not what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct TextError {
    text: String,
    expected: &'static str,
}

impl TextError {
    fn new(text: &str, expected: &'static str) -> TextError {
        let end = text.char_indices().nth(TEXT_ERROR_CHARS);
        let text = end.map_or_else(|| text.to_owned(), |(end, _)| format!("{}..", &text[..end]));
        TextError { text, expected }
    }
}

/// The text of an atom. Nothing for a cell, and for an atom that the aura cannot write: a ship or date of more than 128
/// bits, and bytes that are not UTF-8 where text is wanted.
#[must_use]
pub fn scot(aura: Aura, atom: &Noun) -> Option<String> {
    Some(match aura {
        Aura::Da => da::format(atom.as_u128()?),
        Aura::P => p::format(atom.as_u128()?),
        Aura::T => cord::escape(&atom.as_cord()?),
        Aura::Ta => format!("~.{}", atom.as_cord()?),
        Aura::Tas => atom.as_cord()?,
        Aura::Ud => number::format(Base::Decimal, &atom.atom_bytes()?),
        Aura::Uv => number::format(Base::Base32, &atom.atom_bytes()?),
        Aura::Uw => number::format(Base::Base64, &atom.atom_bytes()?),
        Aura::Ux => number::format(Base::Hex, &atom.atom_bytes()?),
    })
}

/// The atom that a text of this aura stands for.
///
/// # Errors
/// If the text is not of this aura.
pub fn slaw(aura: Aura, text: &str) -> Result<Noun, TextError> {
    match aura {
        Aura::Da => da::parse(text).map(Noun::from),
        Aura::P => p::parse(text).map(Noun::from),
        Aura::T => cord::unescape(text).map(|text| Noun::cord(&text)),
        Aura::Ta => match text.strip_prefix("~.") {
            Some(knot) if cord::is_knot(knot) => Ok(Noun::cord(knot)),
            _ => Err(TextError::new(text, "a knot (@ta) like ~.abc")),
        },
        Aura::Tas if cord::is_term(text) => Ok(Noun::cord(text)),
        Aura::Tas => Err(TextError::new(text, "a term (@tas) like abc-1")),
        Aura::Ud => number::parse(Base::Decimal, text),
        Aura::Uv => number::parse(Base::Base32, text),
        Aura::Uw => number::parse(Base::Base64, text),
        Aura::Ux => number::parse(Base::Hex, text),
    }
}

/// `@ud`: `1.234.567`.
#[must_use]
pub fn ud(value: u64) -> String {
    number::format(Base::Decimal, &value.to_le_bytes())
}

/// `@ux`: `0xdead.beef`.
#[must_use]
pub fn ux(value: u64) -> String {
    number::format(Base::Hex, &value.to_le_bytes())
}

/// `@uv`: `0v1.2kpo6`.
#[must_use]
pub fn uv(value: u64) -> String {
    number::format(Base::Base32, &value.to_le_bytes())
}

/// The number in a knot of a wire, if it has at most 31 bits, as vere reads the numbers of its connections and requests
/// (`u3v_lily`).
#[must_use]
pub fn knot_number(aura: Aura, knot: &str) -> Option<u32> {
    let value = slaw(aura, knot).ok()?.as_u64()?;
    u32::try_from(value).ok().filter(|value| value >> 31 == 0)
}
