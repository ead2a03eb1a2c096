//! Bytes that are no jam: each way to be wrong has its error, and none costs memory or a panic.

use std::collections::HashMap;

use proptest::prelude::*;
use serf_ipc::{CueError, Noun, cue, jam, n};

/// Bits in the order in which they are read, as bytes; spaces are for the reader.
fn bits(text: &str) -> Vec<u8> {
    let bits: Vec<u8> = text
        .bytes()
        .filter(|bit| *bit != b' ')
        .map(|bit| bit - b'0')
        .collect();
    bits.chunks(8)
        .map(|byte| byte.iter().rev().fold(0, |byte, bit| byte << 1 | bit))
        .collect()
}

/// A number in binary, the lowest bit first.
fn binary(value: u64) -> String {
    format!("{value:b}").chars().rev().collect()
}

/// The length of an atom other than 0: as many zeros as it has bits, a one, and its bits without the highest.
fn length(bits: u64) -> String {
    let bits = binary(bits);
    format!("{}1{}", "0".repeat(bits.len()), &bits[..bits.len() - 1])
}

/// A number with its length before it.
fn mat(value: u64) -> String {
    if value == 0 {
        "1".to_owned()
    } else {
        length(u64::from(value.ilog2() + 1)) + &binary(value)
    }
}

#[test]
fn t10_the_notation_of_these_tests() {
    assert_eq!(bits(&format!("10 0{} 0{}", mat(2), mat(3))), jam(&n![2u8, 3u8]));
    assert_eq!(bits(&format!("0{}", mat(u64::MAX))), jam(&Noun::from(u64::MAX)));
}

#[test]
fn t11_cut_off() {
    let truncated = |bytes: usize| Err(CueError::Truncated { bytes });
    assert_eq!(cue(&[]), truncated(0));
    // A tag and no more; half a tag; a cell without its tail.
    assert_eq!(cue(&bits("1010 1010")), truncated(1));
    assert_eq!(cue(&bits("1010 1001 1000 0000")), truncated(2));
    assert_eq!(cue(&bits("10 01 01 01 10101010")), Ok(n![0u8, 0u8]));
    assert_eq!(cue(&bits("10 01 0000")), truncated(1));
    // An announcement of a length of six bits, and nothing of that.
    assert_eq!(cue(&bits("0 0000001")), truncated(1));
    // A length of 30 bits, of which a few are there.
    assert_eq!(cue(&bits(&format!("0 {}1 0000", "0".repeat(30)))), truncated(5));
    assert_eq!(cue(&[0; 4]), truncated(4));
    let message = cue(&[0; 4]).expect_err("cut off").to_string();
    assert_eq!(message, "the jammed noun is cut off: its 4 bytes end within it");
}

#[test]
fn t12_every_beginning_of_a_jam_is_cut_off() {
    let long = Noun::from_le_bytes(&[0xa5; 300]);
    let bytes = jam(&n!["live", n![long, 7u8, long], n![long, 7u8], u128::MAX]);
    for end in 0..bytes.len() {
        let error = cue(&bytes[..end]).expect_err("cut off");
        assert!(
            matches!(error, CueError::Truncated { .. } | CueError::BeyondInput { .. }),
            "{end}: {error}"
        );
    }
}

#[test]
fn t13_longer_than_the_input() {
    let beyond = |at, bits, left| Err(CueError::BeyondInput { at, bits, left });
    assert_eq!(cue(&bits(&format!("0{} 1111111", length(12)))), beyond(0, 12, 7));
    assert_eq!(
        cue(&bits(&format!("10 01 0{} 111 11111111", length(12)))),
        beyond(4, 12, 11)
    );
    // Not to be allocated.
    assert_eq!(
        cue(&bits(&format!("0{} 1", length(1 << 62)))),
        beyond(0, 1 << 62, 1)
    );
    assert_eq!(
        cue(&bits(&format!("0{} 11", length(1 << 29)))),
        beyond(0, 1 << 29, 3)
    );
    let message = cue(&bits(&format!("0{} 1111111", length(12))))
        .expect_err("too short")
        .to_string();
    assert_eq!(
        message,
        "the jammed noun is malformed: at bit 0 an atom of 12 bits begins, of which 7 are there"
    );
}

