//! The members' disks: how long they take, and when they fail. What they hold is real files.

use crate::dice::Dice;
use replog::simulated::{Faults, Moment, Step};
use std::{
    io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// How a disk fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failing {
    /// Before a transaction is written: nothing of it is there.
    Write,
    /// A sync says that it failed, and the transaction is there.
    Sync,
    /// There is no room.
    Full,
}

#[derive(Clone, Copy, Debug, Default)]
struct Disk {
    /// What every group takes more, at most.
    slow: Duration,
    failing: Option<Failing>,
    /// Whether a step has failed since this was last asked.
    has_failed: bool,
}

#[derive(Debug)]
struct State {
    dice: Dice,
    disks: Vec<Disk>,
}

/// All members' disks. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Disks(Arc<Mutex<State>>);

/// The member whose pier a path lies in: piers are named `m0`, `m1` and so on.
pub(crate) fn member(path: &Path) -> Option<usize> {
    path.iter()
        .find_map(|part| part.to_str()?.strip_prefix('m')?.parse().ok())
}

impl Disks {
    /// The disks of `count` members: sound and fast.
    #[must_use]
    pub fn new(count: usize, dice: Dice) -> Disks {
        let disks = vec![Disk::default(); count];
        Disks(Arc::new(Mutex::new(State { dice, disks })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, member: usize, set: impl FnOnce(&mut Disk)) {
        if let Some(disk) = self.lock().disks.get_mut(member) {
            set(disk);
        }
    }

    /// A member's disk takes up to so much longer from now on.
    pub fn slow(&self, member: usize, slow: Duration) {
        self.set(member, |disk| disk.slow = slow);
    }

    /// A member's disk fails from now on, or does not.
    pub fn fail(&self, member: usize, failing: Option<Failing>) {
        self.set(member, |disk| disk.failing = failing);
    }

    /// Whether a member's disk has failed since this was last asked.
    #[must_use]
    pub fn has_failed(&self, member: usize) -> bool {
        let mut failed = false;
        self.set(member, |disk| failed = std::mem::take(&mut disk.has_failed));
        failed
    }

    /// How long a store's disk takes now.
    pub(crate) fn takes(&self, store: &Path, moment: Moment) -> Duration {
        let mut state = self.lock();
        let slow = member(store)
            .and_then(|member| state.disks.get(member))
            .map_or(Duration::ZERO, |disk| disk.slow);
        let most = match moment {
            Moment::Before => 3_000 + slow.as_micros() as u64,
            Moment::After => 1_000,
        };
        Duration::from_micros(state.dice.of(0..most))
    }
}

impl Faults for Disks {
    fn at(&self, step: Step, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        let Some(disk) = member(path).and_then(|member| state.disks.get_mut(member)) else {
            return Ok(());
        };
        let error = match (disk.failing, step) {
            (Some(Failing::Write), Step::Commit) | (Some(Failing::Sync), Step::Committed | Step::Sync) => {
                io::Error::from_raw_os_error(5)
            }
            (Some(Failing::Full), Step::Commit | Step::WriteFile) => io::ErrorKind::StorageFull.into(),
            _ => return Ok(()),
        };
        disk.has_failed = true;
        Err(error)
    }
}
