//! A kill, and a failing disk, at every write and sync: what was promised is there afterwards.

use super::*;
use crate::store::fault::Step;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a log says of itself.
#[derive(Clone, Debug, Default, PartialEq)]
struct Contents {
    vote: Option<Vote>,
    purged: Option<LogId>,
    entries: Vec<Entry>,
}

/// What the log may be after a crash now: the last promised state, and those that were asked for since, in order.
#[derive(Debug)]
struct Allowed(Vec<Contents>);

impl Allowed {
    fn asked(&mut self, change: impl FnOnce(&mut Contents)) {
        let mut next = self.0.last().unwrap().clone();
        change(&mut next);
        self.0.push(next);
    }

    fn promised(&mut self) {
        self.0.drain(..self.0.len() - 1);
    }
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::create_dir_all(to)?;
    for file in std::fs::read_dir(from)? {
        let file = file?;
        if file.path().is_dir() {
            copy(&file.path(), &to.join(file.file_name()))?;
        } else {
            std::fs::copy(file.path(), to.join(file.file_name()))?;
        }
    }
    Ok(())
}

#[derive(Debug)]
struct EndAt {
    nth: usize,
    kill: bool,
    seen: AtomicUsize,
    from: PathBuf,
    to: PathBuf,
}

impl Faults for EndAt {
    fn at(&self, _step: Step, _path: &Path) -> io::Result<()> {
        let seen = self.seen.fetch_add(1, Ordering::SeqCst) + 1;
        if seen == self.nth && self.kill {
            copy(&self.from, &self.to)?;
        }
        let ended = if self.kill {
            seen >= self.nth
        } else {
            seen == self.nth
        };
        if ended {
            Err(io::Error::from_raw_os_error(5))
        } else {
            Ok(())
        }
    }
}

async fn story(dir: &Path, options: RaftLogOptions, allowed: &Mutex<Allowed>) -> Result<(), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let mut log = RaftLog::open_in(dir, MEMBER, options).map_err(|e| text(&e))?;
    for round in 1..=3u64 {
        let term = Term(round);
        let vote = Vote::new(term, MEMBER);
        lock(allowed).asked(|log| log.vote = Some(vote));
        log.save_vote(&vote).await.map_err(|e| text(&e))?;
        lock(allowed).promised();

        let from = (round - 1) * 10;
        let new = entries(round, from..from + 12);
        lock(allowed).asked(|log| log.entries.extend(new.iter().cloned()));
        log.blocking_append(new).await.map_err(|e| text(&e))?;
        lock(allowed).promised();

        let last = log_id(term, from + 9);
        lock(allowed).asked(|log| log.entries.retain(|entry| entry.index() <= last.index));
        log.truncate_after(Some(last)).await.map_err(|e| text(&e))?;
        lock(allowed).promised();

        let upto = log_id(term, from + 6);
        lock(allowed).asked(|log| {
            log.purged = Some(upto);
            log.entries.retain(|entry| entry.index() > upto.index);
        });
        log.purge(upto).await.map_err(|e| text(&e))?;
    }
    log.close().await.map_err(|e| text(&e))?;
    lock(allowed).promised();
    Ok(())
}

#[tokio::test]
async fn t10_ended_at_every_step() {
    for kill in [true, false] {
        let mut nth = 0;
        loop {
            nth += 1;
            let dir = crate::store::fast_dir();
            let (from, to) = (dir.path().join("from"), dir.path().join("to"));
            std::fs::create_dir(&from).unwrap();
            let faults = Arc::new(EndAt {
                nth,
                kill,
                seen: AtomicUsize::new(0),
                from: from.clone(),
                to: to.clone(),
            });
            let options = RaftLogOptions {
                faults: Arc::<EndAt>::clone(&faults),
                ..options()
            };
            let allowed = Mutex::new(Allowed(vec![Contents::default()]));
            let told = story(&from, options, &allowed).await;
            if faults.seen.load(Ordering::SeqCst) < nth {
                told.unwrap();
                break;
            }
            // A failed store closes its file when its last handle goes.
            let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
            while Arc::strong_count(&faults) > 1 {
                assert!(
                    std::time::Instant::now() < deadline,
                    "step {nth}: the store does not end"
                );
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
            let left = if kill { &to } else { &from };
            let log = RaftLog::open_in(left, MEMBER, super::options()).unwrap();
            let found = Contents {
                vote: log.clone().get_log_reader().await.read_vote().await.unwrap(),
                purged: ends(&log).await.0,
                entries: read(&log, ..).await,
            };
            let allowed = std::mem::take(&mut lock(&allowed).0);
            assert!(
                allowed.contains(&found),
                "kill {kill}, step {nth}: {found:?}, allowed {allowed:?}"
            );
            // And it goes on.
            let next = ends(&log).await.1.map_or(0, |last| last.index + 1);
            let mut log = log;
            append(&mut log, entries(9, next..next + 1)).await;
            log.close().await.unwrap();
        }
        assert!(nth > 30, "{nth} steps: the story has become shorter than it was");
    }
}
