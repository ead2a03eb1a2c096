//! Takes many disks that a power cut may leave of a recorded run, at moments and in states drawn from a seed.

use crate::{
    disk::{Disk, Kept},
    judge::Promises,
    record::record,
    replay::{Happened, IN_MEMORY, Places, Replay},
    story::Story,
    trace::Trace,
};
use anyhow::{Context, ensure};
use fastrand::Rng;
use std::{
    collections::BTreeMap,
    fs,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError, mpsc},
    thread,
};
use tempfile::TempDir;

/// Threads that open disks.
const THREADS: usize = 2;
/// Disks that wait to be opened.
const WAITING: usize = 8;
/// More failures than these are only counted.
const TOLD: usize = 20;

/// A place for files that are of no use after a power cut: in memory, if there is such a place.
fn scratch() -> std::io::Result<TempDir> {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    }
}

/// A run that was recorded, and what it began with.
#[derive(Clone, Debug)]
pub struct Recording {
    story: Story,
    start: Disk,
    promised: Promises,
    places: Places,
    trace: Trace,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Findings {
    /// Moments at which the disk was another than before.
    pub moments: usize,
    /// Disks that were opened.
    pub opened: usize,
    /// How many of them did not keep a promise.
    pub broken: usize,
    /// The first of these.
    pub told: Vec<String>,
}

impl Recording {
    /// Records a story that begins on an empty disk.
    ///
    /// # Errors
    /// When it cannot be recorded, or the recording does not make the same files.
    pub fn new(program: &Path, story: Story) -> anyhow::Result<Recording> {
        Recording::of(program, story, Disk::default(), Promises::default())
    }

    /// Records the story again, on the disk of this recording at a moment: the process was killed there, all that it had
    /// written was seen by the next, and nothing more of it was certain than before.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn after_kill(&self, program: &Path, moment: usize) -> anyhow::Result<Recording> {
        let mut killed = None;
        self.walk(None, |nth, replay, promised| {
            if nth == moment {
                killed = Some((replay.disk.clone(), promised.clone()));
            }
            Ok(())
        })?;
        let (disk, promised) = killed.context("no such moment")?;
        Recording::of(program, self.story, disk, promised)
    }

    fn of(program: &Path, story: Story, start: Disk, promised: Promises) -> anyhow::Result<Recording> {
        let dir = scratch()?;
        let stands_in = dir.path().canonicalize()?;
        let places = Places {
            root: stands_in.join("disk"),
            marks: stands_in.join("marks"),
            stands_in,
        };
        fs::create_dir(&places.root)?;
        start.make(Kept::All, &places.root, IN_MEMORY)?;
        let trace = record(program, story.name(), &places)?;
        let recording = Recording {
            story,
            start,
            promised,
            places,
            trace,
        };
        recording.is_whole()?;
        Ok(recording)
    }

    /// The recording makes the files that the run made.
    fn is_whole(&self) -> anyhow::Result<()> {
        let again = scratch()?;
        let mut replay = Replay::new(self.start.clone(), self.places.clone());
        for moment in &self.trace.moments {
            replay.step(&self.trace, *moment)?;
        }
        replay.disk.make(Kept::All, again.path(), IN_MEMORY)?;
        let (real, replayed) = (tree(&self.places.root)?, tree(again.path())?);
        let names = |tree: &BTreeMap<PathBuf, Option<Vec<u8>>>| tree.keys().cloned().collect::<Vec<_>>();
        ensure!(
            names(&real) == names(&replayed),
            "files: {:?}, replayed {:?}",
            names(&real),
            names(&replayed)
        );
        for (name, bytes) in &real {
            ensure!(
                replayed.get(name) == Some(bytes),
                "{} is replayed as another file",
                name.display()
            );
        }
        Ok(())
    }

    /// Replays it, and shows each moment at which the disk is another than before. Returns how many there are.
    fn walk(
        &self,
        forgotten: Option<usize>,
        mut show: impl FnMut(usize, &Replay, &Promises) -> anyhow::Result<()>,
    ) -> anyhow::Result<usize> {
        let mut replay = Replay::new(self.start.clone(), self.places.clone());
        if let Some(sync) = forgotten {
            replay.forget(sync);
        }
        let (mut promised, mut nth) = (self.promised.clone(), 0);
        show(nth, &replay, &promised)?;
        for moment in &self.trace.moments {
            match replay.step(&self.trace, *moment)? {
                Happened::Nothing => continue,
                Happened::Changed => {}
                Happened::Said(marks) => {
                    for mark in marks {
                        promised.hear(&mark)?;
                    }
                }
            }
            nth += 1;
            show(nth, &replay, &promised)?;
        }
        Ok(nth + 1)
    }

    /// How many moments there are.
    ///
    /// # Errors
    /// When something in it is not understood.
    pub fn moments(&self) -> anyhow::Result<usize> {
        self.walk(None, |_, _, _| Ok(()))
    }

    /// The syncs in it: the place of the call, the moment after which it is done, and the file or directory, from the root.
    ///
    /// # Errors
    /// When something in it is not understood.
    pub fn syncs(&self) -> anyhow::Result<Vec<(usize, usize, PathBuf)>> {
        let mut replay = Replay::new(self.start.clone(), self.places.clone());
        let (mut syncs, mut nth) = (Vec::new(), 0);
        for moment in &self.trace.moments {
            if let crate::trace::Moment::End(call) = *moment
                && let Some(path) = replay.syncs(&self.trace.calls[call])?
            {
                let path = path.strip_prefix(&self.places.root).unwrap_or(&path);
                syncs.push((call, nth + 1, path.to_path_buf()));
            }
            if replay.step(&self.trace, *moment)? != Happened::Nothing {
                nth += 1;
            }
        }
        Ok(syncs)
    }

