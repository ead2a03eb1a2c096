//! What ames counts, for `status` and the control socket, under vere's names.

use super::packet::Refused;
use crate::console;

/// How many packets of one kind are refused between two lines that say so.
const REFUSED_SAID: u64 = 100_000;
/// The same for what costs more, and for what comes from friends.
const SAID: u64 = 100;
/// Packets dropped for want of time between two lines that say so.
const DROPPED_SAID: u64 = 1000;
/// Packets forwarded between two lines that say so.
const FORWARDED_SAID: u64 = 1_000_000;
/// Packets not forwarded between two lines that say so.
const FORWARDS_DROPPED_SAID: u64 = 10_000;

/// How often what happened, since the office began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    /// Packets for the ship that were dropped because it did not keep up.
    pub(crate) dropped: u64,
    /// Packets for others that were dropped because too many waited for a lane.
    pub(crate) forwards_dropped: u64,
    /// Packets sent on.
    pub(crate) forwarded: u64,
    /// Refused, by reason.
    pub(crate) head: u64,
    /// Refused, by reason.
    pub(crate) version: u64,
    /// Refused, by reason.
    pub(crate) mug: u64,
    /// Refused, by reason.
    pub(crate) prelude: u64,
    /// Wails that could not be read.
    pub(crate) wails: u64,
    /// Wails with a path that is none.
    pub(crate) wail_paths: u64,
    /// Wails dropped because too many wait for the kernel.
    pub(crate) wails_dropped: u64,
    /// Packets over which the kernel crashed.
    pub(crate) crashed: u64,
    /// Packets that it could not decrypt.
    pub(crate) evil: u64,
    /// Packets of the ship's that had nowhere to go, or were none.
    pub(crate) unsendable: u64,
}

impl Counters {
    pub(crate) fn refused(&mut self, why: Refused) {
        let (count, what) = match why {
            Refused::Head => (&mut self.head, "dropped, failed to read header"),
            Refused::Version => (&mut self.version, "dropped for version mismatch"),
            Refused::Mug => (&mut self.mug, "dropped for invalid mug"),
            Refused::Prelude => (&mut self.prelude, "dropped, failed to read prelude"),
        };
        if step(count, REFUSED_SAID) {
            tracing::info!(target: console::TARGET, "ames: {count} {what}");
        }
    }

    pub(crate) fn dropped(&mut self) {
        if step(&mut self.dropped, DROPPED_SAID) {
            tracing::info!(target: console::TARGET, "ames: packet dropped ({} total)", self.dropped);
        }
    }

    pub(crate) fn forwarded(&mut self) {
        if step(&mut self.forwarded, FORWARDED_SAID) {
            tracing::info!(target: console::TARGET, "ames: forwarded {} total", self.forwarded);
        }
    }

    pub(crate) fn forward_dropped(&mut self) {
        if step(&mut self.forwards_dropped, FORWARDS_DROPPED_SAID) {
            tracing::info!(target: console::TARGET, "ames: dropped {} forwards total", self.forwards_dropped);
        }
    }

    pub(crate) fn bad_wail(&mut self) {
        if step(&mut self.wails, SAID) {
            tracing::info!(target: console::TARGET, "fine: {} dropped wails", self.wails);
        }
    }

    pub(crate) fn bad_wail_path(&mut self) {
        if step(&mut self.wail_paths, SAID) {
            tracing::info!(target: console::TARGET, "fine: {} dropped wails (path)", self.wail_paths);
        }
    }

    pub(crate) fn evil(&mut self) {
        if step(&mut self.evil, SAID) {
            tracing::info!(
                target: console::TARGET,
                "ames: heard bad crypto ({} total), check azimuth state", self.evil
            );
        }
    }

    /// True when the failure is to be shown.
    pub(crate) fn crashed(&mut self) -> bool {
        let is_said = step(&mut self.crashed, SAID);
        if is_said {
            tracing::info!(target: console::TARGET, "ames: packet failed ({} total)", self.crashed);
        }
        is_said
    }
}

/// Counts one; whether that makes a number that is said.
fn step(count: &mut u64, said: u64) -> bool {
    *count += 1;
    count.is_multiple_of(said)
}
