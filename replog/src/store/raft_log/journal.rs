//! The journal: one write and one sync make a group durable, where a transaction of LMDB's needs two of each.
//!
//! A file of fixed size, written full of zeros when it is made, so that a sync records nothing but the bytes. It is filled with records
//! from its beginning: a *round*. When it is full, or nothing else is to be done, what it holds goes into the environment in
//! one transaction, together with the next round's salt; that round begins at the beginning again, and records with another salt
//! are not seen. What the environment lacks after a crash is read from here when the log is opened.
//!
//! ```text
//! .urb/raft/journal: records one after another, each at a multiple of 4096 bytes, so that writing one touches no other
//! offset size
//!      0    4  crc32c of all that follows, to the end of the body
//!      4    4  version of this layout, 1
//!      8    8  the round's salt, random
//!     16    8  the record's number in its round, from 0
//!     24    4  bytes of the body
//!     28    4  zero
//!     32       body: operations, each its kind (1), zero (3), its length (4) and so many bytes:
//!              1 an entry's record (`raft::record`); 2 the vote, 4 what is committed, 5 what is purged (`raft::codec`);
//!              3 the index from which entries are taken away (8)
//! ```
//! All integers are little-endian. A record is written when the one before it is synced: the round ends at the first one that is
//! not whole, unless a later one is, which is damage.

use super::disk::RaftLogError;
use crate::{
    limits::{KIB, RAFT_JOURNAL_RECORD_BYTES},
    raft::{
        codec,
        config::{Entry, LogId, Vote},
        record,
    },
    store::{
        fault::{Faults, Step},
        files::{self, At, FileError},
    },
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The journal's name in the log's directory.
pub(super) const FILE: &str = "journal";

const VERSION: u32 = 1;
const HEAD: usize = 32;
/// Bytes before an operation's own.
const OPERATION_HEAD: usize = 8;
/// Where records begin: at multiples of what a file system writes at a time.
const BLOCK: usize = 4 * KIB;

const ENTRY: u8 = 1;
const VOTE: u8 = 2;
const TRUNCATE: u8 = 3;
const COMMITTED: u8 = 4;
const PURGED: u8 = 5;

/// More than any operation but an entry takes.
const SMALL_OPERATION: usize = 64;

/// A round: what the environment remembers of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Round {
    /// Whose records count. Random, so that nobody can put bytes into an event that look like a record of ours.
    salt: u64,
    /// The file's length, bytes.
    bytes: u64,
}

impl Round {
    /// The next one.
    pub(super) fn next(self) -> io::Result<Round> {
        Round::new(self.bytes)
    }

    fn new(bytes: u64) -> io::Result<Round> {
        let mut salt = [0; 8];
        getrandom::fill(&mut salt).map_err(|error| io::Error::other(error.to_string()))?;
        Ok(Round {
            salt: u64::from_le_bytes(salt),
            bytes,
        })
    }
}

/// What a record holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Operation {
    /// An entry behind the last.
    Append(Entry),
    /// The vote.
    Vote(Vote),
    /// The entries from this index on go.
    Truncate(u64),
    /// What is known to be committed.
    Committed(LogId),
    /// What is purged.
    Purged(LogId),
}

/// An open journal.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    path: PathBuf,
    round: Round,
    /// Where the next record begins, and its number.
    at: usize,
    number: u64,
    buffer: Vec<u8>,
    faults: Arc<dyn Faults>,
}

impl Journal {
    /// Makes the file in the log's directory, so that it is there whole or not at all, and durable. Returns its first round.
    pub(super) fn make(dir: &Path, bytes: usize, faults: &dyn Faults) -> Result<Round, FileError> {
        let bytes = bytes.next_multiple_of(BLOCK);
        files::write_atomically(dir, FILE, &vec![0; bytes], faults)?;
        Round::new(bytes as u64).at("no random numbers for", &dir.join(FILE))
    }

    /// Opens the journal in the log's directory, and reads what the round holds. Where that is something, the journal counts as full until
    /// it is in the environment, and with it another round: nothing is written over it.
    pub(super) fn open(
        dir: &Path,
        round: Round,
        faults: Arc<dyn Faults>,
    ) -> Result<(Journal, Vec<Operation>), RaftLogError> {
        let path = dir.join(FILE);
        let damaged = |why: String| RaftLogError::Journal {
            path: path.clone(),
            why,
        };
        let file = match OpenOptions::new().read(true).write(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(damaged("it is missing".to_owned()));
            }
            other => other.at("cannot open", &path)?,
        };
        let bytes = fs::read(&path).at("cannot read", &path)?;
        if bytes.len() as u64 != round.bytes {
            return Err(damaged(format!(
                "it has {} bytes of {}",
                bytes.len(),
                round.bytes
            )));
        }
        let length = bytes.len();
        let operations = read(&bytes.into(), round.salt).map_err(damaged)?;
        let journal = Journal {
            file,
            path,
            round,
            at: if operations.is_empty() { 0 } else { length },
            number: 0,
            buffer: Vec::new(),
            faults,
        };
        Ok((journal, operations))
    }

    /// The round that is being written.
    pub(super) fn round(&self) -> Round {
        self.round
    }

    /// Begins this round: the environment holds all of the one before, and names this one.
    pub(super) fn begin_round(&mut self, round: Round) {
        self.round = round;
        self.at = 0;
        self.number = 0;
    }

    /// Whether a record of so many entries of so many bytes together, and so many other operations, may be written.
    pub(super) fn takes(&self, entries: usize, bytes: usize, others: usize) -> bool {
        let length = HEAD + entries * OPERATION_HEAD + bytes + others * SMALL_OPERATION;
        length <= RAFT_JOURNAL_RECORD_BYTES
            && self.at + length.next_multiple_of(BLOCK) <= self.round.bytes as usize
    }

    /// Begins a record.
    pub(super) fn record(&mut self) -> Record<'_> {
        self.buffer.clear();
        self.buffer.resize(HEAD, 0);
        Record { journal: self }
    }
}

