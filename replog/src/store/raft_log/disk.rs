//! The Raft log's file: what lies in which table, and each kind of change to it.
//!
//! ```text
//! .urb/raft/data.mdb
//!   ENTRIES   index (8 bytes, native endian) -> the entry's record (`raft::record`: version, term, index, body, crc)
//!   STATE     sealed (checksum and version): `log` -> the member's id (8), little-endian; `vote`, `committed`,
//!             `purged`, `journal` (the round whose records are not here yet) -> bincode
//! ```

use super::{
    backlog::Backlog,
    journal::{Journal, Round},
};
use crate::{
    limits::{PURGE_SLICE, PURGE_SLICE_BYTES},
    raft::{
        codec::{self, CodecError},
        config::{Entry, LogId, Vote},
        record::{self, RecordError},
    },
    store::{
        fault::{Faults, Step},
        files::{self, At, FileError},
        lmdb::{self, BytesTable, DATA_FILE, Env, EnvError, In, NumberTable},
        sealed::{self, SealError},
    },
    types::MemberId,
};
use bytes::Bytes;
use heed::{
    IntegerComparator, RoTxn, RwTxn,
    byteorder::NativeEndian,
    types::{Bytes as ByteSlice, DecodeIgnore, U64},
};
use openraft::entry::RaftEntry;
use serde::{Serialize, de::DeserializeOwned};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

const ENTRIES: &str = "ENTRIES";
const STATE: &str = "STATE";
const LOG: &str = "log";
const VOTE: &str = "vote";
const COMMITTED: &str = "committed";
const PURGED: &str = "purged";
const JOURNAL: &str = "journal";

