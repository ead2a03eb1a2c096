//! The event log of a member that does not run: what it holds, event by event if need be, and dropping what is old.

use crate::{
    DEFAULT_EVENT_LOG_MAP_BYTES,
    identity::IdentityFile,
    pier_lock::PierLock,
    store::{
        event_log::{EventLog, EventLogOptions},
        failure::Alarm,
        fault::NoFaults,
    },
    types::{Event, MemberId, ShipIdentity},
};
use seguro_event::EventNumber;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// How many events are read at a time.
const EVENTS: usize = 1000;
/// How many bytes are read at a time, if they are more than one event.
const BYTES: usize = 16 << 20;

/// Why a log could not be read through.
#[derive(Debug, thiserror::Error)]
#[error("the event log of {pier} cannot be read: {why}", pier = pier.display())]
pub struct InspectError {
    pier: PathBuf,
    why: String,
}

impl InspectError {
    fn new(pier: &Path, why: &dyn std::fmt::Display) -> InspectError {
        InspectError {
            pier: pier.to_owned(),
            why: why.to_string(),
        }
    }
}

/// What a pier's event log holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Whose ship it is.
    pub ship: ShipIdentity,
    /// The last event.
    pub last: EventNumber,
    /// The epochs, oldest first, each by the event that it begins after.
    pub epochs: Vec<EventNumber>,
    /// Bytes of the newest epoch's file that are in use.
    pub used_bytes: u64,
    /// The member that lives there; None on a pier that only vere has run.
    pub member: Option<MemberId>,
}

/// A log that is open, and the lock under which it is.
struct Opened {
    log: EventLog,
    pier: PathBuf,
    lock: PierLock,
}

impl Opened {
    fn open(pier: &Path) -> Result<Opened, InspectError> {
        let fail = |why: &dyn std::fmt::Display| InspectError::new(pier, why);
        if !pier.is_dir() {
            return Err(fail(&"no directory is there"));
        }
        let lock = PierLock::acquire(pier).map_err(|error| fail(&error))?;
        let options = EventLogOptions {
            map_bytes: DEFAULT_EVENT_LOG_MAP_BYTES,
            vere_version: String::new(),
            alarm: Alarm::new(),
            faults: Arc::new(NoFaults),
        };
        let opened = EventLog::open(&lock, options)
            .map_err(|error| fail(&error))?
            .ok_or_else(|| fail(&"none is there"))?;
        Ok(Opened {
            log: opened.log,
            pier: pier.to_owned(),
            lock,
        })
    }

    fn epochs(&self) -> Vec<EventNumber> {
        let mut epochs = self.log.epochs();
        epochs.sort_unstable();
        epochs
    }

    fn close(self) -> Result<(), InspectError> {
        futures::executor::block_on(self.log.close()).map_err(|error| InspectError::new(&self.pier, &error))
    }
}

/// What the pier's event log holds. Takes the pier's lock meanwhile, so that no king runs.
///
/// # Errors
/// When the pier is in use, or its log cannot be opened.
pub fn look(pier: &Path) -> Result<Found, InspectError> {
    let opened = Opened::open(pier)?;
    let identity = IdentityFile::read(&opened.lock).map_err(|error| InspectError::new(pier, &error))?;
    let found = Found {
        ship: opened.log.ship(),
        last: opened.log.last(),
        epochs: opened.epochs(),
        used_bytes: opened.log.used_bytes(),
        member: identity.map(|file| file.get().member),
    };
    opened.close()?;
    Ok(found)
}

/// Drops all epochs but the newest `keep`; those that were dropped, oldest first. Takes the pier's lock meanwhile.
///
/// # Errors
/// When the pier is in use, or its log cannot be opened, or files cannot be removed.
pub fn chop(pier: &Path, keep: usize) -> Result<Vec<EventNumber>, InspectError> {
    let opened = Opened::open(pier)?;
    let dropped = futures::executor::block_on(opened.log.chop(keep));
    opened.close()?;
    let mut dropped = dropped.map_err(|error| InspectError::new(pier, &error))?;
    dropped.sort_unstable();
    Ok(dropped)
}

/// Gives every event that the pier holds to `each`, in order. Takes the pier's lock meanwhile, so that no king runs.
///
/// # Errors
/// When the pier is in use, or its log cannot be opened or read.
pub fn for_each_event(pier: &Path, mut each: impl FnMut(Event)) -> Result<(), InspectError> {
    let opened = Opened::open(pier)?;
    let mut next = opened.epochs().into_iter().min().unwrap_or_default().next();
    let mut read = Ok(());
    while next <= opened.log.last() {
        match opened.log.read(next, EVENTS, BYTES) {
            Ok(events) => {
                for event in events {
                    next = event.number.next();
                    each(event);
                }
            }
            Err(error) => {
                read = Err(InspectError::new(pier, &error));
                break;
            }
        }
    }
    opened.close()?;
    read
}
