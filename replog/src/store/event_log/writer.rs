//! The one thread that writes the event log: groups what was applied, syncs it, tells who waits for it.

use super::{
    AppendError, Durable, Shared,
    epoch::{Epoch, EpochError},
    hash::LogHash,
    recent::Group,
    seguro::Applied,
    transfer::CompleteEpoch,
};
use crate::{
    errors::RollError,
    limits::{
        EVENT_LOG_GROUP_BYTES, EVENT_LOG_LINGER, EVENT_LOG_PENDING_BYTES, HASH_MARK_EVERY, HASH_MARKS,
        READ_EVENTS,
    },
    simulated::{self, LOOK_EVERY, Moment},
    store::{
        failure::{FailureKind, StoreFailed},
        lock, read_lock, write_lock,
    },
};
use bytes::Bytes;
use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError};
use seguro_event::EventNumber;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering},
};
use tokio::{sync::oneshot, time::sleep};

/// What the writer is asked to do. An answer that nobody waits for is dropped.
#[derive(Debug)]
pub(super) enum Command {
    /// Look at what waits.
    Wake,
    /// Take in what did not come through Raft.
    Adopt {
        raft: Bytes,
        reply: oneshot::Sender<Result<LogHash, AppendError>>,
    },
    /// Begin an epoch.
    Roll {
        at: EventNumber,
        reply: oneshot::Sender<Result<(), RollError>>,
    },
    /// Drop old epochs.
    Chop {
        keep: usize,
        reply: oneshot::Sender<Result<Vec<EventNumber>, RollError>>,
    },
    /// Replace the log.
    Install {
        incoming: Box<CompleteEpoch>,
        reply: oneshot::Sender<Result<(), AppendError>>,
    },
    /// Write what waits, and end.
    Close {
        reply: oneshot::Sender<Result<(), StoreFailed>>,
    },
}

