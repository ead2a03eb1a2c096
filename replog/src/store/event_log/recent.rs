//! The newest events in memory: those that are applied but not yet in the event log, and a few before them. No I/O.
//!
//! ```text
//!     base            durable             last
//!      │  kept a while  │     pending       │
//!      ▼                ▼                   ▼
//! ─────┼────────────────┼───────────────────┤
//! ```
//! `base <= durable <= last`. Events up to `durable` are on disk and are let go, oldest first, beyond a limit of bytes.

use super::value;
use crate::{
    limits::{EVENT_LOG_COPIED_BYTES, EVENT_LOG_EVENT_COST, EVENT_LOG_GROUP_BYTES},
    types::Event,
};
use bytes::Bytes;
use seguro_event::EventNumber;
use std::collections::VecDeque;

/// What one call of `append` applied: it reaches the disk whole or not at all.
#[derive(Debug)]
struct Unit {
    /// The log's last event after it; that of the unit before where it holds none.
    last: EventNumber,
    /// Bytes of its events' values.
    bytes: usize,
    /// The raft layer's record after it.
    raft: Bytes,
    /// What it took of the room for pending bytes.
    permits: usize,
}

/// Units that go to the disk together.
#[derive(Debug, PartialEq)]
pub(super) struct Group {
    /// Their events.
    pub(super) events: Vec<Event>,
    /// The raft layer's record after the last of them.
    pub(super) raft: Bytes,
    /// How many units.
    pub(super) units: usize,
    /// What they took of the room for pending bytes.
    pub(super) permits: usize,
}

/// The newest events.
#[derive(Debug)]
pub(super) struct Recent {
    base: EventNumber,
    durable: EventNumber,
    events: VecDeque<Event>,
    units: VecDeque<Unit>,
    /// Bytes of the values of those that are pending.
    pending: usize,
    /// Memory that durable events take.
    kept: usize,
    /// How much they may take.
    keep: usize,
    /// How many units were ever pushed.
    pushed: u64,
    /// How many of them are on disk.
    settled: u64,
}

impl Recent {
    /// Nothing in memory; the log on disk ends with event `last`.
    pub(super) fn new(last: EventNumber, keep: usize) -> Recent {
        Recent {
            base: last,
            durable: last,
            events: VecDeque::new(),
            units: VecDeque::new(),
            pending: 0,
            kept: 0,
            keep,
            pushed: 0,
            settled: 0,
        }
    }

    /// The last event applied.
    pub(super) fn last(&self) -> EventNumber {
        self.base.plus(self.events.len() as u64)
    }

    /// The last event that is on disk.
    pub(super) fn durable(&self) -> EventNumber {
        self.durable
    }

    /// The event before the first one in memory.
    pub(super) fn base(&self) -> EventNumber {
        self.base
    }

    /// The raft layer's newest record that waits for the disk.
    pub(super) fn newest_record(&self) -> Option<Bytes> {
        self.units.back().map(|unit| unit.raft.clone())
    }

    /// Bytes that wait for the disk.
    pub(super) fn pending_bytes(&self) -> usize {
        self.pending
    }

    /// Whether something waits for the disk.
    pub(super) fn is_dirty(&self) -> bool {
        !self.units.is_empty()
    }

    /// Whether what waits for the disk is to wait no more: somebody waits for the unit `urgent`, the time to linger is
    /// over, or enough bytes have come together.
    pub(super) fn is_due(&self, urgent: u64, late: bool) -> bool {
        self.is_dirty() && (late || self.settled < urgent || self.pending >= EVENT_LOG_GROUP_BYTES)
    }

    /// How many units were ever pushed.
    pub(super) fn pushed(&self) -> u64 {
        self.pushed
    }

    /// How many of them are on disk.
    pub(super) fn settled(&self) -> u64 {
        self.settled
    }

    /// Applies a unit. The number of the first event that is out of order is the error.
    pub(super) fn push(&mut self, events: &[Event], raft: Bytes, permits: usize) -> Result<(), EventNumber> {
        let mut expected = self.last().next();
        for event in events {
            if event.number != expected {
                return Err(event.number);
            }
            expected = expected.next();
        }
        let bytes: usize = events.iter().map(value::length).sum();
        self.events.extend(events.iter().map(on_its_own));
        self.pending += bytes;
        self.units.push_back(Unit {
            last: self.last(),
            bytes,
            raft,
            permits,
        });
        self.pushed += 1;
        Ok(())
    }

