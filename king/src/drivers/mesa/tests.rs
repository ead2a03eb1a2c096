//! The driver with real sockets, and its decisions alone: small networks of kings whose kernels this file plays.

use super::{
    core::{Act, Core, Question},
    lss::tests::message,
    messages::tests::AUTH,
    packet::{Auth, Body, Data, Name, Packet, Part},
    shapes::Lane,
};
use crate::{
    driver::{Claim, Driver, DriverContext},
    drivers::{
        ames,
        fake_pier::{FakePier, commit},
        udp::{
            Identity, Network,
            galaxies::{self, Galaxies},
            shared::Decides,
        },
    },
    limits,
    peek::Answer,
};
use serf_ipc::{Noun, n};
use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket},
    time::{Duration, Instant},
};

const ZOD: u128 = 0;
const NEC: u128 = 1;
/// A planet of ~zod's.
const PLANET: u128 = 0x1_0100;

fn name(ship: u128, path: &str, part: Part) -> Name {
    Name {
        ship,
        rift: 0,
        bloq: 13,
        part,
        path: path.as_bytes().into(),
    }
}

fn peek(ship: u128, path: &str, part: Part) -> Packet {
    Packet::new(Body::Peek(name(ship, path, part)))
}

fn fragment(number: u64) -> Part {
    Part::Fragment {
        is_auth: false,
        number,
    }
}

fn page(name: Name, bytes: &[u8]) -> Packet {
    let data = Data {
        total: bytes.len() as u64,
        auth: AUTH,
        bytes: bytes.to_vec(),
    };
    Packet::new(Body::Page {
        name,
        data,
        next_hop: None,
    })
}

/// ~nec tells ~zod something, and asks for the acknowledgement.
fn poke() -> Packet {
    Packet::new(Body::Poke {
        ack: name(ZOD, "flow/ack", Part::Init),
        payload: name(NEC, "flow/poke", Part::Init),
        data: Data {
            total: 5,
            auth: AUTH,
            bytes: (*b"hello").into(),
        },
    })
}

fn port(port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)
}

fn galaxy(galaxy: u8) -> SocketAddrV4 {
    port(galaxies::port(galaxy, true))
}

/// A king and its kernel.
struct King {
    core: Core,
    at: SocketAddrV4,
    /// What it publishes.
    published: HashMap<&'static str, Vec<u8>>,
    /// What it says of a message's claim.
    claim: Answer,
    /// Where it says that ships are.
    lanes: HashMap<u128, Noun>,
    /// What it was told.
    heard: Vec<Packet>,
    /// What it was asked.
    asked: Vec<Question>,
}

impl King {
    fn new(ship: u128, at: SocketAddrV4) -> King {
        let identity = Identity { ship, is_local: true };
        King {
            core: Core::new(identity, Galaxies::new(true)),
            at,
            published: HashMap::new(),
            claim: Answer::Noun(Noun::YES),
            lanes: HashMap::new(),
            heard: Vec::new(),
            asked: Vec::new(),
        }
    }

    /// Pushes a packet as its kernel would.
    fn push(&mut self, lanes: &[Lane], packet: &Packet, now: Instant) {
        self.core.push(lanes, packet.write(), now);
    }

    /// Does what its core says, except for sending.
    fn settle(&mut self, now: Instant) -> Vec<(SocketAddrV4, Vec<u8>)> {
        let mut sent = Vec::new();
        loop {
            let acts = self.core.acts();
            if acts.is_empty() {
                return sent;
            }
            for act in acts {
                match act {
                    Act::Send(to, bytes) => sent.push((to, bytes)),
                    Act::Hear(ovum) => {
                        let packet = ovum.card.slot(7).unwrap().atom_bytes().unwrap();
                        // An atom has no zeros at its end: a packet that has some is longer.
                        let read = (0..2000)
                            .find_map(|zeros| Packet::parse(&[&packet[..], &vec![0; zeros]].concat()).ok());
                        self.heard.push(read.expect("a packet"));
                        self.core.heard(None);
                    }
                    Act::Tell(ovum) => panic!("mesa tells its ship nothing of itself: {ovum:?}"),
                    Act::Ask(question, _) => {
                        self.asked.push(question.clone());
                        let answer = self.answer(&question);
                        self.core.answered(question, &answer, now);
                    }
                }
            }
        }
    }

