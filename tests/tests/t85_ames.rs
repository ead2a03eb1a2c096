//! The ship's packets: out and in over UDP, after a failover too, and what strangers send without end.

use anyhow::Context;
use seguro_king::conn_client::{Answer, ConnClient};
use seguro_tests::{Outcomes, PATIENCE, Ship, needs_reference_kernel};
use serf_ipc::{Noun, n, noun::mug_octets};
use std::{
    fs,
    net::{Ipv4Addr, UdpSocket},
    time::{Duration, Instant},
};

/// A packet from ~nec to ~zod with this body, whose mug is right.
fn packet(body: &[u8]) -> Vec<u8> {
    let rest = [&[0x11, 1, 0, 0, 0], body].concat();
    let head = 1_u32 << 31 | (mug_octets(&rest).0 & 0xf_ffff) << 11;
    [&head.to_le_bytes()[..], &rest].concat()
}

/// A packet of mesa's of this kind (1 is a page, 2 a peek) with this body, whose mug is right.
fn mesa(kind: u64, body: &[u8]) -> Vec<u8> {
    let mug = u64::from(mug_octets(body).0 & 0xf_ffff);
    let head = 0x67e0_0200_u64 << 32 | mug << 12 | kind << 7 | 1 << 4;
    [&head.to_le_bytes()[..], body].concat()
}

/// ~nec's socket, and its lane.
fn nec() -> anyhow::Result<(UdpSocket, Noun)> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let port = u64::from(socket.local_addr()?.port());
    Ok((socket, n![1_u64, port << 32 | 0x7f00_0001]))
}

/// Has the kernel send a packet there, and waits until it is there.
fn send(ship: &Ship, leader: usize, (socket, lane): &(UdpSocket, Noun), body: &[u8]) -> anyhow::Result<()> {
    let bytes = packet(body);
    emit(ship, leader, "send", n![lane, Noun::from_le_bytes(&bytes)])?;
    receive(socket, &bytes)
}

/// Has the kernel emit an effect for its network.
fn emit(ship: &Ship, leader: usize, tag: &str, data: Noun) -> anyhow::Result<()> {
    let effect = n![n!["ames", 0_u64], tag, data];
    let event = n!["d", n!["term", "1", 0_u64], n!["emit", n![effect, 0_u64]]];
    let mut client = ship.client(leader)?;
    anyhow::ensure!(client.ask(1, "ovum", event)? == Answer::Done);
    Ok(())
}

/// Waits for this packet, which must be the next one.
fn receive(socket: &UdpSocket, bytes: &[u8]) -> anyhow::Result<()> {
    let mut buffer = [0; 2048];
    let (len, _) = socket
        .recv_from(&mut buffer)
        .context("the packet does not come")?;
    anyhow::ensure!(buffer[..len] == *bytes, "another packet came");
    Ok(())
}

/// Sends the ship a packet until it is an event: packets may be lost.
fn hear(ship: &mut Ship, leader: usize, socket: &UdpSocket, bytes: &[u8]) -> anyhow::Result<()> {
    let before = ship.status(leader)?.committed;
    let port = ship.cluster.members[leader].ames_port;
    ship.cluster
        .wait("a packet to become an event", PATIENCE, |cluster| {
            socket.send_to(bytes, (Ipv4Addr::LOCALHOST, port)).ok()?;
            (cluster.status(leader)?.committed > before).then_some(())
        })
}

/// Has the kernel ask ~nec for what it publishes, and answers.
fn ask_and_answer(ship: &mut Ship, leader: usize, socket: &UdpSocket, path: &[u8; 7]) -> anyhow::Result<()> {
    // ~nec's, of rift 0, of 1-kB fragments, the first packet.
    let name = [&[0x10, 1, 0, 0, 13, 7, 0][..], path].concat();
    let question = mesa(2, &name);
    let lane = n!["if", 0x7f00_0001_u64, u64::from(socket.local_addr()?.port())];
    let push = n![n![lane, 0_u64], Noun::from_le_bytes(&question)];
    emit(ship, leader, "push", push)?;
    receive(socket, &question)?;
    // Three bytes of three, with an authentication code.
    let data = [&[0b0100_1000, 3][..], &[9; 16], &[3, 1, 2, 3]].concat();
    hear(ship, leader, socket, &mesa(1, &[name, data].concat()))
}

