//! Ways into this crate for benches and fuzz targets. Not for use: no promise is made about it.

use crate::{
    identity, net,
    raft::config::{Command, Entry, Payload, log_id},
    store::{
        event_log,
        failure::Alarm,
        raft_log::{RaftLog, RaftLogOptions},
    },
    types::{Batch, Event, MemberId, Term},
};
use openraft::{entry::RaftEntry, storage::RaftLogStorageExt};
use seguro_event::EventNumber;
use std::{error::Error, path::Path};

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
        use openraft::storage::RaftLogStorage;
        if let Some(index) = self.next.checked_sub(keep + 1) {
            self.log.purge(log_id(Term(1), index)).await?;
        }
        Ok(())
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
