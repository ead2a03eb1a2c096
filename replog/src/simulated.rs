//! A member inside a deterministic simulation: where its connections, its disk's delays and its disk's failures come from.
//!
//! What is set for a thread with [`enter`] holds for every member that is opened on it, until the guard is dropped: the network
//! is the world's, and everything that has a thread of its own in the product (Raft, the stores' writers, reads that may block)
//! is done by tasks of the runtime that opened the member, so that one thread and one paused clock run a whole cluster. The stores
//! stay real files: what LMDB has committed is durable, what waits for it is lost when the member's runtime is dropped.
//!
//! The product never sets it, and no promise is made about it.

use crate::store::fault::NoFaults;
pub use crate::store::fault::{Faults, Step};
use crate::types::{Batch, Term};
use futures::future::BoxFuture;
use std::{
    cell::RefCell, fmt, io, marker::PhantomData, net::SocketAddr, path::Path, sync::Arc, time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::spawn_blocking,
};

/// A connection's bytes, both ways.
pub trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin + fmt::Debug {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin + fmt::Debug> Stream for T {}

/// Takes connections. Dropping the future loses none.
pub trait Listener: Send + Sync + fmt::Debug {
    /// The next connection, and who dialed.
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(Box<dyn Stream>, SocketAddr)>>;
}

/// When a disk takes its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Before a group is written and synced: a crash meanwhile loses it.
    Before,
    /// After it was synced, before anybody is told.
    After,
}

/// Defects that can be put in, each known to be one that the oracles must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// A vote is told before it is on disk, and is not there after a crash.
    VoteNotSynced,
    /// A truncation takes away 64 entries more on disk than it was asked to.
    TruncatedTooFar,
    /// The Raft log is purged up to what is applied, whether or not the event log has it on disk.
    PurgedTooEarly,
    /// Of two batches that are proposed shortly after each other the second goes first.
    BatchesReordered,
}

/// What a simulated member has in place of the machine.
pub trait World: fmt::Debug {
    /// Dials.
    fn dial(&self, address: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn Stream>>>;

    /// Takes connections at a member's own address.
    fn bind(&self, address: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn Listener>>>;

    /// How long the disk of the store in this directory takes now.
    fn disk(&self, store: &Path, moment: Moment) -> Duration;

    /// What makes steps of the disk fail.
    fn faults(&self) -> Arc<dyn Faults>;

    /// The defect put in, if any.
    fn defect(&self) -> Option<Defect> {
        None
    }
}

thread_local! {
    static WORLD: RefCell<Option<Arc<dyn World>>> = const { RefCell::new(None) };
}

/// While it lives, members of this thread live in a world.
#[derive(Debug)]
#[must_use = "the world ends when this is dropped"]
pub struct Entered(PhantomData<*const ()>);

impl Drop for Entered {
    fn drop(&mut self) {
        WORLD.set(None);
    }
}

/// Members opened on this thread live in `world` from now on.
pub fn enter(world: impl World + 'static) -> Entered {
    WORLD.set(Some(Arc::new(world)));
    Entered(PhantomData)
}

/// The world of this thread, in a simulation.
pub(crate) fn world() -> Option<Arc<dyn World>> {
    WORLD.with_borrow(Clone::clone)
}

/// Whether this thread belongs to a simulation.
pub(crate) fn is_on() -> bool {
    WORLD.with_borrow(Option::is_some)
}

/// Whether this defect has been put in.
pub(crate) fn has(defect: Defect) -> bool {
    WORLD.with_borrow(|world| world.as_ref().and_then(|world| world.defect()) == Some(defect))
}

/// What makes a store's steps fail: nothing, but in a simulation.
pub(crate) fn faults() -> Arc<dyn Faults> {
    world().map_or_else(|| Arc::new(NoFaults) as Arc<dyn Faults>, |world| world.faults())
}

/// The batches to propose now, in order: the one given, unless [`Defect::BatchesReordered`] holds it back behind the next.
pub(crate) fn order(proposer: Term, batch: Batch) -> Vec<Batch> {
    thread_local! {
        static HELD_BACK: RefCell<Option<(Term, Batch)>> = const { RefCell::new(None) };
    }
    let held = HELD_BACK.take().filter(|(term, _)| *term == proposer);
    match held {
        Some((_, earlier)) => vec![batch, earlier],
        None if batch.first().0.is_multiple_of(7) => {
            HELD_BACK.set(Some((proposer, batch)));
            Vec::new()
        }
        None => vec![batch],
    }
}

/// The disk of `store` takes its time.
pub(crate) async fn disk(store: &Path, moment: Moment) {
    let takes = world().map_or(Duration::ZERO, |world| world.disk(store, moment));
    if takes > Duration::ZERO {
        tokio::time::sleep(takes).await;
    }
}

/// How often a store's simulated writer looks for something to do.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Does what may block: on a thread for such work, in a simulation at once. None when the runtime ends.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    if is_on() {
        Some(work())
    } else {
        spawn_blocking(work).await.ok()
    }
}
