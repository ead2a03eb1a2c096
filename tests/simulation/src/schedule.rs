//! What goes wrong in a run, and when: from the seed alone.

use crate::{
    dice::Dice,
    disk::Failing,
    limits::{FASTEST, FAULTS, SLOWEST, TICK},
    serf::Trouble,
};
use std::{fmt, time::Duration};

/// Something that goes wrong for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A member's process is gone.
    Crash(usize),
    /// All members' processes are gone.
    CrashAll,
    /// No traffic between two members.
    Cut(usize, usize),
    /// Nothing gets from the first to the second.
    OneWay(usize, usize),
    /// A member hears nobody and is heard by nobody.
    Isolate(usize),
    /// The same, for whichever member leads when it begins.
    IsolateLeader,
    /// A member is heard by nobody, and hears all.
    Mute(usize),
    /// Two halves that only this member can talk to.
    Bridge(usize),
    /// The traffic between two members is cut and restored over and over.
    Flap(usize, usize),
    /// The traffic between two members stands still, and goes on later: nothing of it is lost.
    Hold(usize, usize),
    /// A member's traffic with all others stands still, as if its process were stopped.
    HoldAll(usize),
    /// Messages between two members take long.
    SlowLink(usize, usize, Duration),
    /// A member's disk takes long.
    SlowDisk(usize, Duration),
    /// A member's disk fails.
    Disk(usize, Failing),
    /// All members' Raft logs are purged as far as they may be, over and over: who is behind needs a snapshot.
    Purge,
    /// A member hands over its office, if it has one.
    Transfer(usize),
    /// A member's process and its disk are gone, as soon as the others can do without it; after so many steps it comes back empty.
    Wipe(usize, u64),
    /// Whoever leads dies while a change of members is half done: once.
    CrashInChange,
    /// A member's process stands still: its Raft, its pier, its serf.
    Stop(usize),
    /// The same, for whichever member leads when it begins.
    StopLeader,
    /// A member's monotonic clock is off by so many thousandths.
    Drift(usize, i64),
    /// The same, for whichever member leads when it begins.
    DriftLeader(i64),
    /// The same, for all but the one that leads when it begins.
    DriftFollowers(i64),
    /// The same, for all but this one.
    DriftAllBut(usize, i64),
    /// Something is wrong with a member's serf.
    Serf(usize, Trouble),
    /// A member's pier gets no turn, while its log goes on.
    Stall(usize),
    /// A member's clock is so many milliseconds ahead, or behind.
    Clock(usize, i64),
    /// A member's king writes a snapshot.
    Save(usize),
    /// It begins a new epoch, and keeps only the newest two.
    Roll(usize),
    /// It is told to leave, and is started again.
    Leave(usize),
}

/// A fault, and when.
#[derive(Clone, Debug)]
pub struct Planned {
    /// From here, since the phase's beginning.
    pub from: Duration,
    /// Until here.
    pub to: Duration,
    /// What.
    pub fault: Fault,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// Whether messages get from one member to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Way {
    /// They do.
    #[default]
    Open,
    /// They stand still.
    Held,
    /// They are lost.
    Closed,
}

impl Fault {
    /// What it makes of the way from `from` to `to`, at so many steps after its beginning.
    #[must_use]
    pub fn way(&self, from: usize, to: usize, step: u64) -> Way {
        let between = |one: usize, other: usize| (from, to) == (one, other) || (from, to) == (other, one);
        let closed = match *self {
            Fault::Cut(one, other) => between(one, other),
            Fault::OneWay(one, other) => (from, to) == (one, other),
            Fault::Isolate(member) => from == member || to == member,
            Fault::Mute(member) => from == member,
            Fault::Bridge(middle) => from != middle && to != middle && (from < middle) != (to < middle),
            Fault::Flap(one, other) => between(one, other) && (step / 150).is_multiple_of(2),
            Fault::Hold(one, other) if between(one, other) => return Way::Held,
            Fault::HoldAll(member) if from == member || to == member => return Way::Held,
            _ => false,
        };
        if closed { Way::Closed } else { Way::Open }
    }
}

impl Fault {
    /// By how many thousandths it makes a member's monotonic clock wrong.
    #[must_use]
    pub fn drift(&self, member: usize) -> Option<i64> {
        match *self {
            Fault::Drift(one, drift) if one == member => Some(drift),
            Fault::DriftAllBut(one, drift) if one != member => Some(drift),
            _ => None,
        }
    }
}

/// How clocks go wrong: slow in some runs, fast in others, and half of the time by as much as a lease allows.
fn drift(member: usize, slow: bool, dice: &mut Dice) -> Fault {
    let most = if slow { SLOWEST } else { FASTEST };
    let drift = match dice.once_in(2) {
        true => most,
        false => most * dice.of(1..100) as i64 / 100,
    };
    match dice.of(0..3) {
        0 => Fault::Drift(member, drift),
        _ if slow => Fault::DriftLeader(drift),
        _ => Fault::DriftFollowers(drift),
    }
}

/// A leader whose clock is slow hears nobody, and nothing else goes wrong.
#[must_use]
pub fn slow_leader() -> Vec<Planned> {
    let (from, to) = (TICK * 1_000, FAULTS);
    let faults = [Fault::DriftLeader(SLOWEST), Fault::IsolateLeader];
    faults.map(|fault| Planned { from, to, fault }).into()
}

/// What goes wrong with a king or its serf.
fn kings(member: usize, dice: &mut Dice) -> Fault {
    match dice.of(0..14) {
        0..3 => Fault::Serf(member, Trouble::Dies),
        3 => Fault::Serf(member, Trouble::Hangs),
        4..6 => Fault::Serf(member, Trouble::Slow(dice.of(2..60))),
        6..8 => Fault::Clock(member, dice.of(0..40_000) as i64 - 20_000),
        8..10 => Fault::Save(member),
        10 => Fault::Roll(member),
        11..13 => Fault::Stall(member),
        _ => Fault::Leave(member),
    }
}

