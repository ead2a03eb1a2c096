//! The event log: committed events, byte for byte as vere keeps them, below `.urb/log`.
//!
//! ```text
//! .urb/log/data.mdb            top-level environment, holds only META: version, who, fake, life
//! .urb/log/0i<N>/              epoch N: events N+1 and on
//!   data.mdb                   META as above; EVENTS: number (8 bytes, native endian) -> mug (4, little-endian), jam;
//!                              SEGURO, ours: how far Raft's log is applied (see `seguro`)
//!   epoc.txt, vere.txt         the layout's version, 1; the runtime that made it
//!   north.bin, south.bin       the serf's image at event N (not in epoch 0)
//! .urb/log/seguro-new-epoch/   an epoch that is being made: renamed when it is whole, swept at the next open if not
//! .urb/log/seguro-incoming/    an epoch that is being received (see `transfer`)
//! .urb/log/seguro-new-env/     the top-level environment while it is being made
//! .urb/log/seguro-dropped-*    an epoch that is being removed
//! .urb/log/seguro-bogus-*      an epoch that could not be used and was set aside
//! ```
//! vere looks only at the names that it knows.
//!
//! One thread writes ([`writer`]). `append` puts events into memory ([`recent`]), where `read` finds them at once; the
//! thread writes them in groups: a few times a second, or when enough bytes wait, or when somebody asks for it. That is safe
//! because the Raft log holds them until then.

mod epoch;
mod fuzz;
mod hash;
mod layout;
mod meta;
mod open;
mod recent;
mod roll;
mod seguro;
#[cfg(test)]
mod tests;
mod transfer;
mod value;
mod writer;

pub(crate) use fuzz::incoming as fuzz_incoming;
pub(crate) use hash::LogHash;
#[cfg(test)]
pub(crate) use open::{EventLogOpenError, Notice};
pub(crate) use open::{Foreign, Opened};
pub(crate) use seguro::Applied;
pub(crate) use transfer::{CompleteEpoch, EpochSnapshot, IncomingEpoch, IncomingError, SnapshotHead};

use self::{
    epoch::{Epoch, EpochError},
    layout::Layout,
    recent::Recent,
    writer::Command,
};
use super::{
    failure::{Alarm, FailureKind, Health, StoreFailed, StoreName, kind_of_heed, kind_of_io},
    fault::Faults,
    lmdb::EnvError,
    lock, read_lock, write_lock,
};
use crate::{
    errors::{ReadError, RollError},
    limits::{
        APPLIED_BYTES, EVENT_LOG_GROUP_BYTES, EVENT_LOG_PENDING_BYTES, KIB, MIN_MAP_BYTES, READ_EVENTS,
    },
    types::{Event, ShipIdentity},
};
use bytes::Bytes;
use crossbeam_channel::Sender;
use seguro_event::EventNumber;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};
use tokio::sync::{Semaphore, oneshot, watch};

/// How an event log is opened.
#[derive(Clone, Debug)]
pub(crate) struct EventLogOptions {
    /// LMDB map of the newest epoch, bytes.
    pub(crate) map_bytes: usize,
    /// What `vere.txt` of a new epoch says, e.g. `3.5`.
    pub(crate) vere_version: String,
    /// Told when the store fails.
    pub(crate) alarm: Alarm,
    /// Nothing, or what a test makes fail.
    pub(crate) faults: Arc<dyn Faults>,
}

/// What is on disk, synced.
#[derive(Clone, Debug)]
pub(crate) struct Durable {
    /// The last event.
    pub(crate) event: EventNumber,
    /// How far Raft's log is applied; None until the first append or adoption.
    pub(crate) applied: Option<Applied>,
    /// How many calls of `append` it holds.
    settled: u64,
    /// Nothing more will come: the store was closed, or has failed.
    ended: bool,
}

