//! No two members ever differ in a committed event.

use super::Oracle;
use crate::fact::{Fact, What};

/// The history, as whoever read an event first read it.
#[derive(Debug, Default)]
pub(super) struct LogsEqual {
    /// Digest, and who read it.
    history: Vec<(u64, usize)>,
}

impl Oracle for LogsEqual {
    fn name(&self) -> &'static str {
        "logs equal"
    }

    fn see(&mut self, fact: &Fact) -> Result<(), String> {
        let (What::Committed { events, .. }, Some(member)) = (&fact.what, fact.member) else {
            return Ok(());
        };
        for seen in events {
            let at = seen.number as usize - 1;
            match self.history.get(at) {
                Some((digest, first)) if *digest != seen.digest => {
                    return Err(format!("event {} differs from that of m{first}", seen.number));
                }
                Some(_) => {}
                None if at == self.history.len() => self.history.push((seen.digest, member)),
                None => {
                    return Err(format!(
                        "event {} was read, and nobody has read the {} events before it",
                        seen.number,
                        at - self.history.len()
                    ));
                }
            }
        }
        Ok(())
    }
}
