//! The release protocol as a model, checked exhaustively in small: elections, run-ahead, commit, release, reads, rollback, snapshots.
//!
//! What is modelled, by the names of the code:
//!
//! | here | there |
//! | --- | --- |
//! | `Member::log`, `Member::committed` | `replog`: the log, and `Replog::committed` with the proposer's term |
//! | `Office::barrier` | `Role::Leader { barrier }`: what the log held when the office began |
//! | `Office::computed` beyond `Member::log` | `pipeline`: events that the serf computed and that are not proposed yet (run-ahead) |
//! | `Member::serf` | the serf's state: the events that it has computed or played, in order |
//! | `Member::lease` | `Replog::lease_holds`; a grant is what followers promise until it runs out |
//! | [`Step::Release`] | `Pier::release`, `Pipeline::release_next` |
//! | [`Step::Read`] | `Released::Peek`: answered once all that it saw is committed, by a leader that is certain |
//! | [`Step::EndOffice`] | `Pier::end_office`: the serf is rolled back if `Pipeline::is_speculative` |
//! | [`Step::Save`] | `Pier::serf_may_save`, `Pipeline::may_save` |
//!
//! Consensus is Raft's in its rules (votes by a quorum for a log at least as new, entries of the own term committed by a quorum), and
//! exchanges between two members are one step each: what a network does to single messages is the simulator's to try. Time is only
//! in leases: a grant holds until [`Step::LeaseEnds`], and while a quorum grants nobody else is elected by it.
//!
//! [`Planted`] takes one rule away; each must make a property fail ([`tests`](self)), or the properties would prove nothing.

use stateright::{Model, Property};

/// Members.
pub const MEMBERS: usize = 3;

/// An event: the office that computed it, and which of that office's it is. Two futures never share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Event {
    /// The term of the office.
    pub term: u8,
    /// Who held it: two may believe it of one term, where something is wrong.
    pub by: u8,
    /// The how-manieth of that office.
    pub nth: u8,
}

/// An office, as the member that holds it sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Office {
    /// Events in the log when it began: others' to release, or nobody's.
    pub barrier: u8,
    /// Events given out, the barrier's included.
    pub released: u8,
    /// Events computed in this office.
    pub computed: u8,
}

/// A member.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Member {
    /// The newest term it knows: what it voted in.
    pub term: u8,
    /// The replicated log.
    pub log: Vec<Event>,
    /// How much of it this member knows to be committed.
    pub committed: u8,
    /// The events that the serf has seen.
    pub serf: Vec<Event>,
    /// The serf's snapshot.
    pub saved: Vec<Event>,
    /// Its office, if it believes that it has one.
    pub office: Option<Office>,
    /// Whether a quorum's grant to its office still holds.
    pub lease: bool,
}

impl Member {
    /// What it knows to be committed.
    fn known(&self) -> &[Event] {
        let committed = usize::from(self.committed).min(self.log.len());
        &self.log[..committed]
    }
}

/// The ship.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ship {
    /// The members.
    pub members: [Member; MEMBERS],
    /// What the world has seen: effects, in the order of their release.
    pub seen: Vec<Event>,
    /// Whether a read showed the world less than it had seen before, or what is not committed.
    pub bad_read: bool,
}

/// What can happen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// A member is elected by itself and another.
    Elect(usize, usize),
    /// A leader's serf computes an event, ahead of the commit.
    Compute(usize),
    /// The leader hands what is computed to the log.
    Propose(usize),
    /// A leader brings a follower's log to its own, and tells it what is committed.
    Replicate(usize, usize),
    /// A leader learns that a quorum has its log.
    Commit(usize),
    /// A leader gives out the next event's effects.
    Release(usize),
    /// A leader answers a peek.
    Read(usize),
    /// A quorum's grant runs out.
    LeaseEnds(usize),
    /// A quorum acknowledges a leader anew.
    LeaseRenewed(usize, usize),
    /// A member sees that its office is over.
    EndOffice(usize),
    /// A follower's serf plays the next committed event.
    Play(usize),
    /// The serf writes a snapshot.
    Save(usize),
    /// The process dies and starts again: what is on disk stays.
    Crash(usize),
}

