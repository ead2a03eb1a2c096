//! When a batch is closed: at once when nothing is on its way to a commit, else by count, bytes or linger.

use crate::limits;
use seguro_event::EventNumber;
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// What closes a batch.
#[derive(Clone, Copy, Debug)]
pub struct BatchLimits {
    /// Events in one batch.
    pub events: usize,
    /// Bytes in one batch (a single event may be larger).
    pub bytes: usize,
    /// How long events are collected behind a batch that is on its way.
    pub linger: Duration,
    /// Batches on their way at once.
    pub in_flight: usize,
}

impl Default for BatchLimits {
    fn default() -> BatchLimits {
        BatchLimits {
            events: limits::BATCH_EVENTS,
            bytes: limits::BATCH_BYTES,
            linger: limits::BATCH_LINGER,
            in_flight: limits::BATCHES_IN_FLIGHT,
        }
    }
}

/// The state of batching: what is on its way, and how long what is collected has waited.
#[derive(Debug)]
pub struct Batching {
    limits: BatchLimits,
    in_flight: VecDeque<EventNumber>,
    collecting_since: Option<Instant>,
}

impl Batching {
    pub(super) fn new(limits: BatchLimits) -> Batching {
        Batching {
            limits,
            in_flight: VecDeque::new(),
            collecting_since: None,
        }
    }

    pub(super) fn computed(&mut self, now: Instant) {
        self.collecting_since.get_or_insert(now);
    }

    /// Whether a batch of the `waiting` events, of `bytes` together, is due now.
    pub(super) fn is_due(&self, now: Instant, waiting: usize, bytes: usize) -> bool {
        if waiting == 0 || self.in_flight.len() >= self.limits.in_flight {
            return false;
        }
        let full = waiting >= self.limits.events || bytes >= self.limits.bytes;
        let lingered = self
            .collecting_since
            .is_some_and(|since| now >= since + self.limits.linger);
        self.in_flight.is_empty() || full || lingered
    }

    /// How many events of these sizes one batch takes: at least one, however large.
    pub(super) fn fits(&self, sizes: impl Iterator<Item = usize>) -> usize {
        let mut count = 0;
        let mut bytes = 0;
        for size in sizes {
            if count > 0 && (count == self.limits.events || bytes + size > self.limits.bytes) {
                break;
            }
            count += 1;
            bytes += size;
        }
        count
    }

    pub(super) fn deadline(&self, waiting: bool) -> Option<Instant> {
        if !waiting || self.in_flight.is_empty() || self.in_flight.len() >= self.limits.in_flight {
            return None;
        }
        self.collecting_since.map(|since| since + self.limits.linger)
    }

    /// A batch up to `last` is on its way; what it left is being collected since `rest_since`.
    pub(super) fn proposed(&mut self, last: EventNumber, rest_since: Option<Instant>) {
        self.in_flight.push_back(last);
        self.collecting_since = rest_since;
    }

    pub(super) fn committed(&mut self, through: EventNumber) {
        while self.in_flight.front().is_some_and(|last| *last <= through) {
            self.in_flight.pop_front();
        }
    }
}
