//! A read is answered with what a quorum has, or it is not answered.

use seguro_king::conn_client::{Answer, ConnClient};
use seguro_tests::{Outcomes, PATIENCE, Process, Ship, Stopped, needs_reference_kernel};
use serf_ipc::{Noun, n};
use std::{io, time::Duration};

/// How long an answer is waited for that must not come: many times the lease, and what a peek takes.
const SILENCE: Duration = Duration::from_secs(3);

/// What came of a peek.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Read {
    /// So many events were counted by the kernel.
    Count(u64),
    /// The ship hung up: it may not answer for the ship.
    Refused,
    /// Nothing yet.
    Silence,
}

/// Asks how many events the kernel has counted; its counting includes the events of the boot.
fn ask(client: &mut ConnClient, id: u64) -> io::Result<()> {
    let beam = n!["beam", "cx", n![0u64, "base", "1"], "count", 0u64];
    client.send(id, "peek", n![1u64, beam])
}

/// Waits for the answer to `ask`.
fn answer(client: &mut ConnClient, patience: Duration) -> anyhow::Result<Read> {
    client.set_patience(Some(patience))?;
    match client.receive() {
        Ok((_, Answer::Other(answer))) => {
            // [%peek ~ %noun count]
            let count = answer.slot(15).and_then(Noun::as_u64);
            Ok(Read::Count(count.ok_or_else(|| anyhow::anyhow!("{answer:?}"))?))
        }
        Ok((_, other)) => anyhow::bail!("a peek was answered {other:?}"),
        Err(error) => match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Ok(Read::Silence),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                Ok(Read::Refused)
            }
            _ => Err(error.into()),
        },
    }
}

/// The count that whoever leads answers with, asked until one answers.
fn count(ship: &mut Ship) -> anyhow::Result<u64> {
    ship.cluster.wait("an answer to a peek", PATIENCE, |cluster| {
        let leader = cluster.live_leader()?;
        let mut client = ConnClient::connect(&cluster.members[leader].pier).ok()?;
        ask(&mut client, 1).ok()?;
        match answer(&mut client, PATIENCE) {
            Ok(Read::Count(count)) => Some(count),
            _ => None,
        }
    })
}

/// Three members, the number of the leader, and a client there.
fn ship(reads: &str) -> anyhow::Result<(Ship, usize, ConnClient)> {
    let mut ship = Ship::new(3, &["--reads", reads])?;
    let leader = ship.boot()?;
    let client = ship.client(leader)?;
    Ok((ship, leader, client))
}

fn stop(ship: &Ship, members: &[usize]) -> anyhow::Result<Vec<Stopped>> {
    let process = |member: &usize| ship.cluster.pid(*member).map(Process);
    let processes = members.iter().filter_map(process);
    let stopped = processes.map(Process::stop).collect::<anyhow::Result<Vec<_>>>()?;
    anyhow::ensure!(stopped.len() == members.len(), "a member does not run");
    Ok(stopped)
}

#[test]
fn a_quorums_read_waits_for_the_quorum() -> anyhow::Result<()> {
    if !needs_reference_kernel("a_quorums_read_waits_for_the_quorum") {
        return Ok(());
    }
    let (mut ship, leader, mut client) = ship("quorum")?;
    assert_eq!(
        client.ask(1, "ovum", n!["b", n!["behn", "seguro-1", 0u64], n!["born", 0u64]])?,
        Answer::Done
    );
    ask(&mut client, 2)?;
    let Read::Count(before) = answer(&mut client, PATIENCE)? else {
        anyhow::bail!("a leader with a quorum answers\n{}", ship.cluster.tails());
    };
    // The kernel counts every event; a driver's may have been committed since.
    let committed = ship.status(leader)?.committed;
    assert!(0 < before && before <= committed, "{before} of {committed}");
    let stopped = stop(&ship, &[(leader + 1) % 3, (leader + 2) % 3])?;
    // At once: the lease still holds, and must not be enough.
    ask(&mut client, 3)?;
    let alone = answer(&mut client, SILENCE)?;
    assert!(!matches!(alone, Read::Count(_)), "answered without a quorum");
    drop(stopped);
    if alone == Read::Silence {
        let woken = answer(&mut client, PATIENCE)?;
        assert!(
            woken == Read::Refused || matches!(woken, Read::Count(after) if after >= before),
            "{woken:?} after {before}"
        );
    }
    assert!(count(&mut ship)? >= before);
    ship.settle_and_judge(&Outcomes::default())?;
    Ok(())
}

#[test]
fn a_leases_read_ends_with_the_lease() -> anyhow::Result<()> {
    if !needs_reference_kernel("a_leases_read_ends_with_the_lease") {
        return Ok(());
    }
    let (mut ship, leader, mut client) = ship("lease")?;
    ask(&mut client, 1)?;
    let Read::Count(before) = answer(&mut client, PATIENCE)? else {
        anyhow::bail!("a leader with a lease answers\n{}", ship.cluster.tails());
    };
    let stopped = stop(&ship, &[(leader + 1) % 3, (leader + 2) % 3])?;
    let end = std::time::Instant::now() + PATIENCE;
    let mut id = 1;
    let last = loop {
        id += 1;
        ask(&mut client, id)?;
        match answer(&mut client, SILENCE)? {
            // A driver's event may still have been committed before the others stopped.
            Read::Count(count) => {
                let committed = ship.status(leader)?.committed;
                assert!(
                    before <= count && count <= committed,
                    "{before}, {count}, {committed}"
                );
            }
            ended => break ended,
        }
        assert!(std::time::Instant::now() < end, "the lease never ends");
    };
    drop(stopped);
    if last == Read::Silence {
        let woken = answer(&mut client, PATIENCE)?;
        assert!(
            woken == Read::Refused || matches!(woken, Read::Count(after) if after >= before),
            "{woken:?} after {before}"
        );
    }
    assert!(count(&mut ship)? >= before);
    ship.settle_and_judge(&Outcomes::default())?;
    Ok(())
}

/// A leader is stopped with a peek before it, another leads and goes on, and the first wakes.
fn sleeper(reads: &str) -> anyhow::Result<()> {
    let (mut ship, old, mut client) = ship(reads)?;
    let load = ship.load(16);
    load.more(50, PATIENCE)?;
    let stopped = stop(&ship, &[old])?;
    ask(&mut client, 1)?;
    ship.cluster.wait("another member to lead", PATIENCE, |cluster| {
        (0..3)
            .filter(|index| *index != old)
            .find(|index| cluster.status(*index).is_some_and(|status| status.live))
    })?;
    load.more(100, PATIENCE)?;
    let outcomes = load.stop();
    let now = count(&mut ship)?;
    drop(stopped);
    let woken = answer(&mut client, PATIENCE)?;
    assert!(
        woken == Read::Refused || matches!(woken, Read::Count(count) if count >= now),
        "the old leader answered {woken:?}, where {now} events are committed"
    );
    ship.settle_and_judge(&outcomes)?;
    Ok(())
}

#[test]
fn a_leader_that_slept_does_not_answer_with_the_past_by_lease() -> anyhow::Result<()> {
    if !needs_reference_kernel("a_leader_that_slept_does_not_answer_with_the_past_by_lease") {
        return Ok(());
    }
    sleeper("lease")
}

#[test]
fn a_leader_that_slept_does_not_answer_with_the_past_by_quorum() -> anyhow::Result<()> {
    if !needs_reference_kernel("a_leader_that_slept_does_not_answer_with_the_past_by_quorum") {
        return Ok(());
    }
    sleeper("quorum")
}