    fn answer(&self, question: &Question) -> Answer {
        match question {
            Question::Sponsors(ship) => {
                let galaxy = ship & 0xff;
                Answer::Noun(Noun::list([Noun::from_u128(*ship), Noun::from_u128(galaxy)]))
            }
            Question::Lanes(ship) => self
                .lanes
                .get(ship)
                .cloned()
                .map_or(Answer::Nothing, Answer::Noun),
            Question::Message(of, name) => {
                let path = std::str::from_utf8(&of.path).unwrap();
                match self.published.get(path) {
                    None => Answer::Nothing,
                    Some(bytes) => Answer::Noun(super::messages::tests::answer_as(name, bytes)),
                }
            }
            Question::Claim(_) => self.claim.clone(),
        }
    }
}

/// Has kings speak until nothing is on its way and nothing is due within so long. `lost` says which packets are.
fn run(kings: &mut [&mut King], now: &mut Instant, patience: Duration, mut lost: impl FnMut(usize) -> bool) {
    let end = *now + patience;
    let mut sent = 0;
    loop {
        let mut flying = Vec::new();
        for king in kings.iter_mut() {
            let at = king.at;
            flying.extend(king.settle(*now).into_iter().map(|(to, bytes)| (at, to, bytes)));
        }
        for (from, to, bytes) in flying.drain(..) {
            sent += 1;
            assert!(sent < 1_000_000, "they never end");
            if let Some(king) = kings.iter_mut().find(|king| king.at == to)
                && !lost(sent)
            {
                king.core.hear(from, &bytes, *now);
            }
        }
        let moved = kings.iter_mut().any(|king| king.core.has_acts());
        if moved {
            continue;
        }
        let due = kings.iter().filter_map(|king| king.core.due()).min();
        match due.filter(|due| *due < end) {
            Some(due) => *now = due.max(*now),
            None => return *now = end,
        }
        for king in kings.iter_mut() {
            king.core.tick(*now);
        }
    }
}

fn of(king: &King, name: &str) -> u64 {
    king.core.info().iter().find(|line| line.0 == name).unwrap().1
}

/// The bytes of a page.
fn bytes(packet: &Packet) -> &[u8] {
    match &packet.body {
        Body::Page { data, .. } => &data.bytes,
        other => panic!("not a page: {other:?}"),
    }
}

