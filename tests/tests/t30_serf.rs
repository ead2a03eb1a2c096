//! The serf may hang, compute for ever, or die of an event: the ship goes on, and clients are told the truth.

use nix::sys::signal::Signal;
use seguro_king::conn_client::{Answer, ConnClient};
use seguro_tests::{Fate, Logs, Outcomes, PATIENCE, Process, Ship, needs_reference_kernel};
use serf_ipc::{Noun, cue, n};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Ticks of computing after which a serf that has nothing else to do is at its endless event.
const BUSY_TICKS: u64 = 25;

/// A wire with a number that the log is searched for.
fn wire(number: u64) -> Noun {
    n!["b", "behn", format!("seguro-{number}").as_str(), 0u64]
}

/// The reference kernel counts to a cell, which it never reaches.
fn spin() -> Noun {
    n!["spin", 0u64, 0u64]
}

/// Any event that changes nothing.
fn plain() -> Noun {
    n!["born", 0u64]
}

fn fate(answer: &Answer, by: usize) -> Fate {
    match answer {
        Answer::Done => Fate::Acknowledged {
            at: Instant::now(),
            by,
        },
        Answer::Drop | Answer::Bail => Fate::Refused,
        Answer::Other(_) => Fate::Unknown,
    }
}

fn outcomes(answers: &BTreeMap<u64, Answer>) -> Outcomes {
    Outcomes(
        answers
            .iter()
            .map(|(number, answer)| (*number, fate(answer, 0)))
            .collect(),
    )
}

/// The answers to so many requests, by number.
fn answers(client: &mut ConnClient, count: usize) -> anyhow::Result<BTreeMap<u64, Answer>> {
    (0..count).map(|_| Ok(client.receive()?)).collect()
}

/// Waits until the serf is known to compute: it has used time since this was called, and more than a moment of it.
fn computes(ship: &mut Ship, serf: Process) -> anyhow::Result<()> {
    let since = serf.ticks().unwrap_or_default();
    ship.cluster.wait("the serf to compute", PATIENCE, |_| {
        (serf.ticks()? >= since + BUSY_TICKS).then_some(())
    })
}

/// The lines in which the king says what it does about a silent serf, in order.
fn escalations(ship: &Ship, index: usize) -> anyhow::Result<Vec<&'static str>> {
    let said = ship.said(index)?;
    let silent = said
        .lines()
        .filter(|line| line.contains("the serf is silent over a computation"));
    let words = ["Warn", "Interrupt", "Kill"];
    Ok(silent
        .filter_map(|line| words.into_iter().find(|word| line.contains(word)))
        .collect())
}

/// The mote with which each numbered event crashed that stands in the log as a `%crud`: `[now wire %crud [mote tang] ovum]`.
fn cruds(logs: &Logs) -> Vec<(Noun, String)> {
    let crud = |jam: &[u8]| {
        let event = cue(jam).ok()?;
        event.slot(14).filter(|tag| tag.is_cord("crud"))?;
        Some((event.slot(31)?.head()?.clone(), event.slot(60)?.as_cord()?))
    };
    logs.events.values().filter_map(|(_, jam)| crud(jam)).collect()
}

fn hangs(members: usize) -> anyhow::Result<()> {
    let mut ship = Ship::new(members, &["--serf-deadlines-s", "1,2,3"])?;
    let leader = ship.boot()?;
    let load = ship.load(16);
    load.more(100, PATIENCE)?;
    let serf = ship.serf(leader, None)?;
    let stopped = serf.stop()?;
    ship.serf(leader, Some(serf))?;
    drop(stopped);
    load.more(200, PATIENCE)?;
    assert_eq!(escalations(&ship, leader)?, ["Warn", "Interrupt", "Kill"]);
    let status = ship.status(leader)?;
    assert!(status.live, "it still leads");
    assert_eq!(status.offices, 1, "a serf that hangs is no reason to elect");
    let outcomes = load.stop();
    assert!(
        outcomes.0.values().all(|fate| !matches!(fate, Fate::Refused)),
        "an event at which the serf died once is given to the next"
    );
    ship.settle_and_judge(&outcomes)?;
    Ok(())
}

#[test]
fn a_serf_that_hangs_is_killed_and_nothing_is_lost() -> anyhow::Result<()> {
    hangs(1)
}

#[test]
fn a_leaders_serf_that_hangs_is_killed_and_nothing_is_lost() -> anyhow::Result<()> {
    hangs(3)
}

