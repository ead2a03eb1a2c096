//! A ship on three machines goes on, whichever of them fails, and has forgotten nothing.

use nix::sys::signal::Signal;
use seguro_king::local_cluster::LocalCluster;
use seguro_tests::{Load, PATIENCE, Ship};
use std::{
    path::Path,
    time::{Duration, Instant},
};

fn load(ship: &Ship, window: usize) -> Load {
    let piers: Vec<&Path> = ship
        .cluster
        .members
        .iter()
        .map(|member| member.pier.as_path())
        .collect();
    Load::start(&piers, window)
}

fn another_leads(cluster: &mut LocalCluster, old: usize) -> anyhow::Result<usize> {
    cluster.wait("another member to lead", PATIENCE, |cluster| {
        (0..cluster.members.len())
            .filter(|index| *index != old)
            .find(|index| cluster.status(*index).is_some_and(|status| status.live))
    })
}

#[test]
fn the_leader_is_killed_under_load() -> anyhow::Result<()> {
    let mut ship = Ship::new(3, &[])?;
    let leader = ship.boot()?;
    let load = load(&ship, 16);
    load.more(200, PATIENCE)?;
    let killed = Instant::now();
    ship.cluster.kill(leader)?;
    load.more(200, PATIENCE)?;
    if let Some(first) = load.first_acknowledged_after(killed) {
        eprintln!(
            "first acknowledgement {} ms after the kill",
            first.duration_since(killed).as_millis()
        );
    }
    ship.cluster.run(leader)?;
    load.more(200, PATIENCE)?;
    let outcomes = load.stop();
    ship.settle_and_judge(&outcomes)?;
    Ok(())
}

#[test]
fn a_follower_is_killed_under_load_and_comes_back() -> anyhow::Result<()> {
    let mut ship = Ship::new(3, &[])?;
    let leader = ship.boot()?;
    let follower = (leader + 1) % 3;
    let load = load(&ship, 16);
    load.more(100, PATIENCE)?;
    ship.cluster.kill(follower)?;
    load.more(300, PATIENCE)?;
    assert_eq!(
        ship.cluster.live_leader(),
        Some(leader),
        "a follower's death is no reason to elect"
    );
    ship.cluster.run(follower)?;
    load.more(100, PATIENCE)?;
    let outcomes = load.stop();
    ship.settle_and_judge(&outcomes)?;
    Ok(())
}

#[test]
fn all_members_are_killed_at_once() -> anyhow::Result<()> {
    let mut ship = Ship::new(3, &[])?;
    ship.boot()?;
    let load = load(&ship, 16);
    load.more(200, PATIENCE)?;
    for index in 0..3 {
        ship.cluster.signal(index, Signal::SIGKILL)?;
    }
    for index in 0..3 {
        ship.cluster.wait_exit(index, PATIENCE)?;
    }
    for index in 0..3 {
        ship.cluster.run(index)?;
    }
    ship.cluster.wait_live(PATIENCE)?;
    load.more(100, PATIENCE)?;
    let outcomes = load.stop();
    ship.settle_and_judge(&outcomes)?;
    Ok(())
}

#[test]
fn a_leader_that_was_stopped_past_its_lease_wakes_as_no_leader() -> anyhow::Result<()> {
    let mut ship = Ship::new(3, &[])?;
    let old = ship.boot()?;
    let load = load(&ship, 16);
    load.more(200, PATIENCE)?;
    ship.cluster.signal(old, Signal::SIGSTOP)?;
    let new = another_leads(&mut ship.cluster, old)?;
    load.more(200, PATIENCE)?;
    ship.cluster.signal(old, Signal::SIGCONT)?;
    ship.cluster
        .wait("the old leader to follow", PATIENCE, |cluster| {
            let status = cluster.status(old)?;
            (!status.live
                && status
                    .log
                    .leader
                    .as_ref()
                    .is_some_and(|leader| leader.id != status.log.id))
            .then_some(())
        })?;
    assert_eq!(ship.cluster.live_leader(), Some(new));
    load.more(100, PATIENCE)?;
    let outcomes = load.stop();
    ship.settle_and_judge(&outcomes)?;
    Ok(())
}

