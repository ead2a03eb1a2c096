//! What a power cut can leave of an LMDB commit, for tests.
//!
//! LMDB writes a commit's pages in any order, syncs, and then writes one of the two first pages, synced (`lmdb` in plain
//! sync mode). Until that sync a power cut may leave any of the pages, old or new, sector by sector; the first two
//! pages are still the old ones.

use super::fault::{Faults, Step};
use crate::store::lmdb::DATA_FILE;
use std::{fs, io, path::Path, sync::Mutex};

const PAGE: usize = 4096;
const SECTOR: usize = 512;

/// Takes a picture of an environment's file before and after every commit.
#[derive(Debug, Default)]
pub(super) struct Camera {
    before: Mutex<Vec<u8>>,
    commits: Mutex<Vec<(Vec<u8>, Vec<u8>)>>,
}

impl Faults for Camera {
    fn at(&self, step: Step, path: &Path) -> io::Result<()> {
        let picture = || fs::read(path.join(DATA_FILE));
        match step {
            Step::Commit => *super::lock(&self.before) = picture()?,
            Step::Committed => {
                let before = std::mem::take(&mut *super::lock(&self.before));
                super::lock(&self.commits).push((before, picture()?));
            }
            _ => {}
        }
        Ok(())
    }
}

impl Camera {
    /// The files before and after each commit.
    pub(super) fn commits(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        super::lock(&self.commits).clone()
    }
}

/// So many files that a power cut before the last sync may leave, then the one after all pages but the first two.
pub(super) fn torn(before: &[u8], after: &[u8], count: usize) -> Vec<Vec<u8>> {
    // A xorshift: the same states in every run.
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed >> 33) as usize % below
    };
    let mut states = Vec::new();
    for nth in 0..=count {
        let mut state = before.to_vec();
        // The file may have grown, and hold zeros where nothing arrived.
        state.resize(after.len().max(before.len()), 0);
        for page in 2..state.len() / PAGE {
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
        states.push(state);
    }
    states
}
