//! Bringing the serf to where the log is: reads from the log, `%play`s, and for a leader whose serf died the events
//! that it had computed before.

use super::{Pending, Pier, serf::Asked};
use crate::limits;
use anyhow::{Context, bail};
use replog::{Event, ReadError};
use seguro_event::EventNumber;
use serf_ipc::{Noun, Writ, cue};
use std::time::Instant;

/// A piece of the log that was read for the serf.
pub(super) type ReadResult = Result<Vec<Event>, ReadError>;

/// What is on its way to the serf from the log.
#[derive(Default)]
pub(super) struct CatchUp {
    pub(super) reading: Pending<ReadResult>,
    /// The serf of an office was started anew: the events that it had not answered are to be sent again.
    pub(super) feed_again: bool,
    progress: Option<Progress>,
}

/// A long replay, told now and then.
struct Progress {
    from: EventNumber,
    said: Instant,
}

impl CatchUp {
    /// Whether the log is being played, and that takes long.
    pub(super) fn is_long(&self) -> bool {
        self.progress.is_some()
    }
}

impl Pier {
    /// Where the log ends for the serf: for a leader what it knows to be committed, for others what the log says.
    fn log_end(&self) -> EventNumber {
        self.office
            .as_ref()
            .map_or(self.commit.event, |office| office.pipeline.committed())
    }

    /// Whether the serf stands where its next event belongs: at the committed end, or in an office at what it had
    /// computed, with nothing left to be sent again.
    pub(super) fn serf_is_current(&self) -> bool {
        let target = self
            .office
            .as_ref()
            .map_or(self.commit.event, |office| office.pipeline.computed());
        self.serf.is_awake()
            && self.catch_up.reading.is_none()
            && !self.catch_up.feed_again
            && self.serf.event() == target
    }

    /// Starts whatever brings the serf nearer. Nothing while a snapshot is being written or the king leaves.
    pub(super) fn advance_serf(&mut self, now: Instant) -> anyhow::Result<()> {
        self.serf.start_if_due(now)?;
        if !self.serf.is_awake() || self.saving.holds_serf() || self.leaving_holds_serf() {
            return Ok(());
        }
        let at = self.serf.event();
        let end = self.log_end();
        if self.serf.depth() > 0 || self.catch_up.reading.is_some() {
            return Ok(());
        }
        if at < end {
            self.read_for_serf(at, end);
            return Ok(());
        }
        let Some(office) = &self.office else {
            assert!(
                at <= end,
                "the serf stands at event {at}, but only {end} are committed"
            );
            self.replay_done(at);
            return Ok(());
        };
        let computed = office.pipeline.computed();
        if at < computed {
            let events: Vec<Event> = office
                .pipeline
                .uncommitted()
                .filter(|event| event.number > at)
                .take(limits::PLAY_EVENTS)
                .cloned()
                .collect();
            return self.play(events, now);
        }
        assert!(
            at == computed,
            "the serf stands at event {at}, but this office computed only up to {computed}"
        );
        if self.catch_up.feed_again {
            self.catch_up.feed_again = false;
            let jobs: Vec<Noun> = office.pipeline.in_serf().map(|fed| fed.job.clone()).collect();
            for job in jobs {
                self.serf.send(super::serf::work(job), Asked::Work, now)?;
            }
        }
        self.replay_done(at);
        Ok(())
    }

    fn read_for_serf(&mut self, at: EventNumber, end: EventNumber) {
        let from = at.next();
        let life = self.log.identity().map_or(0, |identity| u64::from(identity.life));
        // The lifecycle formulas are one computation: all of them, and nothing else (`spec/ipc.md` section 7).
        let (events, bytes) = if at == EventNumber::ZERO && life > 0 {
            (usize::try_from(life).unwrap_or(usize::MAX), usize::MAX)
        } else {
            (
                limits::PLAY_EVENTS.min(usize::try_from(end.since(at)).unwrap_or(usize::MAX)),
                limits::PLAY_BYTES,
            )
        };
        let log = self.log.clone();
        self.catch_up.reading = Some(Box::pin(async move { log.read(from, events, bytes).await }));
    }

