//! The one place where bincode is used: small structures of ours (votes, memberships, messages), never events.
//!
//! Format: bincode 1.3, fixed-width little-endian integers, no trailing bytes. It is frozen by the tests below, which
//! compare golden bytes: a change of a type that goes through here is a change of a file format or of the protocol.

use bincode::Options;
use serde::{Serialize, de::DeserializeOwned};

/// Nothing that goes through here is larger: memberships of a few members, log ids, votes.
pub(crate) const LIMIT: u64 = 64 * 1024;

/// Bytes that do not hold what they should.
#[derive(Debug, thiserror::Error)]
#[error("{what} cannot be read from {length} bytes: {source}")]
pub(crate) struct CodecError {
    what: &'static str,
    length: usize,
    source: bincode::Error,
}

fn options() -> impl Options {
    bincode::DefaultOptions::new()
        .with_fixint_encoding()
        .with_little_endian()
        .with_limit(LIMIT)
        .reject_trailing_bytes()
}

/// The bytes of `value`.
///
/// # Panics
/// When they would exceed [`LIMIT`], which no type that is given to it can.
pub(crate) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    #[expect(
        clippy::expect_used,
        reason = "invariant: our own small types serialise within the limit"
    )]
    options().serialize(value).expect("a small value serialises")
}

/// The value in `bytes`, which must be used up by it.
pub(crate) fn decode<T: DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, CodecError> {
    options().deserialize(bytes).map_err(|source| CodecError {
        what,
        length: bytes.len(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        raft::config::{Membership, Peer, StoredMembership, Vote, log_id},
        types::{MemberId, Term},
    };
    use std::collections::{BTreeMap, BTreeSet};

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    fn check<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: &T, golden: &str) {
        let bytes = encode(value);
        assert_eq!(hex(&bytes), golden.replace([' ', '\n'], ""));
        assert_eq!(&decode::<T>("a test's value", &bytes).unwrap(), value);
    }

    #[test]
    fn golden_vote() {
        check(
            &Vote::new(Term(2), MemberId(0x0102)),
            "0200000000000000 01 0201000000000000 00",
        );
        check(
            &Vote::new_committed(Term(2), MemberId(3)),
            "0200000000000000 01 0300000000000000 01",
        );
    }

    #[test]
    fn golden_log_id() {
        check(&log_id(Term(7), 9), "0700000000000000 0900000000000000");
        check(&Some(log_id(Term(7), 9)), "01 0700000000000000 0900000000000000");
    }

    #[test]
    fn golden_membership() {
        let nodes = BTreeMap::from([
            (
                MemberId(1),
                Peer {
                    address: Some("127.0.0.1:4001".parse().unwrap()),
                },
            ),
            (MemberId(2), Peer { address: None }),
        ]);
        let membership = Membership::new(vec![BTreeSet::from([MemberId(1)])], nodes).unwrap();
        check(
            &StoredMembership::new(Some(log_id(Term(1), 2)), membership),
            "01 0100000000000000 0200000000000000
             0100000000000000 0100000000000000 0100000000000000
             0200000000000000
             0100000000000000 01 00000000 7f000001 a10f
             0200000000000000 00",
        );
    }

    #[test]
    fn hostile_bytes_are_an_error() {
        let bytes = encode(&Vote::new(Term(2), MemberId(1)));
        for cut in 0..bytes.len() {
            decode::<Vote>("a vote", &bytes[..cut]).unwrap_err();
        }
        let mut long = bytes;
        long.push(0);
        decode::<Vote>("a vote", &long).unwrap_err();
        // A length of 2^63 must not be believed.
        decode::<Vec<u64>>("a list", &[0xff; 16]).unwrap_err();
    }
}