#[test]
fn a_followers_serf_that_hangs_holds_nobody_up() -> anyhow::Result<()> {
    let mut ship = Ship::new(3, &["--serf-deadlines-s", "1,2,3"])?;
    let leader = ship.boot()?;
    let follower = (leader + 1) % 3;
    let load = ship.load(16);
    load.more(100, PATIENCE)?;
    let serf = ship.serf(follower, None)?;
    let pid = ship.status(follower)?.serf.pid;
    let stopped = serf.stop()?;
    load.more(300, PATIENCE)?;
    // It is never woken: its king takes it for dead, and another plays what it has missed.
    ship.cluster
        .wait("another serf to catch up", PATIENCE, |cluster| {
            let status = cluster.status(follower)?;
            (status.serf.awake && status.serf.pid != pid && status.lag < 100).then_some(())
        })?;
    load.more(100, PATIENCE)?;
    let outcomes = load.stop();
    ship.settle_and_judge(&outcomes)?;
    drop(stopped);
    Ok(())
}

#[test]
fn a_member_whose_serf_hangs_lets_another_lead() -> anyhow::Result<()> {
    let mut ship = Ship::new(3, &["--serf-deadlines-s", "1,60,90"])?;
    let leader = ship.boot()?;
    let hanging = (leader + 1) % 3;
    let load = ship.load(4);
    load.more(20, PATIENCE)?;
    let stopped = ship.serf(hanging, None)?.stop()?;
    load.more(20, PATIENCE)?;
    ship.cluster.wait("its king to notice", PATIENCE, |cluster| {
        let said = std::fs::read_to_string(&cluster.members[hanging].stderr).ok()?;
        said.contains("the serf is silent").then_some(())
    })?;
    ship.cluster.kill(leader)?;
    // The one that hangs could be elected, but could not serve.
    load.more(20, PATIENCE)?;
    assert_eq!(ship.cluster.live_leader(), Some((leader + 2) % 3));
    drop(stopped);
    ship.cluster.run(leader)?;
    let outcomes = load.stop();
    ship.settle_and_judge(&outcomes)?;
    Ok(())
}

#[test]
fn a_computation_without_end_is_interrupted_and_becomes_a_crash() -> anyhow::Result<()> {
    if !needs_reference_kernel("a_computation_without_end_is_interrupted_and_becomes_a_crash") {
        return Ok(());
    }
    let mut ship = Ship::new(1, &["--serf-deadlines-s", "1,2,60"])?;
    ship.boot()?;
    let serf = ship.serf(0, None)?;
    let mut client = ship.client(0)?;
    client.send_ovum(1, &wire(1), spin())?;
    client.send_ovum(2, &wire(2), plain())?;
    let answers = answers(&mut client, 2)?;
    // A crash is an event too: the kernel took the %crud in its place.
    assert_eq!(answers, BTreeMap::from([(1, Answer::Done), (2, Answer::Done)]));
    assert_eq!(escalations(&ship, 0)?, ["Warn", "Interrupt"]);
    assert_eq!(ship.serf(0, None)?, serf, "it heeded the interrupt");
    let logs = ship.settle_and_judge(&outcomes(&answers))?;
    assert_eq!(cruds(&logs), [(wire(1), "intr".to_owned())]);
    Ok(())
}

#[test]
fn an_event_that_cannot_even_crash_is_refused() -> anyhow::Result<()> {
    if !needs_reference_kernel("an_event_that_cannot_even_crash_is_refused") {
        return Ok(());
    }
    let mut ship = Ship::new(1, &[])?;
    ship.boot()?;
    let mut client = ship.client(0)?;
    client.send_ovum(1, &wire(1), n!["doom", 0u64])?;
    client.send_ovum(2, &wire(2), plain())?;
    let answers = answers(&mut client, 2)?;
    assert_eq!(answers, BTreeMap::from([(1, Answer::Bail), (2, Answer::Done)]));
    ship.settle_and_judge(&outcomes(&answers))?;
    Ok(())
}