fn zod_and_nec() -> (King, King) {
    (King::new(ZOD, galaxy(0)), King::new(NEC, galaxy(1)))
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_poke_is_told_once_and_acknowledged() {
    let now = &mut Instant::now();
    let (mut zod, mut nec) = zod_and_nec();
    nec.push(&[Lane::Galaxy(0)], &poke(), *now);
    run(&mut [&mut zod, &mut nec], now, SECOND / 2, |_| false);
    assert_eq!(zod.heard, [poke()]);
    assert_eq!(zod.asked, [Question::Sponsors(NEC)]);
    // It comes once more while the ship thinks.
    run(&mut [&mut zod, &mut nec], now, SECOND, |_| false);
    assert_eq!(zod.heard.len(), 2);
    let ack = page(name(ZOD, "flow/ack", Part::Init), b"ack");
    zod.push(&[], &ack, *now);
    run(&mut [&mut zod, &mut nec], now, 20 * SECOND, |_| false);
    assert_eq!(nec.heard, [ack]);
    assert_eq!((of(&nec, "requests"), zod.heard.len()), (0, 2));
}

#[test]
fn a_question_is_asked_ten_times_and_no_more() {
    let now = &mut Instant::now();
    let (_, mut nec) = zod_and_nec();
    let mut count = 0;
    nec.push(&[Lane::Galaxy(0), Lane::Direct(port(9))], &poke(), *now);
    // Its kernel pushes it again: it is being asked already.
    nec.push(&[Lane::Galaxy(0)], &poke(), *now);
    let mut zod = King::new(ZOD, galaxy(0));
    run(&mut [&mut nec, &mut zod], now, 30 * SECOND, |_| {
        count += 1;
        true
    });
    assert_eq!((count, of(&nec, "requests")), (10, 0));
    assert_eq!(nec.core.due(), None);
}

#[test]
fn a_long_message_comes_whole_over_a_network_that_loses_packets() {
    for len in [1025, 60_000, 131_072, 400_003] {
        let now = &mut Instant::now();
        let (mut zod, mut nec) = zod_and_nec();
        zod.published.insert("publ/a", message(len));
        nec.push(&[Lane::Galaxy(0)], &peek(ZOD, "publ/a", Part::Init), *now);
        run(&mut [&mut zod, &mut nec], now, 1000 * SECOND, |sent| {
            sent % 7 == 3
        });
        let [whole] = &nec.heard[..] else {
            panic!("{} of {len} came", nec.heard.len());
        };
        assert!(bytes(whole) == message(len));
        let Body::Page { name, data, .. } = &whole.body else {
            panic!("a page")
        };
        assert_eq!((name.bloq, name.part, data.auth), (31, fragment(0), AUTH));
        assert_eq!((of(&nec, "requests"), of(&nec, "fetches")), (0, 0));
        // The kernel was asked for the message once.
        let asked = zod
            .asked
            .iter()
            .filter(|asked| matches!(asked, Question::Message(..)));
        assert_eq!(asked.count(), 1);
    }
}

#[test]
fn a_short_message_is_one_page_and_one_event() {
    let now = &mut Instant::now();
    let (mut zod, mut nec) = zod_and_nec();
    zod.published.insert("publ/a", (*b"short").into());
    nec.push(&[Lane::Galaxy(0)], &peek(ZOD, "publ/a", Part::Init), *now);
    run(&mut [&mut zod, &mut nec], now, SECOND, |_| false);
    assert_eq!(nec.heard, [page(name(ZOD, "publ/a", Part::Init), b"short")]);
}

#[test]
fn a_claim_that_the_kernel_denies_ends_the_fetch() {
    for (claim, comes) in [
        (Answer::Noun(Noun::NO), false),
        (Answer::Noun(Noun::YES), true),
        (Answer::Nothing, true),
    ] {
        let now = &mut Instant::now();
        let (mut zod, mut nec) = zod_and_nec();
        zod.published.insert("publ/a", message(5000));
        nec.claim = claim;
        nec.push(&[Lane::Galaxy(0)], &peek(ZOD, "publ/a", Part::Init), *now);
        run(&mut [&mut zod, &mut nec], now, SECOND, |_| false);
        assert_eq!(nec.heard.len(), usize::from(comes));
        assert_eq!((of(&nec, "requests"), of(&nec, "failed")), (0, u64::from(!comes)));
    }
}

#[test]
fn a_fetch_that_brings_nothing_is_given_up() {
    let now = &mut Instant::now();
    let (mut zod, mut nec) = zod_and_nec();
    zod.published.insert("publ/a", message(50_000));
    nec.push(&[Lane::Galaxy(0)], &peek(ZOD, "publ/a", Part::Init), *now);
    let patience = limits::MESA_FETCH_PATIENCE + 60 * SECOND;
    run(&mut [&mut zod, &mut nec], now, patience, |sent| sent > 20);
    assert!(nec.heard.is_empty());
    assert_eq!((of(&nec, "requests"), nec.core.due()), (0, None));
    // Its kernel asks again, and the network is back.
    nec.push(&[Lane::Galaxy(0)], &peek(ZOD, "publ/a", Part::Init), *now);
    run(&mut [&mut zod, &mut nec], now, 60 * SECOND, |_| false);
    assert_eq!(nec.heard.len(), 1);
}

#[test]
fn what_is_not_there_yet_is_asked_for_again_or_said_later() {
    let now = &mut Instant::now();
    let (mut zod, mut nec) = zod_and_nec();
    let ack = name(ZOD, "flow/ack", Part::Init);
    nec.push(&[Lane::Galaxy(0)], &peek(ZOD, "flow/ack", Part::Init), *now);
    run(&mut [&mut zod, &mut nec], now, SECOND / 2, |_| false);
    assert!(nec.heard.is_empty());
    zod.push(&[], &page(ack.clone(), b"later"), *now);
    run(&mut [&mut zod, &mut nec], now, SECOND / 4, |_| false);
    assert_eq!(nec.heard, [page(ack, b"later")]);
    // What is there by the next question is the answer to that.
    nec.push(&[Lane::Galaxy(0)], &peek(ZOD, "publ/b", Part::Init), *now);
    run(&mut [&mut zod, &mut nec], now, SECOND / 2, |_| false);
    zod.published.insert("publ/b", (*b"now").into());
    run(&mut [&mut zod, &mut nec], now, SECOND, |_| false);
    assert_eq!(bytes(nec.heard.last().unwrap()), b"now");
}

#[test]
fn a_galaxy_sends_questions_on_to_its_own_and_answers_back() {
    let now = &mut Instant::now();
    let (mut zod, mut nec) = zod_and_nec();
    let mut planet = King::new(PLANET, port(4000));
    planet.published.insert("publ/a", message(3000));
    let address = n!["if", 0x7f00_0001_u64, 4000_u64];
    zod.lanes.insert(PLANET, Noun::list([Noun::ZERO, address]));
    nec.push(&[Lane::Galaxy(0)], &peek(PLANET, "publ/a", Part::Init), *now);
    run(&mut [&mut zod, &mut nec, &mut planet], now, 20 * SECOND, |_| {
        false
    });
    let [whole] = &nec.heard[..] else {
        panic!("{:?}", nec.heard.len())
    };
    assert!(bytes(whole) == message(3000));
    assert!(whole.hops == 1 && zod.heard.is_empty());
    assert_eq!(zod.asked, [Question::Lanes(PLANET)]);
    assert_eq!(of(&zod, "interests"), 0);
    // Another galaxy's ships are not its to speak for, and a ship that is no galaxy speaks for none.
    nec.push(&[Lane::Galaxy(0)], &peek(0x1_0101, "publ/a", Part::Init), *now);
    nec.push(
        &[Lane::Direct(port(4000))],
        &peek(0x2_0100, "publ/a", Part::Init),
        *now,
    );
    zod.lanes.insert(
        0x1_0101,
        Noun::list([Noun::atom(1), n!["if", 0x7f00_0001_u64, 4001_u64]]),
    );
    let mut other = King::new(0x1_0101, port(4001));
    let forwarded = of(&zod, "forwarded");
    run(
        &mut [&mut zod, &mut nec, &mut planet, &mut other],
        now,
        20 * SECOND,
        |_| false,
    );
    assert_eq!((of(&zod, "forwarded"), of(&planet, "forwarded")), (forwarded, 0));
    assert_eq!(planet.asked.len(), 1, "for its own message");
}

#[test]
fn who_answers_unasked_changes_nothing() {
    let now = Instant::now();
    let (_, mut nec) = zod_and_nec();
    nec.core
        .hear(port(666), &page(name(ZOD, "a", Part::Init), b"lie").write(), now);
    assert!(nec.settle(now).is_empty() && nec.heard.is_empty() && nec.asked.is_empty());
    assert_eq!((of(&nec, "unwanted"), of(&nec, "peers")), (1, 0));
}

#[test]
fn strangers_cost_little() {
    let now = Instant::now();
    let (mut zod, _) = zod_and_nec();
    let asks = |acts: Vec<Act>| acts.iter().filter(|act| matches!(act, Act::Ask(..))).count();
    for number in 0..1000 {
        zod.core.hear(
            port(5),
            &peek(ZOD, &format!("a/{number}"), Part::Init).write(),
            now,
        );
    }
    assert_eq!(asks(zod.core.acts()), limits::MESA_PEEKS);
    for ship in 1000..2000 {
        zod.core.hear(port(5), &peek(ship, "a", Part::Init).write(), now);
    }
    assert_eq!(asks(zod.core.acts()), limits::MESA_MEETS);
    let mut long = peek(ZOD, &"a".repeat(1472), Part::Init).write();
    zod.core.hear(port(5), &long, now);
    long.truncate(30);
    zod.core.hear(port(5), &long, now);
    let mut empty = poke();
    if let Body::Poke { data, .. } = &mut empty.body {
        data.total = 0;
    }
    zod.core.hear(port(5), &empty.write(), now);
    assert_eq!(of(&zod, "filtered"), 3);
    // A flood of pokes: the oldest of those that wait are dropped.
    for number in 0..1000 {
        let mut poke = poke();
        if let Body::Poke { payload, .. } = &mut poke.body {
            payload.path = format!("b/{number}").into_bytes().into();
        }
        zod.core.hear(port(5), &poke.write(), now);
    }
    assert!(of(&zod, "queued") <= (limits::AMES_QUEUE + limits::AMES_ON_THE_WAY) as u64);
    assert!(zod.core.acts().len() <= limits::AMES_ON_THE_WAY + 1);
}

#[test]
fn an_answer_that_finds_no_place_in_a_packet_is_not_sent() {
    let now = &mut Instant::now();
    let (mut zod, _) = zod_and_nec();
    let path: &'static str = Box::leak("a".repeat(500).into_boxed_str());
    zod.published.insert(path, message(1000));
    zod.core.hear(port(5), &peek(ZOD, path, Part::Init).write(), *now);
    assert!(zod.settle(*now).is_empty());
    assert_eq!(of(&zod, "unsendable"), 1);
}

// The driver.

fn drivers(pier: &FakePier) -> (Box<dyn Driver>, Box<dyn Driver>) {
    let context: DriverContext = pier.context();
    let network = Network::new(&context);
    let mesa = super::new(context.clone(), network.clone());
    (mesa, ames::new(context, network))
}

fn live(pier: &mut FakePier) -> (Box<dyn Driver>, Box<dyn Driver>) {
    let free = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    pier.settings.ames_port = free.local_addr().unwrap().port();
    drop(free);
    let (mut mesa, mut ames) = drivers(pier);
    mesa.start().unwrap();
    ames.start().unwrap();
    assert_eq!(pier.planned().ovum.tag(), "born");
    drop(pier.peek());
    let bound = |ames: &dyn Driver| ames.info().iter().any(|line| line.0 == "bound" && line.1 == 1);
    let deadline = Instant::now() + Duration::from_secs(20);
    while !bound(&*ames) {
        assert!(Instant::now() < deadline, "it binds its port");
        std::thread::sleep(Duration::from_millis(5));
    }
    (mesa, ames)
}

fn other() -> (UdpSocket, SocketAddrV4) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    match socket.local_addr().unwrap() {
        SocketAddr::V4(address) => (socket, address),
        SocketAddr::V6(_) => panic!("an IPv4 socket"),
    }
}

