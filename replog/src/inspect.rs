//! The event log of a member that does not run, event by event: for those who hold members against each other.

use crate::{
    DEFAULT_EVENT_LOG_MAP_BYTES,
    pier_lock::PierLock,
    store::{
        event_log::{EventLog, EventLogOptions},
        failure::Alarm,
        fault::NoFaults,
    },
    types::Event,
};
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

/// Gives every event that the pier holds to `each`, in order. Takes the pier's lock meanwhile, so that no king runs.
///
/// # Errors
/// When the pier is in use, or its log cannot be opened or read.
pub fn for_each_event(pier: &Path, mut each: impl FnMut(Event)) -> Result<(), InspectError> {
    let fail = |why: &dyn std::fmt::Display| InspectError {
        pier: pier.to_owned(),
        why: why.to_string(),
    };
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
    let log = opened.log;
    let mut next = log.epochs().into_iter().min().unwrap_or_default().next();
    let mut read = Ok(());
    while next <= log.last() {
        match log.read(next, EVENTS, BYTES) {
            Ok(events) => {
                for event in events {
                    next = event.number.next();
                    each(event);
                }
            }
            Err(error) => {
                read = Err(fail(&error));
                break;
            }
        }
    }
    futures::executor::block_on(log.close()).map_err(|error| fail(&error))?;
    read
}