/// Why events could not be applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AppendError {
    /// An event is not the next one.
    #[error("event {found} was applied where {expected} belongs")]
    Gap {
        /// The event that belongs there.
        expected: EventNumber,
        /// The one given.
        found: EventNumber,
    },
    /// The log holds events of another runtime's that nobody has decided about.
    #[error("the event log holds events that did not come through Raft, and they have not been adopted")]
    NotAdopted,
    /// The store has failed.
    #[error(transparent)]
    Failed(#[from] StoreFailed),
    /// The store has been closed.
    #[error("the event log is closed")]
    Closed,
}

/// A ship's event log, open. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct EventLog {
    shared: Arc<Shared>,
    commands: Sender<Command>,
    /// One long command at a time: their channel never fills.
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// What the writer and the readers share.
#[derive(Debug)]
struct Shared {
    layout: Layout,
    options: EventLogOptions,
    ship: ShipIdentity,
    health: Health,
    recent: Mutex<Recent>,
    /// The epochs held; the newest one is always open, others once they have been read. Empty when closed.
    epochs: RwLock<BTreeMap<EventNumber, Option<Arc<Epoch>>>>,
    durable: watch::Sender<Durable>,
    /// The unit up to which somebody waits for the disk.
    urgent: AtomicU64,
    /// Room for pending bytes, in KiB.
    room: Semaphore,
    /// Epochs that a snapshot is being read from, and by how many.
    pins: Mutex<BTreeMap<EventNumber, usize>>,
    /// The running hash at the newest multiples of [`crate::limits::HASH_MARK_EVERY`].
    marks: Mutex<VecDeque<LogHash>>,
    /// Nothing in the log is of unknown origin.
    adopted: AtomicBool,
    /// A wake is on its way to the writer.
    woken: AtomicBool,
}

/// KiB that a unit of so many bytes takes of the room; one that is larger than the room takes it all.
fn permits(bytes: usize) -> usize {
    (bytes / KIB + 1).min(EVENT_LOG_PENDING_BYTES / KIB)
}

impl EventLog {
    /// Whose log it is.
    pub(crate) fn ship(&self) -> ShipIdentity {
        self.shared.ship
    }

    /// The last event applied; it may not be on disk yet.
    pub(crate) fn last(&self) -> EventNumber {
        lock(&self.shared.recent).last()
    }

    /// The raft layer's newest record that waits for the disk.
    pub(crate) fn newest_record(&self) -> Option<Bytes> {
        lock(&self.shared.recent).newest_record()
    }

    /// What is on disk.
    pub(crate) fn durable(&self) -> Durable {
        self.shared.durable.borrow().clone()
    }

    /// Sees what is on disk, as it comes to be.
    #[cfg(test)]
    pub(crate) fn watch_durable(&self) -> watch::Receiver<Durable> {
        self.shared.durable.subscribe()
    }

    /// The epochs held, oldest first.
    pub(crate) fn epochs(&self) -> Vec<EventNumber> {
        read_lock(&self.shared.epochs).keys().copied().collect()
    }

    /// The directory of epoch `n`, with its images.
    #[cfg(test)]
    pub(crate) fn epoch_dir(&self, n: EventNumber) -> std::path::PathBuf {
        self.shared.layout.epoch(n)
    }

    /// Bytes in use in the environments of all epochs that are open, and of the files of those that are not.
    pub(crate) fn used_bytes(&self) -> u64 {
        let epochs = read_lock(&self.shared.epochs);
        let file = |start: &EventNumber| {
            let path = self.shared.layout.epoch(*start).join(super::lmdb::DATA_FILE);
            std::fs::metadata(path).map_or(0, |data| data.len())
        };
        epochs
            .iter()
            .map(|(start, epoch)| epoch.as_ref().map_or_else(|| file(start), |e| e.used_bytes()))
            .sum()
    }

    /// The running hash at multiples of [`crate::limits::HASH_MARK_EVERY`], the newest ones, oldest first: what
    /// members compare.
    #[cfg_attr(not(test), expect(dead_code, reason = "members do not compare them yet"))]
    pub(crate) fn hash_marks(&self) -> Vec<LogHash> {
        lock(&self.shared.marks).iter().copied().collect()
    }

