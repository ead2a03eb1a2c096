//! The load's requests, each with a mark by which it is found again: in the log, in its effects, in its answers.

use serf_ipc::Noun;

/// A request's number. No two requests of a run have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(pub u64);

/// What a mark's knot begins with.
const KNOT: &str = "sim-";

/// How deep in an event a mark may lie: in its wire, or in that of the event whose crash it records.
const DEPTH: u32 = 12;

impl Mark {
    /// The wire's knot.
    #[must_use]
    pub fn knot(self) -> String {
        format!("{KNOT}{}", self.0)
    }

    /// The mark of a knot.
    #[must_use]
    pub fn of_knot(knot: &str) -> Option<Mark> {
        knot.strip_prefix(KNOT)?.parse().ok().map(Mark)
    }
}

/// The mark in an event.
#[must_use]
pub fn of(event: &Noun) -> Option<Mark> {
    find(event, DEPTH)
}

fn find(noun: &Noun, depth: u32) -> Option<Mark> {
    match noun.as_cell() {
        Some((head, tail)) if depth > 0 => find(head, depth - 1).or_else(|| find(tail, depth - 1)),
        Some(_) => None,
        None => Mark::of_knot(&noun.as_cord()?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serf_ipc::n;

    #[test]
    fn a_mark_is_found_in_an_event_and_in_the_record_of_its_crash() {
        let wire = n!["z", Mark(17).knot().as_str(), 0_u64];
        let event = n![5_u64, wire.clone(), "boom", 0_u64];
        assert_eq!(of(&event), Some(Mark(17)));
        let goof = n!["exit", 0_u64];
        let crud = n![5_u64, n![0_u64, "arvo", 0_u64], "crud", goof, wire, "boom", 0_u64];
        assert_eq!(of(&crud), Some(Mark(17)));
        assert_eq!(of(&n![5_u64, n![0_u64, "arvo", 0_u64], "wyrd", 0_u64]), None);
    }
}
