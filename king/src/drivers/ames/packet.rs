//! The envelope of ames' packets: header, origin, lives, ships, and the checks that hostile bytes do not pass
//! (`spec/drivers.md` section 8). Parsing copies nothing and allocates nothing.

use super::lanes::Address;
use serf_ipc::noun::mug_octets;

/// Bytes of a header.
pub(crate) const HEAD: usize = 4;
/// Bytes of an origin: an address, little-endian.
pub(crate) const ORIGIN: usize = 6;
/// The mug in a header has so many bits.
const MUG: u32 = (1 << 20) - 1;

/// What a packet is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A fragment of a message, or its acknowledgment.
    Ames,
    /// fine: a request for a fragment of something at a path.
    Wail,
    /// fine: the answer.
    Purr,
}

/// A header, 32 bits. Its flags are loobeans: a bit that is clear says yes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Of fine's packets, whether it is a request.
    pub(crate) is_request: bool,
    /// Whether this is ames proper.
    pub(crate) is_ames: bool,
    /// The protocol's version, 3 bits.
    pub(crate) version: u8,
    /// The sender has `2 << class` bytes.
    pub(crate) sender_class: u8,
    /// The receiver has `2 << class` bytes.
    pub(crate) receiver_class: u8,
    /// The low 20 bits of the mug of all that follows header and origin.
    pub(crate) mug: u32,
    /// Whether an origin follows.
    pub(crate) is_relayed: bool,
}

impl Head {
    /// Reads a header.
    pub(crate) fn read(bytes: [u8; HEAD]) -> Head {
        let word = u32::from_le_bytes(bytes);
        let bits = |from: u32, count: u32| word >> from & ((1 << count) - 1);
        Head {
            is_request: bits(2, 1) == 0,
            is_ames: bits(3, 1) == 0,
            version: bits(4, 3) as u8,
            sender_class: bits(7, 2) as u8,
            receiver_class: bits(9, 2) as u8,
            mug: bits(11, 20),
            is_relayed: bits(31, 1) == 0,
        }
    }

    /// Writes it; the two reserved bits are zero.
    pub(crate) fn write(&self) -> [u8; HEAD] {
        let word = u32::from(!self.is_request) << 2
            | u32::from(!self.is_ames) << 3
            | u32::from(self.version & 7) << 4
            | u32::from(self.sender_class & 3) << 7
            | u32::from(self.receiver_class & 3) << 9
            | (self.mug & MUG) << 11
            | u32::from(!self.is_relayed) << 31;
        word.to_le_bytes()
    }

    /// What the packet is for.
    pub(crate) fn kind(&self) -> Kind {
        match (self.is_ames, self.is_request) {
            (true, _) => Kind::Ames,
            (false, true) => Kind::Wail,
            (false, false) => Kind::Purr,
        }
    }
}

/// A packet whose envelope is sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Packet<'a> {
    /// Its header.
    pub(crate) head: Head,
    /// Where it came from before it was relayed.
    pub(crate) origin: Option<Address>,
    /// The sender's life, 4 bits of it.
    pub(crate) sender_life: u8,
    /// The receiver's life, 4 bits of it.
    pub(crate) receiver_life: u8,
    /// The sender.
    pub(crate) sender: u128,
    /// The receiver.
    pub(crate) receiver: u128,
    /// All that follows.
    pub(crate) body: &'a [u8],
}

/// Why a packet is dropped unread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Too short for a header.
    Head,
    /// Of another version than the ship speaks.
    Version,
    /// Its mug is not that of its bytes.
    Mug,
    /// Too short for what its header announces.
    Prelude,
}

impl<'a> Packet<'a> {
    /// Reads a packet, of this version if the ship has told its own.
    ///
    /// # Errors
    /// When it is to be dropped.
    pub(crate) fn parse(bytes: &'a [u8], version: Option<u8>) -> Result<Packet<'a>, Refused> {
        let (head, rest) = bytes.split_first_chunk::<HEAD>().ok_or(Refused::Head)?;
        let head = Head::read(*head);
        if version.is_some_and(|version| version != head.version) {
            return Err(Refused::Version);
        }
        let (origin, rest) = if head.is_relayed {
            // vere computes the mug of what is not there; here the packet is too short.
            let (origin, rest) = rest.split_first_chunk::<ORIGIN>().ok_or(Refused::Prelude)?;
            (Some(Address::from_le_bytes(*origin)), rest)
        } else {
            (None, rest)
        };
        if head.mug != envelope_mug(rest) {
            return Err(Refused::Mug);
        }
        let (lives, rest) = rest.split_first().ok_or(Refused::Prelude)?;
        let (sender, rest) = ship(rest, head.sender_class).ok_or(Refused::Prelude)?;
        let (receiver, body) = ship(rest, head.receiver_class).ok_or(Refused::Prelude)?;
        Ok(Packet {
            head,
            origin,
            sender_life: lives & 0xf,
            receiver_life: lives >> 4,
            sender,
            receiver,
            body,
        })
    }

    /// Writes the packet; its mug is computed.
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut bytes = vec![0; HEAD];
        if let Some(origin) = self.origin {
            bytes.extend(origin.to_le_bytes());
        }
        let from = bytes.len();
        bytes.push(self.sender_life & 0xf | self.receiver_life << 4);
        bytes.extend(&self.sender.to_le_bytes()[..ship_bytes(self.head.sender_class)]);
        bytes.extend(&self.receiver.to_le_bytes()[..ship_bytes(self.head.receiver_class)]);
        bytes.extend(self.body);
        let head = Head {
            mug: envelope_mug(&bytes[from..]),
            is_relayed: self.origin.is_some(),
            ..self.head
        };
        bytes[..HEAD].copy_from_slice(&head.write());
        bytes
    }
}

