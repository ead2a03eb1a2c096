//! Where a store's writes and syncs can be made to fail, or to be the last thing that a process does: tests' way in.
//!
//! No global state: a store is opened with its faults, and in the product they are [`NoFaults`].

use std::{fmt, io, path::Path};

/// A moment at which a disk may fail or a process may die.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    /// Before a directory is made.
    CreateDir,
    /// Before bytes are written into a plain file, or one is copied.
    WriteFile,
    /// Before a file's or directory's sync.
    Sync,
    /// Before a rename.
    Rename,
    /// Before a file or directory is removed.
    Remove,
    /// Before an environment is made or opened.
    OpenEnv,
    /// Before a write transaction begins.
    Begin,
    /// After a transaction's writes, before its commit (which writes and syncs).
    Commit,
    /// After a commit, before anybody is told of it.
    Committed,
}

/// Decides what happens at a [`Step`].
pub trait Faults: fmt::Debug + Send + Sync + 'static {
    /// An error makes the step fail as the disk would.
    fn at(&self, step: Step, path: &Path) -> io::Result<()>;
}

/// Nothing fails but what fails by itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NoFaults;

impl Faults for NoFaults {
    fn at(&self, _step: Step, _path: &Path) -> io::Result<()> {
        Ok(())
    }
}
