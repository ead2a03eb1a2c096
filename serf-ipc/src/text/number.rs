//! Numbers: `@ud`, `@ux`, `@uv` and `@uw`, in groups of digits with dots between them.

use num_bigint::BigUint;

use super::TextError;
use crate::Noun;
use crate::limits::DECIMAL_TEXT_BYTES;

/// A base that numbers are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// `@ud`: `1.234.567`.
    Decimal,
    /// `@ux`: `0xdead.beef`.
    Hex,
    /// `@uv`: `0v1.2kpo6`.
    Base32,
    /// `@uw`: `0w2.~Zm1-`.
    Base64,
}

/// The digits of all bases but decimal, in order.
const DIGITS: &[u8; 64] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-~";

impl Base {
    fn prefix(self) -> &'static str {
        match self {
            Base::Decimal => "",
            Base::Hex => "0x",
            Base::Base32 => "0v",
            Base::Base64 => "0w",
        }
    }

    /// How many digits stand between two dots.
    fn group(self) -> usize {
        match self {
            Base::Decimal => 3,
            Base::Hex => 4,
            Base::Base32 | Base::Base64 => 5,
        }
    }

    /// How many bits a digit stands for; decimal digits stand for no whole number of them.
    fn bits(self) -> Option<usize> {
        match self {
            Base::Decimal => None,
            Base::Hex => Some(4),
            Base::Base32 => Some(5),
            Base::Base64 => Some(6),
        }
    }

    fn expected(self) -> &'static str {
        match self {
            Base::Decimal => "a decimal number (@ud) like 1.234.567",
            Base::Hex => "a hexadecimal number (@ux) like 0xdead.beef",
            Base::Base32 => "a base-32 number (@uv) like 0v1.2kpo6",
            Base::Base64 => "a base-64 number (@uw) like 0w2.~Zm1-",
        }
    }
}

/// The text of an atom with these little-endian bytes. Takes linear time, but in decimal quadratic time for an atom of
/// more than 128 bits.
#[must_use]
pub fn format(base: Base, bytes: &[u8]) -> String {
    let mut digits = match base.bits() {
        Some(bits) => digits_of(bytes, bits),
        None => decimal_digits(bytes),
    };
    let used = digits
        .iter()
        .rposition(|digit| *digit != b'0')
        .map_or(1, |last| last + 1);
    digits.resize(used, b'0');
    let mut text = String::with_capacity(digits.len() * 4 / 3 + 3);
    text.push_str(base.prefix());
    for (left, digit) in digits.iter().enumerate().rev() {
        text.push(char::from(*digit));
        if left > 0 && left % base.group() == 0 {
            text.push('.');
        }
    }
    text
}

/// The atom that a text stands for. Dots must stand where [`format()`] puts them, and there must be no leading zeros.
///
/// # Errors
/// If the text is not such a number.
pub fn parse(base: Base, text: &str) -> Result<Noun, TextError> {
    text.strip_prefix(base.prefix())
        .filter(|grouped| is_grouped(grouped, base.group()))
        .and_then(|grouped| match base.bits() {
            Some(bits) => number_of(grouped, bits),
            None => decimal_number(grouped),
        })
        .ok_or_else(|| TextError::new(text, base.expected()))
}

/// Whether the dots stand where they should, and no zeros come first.
fn is_grouped(text: &str, group: usize) -> bool {
    let (first, rest) = text
        .split_once('.')
        .map_or((text, None), |(first, rest)| (first, Some(rest)));
    let first_good = (1..=group).contains(&first.len()) && !first.starts_with('0');
    let rest_good = rest.is_none_or(|rest| rest.split('.').all(|part| part.len() == group));
    text == "0" || first_good && rest_good
}

/// Digits of so many bits each, lowest first.
fn digits_of(bytes: &[u8], bits: usize) -> Vec<u8> {
    let bit = |at: usize| bytes.get(at / 8).is_some_and(|byte| byte >> (at % 8) & 1 == 1);
    let digit = |at: usize| (0..bits).fold(0, |value, low| value | usize::from(bit(at * bits + low)) << low);
    (0..(bytes.len() * 8).div_ceil(bits))
        .map(|at| DIGITS[digit(at)])
        .collect()
}

/// The atom of digits of so many bits each, highest first.
fn number_of(grouped: &str, bits: usize) -> Option<Noun> {
    let mut bytes = Vec::with_capacity(grouped.len() * bits / 8 + 1);
    let (mut word, mut fill) = (0_u32, 0);
    for char in grouped.bytes().rev().filter(|char| *char != b'.') {
        let digit = DIGITS[..1 << bits].iter().position(|digit| *digit == char)?;
        word |= u32::try_from(digit).ok()? << fill;
        fill += bits;
        while fill >= 8 {
            bytes.push(word as u8);
            word >>= 8;
            fill -= 8;
        }
    }
    bytes.push(word as u8);
    Some(Noun::from_le_vec(bytes))
}

/// Decimal digits, lowest first.
fn decimal_digits(bytes: &[u8]) -> Vec<u8> {
    let text = match Noun::from_le_bytes(bytes).as_u128() {
        Some(value) => value.to_string(),
        None => BigUint::from_bytes_le(bytes).to_string(),
    };
    text.bytes().rev().collect()
}

fn decimal_number(grouped: &str) -> Option<Noun> {
    if grouped.len() > DECIMAL_TEXT_BYTES {
        return None;
    }
    let digits: Vec<u8> = grouped.bytes().filter(|char| *char != b'.').collect();
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    BigUint::parse_bytes(&digits, 10).map(|value| Noun::from_le_vec(value.to_bytes_le()))
}
