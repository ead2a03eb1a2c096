//! The simulation's times and sizes, with their reasons. Times are simulated ones, but for one.

use std::time::Duration;

/// A step of the simulation: tokio's clock ticks no finer.
pub(crate) const TICK: Duration = Duration::from_millis(1);

/// How long a step may take in real time: they take milliseconds, and machines are busy.
pub(crate) const STEP_PATIENCE: Duration = Duration::from_secs(60);

/// A cluster without faults is whole after this.
pub(crate) const FOUNDING: Duration = Duration::from_secs(20);

/// How long faults come.
pub(crate) const FAULTS: Duration = Duration::from_secs(15);

/// After the last fault a cluster agrees and commits again within this: connections that hang are noticed after 5 s, and dialed
/// again with pauses.
pub(crate) const HEALING: Duration = Duration::from_secs(45);

/// Events that must be committed after the healing.
pub(crate) const FRESH_EVENTS: u64 = 50;

/// Events that one office has proposed and not seen committed: enough for several batches to be under way.
pub(crate) const WINDOW: u64 = 48;

/// How often the logs are purged while that is the fault, in steps: often enough to come between two syncs of an event log.
pub(crate) const PURGE_EVERY: u64 = 100;

/// How often a member's status is looked at, in steps.
pub(crate) const STATUS_EVERY: u64 = 10;

/// When a serf's silence becomes a warning, an interrupt, an end: much sooner than in life, so that all of it comes in a run.
pub(crate) const SERF_DEADLINES: serf_ipc::Deadlines = serf_ipc::Deadlines {
    warn: Duration::from_millis(400),
    interrupt: Duration::from_millis(800),
    kill: Duration::from_millis(1_200),
};

/// How often a serf saves.
pub(crate) const SNAP_TIME: Duration = Duration::from_millis(1_500);

/// Address space of a simulated member's event log, bytes.
pub(crate) const MAP_BYTES: usize = 1 << 30;

/// Segments that a connection holds: a sender waits beyond.
pub(crate) const SEGMENTS: usize = 4096;

/// What a socket's buffer holds each way, bytes: a kernel's usual size.
pub(crate) const SOCKET_BYTES: usize = 256 * 1024;

/// Thousandths of everybody's time by which one member's monotonic clock may be off, slow or fast. A leader's lease is 375 ms of its
/// clock from when it spoke, those who heard it wait 500 ms of theirs: the lease holds while no clock runs 4/3 as fast as another. These are
/// just inside, and a run has slow clocks or fast ones.
pub(crate) const SLOWEST: i64 = -240;
/// See [`SLOWEST`].
pub(crate) const FASTEST: i64 = 320;
/// So many times more is far beyond what a lease allows, that oracles may be seen to notice: others stand for election only 800 ms of their
/// clocks after they have heard the leader.
pub(crate) const BEYOND: i64 = 8;
/// A clock that all but stands.
pub(crate) const STANDING: i64 = -900;

/// Who asks for a disk to be wiped sees that the others trail by no more entries than this: those of a moment, under load.
pub(crate) const NEAR: u64 = 64;

/// The members' port.
pub(crate) const PORT: u16 = 7000;
