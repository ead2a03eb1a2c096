//! A pier is vere's and ours alike: one of vere's is taken over, one of ours is opened by vere, and a directory of files
//! becomes a new ship's filesystem.

use seguro_event::EventNumber;
use seguro_king::{
    conn_client::{Answer, ConnClient},
    local_cluster::LocalCluster,
};
use seguro_tests::{
    BOOT, Logs, Outcomes, PATIENCE, Ship, acknowledged_are_there_once, logs, needs_reference_kernel,
    needs_urbit, processes_of, serf,
};
use serf_ipc::{Noun, cue, n};
use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Instant,
};

/// Events in the pier that comes with the tests: written by vere v3.5, whose king was killed.
const EVENTS: u64 = 61;

/// Unpacks that pier.
fn unpack(into: &Path) -> anyhow::Result<PathBuf> {
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/pier-v35-tiny.tar.gz");
    let status = Command::new("tar")
        .arg("xzf")
        .arg(archive)
        .arg("-C")
        .arg(into)
        .status()?;
    anyhow::ensure!(status.success(), "tar: {status}");
    Ok(into.join("zod"))
}

/// Waits until all members stand at one event. The kernel of vere's pier answers its drivers nothing, so the ship never
/// counts as live.
fn agree(cluster: &mut LocalCluster) -> anyhow::Result<u64> {
    cluster.wait("all members to stand at one event", PATIENCE, |cluster| {
        let statuses: Vec<_> = (0..cluster.members.len())
            .map(|index| cluster.status(index))
            .collect::<Option<_>>()?;
        let first = statuses.first()?;
        statuses
            .iter()
            .all(|status| {
                (status.committed, status.computed, &status.serf.mug)
                    == (first.committed, first.committed, &first.serf.mug)
                    && status.log.voters() == Some(cluster.members.len())
            })
            .then_some(first.committed)
    })
}

#[test]
fn a_pier_of_veres_becomes_a_cluster() -> anyhow::Result<()> {
    let reference = tempfile::tempdir()?;
    let before = logs(&[&unpack(reference.path())?])?;
    assert_eq!(before.last(), EventNumber(EVENTS));

    let mut ship = Ship::new(3, &[])?;
    fs::rename(unpack(ship.directory.path())?, ship.pier(0))?;
    if serf() == Path::new("builtin") {
        // The reference serf has an image of its own kind: it begins at event 0.
        fs::remove_dir_all(ship.pier(0).join(".urb/chk"))?;
    }
    fs::create_dir(ship.pier(1))?;
    for index in 0..3 {
        ship.cluster.run(index)?;
    }
    let load = ship.load(16);
    load.more(200, PATIENCE)?;
    let outcomes = load.stop();
    let last = agree(&mut ship.cluster)?;
    assert!(last >= EVENTS + 200, "at {last}");
    for index in 0..3 {
        let status = ship.cluster.terminate(index, PATIENCE)?;
        assert!(status.success(), "{status}\n{}", ship.cluster.tails());
    }
    for index in 0..3 {
        let log = logs(&[ship.pier(index)])?;
        // Whoever leads while the others leave may add to its office's beginning.
        assert!(log.last() >= EventNumber(last), "member {} has all", index + 1);
        assert_eq!(log.events.len() as u64, log.last().0, "from the first");
        holds(&log, &before);
    }
    let log = logs(&[ship.pier(0), ship.pier(1), ship.pier(2)])?;
    acknowledged_are_there_once(&log, &outcomes)?;
    Ok(())
}

/// The log has what was there before, byte for byte.
fn holds(log: &Logs, before: &Logs) {
    for (number, event) in &before.events {
        assert!(log.events.get(number) == Some(event), "event {number} is another");
    }
}

/// A king of vere's, which is killed when this is dropped.
struct VereKing(Child);

impl VereKing {
    fn start(urbit: &Path, pier: &Path, output: &Path) -> anyhow::Result<VereKing> {
        let output = fs::File::create(output)?;
        let mut command = Command::new(urbit);
        command
            .args(["-t", "-L", "-b", "127.0.0.1", "--no-dock"])
            .arg(pier);
        command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        Ok(VereKing(command.spawn()?))
    }
}

