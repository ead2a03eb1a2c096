//! The release protocol, as stories and under random interleavings.

use super::*;
use crate::driver::{Outcome, PeekAnswer};
use proptest::prelude::*;
use serf_ipc::n;
use std::time::Duration;

type Path = Pipeline<u64, u64>;

const TERM: Term = Term(3);

fn limits() -> BatchLimits {
    BatchLimits {
        events: 4,
        bytes: 1000,
        linger: Duration::from_millis(2),
        in_flight: 2,
    }
}

fn path(barrier: u64) -> Path {
    let run_ahead = RunAhead {
        events: 8,
        bytes: 10_000,
        in_serf: 3,
    };
    Pipeline::new(TERM, EventNumber(barrier), run_ahead, limits())
}

fn feed(path: &mut Path, tag: u64) {
    path.fed(n![tag, 0u64], Bytes::from(vec![1; 10]), tag);
}

fn compute(path: &mut Path, now: Instant) -> EventNumber {
    let number = path.computed().next();
    let effects = Noun::list([n![n!["a", 0u64], "tag", number.0]]);
    path.computed_next(
        Computed {
            number,
            mug: Mug(7),
            effects,
            swapped: None,
        },
        now,
    );
    number
}

fn commit(path: &mut Path, event: u64) -> bool {
    path.committed_to(Commit {
        event: EventNumber(event),
        term: TERM,
    })
}

#[test]
fn nothing_is_released_before_its_commit() {
    let now = Instant::now();
    let mut path = path(5);
    feed(&mut path, 1);
    compute(&mut path, now);
    assert!(path.release_next().is_none(), "computed is not committed");
    let batch = path.take_batch(now).unwrap();
    assert_eq!((batch.first(), batch.last()), (EventNumber(6), EventNumber(6)));
    assert!(path.release_next().is_none(), "proposed is not committed");
    assert!(commit(&mut path, 6));
    let Some(Released::Event(
        event,
        Outcome::Committed {
            event: number,
            swapped: false,
        },
        1,
    )) = path.release_next()
    else {
        panic!("the committed event is released")
    };
    assert_eq!((event.number(), number), (EventNumber(6), EventNumber(6)));
    assert!(path.release_next().is_none(), "once");
    assert_eq!(path.may_save(), Some(EventNumber(6)));
}

#[test]
fn a_peek_and_a_refusal_wait_for_what_they_show() {
    let now = Instant::now();
    let mut path = path(0);
    path.peeked(Ok(Noun::ZERO), 70);
    assert!(
        matches!(path.release_next(), Some(Released::Peek(PeekAnswer::Done(_), 70))),
        "it shows nothing uncommitted"
    );
    feed(&mut path, 1);
    feed(&mut path, 2);
    compute(&mut path, now);
    path.peeked(Ok(Noun::YES), 71);
    path.bailed_next(Vec::new());
    assert!(path.release_next().is_none());
    assert_eq!(path.may_save(), None);
    path.take_batch(now).unwrap();
    assert!(commit(&mut path, 1));
    assert!(matches!(path.release_next(), Some(Released::Event(..))));
    assert!(matches!(path.release_next(), Some(Released::Peek(_, 71))));
    assert!(matches!(
        path.release_next(),
        Some(Released::Bail(Outcome::Bailed(_), 2))
    ));
    assert!(path.is_idle());
}

#[test]
fn what_the_serf_put_in_place_is_what_the_log_takes() {
    let now = Instant::now();
    let mut path = path(0);
    feed(&mut path, 1);
    let job = Bytes::from_static(b"crud");
    path.computed_next(
        Computed {
            number: EventNumber(1),
            mug: Mug(9),
            effects: Noun::ZERO,
            swapped: Some(job.clone()),
        },
        now,
    );
    let batch = path.take_batch(now).unwrap();
    assert_eq!(
        batch.events(),
        [Event {
            number: EventNumber(1),
            mug: Mug(9),
            jam: job
        }]
    );
    assert!(commit(&mut path, 1));
    assert!(matches!(
        path.release_next(),
        Some(Released::Event(_, Outcome::Committed { swapped: true, .. }, 1))
    ));
}