#[test]
fn a_member_that_lost_its_disk_comes_back_as_another() -> anyhow::Result<()> {
    let mut ship = Ship::new(3, &[])?;
    let leader = ship.boot()?;
    let victim = (leader + 2) % 3;
    let old = ship.cluster.status(victim).map(|status| status.log.id);
    let load = load(&ship, 16);
    load.more(100, PATIENCE)?;
    ship.cluster.kill(victim)?;
    std::fs::remove_dir_all(ship.pier(victim))?;
    load.more(100, PATIENCE)?;
    ship.cluster.run(victim)?;
    let new = ship.cluster.wait("the new member to vote", PATIENCE, |cluster| {
        let own = cluster.status(victim)?.log.id;
        let log = cluster.status(leader)?.log;
        let settled = log.voters() == Some(3) && log.members.len() == 3;
        (settled && log.members.iter().any(|member| member.id == own && member.voter)).then_some(own)
    })?;
    assert_ne!(
        Some(new),
        old,
        "a member that forgot its votes must not vote under its old name"
    );
    load.more(100, PATIENCE)?;
    let outcomes = load.stop();
    ship.settle_and_judge(&outcomes)?;
    Ok(())
}

#[test]
fn the_serf_of_the_leader_is_killed_under_load() -> anyhow::Result<()> {
    let mut ship = Ship::new(3, &[])?;
    let leader = ship.boot()?;
    let load = load(&ship, 16);
    for _ in 0..3 {
        load.more(100, PATIENCE)?;
        let serf = ship.cluster.status(leader).and_then(|status| status.serf.pid);
        let serf = i32::try_from(serf.expect("the leader's serf runs"))?;
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(serf), Signal::SIGKILL)?;
    }
    load.more(100, PATIENCE)?;
    assert_eq!(
        ship.cluster.live_leader(),
        Some(leader),
        "a serf's death is no reason to elect"
    );
    let outcomes = load.stop();
    assert!(
        outcomes
            .0
            .values()
            .all(|fate| !matches!(fate, seguro_tests::Fate::Refused))
    );
    ship.settle_and_judge(&outcomes)?;
    Ok(())
}

#[test]
fn a_member_that_was_away_while_the_log_was_truncated_gets_a_snapshot() -> anyhow::Result<()> {
    let mut ship = Ship::new(3, &[])?;
    let leader = ship.boot()?;
    let away = (leader + 1) % 3;
    let load = load(&ship, 16);
    load.more(50, PATIENCE)?;
    ship.cluster.kill(away)?;
    load.more(300, PATIENCE)?;
    let epoch = seguro_king::control_socket::ask_roll(ship.pier(leader), 1)?;
    load.more(100, PATIENCE)?;
    let status = ship.cluster.status(leader).expect("the leader answers");
    assert_eq!(status.log.epochs, [epoch], "only the new epoch is left");
    // The others' logs still hold everything, so the one that must be asked is the one that does not.
    ship.cluster.run(away)?;
    ship.cluster
        .wait("the member to be current again", PATIENCE, |cluster| {
            let (status, leader) = (cluster.status(away)?, cluster.status(leader)?);
            (status.committed >= epoch
                && leader.committed.saturating_sub(status.committed) < 200
                && status.lag < 200)
                .then_some(())
        })?;
    let outcomes = load.stop();
    ship.settle_and_judge(&outcomes)?;
    Ok(())
}

