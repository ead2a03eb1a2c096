//! The session's rules, one by one.

use super::*;
use crate::limits::MAX_UNANSWERED;
use crate::n;

const MUG: Mug = Mug(0x1234);

fn ripe(event: u64) -> Plea {
    let mug = if event == 0 { Mug::UNKNOWN } else { MUG };
    Plea::Ripe(Ripe {
        pro: 1,
        hon: 138,
        noc: 4,
        event: EventNumber(event),
        mug,
    })
}

/// A session with a serf at this event.
fn live(event: u64) -> Session<&'static str> {
    let mut session = Session::new();
    assert!(matches!(session.receive(ripe(event)), Ok(Incoming::Ripe(_))));
    session
}

fn job() -> Noun {
    n![0x8000_u64, n!["", "test", ()], "test", ()]
}

fn work() -> Writ {
    Writ::Work {
        limit_ms: 0,
        job: job(),
    }
}

fn peek() -> Writ {
    Writ::Peek {
        limit_ms: 0,
        sample: n![Some(()), 0_u64, "test", ()],
    }
}

fn play(first: u64, count: usize) -> Writ {
    Writ::Play {
        first: EventNumber(first),
        events: vec![job(); count],
    }
}

fn done(event: u64) -> Plea {
    Plea::Work(WorkReply::Done {
        event: EventNumber(event),
        mug: MUG,
        effects: Noun::ZERO,
    })
}

fn swap(event: u64) -> Plea {
    Plea::Work(WorkReply::Swap {
        event: EventNumber(event),
        mug: MUG,
        job: job(),
        effects: Noun::ZERO,
    })
}

fn goof(mote: &str) -> Goof {
    Goof {
        mote: mote.to_owned(),
        tang: Noun::ZERO,
    }
}

fn play_bail(last_good: u64) -> Plea {
    Plea::Play(Err(PlayBail {
        last_good: EventNumber(last_good),
        mug: MUG,
        goof: goof("exit"),
    }))
}