    /// Applies committed events, and records `raft` (the raft layer's log id and membership) with them: either both
    /// reach the disk or neither. On return `read` finds the events. Waits where too many bytes wait for the disk. Events
    /// may be empty, for an entry that holds none.
    ///
    /// # Errors
    /// When an event is not the next one, or the store has failed or was closed.
    pub(crate) async fn append(&self, events: &[Event], raft: Bytes) -> Result<(), AppendError> {
        let shared = &self.shared;
        if !shared.adopted.load(Ordering::Acquire) {
            return Err(AppendError::NotAdopted);
        }
        assert!(raft.len() <= APPLIED_BYTES, "the raft layer's record is small");
        let permits = permits(events.iter().map(value::length).sum());
        match shared.room.acquire_many(permits as u32).await {
            Ok(taken) => taken.forget(),
            Err(_) => return Err(shared.ended()),
        }
        let wake = {
            let mut recent = lock(&shared.recent);
            let was_dirty = recent.is_dirty();
            let expected = recent.last().next();
            if let Err(found) = recent.push(events, raft, permits) {
                shared.room.add_permits(permits);
                return Err(AppendError::Gap { expected, found });
            }
            !was_dirty || recent.pending_bytes() >= EVENT_LOG_GROUP_BYTES
        };
        if wake {
            self.wake();
        }
        Ok(())
    }

    /// Makes the writer look at what waits. At most one such command is under way, so that their channel has room.
    fn wake(&self) {
        if !self.shared.woken.swap(true, Ordering::AcqRel) {
            // An error means that the writer is gone; whoever waits for it sees that elsewhere.
            let _ = self.commands.try_send(Command::Wake);
        }
    }

    /// Events from `from` on: at most `max_events`, and at most `max_bytes` of values unless the first alone is larger.
    /// None when `from` is the event after the last. May read the disk: not for a thread that must not wait.
    ///
    /// # Errors
    /// When `from` is not held or not applied, or the store has failed, was closed, or is found damaged.
    pub(crate) fn read(
        &self,
        from: EventNumber,
        max_events: usize,
        max_bytes: usize,
    ) -> Result<Vec<Event>, ReadError> {
        self.shared.read(from, max_events, max_bytes)
    }

    /// As [`read`](Self::read), from memory alone: None when the disk would have to be read.
    pub(crate) fn read_recent(
        &self,
        from: EventNumber,
        max_events: usize,
        max_bytes: usize,
    ) -> Option<Vec<Event>> {
        self.shared.is_held(from).ok()?;
        let limits = (max_events.clamp(1, READ_EVENTS), max_bytes);
        let (mut out, mut bytes) = (Vec::new(), 0);
        let recent = lock(&self.shared.recent);
        let held = from <= recent.last().next() && recent.read(from, limits, &mut bytes, &mut out);
        held.then_some(out)
    }

    /// Waits until events up to `event` are on disk, synced.
    ///
    /// # Errors
    /// When `event` has not been applied, or the store has failed or was closed.
    pub(crate) async fn make_durable(&self, event: EventNumber) -> Result<(), ReadError> {
        if self.shared.durable.borrow().event >= event {
            return Ok(());
        }
        let (last, pushed) = {
            let recent = lock(&self.shared.recent);
            (recent.last(), recent.pushed())
        };
        if event > last {
            return Err(ReadError::NotCommitted {
                event,
                committed: last,
            });
        }
        self.wait_settled(pushed).await
    }

    /// Waits until all that has been appended is on disk, synced: also records that came without events.
    ///
    /// # Errors
    /// When the store has failed or was closed.
    pub(crate) async fn sync(&self) -> Result<(), ReadError> {
        let pushed = lock(&self.shared.recent).pushed();
        self.wait_settled(pushed).await
    }

    async fn wait_settled(&self, pushed: u64) -> Result<(), ReadError> {
        let mut durable = self.shared.durable.subscribe();
        self.shared.urgent.fetch_max(pushed, Ordering::AcqRel);
        self.wake();
        match durable.wait_for(|d| d.settled >= pushed || d.ended).await {
            Ok(d) if d.settled >= pushed => Ok(()),
            _ => Err(self.shared.unreadable()),
        }
    }

