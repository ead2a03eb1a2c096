//! A snapshot is never ahead of what is committed, nor of what is on disk in the member's own event log.

use super::Oracle;
use crate::fact::{Fact, What};

/// Nothing needs to be remembered.
#[derive(Debug)]
pub(super) struct Saved;

impl Oracle for Saved {
    fn name(&self) -> &'static str {
        "a snapshot is never ahead of the log"
    }

    fn see(&mut self, fact: &Fact) -> Result<(), String> {
        match fact.what {
            What::Saved {
                event,
                committed,
                durable,
            } if event > committed || event > durable => Err(format!(
                "saves at event {event}, where {committed} are committed and {durable} on disk"
            )),
            _ => Ok(()),
        }
    }
}
