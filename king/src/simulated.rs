//! What a simulation puts in the place of the world around a pier: its serf, its drivers, its date. It is found in the thread;
//! nothing but a simulation ever puts it there.

use crate::driver::{Driver, DriverContext};
use serf_ipc::ChildEvent;
use std::{cell::RefCell, path::Path};
use tokio::sync::mpsc;

/// A serf without a process.
pub trait SimulatedSerf: Send {
    /// Takes a frame, behind those given before.
    fn send(&mut self, frame: Vec<u8>);
    /// SIGINT.
    fn interrupt(&mut self);
    /// SIGKILL: says nothing more but its end.
    fn kill(&mut self);
}

/// Defects that can be put in, each known to be one that a simulation's oracles must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// What is proposed is taken for committed.
    ReleasedBeforeCommit,
    /// The serf saves whatever it has computed.
    SavedAheadOfCommit,
    /// An office gives out what it has, whether or not it is certain that it has not been deposed.
    StaleLeaderReleases,
    /// A serf that saw what may not happen goes on when the office is over.
    RollbackForgotten,
    /// A peek's answer does not wait for the commit of what it shows.
    PeekBeforeCommit,
}

/// The world around the piers of one thread.
pub trait World {
    /// Starts the serf of the pier in this directory, whose events go to `events`.
    fn spawn_serf(&self, pier: &Path, events: mpsc::Sender<ChildEvent>) -> Box<dyn SimulatedSerf>;
    /// The drivers of an office, by the context that each gets at its place in the list.
    fn drivers(&self, context: &dyn Fn(usize) -> DriverContext) -> Vec<Box<dyn Driver>>;
    /// The date (`@da`).
    fn date(&self) -> u128;
    /// The defect put in, if any.
    fn defect(&self) -> Option<Defect>;
}

thread_local! {
    static WORLD: RefCell<Option<Box<dyn World>>> = const { RefCell::new(None) };
}

/// Puts a world around the piers that run on this thread.
pub fn enter(world: Box<dyn World>) {
    WORLD.with(|slot| slot.replace(Some(world)));
}

/// Takes it away again.
pub fn leave() {
    WORLD.with(|slot| slot.replace(None));
}

/// Asks the world around this thread's piers, if they are simulated.
pub(crate) fn world<T>(ask: impl FnOnce(&dyn World) -> T) -> Option<T> {
    WORLD.with(|slot| slot.borrow().as_deref().map(ask))
}

/// Whether this defect has been put in.
pub(crate) fn has(defect: Defect) -> bool {
    world(|world| world.defect() == Some(defect)).unwrap_or(false)
}
