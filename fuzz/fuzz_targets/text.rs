//! Any text of any aura, and any atom in any aura: what is read is written as it was, what is written is read as it was.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serf_ipc::{
    FromNoun, Noun, ToNoun,
    limits::DECIMAL_TEXT_BYTES,
    text::{Aura, Path, Tape, base16, cord, da, p, path, scot, slaw},
};
use std::path::Component;

const AURAS: [Aura; 9] = [
    Aura::Da,
    Aura::P,
    Aura::T,
    Aura::Ta,
    Aura::Tas,
    Aura::Ud,
    Aura::Uv,
    Aura::Uw,
    Aura::Ux,
];

/// A text that is read is written again: in most auras as it was, for they have one form only.
fn read(aura: Aura, text: &str) {
    let Ok(atom) = slaw(aura, text) else { return };
    assert!(atom.is_atom());
    let Some(written) = scot(aura, &atom) else {
        panic!("{text:?} is read as {atom:?}, which {aura:?} cannot write")
    };
    // Months and days may have a zero before them, seconds may be left out; `_` need not be escaped.
    assert!(
        written == text || matches!(aura, Aura::Da | Aura::T),
        "{text:?} is written {written:?}"
    );
    assert_eq!(slaw(aura, &written), Ok(atom));
}

/// An atom that is written is read again, where the aura reads all that it writes.
fn write(aura: Aura, atom: &Noun) {
    let Some(written) = scot(aura, atom) else { return };
    let is_read = match aura {
        Aura::Ta => cord::is_knot(&written[2..]),
        Aura::Tas => cord::is_term(&written),
        Aura::Ud => written.len() <= DECIMAL_TEXT_BYTES,
        _ => true,
    };
    match slaw(aura, &written) {
        Ok(read) => assert!(
            is_read && read == *atom,
            "{written:?} is read as {read:?}, not {atom:?}"
        ),
        Err(error) => assert!(!is_read, "{error}"),
    }
}

fn paths(text: &str) {
    if let Ok(path) = text.parse::<Path>() {
        assert_eq!(path.to_string(), text);
        assert_eq!(Path::from_noun(&path.to_noun()), Ok(path));
    }
    if path::is_canonical_file_path(text) {
        let below = text.strip_prefix('/').unwrap_or(text);
        let mut parts = std::path::Path::new(below).components();
        assert!(
            parts.all(|part| matches!(part, Component::Normal(_))),
            "{text:?} leads elsewhere"
        );
    }
    if let Ok(bytes) = base16::decode(text) {
        let even = if text.len() % 2 == 0 { "" } else { "0" };
        assert_eq!(
            base16::encode(&bytes),
            format!("{even}{}", text.to_ascii_lowercase())
        );
    }
    let tape = Tape::from(text);
    assert_eq!(Tape::from_noun(&tape.to_noun()), Ok(tape));
}

fn dates(value: u128) {
    if let Some((seconds, micros)) = da::to_unix(value) {
        assert!(micros < 1_000_000);
        let again = da::from_unix(seconds, micros);
        // A date holds 2^-16 s; microseconds are cut on the way there and on the way back.
        assert!(
            again <= value && value - again < 2 << 48,
            "{value:x} comes back as {again:x}"
        );
        assert_eq!(da::gap_ms(value, again), 0);
    }
    assert_eq!(p::fynd(p::fein(value)), value);
    assert_eq!(p::fein(p::fynd(value)), value);
}

fuzz_target!(|input: (u8, &[u8])| {
    let (choice, bytes) = input;
    let aura = AURAS[usize::from(choice) % AURAS.len()];
    if let Ok(text) = std::str::from_utf8(bytes) {
        read(aura, text);
        paths(text);
    }
    let atom = Noun::from_le_bytes(bytes);
    write(aura, &atom);
    if let Some(value) = atom.as_u128() {
        dates(value);
    }
});
