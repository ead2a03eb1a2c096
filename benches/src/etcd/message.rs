//! The few messages of etcd's that the benches speak, in protobuf's wire format (etcd's `rpc.proto`).

/// Wire types, the low three bits of a field's tag.
const VARINT: u64 = 0;
const LENGTH_DELIMITED: u64 = 2;

/// `PutRequest`: key 1, value 2.
pub(super) fn put_request(key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(key.len() + value.len() + 16);
    bytes_field(&mut message, 1, key);
    bytes_field(&mut message, 2, value);
    message
}

/// `TxnRequest` without conditions: `PutRequest`s (field 2 of `RequestOp`), which succeed together (`success`, field 2).
pub(super) fn txn_request(puts: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut message = Vec::new();
    for put in puts {
        let mut operation = Vec::with_capacity(put.len() + 8);
        bytes_field(&mut operation, 2, &put);
        bytes_field(&mut message, 2, &operation);
    }
    message
}

/// What a member says of its cluster: its own number, and its leader's, which is 0 while there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) member: u64,
    pub(super) leader: u64,
}

/// Reads a `StatusResponse`: the header is 1, with the member's number as its 2, and the leader is 4. None for what is
/// no such message.
pub(super) fn status_response(message: &[u8]) -> Option<Standing> {
    let mut standing = Standing { member: 0, leader: 0 };
    for field in Fields(message) {
        match field? {
            (1, Value::Bytes(header)) => {
                for field in Fields(header) {
                    if let (2, Value::Number(member)) = field? {
                        standing.member = member;
                    }
                }
            }
            (4, Value::Number(leader)) => standing.leader = leader,
            _ => {}
        }
    }
    Some(standing)
}

fn bytes_field(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    varint(out, field << 3 | LENGTH_DELIMITED);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Seven bits a byte, the lowest first; the top bit says that more follow.
fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// A message's fields as numbers and values. What cannot be read gives None, and ends them.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn field(&mut self) -> Option<(u64, Value<'a>)> {
        let tag = self.varint()?;
        let value = match tag & 7 {
            VARINT => Value::Number(self.varint()?),
            LENGTH_DELIMITED => {
                let length = usize::try_from(self.varint()?).ok()?;
                let (bytes, rest) = self.0.split_at_checked(length)?;
                self.0 = rest;
                Value::Bytes(bytes)
            }
            _ => return None,
        };
        Some((tag >> 3, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Option<(u64, Value<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_put_is_its_key_and_value() {
        assert_eq!(put_request(b"k", b"v"), b"\x0a\x01k\x12\x01v");
        let large = put_request(&[0; 8], &[7; 1024]);
        assert_eq!(large[..13], *b"\x0a\x08\0\0\0\0\0\0\0\0\x12\x80\x08");
        assert_eq!(large[13..], [7; 1024]);
    }

    #[test]
    fn a_transaction_is_its_puts() {
        let puts = [put_request(b"k", b"v"), put_request(b"", b"w")];
        let expected = b"\x12\x08\x12\x06\x0a\x01k\x12\x01v\x12\x07\x12\x05\x0a\x00\x12\x01w";
        assert_eq!(txn_request(puts), expected);
        assert_eq!(txn_request([]), b"");
    }

    #[test]
    fn numbers_go_there_and_back() {
        for (number, encoded) in [
            (0, &b"\0"[..]),
            (127, b"\x7f"),
            (128, b"\x80\x01"),
            (300, b"\xac\x02"),
            (u64::MAX, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
        ] {
            let mut out = Vec::new();
            varint(&mut out, number);
            assert_eq!(out, encoded);
            assert_eq!(Fields(&out).varint(), Some(number));
        }
    }

    #[test]
    fn a_status_tells_who_leads() {
        // A header (cluster 1, member 300, revision 2, term 3), the version, the database's size, the leader.
        let message =
            b"\x0a\x09\x08\x01\x10\xac\x02\x18\x02\x20\x03\x12\x06\x33.4.23\x18\x80\x01\x20\xac\x02";
        let standing = Standing {
            member: 300,
            leader: 300,
        };
        assert_eq!(status_response(message), Some(standing));
        assert_eq!(status_response(b""), Some(Standing { member: 0, leader: 0 }));
    }

    #[test]
    fn a_status_that_is_cut_off_or_no_message_is_none() {
        for bad in [
            &b"\x0a\x09\x08"[..],
            b"\x20",
            b"\x20\x80",
            b"\x21\0\0\0\0\0\0\0\0",
            &[0xff; 16],
        ] {
            assert_eq!(status_response(bad), None, "{bad:02x?}");
        }
    }
}
