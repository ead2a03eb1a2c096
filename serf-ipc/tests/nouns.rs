//! Nouns against what the C program says of them (`spec/ipc.md` section 2, `spec/testmap.md` sections 1 and 2).

#![expect(clippy::unwrap_used, reason = "a helper of tests may fail the test")]

use serf_ipc::noun::{mug_bytes, murmur3};
use serf_ipc::{Noun, cue, jam, n};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes from hexadecimal, with or without spaces.
fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|digit| *digit != b' ').collect();
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

#[track_caller]
fn check_jam(noun: &Noun, jammed: &str) {
    assert_eq!(hex(&jam(noun)), jammed.replace(' ', ""));
    assert_eq!(cue(&unhex(jammed)).as_ref(), Ok(noun));
}

/// 2 to the power of `bits`.
fn power(bits: usize) -> Noun {
    let mut bytes = vec![0; bits / 8 + 1];
    bytes[bits / 8] = 1 << (bits % 8);
    Noun::from_le_vec(bytes)
}

#[test]
fn t10_the_c_programs_vectors_agree_both_ways() {
    let mut checked = 0;
    for line in include_str!("data/jam-mug.txt").lines() {
        let (jammed, mug) = line.split_once(' ').unwrap();
        let noun = cue(&unhex(jammed)).unwrap();
        assert_eq!(hex(&jam(&noun)), jammed);
        assert_eq!(format!("{:08x}", noun.mug().0), mug, "{noun:?}");
        checked += 1;
    }
    assert_eq!(checked, 407);
}

#[test]
fn t11_small_nouns_jam_as_the_specification_says() {
    let [fast, full] = ["fast", "full"].map(Noun::cord);
    check_jam(&Noun::ZERO, "02");
    check_jam(&Noun::atom(1), "0c");
    check_jam(&Noun::atom(2), "48");
    check_jam(&fast, "c0 37 0b 9b a3 03");
    check_jam(&full, "c0 37 ab 63 63 03");
    check_jam(&n![0u8, 0u8], "29");
    check_jam(&n![1u8, 1u8], "31 03");
    check_jam(&n![1u8, 2u8], "31 12");
    check_jam(&n![2u8, 3u8], "21 d1");
    check_jam(&n![fast, full], "01 df 2c 6c 8e 0e 7c b3 3a 36 36");
    check_jam(&n![1u8, 1u8, 1u8], "71 cc");
    check_jam(&n![1u8, 2u8, 3u8], "71 48 34");
    check_jam(&n![fast, full, fast], "01 df 2c 6c 8e 1e f0 cd ea d8 d8 93");
    check_jam(&n![n![1u8, 2u8], 3u8], "c5 48 34");
    let pair = n![1u8, 2u8];
    check_jam(&n![pair, pair, pair], "c5 c8 26 27 01");
    let (zeros, ones) = (n![0u8, 0u8], n![1u8, 1u8]);
    check_jam(&n![zeros, n![zeros, ones], ones], "a5 35 19 f3 18 05");
    check_jam(&power(256), &format!("000c{}08", "00".repeat(32)));
}

#[test]
fn t12_shapes_of_the_c_programs_tests() {
    // Each of 1, 2, 3 stands before a deeper one that is ended by 0, and all is ended twice.
    let inner = n![n![5u8, 6u8, 7u8, n![n![8u8, 0u8], 0u8]], 0u8];
    let deep = [4u8, 3, 2, 1]
        .into_iter()
        .fold(inner, |deeper, item| n![n![item, deeper], 0u8]);
    check_jam(&n![deep, 0u8], "15 17 b2 d0 85 59 b8 61 87 5f 10 54 55 05");
    let date = unhex("00 00 00 00 00 00 0c a8 ab 60 ef 2d 0d 00 00 80");
    check_jam(
        &Noun::from_le_bytes(&date),
        "00 02 00 00 00 00 00 00 18 50 57 c1 de 5b 1a 00 00 00 01",
    );
    let alpha = "abcdefjhijklmnopqrstuvwxyz";
    check_jam(
        &n![alpha, 2u8, 3u8, alpha],
        "01 f8 0c 13 1b 23 2b 33 53 43 4b 53 5b 63 6b 73 7b 83 8b 93 9b a3 ab b3 bb c3 cb d3 87 0c 3d 09",
    );
}

