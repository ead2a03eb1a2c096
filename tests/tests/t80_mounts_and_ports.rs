//! Mounts and ports are on the machine that leads: they come with the office, and go with it.

use seguro_king::conn_client::{Answer, ConnClient};
use seguro_tests::{Outcomes, PATIENCE, Ship, needs_reference_kernel, reference_kernel};
use serf_ipc::{FromNoun, Noun, jam, n, newt};
use std::{
    fs,
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::Path,
};

/// Events after the first: four that have the kernel say something, a %into, a %connect and a message.
const TOLD: u64 = 7;

/// Has the reference kernel say this to the runtime.
fn emit(client: &mut ConnClient, wire: &str, card: Noun) -> anyhow::Result<()> {
    let effects = n![n![n![wire, 0u64], card], 0u64];
    let answer = client.ask(1, "ovum", n!["c", n!["sync", 0u64], "emit", effects])?;
    assert_eq!(answer, Answer::Done);
    Ok(())
}

fn ergo(path: Noun, text: &str) -> Noun {
    let mime = n![0u64, n!["text", "plain", 0u64], text.len() as u64, text];
    n!["ergo", "base", n![n![path, mime], 0u64]]
}

fn file_is(ship: &mut Ship, path: &Path, text: &str) -> anyhow::Result<()> {
    ship.cluster.wait("a file that the ship wrote", PATIENCE, |_| {
        (fs::read_to_string(path).ok()? == text).then_some(())
    })
}

/// The ship's events with this card's tag.
fn count(logs: &seguro_tests::Logs, tag: &str) -> usize {
    let tagged = |jam: &[u8]| {
        let event = serf_ipc::cue(jam).ok()?;
        event.slot(14)?.is_cord(tag).then_some(())
    };
    logs.events
        .values()
        .filter(|(_, jam)| tagged(jam).is_some())
        .count()
}

#[test]
fn mounts_and_ports_are_where_the_ship_leads() -> anyhow::Result<()> {
    if !needs_reference_kernel("mounts_and_ports_are_where_the_ship_leads") {
        return Ok(());
    }
    let mut ship = Ship::new(3, &[])?;
    let first = ship.boot()?;
    let pier = ship.pier(first).to_owned();
    let mut client = ship.client(first)?;
    let path = n!["gen", "hi", "hoon", 0u64];
    emit(&mut client, "sync", n!["dirk", "base"])?;
    let begun = ship.status(first)?.committed;
    emit(&mut client, "sync", ergo(path.clone(), "one"))?;
    file_is(&mut ship, &pier.join("base/gen/hi.hoon"), "one")?;
    fs::write(pier.join("base/gen/hi.hoon"), "edited, not committed")?;
    fs::write(pier.join("base/new.txt"), "new")?;
    emit(&mut client, "sync", n!["dirk", "base"])?;
    let port = n!["a", "port", 0u64];
    emit(&mut client, "lick", n!["spin", port.clone()])?;
    let mut stream = UnixStream::connect(pier.join(".urb/dev/a/port"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(&newt::encode(&jam(&n!["noun", 5u64])))?;
    let message = n!["noun", "hello"];
    emit(&mut client, "lick", n!["spit", port.clone(), message.clone()])?;
    let frame = newt::encode(&jam(&message));
    let mut heard = vec![0; frame.len()];
    stream.read_exact(&mut heard)?;
    assert_eq!(heard, frame);
    // What was said of disk and port is in the log: %into, and %connect and the message.
    ship.cluster.wait("the ship to be told", PATIENCE, |cluster| {
        let status = cluster.status(first)?;
        (status.committed >= begun + TOLD && status.waiting + status.in_serf + status.run_ahead == 0)
            .then_some(())
    })?;

    ship.cluster.kill(first)?;
    assert_eq!(
        stream.read(&mut [0; 1])?,
        0,
        "the port's clients learn of the end"
    );
    let second = ship.cluster.wait_live(PATIENCE)?;
    assert_ne!(first, second);
    let pier = ship.pier(second).to_owned();
    assert!(!pier.join("base").exists() && !pier.join(".urb/dev/a/port").exists());
    let mut client = ship.client(second)?;
    // The ship of this kernel has no mounts now: a commit tells nothing.
    emit(&mut client, "sync", n!["dirk", "base"])?;
    emit(&mut client, "sync", ergo(path, "two"))?;
    emit(&mut client, "lick", n!["spin", port])?;
    file_is(&mut ship, &pier.join("base/gen/hi.hoon"), "two")?;
    drop(UnixStream::connect(pier.join(".urb/dev/a/port"))?);
    ship.cluster.run(first)?;
    let logs = ship.settle_and_judge(&Outcomes::default())?;
    assert_eq!(count(&logs, "into"), 1);
    assert!(
        (2..=4).contains(&count(&logs, "soak")),
        "%connect, a message, perhaps %connect and %disconnect"
    );
    Ok(())
}

/// The revision of the ship's %base.
fn revision(client: &mut ConnClient) -> anyhow::Result<u64> {
    let Answer::Other(answer) = client.ask(2, "peek", n![1u64, "once", "cw", "base", 0u64])? else {
        anyhow::bail!("no peek")
    };
    // [%peek ~ %omen path %cass ud da]
    let cass = answer.slot(63).cloned().unwrap_or_default();
    Ok(cass.head().and_then(Noun::as_u64).unwrap_or_default())
}

fn clay(client: &mut ConnClient, task: Noun) -> anyhow::Result<()> {
    assert_eq!(
        client.ask(3, "ovum", n!["c", n!["sync", 0u64], task])?,
        Answer::Done
    );
    Ok(())
}

fn files(base: &Path) -> std::collections::BTreeMap<String, Vec<u8>> {
    let mut found = std::collections::BTreeMap::new();
    let mut directories = vec![base.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                directories.push(path);
            } else if let (Ok(name), Ok(data)) = (path.strip_prefix(base), fs::read(&path)) {
                found.insert(name.display().to_string(), data);
            }
        }
    }
    found
}

