//! Applying, reading, syncing, closing, opening again.

use super::*;
use crate::limits::{EVENT_LOG_LINGER, HASH_MARK_EVERY, MIB};
use std::time::{Duration, Instant};

#[tokio::test]
async fn t10_what_is_applied_is_read_at_once_and_held_for_good() {
    let (_dir, lock, log) = new_pier();
    assert_eq!(log.read(EventNumber(1), 10, MIB).unwrap(), []);
    log.append(&events(1, 3), raft(1)).await.unwrap();
    log.append(&[], raft(2)).await.unwrap();
    log.append(&events(4, 5), raft(3)).await.unwrap();
    assert_eq!((log.last(), all(&log)), (EventNumber(5), events(1, 5)));
    log.close().await.unwrap();
    assert_eq!(log.read(EventNumber(1), 1, MIB), Err(ReadError::Closed));
    assert_eq!(log.append(&events(6, 6), raft(4)).await, Err(AppendError::Closed));

    let opened = open(&lock);
    let applied = opened.applied.unwrap();
    assert_eq!(
        (applied.event(), applied.raft, opened.foreign),
        (EventNumber(5), raft(3), None)
    );
    assert_eq!(all(&opened.log), events(1, 5));
    assert_eq!(opened.log.ship(), SHIP);
}

#[tokio::test]
async fn t11_the_record_alone_is_kept_too() {
    let (_dir, lock, log) = new_pier();
    log.append(&events(1, 2), raft(1)).await.unwrap();
    log.append(&[], raft(2)).await.unwrap();
    log.sync().await.unwrap();
    assert_eq!(log.durable().applied.unwrap().raft, raft(2));
    log.close().await.unwrap();
    assert_eq!(open(&lock).applied.unwrap().raft, raft(2));
}

#[tokio::test]
async fn t12_durability_comes_by_itself_and_sooner_when_asked_for() {
    let (_dir, _lock, log) = new_pier();
    let begun = Instant::now();
    log.append(&events(1, 1), raft(1)).await.unwrap();
    log.make_durable(EventNumber(1)).await.unwrap();
    // Not a matter of chance: the thread would not look before the linger ends.
    assert!(begun.elapsed() < EVENT_LOG_LINGER, "{:?}", begun.elapsed());
    assert_eq!(log.durable().event, EventNumber(1));

    log.append(&events(2, 2), raft(2)).await.unwrap();
    let mut durable = log.watch_durable();
    tokio::time::timeout(
        Duration::from_secs(20),
        durable.wait_for(|d| d.event == EventNumber(2)),
    )
    .await
    .expect("nobody asked, it was written nevertheless")
    .unwrap();
    assert_eq!(
        log.make_durable(EventNumber(3)).await,
        Err(ReadError::NotCommitted {
            event: EventNumber(3),
            committed: EventNumber(2)
        })
    );
}

#[tokio::test]
async fn t13_reads_keep_to_their_limits_in_memory_and_on_disk() {
    let (_dir, lock, log) = new_pier();
    let given: Vec<_> = (1..=10).map(|n| sized(n, 96)).collect();
    log.append(&given, raft(1)).await.unwrap();
    let check = |log: &EventLog| {
        let count =
            |from, max_events, max_bytes| log.read(EventNumber(from), max_events, max_bytes).unwrap().len();
        assert_eq!(count(1, 3, MIB), 3);
        assert_eq!(count(1, 100, 250), 2);
        assert_eq!(count(1, 100, 10), 1, "the first one always");
        assert_eq!(count(1, 0, 10), 1);
        assert_eq!(count(10, 100, MIB), 1);
        assert_eq!(count(11, 100, MIB), 0);
        assert!(matches!(
            log.read(EventNumber(12), 1, 1),
            Err(ReadError::NotCommitted { .. })
        ));
        assert!(matches!(
            log.read(EventNumber(0), 1, 1),
            Err(ReadError::Chopped {
                first: EventNumber(1),
                ..
            })
        ));
    };
    check(&log);
    log.close().await.unwrap();
    let log = open(&lock).log;
    assert_eq!(log.read_recent(EventNumber(1), 1, 1), None, "not in memory");
    check(&log);
}