/// A record that is being made.
#[derive(Debug)]
pub(super) struct Record<'j> {
    journal: &'j mut Journal,
}

impl Record<'_> {
    /// Adds an operation of so many bytes, which are pushed then.
    fn head(&mut self, kind: u8, length: usize) {
        #[expect(
            clippy::expect_used,
            reason = "invariant: `takes` was asked, and its limit is far below 2^32"
        )]
        let length = u32::try_from(length).expect("an operation that fits into a record");
        self.journal.buffer.extend_from_slice(&[kind, 0, 0, 0]);
        self.journal.buffer.extend_from_slice(&length.to_le_bytes());
    }

    fn small(&mut self, kind: u8, bytes: &[u8]) {
        self.head(kind, bytes.len());
        self.journal.buffer.extend_from_slice(bytes);
    }

    /// An entry behind the last.
    pub(super) fn append(&mut self, entry: &Entry) -> io::Result<()> {
        self.head(ENTRY, record::length(entry));
        record::write(entry, &mut self.journal.buffer)
    }

    /// The vote.
    pub(super) fn vote(&mut self, vote: &Vote) {
        self.small(VOTE, &codec::encode(vote));
    }

    /// The entries from this index on go.
    pub(super) fn truncate(&mut self, end: u64) {
        self.small(TRUNCATE, &end.to_le_bytes());
    }

    /// What is known to be committed.
    pub(super) fn committed(&mut self, committed: &LogId) {
        self.small(COMMITTED, &codec::encode(committed));
    }

    /// What is purged.
    pub(super) fn purged(&mut self, purged: &LogId) {
        self.small(PURGED, &codec::encode(purged));
    }

    /// Whether it holds nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.journal.buffer.len() == HEAD
    }

    /// Writes the record and syncs it.
    ///
    /// # Panics
    /// When [`Journal::takes`] had said that it may not be written.
    pub(super) fn write(self) -> io::Result<()> {
        let Journal {
            file,
            path,
            round,
            at,
            number,
            buffer,
            faults,
        } = self.journal;
        #[expect(
            clippy::expect_used,
            reason = "invariant: `takes` was asked, and its limit is far below 2^32"
        )]
        let body = u32::try_from(buffer.len() - HEAD).expect("a record within its limit");
        buffer[4..8].copy_from_slice(&VERSION.to_le_bytes());
        buffer[8..16].copy_from_slice(&round.salt.to_le_bytes());
        buffer[16..24].copy_from_slice(&number.to_le_bytes());
        buffer[24..28].copy_from_slice(&body.to_le_bytes());
        let crc = crc32c::crc32c(&buffer[4..]);
        buffer[..4].copy_from_slice(&crc.to_le_bytes());
        // Whole blocks: the system need not read what it writes over.
        buffer.resize(buffer.len().next_multiple_of(BLOCK), 0);
        let end = *at + buffer.len();
        assert!(end as u64 <= round.bytes, "a record stays within its journal");
        faults.at(Step::Commit, path)?;
        file.write_all_at(buffer, *at as u64)?;
        faults.at(Step::Sync, path)?;
        file.sync_data()?;
        faults.at(Step::Committed, path)?;
        *at = end;
        *number += 1;
        Ok(())
    }
}

/// The body of the record at `at`, where there is a whole one of that round, and its number.
fn record_at(bytes: &Bytes, at: usize, salt: u64) -> Result<Option<(u64, Bytes)>, String> {
    let number = |from: usize| u64::from_le_bytes(std::array::from_fn(|i| bytes[at + from + i]));
    if at + HEAD > bytes.len() || number(8) != salt {
        return Ok(None);
    }
    let length = number(24);
    let Some(end) = usize::try_from(length)
        .ok()
        .and_then(|length| (at + HEAD).checked_add(length))
        .filter(|end| *end <= bytes.len())
    else {
        return Ok(None);
    };
    let (crc, version) = (number(0) as u32, (number(0) >> 32) as u32);
    if crc32c::crc32c(&bytes[at + 4..end]) != crc {
        return Ok(None);
    }
    if version != VERSION {
        return Err(format!(
            "its record at {at} has version {version}, and this program reads version {VERSION}: use the newer one"
        ));
    }
    Ok(Some((number(16), bytes.slice(at + HEAD..end))))
}

