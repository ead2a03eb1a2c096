//! Golden bytes of the protocol, and that hostile ones are errors.

use super::*;
use crate::{
    net::frame::Decoder,
    raft::config::{Command, Payload, log_id},
    types::{Batch, Event, Term},
};
use openraft::entry::RaftEntry;
use proptest::prelude::*;
use seguro_event::{EventNumber, Mug};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn check<T: Serialize + DeserializeOwned + PartialEq + fmt::Debug>(value: &T, golden: &str) {
    let bytes = codec::encode(value);
    assert_eq!(hex(&bytes), golden.replace([' ', '\n'], ""), "{value:?}");
    assert_eq!(&codec::decode::<T>("a test's value", &bytes).unwrap(), value);
}

fn leader(term: u64) -> Vote {
    Vote::new_committed(Term(term), MemberId(3))
}

#[test]
fn golden_first_words() {
    assert_eq!(PREFACE, *b"SEGURO\x01\x00");
    let hello = Hello {
        cluster: Some(ClusterId(0x11)),
        from: MemberId(1),
        to: Some(MemberId(2)),
        purpose: Purpose::Control,
    };
    check(
        &hello,
        "01 11000000000000000000000000000000 0100000000000000 01 0200000000000000 01000000",
    );
    check(&Welcome { from: MemberId(2) }, "0200000000000000");
    check(&Refusal::Version(9), "00000000 0900");
    check(&Refusal::NotMe(MemberId(2)), "02000000 0200000000000000");
}

#[test]
fn golden_questions_and_answers() {
    let head = AppendHead {
        vote: leader(2),
        prev: Some(log_id(Term(1), 4)),
        commit: None,
        entries: 0,
    };
    let vote = "0200000000000000 01 0300000000000000 01";
    check(
        &Ask {
            id: 5,
            what: Question::Heartbeat(head),
        },
        &format!("0500000000000000 00000000 {vote} 01 0100000000000000 0400000000000000 00 00000000"),
    );
    let ask = VoteAsk {
        vote: Vote::new(Term(2), MemberId(3)),
        last: None,
        transfer: true,
    };
    check(
        &Ask {
            id: 6,
            what: Question::PreVote(ask),
        },
        "0600000000000000 02000000 0200000000000000 01 0300000000000000 00 00 01",
    );
    check(
        &Answer {
            id: 6,
            what: Reply::Vote {
                vote: leader(2),
                granted: false,
                last: None,
            },
        },
        &format!("0600000000000000 01000000 {vote} 00 00"),
    );
    check(
        &AppendAnswer::Conflict(log_id(Term(1), 4)),
        "01000000 0100000000000000 0400000000000000",
    );
    check(
        &JoinAnswer::Taken {
            cluster: ClusterId(1),
            ship: ShipIdentity {
                who: 2,
                fake: false,
                life: 3,
            },
        },
        "00000000 01000000000000000000000000000000 02000000000000000000000000000000 00 03000000",
    );
}

fn request(prev: Option<u64>, sizes: &[usize]) -> AppendEntriesRequest<TypeConfig> {
    let mut number = 1;
    let entries = sizes
        .iter()
        .zip(prev.map_or(0, |p| p + 1)..)
        .map(|(size, index)| {
            let event = Event {
                number: EventNumber(number),
                mug: Mug(number as u32),
                jam: vec![7; *size].into(),
            };
            number += 1;
            let batch = Batch::new(vec![event]).unwrap();
            Entry::new(
                log_id(Term(2), index),
                Payload::Normal(Command::Events {
                    proposer: Term(2),
                    batch,
                }),
            )
        });
    AppendEntriesRequest {
        vote: leader(2),
        prev_log_id: prev.map(|index| log_id(Term(1), index)),
        entries: entries.collect(),
        leader_commit: Some(log_id(Term(1), 1)),
    }
}

fn send(request: &AppendEntriesRequest<TypeConfig>) -> Message {
    let mut encoder = Encoder::default();
    push_append(&mut encoder, request);
    let mut decoder = Decoder::new(100 * 1024 * 1024);
    while !encoder.ready().is_empty() {
        let count = encoder.ready().len();
        decoder.buffer().extend_from_slice(encoder.ready());
        encoder.sent(count);
    }
    let mut message = decoder.next().unwrap();
    while message.is_none() {
        message = decoder.next().unwrap();
    }
    assert!(decoder.is_clean());
    message.unwrap()
}

#[test]
fn append_requests_come_back_small_and_large() {
    for sizes in [&[][..], &[1], &[0, 5, 1024], &[300_000], &[10, 3_000_000, 10]] {
        for prev in [None, Some(7)] {
            let request = request(prev, sizes);
            let got = read_append(&send(&request)).unwrap();
            assert_eq!(got.vote, request.vote);
            assert_eq!(got.prev_log_id, request.prev_log_id);
            assert_eq!(got.leader_commit, request.leader_commit);
            assert!(got.entries == request.entries, "entries of {sizes:?}");
        }
    }
}

#[test]
fn an_append_request_that_openraft_could_not_take_is_an_error() {
    let good = request(Some(7), &[1, 2]);
    let mut bad = Vec::new();
    let mut spoil = |change: &dyn Fn(&mut AppendEntriesRequest<TypeConfig>)| {
        let mut request = good.clone();
        change(&mut request);
        bad.push(request);
    };
    spoil(&|r| r.vote.committed = false);
    spoil(&|r| r.prev_log_id = None);
    spoil(&|r| r.prev_log_id = Some(log_id(Term(3), 7)));
    spoil(&|r| r.entries[1].log_id = log_id(Term(2), 8));
    spoil(&|r| r.entries[1].log_id = log_id(Term(3), 9));
    spoil(&|r| r.entries[1].log_id = log_id(Term(1), 9));
    spoil(&|r| r.entries[0].log_id = log_id(Term(0), 8));
    spoil(&|r| r.leader_commit = Some(log_id(Term(3), 1)));
    spoil(&|r| r.prev_log_id = Some(log_id(Term(1), u64::MAX)));
    read_append(&send(&good)).unwrap();
    for (nth, request) in bad.iter().enumerate() {
        assert!(
            matches!(read_append(&send(request)), Err(WireError::Append(_))),
            "number {nth}"
        );
    }
}

#[test]
fn a_cut_append_request_is_an_error() {
    let whole = send(&request(Some(7), &[1, 2]));
    for cut in 0..whole.body.len() {
        let message = Message {
            kind: whole.kind,
            body: whole.body.slice(..cut),
        };
        read_append(&message).unwrap_err();
    }
}

proptest! {
    #[test]
    fn any_bytes_do_not_panic(kind: u8, body in proptest::collection::vec(any::<u8>(), 0..300)) {
        let message = Message { kind, body: body.into() };
        let _ = read_append(&message);
        let _ = read_append(&Message { kind: kind::APPEND, ..message.clone() });
        let _ = read::<Hello>(&message, kind, "a hello");
        let _ = read::<Ask>(&message, kind, "a question");
        let _ = read::<Answer>(&message, kind, "an answer");
        let _ = read::<JoinAnswer>(&message, kind, "an answer");
    }
}
