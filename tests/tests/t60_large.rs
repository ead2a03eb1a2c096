//! Large events, large images, and what is larger than may be.

use anyhow::Context;
use seguro_king::{conn_client::Answer, control_socket};
use seguro_tests::{Logs, Outcomes, PATIENCE, Process, Ship, logs, needs_reference_kernel};
use serf_ipc::{Noun, cue, n};
use std::{
    fs,
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::{Duration, Instant},
};

/// Binary units, bytes.
const MIB: usize = 1 << 20;
/// The largest event: its jam, in bytes.
const LARGEST: usize = seguro_king::limits::EVENT_BYTES;
/// What an event has around its data, at most, in bytes.
const ENVELOPE: usize = 128;
/// How long the largest event may take on a slow machine.
const LARGE_PATIENCE: Duration = Duration::from_secs(600);

/// An atom of so many bytes, another one for each `seed`.
fn data(bytes: usize, seed: u64) -> Noun {
    let mut data = vec![0xa5; bytes];
    data[..8].copy_from_slice(&seed.to_le_bytes());
    Noun::from_le_bytes(&data)
}

/// Three members on one slow and busy machine, where moving so much memory may hold a heartbeat up for longer than the
/// default timeouts allow: these tests are about large events, not about elections.
const UNHURRIED: [&str; 4] = ["--heartbeat-ms", "300", "--election-ms", "3000,5000"];

/// The data of the `%large` events in the log, by their place there.
fn large(logs: &Logs) -> Vec<Noun> {
    let large = logs.events.values().filter(|(_, jam)| jam.len() > MIB);
    let data = large.filter_map(|(_, jam)| {
        let event = cue(jam).ok()?;
        event.slot(14).filter(|tag| tag.is_cord("large"))?;
        event.slot(15).cloned()
    });
    data.collect()
}

/// A wire, with its target.
fn wire() -> Noun {
    n!["b", "behn", "large", 0u64]
}

#[test]
fn an_event_of_64_mib_is_committed_and_played_by_all() -> anyhow::Result<()> {
    if !needs_reference_kernel("an_event_of_64_mib_is_committed_and_played_by_all") {
        return Ok(());
    }
    let mut ship = Ship::new(3, &UNHURRIED)?;
    let leader = ship.boot()?;
    let load = ship.load(4);
    load.more(50, PATIENCE)?;
    let data = data(64 * MIB, 1);
    let mut client = ship.client(leader)?;
    client.send_ovum(1, &wire(), n!["large", data.clone()])?;
    let answer = client.receive().with_context(|| ship.cluster.tails())?;
    assert_eq!(answer, (1, Answer::Done));
    load.more(50, PATIENCE)?;
    let status = ship.status(leader)?;
    assert!(
        status.live && status.offices == 1,
        "a large entry is no reason to elect: {status:?}"
    );
    let outcomes = load.stop();
    let piers: Vec<_> = (0..3).map(|index| ship.pier(index).to_owned()).collect();
    // Whoever settles has computed everything, with the same mug.
    ship.judge(&outcomes)?;
    for pier in &piers {
        assert!(
            large(&logs(&[pier])?) == [data.clone()],
            "{} has it once",
            pier.display()
        );
    }
    Ok(())
}

