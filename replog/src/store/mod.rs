//! What a member keeps on disk: the Raft log, the only thing synced per commit, and the event log in vere's own format.
//!
//! Both are LMDB environments with one writer thread each. A store that has failed once (a write, a sync) refuses
//! everything from then on, and raises the [`failure::Alarm`] that ends the process: after a failed sync nobody knows what is
//! on disk, and a second one that succeeds proves nothing.

pub(crate) mod event_log;
pub(crate) mod failure;
pub(crate) mod fault;
pub(crate) mod files;
mod lmdb;
pub(crate) mod raft_log;
mod sealed;
#[cfg(test)]
mod torn;

use std::sync::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};

#[expect(
    clippy::expect_used,
    reason = "a panic under a lock left a store half changed: nobody may go on with it"
)]
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no panic while a store's lock was held")
}

#[expect(
    clippy::expect_used,
    reason = "a panic under a lock left a store half changed: nobody may go on with it"
)]
fn read_lock<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().expect("no panic while a store's lock was held")
}

#[expect(
    clippy::expect_used,
    reason = "a panic under a lock left a store half changed: nobody may go on with it"
)]
fn write_lock<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().expect("no panic while a store's lock was held")
}

/// A directory for tests that copy files instead of pulling the plug: in memory, where syncs are free, if there is such
/// a place.
#[cfg(test)]
fn fast_dir() -> tempfile::TempDir {
    let memory = std::path::Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    }
    .expect("a temporary directory")
}
