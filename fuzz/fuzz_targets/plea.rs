//! A stream from a serf that may say anything: whatever arrives, a session either takes it or ends, and what it takes is
//! written back as it was read.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serf_ipc::newt::Decoder;
use serf_ipc::{EventNumber, FromNoun, Incoming, Noun, Plea, Session, ToNoun, Writ, cue, jam, n};

/// What the king sends next, as this byte says.
fn writ(kind: u8, session: &Session<usize>) -> Writ {
    let job: Noun = n![1_u64, n!["", "fuzz", ()], "fuzz", ()];
    match kind % 8 {
        0 => Writ::Save(session.event()),
        1 => Writ::Peek {
            limit_ms: 0,
            sample: job,
        },
        2 => Writ::Play {
            first: EventNumber(session.event().0.saturating_add(1)),
            events: vec![job; 3],
        },
        3 => Writ::QuizQuac,
        4 => Writ::QuizQuic,
        5 => Writ::Pack,
        _ => Writ::Work { limit_ms: 0, job },
    }
}

fuzz_target!(|input: (&[u8], &[u8])| {
    let (kinds, stream) = input;
    let mut kinds = kinds.iter().copied();
    let mut session = Session::new();
    let mut decoder = Decoder::new(1 << 16);
    let (mut sent, mut answered) = (0, 0);
    decoder.feed(stream);
    while let Ok(Some(body)) = decoder.next_body() {
        let Ok(noun) = cue(body) else { return };
        let Ok(plea) = Plea::from_noun(&noun) else { return };
        let foreign = matches!(&plea, Plea::Ripe(ripe) if ripe.pro != 1);
        let again = jam(&plea.to_noun());
        // Of another protocol's %ripe only the version is read.
        assert!(foreign || again == jam(&noun));
        match session.receive(plea) {
            Ok(Incoming::Reply(tag, _)) => {
                assert_eq!(tag, answered);
                answered += 1;
            }
            Ok(_) => {}
            Err(_) => {
                assert_eq!(session.drain().len(), sent - answered);
                return;
            }
        }
        if let Some(kind) = kinds.next()
            && session.send(writ(kind, &session), sent).is_ok()
        {
            sent += 1;
        }
        assert_eq!(session.depth(), sent - answered);
    }
});