#[test]
fn one_event_in_flight_does_not_wait_and_more_are_collected() {
    let now = Instant::now();
    let mut path = path(0);
    for tag in 0..3 {
        feed(&mut path, tag);
        compute(&mut path, now);
        let first = path.take_batch(now);
        assert_eq!(
            first.is_some(),
            tag == 0,
            "behind a batch on its way events are collected"
        );
    }
    assert_eq!(path.batch_deadline(), Some(now + limits().linger));
    let later = now + limits().linger;
    assert_eq!(
        path.take_batch(later).map(|batch| batch.events().len()),
        Some(2),
        "but not for long"
    );
    feed(&mut path, 3);
    compute(&mut path, later);
    assert!(
        path.take_batch(later + limits().linger).is_none(),
        "two on their way are enough"
    );
    assert!(commit(&mut path, 1));
    assert_eq!(
        path.take_batch(later + limits().linger).map(|batch| batch.last()),
        Some(EventNumber(4))
    );
}

#[test]
fn a_full_batch_does_not_linger_and_is_not_overfull() {
    let now = Instant::now();
    let mut path = Pipeline::<u64, u64>::new(
        TERM,
        EventNumber(0),
        RunAhead {
            events: 100,
            bytes: 100_000,
            in_serf: 100,
        },
        limits(),
    );
    for tag in 0..8 {
        feed(&mut path, tag);
        compute(&mut path, now);
    }
    assert_eq!(path.take_batch(now).map(|batch| batch.events().len()), Some(4));
    assert_eq!(
        path.take_batch(now).map(|batch| batch.events().len()),
        Some(4),
        "full, so at once"
    );
    assert!(path.take_batch(now).is_none());
}

#[test]
fn an_event_larger_than_a_batch_goes_alone() {
    let now = Instant::now();
    let mut path = path(0);
    for size in [10, 5000, 10] {
        path.fed(Noun::ZERO, Bytes::from(vec![1; size]), 0);
        let number = path.computed().next();
        path.computed_next(
            Computed {
                number,
                mug: Mug(1),
                effects: Noun::ZERO,
                swapped: None,
            },
            now,
        );
    }
    let sizes: Vec<usize> = [1, 2, 3]
        .into_iter()
        .map(|event| {
            let batch = path.take_batch(now).unwrap();
            assert!(commit(&mut path, event));
            batch.bytes()
        })
        .collect();
    assert_eq!(sizes, [14, 5004, 14]);
}

#[test]
fn run_ahead_is_bounded_by_events_in_the_serf_events_and_bytes() {
    let now = Instant::now();
    let mut path = path(0);
    for tag in 0..3 {
        assert!(path.may_feed());
        feed(&mut path, tag);
    }
    assert!(!path.may_feed(), "three in the serf");
    for tag in 3..8 {
        compute(&mut path, now);
        assert!(path.may_feed());
        feed(&mut path, tag);
    }
    compute(&mut path, now);
    assert!(!path.may_feed(), "eight on their way in all");

    let mut path = Pipeline::<u64, u64>::new(
        TERM,
        EventNumber(0),
        RunAhead {
            events: 8,
            bytes: 15,
            in_serf: 8,
        },
        limits(),
    );
    feed(&mut path, 0);
    assert!(path.may_feed());
    feed(&mut path, 1);
    assert!(!path.may_feed(), "twenty bytes");
}

#[test]
fn another_offices_commit_ends_this_one_even_with_the_same_number() {
    let now = Instant::now();
    let mut path = path(5);
    feed(&mut path, 1);
    compute(&mut path, now);
    path.take_batch(now).unwrap();
    assert!(!path.committed_to(Commit {
        event: EventNumber(6),
        term: Term(4)
    }));
    assert!(
        path.release_next().is_none(),
        "the other office's event 6 is not ours"
    );
    assert!(path.is_speculative());
    assert!(
        path.committed_to(Commit {
            event: EventNumber(5),
            term: Term(2)
        }),
        "what came before is no news"
    );
    let abandoned = path.end();
    assert_eq!(abandoned.events, [1]);
}

#[test]
fn an_office_ends_with_everything_accounted_for() {
    let now = Instant::now();
    let mut path = path(0);
    feed(&mut path, 1);
    feed(&mut path, 2);
    feed(&mut path, 3);
    compute(&mut path, now);
    path.peeked(Ok(Noun::ZERO), 70);
    path.bailed_next(Vec::new());
    assert!(path.is_speculative());
    let abandoned = path.end();
    assert_eq!((abandoned.events, abandoned.peeks), (vec![1, 2, 3], vec![70]));
}

#[test]
#[should_panic(expected = "was not proposed")]
fn a_commit_of_what_was_not_proposed_is_a_broken_invariant() {
    let mut path = path(0);
    feed(&mut path, 1);
    compute(&mut path, Instant::now());
    commit(&mut path, 1);
}

