//! Any bytes as what comes over the network, and any noun as what the kernel says. For a fuzzer.

use super::{
    core::{Act, Core, Question},
    messages::{Message, MessageName},
    packet::{self, Body, Name, Packet, Part},
    shapes,
};
use crate::{
    driver::PeekAnswer,
    drivers::udp::{Identity, galaxies::Galaxies, shared::Decides},
    peek::Answer,
};
use std::{
    net::{Ipv4Addr, SocketAddrV4},
    time::Instant,
};

/// A sender on this machine.
const FROM: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 31_338);

fn core(ship: u128) -> Core {
    let identity = Identity { ship, is_local: true };
    Core::new(identity, Galaxies::new(true))
}

fn settle(core: &mut Core) -> usize {
    let acts = core.acts();
    for act in &acts {
        if let Act::Send(to, _) = act {
            assert!(to.ip().is_loopback(), "a local ship sends to {to}");
        }
    }
    acts.len()
}

/// Whether bytes are a packet.
pub(crate) fn passes(bytes: &[u8]) -> bool {
    Packet::parse(bytes).is_ok()
}

/// Bytes with a head that is theirs: a fuzzer does not guess mugs.
pub(crate) fn sealed(bytes: &[u8]) -> Vec<u8> {
    let mut packet = bytes.to_vec();
    packet::seal(&mut packet);
    packet
}

/// Reads bytes as a packet, gives them to ~zod, and has ~zod ask for what they name before they come again.
pub(crate) fn packet(bytes: &[u8]) {
    let now = Instant::now();
    let mut zod = core(0);
    zod.hear(FROM, bytes, now);
    assert!(
        settle(&mut zod) <= 2,
        "one packet is told to the ship, and its sender looked up"
    );
    let Ok(packet) = Packet::parse(bytes) else {
        return;
    };
    let written = packet.write();
    assert_eq!(Packet::parse(&written).as_ref(), Ok(&packet));
    assert!(
        written.len() <= bytes.len(),
        "what is written is as short as it can be"
    );
    let question = Packet::new(Body::Peek(packet.name().of_fragment(0)));
    zod.push(&[], question.write(), now);
    settle(&mut zod);
    zod.hear(FROM, bytes, now);
    settle(&mut zod);
    zod.tick(now + crate::limits::MESA_FETCH_PATIENCE);
    settle(&mut zod);
}

/// Reads a noun as one of the kernel's cards, and as its answer.
pub(crate) fn kernel(noun: &serf_ipc::Noun) {
    let now = Instant::now();
    let mut nec = core(1);
    if let Ok((lanes, packet)) = shapes::push(noun) {
        nec.push(&lanes, packet, now);
    }
    if let Ok((ship, direct)) = shapes::nail(noun) {
        nec.nail(ship, direct);
    }
    let name = Name {
        ship: 1,
        rift: 0,
        bloq: 13,
        part: Part::Init,
        path: Box::default(),
    };
    if let Ok(message) = Message::read(noun) {
        for part in [Part::Init, name.of_fragment(0).part, name.of_fragment(9).part] {
            let _ = message.page(&Name { part, ..name.clone() });
        }
    }
    let answer = Answer::read(PeekAnswer::Done(noun.clone()));
    let of = MessageName::of(&name);
    for question in [
        Question::Sponsors(5),
        Question::Lanes(6),
        Question::Message(of, name),
    ] {
        nec.answered(question, &answer, now);
    }
    settle(&mut nec);
}