/// The low bits of the mug of exactly these bytes: zeros at the end count, unlike in an atom.
fn envelope_mug(bytes: &[u8]) -> u32 {
    mug_octets(bytes).0 & MUG
}

/// How many bytes a ship of this class has.
fn ship_bytes(class: u8) -> usize {
    2 << usize::from(class & 3)
}

fn ship(bytes: &[u8], class: u8) -> Option<(u128, &[u8])> {
    let (field, rest) = bytes.split_at_checked(ship_bytes(class))?;
    let mut ship = [0; 16];
    ship[..field.len()].copy_from_slice(field);
    Some((u128::from_le_bytes(ship), rest))
}

/// The same packet with an origin before its ships; the mug does not cover it. None where there is no header.
pub(crate) fn with_origin(bytes: &[u8], origin: Address) -> Option<Vec<u8>> {
    let (head, rest) = bytes.split_first_chunk::<HEAD>()?;
    let head = Head {
        is_relayed: true,
        ..Head::read(*head)
    };
    Some([&head.write()[..], &origin.to_le_bytes(), rest].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::Ipv4Addr;

    /// ~zod to ~nec, computed from the C source's rules.
    pub(crate) const ZOD_TO_NEC: [u8; 12] = [
        0x00, 0x00, 0x0a, 0xae, 0x11, 0x00, 0x00, 0x01, 0x00, 0x01, 0x02, 0x03,
    ];

    #[test]
    fn a_packet_of_vere_s_is_read_and_written() {
        let packet = Packet::parse(&ZOD_TO_NEC, Some(0)).unwrap();
        assert_eq!(packet.head.kind(), Kind::Ames);
        assert_eq!((packet.sender, packet.receiver), (0, 1));
        assert_eq!((packet.sender_life, packet.receiver_life), (1, 1));
        assert_eq!((packet.body, packet.origin), (&[1, 2, 3][..], None));
        assert_eq!(packet.write(), ZOD_TO_NEC);
    }

    #[test]
    fn what_is_not_sound_is_refused_for_what_it_lacks() {
        for len in 0..HEAD {
            assert_eq!(Packet::parse(&ZOD_TO_NEC[..len], None), Err(Refused::Head));
        }
        assert_eq!(Packet::parse(&ZOD_TO_NEC, Some(1)), Err(Refused::Version));
        let mut bent = ZOD_TO_NEC;
        bent[10] ^= 1;
        assert_eq!(Packet::parse(&bent, Some(0)), Err(Refused::Mug));
        let mut class = Packet::parse(&ZOD_TO_NEC, None).unwrap();
        class.head.receiver_class = 3;
        let mut long = class.write();
        long.truncate(14);
        let head = Head {
            mug: envelope_mug(&long[HEAD..]),
            ..class.head
        };
        long[..HEAD].copy_from_slice(&head.write());
        assert_eq!(Packet::parse(&long, Some(0)), Err(Refused::Prelude));
    }

    #[test]
    fn an_origin_changes_no_mug() {
        let origin = Address::new(Ipv4Addr::new(10, 1, 2, 3), 13_337);
        let relayed = with_origin(&ZOD_TO_NEC, origin).unwrap();
        assert_eq!(relayed.len(), ZOD_TO_NEC.len() + ORIGIN);
        assert_eq!(&relayed[4..10], [3, 2, 1, 10, 0x19, 0x34]);
        let packet = Packet::parse(&relayed, Some(0)).unwrap();
        assert_eq!(packet.origin, Some(origin));
        assert_eq!(packet.body, [1, 2, 3]);
        assert_eq!(packet.write(), relayed);
        for len in HEAD..HEAD + ORIGIN {
            assert_eq!(Packet::parse(&relayed[..len], None), Err(Refused::Prelude));
        }
    }

    proptest! {
        #[test]
        fn a_header_is_its_bits(word: u32) {
            let head = Head::read(word.to_le_bytes());
            prop_assert_eq!(head.write(), (word & !3).to_le_bytes());
        }

        #[test]
        fn what_is_written_is_read(
            word: u32,
            lives: u8,
            ships: (u128, u128),
            origin: Option<[u8; ORIGIN]>,
            body in proptest::collection::vec(any::<u8>(), 0..1200),
        ) {
            let head = Head::read(word.to_le_bytes());
            let cut = |ship: u128, class| match 8 * ship_bytes(class) {
                128 => ship,
                bits => ship & ((1 << bits) - 1),
            };
            let packet = Packet {
                head,
                origin: origin.map(Address::from_le_bytes),
                sender_life: lives & 0xf,
                receiver_life: lives >> 4,
                sender: cut(ships.0, head.sender_class),
                receiver: cut(ships.1, head.receiver_class),
                body: &body,
            };
            let bytes = packet.write();
            let read = Packet::parse(&bytes, Some(head.version)).unwrap();
            prop_assert_eq!(&read.body, &packet.body);
            prop_assert_eq!((read.sender, read.receiver), (packet.sender, packet.receiver));
            prop_assert_eq!(read.origin, packet.origin);
            prop_assert_eq!(read.write(), bytes);
        }

        #[test]
        fn no_bytes_are_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Packet::parse(&bytes, None);
        }
    }
}
