//! One epoch: an LMDB environment with META, EVENTS and, where Seguro has been, SEGURO.

use super::{
    super::{
        fault::{Faults, Step},
        files::FileError,
        lmdb::{self, BytesTable, Env, EnvError, In, NumberTable},
    },
    hash::LogHash,
    meta::{self, Meta, MetaError},
    seguro::{self, Applied, EpochFile, ReadSeguroError},
    value::{self, MalformedEvent},
};
use crate::types::{Event, ShipIdentity};
use heed::{
    IntegerComparator, RoTxn, RwTxn, WithoutTls,
    byteorder::NativeEndian,
    types::{Bytes as ByteSlice, U64},
};
use seguro_event::EventNumber;
use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
};

/// The events' table.
const EVENTS: &str = "EVENTS";

/// What is wrong with an epoch's contents.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EpochError {
    /// LMDB or the file system refuses.
    #[error(transparent)]
    Env(#[from] EnvError),
    /// Its META does not say whose it is.
    #[error("epoch {}: {source}", path.display())]
    Meta {
        /// The epoch's directory.
        path: PathBuf,
        /// Why not.
        #[source]
        source: MetaError,
    },
    /// A record of ours is damaged or too new.
    #[error("epoch {}: {source}", path.display())]
    Seguro {
        /// The epoch's directory.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: ReadSeguroError,
    },
    /// An event is missing.
    #[error(
        "epoch {} has event {found} where {expected} belongs: events are missing. Restore the pier from a copy, or let the \
         member join anew from an empty directory",
        path.display()
    )]
    Gap {
        /// The epoch's directory.
        path: PathBuf,
        /// The event that belongs there.
        expected: EventNumber,
        /// The event found.
        found: EventNumber,
    },
    /// Events are missing somewhere between the first and the last.
    #[error(
        "epoch {} has {count} events from {first} to {last}: events are missing. Restore the pier from a copy, or let the \
         member join anew from an empty directory",
        path.display()
    )]
    Holes {
        /// The epoch's directory.
        path: PathBuf,
        /// How many events it has.
        count: u64,
        /// The first one.
        first: EventNumber,
        /// The last one.
        last: EventNumber,
    },
    /// A value that is no event.
    #[error("epoch {}: {source}", path.display())]
    Malformed {
        /// The epoch's directory.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: MalformedEvent,
    },
}

impl From<FileError> for EpochError {
    fn from(error: FileError) -> EpochError {
        EpochError::Env(EnvError::File(error))
    }
}

/// An open epoch.
#[derive(Debug)]
pub(super) struct Epoch {
    start: EventNumber,
    path: PathBuf,
    env: Env,
    meta: Option<BytesTable>,
    /// Made by the first commit of an epoch, as vere does: until then there is none.
    events: OnceLock<NumberTable>,
    /// Made by the first commit of ours.
    seguro: OnceLock<BytesTable>,
}

impl Epoch {
    /// Opens the epoch that begins after event `start`, in the directory `path`, making LMDB's files where there are none.
    pub(super) fn open(
        start: EventNumber,
        path: &Path,
        map_bytes: usize,
        faults: &dyn Faults,
    ) -> Result<Epoch, EpochError> {
        let env = lmdb::open_env(path, map_bytes, faults)?;
        let txn = env.read_txn().within(path)?;
        let meta = env.open_database(&txn, Some(meta::TABLE)).within(path)?;
        let events = events_options(&env).open(&txn).within(path)?;
        let seguro = env.open_database(&txn, Some(seguro::TABLE)).within(path)?;
        // Commit keeps the tables' handles.
        txn.commit().within(path)?;
        let cell = |table: Option<NumberTable>| table.map_or_else(OnceLock::new, OnceLock::from);
        let events = cell(events);
        let seguro = seguro.map_or_else(OnceLock::new, OnceLock::from);
        Ok(Epoch {
            start,
            path: path.to_path_buf(),
            env,
            meta,
            events,
            seguro,
        })
    }