    /// The moments before each first sync of these files or directories, named from the root: all is seen, nothing certain.
    ///
    /// # Errors
    /// When something in it is not understood, or there is none.
    pub fn before_syncs_of(&self, paths: &[&str]) -> anyhow::Result<Vec<usize>> {
        let syncs = self.syncs()?;
        let before = |path: &&str| {
            let first = syncs.iter().find(|(_, _, of)| of == Path::new(path));
            let (_, moment, _) = first.with_context(|| format!("no sync of {path:?}"))?;
            Ok(moment - 1)
        };
        paths.iter().map(before).collect()
    }

    /// The first moment from `from` on at which the last write of a commit of LMDB's to a file of this name is seen, and not
    /// certain: the next one is its sync.
    ///
    /// # Errors
    /// When something in it is not understood, or there is none.
    pub fn unsynced_commit(&self, from: usize, name: &str) -> anyhow::Result<usize> {
        let mut replay = Replay::new(self.start.clone(), self.places.clone());
        let mut nth = 0;
        for moment in &self.trace.moments {
            let happened = replay.step(&self.trace, *moment)?;
            if happened != Happened::Nothing {
                nth += 1;
            }
            if let crate::trace::Moment::Begin(call) = *moment
                && nth >= from
                && happened == Happened::Changed
                && replay
                    .ends_a_commit(&self.trace.calls[call])?
                    .is_some_and(|path| path.ends_with(name))
            {
                return Ok(nth);
            }
        }
        anyhow::bail!("no commit of {name} after moment {from}")
    }

    /// The first moment at which something is promised.
    ///
    /// # Errors
    /// When something in it is not understood, or nothing is.
    pub fn first_promise(&self) -> anyhow::Result<usize> {
        let mut first = None;
        self.walk(None, |nth, _, promised| {
            if first.is_none() && promised.any() {
                first = Some(nth);
            }
            Ok(())
        })?;
        first.context("nothing is promised")
    }

    /// Opens so many disks that a power cut may leave within these moments. With `forgotten` a sync, by the place of its call,
    /// does not happen.
    ///
    /// # Errors
    /// When the recording is not understood, or a disk cannot be made.
    pub fn search(
        &self,
        window: Range<usize>,
        images: usize,
        seed: u64,
        forgotten: Option<usize>,
    ) -> anyhow::Result<Findings> {
        let mut dice = Rng::with_seed(seed);
        // Each moment's turn comes; what is left then is drawn.
        let mut chosen: BTreeMap<usize, Vec<Kept>> = BTreeMap::new();
        for nth in 0..images {
            let moment = match images >= window.len() {
                true => window.start + nth % window.len(),
                false => window.start + dice.u64(..window.len() as u64) as usize,
            };
            let kept = match dice.u64(..10) {
                0 => Kept::All,
                1 | 2 => Kept::Nothing,
                _ => Kept::Some(dice.u64(..)),
            };
            chosen.entry(moment).or_default().push(kept);
        }
        let findings = Mutex::new(Findings::default());
        let (send, receive) = mpsc::sync_channel::<Left>(WAITING);
        let receive = Mutex::new(receive);
        let moments = thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    loop {
                        let left = lock(&receive).recv();
                        let Ok(left) = left else { return };
                        // Of a sync that is left out it is only asked whether that is noticed.
                        if forgotten.is_none() || lock(&findings).broken == 0 {
                            left.judge(self.story, &findings);
                        }
                    }
                });
            }
            let send = send;
            self.walk(forgotten, |moment, replay, promised| {
                for kept in chosen.get(&moment).into_iter().flatten() {
                    let root = scratch()?;
                    replay.disk.make(*kept, root.path(), IN_MEMORY)?;
                    let promised = promised.clone();
                    let left = Left {
                        root,
                        promised,
                        moment,
                        kept: *kept,
                    };
                    send.send(left).ok().context("the threads have ended")?;
                }
                Ok(())
            })
        })?;
        let mut findings = findings.into_inner().unwrap_or_else(PoisonError::into_inner);
        findings.moments = moments;
        Ok(findings)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A disk that a power cut left.
struct Left {
    root: TempDir,
    promised: Promises,
    moment: usize,
    kept: Kept,
}

impl Left {
    fn judge(self, story: Story, findings: &Mutex<Findings>) {
        let log_first = matches!(self.kept, Kept::Some(seed) if seed % 2 == 0);
        let checked = catch_unwind(AssertUnwindSafe(|| {
            self.promised.check(story, self.root.path(), log_first)
        }));
        let mut findings = lock(findings);
        findings.opened += 1;
        let why = match checked {
            Ok(Ok(())) => return,
            Ok(Err(error)) => format!("{error:#}"),
            Err(_) => "a panic".to_owned(),
        };
        findings.broken += 1;
        if findings.told.len() < TOLD {
            findings
                .told
                .push(format!("moment {}, {:?} kept: {why}", self.moment, self.kept));
        }
    }
}

/// All files below a directory with their bytes; None for directories and for what is changed in memory.
fn tree(root: &Path) -> anyhow::Result<BTreeMap<PathBuf, Option<Vec<u8>>>> {
    let mut found = BTreeMap::new();
    let mut dirs = vec![root.to_path_buf()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir)? {
            let path = entry?.path();
            let name = path.strip_prefix(root)?.to_path_buf();
            let in_memory = IN_MEMORY.iter().any(|known| path.ends_with(known));
            let bytes = match path.is_dir() {
                true => {
                    dirs.push(path);
                    None
                }
                false if in_memory => None,
                false => Some(fs::read(&path)?),
            };
            found.insert(name, bytes);
        }
    }
    Ok(found)
}
