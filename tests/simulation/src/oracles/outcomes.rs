//! What a client is told of its request is true for ever: done is in the log under that number, dropped never is; and no request is
//! in the log twice.

use super::Oracle;
use crate::{
    fact::{Fact, Told, What},
    mark::Mark,
};
use std::collections::BTreeMap;

/// What was told, and what the log says.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    told: BTreeMap<Mark, Told>,
    /// How far the history has been looked at.
    seen: u64,
    logged: BTreeMap<Mark, u64>,
}

impl Outcomes {
    fn compare(&self, mark: Mark) -> Result<(), String> {
        match (self.told.get(&mark), self.logged.get(&mark)) {
            (Some(Told::Done(event)), Some(logged)) if event != logged => Err(format!(
                "{mark:?} was said to be event {event}, and is event {logged}"
            )),
            (Some(Told::Dropped), Some(logged)) => {
                Err(format!("{mark:?} was said to be dropped, and is event {logged}"))
            }
            _ => Ok(()),
        }
    }
}

impl Oracle for Outcomes {
    fn name(&self) -> &'static str {
        "an outcome that was told is true"
    }

    fn see(&mut self, fact: &Fact) -> Result<(), String> {
        match &fact.what {
            What::Told { mark, outcome } => {
                if let Some(before) = self.told.insert(*mark, *outcome) {
                    return Err(format!(
                        "{mark:?} was said to be {before:?}, and then {outcome:?}"
                    ));
                }
                self.compare(*mark)
            }
            What::Committed { events, .. } => {
                for seen in events {
                    if seen.number <= self.seen {
                        continue;
                    }
                    self.seen = seen.number;
                    let Some(mark) = seen.mark else { continue };
                    if let Some(before) = self.logged.insert(mark, seen.number) {
                        return Err(format!("{mark:?} is event {before} and event {}", seen.number));
                    }
                    self.compare(mark)?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn end(&mut self) -> Result<(), String> {
        for (mark, outcome) in &self.told {
            // What was told in the last moments nobody has read yet.
            if let Told::Done(event) = outcome
                && *event <= self.seen
                && self.logged.get(mark) != Some(event)
            {
                return Err(format!(
                    "{mark:?} was said to be event {event}, and is not in the log"
                ));
            }
        }
        Ok(())
    }
}
