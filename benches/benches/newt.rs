//! Framing and the session: what each event costs before and behind the serf's pipe.

#![allow(
    missing_docs,
    reason = "criterion_group! makes a function without documentation"
)]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use serf_ipc::newt::{Decoder, encode};
use serf_ipc::{FromNoun, Incoming, Noun, Plea, Session, Writ, cue, jam, n};

/// Events in one round.
const EVENTS: u64 = 256;
/// What one read of a socket brings, in bytes.
const READ: usize = 64 << 10;

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("newt/decode");
    group.measurement_time(Duration::from_secs(3));
    for (body, frames) in [(60_usize, 1000_usize), (1024, 1000), (5_000_000, 1)] {
        let frame = encode(&vec![7; body]);
        let stream: Vec<u8> = frame.iter().copied().cycle().take(frame.len() * frames).collect();
        group.throughput(Throughput::Bytes(stream.len() as u64));
        group.bench_with_input(
            BenchmarkId::from_parameter(format!("{frames}x{body}")),
            &stream,
            |bencher, stream| {
                bencher.iter(|| {
                    let mut decoder = Decoder::new(1 << 31);
                    let mut bytes = 0;
                    for read in stream.chunks(READ) {
                        decoder.feed(read);
                        while let Ok(Some(body)) = decoder.next_body() {
                            bytes += black_box(body).len();
                        }
                    }
                    bytes
                });
            },
        );
    }
    group.finish();
}

fn job() -> Noun {
    let date = 0x8000_000d_39a1_ad42_3380_0000_0000_0000_u128;
    n![
        date,
        vec!["", "http-server", "0v1d.8tjvu", "1"],
        "request",
        true,
        "/~/channel/1700000000"
    ]
}

/// The answer to an event: one effect, which is the head of an HTTP response.
fn reply(event: u64) -> Noun {
    let effect = n![
        vec!["http-server", "0v1d.8tjvu", "1"],
        "response",
        "start",
        200_u64,
        (),
        (),
        true
    ];
    n!["work", "done", event, 0x1234_5678_u64, vec![effect]]
}

/// A session with a serf at event 1000, and some jobs.
fn live() -> (Session<u64>, Vec<Noun>) {
    let mut session = Session::new();
    let ripe = Plea::from_noun(&n!["ripe", n![1_u64, 138_u64, 4_u64], 1000_u64, 0x1234_5678_u64]);
    assert!(ripe.is_ok_and(|ripe| session.receive(ripe).is_ok()));
    (session, (0..EVENTS).map(|_| job()).collect())
}

/// Jams and frames the jobs.
fn send((mut session, jobs): (Session<u64>, Vec<Noun>)) -> Session<u64> {
    for (job, tag) in jobs.into_iter().zip(0..) {
        assert!(black_box(session.send(Writ::Work { limit_ms: 0, job }, tag)).is_ok());
    }
    session
}

/// What a session spends on an event: to send it, and to take in its answer. This is all that the king does between its
/// drivers and its log, but for the log's own jam.
fn session(criterion: &mut Criterion) {
    let replies: Vec<u8> = (1001..=1000 + EVENTS)
        .flat_map(|event| encode(&jam(&reply(event))))
        .collect();
    let mut group = criterion.benchmark_group("session");
    group
        .measurement_time(Duration::from_secs(3))
        .throughput(Throughput::Elements(EVENTS));
    group.bench_function("send", |bencher| {
        bencher.iter_batched(live, send, BatchSize::LargeInput)
    });
    group.bench_function("receive", |bencher| {
        let receive = |mut session: Session<u64>| {
            let mut decoder = Decoder::new(1 << 31);
            decoder.feed(&replies);
            while let Ok(Some(body)) = decoder.next_body() {
                let plea = cue(body).ok().and_then(|noun| Plea::from_noun(&noun).ok());
                let incoming = plea.map(|plea| session.receive(plea));
                assert!(matches!(incoming, Some(Ok(Incoming::Reply(..)))));
            }
            assert_eq!(session.depth(), 0);
            session
        };
        bencher.iter_batched(|| send(live()), receive, BatchSize::LargeInput);
    });
    group.finish();
}

criterion_group!(benches, decode, session);
criterion_main!(benches);
