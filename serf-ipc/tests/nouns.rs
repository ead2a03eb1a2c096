//! Nouns against what the C program says of them.

#![expect(clippy::unwrap_used, reason = "a helper of tests may fail the test")]

use serf_ipc::{Noun, cue, jam, n};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    digits
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

#[test]
fn the_c_programs_vectors_agree_both_ways() {
    let lines = include_str!("data/jam-mug.txt").lines();
    let mut checked = 0;
    for line in lines {
        let (jammed, mug) = line.split_once(' ').unwrap();
        let noun = cue(&unhex(jammed)).unwrap();
        assert_eq!(hex(&jam(&noun)), jammed);
        assert_eq!(format!("{:08x}", noun.mug().0), mug, "{noun:?}");
        checked += 1;
    }
    assert_eq!(checked, 407);
}

#[test]
fn protocol() {
    assert_eq!(hex(&jam(&n!["live", "exit", 0u64])), "019f2dcdae1cf0cbf0d2e802");
    assert_eq!(hex(&jam(&Noun::ZERO)), "02");
}
