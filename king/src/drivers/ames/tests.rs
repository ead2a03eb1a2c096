//! The driver with recorded effects and real sockets, and its decisions alone.

use super::{
    core::{Act, Core, Question},
    lanes::Address,
    nat_pmp::Gateway,
    packet::{self, Head, Packet},
    shapes::{self, Effect},
    stun,
};
use crate::{
    driver::{Claim, Driver, DriverContext, Outcome, PeekAnswer},
    drivers::{
        fake_pier::{FakePier, commit, tell},
        udp::{
            Identity, Network,
            galaxies::{self, Galaxies},
            shared::Decides,
        },
    },
    limits,
    ovum::Ovum,
    peek::Answer,
};
use serf_ipc::{Goof, Noun, cue, jam, n};
use std::{
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket},
    time::{Duration, Instant},
};

// What a C king and a real Arvo, ~zod, said to each other.
const BORN: &str = "050f07fcb0b6b2b9015fec4dce2d";
const ASKED_VERSION: &str = "a571c07f731b2b073e0c9f017e38b937bab7b1377680d7ae4c6e2eedcd2d";
const VERSION: &str = "19f0dfdacadc053e0c1ff0fdf4dec81980563f1918191b9798181799191717181917181b971a1c179799191c38c00f27f746f736f6c60ef0da95c9cda5bdb90df86e6f756e01";
const NAIL: &str = "05fcb0b6b2b901df2d2c8d1d972c";
const SEND: &str = "05fcb0b6b2b9017faecc8d5c32007f012025f02300000200f8cfd40bca052279bc5fcef13a0d3ed73a00c822b0538e3341d26be32492e4978ce3eafe450a84a43458f9f51f86ff";
const SENT: &str = "009012f81100000100fc67ea05e502913cde2fe7789d069f6b1d006411d829c79920e9b5711249f24bc67175ff220542521aacfcfa0fc37f";
const TURF: &str = "05fcb0b6b2b9019fae4ece2c";
const SAXO: &str = "05fcb0b6b2b9017f2e0cef9d02";
const HEARD: &str = "050f07fcb0b6b2b9011fad2c4c5e0cf8020000fed4f400e209c032a12302000000be75dac779d051a3af7d9a7b994b822d0900549fa3d401";
const RECEIVED: &str = "046099d01101000000df3aede33ce8a8d1d73ecdbdcc25c1960400aacf51ea";

/// ~nec's address on the machine where that was recorded.
const NEC: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 31_338);
/// Somebody far away.
const FAR: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 9), 4321);
/// A planet and a moon.
const PLANET: u128 = 0x1_0100;
const MOON: u128 = 0x1_0001_0100;

fn hex(text: &str) -> Vec<u8> {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    text.as_bytes().chunks(2).map(byte).collect()
}

fn noun(text: &str) -> Noun {
    cue(&hex(text)).unwrap()
}

/// Releases a recorded effect, `[wire tag data]`.
fn release(pier: &FakePier, driver: &mut dyn Driver, effect: &str) -> Claim {
    let effect = noun(effect);
    let knot = effect.slot(4).unwrap().as_cord().unwrap();
    let tag = effect.slot(6).unwrap().as_cord().unwrap();
    pier.effect(driver, &[&knot], &tag, effect.slot(7).unwrap())
}

/// A pier whose ames has a free port, and that port.
fn pier() -> (FakePier, u16) {
    let mut pier = FakePier::new();
    let free = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    pier.settings.ames_port = free.local_addr().unwrap().port();
    let port = pier.settings.ames_port;
    (pier, port)
}

/// A driver with a network of its own.
fn new(context: DriverContext) -> Box<dyn Driver> {
    let network = Network::new(&context);
    super::new(context, network)
}

/// A driver that is live, its first messages taken; the kernel said that its version is 0.
fn live(pier: &mut FakePier) -> Box<dyn Driver> {
    let mut ames = new(pier.context());
    ames.start().unwrap();
    assert_eq!(pier.planned().ovum.tag(), "born");
    (pier.peek().answer)(PeekAnswer::Done(noun(VERSION)));
    wait_bound(&*ames);
    ames
}

/// Waits until it has its port.
fn wait_bound(ames: &dyn Driver) {
    wait_figure(ames, "bound", 1);
}

