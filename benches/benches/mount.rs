//! What a mount of 5,000 files costs: written anew, taken up at a start, and looked through for a commit; and beside it what the file
//! system takes for as many files that are created and renamed by nobody in particular.
//!
//! The files are on the memory's file system where there is one (`/dev/shm`): on a disk the figures are the disk's, and ext4 searches
//! long for an inode where thousands were freed within seconds, as a bench does and a ship does not.

#![allow(
    missing_docs,
    reason = "criterion_group! makes a function without documentation"
)]
#![expect(clippy::expect_used, reason = "a bench that cannot go on ends")]

use std::fs;
use std::path::Path;
use std::time::Duration;

use criterion::{BatchSize, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use seguro_king::inside::MeasuredMount;
use serf_ipc::{Noun, jam, n};
use tempfile::TempDir;

const FILES: usize = 5_000;
const DIRECTORIES: usize = 100;
/// The mean of a desk's files.
const BYTES: usize = 4 << 10;

fn text(seed: usize) -> Vec<u8> {
    (0..BYTES).map(|at| b'a' + ((at * 7 + seed) % 26) as u8).collect()
}

fn path(file: usize) -> [String; 4] {
    let directory = file % DIRECTORIES;
    [
        "lib".to_owned(),
        format!("d{directory}"),
        format!("f{file}"),
        "hoon".to_owned(),
    ]
}

/// The data of an `%ergo` with every file.
fn ergo(seed: usize) -> Noun {
    let files = (0..FILES).map(|file| {
        let mime = n![
            n!["text", "plain", 0u64],
            BYTES as u64,
            Noun::from_le_vec(text(file + seed))
        ];
        n![path(file).to_vec(), 0u64, mime]
    });
    n!["base", Noun::list(files)]
}

fn directory() -> TempDir {
    let memory = Path::new("/dev/shm");
    let directory = if memory.is_dir() {
        TempDir::new_in(memory)
    } else {
        TempDir::new()
    };
    directory.expect("a directory")
}

fn pier() -> TempDir {
    let pier = directory();
    fs::create_dir(pier.path().join(".urb")).expect("a directory");
    pier
}

fn start(pier: &TempDir) -> MeasuredMount {
    MeasuredMount::start(pier.path()).expect("a pier")
}

fn mount(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("mount/5,000 files of 4 KiB");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group.measurement_time(Duration::from_secs(10));
    group.throughput(Throughput::Elements(FILES as u64));
    let (first, second) = (ergo(0), ergo(1));

    group.bench_function("bare: created and renamed", |bencher| {
        let data = text(0);
        let write = |pier: TempDir| {
            let unfinished = pier.path().join("unfinished");
            for file in 0..FILES {
                fs::write(&unfinished, &data).expect("a file");
                fs::rename(&unfinished, pier.path().join(file.to_string())).expect("a file");
            }
            pier
        };
        bencher.iter_batched(directory, write, BatchSize::PerIteration);
    });
    group.bench_function("written anew", |bencher| {
        let fresh = || {
            let pier = pier();
            let mount = start(&pier);
            (pier, mount)
        };
        let write = |(pier, mut mount): (TempDir, MeasuredMount)| {
            assert!(mount.ergo(&first));
            (pier, mount)
        };
        bencher.iter_batched(fresh, write, BatchSize::PerIteration);
    });

    let pier = pier();
    let mut mount = start(&pier);
    assert!(mount.ergo(&first));
    group.bench_function("written over", |bencher| {
        let mut turn = 0;
        bencher.iter(|| {
            turn += 1;
            assert!(mount.ergo(if turn % 2 == 1 { &second } else { &first }));
        });
    });
    assert!(mount.ergo(&first));
    group.bench_function("taken up at a start", |bencher| bencher.iter(|| start(&pier)));
    group.bench_function("committed, nothing changed", |bencher| {
        bencher.iter(|| {
            let (_, changed) = mount.commit().expect("a sound mount");
            assert_eq!(changed, 0);
        });
    });
    for file in 0..FILES {
        let [lib, directory, name, extension] = path(file);
        let place = pier
            .path()
            .join(format!("base/{lib}/{directory}/{name}.{extension}"));
        fs::write(place, text(file + 2)).expect("a file");
    }
    group.bench_function("committed, all changed", |bencher| {
        bencher.iter(|| {
            let (_, changed) = mount.commit().expect("a sound mount");
            assert_eq!(changed, FILES);
        });
    });
    let (card, _) = mount.commit().expect("a sound mount");
    group.bench_function("the event of that jammed", |bencher| bencher.iter(|| jam(&card)));
    group.finish();
}

criterion_group!(benches, mount);
criterion_main!(benches);