    /// Takes the events that did not come through Raft into its history: those that another runtime wrote meanwhile,
    /// or the whole log of a pier that is taken over. `raft` is recorded with them. Durable on return.
    ///
    /// # Errors
    /// When the store has failed, was closed, or is found damaged.
    pub(crate) async fn adopt(&self, raft: Bytes) -> Result<LogHash, AppendError> {
        self.command(|reply| Command::Adopt { raft, reply })
            .await
            .unwrap_or_else(|| Err(self.shared.ended()))
    }

    /// Begins a new epoch at `at`, which must be the log's last event and that of the image in `.urb/chk`, and copies the
    /// image there. Events may be applied meanwhile: they go into the new epoch. Nothing happens where there is one.
    ///
    /// # Errors
    /// When `at` is not the log's end, the image cannot be copied (the log is as it was), or the store has failed.
    pub(crate) async fn roll(&self, at: EventNumber) -> Result<(), RollError> {
        self.command(|reply| Command::Roll { at, reply })
            .await
            .unwrap_or_else(|| Err(roll_error(self.shared.unreadable())))
    }

    /// Drops all epochs but the newest `keep` (at least one stays), and but those that a snapshot is being read from and
    /// the ones after them. Returns the epochs dropped.
    ///
    /// # Errors
    /// When files cannot be removed, or the store has failed.
    pub(crate) async fn chop(&self, keep: usize) -> Result<Vec<EventNumber>, RollError> {
        self.command(|reply| Command::Chop { keep, reply })
            .await
            .unwrap_or_else(|| Err(roll_error(self.shared.unreadable())))
    }

    /// Replaces the log by an epoch that was received whole. What was applied and is not on disk is forgotten; the older
    /// epochs are dropped. Durable on return.
    ///
    /// # Errors
    /// When the store fails or has failed, or was closed. A failure in the middle is made good by the next open.
    pub(crate) async fn install(&self, incoming: transfer::CompleteEpoch) -> Result<(), AppendError> {
        self.command(|reply| Command::Install {
            incoming: Box::new(incoming),
            reply,
        })
        .await
        .unwrap_or_else(|| Err(self.shared.ended()))
    }

    /// Writes what waits, syncs, and closes. Other handles get errors from then on.
    ///
    /// # Errors
    /// When the last write fails, or one had failed before.
    pub(crate) async fn close(&self) -> Result<(), StoreFailed> {
        match self.command(|reply| Command::Close { reply }).await {
            Some(result) => result,
            None => self.shared.health.check(),
        }
    }

    /// Hands a long command to the writer and waits for its answer; None when the writer is gone.
    async fn command<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Option<T> {
        let _turn = self.turn.lock().await;
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).ok()?;
        answer.await.ok()
    }
}

fn roll_error(error: ReadError) -> RollError {
    match error {
        ReadError::Closed => RollError::Closed,
        other => RollError::Store(other.to_string()),
    }
}

impl Shared {
    /// Why nothing more can be applied.
    fn ended(&self) -> AppendError {
        match self.health.check() {
            Err(failure) => AppendError::Failed(failure),
            Ok(()) => AppendError::Closed,
        }
    }

    /// Why nothing more can be read or waited for.
    fn unreadable(&self) -> ReadError {
        match self.health.check() {
            Err(failure) => ReadError::Store(failure.to_string()),
            Ok(()) => ReadError::Closed,
        }
    }

    /// The newest epoch.
    fn current(&self) -> Option<Arc<Epoch>> {
        read_lock(&self.epochs)
            .last_key_value()
            .and_then(|(_, epoch)| epoch.clone())
    }

