//! An entry as bytes: the same record on disk (the Raft log) and on the wire, checked by its own crc.
//!
//! ```text
//! offset size
//!      0    1  version of this layout, 1
//!      1    1  kind: 0 blank, 1 membership, 2 genesis, 3 events
//!      2    6  zero
//!      8    8  term of the leader that wrote the entry
//!     16    8  index
//!     24       body
//!    end    4  crc32c of everything before it; at the end, so that a large entry is written in one pass
//! ```
//! Body of kind 1: a `Membership`, of kind 2: `(ShipIdentity, ClusterId, EventNumber)`, both by [`codec`]. Body of kind 3: the proposer's
//! term (8), the first event's number (8), how many events (4), zero (4), and per event the length of its jam (4), the
//! mug (4), the jam. From the mug on that is the event's value in the event log (`spec/eventlog.md` section 5).
//! All integers are little-endian. Events are never copied when a record is read: they are slices of it.

use crate::{
    raft::{
        codec::{self, CodecError},
        config::{ClusterId, Command, Entry, Membership, Payload, log_id},
    },
    types::{Batch, BatchError, Event, ShipIdentity, Term},
};
use bytes::{Buf, Bytes};
use openraft::entry::RaftEntry;
use seguro_event::{EventNumber, Mug};
use std::io;

const VERSION: u8 = 1;
const BLANK: u8 = 0;
const MEMBERSHIP: u8 = 1;
const GENESIS: u8 = 2;
const EVENTS: u8 = 3;

/// Bytes before the body.
const HEAD: usize = 24;
/// Bytes of the crc behind it.
const CRC: usize = 4;
/// The shortest record: an entry without a body.
pub(crate) const MIN_LENGTH: usize = HEAD + CRC;
/// Bytes of an events body before the first event.
const EVENTS_HEAD: usize = 24;
/// Bytes before an event's jam.
const EVENT_HEAD: usize = 8;

/// Bytes that are not a record.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordError {
    /// Too short for what it claims to hold.
    #[error("a log record of {length} bytes ends early")]
    Short {
        /// Its length, bytes.
        length: usize,
    },
    /// Flipped or torn bytes.
    #[error("a log record's checksum is {found:08x} where its bytes have {expected:08x}")]
    Checksum {
        /// What the record says.
        found: u32,
        /// What its bytes have.
        expected: u32,
    },
    /// Written by a newer version of this program.
    #[error("a log record of version {0}: this program reads version {VERSION}, use the newer one")]
    Version(u8),
    /// No such kind.
    #[error("a log record of the unknown kind {0}")]
    Kind(u8),
    /// Bytes follow the last event, or reserved bytes are not zero.
    #[error("a log record of {length} bytes that is not what its header says")]
    Shape {
        /// Its length, bytes.
        length: usize,
    },
    /// A body that does not hold what its kind says.
    #[error(transparent)]
    Body(#[from] CodecError),
    /// Events that do not follow one another.
    #[error(transparent)]
    Batch(#[from] BatchError),
}

/// How many bytes the record of `entry` has.
pub(crate) fn length(entry: &Entry) -> usize {
    let body = match &entry.payload {
        Payload::Blank => 0,
        Payload::Membership(membership) => codec::encode(membership).len(),
        Payload::Normal(Command::Genesis {
            ship,
            cluster,
            baseline,
        }) => codec::encode(&(ship, cluster, baseline)).len(),
        Payload::Normal(Command::Events { batch, .. }) => {
            EVENTS_HEAD
                + batch
                    .events()
                    .iter()
                    .map(|e| EVENT_HEAD + e.jam.len())
                    .sum::<usize>()
        }
    };
    HEAD + body + CRC
}

/// Writes the record of `entry`: exactly [`length`] bytes.
pub(crate) fn write(entry: &Entry, out: &mut impl io::Write) -> io::Result<()> {
    let mut crc = 0;
    let mut result = Ok(());
    pieces(entry, &mut |piece| {
        crc = crc32c::crc32c_append(crc, piece.bytes());
        if result.is_ok() {
            result = out.write_all(piece.bytes());
        }
    });
    result?;
    out.write_all(&crc.to_le_bytes())
}

/// The record of `entry` as one buffer.
pub(crate) fn encode(entry: &Entry) -> Vec<u8> {
    let mut out = Vec::with_capacity(length(entry));
    #[expect(clippy::expect_used, reason = "invariant: writing into memory does not fail")]
    write(entry, &mut out).expect("a vector takes all bytes");
    out
}

/// A part of a record: a head, or an event's jam, which need not be copied.
pub(crate) enum Piece<'a> {
    /// A few bytes.
    Head(&'a [u8]),
    /// An event's jam.
    Jam(&'a Bytes),
}

impl Piece<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Piece::Head(bytes) => bytes,
            Piece::Jam(jam) => jam,
        }
    }

    /// The bytes, to keep.
    pub(crate) fn into_bytes(self) -> Bytes {
        match self {
            Piece::Head(bytes) => Bytes::copy_from_slice(bytes),
            Piece::Jam(jam) => jam.clone(),
        }
    }
}

