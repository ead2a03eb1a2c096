//! Texts: which are terms (`@tas`) and knots (`@ta`), and how any text (`@t`) is written as a knot.

use super::TextError;

/// Whether this is a term: lower-case letters, digits and `-`, the first a letter. The empty text is one (`%$`).
#[must_use]
pub fn is_term(text: &str) -> bool {
    let letter = |byte: &u8| byte.is_ascii_lowercase();
    text.bytes()
        .enumerate()
        .all(|(at, byte)| letter(&byte) || at > 0 && (byte.is_ascii_digit() || byte == b'-'))
}

/// Whether this is a knot: lower-case letters, digits and `-`, `.`, `~`, `_`, or nothing.
#[must_use]
pub fn is_knot(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.bytes()
        .all(|byte| plain(byte) || matches!(byte, b'-' | b'.' | b'~' | b'_'))
}

/// `@t`: `~~` and the text with a space as `.`, and what is neither letter, digit nor `-` as its code point in
/// hexadecimal between `~` and `.`.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push_str("~~");
    for char in text.chars() {
        match char {
            'a'..='z' | '0'..='9' | '-' => out.push(char),
            ' ' => out.push('.'),
            '.' => out.push_str("~."),
            '~' => out.push_str("~~"),
            _ => out.push_str(&format!("~{:x}.", u32::from(char))),
        }
    }
    out
}

/// The text that an `@t` stands for.
///
/// # Errors
/// If it does not begin with `~~`, has a character in it that should be escaped (`_` need not be), or an escape that is no
/// character.
pub fn unescape(text: &str) -> Result<String, TextError> {
    let escaped = text.strip_prefix("~~");
    escaped
        .and_then(unescaped)
        .ok_or_else(|| TextError::new(text, "a text (@t) like ~~some.text"))
}

fn unescaped(mut rest: &str) -> Option<String> {
    let mut out = String::with_capacity(rest.len());
    while let Some(char) = rest.chars().next() {
        rest = &rest[char.len_utf8()..];
        match char {
            'a'..='z' | '0'..='9' | '-' | '_' => out.push(char),
            '.' => out.push(' '),
            '~' => {
                let (code, after) = rest.split_at(rest.find(['.', '~'])?);
                out.push(match code {
                    // A character that stands for itself.
                    "" => after.chars().next()?,
                    _ if after.starts_with('.') && code.bytes().all(is_hex) => {
                        char::from_u32(u32::from_str_radix(code, 16).ok()?)?
                    }
                    _ => return None,
                });
                rest = &after[1..];
            }
            _ => return None,
        }
    }
    Some(out)
}

fn is_hex(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'a'..=b'f')
}
