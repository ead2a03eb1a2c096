//! STUN (RFC 8489) as far as ships speak it: a binding request, and the response that says where it came from
//! (`spec/drivers.md` section 8, `spec/testmap.md` section 7).

use std::net::SocketAddrV4;

/// Bytes of a transaction's name.
pub(crate) const ID: usize = 12;
/// Bytes of a request: a head and a fingerprint.
pub(crate) const REQUEST: usize = 28;
/// Bytes of a response: a head, an address and a fingerprint.
pub(crate) const RESPONSE: usize = 40;

/// What names a transaction.
pub(crate) type Id = [u8; ID];

const HEAD: usize = 20;
const COOKIE: u32 = 0x2112_A442;
const BINDING_REQUEST: [u8; 2] = [0, 1];
const BINDING_SUCCESS: [u8; 2] = [1, 1];
/// The attribute XOR-MAPPED-ADDRESS of 8 bytes, for IPv4.
const ADDRESS: [u8; 6] = [0, 0x20, 0, 8, 0, 1];
/// The attribute FINGERPRINT of 4 bytes.
const FINGERPRINT: [u8; 4] = [0x80, 0x28, 0, 4];
/// What the checksum in a fingerprint is mixed with.
const FINGERPRINT_MASK: u32 = 0x5354_554e;

/// A binding request.
pub(crate) fn request(id: Id) -> [u8; REQUEST] {
    let mut bytes = [0; REQUEST];
    write_head(&mut bytes, BINDING_REQUEST, id);
    write_fingerprint(&mut bytes);
    bytes
}

/// The answer to a request from there.
pub(crate) fn response(id: Id, from: SocketAddrV4) -> [u8; RESPONSE] {
    let mut bytes = [0; RESPONSE];
    write_head(&mut bytes, BINDING_SUCCESS, id);
    bytes[HEAD..26].copy_from_slice(&ADDRESS);
    let port = from.port() ^ (COOKIE >> 16) as u16;
    let ip = u32::from(*from.ip()) ^ COOKIE;
    bytes[26..28].copy_from_slice(&port.to_be_bytes());
    bytes[28..32].copy_from_slice(&ip.to_be_bytes());
    write_fingerprint(&mut bytes);
    bytes
}

/// The transaction of what is a request.
pub(crate) fn read_request(bytes: &[u8]) -> Option<Id> {
    let is_request = bytes.len() >= REQUEST && bytes.starts_with(&BINDING_REQUEST);
    let id = is_request.then(|| read_head(bytes)).flatten()?;
    has_fingerprint(bytes).then_some(id)
}

/// The address in what is the response of this transaction. A response without one that can be read is none.
pub(crate) fn read_response(bytes: &[u8], id: Id) -> Option<SocketAddrV4> {
    let is_ours =
        bytes.len() == RESPONSE && bytes.starts_with(&BINDING_SUCCESS) && read_head(bytes) == Some(id);
    if !is_ours || !has_fingerprint(bytes) {
        return None;
    }
    let place = HEAD + find(&bytes[HEAD..], &ADDRESS)? + ADDRESS.len();
    let (port, rest) = bytes.get(place..)?.split_first_chunk()?;
    let ip = rest.first_chunk()?;
    let port = u16::from_be_bytes(*port) ^ (COOKIE >> 16) as u16;
    let ip = u32::from_be_bytes(*ip) ^ COOKIE;
    Some(SocketAddrV4::new(ip.into(), port))
}

fn write_head(bytes: &mut [u8], kind: [u8; 2], id: Id) {
    let length = (bytes.len() - HEAD) as u16;
    bytes[..2].copy_from_slice(&kind);
    bytes[2..4].copy_from_slice(&length.to_be_bytes());
    bytes[4..8].copy_from_slice(&COOKIE.to_be_bytes());
    bytes[8..HEAD].copy_from_slice(&id);
}

fn write_fingerprint(bytes: &mut [u8]) {
    let at = bytes.len() - 8;
    let sum = fingerprint(&bytes[..at]);
    bytes[at..at + 4].copy_from_slice(&FINGERPRINT);
    bytes[at + 4..].copy_from_slice(&sum.to_be_bytes());
}

/// The transaction in a head with the cookie.
fn read_head(bytes: &[u8]) -> Option<Id> {
    let has_cookie = bytes.get(4..8)? == COOKIE.to_be_bytes();
    let id = bytes.get(8..HEAD)?.first_chunk()?;
    has_cookie.then_some(*id)
}

/// Whether a fingerprint ends the message: the first thing in it that looks like one, as in vere.
fn has_fingerprint(bytes: &[u8]) -> bool {
    let place = bytes.get(HEAD..).and_then(|rest| find(rest, &FINGERPRINT));
    let Some((signed, mark)) = place.and_then(|place| bytes.split_at_checked(HEAD + place)) else {
        return false;
    };
    mark.len() == 8 && mark[4..] == fingerprint(signed).to_be_bytes()
}

fn fingerprint(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes) ^ FINGERPRINT_MASK
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::Ipv4Addr;

    const COUNTED: Id = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
    /// What vere makes of that transaction.
    const REQUESTED: &str = "000100082112a442000102030405060708090a0b802800045b0ff6fc";
    /// Its answer to 127.0.0.1:13337.
    const ANSWERED: &str =
        "010100142112a442000102030405060708090a0b00200008000115 0b5e12a443802800040271 9a62";

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.chunks(2).map(byte).collect()
    }

    #[test]
    fn the_bytes_are_those_of_vere() {
        assert_eq!(request(COUNTED)[..], hex(REQUESTED));
        let from = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 13_337);
        assert_eq!(response(COUNTED, from)[..], hex(ANSWERED));
        assert_eq!(read_request(&hex(REQUESTED)), Some(COUNTED));
        assert_eq!(read_response(&hex(ANSWERED), COUNTED), Some(from));
    }

    #[test]
    fn addresses_come_back_as_they_went() {
        for step in 0..256 {
            let ip = Ipv4Addr::from(0x7f00_0001 + step);
            let from = SocketAddrV4::new(ip, 13_337 + step as u16);
            assert_eq!(read_response(&response(COUNTED, from), COUNTED), Some(from));
        }
    }

    #[test]
    fn whatever_is_bent_is_neither() {
        let from = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 13_337);
        let (asked, answered) = (request(COUNTED), response(COUNTED, from));
        for bit in 0..8 * REQUEST {
            // The length is not looked at, and the fingerprint covers it.
            let mut bent = asked;
            bent[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read_request(&bent), None, "bit {bit}");
        }
        for bit in 0..8 * RESPONSE {
            let mut bent = answered;
            bent[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read_response(&bent, COUNTED), None, "bit {bit}");
        }
        assert_eq!(read_response(&answered, [1; ID]), None);
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let headed = [&[0, 1, 0, 8, 0x21, 0x12, 0xa4, 0x42][..], &bytes].concat();
            let answered = [&[1, 1, 0, 8, 0x21, 0x12, 0xa4, 0x42][..], &COUNTED, &bytes].concat();
            for bytes in [bytes, headed, answered] {
                let _ = read_request(&bytes);
                let _ = read_response(&bytes, COUNTED);
            }
        }
    }
}