    /// The epoch that holds event `number`, and the last event that may be in it; opened if it is not. None when it is
    /// not held.
    fn epoch_of(&self, number: EventNumber) -> Result<Option<(Arc<Epoch>, EventNumber)>, EpochError> {
        loop {
            let (start, open, end) = {
                let epochs = read_lock(&self.epochs);
                let Some((start, open)) = epochs.range(..number).next_back() else {
                    return Ok(None);
                };
                let end = epochs
                    .range(number..)
                    .next()
                    .map_or(EventNumber(u64::MAX), |(next, _)| *next);
                (*start, open.clone(), end)
            };
            if let Some(epoch) = open {
                return Ok(Some((epoch, end)));
            }
            let mut epochs = write_lock(&self.epochs);
            if let Some(slot @ None) = epochs.get_mut(&start) {
                let path = self.layout.epoch(start);
                *slot = Some(Arc::new(Epoch::open(
                    start,
                    &path,
                    MIN_MAP_BYTES,
                    &*self.options.faults,
                )?));
            }
        }
    }

    /// Whether an event lies after the oldest epoch's beginning, and the log is open.
    fn is_held(&self, number: EventNumber) -> Result<(), ReadError> {
        match read_lock(&self.epochs).keys().next() {
            None => Err(self.unreadable()),
            Some(start) if number <= *start => Err(ReadError::Chopped {
                event: number,
                first: start.next(),
            }),
            Some(_) => Ok(()),
        }
    }

    fn read(&self, from: EventNumber, max_events: usize, max_bytes: usize) -> Result<Vec<Event>, ReadError> {
        self.health
            .check()
            .map_err(|failure| ReadError::Store(failure.to_string()))?;
        self.is_held(from)?;
        let limits = (max_events.clamp(1, READ_EVENTS), max_bytes);
        let (mut out, mut bytes) = (Vec::new(), 0);
        let mut next = from;
        loop {
            let base = {
                let recent = lock(&self.recent);
                if next > recent.last().next() {
                    return Err(ReadError::NotCommitted {
                        event: from,
                        committed: recent.last(),
                    });
                }
                if recent.read(next, limits, &mut bytes, &mut out) {
                    return Ok(out);
                }
                recent.base()
            };
            // What is not in memory is on disk.
            let found = self.epoch_of(next).map_err(|error| self.damaged(&error))?;
            let Some((epoch, end)) = found else {
                let first = read_lock(&self.epochs).keys().next().map(|start| start.next());
                return Err(first.map_or_else(
                    || self.unreadable(),
                    |first| ReadError::Chopped { event: next, first },
                ));
            };
            let to = base.min(end);
            let full = epoch
                .read(next, to, limits, &mut bytes, &mut out)
                .map_err(|error| self.damaged(&error))?;
            if full {
                return Ok(out);
            }
            let reached = out.last().map_or(from, |event| event.number.next());
            if reached <= to {
                let found = EventNumber(to.0 + 1);
                let path = epoch.path().to_path_buf();
                return Err(self.damaged(&EpochError::Gap {
                    path,
                    expected: reached,
                    found,
                }));
            }
            next = reached;
        }
    }

    /// The log on disk is not what it should be: the store is finished.
    fn damaged(&self, error: &EpochError) -> ReadError {
        ReadError::Store(
            self.health
                .fail("reading events", error, error.kind())
                .to_string(),
        )
    }
}

impl EpochError {
    /// What kind of failure it is.
    fn kind(&self) -> FailureKind {
        match self {
            EpochError::Env(EnvError::File(error)) => kind_of_io(&error.source),
            EpochError::Env(EnvError::Lmdb { source, .. }) => kind_of_heed(source),
            _ => FailureKind::Corrupt,
        }
    }
}

impl Health {
    /// The health of an event log.
    fn of_event_log(layout: &Layout, alarm: &Alarm) -> Health {
        Health::new(StoreName::EventLog, layout.log(), alarm.clone())
    }
}

/// Reads bytes as what an epoch holds: an event's value, our records, the head of a snapshot.
pub(crate) fn fuzz(bytes: &[u8]) {
    if let Ok(event) = value::read(EventNumber(1), bytes) {
        let mut again = Vec::new();
        assert!(
            value::write(&event, &mut again).is_ok() && again == bytes,
            "an event is written as it was read"
        );
    }
    seguro::fuzz(bytes);
    transfer::fuzz(bytes);
}
