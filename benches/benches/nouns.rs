//! jam, cue and mug: the small nouns of every event, a noun of 5 MB, and the list 1..1,000,000.

#![allow(
    missing_docs,
    reason = "criterion_group! makes a function without documentation"
)]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use serf_ipc::{Noun, cue, jam, n};

/// The size of the large noun's data, in bytes.
const LARGE: usize = 5_000_000;

/// An event that carries this many bytes of data, with the wire and the tags that a driver gives it.
fn event(bytes: usize) -> Noun {
    let date = 0x8000_000d_39a1_ad42_3380_0000_0000_0000_u128;
    let wire = vec!["http-server", "0v1d.8tjvu", "1", "2"];
    let headers = vec![
        ("content-type", "text/plain"),
        ("content-length", "100"),
        ("host", "localhost:8080"),
    ];
    let body = Noun::from_le_bytes(&noise(bytes));
    n![
        11u64,
        date,
        wire,
        "request",
        true,
        "0v0",
        "GET",
        "/~/channel/1700000000",
        headers,
        Some((bytes as u64, body))
    ]
}

/// Bytes without a pattern, the last one not zero.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state: u64 = 1;
    let step = |_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8 | 1
    };
    (0..bytes).map(step).collect()
}

/// What an update of some megabytes looks like: files as `[path [~ mime size data]]`.
fn files() -> Noun {
    let file = |at: u64| {
        let text = Noun::from_le_bytes(&noise(4500 + at as usize % 1000));
        let path = vec!["app".to_owned(), format!("file-{at}"), "hoon".to_owned()];
        n![path, Some(n![vec!["text", "plain"], 5000u64, text])]
    };
    Noun::list((0..LARGE as u64 / 5000).map(file))
}

fn million() -> Noun {
    Noun::list((1..=1_000_000_u64).map(Noun::atom))
}

/// The same noun with no digest in it yet.
fn fresh(noun: &Noun) -> Noun {
    cue(&jam(noun)).unwrap_or_default()
}

fn nouns(criterion: &mut Criterion) {
    let cases = [
        ("event of 0.2 kB", event(0)),
        ("event of 1 kB", event(800)),
        ("5 MB in 1000 files", files()),
        ("5 MB in one atom", event(LARGE)),
        ("list 1..1,000,000", million()),
    ];
    let mut group = criterion.benchmark_group("nouns");
    group
        .sample_size(20)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(4));
    for (name, noun) in &cases {
        let bytes = jam(noun);
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        let size = if bytes.len() > 10_000 {
            BatchSize::PerIteration
        } else {
            BatchSize::SmallInput
        };
        group.bench_function(BenchmarkId::new("cue", name), |bencher| {
            bencher.iter_with_large_drop(|| cue(black_box(&bytes)));
        });
        group.bench_function(BenchmarkId::new("jam", name), |bencher| {
            bencher.iter_batched_ref(|| fresh(noun), |noun| jam(noun), size);
        });
        group.bench_function(BenchmarkId::new("mug", name), |bencher| {
            bencher.iter_batched_ref(|| fresh(noun), |noun| noun.mug(), size);
        });
        group.bench_function(BenchmarkId::new("drop", name), |bencher| {
            bencher.iter_batched(|| fresh(noun), drop, size);
        });
    }
    group.finish();
}

criterion_group!(benches, nouns);
criterion_main!(benches);
