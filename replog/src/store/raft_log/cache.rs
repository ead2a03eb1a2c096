//! The newest entries in memory: all that are not yet on disk, and some that are. No I/O.
//!
//! ```text
//!   first          start                          end
//!     │   on disk    │  in memory (maybe on disk)   │
//!     ▼ ◀──────────▶ ▼ ◀──────────────────────────▶ ▼
//! ────┼──────────────┼──────────────────────────────┤
//! ```
//! Indexes below `first` are purged. Appends are numbered; an entry may be let go once the append that brought it is on
//! disk. (An index does not tell: after a truncation there may be another entry at it that is not.)

use crate::raft::config::Entry;
use openraft::entry::RaftEntry;
use std::collections::VecDeque;

#[derive(Debug)]
struct Held {
    entry: Entry,
    bytes: usize,
    append: u64,
}

/// What a read finds in memory, and what it must take from the disk before that.
#[derive(Debug, PartialEq)]
pub(super) struct View {
    /// Indexes to be read from the disk, `from..to`; empty where `from == to`.
    pub(super) disk: std::ops::Range<u64>,
    /// The entries after them.
    pub(super) cached: Vec<Entry>,
    /// What the log was when it was looked at: another number later means that entries were taken away since.
    pub(super) version: u64,
}

/// The newest entries.
#[derive(Debug)]
pub(super) struct Cache {
    first: u64,
    start: u64,
    held: VecDeque<Held>,
    bytes: usize,
    keep: usize,
    /// The last append that is on disk.
    settled: u64,
    version: u64,
    /// Nothing was ever purged: while the log is empty it may begin anywhere.
    unpurged: bool,
}

impl Cache {
    /// Nothing in memory; on disk are the indexes `log`. Whether any before them were purged.
    pub(super) fn new(log: std::ops::Range<u64>, purged: bool, keep: usize) -> Cache {
        let (first, start) = (log.start, log.end);
        let held = VecDeque::new();
        Cache {
            first,
            start,
            held,
            bytes: 0,
            keep,
            settled: 0,
            version: 0,
            unpurged: !purged,
        }
    }

    /// The index after the last one.
    pub(super) fn end(&self) -> u64 {
        self.start + self.held.len() as u64
    }

    /// What the log is; see [`View::version`].
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// Takes the entry that the append of that number brings. The index that belongs there is the error.
    pub(super) fn push(&mut self, entry: Entry, bytes: usize, append: u64) -> Result<(), u64> {
        let index = entry.index();
        if self.unpurged && self.first == self.end() {
            self.first = index;
            self.start = index;
        }
        if index != self.end() {
            return Err(self.end());
        }
        self.held.push_back(Held { entry, bytes, append });
        self.bytes += bytes;
        Ok(())
    }

    /// The append of that number, and all before, are on disk.
    pub(super) fn settle(&mut self, append: u64) {
        self.settled = self.settled.max(append);
        while self.bytes > self.keep
            && let Some(oldest) = self.held.front()
            && oldest.append <= self.settled
        {
            self.bytes -= oldest.bytes;
            self.held.pop_front();
            self.start += 1;
        }
    }

    /// Takes away the indexes from `end` on.
    pub(super) fn truncate(&mut self, end: u64) {
        let end = end.max(self.first);
        while self.end() > end
            && let Some(newest) = self.held.pop_back()
        {
            self.bytes -= newest.bytes;
        }
        self.start = self.start.min(end);
        self.version += 1;
    }

    /// Takes away the indexes before `first`; where the log ends before it, the log is empty and begins there.
    pub(super) fn purge(&mut self, first: u64) {
        while self.start < first
            && let Some(oldest) = self.held.pop_front()
        {
            self.bytes -= oldest.bytes;
            self.start += 1;
        }
        self.first = self.first.max(first);
        self.start = self.start.max(first);
        self.unpurged = false;
        self.version += 1;
    }

