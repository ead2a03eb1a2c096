//! An office: what a leader has that a follower has not. The drivers, their queues, the pipeline, the clock.

use super::serf::{Asked, AskedPeek};
use crate::{
    clock::EventClock,
    driver::{
        Claim, Driver, DropReason, Effect, Intake, Message, Outcome, OutcomeCallback, Planned, PlannedPeek,
        Request,
    },
    limits,
    ovum::{Ovum, wire_path},
    pipeline::{BatchLimits, Pipeline, Released, RunAhead},
};
use replog::Term;
use seguro_event::EventNumber;
use serf_ipc::Noun;
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

/// What the pier wants back with an event's outcome.
pub(crate) struct Work {
    pub(crate) ovum: Ovum,
    outcome: Option<OutcomeCallback>,
    /// Whether this is the office's `%wyrd`, for which the drivers wait.
    pub(crate) wyrd: bool,
    _place: Option<OwnedSemaphorePermit>,
}

impl Work {
    pub(crate) fn tell(self, outcome: Outcome) {
        match self.outcome {
            Some(callback) => callback(outcome),
            None => {
                if let Outcome::Bailed(goofs) = &outcome {
                    let tag = self.ovum.tag();
                    let path = self.ovum.path();
                    crate::console::goofs(goofs);
                    tracing::warn!(target: crate::console::TARGET, "king: %{tag} event on {path} failed");
                }
            }
        }
    }
}

/// How far an office has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The serf is being brought to the barrier, and the machines are being waited for.
    CatchingUp,
    /// The ship's galaxy is being asked whether the ship lives elsewhere.
    Checking,
    /// It does not, as far as anybody knows.
    Checked,
    /// The kernel is being asked for the last event's date.
    Dating,
    /// `%wyrd` is on its way; everything else waits for it.
    Wyrd,
    /// The drivers run.
    Open,
    /// Nothing new is taken: the office is about to be handed over.
    Draining,
}

pub(crate) type OfficePipeline = Pipeline<Work, AskedPeek>;

/// One office.
pub(crate) struct Office {
    pub(crate) term: Term,
    pub(crate) barrier: EventNumber,
    pub(crate) stage: Stage,
    pub(crate) pipeline: OfficePipeline,
    pub(crate) clock: Option<EventClock>,
    pub(crate) live_said: bool,
    /// Whether the office was offered to a member whose serf is nearer.
    pub(crate) offered: bool,
    pub(crate) since: Instant,
    /// When a quorum was last asked and confirmed the office.
    pub(crate) confirmed: Option<Instant>,
    drivers: Vec<Box<dyn Driver>>,
    queues: Vec<VecDeque<Planned>>,
    /// Whose turn it is among the drivers, and how many events it may still have in it.
    turn: (usize, usize),
    peeks: VecDeque<PlannedPeek>,
    messages: mpsc::UnboundedReceiver<(usize, Message)>,
    sender: mpsc::UnboundedSender<(usize, Message)>,
    /// Kinds of effects that no driver takes, named once each.
    lost: std::collections::BTreeSet<String>,
    /// Events planned by nobody's driver: `%wyrd`.
    own: VecDeque<Work>,
}

impl Office {
    pub(crate) fn new(
        term: Term,
        barrier: EventNumber,
        run_ahead: RunAhead,
        batch: BatchLimits,
        now: Instant,
    ) -> Office {
        let (sender, messages) = mpsc::unbounded_channel();
        Office {
            term,
            barrier,
            stage: Stage::CatchingUp,
            pipeline: Pipeline::new(term, barrier, run_ahead, batch),
            clock: None,
            live_said: false,
            offered: false,
            since: now,
            confirmed: None,
            drivers: Vec::new(),
            queues: Vec::new(),
            turn: (0, 0),
            peeks: VecDeque::new(),
            messages,
            sender,
            lost: std::collections::BTreeSet::new(),
            own: VecDeque::new(),
        }
    }