#[tokio::test]
async fn t14_out_of_order_is_refused() {
    let (_dir, _lock, log) = new_pier();
    let gap = |expected, found| {
        Err(AppendError::Gap {
            expected: EventNumber(expected),
            found: EventNumber(found),
        })
    };
    assert_eq!(log.append(&events(2, 2), raft(1)).await, gap(1, 2));
    log.append(&events(1, 1), raft(1)).await.unwrap();
    assert_eq!(log.append(&events(1, 1), raft(2)).await, gap(2, 1));
    assert_eq!(log.append(&[event(2), event(4)], raft(2)).await, gap(2, 4));
    assert_eq!(all(&log), events(1, 1));
}

#[tokio::test]
async fn t20_applying_waits_for_a_slow_disk() {
    #[derive(Debug)]
    struct Gate(Mutex<std::sync::mpsc::Receiver<()>>);
    impl Faults for Gate {
        fn at(&self, step: Step, _path: &Path) -> std::io::Result<()> {
            if step == Step::Commit {
                // The sender's end is the gate opened for good.
                let _ = lock(&self.0).recv();
            }
            Ok(())
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let pier = PierLock::acquire(dir.path()).unwrap();
    let (open, gate) = std::sync::mpsc::channel();
    open.send(()).unwrap();
    let options = EventLogOptions {
        map_bytes: 4 * MIN_MAP_BYTES,
        ..options_with(Arc::new(Gate(Mutex::new(gate))))
    };
    let log = EventLog::create(&pier, &SHIP, options).unwrap();
    let big = |n| sized(n, EVENT_LOG_PENDING_BYTES / 4 * 3);
    log.append(&[big(1)], raft(1)).await.unwrap();
    let second = [big(2)];
    let waiting = log.append(&second, raft(2));
    tokio::pin!(waiting);
    tokio::time::timeout(Duration::from_millis(100), &mut waiting)
        .await
        .expect_err("no room for a second");
    drop(open);
    waiting.await.unwrap();
    log.make_durable(EventNumber(2)).await.unwrap();
}

#[tokio::test]
async fn t30_the_running_hash_goes_on_across_restarts() {
    let (_dir, lock, log) = new_pier();
    let last = HASH_MARK_EVERY + 44;
    let mut expected = LogHash::starting_after(EventNumber::ZERO);
    let mut mark = None;
    for e in events(1, last) {
        expected.add(&e);
        if e.number.0 == HASH_MARK_EVERY {
            mark = Some(expected);
        }
    }
    log.append(&events(1, 100), raft(1)).await.unwrap();
    log.close().await.unwrap();
    let log = open(&lock).log;
    log.append(&events(101, last), raft(2)).await.unwrap();
    log.sync().await.unwrap();
    assert_eq!(log.durable().applied.unwrap().hash, expected);
    assert_eq!(log.hash_marks(), mark.into_iter().collect::<Vec<_>>());
}

#[tokio::test]
async fn t40_a_dropped_log_keeps_what_was_applied() {
    let (_dir, lock, log) = new_pier();
    log.append(&events(1, 3), raft(1)).await.unwrap();
    let mut durable = log.watch_durable();
    drop(log);
    durable.wait_for(|d| d.ended).await.unwrap();
    assert_eq!(all(&open(&lock).log), events(1, 3));
}

#[tokio::test]
async fn t50_a_writer_that_panics_leaves_nobody_waiting() {
    #[derive(Debug)]
    struct Panics(AtomicBool);
    impl Faults for Panics {
        fn at(&self, step: Step, _path: &Path) -> std::io::Result<()> {
            assert!(
                step != Step::Commit || !self.0.load(Ordering::SeqCst),
                "the test asked for it"
            );
            Ok(())
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let pier = PierLock::acquire(dir.path()).unwrap();
    let faults = Arc::new(Panics(AtomicBool::new(false)));
    let log = EventLog::create(&pier, &SHIP, options_with(Arc::<Panics>::clone(&faults))).unwrap();
    faults.0.store(true, Ordering::SeqCst);
    log.append(&events(1, 1), raft(1)).await.unwrap();
    assert!(matches!(
        log.make_durable(EventNumber(1)).await,
        Err(ReadError::Store(_))
    ));
    assert!(matches!(
        log.append(&events(2, 2), raft(2)).await,
        Err(AppendError::Failed(_))
    ));
    log.close().await.unwrap_err();
}
