//! A snapshot from one log to another: whole, resumed, interrupted, damaged.

use super::*;
use crate::limits::MIB;

/// As a member does that joins: its log is empty before.
async fn receive(lock: &PierLock, complete: CompleteEpoch) -> EventLog {
    let log = EventLog::create(lock, &complete.head().ship, options()).unwrap();
    log.install(complete).await.unwrap();
    log
}

/// A log with images at 5 and events up to 9.
async fn source() -> (TempDir, PierLock, EventLog) {
    let (dir, lock, log) = new_pier();
    log.append(&events(1, 5), raft(1)).await.unwrap();
    write_images(dir.path(), "at five");
    log.roll(EventNumber(5)).await.unwrap();
    log.append(&events(6, 9), raft(2)).await.unwrap();
    log.sync().await.unwrap();
    (dir, lock, log)
}

fn begin(pier: &Path, head: &SnapshotHead) -> IncomingEpoch {
    IncomingEpoch::begin(pier, head.clone(), Arc::new(NoFaults)).unwrap()
}

fn send_images(from: &EpochSnapshot, to: &mut IncomingEpoch) {
    for (nth, image) in from.head().images.iter().enumerate() {
        let mut offset = to.image_lengths()[nth];
        let mut buffer = [0; 1000];
        loop {
            let length = from.read_image(&image.name, offset, &mut buffer).unwrap();
            if length == 0 {
                break;
            }
            to.write_image(nth, offset, &buffer[..length]).unwrap();
            offset += length as u64;
        }
        assert_eq!(offset, image.length);
    }
}

fn send_events(from: &EpochSnapshot, to: &mut IncomingEpoch) {
    loop {
        let some = from.read_events(to.last().next(), 3, MIB).unwrap();
        if some.is_empty() {
            break;
        }
        to.append(&some).unwrap();
    }
}

fn send(from: &EpochSnapshot, pier: &Path) -> CompleteEpoch {
    let mut to = begin(pier, from.head());
    send_images(from, &mut to);
    send_events(from, &mut to);
    to.complete().unwrap()
}

fn check_received(log: &EventLog, source: &EventLog) {
    assert_eq!(log.epochs(), [EventNumber(5)]);
    assert_eq!(all(log), events(6, 9));
    assert_eq!(log.durable().applied, source.durable().applied);
    let image = |log: &EventLog, name| fs::read(log.epoch_dir(EventNumber(5)).join(name)).unwrap();
    for name in ["north.bin", "south.bin"] {
        assert_eq!(image(log, name), image(source, name));
    }
    let mut names: Vec<_> = fs::read_dir(log.epoch_dir(EventNumber(5)))
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "data.mdb",
            "epoc.txt",
            "lock.mdb",
            "north.bin",
            "south.bin",
            "vere.txt"
        ]
    );
}

#[tokio::test]
async fn t10_a_new_member_begins_with_it() {
    let (_dir, _lock, source) = source().await;
    let dir = tempfile::tempdir().unwrap();
    let lock = PierLock::acquire(dir.path()).unwrap();
    let complete = send(&source.snapshot().unwrap().unwrap(), dir.path());
    let log = receive(&lock, complete).await;
    check_received(&log, &source);
    log.append(&events(10, 10), raft(3)).await.unwrap();
    source.append(&events(10, 10), raft(3)).await.unwrap();
    source.sync().await.unwrap();
    log.sync().await.unwrap();
    assert_eq!(
        log.durable().applied,
        source.durable().applied,
        "their hashes go on alike"
    );
}

#[tokio::test]
async fn t11_epoch_zero_has_no_images() {
    let (_dir, _lock, source) = new_pier();
    source.append(&events(1, 4), raft(1)).await.unwrap();
    source.sync().await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let lock = PierLock::acquire(dir.path()).unwrap();
    let snapshot = source.snapshot().unwrap().unwrap();
    assert_eq!(snapshot.head().images, []);
    let log = receive(&lock, send(&snapshot, dir.path())).await;
    assert_eq!((log.epochs(), all(&log)), (vec![EventNumber(0)], events(1, 4)));
}