/// Gives everything before the crc to `each`, piece by piece, in order.
pub(crate) fn pieces(entry: &Entry, each: &mut impl FnMut(Piece<'_>)) {
    let (leader, index) = entry.log_id_parts();
    let mut head = [0; HEAD];
    head[0] = VERSION;
    head[1] = match &entry.payload {
        Payload::Blank => BLANK,
        Payload::Membership(_) => MEMBERSHIP,
        Payload::Normal(Command::Genesis { .. }) => GENESIS,
        Payload::Normal(Command::Events { .. }) => EVENTS,
    };
    head[8..16].copy_from_slice(&leader.term.0.to_le_bytes());
    head[16..24].copy_from_slice(&index.to_le_bytes());
    each(Piece::Head(&head));
    match &entry.payload {
        Payload::Blank => {}
        Payload::Membership(membership) => each(Piece::Head(&codec::encode(membership))),
        Payload::Normal(Command::Genesis {
            ship,
            cluster,
            baseline,
        }) => {
            each(Piece::Head(&codec::encode(&(ship, cluster, baseline))));
        }
        Payload::Normal(Command::Events { proposer, batch }) => {
            let mut head = [0; EVENTS_HEAD];
            head[0..8].copy_from_slice(&proposer.0.to_le_bytes());
            head[8..16].copy_from_slice(&batch.first().0.to_le_bytes());
            head[16..20].copy_from_slice(&small(batch.events().len()).to_le_bytes());
            each(Piece::Head(&head));
            for event in batch.events() {
                let mut head = [0; EVENT_HEAD];
                head[0..4].copy_from_slice(&small(event.jam.len()).to_le_bytes());
                head[4..8].copy_from_slice(&event.mug.0.to_le_bytes());
                each(Piece::Head(&head));
                each(Piece::Jam(&event.jam));
            }
        }
    }
}

/// A length that has four bytes in the record.
fn small(length: usize) -> u32 {
    #[expect(
        clippy::expect_used,
        reason = "invariant: a proposal is refused above MAX_EVENT_BYTES, far below 2^32"
    )]
    u32::try_from(length).expect("a length below 2^32")
}