#[test]
#[should_panic(expected = "one after another")]
fn a_gap_in_the_serfs_numbers_is_a_broken_invariant() {
    let mut path = path(0);
    feed(&mut path, 1);
    path.computed_next(
        Computed {
            number: EventNumber(2),
            mug: Mug(1),
            effects: Noun::ZERO,
            swapped: None,
        },
        Instant::now(),
    );
}

#[test]
fn effects_come_in_order_and_odd_ones_do_not_stop_the_rest() {
    let event = ReleasedEvent {
        number: EventNumber(1),
        effects: Noun::list([
            n![n!["", n!["behn", 0u64]], "doze", 0u64],
            Noun::atom(3),
            n![n!["term", 0u64], "blit", 0u64],
        ]),
        token: Token::for_test(),
    };
    let mut seen = Vec::new();
    let mut odd = 0;
    event.for_each(
        |effect| seen.push((effect.tag.to_owned(), effect.wire_starts("behn"))),
        |_| odd += 1,
    );
    assert_eq!(seen, [("doze".to_owned(), true), ("blit".to_owned(), false)]);
    assert_eq!(odd, 1);
}

/// What a random run does.
#[derive(Clone, Copy, Debug)]
enum Step {
    Feed,
    Compute,
    Swap,
    Bail,
    Peek,
    Propose,
    Commit(u8),
    Release,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => Just(Step::Feed),
        3 => Just(Step::Compute),
        1 => Just(Step::Swap),
        1 => Just(Step::Bail),
        1 => Just(Step::Peek),
        2 => Just(Step::Propose),
        2 => any::<u8>().prop_map(Step::Commit),
        2 => Just(Step::Release),
    ];
    prop::collection::vec(step, 0..400)
}

proptest! {
    /// Whatever the order of things: events leave once, in order, behind their commit; every tag that went in comes
    /// out once; answers and refusals come between the events that they lie between.
    #[test]
    fn any_interleaving_keeps_the_promises(steps in steps(), barrier in 0u64..5) {
        let now = Instant::now();
        let mut path = path(barrier);
        let (mut next_tag, mut in_serf) = (0, 0);
        let (mut expected, mut seen) = (Vec::new(), Vec::new());
        let mut proposed_to = barrier;
        let mut shown_after = Vec::new();
        for step in steps {
            match step {
                Step::Feed if path.may_feed() => {
                    feed(&mut path, next_tag);
                    next_tag += 1;
                    in_serf += 1;
                }
                Step::Compute | Step::Swap if in_serf > 0 => {
                    in_serf -= 1;
                    let number = path.computed().next();
                    let swapped = matches!(step, Step::Swap).then(|| Bytes::from_static(b"x"));
                    path.computed_next(Computed { number, mug: Mug(1), effects: Noun::ZERO, swapped }, now);
                    expected.push(Some(number));
                    shown_after.push(number);
                }
                Step::Bail if in_serf > 0 => {
                    in_serf -= 1;
                    path.bailed_next(Vec::new());
                    expected.push(None);
                    shown_after.push(path.computed());
                }
                Step::Peek => {
                    path.peeked(Ok(Noun::ZERO), 0);
                    expected.push(None);
                    shown_after.push(path.computed());
                }
                Step::Propose => {
                    if let Some(batch) = path.take_batch(now) {
                        prop_assert_eq!(batch.first().0, proposed_to + 1);
                        proposed_to = batch.last().0;
                    }
                }
                Step::Commit(part) => {
                    let committed = path.committed().0;
                    let to = committed + u64::from(part) % (proposed_to - committed + 1);
                    prop_assert!(commit(&mut path, to));
                }
                Step::Release => {
                    while let Some(released) = path.release_next() {
                        let shows = shown_after[seen.len()];
                        prop_assert!(shows <= path.committed());
                        seen.push(match released {
                            Released::Event(event, ..) => Some(event.number()),
                            _ => None,
                        });
                    }
                    if let Some(shows) = shown_after.get(seen.len()) {
                        prop_assert!(*shows > path.committed(), "nothing that may go is kept");
                    }
                }
                _ => {}
            }
        }
        prop_assert_eq!(&expected[..seen.len()], &seen[..]);
        let speculative = path.is_speculative();
        prop_assert_eq!(speculative, in_serf > 0 || path.computed() != path.committed());
    }
}