#[test]
fn an_operators_interrupt_ends_the_computation_and_goes_to_the_ship() -> anyhow::Result<()> {
    if !needs_reference_kernel("an_operators_interrupt_ends_the_computation_and_goes_to_the_ship") {
        return Ok(());
    }
    let mut ship = Ship::new(1, &[])?;
    ship.boot()?;
    let serf = ship.serf(0, None)?;
    let mut client = ship.client(0)?;
    client.send_ovum(1, &wire(1), spin())?;
    computes(&mut ship, serf)?;
    ship.cluster.signal(0, Signal::SIGINT)?;
    let answers = answers(&mut client, 1)?;
    assert_eq!(answers, BTreeMap::from([(1, Answer::Done)]));
    let before = ship.status(0)?.committed;
    assert!(ship.said(0)?.lines().any(|line| line.ends_with("interrupt")));
    // Nothing runs that could be interrupted: only the ship is told.
    ship.cluster.signal(0, Signal::SIGINT)?;
    ship.cluster
        .wait("the ship's second %ctl 'c'", PATIENCE, |cluster| {
            cluster
                .status(0)
                .filter(|status| status.committed > before && status.live)
        })?;
    let logs = ship.settle_and_judge(&outcomes(&answers))?;
    assert_eq!(cruds(&logs), [(wire(1), "intr".to_owned())]);
    let control = n!["belt", "mod", "ctl", "c"];
    let told = logs
        .events
        .values()
        .filter_map(|(_, jam)| Some(cue(jam).ok()?.slot(7)? == &control));
    assert_eq!(told.filter(|told| *told).count(), 2);
    Ok(())
}

#[test]
fn an_event_that_ends_the_serf_twice_is_dropped() -> anyhow::Result<()> {
    if !needs_reference_kernel("an_event_that_ends_the_serf_twice_is_dropped") {
        return Ok(());
    }
    let mut ship = Ship::new(3, &[])?;
    let leader = ship.boot()?;
    let mut client = ship.client(leader)?;
    client.send_ovum(1, &wire(1), plain())?;
    client.send_ovum(2, &wire(2), spin())?;
    for number in 3..=20 {
        client.send_ovum(number, &wire(number), plain())?;
    }
    let mut old = None;
    for _ in 0..2 {
        let serf = ship.serf(leader, old)?;
        computes(&mut ship, serf)?;
        serf.signal(Signal::SIGKILL)?;
        old = Some(serf);
    }
    let answers = answers(&mut client, 20)?;
    for (number, answer) in &answers {
        let expected = if *number == 2 { Answer::Drop } else { Answer::Done };
        assert_eq!(*answer, expected, "event {number}");
    }
    assert_eq!(answers.len(), 20);
    assert!(
        ship.said(leader)?
            .contains("this event ended the serf 2 times: it is dropped")
    );
    let status = ship.status(leader)?;
    assert!(
        status.live && status.offices == 1,
        "the ship goes on where it was"
    );
    // The judge holds that what was refused is not in the log, and that what was done is there once.
    ship.settle_and_judge(&outcomes(&answers))?;
    Ok(())
}

#[test]
fn an_event_at_which_the_serf_hangs_twice_is_dropped() -> anyhow::Result<()> {
    if !needs_reference_kernel("an_event_at_which_the_serf_hangs_twice_is_dropped") {
        return Ok(());
    }
    let mut ship = Ship::new(1, &["--serf-deadlines-s", "1,2,3"])?;
    ship.boot()?;
    let mut client = ship.client(0)?;
    client.send_ovum(1, &wire(1), spin())?;
    client.send_ovum(2, &wire(2), plain())?;
    let mut old = None;
    let mut stopped = Vec::new();
    for _ in 0..2 {
        let serf = ship.serf(0, old)?;
        computes(&mut ship, serf)?;
        stopped.push(serf.stop()?);
        old = Some(serf);
    }
    let answers = answers(&mut client, 2)?;
    assert_eq!(answers, BTreeMap::from([(1, Answer::Drop), (2, Answer::Done)]));
    assert_eq!(
        escalations(&ship, 0)?,
        ["Warn", "Interrupt", "Kill", "Warn", "Interrupt", "Kill"]
    );
    ship.settle_and_judge(&outcomes(&answers))?;
    Ok(())
}

#[test]
fn a_roll_waits_for_a_serf_that_is_slow_to_save() -> anyhow::Result<()> {
    let mut ship = Ship::new(1, &[])?;
    ship.boot()?;
    let stopped = ship.serf(0, None)?.stop()?;
    let pier = ship.pier(0).to_owned();
    let begun = Instant::now();
    let roll = std::thread::spawn(move || seguro_king::control_socket::ask_roll(&pier, 2));
    // As long as any other answer may take, and longer.
    let slow = seguro_king::limits::CONTROL_PATIENCE + Duration::from_secs(1);
    ship.cluster.wait(
        "the time to pass, or an answer that comes too soon",
        PATIENCE,
        |_| (begun.elapsed() > slow || roll.is_finished()).then_some(()),
    )?;
    assert!(!roll.is_finished(), "nothing can have been saved");
    drop(stopped);
    let Ok(rolled) = roll.join() else {
        anyhow::bail!("the asking thread panicked");
    };
    assert!(ship.status(0)?.log.epochs.contains(&rolled?));
    Ok(())
}
