//! The one thread that writes the Raft log. While one group of commands syncs, the next ones collect.
//!
//! What is asked for is done in the order of asking, votes and entries alike: the commands of a group are on disk together or not at
//! all, and groups follow one another. A group is a record of the journal; one that is too large for that, or meets a journal that is full,
//! goes into the environment, and all that the journal holds with it.

use super::{
    Shared,
    backlog::Backlog,
    disk::{Change, Disk},
    journal::{Journal, Operation, Record, Round},
};
use crate::{
    limits::{PURGE_SLICE, RAFT_LOG_GROUP_BYTES},
    raft::config::{Entry, LogId, TypeConfig, Vote},
    simulated::{self, LOOK_EVERY, Moment},
    store::{
        failure::{FailureKind, StoreFailed},
        lock,
    },
};
use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError};
use openraft::{entry::RaftEntry, storage::IOFlushed};
use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};
use tokio::sync::oneshot;

/// What the writer is asked to do.
pub(super) enum Command {
    /// Add entries.
    Append {
        entries: Vec<Entry>,
        /// The append's number.
        number: u64,
        bytes: usize,
        /// What it takes of the room.
        permits: usize,
        flushed: IOFlushed<TypeConfig>,
    },
    /// Record a vote.
    Vote { vote: Vote, reply: Reply },
    /// Take away the entries from `end` on.
    Truncate { end: u64, reply: Reply },
    /// Answer when all that was asked before is on disk.
    Settle { reply: Reply },
    /// Look at what is to be purged.
    Purge,
    /// Write what waits, and end.
    Close { reply: Reply },
}

type Reply = oneshot::Sender<Result<(), StoreFailed>>;

/// The writer's own state.
pub(super) struct Writer {
    shared: Arc<Shared>,
    disk: Arc<Disk>,
    journal: Journal,
    /// How long nothing is asked for before the environment follows.
    pause: Duration,
    /// What the journal holds and the environment does not.
    backlog: Backlog,
    /// The last append that is in the journal alone.
    unsettled: Option<u64>,
    commands: Receiver<Command>,
    /// The index after the last one on disk.
    end: u64,
    /// Entries below this index are purged and may be in the environment still.
    purging: Option<u64>,
    scratch: Vec<u8>,
}

/// What is written besides commands.
#[derive(Default)]
struct Besides {
    committed: Option<LogId>,
    purged: Option<LogId>,
}

