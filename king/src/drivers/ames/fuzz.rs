//! Any bytes as what comes over the network, and any noun as what the kernel says. For a fuzzer.

use super::{
    core::{Act, Core},
    fine::Wail,
    mdns, nat_pmp,
    packet::{Kind, Packet, with_origin},
    shapes::Effect,
    stun,
};
use crate::{
    drivers::udp::{Identity, galaxies::Galaxies, shared::Decides},
    peek::Answer,
};
use std::{
    net::{Ipv4Addr, SocketAddrV4},
    time::Instant,
};

/// A sender on this machine.
const FROM: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 31_338);
/// The transaction that responses are looked for of.
const ID: stun::Id = [7; stun::ID];

/// Whether a packet's envelope is sound: what a flood costs.
pub(crate) fn passes(bytes: &[u8]) -> bool {
    stun::read_request(bytes).is_none() && Packet::parse(bytes, Some(0)).is_ok()
}

/// Reads bytes as a packet of every kind, and gives them to ~zod.
pub(crate) fn packet(bytes: &[u8]) {
    if let Ok(packet) = Packet::parse(bytes, None) {
        let written = packet.write();
        assert_eq!(written.len(), bytes.len());
        // The reserved bits are not kept.
        assert!(written[1..] == bytes[1..] && written[0] == bytes[0] & !3);
        if packet.origin.is_none() {
            let relayed = with_origin(bytes, FROM.into()).unwrap_or_default();
            let again = Packet::parse(&relayed, None);
            assert!(again.is_ok_and(|again| again.body == packet.body && again.origin == Some(FROM.into())));
        }
        if packet.head.kind() == Kind::Wail
            && let Some(wail) = Wail::parse(packet.body)
        {
            assert!(wail.fragment > 0 && packet.body.ends_with(wail.path));
            let _ = wail.page().spur();
        }
    }
    if let Some(id) = stun::read_request(bytes) {
        assert_eq!(stun::read_response(&stun::response(id, FROM), id), Some(FROM));
    }
    let _ = stun::read_response(bytes, ID);
    if let Some(Ok(_)) = nat_pmp::read_answer(bytes, FROM.port()) {
        assert_eq!(bytes[8..10], FROM.port().to_be_bytes(), "another port's mapping");
    }
    let name = String::from_utf8_lossy(bytes);
    if let Some((ship, is_fake)) = mdns::read_name(&name) {
        assert!(name.starts_with(&mdns::instance(ship, is_fake)), "{name}");
    }

    let identity = Identity {
        ship: 0,
        is_local: true,
    };
    let mut core = Core::new(identity, Galaxies::new(true), || ID);
    core.hear(FROM, bytes, Instant::now());
    let acts = core.acts();
    assert!(acts.len() <= 1, "one packet, one act");
    for act in acts {
        if let Act::Send(to, _) = act {
            assert!(to.ip().is_loopback(), "a local ship sends to {to}");
        }
    }
}

/// Reads a noun as one of the kernel's cards, and as its answer.
pub(crate) fn kernel(noun: &serf_ipc::Noun) {
    let identity = Identity {
        ship: 1,
        is_local: true,
    };
    let mut core = Core::new(identity, Galaxies::new(true), || ID);
    let now = Instant::now();
    if let Some((tag, data)) = noun.as_cell()
        && let Some(tag) = tag.as_cord()
        && let Some(Ok(effect)) = Effect::read(&tag, data)
    {
        core.effect(effect, now);
    }
    let answer = Answer::read(crate::driver::PeekAnswer::Done(noun.clone()));
    core.version(&answer);
    core.lanes(256, &answer, now);
    for act in core.acts() {
        if let Act::Send(to, _) = act {
            assert!(to.ip().is_loopback(), "a local ship sends to {to}");
        }
    }
}