    /// The oldest pending units, at least one, more while they do not exceed `max_bytes`. They stay pending.
    pub(super) fn group(&self, max_bytes: usize) -> Option<Group> {
        let (mut units, mut bytes) = (0usize, 0);
        for unit in &self.units {
            if units > 0 && bytes + unit.bytes > max_bytes {
                break;
            }
            units += 1;
            bytes += unit.bytes;
        }
        let last = self.units.get(units.checked_sub(1)?)?;
        let skip = self.durable.since(self.base) as usize;
        let count = last.last.since(self.durable) as usize;
        let events = self.events.iter().skip(skip).take(count).cloned().collect();
        let permits = self.units.iter().take(units).map(|unit| unit.permits).sum();
        Some(Group {
            events,
            raft: last.raft.clone(),
            units,
            permits,
        })
    }

    /// What pending units take of the room.
    pub(super) fn permits(&self) -> usize {
        self.units.iter().map(|unit| unit.permits).sum()
    }

    /// The log on disk has become another, which ends with event `last` and holds what was pending.
    pub(super) fn restart(&mut self, last: EventNumber) {
        *self = Recent {
            pushed: self.pushed,
            settled: self.pushed,
            ..Recent::new(last, self.keep)
        };
    }

    /// A group is on disk.
    pub(super) fn settle(&mut self, group: &Group) {
        let before = self.durable;
        for unit in self.units.drain(..group.units) {
            self.durable = unit.last;
            self.pending -= unit.bytes;
            self.settled += 1;
        }
        let settled = before.since(self.base) as usize..self.durable.since(self.base) as usize;
        self.kept += self.events.range(settled).map(memory).sum::<usize>();
        while self.base < self.durable && self.kept > self.keep {
            let Some(event) = self.events.pop_front() else {
                break;
            };
            self.kept -= memory(&event);
            self.base = event.number;
        }
        assert!(
            self.base <= self.durable && self.durable <= self.last(),
            "base <= durable <= last"
        );
    }

    /// Adds events from `from` on to `out` within the limits, as [`super::epoch::Epoch::read`] does. False when `from` is
    /// not in memory.
    pub(super) fn read(
        &self,
        from: EventNumber,
        limits: (usize, usize),
        bytes: &mut usize,
        out: &mut Vec<Event>,
    ) -> bool {
        if from <= self.base {
            return false;
        }
        let skip = from.since(self.base.next()) as usize;
        for event in self.events.iter().skip(skip) {
            let length = value::length(event);
            if !out.is_empty() && (out.len() >= limits.0 || *bytes + length > limits.1) {
                break;
            }
            *bytes += length;
            out.push(event.clone());
        }
        true
    }
}

/// The event without what it may be a part of, unless it is large enough to be most of that itself.
fn on_its_own(event: &Event) -> Event {
    let mut event = event.clone();
    if event.jam.len() <= EVENT_LOG_COPIED_BYTES {
        event.jam = Bytes::copy_from_slice(&event.jam);
    }
    event
}

