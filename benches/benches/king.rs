//! The whole king on its control socket, one member and three: events answered after their commit, in lockstep and with
//! windows of 16 and 256. Beside it, in the same rounds, what an event costs at the least: a bare write and `fdatasync` of its
//! bytes, a bare LMDB commit of them, and a round trip to a serf without a king. Rounds are interleaved, since a shared
//! disk is not the same from one second to the next: ratios are to be read.
//!
//! The serf is the one that `SEGURO_SERF` names, else the reference serf; the pill is `SEGURO_PILL`, else the reference
//! kernel. Member processes are those of this profile.
//!
//! `cargo bench -p seguro-benches --bench king [-- ROUNDS]`
#![allow(
    clippy::expect_used,
    reason = "a bench whose set-up fails has nothing to measure"
)]

use seguro_benches::{
    bare::{SyncedFile, SyncedTable},
    bare_serf::BareSerf,
    figures::{Figures, SLICE, rounds},
};
use seguro_king::{
    clock,
    conn_client::{Answer, ConnClient},
};
use seguro_tests::{PATIENCE, Ship};
use serf_ipc::{Noun, jam, n};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// How many members a ship has.
const SHIPS: [usize; 2] = [1, 3];
/// Events on their way at once; 1 is lockstep.
const WINDOWS: [usize; 3] = [1, 16, 256];

/// What is held against each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rival {
    File,
    Table,
    Serf,
    King { members: usize, window: usize },
}

/// Where an event comes from, and what it is.
fn ovum(number: u64) -> (Noun, Noun) {
    (n!["d", "term", "1", 0u64], n!["echo", number])
}

/// A ship, and who talks to its leader.
struct Talk {
    client: ConnClient,
    next: u64,
    _ship: Ship,
}

impl Talk {
    fn start(members: usize) -> Talk {
        let mut ship = Ship::new(members, &[]).expect("a ship");
        let leader = ship.boot_answering().expect("the ship boots");
        let client = ConnClient::connect(ship.pier(leader)).expect("the leader's socket");
        client.set_patience(Some(PATIENCE)).expect("a socket's timeout");
        Talk {
            client,
            next: 0,
            _ship: ship,
        }
    }

    /// Sends events for a slice of time, so many on their way at once; each must be committed.
    fn measure(&mut self, window: usize) -> Figures {
        let (began, first) = (Instant::now(), self.next);
        let mut sent: Vec<Instant> = Vec::new();
        let mut latencies: Vec<Duration> = Vec::new();
        while began.elapsed() < SLICE || latencies.len() < sent.len() {
            while sent.len() - latencies.len() < window && began.elapsed() < SLICE {
                let (wire, card) = ovum(self.next);
                sent.push(Instant::now());
                self.client
                    .send_ovum(self.next, &wire, card)
                    .expect("the king takes events");
                self.next += 1;
            }
            let (number, answer) = self.client.receive().expect("the king answers");
            assert_eq!(answer, Answer::Done, "event {number} is not committed");
            latencies.push(sent[(number - first) as usize].elapsed());
        }
        Figures::of(&latencies, 1, began.elapsed())
    }
}

fn table(medians: &BTreeMap<Rival, Figures>) {
    let (file, lmdb) = (medians[&Rival::File].p50_us, medians[&Rival::Table].p50_us);
    println!(
        "{:<28} {:>9} {:>9} {:>11} {:>16} {:>11}",
        "", "p50 us", "p99 us", "events/s", "p50 / fdatasync", "p50 / LMDB"
    );
    for (rival, figures) in medians {
        let what = match rival {
            Rival::File => "bare fdatasync".to_owned(),
            Rival::Table => "bare LMDB commit".to_owned(),
            Rival::Serf => "serf without a king, lockstep".to_owned(),
            Rival::King { members, window: 1 } => format!("{members} members, lockstep"),
            Rival::King { members, window } => format!("{members} members, window {window}"),
        };
        println!(
            "{what:<28} {:>9.0} {:>9.0} {:>11.0} {:>16.2} {:>11.2}",
            figures.p50_us,
            figures.p99_us,
            figures.rate,
            figures.p50_us / file,
            figures.p50_us / lmdb
        );
    }
}

/// The ratios that say how good the king is, whatever the disk.
fn ratios(medians: &BTreeMap<Rival, Figures>) {
    let king = |members, window| medians[&Rival::King { members, window }];
    let least = medians[&Rival::Table].p50_us + medians[&Rival::Serf].p50_us;
    println!(
        "one member's lockstep p50 / (LMDB commit + serf's round trip, {least:.0} us): {:.2}",
        king(1, 1).p50_us / least
    );
    println!(
        "three members' lockstep p50 / one member's: {:.2}",
        king(3, 1).p50_us / king(1, 1).p50_us
    );
    println!(
        "events a second at window 256: one member {:.0}, three members {:.0}",
        king(1, 256).rate,
        king(3, 256).rate
    );
}

fn main() {
    let rounds = rounds();
    let (wire, card) = ovum(1 << 16);
    let bytes = jam(&n![Noun::from_u128(clock::now()), wire.clone(), card.clone()]);
    let ovum = Noun::cell(wire, card);
    let directory = tempfile::tempdir().expect("a directory");
    let mut file = SyncedFile::create(&directory.path().join("bare")).expect("a file");
    let mut lmdb = SyncedTable::create(&directory.path().join("lmdb")).expect("a table");
    let mut serf = BareSerf::boot(&seguro_tests::serf(), &seguro_tests::pill()).expect("the serf boots");
    let mut ships = SHIPS.map(|members| (members, Talk::start(members)));

    let mut found: BTreeMap<Rival, Vec<Figures>> = BTreeMap::new();
    for _ in 0..rounds {
        let mut note = |rival, figures| found.entry(rival).or_default().push(figures);
        note(
            Rival::File,
            Figures::take(1, || file.append(&bytes)).expect("a sync"),
        );
        note(
            Rival::Table,
            Figures::take(1, || lmdb.append(&bytes)).expect("a commit"),
        );
        note(
            Rival::Serf,
            Figures::take(1, || serf.work(&ovum)).expect("the serf computes"),
        );
        for window in WINDOWS {
            for (members, talk) in &mut ships {
                let members = *members;
                note(Rival::King { members, window }, talk.measure(window));
            }
        }
    }
    let medians = found
        .iter()
        .map(|(rival, rounds)| (*rival, Figures::median(rounds)))
        .collect();
    println!("events of {} bytes, medians of {rounds} rounds\n", bytes.len());
    table(&medians);
    println!();
    ratios(&medians);
}
