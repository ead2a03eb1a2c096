//! Appending to the Raft log, synced, beside what the disk can do: a bare write and `fdatasync` of the same bytes (at the end of
//! a file that grows, and over bytes that are there already), and a bare LMDB commit of them.
//!
//! `cargo bench -p seguro-benches --bench store`. A shared disk is not the same from one second to the next: read ratios
//! of one run, and run it twice.

#![expect(clippy::expect_used, reason = "a bench that cannot go on ends")]
#![expect(missing_docs, reason = "criterion's macro makes a function")]

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use heed::{
    Database, EnvOpenOptions, IntegerComparator, PutFlags,
    byteorder::NativeEndian,
    types::{Bytes as ByteSlice, U64},
};
use replog::inside::BareRaftLog;
use std::{
    fs::File,
    io::{Seek, SeekFrom, Write},
    time::Duration,
};

/// Bytes of an event.
const SIZE: usize = 1024;
/// Events of an entry.
const BATCHES: [usize; 4] = [1, 10, 100, 1000];
/// Entries that stay in a log: the others are purged, as a member does.
const KEEP: u64 = 1024;
/// How far the file that is written over goes, bytes.
const WINDOW: usize = 64 << 20;

fn jams(count: usize) -> Vec<Bytes> {
    (0..count).map(|i| Bytes::from(vec![i as u8 | 1; SIZE])).collect()
}

fn append(c: &mut Criterion) {
    let mut group = c.benchmark_group("append 1 KiB events, synced");
    group
        .sample_size(60)
        .measurement_time(Duration::from_secs(3))
        .warm_up_time(Duration::from_millis(500));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .expect("a runtime");
    for batch in BATCHES {
        let jams = jams(batch);
        let bytes = jams.concat();
        group.throughput(Throughput::Bytes(bytes.len() as u64));

        group.bench_with_input(
            BenchmarkId::new("fdatasync, growing file", batch),
            &bytes,
            |b, bytes| {
                let dir = tempfile::tempdir().expect("a directory");
                let mut file = File::create(dir.path().join("file")).expect("a file");
                b.iter(|| {
                    file.write_all(bytes).expect("a write");
                    file.sync_data().expect("a sync");
                });
            },
        );

        group.bench_with_input(
            BenchmarkId::new("fdatasync, written file", batch),
            &bytes,
            |b, bytes| {
                let dir = tempfile::tempdir().expect("a directory");
                let mut file = File::create(dir.path().join("file")).expect("a file");
                file.write_all(&vec![0; WINDOW]).expect("a write");
                file.sync_all().expect("a sync");
                let mut at = 0;
                b.iter(|| {
                    file.seek(SeekFrom::Start(at as u64)).expect("a seek");
                    file.write_all(bytes).expect("a write");
                    file.sync_data().expect("a sync");
                    at = (at + bytes.len()) % (WINDOW - bytes.len());
                });
            },
        );

        group.bench_with_input(BenchmarkId::new("LMDB commit", batch), &bytes, |b, bytes| {
            let dir = tempfile::tempdir().expect("a directory");
            // SAFETY: nobody else knows this directory.
            #[expect(unsafe_code, reason = "opening a memory map; the obligation is stated")]
            let env = unsafe {
                EnvOpenOptions::new()
                    .map_size(32 << 30)
                    .open(dir.path())
                    .expect("an environment")
            };
            let mut txn = env.write_txn().expect("a transaction");
            let table: Database<U64<NativeEndian>, ByteSlice, IntegerComparator> = env
                .database_options()
                .types()
                .key_comparator()
                .create(&mut txn)
                .expect("a table");
            txn.commit().expect("a commit");
            let mut key = 0;
            b.iter(|| {
                let mut txn = env.write_txn().expect("a transaction");
                table
                    .put_with_flags(&mut txn, PutFlags::APPEND, &key, bytes)
                    .expect("a put");
                txn.commit().expect("a commit");
                key += 1;
            });
        });

        group.bench_with_input(BenchmarkId::new("Raft log", batch), &jams, |b, jams| {
            let dir = tempfile::tempdir().expect("a directory");
            let mut log = BareRaftLog::open(dir.path()).expect("a log");
            let mut count = 0;
            b.iter(|| {
                runtime.block_on(log.append(jams)).expect("an append");
                count += 1;
                if count % KEEP == 0 {
                    runtime.block_on(log.purge(KEEP)).expect("a purge");
                }
            });
            runtime.block_on(log.close()).expect("a clean end");
        });
    }
    group.finish();
}

criterion_group!(benches, append);
criterion_main!(benches);
