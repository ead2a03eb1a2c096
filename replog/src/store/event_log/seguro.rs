//! SEGURO, our own table beside META and EVENTS: how far Raft's log is applied, and what the epoch began with.
//!
//! vere opens environments with two tables and looks for its own by name, so this one does not disturb it. Records are
//! sealed (checksum and version, see `sealed`), around, little-endian:
//!
//! ```text
//! applied   event (8), hash starts after (8), digest (32), the raft layer's bytes
//! base      event (8), hash starts after (8), digest (32): the running hash where the epoch begins
//! images    per file: length (8), crc32c (4), length of name (4), name
//! ```
//! `applied` is written in the transaction that writes its events, so that neither can be there without the other.

use super::{
    super::{
        lmdb::BytesTable,
        sealed::{self, SealError, seal},
    },
    hash::LogHash,
};
use crate::limits::EPOCH_FILES;
use bytes::{Buf, Bytes};
use heed::{RoTxn, RwTxn};
use seguro_event::EventNumber;
use serde::{Deserialize, Serialize};

/// The table's name.
pub(super) const TABLE: &str = "SEGURO";

const APPLIED: &[u8] = b"applied";
const BASE: &[u8] = b"base";
const IMAGES: &[u8] = b"images";

/// How far Raft's log is applied to the event log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Applied {
    /// The running hash at the last event that came through Raft.
    pub(crate) hash: LogHash,
    /// What the raft layer keeps: the log id of the last applied entry, the membership there.
    pub(crate) raft: Bytes,
}

impl Applied {
    /// The last event that came through Raft (or was adopted).
    pub(crate) fn event(&self) -> EventNumber {
        self.hash.at
    }
}

/// A file of an epoch beside its events: an image of the serf.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EpochFile {
    /// Its name, e.g. `north.bin`.
    pub(crate) name: String,
    /// Its length, bytes.
    pub(crate) length: u64,
    /// The crc32c of its bytes.
    pub(crate) crc: u32,
}

/// A record that is not one of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the record `{key}` in table SEGURO cannot be used: {source}")]
pub(crate) struct SeguroError {
    /// Its key.
    key: &'static str,
    /// What is wrong with it.
    #[source]
    source: SealError,
}

fn unseal(key: &'static str, record: &[u8]) -> Result<Bytes, SeguroError> {
    match sealed::unseal(record) {
        Ok(body) => Ok(Bytes::copy_from_slice(body)),
        Err(source) => Err(SeguroError { key, source }),
    }
}

/// A record whose body is not what its key says.
fn damaged(key: &'static str) -> SeguroError {
    SeguroError {
        key,
        source: SealError::Damaged,
    }
}

fn write_hash(hash: &LogHash, out: &mut Vec<u8>) {
    out.extend_from_slice(&hash.at.0.to_le_bytes());
    out.extend_from_slice(&hash.from.0.to_le_bytes());
    out.extend_from_slice(&hash.digest);
}

fn read_hash(key: &'static str, body: &mut Bytes) -> Result<LogHash, SeguroError> {
    let short = |_| damaged(key);
    let at = EventNumber(body.try_get_u64_le().map_err(short)?);
    let from = EventNumber(body.try_get_u64_le().map_err(short)?);
    let mut digest = [0; 32];
    body.try_copy_to_slice(&mut digest).map_err(short)?;
    if from > at {
        return Err(damaged(key));
    }
    Ok(LogHash { from, at, digest })
}

pub(super) fn encode_applied(applied: &Applied) -> Vec<u8> {
    let mut body = Vec::with_capacity(48 + applied.raft.len());
    write_hash(&applied.hash, &mut body);
    body.extend_from_slice(&applied.raft);
    seal(&body)
}

pub(super) fn decode_applied(record: &[u8]) -> Result<Applied, SeguroError> {
    let mut body = unseal("applied", record)?;
    let hash = read_hash("applied", &mut body)?;
    Ok(Applied { hash, raft: body })
}

pub(super) fn encode_base(hash: &LogHash) -> Vec<u8> {
    let mut body = Vec::with_capacity(48);
    write_hash(hash, &mut body);
    seal(&body)
}

pub(super) fn decode_base(record: &[u8]) -> Result<LogHash, SeguroError> {
    let mut body = unseal("base", record)?;
    let hash = read_hash("base", &mut body)?;
    if body.is_empty() {
        Ok(hash)
    } else {
        Err(damaged("base"))
    }
}

pub(super) fn encode_images(files: &[EpochFile]) -> Vec<u8> {
    let mut body = Vec::new();
    for file in files {
        body.extend_from_slice(&file.length.to_le_bytes());
        body.extend_from_slice(&file.crc.to_le_bytes());
        body.extend_from_slice(&(file.name.len() as u32).to_le_bytes());
        body.extend_from_slice(file.name.as_bytes());
    }
    seal(&body)
}

