//! Members in one process, over real loopback TCP and real stores: what the tests of the replicated log share.
#![allow(dead_code, reason = "each test uses a part of it")]

pub(crate) mod relay;

use bytes::Bytes;
use relay::{Relay, Way};
use replog::{Batch, Config, Detours, Event, Replog, Role, ShipIdentity, Start, Term};
use seguro_event::{EventNumber, Mug};
use std::{
    future::Future,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    sync::atomic::{AtomicU8, Ordering},
    time::Duration,
};
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};

/// Nothing that these tests wait for takes longer, on a busy machine either.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const SHIP: ShipIdentity = ShipIdentity {
    who: 0xfe,
    fake: true,
    life: 3,
};

/// Prints the members' log when `RUST_LOG` asks for it.
pub(crate) fn trace() {
    use tracing_subscriber::EnvFilter;
    if std::env::var_os("RUST_LOG").is_some() {
        let _ = tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::from_default_env())
            .with_test_writer()
            .try_init();
    }
}

/// Waits until `condition` gives something.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut condition: impl FnMut() -> F,
) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = condition().await {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        sleep(Duration::from_millis(2)).await;
    }
}

/// Ports that nobody listens on, on a loopback address of their own (127.0.0.0/8): a member that is away finds its port free when it comes back, whatever
/// ports others' connections are given meanwhile.
pub(crate) fn addresses(count: usize) -> Vec<SocketAddr> {
    static HOSTS: AtomicU8 = AtomicU8::new(1);
    let [low, high, ..] = std::process::id().to_le_bytes();
    let host = Ipv4Addr::new(127, 1 + high % 254, low, HOSTS.fetch_add(1, Ordering::Relaxed));
    let listeners: Vec<TcpListener> = (0..count)
        .map(|_| TcpListener::bind((host, 0)).unwrap())
        .collect();
    listeners
        .iter()
        .map(|listener| listener.local_addr().unwrap())
        .collect()
}

pub(crate) fn config(pier: &Path, machines: &[SocketAddr], own: Option<usize>, start: Start) -> Config {
    trace();
    Config {
        pier: pier.to_path_buf(),
        machines: machines.to_vec(),
        own_address: own.map(|nth| machines[nth]),
        start,
        heartbeat: replog::DEFAULT_HEARTBEAT,
        election_timeout_min: replog::DEFAULT_ELECTION_TIMEOUT_MIN,
        election_timeout_max: replog::DEFAULT_ELECTION_TIMEOUT_MAX,
        vere_version: "3.5".to_owned(),
        event_log_map_bytes: 1 << 32,
        insecure_peers: false,
    }
}

/// An event whose bytes say its number, `size` bytes long.
pub(crate) fn event(number: u64, size: usize) -> Event {
    let mut jam = vec![number as u8; size];
    let name = number.to_le_bytes();
    let count = size.min(8);
    jam[..count].copy_from_slice(&name[..count]);
    Event {
        number: EventNumber(number),
        mug: Mug(number as u32 & 0x7fff_ffff),
        jam: Bytes::from(jam),
    }
}

pub(crate) fn batch(first: u64, count: u64, size: usize) -> Batch {
    Batch::new((first..first + count).map(|number| event(number, size)).collect()).unwrap()
}

pub(crate) async fn led(member: &Replog) -> (Term, EventNumber) {
    let mut role = member.role();
    let led = role.wait_for(|role| matches!(role, Role::Leader { .. }));
    match *timeout(PATIENCE, led)
        .await
        .expect("nobody leads in time")
        .unwrap()
    {
        Role::Leader { term, barrier } => (term, barrier),
        _ => unreachable!(),
    }
}

pub(crate) async fn committed(member: &Replog, event: u64) {
    let mut committed = member.committed();
    let reached = committed.wait_for(|commit| commit.event.0 >= event);
    timeout(PATIENCE, reached)
        .await
        .unwrap_or_else(|_| panic!("event {event} is not committed in time"))
        .unwrap();
}

/// All events from 1 on, as this member reads them.
pub(crate) async fn all(member: &Replog) -> Vec<Event> {
    let last = member.committed().borrow().event;
    let mut events: Vec<Event> = Vec::new();
    while (events.len() as u64) < last.0 {
        let from = EventNumber(events.len() as u64 + 1);
        events.extend(member.read(from, 1000, 1 << 20).await.unwrap());
    }
    events
}

