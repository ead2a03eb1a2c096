//! Beginning, dropping and replacing epochs (`spec/eventlog.md` section 9).
//!
//! A new epoch is made aside and renamed when it is whole, so that neither we nor vere ever meet half of one.

use super::{
    AppendError, EventLogOptions,
    epoch::{Epoch, EpochError},
    hash::LogHash,
    layout::{self, IMAGES, Layout},
    seguro::{Applied, EpochFile},
    transfer::CompleteEpoch,
    writer::{Writer, close_all},
};
use crate::{
    errors::RollError,
    store::{
        fault::Faults,
        files::{self, FileError},
        lmdb::EnvError,
        lock, read_lock, write_lock,
    },
    types::ShipIdentity,
};
use seguro_event::EventNumber;
use std::sync::Arc;

/// Makes the epoch that begins after event `start`, whole and durable, with `images` copied from the serf's live ones.
pub(super) fn make_epoch(
    layout: &Layout,
    options: &EventLogOptions,
    ship: &ShipIdentity,
    start: EventNumber,
    images: &[&str],
    base: &LogHash,
    applied: Option<&Applied>,
) -> Result<(), EpochError> {
    let faults = &*options.faults;
    let stage = layout.stage();
    files::remove_dir(&stage, faults)?;
    files::create_dir(&stage, faults)?;
    let mut copied = Vec::new();
    for name in images {
        let (length, crc) = files::copy_file(&layout.checkpoint().join(name), &stage.join(name), faults)?;
        copied.push(EpochFile {
            name: (*name).to_owned(),
            length,
            crc,
        });
    }
    layout::write_texts(&stage, &options.vere_version, faults)?;
    Epoch::create(&stage, ship, Some(base), &copied, applied, faults)?;
    publish_stage(layout, start, faults)?;
    Ok(())
}

/// Makes the staged epoch an epoch.
fn publish_stage(layout: &Layout, start: EventNumber, faults: &dyn Faults) -> Result<(), FileError> {
    let stage = layout.stage();
    files::sync_dir(&stage, faults)?;
    files::rename(&stage, &layout.epoch(start), faults)?;
    files::sync_dir(layout.log(), faults)
}

impl Writer {
    /// Begins an epoch at `at`.
    pub(super) fn roll(&mut self, at: EventNumber) -> Result<(), RollError> {
        self.write_all()
            .map_err(|failure| RollError::Store(failure.to_string()))?;
        let (last, durable) = {
            let recent = lock(&self.shared.recent);
            (recent.last(), recent.durable())
        };
        if at == self.current().start() {
            return Ok(());
        }
        if at != durable {
            return Err(RollError::NotAtEnd { at, last, durable });
        }
        let shared = Arc::clone(&self.shared);
        let applied = self.applied.as_ref();
        let made = make_epoch(
            &shared.layout,
            &shared.options,
            &shared.ship,
            at,
            &IMAGES,
            &self.hash,
            applied,
        );
        if let Err(error) = made {
            if shared.layout.epoch(at).exists() {
                // It is there, but nobody knows whether it would be after a power cut.
                let kind = error.kind();
                let failure = shared.health.fail("publishing a new epoch", &error, kind);
                return Err(RollError::Store(failure.to_string()));
            }
            // The log is as it was.
            return Err(image_error(error));
        }
        let failed = |error: EpochError| {
            let failure = shared.health.fail("opening a new epoch", &error, error.kind());
            RollError::Store(failure.to_string())
        };
        let path = shared.layout.epoch(at);
        let epoch =
            Epoch::open(at, &path, shared.options.map_bytes, &*shared.options.faults).map_err(failed)?;
        write_lock(&shared.epochs).insert(at, Some(Arc::new(epoch)));
        tracing::info!(epoch = %at, "a new epoch of the event log begins");
        Ok(())
    }

    /// Drops old epochs.
    pub(super) fn chop(&mut self, keep: usize) -> Result<Vec<EventNumber>, RollError> {
        let mut held: Vec<_> = read_lock(&self.shared.epochs).keys().copied().collect();
        held.truncate(held.len().saturating_sub(keep.max(1)));
        if let Some((pinned, _)) = lock(&self.shared.pins).first_key_value() {
            held.retain(|start| start < pinned);
        }
        for start in &held {
            self.drop_epoch(*start).map_err(|error| {
                let failure = self.shared.health.fail("dropping an epoch", &error, error.kind());
                RollError::Store(failure.to_string())
            })?;
            tracing::info!(epoch = %start, "an epoch of the event log was dropped");
        }
        Ok(held)
    }

    /// Closes an epoch and removes it.
    fn drop_epoch(&self, start: EventNumber) -> Result<(), EpochError> {
        let epoch = write_lock(&self.shared.epochs).remove(&start);
        close_all(epoch.flatten());
        Ok(self
            .shared
            .layout
            .drop_epoch(start, &*self.shared.options.faults)?)
    }

    /// Replaces the log by one that was received.
    pub(super) fn install(&mut self, incoming: CompleteEpoch) -> Result<(), AppendError> {
        let shared = Arc::clone(&self.shared);
        shared.health.check()?;
        let failed = |error: EpochError| {
            AppendError::from(shared.health.fail("installing a snapshot", &error, error.kind()))
        };
        let (start, last) = (incoming.head().epoch, incoming.head().hash.at);
        let applied = Applied {
            hash: incoming.head().hash,
            raft: incoming.head().raft.clone(),
        };
        // No reader may hold an epoch while directories take each other's place.
        let mut epochs = write_lock(&shared.epochs);
        close_all(std::mem::take(&mut *epochs).into_values().flatten());
        let faults = &*shared.options.faults;
        let path = shared.layout.epoch(start);
        let epoch = incoming
            .put_in_place(faults)
            .map_err(EpochError::from)
            .and_then(|()| Epoch::open(start, &path, shared.options.map_bytes, faults))
            .map_err(failed)?;
        epochs.insert(start, Some(Arc::new(epoch)));
        self.restart_at(last, applied);
        tracing::info!(epoch = %start, %last, "the event log was replaced by a snapshot");
        Ok(())
    }
}

/// An image, or another file of an epoch that is being made, could not be written.
fn image_error(error: EpochError) -> RollError {
    match error {
        EpochError::Env(EnvError::File(FileError { path, source, .. })) => RollError::Image { path, source },
        other => RollError::Store(other.to_string()),
    }
}