fn wait_figure(ames: &dyn Driver, name: &str, value: u64) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while figure(ames, name) != value {
        assert!(Instant::now() < deadline, "{name} becomes {value}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A socket of another ship's.
fn other() -> (UdpSocket, Address) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let SocketAddr::V4(address) = socket.local_addr().unwrap() else {
        panic!("an IPv4 socket");
    };
    (socket, Address::from(address))
}

fn receive(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = [0; 4096];
    let (len, _) = socket.recv_from(&mut buffer).unwrap();
    buffer[..len].to_vec()
}

fn figure(driver: &dyn Driver, name: &str) -> u64 {
    let lines = driver.info();
    lines.iter().find(|line| line.0 == name).unwrap().1
}

#[test]
fn it_begins_as_the_c_king_does() {
    let (mut pier, _) = pier();
    let mut ames = new(pier.context());
    ames.start().unwrap();
    assert_eq!(pier.planned().ovum.to_noun(), noun(BORN));
    let peek = pier.peek();
    assert_eq!(peek.sample, noun(ASKED_VERSION));
    assert_eq!(figure(&*ames, "filtering"), 0);
    (peek.answer)(PeekAnswer::Done(noun(VERSION)));
    assert_eq!(figure(&*ames, "filtering"), 1);
    wait_bound(&*ames);
    assert_eq!(release(&pier, &mut *ames, TURF), Claim::Taken);
    assert_eq!(release(&pier, &mut *ames, SAXO), Claim::Taken);
    assert_eq!(release(&pier, &mut *ames, NAIL), Claim::Taken);
    assert_eq!(figure(&*ames, "cached-lanes"), 1);
    pier.assert_silent();
}

#[test]
fn what_a_kernel_answers_has_the_ships_date() {
    let recorded = noun(VERSION);
    let date = crate::peek::date(&recorded).expect("a date");
    let path = recorded.slot(14).unwrap();
    let knot = path.iter_list().nth(3).unwrap().unwrap();
    assert!(knot.is_cord(&serf_ipc::text::da::format(date)));
    for none in [
        Noun::ZERO,
        n![0_u64, "noun", 7_u64],
        n![0_u64, "omen", 0_u64, "noun", 7_u64],
    ] {
        assert_eq!(crate::peek::date(&none), None);
    }
}

#[test]
fn a_packet_goes_out_and_another_comes_in() {
    let (mut pier, port) = pier();
    let mut ames = live(&mut pier);
    let (nec, address) = other();
    for wire in ["ames", "newt", "term"] {
        let data = n![address.lane(), Noun::from_le_bytes(&hex(SENT))];
        assert_eq!(pier.effect(&mut *ames, &[wire], "send", &data), Claim::Taken);
        assert_eq!(receive(&nec), hex(SENT));
    }
    nec.send_to(&hex(RECEIVED), (Ipv4Addr::LOCALHOST, port)).unwrap();
    let heard = pier.planned();
    let card = n!["hear", address.lane(), Noun::from_le_bytes(&hex(RECEIVED))];
    assert_eq!(heard.ovum.to_noun(), Ovum::new("a", ["ames"], card).to_noun());
    commit(heard);
}

#[test]
fn it_says_and_does_what_was_recorded() {
    let mut core = core(0);
    core.hear(NEC, &hex(RECEIVED), Instant::now());
    let [Act::Hear(ovum)] = &core.acts()[..] else {
        panic!("not one packet for the ship");
    };
    assert_eq!(jam(&ovum.to_noun()), hex(HEARD));
    let effect = noun(SEND);
    let send = Effect::read("send", effect.slot(7).unwrap()).unwrap().unwrap();
    core.effect(send, Instant::now());
    assert_eq!(sent(&mut core), [(NEC, hex(SENT))]);
}

#[test]
fn what_is_hostile_is_counted_and_nothing_else() {
    let (mut pier, port) = pier();
    let ames = live(&mut pier);
    let (other, address) = other();
    let mut bent = hex(RECEIVED);
    bent[20] ^= 1;
    let mut newer = hex(RECEIVED);
    newer[0] |= 0x10;
    let mut short = packet::Packet::parse(&hex(RECEIVED), None).unwrap().head;
    short.receiver_class = 3;
    let cut = envelope(short, 7);
    for (packet, name) in [
        (&bent[..], "filtered-mug"),
        (&newer, "filtered-ver"),
        (&[1, 2, 3], "filtered-hed"),
        (&cut, "filtered-pre"),
        (&[0; limits::UDP_PACKET_BYTES + 1], "filtered-too-long"),
    ] {
        other.send_to(packet, (Ipv4Addr::LOCALHOST, port)).unwrap();
        wait(|| figure(&*ames, name) == 1);
    }
    pier.assert_silent();
    // And it still hears what is sound.
    other
        .send_to(&hex(RECEIVED), (Ipv4Addr::LOCALHOST, port))
        .unwrap();
    let lane = pier.planned().ovum.card.slot(6).cloned();
    assert_eq!(lane, Some(address.lane()));
}

/// A packet of so many bytes behind this header, whose mug is right.
fn envelope(head: Head, len: usize) -> Vec<u8> {
    let rest = vec![9; len];
    let head = Head {
        mug: serf_ipc::noun::mug_octets(&rest).0 & 0xf_ffff,
        ..head
    };
    [&head.write()[..], &rest].concat()
}

fn wait(condition: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < end, "waited in vain");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_flood_of_sound_packets_keeps_the_newest_and_a_bound() {
    let (mut pier, _) = pier();
    let ames = live(&mut pier);
    drop(ames);
    let mut core = core(0);
    let planned: Vec<_> = (0..5000_u32)
        .flat_map(|number| {
            core.hear(NEC, &numbered(number), Instant::now());
            core.acts()
        })
        .collect();
    assert_eq!(planned.len(), limits::AMES_ON_THE_WAY);
    let dropped = 5000 - limits::AMES_ON_THE_WAY - limits::AMES_QUEUE;
    assert_eq!(of(&core, "dropped"), dropped as u64);
    core.heard(None);
    let [Act::Hear(next)] = &core.acts()[..] else {
        panic!("the next packet goes to the ship");
    };
    let oldest = numbered((5000 - limits::AMES_QUEUE) as u32);
    assert_eq!(next.card.slot(7), Some(&Noun::from_le_bytes(&oldest)));
}

/// A packet from ~nec to ~zod that is like no other.
fn numbered(number: u32) -> Vec<u8> {
    let bytes = hex(RECEIVED);
    let mut packet = Packet::parse(&bytes, None).unwrap();
    let body = [&number.to_le_bytes()[..], &[1]].concat();
    packet.body = &body;
    packet.write()
}

#[test]
fn what_the_kernel_refuses_is_counted_by_its_kind() {
    let (mut pier, port) = pier();
    let ames = live(&mut pier);
    let (other, _) = other();
    for (motes, name) in [
        (&["evil"][..], "evil"),
        (&["exit", "exit"], "crashed"),
        (&["evil", "exit"], "crashed"),
    ] {
        let before = figure(&*ames, name);
        other
            .send_to(&hex(RECEIVED), (Ipv4Addr::LOCALHOST, port))
            .unwrap();
        let goofs = motes.iter().map(|mote| Goof {
            mote: (*mote).to_owned(),
            tang: Noun::ZERO,
        });
        tell(pier.planned(), Outcome::Bailed(goofs.collect()));
        assert_eq!(figure(&*ames, name), before + 1);
    }
    assert_eq!(figure(&*ames, "queued"), 0);
}

#[test]
fn a_stun_request_is_answered() {
    let (mut pier, port) = pier();
    let _ames = live(&mut pier);
    let (other, address) = other();
    let id = [5; stun::ID];
    other
        .send_to(&stun::request(id), (Ipv4Addr::LOCALHOST, port))
        .unwrap();
    let answer = receive(&other);
    assert_eq!(stun::read_response(&answer, id), Some(address.socket()));
}

#[test]
fn the_end_of_an_office_frees_the_port_at_once_and_ends_everything() {
    let (mut pier, port) = pier();
    let mut ames = live(&mut pier);
    let (nec, address) = other();
    nec.send_to(&hex(RECEIVED), (Ipv4Addr::LOCALHOST, port)).unwrap();
    let heard = pier.planned();
    ames.stop();
    let free = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).expect("the port is free");
    let data = n![address.lane(), Noun::from_le_bytes(&hex(SENT))];
    pier.effect(&mut *ames, &["ames"], "send", &data);
    nec.send_to(&hex(RECEIVED), (Ipv4Addr::LOCALHOST, port)).unwrap();
    commit(heard);
    pier.assert_silent();
    drop((ames, free));

    // A new office has it again, and nothing of the old one.
    let mut ames = live(&mut pier);
    assert_eq!(figure(&*ames, "packets-received"), 0);
    pier.effect(&mut *ames, &["ames"], "send", &data);
    assert_eq!(receive(&nec), hex(SENT));
}