/// The writer's own state.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    commands: Receiver<Command>,
    /// What is on disk.
    pub(super) applied: Option<Applied>,
    /// The running hash that the next event continues.
    pub(super) hash: LogHash,
    scratch: Vec<u8>,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, commands: Receiver<Command>, applied: Option<Applied>) -> Writer {
        let start = lock(&shared.recent).last();
        let hash = applied
            .as_ref()
            .map_or(LogHash::starting_after(start), |applied| applied.hash);
        Writer {
            shared,
            commands,
            applied,
            hash,
            scratch: Vec::new(),
        }
    }

    /// The epoch that is written to.
    #[expect(
        clippy::expect_used,
        reason = "invariant: only the writer takes epochs away, and it has not failed"
    )]
    pub(super) fn current(&self) -> Arc<Epoch> {
        self.shared
            .current()
            .expect("the newest epoch is open while the writer runs")
    }

    /// As [`run`](Self::run); a panic in it is a failure of the store, so that nobody waits for it for ever.
    pub(super) fn run_guarded(self) {
        let shared = Arc::clone(&self.shared);
        if catch_unwind(AssertUnwindSafe(|| self.run())).is_err() {
            shared.health.fail(
                "writing",
                &"its thread has panicked, see the log",
                FailureKind::Io,
            );
            shared.room.close();
            shared.durable.send_modify(|durable| durable.ended = true);
        }
    }

    /// Works until it is closed, every handle is gone, or the store fails.
    fn run(mut self) {
        use std::time::Instant;
        let mut deadline = None;
        let closing = loop {
            let (dirty, due) = self.look(deadline.is_some_and(|deadline| Instant::now() >= deadline));
            if due {
                if self.write_group().is_err() {
                    break None;
                }
                deadline = None;
            } else if dirty && deadline.is_none() {
                deadline = Some(Instant::now() + EVENT_LOG_LINGER);
            }
            // Commands are not kept waiting by groups that keep coming.
            let received = match deadline {
                _ if due => self.commands.try_recv().map_err(|error| match error {
                    TryRecvError::Empty => RecvTimeoutError::Timeout,
                    TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
                }),
                Some(deadline) => self.commands.recv_deadline(deadline),
                None => self.commands.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match received {
                Ok(Command::Close { reply }) => break Some(reply),
                Ok(command) => self.obey(command),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break None,
            }
            if self.shared.health.check().is_err() {
                break None;
            }
        };
        self.finish(closing);
    }

    /// As [`run`](Self::run), on a simulated disk.
    pub(super) async fn run_simulated(mut self) {
        use tokio::time::Instant;
        let mut deadline = None;
        let closing = loop {
            let (dirty, due) = self.look(deadline.is_some_and(|deadline| Instant::now() >= deadline));
            if due {
                simulated::disk(self.shared.layout.log(), Moment::Before).await;
                if self.write_group().is_err() {
                    break None;
                }
                deadline = None;
            } else if dirty && deadline.is_none() {
                deadline = Some(Instant::now() + EVENT_LOG_LINGER);
            }
            match self.commands.try_recv() {
                Ok(Command::Wake) => self.obey(Command::Wake),
                Ok(command) => {
                    simulated::disk(self.shared.layout.log(), Moment::Before).await;
                    self.until_unread().await;
                    match command {
                        Command::Close { reply } => break Some(reply),
                        command => self.obey(command),
                    }
                }
                Err(TryRecvError::Empty) if due => {}
                Err(TryRecvError::Empty) => sleep(LOOK_EVERY).await,
                Err(TryRecvError::Disconnected) => break None,
            }
            if self.shared.health.check().is_err() {
                break None;
            }
        };
        self.until_unread().await;
        self.finish(closing);
    }

    /// Waits until no task has an epoch in its hands: closing one waits for them, and here they have but this thread.
    async fn until_unread(&self) {
        let read = || {
            let epochs = read_lock(&self.shared.epochs);
            epochs
                .values()
                .flatten()
                .any(|epoch| Arc::strong_count(epoch) > 1)
        };
        while read() {
            sleep(LOOK_EVERY).await;
        }
    }

    /// Writes what waits, closes, and tells who asked for it.
    fn finish(mut self, closing: Option<oneshot::Sender<Result<(), StoreFailed>>>) {
        let result = self.write_all();
        self.end();
        if let Some(reply) = closing {
            let _ = reply.send(result);
        }
    }

    /// Whether something waits for the disk, and whether it is to wait no more.
    fn look(&self, late: bool) -> (bool, bool) {
        let urgent = self.shared.urgent.load(Ordering::Acquire);
        let recent = lock(&self.shared.recent);
        (recent.is_dirty(), recent.is_due(urgent, late))
    }

    /// Does what is asked.
    fn obey(&mut self, command: Command) {
        match command {
            Command::Wake => self.shared.woken.store(false, Ordering::Release),
            Command::Adopt { raft, reply } => {
                let _ = reply.send(self.adopt(raft));
            }
            Command::Roll { at, reply } => {
                let _ = reply.send(self.roll(at));
            }
            Command::Chop { keep, reply } => {
                let _ = reply.send(self.chop(keep));
            }
            Command::Install { incoming, reply } => {
                let _ = reply.send(self.install(*incoming));
            }
            Command::Close { .. } => unreachable!("the loop ends with it"),
        }
    }

    /// Writes all that waits.
    pub(super) fn write_all(&mut self) -> Result<(), StoreFailed> {
        while self.write_group()? {}
        self.shared.health.check()
    }

    /// Writes the oldest of what waits; false when nothing does.
    fn write_group(&mut self) -> Result<bool, StoreFailed> {
        self.shared.health.check()?;
        let (group, last) = {
            let recent = lock(&self.shared.recent);
            (recent.group(EVENT_LOG_GROUP_BYTES), recent.durable())
        };
        let Some(group) = group else { return Ok(false) };
        let Group { events, raft, .. } = &group;
        let mut hash = self.hash;
        let mut marks = Vec::new();
        for event in events {
            hash.add(event);
            if event.number.0 % HASH_MARK_EVERY == 0 {
                marks.push(hash);
            }
        }
        let applied = Applied {
            hash,
            raft: raft.clone(),
        };
        let faults = &*self.shared.options.faults;
        self.current()
            .commit(last, events, &applied, &mut self.scratch, faults)
            .map_err(|error| {
                let what = format!("writing events {} to {}", last.next(), hash.at);
                self.shared.health.fail_heed(what, &error)
            })?;
        self.hash = hash;
        self.applied = Some(applied);
        self.mark(marks);
        lock(&self.shared.recent).settle(&group);
        self.shared.room.add_permits(group.permits);
        self.publish();
        Ok(true)
    }

    /// Remembers positions of the running hash.
    fn mark(&self, new: Vec<LogHash>) {
        let mut marks = lock(&self.shared.marks);
        marks.extend(new);
        let excess = marks.len().saturating_sub(HASH_MARKS);
        marks.drain(..excess);
    }

    /// Tells who waits what is on disk.
    pub(super) fn publish(&self) {
        let (event, settled) = {
            let recent = lock(&self.shared.recent);
            (recent.durable(), recent.settled())
        };
        let applied = self.applied.clone();
        self.shared.durable.send_replace(Durable {
            event,
            applied,
            settled,
            ended: false,
        });
    }

    /// Takes in what did not come through Raft.
    fn adopt(&mut self, raft: Bytes) -> Result<LogHash, AppendError> {
        self.write_all()?;
        let last = lock(&self.shared.recent).last();
        let (hash, base) = self.hash_through(last).map_err(|error| {
            self.shared
                .health
                .fail("reading the events to adopt", &error, error.kind())
        })?;
        let applied = Applied { hash, raft };
        let faults = &*self.shared.options.faults;
        let current = self.current();
        let write = || -> Result<(), heed::Error> {
            if let Some(base) = base {
                current.set_base(&base, faults)?;
            }
            current.commit(last, &[], &applied, &mut Vec::new(), faults)
        };
        write().map_err(|error| self.shared.health.fail_heed("recording the adoption", &error))?;
        self.hash = hash;
        self.applied = Some(applied);
        self.shared.adopted.store(true, Ordering::Release);
        self.publish();
        Ok(hash)
    }

    /// The running hash at `last`, and where the newest epoch begins if that is on the way. It continues from what is
    /// recorded where all events from there on are held; else it starts anew.
    fn hash_through(&self, last: EventNumber) -> Result<(LogHash, Option<LogHash>), EpochError> {
        let mut hash = match &self.applied {
            Some(applied) => applied.hash,
            None => return Ok((LogHash::starting_after(last), None)),
        };
        let start = self.current().start();
        let mut base = None;
        while hash.at < last {
            if hash.at == start {
                base = Some(hash);
            }
            let Some((epoch, end)) = self.shared.epoch_of(hash.at.next())? else {
                return Ok((LogHash::starting_after(last), None));
            };
            let (mut events, mut bytes) = (Vec::new(), 0);
            let limits = (READ_EVENTS, EVENT_LOG_GROUP_BYTES);
            epoch.read(hash.at.next(), last.min(end), limits, &mut bytes, &mut events)?;
            if events.is_empty() {
                // An older epoch that ends early: the history does not join up.
                return Ok((LogHash::starting_after(last), None));
            }
            events.iter().for_each(|event| hash.add(event));
        }
        if hash.at == start {
            base = Some(hash);
        }
        Ok((hash, base))
    }

    /// The log on disk has become another one, which ends with event `last`.
    pub(super) fn restart_at(&mut self, last: EventNumber, applied: Applied) {
        self.hash = applied.hash;
        self.applied = Some(applied);
        let freed = {
            let mut recent = lock(&self.shared.recent);
            let freed = recent.permits();
            recent.restart(last);
            freed
        };
        lock(&self.shared.marks).clear();
        self.shared.room.add_permits(freed);
        self.shared.adopted.store(true, Ordering::Release);
        self.publish();
    }

    /// Nothing more is written: who waits is told, and the environments are closed, once the last reader is done.
    fn end(self) {
        let shared = self.shared;
        shared.room.close();
        close_all(
            std::mem::take(&mut *write_lock(&shared.epochs))
                .into_values()
                .flatten(),
        );
        shared.durable.send_modify(|durable| durable.ended = true);
    }
}

/// Closes epochs' environments and waits until they are closed: until their last reader is done.
pub(super) fn close_all(epochs: impl IntoIterator<Item = Arc<Epoch>>) {
    for epoch in epochs {
        epoch.closing().wait();
    }
}

const _: () = assert!(
    EVENT_LOG_PENDING_BYTES / 1024 < u32::MAX as usize,
    "permits are counted in 32 bits"
);
