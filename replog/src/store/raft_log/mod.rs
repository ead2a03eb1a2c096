//! The Raft log: entries, the vote, what is committed and purged. The only thing that is synced per commit.
//!
//! `disk` is the environment, `journal` what makes a group durable before it gets there, `backlog` what is in the journal alone,
//! `writer` the one thread that writes both, `cache` the newest entries in memory, `reader` finds an entry there or in the environment.
//! This module is openraft's `RaftLogStorage` on top of them:
//!
//! - `append` puts entries into the cache, where readers find them at once, and tells openraft when they are on disk.
//! - `save_vote` and `truncate_after` are on disk when they return.
//! - `purge` takes effect at once for readers and is worked off on disk when nothing else is to be done.
//! - `save_committed` goes along with the next transaction: it saves work at a restart, and is not worth a sync of its own.

mod backlog;
mod cache;
mod disk;
mod journal;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub(crate) use disk::RaftLogError;
pub(crate) use reader::Reader;

use self::{
    cache::Cache,
    disk::Disk,
    writer::{Command, Writer},
};
use super::{
    failure::{
        Alarm, EXIT_CORRUPT, EXIT_FULL, EXIT_IO, FailureKind, Health, StoreFailed, StoreName, kind_of_heed,
        kind_of_io,
    },
    fault::Faults,
    files::{self, FileError},
    lmdb::{DATA_FILE, EnvError},
    lock,
};
use crate::{
    limits::{
        KIB, RAFT_JOURNAL_BYTES, RAFT_JOURNAL_PAUSE, RAFT_LOG_APPENDS, RAFT_LOG_CACHE_BYTES,
        RAFT_LOG_COMMANDS, RAFT_LOG_MAP_BYTES, RAFT_LOG_PENDING_BYTES,
    },
    pier_lock::PierLock,
    raft::{
        config::{Entry, LogId, TypeConfig, Vote},
        record,
    },
    simulated::{self, Defect},
    types::MemberId,
};
use crossbeam_channel::Sender;
use openraft::{
    OptionalSend,
    entry::RaftEntry,
    storage::{IOFlushed, LogState, RaftLogStorage},
};
use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};
use tokio::sync::{Semaphore, oneshot};

/// How a Raft log is opened.
#[derive(Clone, Debug)]
pub(crate) struct RaftLogOptions {
    /// LMDB map, bytes.
    pub(crate) map_bytes: usize,
    /// The journal of a new log, bytes.
    pub(crate) journal_bytes: usize,
    /// How long nothing is asked for before the environment follows the journal.
    pub(crate) journal_pause: Duration,
    /// Entries in the environment that are kept in memory, bytes.
    pub(crate) cache_bytes: usize,
    /// Told when the store fails.
    pub(crate) alarm: Alarm,
    /// Nothing, or what a test makes fail.
    pub(crate) faults: Arc<dyn Faults>,
}

impl RaftLogOptions {
    /// The product's.
    pub(crate) fn new(alarm: Alarm) -> RaftLogOptions {
        RaftLogOptions {
            map_bytes: RAFT_LOG_MAP_BYTES,
            journal_bytes: RAFT_JOURNAL_BYTES,
            journal_pause: RAFT_JOURNAL_PAUSE,
            cache_bytes: RAFT_LOG_CACHE_BYTES,
            alarm,
            faults: simulated::faults(),
        }
    }
}

/// The directory of a pier's Raft log, and of its identity file.
pub(crate) fn directory(pier: &Path) -> PathBuf {
    pier.join(".urb/raft")
}

/// Whether that directory holds a Raft log.
pub(crate) fn exists(directory: &Path) -> bool {
    files::holds(directory, DATA_FILE)
}

/// A member's Raft log, open. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct RaftLog {
    shared: Arc<Shared>,
    commands: Sender<Command>,
}

/// What the log, its readers and its writer share.
#[derive(Debug)]
struct Shared {
    health: Health,
    state: Mutex<State>,
    /// None when closed.
    disk: Mutex<Option<Arc<Disk>>>,
    /// Room for bytes that wait for the disk, in units of [`ROOM_UNIT`].
    room: Semaphore,
}