pub(super) fn decode_images(record: &[u8]) -> Result<Vec<EpochFile>, SeguroError> {
    const KEY: &str = "images";
    let mut body = unseal(KEY, record)?;
    let short = |_| damaged(KEY);
    let mut files = Vec::new();
    while !body.is_empty() && files.len() < EPOCH_FILES {
        let length = body.try_get_u64_le().map_err(short)?;
        let crc = body.try_get_u32_le().map_err(short)?;
        let name_length = body.try_get_u32_le().map_err(short)? as usize;
        if name_length > body.len() {
            return Err(damaged(KEY));
        }
        let name = String::from_utf8(body.split_to(name_length).to_vec()).map_err(|_| damaged(KEY))?;
        files.push(EpochFile { name, length, crc });
    }
    if body.is_empty() {
        Ok(files)
    } else {
        Err(damaged(KEY))
    }
}

/// What one of our records in a table says, or why it cannot be known.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadSeguroError {
    /// It is not one of ours.
    #[error(transparent)]
    Record(#[from] SeguroError),
    /// LMDB cannot read it.
    #[error("table SEGURO cannot be read: {0}")]
    Lmdb(#[from] heed::Error),
}

fn get<T>(
    table: BytesTable,
    txn: &RoTxn<'_>,
    key: &[u8],
    decode: impl FnOnce(&[u8]) -> Result<T, SeguroError>,
) -> Result<Option<T>, ReadSeguroError> {
    Ok(table.get(txn, key)?.map(decode).transpose()?)
}

pub(super) fn applied(table: BytesTable, txn: &RoTxn<'_>) -> Result<Option<Applied>, ReadSeguroError> {
    get(table, txn, APPLIED, decode_applied)
}

pub(super) fn base(table: BytesTable, txn: &RoTxn<'_>) -> Result<Option<LogHash>, ReadSeguroError> {
    get(table, txn, BASE, decode_base)
}

pub(super) fn images(table: BytesTable, txn: &RoTxn<'_>) -> Result<Option<Vec<EpochFile>>, ReadSeguroError> {
    get(table, txn, IMAGES, decode_images)
}

pub(super) fn put_applied(
    table: BytesTable,
    txn: &mut RwTxn<'_>,
    value: &Applied,
) -> Result<(), heed::Error> {
    table.put(txn, APPLIED, &encode_applied(value))
}

pub(super) fn put_base(table: BytesTable, txn: &mut RwTxn<'_>, value: &LogHash) -> Result<(), heed::Error> {
    table.put(txn, BASE, &encode_base(value))
}

pub(super) fn put_images(
    table: BytesTable,
    txn: &mut RwTxn<'_>,
    value: &[EpochFile],
) -> Result<(), heed::Error> {
    table.put(txn, IMAGES, &encode_images(value))
}

/// Reads bytes as each of our records, as they are and as the body of a sealed one.
pub(super) fn fuzz(bytes: &[u8]) {
    for record in [bytes, &seal(bytes)] {
        if let Ok(applied) = decode_applied(record) {
            assert_eq!(
                encode_applied(&applied),
                record,
                "a record is written as it was read"
            );
        }
        if let Ok(base) = decode_base(record) {
            assert_eq!(encode_base(&base), record, "a record is written as it was read");
        }
        if let Ok(images) = decode_images(record) {
            assert_eq!(
                encode_images(&images),
                record,
                "a record is written as it was read"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash() -> LogHash {
        LogHash {
            from: EventNumber(2),
            at: EventNumber(9),
            digest: [0x5a; 32],
        }
    }

    #[test]
    fn records_come_back() {
        let applied = Applied {
            hash: hash(),
            raft: Bytes::from_static(b"log id"),
        };
        assert_eq!(decode_applied(&encode_applied(&applied)), Ok(applied));
        assert_eq!(decode_base(&encode_base(&hash())), Ok(hash()));
        let files = vec![
            EpochFile {
                name: "north.bin".into(),
                length: 1 << 33,
                crc: 7,
            },
            EpochFile {
                name: "south.bin".into(),
                length: 0,
                crc: 0,
            },
        ];
        assert_eq!(decode_images(&encode_images(&files)), Ok(files));
        assert_eq!(decode_images(&encode_images(&[])), Ok(vec![]));
    }

    #[test]
    fn golden() {
        let record = encode_applied(&Applied {
            hash: hash(),
            raft: Bytes::from_static(&[0xee]),
        });
        assert_eq!(record[4..8], [1, 0, 0, 0]);
        assert_eq!(record[8..24], [9, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(record[24..], [[0x5a; 32].as_slice(), &[0xee]].concat());
        assert_eq!(record[..4], crc32c::crc32c(&record[4..]).to_le_bytes());
    }

    #[test]
    fn a_body_that_is_cut_is_noticed() {
        let applied = encode_applied(&Applied {
            hash: hash(),
            raft: Bytes::new(),
        });
        decode_applied(&seal(&applied[8..applied.len() - 1])).unwrap_err();
        decode_base(&seal(&[encode_base(&hash())[8..].to_vec(), vec![0]].concat())).unwrap_err();
        let files = vec![EpochFile {
            name: "north.bin".into(),
            length: 1,
            crc: 7,
        }];
        let images = encode_images(&files);
        for cut in 9..images.len() {
            decode_images(&seal(&images[8..cut])).unwrap_err();
        }
    }
}
