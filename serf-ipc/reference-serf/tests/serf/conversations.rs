//! Conversations that were held with vere v3.5's own serf: this one says the same.

use crate::talk::{Serf, pier, reference};
use serde_json::Value;
use serf_ipc::newt::encode;
use serf_ipc::{cue, jam};
use std::os::unix::process::ExitStatusExt as _;

const CONVERSATIONS: &str = include_str!("../data/serf-tiny.jsonl");

pub(crate) fn from_hex(hex: &str) -> Vec<u8> {
    let digits = hex
        .as_bytes()
        .chunks(2)
        .map(|pair| std::str::from_utf8(pair).unwrap());
    digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

#[test]
fn every_recorded_conversation_goes_the_same_way() {
    let mut held = 0;
    for line in CONVERSATIONS.lines() {
        let conversation: Value = serde_json::from_str(line).unwrap();
        let case = conversation["case"].as_str().unwrap();
        let pier = pier();
        let mut serf = Serf::start(&reference(), pier.path());
        for (at, step) in conversation["steps"].as_array().unwrap().iter().enumerate() {
            let place = format!("{case:?}, step {at}");
            if let Some(send) = step["send"].as_str() {
                serf.send_bytes(&encode(&from_hex(send)));
            }
            if step["close"].as_bool() == Some(true) {
                serf.hang_up();
            }
            if let Some(expected) = step["recv"].as_str() {
                let got = serf
                    .frame()
                    .unwrap_or_else(|| panic!("{place}: the serf has ended"));
                let expected = from_hex(expected);
                assert!(
                    got == expected,
                    "{place}: {:?} instead of {:?}",
                    cue(&got),
                    cue(&expected)
                );
                assert_eq!(jam(&cue(&got).unwrap()), got, "{place}");
            }
            if let Some(exit) = step["exit"].as_i64() {
                let status = serf.ended();
                match exit {
                    0.. => assert_eq!(status.code().map(i64::from), Some(exit), "{place}"),
                    signal => assert_eq!(status.signal().map(i64::from), Some(-signal), "{place}"),
                }
            }
        }
        held += 1;
    }
    assert_eq!(held, 15);
}