/// What the log is for who reads it. The disk follows.
#[derive(Debug)]
struct State {
    cache: Cache,
    /// The number of the last append.
    appends: u64,
    last: Option<LogId>,
    vote: Option<Vote>,
    committed: Option<LogId>,
    committed_written: bool,
    purged: Option<LogId>,
    purged_written: bool,
    /// The writer has been told of a purge and has not looked yet.
    purge_told: bool,
}

/// The least that an append takes of the room: so many fill both the room and the writer's channel.
const ROOM_UNIT: usize = RAFT_LOG_PENDING_BYTES / RAFT_LOG_APPENDS;

const _: () = assert!(
    ROOM_UNIT >= KIB,
    "the room is counted in units that mean something"
);

fn closed() -> io::Error {
    io::Error::other("the Raft log is closed")
}

impl RaftLogError {
    /// The process's exit code after this failure.
    pub(crate) fn exit_code(&self) -> u8 {
        let kind = match self {
            RaftLogError::Env(EnvError::File(FileError { source, .. })) => kind_of_io(source),
            RaftLogError::Env(EnvError::Lmdb { source, .. }) => kind_of_heed(source),
            _ => FailureKind::Corrupt,
        };
        match kind {
            FailureKind::Io => EXIT_IO,
            FailureKind::DiskFull | FailureKind::MapFull => EXIT_FULL,
            FailureKind::Corrupt => EXIT_CORRUPT,
        }
    }
}

impl RaftLog {
    /// Opens the Raft log of `member` in the pier, or makes it.
    ///
    /// # Errors
    /// When it is another member's, damaged, or cannot be read or written.
    pub(crate) fn open(
        pier: &PierLock,
        member: MemberId,
        options: RaftLogOptions,
    ) -> Result<RaftLog, RaftLogError> {
        files::create_dir(&pier.pier().join(".urb"), &*options.faults)?;
        RaftLog::open_in(&directory(pier.pier()), member, options)
    }

    /// As [`open`](Self::open), in a directory.
    pub(crate) fn open_in(
        path: &Path,
        member: MemberId,
        options: RaftLogOptions,
    ) -> Result<RaftLog, RaftLogError> {
        let RaftLogOptions {
            map_bytes,
            journal_bytes,
            journal_pause,
            cache_bytes,
            alarm,
            faults,
        } = options;
        let (disk, journal, found) = Disk::open(path, member, map_bytes, journal_bytes, faults)?;
        let disk = Arc::new(disk);
        let state = State {
            cache: Cache::new(found.first..found.end, found.purged.is_some(), cache_bytes),
            appends: 0,
            last: found.last,
            vote: found.vote,
            committed: found.committed,
            committed_written: true,
            purged: found.purged,
            purged_written: true,
            purge_told: false,
        };
        let shared = Arc::new(Shared {
            health: Health::new(StoreName::RaftLog, path, alarm),
            state: Mutex::new(state),
            disk: Mutex::new(Some(Arc::clone(&disk))),
            room: Semaphore::new(RAFT_LOG_APPENDS),
        });
        let (commands, receiver) = crossbeam_channel::bounded(RAFT_LOG_APPENDS + RAFT_LOG_COMMANDS);
        let writer = Writer::new(
            Arc::clone(&shared),
            disk,
            journal,
            journal_pause,
            receiver,
            found.end,
        );
        if simulated::is_on() {
            tokio::spawn(writer.run_simulated(path.to_path_buf()));
        } else {
            thread::Builder::new()
                .name("raft-log".to_owned())
                .spawn(move || writer.run_guarded())
                .map_err(|source| FileError {
                    what: "cannot start the thread for",
                    path: path.to_path_buf(),
                    source,
                })?;
        }
        Ok(RaftLog { shared, commands })
    }

    /// Bytes of its environment that are in use, beside the journal's; 0 when closed.
    pub(crate) fn used_bytes(&self) -> u64 {
        lock(&self.shared.disk)
            .as_ref()
            .map_or(0, |disk| disk.used_bytes())
    }

    /// Whether the log ends with the entry `last` or a later one, and that is on disk.
    ///
    /// # Errors
    /// When the store has failed or was closed.
    pub(crate) async fn reaches(&self, last: LogId) -> io::Result<bool> {
        let reaches = lock(&self.shared.state).last >= Some(last);
        if reaches {
            self.durably(|reply| Command::Settle { reply }).await?;
        }
        Ok(reaches)
    }

