//! A ship with keys of its own, on a network that this test is: its keys are held against a contract, and its log, at every
//! start and every change of leaders, against what its galaxy remembers.

use anyhow::Context;
use seguro_king::{boot::Ring, local_cluster::LocalCluster};
use seguro_tests::{BOOT, PATIENCE, Ship, needs_reference_kernel};
use serf_ipc::{
    Noun, jam, n,
    text::{Aura, scot},
};
use std::{
    ffi::OsString,
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

/// ~dapnep-ronmyl's number, its life and its rift.
const SHIP: u64 = 0x1_0000;
const LIFE: u64 = 4;

/// The roller and the ship's galaxy.
struct World {
    address: SocketAddr,
    /// The last message that the galaxy says it acknowledged.
    acknowledged: Arc<AtomicU64>,
    /// What the galaxy was asked.
    asked: Arc<Mutex<Vec<String>>>,
}

impl World {
    fn begin() -> anyhow::Result<World> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let world = World {
            address: listener.local_addr()?,
            acknowledged: Arc::default(),
            asked: Arc::default(),
        };
        let (acknowledged, asked) = (world.acknowledged.clone(), world.asked.clone());
        // It goes with the test's process.
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // A king that is killed hangs up at any moment.
                let _ = answer(client, &acknowledged, &asked);
            }
        });
        Ok(world)
    }

    /// A ship of so many members in this world.
    fn ship(&self, members: usize) -> anyhow::Result<Ship> {
        let galaxies = format!("http://{}/{{}}", self.address);
        Ship::new(members, &["--galaxy-url", &galaxies])
    }

    /// Which ship it is, for `boot`.
    fn identity(&self, directory: &Path) -> anyhow::Result<Vec<OsString>> {
        let file = directory.join("ship.key");
        let keys = Noun::list([n![LIFE, ring().to_noun()]]);
        let feed = n![n![2_u64, 0_u64], SHIP, 0_u64, keys];
        let text = scot(Aura::Uw, &Noun::from_le_vec(jam(&feed))).context("an atom")?;
        fs::write(&file, format!("{text}\n"))?;
        let roller = format!("http://{}", self.address);
        let words = ["-w", "dapnep-ronmyl", "-e", &roller, "-k"];
        let words = words.iter().map(OsString::from);
        Ok(words.chain([file.into_os_string()]).collect())
    }

    fn boot(&self, ship: &mut Ship) -> anyhow::Result<usize> {
        let identity = self.identity(ship.directory.path())?;
        ship.cluster.boot_as(&identity)?;
        ship.cluster.wait_live(BOOT)
    }

    /// How often the galaxy was asked about the ship's talk with it.
    fn questions(&self) -> usize {
        let asked = self
            .asked
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        asked
            .iter()
            .filter(|path| *path == "/zod/~/boot/~dapnep-ronmyl/12")
            .count()
    }
}

fn ring() -> Ring {
    Ring::from_entropy(&[7; 64])
}

