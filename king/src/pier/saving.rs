//! When the serf saves: at an event that is committed by a quorum and durable in this member's event log, with
//! nothing in flight. So a snapshot never runs ahead of the log.

use super::{Pending, Pier, serf::Asked};
use crate::{
    limits,
    simulated::{self, Defect},
};
use replog::{Hold, ReadError, Role, RollError};
use seguro_event::EventNumber;
use serf_ipc::Writ;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// The state of saving.
pub(super) struct Saving {
    every: Duration,
    due: Instant,
    /// Wanted now: by the timer, or because the king leaves.
    wanted: bool,
    /// The event log is being synced up to the event to save.
    pub(super) syncing: Pending<Result<EventNumber, ReadError>>,
    /// The serf is writing.
    writing: Option<EventNumber>,
    saved: Option<EventNumber>,
    /// A new epoch is wanted at the next snapshot.
    roll: Option<Roll>,
    /// The log is rolling.
    pub(super) rolling: Pending<Result<EventNumber, RollError>>,
    /// The log is asked to stay where it ends.
    pub(super) holding: Pending<Hold>,
}

/// A roll that was asked for.
#[derive(Debug)]
struct Roll {
    keep: usize,
    answer: oneshot::Sender<Result<EventNumber, String>>,
    /// A member that does not lead keeps its log from growing while its serf saves: an epoch begins where the log ends. (A leader
    /// holds its intake.)
    hold: Option<Hold>,
}

impl Saving {
    pub(super) fn new(every: Duration, now: Instant) -> Saving {
        Saving {
            every,
            due: now + every,
            wanted: false,
            syncing: None,
            writing: None,
            saved: None,
            roll: None,
            rolling: None,
            holding: None,
        }
    }

    /// Wants a snapshot as soon as it may be.
    pub(super) fn want(&mut self) {
        self.wanted = true;
    }

    /// Wants a snapshot, a new epoch that begins there, and of all epochs only the newest `keep`.
    pub(super) fn want_roll(&mut self, keep: usize, answer: oneshot::Sender<Result<EventNumber, String>>) {
        self.wanted = true;
        let hold = self.roll.take().and_then(|earlier| earlier.hold);
        self.roll = Some(Roll { keep, answer, hold });
    }

    /// Whether a snapshot is wanted or under way: nothing new is fed meanwhile.
    pub(super) fn holds_intake(&self) -> bool {
        self.wanted || self.holds_serf()
    }

    /// Whether the serf must be left alone.
    pub(super) fn holds_serf(&self) -> bool {
        self.syncing.is_some() || self.writing.is_some() || self.rolling.is_some()
    }

    /// The last event that the serf is known to have saved.
    pub(super) fn saved(&self) -> Option<EventNumber> {
        self.saved
    }

    pub(super) fn know_saved(&mut self, event: EventNumber) {
        self.saved = Some(event);
    }

    /// The serf is gone or replaced: whatever was under way is not.
    pub(super) fn forget(&mut self) {
        self.syncing = None;
        self.writing = None;
        self.saved = None;
        if self.rolling.is_none() {
            self.let_go();
            self.wanted |= self.roll.is_some();
        }
    }

    /// The log may grow again.
    pub(super) fn let_go(&mut self) {
        self.holding = None;
        if let Some(roll) = &mut self.roll {
            roll.hold = None;
        }
    }

    /// The log stays where it ends.
    pub(super) fn heard_held(&mut self, hold: Hold) {
        if let Some(roll) = &mut self.roll {
            roll.hold = Some(hold);
        }
    }

    /// There will be no new epoch.
    fn give_up_roll(&mut self, why: &str) {
        if let Some(roll) = self.roll.take() {
            let _ = roll.answer.send(Err(why.to_owned()));
        }
        self.let_go();
    }

    pub(super) fn deadline(&self, now: Instant) -> Option<Instant> {
        (!self.holds_intake()).then_some(self.due.max(now))
    }
}