    /// An intake for the driver that will stand at this place in the list.
    pub(crate) fn intake(&self, place: usize) -> Intake {
        Intake::new(place, self.sender.clone())
    }

    /// Starts the drivers, in vere's order: their first events are planned in it.
    pub(crate) fn open(&mut self, drivers: Vec<Box<dyn Driver>>) -> anyhow::Result<()> {
        self.queues = drivers.iter().map(|_| VecDeque::new()).collect();
        // After the last one's turn comes the first one's.
        self.turn = (drivers.len().saturating_sub(1), 0);
        self.drivers = drivers;
        for driver in &mut self.drivers {
            let name = driver.name();
            driver
                .start()
                .map_err(|error| error.context(format!("the {name} driver cannot start")))?;
        }
        self.stage = Stage::Open;
        Ok(())
    }

    /// Plans an event of the king's own, ahead of all drivers'.
    pub(crate) fn plan_wyrd(&mut self, ovum: Ovum) {
        self.own.push_back(Work {
            ovum,
            outcome: None,
            wyrd: true,
            _place: None,
        });
        self.stage = Stage::Wyrd;
    }

    /// Plans a peek of the king's own.
    pub(crate) fn plan_peek(&mut self, peek: PlannedPeek) {
        self.peeks.push_back(peek);
    }

    /// The next message of a driver.
    pub(crate) async fn message(&mut self) -> Option<(usize, Message)> {
        self.messages.recv().await
    }

    /// The same, if it is there already.
    pub(crate) fn message_now(&mut self) -> Option<(usize, Message)> {
        self.messages.try_recv().ok()
    }

    /// Sorts a driver's message into its queue; what is asked of the king comes back.
    pub(crate) fn sort(&mut self, (place, message): (usize, Message)) -> Option<Request> {
        match message {
            Message::Plan(planned) => {
                if self.stage == Stage::Draining {
                    drop_planned(planned);
                } else if let Some(queue) = self.queues.get_mut(place) {
                    if planned.again {
                        queue.push_front(planned);
                    } else {
                        queue.push_back(planned);
                    }
                }
                None
            }
            Message::Peek(peek) => {
                self.peeks.push_back(peek);
                None
            }
            Message::Request(request) => Some(request),
            Message::Poke => None,
        }
    }

    /// Whether something waits for the serf.
    pub(crate) fn has_waiting(&self) -> bool {
        !self.own.is_empty() || !self.peeks.is_empty() || self.queues.iter().any(|queue| !queue.is_empty())
    }

    /// The next event of a driver's. As in vere (`spec/ipc.md` section 9) the drivers have their turns in the order of their
    /// list, each with what it has waiting, but for a bound: whoever is flooded keeps nobody else from having an event
    /// computed.
    fn take(&mut self) -> Option<Planned> {
        let (place, left) = self.turn;
        let goes_on = left > 0 && self.queues.get(place).is_some_and(|queue| !queue.is_empty());
        if !goes_on {
            let count = self.queues.len();
            let next = (place + 1..=place + count)
                .map(|place| place % count)
                .find(|place| !self.queues[*place].is_empty())?;
            self.turn = (next, limits::DRIVER_TURN);
        }
        self.turn.1 -= 1;
        self.queues.get_mut(self.turn.0)?.pop_front()
    }

    /// The next thing for the serf: an event, and a peek after each event. `now` is the batch's date: further events of the
    /// batch are dated a step more each.
    pub(crate) fn next(&mut self, now: u128, prefer_peek: bool) -> Option<Next> {
        if (prefer_peek || !self.pipeline.may_feed())
            && self.stage != Stage::CatchingUp
            && let Some(peek) = self.peeks.pop_front()
        {
            return Some(Next::Peek(peek));
        }
        if !self.pipeline.may_feed() {
            return None;
        }
        let is_open = matches!(self.stage, Stage::Open | Stage::Draining);
        let work = match self.own.pop_front() {
            Some(own) => Some(own),
            None if is_open => self.take().map(|planned| Work {
                ovum: planned.ovum,
                outcome: planned.outcome,
                wyrd: false,
                _place: planned._place,
            }),
            None => None,
        };
        if let (Some(work), Some(clock)) = (work, &mut self.clock) {
            let job = work.ovum.job(clock.stamp(now));
            return Some(Next::Work { job, work });
        }
        self.peeks.pop_front().map(Next::Peek)
    }