#[test]
fn t13_messages_of_the_protocol() {
    check_jam(&n!["live", "exit", 0u8], "01 9f 2d cd ae 1c f0 cb f0 d2 e8 02");
    check_jam(&n!["live", 0u8], "01 9f 2d cd ae 2c");
    check_jam(
        &n!["live", "save", 10u8],
        "01 9f 2d cd ae 1c f0 e7 c2 ec ca 10 05",
    );
    check_jam(&n!["live", "pack", 0u8], "01 9f 2d cd ae 1c f0 e1 c2 c6 d6 02");
    check_jam(
        &n!["ripe", n![1u8, 138u8, 4u8], 0u8, 0u8],
        "01 5f 2e 0d ae 5c 1c 08 45 cc 14",
    );
    check_jam(
        &n!["peek", 0u8, n![0u8, 0u8], 1u8, "once", "ax", 0u8, "boot", 0u8],
        "01 1f ae ac 6c 9d a5 71 c0 7f 73 1b 2b 07 3e 0c 9f 01 5f ec ed 8d 2e",
    );
}

#[test]
fn t20_mugs_of_the_c_programs_tests() {
    let text = "Hello, world!";
    let long = "abcdefjhijklmnopqrstuvwxyz";
    // A zero byte, the letters, and bit 212 of what follows the zero.
    let shifted = [&[0], long.as_bytes(), &[1 << (212 % 8)]].concat();
    let words = |words: [u32; 4]| Noun::from_le_bytes(&words.map(u32::to_le_bytes).concat());
    let rows = [
        (Noun::cord(text), 0x4d44_1035),
        (Noun::ZERO, 0x79ff_04e8),
        (Noun::atom(1), 0x715c_2a60),
        (Noun::atom(2), 0x718b_9468),
        (n![1u8, 2u8, 3u8], 0x3a81_1aec),
        (n![0u8, 0u8], 0x192f_5588),
        (n![1u8, 1u8], 0x6b32_ec46),
        (n![2u8, 2u8], 0x02ef_fe10),
        (Noun::cord(&"x".repeat(28)), 0x64df_da5c),
        (n![0u8, 1u64 << 32], 0x07ce_fb7f),
        (n![u128::MAX, 1u8], 0x2aa0_6bfc),
        (Noun::from_le_bytes(&shifted), 0x34d0_8717),
        (words([0, 0, 0, 1]), 0x519b_d45c),
        (words([0, 1, 0, 1]), 0x540e_b8a9),
        (words([1, 1, 0, 1]), 0x319d_28f9),
        (words([0, 0, 0, 0xffff]), 0x5230_a260),
    ];
    for (noun, mug) in rows {
        assert_eq!(noun.mug().0, mug, "{noun:?}");
        // Once more, from where it is kept now.
        assert_eq!(noun.mug().0, mug, "{noun:?}");
    }
    assert_eq!(mug_bytes(text.as_bytes()).0, 0x4d44_1035);
    assert_eq!(mug_bytes(b"\0\0"), Noun::ZERO.mug());
}

/// A hash that folds to 0 is tried again with the next seed. Murmur's steps can be undone for four bytes.
#[test]
fn t21_a_mug_is_never_zero() {
    let preimage = |hash: u32| {
        let unshift = |hash: u32, by: u32| (0..3).fold(hash, |guess, _| hash ^ guess >> by);
        let inverse = |odd: u32| {
            (0..5).fold(odd, |guess, _| {
                guess.wrapping_mul(2_u32.wrapping_sub(odd.wrapping_mul(guess)))
            })
        };
        let hash = unshift(hash, 16).wrapping_mul(inverse(0xc2b2_ae35));
        let hash = unshift(hash, 13).wrapping_mul(inverse(0x85eb_ca6b));
        let hash = (unshift(hash, 16) ^ 4)
            .wrapping_sub(0xe654_6b64)
            .wrapping_mul(inverse(5));
        let word = hash.rotate_right(13) ^ 0xcafe_babe;
        word.wrapping_mul(inverse(0x1b87_3593))
            .rotate_right(15)
            .wrapping_mul(inverse(0xcc9e_2d51))
    };
    for zero in [0, 0x8000_0001_u32] {
        let word = preimage(zero);
        assert_eq!(murmur3(0xcafe_babe, &word.to_le_bytes()), zero);
        let retried = murmur3(0xcafe_babf, &word.to_le_bytes());
        assert_eq!(Noun::from(word).mug().0, retried >> 31 ^ retried & 0x7fff_ffff);
    }
}
