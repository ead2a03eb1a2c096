//! Messages that this ship publishes, whole, as its kernel gave them, and the fragments that are cut from them
//! (`spec/drivers.md` section 9, "Peeks for us").

use super::{
    lss::{self, HASH, Hash, LEAF, Pair},
    packet::{Auth, Body, Data, Name, Packet, Part, Refused},
};
use crate::{drivers::udp::cache::Cache, limits};
use serf_ipc::Noun;
use std::collections::HashSet;

/// What a message is known by: its parts have the rest of their names in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct MessageName {
    /// In which of the ship's lives.
    pub(crate) rift: u32,
    /// The path's text.
    pub(crate) path: Box<[u8]>,
}

impl MessageName {
    /// The message that a name is of.
    pub(crate) fn of(name: &Name) -> MessageName {
        MessageName {
            rift: name.rift,
            path: name.path.clone(),
        }
    }
}

/// Why the kernel's answer is no message.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Strange {
    /// It is not of the shape `[packet pairs proof]`.
    #[error("mesa: jumbo frame misshapen")]
    Shape,
    /// Its packet is none.
    #[error("mesa: jumbo frame parse failure: {0}")]
    Packet(#[from] Refused),
    /// Its packet is not one page with the whole message.
    #[error("mesa: jumbo frame is no whole message")]
    Part,
}

/// A message.
#[derive(Debug)]
pub(crate) struct Message {
    auth: Auth,
    bytes: Vec<u8>,
    /// A pair for each leaf that has one.
    pairs: Vec<Option<Pair>>,
    proof: Vec<u8>,
}

impl Message {
    /// Reads what the kernel says to a question for a message, `[packet pairs proof]`.
    ///
    /// # Errors
    /// When it is none.
    pub(crate) fn read(noun: &Noun) -> Result<Message, Strange> {
        let (packet, rest) = noun.as_cell().ok_or(Strange::Shape)?;
        let (pairs, proof) = rest.as_cell().ok_or(Strange::Shape)?;
        let packet = packet.atom_bytes().ok_or(Strange::Shape)?;
        let proof = proof.atom_bytes().ok_or(Strange::Shape)?;
        let Body::Page { data, .. } = Packet::parse(&packet)?.body else {
            return Err(Strange::Part);
        };
        if data.bytes.is_empty() || data.bytes.len() as u64 != data.total {
            return Err(Strange::Part);
        }
        let leaves = lss::leaves(data.total);
        let count = usize::try_from(leaves).map_err(|_| Strange::Part)?;
        let pairs = pairs
            .iter_list()
            .take(count)
            .map(|pair| read_pair(&pair.ok()?.atom_bytes()?))
            .chain(std::iter::repeat(None))
            .take(count)
            .collect();
        let mut proof = proof.into_owned();
        // An atom has no zeros at its end; the proof has its length.
        proof.resize(lss::proof_len(leaves) * HASH, 0);
        Ok(Message {
            auth: data.auth,
            bytes: data.bytes,
            pairs,
            proof,
        })
    }

    /// What it weighs, bytes.
    fn weight(&self) -> usize {
        self.bytes.len() + self.pairs.len() * size_of::<Option<Pair>>()
    }

    /// The page that answers a question for one of its parts; None where there is no such part.
    pub(crate) fn page(&self, name: &Name) -> Option<Packet> {
        let (auth, bytes) = match name.part {
            Part::Init if self.pairs.len() > 1 => (self.auth, &self.proof[..]),
            Part::Init => (self.auth, &self.bytes[..]),
            Part::Fragment { number, .. } => {
                let number = usize::try_from(number).ok()?;
                let auth = match self.pairs.get(number)? {
                    _ if number == 0 => self.auth,
                    None => Auth::None,
                    Some(pair) => Auth::Pair(*pair),
                };
                (auth, self.bytes.chunks(LEAF).nth(number)?)
            }
        };
        let data = Data {
            total: self.bytes.len() as u64,
            auth,
            bytes: bytes.to_vec(),
        };
        Some(Packet::new(Body::Page {
            name: name.clone(),
            data,
            next_hop: None,
        }))
    }
}

/// Two hashes; zeros are none.
fn read_pair(bytes: &[u8]) -> Option<Pair> {
    let mut flat = [0; 2 * HASH];
    flat.get_mut(..bytes.len())?.copy_from_slice(bytes);
    let (left, right) = flat.split_at(HASH);
    let pair: Pair = [Hash::try_from(left).ok()?, Hash::try_from(right).ok()?];
    (pair != Pair::default()).then_some(pair)
}

/// Messages that are kept, and those that the kernel is asked for.
pub(crate) struct Messages {
    known: Cache<MessageName, Message>,
    asked: HashSet<MessageName>,
}

impl Messages {
    pub(crate) fn new() -> Messages {
        Messages {
            known: Cache::new(limits::MESA_MESSAGES_BYTES),
            asked: HashSet::new(),
        }
    }

    /// A message, if it is known.
    pub(crate) fn find(&self, name: &MessageName) -> Option<&Message> {
        self.known.get(name)
    }