/// Why a Raft log could not be opened or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RaftLogError {
    /// LMDB or the file system refuses.
    #[error(transparent)]
    Env(#[from] EnvError),
    /// It belongs to a member of another identity: it was copied, and both would vote.
    #[error(
        "{} belongs to member {found}, and this is member {expected}: a Raft log must not be copied between members. Let this \
         one join anew from an empty directory",
        path.display()
    )]
    Owner {
        /// The log's directory.
        path: PathBuf,
        /// Whose it is.
        found: MemberId,
        /// Who opens it.
        expected: MemberId,
    },
    /// A small record is damaged or too new.
    #[error("{}: the record `{key}` cannot be used: {why}. {ANEW}", path.display())]
    State {
        /// The log's directory.
        path: PathBuf,
        /// Its key.
        key: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The journal is damaged, or not the one that belongs to the environment.
    #[error("the journal {} cannot be used: {why}. {ANEW}", path.display())]
    Journal {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// An entry is damaged or too new.
    #[error("{}: entry {index} cannot be used: {source}. {ANEW}", path.display())]
    Entry {
        /// The log's directory.
        path: PathBuf,
        /// Its index.
        index: u64,
        /// What is wrong with it.
        #[source]
        source: RecordError,
    },
    /// An entry lies under another's index.
    #[error("{}: entry {found} lies at index {index}. {ANEW}", path.display())]
    Misplaced {
        /// The log's directory.
        path: PathBuf,
        /// Where it lies.
        index: u64,
        /// The index that it has.
        found: u64,
    },
    /// Entries are missing.
    #[error("{}: {count} entries from {first} to {last}: some are missing. {ANEW}", path.display())]
    Holes {
        /// The log's directory.
        path: PathBuf,
        /// How many there are.
        count: u64,
        /// The first that should be there.
        first: u64,
        /// The last one.
        last: u64,
    },
}

/// What is left to do with a damaged Raft log: the rest of the quorum has what it held.
const ANEW: &str =
    "If the cluster has a quorum without this member, let it join anew from an empty directory";

impl From<FileError> for RaftLogError {
    fn from(error: FileError) -> RaftLogError {
        RaftLogError::Env(error.into())
    }
}

impl From<(&Path, &'static str, SealError)> for RaftLogError {
    fn from((path, key, error): (&Path, &'static str, SealError)) -> RaftLogError {
        RaftLogError::State {
            path: path.to_path_buf(),
            key,
            why: error.to_string(),
        }
    }
}

impl From<(&Path, &'static str, CodecError)> for RaftLogError {
    fn from((path, key, error): (&Path, &'static str, CodecError)) -> RaftLogError {
        RaftLogError::State {
            path: path.to_path_buf(),
            key,
            why: error.to_string(),
        }
    }
}

/// What a Raft log holds beside its entries.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Found {
    pub(super) vote: Option<Vote>,
    pub(super) committed: Option<LogId>,
    pub(super) purged: Option<LogId>,
    /// The last entry's, or what was purged where there is none.
    pub(super) last: Option<LogId>,
    /// The first index that is not purged.
    pub(super) first: u64,
    /// The index after the last one.
    pub(super) end: u64,
}

/// An open Raft log's file.
#[derive(Debug)]
pub(super) struct Disk {
    path: PathBuf,
    env: Env,
    entries: NumberTable,
    state: BytesTable,
    faults: Arc<dyn Faults>,
}

impl Disk {
    /// Opens the Raft log of `member` in the directory `path`, or makes it, with a journal of so many bytes. What the journal
    /// holds is in the environment then.
    pub(super) fn open(
        path: &Path,
        member: MemberId,
        map_bytes: usize,
        journal_bytes: usize,
        faults: Arc<dyn Faults>,
    ) -> Result<(Disk, Journal, Found), RaftLogError> {
        files::create_dir(path, &*faults)?;
        lmdb::sweep(path, &*faults)?;
        if !files::holds(path, DATA_FILE) {
            let round = Journal::make(path, journal_bytes, &*faults)?;
            lmdb::create_env(path, &*faults, |env, stage| {
                fill(stage, env, member, round, &*faults)
            })?;
        }
        let (env, lacking) = lmdb::open_env_filled_up(path, map_bytes, &*faults)?;
        let disk = match (Disk::of(env, path, faults, lacking.is_some()), lacking) {
            (Err(_), Some(cut)) => return Err(cut.into()),
            (disk, _) => disk?,
        };
        disk.check_owner(member)?;
        let round = disk.round(journal_bytes)?;
        let (mut journal, operations) = Journal::open(path, round, Arc::clone(&disk.faults))?;
        let mut backlog = Backlog::default();
        operations
            .into_iter()
            .for_each(|operation| backlog.push(operation));
        if !backlog.is_empty() {
            disk.put_backlog(&backlog, &mut journal).within(path)?;
        }
        disk.finish_purge()?;
        let found = disk.find()?;
        Ok((disk, journal, found))
    }

    /// The journal's round; a log that was made by a version without a journal gets one.
    fn round(&self, journal_bytes: usize) -> Result<Round, RaftLogError> {
        let txn = self.env.read_txn().within(&self.path)?;
        if let Some(round) = self.get(&txn, JOURNAL)? {
            return Ok(round);
        }
        drop(txn);
        let round = Journal::make(&self.path, journal_bytes, &*self.faults)?;
        let mut change = self.change().within(&self.path)?;
        change.put_round(&round).within(&self.path)?;
        change.commit().within(&self.path)?;
        Ok(round)
    }

    /// Puts into the environment what a journal holds, which begins its next round.
    fn put_backlog(&self, backlog: &Backlog, journal: &mut Journal) -> Result<(), heed::Error> {
        let round = journal.round().next()?;
        let mut change = self.change()?;
        backlog.put(&mut change, backlog.purged().as_ref(), &mut Vec::new())?;
        change.put_round(&round)?;
        change.commit()?;
        journal.begin_round(round);
        Ok(())
    }

    /// Takes away what is purged and still there: a purge was interrupted.
    fn finish_purge(&self) -> Result<(), RaftLogError> {
        let txn = self.env.read_txn().within(&self.path)?;
        let purged: Option<LogId> = self.get(&txn, PURGED)?;
        let oldest = self
            .entries
            .remap_data_type::<DecodeIgnore>()
            .first(&txn)
            .within(&self.path)?;
        drop(txn);
        let first = purged.map_or(0, |purged| purged.index + 1);
        let mut left = oldest.is_some_and(|(oldest, ())| oldest < first);
        while left {
            let mut change = self.change().within(&self.path)?;
            left = change.purge_slice(first).within(&self.path)?.is_some();
            change.commit().within(&self.path)?;
        }
        Ok(())
    }

    /// The log in an environment, of which everything is read if that is asked for.
    fn of(env: Env, path: &Path, faults: Arc<dyn Faults>, read_all: bool) -> Result<Disk, RaftLogError> {
        let txn = env.read_txn().within(path)?;
        let entries = entries_options(&env).open(&txn).within(path)?;
        let state = env.open_database(&txn, Some(STATE)).within(path)?;
        txn.commit().within(path)?;
        let (Some(entries), Some(state)) = (entries, state) else {
            return Err((path, LOG, SealError::Damaged).into());
        };
        let disk = Disk {
            path: path.to_path_buf(),
            env,
            entries,
            state,
            faults,
        };
        if read_all {
            disk.check_all()?;
        }
        Ok(disk)
    }

    /// Reads everything that is there.
    fn check_all(&self) -> Result<(), RaftLogError> {
        let txn = self.env.read_txn().within(&self.path)?;
        for record in self.state.iter(&txn).within(&self.path)? {
            record.within(&self.path)?;
        }
        for record in self.entries.iter(&txn).within(&self.path)? {
            let (index, record) = record.within(&self.path)?;
            self.decode(index, record)?;
        }
        Ok(())
    }

    /// Checks that the log is this member's.
    fn check_owner(&self, member: MemberId) -> Result<(), RaftLogError> {
        let path = &*self.path;
        let txn = self.env.read_txn().within(path)?;
        let owner = self
            .sealed(&txn, LOG)?
            .and_then(|body| body.try_into().ok())
            .map(u64::from_le_bytes);
        match owner {
            Some(owner) if owner == member.0 => Ok(()),
            Some(owner) => Err(RaftLogError::Owner {
                path: path.to_path_buf(),
                found: MemberId(owner),
                expected: member,
            }),
            None => Err((path, LOG, SealError::Damaged).into()),
        }
    }

    /// What is there; checks that no entry is missing.
    fn find(&self) -> Result<Found, RaftLogError> {
        let path = &*self.path;
        let txn = self.env.read_txn().within(path)?;
        let purged: Option<LogId> = self.get(&txn, PURGED)?;
        let first = purged.map_or(0, |purged| purged.index + 1);
        let keys = self.entries.remap_data_type::<DecodeIgnore>();
        let oldest = keys.first(&txn).within(path)?.map(|(index, ())| index);
        let newest = keys.last(&txn).within(path)?.map(|(index, ())| index);
        let mut found = Found {
            vote: self.get(&txn, VOTE)?,
            committed: self.get(&txn, COMMITTED)?,
            purged,
            last: purged,
            first,
            end: first,
        };
        if let (Some(oldest), Some(newest)) = (oldest, newest)
            && newest >= first
        {
            // Where nothing was purged the log may begin anywhere.
            found.first = if purged.is_some() { first } else { oldest };
            let count = self.entries.len(&txn).within(path)?;
            if oldest > found.first || count != newest + 1 - oldest {
                let (path, first) = (path.to_path_buf(), found.first);
                return Err(RaftLogError::Holes {
                    path,
                    count,
                    first,
                    last: newest,
                });
            }
            found.end = newest + 1;
            found.last = self.entry(&txn, newest)?.map(|entry| entry.log_id());
        }
        Ok(found)
    }

    fn sealed<'t>(&self, txn: &'t RoTxn<'_>, key: &'static str) -> Result<Option<&'t [u8]>, RaftLogError> {
        let record = self.state.get(txn, key.as_bytes()).within(&self.path)?;
        record
            .map(sealed::unseal)
            .transpose()
            .map_err(|error| (&*self.path, key, error).into())
    }

    fn get<T: DeserializeOwned>(
        &self,
        txn: &RoTxn<'_>,
        key: &'static str,
    ) -> Result<Option<T>, RaftLogError> {
        let body = self.sealed(txn, key)?;
        body.map(|body| codec::decode(key, body))
            .transpose()
            .map_err(|error| (&*self.path, key, error).into())
    }

    fn entry(&self, txn: &RoTxn<'_>, index: u64) -> Result<Option<Entry>, RaftLogError> {
        let record = self.entries.get(txn, &index).within(&self.path)?;
        record.map(|record| self.decode(index, record)).transpose()
    }

    fn decode(&self, index: u64, bytes: &[u8]) -> Result<Entry, RaftLogError> {
        let path = || self.path.clone();
        let entry = record::decode(Bytes::copy_from_slice(bytes)).map_err(|source| RaftLogError::Entry {
            path: path(),
            index,
            source,
        })?;
        match entry.index() {
            found if found == index => Ok(entry),
            found => Err(RaftLogError::Misplaced {
                path: path(),
                index,
                found,
            }),
        }
    }

    /// Entries of `range` in order, until there is none, or more would exceed `max_bytes` (one always comes).
    pub(super) fn read(
        &self,
        range: std::ops::Range<u64>,
        max_bytes: usize,
    ) -> Result<Vec<Entry>, RaftLogError> {
        let txn = self.env.read_txn().within(&self.path)?;
        let (mut out, mut bytes) = (Vec::new(), 0);
        for item in self.entries.range(&txn, &range).within(&self.path)? {
            let (index, record) = item.within(&self.path)?;
            if index != range.start + out.len() as u64
                || (!out.is_empty() && bytes + record.len() > max_bytes)
            {
                break;
            }
            bytes += record.len();
            out.push(self.decode(index, record)?);
        }
        Ok(out)
    }

    /// Bytes of its file that are in use.
    pub(super) fn used_bytes(&self) -> u64 {
        lmdb::used_bytes(&self.env)
    }

    /// Closes it, and waits until its last reader is done.
    pub(super) fn close(disk: Arc<Disk>) {
        let env = disk.env.clone();
        drop(disk);
        lmdb::close_env(env);
    }

    /// Begins a change; nothing of it is seen or kept before [`Change::commit`].
    pub(super) fn change(&self) -> Result<Change<'_>, heed::Error> {
        self.faults.at(Step::Begin, &self.path).map_err(heed::Error::Io)?;
        Ok(Change {
            disk: self,
            txn: self.env.write_txn()?,
        })
    }
}

