//! Packets of mesa's, read and written (`spec/drivers.md` section 9).
//!
//! All numbers are little-endian and as short as their length fields allow. What is written is in that shortest form; what
//! is read may be longer, and says the same.

use super::lss::Pair;
use crate::drivers::udp::MESA_COOKIE;
use serf_ipc::noun::mug_octets;

/// The protocol's version.
const VERSION: u64 = 1;
/// Bytes before what the mug is over: the head and the cookie.
const HEAD: usize = 8;
/// The mug in a head has so many bits.
const MUG: u32 = (1 << 20) - 1;
/// Hops are counted up to this number.
const HOPS: u8 = 7;
/// The largest packet on the wire.
pub(crate) const PACKET: usize = 1472;
/// Bytes of a signature, and of a message's authentication code.
const SIGNATURE: usize = 64;
const CODE: usize = 16;

/// Why a packet is refused, in vere's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// It ends too early.
    #[error("unexpected eof")]
    Eof,
    /// Something follows it.
    #[error("trailing bytes")]
    Trailing,
    /// Its mug is another's.
    #[error("bad mug")]
    Mug,
    /// It is of another version.
    #[error("bad protocol")]
    Protocol,
    /// It has no cookie.
    #[error("bad cookie")]
    Cookie,
    /// It is neither a page nor a peek nor a poke. vere gives it to its kernel as a poke.
    #[error("bad type")]
    Type,
    /// A name for a first packet that names a fragment too. vere ends over it.
    #[error("bad name")]
    Name,
    /// A length of more than four bytes. vere ends over it.
    #[error("bad length")]
    Length,
    /// A next hop that is no address.
    #[error("mesa: sift invalid hop")]
    Hop,
}

/// Which packet of a message a name is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Part {
    /// The first, which has a proof, or the whole of a short message.
    Init,
    /// A fragment, or what authenticates it.
    Fragment {
        /// Whether the latter is meant.
        is_auth: bool,
        /// Which fragment, from 0.
        number: u64,
    },
}

/// What a packet asks for, or has.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Name {
    /// Whose it is.
    pub(crate) ship: u128,
    /// In which of the ship's lives.
    pub(crate) rift: u32,
    /// The logarithm of a fragment's size in bits: 13 on the wire, 31 for a whole message.
    pub(crate) bloq: u8,
    /// Which part.
    pub(crate) part: Part,
    /// Of what: a path's text without its first slash.
    pub(crate) path: Box<[u8]>,
}

/// What stands for a fragment's truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Auth {
    /// A signature of the message.
    Sign([u8; SIGNATURE]),
    /// The message's authentication code.
    Code([u8; CODE]),
    /// Nothing: its hash was in an earlier packet.
    None,
    /// Two hashes further down the tree.
    Pair(Pair),
}

/// A fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Data {
    /// Bytes of the whole message.
    pub(crate) total: u64,
    /// What stands for it.
    pub(crate) auth: Auth,
    /// Its bytes.
    pub(crate) bytes: Vec<u8>,
}

/// What a packet is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// An answer.
    Page {
        /// To what.
        name: Name,
        /// The answer.
        data: Data,
        /// An address that it came by, IP and port.
        next_hop: Option<[u8; 6]>,
    },
    /// A question.
    Peek(Name),
    /// A question with something to be told.
    Poke {
        /// The question: the acknowledgement.
        ack: Name,
        /// What is told.
        payload: Name,
        /// Its first fragment.
        data: Data,
    },
}

/// A packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Packet {
    /// How often it was sent on.
    pub(crate) hops: u8,
    /// What it is.
    pub(crate) body: Body,
}

impl Packet {
    /// A packet that was not sent on yet.
    pub(crate) fn new(body: Body) -> Packet {
        Packet { hops: 0, body }
    }

    /// The packet's name: what it asks for, or answers.
    pub(crate) fn name(&self) -> &Name {
        match &self.body {
            Body::Page { name, .. } | Body::Peek(name) | Body::Poke { ack: name, .. } => name,
        }
    }

    /// Counts a hop.
    pub(crate) fn hop(&mut self) {
        self.hops = HOPS.min(self.hops + 1);
    }