fn receive(socket: &UdpSocket) -> Packet {
    let mut buffer = [0; 4096];
    let (len, _) = socket.recv_from(&mut buffer).unwrap();
    Packet::parse(&buffer[..len]).unwrap()
}

#[test]
fn a_question_goes_out_until_it_is_answered() {
    let mut pier = FakePier::new();
    let (mut mesa, mut ames) = live(&mut pier);
    let (nec, address) = other();
    let question = peek(NEC, "publ/a", Part::Init);
    // Another machine's address is this machine's for a fake ship.
    let lane = n!["if", 0x0a00_0001_u64, u64::from(address.port())];
    let push = n![Noun::list([lane]), Noun::from_le_bytes(&question.write())];
    assert_eq!(pier.effect(&mut *mesa, &["ames"], "push", &push), Claim::Taken);
    assert_eq!(receive(&nec), question);
    assert_eq!(receive(&nec), question, "a second later, again");
    let answer = page(name(NEC, "publ/a", Part::Init), b"here");
    let port = pier.settings.ames_port;
    nec.send_to(&answer.write(), (Ipv4Addr::LOCALHOST, port)).unwrap();
    let peeked = pier.peek();
    assert_eq!(
        peeked.sample,
        n![n![(), ()], Noun::NO, "once", "j", "saxo", "~nec", ()]
    );
    let heard = pier.planned();
    let lane = n!["if", 0x7f00_0001_u64, u64::from(address.port())];
    let card = n!["heer", lane, Noun::from_le_bytes(&answer.write())];
    assert_eq!(heard.ovum.to_noun(), n![n!["ames", "ames", ()], card]);
    commit(heard);
    // Of what concerns ames too it only takes note.
    let nail = n![NEC as u64, Noun::list([n![1_u64, 0x1234_7f00_0001_u64]])];
    assert_eq!(pier.effect(&mut *mesa, &["ames"], "nail", &nail), Claim::Passed);
    assert_eq!(pier.effect(&mut *ames, &["ames"], "nail", &nail), Claim::Taken);
    for (wire, tag) in [("ames", "send"), ("newt", "push"), ("ames", "turf")] {
        assert_eq!(pier.effect(&mut *mesa, &[wire], tag, &Noun::ZERO), Claim::Passed);
    }
    assert_eq!(
        pier.effect(&mut *mesa, &["ames"], "push", &Noun::ZERO),
        Claim::Taken
    );
}

