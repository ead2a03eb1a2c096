//! A pier of vere's becomes the first member of a cluster, and stays one that vere can open.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod cluster;

use cluster::{Cluster, all, batch, committed, config, led};
use replog::{Event, Replog, ShipIdentity, Start};
use seguro_event::{EventNumber, Mug};
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Events in the pier that comes with the tests: written by vere v3.5, which was killed.
const EVENTS: u64 = 61;

fn unpack(into: &Path) -> PathBuf {
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/pier-v35-tiny.tar.gz");
    let status = Command::new("tar")
        .arg("xzf")
        .arg(archive)
        .arg("-C")
        .arg(into)
        .status()
        .unwrap();
    assert!(status.success());
    into.join("zod")
}

#[tokio::test]
async fn vere_s_history_is_the_cluster_s() {
    let dir = tempfile::tempdir().unwrap();
    let pier = unpack(dir.path());
    let log = Replog::open(config(&pier, &[], None, Start::Resume))
        .await
        .unwrap();
    let (term, barrier) = led(&log).await;
    assert_eq!(barrier, EventNumber(EVENTS));
    assert_eq!(
        log.identity(),
        Some(ShipIdentity {
            who: 0,
            fake: true,
            life: 2
        })
    );
    let before = all(&log).await;
    log.propose(term, batch(EVENTS + 1, 2, 100)).await.unwrap();
    committed(&log, EVENTS + 2).await;
    log.close().await.unwrap();
    let log = Replog::open(config(&pier, &[], None, Start::Resume))
        .await
        .unwrap();
    assert_eq!(led(&log).await.1, EventNumber(EVENTS + 2));
    assert_eq!(all(&log).await[..EVENTS as usize], before);
    log.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_join_by_a_snapshot_of_it() {
    let mut cluster = Cluster::prepare(3).await;
    let dir = tempfile::tempdir().unwrap();
    let pier = unpack(dir.path());
    for entry in std::fs::read_dir(&pier).unwrap() {
        let entry = entry.unwrap();
        std::fs::rename(entry.path(), cluster.piers[0].path().join(entry.file_name())).unwrap();
    }
    cluster.open(0, Start::Resume).await;
    let (term, _) = led(cluster.member(0)).await;
    cluster
        .member(0)
        .propose(term, batch(EVENTS + 1, 5, 100))
        .await
        .unwrap();
    cluster.open(1, Start::Join).await;
    cluster.open(2, Start::Join).await;
    cluster.settled().await;
    cluster.agree(EVENTS + 5).await;
    for nth in 1..3 {
        let installed = cluster
            .member(nth)
            .installed()
            .borrow()
            .expect("the history is not in the Raft log");
        assert_eq!(installed.image, None, "epoch 0 has none");
        assert_eq!(cluster.member(nth).identity(), cluster.member(0).identity());
    }
    for nth in 0..3 {
        cluster.stop(nth).await;
    }
    for nth in 0..3 {
        cluster.open(nth, Start::Resume).await;
    }
    cluster.agree(EVENTS + 5).await;
}

/// What `urbit` does while our member is stopped: it appends an event, and knows nothing of our records.
fn append_as_another_runtime(pier: &Path, number: u64) {
    use heed::{
        EnvOpenOptions, IntegerComparator,
        byteorder::NativeEndian,
        types::{Bytes, U64},
    };
    let mut options = EnvOpenOptions::new();
    options.map_size(1 << 30).max_dbs(3);
    #[expect(unsafe_code, reason = "the file is changed by nobody else meanwhile")]
    let env = unsafe { options.open(pier.join(".urb/log/0i0")) }.unwrap();
    let mut txn = env.write_txn().unwrap();
    let events = env
        .database_options()
        .types::<U64<NativeEndian>, Bytes>()
        .key_comparator::<IntegerComparator>()
        .name("EVENTS")
        .create(&mut txn)
        .unwrap();
    events.put(&mut txn, &number, b"\0\0\0\0a foreign event").unwrap();
    txn.commit().unwrap();
    env.prepare_for_closing().wait();
}

#[tokio::test]
async fn what_another_runtime_wrote_meanwhile_is_taken_in_where_nobody_can_object() {
    let pier = tempfile::tempdir().unwrap();
    let log = Replog::open(config(
        pier.path(),
        &[],
        None,
        Start::Found {
            genesis: cluster::SHIP,
        },
    ))
    .await
    .unwrap();
    let (term, _) = led(&log).await;
    log.propose(term, batch(1, 3, 100)).await.unwrap();
    committed(&log, 3).await;
    log.close().await.unwrap();
    append_as_another_runtime(pier.path(), 4);
    let log = Replog::open(config(pier.path(), &[], None, Start::Resume))
        .await
        .unwrap();
    let (term, barrier) = led(&log).await;
    assert_eq!(barrier, EventNumber(4));
    let jam = bytes::Bytes::from_static(b"a foreign event");
    assert_eq!(
        all(&log).await[3],
        Event {
            number: EventNumber(4),
            mug: Mug(0),
            jam
        }
    );
    log.propose(term, batch(5, 1, 100)).await.unwrap();
    committed(&log, 5).await;
    log.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_runtime_wrote_to_one_of_three_is_refused() {
    let mut cluster = Cluster::start(3).await;
    let (nth, term, _) = cluster.leader().await;
    cluster.member(nth).propose(term, batch(1, 3, 100)).await.unwrap();
    cluster.agree(3).await;
    let strayed = (nth + 1) % 3;
    cluster.stop(strayed).await;
    append_as_another_runtime(cluster.piers[strayed].path(), 4);
    let refused = cluster
        .try_open(strayed, Start::Resume)
        .await
        .unwrap_err()
        .to_string();
    assert!(refused.contains("one of several"), "{refused}");
    // Nothing has been changed by the refusal: the member can still be told apart.
    let again = cluster
        .try_open(strayed, Start::Resume)
        .await
        .unwrap_err()
        .to_string();
    assert_eq!(refused, again);
}
