//! The whole king on its control socket: lockstep, and windows of 16 and 256, on one member and on three, beside a bare
//! `fdatasync` in the same run, so that ratios can be read.
//!
//! The serf is the one that `SEGURO_SERF` names, else the reference serf; the pill is `SEGURO_PILL`, else the reference
//! kernel. Each event is one `%ovum` that is answered after its commit. Member processes are those of this profile.
#![allow(
    clippy::expect_used,
    reason = "a bench whose set-up fails has nothing to measure"
)]
#![allow(
    missing_docs,
    reason = "criterion_group! makes a function without documentation"
)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use seguro_king::conn_client::ConnClient;
use seguro_tests::Ship;
use serf_ipc::n;
use std::{
    fs::File,
    io::Write,
    time::{Duration, Instant},
};

/// Bytes of a small event with its envelope, for the bare sync.
const EVENT_BYTES: usize = 64;

/// Sends so many events with so many on their way at once, and waits for all answers.
fn converse(client: &mut ConnClient, events: u64, window: u64) {
    let (mut sent, mut answered) = (0, 0);
    let wire = n!["d", "term", "1", 0u64];
    while answered < events {
        while sent < events && sent - answered < window {
            client
                .send_ovum(sent, &wire, n!["echo", sent])
                .expect("the king takes events");
            sent += 1;
        }
        client.receive().expect("the king answers");
        answered += 1;
    }
}

fn bare_fdatasync(c: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a directory");
    let mut file = File::create(directory.path().join("bare")).expect("a file");
    c.bench_function("bare fdatasync", |b| {
        b.iter(|| {
            file.write_all(&[7; EVENT_BYTES]).expect("a write");
            file.sync_data().expect("a sync");
        });
    });
}

fn king(c: &mut Criterion) {
    let mut group = c.benchmark_group("king");
    group.sample_size(20).measurement_time(Duration::from_secs(6));
    for members in [1, 3] {
        let mut ship = Ship::new(members, &[]).expect("a ship");
        let leader = ship.boot().expect("the ship boots");
        let mut client = ConnClient::connect(ship.pier(leader)).expect("the leader's socket");
        for window in [1, 16, 256] {
            group.throughput(Throughput::Elements(1));
            group.bench_function(format!("{members} members, window {window}"), |b| {
                b.iter_custom(|events| {
                    let start = Instant::now();
                    converse(&mut client, events, window);
                    start.elapsed()
                });
            });
        }
    }
}

criterion_group!(benches, bare_fdatasync, king);
criterion_main!(benches);