#[test]
fn a_port_that_is_taken_is_waited_for() {
    let (mut pier, port) = pier();
    let old = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    let mut ames = new(pier.context());
    ames.start().unwrap();
    assert_eq!(pier.planned().ovum.to_noun(), noun(BORN));
    pier.peek();
    pier.assert_silent();
    assert!(ames.is_live(), "the ship goes on without it");
    assert_eq!(figure(&*ames, "bound"), 0);
    drop(old);
    wait_bound(&*ames);
    // And once more, but the office ends before.
    let mut second = new(pier.context());
    second.start().unwrap();
    second.stop();
    ames.stop();
    UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).expect("nobody has it");
}

#[test]
fn a_port_that_cannot_be_had_is_not_waited_for() {
    let (pier, _) = pier();
    // An address of another machine can never be bound.
    let far = crate::drivers::udp::UdpPort::new(FAR);
    let (told, failed) = std::sync::mpsc::channel();
    struct Deaf;
    impl crate::drivers::udp::Hear for Deaf {
        fn hear(&self, _: SocketAddrV4, _: &[u8]) {}
    }
    far.open(pier.runtime.handle(), std::sync::Arc::new(Deaf), move |bound| {
        drop(told.send(bound))
    });
    let error = failed.recv().unwrap().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrNotAvailable);
}