#[test]
fn a_real_ships_mount_follows_the_office() -> anyhow::Result<()> {
    if reference_kernel() {
        eprintln!(
            "a_real_ships_mount_follows_the_office: NOT RUN: it needs Arvo's clay: SEGURO_SERF and SEGURO_PILL"
        );
        return Ok(());
    }
    let mut ship = Ship::new(3, &[])?;
    let first = ship.boot_on_one_first()?;
    let pier = ship.pier(first).to_owned();
    let mut client = ship.client(first)?;
    client.set_patience(Some(seguro_tests::BOOT))?;
    let begun = revision(&mut client)?;
    clay(
        &mut client,
        n!["mont", "base", n![0u64, "base", "ud", begun], 0u64],
    )?;
    let listing = client.ask(4, "peek", n![1u64, "once", "ct", "base", 0u64])?;
    let Answer::Other(listing) = listing else {
        anyhow::bail!("no peek")
    };
    // [%peek ~ %omen path %file-list list]
    let listed = Vec::<Noun>::from_noun(listing.slot(63).unwrap_or(&Noun::ZERO))?.len();
    let base = pier.join("base");
    ship.cluster.wait("the mount", PATIENCE, |_| {
        (files(&base).len() == listed).then_some(())
    })?;
    // A directory of it, under another name.
    let hood = n!["gen", "hood", 0u64];
    clay(
        &mut client,
        n!["mont", "sub", n![0u64, "base", "ud", begun], hood],
    )?;
    let sub = pier.join("sub");
    ship.cluster.wait("the other mount", PATIENCE, |_| {
        (!files(&sub).is_empty() && files(&sub).len() == files(&base.join("gen/hood")).len()).then_some(())
    })?;
    fs::write(base.join("gen/mytest.hoon"), "|=(a=@ a)")?;
    clay(&mut client, n!["dirk", "base"])?;
    ship.cluster.wait("the commit", PATIENCE, |_| {
        (revision(&mut client).ok()? == begun + 1).then_some(())
    })?;
    let (committed, committed_in_sub) = (files(&base), files(&sub));
    fs::write(base.join("gen/mytest.hoon"), "not committed")?;
    fs::remove_file(base.join("sys.kelvin"))?;

    ship.cluster.kill(first)?;
    let second = ship.cluster.wait_live(PATIENCE)?;
    let (base, sub) = (ship.pier(second).join("base"), ship.pier(second).join("sub"));
    let mut client = ship.client(second)?;
    client.set_patience(Some(seguro_tests::BOOT))?;
    // A commit that comes before anything is on disk: it waits for the mount, and finds nothing changed.
    clay(&mut client, n!["dirk", "base"])?;
    ship.cluster
        .wait("the mount on the new leader", seguro_tests::BOOT, |_| {
            (files(&base).len() == committed.len()).then_some(())
        })?;
    let differ: Vec<_> = files(&base)
        .into_iter()
        .filter(|(name, data)| committed.get(name) != Some(data))
        .map(|(name, _)| name)
        .collect();
    assert!(differ.is_empty(), "{differ:?} are not what was committed");
    ship.cluster
        .wait("the other mount on the new leader", seguro_tests::BOOT, |_| {
            (files(&sub).len() == committed_in_sub.len()).then_some(())
        })?;
    assert_eq!(files(&sub), committed_in_sub);
    for (mounted, file, now) in [
        ("base", base.join("gen/mytest.hoon"), begun + 2),
        ("sub", sub.join("mytest.hoon"), begun + 3),
    ] {
        fs::write(file, "|=(b=@ b)")?;
        clay(&mut client, n!["dirk", mounted])?;
        ship.cluster.wait("the commit on the new leader", PATIENCE, |_| {
            (revision(&mut client).ok()? == now).then_some(())
        })?;
    }
    // What was committed in the one is in the other too.
    file_is(&mut ship, &base.join("gen/hood/mytest.hoon"), "|=(b=@ b)")?;
    ship.cluster.run(first)?;
    ship.settle_and_judge(&Outcomes::default())?;
    Ok(())
}