#[tokio::test]
async fn t12_a_pier_taken_over_has_a_snapshot_too() {
    let (_dir, pier) = vere_pier();
    let lock = PierLock::acquire(&pier).unwrap();
    let source = open(&lock).log;
    assert!(
        source.snapshot().unwrap().is_none(),
        "nothing came through Raft yet"
    );
    source.adopt(raft(0)).await.unwrap();
    source.append(&events(62, 64), raft(1)).await.unwrap();
    source.sync().await.unwrap();
    let snapshot = source.snapshot().unwrap().unwrap();
    assert_eq!(snapshot.head().base, LogHash::starting_after(EventNumber(61)));
    let dir = tempfile::tempdir().unwrap();
    let other = PierLock::acquire(dir.path()).unwrap();
    let received = receive(&other, send(&snapshot, dir.path())).await;
    assert_eq!(all(&received), all(&source));
}

#[tokio::test]
async fn t20_it_replaces_a_log_that_is_behind() {
    let (_dir, _lock, source) = source().await;
    let snapshot = source.snapshot().unwrap().unwrap();
    // Behind the image; within its epoch; with an epoch that the source does not have.
    for case in ["behind", "same epoch", "other epochs"] {
        let (dir, lock, log) = new_pier();
        log.append(&events(1, 3), raft(1)).await.unwrap();
        if case != "behind" {
            log.append(&events(4, 5), raft(1)).await.unwrap();
            write_images(dir.path(), "an image of our own");
            log.roll(EventNumber(5)).await.unwrap();
            log.append(&events(6, 6), raft(2)).await.unwrap();
        }
        if case == "other epochs" {
            write_images(dir.path(), "another");
            log.roll(EventNumber(6)).await.unwrap();
            log.append(&events(7, 7), raft(2)).await.unwrap();
        }
        // Applied and not on disk: forgotten with the rest.
        log.install(send(&snapshot, dir.path())).await.unwrap();
        check_received(&log, &source);
        log.append(&events(10, 11), raft(3)).await.unwrap();
        log.close().await.unwrap();
        let opened = open(&lock);
        assert_eq!((opened.notices, opened.foreign), (vec![], None), "{case}");
        assert_eq!(all(&opened.log), events(6, 11));
    }
}

#[tokio::test]
async fn t21_a_pending_event_does_not_survive_the_log_it_was_for() {
    let (_dir, _lock, source) = source().await;
    let (dir, _lock2, log) = new_pier();
    let complete = send(&source.snapshot().unwrap().unwrap(), dir.path());
    log.append(&events(1, 3), raft(1)).await.unwrap();
    log.install(complete).await.unwrap();
    log.sync().await.unwrap();
    check_received(&log, &source);
}

#[tokio::test]
async fn t30_it_is_resumed_and_takes_what_came_meanwhile() {
    let (_dir, _lock, source) = source().await;
    let dir = tempfile::tempdir().unwrap();
    let lock = PierLock::acquire(dir.path()).unwrap();
    {
        let snapshot = source.snapshot().unwrap().unwrap();
        let mut to = begin(dir.path(), snapshot.head());
        let mut buffer = [0; 700];
        assert_eq!(snapshot.read_image("north.bin", 0, &mut buffer).unwrap(), 700);
        to.write_image(0, 0, &buffer).unwrap();
        to.append(&snapshot.read_events(EventNumber(6), 2, MIB).unwrap())
            .unwrap();
        let order = to.write_image(0, 0, &buffer).unwrap_err();
        assert!(
            matches!(
                order,
                IncomingError::Order {
                    expected: 700,
                    found: 0
                }
            ),
            "{order}"
        );
        let order = to.append(&events(9, 9)).unwrap_err();
        assert!(
            matches!(
                order,
                IncomingError::Order {
                    expected: 8,
                    found: 9
                }
            ),
            "{order}"
        );
    }
    source.append(&events(10, 12), raft(3)).await.unwrap();
    source.sync().await.unwrap();
    let snapshot = source.snapshot().unwrap().unwrap();
    let mut to = begin(dir.path(), snapshot.head());
    assert_eq!(
        (to.image_lengths(), to.last()),
        (vec![700, 0], EventNumber(7)),
        "what was there still is"
    );
    send_images(&snapshot, &mut to);
    send_events(&snapshot, &mut to);
    let log = receive(&lock, to.complete().unwrap()).await;
    assert_eq!(all(&log), events(6, 12));
    assert_eq!(log.durable().applied, source.durable().applied);
}