/// Reads a record, checking its crc. Events are slices of `record`.
pub(crate) fn decode(record: Bytes) -> Result<Entry, RecordError> {
    let length = record.len();
    if length < MIN_LENGTH {
        return Err(RecordError::Short { length });
    }
    let mut rest = record;
    let found = rest.split_off(length - CRC).get_u32_le();
    let expected = crc32c::crc32c(&rest);
    if found != expected {
        return Err(RecordError::Checksum { found, expected });
    }
    let version = rest.get_u8();
    if version != VERSION {
        return Err(RecordError::Version(version));
    }
    let kind = rest.get_u8();
    if rest.get_uint_le(6) != 0 {
        return Err(RecordError::Shape { length });
    }
    let term = Term(rest.get_u64_le());
    let place = log_id(term, rest.get_u64_le());
    let payload = match kind {
        BLANK if rest.is_empty() => Payload::Blank,
        BLANK => return Err(RecordError::Shape { length }),
        MEMBERSHIP => {
            let membership = codec::decode::<Membership>("a membership", &rest)?;
            // Maps whose keys are out of order, or come twice, are nobody's record: an entry has one form.
            if codec::encode(&membership) != rest {
                return Err(RecordError::Shape { length });
            }
            Payload::Membership(membership)
        }
        GENESIS => {
            let (ship, cluster, baseline) =
                codec::decode::<(ShipIdentity, ClusterId, EventNumber)>("a genesis", &rest)?;
            Payload::Normal(Command::Genesis {
                ship,
                cluster,
                baseline,
            })
        }
        EVENTS => Payload::Normal(events(rest, length)?),
        other => return Err(RecordError::Kind(other)),
    };
    Ok(Entry::new(place, payload))
}

fn events(mut rest: Bytes, length: usize) -> Result<Command, RecordError> {
    if rest.len() < EVENTS_HEAD {
        return Err(RecordError::Short { length });
    }
    let proposer = Term(rest.get_u64_le());
    let first = EventNumber(rest.get_u64_le());
    let count = rest.get_u32_le() as usize;
    if rest.get_u32_le() != 0 {
        return Err(RecordError::Shape { length });
    }
    // Each event takes EVENT_HEAD bytes at least, so a count that lies reserves no more than the record's own size.
    if count > rest.len() / EVENT_HEAD || first.0.checked_add(count as u64).is_none() {
        return Err(RecordError::Shape { length });
    }
    let mut events = Vec::with_capacity(count);
    for nth in 0..count as u64 {
        if rest.len() < EVENT_HEAD {
            return Err(RecordError::Short { length });
        }
        let size = rest.get_u32_le() as usize;
        let mug = Mug(rest.get_u32_le());
        if rest.len() < size {
            return Err(RecordError::Short { length });
        }
        events.push(Event {
            number: first.plus(nth),
            mug,
            jam: rest.split_to(size),
        });
    }
    if !rest.is_empty() {
        return Err(RecordError::Shape { length });
    }
    Ok(Command::Events {
        proposer,
        batch: Batch::new(events)?,
    })
}

