//! Compute, commit, release: the deciding part of the one path, without I/O, clock or runtime.
//!
//! One [`Pipeline`] lives for one office. The pier tells it what happened (the serf answered, the log committed, the
//! office is confirmed) and asks it what may be done (feed another event, propose a batch, release, save). It holds
//! effects, answers and reports in one queue, each behind the event whose commit it waits for, and gives them out
//! only in that order and only behind a commit: an [`Effect`](crate::driver::Effect) can be made from nothing else.
//!
//! Asserted here, in release builds too: `released <= committed <= proposed <= computed`; events leave in order, each
//! once; a save only where everything computed is committed and nothing is in flight.

mod batching;
mod held;

pub use batching::{BatchLimits, Batching};
pub use held::{Released, ReleasedEvent, Token};

use bytes::Bytes;
use held::Held;
use replog::{Batch, Commit, Event, Term};
use seguro_event::{EventNumber, Mug};
use serf_ipc::{Goof, Noun};
use std::{collections::VecDeque, time::Instant};

/// How far the serf may run ahead of the commit.
#[derive(Clone, Copy, Debug)]
pub struct RunAhead {
    /// Events in the serf or computed and not committed.
    pub events: usize,
    /// Bytes of their jams.
    pub bytes: usize,
    /// Events in the serf's pipe, unanswered: enough that it never waits for the king, few enough that what comes
    /// next (a peek, another driver's event) does not wait long.
    pub in_serf: usize,
}

/// An event that the serf was given and has not answered. `T` is what the pier wants back with its outcome.
#[derive(Debug)]
pub struct Fed<T> {
    /// `[now wire card]`, as it was sent: a serf that is started anew is given the same.
    pub job: Noun,
    /// The same, jammed: what the log takes if the serf accepts it as it is.
    pub jam: Bytes,
    /// How often the serf died with this event at its head.
    pub kills: u32,
    /// The pier's own.
    pub tag: T,
}

/// The path of events through one office.
#[derive(Debug)]
pub struct Pipeline<T, P> {
    term: Term,
    run_ahead: RunAhead,
    batching: Batching,
    computed: EventNumber,
    proposed: EventNumber,
    committed: EventNumber,
    released: EventNumber,
    in_serf: VecDeque<Fed<T>>,
    in_serf_bytes: usize,
    /// How many events the serf has answered.
    answered: u64,
    /// Computed and not known to be committed; those after `proposed` are not proposed either.
    uncommitted: VecDeque<Event>,
    uncommitted_bytes: usize,
    unproposed_bytes: usize,
    held: VecDeque<Held<T, P>>,
}

impl<T, P> Pipeline<T, P> {
    /// The pipeline of an office that begins at `barrier`: everything up to it is committed, and whatever effects
    /// it had were for earlier offices to release.
    #[must_use]
    pub fn new(term: Term, barrier: EventNumber, run_ahead: RunAhead, limits: BatchLimits) -> Pipeline<T, P> {
        Pipeline {
            term,
            run_ahead,
            batching: Batching::new(limits),
            computed: barrier,
            proposed: barrier,
            committed: barrier,
            released: barrier,
            in_serf: VecDeque::new(),
            in_serf_bytes: 0,
            answered: 0,
            uncommitted: VecDeque::new(),
            uncommitted_bytes: 0,
            unproposed_bytes: 0,
            held: VecDeque::new(),
        }
    }

    /// The office's term.
    #[must_use]
    pub fn term(&self) -> Term {
        self.term
    }

    /// The last event that the serf has computed.
    #[must_use]
    pub fn computed(&self) -> EventNumber {
        self.computed
    }

    /// The last event that was handed to the log.
    #[must_use]
    pub fn proposed(&self) -> EventNumber {
        self.proposed
    }

    /// The last event that a quorum has.
    #[must_use]
    pub fn committed(&self) -> EventNumber {
        self.committed
    }

    /// The last event whose effects were given out (or belonged to an earlier office).
    #[must_use]
    pub fn released(&self) -> EventNumber {
        self.released
    }

    /// Events in the serf, and events computed and not committed.
    #[must_use]
    pub fn depth(&self) -> (usize, usize) {
        (self.in_serf.len(), self.uncommitted.len())
    }

    /// Whether the serf may be given one more event now.
    #[must_use]
    pub fn may_feed(&self) -> bool {
        let (in_serf, uncommitted) = self.depth();
        in_serf < self.run_ahead.in_serf
            && in_serf + uncommitted < self.run_ahead.events
            && self.in_serf_bytes + self.uncommitted_bytes < self.run_ahead.bytes
    }

