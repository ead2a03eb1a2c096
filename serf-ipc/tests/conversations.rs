//! Conversations that the C king and test programs had with the C serf (vere v3.5), frame by frame: every message is
//! read, written back to the same bytes, and followed by a session.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may panic in its helpers too"
)]

use seguro_event::{EventNumber, Mug};
use serde_json::Value;
use serf_ipc::newt;
use serf_ipc::protocol::{Plea, WorkReply, Writ};
use serf_ipc::session::{Incoming, Reply, Session, SessionError};
use serf_ipc::{FromNoun, Noun, ShapeError, ToNoun, cue, jam};

/// Fifteen conversations with a serf on a tiny kernel; a JSON object a line.
const TINY: &str = include_str!("data/serf-tiny.jsonl");
/// A few minutes of a king and a serf on Arvo; a JSON object a frame.
const ARVO: &str = include_str!("data/arvo-session.jsonl");

fn objects(lines: &str) -> Vec<Value> {
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn unhex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2));
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

/// Reads a message and checks that it is written back to the same bytes.
fn read<M: FromNoun + ToNoun>(body: &[u8]) -> Result<M, ShapeError> {
    let message = M::from_noun(&cue(body).unwrap())?;
    assert_eq!(jam(&message.to_noun()), body);
    Ok(message)
}

/// A step of a tiny conversation: what was sent, what came back.
struct Step {
    send: Option<Vec<u8>>,
    recv: Option<Vec<u8>>,
    exit: Option<i64>,
}

fn steps(case: &Value) -> Vec<Step> {
    let bytes = |step: &Value, key: &str| step.get(key).map(|hex| unhex(hex.as_str().unwrap()));
    let steps = case["steps"].as_array().unwrap().iter();
    steps
        .map(|step| Step {
            send: bytes(step, "send"),
            recv: bytes(step, "recv"),
            exit: step.get("exit").map(|status| status.as_i64().unwrap()),
        })
        .collect()
}

fn tiny(name: &str) -> Vec<Step> {
    let cases = objects(TINY);
    let case = cases.iter().find(|case| case["case"] == name);
    steps(case.unwrap_or_else(|| panic!("no conversation is called {name:?}")))
}

/// Follows a conversation with a session. Gives the session, the replies, and the error that ended it early.
fn follow(steps: &[Step]) -> (Session<usize>, Vec<Reply>, Option<SessionError>) {
    let mut session = Session::new();
    let mut replies = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        if let Some(body) = &step.send {
            match session.send(read(body).unwrap(), at) {
                Ok(frame) => assert_eq!(frame, newt::encode(body)),
                Err(error) => return (session, replies, Some(error)),
            }
        }
        if let Some(body) = &step.recv {
            match session.receive(read(body).unwrap()) {
                Ok(Incoming::Ripe(_)) => assert_eq!(at, 0),
                Ok(Incoming::Reply(asked, reply)) => {
                    assert_eq!(asked, at, "replies come in order");
                    replies.push(reply);
                }
                other => panic!("step {at}: {other:?}"),
            }
        }
    }
    (session, replies, None)
}

#[test]
fn t10_every_tiny_frame_is_read_and_written_back() {
    let cases = objects(TINY);
    assert_eq!(cases.len(), 15);
    let mut frames = 0;
    for case in &cases {
        let name = case["case"].as_str().unwrap();
        for step in steps(case) {
            if let Some(body) = &step.recv {
                read::<Plea>(body).unwrap();
                frames += 1;
            }
            let Some(body) = &step.send else { continue };
            let writ = read::<Writ>(body);
            // What the C serf calls a bad jar is no writ here either.
            let is_bad_jar = step.exit.is_some() && ["unknown tag", "an atom"].contains(&name);
            assert_eq!(writ.is_err(), is_bad_jar, "{name}: {writ:?}");
            frames += 1;
        }
    }
    assert_eq!(frames, 90);
}

#[test]
fn t10_every_arvo_frame_is_read_and_written_back() {
    let mut frames = 0;
    for line in objects(ARVO) {
        let Some(body) = line.get("hex").map(|hex| unhex(hex.as_str().unwrap())) else {
            continue;
        };
        match line["dir"].as_str().unwrap() {
            ">" => drop(read::<Writ>(&body).unwrap()),
            "<" => drop(read::<Plea>(&body).unwrap()),
            other => panic!("direction {other}"),
        }
        frames += 1;
    }
    assert_eq!(frames, 85);
}

#[test]
fn t20_a_session_follows_the_arvo_conversation() {
    let mut session = Session::new();
    let mut sent = 0;
    let mut replies = 0;
    let mut prints = 0;
    for line in objects(ARVO) {
        let body = line.get("hex").map(|hex| unhex(hex.as_str().unwrap()));
        if line["dir"] == ">" {
            let body = body.unwrap();
            assert_eq!(
                session.send(read(&body).unwrap(), sent).unwrap(),
                newt::encode(&body)
            );
            sent += 1;
            continue;
        }
        let plea = body.map_or_else(|| left_out(&line), |body| read(&body).unwrap());
        match session.receive(plea).unwrap() {
            Incoming::Ripe(ripe) => assert_eq!(ripe.event, EventNumber(24)),
            Incoming::Slog { .. } | Incoming::Flog(_) => prints += 1,
            Incoming::Reply(asked, _) => {
                assert_eq!(asked, replies);
                replies += 1;
            }
        }
    }
    assert_eq!(
        (sent, replies, prints),
        (43, 42, 1),
        "all but the exit are answered"
    );
    assert_eq!(
        (session.event(), session.mug()),
        (EventNumber(63), Mug(1_667_538_147))
    );
    assert_eq!(session.drain(), [(Writ::Exit(0), 42)]);
}

