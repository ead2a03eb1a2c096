//! Events through the control socket of whichever member leads, and what became of each.

use crate::{
    conn_client::{Answer, ConnClient},
    local_cluster::LocalCluster,
};
use anyhow::Context;
use serf_ipc::{Noun, n};
use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// How long an answer is waited for before the member is given up: a leader that was killed says nothing more.
const ANSWER_PATIENCE: Duration = Duration::from_millis(2000);
/// How soon the next member is tried where none leads.
const SEARCH_PAUSE: Duration = Duration::from_millis(2);
/// What the wires of the load's events begin their last knot with.
pub(super) const MARK: &str = "seguro-";

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Card {
    /// For the reference kernel: an event that has a line printed on the leader's console, so that its release shows.
    Emit,
    /// For a real Arvo: behn's `%born`, on a wire of the event's own.
    Born,
}

impl Card {
    fn ovum(self, number: u64) -> (Noun, Noun) {
        let mark = format!("{MARK}{number}");
        match self {
            Card::Emit => {
                let line = Noun::list(
                    format!("{MARK}{number}")
                        .bytes()
                        .map(|byte| Noun::atom(u64::from(byte))),
                );
                let blit = n![n!["term", "1", 0u64], "blit", n!["lin", line], 0u64];
                (
                    n!["d", "term", mark.as_str(), 0u64],
                    n!["emit", Noun::list([blit])],
                )
            }
            Card::Born => (n!["b", "behn", mark.as_str(), 0u64], n!["born", 0u64]),
        }
    }
}

/// What became of the events.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Sent, whatever became of them.
    pub(super) sent: u64,
    /// Acknowledged, with the time of the acknowledgement and the member that gave it.
    pub(super) acknowledged: Vec<(u64, Instant, usize)>,
    /// Told that they are not in the log.
    pub(super) dropped: BTreeSet<u64>,
    /// Neither: the member went while they were on their way.
    pub(super) unknown: BTreeSet<u64>,
    /// How long each acknowledgement took.
    pub(super) latencies: Vec<Duration>,
}

/// A load under way.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Seen>,
}

impl Load {
    pub(super) fn start(cluster: &LocalCluster, card: Card, window: u64) -> anyhow::Result<Load> {
        let piers: Vec<PathBuf> = cluster.members.iter().map(|member| member.pier.clone()).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::Builder::new()
            .name("demo-load".to_owned())
            .spawn(move || run(&piers, card, window, &stopped))
            .context("no thread for the load")?;
        Ok(Load { stop, thread })
    }

    pub(super) fn stop(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_default()
    }
}

fn run(piers: &[PathBuf], card: Card, window: u64, stop: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    let mut next = 1;
    let mut at = 0;
    while !stop.load(Ordering::Relaxed) {
        match ConnClient::connect(&piers[at]) {
            Ok(client) => {
                let _ = converse(client, at, card, window, &mut next, &mut seen, stop);
            }
            Err(_) => std::thread::sleep(SEARCH_PAUSE),
        }
        at = (at + 1) % piers.len();
    }
    seen
}

/// Keeps `window` events on their way until the member goes, or the load is stopped and all are answered.
fn converse(
    mut client: ConnClient,
    member: usize,
    card: Card,
    window: u64,
    next: &mut u64,
    seen: &mut Seen,
    stop: &AtomicBool,
) -> std::io::Result<()> {
    client.set_patience(Some(ANSWER_PATIENCE))?;
    let mut waiting = std::collections::BTreeMap::new();
    let result = (|| {
        loop {
            let stopping = stop.load(Ordering::Relaxed);
            while !stopping && (waiting.len() as u64) < window {
                let (wire, card) = card.ovum(*next);
                waiting.insert(*next, Instant::now());
                seen.sent += 1;
                client.send_ovum(*next, &wire, card)?;
                *next += 1;
            }
            if waiting.is_empty() {
                return Ok(());
            }
            let (number, answer) = client.receive()?;
            let sent = waiting.remove(&number);
            let now = Instant::now();
            match answer {
                Answer::Done => {
                    seen.acknowledged.push((number, now, member));
                    seen.latencies.extend(sent.map(|sent| now.duration_since(sent)));
                }
                Answer::Drop | Answer::Bail => {
                    seen.dropped.insert(number);
                }
                Answer::Other(_) => {
                    seen.unknown.insert(number);
                }
            }
        }
    })();
    seen.unknown.extend(waiting.keys());
    result
}