    /// Gives out one released thing. True when it was the `%wyrd`'s acceptance.
    pub(crate) fn give_out(&mut self, released: Released<Work, AskedPeek>) -> GaveOut {
        match released {
            Released::Event(event, outcome, work) => {
                let wyrd = work.wyrd;
                work.tell(outcome);
                event.for_each(
                    |effect| route(&mut self.drivers, &mut self.lost, effect),
                    |odd| tracing::warn!(event = %event.number(), ?odd, "an effect that is not [wire tag data]"),
                );
                if wyrd {
                    GaveOut::WyrdAccepted
                } else {
                    GaveOut::Event
                }
            }
            Released::Bail(Outcome::Bailed(goofs), work) if work.wyrd => {
                crate::console::goofs(&goofs);
                GaveOut::WyrdRefused
            }
            Released::Bail(outcome, work) => {
                work.tell(outcome);
                GaveOut::Event
            }
            Released::Peek(answer, asked) => {
                (asked.answer)(answer);
                GaveOut::Event
            }
        }
    }

    /// The serf died over the oldest event that it was given. One over which it died too often is given up, and its driver told;
    /// but without the kernel's answer to `%wyrd` no office begins, so that is asked again.
    ///
    /// # Errors
    /// How often it died over `%wyrd`, when that is more often than a sound serf does.
    pub(crate) fn serf_died(&mut self) -> Result<(), u32> {
        let Some(fed) = self.pipeline.oldest_in_serf() else {
            return Ok(());
        };
        fed.kills += 1;
        match (fed.kills, fed.tag.wyrd) {
            (kills, true) if kills >= limits::SERF_DEATHS_IN_A_ROW => Err(kills),
            (kills, false) if kills >= limits::KILLS_PER_EVENT => {
                self.give_up_oldest();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn give_up_oldest(&mut self) {
        let work = self.pipeline.give_up_oldest();
        tracing::error!(
            wire = %work.ovum.path(), tag = %work.ovum.tag(),
            "this event ended the serf {} times: it is dropped; the ship goes on without it", limits::KILLS_PER_EVENT
        );
        work.tell(Outcome::Dropped(DropReason::KilledSerf));
    }

    /// Whether all drivers are live.
    pub(crate) fn is_live(&self) -> bool {
        self.stage == Stage::Open && self.drivers.iter().all(|driver| driver.is_live())
    }

    /// The ship printed something. The driver that takes it is the last to hear of it.
    pub(crate) fn slog(&mut self, what: &Noun) -> Claim {
        let taken = self
            .drivers
            .iter_mut()
            .any(|driver| driver.slog(what) == Claim::Taken);
        if taken { Claim::Taken } else { Claim::Passed }
    }

    /// The drivers' own lines.
    pub(crate) fn info(&self) -> Vec<(String, u64)> {
        self.drivers
            .iter()
            .flat_map(|driver| {
                driver
                    .info()
                    .into_iter()
                    .map(|(name, value)| (format!("{}-{name}", driver.name()), value))
            })
            .collect()
    }

    /// Events that wait for the serf.
    pub(crate) fn waiting(&self) -> usize {
        self.own.len() + self.queues.iter().map(VecDeque::len).sum::<usize>()
    }

    /// How long the oldest waiting event has waited.
    pub(crate) fn oldest_wait(&self, now: Instant) -> Duration {
        self.queues
            .iter()
            .filter_map(VecDeque::front)
            .map(|planned| now.saturating_duration_since(planned.since))
            .max()
            .unwrap_or_default()
    }

    /// Takes nothing new; what waits is dropped and told so.
    pub(crate) fn drain(&mut self) {
        self.stage = Stage::Draining;
        for queue in &mut self.queues {
            queue.drain(..).for_each(drop_planned);
        }
        self.own.clear();
    }

    /// Stops the drivers in order.
    pub(crate) fn stop_drivers(&mut self) {
        for driver in &mut self.drivers {
            driver.stop();
        }
        self.drivers.clear();
    }

    /// Ends the office: its drivers are told of everything that they wait for, and stopped. True if the serf holds
    /// something that may not happen.
    pub(crate) fn end(mut self) -> bool {
        let speculative = self.pipeline.is_speculative();
        while let Ok((_, message)) = self.messages.try_recv() {
            if let Message::Plan(planned) = message {
                drop_planned(planned);
            }
        }
        self.drain();
        let abandoned = self.pipeline.end();
        for work in abandoned.events {
            work.tell(Outcome::Unknown);
        }
        for peek in abandoned.peeks {
            (peek.answer)(crate::driver::PeekAnswer::Unavailable);
        }
        for peek in self.peeks.drain(..) {
            (peek.answer)(crate::driver::PeekAnswer::Unavailable);
        }
        for driver in &mut self.drivers {
            driver.stop();
        }
        speculative
    }
}

/// What was given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GaveOut {
    /// An event's effects, a refusal or an answer.
    Event,
    /// The kernel accepted this king.
    WyrdAccepted,
    /// The kernel refused this king.
    WyrdRefused,
}

/// Something for the serf.
pub(crate) enum Next {
    /// An event.
    Work {
        /// `[now wire card]`.
        job: Noun,
        /// What goes with it.
        work: Work,
    },
    /// A peek.
    Peek(PlannedPeek),
}

impl From<PlannedPeek> for Asked {
    fn from(peek: PlannedPeek) -> Asked {
        Asked::Peek(AskedPeek {
            answer: peek.answer,
            since: crate::clock::instant(),
        })
    }
}

fn drop_planned(planned: Planned) {
    if let Some(callback) = planned.outcome {
        callback(Outcome::Dropped(DropReason::OfficeOver));
    }
}

/// The first driver that takes the effect has it; what nobody takes is named once a kind.
fn route(
    drivers: &mut [Box<dyn Driver>],
    lost: &mut std::collections::BTreeSet<String>,
    effect: &Effect<'_>,
) {
    for driver in drivers.iter_mut() {
        if driver.effect(effect) == Claim::Taken {
            return;
        }
    }
    let kind = format!(
        "%{} on {}",
        effect.tag,
        effect.wire.head().and_then(Noun::as_cord).unwrap_or_default()
    );
    if lost.len() < limits::LOST_KINDS && lost.insert(kind) {
        tracing::info!(target: crate::console::TARGET, "kick: lost %{} on {}", effect.tag, wire_path(effect.wire));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serf_ipc::n;

    /// A driver that does nothing by itself.
    struct Idle;

    impl Driver for Idle {
        fn name(&self) -> &'static str {
            "idle"
        }

        fn start(&mut self) -> anyhow::Result<()> {
            Ok(())
        }

        fn effect(&mut self, _effect: &Effect<'_>) -> Claim {
            Claim::Passed
        }

        fn is_live(&self) -> bool {
            true
        }
    }

    /// An office with two drivers.
    fn office() -> Office {
        let run_ahead = RunAhead {
            events: 8,
            bytes: 1000,
            in_serf: 8,
        };
        let now = crate::clock::instant();
        let mut office = Office::new(Term(1), EventNumber(5), run_ahead, BatchLimits::default(), now);
        office.clock = Some(EventClock::new(None));
        office.open(vec![Box::new(Idle), Box::new(Idle)]).unwrap();
        office
    }

    /// Gives the serf what waits.
    fn feed(office: &mut Office) {
        while let Some(message) = office.message_now() {
            assert!(office.sort(message).is_none());
        }
        while let Some(Next::Work { job, work }) = office.next(0, false) {
            office.pipeline.fed(job, bytes::Bytes::new(), work);
        }
    }

    #[tokio::test]
    async fn an_event_that_ends_the_serf_too_often_is_given_up() {
        let mut office = office();
        let (told, outcome) = std::sync::mpsc::channel();
        let ovum = Ovum::new("d", ["term", "1"], n!["bad", 0u64]);
        let tell = move |outcome: Outcome| drop(told.send(format!("{outcome:?}")));
        office.intake(0).plan_now(ovum, Some(Box::new(tell)));
        feed(&mut office);
        for _ in 1..limits::KILLS_PER_EVENT {
            office.serf_died().unwrap();
            assert!(outcome.try_recv().is_err(), "it is tried again");
        }
        office.serf_died().unwrap();
        assert_eq!(outcome.try_recv().unwrap(), "Dropped(KilledSerf)");
        assert_eq!(office.pipeline.depth(), (0, 0));
        office.serf_died().unwrap();
    }

    #[tokio::test]
    async fn a_wyrd_that_ends_the_serf_is_asked_again_or_the_king_gives_up() {
        let mut office = office();
        office.plan_wyrd(Ovum::new("", ["arvo"], n!["wyrd", 0u64]));
        feed(&mut office);
        for _ in 1..limits::SERF_DEATHS_IN_A_ROW {
            office.serf_died().unwrap();
            assert_eq!(office.pipeline.depth(), (1, 0), "it is tried again");
        }
        assert_eq!(office.serf_died(), Err(limits::SERF_DEATHS_IN_A_ROW));
    }

    #[tokio::test]
    async fn what_is_tried_again_goes_before_what_was_planned_later() {
        let mut office = office();
        let ovum = |name: &'static str| Ovum::new("d", ["term", "1"], n![name, 0u64]);
        office.intake(1).plan_now(ovum("other"), None);
        office.intake(0).plan_now(ovum("later"), None);
        office.intake(0).plan_again(ovum("again"), None);
        while let Some(message) = office.message_now() {
            assert!(office.sort(message).is_none());
        }
        let mut tags = Vec::new();
        while let Some(Next::Work { work, .. }) = office.next(0, false) {
            tags.push(work.ovum.tag());
        }
        assert_eq!(tags, ["again", "later", "other"]);
    }

    #[tokio::test]
    async fn who_is_flooded_keeps_nobody_else_waiting() {
        let mut office = office();
        for _ in 0..3 * limits::DRIVER_TURN {
            office
                .intake(0)
                .plan_now(Ovum::new("a", ["ames"], n!["hear", 0u64]), None);
        }
        office
            .intake(1)
            .plan_now(Ovum::new("b", ["behn"], n!["wake", 0u64]), None);
        while let Some(message) = office.message_now() {
            assert!(office.sort(message).is_none());
        }
        let mut tags = Vec::new();
        while let Some(Next::Work { work, .. }) = office.next(0, false) {
            tags.push(work.ovum.tag());
            // The flood does not stop.
            if tags.len() < 10 * limits::DRIVER_TURN {
                office
                    .intake(0)
                    .plan_now(Ovum::new("a", ["ames"], n!["hear", 0u64]), None);
                while let Some(message) = office.message_now() {
                    assert!(office.sort(message).is_none());
                }
            }
        }
        let woken = tags.iter().position(|tag| tag == "wake");
        assert_eq!(woken, Some(limits::DRIVER_TURN), "in its turn");
        assert!(tags.len() > 10 * limits::DRIVER_TURN, "and the rest after it");
    }
}