impl Pier {
    /// Moves a snapshot along, if one is due.
    pub(super) fn advance_saving(&mut self, now: Instant) {
        if now >= self.saving.due && !self.saving.holds_intake() && self.leaving.is_none() {
            self.saving.due = now + self.saving.every;
            if self.serf.is_awake() && self.saving.saved != Some(self.serf.event()) {
                self.saving.wanted = true;
            }
        }
        self.advance_hold();
        if !self.saving.wanted || self.saving.holds_serf() || !self.serf_may_save() {
            return;
        }
        let event = self.serf.event();
        if simulated::has(Defect::SavedAheadOfCommit) {
            self.saving.wanted = false;
            self.saving.writing = Some(event);
            // A session that refuses has nothing to be saved.
            let _ = self.serf.send(Writ::Save(event), Asked::Save(event), now);
            return;
        }
        self.saving.wanted = false;
        if event == EventNumber::ZERO {
            self.saving
                .give_up_roll("there is nothing yet after which an epoch could begin");
            return;
        }
        if self.saving.saved == Some(event) {
            self.roll_if_wanted(event);
            return;
        }
        let log = self.log.clone();
        self.saving.syncing = Some(Box::pin(
            async move { log.make_durable(event).await.map(|()| event) },
        ));
    }

    /// Has the log of a member that does not lead stay where it ends, if an epoch is to begin there.
    fn advance_hold(&mut self) {
        if self.saving.rolling.is_some() {
            return;
        }
        if self.leaving.is_some() {
            self.saving.give_up_roll("the pier is leaving");
        } else if matches!(*self.role.borrow(), Role::Leader { .. }) {
            // An office begins when what its predecessors left is applied.
            self.saving.let_go();
        } else if self.saving.roll.as_ref().is_some_and(|roll| roll.hold.is_none())
            && self.saving.holding.is_none()
            && self.serf.is_awake()
            && self.commit.event.since(self.serf.event()) <= limits::LAG_FOR_OFFICE
        {
            let log = self.log.clone();
            self.saving.holding = Some(Box::pin(async move { log.hold().await }));
        }
    }

    fn serf_may_save(&self) -> bool {
        if !self.serf.is_awake() || self.serf.depth() > 0 || self.catch_up.reading.is_some() {
            return false;
        }
        match &self.office {
            Some(_) if simulated::has(Defect::SavedAheadOfCommit) => true,
            Some(office) => {
                office.pipeline.may_save() == Some(self.serf.event()) && !self.catch_up.feed_again
            }
            None => match &self.saving.roll {
                Some(roll) => roll.hold.is_some() && self.serf.event() == self.commit.event,
                None => self.serf.event() <= self.commit.event,
            },
        }
    }

    /// The event log is synced up to the event at which the serf stands.
    pub(super) fn heard_durable(&mut self, durable: Result<EventNumber, ReadError>) -> anyhow::Result<()> {
        let event = durable?;
        // The serf may have died meanwhile.
        if !self.serf.is_awake() || self.serf.event() != event || self.serf.depth() > 0 {
            return Ok(());
        }
        let committed = self
            .office
            .as_ref()
            .map_or(self.commit.event, |office| office.pipeline.committed());
        assert!(
            event <= committed,
            "a snapshot at event {event} would run ahead of the commit at {committed}"
        );
        self.saving.writing = Some(event);
        self.serf
            .send(Writ::Save(event), Asked::Save(event), crate::clock::instant())?;
        Ok(())
    }

    /// The serf has saved.
    pub(super) fn heard_saved(&mut self, event: EventNumber) {
        self.saving.writing = None;
        self.saving.saved = Some(event);
        tracing::debug!(%event, "snapshot saved");
        self.roll_if_wanted(event);
    }

    /// Begins a new epoch at the snapshot that was just taken: the serf's files stay as they are until it is done.
    fn roll_if_wanted(&mut self, event: EventNumber) {
        let Some(roll) = &self.saving.roll else { return };
        let (log, keep) = (self.log.clone(), roll.keep);
        tracing::info!(target: crate::console::TARGET, "disk: rolling to epoch {event}");
        self.saving.rolling = Some(Box::pin(async move {
            log.make_durable(event)
                .await
                .map_err(|error| RollError::Store(error.to_string()))?;
            log.roll_epoch(event).await?;
            log.chop_epochs(keep).await?;
            Ok(event)
        }));
    }

    /// The log has a new epoch, or not.
    pub(super) fn heard_rolled(&mut self, rolled: Result<EventNumber, RollError>) {
        if let (Err(RollError::NotAtEnd { .. }), true) = (&rolled, self.leaving.is_none()) {
            // The log was let go meanwhile: an office was to begin, or ended.
            self.saving.want();
            return;
        }
        match &rolled {
            Ok(event) => tracing::info!(target: crate::console::TARGET, "disk: created epoch {event}"),
            Err(error) => tracing::warn!(%error, "no new epoch"),
        }
        if let Some(roll) = self.saving.roll.take() {
            let _ = roll.answer.send(rolled.map_err(|error| error.to_string()));
        }
    }
}
