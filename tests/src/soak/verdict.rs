//! Whether what was measured grew.
//!
//! The first quarter of a run is its warm-up. Of the rest the medians of the first and the last quarter are compared: a saw's teeth,
//! such as those of a log between two epochs, do not count, and a leak does.

use super::sample::{Quantity, Sample};
use std::fmt;

/// By how much more than before the median may be, in hundredths,
const GROWTH_PERCENT: u64 = 10;
/// and beyond it, bytes: of memory,
const MEMORY_BYTES: u64 = 4 << 20;
/// of files, which grow by pages and whole events between two epochs,
const FILE_BYTES: u64 = 8 << 20;
/// and descriptors or threads: three connections to and from each of two peers are there or not, as elections and snapshots have it.
const COUNT: u64 = 12;

/// By how much a quantity may grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    percent: u64,
    beyond: u64,
}

impl Bound {
    fn of(quantity: Quantity) -> Bound {
        let beyond = match quantity {
            Quantity::KingMemory | Quantity::SerfMemory => MEMORY_BYTES,
            // The logs' pages are among it.
            Quantity::KingResident => MEMORY_BYTES + 2 * FILE_BYTES,
            quantity if quantity.bytes() => FILE_BYTES,
            _ => COUNT,
        };
        Bound {
            percent: GROWTH_PERCENT,
            beyond,
        }
    }

    fn most(self, first: u64) -> u64 {
        first + first * self.percent / 100 + self.beyond
    }
}

/// What was measured of one quantity of one member.
#[derive(Clone, Debug)]
pub struct Series {
    member: usize,
    quantity: Quantity,
    /// The median of the first quarter after the warm-up.
    first: u64,
    /// The median of the last quarter.
    last: u64,
    /// The most after the warm-up.
    most: u64,
}

impl Series {
    /// All of them.
    pub(super) fn of(samples: &[Sample]) -> Vec<Series> {
        let members = samples.first().map_or(0, |sample| sample.members.len());
        let all = (0..members).flat_map(|member| {
            Quantity::ALL
                .into_iter()
                .enumerate()
                .filter_map(move |(column, quantity)| {
                    let values: Vec<u64> = samples
                        .iter()
                        .filter_map(|sample| sample.members[member][column])
                        .collect();
                    Series::judge(member, quantity, &values)
                })
        });
        all.collect()
    }

    fn judge(member: usize, quantity: Quantity, values: &[u64]) -> Option<Series> {
        let warm = &values[values.len() / 4..];
        let quarter = warm.len() / 4;
        Some(Series {
            member,
            quantity,
            first: median(&warm[..quarter])?,
            last: median(&warm[warm.len() - quarter..])?,
            most: warm.iter().max().copied()?,
        })
    }

    /// Whether it grew by more than it may.
    #[must_use]
    pub fn grew(&self) -> bool {
        self.last > Bound::of(self.quantity).most(self.first)
    }
}

impl fmt::Display for Series {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |value| self.quantity.show(value);
        let name = format!(
            "{:?}{}",
            self.quantity,
            if self.quantity.bytes() { ", MiB" } else { "" }
        );
        write!(
            formatter,
            "member {} {name:<20} first {:>8}  last {:>8}  at most {:>8}  may be {:>8}{}",
            self.member + 1,
            show(self.first),
            show(self.last),
            show(self.most),
            show(Bound::of(self.quantity).most(self.first)),
            if self.grew() { "  GREW" } else { "" },
        )
    }
}

fn median(values: &[u64]) -> Option<u64> {
    let mut values = values.to_vec();
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn grew(quantity: Quantity, value: impl Fn(u64) -> u64) -> bool {
        let values: Vec<u64> = (0..400).map(value).collect();
        Series::judge(0, quantity, &values).is_some_and(|series| series.grew())
    }

    #[test]
    fn a_leak_shows_and_a_saw_does_not() {
        assert!(grew(Quantity::KingMemory, |at| 20 * MIB + at * MIB / 20));
        assert!(!grew(Quantity::KingMemory, |at| 20 * MIB + at % 16 * MIB));
        assert!(grew(Quantity::KingDescriptors, |at| 40 + at / 10));
        assert!(!grew(Quantity::KingDescriptors, |at| 40 + at % 20));
    }

    #[test]
    fn what_grows_while_it_is_warm_is_no_leak() {
        assert!(!grew(Quantity::EventLog, |at| at.min(100) * MIB));
        assert!(grew(Quantity::EventLog, |at| at * MIB));
    }

    #[test]
    fn too_few_samples_judge_nothing() {
        assert!(Series::judge(0, Quantity::KingMemory, &[1, 2, 3]).is_none());
    }
}
