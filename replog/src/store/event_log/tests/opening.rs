//! Opening what vere left, what is damaged, what is not ours to open.

use super::*;
use crate::store::lmdb::{self, BytesTable};
use sha2::{Digest, Sha256};

fn open_at(pier: &Path) -> Result<Option<Opened>, EventLogOpenError> {
    EventLog::open(&PierLock::acquire(pier).unwrap(), options())
}

/// Writes into a table of an environment, as another program would.
fn edit(dir: &Path, table: &str, edit: impl FnOnce(BytesTable, &mut heed::RwTxn<'_>)) {
    let env = lmdb::open_env(dir, MIN_MAP_BYTES, &NoFaults).unwrap();
    let mut txn = env.write_txn().unwrap();
    let table: BytesTable = env.create_database(&mut txn, Some(table)).unwrap();
    edit(table, &mut txn);
    txn.commit().unwrap();
    lmdb::close_env(env);
}

#[tokio::test]
async fn t10_a_pier_of_veres_opens_and_its_61_events_are_there() {
    let (_dir, pier) = vere_pier();
    let opened = open_at(&pier).unwrap().unwrap();
    assert_eq!(opened.log.ship(), SHIP);
    assert_eq!(
        opened.foreign,
        Some(Foreign {
            after: EventNumber(0),
            count: 61
        })
    );
    assert_eq!((opened.applied, opened.notices), (None, vec![]));
    let events = all(&opened.log);
    assert_eq!(events.len(), 61);
    let mut digest = Sha256::new();
    for event in &events {
        digest.update(event.number.0.to_ne_bytes());
        let mut value = Vec::new();
        value::write(event, &mut value).unwrap();
        digest.update(value);
    }
    // Of all keys and values, as another LMDB reads them.
    let digest: String = digest.finalize().iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(
        digest,
        "554b30a2f23f206195bb11ddcc4ef26aa5709cd7140ab9926c5eb49c6f6140a4"
    );
}

#[tokio::test]
async fn t11_taken_over_it_goes_on() {
    let (_dir, pier) = vere_pier();
    let lock = PierLock::acquire(&pier).unwrap();
    let log = open(&lock).log;
    assert_eq!(
        log.append(&events(62, 62), raft(1)).await,
        Err(AppendError::NotAdopted)
    );
    let hash = log.adopt(raft(0)).await.unwrap();
    assert_eq!(hash, LogHash::starting_after(EventNumber(61)));
    log.append(&events(62, 63), raft(1)).await.unwrap();
    log.close().await.unwrap();
    let opened = open(&lock);
    assert_eq!(opened.foreign, None);
    let applied = opened.applied.unwrap();
    assert_eq!(
        (applied.hash.from, applied.hash.at, applied.raft),
        (EventNumber(61), EventNumber(63), raft(1))
    );
    assert_eq!(all(&opened.log)[61..], events(62, 63));
}

/// Appends as vere does: EVENTS alone.
fn append_foreign(epoch: &Path, numbers: std::ops::RangeInclusive<u64>) {
    let env = lmdb::open_env(epoch, MIN_MAP_BYTES, &NoFaults).unwrap();
    let mut txn = env.write_txn().unwrap();
    let table: lmdb::NumberTable = env
        .database_options()
        .types()
        .key_comparator::<heed::IntegerComparator>()
        .name("EVENTS")
        .create(&mut txn)
        .unwrap();
    for number in numbers {
        let mut value = Vec::new();
        value::write(&event(number), &mut value).unwrap();
        table
            .put_with_flags(&mut txn, heed::PutFlags::NO_OVERWRITE, &number, &value)
            .unwrap();
    }
    txn.commit().unwrap();
    lmdb::close_env(env);
}

#[tokio::test]
async fn t12_events_of_another_runtime_are_told_and_adopted() {
    let (dir, lock, log) = new_pier();
    log.append(&events(1, 4), raft(1)).await.unwrap();
    log.close().await.unwrap();
    append_foreign(&dir.path().join(".urb/log/0i0"), 5..=7);
    let opened = open(&lock);
    assert_eq!(
        opened.foreign,
        Some(Foreign {
            after: EventNumber(4),
            count: 3
        })
    );
    assert_eq!(opened.applied.unwrap().raft, raft(1));
    let hash = opened.log.adopt(raft(9)).await.unwrap();
    let mut expected = LogHash::starting_after(EventNumber::ZERO);
    events(1, 7).iter().for_each(|e| expected.add(e));
    assert_eq!(hash, expected, "the hash covers them");
    opened.log.append(&events(8, 8), raft(10)).await.unwrap();
    opened.log.close().await.unwrap();
    let opened = open(&lock);
    assert_eq!((opened.foreign, all(&opened.log)), (None, events(1, 8)));
}

#[tokio::test]
async fn t13_an_epoch_that_another_runtime_began_is_told_and_adopted() {
    let (dir, lock, log) = new_pier();
    log.append(&events(1, 4), raft(1)).await.unwrap();
    log.close().await.unwrap();
    // As vere rolls: META in the new epoch, no SEGURO; EVENTS only with the first commit.
    append_foreign(&dir.path().join(".urb/log/0i0"), 5..=6);
    let epoch = dir.path().join(".urb/log/0i6");
    fs::create_dir(&epoch).unwrap();
    fs::write(epoch.join("epoc.txt"), "1").unwrap();
    fs::write(epoch.join("vere.txt"), "3.5").unwrap();
    edit(&epoch, "META", |table, txn| {
        meta::write(table, txn, &SHIP).unwrap()
    });
    let opened = open(&lock);
    assert_eq!(
        opened.foreign,
        Some(Foreign {
            after: EventNumber(4),
            count: 2
        })
    );
    assert_eq!(opened.log.last(), EventNumber(6));
    opened.log.adopt(raft(5)).await.unwrap();
    opened.log.append(&events(7, 9), raft(6)).await.unwrap();
    opened.log.close().await.unwrap();
    let opened = open(&lock);
    assert_eq!((opened.foreign, all(&opened.log)), (None, events(1, 9)));
    let mut expected = LogHash::starting_after(EventNumber::ZERO);
    events(1, 9).iter().for_each(|e| expected.add(e));
    assert_eq!(opened.applied.unwrap().hash, expected);
}

#[tokio::test]
async fn t20_nothing_is_there() {
    let dir = tempfile::tempdir().unwrap();
    assert!(open_at(dir.path()).unwrap().is_none());
    fs::create_dir_all(dir.path().join(".urb/log")).unwrap();
    assert!(open_at(dir.path()).unwrap().is_none());
}

#[tokio::test]
async fn t21_a_ship_is_booted_once() {
    let (_dir, lock, log) = new_pier();
    log.close().await.unwrap();
    let again = EventLog::create(&lock, &SHIP, options());
    assert!(
        matches!(again, Err(EventLogOpenError::Exists { .. })),
        "{again:?}"
    );
}

#[tokio::test]
async fn t22_old_logs_are_named_with_what_to_do() {
    for version in [1, 2] {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join(".urb/log");
        fs::create_dir_all(&log).unwrap();
        edit(&log, "META", |table, txn| {
            meta::write(table, txn, &SHIP).unwrap();
            table.put(txn, b"version", &[version]).unwrap();
        });
        let error = open_at(dir.path()).unwrap_err();
        assert!(error.to_string().contains("urbit play"), "{error}");
        assert!(matches!(error, EventLogOpenError::Old { version: v, .. } if v == version));
    }
}

#[tokio::test]
async fn t23_newer_logs_are_refused() {
    let (_dir, pier) = vere_pier();
    edit(&pier.join(".urb/log"), "META", |table, txn| {
        table.put(txn, b"version", &[4]).unwrap()
    });
    assert!(matches!(open_at(&pier), Err(EventLogOpenError::New { .. })));
    let (_dir, pier) = vere_pier();
    fs::write(pier.join(".urb/log/0i0/epoc.txt"), "2").unwrap();
    assert!(matches!(open_at(&pier), Err(EventLogOpenError::New { .. })));
    // Trailing white space is trimmed, as vere does.
    fs::write(pier.join(".urb/log/0i0/epoc.txt"), "1 \n").unwrap();
    assert!(open_at(&pier).unwrap().is_some());
}

#[tokio::test]
async fn t24_a_bogus_newest_epoch_is_set_aside_with_all_that_is_in_it() {
    for has_text in [false, true] {
        let (_dir, pier) = vere_pier();
        let epoch = pier.join(".urb/log/0i61");
        fs::create_dir(&epoch).unwrap();
        fs::write(epoch.join("north.bin"), "an image that somebody may want").unwrap();
        if has_text {
            fs::write(epoch.join("epoc.txt"), "1").unwrap();
        }
        let opened = open_at(&pier).unwrap().unwrap();
        let [
            Notice::SetAside {
                epoch: number, to, ..
            },
        ] = &opened.notices[..]
        else {
            panic!("{:?}", opened.notices)
        };
        assert_eq!((*number, opened.log.last()), (EventNumber(61), EventNumber(61)));
        assert!(!epoch.exists());
        assert_eq!(
            fs::read_to_string(to.join("north.bin")).unwrap(),
            "an image that somebody may want"
        );
    }
}

#[tokio::test]
async fn t25_two_bogus_epochs_or_the_only_one_are_an_error_and_stay() {
    let (_dir, pier) = vere_pier();
    for name in ["0i70", "0i80"] {
        fs::create_dir(pier.join(".urb/log").join(name)).unwrap();
    }
    assert!(matches!(open_at(&pier), Err(EventLogOpenError::NoEpoch { .. })));
    assert!(pier.join(".urb/log/0i70").exists());

    let (_dir, pier) = vere_pier();
    fs::remove_file(pier.join(".urb/log/0i0/epoc.txt")).unwrap();
    assert!(matches!(open_at(&pier), Err(EventLogOpenError::NoEpoch { .. })));
    assert!(pier.join(".urb/log/0i0/data.mdb").exists());
}

#[tokio::test]
async fn t26_events_without_meta_are_not_bogus_but_an_error() {
    let (_dir, pier) = vere_pier();
    edit(&pier.join(".urb/log/0i0"), "META", |table, txn| {
        table.clear(txn).unwrap()
    });
    assert!(matches!(
        open_at(&pier),
        Err(EventLogOpenError::Epoch(EpochError::Meta { .. }))
    ));
    assert!(pier.join(".urb/log/0i0").exists());
}

#[tokio::test]
async fn t27_a_missing_top_level_meta_is_repaired() {
    let (_dir, pier) = vere_pier();
    fs::remove_file(pier.join(".urb/log/data.mdb")).unwrap();
    let opened = open_at(&pier).unwrap().unwrap();
    assert_eq!(opened.notices, [Notice::Repaired]);
    opened.log.close().await.unwrap();
    assert_eq!(open_at(&pier).unwrap().unwrap().notices, []);
}

#[tokio::test]
async fn t28_gaps_are_found() {
    for missing in [1, 30] {
        let (_dir, pier) = vere_pier();
        let epoch = pier.join(".urb/log/0i0");
        let env = lmdb::open_env(&epoch, MIN_MAP_BYTES, &NoFaults).unwrap();
        let mut txn = env.write_txn().unwrap();
        let table: lmdb::NumberTable = env
            .database_options()
            .types()
            .key_comparator::<heed::IntegerComparator>()
            .name("EVENTS")
            .create(&mut txn)
            .unwrap();
        table.delete(&mut txn, &missing).unwrap();
        txn.commit().unwrap();
        lmdb::close_env(env);
        let error = open_at(&pier).unwrap_err();
        assert_eq!(error.exit_code(), crate::store::failure::EXIT_CORRUPT);
        assert!(
            matches!(
                &error,
                EventLogOpenError::Epoch(EpochError::Gap { .. }) if missing == 1
            ) || matches!(
                &error,
                EventLogOpenError::Epoch(EpochError::Holes { count: 60, .. })
            ),
            "{error}"
        );
    }
}

#[tokio::test]
async fn t29_a_log_that_lost_applied_events_is_refused() {
    let (dir, lock, log) = new_pier();
    log.append(&events(1, 4), raft(1)).await.unwrap();
    log.close().await.unwrap();
    let epoch = dir.path().join(".urb/log/0i0");
    let env = lmdb::open_env(&epoch, MIN_MAP_BYTES, &NoFaults).unwrap();
    let mut txn = env.write_txn().unwrap();
    let table: lmdb::NumberTable = env
        .database_options()
        .types()
        .key_comparator::<heed::IntegerComparator>()
        .name("EVENTS")
        .create(&mut txn)
        .unwrap();
    table.delete(&mut txn, &4).unwrap();
    txn.commit().unwrap();
    lmdb::close_env(env);
    let error = EventLog::open(&lock, options()).unwrap_err();
    assert!(matches!(error, EventLogOpenError::Short { .. }), "{error}");
}

#[tokio::test]
async fn t30_a_flipped_bit_in_our_record_is_found() {
    let (dir, lock, log) = new_pier();
    log.append(&events(1, 4), raft(1)).await.unwrap();
    log.close().await.unwrap();
    edit(&dir.path().join(".urb/log/0i0"), "SEGURO", |table, txn| {
        let mut record = table.get(txn, b"applied").unwrap().unwrap().to_vec();
        record[20] ^= 1;
        table.put(txn, b"applied", &record).unwrap();
    });
    let error = EventLog::open(&lock, options()).unwrap_err();
    assert!(
        matches!(error, EventLogOpenError::Epoch(EpochError::Seguro { .. })),
        "{error}"
    );
}

#[tokio::test]
async fn t31_what_was_made_is_what_vere_makes() {
    use std::os::unix::fs::PermissionsExt;
    let (dir, _lock, log) = new_pier();
    let mode = |path: &str| fs::metadata(dir.path().join(path)).unwrap().permissions().mode() & 0o777;
    for path in [".urb", ".urb/put", ".urb/get", ".urb/log", ".urb/log/0i0"] {
        assert_eq!(mode(path), 0o700, "{path}");
    }
    let text = |name: &str| fs::read_to_string(dir.path().join(".urb/log/0i0").join(name)).unwrap();
    assert_eq!(
        (text("epoc.txt").as_str(), text("vere.txt").as_str()),
        ("1", "3.5")
    );
    log.close().await.unwrap();
    let mut names: Vec<_> = fs::read_dir(dir.path().join(".urb/log"))
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    names.sort();
    // Whoever opens it next makes a `lock.mdb` beside it.
    assert_eq!(names, ["0i0", "data.mdb"]);
    edit(&dir.path().join(".urb/log"), "META", |table, txn| {
        assert_eq!(meta::read(table, txn).unwrap().ship, SHIP);
    });
}
