//! Frames that no king sends.

use crate::talk::{Serf, both, pier, reference, words};
use seguro_event::EventNumber;
use serf_ipc::newt::encode;
use serf_ipc::protocol::{Plea, Writ};
use serf_ipc::{Noun, ToNoun as _, jam, n};
use std::os::unix::process::ExitStatusExt as _;

/// Sends these bytes to each serf that there is, booted, and then nothing more. Each has to end with this status, or with
/// this signal if it is negative, complaining of `expected`.
fn assert_ends(bytes: &[u8], expected_status: i32, expected: &str) {
    for program in both() {
        let pier = pier();
        let mut serf = Serf::booted(&program, pier.path());
        serf.send_bytes(bytes);
        serf.hang_up();
        assert_eq!(serf.frame(), None, "{}: {bytes:?}", program.display());
        let status = serf.ended();
        let status = status.code().or(status.signal().map(|signal| -signal));
        let complaints = serf.complaints();
        assert_eq!(
            status,
            Some(expected_status),
            "{}: {bytes:?}: {complaints}",
            program.display()
        );
        assert!(
            complaints.contains(expected),
            "{}: {bytes:?}: {complaints}",
            program.display()
        );
    }
}

#[test]
fn what_is_no_frame_is_told_apart() {
    assert_ends(b"\x01\x00\x00\x00\x00", 1, "newt-decode");
    assert_ends(&[0; 5], 1, "newt-decode");
    assert_ends(&[0, 10, 0, 0, 0, 1], 1, "pier unexpectedly shut down");
    assert_ends(&[], 1, "pier unexpectedly shut down");
}

#[test]
fn what_is_no_writ_is_a_bad_jar() {
    // A back-reference to nowhere, and a length beyond the input.
    assert_ends(&encode(&[0xff, 0xff, 0xff]), 1, "bad jar");
    assert_ends(&encode(&[0, 0, 0, 0]), 1, "bad jar");
    for noun in [
        n![5_u64],
        n!["zzzz", 0_u64],
        n![n![1_u64, 2_u64], 3_u64],
        n!["live", 0_u64],
        n!["live", "exit", 256_u64],
        n!["live", "pack", 1_u64],
        n!["live", "save", 1_u64, 2_u64],
        n!["play", 3_u64, 0_u64],
        n!["work", 1_u64 << 32, 0_u64],
        n!["peek", 0_u64],
        n!["quiz", "other", 0_u64],
    ] {
        assert_ends(&encode(&jam(&noun)), 1, "bad jar");
    }
}

#[test]
fn what_no_king_can_mean_aborts() {
    let date = Noun::from_u128(1 << 127);
    for noun in [
        n!["work", 0_u64, 7_u64],
        n!["work", 0_u64, n![1_u64, 1_u64], 0_u64],
        n!["play", 99_u64, n![date, 0_u64], 0_u64],
        n!["play", 3_u64, 7_u64, 0_u64],
    ] {
        assert_ends(&encode(&jam(&noun)), -6, "");
    }
}

#[test]
fn without_a_kernel_nothing_can_be_computed() {
    for program in both() {
        let pier = pier();
        let mut serf = Serf::start(&program, pier.path());
        serf.ripe();
        let sample = n![0_u64, 0_u64];
        let answer = serf.ask(&Writ::Peek { limit_ms: 0, sample }).to_noun();
        assert_eq!(answer, n!["peek", "bail", "exit", 0_u64]);
        let failed = serf
            .ask(&Writ::Play {
                first: EventNumber(1),
                events: vec![n![0_u64]],
            })
            .to_noun();
        assert_eq!(failed, n!["play", "bail", 0_u64, 0_u64, "exit", 0_u64]);
        let job = serf.job(0_u64, 0_u64);
        serf.send(&Writ::Work { limit_ms: 0, job });
        assert_eq!(serf.frame(), None);
        assert_eq!(serf.ended().signal(), Some(6));
    }
}

#[test]
fn a_kernel_that_cannot_explain_itself_aborts_the_serf() {
    // The lifecycle's only formula is a constant, [0 0 kernel], which has the kernel at axis 7. Its arms all crash.
    let crash = n![0_u64, 0_u64];
    let kernel = n![n![crash.clone(), crash.clone(), crash.clone(), crash], 0_u64];
    for program in both() {
        let pier = pier();
        let mut serf = Serf::start(&program, pier.path());
        serf.ripe();
        let events = vec![n![1_u64, 0_u64, 0_u64, &kernel]];
        let played = serf.ask(&Writ::Play {
            first: EventNumber(1),
            events,
        });
        assert!(matches!(played, Plea::Play(Ok(_))), "{played:?}");
        let job = serf.job(0_u64, 0_u64);
        serf.send(&Writ::Work { limit_ms: 0, job });
        assert_eq!(serf.frame(), None);
        assert_eq!(serf.ended().signal(), Some(6));
    }
}

#[test]
fn a_writ_may_come_in_pieces_and_many_at_once() {
    let pier = pier();
    let mut serf = Serf::booted(&reference(), pier.path());
    let mut stream = Vec::new();
    for _ in 0..50 {
        let job = serf.job(n!["d", 0_u64], n!["echo", 1_u64]);
        stream.extend(encode(&jam(&Writ::Work { limit_ms: 0, job }.to_noun())));
    }
    for byte in &stream[..200] {
        serf.send_bytes(std::slice::from_ref(byte));
    }
    serf.send_bytes(&stream[200..]);
    for _ in 0..50 {
        serf.hear();
    }
    assert_eq!(serf.peek("count"), n![52_u64]);
}

#[test]
fn words_that_are_missing_or_not_understood() {
    let pier = pier();
    let mut short = Serf::start_with(&reference(), &words(pier.path(), "128", "31")[..7]);
    assert_eq!(short.ended().code(), Some(1));
    assert!(short.complaints().contains("serf: missing args"));
    let mut rock = words(pier.path(), "128", "31");
    rock[6] = "12".into();
    let mut rock = Serf::start_with(&reference(), &rock);
    assert_eq!(rock.ended().code(), Some(1));
    assert!(rock.complaints().contains("rock"));
    let mut none = Serf::start_with(&reference(), &[]);
    assert_eq!(none.ended().code(), Some(1));
    assert!(none.complaints().contains("usage"));
}