/// A rule that is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// None: the protocol as it is.
    Nothing,
    /// Effects are given out as soon as they are computed.
    ReleaseBeforeCommit,
    /// A new office gives out what lies before its barrier.
    ReleaseBeforeBarrier,
    /// A serf that saw a future that did not happen is kept.
    RollbackForgotten,
    /// A snapshot is taken of what is not committed.
    SaveAheadOfCommit,
    /// A read is answered without waiting for the commit of what it saw.
    ReadBeforeCommit,
    /// A read is answered by a leader whose lease has run out.
    ReadWithoutLease,
    /// A vote is not on disk when it is given.
    VoteNotSynced,
}

/// The model, its bounds, and what is wrong with it.
#[derive(Clone, Copy, Debug)]
pub struct Release {
    /// What is wrong.
    pub planted: Planted,
    /// Offices in all.
    pub terms: u8,
    /// Events of one office.
    pub per_office: u8,
    /// Events in a log.
    pub events: u8,
    /// Whether processes die.
    pub crashes: bool,
}

fn newer_or_same(a: &[Event], b: &[Event]) -> bool {
    let key = |log: &[Event]| (log.last().map_or(0, |event| event.term), log.len());
    key(a) >= key(b)
}

impl Ship {
    fn quorum_has(&self, entry: usize, event: Event) -> bool {
        let have = |member: &&Member| member.log.get(entry) == Some(&event);
        self.members.iter().filter(have).count() * 2 > MEMBERS
    }

    /// Whether somebody has committed this.
    fn is_committed(&self, events: &[Event]) -> bool {
        self.members
            .iter()
            .any(|member| member.known().starts_with(events))
    }
}

impl Release {
    fn office_step(&self, ship: &Ship, at: usize, steps: &mut Vec<Step>) {
        let member = &ship.members[at];
        let Some(office) = &member.office else { return };
        let (log, serf) = (member.log.len(), member.serf.len());
        let current = serf >= log && serf >= usize::from(office.barrier);
        if current && office.computed < self.per_office && serf < usize::from(self.events) {
            steps.push(Step::Compute(at));
        }
        if serf > log {
            steps.push(Step::Propose(at));
        }
        steps.push(Step::Commit(at));
        let upto = match self.planted {
            Planted::ReleaseBeforeCommit => serf,
            _ => usize::from(member.committed),
        };
        if usize::from(office.released) < upto.min(serf)
            && (member.lease || self.planted == Planted::ReleaseBeforeCommit)
        {
            steps.push(Step::Release(at));
        }
        let seen_committed =
            serf <= usize::from(member.committed) || self.planted == Planted::ReadBeforeCommit;
        if current && seen_committed && (member.lease || self.planted == Planted::ReadWithoutLease) {
            steps.push(Step::Read(at));
        }
        if member.lease {
            steps.push(Step::LeaseEnds(at));
        }
        for other in (0..MEMBERS).filter(|other| *other != at) {
            if ship.members[other].term <= member.term {
                steps.push(Step::Replicate(at, other));
                if ship.members[other].term == member.term && !member.lease {
                    steps.push(Step::LeaseRenewed(at, other));
                }
            }
        }
    }
}

impl Model for Release {
    type State = Ship;
    type Action = Step;

    fn init_states(&self) -> Vec<Ship> {
        vec![Ship {
            members: Default::default(),
            seen: Vec::new(),
            bad_read: false,
        }]
    }

    fn actions(&self, ship: &Ship, steps: &mut Vec<Step>) {
        for at in 0..MEMBERS {
            let member = &ship.members[at];
            self.office_step(ship, at, steps);
            if member.office.is_none() {
                for voter in (0..MEMBERS).filter(|voter| *voter != at) {
                    let other = &ship.members[voter];
                    // A voter that grants a lease gives its vote to nobody else. With three members every quorum has one.
                    let granted = ship.members.iter().enumerate().any(|(nth, leader)| {
                        nth != at
                            && leader.office.is_some()
                            && leader.lease
                            && leader.term >= other.term.max(member.term)
                    });
                    if member.term.max(other.term) < self.terms
                        && newer_or_same(&member.log, &other.log)
                        && !granted
                    {
                        steps.push(Step::Elect(at, voter));
                    }
                }
                if member.serf.len() < usize::from(member.committed) {
                    steps.push(Step::Play(at));
                }
            } else if ship.members.iter().any(|other| other.term > member.term) {
                steps.push(Step::EndOffice(at));
            }
            let may_save = member.serf.len() <= usize::from(member.committed)
                || self.planted == Planted::SaveAheadOfCommit;
            if may_save && member.saved != member.serf {
                steps.push(Step::Save(at));
            }
            if self.crashes {
                steps.push(Step::Crash(at));
            }
        }
    }