#[test]
fn nothing_is_sent_once_the_office_is_over() {
    let mut pier = FakePier::new();
    let (mut mesa, mut ames) = live(&mut pier);
    let (nec, address) = other();
    let question = peek(NEC, "publ/a", Part::Init);
    let lane = n!["if", 0x7f00_0001_u64, u64::from(address.port())];
    let push = n![Noun::list([lane]), Noun::from_le_bytes(&question.write())];
    pier.effect(&mut *mesa, &["ames"], "push", &push);
    assert_eq!(receive(&nec), question);
    mesa.stop();
    ames.stop();
    // The next would come after a second.
    nec.set_read_timeout(Some(3 * SECOND / 2)).unwrap();
    assert!(nec.recv_from(&mut [0; 10]).is_err());
    // The next office begins with nothing that the last one asked.
    drop((mesa, ames));
    let (mesa, _ames) = live(&mut pier);
    assert!(mesa.info().iter().any(|line| line.0 == "requests" && line.1 == 0));
}

#[test]
fn a_questions_form_is_the_kernels() {
    let root = [1; 32];
    let of = super::messages::MessageName {
        rift: 1234,
        path: (*b"publ/1//a").into(),
    };
    assert_eq!(
        super::shapes::ask_message(ZOD, &of),
        n![
            (),
            Noun::NO,
            "beam",
            "ax",
            n![0_u64, 0_u64, n!["ud", 1_u64]],
            n![
                "mess",
                "1.234",
                "pact",
                "31",
                "etch",
                "data",
                "0",
                "publ",
                "1",
                "",
                "a",
                ()
            ]
        ]
    );
    let claim = super::shapes::ask_claim(NEC, b"a/b", &Auth::Code([0; 16]), &root).unwrap();
    let root = serf_ipc::text::scot(serf_ipc::text::Aura::Uv, &Noun::from_le_bytes(&root)).unwrap();
    let spur = n!["veri", "hmac", "~nec", "0v0", root, "a", "b", ()];
    assert_eq!(claim, n![(), Noun::NO, "once", "ax", Noun::ZERO, spur]);
    assert!(super::shapes::ask_claim(NEC, b"a/b", &Auth::None, &[0; 32]).is_none());
}
