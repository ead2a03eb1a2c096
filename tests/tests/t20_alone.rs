//! A ship on one machine: no election, the same promises.

use nix::sys::signal::Signal;
use seguro_king::conn_client::{Answer, ConnClient};
use seguro_tests::{Load, PATIENCE, Ship, reference_kernel};
use serf_ipc::n;

#[test]
fn it_boots_stops_and_goes_on() -> anyhow::Result<()> {
    let mut ship = Ship::new(1, &[])?;
    ship.boot()?;
    let load = Load::start(&[ship.pier(0)], 16);
    load.more(100, PATIENCE)?;
    let outcomes = load.stop();
    let status = ship.cluster.terminate(0, PATIENCE)?;
    assert!(status.success(), "{status}");
    assert!(
        !ship.pier(0).join(".vere.lock").exists(),
        "the lock goes at a clean exit"
    );
    assert!(!ship.pier(0).join(".urb/conn.sock").exists(), "and the socket");
    ship.cluster.run(0)?;
    ship.cluster.wait_live(PATIENCE)?;
    ship.settle_and_judge(&outcomes)?;
    Ok(())
}

#[test]
fn it_goes_on_from_an_epoch_that_has_no_event_yet() -> anyhow::Result<()> {
    let mut ship = Ship::new(1, &[])?;
    ship.boot()?;
    let epoch = seguro_king::control_socket::ask_roll(ship.pier(0), 1)?;
    ship.cluster.kill(0)?;
    ship.cluster.run(0)?;
    ship.cluster.wait_live(PATIENCE)?;
    let status = ship.status(0)?;
    assert_eq!(status.log.epochs, [epoch]);
    assert!(status.committed > epoch, "its first event is there");
    Ok(())
}

#[test]
fn it_is_killed_under_load_and_has_everything() -> anyhow::Result<()> {
    let mut ship = Ship::new(1, &[])?;
    ship.boot()?;
    let load = Load::start(&[ship.pier(0)], 64);
    for _ in 0..3 {
        load.more(200, PATIENCE)?;
        ship.cluster.kill(0)?;
        ship.cluster.run(0)?;
        ship.cluster.wait_live(PATIENCE)?;
    }
    let outcomes = load.stop();
    ship.settle_and_judge(&outcomes)?;
    Ok(())
}

#[test]
fn a_second_king_on_the_pier_is_told_who_has_it() -> anyhow::Result<()> {
    let mut ship = Ship::new(1, &[])?;
    ship.boot()?;
    let pid = ship.cluster.pid(0).expect("the king runs");
    let second = std::process::Command::new(seguro_tests::king()?)
        .args(["run", "-t", "--serf-bin"])
        .arg(seguro_tests::serf())
        .arg(ship.pier(0))
        .output()?;
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(!second.status.success());
    assert!(
        said.contains(&pid.to_string()),
        "it names the process that has the pier: {said}"
    );
    assert!(ship.cluster.live_leader().is_some(), "and the first one goes on");
    Ok(())
}

#[test]
fn peeks_and_refusals_come_through_the_control_socket() -> anyhow::Result<()> {
    let mut ship = Ship::new(1, &[])?;
    ship.boot()?;
    let mut client = ConnClient::connect(ship.pier(0))?;
    client.set_patience(Some(PATIENCE))?;
    let who = client.ask(1, "peel", n!["who", 0u64])?;
    assert_eq!(who, Answer::Other(n![0u64, 0u64]), "~zod");
    let live = client.ask(2, "peel", n!["live", 0u64])?;
    assert_eq!(live, Answer::Other(n![0u64, 0u64]), "yes");
    if reference_kernel() {
        let done = client.ask(3, "ovum", n!["d", n!["term", "1", 0u64], n!["boom", 0u64]])?;
        assert_eq!(
            done,
            Answer::Done,
            "a crash is an event too: the crud in its place"
        );
    }
    Ok(())
}

#[test]
fn an_interrupt_is_the_ships_and_no_end() -> anyhow::Result<()> {
    let mut ship = Ship::new(1, &[])?;
    ship.boot()?;
    let before = ship.cluster.status(0).expect("it answers").committed;
    ship.cluster.signal(0, Signal::SIGINT)?;
    ship.cluster.wait("the ship's %ctl 'c'", PATIENCE, |cluster| {
        cluster
            .status(0)
            .filter(|status| status.committed > before && status.live)
    })?;
    Ok(())
}