/// Where a group went.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Written {
    Journal,
    Environment,
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        disk: Arc<Disk>,
        journal: Journal,
        pause: Duration,
        commands: Receiver<Command>,
        end: u64,
    ) -> Writer {
        Writer {
            shared,
            disk,
            journal,
            pause,
            backlog: Backlog::default(),
            unsettled: None,
            commands,
            end,
            purging: None,
            scratch: Vec::new(),
        }
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
        }
    }

    /// Works until it is closed, every handle is gone, or the store fails.
    fn run(mut self) {
        let mut group = Vec::new();
        let reply = loop {
            let first = self.wait();
            let (ending, idle) = self.collect(first, &mut group);
            let result = self.write(&mut group, idle, ending.is_some());
            match ending {
                Some(ending) => break ending,
                None if result.is_err() => break None,
                None => {}
            }
        };
        self.end(reply);
    }

    /// As [`run`](Self::run), on a simulated disk in `directory`.
    pub(super) async fn run_simulated(mut self, directory: PathBuf) {
        let mut group = Vec::new();
        let reply = loop {
            let mut waited = Duration::ZERO;
            while self.commands.is_empty()
                && Arc::strong_count(&self.shared) > 1
                && self.purging.is_none()
                && !(self.is_behind() && waited >= self.pause)
            {
                tokio::time::sleep(LOOK_EVERY).await;
                waited += LOOK_EVERY;
            }
            let (ending, idle) = self.collect(self.commands.try_recv(), &mut group);
            simulated::disk(&directory, Moment::Before).await;
            let result = self.write(&mut group, idle, ending.is_some());
            simulated::disk(&directory, Moment::After).await;
            match ending {
                Some(ending) => break ending,
                None if result.is_err() => break None,
                None => {}
            }
        };
        self.end(reply);
    }

    /// Whether there is something that the environment should have, and nobody waits for.
    fn is_behind(&self) -> bool {
        let besides = self.besides(self.end);
        !self.backlog.is_empty() || besides.committed.is_some() || besides.purged.is_some()
    }

    /// Waits for a command; where nobody asks for anything, until the environment is to be brought up to date.
    fn wait(&self) -> Result<Command, TryRecvError> {
        if self.purging.is_some() {
            self.commands.try_recv()
        } else if self.is_behind() {
            let waited = self.commands.recv_timeout(self.pause);
            waited.map_err(|error| match error {
                RecvTimeoutError::Timeout => TryRecvError::Empty,
                RecvTimeoutError::Disconnected => TryRecvError::Disconnected,
            })
        } else {
            self.commands.recv().map_err(|_| TryRecvError::Disconnected)
        }
    }

    /// Takes the commands that are there. The end, if that is asked for, and whom to tell; and whether there was none.
    #[expect(clippy::option_option, reason = "the end, and then whom to tell of it")]
    fn collect(
        &self,
        first: Result<Command, TryRecvError>,
        group: &mut Vec<Command>,
    ) -> (Option<Option<Reply>>, bool) {
        let idle = first.is_err();
        let mut bytes = 0;
        let mut next = first;
        loop {
            match next {
                Ok(Command::Close { reply }) => return (Some(Some(reply)), idle),
                // It has woken the writer; when nothing else is to be done is time enough.
                Ok(Command::Purge) => lock(&self.shared.state).purge_told = false,
                Ok(command) => {
                    if let Command::Append { bytes: more, .. } = &command {
                        bytes += more;
                    }
                    group.push(command);
                    if bytes >= RAFT_LOG_GROUP_BYTES {
                        return (None, idle);
                    }
                }
                Err(TryRecvError::Empty) => return (None, idle),
                Err(TryRecvError::Disconnected) => return (Some(None), idle),
            }
            next = self.commands.try_recv();
        }
    }

    /// Writes a group and tells everybody; brings the environment up to date where nothing else is to be done.
    fn write(&mut self, group: &mut Vec<Command>, idle: bool, ending: bool) -> Result<(), StoreFailed> {
        if !group.is_empty() {
            let written = self.write_group(group);
            let result = written.clone().map(|_| ());
            self.answer(group, written);
            result?;
        }
        // A log that is closed leaves an empty journal.
        if (idle || ending) && (self.purging.is_some() || self.is_behind()) {
            self.put(&[])?;
        }
        Ok(())
    }

    fn write_group(&mut self, group: &[Command]) -> Result<Written, StoreFailed> {
        let (mut entries, mut bytes, mut others) = (0, 0, 2);
        for command in group {
            match command {
                Command::Append {
                    entries: some,
                    bytes: more,
                    ..
                } => {
                    entries += some.len();
                    bytes += more;
                }
                _ => others += 1,
            }
        }
        if self.journal.takes(entries, bytes, others) {
            self.note(group).map(|()| Written::Journal)
        } else {
            self.put(group).map(|()| Written::Environment)
        }
    }

    /// Writes commands into the journal, and what else there is to write.
    fn note(&mut self, group: &[Command]) -> Result<(), StoreFailed> {
        self.shared.health.check()?;
        let end = group.iter().fold(self.end, end_after);
        let besides = self.besides(end);
        let mut record = self.journal.record();
        let write = || -> io::Result<()> {
            for command in group {
                note(&mut record, command)?;
            }
            if let Some(committed) = &besides.committed {
                record.committed(committed);
            }
            if let Some(purged) = &besides.purged {
                record.purged(purged);
            }
            if record.is_empty() { Ok(()) } else { record.write() }
        };
        write().map_err(|error| {
            let error = heed::Error::Io(error);
            self.shared.health.fail_heed(describe(group), &error)
        })?;
        self.end = end;
        if let Some(committed) = besides.committed {
            self.backlog.push(Operation::Committed(committed));
        }
        if let Some(purged) = besides.purged {
            self.backlog.push(Operation::Purged(purged));
        }
        self.written(&besides);
        Ok(())
    }

    /// Writes into the environment, in one transaction, what the journal holds, then commands, and what else there is to write.
    fn put(&mut self, group: &[Command]) -> Result<(), StoreFailed> {
        self.shared.health.check()?;
        let disk = Arc::clone(&self.disk);
        let end = group.iter().fold(self.end, end_after);
        let besides = self.besides(end);
        let purged = besides.purged.or(self.backlog.purged());
        let purging = purged.map(|purged| purged.index + 1).or(self.purging);
        let mut left = None;
        let mut write = || -> Result<Round, heed::Error> {
            let round = self.journal.round().next()?;
            let mut change = disk.change()?;
            self.backlog
                .put(&mut change, purged.as_ref(), &mut self.scratch)?;
            for command in group {
                put(&mut change, command, &mut self.scratch)?;
            }
            if let Some(committed) = &besides.committed {
                change.put_committed(committed)?;
            }
            if let Some(first) = purging {
                // As many as come, so that they never grow more; but a million at once would block.
                for _ in 0..=self.backlog.len() as u64 / PURGE_SLICE {
                    left = change.purge_slice(first)?;
                    if left.is_none() {
                        break;
                    }
                }
            }
            change.put_round(&round)?;
            change.commit()?;
            Ok(round)
        };
        let round = write().map_err(|error| self.shared.health.fail_heed(describe(group), &error))?;
        self.journal.begin_round(round);
        self.backlog = Backlog::default();
        self.end = end;
        self.purging = purging.filter(|_| left.is_some());
        self.written(&besides);
        if let Some(append) = self.unsettled.take() {
            lock(&self.shared.state).cache.settle(append);
        }
        Ok(())
    }

    /// What nobody waits for, and goes along: the committed index, where the log on disk ends behind it, and what is purged.
    fn besides(&self, end: u64) -> Besides {
        let state = lock(&self.shared.state);
        Besides {
            committed: state
                .committed
                .filter(|committed| !state.committed_written && committed.index < end),
            purged: state.purged.filter(|_| !state.purged_written),
        }
    }

    /// That is on disk.
    fn written(&self, besides: &Besides) {
        let mut state = lock(&self.shared.state);
        if besides.committed.is_some() && state.committed == besides.committed {
            state.committed_written = true;
        }
        if besides.purged.is_some() && state.purged == besides.purged {
            state.purged_written = true;
        }
    }

    /// Tells everybody how it went, and keeps what is in the journal alone.
    fn answer(&mut self, group: &mut Vec<Command>, result: Result<Written, StoreFailed>) {
        let journaled = result == Ok(Written::Journal);
        let result = result.map(|_| ());
        let mut appended = None;
        let mut room = 0;
        for command in group.drain(..) {
            match command {
                Command::Append {
                    entries,
                    number,
                    permits,
                    flushed,
                    ..
                } => {
                    flushed.io_completed(result.clone().map_err(io::Error::other));
                    appended = Some(number);
                    room += permits;
                    if journaled {
                        for entry in entries {
                            self.backlog.push(Operation::Append(entry));
                        }
                    }
                }
                Command::Vote { vote, reply } => {
                    if result.is_ok() {
                        lock(&self.shared.state).vote = Some(vote);
                    }
                    if journaled {
                        self.backlog.push(Operation::Vote(vote));
                    }
                    // Whoever asked may have gone.
                    let _ = reply.send(result.clone());
                }
                Command::Truncate { end, reply } => {
                    if journaled {
                        self.backlog.push(Operation::Truncate(end));
                    }
                    let _ = reply.send(result.clone());
                }
                Command::Settle { reply } | Command::Close { reply } => {
                    let _ = reply.send(result.clone());
                }
                Command::Purge => {}
            }
        }
        match appended {
            Some(append) if journaled => self.unsettled = Some(append),
            Some(append) if result.is_ok() => lock(&self.shared.state).cache.settle(append),
            _ => {}
        }
        self.shared.room.add_permits(room);
    }

    /// Nothing more is written: who asks is told so, and the file is closed, once the last reader is done.
    fn end(self, reply: Option<Reply>) {
        let result = self.shared.health.check();
        self.shared.room.close();
        lock(&self.shared.disk).take();
        let Writer {
            shared,
            disk,
            commands,
            ..
        } = self;
        Disk::close(disk);
        // Ends all later sends; those that came before are answered here.
        let mut late: Vec<_> = commands.try_iter().collect();
        drop(commands);
        for command in late.drain(..) {
            let closed = || {
                shared
                    .health
                    .check()
                    .err()
                    .map_or_else(super::closed, io::Error::other)
            };
            match command {
                Command::Append { flushed, .. } => flushed.io_completed(Err(closed())),
                Command::Vote { reply, .. }
                | Command::Truncate { reply, .. }
                | Command::Settle { reply }
                | Command::Close { reply } => {
                    // A closed store that is sound answers by going away.
                    if let Err(failure) = shared.health.check() {
                        let _ = reply.send(Err(failure));
                    }
                }
                Command::Purge => {}
            }
        }
        if let Some(reply) = reply {
            let _ = reply.send(result);
        }
    }
}

