//! Three members of the replicated log in one process, over real loopback TCP and LMDB: how long a commit takes with one event in
//! flight, and how many events a second go with more, beside a bare write and `fdatasync` of the same bytes in the same
//! run, so that ratios can be read. Where an `etcd` is on the PATH, three members of it with its default settings take puts
//! of the same size in the same rounds. Rounds are interleaved, since a shared disk is not the same from one second to the
//! next.
//!
//! `cargo bench -p seguro-benches --bench replog [-- ROUNDS]`
#![allow(
    clippy::expect_used,
    reason = "a bench whose set-up fails has nothing to measure"
)]

use bytes::Bytes;
use replog::{Batch, Config, Event, Replog, Role, ShipIdentity, Start, Term};
use seguro_benches::{
    bare::SyncedFile,
    etcd::{self, Etcd},
    figures::{Figures, SLICE, quantile, rounds},
};
use seguro_event::{EventNumber, Mug};
use std::{
    collections::{BTreeMap, VecDeque},
    net::{SocketAddr, TcpListener},
    path::Path,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Bytes of an event.
const SIZE: usize = 1024;

/// Events an entry, and entries in flight. Of etcd: puts a transaction, and transactions in flight.
type Case = (usize, usize);
/// What is measured.
const CASES: [Case; 5] = [(1, 1), (1, 16), (1, 64), (1, 256), (100, 1)];
/// How often a measurement of etcd may fail before the bench gives up: what is in flight while its leader changes fails,
/// and a busy disk makes its leader change.
const ETCD_ATTEMPTS: usize = 5;

/// What is held against each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rival {
    Bare,
    Etcd,
    Members(usize),
}

struct Cluster {
    members: Vec<Replog>,
    machines: Vec<SocketAddr>,
    piers: Vec<TempDir>,
    next: u64,
}

fn config(pier: &Path, machines: &[SocketAddr], own: Option<SocketAddr>, start: Start) -> Config {
    Config {
        pier: pier.to_path_buf(),
        machines: machines.to_vec(),
        own_address: own,
        start,
        heartbeat: replog::DEFAULT_HEARTBEAT,
        election_timeout_min: replog::DEFAULT_ELECTION_TIMEOUT_MIN,
        election_timeout_max: replog::DEFAULT_ELECTION_TIMEOUT_MAX,
        vere_version: "3.5".to_owned(),
        event_log_map_bytes: 1 << 34,
        insecure_peers: false,
    }
}

impl Cluster {
    async fn start(count: usize) -> Cluster {
        let listeners: Vec<TcpListener> = (0..count)
            .map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port"))
            .collect();
        let machines: Vec<SocketAddr> = listeners
            .iter()
            .map(|listener| listener.local_addr().expect("an address"))
            .collect();
        drop(listeners);
        let machines = if count == 1 { Vec::new() } else { machines };
        let piers: Vec<TempDir> = (0..count)
            .map(|_| tempfile::tempdir().expect("a directory"))
            .collect();
        let mut members = Vec::new();
        for (nth, pier) in piers.iter().enumerate() {
            let genesis = ShipIdentity {
                who: 0,
                fake: true,
                life: 3,
            };
            let start = if nth == 0 {
                Start::Found { genesis }
            } else {
                Start::Join
            };
            let config = config(pier.path(), &machines, machines.get(nth).copied(), start);
            members.push(Replog::open(config).await.expect("the member opens"));
        }
        while members.iter().any(|m| m.status().voters() != Some(count)) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Cluster {
            members,
            machines,
            piers,
            next: 1,
        }
    }