    fn next_state(&self, before: &Ship, step: Step) -> Option<Ship> {
        let mut ship = before.clone();
        match step {
            Step::Elect(at, voter) => {
                let term = ship.members[at].term.max(ship.members[voter].term) + 1;
                ship.members[voter].term = if self.planted == Planted::VoteNotSynced {
                    ship.members[voter].term
                } else {
                    term
                };
                end_office(&mut ship.members[voter], self.planted);
                let member = &mut ship.members[at];
                member.term = term;
                let barrier = u8::try_from(member.log.len()).ok()?;
                member.office = Some(Office {
                    barrier,
                    released: if self.planted == Planted::ReleaseBeforeBarrier {
                        member.committed.min(barrier).saturating_sub(1)
                    } else {
                        barrier
                    },
                    computed: 0,
                });
                member.lease = true;
                // The serf is brought to the barrier before anything is computed.
                catch_up(member, self.planted);
            }
            Step::Compute(at) => {
                let member = &mut ship.members[at];
                let office = member.office.as_mut()?;
                office.computed += 1;
                member.serf.push(Event {
                    term: member.term,
                    by: u8::try_from(at).ok()?,
                    nth: office.computed,
                });
            }
            Step::Propose(at) => {
                let member = &mut ship.members[at];
                let more: Vec<Event> = member.serf.get(member.log.len()..)?.to_vec();
                member.log.extend(more);
            }
            Step::Replicate(at, other) => {
                let (term, log, committed) = {
                    let leader = &ship.members[at];
                    (leader.term, leader.log.clone(), leader.committed)
                };
                let follower = &mut ship.members[other];
                if follower.term < term {
                    end_office(follower, self.planted);
                    follower.term = term;
                }
                if follower.office.is_some() {
                    return None;
                }
                follower.log = log;
                follower.committed = follower.committed.max(committed);
            }
            Step::Commit(at) => {
                let member = &ship.members[at];
                let mut committed = member.committed;
                for (entry, event) in member.log.iter().enumerate() {
                    let own = event.term == member.term;
                    if own && ship.quorum_has(entry, *event) {
                        committed = committed.max(u8::try_from(entry + 1).ok()?);
                    }
                }
                ship.members[at].committed = committed;
            }
            Step::Release(at) => {
                let member = &mut ship.members[at];
                let office = member.office.as_mut()?;
                let event = *member.serf.get(usize::from(office.released))?;
                office.released += 1;
                ship.seen.push(event);
            }
            Step::Read(at) => {
                let serf = ship.members[at].serf.clone();
                let shows_all = ship.seen.iter().all(|event| serf.contains(event));
                ship.bad_read |= !shows_all || !ship.is_committed(&serf);
            }
            Step::LeaseEnds(at) => ship.members[at].lease = false,
            Step::LeaseRenewed(at, other) => {
                if ship.members[other].office.is_some() {
                    return None;
                }
                ship.members[at].lease = true;
            }
            Step::EndOffice(at) => end_office(&mut ship.members[at], self.planted),
            Step::Play(at) => {
                let member = &mut ship.members[at];
                let event = *member.log.get(member.serf.len())?;
                member.serf.push(event);
            }
            Step::Save(at) => {
                let member = &mut ship.members[at];
                member.saved = member.serf.clone();
            }
            Step::Crash(at) => {
                let member = &mut ship.members[at];
                member.office = None;
                member.lease = false;
                member.serf = member.saved.clone();
                member.committed = u8::try_from(member.saved.len()).ok()?.min(member.committed);
            }
        }
        (ship != *before).then_some(ship)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("what was released is committed, and stays", |_, ship: &Ship| {
                ship.seen.iter().all(|event| {
                    let holders = ship.members.iter().filter(|member| member.log.contains(event));
                    holders.count() * 2 > MEMBERS
                })
            }),
            Property::always("released at most once, in the log's order", |_, ship: &Ship| {
                ship.seen.windows(2).all(|pair| pair[0] < pair[1])
            }),
            Property::always(
                "no read of an uncommitted or a deposed state",
                |_, ship: &Ship| !ship.bad_read,
            ),
            Property::always("logs agree on what is committed", |_, ship: &Ship| {
                ship.members.iter().all(|a| {
                    ship.members.iter().all(|b| {
                        let both = usize::from(a.committed.min(b.committed));
                        a.log.get(..both).is_some() && a.log.get(..both) == b.log.get(..both)
                    })
                })
            }),
            Property::always(
                "a follower's serf has seen what is committed, and no other future",
                |_, ship: &Ship| {
                    ship.members
                        .iter()
                        .filter(|member| member.office.is_none())
                        .all(|member| {
                            let committed = member.known();
                            committed.starts_with(&member.serf)
                                || member.serf.starts_with(committed) && ship.is_committed(&member.serf)
                        })
                },
            ),
            Property::always("a snapshot is never ahead of the commit", |_, ship: &Ship| {
                ship.members.iter().all(|member| ship.is_committed(&member.saved))
            }),
            Property::always("at most one leader is certain of its office", |_, ship: &Ship| {
                ship.members.iter().filter(|member| member.lease).count() <= 1
            }),
            Property::sometimes("effects of two offices are released", |_, ship: &Ship| {
                ship.seen.first().map(|event| event.term) != ship.seen.last().map(|event| event.term)
            }),
        ]
    }
}

