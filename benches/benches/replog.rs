//! Three members of the replicated log in one process, over real loopback TCP and LMDB: how long a commit takes with one event in
//! flight, and how many events a second go with more, beside a bare write and `fdatasync` of the same bytes in the same
//! run, so that ratios can be read. Rounds are interleaved, since a shared disk is not the same from one second to the next.
//!
//! `cargo bench -p seguro-benches --bench replog [-- ROUNDS]`
#![allow(
    clippy::expect_used,
    reason = "a bench whose set-up fails has nothing to measure"
)]

use bytes::Bytes;
use replog::{Batch, Config, Event, Replog, Role, ShipIdentity, Start, Term};
use seguro_event::{EventNumber, Mug};
use std::{
    collections::BTreeMap,
    fs::File,
    io::Write,
    net::{SocketAddr, TcpListener},
    path::Path,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Bytes of an event.
const SIZE: usize = 1024;
/// How long one measurement of a round takes.
const SLICE: Duration = Duration::from_millis(700);

/// What is measured: events in flight, and events an entry.
const CASES: [(usize, usize); 5] = [(1, 1), (16, 1), (64, 1), (256, 1), (1, 100)];

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
        while members
            .iter()
            .any(|m| m.status().members.iter().filter(|m| m.voter).count() < count)
        {
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

    /// Commits for a while; the latency of each entry, and events a second.
    async fn measure(&mut self, in_flight: usize, per_entry: usize) -> (Vec<Duration>, f64) {
        let (leader, term) = self.leader().await;
        let mut committed = leader.committed();
        let mut waiting = std::collections::VecDeque::new();
        let mut latencies = Vec::new();
        let (began, first) = (Instant::now(), self.next);
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
        (
            latencies,
            (self.next - first) as f64 / began.elapsed().as_secs_f64(),
        )
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

fn fdatasync(file: &mut File, bytes: usize) -> Vec<Duration> {
    let (data, began) = (vec![7; bytes], Instant::now());
    let mut latencies = Vec::new();
    while began.elapsed() < SLICE {
        let one = Instant::now();
        file.write_all(&data).expect("a write");
        file.sync_data().expect("a sync");
        latencies.push(one.elapsed());
    }
    latencies
}

fn quantile(values: &mut [f64], q: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * q) as usize]
}

fn micros(latencies: &[Duration], q: f64) -> f64 {
    let mut all: Vec<f64> = latencies.iter().map(|l| l.as_secs_f64() * 1e6).collect();
    quantile(&mut all, q)
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    if std::env::var_os("RUST_LOG").is_some() {
        tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .init();
    }
    let rounds: usize = std::env::args()
        .skip(1)
        .find_map(|arg| arg.parse().ok())
        .unwrap_or(7);
    let directory = tempfile::tempdir().expect("a directory");
    let mut file = File::create(directory.path().join("bare")).expect("a file");
    let mut clusters = vec![(1, Cluster::start(1).await), (3, Cluster::start(3).await)];
    let mut rows: BTreeMap<(usize, usize, usize), Vec<[f64; 3]>> = BTreeMap::new();
    for _ in 0..rounds {
        for per_entry in [1, 100] {
            let bare = fdatasync(&mut file, per_entry * SIZE);
            let rate = per_entry as f64 * 1e6 / micros(&bare, 0.5);
            rows.entry((0, per_entry, 1))
                .or_default()
                .push([micros(&bare, 0.5), micros(&bare, 0.99), rate]);
        }
        for (members, cluster) in &mut clusters {
            for (in_flight, per_entry) in CASES {
                let (latencies, rate) = cluster.measure(in_flight, per_entry).await;
                rows.entry((*members, per_entry, in_flight)).or_default().push([
                    micros(&latencies, 0.5),
                    micros(&latencies, 0.99),
                    rate,
                ]);
            }
        }
    }
    let mut bare = BTreeMap::new();
    println!("1 KiB events, medians of {rounds} rounds\n");
    println!(
        "{:<44} {:>9} {:>9} {:>11} {:>12}",
        "", "p50 us", "p99 us", "events/s", "p50 / bare"
    );
    for ((members, per_entry, in_flight), found) in rows {
        let median = |nth: usize| quantile(&mut found.iter().map(|row| row[nth]).collect::<Vec<_>>(), 0.5);
        let (p50, p99, rate) = (median(0), median(1), median(2));
        let base = *bare.entry(per_entry).or_insert(p50);
        let what = match members {
            0 => format!("bare fdatasync, {per_entry} an append"),
            _ => format!("{members} members, {in_flight} in flight, {per_entry} an entry"),
        };
        println!(
            "{what:<44} {p50:>9.0} {p99:>9.0} {rate:>11.0} {:>12.2}",
            p50 / base
        );
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
