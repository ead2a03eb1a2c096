//! Appending, voting, truncating, purging, opening again.

use super::*;
use crate::{
    limits::{PURGE_SLICE, RAFT_LOG_READ_BYTES},
    store::{failure::EXIT_IO, fault::Step},
};
use futures::StreamExt;
use openraft::type_config::TypeConfigExt;

fn id(term: u64, index: u64) -> Option<LogId> {
    Some(log_id(Term(term), index))
}

#[tokio::test]
async fn t10_what_is_appended_is_read_and_kept() {
    let (dir, mut log) = new_log();
    assert_eq!(ends(&log).await, (None, None));
    append(&mut log, entries(1, 0..3)).await;
    append(&mut log, vec![Entry::new(log_id(Term(2), 3), Payload::Blank)]).await;
    let all = [
        entries(1, 0..3),
        vec![Entry::new(log_id(Term(2), 3), Payload::Blank)],
    ]
    .concat();
    assert_eq!(read(&log, ..).await, all);
    log.close().await.unwrap();
    let log = open(&dir);
    assert_eq!(read(&log, ..).await, all);
    assert_eq!(read(&log, 1..=2).await, all[1..=2]);
    assert_eq!(read(&log, 2..99).await, all[2..]);
    assert_eq!(ends(&log).await, (None, id(2, 3)));
}

/// Stops the writer before a commit until it is let go.
#[derive(Debug)]
struct Gate(Mutex<std::sync::mpsc::Receiver<()>>);

impl Faults for Gate {
    fn at(&self, step: Step, _path: &Path) -> io::Result<()> {
        if step == Step::Commit {
            // An error means that the gate is open for good.
            let _ = lock(&self.0).recv();
        }
        Ok(())
    }
}

fn gated() -> (TempDir, RaftLog, std::sync::mpsc::Sender<()>) {
    let dir = tempfile::tempdir().unwrap();
    let (let_go, gate) = std::sync::mpsc::channel();
    let_go.send(()).unwrap();
    let options = RaftLogOptions {
        faults: Arc::new(Gate(Mutex::new(gate))),
        ..options()
    };
    let log = RaftLog::open_in(dir.path(), MEMBER, options).unwrap();
    (dir, log, let_go)
}

#[tokio::test]
async fn t11_entries_are_readable_before_they_are_on_disk_and_acknowledged_after() {
    let (_dir, mut log, let_go) = gated();
    let (flushed, mut waiting) = TypeConfig::oneshot();
    log.append(entries(1, 0..3), IOFlushed::signal(flushed))
        .await
        .unwrap();
    assert_eq!(read(&log, ..).await, entries(1, 0..3));
    assert_eq!(ends(&log).await, (None, id(1, 2)));
    tokio::time::timeout(Duration::from_millis(50), &mut waiting)
        .await
        .expect_err("it is not on disk");
    let_go.send(()).unwrap();
    waiting.await.unwrap().unwrap();
    drop(let_go);
}

#[tokio::test]
async fn t11_the_log_reaches_an_entry_once_that_is_on_disk() {
    let (_dir, mut log, let_go) = gated();
    let (flushed, _written) = TypeConfig::oneshot();
    log.append(entries(2, 0..3), IOFlushed::signal(flushed))
        .await
        .unwrap();
    assert!(!log.reaches(log_id(Term(2), 3)).await.unwrap(), "it ends before");
    assert!(
        !log.reaches(log_id(Term(3), 0)).await.unwrap(),
        "and is of an earlier term"
    );
    let mut asking = tokio::spawn({
        let log = log.clone();
        async move { log.reaches(log_id(Term(2), 1)).await.unwrap() }
    });
    tokio::time::timeout(Duration::from_millis(50), &mut asking)
        .await
        .expect_err("it is not on disk");
    drop(let_go);
    assert!(asking.await.unwrap());
}

#[tokio::test]
async fn t12_what_collects_during_a_sync_goes_in_one_transaction() {
    let (dir, mut log, let_go) = gated();
    let mut waiting = Vec::new();
    for index in 0..50 {
        let (flushed, wait) = TypeConfig::oneshot();
        log.append([entry(1, index)], IOFlushed::signal(flushed))
            .await
            .unwrap();
        waiting.push(wait);
    }
    // One transaction is at the gate; all that came after it is let through by one more.
    let_go.send(()).unwrap();
    waiting.remove(0).await.unwrap().unwrap();
    let_go.send(()).unwrap();
    for wait in waiting {
        wait.await.unwrap().unwrap();
    }
    drop(let_go);
    log.close().await.unwrap();
    assert_eq!(read(&open(&dir), ..).await, entries(1, 0..50));
}