impl Drop for VereKing {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a command of vere's, and gives what it printed.
fn vere(urbit: &Path, words: &[&str], pier: &Path) -> anyhow::Result<String> {
    let output = Command::new(urbit)
        .args(words)
        .arg(pier)
        .stdin(Stdio::null())
        .output()?;
    let said = [output.stdout, output.stderr]
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .concat();
    anyhow::ensure!(
        output.status.success(),
        "urbit {words:?}: {}\n{said}",
        output.status
    );
    Ok(said)
}

#[test]
fn vere_opens_a_pier_of_ours_and_gives_it_back() -> anyhow::Result<()> {
    let Some(urbit) = needs_urbit("vere_opens_a_pier_of_ours_and_gives_it_back") else {
        return Ok(());
    };
    let mut ship = Ship::new(1, &[])?;
    ship.boot()?;
    let load = ship.load(16);
    load.more(100, PATIENCE)?;
    let outcomes = load.stop();
    ship.cluster.terminate(0, PATIENCE)?;
    let ours = logs(&[ship.pier(0)])?;
    let pier = ship.pier(0).to_owned();

    let info = vere(&urbit, &["info"], &pier)?;
    assert!(info.contains(&format!("at event {}", ours.last())), "{info}");
    let said = ship.directory.path().join("vere.out");
    let king = VereKing::start(&urbit, &pier, &said)?;
    let client = ship.cluster.wait("vere's king to answer", BOOT, |_| {
        let mut client = ConnClient::connect(&pier).ok()?;
        client.set_patience(Some(PATIENCE)).ok()?;
        client.ask(1, "peel", n!["who", 0u64]).ok().map(|_| client)
    });
    let Ok(mut client) = client else {
        anyhow::bail!("vere's king does not answer: {}", fs::read_to_string(&said)?);
    };
    // It answers before it commits, so only what is on disk afterwards counts.
    let vere_s = n!["b", n!["behn", "vere-1", 0u64], n!["born", 0u64]];
    client.ask(2, "ovum", vere_s)?;
    drop(client);
    drop(king);
    let end = Instant::now() + PATIENCE;
    while !processes_of(&pier).is_empty() {
        anyhow::ensure!(
            Instant::now() < end,
            "vere's serf outlives its king: {:?}",
            processes_of(&pier)
        );
        std::thread::yield_now();
    }
    let theirs = logs(&[&pier])?;
    assert!(
        theirs.last() > ours.last(),
        "vere's king added nothing: {}",
        fs::read_to_string(&said)?
    );
    holds(&theirs, &ours);

    ship.cluster.run(0)?;
    ship.cluster.wait_live(BOOT)?;
    let again = n!["b", n!["behn", "ours-again", 0u64], n!["born", 0u64]];
    assert_eq!(ship.client(0)?.ask(1, "ovum", again)?, Answer::Done);
    let final_log = ship.judge(&outcomes)?;
    holds(&final_log, &theirs);
    assert!(final_log.last() > theirs.last());
    // vere computes all of it anew, and fails where a mug is another.
    vere(&urbit, &["play", "--full"], &pier)?;
    Ok(())
}

#[test]
fn a_directory_becomes_the_new_ships_filesystem() -> anyhow::Result<()> {
    if !needs_reference_kernel("a_directory_becomes_the_new_ships_filesystem") {
        return Ok(());
    }
    let files = tempfile::tempdir()?;
    for (name, bytes) in [
        ("sys/hoon.hoon", &b"!:\n~\n"[..]),
        ("gen/a.b.txt", b""),
        ("noext", b"ends with zeros\0\0"),
        ("!.dot/!x.y", b"escaped"),
        (".hidden/x.txt", b"no"),
        ("sys/.also", b"no"),
    ] {
        let path = files.path().join(name);
        fs::create_dir_all(path.parent().unwrap_or(files.path()))?;
        fs::write(path, bytes)?;
    }
    let mut ship = Ship::new(1, &[])?;
    let directory = files.path().as_os_str().to_owned();
    ship.cluster
        .boot_with("zod", &[OsString::from("-A"), directory])?;
    ship.cluster.wait_live(BOOT)?;
    let preparing = format!("boot: preparing filesystem from {}", files.path().display());
    assert!(ship.said(0)?.contains(&preparing));
    let logs = ship.settle_and_judge(&Outcomes::default())?;

    let events: Vec<Noun> = logs
        .events
        .values()
        .map(|(_, jam)| cue(jam))
        .collect::<Result<_, _>>()?;
    let tagged = |tag: &str| {
        let tagged = events
            .iter()
            .filter(|event| event.slot(14).is_some_and(|found| found.is_cord(tag)));
        tagged.cloned().collect::<Vec<Noun>>()
    };
    assert_eq!(tagged("park"), [], "it takes the place of the pill's own");
    let into = tagged("into");
    assert_eq!(into.len(), 1);
    let file = |path: &[&str], data: &[u8]| {
        let path = Noun::list(path.iter().map(|knot| Noun::cord(knot)));
        let plain = n!["text", "plain", 0u64];
        n![path, 0u64, plain, data.len() as u64, Noun::from_le_bytes(data)]
    };
    let expected = [
        file(&["sys", "hoon", "hoon"], b"!:\n~\n"),
        file(&["noext"], b"ends with zeros\0\0"),
        file(&["gen", "a.b", "txt"], b""),
        file(&[".dot", "x", "y"], b"escaped"),
    ];
    let ovum = n![n!["c", "sync", 0u64], "into", 0u64, 0u64, Noun::list(expected)];
    assert_eq!(into[0].tail(), Some(&ovum));
    Ok(())
}

#[test]
fn a_directory_that_is_not_there_makes_no_ship() -> anyhow::Result<()> {
    let mut ship = Ship::new(1, &[])?;
    let missing = ship.directory.path().join("missing");
    ship.cluster
        .boot_with("zod", &[OsString::from("-A"), missing.clone().into()])?;
    let status = ship.cluster.wait_exit(0, PATIENCE)?;
    assert_eq!(status.code(), Some(1));
    assert!(
        ship.said(0)?.contains(&missing.display().to_string()),
        "it names it"
    );
    assert!(!ship.pier(0).exists(), "a second attempt finds the place free");
    Ok(())
}

#[test]
fn a_ship_whose_members_end_at_once_is_not_waited_for() -> anyhow::Result<()> {
    let mut ship = Ship::new(1, &["--snap-time", "0"])?;
    let error = ship.boot().expect_err("there is no such setting").to_string();
    assert!(error.contains("no member runs any more"), "{error}");
    assert!(error.contains("--snap-time"), "{error}");
    Ok(())
}