    /// The log gave events for the serf.
    pub(super) async fn heard_read(&mut self, read: ReadResult) -> anyhow::Result<()> {
        let events = match read {
            Ok(events) => events,
            // An epoch's events follow its image, so the first that is held names it.
            Err(ReadError::Chopped { first, .. }) => {
                return self.start_from_image(EventNumber(first.0 - 1)).await;
            }
            Err(error) => return Err(error).context("the log cannot be read for the serf"),
        };
        // The serf may have died, or been taken down, while the log was read.
        if !self.serf.is_awake()
            || events
                .first()
                .is_none_or(|first| first.number != self.serf.event().next())
        {
            return Ok(());
        }
        if self.serf.depth() > 0 {
            return Ok(());
        }
        self.play(events, crate::clock::instant())
    }

    fn play(&mut self, events: Vec<Event>, now: Instant) -> anyhow::Result<()> {
        let (Some(first), Some(last)) = (events.first(), events.last()) else {
            return Ok(());
        };
        let (first, last, expected) = (first.number, last.number, last.mug);
        let nouns = events
            .iter()
            .map(|event| {
                cue(&event.jam)
                    .with_context(|| format!("event {} in the log is not a jammed noun", event.number))
            })
            .collect::<anyhow::Result<Vec<Noun>>>()?;
        self.say_progress(first, now);
        self.serf.send(
            Writ::Play { first, events: nouns },
            Asked::Play { last, expected },
            now,
        )?;
        Ok(())
    }

    fn say_progress(&mut self, first: EventNumber, now: Instant) {
        let end = self.log_end();
        let progress = self.catch_up.progress.get_or_insert(Progress {
            from: first,
            said: now,
        });
        if now.duration_since(progress.said) >= limits::PROGRESS_EVERY {
            progress.said = now;
            tracing::info!(from = %progress.from, at = %first, to = %end, "replaying");
        }
    }

    fn replay_done(&mut self, at: EventNumber) {
        if let Some(progress) = self.catch_up.progress.take()
            && at.since(progress.from) >= limits::PLAY_EVENTS as u64
        {
            tracing::info!(from = %progress.from, to = %at, "replay done");
        }
    }

    /// The serf played a batch.
    pub(super) fn played(
        &mut self,
        last: EventNumber,
        expected: seguro_event::Mug,
        reply: Result<seguro_event::Mug, serf_ipc::PlayBail>,
    ) -> anyhow::Result<()> {
        match reply {
            Ok(mug) if mug.contradicts(expected) => bail!(
                "mug mismatch at event {last}: the log says {expected}, this serf computed {mug}. Two computations of one \
                 history differ, so this member is out of service: run the same serf binary on every member, or replace \
                 this member's disk (its events are safe on the others)"
            ),
            Ok(_) => Ok(()),
            Err(refused) => {
                crate::console::goofs(std::slice::from_ref(&refused.goof));
                bail!(
                    "the serf cannot play event {}: %{}. The log has it as computed before; run the serf binary that computed it, or one with a larger loom",
                    refused.last_good.next(),
                    refused.goof.mote
                )
            }
        }
    }

    /// The events that the serf lacks are no longer in the log, only in an epoch's image: it begins again from that.
    pub(super) async fn start_from_image(&mut self, epoch: EventNumber) -> anyhow::Result<()> {
        let image = self.log.epoch_image(epoch);
        self.take_down_serf();
        self.serf.retire().await;
        let target = self.settings.pier.join(".urb/chk");
        tracing::info!(event = %epoch, "the serf begins again from the image of epoch {epoch}");
        if crate::simulated::world(|_| ()).is_some() {
            crate::images::install(&image, &target)?;
        } else {
            tokio::task::spawn_blocking(move || crate::images::install(&image, &target)).await??;
        }
        self.saving.forget();
        self.serf.revive();
        Ok(())
    }

    /// A snapshot came from the leader: if it is ahead of the serf, the serf begins from its image.
    pub(super) async fn heard_installed(
        &mut self,
        installed: Option<replog::InstalledSnapshot>,
    ) -> anyhow::Result<()> {
        let Some(installed) = installed else { return Ok(()) };
        self.commit = *self.commits.borrow_and_update();
        match installed.image {
            Some(epoch) if !self.serf.is_awake() || self.serf.event() < epoch => {
                self.start_from_image(epoch).await
            }
            _ => Ok(()),
        }
    }
}