#[test]
fn a_follower_begins_an_epoch_under_load() -> anyhow::Result<()> {
    let mut ship = Ship::new(3, &[])?;
    let leader = ship.boot()?;
    let follower = (leader + 1) % 3;
    // More than a serf's save takes: the log would grow meanwhile, again and again.
    let load = load(&ship, 64);
    for _ in 0..3 {
        load.more(300, PATIENCE)?;
        let epoch = seguro_king::control_socket::ask_roll(ship.pier(follower), 1)?;
        let status = ship.status(follower)?;
        assert_eq!(status.log.epochs, [epoch], "only the new epoch is left");
    }
    load.more(300, PATIENCE)?;
    let outcomes = load.stop();
    ship.settle_and_judge(&outcomes)?;
    Ok(())
}

#[test]
fn a_clean_stop_of_the_leader_hands_over() -> anyhow::Result<()> {
    let mut ship = Ship::new(3, &[])?;
    let leader = ship.boot()?;
    let load = load(&ship, 4);
    load.more(100, PATIENCE)?;
    let asked = Instant::now();
    let status = ship.cluster.terminate(leader, PATIENCE)?;
    assert!(status.success(), "{status}");
    assert!(
        asked.elapsed() < Duration::from_secs(10),
        "it took {:?}",
        asked.elapsed()
    );
    another_leads(&mut ship.cluster, leader)?;
    load.more(100, PATIENCE)?;
    let outcomes = load.stop();
    ship.settle_and_judge(&outcomes)?;
    Ok(())
}

#[test]
fn a_corrupt_frame_from_a_stranger_changes_nothing() -> anyhow::Result<()> {
    use std::io::{Read, Write};
    let mut ship = Ship::new(3, &[])?;
    let leader = ship.boot()?;
    let load = load(&ship, 4);
    load.more(50, PATIENCE)?;
    for index in 0..3 {
        for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 4096], &[0; 64], &[]] {
            let mut stream = std::net::TcpStream::connect(ship.cluster.members[index].address)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            let _ = stream.write_all(bytes);
            stream.shutdown(std::net::Shutdown::Write)?;
            // Whatever it says, it hangs up.
            let mut said = Vec::new();
            let _ = stream.read_to_end(&mut said);
        }
    }
    load.more(100, PATIENCE)?;
    assert_eq!(ship.cluster.live_leader(), Some(leader));
    let outcomes = load.stop();
    ship.settle_and_judge(&outcomes)?;
    Ok(())
}

#[test]
fn a_full_disk_stops_a_member_and_loses_nothing() -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mut ship = Ship::new(3, &[])?;
    let leader = ship.boot()?;
    let victim = (leader + 1) % 3;
    let load = load(&ship, 16);
    load.more(50, PATIENCE)?;
    ship.cluster.terminate(victim, PATIENCE)?;
    // A file-size limit a little above what the event log has now stands for a disk that is nearly full. The signal that
    // goes with the limit is ignored, so that writes fail, as they do on a full disk.
    let log = std::fs::metadata(ship.pier(victim).join(".urb/log/0i0/data.mdb"))?.len();
    let wrapper = ship.directory.path().join("limited");
    let king = ship.cluster.members[victim].program.clone();
    let blocks = log / 512 + 64;
    std::fs::write(
        &wrapper,
        format!(
            "#!/bin/sh\ntrap '' XFSZ\nulimit -f {blocks}\nexec {} \"$@\"\n",
            king.display()
        ),
    )?;
    std::fs::set_permissions(&wrapper, std::fs::Permissions::from_mode(0o755))?;
    ship.cluster.members[victim].program = wrapper;
    ship.cluster.run(victim)?;
    let status = ship.cluster.wait_exit(victim, PATIENCE)?;
    assert!(
        !status.success(),
        "a store that cannot write ends its process with a code that says so"
    );
    let said = std::fs::read_to_string(&ship.cluster.members[victim].stderr)?;
    assert!(
        said.contains("data.mdb") || said.contains(".urb"),
        "it names the file: {said}"
    );
    load.more(100, PATIENCE)?;
    ship.cluster.members[victim].program = king;
    ship.cluster.run(victim)?;
    load.more(100, PATIENCE)?;
    let outcomes = load.stop();
    ship.settle_and_judge(&outcomes)?;
    Ok(())
}