#[test]
fn a_frame_larger_than_any_event_is_refused_by_its_header() -> anyhow::Result<()> {
    let mut ship = Ship::new(1, &[])?;
    ship.boot()?;
    let king = Process(
        ship.cluster
            .pid(0)
            .ok_or_else(|| anyhow::anyhow!("the king runs"))?,
    );
    let before = king.peak_bytes().unwrap_or_default();
    let mut stream = UnixStream::connect(ship.pier(0).join(".urb/conn.sock"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let length = u32::try_from(LARGEST + MIB)?;
    stream.write_all(&[&[0], &length.to_le_bytes()[..]].concat())?;
    let mut said = Vec::new();
    stream.read_to_end(&mut said)?;
    assert!(said.is_empty(), "it hangs up");
    assert!(
        ship.said(0)?.contains(&length.to_string()),
        "the log says how large it was\n{}",
        ship.said(0)?
    );
    let after = king.peak_bytes().unwrap_or_default();
    assert!(
        after < before + 64 * MIB as u64,
        "no memory is taken for it: {before}, then {after}"
    );
    let load = ship.load(4);
    load.more(20, PATIENCE)?;
    let outcomes = load.stop();
    ship.settle_and_judge(&outcomes)?;
    Ok(())
}

#[test]
#[ignore = "takes 7 GB of memory, 3 GB of disk and four minutes"]
fn an_event_of_512_mib_is_committed_and_a_larger_one_is_dropped() -> anyhow::Result<()> {
    let mut ship = Ship::new(1, &[])?;
    ship.boot()?;
    let king = Process(
        ship.cluster
            .pid(0)
            .ok_or_else(|| anyhow::anyhow!("the king runs"))?,
    );
    let serf = ship.serf(0, None)?;
    let mut client = ship.client(0)?;
    client.set_patience(Some(LARGE_PATIENCE))?;
    let largest = data(LARGEST - ENVELOPE, 2);
    let begun = Instant::now();
    client.send_ovum(1, &wire(), n!["large", largest.clone()])?;
    eprintln!("sent after {:?}", begun.elapsed());
    let answer = client.receive()?;
    eprintln!(
        "{answer:?} after {:?}; peak: king {} MiB, serf {} MiB",
        begun.elapsed(),
        king.peak_bytes().unwrap_or_default() >> 20,
        serf.peak_bytes().unwrap_or_default() >> 20
    );
    assert_eq!(answer, (1, Answer::Done), "{}", ship.cluster.tails());
    client.send_ovum(2, &wire(), n!["large", data(LARGEST, 3)])?;
    assert_eq!(client.receive()?, (2, Answer::Drop));
    assert!(
        ship.said(0)?
            .contains(&format!("larger than {LARGEST} bytes is dropped"))
    );
    client.send_ovum(3, &wire(), n!["born", 0u64])?;
    assert_eq!(client.receive()?, (3, Answer::Done), "the king goes on");
    drop(client);
    assert_eq!(ship.serf(0, None)?, serf, "and so does the serf");
    ship.judge(&Outcomes::default())?;
    assert!(large(&logs(&[ship.pier(0)])?) == [largest]);
    // What was committed is there for the next start, too.
    ship.cluster.run(0)?;
    ship.cluster.wait_live(LARGE_PATIENCE)?;
    Ok(())
}

/// How many bytes of images of a snapshot have come.
fn received(pier: &Path) -> u64 {
    let incoming = pier.join(".urb/log/seguro-incoming");
    let length = |name| fs::metadata(incoming.join(name)).map_or(0, |metadata| metadata.len());
    ["north.bin", "south.bin"].into_iter().map(length).sum()
}

#[test]
fn a_member_killed_while_it_receives_a_snapshot_gets_it_afterwards() -> anyhow::Result<()> {
    if !needs_reference_kernel("a_member_killed_while_it_receives_a_snapshot_gets_it_afterwards") {
        return Ok(());
    }
    let mut ship = Ship::new(3, &UNHURRIED)?;
    let leader = ship.boot()?;
    let away = (leader + 1) % 3;
    let has = ship.status(away)?.log.last_log_index;
    ship.cluster.kill(away)?;
    // The kernel keeps some, for a large image; all together are more than the Raft log keeps for who is away.
    let mut client = ship.client(leader)?;
    for number in 1..=40 {
        let card = if number <= 10 { "hold" } else { "large" };
        client.send_ovum(number, &wire(), n![card, data(8 * MIB, number)])?;
        let answer = client.receive();
        let answer =
            answer.with_context(|| format!("{:?}\n{}", ship.status(leader), ship.cluster.tails()))?;
        assert_eq!(answer, (number, Answer::Done));
    }
    drop(client);
    let load = ship.load(4);
    ship.cluster
        .wait("the Raft log to be purged", PATIENCE, |cluster| {
            (cluster.status(leader)?.log.purged_index > has).then_some(())
        })?;
    let epoch = control_socket::ask_roll(ship.pier(leader), 1)?;
    load.more(100, PATIENCE)?;
    let total = {
        let image = ship.pier(leader).join(format!(".urb/log/0i{epoch}"));
        let length = |name| fs::metadata(image.join(name)).map_or(0, |metadata| metadata.len());
        length("north.bin") + length("south.bin")
    };
    assert!(
        total > 64 * MIB as u64,
        "the image has what the kernel holds: {total}"
    );

    ship.cluster.run(away)?;
    let pier = ship.pier(away).to_owned();
    ship.cluster.wait("some of the snapshot", PATIENCE, |_| {
        (received(&pier) > 0).then_some(())
    })?;
    // Stopped first, so that it is certain in whose midst it dies.
    let stopped = ship
        .cluster
        .pid(away)
        .map(Process)
        .map(Process::stop)
        .transpose()?;
    let half = received(&pier);
    assert!(
        half > 0 && half < total,
        "the test is too slow: {half} of {total} bytes have come"
    );
    ship.cluster.kill(away)?;
    drop(stopped);
    load.more(50, PATIENCE)?;
    ship.cluster.run(away)?;
    ship.cluster
        .wait("the member to be current again", PATIENCE, |cluster| {
            let status = cluster.status(away)?;
            (status.computed >= epoch).then_some(())
        })?;
    let outcomes = load.stop();
    ship.settle_and_judge(&outcomes)?;
    Ok(())
}
