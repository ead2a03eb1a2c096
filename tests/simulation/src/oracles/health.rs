//! No member stops, or cannot be started, but for a disk that was made to fail.

use super::{Oracle, of};
use crate::fact::{Fact, What};

/// Whose disk has failed in its present life, or is failing.
#[derive(Debug)]
pub(super) struct Health(Vec<bool>);

impl Health {
    pub(super) fn new(members: usize) -> Health {
        Health(vec![false; members])
    }
}

impl Oracle for Health {
    fn name(&self) -> &'static str {
        "no member stops without a cause"
    }

    fn see(&mut self, fact: &Fact) -> Result<(), String> {
        let Some((_, failing)) = of(&mut self.0, fact)? else {
            return Ok(());
        };
        match &fact.what {
            What::Started => *failing = false,
            What::DiskFailed => *failing = true,
            What::Left(why) if why.starts_with("error") && !*failing => return Err(why.clone()),
            What::Fatal(why) | What::Refused(why) if !*failing => return Err(why.clone()),
            _ => {}
        }
        Ok(())
    }
}