#[test]
fn effects_of_another_shape_are_taken_and_do_nothing() {
    let (mut pier, _) = pier();
    let mut ames = live(&mut pier);
    for tag in ["send", "turf", "saxo", "nail", "init"] {
        for data in [
            n![7_u64, 7_u64, 7_u64],
            Noun::atom(7),
            n![n![0_u64, 999_u64], 0_u64],
        ] {
            assert_eq!(pier.effect(&mut *ames, &["ames"], tag, &data), Claim::Taken);
        }
    }
    for (wire, tag) in [
        ("ames", "push"),
        ("term", "blit"),
        ("behn", "send"),
        ("newt", "doze"),
    ] {
        assert_eq!(pier.effect(&mut *ames, &[wire], tag, &Noun::ZERO), Claim::Passed);
    }
    pier.assert_silent();
    assert!(figure(&*ames, "packets-sent") == 0);
}

/// How late a timer of 5 ms fires at worst, within three seconds.
async fn latest_timer() -> Duration {
    let mut latest = Duration::ZERO;
    for _ in 0..600 {
        let due = tokio::time::Instant::now() + Duration::from_millis(5);
        tokio::time::sleep_until(due).await;
        latest = latest.max(due.elapsed());
    }
    latest
}

#[test]
#[ignore = "a measurement: cargo test --release -p seguro-king --lib hostile_packets_a_second -- --ignored --nocapture"]
fn fifty_thousand_hostile_packets_a_second_delay_no_timer() {
    let (pier, port) = pier();
    let king = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(limits::RUNTIME_THREADS)
        .enable_all()
        .build()
        .unwrap();
    let mut ames = new(pier.context_at(pier.directory.path(), king.handle().clone()));
    ames.start().unwrap();
    let quiet = king.block_on(king.spawn(latest_timer())).unwrap();

    let flood = std::thread::spawn(move || {
        let (other, _) = other();
        let mut bent = between(1, 0, &[7; 1000]);
        bent[500] ^= 1;
        let start = Instant::now();
        let mut sent = 0;
        while start.elapsed() < Duration::from_secs(3) {
            let due = (start.elapsed().as_secs_f64() * 50_000.0) as u32;
            for number in sent..due {
                let packet = if number % 2 == 0 { &bent[..] } else { &bent[..3] };
                other.send_to(packet, (Ipv4Addr::LOCALHOST, port)).unwrap();
            }
            sent = sent.max(due);
            std::thread::sleep(Duration::from_micros(500));
        }
        sent
    });
    let flooded = king.block_on(king.spawn(latest_timer())).unwrap();
    let sent = flood.join().unwrap();
    let read = figure(&*ames, "packets-received");
    eprintln!("{sent} packets in 3 s, {read} of them read; the latest timer {flooded:?}, {quiet:?} before");
    assert!(figure(&*ames, "filtered-mug") + figure(&*ames, "filtered-hed") == read);
    assert!(
        flooded < Duration::from_millis(50),
        "a timer fired {flooded:?} late"
    );
}

