//! Appending to the Raft log, synced, beside what the disk can do: a bare write and `fdatasync` of the same bytes (at the end of
//! a file that grows, and over bytes that are there already), and a bare LMDB commit of them.
//!
//! `cargo bench -p seguro-benches --bench store`. First a table of medians from interleaved rounds, since a shared disk is
//! not the same from one second to the next: ratios are to be read there. Then criterion's own account of each.

#![expect(clippy::expect_used, reason = "a bench that cannot go on ends")]
#![expect(missing_docs, reason = "criterion's macro makes a function")]

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use replog::inside::BareRaftLog;
use seguro_benches::bare::{SyncedFile, SyncedTable};
use std::{
    fs::File,
    io::{Seek, SeekFrom, Write},
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Bytes of an event.
const SIZE: usize = 1024;
/// Events of an entry.
const BATCHES: [usize; 4] = [1, 10, 100, 1000];
/// Entries that stay in a log: the others are purged, as a member does.
const KEEP: u64 = 1024;
/// How far the file that is written over goes, bytes.
const WINDOW: usize = 64 << 20;
/// Interleaved rounds for a batch of one event; larger ones get fewer.
const ROUNDS: usize = 800;

/// What is held against each other.
#[derive(Clone, Copy, Debug)]
enum Rival {
    GrowingFile,
    WrittenFile,
    Lmdb,
    RaftLog,
}

const RIVALS: [(Rival, &str); 4] = [
    (Rival::GrowingFile, "fdatasync, growing file"),
    (Rival::WrittenFile, "fdatasync, written file"),
    (Rival::Lmdb, "LMDB commit"),
    (Rival::RaftLog, "Raft log"),
];

/// All of them, and the bytes that they are given.
struct Ring {
    jams: Vec<Bytes>,
    bytes: Vec<u8>,
    growing: SyncedFile,
    written: File,
    at: usize,
    table: SyncedTable,
    log: BareRaftLog,
    entries: u64,
    runtime: Runtime,
    _dir: TempDir,
}

impl Ring {
    fn new(batch: usize) -> Ring {
        let dir = tempfile::tempdir().expect("a directory");
        let growing = SyncedFile::create(&dir.path().join("growing")).expect("a file");
        let mut written = File::create(dir.path().join("written")).expect("a file");
        written.write_all(&vec![0; WINDOW]).expect("a write");
        written.sync_all().expect("a sync");
        let table = SyncedTable::create(&dir.path().join("lmdb")).expect("a table");
        let raft = dir.path().join("raft");
        std::fs::create_dir(&raft).expect("a directory");
        let log = BareRaftLog::open(&raft).expect("a log");
        let jams: Vec<_> = (0..batch).map(|i| Bytes::from(vec![i as u8 | 1; SIZE])).collect();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .build()
            .expect("a runtime");
        let bytes = jams.concat();
        Ring {
            jams,
            bytes,
            growing,
            written,
            at: 0,
            table,
            log,
            entries: 0,
            runtime,
            _dir: dir,
        }
    }

    /// One batch, on disk on return.
    fn append(&mut self, rival: Rival) {
        match rival {
            Rival::GrowingFile => self.growing.append(&self.bytes).expect("a sync"),
            Rival::WrittenFile => {
                self.written
                    .seek(SeekFrom::Start(self.at as u64))
                    .expect("a seek");
                self.written.write_all(&self.bytes).expect("a write");
                self.written.sync_data().expect("a sync");
                self.at = (self.at + self.bytes.len()) % (WINDOW - self.bytes.len());
            }
            Rival::Lmdb => self.table.append(&self.bytes).expect("a commit"),
            Rival::RaftLog => {
                self.runtime
                    .block_on(self.log.append(&self.jams))
                    .expect("an append");
                self.entries += 1;
            }
        }
    }

    /// Lets the log go of what a member would have purged. Not measured: nobody waits for it.
    fn purge(&mut self) {
        if self.entries.is_multiple_of(KEEP) {
            self.runtime.block_on(self.log.purge(KEEP)).expect("a purge");
        }
    }
}

/// Medians of interleaved rounds, microseconds, and how many times the first each is.
fn table() {
    println!("p50 of an append of 1 KiB events, synced, in microseconds (times a growing file's fdatasync):");
    for batch in BATCHES {
        let mut ring = Ring::new(batch);
        let mut times = [const { Vec::new() }; RIVALS.len()];
        for _ in 0..ROUNDS / (1 + batch / 100) {
            for ((rival, _), times) in RIVALS.iter().zip(&mut times) {
                let begun = Instant::now();
                ring.append(*rival);
                times.push(begun.elapsed());
            }
            ring.purge();
        }
        let medians = times.map(|mut times| {
            times.sort_unstable();
            times[times.len() / 2].as_secs_f64() * 1e6
        });
        print!("{batch:>5} events:");
        for ((_, name), median) in RIVALS.iter().zip(medians) {
            print!("  {name} {median:.0} ({:.2})", median / medians[0]);
        }
        println!();
    }
}

fn append(c: &mut Criterion) {
    table();
    let mut group = c.benchmark_group("append 1 KiB events, synced");
    group
        .sample_size(60)
        .measurement_time(Duration::from_secs(3))
        .warm_up_time(Duration::from_millis(500));
    for batch in BATCHES {
        let mut ring = Ring::new(batch);
        group.throughput(Throughput::Bytes(ring.bytes.len() as u64));
        for (rival, name) in RIVALS {
            group.bench_function(BenchmarkId::new(name, batch), |b| {
                b.iter(|| {
                    ring.append(rival);
                    ring.purge();
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, append);
criterion_main!(benches);