    /// Makes a new epoch in the directory `path`: META, and our records of where it begins and with which images. It
    /// is closed again, for its directory to be renamed.
    pub(super) fn create(
        path: &Path,
        ship: &ShipIdentity,
        base: Option<&LogHash>,
        images: &[EpochFile],
        applied: Option<&Applied>,
        faults: &dyn Faults,
    ) -> Result<(), EpochError> {
        let env = lmdb::open_env(path, crate::limits::MIN_MAP_BYTES, faults)?;
        let io = |source| {
            EpochError::from(FileError {
                what: "cannot write",
                path: path.to_path_buf(),
                source,
            })
        };
        faults.at(Step::Begin, path).map_err(io)?;
        let mut txn = env.write_txn().within(path)?;
        let write = |txn: &mut RwTxn<'_>| -> Result<(), heed::Error> {
            let table = env.create_database(txn, Some(meta::TABLE))?;
            meta::write(table, txn, ship)?;
            let table = env.create_database(txn, Some(seguro::TABLE))?;
            if let Some(base) = base {
                seguro::put_base(table, txn, base)?;
            }
            seguro::put_images(table, txn, images)?;
            if let Some(applied) = applied {
                seguro::put_applied(table, txn, applied)?;
            }
            Ok(())
        };
        write(&mut txn).within(path)?;
        faults.at(Step::Commit, path).map_err(io)?;
        txn.commit().within(path)?;
        lmdb::close_env(env);
        Ok(())
    }

    /// The event after which it begins.
    pub(super) fn start(&self) -> EventNumber {
        self.start
    }

    /// Its directory.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of its environment's file that are in use.
    pub(super) fn used_bytes(&self) -> u64 {
        lmdb::used_bytes(&self.env)
    }

    /// A handle that tells when the environment is closed, once this epoch is dropped.
    pub(super) fn closing(self: std::sync::Arc<Self>) -> heed::EnvClosingEvent {
        let env = self.env.clone();
        drop(self);
        env.prepare_for_closing()
    }

    /// Whose log it is.
    pub(super) fn meta(&self) -> Result<Meta, EpochError> {
        let read = || -> Result<Meta, MetaError> {
            let table = self.meta.ok_or(MetaError::NoTable)?;
            let txn = self.env.read_txn()?;
            meta::read(table, &txn)
        };
        read().map_err(|source| EpochError::Meta {
            path: self.path.clone(),
            source,
        })
    }

    /// The last event, `start` where there is none. Checks that there is no gap, by counting.
    pub(super) fn last(&self) -> Result<EventNumber, EpochError> {
        let Some(table) = self.events.get() else {
            return Ok(self.start);
        };
        let path = &self.path;
        let txn = self.env.read_txn().within(path)?;
        let first = table
            .remap_data_type::<heed::types::DecodeIgnore>()
            .first(&txn)
            .within(path)?;
        let last = table
            .remap_data_type::<heed::types::DecodeIgnore>()
            .last(&txn)
            .within(path)?;
        let (Some((first, ())), Some((last, ()))) = (first, last) else {
            return Ok(self.start);
        };
        let (first, last) = (EventNumber(first), EventNumber(last));
        if first != self.start.next() {
            return Err(EpochError::Gap {
                path: path.clone(),
                expected: self.start.next(),
                found: first,
            });
        }
        let count = table.len(&txn).within(path)?;
        if count != last.since(self.start) {
            return Err(EpochError::Holes {
                path: path.clone(),
                count,
                first,
                last,
            });
        }
        Ok(last)
    }

    /// How far Raft's log is applied, if Seguro has written into this epoch.
    pub(super) fn applied(&self) -> Result<Option<Applied>, EpochError> {
        self.seguro_record(seguro::applied)
    }

    /// The running hash where the epoch begins, if it is known.
    pub(super) fn base(&self) -> Result<Option<LogHash>, EpochError> {
        self.seguro_record(seguro::base)
    }

    /// The images' lengths and checksums, if Seguro made the epoch.
    pub(super) fn images(&self) -> Result<Option<Vec<EpochFile>>, EpochError> {
        self.seguro_record(seguro::images)
    }

    fn seguro_record<T>(
        &self,
        read: impl FnOnce(BytesTable, &RoTxn<'_>) -> Result<Option<T>, ReadSeguroError>,
    ) -> Result<Option<T>, EpochError> {
        let Some(table) = self.seguro.get() else {
            return Ok(None);
        };
        let txn: RoTxn<'_, WithoutTls> = self.env.read_txn().within(&self.path)?;
        read(*table, &txn).map_err(|source| EpochError::Seguro {
            path: self.path.clone(),
            source,
        })
    }

    /// Adds events from `from` on to `out`, until it holds `max_events` of them, or more would exceed `max_bytes` in all
    /// (counting `bytes`, which it raises; one event is always taken into an empty `out`). True when it ended because
    /// of these limits and not at the epoch's end.
    pub(super) fn read(
        &self,
        from: EventNumber,
        to: EventNumber,
        limits: (usize, usize),
        bytes: &mut usize,
        out: &mut Vec<Event>,
    ) -> Result<bool, EpochError> {
        let Some(table) = self.events.get() else {
            return Ok(false);
        };
        let txn = self.env.read_txn().within(&self.path)?;
        let mut expected = from;
        for item in table.range(&txn, &(from.0..=to.0)).within(&self.path)? {
            let (number, value) = item.within(&self.path)?;
            let number = EventNumber(number);
            if number != expected {
                return Err(EpochError::Gap {
                    path: self.path.clone(),
                    expected,
                    found: number,
                });
            }
            if !out.is_empty() && (out.len() >= limits.0 || *bytes + value.len() > limits.1) {
                return Ok(true);
            }
            let event = value::read(number, value).map_err(|source| EpochError::Malformed {
                path: self.path.clone(),
                source,
            })?;
            *bytes += value.len();
            out.push(event);
            expected = number.next();
        }
        Ok(false)
    }

    /// Writes events and our record in one transaction, synced. The first event follows `last`, the epoch's last one.
    pub(super) fn commit(
        &self,
        last: EventNumber,
        events: &[Event],
        applied: &Applied,
        scratch: &mut Vec<u8>,
        faults: &dyn Faults,
    ) -> Result<(), heed::Error> {
        faults.at(Step::Begin, &self.path).map_err(heed::Error::Io)?;
        let mut txn = self.env.write_txn()?;
        let mut made = None;
        if !events.is_empty() {
            let table = match self.events.get() {
                Some(table) => *table,
                None => *made.insert(events_options(&self.env).create(&mut txn)?),
            };
            let mut expected = last.next();
            for event in events {
                assert_eq!(event.number, expected, "events are written in order");
                lmdb::append(
                    table,
                    &mut txn,
                    event.number.0,
                    value::length(event),
                    scratch,
                    |out| value::write(event, out),
                )?;
                expected = expected.next();
            }
        }
        let seguro = match self.seguro.get() {
            Some(table) => *table,
            None => self.env.create_database(&mut txn, Some(seguro::TABLE))?,
        };
        seguro::put_applied(seguro, &mut txn, applied)?;
        faults.at(Step::Commit, &self.path).map_err(heed::Error::Io)?;
        txn.commit()?;
        // A table's handle is good once the transaction that made it is committed.
        if let Some(table) = made {
            self.events.get_or_init(|| table);
        }
        self.seguro.get_or_init(|| seguro);
        faults.at(Step::Committed, &self.path).map_err(heed::Error::Io)
    }

    /// Records the running hash where the epoch begins.
    pub(super) fn set_base(&self, base: &LogHash, faults: &dyn Faults) -> Result<(), heed::Error> {
        faults.at(Step::Begin, &self.path).map_err(heed::Error::Io)?;
        let mut txn = self.env.write_txn()?;
        let table = match self.seguro.get() {
            Some(table) => *table,
            None => self.env.create_database(&mut txn, Some(seguro::TABLE))?,
        };
        seguro::put_base(table, &mut txn, base)?;
        faults.at(Step::Commit, &self.path).map_err(heed::Error::Io)?;
        txn.commit()?;
        self.seguro.get_or_init(|| table);
        Ok(())
    }
}

fn events_options(
    env: &Env,
) -> heed::DatabaseOpenOptions<'_, '_, WithoutTls, U64<NativeEndian>, ByteSlice, IntegerComparator> {
    let mut options = env
        .database_options()
        .types::<U64<NativeEndian>, ByteSlice>()
        .key_comparator::<IntegerComparator>();
    options.name(EVENTS);
    options
}