// The decisions alone.

fn core(ship: u128) -> Core {
    world(ship, true)
}

fn world(ship: u128, is_local: bool) -> Core {
    Core::new(Identity { ship, is_local }, Galaxies::new(is_local), || {
        [1; stun::ID]
    })
}

fn of(core: &Core, name: &str) -> u64 {
    core.info().iter().find(|line| line.0 == name).unwrap().1
}

/// What is sent, and nothing else is done.
fn sent(core: &mut Core) -> Vec<(SocketAddrV4, Vec<u8>)> {
    let send = |act| match act {
        Act::Send(to, bytes) => (to, bytes),
        other => panic!("not sent: {other:?}"),
    };
    core.acts().into_iter().map(send).collect()
}

/// A packet between two ships.
fn between(sender: u128, receiver: u128, body: &[u8]) -> Vec<u8> {
    let class = |ship: u128| match ship {
        0..=0xffff => 0,
        0x1_0000..=0xffff_ffff => 1,
        _ => 2,
    };
    let packet = Packet {
        head: Head {
            is_request: false,
            is_ames: true,
            version: 0,
            sender_class: class(sender),
            receiver_class: class(receiver),
            mug: 0,
            is_relayed: false,
        },
        origin: None,
        sender_life: 1,
        receiver_life: 1,
        sender,
        receiver,
        body,
    };
    packet.write()
}

fn lanes(of: &[Noun]) -> Answer {
    Answer::Noun(Noun::list(of.iter().cloned()))
}

#[test]
fn a_galaxy_forwards_where_its_kernel_says() {
    let now = Instant::now();
    let mut core = world(0, false);
    let (first, second) = (between(PLANET, MOON, b"1"), between(PLANET, MOON, b"2"));
    core.hear(FAR, &first, now);
    let [Act::Ask(Question::Lanes(MOON), _)] = core.acts()[..] else {
        panic!("the kernel is asked");
    };
    assert_eq!(
        shapes::ask_lanes(MOON),
        n![
            n![0_u64, 0_u64],
            1_u64,
            "once",
            "ax",
            0_u64,
            "peers",
            "~doznec-wicdev-wisryt",
            "forward-lane",
            0_u64
        ]
    );
    core.hear(FAR, &second, now);
    assert!(core.acts().is_empty(), "it is asked once for both");
    assert_eq!(of(&core, "forwards-pending"), 2);
    // Its own lane is left out.
    let there = Address::new(Ipv4Addr::new(10, 0, 0, 7), 77);
    core.lanes(MOON, &lanes(&[there.lane(), n![0_u64, 0_u64]]), now);
    let with_origin = |bytes: &[u8]| packet::with_origin(bytes, FAR.into()).unwrap();
    assert_eq!(
        sent(&mut core),
        [
            (there.socket(), with_origin(&first)),
            (there.socket(), with_origin(&second))
        ]
    );
    // From now on it is known; what has an origin keeps it, and a galaxy needs none.
    let relayed = packet::with_origin(&first, NEC.into()).unwrap();
    let galaxys = between(1, MOON, b"3");
    for bytes in [&relayed, &galaxys] {
        core.hear(FAR, bytes, now);
        assert_eq!(sent(&mut core), [(there.socket(), bytes.clone())]);
    }
    core.effect(Effect::Nail(MOON, vec![]), now);
    core.hear(FAR, &first, now);
    assert!(core.acts().is_empty(), "a ship that is nowhere gets nothing");
    assert_eq!((of(&core, "forwarded"), of(&core, "forwards-pending")), (4, 0));
}

#[test]
fn nobody_but_a_galaxy_forwards() {
    let mut core = core(PLANET);
    core.hear(FAR, &between(0, MOON, b"1"), Instant::now());
    assert!(core.acts().is_empty());
}

