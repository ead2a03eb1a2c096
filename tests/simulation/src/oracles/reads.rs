//! A read shows only what is committed, and everything that anybody had been told is done when it was asked for.

use super::Oracle;
use crate::{
    fact::{Fact, Told, What},
    mark::Mark,
};
use std::collections::BTreeMap;

/// What each question must show at least.
#[derive(Debug, Default)]
pub(super) struct Reads {
    /// The last event that anybody was told is done.
    told: u64,
    asked: BTreeMap<Mark, u64>,
}

impl Oracle for Reads {
    fn name(&self) -> &'static str {
        "a read shows what is committed, and nothing else"
    }

    fn see(&mut self, fact: &Fact) -> Result<(), String> {
        match fact.what {
            What::Told {
                outcome: Told::Done(event),
                ..
            } => self.told = self.told.max(event),
            What::Asked(mark) => {
                self.asked.insert(mark, self.told);
            }
            What::Answered {
                mark,
                count,
                committed,
            } => {
                let Some(least) = self.asked.remove(&mark) else {
                    return Err(format!("{mark:?} was answered and not asked"));
                };
                if count < least {
                    return Err(format!(
                        "{mark:?} was answered with {count} events, but {least} were done before it was asked"
                    ));
                }
                if count > committed {
                    return Err(format!(
                        "{mark:?} was answered with {count} events, of which {committed} are committed"
                    ));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
