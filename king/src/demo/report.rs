//! The demo's report: what was claimed, and whether it held.

use super::{evidence::Evidence, load::Seen};
use crate::pier::PierStatus;
use serde::Serialize;
use std::{
    collections::BTreeSet,
    fmt,
    time::{Duration, Instant},
};

/// What happened, and whether every claim held.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Whether all claims held.
    holds: bool,
    /// Events sent.
    sent: u64,
    /// Events acknowledged to the client.
    acknowledged: usize,
    /// Acknowledged events a second, over the whole run.
    acknowledged_per_second: f64,
    /// Acknowledged, and not in the log.
    lost: usize,
    /// In the log more than once.
    doubled: usize,
    /// Told to be dropped, and in the log after all.
    dropped_but_logged: usize,
    /// Neither acknowledged nor refused when a member went.
    unknown: usize,
    /// Effects seen outside more than once; null where the pill's effects cannot be seen.
    effects_released_twice: Option<usize>,
    /// Effects seen outside of events that are not in the log.
    effects_released_before_commit: Option<usize>,
    /// Effects seen outside.
    effects_released: Option<usize>,
    /// Whether all members hold the same bytes for each event.
    logs_identical: bool,
    /// Events that all members hold.
    events_in_all_logs: usize,
    /// Whether all members' kernels have one mug at one event.
    mugs_equal: bool,
    /// The event, and the mugs there.
    mugs: Vec<(u64, String)>,
    /// From the SIGKILL of the leader to the first acknowledgement by another; null without a kill.
    failover_ms: Option<u64>,
    /// Acknowledgement latency, median, microseconds.
    latency_p50_us: u64,
    /// Acknowledgement latency, 99th percentile, microseconds.
    latency_p99_us: u64,
}

impl Report {
    pub(super) fn new(
        seen: &Seen,
        evidence: &Evidence,
        statuses: &[PierStatus],
        killed: Option<Instant>,
        start: Instant,
        effects_show: bool,
    ) -> Report {
        let acknowledged: BTreeSet<u64> = seen.acknowledged.iter().map(|(number, ..)| *number).collect();
        let lost = acknowledged
            .iter()
            .filter(|number| !evidence.logged.contains_key(number))
            .count();
        let doubled = evidence.logged.values().filter(|count| **count > 1).count();
        let dropped_but_logged = seen
            .dropped
            .iter()
            .filter(|number| evidence.logged.contains_key(number))
            .count();
        let twice = evidence.released.values().filter(|count| **count > 1).count();
        let before = evidence
            .released
            .keys()
            .filter(|number| !evidence.logged.contains_key(number))
            .count();
        let mugs: Vec<(u64, String)> = statuses
            .iter()
            .map(|status| (status.computed, status.serf.mug.clone()))
            .collect();
        let mugs_equal = mugs.windows(2).all(|pair| matches!(pair, [a, b] if a == b));
        let logs_identical = evidence.differing.is_empty() && evidence.gaps == 0 && evidence.common > 0;
        let first_after = killed.and_then(|killed| {
            let leader_then = seen
                .acknowledged
                .iter()
                .rfind(|(_, at, _)| *at <= killed)
                .map(|(.., member)| *member);
            let after = seen
                .acknowledged
                .iter()
                .find(|(_, at, member)| *at > killed && Some(*member) != leader_then)?;
            Some(after.1.duration_since(killed))
        });
        let failed_over = killed.is_none() || first_after.is_some();
        let mut latencies = seen.latencies.clone();
        latencies.sort_unstable();
        let quantile = |part: f64| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss,
                reason = "an index into a list of at most millions"
            )]
            let index = (latencies.len() as f64 * part) as usize;
            latencies
                .get(index.min(latencies.len().saturating_sub(1)))
                .map_or(0, micros)
        };
        let last = seen.acknowledged.last().map_or(start, |(_, at, _)| *at);
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = seen.acknowledged.len() as f64 / last.duration_since(start).as_secs_f64().max(0.001);
        Report {
            holds: lost == 0
                && doubled == 0
                && dropped_but_logged == 0
                && (!effects_show || (twice == 0 && before == 0))
                && logs_identical
                && mugs_equal
                && failed_over,
            sent: seen.sent,
            acknowledged: seen.acknowledged.len(),
            acknowledged_per_second: rate.round(),
            lost,
            doubled,
            dropped_but_logged,
            unknown: seen.unknown.len(),
            effects_released_twice: effects_show.then_some(twice),
            effects_released_before_commit: effects_show.then_some(before),
            effects_released: effects_show.then_some(evidence.released.len()),
            logs_identical,
            events_in_all_logs: evidence.common,
            mugs_equal,
            mugs,
            failover_ms: first_after.map(|time| time.as_millis().try_into().unwrap_or(u64::MAX)),
            latency_p50_us: quantile(0.5),
            latency_p99_us: quantile(0.99),
        }
    }

    /// Whether everything that is claimed held.
    pub(super) fn holds(&self) -> bool {
        self.holds
    }
}

fn micros(time: &Duration) -> u64 {
    time.as_micros().try_into().unwrap_or(u64::MAX)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |value: Option<usize>| {
            value.map_or_else(
                || "not visible with this pill".to_owned(),
                |value| value.to_string(),
            )
        };
        writeln!(
            f,
            "acknowledged events                {} of {} sent ({}/s, p50 {} us, p99 {} us)",
            self.acknowledged,
            self.sent,
            self.acknowledged_per_second,
            self.latency_p50_us,
            self.latency_p99_us
        )?;
        writeln!(f, "  lost                             {}", self.lost)?;
        writeln!(f, "  in the log twice                 {}", self.doubled)?;
        writeln!(f, "events whose outcome is unknown    {}", self.unknown)?;
        writeln!(
            f,
            "  refused, but in the log          {}",
            self.dropped_but_logged
        )?;
        writeln!(
            f,
            "effects released                   {}",
            count(self.effects_released)
        )?;
        writeln!(
            f,
            "  twice                            {}",
            count(self.effects_released_twice)
        )?;
        writeln!(
            f,
            "  before their commit              {}",
            count(self.effects_released_before_commit)
        )?;
        writeln!(
            f,
            "logs byte-identical                {} ({} events in all of them)",
            self.logs_identical, self.events_in_all_logs
        )?;
        writeln!(f, "kernels' mugs equal                {}", self.mugs_equal)?;
        if let Some(millis) = self.failover_ms {
            writeln!(f, "leader killed to next event        {millis} ms")?;
        }
        writeln!(
            f,
            "{}",
            if self.holds {
                "everything held"
            } else {
                "SOMETHING DID NOT HOLD"
            }
        )
    }
}