#[tokio::test]
async fn t13_appending_waits_for_a_slow_disk() {
    let (_dir, mut log, let_go) = gated();
    let big = |index| sized(1, index, RAFT_LOG_PENDING_BYTES / 4 * 3);
    log.append([big(0)], IOFlushed::noop()).await.unwrap();
    let mut other = log.clone();
    let waiting = other.append([big(1)], IOFlushed::noop());
    tokio::pin!(waiting);
    tokio::time::timeout(Duration::from_millis(100), &mut waiting)
        .await
        .expect_err("no room for a second");
    drop(let_go);
    waiting.await.unwrap();
    assert_eq!(read(&log, 1..2).await, [big(1)]);
}

#[tokio::test]
async fn t20_votes_and_the_committed_index_are_kept() {
    let (dir, mut log) = new_log();
    assert_eq!(log.get_log_reader().await.read_vote().await.unwrap(), None);
    let vote = Vote::new(Term(3), MemberId(9));
    log.save_vote(&vote).await.unwrap();
    assert_eq!(log.get_log_reader().await.read_vote().await.unwrap(), Some(vote));
    append(&mut log, entries(3, 0..2)).await;
    log.save_committed(id(3, 1)).await.unwrap();
    assert_eq!(log.read_committed().await.unwrap(), id(3, 1));
    log.close().await.unwrap();
    let mut log = open(&dir);
    assert_eq!(log.get_log_reader().await.read_vote().await.unwrap(), Some(vote));
    assert_eq!(log.read_committed().await.unwrap(), id(3, 1));
}

#[tokio::test]
async fn t21_a_committed_entry_that_is_not_on_disk_is_not_recorded_as_such() {
    let (dir, mut log, let_go) = gated();
    log.append(entries(1, 0..1), IOFlushed::noop()).await.unwrap();
    // A quorum of the others was faster than this disk.
    log.append(entries(1, 1..2), IOFlushed::noop()).await.unwrap();
    log.save_committed(id(1, 5)).await.unwrap();
    drop(let_go);
    log.close().await.unwrap();
    assert_eq!(open(&dir).read_committed().await.unwrap(), None);
}

#[tokio::test]
async fn t30_truncation_makes_room_for_another_history() {
    let (dir, mut log) = new_log();
    append(&mut log, entries(1, 0..10)).await;
    log.truncate_after(id(1, 4)).await.unwrap();
    assert_eq!(ends(&log).await, (None, id(1, 4)));
    assert_eq!(read(&log, ..).await, entries(1, 0..5));
    append(&mut log, entries(2, 5..7)).await;
    let all = [entries(1, 0..5), entries(2, 5..7)].concat();
    assert_eq!(read(&log, ..).await, all);
    log.close().await.unwrap();
    let mut log = open(&dir);
    assert_eq!(read(&log, ..).await, all);
    log.truncate_after(None).await.unwrap();
    assert_eq!(ends(&log).await, (None, None));
    append(&mut log, entries(3, 0..1)).await;
    log.close().await.unwrap();
    assert_eq!(read(&open(&dir), ..).await, entries(3, 0..1));
}

#[tokio::test]
async fn t31_purged_is_gone_at_once_and_for_good() {
    let (dir, mut log) = new_log();
    let many = PURGE_SLICE * 3 + 10;
    append(&mut log, entries(1, 0..many)).await;
    log.purge(log_id(Term(1), many - 5)).await.unwrap();
    assert_eq!(ends(&log).await, (id(1, many - 5), id(1, many - 1)));
    assert_eq!(read(&log, ..).await, entries(1, many - 4..many));
    append(&mut log, entries(2, many..many + 1)).await;
    log.close().await.unwrap();
    let log = open(&dir);
    assert_eq!(ends(&log).await, (id(1, many - 5), id(2, many)));
    assert_eq!(read(&log, ..).await.len(), 5);
}

#[tokio::test]
async fn t32_a_snapshot_purges_past_the_end() {
    let (dir, mut log) = new_log();
    append(&mut log, entries(1, 0..10)).await;
    log.purge(log_id(Term(3), 50)).await.unwrap();
    assert_eq!(ends(&log).await, (id(3, 50), id(3, 50)));
    assert_eq!(read(&log, ..).await, []);
    append(&mut log, entries(3, 51..53)).await;
    log.close().await.unwrap();
    let mut log = open(&dir);
    assert_eq!(ends(&log).await, (id(3, 50), id(3, 52)));
    assert_eq!(read(&log, ..).await, entries(3, 51..53));
    log.purge(log_id(Term(1), 3)).await.unwrap();
    assert_eq!(
        ends(&log).await,
        (id(3, 50), id(3, 52)),
        "what is purged stays purged"
    );
}