#[test]
fn t14_a_length_of_64_bits() {
    let too_long = |at| Err(CueError::LengthTooLong { at });
    assert_eq!(cue(&bits(&format!("0 {}1", "0".repeat(64)))), too_long(0));
    assert_eq!(
        cue(&bits(&format!("10 0{} 11 {}1", mat(5), "0".repeat(90)))),
        too_long(10)
    );
    assert_eq!(cue(&[0; 1000]), too_long(0));
}

#[test]
fn t15_a_reference_to_nowhere() {
    let refers = |at, to| Err(CueError::BackReference { at, to });
    // To itself, ahead, and far beyond.
    assert_eq!(cue(&bits(&format!("11{}", mat(0)))), refers(0, 0));
    let after_a_seven = |to| bits(&format!("10 0{} 11{}", mat(7), mat(to)));
    assert_eq!(cue(&after_a_seven(2)), Ok(n![7u8, 7u8]));
    assert_eq!(cue(&after_a_seven(10)), refers(10, 10));
    assert_eq!(cue(&after_a_seven(11)), refers(10, 11));
    assert_eq!(cue(&after_a_seven(1 << 61)), refers(10, 1 << 61));
    // To the cell that it stands in, which would be its own part.
    assert_eq!(cue(&after_a_seven(0)), refers(10, 0));
    // Between two nouns, and into an atom's bits.
    assert_eq!(cue(&after_a_seven(1)), refers(10, 1));
    assert_eq!(cue(&after_a_seven(5)), refers(10, 5));
    // To a reference, which is no noun of its own: vere refuses it too.
    let to_a_reference = bits(&format!("10 0{} 10 11{} 11{}", mat(7), mat(2), mat(12)));
    assert_eq!(cue(&to_a_reference), refers(20, 12));
    let long = bits(&format!("10 0{} 11{}", mat(7), mat(1 << 62)));
    assert_eq!(cue(&long), Err(CueError::LongReference { at: 10, bits: 63 }));
}

#[test]
fn t16_what_vere_accepts_is_accepted() {
    // Bits after the noun; an atom with leading zeros; a reference where an atom would be shorter.
    assert_eq!(cue(&[0x02, 0xff, 0xff]), Ok(Noun::ZERO));
    assert_eq!(
        cue(&bits(&format!("0{}{:0<12}", length(12), "1"))),
        Ok(Noun::atom(1))
    );
    assert_eq!(
        cue(&bits(&format!("0{}{:0<300}", length(300), "1"))),
        Ok(Noun::atom(1))
    );
    assert_eq!(
        cue(&bits(&format!("10 0{} 11{}", mat(1), mat(2)))),
        Ok(n![1u8, 1u8])
    );
    // A cell twice, without a reference.
    let twice = bits("10 10 01 01 10 01 01");
    assert_eq!(cue(&twice), Ok(n![n![0u8, 0u8], n![0u8, 0u8]]));
    assert_ne!(jam(&n![n![0u8, 0u8], n![0u8, 0u8]]), twice);
}

/// Nouns that share: each step makes an atom, or a cell of two earlier ones. The last one is taken.
fn any_noun() -> impl Strategy<Value = Noun> {
    let atom = prop_oneof![
        any::<u8>().prop_map(|value| Noun::atom((value % 8).into())),
        any::<u64>().prop_map(Noun::atom),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| Noun::from_le_bytes(&bytes)),
    ];
    let step = prop_oneof![
        1 => atom.prop_map(Ok),
        2 => (any::<prop::sample::Index>(), any::<prop::sample::Index>()).prop_map(Err),
    ];
    prop::collection::vec(step, 1..30).prop_map(|steps| {
        let mut made: Vec<Noun> = vec![Noun::ZERO];
        for step in steps {
            made.push(match step {
                Ok(atom) => atom,
                Err((head, tail)) => Noun::cell(head.get(&made).clone(), tail.get(&made).clone()),
            });
        }
        made.pop().unwrap_or_default()
    })
}

