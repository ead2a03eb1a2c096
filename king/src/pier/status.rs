//! How things stand, for people and machines.

use super::Pier;
use crate::driver::PierInfo;
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// A member's state: the log's, the pipeline's, the serf's.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PierStatus {
    /// The pier's directory.
    pub pier: String,
    /// The ship, `~zod`; empty until known.
    pub ship: String,
    /// The log's part: role, term, leader, members, committed.
    pub log: replog::Status,
    /// The last event that the serf computed or played.
    pub computed: u64,
    /// The last event that is committed.
    pub committed: u64,
    /// The last event whose effects this member gave out, while it leads.
    pub released: Option<u64>,
    /// The last event that the serf has played, while another leads.
    pub played: Option<u64>,
    /// Committed events that the serf has yet to play.
    pub lag: u64,
    /// Events in the serf, unanswered.
    pub in_serf: usize,
    /// Events computed and not committed.
    pub run_ahead: usize,
    /// Events that wait for the serf.
    pub waiting: usize,
    /// How long the oldest of them has waited, milliseconds.
    pub oldest_wait_ms: u64,
    /// Whether the ship is live here: in office, with every driver live.
    pub live: bool,
    /// Offices that this process has held.
    pub offices: u64,
    /// The serf.
    pub serf: SerfStatus,
    /// The last event that the serf is known to have saved.
    pub snapshot: Option<u64>,
    /// Free bytes on the pier's disk.
    pub disk_free_bytes: Option<u64>,
    /// This process.
    pub pid: u32,
    /// Seconds since it started.
    pub uptime_s: u64,
}

/// The serf's state.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SerfStatus {
    /// Its binary.
    pub program: String,
    /// Its process.
    pub pid: Option<u32>,
    /// Whether it answers.
    pub awake: bool,
    /// The kernel's mug where it stands.
    pub mug: String,
}

impl Pier {
    pub(super) fn status(&self, now: Instant) -> PierStatus {
        let office = self.office.as_ref();
        let at = self.serf.event();
        let committed = office.map_or(self.commit.event, |office| {
            office.pipeline.committed().max(self.commit.event)
        });
        let (in_serf, run_ahead) = office.map_or((0, 0), |office| office.pipeline.depth());
        PierStatus {
            pier: self.settings.pier.display().to_string(),
            ship: self
                .log
                .identity()
                .map(|identity| serf_ipc::text::p::format(identity.who))
                .unwrap_or_default(),
            log: self.log.status(),
            computed: office.map_or(at, |office| office.pipeline.computed()).0,
            committed: committed.0,
            released: office.map(|office| office.pipeline.released().0),
            played: office.is_none().then_some(at.0),
            lag: committed.since(at),
            in_serf,
            run_ahead,
            waiting: office.map_or(0, super::office::Office::waiting),
            oldest_wait_ms: office.map_or(0, |office| {
                office.oldest_wait(now).as_millis().try_into().unwrap_or(u64::MAX)
            }),
            live: office.is_some_and(|office| office.live_said),
            offices: self.offices,
            serf: SerfStatus {
                program: self.serf.command().program.display().to_string(),
                pid: self.serf.pid(),
                awake: self.serf.is_awake(),
                mug: self.serf.mug().to_string(),
            },
            snapshot: self.saving.saved().map(|event| event.0),
            disk_free_bytes: nix::sys::statvfs::statvfs(&self.settings.pier)
                .ok()
                .map(|disk| disk.blocks_available() * disk.fragment_size()),
            pid: std::process::id(),
            uptime_s: now.duration_since(self.started).as_secs(),
        }
    }

    /// The same in the words of vere's `%peel /info`.
    pub(super) fn info(&self) -> PierInfo {
        let Some(office) = &self.office else {
            return PierInfo::default();
        };
        let (in_serf, run_ahead) = office.pipeline.depth();
        let line = |name: &str, value: u64| (name.to_owned(), value);
        PierInfo {
            work: [
                line("effects-released", office.pipeline.released().0),
                line("pending-any", office.waiting() as u64),
                line("pending-start", in_serf as u64),
                line("pending-final", run_ahead as u64),
            ]
            .into_iter()
            .chain(office.info())
            .collect(),
            disk: vec![
                line("reading", u64::from(self.catch_up.reading.is_some())),
                line("committed", office.pipeline.committed().0),
            ],
            lord: vec![
                line("live", u64::from(self.serf.is_awake())),
                line("event", self.serf.event().0),
                line("mug", u64::from(self.serf.mug().0)),
                line("queue", self.serf.depth() as u64),
            ],
            live: office.live_said,
            computing: in_serf > 0,
        }
    }
}