/// Reads bytes as a record, after making its checksum right; what is read is written back as the same bytes.
pub(crate) fn fuzz(bytes: &[u8]) {
    let mut record = bytes.to_vec();
    record.extend_from_slice(&crc32c::crc32c(bytes).to_le_bytes());
    if let Ok(entry) = decode(record.clone().into()) {
        assert!(
            length(&entry) == record.len() && encode(&entry) == record,
            "an entry has one form"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    fn seal(bytes: &mut [u8]) {
        let (rest, crc) = bytes.split_at_mut(bytes.len() - CRC);
        crc.copy_from_slice(&crc32c::crc32c(rest).to_le_bytes());
    }

    fn entry(payload: Payload) -> Entry {
        Entry::new(log_id(Term(2), 5), payload)
    }

    fn check(payload: Payload, golden: &str) {
        let entry = entry(payload);
        let bytes = encode(&entry);
        assert_eq!(bytes.len(), length(&entry));
        assert_eq!(hex(&bytes), golden.replace([' ', '\n'], ""));
        assert_eq!(decode(bytes.into()).unwrap(), entry);
    }

    fn batch(jams: &[&'static [u8]]) -> Batch {
        let events = jams.iter().zip(7..).map(|(jam, number)| Event {
            number: EventNumber(number),
            mug: Mug(0x0102_0304),
            jam: Bytes::from_static(jam),
        });
        Batch::new(events.collect()).unwrap()
    }

    #[test]
    fn a_membership_out_of_order_is_no_record() {
        let peer = crate::raft::config::Peer { address: None };
        let ids = [crate::types::MemberId(1), crate::types::MemberId(2)];
        let nodes = std::collections::BTreeMap::from(ids.map(|id| (id, peer)));
        let membership = Membership::new(vec![ids.into()], nodes).unwrap();
        let mut bytes = encode(&entry(Payload::Membership(membership)));
        // The last two things are the nodes, each a number and the byte for no address.
        let at = bytes.len() - CRC - 18;
        assert_eq!((bytes[at], bytes[at + 9]), (1, 2));
        bytes.swap(at, at + 9);
        seal(&mut bytes);
        assert!(matches!(decode(bytes.into()), Err(RecordError::Shape { .. })));
    }

    #[test]
    fn golden_records() {
        check(
            Payload::Blank,
            "0100000000000000 0200000000000000 0500000000000000 27bc61b7",
        );
        check(
            Payload::Normal(Command::Genesis {
                ship: ShipIdentity {
                    who: 0xfe,
                    fake: true,
                    life: 3,
                },
                cluster: ClusterId(0x11),
                baseline: EventNumber(9),
            }),
            "0102000000000000 0200000000000000 0500000000000000 fe0000000000000000000000000000000103000000110000000000000000000000000000000900000000000000 e9e19c96",
        );
        check(
            Payload::Normal(Command::Events {
                proposer: Term(2),
                batch: batch(&[b"abc", b"\xff"]),
            }),
            "0103000000000000 0200000000000000 0500000000000000 02000000000000000700000000000000020000000000000003000000040302016162630100000004030201ff 750bc25d",
        );
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let bytes = encode(&entry(Payload::Normal(Command::Events {
            proposer: Term(2),
            batch: batch(&[b"abc"]),
        })));
        for bit in 0..bytes.len() * 8 {
            let mut torn = bytes.clone();
            torn[bit / 8] ^= 1 << (bit % 8);
            decode(torn.into()).unwrap_err();
        }
        for cut in 0..bytes.len() {
            decode(Bytes::copy_from_slice(&bytes[..cut])).unwrap_err();
        }
    }

    #[test]
    fn a_count_that_lies_reserves_nothing() {
        let mut bytes = encode(&entry(Payload::Normal(Command::Events {
            proposer: Term(2),
            batch: batch(&[b"a"]),
        })));
        bytes[HEAD + 16..HEAD + 20].copy_from_slice(&u32::MAX.to_le_bytes());
        seal(&mut bytes);
        assert!(matches!(decode(bytes.into()), Err(RecordError::Shape { .. })));
    }

    proptest! {
        #[test]
        fn any_batch_comes_back(
            jams in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 1..20),
            first in 1..u64::MAX / 2, mug: u32, term: u64, index: u64,
        ) {
            let events = jams.into_iter().zip(first..).map(|(jam, n)| Event { number: EventNumber(n), mug: Mug(mug), jam: jam.into() });
            let batch = Batch::new(events.collect()).unwrap();
            let entry = Entry::new(log_id(Term(term), index), Payload::Normal(Command::Events { proposer: Term(term), batch }));
            let bytes = encode(&entry);
            prop_assert_eq!(bytes.len(), length(&entry));
            prop_assert_eq!(decode(bytes.into()).unwrap(), entry);
        }

        #[test]
        fn any_bytes_with_a_right_crc_do_not_panic(mut bytes in proptest::collection::vec(any::<u8>(), MIN_LENGTH..200), kind in 0..5u8) {
            bytes[0] = VERSION;
            bytes[1] = kind;
            bytes[2..8].fill(0);
            seal(&mut bytes);
            let _ = decode(bytes.into());
        }
    }
}
