//! A long steady load on a ship of real members, whose memory, descriptors, threads and files are watched: none may grow for ever.

mod sample;
mod verdict;
mod visitors;

pub use verdict::{Bound, Series};

use crate::{PATIENCE, Pace, Ship, acknowledged_are_there_once, archive::Archive};
use anyhow::{Context, ensure};
use sample::Sample;
use std::{
    fmt,
    time::{Duration, Instant},
};
use visitors::Visitors;

/// Events a second that come by the control socket.
pub const EVENTS_PER_SECOND: u32 = 200;
/// Requests a second that come by HTTP: every other one is an event.
pub const REQUESTS_PER_SECOND: u32 = 20;
/// How many events one connection to the control socket brings before it goes, and another comes.
const EVENTS_PER_CONNECTION: u32 = 500;
/// How many events are sent at once: 20 such bursts a second.
const BURST: u32 = 10;
/// Epochs are begun, and all earlier ones dropped, so often on each member while it lasts.
const ROLLS_PER_MEMBER: u32 = 24;
/// Samples that are taken while it lasts.
const SAMPLES: u32 = 480;
/// The least time between two samples: they cost something too.
const SAMPLE_EVERY: Duration = Duration::from_millis(100);
/// How often a line is printed: in a run of so long or more.
const MINUTE: Duration = Duration::from_secs(60);

/// What a soak did and found.
#[derive(Clone, Debug)]
pub struct Report {
    /// Events that the control socket acknowledged.
    pub acknowledged: usize,
    /// HTTP requests that were answered.
    pub answered: u64,
    /// The last event of the ship's log.
    pub last_event: u64,
    /// New epochs, all members together.
    pub rolls: usize,
    /// What was measured of each member.
    pub series: Vec<Series>,
}

impl Report {
    /// What grew by more than it may.
    pub fn grown(&self) -> impl Iterator<Item = &Series> {
        self.series.iter().filter(|series| series.grew())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for series in &self.series {
            writeln!(formatter, "{series}")?;
        }
        let Report {
            acknowledged,
            answered,
            last_event,
            rolls,
            ..
        } = self;
        write!(
            formatter,
            "{acknowledged} events acknowledged and {answered} requests answered, the last event {last_event}, {rolls} new epochs; \
             logs and kernels are equal, nothing acknowledged is lost"
        )
    }
}

/// Runs a ship of so many members for so long, and holds it to its promises. What grew is for the caller to judge: in a short run
/// everything does.
///
/// # Errors
/// The first promise that was not kept.
pub fn run(lasting: Duration, members: usize, mut say: impl FnMut(&str)) -> anyhow::Result<Report> {
    ensure!(members > 0, "a ship has at least one member");
    let mut ship = Ship::new(members, &[])?;
    ship.boot()?;
    let mut archive = Archive::default();
    let load = ship.steady_load(Pace {
        events_per_second: EVENTS_PER_SECOND,
        burst: BURST,
        events_per_connection: EVENTS_PER_CONNECTION,
    });
    let ports = ship
        .cluster
        .members
        .iter()
        .filter_map(|member| member.http_port)
        .collect();
    let visitors = Visitors::start(ports, REQUESTS_PER_SECOND);

    let (began, mut samples) = (Instant::now(), Vec::new());
    let roll_every = lasting / (ROLLS_PER_MEMBER * u32::try_from(members)?);
    let (mut next_roll, mut next_line, mut rolls) = (roll_every, Duration::ZERO, 0);
    say(&Sample::header(members));
    while began.elapsed() < lasting {
        std::thread::sleep((lasting / SAMPLES).max(SAMPLE_EVERY));
        let sample = Sample::take(&ship, began)?;
        if began.elapsed() >= next_line {
            say(&sample.line(load.acknowledged(), visitors.answered(), rolls));
            next_line += MINUTE.min(lasting / 4);
        }
        samples.push(sample);
        if began.elapsed() >= next_roll {
            let member = rolls % members;
            archive.roll(&ship, member)?.with_context(|| {
                format!(
                    "member {} begins no new epoch\n{}",
                    member + 1,
                    ship.cluster.tails()
                )
            })?;
            (rolls, next_roll) = (rolls + 1, next_roll + roll_every);
        }
    }
    load.more(100, PATIENCE)
        .with_context(|| format!("at the end\n{}", ship.cluster.tails()))?;
    let visits = visitors.stop()?;
    let outcomes = load.stop();
    ship.stop_in_agreement()?;
    let logs = archive.complete(&ship)?;
    acknowledged_are_there_once(&logs, &outcomes)?;
    logs.dates_never_go_back()?;
    Ok(Report {
        acknowledged: outcomes.acknowledged(),
        answered: visits,
        last_event: logs.last().0,
        rolls,
        series: Series::of(&samples),
    })
}
