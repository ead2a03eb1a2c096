//! Framing and the session: what each event costs before and behind the serf's pipe.

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

/// A round of work through a session that runs ahead: jam and frame all writs, then unframe, cue and match the replies.
/// Per element, this is all that the king spends on an event between its driver and its log.
fn session(criterion: &mut Criterion) {
    let ripe = n!["ripe", n![1_u64, 138_u64, 4_u64], 1000_u64, 0x1234_5678_u64];
    let mut replies = Vec::new();
    for event in 1001..=1000 + EVENTS {
        let effect = n![
            vec!["http-server", "0v1d.8tjvu", "1"],
            "response",
            "start",
            200_u64,
            (),
            (),
            true
        ];
        let reply = n!["work", "done", event, 0x1234_5678_u64, vec![effect]];
        replies.extend(encode(&jam(&reply)));
    }
    let mut group = criterion.benchmark_group("session");
    group
        .measurement_time(Duration::from_secs(3))
        .throughput(Throughput::Elements(EVENTS));
    group.bench_function("work", |bencher| {
        let setup = || {
            let mut session = Session::new();
            let woke = Plea::from_noun(&ripe).map(|plea| session.receive(plea));
            assert!(matches!(woke, Ok(Ok(Incoming::Ripe(_)))));
            (session, (0..EVENTS).map(|_| job()).collect::<Vec<_>>())
        };
        let round = |(mut session, jobs): (Session<u64>, Vec<Noun>)| {
            for (job, tag) in jobs.into_iter().zip(0..) {
                assert!(black_box(session.send(Writ::Work { limit_ms: 0, job }, tag)).is_ok());
            }
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
        bencher.iter_batched(setup, round, BatchSize::LargeInput);
    });
    group.finish();
}

criterion_group!(benches, decode, session);
criterion_main!(benches);