/// The same tree without any sharing, if it is small.
fn unshared(noun: &Noun, budget: &mut usize) -> Option<Noun> {
    *budget = budget.checked_sub(1)?;
    match noun.as_cell() {
        Some((head, tail)) => Some(Noun::cell(unshared(head, budget)?, unshared(tail, budget)?)),
        None => noun.atom_bytes().map(|bytes| Noun::from_le_bytes(&bytes)),
    }
}

/// jam word for word as `spec/ipc.md` section 2 has it, with nouns known by their text.
fn jam_by_the_book(noun: &Noun, out: &mut String, places: &mut HashMap<String, usize>) {
    let text = by_the_book(noun);
    let here = out.len();
    let bit_len = |value: usize| u64::from(usize::BITS - value.leading_zeros());
    let there = *places.entry(text).or_insert(here);
    let refer = |there: usize| format!("11{}", mat(there as u64));
    match (noun.as_cell(), noun.bit_len()) {
        (Some(_), _) if there != here => out.push_str(&refer(there)),
        (Some((head, tail)), _) => {
            out.push_str("10");
            jam_by_the_book(head, out, places);
            jam_by_the_book(tail, out, places);
        }
        (None, Some(bits)) if there != here && bits > bit_len(there) => out.push_str(&refer(there)),
        (None, _) => out.push_str(&literal(noun)),
    }
}

fn literal(atom: &Noun) -> String {
    let Some(bits @ 1..) = atom.bit_len() else {
        return "01".to_owned();
    };
    let bytes = atom.atom_bytes().unwrap_or_default();
    let all: String = bytes
        .iter()
        .flat_map(|byte| (0..8).map(move |bit| if byte >> bit & 1 == 1 { '1' } else { '0' }))
        .collect();
    format!("0{}{}", length(bits), &all[..bits as usize])
}

fn by_the_book(noun: &Noun) -> String {
    match noun.as_cell() {
        Some((head, tail)) => format!("[{} {}]", by_the_book(head), by_the_book(tail)),
        None => format!("{:?}", noun.atom_bytes()),
    }
}

proptest! {
    #[test]
    fn t90_what_is_jammed_is_cued(noun in any_noun()) {
        let bytes = jam(&noun);
        let read = cue(&bytes);
        prop_assert_eq!(read.as_ref(), Ok(&noun));
        prop_assert_eq!(read.map(|read| (jam(&read), read.mug())), Ok((bytes, noun.mug())));
    }

    #[test]
    fn t91_equal_nouns_have_equal_jams(a in any_noun(), b in any_noun()) {
        prop_assert_eq!(a == b, jam(&a) == jam(&b));
        if let Some(copy) = unshared(&a, &mut 2000) {
            prop_assert_eq!(&copy, &a);
            prop_assert_eq!(jam(&copy), jam(&a));
            prop_assert_eq!(copy.mug(), a.mug());
        }
    }

    #[test]
    fn t92_jam_goes_by_the_book(noun in any_noun()) {
        if let Some(noun) = unshared(&noun, &mut 2000) {
            let mut expected = String::new();
            jam_by_the_book(&noun, &mut expected, &mut HashMap::new());
            prop_assert_eq!(jam(&noun), bits(&expected));
        }
    }

    #[test]
    fn t93_no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(noun) = cue(&bytes) {
            prop_assert_eq!(cue(&jam(&noun)), Ok(noun));
        }
    }

    #[test]
    fn t94_no_damage_panics(noun in any_noun(), at in any::<prop::sample::Index>(), flip in 1..=255_u8, cut in 0..4_usize) {
        let mut bytes = jam(&noun);
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        bytes.truncate(bytes.len().saturating_sub(cut));
        if let Ok(noun) = cue(&bytes) {
            prop_assert_eq!(cue(&jam(&noun)), Ok(noun));
        }
    }
}
