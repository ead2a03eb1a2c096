//! What a packet costs before anything is done for it: those of a flood, and those that pass.

#![allow(
    missing_docs,
    reason = "criterion_group! makes a function without documentation"
)]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use seguro_king::inside::ames_packet_passes;
use serf_ipc::noun::mug_octets;

/// A packet between two galaxies with so many bytes of body, whose mug is right.
fn sound(body: usize) -> Vec<u8> {
    let mut rest = vec![0x11, 1, 0, 0, 0];
    rest.extend((0..body).map(|at| (at % 251) as u8));
    // An ames packet that is not relayed: the bits of loobeans that say no are set.
    let head = 1_u32 << 31 | (mug_octets(&rest).0 & 0xf_ffff) << 11;
    [&head.to_le_bytes()[..], &rest].concat()
}

/// The same with a bit of its body turned.
fn bent(body: usize) -> Vec<u8> {
    let mut packet = sound(body);
    if let Some(last) = packet.last_mut() {
        *last ^= 1;
    }
    packet
}

/// A STUN request whose fingerprint is wrong.
fn false_stun() -> Vec<u8> {
    let mut packet = vec![0, 1, 0, 8, 0x21, 0x12, 0xa4, 0x42];
    packet.extend([7; 12]);
    packet.extend([0x80, 0x28, 0, 4, 0, 0, 0, 0]);
    packet
}

fn parse(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ames/parse");
    group.measurement_time(Duration::from_secs(3));
    group.throughput(Throughput::Elements(1));
    let mut newer = sound(1024);
    newer[0] |= 0x10;
    for (name, packet, passes) in [
        ("sound, 1 KiB", sound(1024), true),
        ("sound, 64 B", sound(64), true),
        ("bent, 1 KiB", bent(1024), false),
        ("bent, 64 B", bent(64), false),
        ("another version", newer, false),
        ("false STUN", false_stun(), false),
        ("short", vec![1, 2, 3], false),
    ] {
        assert_eq!(ames_packet_passes(&packet), passes, "{name}");
        group.bench_with_input(BenchmarkId::from_parameter(name), &packet, |bencher, packet| {
            bencher.iter(|| ames_packet_passes(black_box(packet)));
        });
    }
    group.finish();
}

criterion_group!(benches, parse);
criterion_main!(benches);