#[test]
fn a_local_galaxy_sends_to_this_machine_only() {
    let now = Instant::now();
    let mut core = core(0);
    core.effect(
        Effect::Nail(PLANET, vec![super::lanes::Lane::Direct(FAR.into())]),
        now,
    );
    core.hear(NEC, &between(1, PLANET, b"1"), now);
    assert!(core.acts().is_empty());
    core.hear(NEC, &between(1, 255, b"1"), now);
    let fes = SocketAddrV4::new(Ipv4Addr::LOCALHOST, galaxies::port(255, true));
    assert_eq!(sent(&mut core), [(fes, between(1, 255, b"1"))]);
    // A ship that heard a packet from this machine calls it 0.0.0.0.
    let here = super::lanes::Lane::Direct(Address::new(Ipv4Addr::UNSPECIFIED, 5));
    core.effect(Effect::Send(here, vec![1]), now);
    assert_eq!(sent(&mut core)[0].0, SocketAddrV4::new(Ipv4Addr::LOCALHOST, 5));
    let nowhere = super::lanes::Lane::Direct(Address::default());
    core.effect(Effect::Send(nowhere, vec![1]), now);
    assert!(core.acts().is_empty());
}

#[test]
fn what_waits_for_lanes_is_bounded() {
    let mut core = core(0);
    for ship in 0..2 * limits::AMES_WAITING as u128 {
        core.hear(NEC, &between(1, PLANET + ship, b"1"), Instant::now());
    }
    assert_eq!(core.acts().len(), limits::AMES_WAITING);
    assert_eq!(of(&core, "forwards-dropped"), limits::AMES_WAITING as u64);
    core.lanes(PLANET, &Answer::Unavailable, Instant::now());
    assert_eq!(of(&core, "forwards-pending"), limits::AMES_WAITING as u64 - 1);
}

#[test]
fn a_kernel_that_knows_no_lanes_forwards_itself() {
    let now = Instant::now();
    let mut core = core(0);
    for failure in 0..=limits::AMES_SCRY_FAILURES {
        assert_eq!(of(&core, "can-scry"), 1, "after {failure} failures");
        core.hear(NEC, &between(1, PLANET, b"1"), now);
        core.acts();
        core.lanes(PLANET, &Answer::Nothing, now);
        assert!(matches!(core.acts()[..], [Act::Hear(_)]), "the kernel has it");
        core.heard(None);
    }
    assert_eq!(of(&core, "can-scry"), 0);
    core.hear(NEC, &between(1, PLANET, b"1"), now);
    assert!(matches!(core.acts()[..], [Act::Hear(_)]));
}

/// A wail from a planet to ~zod.
fn wail(fragment: u32, path: &[u8]) -> Vec<u8> {
    let len = path.len() as u16;
    let body = [&[0][..], &fragment.to_le_bytes(), &len.to_le_bytes(), path].concat();
    let bytes = between(PLANET, 0, &body);
    let mut packet = Packet::parse(&bytes, None).unwrap();
    packet.head.is_ames = false;
    packet.head.is_request = true;
    packet.sender_life = 3;
    packet.write()
}

