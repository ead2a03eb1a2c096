//! A kill, and a failing disk, at every write and sync: what was promised is there afterwards.
//!
//! The same story is told again and again, each time ended one step later. A kill leaves the files as they are at that
//! moment, so a copy of them then is what the next start finds.

use super::*;
use std::{io, sync::atomic::AtomicUsize, time::Duration};

/// What happens at the chosen step.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    /// The process is killed: later steps do not happen.
    Kill,
    /// The disk fails once.
    Fail,
}

#[derive(Debug)]
struct EndAt {
    nth: usize,
    seen: AtomicUsize,
    end: End,
    from: std::path::PathBuf,
    to: std::path::PathBuf,
    what: Mutex<Option<(Step, std::path::PathBuf)>>,
}

impl Faults for EndAt {
    fn at(&self, step: Step, path: &Path) -> io::Result<()> {
        let seen = self.seen.fetch_add(1, Ordering::SeqCst) + 1;
        if seen == self.nth {
            *lock(&self.what) = Some((step, path.to_path_buf()));
            if self.end == End::Kill {
                copy_pier(&self.from, &self.to);
            }
            return Err(io::Error::from_raw_os_error(5));
        }
        // A killed process does nothing more.
        if seen > self.nth && self.end == End::Kill {
            Err(io::Error::from_raw_os_error(5))
        } else {
            Ok(())
        }
    }
}

