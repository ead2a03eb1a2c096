//! The nouns of ames' effects, events and questions (`spec/drivers.md` section 8), as types.

use super::{
    lanes::{Address, Lane, read_list},
    stun_client::Told,
};
use crate::{
    ovum::Ovum,
    peek::{last, ourselves},
};
use serf_ipc::{AtPath, FromNoun, Noun, ShapeError, n, text};
use std::net::SocketAddrV4;

/// An effect on a wire of ours.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Send this packet along this lane.
    Send(Lane, Vec<u8>),
    /// The ship's domains, the first of which has the galaxies.
    Turf(Vec<String>),
    /// The ship's sponsors, itself first and its galaxy last.
    Saxo(Vec<u128>),
    /// Where a ship is now.
    Nail(u128, Vec<Lane>),
    /// Nothing: kernels of old.
    Init,
}

impl Effect {
    /// Reads a card; None where its tag is none of ours.
    pub(crate) fn read(tag: &str, data: &Noun) -> Option<Result<Effect, ShapeError>> {
        Some(match tag {
            "send" => send(data).at("send"),
            "turf" => list(data, turf).at("turf").map(Effect::Turf),
            "saxo" => list(data, u128::from_noun).at("saxo").map(Effect::Saxo),
            "nail" => <(u128, Noun)>::from_noun(data)
                .at("nail")
                .map(|(ship, lanes)| Effect::Nail(ship, read_list(&lanes))),
            "init" => Ok(Effect::Init),
            _ => return None,
        })
    }
}

fn send(data: &Noun) -> Result<Effect, ShapeError> {
    let (lane, packet) = <(Lane, Noun)>::from_noun(data)?;
    match packet.atom_bytes() {
        Some(bytes) => Ok(Effect::Send(lane, bytes.into_owned())),
        None => Err(ShapeError::new("a packet, an atom", &packet)),
    }
}

/// A domain, a list of labels with the last one first, as text: `/org/urbit` is `urbit.org`.
fn turf(noun: &Noun) -> Result<String, ShapeError> {
    let mut labels = list(noun, String::from_noun)?;
    labels.reverse();
    Ok(labels.join("."))
}

fn list<T>(noun: &Noun, read: impl Fn(&Noun) -> Result<T, ShapeError>) -> Result<Vec<T>, ShapeError> {
    let items = noun.iter_list().take(crate::limits::AMES_LIST).enumerate();
    items.map(|(at, item)| item.and_then(&read).at_item(at)).collect()
}

/// `[%born ~]` to the ship's ames. It is mesa's to say in vere, and ames says it as long as there is no mesa.
pub(crate) fn born() -> Ovum {
    Ovum::new("a", ["ames"], n!["born", ()])
}

/// `[%hear lane packet]`: a packet came.
pub(crate) fn hear(from: SocketAddrV4, packet: &[u8]) -> Ovum {
    Ovum::new("a", ["ames"], hear_card(from, packet))
}

/// The same for fine's answers.
pub(crate) fn hear_purr(from: SocketAddrV4, packet: &[u8]) -> Ovum {
    Ovum::new("ames", ["fine"], hear_card(from, packet))
}

fn hear_card(from: SocketAddrV4, packet: &[u8]) -> Noun {
    n!["hear", Address::from(from).lane(), Noun::from_le_bytes(packet)]
}

/// `[%stun kind galaxy lane]`.
pub(crate) fn stun(told: Told) -> Ovum {
    let card = n!["stun", told.kind, u64::from(told.galaxy), told.lane.lane()];
    Ovum::new("ames", ["ames"], card)
}

/// `[%dear ship lane]`: a ship was found there.
pub(crate) fn dear(ship: u128, lane: Address) -> Ovum {
    Ovum::new("a", ["ames"], n!["dear", Noun::from_u128(ship), lane.lane()])
}

/// The question for the protocol's version.
pub(crate) fn ask_version() -> Noun {
    last(ourselves(), "ax", Noun::ZERO, n!["protocol", "version", ()])
}

/// The question for a ship's lanes.
pub(crate) fn ask_lanes(ship: u128) -> Noun {
    let spur = n!["peers", text::p::format(ship), "forward-lane", ()];
    last(ourselves(), "ax", Noun::ZERO, spur)
}

/// The question for a page of fine's: only what is published for all.
pub(crate) fn ask_page(spur: &Noun) -> Noun {
    last(Noun::ZERO, "ax", Noun::ZERO, spur.clone())
}
