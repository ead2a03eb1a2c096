//! How far the Raft log may be purged: a decision without I/O.
//!
//! An entry may go when this member's event log has it on disk. It is kept longer for those who would otherwise need a
//! snapshot: a follower that is behind, or that is receiving a snapshot and will go on after it. But not for ever: a
//! follower that is away holds back at most [`RETAIN_ENTRIES`] entries and [`RETAIN_BYTES`] bytes, and a log that goes on growing
//! keeps next to nothing.

use crate::raft::limits::{
    FLOOD_BYTES, KEEP_ENTRIES, KEEP_IN_FLOOD, PURGE_STEP, RETAIN_BYTES, RETAIN_ENTRIES,
};

/// What the decision rests on. Indexes are those of the Raft log; `None` is before the first entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Situation {
    /// The last entry that the event log has on disk.
    pub(crate) durable: Option<u64>,
    /// The last entry purged.
    pub(crate) purged: Option<u64>,
    /// Bytes in use in the Raft log.
    pub(crate) bytes: u64,
    /// On the leader: the last entry that each other member is known to have.
    pub(crate) matched: Vec<Option<u64>>,
    /// Last entries of the snapshots that are being sent: the receiver goes on after the lowest.
    pub(crate) sending: Vec<u64>,
}

/// The index up to which the log is to be purged now; None when there is nothing to do.
pub(crate) fn purge_to(situation: &Situation) -> Option<u64> {
    let durable = situation.durable?;
    // What is there no longer, and what nobody may touch.
    let first = situation.purged.map_or(0, |purged| purged + 1);
    let sending = situation.sending.iter().min().copied().unwrap_or(u64::MAX);
    let safe = durable.min(sending);
    // A few entries stay in any case: a member that was away for a moment goes on from them.
    let keep = if situation.bytes > FLOOD_BYTES {
        KEEP_IN_FLOOD
    } else {
        KEEP_ENTRIES
    };
    let mut to = safe.checked_sub(keep)?;
    let slowest = situation
        .matched
        .iter()
        .map(|matched| matched.unwrap_or(0))
        .min()
        .unwrap_or(u64::MAX);
    let crowded = situation.bytes > RETAIN_BYTES || safe.saturating_sub(first) > RETAIN_ENTRIES;
    if !crowded {
        to = to.min(slowest);
    }
    let step = if situation.bytes > FLOOD_BYTES {
        1
    } else {
        PURGE_STEP
    };
    (to >= first && to + 1 - first >= step).then_some(to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn situation() -> Situation {
        Situation {
            durable: Some(100_000),
            purged: Some(10_000),
            ..Situation::default()
        }
    }

    #[test]
    fn only_what_the_event_log_has() {
        assert_eq!(purge_to(&situation()), Some(100_000 - KEEP_ENTRIES));
        assert_eq!(
            purge_to(&Situation {
                durable: None,
                ..situation()
            }),
            None
        );
        assert_eq!(
            purge_to(&Situation {
                durable: Some(3),
                purged: None,
                ..situation()
            }),
            None
        );
    }

    #[test]
    fn a_slow_follower_is_waited_for_but_not_for_ever() {
        let behind = Situation {
            matched: vec![Some(99_000), Some(50_000)],
            ..situation()
        };
        assert_eq!(purge_to(&behind), Some(50_000));
        let away = Situation {
            matched: vec![Some(99_000), None],
            ..situation()
        };
        assert_eq!(purge_to(&away), None);
        let full = Situation {
            bytes: RETAIN_BYTES + 1,
            ..away.clone()
        };
        assert_eq!(purge_to(&full), Some(100_000 - KEEP_ENTRIES));
        let long = Situation {
            durable: Some(20_000 + RETAIN_ENTRIES),
            ..away
        };
        assert_eq!(purge_to(&long), Some(20_000 + RETAIN_ENTRIES - KEEP_ENTRIES));
    }

    #[test]
    fn a_flood_of_large_entries_is_let_go() {
        let flood = Situation {
            bytes: FLOOD_BYTES + 1,
            durable: Some(20),
            purged: None,
            ..situation()
        };
        assert_eq!(purge_to(&flood), Some(20 - KEEP_IN_FLOOD));
    }

    #[test]
    fn a_snapshot_on_its_way_holds_what_comes_after_it() {
        let sending = Situation {
            sending: vec![90_000, 60_000],
            bytes: RETAIN_BYTES + 1,
            ..situation()
        };
        assert_eq!(purge_to(&sending), Some(60_000 - KEEP_ENTRIES));
    }

    #[test]
    fn small_steps_are_not_worth_a_transaction() {
        let close = Situation {
            purged: Some(100_000 - KEEP_ENTRIES - PURGE_STEP + 1),
            ..situation()
        };
        assert_eq!(purge_to(&close), None);
    }

    proptest! {
        #[test]
        fn never_beyond_what_is_needed(
            durable in proptest::option::of(0..1_000_000u64), purged in proptest::option::of(0..1_000_000u64), bytes: u64,
            matched in proptest::collection::vec(proptest::option::of(0..1_000_000u64), 0..4),
            sending in proptest::collection::vec(0..1_000_000u64, 0..3),
        ) {
            let situation = Situation { durable, purged, bytes, matched, sending };
            if let Some(to) = purge_to(&situation) {
                prop_assert!(Some(to) <= durable);
                prop_assert!(Some(to) > purged);
                prop_assert!(situation.sending.iter().all(|last| to <= *last));
            }
        }
    }
}