/// Answers one request.
fn answer(
    mut client: TcpStream,
    acknowledged: &AtomicU64,
    asked: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    let (path, body) = loop {
        let mut piece = [0; 4096];
        let length = client.read(&mut piece)?;
        if length == 0 {
            return Ok(());
        }
        bytes.extend_from_slice(&piece[..length]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let announced = head.to_ascii_lowercase();
        let announced = announced
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        if body.len() >= announced.map_or(0, |length| length.parse().unwrap_or(0)) {
            break (
                head.split(' ').nth(1).unwrap_or_default().to_owned(),
                body.to_owned(),
            );
        }
    };
    let answer = if body.is_empty() {
        asked
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .push(path);
        let unit = |value: u64| Noun::unit(Some(Noun::atom(value)));
        let acknowledged = acknowledged.load(Ordering::SeqCst);
        jam(&n![1_u64, 0_u64, 0_u64, 1_u64, unit(12), unit(acknowledged)])
    } else {
        contract(&body).to_string().into_bytes()
    };
    write!(
        client,
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        answer.len()
    )?;
    client.write_all(&answer)
}

/// What the roller says: all ships that are asked for have the same keys, and the right sponsors.
fn contract(request: &str) -> serde_json::Value {
    use serde_json::{Value, json};
    let one = |request: &Value| {
        let hex = |bytes: &[u8; 32]| {
            let digits = bytes.iter().rev().map(|byte| format!("{byte:02x}"));
            format!("0x{}", digits.collect::<String>())
        };
        let pass = ring().pass();
        let proxy = || json!({ "address": "0x0" });
        let result = match request["method"].as_str() {
            Some("getDns") => json!(["urbit.org"]),
            _ => json!({
                "ownership": {
                    "spawnProxy": proxy(), "owner": proxy(), "managementProxy": proxy(), "votingProxy": proxy(),
                    "transferProxy": proxy()
                },
                "network": {
                    "rift": "0",
                    "keys": { "life": LIFE.to_string(), "crypt": hex(&pass.crypt), "auth": hex(&pass.sign), "suite": "1" },
                    "sponsor": { "has": true, "who": if request["params"]["ship"] == "~dapnep-ronmyl" { 0x100 } else { 0 } }
                }
            }),
        };
        json!({ "id": request["id"], "result": result })
    };
    match serde_json::from_str(request).unwrap_or_default() {
        Value::Array(requests) => requests.iter().map(one).collect(),
        request => one(&request),
    }
}

/// Waits until each majority of members has lost one that refused: those that are left elect nobody.
fn refused(cluster: &mut LocalCluster) -> anyhow::Result<()> {
    let count = cluster.members.len();
    cluster.wait("the members to refuse", PATIENCE, |cluster| {
        let ended = (0..count).filter(|index| !cluster.is_running(*index)).count();
        (count - ended < count / 2 + 1).then_some(())
    })?;
    for index in 0..count {
        if !cluster.is_running(index) {
            let said = fs::read_to_string(&cluster.members[index].stderr)?;
            anyhow::ensure!(
                said.contains("double-boot detected, refusing to boot ~dapnep-ronmyl"),
                "{said}"
            );
        }
    }
    Ok(())
}

#[test]
fn the_next_leader_passes_and_a_galaxy_that_knows_more_ends_the_ship() -> anyhow::Result<()> {
    if !needs_reference_kernel("the_next_leader_passes_and_a_galaxy_that_knows_more_ends_the_ship") {
        return Ok(());
    }
    let world = World::begin()?;
    let mut ship = world.ship(3)?;
    let leader = world.boot(&mut ship)?;
    assert_eq!(world.questions(), 1);
    ship.cluster.wait("all members to vote", BOOT, |cluster| {
        (cluster.status(leader)?.log.voters() == Some(3)).then_some(())
    })?;
    // The galaxy has heard all that the ship has said: whoever takes over knows as much.
    let said = ship.status(leader)?.committed;
    world.acknowledged.store(said - 1, Ordering::SeqCst);
    ship.cluster.kill(leader)?;
    let next = ship.cluster.wait_live(PATIENCE)?;
    assert_ne!(next, leader);
    assert_eq!(world.questions(), 2, "the galaxy is asked at every change");
    ship.cluster.run(leader)?;
    ship.stop_in_agreement()?;
    // The ship speaks from elsewhere: here it must not go on.
    world
        .acknowledged
        .store(u64::from(u32::MAX) / 2, Ordering::SeqCst);
    for index in 0..3 {
        ship.cluster.run(index)?;
    }
    refused(&mut ship.cluster)
}

#[test]
fn a_log_from_an_old_copy_is_refused() -> anyhow::Result<()> {
    if !needs_reference_kernel("a_log_from_an_old_copy_is_refused") {
        return Ok(());
    }
    let world = World::begin()?;
    let mut ship = world.ship(1)?;
    world.boot(&mut ship)?;
    ship.stop_in_agreement()?;
    let (pier, copy) = (ship.pier(0).to_owned(), ship.directory.path().join("copy"));
    let copied = Command::new("cp").arg("-a").arg(&pier).arg(&copy).status()?;
    anyhow::ensure!(copied.success(), "the copy cannot be made");
    // The ship lives on, and all that it says is heard.
    ship.cluster.run(0)?;
    ship.cluster.wait_live(PATIENCE)?;
    let said = ship.status(0)?.committed;
    ship.stop_in_agreement()?;
    world.acknowledged.store(said - 1, Ordering::SeqCst);
    ship.cluster.run(0)?;
    ship.cluster.wait_live(PATIENCE)?;
    ship.stop_in_agreement()?;
    // Then its disk is lost, and the copy put in its place.
    fs::remove_dir_all(&pier)?;
    fs::rename(&copy, &pier)?;
    ship.cluster.run(0)?;
    refused(&mut ship.cluster)
}