/// What an event takes in memory, bytes.
fn memory(event: &Event) -> usize {
    event.jam.len() + EVENT_LOG_EVENT_COST
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use seguro_event::Mug;

    fn events(from: u64, lengths: &[usize]) -> Vec<Event> {
        let event = |(i, &length): (usize, &usize)| Event {
            number: EventNumber(from + i as u64),
            mug: Mug(1),
            jam: Bytes::from(vec![7; length]),
        };
        lengths.iter().enumerate().map(event).collect()
    }

    fn read(recent: &Recent, from: u64, limits: (usize, usize)) -> Option<Vec<u64>> {
        let (mut out, mut bytes) = (Vec::new(), 0);
        let held = recent.read(EventNumber(from), limits, &mut bytes, &mut out);
        assert_eq!(bytes, out.iter().map(value::length).sum::<usize>());
        held.then(|| out.iter().map(|e| e.number.0).collect())
    }

    #[test]
    fn out_of_order_is_refused_whole() {
        let mut recent = Recent::new(EventNumber(5), 0);
        assert_eq!(
            recent.push(&events(7, &[1]), Bytes::new(), 0),
            Err(EventNumber(7))
        );
        assert_eq!(
            recent.push(&events(5, &[1]), Bytes::new(), 0),
            Err(EventNumber(5))
        );
        assert_eq!((recent.last(), recent.is_dirty()), (EventNumber(5), false));
        recent.push(&events(6, &[1]), Bytes::new(), 0).unwrap();
        assert_eq!(recent.last(), EventNumber(6));
    }

    #[test]
    fn what_waits_is_written_late_or_when_asked_for_or_when_it_is_much() {
        let mut recent = Recent::new(EventNumber(0), 0);
        assert!(!recent.is_due(9, true), "nothing waits");
        recent.push(&events(1, &[1]), Bytes::new(), 0).unwrap();
        recent.push(&[], Bytes::new(), 0).unwrap();
        assert!(!recent.is_due(0, false));
        assert!(recent.is_due(0, true) && recent.is_due(2, false));
        let group = recent.group(usize::MAX).unwrap();
        recent.settle(&group);
        recent
            .push(&events(2, &[EVENT_LOG_GROUP_BYTES - 5]), Bytes::new(), 0)
            .unwrap();
        assert!(
            !recent.is_due(2, false),
            "who asked has been served, and a byte is missing"
        );
        recent.push(&events(3, &[1]), Bytes::new(), 0).unwrap();
        assert!(recent.is_due(2, false));
    }

    #[test]
    fn groups_are_whole_units() {
        let mut recent = Recent::new(EventNumber(0), usize::MAX);
        recent
            .push(&events(1, &[96, 96]), Bytes::from_static(b"a"), 2)
            .unwrap();
        recent.push(&[], Bytes::from_static(b"b"), 1).unwrap();
        recent
            .push(&events(3, &[96]), Bytes::from_static(b"c"), 1)
            .unwrap();
        let first = recent.group(250).unwrap();
        assert_eq!(
            (first.events.len(), first.units, first.permits, &first.raft[..]),
            (2, 2, 3, &b"b"[..])
        );
        let one = recent.group(0).unwrap();
        assert_eq!((one.events.len(), one.units, &one.raft[..]), (2, 1, &b"a"[..]));
        recent.settle(&first);
        assert_eq!((recent.durable(), recent.pending_bytes()), (EventNumber(2), 100));
        let second = recent.group(250).unwrap();
        assert_eq!((second.events[0].number, second.units), (EventNumber(3), 1));
        recent.settle(&second);
        assert_eq!(recent.group(250), None);
        assert_eq!((recent.pushed(), recent.settled()), (3, 3));
    }

    #[test]
    fn what_is_kept_is_counted_as_what_it_takes() {
        let keep = 100 * EVENT_LOG_EVENT_COST;
        let mut recent = Recent::new(EventNumber(0), keep);
        let message = Bytes::from(vec![7; 64 << 10]);
        for number in 1..=1000 {
            let jam = message.slice(..20);
            let event = Event {
                number: EventNumber(number),
                mug: Mug(1),
                jam,
            };
            recent.push(&[event], Bytes::new(), 0).unwrap();
            recent.settle(&recent.group(usize::MAX).unwrap());
        }
        assert!(
            recent.events.len() <= 100,
            "small events take more than their bytes"
        );
        assert!(message.is_unique(), "and hold no message that brought them");
    }

    #[test]
    fn reads_know_what_they_do_not_hold() {
        let mut recent = Recent::new(EventNumber(10), 0);
        recent.push(&events(11, &[6, 6, 6]), Bytes::new(), 0).unwrap();
        assert_eq!(read(&recent, 10, (9, 99)), None);
        assert_eq!(read(&recent, 11, (9, 99)), Some(vec![11, 12, 13]));
        assert_eq!(read(&recent, 12, (1, 99)), Some(vec![12]));
        assert_eq!(read(&recent, 11, (9, 20)), Some(vec![11, 12]));
        assert_eq!(read(&recent, 11, (9, 1)), Some(vec![11]));
        assert_eq!(read(&recent, 14, (9, 99)), Some(vec![]));
        let group = recent.group(usize::MAX).unwrap();
        recent.settle(&group);
        assert_eq!(
            (recent.base(), read(&recent, 13, (9, 99))),
            (EventNumber(13), None)
        );
    }

    proptest! {
        #[test]
        fn nothing_is_lost_or_let_go_before_it_is_durable(
            keep in 0..2000usize,
            steps in prop::collection::vec((prop::collection::vec(0..100usize, 0..4), 0..300usize, any::<bool>()), 1..40),
        ) {
            let mut recent = Recent::new(EventNumber(3), keep);
            let mut disk = 3;
            for (lengths, max, settle) in steps {
                recent.push(&events(recent.last().0 + 1, &lengths), Bytes::new(), 0).unwrap();
                if settle {
                    let group = recent.group(max).unwrap();
                    for event in &group.events {
                        disk += 1;
                        prop_assert_eq!(event.number.0, disk);
                    }
                    recent.settle(&group);
                }
                prop_assert_eq!(recent.durable().0, disk);
                let durable = recent.durable().since(recent.base()) as usize;
                prop_assert_eq!(recent.kept, recent.events.range(..durable).map(memory).sum::<usize>());
                prop_assert!(recent.kept <= keep);
                let held = read(&recent, recent.base().0 + 1, (usize::MAX, usize::MAX)).unwrap();
                prop_assert_eq!(held, (recent.base().0 + 1..=recent.last().0).collect::<Vec<_>>());
            }
        }
    }
}
