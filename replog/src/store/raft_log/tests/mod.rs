//! The Raft log as a whole, on real directories.

mod crash;
mod full;
mod life;
mod power;
mod suite;

use super::*;
use crate::{
    limits::{MIB, MIN_MAP_BYTES},
    raft::config::{Command as RaftCommand, Payload, log_id},
    types::{Batch, Event, Term},
};
use openraft::{RaftLogReader, storage::RaftLogStorageExt};
use seguro_event::{EventNumber, Mug};
use std::{ops::RangeBounds, time::Duration};
use tempfile::TempDir;

const MEMBER: MemberId = MemberId(0x5e9);

/// Small, so that copies of it are cheap, and nothing is kept in memory that is in the environment, which follows the journal only
/// when that is full.
fn options() -> RaftLogOptions {
    RaftLogOptions {
        map_bytes: MIN_MAP_BYTES,
        journal_bytes: 64 * 1024,
        journal_pause: Duration::from_secs(3600),
        cache_bytes: 0,
        ..RaftLogOptions::new(Alarm::new())
    }
}

fn new_log() -> (TempDir, RaftLog) {
    let dir = tempfile::tempdir().unwrap();
    let log = RaftLog::open_in(dir.path(), MEMBER, options()).unwrap();
    (dir, log)
}

fn open(dir: &TempDir) -> RaftLog {
    RaftLog::open_in(dir.path(), MEMBER, options()).unwrap()
}

/// An entry with one event of so many bytes; its own bytes tell term and index.
fn sized(term: u64, index: u64, bytes: usize) -> Entry {
    let jam: Vec<u8> = (0..bytes)
        .map(|i| (i as u64 + 7 * index + 13 * term) as u8)
        .collect();
    let event = Event {
        number: EventNumber(index + 1),
        mug: Mug(index as u32),
        jam: jam.into(),
    };
    let command = RaftCommand::Events {
        proposer: Term(term),
        batch: Batch::new(vec![event]).unwrap(),
    };
    Entry::new(log_id(Term(term), index), Payload::Normal(command))
}

fn entry(term: u64, index: u64) -> Entry {
    sized(term, index, 100)
}

fn entries(term: u64, range: std::ops::Range<u64>) -> Vec<Entry> {
    range.map(|index| entry(term, index)).collect()
}

async fn append(log: &mut RaftLog, entries: Vec<Entry>) {
    log.blocking_append(entries).await.unwrap();
}

async fn read(log: &RaftLog, range: impl RangeBounds<u64> + Clone + std::fmt::Debug + Send) -> Vec<Entry> {
    log.clone()
        .get_log_reader()
        .await
        .try_get_log_entries(range)
        .await
        .unwrap()
}

async fn ends(log: &RaftLog) -> (Option<LogId>, Option<LogId>) {
    let state = log.clone().get_log_state().await.unwrap();
    (state.last_purged_log_id, state.last_log_id)
}
