//! What a power cut can leave of a commit, for tests.
//!
//! LMDB writes a commit's pages in any order, syncs, and then writes one of the two first pages, synced (`lmdb` in plain
//! sync mode). Until that sync a power cut may leave any of the pages, old or new, sector by sector; the first two
//! pages are still the old ones. The Raft log's journal is written and synced once: any of its sectors may be old or new.

use super::fault::{Faults, Step};
use crate::store::lmdb::DATA_FILE;
use std::{fs, io, path::Path, sync::Mutex};

const PAGE: usize = 4096;
const SECTOR: usize = 512;

/// A store's files: their names in its directory, and their bytes.
pub(super) type Files = Vec<(String, Vec<u8>)>;

/// A commit: the name of the file that it writes, and the files before and after it.
#[derive(Clone, Debug)]
pub(super) struct Commit {
    pub(super) file: String,
    pub(super) before: Files,
    pub(super) after: Files,
}

/// Takes a picture of a store's files before and after every commit.
#[derive(Debug, Default)]
pub(super) struct Camera {
    before: Mutex<Files>,
    commits: Mutex<Vec<Commit>>,
}

impl Faults for Camera {
    fn at(&self, step: Step, path: &Path) -> io::Result<()> {
        // A commit of LMDB's is known by its directory.
        let file = if path.is_dir() {
            path.join(DATA_FILE)
        } else {
            path.to_path_buf()
        };
        match step {
            Step::Commit => *super::lock(&self.before) = picture(&file)?,
            Step::Committed => {
                let before = std::mem::take(&mut *super::lock(&self.before));
                let after = picture(&file)?;
                let file = name(&file);
                super::lock(&self.commits).push(Commit { file, before, after });
            }
            _ => {}
        }
        Ok(())
    }
}

fn name(file: &Path) -> String {
    file.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// That file and those beside it.
fn picture(file: &Path) -> io::Result<Files> {
    let mut files = Files::new();
    for beside in fs::read_dir(file.parent().unwrap_or(Path::new(".")))? {
        let path = beside?.path();
        // LMDB makes its lock file anew.
        if path.is_file() && name(&path) != "lock.mdb" {
            files.push((name(&path), fs::read(&path)?));
        }
    }
    Ok(files)
}

impl Camera {
    /// The commits so far.
    pub(super) fn commits(&self) -> Vec<Commit> {
        super::lock(&self.commits).clone()
    }
}

/// So many states that a power cut before the commit's last sync may leave; then the one with all that is written before that: for
/// LMDB all pages but the first two, for the journal the whole record, which is then as if it were synced.
pub(super) fn torn(commit: &Commit, count: usize) -> Vec<Files> {
    // A xorshift: the same states in every run.
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed >> 33) as usize % below
    };
    let bytes = |files: &Files| {
        let own = files.iter().find(|(name, _)| *name == commit.file);
        own.map_or_else(Vec::new, |(_, bytes)| bytes.clone())
    };
    let (before, after) = (bytes(&commit.before), bytes(&commit.after));
    let first = if commit.file == DATA_FILE { 2 } else { 0 };
    let mut states = Vec::new();
    for nth in 0..=count {
        let mut state = before.clone();
        // The file may have grown, and hold zeros where nothing arrived.
        state.resize(after.len().max(before.len()), 0);
        for page in first..state.len() / PAGE {
            // Early states have few new pages, late ones many, the last one all.
            let arrives = nth == count || random(count + 1) < nth;
            for sector in 0..PAGE / SECTOR {
                let at = page * PAGE + sector * SECTOR;
                let whole = nth == count || random(4) > 0;
                if arrives && whole {
                    state[at..at + SECTOR].copy_from_slice(&after[at..at + SECTOR]);
                }
            }
        }
        let mut files = commit.before.clone();
        files.retain(|(name, _)| *name != commit.file);
        files.push((commit.file.clone(), state));
        states.push(files);
    }
    states
}
