//! Rolling and dropping epochs under readers and writers.

use super::*;
use crate::limits::MIB;

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir.join(".urb/log"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.ends_with(".mdb"))
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn t10_a_new_epoch_takes_the_images_and_the_later_events() {
    let (dir, lock, log) = new_pier();
    log.append(&events(1, 5), raft(1)).await.unwrap();
    write_images(dir.path(), "at five");
    log.roll(EventNumber(5)).await.unwrap();
    assert_eq!(log.epochs(), [EventNumber(0), EventNumber(5)]);
    assert_eq!(all(&log), events(1, 5));
    log.append(&events(6, 8), raft(2)).await.unwrap();
    assert_eq!(all(&log), events(1, 8));
    let epoch = log.epoch_dir(EventNumber(5));
    for name in ["north.bin", "south.bin"] {
        let image = fs::read(epoch.join(name)).unwrap();
        assert_eq!(image, fs::read(dir.path().join(".urb/chk").join(name)).unwrap());
    }
    assert_eq!(fs::read_to_string(epoch.join("epoc.txt")).unwrap(), "1");
    assert_eq!(fs::read_to_string(epoch.join("vere.txt")).unwrap(), "3.5");
    log.close().await.unwrap();

    let opened = open(&lock);
    assert_eq!((opened.foreign, opened.notices), (None, vec![]));
    assert_eq!(opened.applied.unwrap().event(), EventNumber(8));
    assert_eq!(all(&opened.log), events(1, 8));
    // One read crosses the border between epochs.
    assert_eq!(opened.log.read(EventNumber(4), 3, MIB).unwrap(), events(4, 6));
    assert_eq!(names(dir.path()), ["0i0", "0i5"]);
}

#[tokio::test]
async fn t11_only_at_the_end_and_only_with_an_image() {
    let (dir, _lock, log) = new_pier();
    log.append(&events(1, 5), raft(1)).await.unwrap();
    let error = log.roll(EventNumber(5)).await.unwrap_err();
    assert!(
        matches!(error, RollError::Image { ref path, .. } if path.ends_with("north.bin")),
        "{error}"
    );
    write_images(dir.path(), "at four");
    let error = log.roll(EventNumber(4)).await.unwrap_err();
    assert!(
        matches!(
            error,
            RollError::NotAtEnd {
                last: EventNumber(5),
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(log.epochs(), [EventNumber(0)]);
    // An epoch that is there already is no new one.
    log.roll(EventNumber(0)).await.unwrap();
    log.roll(EventNumber(5)).await.unwrap();
    log.roll(EventNumber(5)).await.unwrap();
    assert_eq!(log.epochs(), [EventNumber(0), EventNumber(5)]);
    log.append(&events(6, 6), raft(2)).await.unwrap();
    assert_eq!(all(&log), events(1, 6), "a refused roll does no harm");
}

#[tokio::test]
async fn t20_chop_keeps_the_newest() {
    let (dir, lock, log) = new_pier();
    for at in 1..=4 {
        log.append(&events(at, at), raft(at)).await.unwrap();
        write_images(dir.path(), &at.to_string());
        log.roll(EventNumber(at)).await.unwrap();
    }
    log.append(&events(5, 5), raft(5)).await.unwrap();
    assert_eq!(log.chop(2).await.unwrap(), [0, 1, 2].map(EventNumber));
    assert_eq!(log.epochs(), [3, 4].map(EventNumber));
    assert_eq!(names(dir.path()), ["0i3", "0i4"]);
    assert_eq!(all(&log), events(4, 5));
    assert_eq!(
        log.read(EventNumber(3), 1, 1),
        Err(ReadError::Chopped {
            event: EventNumber(3),
            first: EventNumber(4)
        })
    );
    assert_eq!(log.chop(2).await.unwrap(), []);
    assert_eq!(log.chop(0).await.unwrap(), [EventNumber(3)], "one always stays");
    log.close().await.unwrap();
    assert_eq!(all(&open(&lock).log), events(5, 5));
}

#[tokio::test]
async fn t21_an_epoch_that_is_being_read_from_is_not_dropped() {
    let (dir, _lock, log) = new_pier();
    log.append(&events(1, 2), raft(1)).await.unwrap();
    log.sync().await.unwrap();
    let snapshot = log.snapshot().unwrap().unwrap();
    write_images(dir.path(), "two");
    log.roll(EventNumber(2)).await.unwrap();
    assert_eq!(log.chop(1).await.unwrap(), []);
    assert_eq!(
        snapshot.read_events(EventNumber(1), 10, MIB).unwrap(),
        events(1, 2)
    );
    drop(snapshot);
    assert_eq!(log.chop(1).await.unwrap(), [EventNumber(0)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t30_reads_and_appends_go_on_while_epochs_are_begun_and_dropped() {
    let (dir, _lock, log) = new_pier();
    log.append(&events(1, 50), raft(0)).await.unwrap();
    let reader = {
        let log = log.clone();
        std::thread::spawn(move || {
            let mut reads = 0;
            loop {
                let first = log.epochs().first().map_or(EventNumber(1), |start| start.next());
                match log.read(first, 1000, MIB) {
                    Ok(read) => {
                        let from = read.first().map_or(first.0, |e| e.number.0);
                        assert_eq!(read, events(from, from + read.len() as u64 - 1));
                    }
                    // Dropped in between.
                    Err(ReadError::Chopped { .. }) => {}
                    Err(ReadError::Closed) => return reads,
                    Err(error) => panic!("{error}"),
                }
                reads += 1;
            }
        })
    };
    let mut last = 50;
    for round in 1..=12 {
        write_images(dir.path(), &round.to_string());
        log.roll(EventNumber(last)).await.unwrap();
        log.append(&events(last + 1, last + 10), raft(round))
            .await
            .unwrap();
        last += 10;
        log.make_durable(EventNumber(last)).await.unwrap();
        log.chop(2).await.unwrap();
    }
    log.close().await.unwrap();
    assert!(reader.join().unwrap() > 0);
}