    /// Writes what waits, syncs, and closes. Other handles get errors from then on.
    ///
    /// # Errors
    /// When the last write fails, or one had failed before.
    pub(crate) async fn close(&self) -> Result<(), StoreFailed> {
        let (reply, answer) = oneshot::channel();
        if self.commands.send(Command::Close { reply }).is_ok()
            && let Ok(result) = answer.await
        {
            return result;
        }
        self.shared.health.check()
    }

    /// Why the writer did not answer.
    fn gone(&self) -> io::Error {
        self.shared
            .health
            .check()
            .err()
            .map_or_else(closed, io::Error::other)
    }

    /// Asks the writer for something that is on disk when this returns.
    async fn durably(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<(), StoreFailed>>) -> Command,
    ) -> Result<(), io::Error> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).map_err(|_| self.gone())?;
        match answer.await {
            Ok(result) => result.map_err(io::Error::other),
            Err(_) => Err(self.gone()),
        }
    }
}

impl RaftLogStorage<TypeConfig> for RaftLog {
    type LogReader = Reader;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, io::Error> {
        self.shared.health.check().map_err(io::Error::other)?;
        let state = lock(&self.shared.state);
        Ok(LogState {
            last_purged_log_id: state.purged,
            last_log_id: state.last,
        })
    }

    async fn get_log_reader(&mut self) -> Reader {
        Reader(Arc::clone(&self.shared))
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        if simulated::has(Defect::VoteNotSynced) {
            lock(&self.shared.state).vote = Some(*vote);
            return Ok(());
        }
        self.durably(|reply| Command::Vote { vote: *vote, reply }).await
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        self.shared.health.check().map_err(io::Error::other)?;
        let mut state = lock(&self.shared.state);
        if committed.is_some() && committed != state.committed {
            state.committed = committed;
            state.committed_written = false;
        }
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        self.shared.health.check().map_err(io::Error::other)?;
        Ok(lock(&self.shared.state).committed)
    }

    async fn append<I>(&mut self, entries: I, flushed: IOFlushed<TypeConfig>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        self.shared.health.check().map_err(io::Error::other)?;
        let entries: Vec<Entry> = entries.into_iter().collect();
        let sizes: Vec<usize> = entries.iter().map(record::length).collect();
        let bytes: usize = sizes.iter().sum();
        let permits = (bytes / ROOM_UNIT + 1).min(RAFT_LOG_APPENDS);
        match self.shared.room.acquire_many(permits as u32).await {
            Ok(taken) => taken.forget(),
            Err(_) => return Err(self.gone()),
        }
        let number = {
            let mut state = lock(&self.shared.state);
            state.appends += 1;
            let number = state.appends;
            for (entry, size) in entries.iter().zip(sizes) {
                let (index, last) = (entry.index(), entry.log_id());
                if let Err(expected) = state.cache.push(entry.clone(), size, number) {
                    let text = format!("entry {index} was appended to the Raft log where {expected} belongs");
                    return Err(io::Error::other(self.shared.health.fail(
                        "appending",
                        &text,
                        FailureKind::Corrupt,
                    )));
                }
                state.last = Some(last);
            }
            number
        };
        let command = Command::Append {
            entries,
            number,
            bytes,
            permits,
            flushed,
        };
        self.commands.send(command).map_err(|_| self.gone())
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        self.shared.health.check().map_err(io::Error::other)?;
        let end = last.map_or(0, |last| last.index + 1);
        {
            let mut state = lock(&self.shared.state);
            if end >= state.cache.end() {
                return Ok(());
            }
            state.cache.truncate(end);
            state.last = last.max(state.purged);
        }
        let end = if simulated::has(Defect::TruncatedTooFar) {
            end.saturating_sub(64)
        } else {
            end
        };
        self.durably(|reply| Command::Truncate { end, reply }).await
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), io::Error> {
        self.shared.health.check().map_err(io::Error::other)?;
        let tell = {
            let mut state = lock(&self.shared.state);
            if state.purged >= Some(upto) {
                return Ok(());
            }
            state.cache.purge(upto.index + 1);
            state.purged = Some(upto);
            state.purged_written = false;
            if state.cache.end() == upto.index + 1 {
                state.last = Some(upto);
            }
            !std::mem::replace(&mut state.purge_told, true)
        };
        if tell {
            self.commands.send(Command::Purge).map_err(|_| self.gone())
        } else {
            Ok(())
        }
    }
}