#[tokio::test]
async fn t33_freed_pages_are_used_again() {
    let (_dir, mut log) = new_log();
    let mut used = 0;
    for round in 0..40 {
        let from = round * 200;
        append(&mut log, entries(1, from..from + 200)).await;
        log.purge(log_id(Term(1), from + 150)).await.unwrap();
        if round == 10 {
            used = log.used_bytes();
        }
    }
    assert!(log.used_bytes() <= used * 2, "{} after {used}", log.used_bytes());
}

#[tokio::test]
async fn t40_reads_come_in_pieces() {
    let (dir, mut log) = new_log();
    let big: Vec<_> = (0..6)
        .map(|index| sized(1, index, RAFT_LOG_READ_BYTES / 3))
        .collect();
    append(&mut log, big.clone()).await;
    log.close().await.unwrap();
    for cache_bytes in [0, usize::MAX] {
        let mut log = RaftLog::open_in(
            dir.path(),
            MEMBER,
            RaftLogOptions {
                cache_bytes,
                ..options()
            },
        )
        .unwrap();
        let mut reader = log.get_log_reader().await;
        assert_eq!(reader.limited_get_log_entries(1, 6).await.unwrap(), big[1..3]);
        assert_eq!(reader.limited_get_log_entries(5, 6).await.unwrap(), big[5..]);
        let streamed: Vec<_> = reader
            .entries_stream(1..6)
            .await
            .map(Result::unwrap)
            .collect()
            .await;
        assert_eq!(streamed, big[1..]);
        drop(reader);
        log.close().await.unwrap();
    }
}

#[tokio::test]
async fn t41_large_entries() {
    let (dir, log) = new_log();
    log.close().await.unwrap();
    let options = RaftLogOptions {
        map_bytes: 1 << 30,
        ..options()
    };
    let mut log = RaftLog::open_in(dir.path(), MEMBER, options.clone()).unwrap();
    let large = |index| sized(1, index, 48 * MIB);
    append(&mut log, vec![entry(1, 0), large(1), entry(1, 2)]).await;
    log.close().await.unwrap();
    let mut log = RaftLog::open_in(dir.path(), MEMBER, options.clone()).unwrap();
    assert!(read(&log, 1..3).await == [large(1), entry(1, 2)]);
    // Pages are used again, though the next one may find its room in pieces.
    for round in 1..8 {
        log.purge(log_id(Term(1), round * 3 - 1)).await.unwrap();
        append(
            &mut log,
            vec![entry(1, round * 3), large(round * 3 + 1), entry(1, round * 3 + 2)],
        )
        .await;
    }
    assert!(
        log.used_bytes() < 4 * 48 * MIB as u64,
        "{} for one at a time",
        log.used_bytes()
    );
    log.close().await.unwrap();
}

