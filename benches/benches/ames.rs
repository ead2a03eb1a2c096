//! What a packet of ames' or of mesa's costs before anything is done for it: those of a flood, and those that pass.

#![allow(
    missing_docs,
    reason = "criterion_group! makes a function without documentation"
)]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use seguro_king::inside::{ames_packet_passes, mesa_packet_passes};
use serf_ipc::noun::mug_octets;

/// A packet between two galaxies with so many bytes of body, whose mug is right.
fn sound(body: usize) -> Vec<u8> {
    let mut rest = vec![0x11, 1, 0, 0, 0];
    rest.extend((0..body).map(|at| (at % 251) as u8));
    // An ames packet that is not relayed: the bits of loobeans that say no are set.
    let head = 1_u32 << 31 | (mug_octets(&rest).0 & 0xf_ffff) << 11;
    [&head.to_le_bytes()[..], &rest].concat()
}

/// A page of mesa's with so many bytes (at least 256), whose mug is right.
fn page(body: usize) -> Vec<u8> {
    // A fragment of a message of 3,000 bytes, between two hashes.
    let mut rest = b"\x00\x00\x00\x00\x0d\x01\x04\x00long\x8d\xb8\x0b".to_vec();
    rest.extend([6; 64]);
    rest.extend((body as u16).to_le_bytes());
    rest.extend((0..body).map(|at| (at % 251) as u8));
    let mug = u64::from(mug_octets(&rest).0 & 0xf_ffff);
    let head = 0x67e0_0200_u64 << 32 | mug << 12 | 1 << 7 | 1 << 4;
    [&head.to_le_bytes()[..], &rest].concat()
}

/// A packet with a bit of its body turned.
fn bent(mut packet: Vec<u8>) -> Vec<u8> {
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
        ("bent, 1 KiB", bent(sound(1024)), false),
        ("bent, 64 B", bent(sound(64)), false),
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

    let mut group = criterion.benchmark_group("mesa/parse");
    group.measurement_time(Duration::from_secs(3));
    group.throughput(Throughput::Elements(1));
    for (name, packet, passes) in [
        ("page, 1 KiB", page(1024), true),
        ("bent, 1 KiB", bent(page(1024)), false),
        ("short", page(1024)[..20].to_vec(), false),
    ] {
        assert_eq!(mesa_packet_passes(&packet), passes, "{name}");
        group.bench_with_input(BenchmarkId::from_parameter(name), &packet, |bencher, packet| {
            bencher.iter(|| mesa_packet_passes(black_box(packet)));
        });
    }
    group.finish();
}

criterion_group!(benches, parse);
criterion_main!(benches);