    /// Reads a packet, on the wire or the kernel's: the latter may be as long as a message.
    ///
    /// # Errors
    /// When it is none.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Packet, Refused> {
        let (head, rest) = bytes.split_first_chunk::<HEAD>().ok_or(Refused::Eof)?;
        let head = u64::from_le_bytes(*head);
        let field = |at: u32, width: u32| head >> at & ((1 << width) - 1);
        if head >> 32 != u64::from(u32::from_le_bytes(MESA_COOKIE)) {
            return Err(Refused::Cookie);
        }
        if field(4, 3) != VERSION {
            return Err(Refused::Protocol);
        }
        let mut reader = Reader(rest);
        let body = match field(7, 2) {
            1 => Body::Page {
                name: reader.name()?,
                data: reader.data()?,
                next_hop: match field(2, 2) {
                    0 => None,
                    1 => Some(reader.array()?),
                    _ => return Err(Refused::Hop),
                },
            },
            2 => Body::Peek(reader.name()?),
            3 => Body::Poke {
                ack: reader.name()?,
                payload: reader.name()?,
                data: reader.data()?,
            },
            _ => return Err(Refused::Type),
        };
        if !reader.0.is_empty() {
            return Err(Refused::Trailing);
        }
        if u64::from(mug_octets(rest).0 & MUG) != field(12, 20) {
            return Err(Refused::Mug);
        }
        Ok(Packet {
            hops: field(9, 3) as u8,
            body,
        })
    }

    /// The packet's bytes.
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut out = vec![0; HEAD];
        let (kind, hop_kind) = match &self.body {
            Body::Page { name, data, next_hop } => {
                name.write(&mut out);
                data.write(&mut out);
                out.extend_from_slice(next_hop.as_ref().map_or(&[], |hop| &hop[..]));
                (1, u64::from(next_hop.is_some()))
            }
            Body::Peek(name) => {
                name.write(&mut out);
                (2, 0)
            }
            Body::Poke { ack, payload, data } => {
                ack.write(&mut out);
                payload.write(&mut out);
                data.write(&mut out);
                (3, 0)
            }
        };
        let head = u64::from(self.hops.min(HOPS)) << 9 | kind << 7 | hop_kind << 2;
        out[..HEAD].copy_from_slice(&head.to_le_bytes());
        seal(&mut out);
        out
    }
}

/// Writes into a packet's head what follows from the rest: version, mug and cookie. Bytes that are no head stay as they are.
pub(crate) fn seal(packet: &mut [u8]) {
    let Some((head, rest)) = packet.split_first_chunk_mut::<HEAD>() else {
        return;
    };
    let kept = u64::from_le_bytes(*head) & 0xf8f;
    let mug = u64::from(mug_octets(rest).0 & MUG);
    let cookie = u64::from(u32::from_le_bytes(MESA_COOKIE));
    *head = (cookie << 32 | mug << 12 | VERSION << 4 | kept).to_le_bytes();
}

impl Name {
    /// The number of its fragment; a first packet's is 0.
    pub(crate) fn fragment(&self) -> u64 {
        match self.part {
            Part::Init => 0,
            Part::Fragment { number, .. } => number,
        }
    }