/// A cluster of members with their piers.
pub(crate) struct Cluster {
    pub(crate) machines: Vec<SocketAddr>,
    pub(crate) piers: Vec<TempDir>,
    pub(crate) members: Vec<Option<Replog>>,
    /// `relays[a][b]` stands in the way from `a` to `b`.
    pub(crate) relays: Vec<Vec<Relay>>,
}

impl Cluster {
    /// `count` members, all of them voters; the first one founded it.
    pub(crate) async fn start(count: usize) -> Cluster {
        let mut cluster = Cluster::prepare(count).await;
        cluster.open(0, Start::Found { genesis: SHIP }).await;
        led(cluster.member(0)).await;
        for nth in 1..count {
            cluster.open(nth, Start::Join).await;
        }
        cluster.settled().await;
        cluster
    }

    /// Directories and addresses for `count` members, none of which runs.
    pub(crate) async fn prepare(count: usize) -> Cluster {
        trace();
        let machines = addresses(count);
        let piers: Vec<TempDir> = (0..count).map(|_| tempfile::tempdir().unwrap()).collect();
        let mut relays = Vec::new();
        for _ in 0..count {
            let mut row = Vec::new();
            for machine in &machines {
                row.push(Relay::start(*machine).await);
            }
            relays.push(row);
        }
        Cluster {
            machines,
            piers,
            members: (0..count).map(|_| None).collect(),
            relays,
        }
    }

    pub(crate) async fn open(&mut self, nth: usize, start: Start) {
        let opened = self.try_open(nth, start).await;
        self.members[nth] = Some(opened.unwrap());
    }

    pub(crate) async fn try_open(&self, nth: usize, start: Start) -> Result<Replog, replog::OpenError> {
        let config = config(self.piers[nth].path(), &self.machines, Some(nth), start);
        let detours = Detours::default();
        for (machine, relay) in self.machines.iter().zip(&self.relays[nth]) {
            detours.add(*machine, relay.address);
        }
        Replog::open_with(config, detours).await
    }

    /// What lies between one member and all others.
    pub(crate) async fn isolate(&self, nth: usize, way: Way) {
        for other in 0..self.machines.len() {
            self.relays[nth][other].set(way).await;
            self.relays[other][nth].set(way).await;
        }
    }

    pub(crate) fn member(&self, nth: usize) -> &Replog {
        self.members[nth].as_ref().expect("that member runs")
    }

    /// Those that run.
    pub(crate) fn running(&self) -> impl Iterator<Item = &Replog> {
        self.members.iter().flatten()
    }

    /// Waits until all members that run vote, and one of them leads.
    pub(crate) async fn settled(&self) {
        let count = self.members.len();
        until("all members vote", || async {
            let all_vote = |member: &Replog| {
                let status = member.status();
                !status.joint
                    && status.members.len() == count
                    && status.members.iter().all(|member| member.voter)
            };
            self.running().all(all_vote).then_some(())
        })
        .await;
        self.leader().await;
    }

    /// Who leads: its place, and its office.
    pub(crate) async fn leader(&self) -> (usize, Term, EventNumber) {
        self.leader_after(Term(0)).await
    }

    /// Who leads in a later term.
    pub(crate) async fn leader_after(&self, before: Term) -> (usize, Term, EventNumber) {
        let office = |member: &Replog| match *member.role().borrow() {
            Role::Leader { term, barrier } if term > before => Some((term, barrier)),
            _ => None,
        };
        until("a leader", || async {
            let mut members = self.members.iter().enumerate();
            members.find_map(|(nth, member)| {
                office(member.as_ref()?).map(|(term, barrier)| (nth, term, barrier))
            })
        })
        .await
    }

    /// Has a member propose, in its office, what it must take.
    pub(crate) async fn propose(&self, nth: usize, term: Term, batch: Batch) {
        self.member(nth).propose(term, batch).await.unwrap();
    }

    pub(crate) async fn stop(&mut self, nth: usize) {
        self.members[nth]
            .take()
            .expect("that member runs")
            .close()
            .await
            .unwrap();
    }

    /// Waits until all that run have everything up to `event`, and checks that they have the same.
    pub(crate) async fn agree(&self, event: u64) {
        let mut first = None;
        for member in self.running() {
            committed(member, event).await;
            let events = all(member).await;
            assert_eq!(events.len() as u64, event);
            match &first {
                None => first = Some(events),
                Some(first) => assert!(*first == events, "two members' logs differ"),
            }
        }
    }
}
