//! The one thread that writes the Raft log. While one transaction syncs, the next ones' commands collect.
//!
//! What is asked for is done in the order of asking, votes and entries alike: commands that are in one transaction are on
//! disk together or not at all, and transactions follow one another.

use super::{
    Shared,
    disk::{Change, Disk},
};
use crate::{
    limits::{PURGE_BACKLOG, RAFT_LOG_GROUP_BYTES},
    raft::config::{Entry, LogId, TypeConfig, Vote},
    simulated::{self, LOOK_EVERY, Moment},
    store::{
        failure::{FailureKind, StoreFailed},
        lock,
    },
};
use crossbeam_channel::{Receiver, TryRecvError};
use openraft::{entry::RaftEntry, storage::IOFlushed};
use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::Arc,
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
    commands: Receiver<Command>,
    /// The index after the last one on disk.
    end: u64,
    /// Entries on disk below the second index are purged; the first is the oldest of them.
    purging: Option<(u64, u64)>,
    scratch: Vec<u8>,
}

/// What is written besides commands, and how far it got.
#[derive(Default)]
struct Besides {
    committed: Option<LogId>,
    purged: Option<LogId>,
    left: Option<Option<u64>>,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, disk: Arc<Disk>, commands: Receiver<Command>, end: u64) -> Writer {
        Writer {
            shared,
            disk,
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
            let ending = self.collect(&mut group);
            let result = self.write_if_due(&group);
            let failed = result.is_err();
            self.answer(&mut group, result);
            match ending {
                Some(ending) => break ending,
                None if failed => break None,
                None => {}
            }
        };
        self.end(reply);
    }

    /// As [`run`](Self::run), on a simulated disk in `directory`.
    pub(super) async fn run_simulated(mut self, directory: PathBuf) {
        let mut group = Vec::new();
        let reply = loop {
            while self.purging.is_none() && self.commands.is_empty() && Arc::strong_count(&self.shared) > 1 {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            let ending = self.collect(&mut group);
            simulated::disk(&directory, Moment::Before).await;
            let result = self.write_if_due(&group);
            simulated::disk(&directory, Moment::After).await;
            let failed = result.is_err();
            self.answer(&mut group, result);
            match ending {
                Some(ending) => break ending,
                None if failed => break None,
                None => {}
            }
        };
        self.end(reply);
    }

    fn write_if_due(&mut self, group: &[Command]) -> Result<(), StoreFailed> {
        if group.is_empty() && self.purging.is_none() && !self.has_besides() {
            Ok(())
        } else {
            self.write(group)
        }
    }

    /// Waits for commands, and takes those that are there. The end, if that is asked for, and whom to tell.
    #[expect(clippy::option_option, reason = "the end, and then whom to tell of it")]
    fn collect(&mut self, group: &mut Vec<Command>) -> Option<Option<Reply>> {
        // Nobody waits for a purge, so it is worked off when nothing else is to be done.
        let idle = self.purging.is_some();
        let mut bytes = 0;
        let mut next = if idle {
            self.commands.try_recv()
        } else {
            self.commands.recv().map_err(|_| TryRecvError::Disconnected)
        };
        loop {
            match next {
                Ok(Command::Close { reply }) => return Some(Some(reply)),
                Ok(command) => {
                    if let Command::Append { bytes: more, .. } = &command {
                        bytes += more;
                    }
                    group.push(command);
                    if bytes >= RAFT_LOG_GROUP_BYTES {
                        return None;
                    }
                }
                Err(TryRecvError::Empty) => return None,
                Err(TryRecvError::Disconnected) => return Some(None),
            }
            next = self.commands.try_recv();
        }
    }

    /// Writes commands in one transaction, and what else there is to write.
    fn write(&mut self, group: &[Command]) -> Result<(), StoreFailed> {
        self.shared.health.check()?;
        let disk = Arc::clone(&self.disk);
        let mut end = self.end;
        let mut besides = Besides::default();
        let mut write = || -> Result<(), heed::Error> {
            let mut change = disk.change()?;
            for command in group {
                end = put(&mut change, command, end, &mut self.scratch)?;
            }
            besides = self.put_besides(&mut change, group.is_empty(), end)?;
            change.commit()
        };
        write().map_err(|error| self.shared.health.fail_heed(describe(group), &error))?;
        self.end = end;
        if let Some(left) = besides.left {
            self.purging = self
                .purging
                .and_then(|(_, first)| left.map(|oldest| (oldest, first)));
        }
        let mut state = lock(&self.shared.state);
        if besides.committed.is_some() && state.committed == besides.committed {
            state.committed_written = true;
        }
        if besides.purged.is_some() && state.purged == besides.purged {
            state.purged_written = true;
        }
        Ok(())
    }

    /// What nobody waits for: the committed index, where the log on disk ends behind it; and purging, where nothing
    /// else is to be done or too much of it is.
    fn put_besides(&mut self, change: &mut Change<'_>, idle: bool, end: u64) -> Result<Besides, heed::Error> {
        let mut besides = Besides::default();
        {
            let mut state = lock(&self.shared.state);
            state.purge_told = false;
            if !state.committed_written {
                besides.committed = state.committed.filter(|committed| committed.index < end);
            }
            if !state.purged_written {
                besides.purged = state.purged;
            }
        }
        if let Some(committed) = &besides.committed {
            change.put_committed(committed)?;
        }
        let mut slice = idle;
        if let Some(purged) = &besides.purged {
            change.put_purged(purged)?;
            let first = purged.index + 1;
            let oldest = self.purging.map_or(0, |(oldest, _)| oldest);
            self.purging = Some((oldest, first));
            // The transaction has its price already.
            slice = true;
        }
        if let Some((oldest, first)) = self.purging
            && (slice || first - oldest > PURGE_BACKLOG)
        {
            besides.left = Some(change.purge_slice(first)?);
        }
        Ok(besides)
    }

    /// Tells everybody how it went.
    fn answer(&self, group: &mut Vec<Command>, result: Result<(), StoreFailed>) {
        let mut settled = None;
        let mut room = 0;
        for command in group.drain(..) {
            match command {
                Command::Append {
                    number,
                    permits,
                    flushed,
                    ..
                } => {
                    flushed.io_completed(result.clone().map_err(io::Error::other));
                    settled = Some(number);
                    room += permits;
                }
                Command::Vote { vote, reply } => {
                    if result.is_ok() {
                        lock(&self.shared.state).vote = Some(vote);
                    }
                    // Whoever asked may have gone.
                    let _ = reply.send(result.clone());
                }
                Command::Truncate { reply, .. } | Command::Settle { reply } | Command::Close { reply } => {
                    let _ = reply.send(result.clone());
                }
                Command::Purge => {}
            }
        }
        if let (Some(number), true) = (settled, result.is_ok()) {
            lock(&self.shared.state).cache.settle(number);
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

    fn has_besides(&self) -> bool {
        let state = lock(&self.shared.state);
        !state.committed_written || !state.purged_written
    }
}

/// Writes one command; returns the log's end after it.
fn put(
    change: &mut Change<'_>,
    command: &Command,
    end: u64,
    scratch: &mut Vec<u8>,
) -> Result<u64, heed::Error> {
    match command {
        Command::Append { entries, .. } => {
            for entry in entries {
                change.append(entry, scratch)?;
            }
            Ok(entries.last().map_or(end, |last| last.index() + 1))
        }
        Command::Vote { vote, .. } => change.put_vote(vote).map(|()| end),
        Command::Truncate { end: to, .. } => change.truncate(*to).map(|()| end.min(*to)),
        Command::Settle { .. } | Command::Purge | Command::Close { .. } => Ok(end),
    }
}

/// What a transaction was about.
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
        [] => "purging".to_owned(),
        [one] => part(one),
        [first, .., last] => format!("{}, up to {}", part(first), part(last)),
    }
}