    /// The name of the fragment with this number, itself.
    pub(crate) fn of_fragment(&self, number: u64) -> Name {
        Name {
            part: Part::Fragment {
                is_auth: false,
                number,
            },
            ..self.clone()
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        let rank = rank(self.ship);
        let rift_bytes = byte_length(u64::from(self.rift)).max(1);
        let part = match self.part {
            Part::Init => 1 << 4,
            Part::Fragment { is_auth, number } => u8::from(is_auth) << 5 | size(number) << 6,
        };
        out.push(rank | (rift_bytes as u8 - 1) << 2 | part);
        out.extend_from_slice(&self.ship.to_le_bytes()[..2 << rank]);
        out.extend_from_slice(&self.rift.to_le_bytes()[..rift_bytes]);
        out.push(self.bloq);
        if let Part::Fragment { number, .. } = self.part {
            out.extend_from_slice(&number.to_le_bytes()[..1 << size(number)]);
        }
        // A path that was read was so short; those of the king's own were read.
        out.extend_from_slice(&(self.path.len() as u16).to_le_bytes());
        out.extend_from_slice(&self.path);
    }
}

impl Data {
    fn write(&self, out: &mut Vec<u8>) {
        let total_size = size(self.total);
        let (tag, auth): (u8, &[u8]) = match &self.auth {
            Auth::Sign(signature) => (0b00, signature),
            Auth::Code(code) => (0b10, code),
            Auth::None => (0b01, &[]),
            Auth::Pair(pair) => (0b11, pair.as_flattened()),
        };
        let len = self.bytes.len() as u64;
        let len_bytes = byte_length(len);
        out.push(total_size | tag << 2 | (len_bytes.min(3) as u8) << 6);
        out.extend_from_slice(&self.total.to_le_bytes()[..1 << total_size]);
        out.extend_from_slice(auth);
        if len_bytes >= 3 {
            out.push(len_bytes as u8);
        }
        out.extend_from_slice(&len.to_le_bytes()[..len_bytes]);
        out.extend_from_slice(&self.bytes);
    }
}

/// What is left to be read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], Refused> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Refused::Eof)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Refused> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Refused::Eof)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn byte(&mut self) -> Result<u8, Refused> {
        self.array().map(|[byte]| byte)
    }

    /// A number of at most 16 bytes.
    fn number(&mut self, len: usize) -> Result<u128, Refused> {
        let mut bytes = [0; 16];
        bytes[..len].copy_from_slice(self.take(len)?);
        Ok(u128::from_le_bytes(bytes))
    }

    fn name(&mut self) -> Result<Name, Refused> {
        let meta = self.byte()?;
        let ship = self.number(2 << (meta & 3))?;
        let rift = self.number(usize::from(meta >> 2 & 3) + 1)? as u32;
        let bloq = self.byte()?;
        let part = match (meta >> 4 & 1, meta >> 5 & 1, meta >> 6) {
            (0, auth, size) => Part::Fragment {
                is_auth: auth == 1,
                number: self.number(1 << size)? as u64,
            },
            (_, 0, 0) => Part::Init,
            _ => return Err(Refused::Name),
        };
        let path_len = u16::from_le_bytes(self.array()?);
        Ok(Name {
            ship,
            rift,
            bloq,
            part,
            path: self.take(usize::from(path_len))?.into(),
        })
    }

    fn data(&mut self) -> Result<Data, Refused> {
        let meta = self.byte()?;
        let total = self.number(1 << (meta & 3))? as u64;
        let auth = match meta >> 2 & 3 {
            0b00 => Auth::Sign(self.array()?),
            0b10 => Auth::Code(self.array()?),
            0b01 => Auth::None,
            _ => Auth::Pair([self.array()?, self.array()?]),
        };
        let len_bytes = match meta >> 6 {
            3 => usize::from(self.byte()?),
            len => usize::from(len),
        };
        if len_bytes > 4 {
            return Err(Refused::Length);
        }
        let len = self.number(len_bytes)? as usize;
        let bytes = self.take(len)?.to_vec();
        Ok(Data { total, auth, bytes })
    }
}

/// Two bits that say how long a ship's field is: `2 << rank` bytes.
fn rank(ship: u128) -> u8 {
    match ship {
        0..=0xffff => 0,
        0x1_0000..=0xffff_ffff => 1,
        0x1_0000_0000..=0xffff_ffff_ffff_ffff => 2,
        _ => 3,
    }
}

/// Two bits that say how long a number's field is: `1 << size` bytes.
fn size(number: u64) -> u8 {
    match number {
        0..=0xff => 0,
        0x100..=0xffff => 1,
        0x1_0000..=0xffff_ffff => 2,
        _ => 3,
    }
}