/// What may go wrong while a disk that was lost is filled again: the logs end behind what it needs, a connection breaks over and over, the
/// leader dies over the change of members, and of whole kings nobody has the first epoch any more.
fn around_wipe(member: usize, members: usize, ship: bool, dice: &mut Dice) -> Vec<Fault> {
    let others = (0..members).filter(|other| *other != member);
    let mut faults = Vec::new();
    if dice.once_in(2) {
        faults.push(Fault::Purge);
        if ship && dice.once_in(2) {
            faults.extend(others.clone().map(Fault::Roll));
        }
    }
    match dice.of(0..4) {
        0 => faults.extend(others.map(|other| Fault::Flap(member, other))),
        1 => faults.extend(others.map(|other| Fault::SlowLink(member, other, TICK * 100))),
        _ => {}
    }
    if dice.once_in(2) {
        faults.push(Fault::CrashInChange);
    }
    faults
}

/// What goes wrong in a cluster of `members`, of logs or of whole kings.
#[must_use]
pub fn plan(members: usize, ship: bool, dice: &mut Dice) -> Vec<Planned> {
    let mut planned = Vec::new();
    let mut from = Duration::ZERO;
    if dice.once_in(3) {
        planned.push(Planned {
            from,
            to: FAULTS,
            fault: Fault::Purge,
        });
    }
    // A clock that is slow beside one that is fast would be more than a lease allows.
    let slow = dice.once_in(2);
    // Some runs are busier than others.
    let pause = dice.of(100..1_500);
    loop {
        from += TICK * dice.of(20..2 * pause) as u32;
        if from >= FAULTS {
            planned.sort_by_key(|planned| planned.from);
            return planned;
        }
        let member = dice.of(0..members as u64) as usize;
        let (one, other) = dice.pair(members);
        let mut lasts = TICK * dice.of(50..3_000) as u32;
        let fault = match dice.of(0..if ship { 50 } else { 36 }) {
            0..4 => Fault::Crash(member),
            4 => {
                lasts = lasts.min(TICK * 800);
                Fault::CrashAll
            }
            5..7 => Fault::Cut(one, other),
            7..9 => Fault::OneWay(one, other),
            9..12 => Fault::Isolate(member),
            12 => Fault::Mute(member),
            13 => Fault::Bridge(member),
            14 => Fault::Flap(one, other),
            15 => Fault::Hold(one, other),
            16 => Fault::HoldAll(member),
            17 => Fault::SlowLink(one, other, TICK * dice.of(20..400) as u32),
            18..20 => Fault::SlowDisk(member, TICK * dice.of(20..500) as u32),
            20 => Fault::Disk(
                member,
                [Failing::Write, Failing::Sync, Failing::Full][dice.of(0..3) as usize],
            ),
            21..23 => Fault::Purge,
            23 => Fault::Transfer(member),
            24..27 => {
                // Past its lease in most cases, past elections in many.
                lasts += TICK * 300;
                Fault::StopLeader
            }
            27 => Fault::Stop(member),
            28 => {
                lasts += TICK * 1_500;
                let to = (from + lasts).min(FAULTS);
                let fault = drift(member, slow, dice);
                planned.push(Planned { from, to, fault });
                // It matters where a lease runs out.
                Fault::IsolateLeader
            }
            29..32 => {
                // It may have to wait for the others, and they for it.
                lasts += TICK * 1_500;
                for fault in around_wipe(member, members, ship, dice) {
                    let to = (from + lasts).min(FAULTS);
                    planned.push(Planned { from, to, fault });
                }
                Fault::Wipe(member, dice.of(50..800))
            }
            // Long enough for another to be elected.
            32..36 => {
                lasts += TICK * 1_200;
                // What it had written alone it takes back then. Does that survive? Kings have trouble enough of their own.
                if !ship {
                    if dice.once_in(2) {
                        let to = (from + lasts).min(FAULTS);
                        let fault = drift(member, slow, dice);
                        planned.push(Planned { from, to, fault });
                    }
                    let from = from + lasts + TICK * dice.of(20..400) as u32;
                    let to = (from + TICK * 200).min(FAULTS);
                    let fault = Fault::CrashAll;
                    planned.extend((from < FAULTS).then_some(Planned { from, to, fault }));
                }
                Fault::IsolateLeader
            }
            _ => kings(member, dice),
        };
        let to = (from + lasts).min(FAULTS);
        planned.push(Planned { from, to, fault });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bridge_parts_all_but_the_one_in_the_middle() {
        let bridge = Fault::Bridge(1);
        assert_eq!(bridge.way(0, 2, 0), Way::Closed);
        assert_eq!(bridge.way(2, 0, 0), Way::Closed);
        assert_eq!(bridge.way(0, 1, 0), Way::Open);
        assert_eq!(bridge.way(1, 2, 0), Way::Open);
    }

    #[test]
    fn one_way_leaves_the_other_open() {
        let fault = Fault::OneWay(0, 1);
        assert_eq!((fault.way(0, 1, 0), fault.way(1, 0, 0)), (Way::Closed, Way::Open));
    }

    #[test]
    fn a_seed_is_a_plan_and_ends_in_time() {
        let plan_of = |seed| plan(3, seed % 2 == 0, &mut Dice::new(seed, 1));
        assert_eq!(format!("{:?}", plan_of(7)), format!("{:?}", plan_of(7)));
        assert_ne!(format!("{:?}", plan_of(7)), format!("{:?}", plan_of(8)));
        assert!(plan_of(7).iter().all(|planned| planned.to <= FAULTS));
    }
}