#[test]
fn a_wail_is_answered_from_the_kernel_s_page_and_then_from_memory() {
    let now = Instant::now();
    let mut core = core(0);
    core.effect(
        Effect::Nail(PLANET, vec![super::lanes::Lane::Direct(NEC.into())]),
        now,
    );
    core.hear(NEC, &wail(4098, b"/c/x/1"), now);
    let acts = core.acts();
    let [Act::Ask(Question::Page(page), sample)] = &acts[..] else {
        panic!("the kernel is asked, not {acts:?}");
    };
    let path = n!["fine", "hunk", "4.097", "4.096", "c", "x", "1", 0_u64];
    assert_eq!(*sample, n![0_u64, 1_u64, "once", "ax", 0_u64, path]);
    core.hear(NEC, &wail(4099, b"/c/x/1"), now);
    assert!(core.acts().is_empty(), "who asks meanwhile asks again");

    // A signature, the count of fragments in four bytes, and the data.
    let meow = |fill: u8| [&[fill; 64][..], &5_u32.to_le_bytes(), &[fill; 1024]].concat();
    let last = [&[4; 64][..], &[5]].concat();
    let fragments = [meow(1), meow(2), last.clone()];
    let list = Noun::list(fragments.iter().map(|meow| Noun::from_le_bytes(meow)));
    core.page(page, &Answer::Noun(list), now);
    let check = |core: &mut Core, fragment: u32, meow: &[u8]| {
        let sent = sent(core);
        let (to, bytes) = &sent[0];
        assert_eq!((sent.len(), *to), (1, NEC));
        let purr = Packet::parse(bytes, Some(0)).unwrap();
        assert_eq!(purr.head.kind(), packet::Kind::Purr);
        assert_eq!((purr.sender, purr.receiver), (0, PLANET));
        assert_eq!((purr.sender_life, purr.receiver_life), (1, 3));
        assert_eq!((purr.head.sender_class, purr.head.receiver_class), (0, 1));
        let expected = [&fragment.to_le_bytes()[..], &6_u16.to_le_bytes(), b"/c/x/1", meow].concat();
        assert_eq!(purr.body, expected);
    };
    check(&mut core, 4098, &meow(2));
    core.hear(NEC, &wail(4099, b"/c/x/1"), now);
    check(&mut core, 4099, &last);
    core.hear(NEC, &wail(4100, b"/c/x/1"), now);
    assert!(core.acts().is_empty(), "there is no such fragment");
    assert_eq!(of(&core, "scry-cache"), 3);
}

#[test]
fn strangers_questions_are_bounded_and_asked_again() {
    let now = Instant::now();
    let mut core = core(0);
    for number in 0..2 * limits::AMES_FINE_PEEKS {
        core.hear(NEC, &wail(1, format!("/{number}").as_bytes()), now);
    }
    let acts = core.acts();
    assert_eq!(acts.len(), limits::AMES_FINE_PEEKS);
    assert_eq!(of(&core, "wails-dropped"), limits::AMES_FINE_PEEKS as u64);
    for act in acts {
        let Act::Ask(Question::Page(page), _) = act else {
            panic!("{act:?}")
        };
        core.page(&page, &Answer::Nothing, now);
    }
    assert!(core.acts().is_empty());
    core.hear(NEC, &wail(1, b"/0"), now);
    assert!(
        matches!(core.acts()[..], [Act::Ask(Question::Page(_), _)]),
        "what was blocked is asked again"
    );
    core.hear(NEC, &wail(1, b"/\n"), now);
    core.hear(NEC, &wail(0, b"/a"), now);
    assert_eq!((of(&core, "filtered-wap"), of(&core, "filtered-wal")), (1, 1));
}

#[test]
fn an_answer_of_fine_s_goes_to_the_ship_on_its_own_wire() {
    let mut core = core(0);
    let bytes = between(1, 0, b"purr");
    let mut packet = Packet::parse(&bytes, None).unwrap();
    packet.head.is_ames = false;
    let purr = packet.write();
    core.hear(NEC, &purr, Instant::now());
    let card = n!["hear", Address::from(NEC).lane(), Noun::from_le_bytes(&purr)];
    let acts = core.acts();
    let [Act::Hear(ovum)] = &acts[..] else {
        panic!("{acts:?}")
    };
    assert_eq!(ovum.to_noun(), Ovum::new("ames", ["fine"], card).to_noun());
}

#[test]
fn the_ship_learns_from_its_galaxy_where_it_is_seen() {
    let start = Instant::now();
    let mut core = core(PLANET);
    core.effect(Effect::Saxo(vec![PLANET, 256, 3]), start);
    assert_eq!(core.due(), Some(start));
    core.tick(start);
    let galaxy = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 31_340);
    assert_eq!(sent(&mut core), [(galaxy, stun::request([1; stun::ID]).to_vec())]);
    core.hear(galaxy, &stun::response([1; stun::ID], FAR), start);
    let acts = core.acts();
    let [Act::Tell(ovum)] = &acts[..] else {
        panic!("{acts:?}")
    };
    let card = n!["stun", "once", 3_u64, Address::from(FAR).lane()];
    assert_eq!(ovum.to_noun(), Ovum::new("ames", ["ames"], card).to_noun());
    assert_eq!(core.due(), Some(start + Duration::from_secs(25)));
}