#[tokio::test]
async fn t50_a_log_belongs_to_one_member() {
    let (dir, log) = new_log();
    log.close().await.unwrap();
    let error = RaftLog::open_in(dir.path(), MemberId(7), options()).unwrap_err();
    assert!(
        matches!(error, RaftLogError::Owner { found: MEMBER, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn t51_closed_is_closed() {
    let (_dir, mut log) = new_log();
    let mut other = log.clone();
    let mut reader = log.get_log_reader().await;
    append(&mut log, entries(1, 0..1)).await;
    log.close().await.unwrap();
    log.close().await.unwrap();
    other
        .append(entries(1, 1..2), IOFlushed::noop())
        .await
        .unwrap_err();
    other.save_vote(&Vote::new(Term(1), MEMBER)).await.unwrap_err();
    reader.try_get_log_entries(0..1).await.unwrap_err();
}

/// Finds the bytes of the only entry's jam in the file and changes one.
fn flip(dir: &TempDir) {
    let path = dir.path().join("data.mdb");
    let mut bytes = std::fs::read(&path).unwrap();
    let Payload::Normal(RaftCommand::Events { batch, .. }) = entry(1, 0).payload else {
        unreachable!()
    };
    let jam = &batch.events()[0].jam;
    let mut found = 0;
    for at in 0..bytes.len() - jam.len() {
        if bytes[at..at + jam.len()] == jam[..] {
            bytes[at + 50] ^= 0x10;
            found += 1;
        }
    }
    assert!(found > 0);
    std::fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn t52_a_flipped_bit_in_an_entry_is_found() {
    let (dir, mut log) = new_log();
    append(&mut log, vec![entry(1, 0)]).await;
    log.close().await.unwrap();
    flip(&dir);
    let error = RaftLog::open_in(dir.path(), MEMBER, options()).unwrap_err();
    assert!(matches!(error, RaftLogError::Entry { index: 0, .. }), "{error}");
    assert_eq!(error.exit_code(), EXIT_CORRUPT);

    // Not the last one: found when it is read, and then the store is finished.
    let (dir, mut log) = new_log();
    append(&mut log, entries(1, 0..2)).await;
    log.close().await.unwrap();
    flip(&dir);
    let options = options();
    let failures = options.alarm.subscribe();
    let mut log = RaftLog::open_in(dir.path(), MEMBER, options).unwrap();
    let error = log
        .get_log_reader()
        .await
        .try_get_log_entries(0..2)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("checksum"), "{error}");
    assert_eq!(failures.borrow().as_ref().unwrap().exit_code(), EXIT_CORRUPT);
    log.append(entries(1, 2..3), IOFlushed::noop()).await.unwrap_err();
}

#[tokio::test]
async fn t53_a_failed_sync_is_the_end() {
    #[derive(Debug)]
    struct Failing(std::sync::atomic::AtomicBool);
    impl Faults for Failing {
        fn at(&self, step: Step, _path: &Path) -> io::Result<()> {
            let fail = step == Step::Commit && self.0.load(std::sync::atomic::Ordering::SeqCst);
            if fail {
                Err(io::Error::from_raw_os_error(5))
            } else {
                Ok(())
            }
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let failing = Arc::new(Failing(false.into()));
    let options = RaftLogOptions {
        faults: Arc::<Failing>::clone(&failing),
        ..options()
    };
    let mut failures = options.alarm.subscribe();
    let mut log = RaftLog::open_in(dir.path(), MEMBER, options).unwrap();
    append(&mut log, entries(1, 0..2)).await;
    failing.0.store(true, std::sync::atomic::Ordering::SeqCst);
    let (flushed, waiting) = TypeConfig::oneshot();
    log.append(entries(1, 2..3), IOFlushed::signal(flushed))
        .await
        .unwrap();
    let error = waiting.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("writing entries 2 to 2"), "{error}");
    // It works again, and nobody believes it.
    failing.0.store(false, std::sync::atomic::Ordering::SeqCst);
    log.append(entries(1, 3..4), IOFlushed::noop()).await.unwrap_err();
    log.save_vote(&Vote::new(Term(2), MEMBER)).await.unwrap_err();
    log.truncate_after(None).await.unwrap_err();
    log.purge(log_id(Term(1), 0)).await.unwrap_err();
    log.get_log_reader()
        .await
        .try_get_log_entries(..)
        .await
        .unwrap_err();
    log.get_log_state().await.unwrap_err();
    let failure = failures.wait_for(Option::is_some).await.unwrap().clone().unwrap();
    assert_eq!(
        (failure.exit_code(), failure.store),
        (EXIT_IO, StoreName::RaftLog)
    );
    assert_eq!(log.close().await.unwrap_err(), failure);
    assert_eq!(
        read(&open(&dir), ..).await,
        entries(1, 0..2),
        "what was acknowledged is there"
    );
}

#[tokio::test]
async fn t54_a_writer_that_panics_leaves_nobody_waiting() {
    #[derive(Debug)]
    struct Panics(std::sync::atomic::AtomicBool);
    impl Faults for Panics {
        fn at(&self, step: Step, _path: &Path) -> io::Result<()> {
            let asked = self.0.load(std::sync::atomic::Ordering::SeqCst);
            assert!(step != Step::Commit || !asked, "the test asked for it");
            Ok(())
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let faults = Arc::new(Panics(false.into()));
    let options = RaftLogOptions {
        faults: Arc::<Panics>::clone(&faults),
        ..options()
    };
    let mut failures = options.alarm.subscribe();
    let mut log = RaftLog::open_in(dir.path(), MEMBER, options).unwrap();
    faults.0.store(true, std::sync::atomic::Ordering::SeqCst);
    log.save_vote(&Vote::new(Term(1), MEMBER)).await.unwrap_err();
    failures.wait_for(Option::is_some).await.unwrap();
    log.append(entries(1, 0..1), IOFlushed::noop()).await.unwrap_err();
    log.close().await.unwrap_err();
}

/// Copies a log as it is on disk now, as a killed process leaves it.
fn copied(dir: &TempDir) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for name in ["data.mdb", "journal"] {
        std::fs::copy(dir.path().join(name), copy.path().join(name)).unwrap();
    }
    copy
}

/// A journal that the environment has not followed yet: small groups, without a pause, with room for them.
async fn journaled(count: u64) -> TempDir {
    let (dir, mut log) = new_log();
    for index in 0..count {
        append(&mut log, entries(1, index..index + 1)).await;
    }
    log.save_vote(&Vote::new(Term(7), MEMBER)).await.unwrap();
    let left = copied(&dir);
    log.close().await.unwrap();
    left
}

#[tokio::test]
async fn t60_what_is_in_the_journal_alone_is_there_after_a_kill() {
    let left = journaled(9).await;
    let mut log = open(&left);
    assert_eq!(read(&log, ..).await, entries(1, 0..9));
    let vote = Vote::new(Term(7), MEMBER);
    assert_eq!(log.get_log_reader().await.read_vote().await.unwrap(), Some(vote));
    append(&mut log, entries(7, 9..10)).await;
    assert_eq!(
        read(&open(&copied(&left)), ..).await,
        [entries(1, 0..9), entries(7, 9..10)].concat()
    );
}

#[tokio::test]
async fn t61_a_journal_goes_round_and_round() {
    let (dir, mut log) = new_log();
    for index in 0..100 {
        append(&mut log, entries(1, index..index + 1)).await;
        if index % 10 == 5 {
            let left = copied(&dir);
            assert_eq!(read(&open(&left), ..).await, entries(1, 0..index + 1));
        }
    }
    log.truncate_after(id(1, 90)).await.unwrap();
    append(&mut log, entries(2, 91..94)).await;
    log.purge(log_id(Term(1), 80)).await.unwrap();
    append(&mut log, entries(2, 94..95)).await;
    let left = copied(&dir);
    let log = open(&left);
    assert_eq!(ends(&log).await, (id(1, 80), id(2, 94)));
    assert_eq!(
        read(&log, ..).await,
        [entries(1, 81..91), entries(2, 91..95)].concat()
    );
}

#[tokio::test]
async fn t62_what_is_purged_in_time_never_reaches_the_environment() {
    let (dir, mut log) = new_log();
    for index in 0..10 {
        append(&mut log, entries(1, index..index + 1)).await;
    }
    log.purge(log_id(Term(1), 8)).await.unwrap();
    log.close().await.unwrap();
    let has = |index| environment_has(dir.path(), index);
    assert_eq!((has(3), has(8), has(9)), (false, false, true));
    assert_eq!(read(&open(&dir), ..).await, entries(1, 9..10));
}

#[tokio::test]
async fn t63_a_damaged_journal_is_an_error_unless_its_end_is_what_is_missing() {
    let open = |left: &TempDir| RaftLog::open_in(left.path(), MEMBER, options());
    let change = |left: &TempDir, change: &dyn Fn(&mut Vec<u8>)| {
        let path = left.path().join("journal");
        let mut bytes = std::fs::read(&path).unwrap();
        change(&mut bytes);
        std::fs::write(path, bytes).unwrap();
    };
    let refused = |left: &TempDir, text: &str| {
        let error = open(left).unwrap_err();
        assert!(
            matches!(error, RaftLogError::Journal { .. }) && error.to_string().contains(text),
            "{error}"
        );
        assert_eq!(error.exit_code(), EXIT_CORRUPT);
    };
    // In the midst: records after it are whole, so it had been synced.
    let left = journaled(9).await;
    change(&left, &|bytes| bytes[2 * 4096 + 100] ^= 1);
    refused(&left, "record 2 is damaged, and record 3 after it is whole");
    // The last one, the vote's: as if the power had gone before its sync.
    let left = journaled(9).await;
    change(&left, &|bytes| bytes[9 * 4096 + 40] ^= 1);
    let log = open(&left).unwrap();
    assert_eq!(read(&log, ..).await, entries(1, 0..9));
    assert_eq!(
        log.clone().get_log_reader().await.read_vote().await.unwrap(),
        None
    );
    // Cut, gone, of a newer version.
    let left = journaled(9).await;
    change(&left, &|bytes| bytes.truncate(5 * 4096));
    refused(&left, "20480 bytes of 65536");
    std::fs::remove_file(left.path().join("journal")).unwrap();
    refused(&left, "missing");
    let left = journaled(1).await;
    change(&left, &|bytes| {
        bytes[4] = 2;
        let end = 32 + u32::from_le_bytes(bytes[24..28].try_into().unwrap()) as usize;
        let crc = crc32c::crc32c(&bytes[4..end]).to_le_bytes();
        bytes[..4].copy_from_slice(&crc);
    });
    refused(&left, "version 2");
}

/// A record of an earlier round, and bytes in an event that look like a record of another, are not taken for records of this one.
#[tokio::test]
async fn t64_what_looks_like_a_record_is_none() {
    let left = journaled(3).await;
    let record = std::fs::read(left.path().join("journal")).unwrap()[..4096].to_vec();
    let mut log = open(&left);
    // In this log's first round, a record's bytes at a block's beginning, in an entry that is then torn.
    append(&mut log, entries(1, 3..4)).await;
    drop(log);
    let path = left.path().join("journal");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[4096..8192].copy_from_slice(&record);
    std::fs::write(path, bytes).unwrap();
    assert_eq!(read(&open(&copied(&left)), ..).await, entries(1, 0..4));
}

/// Whether the environment's file holds the entry.
fn environment_has(dir: &Path, index: u64) -> bool {
    let environment = std::fs::read(dir.join("data.mdb")).unwrap();
    let Payload::Normal(RaftCommand::Events { batch, .. }) = entry(1, index).payload else {
        unreachable!()
    };
    let jam = batch.events()[0].jam.clone();
    environment.windows(jam.len()).any(|bytes| bytes == jam)
}

#[tokio::test]
async fn t65_the_environment_follows_when_nothing_else_is_to_be_done() {
    let dir = tempfile::tempdir().unwrap();
    let options = RaftLogOptions {
        journal_pause: Duration::from_millis(1),
        ..options()
    };
    let mut log = RaftLog::open_in(dir.path(), MEMBER, options).unwrap();
    append(&mut log, entries(1, 0..3)).await;
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while !environment_has(dir.path(), 2) {
        assert!(std::time::Instant::now() < deadline, "it does not follow");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    log.purge(log_id(Term(1), 1)).await.unwrap();
    append(&mut log, entries(1, 3..4)).await;
    log.close().await.unwrap();
    assert_eq!(read(&open(&dir), ..).await, entries(1, 2..4));
}

#[tokio::test]
async fn t66_a_file_that_lacks_pages_is_an_error() {
    let (dir, mut log) = new_log();
    append(&mut log, vec![sized(1, 0, 200_000)]).await;
    log.close().await.unwrap();
    let path = dir.path().join("data.mdb");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let error = RaftLog::open_in(dir.path(), MEMBER, options()).unwrap_err();
    assert!(error.to_string().contains("is cut off"), "{error}");
    assert_eq!(error.exit_code(), EXIT_CORRUPT);
}

#[tokio::test]
async fn t67_a_snapshot_that_purges_past_the_end_is_in_the_journal_with_what_follows() {
    let (dir, mut log) = new_log();
    append(&mut log, entries(1, 0..10)).await;
    log.purge(log_id(Term(3), 50)).await.unwrap();
    append(&mut log, entries(3, 51..53)).await;
    let log = open(&copied(&dir));
    assert_eq!(ends(&log).await, (id(3, 50), id(3, 52)));
    assert_eq!(read(&log, ..).await, entries(3, 51..53));
}

#[tokio::test]
async fn t68_a_log_from_before_there_was_a_journal_gets_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(&dir);
    append(&mut log, entries(1, 0..3)).await;
    log.close().await.unwrap();
    // As such a log was: no file, and no record of a round.
    std::fs::remove_file(dir.path().join("journal")).unwrap();
    let env =
        crate::store::lmdb::open_env(dir.path(), MIN_MAP_BYTES, &crate::store::fault::NoFaults).unwrap();
    let mut txn = env.write_txn().unwrap();
    let state: crate::store::lmdb::BytesTable = env.open_database(&txn, Some("STATE")).unwrap().unwrap();
    assert!(state.delete(&mut txn, b"journal").unwrap());
    txn.commit().unwrap();
    crate::store::lmdb::close_env(env);
    let mut log = open(&dir);
    append(&mut log, entries(1, 3..4)).await;
    assert_eq!(read(&open(&copied(&dir)), ..).await, entries(1, 0..4));
}