/// How many bytes a number has; 0 has none.
fn byte_length(number: u64) -> usize {
    (64 - number.leading_zeros() as usize).div_ceil(8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    /// `spec/testmap.md` section 7.
    const PEEK: [u8; 22] = [
        0x10, 0x31, 0xe2, 0x7b, 0x00, 0x02, 0xe0, 0x67, 0x00, 0x01, 0x00, 0x0f, 0x0d, 0x36, 0x07, 0x00, 0x66,
        0x6f, 0x6f, 0x2f, 0x62, 0x61,
    ];

    fn foo_bar() -> Name {
        Name {
            ship: 1,
            rift: 15,
            bloq: 13,
            part: Part::Fragment {
                is_auth: false,
                number: 54,
            },
            path: (*b"foo/bar").into(),
        }
    }

    #[test]
    fn a_peek_is_as_the_c_program_writes_it() {
        let bytes = [&PEEK[..], &[0x72]].concat();
        let packet = Packet::new(Body::Peek(foo_bar()));
        assert_eq!(packet.write(), bytes);
        assert_eq!(Packet::parse(&bytes), Ok(packet));
    }

    #[test]
    fn what_is_no_packet_is_refused_with_its_reason() {
        let good = [&PEEK[..], &[0x72]].concat();
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            Packet::parse(&bytes).unwrap_err()
        };
        assert_eq!(with(22, 0x73), Refused::Mug);
        assert_eq!(with(4, 1), Refused::Cookie);
        assert_eq!(with(0, 0x20), Refused::Protocol);
        assert_eq!(with(1, 0x30), Refused::Type);
        assert_eq!(with(8, 0x30), Refused::Name);
        assert_eq!(with(8, 0x50), Refused::Name);
        assert_eq!(with(14, 8), Refused::Eof);
        assert_eq!(with(14, 6), Refused::Trailing);
        for len in 0..good.len() {
            assert!(Packet::parse(&good[..len]).is_err());
        }
        let page = Packet::new(Body::Page {
            name: foo_bar(),
            data: Data {
                total: 3,
                auth: Auth::None,
                bytes: vec![1, 2, 3],
            },
            next_hop: Some([1, 2, 3, 4, 5, 6]),
        });
        let mut bytes = page.write();
        assert_eq!(Packet::parse(&bytes), Ok(page));
        bytes[0] |= 8;
        assert_eq!(Packet::parse(&bytes), Err(Refused::Hop));
    }

    fn name() -> impl Strategy<Value = Name> {
        let ship = prop_oneof![
            0..0x1_0000_u128,
            0..0x1_0000_0000_u128,
            any::<u64>().prop_map(u128::from),
            any::<u128>()
        ];
        let number = prop_oneof![0..300_u64, 0..0x2_0000_u64, any::<u64>()];
        let part = prop_oneof![
            Just(Part::Init),
            (any::<bool>(), number).prop_map(|(is_auth, number)| Part::Fragment { is_auth, number })
        ];
        (ship, any::<u32>(), 0..64_u8, part, vec(0x20..0x7f_u8, 0..278)).prop_map(
            |(ship, rift, bloq, part, path)| Name {
                ship,
                rift,
                bloq,
                part,
                path: path.into(),
            },
        )
    }

    fn data() -> impl Strategy<Value = Data> {
        let auth = prop_oneof![
            any::<[u8; 32]>().prop_map(|half| Auth::Sign([half, half].concat().try_into().unwrap())),
            any::<[u8; 16]>().prop_map(Auth::Code),
            Just(Auth::None),
            any::<[[u8; 32]; 2]>().prop_map(Auth::Pair)
        ];
        (any::<u64>(), 0..64_u32, auth, vec(any::<u8>(), 0..1024)).prop_map(|(total, shift, auth, bytes)| {
            Data {
                total: total >> shift,
                auth,
                bytes,
            }
        })
    }

    fn body() -> impl Strategy<Value = Body> {
        let page = (name(), data(), any::<Option<[u8; 6]>>());
        prop_oneof![
            page.prop_map(|(name, data, next_hop)| Body::Page { name, data, next_hop }),
            name().prop_map(Body::Peek),
            (name(), name(), data()).prop_map(|(ack, payload, data)| Body::Poke { ack, payload, data })
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(body in body(), hops in 0..8_u8) {
            let packet = Packet { hops, body };
            prop_assert_eq!(Packet::parse(&packet.write()), Ok(packet));
        }
    }

    #[test]
    fn a_whole_message_is_one_packet() {
        let packet = Packet::new(Body::Page {
            name: foo_bar(),
            data: Data {
                total: 70_000,
                auth: Auth::Code([9; CODE]),
                bytes: vec![7; 70_000],
            },
            next_hop: None,
        });
        assert_eq!(Packet::parse(&packet.write()), Ok(packet));
    }

    #[test]
    fn hops_are_counted_to_seven() {
        let mut packet = Packet::new(Body::Peek(foo_bar()));
        for hop in 1..10 {
            packet.hop();
            assert_eq!(packet.hops, hop.min(7));
        }
    }
}
