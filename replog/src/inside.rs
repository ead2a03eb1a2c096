//! Ways into this crate for benches and fuzz targets. Not for use: no promise is made about it.

use crate::{
    identity, net,
    raft::config::{Command, Entry, Payload, Vote, log_id},
    store::{
        event_log,
        failure::Alarm,
        raft_log::{RaftLog, RaftLogOptions},
    },
    types::{Batch, Event, MemberId, Term},
};
use openraft::{
    RaftLogReader,
    entry::RaftEntry,
    storage::{RaftLogStorage, RaftLogStorageExt},
};
use seguro_event::EventNumber;
use std::{error::Error, path::Path};

/// What a Raft log holds: the vote's term, the last index purged, index and term of each entry.
pub type Contents = (Term, Option<u64>, Vec<(u64, Term)>);

/// A Raft log without a Raft.
#[derive(Debug)]
pub struct BareRaftLog {
    log: RaftLog,
    next: u64,
    event: EventNumber,
}

impl BareRaftLog {
    /// Opens or makes one in the directory `path`, which exists.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(path: &Path) -> Result<BareRaftLog, Box<dyn Error + Send + Sync>> {
        let log = RaftLog::open_in(path, MemberId(1), RaftLogOptions::new(Alarm::new()))?;
        Ok(BareRaftLog {
            log,
            next: 0,
            event: EventNumber::ZERO,
        })
    }

    /// Appends an entry that holds these jams as events, and waits until it is on disk.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn append(&mut self, jams: &[bytes::Bytes]) -> Result<(), Box<dyn Error + Send + Sync>> {
        let mut events = Vec::with_capacity(jams.len());
        for jam in jams {
            self.event = self.event.next();
            events.push(Event {
                number: self.event,
                mug: Default::default(),
                jam: jam.clone(),
            });
        }
        let command = Command::Events {
            proposer: Term(1),
            batch: Batch::new(events)?,
        };
        let entry = Entry::new(log_id(Term(1), self.next), Payload::Normal(command));
        self.next += 1;
        self.log.blocking_append([entry]).await?;
        Ok(())
    }

    /// Purges all but the newest `keep` entries.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn purge(&mut self, keep: u64) -> Result<(), Box<dyn Error + Send + Sync>> {
        if let Some(index) = self.next.checked_sub(keep + 1) {
            self.log.purge(log_id(Term(1), index)).await?;
        }
        Ok(())
    }

    /// Saves a vote for itself in `term`; it is on disk on return.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn vote(&mut self, term: Term) -> Result<(), Box<dyn Error + Send + Sync>> {
        Ok(self.log.save_vote(&Vote::new(term, MemberId(1))).await?)
    }

    /// Appends entries of `term`, each with one event of so many bytes, in one append, and waits until they are on disk.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn append_in(
        &mut self,
        term: Term,
        sizes: &[usize],
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        let mut entries = Vec::with_capacity(sizes.len());
        for size in sizes {
            let event = Event {
                number: EventNumber(self.next + 1),
                mug: Default::default(),
                jam: vec![self.next as u8; *size].into(),
            };
            let command = Command::Events {
                proposer: term,
                batch: Batch::new(vec![event])?,
            };
            entries.push(Entry::new(log_id(term, self.next), Payload::Normal(command)));
            self.next += 1;
        }
        Ok(self.log.blocking_append(entries).await?)
    }

    /// Takes away the entries after `last`, which is of `term`; done on disk on return.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn truncate_after(
        &mut self,
        term: Term,
        last: u64,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.log.truncate_after(Some(log_id(term, last))).await?;
        self.next = last + 1;
        Ok(())
    }

    /// Purges the entries up to `last`, which is of `term`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn purge_to(&mut self, term: Term, last: u64) -> Result<(), Box<dyn Error + Send + Sync>> {
        Ok(self.log.purge(log_id(term, last)).await?)
    }

    /// The term of the vote (0 for none), the last index purged, and index and term of each entry. Appends go on behind them.
    ///
    /// # Errors
    /// When the store fails, or is damaged.
    pub async fn contents(&mut self) -> Result<Contents, Box<dyn Error + Send + Sync>> {
        let mut reader = self.log.get_log_reader().await;
        let vote = reader.read_vote().await?;
        let state = self.log.get_log_state().await?;
        let entries = reader.try_get_log_entries(..).await?;
        self.next = state.last_log_id.map_or(0, |last| last.index + 1);
        Ok((
            vote.map_or(Term(0), |vote| vote.leader_id.term),
            state.last_purged_log_id.map(|purged| purged.index),
            entries
                .iter()
                .map(|entry| (entry.index(), entry.log_id().leader_id.term))
                .collect(),
        ))
    }

    /// Closes it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn close(self) -> Result<(), Box<dyn Error + Send + Sync>> {
        Ok(self.log.close().await?)
    }
}

/// Reads bytes as everything that the stores read from disk, for a fuzzer.
///
/// # Panics
/// When something is read that is not written back as the same bytes.
pub fn fuzz_stored(bytes: &[u8]) {
    event_log::fuzz(bytes);
    identity::fuzz(bytes);
}

/// Receives a snapshot into the empty directory `pier` as a script says, pieces of it in any order and some of them wrong,
/// for a fuzzer.
///
/// # Errors
/// When something else goes wrong than what was wrong with the pieces.
///
/// # Panics
/// When it is taken for complete and is not what was offered, or the other way round.
pub fn fuzz_snapshot(pier: &Path, script: &[u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
    Ok(event_log::fuzz_incoming(pier, script)?)
}

/// Reads bytes as what a peer may send, cut into reads of `size` bytes, for a fuzzer.
///
/// # Panics
/// When a cut makes a difference, or something is read that is not written back as the same bytes.
pub fn fuzz_peer(size: usize, bytes: &[u8]) {
    net::fuzz(size, bytes);
}
