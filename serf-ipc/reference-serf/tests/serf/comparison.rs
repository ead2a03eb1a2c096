//! The kernel under both serfs: `../data/kernel-v35.jsonl` holds what the kernel of this crate answered to a long
//! conversation under vere v3.5's serf, frame for frame, and the reference serf says the same.
//!
//! When the kernel changes, the conversation has to be held again:
//! `SEGURO_SERF=/path/to/urbit cargo test -p reference-serf -- --ignored hold_the_conversation`.

use crate::conversations::from_hex;
use crate::formulas::{Outcome, definition, formula, noun};
use crate::talk::{PEEKS, Serf, life, peek_at, pier, reference, vere};
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use seguro_event::EventNumber;
use serde_json::{Value, json};
use serf_ipc::protocol::{Plea, WorkReply, Writ};
use serf_ipc::{FromNoun as _, Noun, ToNoun as _, cue, jam, n};
use std::path::Path;

const RECORDING: &str = include_str!("../data/kernel-v35.jsonl");
const RECORDING_PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/kernel-v35.jsonl");

/// All that the kernel knows, in one long conversation.
fn script() -> Vec<Writ> {
    let mut script = vec![Writ::Play {
        first: EventNumber(1),
        events: life(),
    }];
    let mut date = 0x8000_000d_39a1_aa60_u128 << 64;
    let mut job = |wire: Noun, card: Noun| {
        date += 1 << 52;
        n![Noun::from_u128(date), wire, card]
    };
    let term = || n!["d", "term", "1", 0_u64];
    let http = || n!["e", "http-server", "0v3", "1", "1", 0_u64];
    let request = |method: &str, url: &str| n!["request", true, n!["ipv4", 1_u64], method, url, 0_u64, 0_u64];
    let leaf = n!["leaf", "h", "i", 0_u64];
    let events = [
        (n![0_u64, "arvo", 0_u64], n!["wyrd", n!["0v1", 0_u64], 0_u64]),
        (term(), n!["echo", 5_u64, 6_u64]),
        (n!["b", "behn", "0v1", 0_u64], n!["born", 0_u64]),
        (n!["b", "behn", 0_u64], n!["wake", 0_u64]),
        (n!["b", "behn", 0_u64], n!["wait", Noun::from_u128(1 << 127)]),
        (n!["b", "behn", "0v2", 0_u64], n!["born", 0_u64]),
        (n!["b", "behn", 0_u64], n!["rest", 0_u64]),
        (n!["e", "http-server", "0v3", 0_u64], n!["born", 0_u64]),
        (http(), request("GET", "/")),
        (http(), request("GET", "/text")),
        (http(), request("GET", "/events")),
        (http(), request("POST", "/text")),
        (http(), request("POST", "/")),
        (http(), request("HEAD", "/")),
        (http(), request("PUT", "/")),
        (http(), request("GET", "/nowhere")),
        (http(), request("POST", "/boom")),
        (http(), n!["cancel-request", 0_u64]),
        (n!["c", "boat", 0_u64], n!["boat", 0_u64]),
        (
            term(),
            n![
                "emit",
                n![n!["a", 0_u64], "x", 1_u64],
                n![n!["b", 0_u64], "mass", 7_u64],
                0_u64
            ],
        ),
        (term(), n!["emit", 7_u64]),
        (term(), n!["slog", 1_u64, &leaf]),
        (term(), n!["hold", Noun::from_le_bytes(&[0x5a; 3_000])]),
        (term(), n!["spin", 3_000_u64]),
        (term(), n!["deep", 3_000_u64]),
        (term(), n!["boom", 0_u64]),
        (term(), n!["doom", 0_u64]),
        (term(), n![0_u64]),
        (n![7_u64], n!["request", 0_u64]),
        (term(), n!["crud", 0_u64, 0_u64]),
    ];
    for (wire, card) in events {
        script.push(Writ::Work {
            limit_ms: 0,
            job: job(wire, card),
        });
    }
    for sample in PEEKS.map(peek_at) {
        script.push(Writ::Peek { limit_ms: 0, sample });
    }
    script.push(Writ::Peek {
        limit_ms: 0,
        sample: n![7_u64],
    });
    // Replay: all of it works, then one in the middle does not. Carrying and two thousand bytes of count come on the way.
    let at = EventNumber(life().len() as u64 + 30 - 1);
    let many: Vec<Noun> = (0..300_u64)
        .map(|number| job(term(), n!["echo", number]))
        .collect();
    script.push(Writ::Play {
        first: at.next(),
        events: many,
    });
    let cards = [n!["hold", 1_u64], n!["boom", 0_u64], n!["hold", 2_u64]];
    let three: Vec<Noun> = cards.into_iter().map(|card| job(term(), card)).collect();
    script.push(Writ::Play {
        first: at.plus(301),
        events: three,
    });
    script.push(Writ::Save(at.plus(301)));
    script.push(Writ::Work {
        limit_ms: 0,
        job: job(http(), request("GET", "/text")),
    });
    script
}