#[test]
fn a_galaxy_asks_nobody_where_it_is() {
    let mut core = core(0);
    core.effect(Effect::Saxo(vec![0]), Instant::now());
    assert_eq!(core.due(), None);
}

#[test]
fn a_domain_is_looked_up_once_and_not_by_a_local_ship() {
    let domain = n![n!["org", "urbit", 0_u64], n!["org", "example", 0_u64], 0_u64];
    let turf = || Effect::read("turf", &domain).unwrap().unwrap();
    assert_eq!(
        turf(),
        Effect::Turf(vec!["urbit.org".to_owned(), "example.org".to_owned()])
    );
    let now = Instant::now();
    assert_eq!(core(0).effect(turf(), now), None);
    let mut core = world(PLANET, false);
    assert_eq!(core.effect(turf(), now), Some("urbit.org".to_owned()));
    assert_eq!(core.effect(turf(), now), None);
    core.effect(Effect::Send(super::lanes::Lane::Galaxy(3), vec![1]), now);
    assert!(core.acts().is_empty(), "nobody knows where it is yet");
    core.resolved("urbit.org", 3, Some(Ipv4Addr::new(10, 0, 0, 1)));
    core.effect(Effect::Send(super::lanes::Lane::Galaxy(3), vec![1]), now);
    assert_eq!(
        sent(&mut core)[0].0,
        SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 13_340)
    );
}

#[test]
fn a_strange_version_is_none() {
    for (answer, strict) in [
        (Answer::Noun(Noun::ZERO), true),
        (Answer::Noun(Noun::atom(99)), true),
        (Answer::Nothing, true),
        (Answer::Unavailable, false),
    ] {
        let mut core = core(0);
        core.version(&answer);
        assert_eq!(of(&core, "filtering"), u64::from(strict));
        let mut newer = hex(RECEIVED);
        newer[0] |= 0x10;
        core.hear(NEC, &newer, Instant::now());
        assert_eq!(of(&core, "filtered-ver"), u64::from(strict));
    }
}

#[test]
fn a_crashed_peek_is_no_answer() {
    let goof = Goof {
        mote: "exit".to_owned(),
        tang: Noun::ZERO,
    };
    assert_eq!(Answer::read(PeekAnswer::Bailed(goof)), Answer::Nothing);
    assert_eq!(Answer::read(PeekAnswer::Done(Noun::ZERO)), Answer::Nothing);
    assert_eq!(Answer::read(PeekAnswer::Unavailable), Answer::Unavailable);
    assert_eq!(
        Answer::read(PeekAnswer::Done(noun(VERSION))),
        Answer::Noun(Noun::ZERO)
    );
}

/// Who asked what of a gateway: to map this port, or to give it back.
fn asked(gateway: &UdpSocket) -> (SocketAddr, u16, bool) {
    let mut buffer = [0; 64];
    let (len, from) = gateway.recv_from(&mut buffer).unwrap();
    assert_eq!(len, 12);
    (
        from,
        u16::from_be_bytes([buffer[4], buffer[5]]),
        buffer[8..12] == [0; 4],
    )
}

#[test]
fn the_gateways_port_is_the_ships_while_an_office_lasts() {
    let (gateway, address) = other();
    let (mut pier, port) = pier();
    pier.settings.nat_pmp = Some(Gateway::At(address.socket()));

    let mut context = pier.context();
    context.ship.fake = false;
    let mut real = new(context);
    real.start().unwrap();
    let (from, mapped, is_end) = asked(&gateway);
    assert!(mapped == port && !is_end);
    let mut grant = vec![0, 129, 0, 0, 0, 0, 0, 1];
    grant.extend(mapped.to_be_bytes());
    grant.extend([0x10, 0xe1, 0, 0, 0x1c, 0x20]);
    gateway.send_to(&grant, from).unwrap();
    wait_figure(&*real, "mapped-port", 0x10e1);
    real.stop();
    // A request may have gone out again before the answer came.
    while !asked(&gateway).2 {}
    assert_eq!(figure(&*real, "mapped-port"), 0);

    // A ship that speaks to this machine only asks for nothing.
    let fake = live(&mut pier);
    drop(fake);
    gateway.set_nonblocking(true).unwrap();
    gateway.recv_from(&mut [0; 64]).unwrap_err();
}
