//! The dates of a ship's events never go backwards, whoever's clock they come from.

use super::Oracle;
use crate::fact::{Fact, What};

/// The date of each event that has one, as the history goes.
#[derive(Debug, Default)]
pub(super) struct Dates {
    /// How far the history has been looked at.
    seen: u64,
    last: Option<u128>,
}

impl Oracle for Dates {
    fn name(&self) -> &'static str {
        "dates never go backwards"
    }

    fn see(&mut self, fact: &Fact) -> Result<(), String> {
        let What::Committed { events, .. } = &fact.what else {
            return Ok(());
        };
        for seen in events {
            if seen.number <= self.seen {
                continue;
            }
            self.seen = seen.number;
            let Some(date) = seen.date else { continue };
            if self.last.is_some_and(|last| date < last) {
                return Err(format!("event {} is dated before the one before it", seen.number));
            }
            self.last = Some(date);
        }
        Ok(())
    }
}
