//! The nouns of mesa's effects, events and questions (`spec/drivers.md` section 9), as types.

use super::{lss::Hash, messages::MessageName, packet::Auth};
use crate::{
    drivers::ames::lanes,
    limits,
    ovum::Ovum,
    peek::{last, ourselves},
};
use serf_ipc::{AtPath, FromNoun, Noun, ShapeError, n, text};
use std::net::{Ipv4Addr, SocketAddrV4};

/// The logarithm of a whole message's size in bits, as its name has it: larger than any message.
const WHOLE: u64 = 31;

/// Where the kernel wants something to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// To that galaxy, wherever it is.
    Galaxy(u8),
    /// There.
    Direct(SocketAddrV4),
}

impl FromNoun for Lane {
    fn from_noun(noun: &Noun) -> Result<Lane, ShapeError> {
        if noun.is_atom() {
            return match noun.as_u64().map(u8::try_from) {
                Some(Ok(galaxy)) => Ok(Lane::Galaxy(galaxy)),
                _ => Err(ShapeError::new("a galaxy", noun)),
            };
        }
        let (tag, ip, port) = <(Noun, u32, u16)>::from_noun(noun)?;
        if !tag.is_cord("if") {
            return Err(ShapeError::new("a lane, a galaxy or [%if ip port]", noun));
        }
        Ok(Lane::Direct(SocketAddrV4::new(Ipv4Addr::from(ip), port)))
    }
}

/// Reads a `(list lane)`: what is none is left out, and what is too much.
fn read_lanes(list: &Noun) -> Vec<Lane> {
    list.iter_list()
        .take(limits::AMES_LANES)
        .filter_map(|item| {
            let lane = item.and_then(Lane::from_noun);
            lane.inspect_err(|error| tracing::warn!("mesa: inscrutable lane: {error}"))
                .ok()
        })
        .collect()
}

/// `[%push lanes packet]`: a packet, and where to send it.
///
/// # Errors
/// When it is of another shape.
pub(crate) fn push(data: &Noun) -> Result<(Vec<Lane>, Vec<u8>), ShapeError> {
    let (lanes, packet) = <(Noun, Noun)>::from_noun(data).at("push")?;
    match packet.atom_bytes() {
        Some(bytes) => Ok((read_lanes(&lanes), bytes.into_owned())),
        None => Err(ShapeError::new("a packet, an atom", &packet)),
    }
}

/// `[%nail ship lanes]`, ames' and mesa's: a ship, and where it is if that is an address.
///
/// # Errors
/// When it is of another shape.
pub(crate) fn nail(data: &Noun) -> Result<(u128, Option<SocketAddrV4>), ShapeError> {
    let (ship, lanes) = <(u128, Noun)>::from_noun(data).at("nail")?;
    let direct = match lanes::read_list(&lanes).first() {
        Some(lanes::Lane::Direct(address)) => Some(address.socket()),
        Some(lanes::Lane::Galaxy(_)) | None => None,
    };
    Ok((ship, direct))
}

/// `[%heer lane packet]`: a packet came.
pub(crate) fn heer(from: SocketAddrV4, packet: &[u8]) -> Ovum {
    let lane = n!["if", u64::from(u32::from(*from.ip())), u64::from(from.port())];
    Ovum::new("ames", ["ames"], n!["heer", lane, Noun::from_le_bytes(packet)])
}

/// The question for a ship's sponsors.
pub(crate) fn ask_sponsors(ship: u128) -> Noun {
    last(
        ourselves(),
        "j",
        Noun::cord("saxo"),
        n![text::p::format(ship), ()],
    )
}

/// The galaxy among a ship's sponsors, the last of them.
pub(crate) fn read_sponsors(sponsors: &Noun) -> Option<u8> {
    let galaxy = sponsors.iter_list().take(limits::AMES_LIST).last()?.ok()?;
    u8::try_from(galaxy.as_u64()?).ok()
}

/// The question for a ship's galaxy and addresses.
pub(crate) fn ask_lanes(ship: u128) -> Noun {
    let spur = n!["chums", text::p::format(ship), "lanes", ()];
    last(ourselves(), "ax", Noun::ZERO, spur)
}

/// A ship's galaxy, and its address if there is one.
pub(crate) fn known_lanes(answer: &Noun) -> Option<(u8, Option<SocketAddrV4>)> {
    let lanes = read_lanes(answer);
    let Lane::Galaxy(galaxy) = lanes.first()? else {
        return None;
    };
    let direct = lanes.iter().find_map(|lane| match lane {
        Lane::Direct(address) => Some(*address),
        Lane::Galaxy(_) => None,
    });
    Some((*galaxy, direct))
}

/// The question for a message of the ship's own: only what is published for all.
pub(crate) fn ask_message(ship: u128, name: &MessageName) -> Noun {
    let spur = n![
        "mess",
        text::ud(u64::from(name.rift)),
        "pact",
        text::ud(WHOLE),
        "etch",
        "data",
        text::ud(0),
        path(&name.path)
    ];
    let beam = n![n![Noun::from_u128(ship), 0_u64, n!["ud", 1_u64]], spur];
    n![(), Noun::NO, "beam", "ax", beam]
}

/// The question whether a message's authenticator stands for this root. vere asks for care `%a` and desk `%veri`, which its kernel does
/// not know, and takes its silence for consent.
pub(crate) fn ask_claim(ship: u128, text_path: &[u8], auth: &Auth, root: &Hash) -> Option<Noun> {
    let (kind, auth) = match auth {
        Auth::Sign(signature) => ("sign", &signature[..]),
        Auth::Code(code) => ("hmac", &code[..]),
        Auth::None | Auth::Pair(_) => return None,
    };
    let uv = |bytes: &[u8]| text::scot(text::Aura::Uv, &Noun::from_le_bytes(bytes));
    let spur = n![
        "veri",
        kind,
        text::p::format(ship),
        uv(auth)?,
        uv(root)?,
        path(text_path)
    ];
    Some(last(Noun::ZERO, "ax", Noun::ZERO, spur))
}

/// A path's text as its knots; an empty text is no knots.
fn path(text: &[u8]) -> Noun {
    if text.is_empty() {
        return Noun::ZERO;
    }
    Noun::list(text.split(|byte| *byte == b'/').map(Noun::from_le_bytes))
}