    /// Looks at the entries of `range` that the log has; of those in memory, only as many as `max_bytes` allow, at
    /// least one where none is to be read from the disk.
    pub(super) fn view(&self, range: std::ops::Range<u64>, max_bytes: usize) -> View {
        let from = range.start.max(self.first);
        let to = range.end.min(self.end()).max(from);
        let disk = from..self.start.clamp(from, to);
        let mut cached = Vec::new();
        let mut bytes = 0usize;
        let skip = (disk.end.max(self.start) - self.start) as usize;
        for held in self.held.iter().skip(skip).take((to - disk.end) as usize) {
            let first = cached.is_empty() && disk.is_empty();
            if !first && bytes.saturating_add(held.bytes) > max_bytes {
                break;
            }
            bytes += held.bytes;
            cached.push(held.entry.clone());
        }
        View {
            disk,
            cached,
            version: self.version,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        raft::config::{Payload, log_id},
        types::Term,
    };
    use proptest::prelude::*;

    fn entry(term: u64, index: u64) -> Entry {
        Entry::new(log_id(Term(term), index), Payload::Blank)
    }

    fn cached(view: &View) -> Vec<u64> {
        view.cached.iter().map(RaftEntry::index).collect()
    }

    #[test]
    fn a_truncated_entrys_append_does_not_vouch_for_its_successor() {
        let mut cache = Cache::new(0..5, false, 0);
        cache.push(entry(1, 5), 10, 1).unwrap();
        cache.truncate(5);
        cache.push(entry(2, 5), 10, 2).unwrap();
        cache.settle(1);
        assert_eq!(
            cache.view(5..6, 99).cached,
            [entry(2, 5)],
            "not on disk, so it stays"
        );
        cache.settle(2);
        assert_eq!(
            cache.view(5..6, 99),
            View {
                disk: 5..6,
                cached: vec![],
                version: 1
            }
        );
    }

    #[test]
    fn reads_are_limited_in_bytes_but_never_empty() {
        let mut cache = Cache::new(0..0, false, usize::MAX);
        for index in 0..5 {
            cache.push(entry(1, index), 10, index).unwrap();
        }
        assert_eq!(cached(&cache.view(1..4, 20)), [1, 2]);
        assert_eq!(cached(&cache.view(1..4, 0)), [1]);
        assert_eq!(cached(&cache.view(3..99, 99)), [3, 4]);
        assert_eq!(cached(&cache.view(7..99, 99)), [0u64; 0]);
    }

    #[test]
    fn an_empty_log_begins_after_what_was_purged_or_anywhere() {
        let mut cache = Cache::new(0..0, false, 0);
        cache.push(entry(1, 7), 1, 1).unwrap();
        cache.purge(10);
        assert_eq!(cache.push(entry(1, 9), 1, 1), Err(10));
        cache.push(entry(1, 10), 1, 1).unwrap();
        assert_eq!(cache.push(entry(1, 12), 1, 1), Err(11));
        assert_eq!((cache.first, cache.end()), (10, 11));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Append(usize),
        Settle,
        Truncate(u64),
        Purge(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0..5usize).prop_map(Step::Append),
            2 => Just(Step::Settle),
            1 => (0..8u64).prop_map(Step::Truncate),
            1 => (0..8u64).prop_map(Step::Purge),
        ];
        prop::collection::vec(step, 1..60)
    }

    proptest! {
        /// Beside a model: a plain list for the log, and one for the disk, which does late what the log did.
        #[test]
        fn together_with_the_disk_it_is_the_log(steps in steps(), keep in 0..60usize) {
            let mut cache = Cache::new(0..0, true, keep);
            let (mut first, mut log): (u64, Vec<Entry>) = (0, Vec::new());
            let mut disk = std::collections::BTreeMap::new();
            let mut append = 0;
            let mut waiting: Vec<(u64, Vec<Entry>)> = Vec::new();
            for step in steps {
                let end = first + log.len() as u64;
                match step {
                    Step::Append(count) => {
                        append += 1;
                        let new: Vec<_> = (end..end + count as u64).map(|i| entry(append, i)).collect();
                        for entry in &new {
                            cache.push(entry.clone(), 10, append).unwrap();
                        }
                        log.extend(new.iter().cloned());
                        waiting.push((append, new));
                    }
                    Step::Settle if !waiting.is_empty() => {
                        let (number, entries) = waiting.remove(0);
                        disk.extend(entries.into_iter().map(|e| (e.index(), e)));
                        cache.settle(number);
                    }
                    Step::Settle => {}
                    // Both are done on disk at once, after all that was asked for before.
                    Step::Truncate(back) => {
                        for (number, entries) in waiting.drain(..) {
                            disk.extend(entries.into_iter().map(|e| (e.index(), e)));
                            cache.settle(number);
                        }
                        let end = end.saturating_sub(back).max(first);
                        log.truncate((end - first) as usize);
                        cache.truncate(end);
                        disk.split_off(&end);
                    }
                    Step::Purge(forth) => {
                        let new = first + forth;
                        log.drain(..(forth as usize).min(log.len()));
                        first = new;
                        cache.purge(first);
                    }
                }
                let view = cache.view(0..u64::MAX, usize::MAX);
                let mut seen: Vec<Entry> = Vec::new();
                for index in view.disk.clone() {
                    prop_assert!(disk.contains_key(&index), "index {} is neither in memory nor on disk", index);
                    seen.push(disk[&index].clone());
                }
                seen.extend(view.cached);
                prop_assert_eq!(&seen, &log);
                prop_assert_eq!(cache.end(), first + log.len() as u64);
            }
        }
    }
}