/// What has been acknowledged so far.
#[derive(Debug, Default)]
struct Promised {
    /// The log exists.
    made: bool,
    /// Its last event, synced.
    last: u64,
    /// Its oldest epoch was dropped up to here at most.
    chopped_to: u64,
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// A ship's life: boot, events, an epoch, more events, the old epoch dropped.
async fn life(pier: &PierLock, options: EventLogOptions, promised: &Mutex<Promised>) -> Result<(), String> {
    let log = EventLog::create(pier, &SHIP, options).map_err(text)?;
    lock(promised).made = true;
    let sync = async |log: &EventLog, last| {
        log.sync().await.map_err(text)?;
        lock(promised).last = last;
        Ok::<(), String>(())
    };
    log.append(&events(1, 3), raft(3)).await.map_err(text)?;
    sync(&log, 3).await?;
    log.append(&events(4, 4), raft(4)).await.map_err(text)?;
    log.append(&events(5, 6), raft(6)).await.map_err(text)?;
    sync(&log, 6).await?;
    write_images(pier.pier(), "at six");
    log.roll(EventNumber(6)).await.map_err(text)?;
    log.append(&events(7, 8), raft(8)).await.map_err(text)?;
    sync(&log, 8).await?;
    write_images(pier.pier(), "at eight");
    log.roll(EventNumber(8)).await.map_err(text)?;
    lock(promised).chopped_to = 8;
    log.chop(1).await.map_err(text)?;
    log.append(&events(9, 9), raft(9)).await.map_err(text)?;
    log.close().await.map_err(text)?;
    lock(promised).last = 9;
    Ok(())
}

/// A member that is behind, with epochs of its own, gets a snapshot.
async fn replacement(
    pier: &PierLock,
    options: EventLogOptions,
    promised: &Mutex<Promised>,
    snapshot: &EpochSnapshot,
) -> Result<(), String> {
    let faults = Arc::clone(&options.faults);
    let opened = EventLog::open(pier, options).map_err(text)?.ok_or("no log")?;
    let log = opened.log;
    let mut to = IncomingEpoch::begin(pier.pier(), snapshot.head().clone(), faults).map_err(text)?;
    for (nth, image) in snapshot.head().images.iter().enumerate() {
        let mut bytes = vec![0; image.length as usize];
        snapshot.read_image(&image.name, 0, &mut bytes).map_err(text)?;
        to.write_image(nth, 0, &bytes).map_err(text)?;
    }
    to.append(&snapshot.read_events(to.last().next(), 9, 1 << 20).map_err(text)?)
        .map_err(text)?;
    let complete = to.complete().map_err(text)?;
    lock(promised).chopped_to = snapshot.head().epoch.0;
    log.install(complete).await.map_err(text)?;
    lock(promised).last = snapshot.head().last().0;
    log.append(&events(10, 11), raft(11)).await.map_err(text)?;
    log.close().await.map_err(text)?;
    lock(promised).last = 11;
    Ok(())
}

/// Opens what was left and checks it.
async fn check(pier: &Path, promised: &Promised, what: &str) {
    let lock = PierLock::acquire(pier).unwrap();
    let opened = EventLog::open(&lock, options()).unwrap_or_else(|error| panic!("{what}: {error}"));
    let Some(opened) = opened else {
        assert!(!promised.made, "{what}: the log is gone");
        // A boot that got nowhere is begun again.
        EventLog::create(&lock, &SHIP, options()).unwrap_or_else(|error| panic!("{what}: {error}"));
        return;
    };
    assert_eq!(opened.foreign, None, "{what}");
    let last = opened.log.last();
    assert!(last.0 >= promised.last, "{what}: {last} of {promised:?}");
    let first = opened.log.epochs()[0];
    assert!(
        first.0 <= promised.chopped_to,
        "{what}: epochs {:?}, {promised:?}",
        opened.log.epochs()
    );
    assert_eq!(all(&opened.log), events(first.0 + 1, last.0), "{what}");
    match opened.applied {
        Some(applied) => {
            assert_eq!(applied.event(), last, "{what}");
            assert_eq!(
                applied.raft,
                raft(last.0),
                "{what}: the record belongs to the events"
            );
        }
        None => assert_eq!(last.0, 0, "{what}"),
    }
    // And it goes on.
    opened
        .log
        .append(&events(last.0 + 1, last.0 + 1), raft(last.0 + 1))
        .await
        .unwrap();
    opened.log.sync().await.unwrap();
    assert_eq!(all(&opened.log), events(first.0 + 1, last.0 + 1), "{what}");
    opened.log.close().await.unwrap();
}

/// Tells a story with an end at the `nth` step; false when it has fewer.
async fn tell(
    nth: usize,
    end: End,
    prepare: &Path,
    promised: Promised,
    story: impl AsyncFn(&PierLock, EventLogOptions, &Mutex<Promised>) -> Result<(), String>,
) -> bool {
    let dir = crate::store::fast_dir();
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    if prepare.exists() {
        copy_pier(prepare, &from);
    }
    let faults = Arc::new(EndAt {
        nth,
        seen: AtomicUsize::new(0),
        end,
        from: from.clone(),
        to: to.clone(),
        what: Mutex::new(None),
    });
    let promised = Mutex::new(promised);
    let pier = PierLock::acquire(&from).unwrap();
    let options = options_with(Arc::<EndAt>::clone(&faults));
    let alarm = options.alarm.clone();
    let told = story(&pier, options, &promised).await;
    let Some((step, path)) = lock(&faults.what).take() else {
        told.unwrap();
        return false;
    };
    let what = format!("{end:?} at step {nth}, {step:?} of {}", path.display());
    // Where the log itself failed the alarm was raised; a roll's images may fail without harm to it.
    if let Some(failure) = alarm.subscribe().borrow().as_ref() {
        assert_eq!(failure.exit_code(), crate::store::failure::EXIT_IO, "{what}");
        assert!(told.is_err(), "{what}: it went on after {failure}");
    }
    drop(pier);
    let found = if end == End::Kill { &to } else { &from };
    // The failed store's thread ends and closes its files by itself.
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while end == End::Fail && Arc::strong_count(&faults) > 1 {
        assert!(
            std::time::Instant::now() < deadline,
            "{what}: the store does not end"
        );
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let promised = std::mem::take(&mut *lock(&promised));
    check(found, &promised, &what).await;
    true
}

#[tokio::test]
async fn t10_a_ships_life_ended_at_every_step() {
    for end in [End::Kill, End::Fail] {
        let mut nth = 1;
        while tell(nth, end, Path::new("/nowhere"), Promised::default(), life).await {
            nth += 1;
        }
        assert!(nth > 60, "{nth} steps: the story has become shorter than it was");
    }
}

#[tokio::test]
async fn t20_a_replacement_ended_at_every_step() {
    // The source: an epoch at 5, events to 9.
    let (source_dir, _lock, source) = new_pier();
    source.append(&events(1, 5), raft(5)).await.unwrap();
    write_images(source_dir.path(), "at five");
    source.roll(EventNumber(5)).await.unwrap();
    source.append(&events(6, 9), raft(9)).await.unwrap();
    source.sync().await.unwrap();
    let snapshot = source.snapshot().unwrap().unwrap();
    // Who is behind: within epoch 0; or with the same epoch; the swap differs.
    for epoch in [false, true] {
        let (behind_dir, behind_lock, behind) = new_pier();
        behind.append(&events(1, 5), raft(5)).await.unwrap();
        if epoch {
            write_images(behind_dir.path(), "of our own");
            behind.roll(EventNumber(5)).await.unwrap();
            behind.append(&events(6, 7), raft(7)).await.unwrap();
        }
        behind.close().await.unwrap();
        drop(behind_lock);
        let last = if epoch { 7 } else { 5 };
        for end in [End::Kill, End::Fail] {
            let mut nth = 1;
            let story = async |pier: &PierLock, options: EventLogOptions, promised: &Mutex<Promised>| {
                replacement(pier, options, promised, &snapshot).await
            };
            while tell(
                nth,
                end,
                behind_dir.path(),
                Promised {
                    made: true,
                    last,
                    chopped_to: 0,
                },
                story,
            )
            .await
            {
                nth += 1;
            }
            assert!(nth > 30, "{nth} steps: the story has become shorter than it was");
        }
    }
}