/// Changes that reach the disk together.
pub(super) struct Change<'d> {
    disk: &'d Disk,
    txn: RwTxn<'d>,
}

impl Change<'_> {
    /// Adds an entry behind the last.
    pub(super) fn append(&mut self, entry: &Entry, scratch: &mut Vec<u8>) -> Result<(), heed::Error> {
        let length = record::length(entry);
        lmdb::append(
            self.disk.entries,
            &mut self.txn,
            entry.index(),
            length,
            scratch,
            |mut out| record::write(entry, &mut out),
        )
    }

    /// Takes away the entries from `end` on.
    pub(super) fn truncate(&mut self, end: u64) -> Result<(), heed::Error> {
        self.disk
            .entries
            .delete_range(&mut self.txn, &(end..))
            .map(|_| ())
    }

    /// Takes away a slice of the entries before `first`, oldest first. Returns the oldest one that is left.
    pub(super) fn purge_slice(&mut self, first: u64) -> Result<Option<u64>, heed::Error> {
        let (mut bytes, mut count, mut end, mut left) = (0, 0, 0, None);
        for item in self.disk.entries.range(&self.txn, &(..first))? {
            let (index, record) = item?;
            if count == PURGE_SLICE || (count > 0 && bytes + record.len() > PURGE_SLICE_BYTES) {
                left = Some(index);
                break;
            }
            count += 1;
            bytes += record.len();
            end = index + 1;
        }
        if count > 0 {
            self.disk.entries.delete_range(&mut self.txn, &(..end))?;
        }
        Ok(left)
    }

    fn put(&mut self, key: &'static str, value: &impl Serialize) -> Result<(), heed::Error> {
        self.disk.state.put(
            &mut self.txn,
            key.as_bytes(),
            &sealed::seal(&codec::encode(value)),
        )
    }

    pub(super) fn put_vote(&mut self, vote: &Vote) -> Result<(), heed::Error> {
        self.put(VOTE, vote)
    }

    pub(super) fn put_committed(&mut self, committed: &LogId) -> Result<(), heed::Error> {
        self.put(COMMITTED, committed)
    }

    pub(super) fn put_purged(&mut self, purged: &LogId) -> Result<(), heed::Error> {
        self.put(PURGED, purged)
    }

    /// The journal's next round: what the one before holds is a part of this change.
    pub(super) fn put_round(&mut self, round: &Round) -> Result<(), heed::Error> {
        self.put(JOURNAL, round)
    }

    /// Writes and syncs.
    pub(super) fn commit(self) -> Result<(), heed::Error> {
        let Disk { faults, path, .. } = self.disk;
        faults.at(Step::Commit, path).map_err(heed::Error::Io)?;
        self.txn.commit()?;
        faults.at(Step::Committed, path).map_err(heed::Error::Io)
    }
}

fn entries_options(
    env: &Env,
) -> heed::DatabaseOpenOptions<'_, '_, heed::WithoutTls, U64<NativeEndian>, ByteSlice, IntegerComparator> {
    let mut options = env
        .database_options()
        .types::<U64<NativeEndian>, ByteSlice>()
        .key_comparator::<IntegerComparator>();
    options.name(ENTRIES);
    options
}

/// Makes the tables of a new log.
fn fill(
    path: &Path,
    env: &Env,
    member: MemberId,
    round: Round,
    faults: &dyn Faults,
) -> Result<(), RaftLogError> {
    faults.at(Step::Begin, path).at("cannot write", path)?;
    let mut txn = env.write_txn().within(path)?;
    entries_options(env).create(&mut txn).within(path)?;
    let state: BytesTable = env.create_database(&mut txn, Some(STATE)).within(path)?;
    for (key, body) in [
        (LOG, member.0.to_le_bytes().to_vec()),
        (JOURNAL, codec::encode(&round)),
    ] {
        state
            .put(&mut txn, key.as_bytes(), &sealed::seal(&body))
            .within(path)?;
    }
    faults.at(Step::Commit, path).at("cannot write", path)?;
    Ok(txn.commit().within(path)?)
}