/// All frames up to the answer to a writ; prints come before it.
pub(crate) fn answers(serf: &mut Serf, writ: &Writ) -> Vec<Vec<u8>> {
    serf.send(writ);
    let mut frames = Vec::new();
    loop {
        let frame = serf
            .frame()
            .unwrap_or_else(|| panic!("the serf ended at {writ}: {}", serf.complaints()));
        let plea = Plea::from_noun(&cue(&frame).unwrap()).unwrap();
        frames.push(frame);
        if !matches!(plea, Plea::Slog { .. } | Plea::Flog(_)) {
            return frames;
        }
    }
}

/// The conversation as lines of the recording.
fn hold(program: &Path) -> Vec<String> {
    let pier = pier();
    let mut serf = Serf::start(program, pier.path());
    serf.ripe();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let line = |writ: &Writ| {
        let answers: Vec<String> = answers(&mut serf, writ).iter().map(|frame| hex(frame)).collect();
        json!({ "send": hex(&jam(&writ.to_noun())), "recv": answers }).to_string()
    };
    script().iter().map(line).collect()
}

/// Says which answer is another one than the recording's.
fn assert_as_recorded(program: &Path) {
    let recorded: Vec<&str> = RECORDING.lines().collect();
    let held = hold(program);
    let noun = |hex: &Value| cue(&from_hex(hex.as_str().unwrap())).unwrap();
    for (at, (held, recorded)) in held.iter().zip(&recorded).enumerate() {
        let (held, recorded): (Value, Value) = (
            serde_json::from_str(held).unwrap(),
            serde_json::from_str(recorded).unwrap(),
        );
        assert_eq!(
            noun(&held["send"]),
            noun(&recorded["send"]),
            "writ {at} is not the recorded one: the kernel or the script has changed, so hold the conversation again"
        );
        let answers = |line: &Value| {
            line["recv"]
                .as_array()
                .unwrap()
                .iter()
                .map(noun)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            answers(&held),
            answers(&recorded),
            "the answer to writ {at}: {:?}",
            noun(&held["send"])
        );
        assert_eq!(held, recorded, "the bytes of the answer to writ {at}");
    }
    assert_eq!(held.len(), recorded.len());
}

#[test]
fn the_reference_serf_says_what_the_c_serf_said() {
    assert_as_recorded(&reference());
}

#[test]
fn the_c_serf_still_says_what_it_said() {
    match vere() {
        Some(vere) => assert_as_recorded(&vere),
        None => println!("SEGURO_SERF is not set: there is the recording only"),
    }
}

#[test]
#[ignore = "writes the recording anew; needs SEGURO_SERF"]
fn hold_the_conversation() {
    let vere = vere().expect("SEGURO_SERF names vere's binary");
    std::fs::write(RECORDING_PATH, hold(&vere).join("\n") + "\n").unwrap();
}

/// Random formulas through the kernel's `%nock` card: under the C serf if there is one, else against the definition only.
#[test]
fn random_formulas_have_the_same_products_under_both_serfs() {
    let piers = [pier(), pier()];
    let mut serfs = vec![Serf::booted(&reference(), piers[0].path())];
    match vere() {
        Some(vere) => serfs.push(Serf::booted(&vere, piers[1].path())),
        None => println!("SEGURO_SERF is not set: compared with the definition of Nock only"),
    }
    let mut runner = TestRunner::deterministic();
    let mut compared = 0;
    while compared < 1_000 {
        let (subject, formula) = (noun(), formula()).new_tree(&mut runner).unwrap().current();
        let defined = definition(&subject, &formula);
        if defined == Outcome::Unknown {
            continue;
        }
        compared += 1;
        let job = serfs[0].job(0_u64, n!["nock", &subject, &formula]);
        let replies: Vec<Plea> = serfs
            .iter_mut()
            .map(|serf| {
                serf.ask(&Writ::Work {
                    limit_ms: 0,
                    job: job.clone(),
                })
            })
            .collect();
        match (&replies[0], defined) {
            (Plea::Work(WorkReply::Done { effects, .. }), Outcome::Product(product)) => {
                assert_eq!(
                    effects,
                    &Noun::list([n![0_u64, "nock", product]]),
                    "{formula:?} of {subject:?}"
                );
            }
            (Plea::Work(WorkReply::Swap { .. }), Outcome::Crash) => {}
            (reply, defined) => {
                panic!("{formula:?} of {subject:?} is {defined:?}, and the serf says {reply:?}")
            }
        }
        if let Some(vere) = replies.get(1) {
            assert_eq!(&replies[0], vere, "{formula:?} of {subject:?}");
        }
    }
}
