//! Load through the control socket of whichever member leads: numbered events, and what became of each.

use seguro_king::conn_client::{Answer, ConnClient};
use serf_ipc::{Noun, n};
use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// How long an answer may take before the member is taken for gone.
const ANSWER: Duration = Duration::from_secs(3);
/// How soon the next member is tried where none leads.
const SEARCH: Duration = Duration::from_millis(5);

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was sent, and no answer came (yet).
    Unknown,
    /// A quorum has it.
    Acknowledged {
        /// When that was said.
        at: Instant,
        /// By which member.
        by: usize,
    },
    /// It is not in the log, and will not be.
    Refused,
}

/// What became of all events, by number.
#[derive(Clone, Debug, Default)]
pub struct Outcomes(pub BTreeMap<u64, Fate>);

impl Outcomes {
    /// How many were acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        self.0
            .values()
            .filter(|fate| matches!(fate, Fate::Acknowledged { .. }))
            .count()
    }

    /// The longest time between two acknowledgements.
    #[must_use]
    pub fn longest_silence(&self) -> Duration {
        let mut times: Vec<Instant> = self
            .0
            .values()
            .filter_map(|fate| match fate {
                Fate::Acknowledged { at, .. } => Some(*at),
                _ => None,
            })
            .collect();
        times.sort_unstable();
        let silences = times.windows(2).map(|pair| pair[1].duration_since(pair[0]));
        silences.max().unwrap_or_default()
    }

    /// When the first event was acknowledged after `instant`.
    #[must_use]
    pub fn first_acknowledged_after(&self, instant: Instant) -> Option<Instant> {
        let times = self.0.values().filter_map(|fate| match fate {
            Fate::Acknowledged { at, .. } if *at > instant => Some(*at),
            _ => None,
        });
        times.min()
    }
}

/// Load under way.
#[derive(Debug)]
pub struct Load {
    outcomes: Arc<Mutex<Outcomes>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// An event that any kernel takes, or replaces by a `%crud`, with its number in the wire: `/b/behn/seguro-7`, `%born`.
fn ovum(number: u64) -> (Noun, Noun) {
    (
        n!["b", "behn", format!("seguro-{number}").as_str(), 0u64],
        n!["born", 0u64],
    )
}

/// Whether the member on `pier` takes an event on its control socket and says that it is committed.
pub(crate) fn commits_an_event(pier: &Path) -> bool {
    let (wire, card) = ovum(0);
    let exchange = || {
        let mut client = ConnClient::connect(pier)?;
        client.set_patience(Some(ANSWER))?;
        client.send_ovum(0, &wire, card)?;
        client.receive()
    };
    matches!(exchange(), Ok((0, Answer::Done)))
}

/// How fast a steady load is.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Events a second, unless the ship takes longer.
    pub events_per_second: u32,
    /// Events that are sent at once.
    pub burst: u32,
    /// Events that a connection brings before it goes, and another comes.
    pub events_per_connection: u32,
}

impl Load {
    /// Starts a load at a steady pace on the ship that lives on `piers`.
    #[must_use]
    pub fn steady(piers: &[&Path], pace: Pace) -> Load {
        Load::begin(piers, pace.burst as usize, Some(pace))
    }

    /// Starts a load of `window` events at a time on the ship that lives on `piers`.
    #[must_use]
    pub fn start(piers: &[&Path], window: usize) -> Load {
        Load::begin(piers, window, None)
    }

    fn begin(piers: &[&Path], window: usize, pace: Option<Pace>) -> Load {
        let outcomes = Arc::<Mutex<Outcomes>>::default();
        let stop = Arc::new(AtomicBool::new(false));
        let piers: Vec<PathBuf> = piers.iter().map(|pier| pier.to_path_buf()).collect();
        let (shared, stopped) = (outcomes.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            let mut next = 1;
            let mut at = 0;
            while !stopped.load(Ordering::Relaxed) {
                match ConnClient::connect(&piers[at]) {
                    Ok(client) => {
                        if converse(client, at, window, pace, &mut next, &shared, &stopped).is_ok() {
                            continue;
                        }
                    }
                    Err(_) => std::thread::sleep(SEARCH),
                }
                at = (at + 1) % piers.len();
            }
        });
        Load {
            outcomes,
            stop,
            thread: Some(thread),
        }
    }

    /// How many events are acknowledged so far.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        self.outcomes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .acknowledged()
    }

    /// When the first event was acknowledged after `instant`, if one was yet.
    #[must_use]
    pub fn first_acknowledged_after(&self, instant: Instant) -> Option<Instant> {
        self.outcomes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .first_acknowledged_after(instant)
    }

    /// Waits until so many more events are acknowledged.
    ///
    /// # Errors
    /// When they are not, in time.
    pub fn more(&self, count: usize, patience: Duration) -> anyhow::Result<()> {
        let (start, end) = (self.acknowledged(), Instant::now() + patience);
        while self.acknowledged() < start + count {
            anyhow::ensure!(
                Instant::now() < end,
                "{} of {count} events acknowledged in {} s",
                self.acknowledged() - start,
                patience.as_secs()
            );
            std::thread::sleep(SEARCH);
        }
        Ok(())
    }

    /// Stops, once what is on its way is answered or given up.
    #[must_use]
    pub fn stop(mut self) -> Outcomes {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.outcomes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

fn converse(
    mut client: ConnClient,
    member: usize,
    window: usize,
    pace: Option<Pace>,
    next: &mut u64,
    outcomes: &Mutex<Outcomes>,
    stop: &AtomicBool,
) -> io::Result<()> {
    client.set_patience(Some(ANSWER))?;
    let note = |number, fate| {
        outcomes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .0
            .insert(number, fate)
    };
    let mut waiting = 0;
    let (mut due, mut left) = (Instant::now(), pace.map(|pace| pace.events_per_connection));
    loop {
        if let (0, Some(pace), Some(left)) = (waiting, pace, &mut left) {
            if *left < pace.burst {
                return Ok(());
            }
            *left -= pace.burst;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            due += Duration::from_secs(1) * pace.burst / pace.events_per_second;
        }
        // At a steady pace the next burst is sent when the one before it is answered.
        let room = if pace.is_none() || waiting == 0 {
            window
        } else {
            waiting
        };
        while !stop.load(Ordering::Relaxed) && waiting < room {
            let (wire, card) = ovum(*next);
            note(*next, Fate::Unknown);
            *next += 1;
            client.send_ovum(*next - 1, &wire, card)?;
            waiting += 1;
        }
        if waiting == 0 {
            return Ok(());
        }
        let (number, answer) = client.receive()?;
        waiting -= 1;
        match answer {
            Answer::Done => note(
                number,
                Fate::Acknowledged {
                    at: Instant::now(),
                    by: member,
                },
            ),
            Answer::Drop | Answer::Bail => note(number, Fate::Refused),
            Answer::Other(_) => None,
        };
    }
}