    /// The serf was given an event.
    pub fn fed(&mut self, job: Noun, jam: Bytes, tag: T) {
        self.in_serf_bytes += jam.len();
        self.in_serf.push_back(Fed {
            job,
            jam,
            kills: 0,
            tag,
        });
    }

    /// The event that the serf answers next.
    pub fn oldest_in_serf(&mut self) -> Option<&mut Fed<T>> {
        self.in_serf.front_mut()
    }

    /// The events that the serf was given and has not answered, oldest first.
    pub fn in_serf(&self) -> impl Iterator<Item = &Fed<T>> {
        self.in_serf.iter()
    }

    fn answered(&mut self) -> Fed<T> {
        let Some(fed) = self.in_serf.pop_front() else {
            unreachable_answer()
        };
        self.in_serf_bytes -= fed.jam.len();
        self.answered += 1;
        fed
    }

    /// How many events the serf has answered: another number, another event that it is at.
    #[must_use]
    pub fn answered_so_far(&self) -> u64 {
        self.answered
    }

    /// Takes out the oldest event in the serf, which ended it too often: it will not be computed.
    pub fn give_up_oldest(&mut self) -> T {
        self.answered().tag
    }

    /// The serf computed the oldest event given to it, or the job that it put in its place.
    pub fn computed_next(&mut self, next: Computed, now: Instant) {
        let fed = self.answered();
        let Computed {
            number,
            mug,
            effects,
            swapped,
        } = next;
        let (swapped, jam) = swapped.map_or((false, fed.jam), |job| (true, job));
        assert_eq!(
            number,
            self.computed.next(),
            "the serf numbers events one after another"
        );
        self.computed = number;
        self.uncommitted_bytes += jam.len();
        self.unproposed_bytes += jam.len();
        self.uncommitted.push_back(Event { number, mug, jam });
        self.batching.computed(now);
        self.held.push_back(Held::Event {
            number,
            effects,
            swapped,
            tag: fed.tag,
        });
    }

    /// The kernel refused the oldest event given to it: it has no number, but its report may show what was computed
    /// before it, so it waits for that.
    pub fn bailed_next(&mut self, goofs: Vec<Goof>) {
        let fed = self.answered();
        self.held.push_back(Held::Bail {
            behind: self.computed,
            goofs,
            tag: fed.tag,
        });
    }

    /// The kernel answered a peek; the answer shows everything computed before it, so it waits for that.
    pub fn peeked(&mut self, answer: Result<Noun, Goof>, tag: P) {
        self.held.push_back(Held::Peek {
            behind: self.computed,
            answer,
            tag,
        });
    }

    /// The next batch to propose, if one is due at `now`.
    pub fn take_batch(&mut self, now: Instant) -> Option<Batch> {
        let skip = usize::try_from(self.proposed.since(self.committed)).unwrap_or(usize::MAX);
        let waiting = self.uncommitted.len().saturating_sub(skip);
        if !self.batching.is_due(now, waiting, self.unproposed_bytes) {
            return None;
        }
        let unproposed = self.uncommitted.range(skip..);
        let count = self
            .batching
            .fits(unproposed.clone().map(|event| event.jam.len()));
        let events: Vec<Event> = unproposed.take(count).cloned().collect();
        let batch = Batch::new(events).ok()?;
        assert_eq!(
            batch.first(),
            self.proposed.next(),
            "batches are proposed in order, without a gap"
        );
        self.proposed = batch.last();
        assert!(
            self.proposed <= self.computed,
            "nothing is proposed that was not computed"
        );
        self.unproposed_bytes -= batch.events().iter().map(|event| event.jam.len()).sum::<usize>();
        self.batching
            .proposed(batch.last(), (self.proposed < self.computed).then_some(now));
        Some(batch)
    }

    /// When a batch that is being collected becomes due even if nothing else happens.
    #[must_use]
    pub fn batch_deadline(&self) -> Option<Instant> {
        self.batching.deadline(self.computed.since(self.proposed) > 0)
    }