/// The tag of the writ that this message answers.
fn answered(session: &mut Session<&'static str>, plea: Plea) -> &'static str {
    match session.receive(plea) {
        Ok(Incoming::Reply(tag, _)) => tag,
        other => panic!("{other:?}"),
    }
}

/// Whether the session is over, as it is after an error of the serf's.
fn is_over(session: &mut Session<&'static str>) -> bool {
    session.send(peek(), "late") == Err(SessionError::Over)
        && session.receive(done(1)) == Err(SessionError::Over)
}

#[test]
fn t10_nothing_is_sent_before_ripe() {
    let mut session = Session::new();
    assert_eq!(
        session.send(peek(), "peek"),
        Err(SessionError::NotRipe { kind: "%peek" })
    );
    assert!(session.receive(ripe(7)).is_ok(), "a refusal changes nothing");
    assert_eq!(
        (session.event(), session.mug(), session.depth()),
        (EventNumber(7), MUG, 0)
    );
    assert!(session.send(peek(), "peek").is_ok());
}

#[test]
fn t10_an_answer_before_ripe_is_an_error_and_a_print_is_not() {
    let mut session = Session::new();
    let print = Plea::Slog {
        priority: 3,
        tank: Noun::cord("hello"),
    };
    assert_eq!(
        session.receive(print),
        Ok(Incoming::Slog {
            priority: 3,
            tank: Noun::cord("hello")
        })
    );
    assert_eq!(
        session.receive(Plea::Live),
        Err(SessionError::NotRipe { kind: "%live" })
    );
    assert!(is_over(&mut session));
}

#[test]
fn t10_a_second_ripe_is_an_error() {
    let mut session = live(7);
    assert_eq!(session.receive(ripe(7)), Err(SessionError::SecondRipe));
    assert!(is_over(&mut session));
}

#[test]
fn t10_another_protocol_is_refused_with_the_version_that_is_needed() {
    // As the worker of v4.5 says it: [%ripe [2 ~] [who fake] eve mug].
    let noun = n!["ripe", n![2_u64, ()], n![0_u64, 0_u64], 5_u64, 6_u64];
    let plea = crate::FromNoun::from_noun(&noun).unwrap();
    let error = Session::<()>::new().receive(plea).unwrap_err();
    assert_eq!(error, SessionError::Protocol { found: 2 });
    assert!(
        error.to_string().contains("protocol 2") && error.to_string().contains("v3.5"),
        "{error}"
    );
}

#[test]
fn t20_answers_come_in_the_order_of_the_writs() {
    let mut session = live(7);
    for (writ, tag) in [
        (work(), "first"),
        (peek(), "second"),
        (work(), "third"),
        (Writ::Pack, "fourth"),
    ] {
        session.send(writ, tag).unwrap();
    }
    assert_eq!(session.depth(), 4);
    assert_eq!(answered(&mut session, done(8)), "first");
    assert_eq!(answered(&mut session, Plea::Peek(Ok(Noun::ZERO))), "second");
    assert_eq!(session.event(), EventNumber(8));
    assert_eq!(answered(&mut session, swap(9)), "third");
    assert_eq!(answered(&mut session, Plea::Live), "fourth");
    assert_eq!((session.event(), session.depth()), (EventNumber(9), 0));
}

#[test]
fn t20_prints_come_anywhere_and_answer_nothing() {
    let mut session = live(7);
    session.send(work(), "work").unwrap();
    assert_eq!(
        session.receive(Plea::Flog(Noun::cord("x"))),
        Ok(Incoming::Flog(Noun::cord("x")))
    );
    assert_eq!(session.depth(), 1);
    assert_eq!(answered(&mut session, done(8)), "work");
}

#[test]
fn t20_each_writ_has_its_own_kind_of_answer() {
    let answers = || {
        [
            Plea::Live,
            Plea::Peek(Err(goof("exit"))),
            Plea::Play(Ok(MUG)),
            Plea::QuizQuac(Noun::ZERO),
            Plea::QuizQuic(Noun::ZERO),
            done(8),
        ]
    };
    let at = EventNumber(7);
    let live_writs = [Writ::Save(at), Writ::Cram(at), Writ::Meld, Writ::Pack].map(|writ| (writ, 0));
    let others = [
        (peek(), 1),
        (play(8, 1), 2),
        (Writ::QuizQuac, 3),
        (Writ::QuizQuic, 4),
        (work(), 5),
    ];
    for (writ, right) in live_writs.into_iter().chain(others) {
        for (given, answer) in answers().into_iter().enumerate() {
            let mut session = live(7);
            session.send(writ.clone(), "it").unwrap();
            let found = answer.kind();
            let incoming = session.receive(answer);
            if given == right {
                assert!(
                    matches!(incoming, Ok(Incoming::Reply("it", _))),
                    "{writ}: {incoming:?}"
                );
            } else {
                assert_eq!(
                    incoming,
                    Err(SessionError::Unexpected {
                        asked: writ.kind(),
                        found
                    })
                );
                assert_eq!(session.drain(), [(writ.clone(), "it")], "it was not answered");
            }
        }
    }
}

#[test]
fn t20_an_answer_to_nothing_is_an_error() {
    let mut session = live(7);
    assert_eq!(
        session.receive(done(8)),
        Err(SessionError::Unasked { found: "%work" })
    );
    assert!(is_over(&mut session));
}

#[test]
fn t30_work_gets_exactly_the_next_number() {
    for (reply, found) in [
        (done(7), 7),
        (done(9), 9),
        (swap(9), 9),
        (done(0), 0),
        (done(u64::MAX), u64::MAX),
    ] {
        let mut session = live(7);
        session.send(work(), "work").unwrap();
        let error = SessionError::WrongNumber {
            expected: EventNumber(8),
            found: EventNumber(found),
        };
        assert_eq!(session.receive(reply), Err(error));
        assert_eq!(session.event(), EventNumber(7));
    }
}

#[test]
fn t30_a_bail_uses_no_number_and_tells_both_goofs() {
    let mut session = live(7);
    session.send(work(), "work").unwrap();
    let bail = WorkReply::Bail(vec![goof("meme"), goof("exit")]);
    let incoming = session.receive(Plea::Work(bail.clone()));
    assert_eq!(incoming, Ok(Incoming::Reply("work", Reply::Work(bail))));
    assert_eq!(session.event(), EventNumber(7));
    session.send(work(), "next").unwrap();
    assert_eq!(answered(&mut session, done(8)), "next");
}

#[test]
fn t30_a_serf_at_the_last_number_there_is_is_no_reason_to_panic() {
    let mut session = live(u64::MAX);
    session.send(work(), "work").unwrap();
    assert_eq!(answered(&mut session, done(u64::MAX)), "work");
    session.send(play(u64::MAX, 2), "play").unwrap();
    assert_eq!(answered(&mut session, Plea::Play(Ok(MUG))), "play");
}

#[test]
fn t40_a_save_needs_a_serf_with_nothing_to_do() {
    for save in [Writ::Save, Writ::Cram] {
        let mut session = live(7);
        session.send(peek(), "peek").unwrap();
        let writ = save(EventNumber(7));
        let refusal = SessionError::SaveWhileBusy {
            writ: writ.kind(),
            depth: 1,
        };
        assert_eq!(session.send(writ.clone(), "save"), Err(refusal));
        assert_eq!(answered(&mut session, Plea::Peek(Ok(Noun::ZERO))), "peek");
        session.send(writ, "save").unwrap();
        session.send(work(), "work behind it").unwrap();
        assert_eq!(answered(&mut session, Plea::Live), "save");
    }
}

#[test]
fn t40_a_save_needs_the_serf_at_the_event_that_is_saved() {
    for save in [Writ::Save, Writ::Cram] {
        let mut session = live(7);
        for asked in [6, 8] {
            let writ = save(EventNumber(asked));
            let (kind, asked) = (writ.kind(), EventNumber(asked));
            let refusal = SessionError::SaveElsewhere {
                writ: kind,
                asked,
                serf: EventNumber(7),
            };
            assert_eq!(session.send(writ, "save"), Err(refusal));
        }
        assert_eq!(session.depth(), 0);
    }
}

#[test]
fn t50_a_play_begins_where_the_serf_will_be() {
    let mut session = live(7);
    for first in [7, 9] {
        let refusal = SessionError::PlayElsewhere {
            first: EventNumber(first),
            serf: EventNumber(7),
        };
        assert_eq!(session.send(play(first, 1), "play"), Err(refusal));
    }
    session.send(play(8, 3), "one").unwrap();
    session.send(play(11, 2), "two, behind it").unwrap();
    assert_eq!(answered(&mut session, Plea::Play(Ok(MUG))), "one");
    assert_eq!(session.event(), EventNumber(10));
    assert_eq!(answered(&mut session, Plea::Play(Ok(Mug(5)))), "two, behind it");
    assert_eq!((session.event(), session.mug()), (EventNumber(12), Mug(5)));
}

#[test]
fn t50_a_play_does_not_go_behind_work() {
    let mut session = live(7);
    session.send(work(), "work").unwrap();
    let refusal = SessionError::PlayBehindWork {
        first: EventNumber(9),
    };
    assert_eq!(session.send(play(9, 1), "play"), Err(refusal));
    assert_eq!(answered(&mut session, done(8)), "work");
    session.send(play(9, 1), "play").unwrap();
    session.send(work(), "work behind a play").unwrap();
    assert_eq!(answered(&mut session, Plea::Play(Ok(MUG))), "play");
    assert_eq!(answered(&mut session, done(10)), "work behind a play");
}

#[test]
fn t50_a_play_holds_events() {
    let mut session = live(7);
    let empty = SessionError::EmptyPlay {
        first: EventNumber(8),
    };
    assert_eq!(session.send(play(8, 0), "play"), Err(empty));
    let events = vec![job(), Noun::ZERO];
    let malformed = SessionError::Malformed {
        what: "an event to play",
        event: EventNumber(9),
    };
    assert_eq!(
        session.send(
            Writ::Play {
                first: EventNumber(8),
                events
            },
            "play"
        ),
        Err(malformed)
    );
}

#[test]
fn t50_a_failed_play_names_an_event_that_was_played() {
    for last_good in [7, 8, 9] {
        let mut session = live(7);
        session.send(play(8, 3), "play").unwrap();
        assert_eq!(answered(&mut session, play_bail(last_good)), "play");
        assert_eq!(session.event(), EventNumber(last_good));
        session.send(work(), "work").unwrap();
        assert_eq!(answered(&mut session, done(last_good + 1)), "work");
    }
    for last_good in [0, 6, 10, u64::MAX] {
        let mut session = live(7);
        session.send(play(8, 3), "play").unwrap();
        let error = SessionError::WrongBail {
            first: EventNumber(8),
            count: 3,
            found: EventNumber(last_good),
        };
        assert_eq!(session.receive(play_bail(last_good)), Err(error));
        assert_eq!(session.event(), EventNumber(7));
    }
}

#[test]
fn t60_an_unbooted_serf_is_booted_first() {
    let mut session = live(0);
    assert_eq!(session.send(work(), "work"), Err(SessionError::NoKernel));
    // A boot sequence is of formulas and events, and a formula may be any noun.
    session
        .send(
            Writ::Play {
                first: EventNumber(1),
                events: vec![Noun::ZERO, job()],
            },
            "boot",
        )
        .unwrap();
    session.send(work(), "work").unwrap();
    assert_eq!(answered(&mut session, Plea::Play(Ok(MUG))), "boot");
    assert_eq!(answered(&mut session, done(3)), "work");
}

#[test]
fn t60_a_boot_that_fails_leaves_the_serf_unbooted() {
    let mut session = live(0);
    session.send(play(1, 3), "boot").unwrap();
    assert_eq!(answered(&mut session, play_bail(0)), "boot");
    assert_eq!(session.send(work(), "work"), Err(SessionError::NoKernel));
    session.send(play(1, 2), "boot again").unwrap();
}

#[test]
fn t60_work_is_a_date_and_an_ovum() {
    let mut session = live(7);
    for bad in [Noun::ZERO, n![1_u64, 2_u64], n![n![1_u64, 1_u64], 2_u64, 3_u64]] {
        let refusal = SessionError::Malformed {
            what: "a job",
            event: EventNumber(8),
        };
        assert_eq!(
            session.send(
                Writ::Work {
                    limit_ms: 0,
                    job: bad
                },
                "work"
            ),
            Err(refusal)
        );
    }
}

#[test]
fn t70_nothing_goes_behind_an_exit_and_what_went_before_is_answered() {
    let mut session = live(7);
    session.send(work(), "work").unwrap();
    session.send(Writ::Exit(0), "exit").unwrap();
    assert_eq!(
        session.send(peek(), "peek"),
        Err(SessionError::Exiting { writ: "%peek" })
    );
    assert_eq!(answered(&mut session, done(8)), "work");
    assert_eq!(
        session.receive(Plea::Live),
        Err(SessionError::Unexpected {
            asked: "%exit",
            found: "%live"
        })
    );
}

#[test]
fn t70_what_a_dead_serf_left_unanswered_is_given_back_oldest_first() {
    let mut session = live(7);
    for (writ, tag) in [(work(), "first"), (peek(), "second"), (work(), "third")] {
        session.send(writ, tag).unwrap();
    }
    assert_eq!(answered(&mut session, done(8)), "first");
    assert_eq!(session.drain(), [(peek(), "second"), (work(), "third")]);
    assert_eq!((session.depth(), session.event()), (0, EventNumber(8)));
    assert!(is_over(&mut session));
}

#[test]
fn t80_the_unanswered_are_bounded() {
    let mut session = live(7);
    for _ in 0..MAX_UNANSWERED {
        session.send(work(), "work").unwrap();
    }
    assert_eq!(
        session.send(work(), "work"),
        Err(SessionError::TooMany {
            limit: MAX_UNANSWERED
        })
    );
    assert_eq!(answered(&mut session, done(8)), "work");
    session.send(work(), "work").unwrap();
}

#[test]
fn t90_a_frame_is_the_jam_of_its_writ() {
    let mut session = live(7);
    let frame = session.send(Writ::Save(EventNumber(7)), "save").unwrap();
    assert_eq!(frame, newt::encode(&jam(&n!["live", "save", 7_u64])));
}