/// A member sees that its office is over: a serf that saw what may not happen goes back to its snapshot.
fn end_office(member: &mut Member, planted: Planted) {
    if member.office.take().is_none() {
        return;
    }
    member.lease = false;
    if member.serf.len() > usize::from(member.committed) && planted != Planted::RollbackForgotten {
        member.serf = member.saved.clone();
    }
}

/// A leader's serf plays the log up to the barrier.
fn catch_up(member: &mut Member, planted: Planted) {
    let seen = member.serf.len();
    if planted != Planted::RollbackForgotten && !member.log.starts_with(&member.serf) {
        member.serf = member.saved.clone();
    }
    if seen < member.log.len() || planted != Planted::RollbackForgotten {
        let more = member.log[member.serf.len().min(member.log.len())..].to_vec();
        member.serf.extend(more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stateright::Checker;

    const SMALL: Release = Release {
        planted: Planted::Nothing,
        terms: 2,
        per_office: 1,
        events: 2,
        crashes: false,
    };

    fn holds(model: Release) {
        let checker = model.checker().spawn_bfs().join();
        eprintln!("{} states", checker.unique_state_count());
        assert!(checker.is_done());
        checker.assert_properties();
    }

    /// Some property fails.
    fn is_found(planted: Planted, property: &'static str) {
        let model = Release { planted, ..SMALL };
        let checker = model.checker().spawn_bfs().join();
        assert!(
            checker.discovery(property).is_some(),
            "{planted:?} breaks \"{property}\""
        );
    }

    #[test]
    fn the_protocol_holds() {
        holds(Release {
            terms: 3,
            per_office: 1,
            ..SMALL
        });
    }

    #[test]
    fn it_holds_where_processes_die() {
        holds(Release {
            crashes: true,
            ..SMALL
        });
    }

    #[test]
    fn release_before_commit_is_found() {
        is_found(
            Planted::ReleaseBeforeCommit,
            "what was released is committed, and stays",
        );
    }

    #[test]
    fn release_before_the_barrier_is_found() {
        is_found(
            Planted::ReleaseBeforeBarrier,
            "released at most once, in the log's order",
        );
    }

    #[test]
    fn a_forgotten_rollback_is_found() {
        is_found(
            Planted::RollbackForgotten,
            "a follower's serf has seen what is committed, and no other future",
        );
    }

    #[test]
    fn a_snapshot_ahead_of_the_commit_is_found() {
        is_found(
            Planted::SaveAheadOfCommit,
            "a snapshot is never ahead of the commit",
        );
    }

    #[test]
    fn a_read_before_the_commit_is_found() {
        is_found(
            Planted::ReadBeforeCommit,
            "no read of an uncommitted or a deposed state",
        );
    }

    #[test]
    fn a_read_without_a_lease_is_found() {
        is_found(
            Planted::ReadWithoutLease,
            "no read of an uncommitted or a deposed state",
        );
    }

    #[test]
    fn a_vote_that_is_not_synced_is_found() {
        is_found(Planted::VoteNotSynced, "logs agree on what is committed");
    }
}