    /// Whether the kernel is to be asked: not twice at once, and not for too much at once.
    pub(crate) fn ask(&mut self, name: &MessageName) -> bool {
        self.asked.len() < limits::MESA_PEEKS && self.asked.insert(name.clone())
    }

    /// The kernel has answered; with what, if it was a message.
    pub(crate) fn answered(&mut self, name: MessageName, message: Option<Message>) {
        self.asked.remove(&name);
        if let Some(message) = message {
            let weight = message.weight();
            self.known.put(name, message, weight);
        }
    }

    /// How many the kernel is being asked for.
    pub(crate) fn asked(&self) -> usize {
        self.asked.len()
    }

    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::drivers::mesa::lss::tests::{Tree, leaf, message};
    use serf_ipc::n;

    pub(crate) const AUTH: Auth = Auth::Code([5; 16]);

    pub(crate) fn name(part: Part) -> Name {
        Name {
            ship: 0,
            rift: 1,
            bloq: 13,
            part,
            path: (*b"publ/1/a").into(),
        }
    }

    pub(crate) fn fragment(number: u64) -> Part {
        Part::Fragment {
            is_auth: false,
            number,
        }
    }

    /// What a kernel says.
    pub(crate) fn answer(bytes: &[u8]) -> Noun {
        answer_as(&name(fragment(0)), bytes)
    }

    /// What a kernel says of this message of its.
    pub(crate) fn answer_as(name: &Name, bytes: &[u8]) -> Noun {
        let tree = Tree::of(bytes);
        let whole = Packet::new(Body::Page {
            name: Name {
                bloq: 31,
                ..name.of_fragment(0)
            },
            data: Data {
                total: bytes.len() as u64,
                auth: AUTH,
                bytes: bytes.to_vec(),
            },
            next_hop: None,
        });
        let pairs = tree.pairs.iter().map(|pair| {
            let flat = pair.as_ref().map(|pair| pair.as_flattened());
            Noun::from_le_bytes(flat.unwrap_or_default())
        });
        n![
            Noun::from_le_bytes(&whole.write()),
            Noun::list(pairs),
            Noun::from_le_bytes(tree.proof.as_flattened())
        ]
    }

    fn data(page: Option<Packet>) -> Data {
        match page.unwrap().body {
            Body::Page { data, .. } => data,
            other => panic!("not a page: {other:?}"),
        }
    }

    #[test]
    fn a_long_message_has_a_proof_and_leaves_with_their_pairs() {
        let bytes = message(7 * 1024 + 1);
        let tree = Tree::of(&bytes);
        let long = Message::read(&answer(&bytes)).unwrap();
        let first = data(long.page(&name(Part::Init)));
        assert_eq!((first.total, first.auth), (bytes.len() as u64, AUTH));
        assert_eq!(first.bytes, tree.proof.as_flattened());
        for number in 0..8 {
            let data = data(long.page(&name(fragment(number))));
            assert_eq!(data.bytes, leaf(&bytes, number));
            let auth = match tree.pairs[number as usize] {
                _ if number == 0 => AUTH,
                None => Auth::None,
                Some(pair) => Auth::Pair(pair),
            };
            assert_eq!(data.auth, auth);
        }
        assert!(long.page(&name(fragment(8))).is_none());
        assert!(long.page(&name(fragment(u64::MAX))).is_none());
    }

    #[test]
    fn a_short_message_is_its_first_packet() {
        let short = Message::read(&answer(b"hello")).unwrap();
        for part in [Part::Init, fragment(0)] {
            let data = data(short.page(&name(part)));
            assert_eq!((data.auth, &data.bytes[..]), (AUTH, &b"hello"[..]));
        }
        assert!(short.page(&name(fragment(1))).is_none());
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let good = answer(&message(3000));
        let (packet, rest) = good.as_cell().unwrap();
        let peek = Packet::new(Body::Peek(name(Part::Init))).write();
        assert!(Message::read(&good).is_ok());
        for strange in [
            Noun::ZERO,
            packet.clone(),
            n![packet.clone(), 1_u64],
            n![n![1_u64, 2_u64], rest.clone()],
            n![5_u64, rest.clone()],
            n![Noun::from_le_bytes(&peek), rest.clone()],
        ] {
            assert!(Message::read(&strange).is_err(), "{strange:?}");
        }
    }

    #[test]
    fn the_kernel_is_asked_once_and_not_for_everything() {
        let mut messages = Messages::new();
        let nth = |rift| MessageName {
            rift,
            path: Box::default(),
        };
        for rift in 0..limits::MESA_PEEKS as u32 {
            assert!(messages.ask(&nth(rift)));
            assert!(!messages.ask(&nth(rift)));
        }
        assert!(!messages.ask(&nth(u32::MAX)));
        messages.answered(nth(0), None);
        assert!(messages.ask(&nth(u32::MAX)));
        messages.answered(nth(1), Message::read(&answer(b"one")).ok());
        assert!(messages.find(&nth(1)).is_some() && messages.find(&nth(0)).is_none());
        assert_eq!((messages.len(), messages.asked()), (1, limits::MESA_PEEKS - 1));
    }
}
