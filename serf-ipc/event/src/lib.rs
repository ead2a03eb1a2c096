//! The words that the serf's protocol and the replicated log share: a position in a ship's history, and the
//! kernel's digest there. Neither crate knows the other; both know these.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The number of an event in a ship's history. The first event is 1; 0 is "before any event".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventNumber(pub u64);

impl EventNumber {
    /// Before any event: a ship that has not been booted.
    pub const ZERO: EventNumber = EventNumber(0);

    /// The event after this one.
    #[must_use]
    pub fn next(self) -> EventNumber {
        EventNumber(self.0 + 1)
    }

    /// The position `count` events later.
    #[must_use]
    pub fn plus(self, count: u64) -> EventNumber {
        EventNumber(self.0 + count)
    }

    /// How many events lie after `earlier` up to and including this one; 0 if this one is not later.
    #[must_use]
    pub fn since(self, earlier: EventNumber) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for EventNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The 31-bit digest of the kernel after an event, as the serf computes it. 0 is "not known, do not compare":
/// the boot sequence is written with it (vere's `u3_disk_boot_plan`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mug(pub u32);

impl Mug {
    /// Not known: never compared.
    pub const UNKNOWN: Mug = Mug(0);

    /// Whether both are known and differ, which means that two computations of one history diverged.
    #[must_use]
    pub fn contradicts(self, other: Mug) -> bool {
        self != Mug::UNKNOWN && other != Mug::UNKNOWN && self != other
    }
}

impl fmt::Display for Mug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:08x}", self.0)
    }
}