#[tokio::test]
async fn t31_another_epoch_begins_anew() {
    let (source_dir, _lock, source) = source().await;
    let dir = tempfile::tempdir().unwrap();
    {
        let snapshot = source.snapshot().unwrap().unwrap();
        let mut to = begin(dir.path(), snapshot.head());
        send_images(&snapshot, &mut to);
    }
    write_images(source_dir.path(), "at nine");
    source.roll(EventNumber(9)).await.unwrap();
    source.sync().await.unwrap();
    let snapshot = source.snapshot().unwrap().unwrap();
    let to = begin(dir.path(), snapshot.head());
    assert_eq!((to.image_lengths(), to.last()), (vec![0, 0], EventNumber(9)));
}

#[tokio::test]
async fn t40_damage_is_noticed_and_sent_again() {
    let (_dir, _lock, source) = source().await;
    let snapshot = source.snapshot().unwrap().unwrap();
    let dir = tempfile::tempdir().unwrap();

    // A flipped bit in an image.
    let mut to = begin(dir.path(), snapshot.head());
    let image = &snapshot.head().images[0];
    let mut bytes = vec![0; image.length as usize];
    snapshot.read_image(&image.name, 0, &mut bytes).unwrap();
    bytes[77] ^= 4;
    to.write_image(0, 0, &bytes).unwrap();
    send_images(&snapshot, &mut to);
    send_events(&snapshot, &mut to);
    let error = to.complete().unwrap_err();
    assert!(
        matches!(&error, IncomingError::Damaged { what } if what == "north.bin"),
        "{error}"
    );

    // Only that image is sent again; this time an event is wrong.
    let to = begin(dir.path(), snapshot.head());
    assert_eq!(to.image_lengths()[0], 0);
    assert_eq!(
        (to.image_lengths()[1], to.last()),
        (snapshot.head().images[1].length, EventNumber(9))
    );
    drop(to);
    fs::remove_dir_all(dir.path().join(".urb/log/seguro-incoming")).unwrap();
    let mut to = begin(dir.path(), snapshot.head());
    send_images(&snapshot, &mut to);
    let mut wrong = events(6, 9);
    wrong[2].mug = Mug(1);
    to.append(&wrong).unwrap();
    let error = to.complete().unwrap_err();
    assert!(
        matches!(&error, IncomingError::Damaged { what } if what == "events"),
        "{error}"
    );

    // Events are missing.
    let mut to = begin(dir.path(), snapshot.head());
    assert_eq!(to.last(), EventNumber(5), "all events are sent again");
    send_images(&snapshot, &mut to);
    to.append(&events(6, 8)).unwrap();
    to.complete().unwrap_err();
}

#[tokio::test]
async fn t41_an_offer_cannot_reach_out_of_its_directory() {
    let (_dir, _lock, source) = source().await;
    let good = source.snapshot().unwrap().unwrap().head().clone();
    let dir = tempfile::tempdir().unwrap();
    let refused = |change: &dyn Fn(&mut SnapshotHead)| {
        let mut head = good.clone();
        change(&mut head);
        let result = IncomingEpoch::begin(dir.path(), head, Arc::new(NoFaults));
        assert!(matches!(result, Err(IncomingError::Offer(_))), "{result:?}");
    };
    refused(&|head| head.images[0].name = "../../../.ssh/authorized_keys".to_owned());
    refused(&|head| head.images[0].name = "data.mdb".to_owned());
    refused(&|head| head.images[1].name = "north.bin".to_owned());
    refused(&|head| head.images.clear());
    refused(&|head| head.vere_version = "3.5\nand more".to_owned());
    refused(&|head| head.vere_version = "9".repeat(1000));
    refused(&|head| head.epoch = EventNumber(100));
    refused(&|head| head.hash.at = EventNumber(u64::MAX));
    assert!(!dir.path().join(".urb/log/seguro-incoming").exists());
}
