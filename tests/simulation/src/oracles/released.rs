//! An effect is released only when its event is committed, at most once, and belongs to what is in the log.

use super::Oracle;
use crate::{
    fact::{Fact, What},
    mark::Mark,
};
use std::collections::{BTreeMap, BTreeSet};

/// What was released, and what the log says.
#[derive(Debug, Default)]
pub(super) struct Released {
    /// The request of each event, as the history goes; the first is event 1's.
    history: Vec<Option<Mark>>,
    /// Event and place of each effect that was released.
    released: BTreeSet<(u64, u64)>,
    /// Whose effects an event's were.
    marks: BTreeMap<u64, Option<Mark>>,
}

impl Oracle for Released {
    fn name(&self) -> &'static str {
        "release after commit, and at most once"
    }

    fn see(&mut self, fact: &Fact) -> Result<(), String> {
        match &fact.what {
            What::Committed { events, .. } => {
                for seen in events {
                    if seen.number == self.history.len() as u64 + 1 {
                        self.history.push(seen.mark);
                    }
                }
            }
            What::Released {
                event,
                mark,
                place,
                committed,
            } => {
                if event > committed {
                    return Err(format!(
                        "an effect of event {event} was released, where {committed} are committed"
                    ));
                }
                if !self.released.insert((*event, *place)) {
                    return Err(format!("effect {place} of event {event} was released twice"));
                }
                self.marks.insert(*event, *mark);
            }
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), String> {
        // What was released in the last moments nobody has read yet.
        for (event, mark) in self.marks.range(..=self.history.len() as u64) {
            let logged = self.history.get(*event as usize - 1).copied();
            if logged != Some(*mark) {
                return Err(format!(
                    "effects of {mark:?} were released as those of event {event}, which is {logged:?}"
                ));
            }
        }
        Ok(())
    }
}