/// The log's end after a command.
fn end_after(end: u64, command: &Command) -> u64 {
    match command {
        Command::Append { entries, .. } => entries.last().map_or(end, |last| last.index() + 1),
        Command::Truncate { end: to, .. } => end.min(*to),
        _ => end,
    }
}

/// Adds one command to a record of the journal.
fn note(record: &mut Record<'_>, command: &Command) -> io::Result<()> {
    match command {
        Command::Append { entries, .. } => entries.iter().try_for_each(|entry| record.append(entry)),
        Command::Vote { vote, .. } => {
            record.vote(vote);
            Ok(())
        }
        Command::Truncate { end, .. } => {
            record.truncate(*end);
            Ok(())
        }
        Command::Settle { .. } | Command::Purge | Command::Close { .. } => Ok(()),
    }
}

/// Puts one command into the environment.
fn put(change: &mut Change<'_>, command: &Command, scratch: &mut Vec<u8>) -> Result<(), heed::Error> {
    match command {
        Command::Append { entries, .. } => entries.iter().try_for_each(|entry| change.append(entry, scratch)),
        Command::Vote { vote, .. } => change.put_vote(vote),
        Command::Truncate { end, .. } => change.truncate(*end),
        Command::Settle { .. } | Command::Purge | Command::Close { .. } => Ok(()),
    }
}

/// What a group was about.
fn describe(group: &[Command]) -> String {
    let part = |command: &Command| match command {
        Command::Append { entries, .. } => {
            let index = |entry: Option<&Entry>| entry.map_or(0, RaftEntry::index);
            format!(
                "writing entries {} to {}",
                index(entries.first()),
                index(entries.last())
            )
        }
        Command::Vote { vote, .. } => format!("writing the vote {vote}"),
        Command::Truncate { end, .. } => format!("truncating to entry {end}"),
        Command::Settle { .. } => "settling".to_owned(),
        Command::Purge | Command::Close { .. } => "purging".to_owned(),
    };
    match group {
        [] => "writing what the journal holds".to_owned(),
        [one] => part(one),
        [first, .., last] => format!("{}, up to {}", part(first), part(last)),
    }
}
