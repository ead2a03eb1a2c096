//! What was acknowledged is never lost: every later office begins behind it, and whoever reads its number reads it.

use super::Oracle;
use crate::fact::{Fact, What};

/// Every event that a client was told is done, by number.
#[derive(Debug, Default)]
pub(super) struct Durability {
    /// Digests; the first is event 1's. None where nobody was told.
    acknowledged: Vec<Option<u64>>,
}

impl Oracle for Durability {
    fn name(&self) -> &'static str {
        "durability of what was acknowledged"
    }

    fn see(&mut self, fact: &Fact) -> Result<(), String> {
        match &fact.what {
            What::Acknowledged { events, .. } => {
                for seen in events {
                    let at = seen.number as usize - 1;
                    if self.acknowledged.len() <= at {
                        self.acknowledged.resize(at + 1, None);
                    }
                    if let Some(before) = self.acknowledged[at].replace(seen.digest)
                        && before != seen.digest
                    {
                        return Err(format!(
                            "event {} was acknowledged twice, and differs",
                            seen.number
                        ));
                    }
                }
            }
            What::Office { term, barrier } if self.acknowledged.len() as u64 > *barrier => {
                return Err(format!(
                    "the office of term {term} begins after event {barrier}, but event {} was acknowledged",
                    self.acknowledged.len()
                ));
            }
            What::Committed { events, .. } => {
                for seen in events {
                    let promised = self.acknowledged.get(seen.number as usize - 1).copied().flatten();
                    if promised.is_some_and(|digest| digest != seen.digest) {
                        return Err(format!(
                            "event {} is not the one that was acknowledged",
                            seen.number
                        ));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}
