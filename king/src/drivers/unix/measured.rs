//! A mount without a ship, for benches: what its work on the disk costs.

use super::{
    disk::Disk,
    mirror::Mirror,
    names::MountName,
    shapes::{self, Command},
};
use serf_ipc::Noun;
use std::{io, path::Path};

/// The mount %base in a pier.
pub struct MeasuredMount {
    mirror: Mirror,
    base: MountName,
}

impl std::fmt::Debug for MeasuredMount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MeasuredMount").finish_non_exhaustive()
    }
}

impl MeasuredMount {
    /// Takes up what is in the pier, as a ship on one machine does at its start.
    ///
    /// # Errors
    /// When the pier cannot be opened.
    pub fn start(pier: &Path) -> io::Result<MeasuredMount> {
        let base = MountName::of("base").ok_or(io::ErrorKind::InvalidInput)?;
        let mut mirror = Mirror::new(Disk::open(pier)?);
        mirror.scan(&base);
        mirror.begin_record();
        Ok(MeasuredMount { mirror, base })
    }

    /// Writes what the data of an `%ergo` says; false where that is none.
    pub fn ergo(&mut self, data: &Noun) -> bool {
        let Some(Ok(Command::Ergo { changes, .. })) = Command::read("ergo", data) else {
            return false;
        };
        self.mirror.ergo(&self.base, changes);
        true
    }

    /// The card of a commit, and how many files are in it; None where nothing can be said.
    pub fn commit(&mut self) -> Option<(Noun, usize)> {
        let changes = self.mirror.changes(&self.base)?;
        let count = changes.len();
        Some((shapes::into(self.base.knot(), changes), count))
    }
}