/// A long reply that the data names without its bytes: `[%work %done 48 663422980 ..]`.
fn left_out(line: &Value) -> Plea {
    let words: Vec<&str> = line["show"].as_str().unwrap().split(' ').collect();
    assert_eq!(words[..2], ["[%work", "%done"]);
    Plea::Work(WorkReply::Done {
        event: EventNumber(words[2].parse().unwrap()),
        mug: Mug(words[3].parse().unwrap()),
        effects: Noun::ZERO,
    })
}

#[test]
fn t20_a_session_follows_every_tiny_conversation() {
    for case in objects(TINY) {
        let steps = steps(&case);
        let name = case["case"].as_str().unwrap();
        if ["unknown tag", "an atom"].contains(&name) {
            continue; // These send what no session can.
        }
        let (session, replies, error) = follow(&steps);
        let refused = [
            "save at the wrong event",
            "play with a gap",
            "work with a malformed job",
        ]
        .contains(&name);
        assert_eq!(error.is_some(), refused, "{name}: {error:?}");
        let answered = steps
            .iter()
            .filter(|step| step.send.is_some() && step.recv.is_some())
            .count();
        assert_eq!(replies.len(), answered, "{name}");
        let exits = usize::from(["save, pack, meld, exit 0", "exit 3"].contains(&name));
        assert_eq!(session.depth(), exits, "{name}: only %exit is never answered");
    }
}

#[test]
fn t30_a_crash_becomes_a_swap_with_the_date_one_later() {
    let steps = tiny("crash becomes swap, date plus one");
    let (session, replies, _) = follow(&steps);
    assert_eq!(
        (session.event(), session.mug()),
        (EventNumber(5), Mug(209_215_482))
    );
    let Reply::Work(WorkReply::Swap { event, job, .. }) = &replies[2] else {
        panic!("{:?}", replies[2])
    };
    assert_eq!(*event, EventNumber(4));
    let Writ::Work { job: sent, .. } = read(steps[3].send.as_ref().unwrap()).unwrap() else {
        panic!("no work")
    };
    let date = |job: &Noun| job.head().unwrap().as_u128().unwrap();
    assert_eq!(date(job), date(&sent) + 1);
    assert!(job.slot(0b110).is_some(), "[date wire card]");
    assert!(job.slot(0b1110).unwrap().is_cord("crud"));
}

#[test]
fn t30_a_replay_that_fails_moves_the_serf_to_the_last_good_event() {
    let (session, replies, _) = follow(&tiny("play bails in the middle"));
    let Reply::Play(Err(bail)) = &replies[1] else {
        panic!("{:?}", replies[1])
    };
    assert_eq!((bail.last_good, bail.mug), (EventNumber(3), Mug(526_791_155)));
    assert!(bail.goof.is("exit"));
    assert_eq!(
        session.event(),
        EventNumber(4),
        "the work after it got the next number"
    );
}

#[test]
fn t30_what_the_c_serf_dies_of_is_refused() {
    let refusal = |name: &str| {
        let steps = tiny(name);
        assert_ne!(steps.last().unwrap().exit, Some(0));
        follow(&steps).2.unwrap()
    };
    assert_eq!(
        refusal("save at the wrong event"),
        SessionError::SaveElsewhere {
            writ: "%save",
            asked: EventNumber(99),
            serf: EventNumber(2)
        }
    );
    assert_eq!(
        refusal("play with a gap"),
        SessionError::PlayElsewhere {
            first: EventNumber(99),
            serf: EventNumber(2)
        }
    );
    assert_eq!(
        refusal("work with a malformed job"),
        SessionError::Malformed {
            what: "a job",
            event: EventNumber(3)
        }
    );
}

#[test]
fn t40_all_frames_survive_as_one_stream_in_any_pieces() {
    let bodies: Vec<Vec<u8>> = objects(TINY)
        .iter()
        .flat_map(steps)
        .flat_map(|step| [step.send, step.recv])
        .flatten()
        .collect();
    let stream: Vec<u8> = bodies.iter().flat_map(|body| newt::encode(body)).collect();
    for size in [1, 5, 4096, stream.len()] {
        let mut decoder = newt::Decoder::new(1 << 20);
        let mut got = Vec::new();
        for piece in stream.chunks(size) {
            decoder.feed(piece);
            while let Some(body) = decoder.next_frame().unwrap() {
                got.push(body);
            }
        }
        assert!(got == bodies, "pieces of {size} bytes");
    }
}