    async fn leader(&self) -> (Replog, Term) {
        loop {
            for member in &self.members {
                if let Role::Leader { term, .. } = *member.role().borrow() {
                    return (member.clone(), term);
                }
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Commits for a while; the latency is that of an entry.
    async fn measure(&mut self, (per_entry, in_flight): Case) -> Figures {
        let (leader, term) = self.leader().await;
        let mut committed = leader.committed();
        let mut waiting = VecDeque::new();
        let mut latencies = Vec::new();
        let began = Instant::now();
        while began.elapsed() < SLICE || !waiting.is_empty() {
            while waiting.len() < in_flight && began.elapsed() < SLICE {
                let batch = batch(self.next, per_entry);
                self.next = batch.last().0 + 1;
                waiting.push_back((batch.last(), Instant::now()));
                leader.propose(term, batch).await.expect("it leads");
            }
            committed.changed().await.expect("it runs");
            let done = committed.borrow_and_update().event;
            while let Some((last, sent)) = waiting.front()
                && *last <= done
            {
                latencies.push(sent.elapsed());
                waiting.pop_front();
            }
        }
        Figures::of(&latencies, per_entry, began.elapsed())
    }
}

/// Ends the leader as a crash would, without a word, and takes the time until another leads. Then it is started again.
async fn failover(cluster: &mut Cluster) -> Duration {
    let machines = cluster.machines.clone();
    let (leader, term) = cluster.leader().await;
    let id = leader.status().id;
    let nth = cluster
        .members
        .iter()
        .position(|member| member.status().id == id)
        .expect("it is one of them");
    drop(leader);
    let mut roles: Vec<_> = cluster.members.iter().map(Replog::role).collect();
    roles.remove(nth);
    drop(cluster.members.remove(nth));
    let began = Instant::now();
    let later = |role: &Role| matches!(role, Role::Leader { term: t, .. } if *t > term);
    let [first, second] = &mut roles[..] else {
        unreachable!("two are left")
    };
    tokio::select! {
        led = first.wait_for(later) => drop(led.expect("it runs")),
        led = second.wait_for(later) => drop(led.expect("it runs")),
    }
    let took = began.elapsed();
    let config = config(
        cluster.piers[nth].path(),
        &machines,
        Some(machines[nth]),
        Start::Resume,
    );
    loop {
        // The pier is free when the threads of the old one have ended.
        match Replog::open(config.clone()).await {
            Ok(member) => break cluster.members.insert(nth, member),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    while cluster.members[nth].status().leader.is_none() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    took
}

fn batch(first: u64, count: usize) -> Batch {
    let event = |number| Event {
        number: EventNumber(number),
        mug: Mug(1),
        jam: Bytes::from(vec![7; SIZE]),
    };
    Batch::new((first..first + count as u64).map(event).collect()).expect("a batch")
}

/// etcd's figures, from an attempt that its leader lasted.
async fn measure_etcd(etcd: &mut Etcd, (per_entry, in_flight): Case) -> Figures {
    let mut attempt = 1;
    loop {
        let measured = etcd.measure(in_flight, per_entry, SIZE).await;
        match &measured {
            Err(error) if attempt < ETCD_ATTEMPTS => eprintln!("etcd is measured anew: {error:#}"),
            _ => return measured.expect("etcd takes puts"),
        }
        attempt += 1;
    }
}

/// Prints the medians of all rounds, and what they are of a bare sync's and of etcd's.
fn table(found: &BTreeMap<(Rival, Case), Vec<Figures>>, rounds: usize) {
    let medians: BTreeMap<(Rival, Case), Figures> = found
        .iter()
        .map(|(what, rounds)| (*what, Figures::median(rounds)))
        .collect();
    println!("1 KiB events, medians of {rounds} rounds\n");
    println!(
        "{:<44} {:>9} {:>9} {:>11} {:>12} {:>13}",
        "", "p50 us", "p99 us", "events/s", "p50 / bare", "rate / etcd's"
    );
    for ((rival, case), figures) in &medians {
        let (per_entry, in_flight) = *case;
        let what = match rival {
            Rival::Bare => format!("bare fdatasync, {per_entry} an append"),
            Rival::Etcd => format!("etcd, 3 members, {in_flight} in flight, {per_entry} a put"),
            Rival::Members(members) => {
                format!("{members} members, {in_flight} in flight, {per_entry} an entry")
            }
        };
        let bare = medians[&(Rival::Bare, (per_entry, 1))];
        let beside_etcd = match (rival, medians.get(&(Rival::Etcd, *case))) {
            (Rival::Members(_), Some(etcd)) => format!("{:.2}", figures.rate / etcd.rate),
            _ => String::new(),
        };
        println!(
            "{what:<44} {:>9.0} {:>9.0} {:>11.0} {:>12.2} {beside_etcd:>13}",
            figures.p50_us,
            figures.p99_us,
            figures.rate,
            figures.p50_us / bare.p50_us
        );
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    if std::env::var_os("RUST_LOG").is_some() {
        tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .init();
    }
    let rounds = rounds();
    let directory = tempfile::tempdir().expect("a directory");
    let mut file = SyncedFile::create(&directory.path().join("bare")).expect("a file");
    let mut clusters = vec![(1, Cluster::start(1).await), (3, Cluster::start(3).await)];
    let mut etcd = match etcd::program() {
        Some(program) => Some(Etcd::start(&program, 3).await.expect("etcd starts")),
        None => None,
    };
    let mut found: BTreeMap<(Rival, Case), Vec<Figures>> = BTreeMap::new();
    for _ in 0..rounds {
        let mut note = |rival, case, figures| found.entry((rival, case)).or_default().push(figures);
        for per_entry in [1, 100] {
            let bytes = vec![7; per_entry * SIZE];
            let figures = Figures::take(per_entry, || file.append(&bytes)).expect("a sync");
            note(Rival::Bare, (per_entry, 1), figures);
        }
        for case in CASES {
            for (members, cluster) in &mut clusters {
                note(Rival::Members(*members), case, cluster.measure(case).await);
            }
            if let Some(etcd) = &mut etcd {
                note(Rival::Etcd, case, measure_etcd(etcd, case).await);
            }
        }
    }
    table(&found, rounds);
    if etcd.take().is_none() {
        println!("\nno etcd on the PATH to be measured beside");
    }
    let mut took = Vec::new();
    for _ in 0..rounds {
        took.push(failover(&mut clusters[1].1).await.as_secs_f64() * 1e3);
    }
    let (median, worst) = (quantile(&mut took, 0.5), quantile(&mut took, 1.0));
    println!(
        "\nthe leader dropped dead, until another leads: median {median:.0} ms, worst {worst:.0} ms of {rounds}"
    );
    for (_, cluster) in clusters {
        for member in cluster.members {
            member.close().await.expect("it closes");
        }
    }
}