    /// The log says how far it is committed. What another office committed is none of this one's: then the answer
    /// is false, and this office is over.
    #[must_use]
    pub fn committed_to(&mut self, commit: Commit) -> bool {
        if commit.event <= self.committed {
            return commit.term <= self.term;
        }
        if commit.term != self.term {
            return false;
        }
        assert!(
            commit.event <= self.proposed,
            "a quorum has event {} that was not proposed",
            commit.event
        );
        while self
            .uncommitted
            .front()
            .is_some_and(|event| event.number <= commit.event)
        {
            if let Some(event) = self.uncommitted.pop_front() {
                self.uncommitted_bytes -= event.jam.len();
            }
        }
        self.committed = commit.event;
        self.batching.committed(commit.event);
        self.check();
        true
    }

    /// Whether something waits only for being released.
    #[must_use]
    pub fn has_releasable(&self) -> bool {
        self.held
            .front()
            .is_some_and(|held| held.barrier() <= self.committed)
    }

    /// The peek whose answer would be given out next.
    #[must_use]
    pub fn front_peek(&self) -> Option<&P> {
        match self.held.front() {
            Some(Held::Peek { tag, .. }) => Some(tag),
            _ => None,
        }
    }

    /// The next thing that may be given out, in order. The caller has made sure that the office is confirmed
    /// (a leader that may have been deposed does not begin a release).
    pub fn release_next(&mut self) -> Option<Released<T, P>> {
        if !self.has_releasable() {
            return None;
        }
        let held = self.held.pop_front()?;
        if let Held::Event { number, .. } = &held {
            assert_eq!(
                *number,
                self.released.next(),
                "effects are released in order, each event once"
            );
            self.released = *number;
        }
        self.check();
        Some(held.release())
    }

    /// The event at which the serf may save: everything computed is committed, and nothing is in flight or waits to
    /// be given out. The caller has yet to make it durable in this member's event log.
    #[must_use]
    pub fn may_save(&self) -> Option<EventNumber> {
        (self.is_idle() && self.computed == self.committed).then_some(self.computed)
    }

    /// Whether nothing is on its way: all answered, all committed, all given out.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.in_serf.is_empty() && self.uncommitted.is_empty() && self.held.is_empty()
    }

    /// What was computed and is not known to be committed: a serf that is started anew while the office lasts is
    /// played these after the log.
    pub fn uncommitted(&self) -> impl Iterator<Item = &Event> {
        self.uncommitted.iter()
    }

    /// Ends the office: what was still on its way, for its drivers to be told that nobody knows.
    /// Whether the serf has seen a future that may not happen is for the caller to ask first ([`Self::is_speculative`]).
    pub fn end(self) -> Abandoned<T, P> {
        let mut abandoned = Abandoned {
            events: Vec::new(),
            peeks: Vec::new(),
        };
        for held in self.held {
            match held {
                Held::Event { tag, .. } | Held::Bail { tag, .. } => abandoned.events.push(tag),
                Held::Peek { tag, .. } => abandoned.peeks.push(tag),
            }
        }
        abandoned
            .events
            .extend(self.in_serf.into_iter().map(|fed| fed.tag));
        abandoned
    }

    /// Whether the serf holds, or is computing, something that is not known to be committed.
    #[must_use]
    pub fn is_speculative(&self) -> bool {
        !self.in_serf.is_empty() || self.computed != self.committed
    }

    fn check(&self) {
        assert!(
            self.released <= self.committed,
            "released {} before its commit",
            self.released
        );
        assert!(
            self.committed <= self.proposed,
            "committed {} was not proposed",
            self.committed
        );
        assert!(
            self.proposed <= self.computed,
            "proposed {} was not computed",
            self.proposed
        );
    }
}

/// What the serf says of an event that it computed.
#[derive(Debug)]
pub struct Computed {
    /// The event's number.
    pub number: EventNumber,
    /// The kernel's mug after it.
    pub mug: Mug,
    /// Its effects.
    pub effects: Noun,
    /// The jammed `[now wire card]` that the serf put in place of the one that was sent, which crashed.
    pub swapped: Option<Bytes>,
}

/// What was on its way when an office ended.
#[derive(Debug)]
pub struct Abandoned<T, P> {
    /// Events whose fate is unknown here.
    pub events: Vec<T>,
    /// Peeks without an answer.
    pub peeks: Vec<P>,
}

/// The session matches replies with what was asked, so an answer without an event cannot reach the pipeline.
#[expect(
    clippy::panic,
    reason = "invariant: the session answers only what was sent, and each send is `fed`"
)]
fn unreachable_answer() -> ! {
    panic!("the serf answered an event that the pipeline did not feed")
}

#[cfg(test)]
mod tests;
