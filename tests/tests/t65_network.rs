//! The network that the nemesis breaks does what it is told: else a member that seemed to be cut off never was. And a leader that is
//! cut off is replaced.

use replog::Role;
use seguro_tests::{Fate, Link, Network, PATIENCE, Ship, needs_network};
use std::{
    io,
    net::{SocketAddr, UdpSocket},
    path::Path,
    time::{Duration, Instant},
};

/// How long a packet that is not lost may take on a busy machine.
const SOON: Duration = Duration::from_secs(10);
/// How long one that must not come is waited for.
const NEVER: Duration = Duration::from_millis(300);

/// A socket where member `member` stands.
fn socket(network: &Network, member: usize) -> anyhow::Result<UdpSocket> {
    let address = network.address(member)?;
    Ok(network.within(member, || UdpSocket::bind(address))??)
}

/// Whether what `from` sends to `to` arrives in time, and how long it took.
fn arrives(from: &UdpSocket, to: &UdpSocket, patience: Duration) -> anyhow::Result<Option<Duration>> {
    let (began, mut buffer) = (Instant::now(), [0; 16]);
    from.send_to(b"word", to.local_addr()?)?;
    to.set_read_timeout(Some(patience))?;
    match to.recv_from(&mut buffer) {
        Ok((_, sender)) => {
            assert_eq!(sender, from.local_addr()?);
            Ok(Some(began.elapsed()))
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[test]
fn a_cut_cuts_and_healing_heals() -> anyhow::Result<()> {
    if !needs_network("a_cut_cuts_and_healing_heals") {
        return Ok(());
    }
    let network = Network::new(3, 1)?;
    let sockets: Vec<UdpSocket> = (0..3)
        .map(|member| socket(&network, member))
        .collect::<Result<_, _>>()?;
    let passes = |from: usize, to: usize| -> anyhow::Result<bool> {
        Ok(arrives(&sockets[from], &sockets[to], NEVER)?.is_some())
    };
    // By pairs, sender and receiver, in this order.
    let pairs = [(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)];
    let hold = |expected: [bool; 6]| -> anyhow::Result<()> {
        for ((from, to), expected) in pairs.into_iter().zip(expected) {
            if expected {
                assert!(
                    arrives(&sockets[from], &sockets[to], SOON)?.is_some(),
                    "{from} to {to}"
                );
            } else {
                assert!(!passes(from, to)?, "{from} to {to} is cut");
            }
        }
        Ok(())
    };
    hold([true; 6])?;
    network.around(0, Link::CUT);
    hold([false, false, false, false, true, true])?;
    network.heal();
    hold([true; 6])?;
    network.between(1, 2, Link::CUT);
    hold([true, true, true, true, false, false])?;
    network.heal();
    network.outward(1, Link::CUT);
    hold([true, false, true, true, false, true])?;
    network.heal();
    network.inward(1, Link::CUT);
    hold([false, true, true, true, true, false])?;
    network.heal();
    hold([true; 6])
}

#[test]
fn packets_are_held_back_and_lost_as_told() -> anyhow::Result<()> {
    if !needs_network("packets_are_held_back_and_lost_as_told") {
        return Ok(());
    }
    let network = Network::new(2, 1)?;
    let (one, other) = (socket(&network, 0)?, socket(&network, 1)?);
    let (delay, jitter) = (Duration::from_millis(200), Duration::from_millis(50));
    network.one_way(
        0,
        1,
        Link {
            delay,
            jitter,
            ..Link::GOOD
        },
    );
    let took = arrives(&one, &other, SOON)?;
    assert!(took.is_some_and(|took| took >= delay - jitter), "{took:?}");
    // What is on its way when a link is cut does not arrive, nor later.
    one.send_to(b"word", other.local_addr()?)?;
    network.one_way(0, 1, Link::CUT);
    other.set_read_timeout(Some(delay + NEVER))?;
    assert!(other.recv_from(&mut [0; 16]).is_err());

    let (sent, percent) = (400, 20);
    network.one_way(
        0,
        1,
        Link {
            loss_percent: percent,
            ..Link::GOOD
        },
    );
    let mut arrived = 0;
    for _ in 0..sent {
        one.send_to(b"word", other.local_addr()?)?;
        other.set_read_timeout(Some(Duration::from_millis(20)))?;
        arrived += u32::from(other.recv_from(&mut [0; 16]).is_ok());
    }
    assert!(
        (sent / 2..sent).contains(&arrived),
        "{arrived} of {sent} arrived, {percent} of 100 were to be lost"
    );

    // Ten packets of 1028 bytes at 50 kB/s: the last comes after some 200 ms.
    network.one_way(
        0,
        1,
        Link {
            bytes_per_second: Some(50_000),
            ..Link::GOOD
        },
    );
    let began = Instant::now();
    other.set_read_timeout(Some(SOON))?;
    for _ in 0..10 {
        one.send_to(&[0; 1000], other.local_addr()?)?;
    }
    for _ in 0..10 {
        other.recv_from(&mut [0; 1000])?;
    }
    assert!(
        began.elapsed() >= Duration::from_millis(190),
        "{:?}",
        began.elapsed()
    );
    Ok(())
}

#[test]
fn nothing_stays_when_a_test_panics() -> anyhow::Result<()> {
    if !needs_network("nothing_stays_when_a_test_panics") {
        return Ok(());
    }
    let network = Network::new(2, 1)?;
    let names: Vec<String> = format!("{network:?}")
        .split('"')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect();
    let there = |name: &String| Path::new("/run/netns").join(name).exists();
    assert!(names.len() == 2 && names.iter().all(there), "{names:?}");
    let address: SocketAddr = network.address(0)?;
    assert!(
        UdpSocket::bind(address).is_err(),
        "only its namespace has the address"
    );
    let panicked = std::thread::spawn(move || {
        let _network = network;
        std::panic::resume_unwind(Box::new(()));
    });
    assert!(panicked.join().is_err());
    assert!(!names.iter().any(there), "{names:?}");
    Ok(())
}

#[test]
fn a_leader_that_is_cut_off_is_replaced_and_acknowledges_nothing() -> anyhow::Result<()> {
    if !needs_network("a_leader_that_is_cut_off_is_replaced_and_acknowledges_nothing") {
        return Ok(());
    }
    let mut ship = Ship::on_network(3, &[], 1)?;
    let old = ship.boot()?;
    let load = ship.load(16);
    load.more(50, PATIENCE)?;
    let cut = Instant::now();
    ship.network
        .iter()
        .for_each(|network| network.around(old, Link::CUT));
    ship.cluster
        .wait("another leader that is live", PATIENCE, |cluster| {
            (0..3)
                .filter(|member| *member != old)
                .filter_map(|member| cluster.status(member))
                .find(|status| status.live && matches!(status.log.role, Role::Leader { .. }))
        })?;
    let replaced = Instant::now();
    load.more(100, PATIENCE)?;
    eprintln!(
        "another led after {:?}, and acknowledged after {:?}; the old one says that it is {:?}",
        replaced - cut,
        load.first_acknowledged_after(replaced).map(|at| at - cut),
        ship.status(old)?.log.role
    );
    let healed = Instant::now();
    ship.network.iter().for_each(Network::heal);
    load.more(100, PATIENCE)?;
    let outcomes = load.stop();
    let late = outcomes
        .0
        .iter()
        .find(|(_, fate)| matches!(fate, Fate::Acknowledged { at, by } if *by == old && (replaced..healed).contains(at)));
    assert!(late.is_none(), "a leader that was replaced acknowledged {late:?}");
    ship.settle_and_judge(&outcomes)?;
    Ok(())
}