#[test]
fn packets_go_out_and_in_and_the_next_leader_has_the_port() -> anyhow::Result<()> {
    if !needs_reference_kernel("packets_go_out_and_in_and_the_next_leader_has_the_port") {
        return Ok(());
    }
    let mut ship = Ship::new(3, &[])?;
    // One ship, one port: as members on machines of their own have it.
    let port = ship.cluster.members[0].ames_port;
    for member in &mut ship.cluster.members {
        member.ames_port = port;
    }
    let leader = ship.boot()?;
    let nec = nec()?;
    send(&ship, leader, &nec, b"first")?;
    hear(&mut ship, leader, &nec.0, &packet(b"hi"))?;
    ask_and_answer(&mut ship, leader, &nec.0, b"publ/1a")?;

    ship.cluster.kill(leader)?;
    let leader = ship.cluster.wait_live(PATIENCE)?;
    send(&ship, leader, &nec, b"second")?;
    hear(&mut ship, leader, &nec.0, &packet(b"hi"))?;
    ask_and_answer(&mut ship, leader, &nec.0, b"publ/1b")?;
    ship.settle_and_judge(&Outcomes::default())?;
    Ok(())
}

/// Packets of a flood, a second.
const FLOOD: u32 = 50_000;
/// How long it lasts.
const LASTS: Duration = Duration::from_secs(2);
/// How much a king may grow under it: what the system's own buffers and the allocator's slack may be.
const GROWTH_KIB: u64 = 16 << 10;

/// Sends what is not sound at this rate; how many were sent.
fn flood(port: u16) -> anyhow::Result<u32> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mut bent = packet(&[7; 1000]);
    bent[500] ^= 1;
    let mut newer = packet(&[7; 1000]);
    newer[0] |= 0x10;
    let short = [1, 2, 3];
    let start = Instant::now();
    let mut sent = 0;
    while start.elapsed() < LASTS {
        let due = (start.elapsed().as_secs_f64() * f64::from(FLOOD)) as u32;
        for number in sent..due {
            let packet: &[u8] = [&bent, &newer, &short[..]][number as usize % 3];
            socket.send_to(packet, (Ipv4Addr::LOCALHOST, port))?;
        }
        sent = sent.max(due);
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(sent)
}

/// The resident memory of a process, KiB.
fn memory_kib(pid: u32) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let figure = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(figure.context("no VmRSS")?.trim().parse()?)
}

#[test]
fn a_flood_neither_stops_events_nor_grows_the_king() -> anyhow::Result<()> {
    let mut ship = Ship::new(1, &[])?;
    ship.boot()?;
    let pid = ship.cluster.pid(0).context("the king runs")?;
    let port = ship.cluster.members[0].ames_port;
    let mut client: ConnClient = ship.client(0)?;
    let event = || n!["d", n!["term", "1", 0_u64], n!["blew", 80_u64, 24_u64]];
    for id in 0..200 {
        client.ask(id, "ovum", event())?;
    }
    let before = memory_kib(u32::try_from(pid.as_raw())?)?;
    let flooding = std::thread::spawn(move || flood(port));
    let mut slowest = Duration::ZERO;
    let mut count = 0;
    while !flooding.is_finished() {
        let asked = Instant::now();
        client.ask(1000 + count, "ovum", event())?;
        slowest = slowest.max(asked.elapsed());
        count += 1;
        std::thread::sleep(Duration::from_millis(5));
    }
    let sent = flooding
        .join()
        .map_err(|_| anyhow::anyhow!("the flood ended early"))??;
    let after = memory_kib(u32::try_from(pid.as_raw())?)?;
    eprintln!(
        "{sent} packets; {count} events meanwhile, the slowest {slowest:?}; {before} KiB, then {after} KiB"
    );
    assert!(count > 20, "{count} events");
    assert!(after < before + GROWTH_KIB, "from {before} to {after} KiB");
    hear(&mut ship, 0, &nec()?.0, &packet(b"hi"))?;
    ship.settle_and_judge(&Outcomes::default())?;
    Ok(())
}