/// What the round of that salt holds.
fn read(bytes: &Bytes, salt: u64) -> Result<Vec<Operation>, String> {
    let (mut operations, mut at, mut next) = (Vec::new(), 0, 0);
    while let Some((number, body)) = record_at(bytes, at, salt)?
        && number == next
    {
        at += (HEAD + body.len()).next_multiple_of(BLOCK);
        next += 1;
        parse(body, &mut operations).map_err(|why| format!("its record {number} cannot be used: {why}"))?;
    }
    for later in (at..bytes.len()).step_by(BLOCK) {
        if let Some((number, _)) = record_at(bytes, later, salt)? {
            return Err(format!(
                "its record {next} is damaged, and record {number} after it is whole"
            ));
        }
    }
    Ok(operations)
}

/// Takes a record's operations apart.
fn parse(mut body: Bytes, operations: &mut Vec<Operation>) -> Result<(), String> {
    while !body.is_empty() {
        if body.len() < OPERATION_HEAD {
            return Err("an operation ends early".to_owned());
        }
        let head = body.split_to(OPERATION_HEAD);
        let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        if body.len() < length {
            return Err("an operation ends early".to_owned());
        }
        let own = body.split_to(length);
        let id = |what| codec::decode::<LogId>(what, &own).map_err(|error| error.to_string());
        operations.push(match head[0] {
            ENTRY => Operation::Append(record::decode(own).map_err(|error| error.to_string())?),
            VOTE => Operation::Vote(codec::decode("the vote", &own).map_err(|error| error.to_string())?),
            TRUNCATE => Operation::Truncate(u64::from_le_bytes(
                own[..].try_into().map_err(|_| "an index has 8 bytes")?,
            )),
            COMMITTED => Operation::Committed(id("what is committed")?),
            PURGED => Operation::Purged(id("what is purged")?),
            kind => return Err(format!("an operation of the unknown kind {kind}")),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        raft::config::{Payload, log_id},
        store::fault::NoFaults,
        types::{MemberId, Term},
    };
    use openraft::entry::RaftEntry;
    use proptest::prelude::*;

    /// A journal with three records, what they hold, and its round.
    fn written(dir: &Path) -> (Vec<u8>, Vec<Operation>, Round) {
        let round = Journal::make(dir, 8 * BLOCK, &NoFaults).unwrap();
        let (mut journal, nothing) = Journal::open(dir, round, Arc::new(NoFaults)).unwrap();
        assert_eq!(nothing, []);
        let mut operations = Vec::new();
        for index in 0..3 {
            let (id, vote) = (log_id(Term(2), index), Vote::new(Term(index), MemberId(5)));
            let entry = Entry::new(id, Payload::Blank);
            assert!(journal.takes(1, record::length(&entry), 4));
            let mut record = journal.record();
            record.append(&entry).unwrap();
            record.vote(&vote);
            record.truncate(index + 9);
            record.committed(&id);
            record.purged(&id);
            record.write().unwrap();
            operations.extend([
                Operation::Append(entry),
                Operation::Vote(vote),
                Operation::Truncate(index + 9),
                Operation::Committed(id),
                Operation::Purged(id),
            ]);
        }
        (fs::read(dir.join(FILE)).unwrap(), operations, round)
    }

    #[test]
    fn what_is_not_in_the_environment_is_not_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let (_, operations, round) = written(dir.path());
        let (mut journal, found) = Journal::open(dir.path(), round, Arc::new(NoFaults)).unwrap();
        assert_eq!(found, operations);
        assert!(!journal.takes(0, 0, 1));
        journal.begin_round(round.next().unwrap());
        assert!(journal.takes(0, 0, 1));
    }

    proptest! {
        /// Whatever bytes change: it is damage, or the round ends before them.
        #[test]
        fn changed_bytes_are_never_read(changes in prop::collection::vec((0..3 * BLOCK, 1..=255_u8), 1..8)) {
            let dir = tempfile::tempdir().unwrap();
            let (mut bytes, operations, round) = written(dir.path());
            for (at, by) in changes {
                // Most of a record is zeros behind its body, which count for nothing.
                let at = if at % 3 == 0 { at } else { at / BLOCK * BLOCK + at % 200 };
                bytes[at] ^= by;
            }
            if let Ok(found) = read(&bytes.into(), round.salt) {
                prop_assert!(operations.starts_with(&found), "{:?}", found);
            }
        }

        /// Any bytes under a good checksum: operations that they have room for, or an error; never a panic.
        #[test]
        fn any_body_is_taken_apart_or_refused(body in prop::collection::vec(0..8_u8, 0..200)) {
            let (mut operations, length) = (Vec::new(), body.len());
            let parsed = parse(body.into(), &mut operations);
            prop_assert!(operations.len() * OPERATION_HEAD <= length);
            prop_assert!(parsed.is_ok() || length > 0);
        }
    }
}
