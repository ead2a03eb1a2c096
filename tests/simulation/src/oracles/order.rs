//! Events come in order and without a gap, what is said to be committed can be read, and no batch of an office that proposes in
//! order is skipped.

use super::{Oracle, of};
use crate::fact::{Fact, What};

/// The last event that each member has read in its present life.
#[derive(Debug)]
pub(super) struct Order(Vec<u64>);

impl Order {
    pub(super) fn new(members: usize) -> Order {
        Order(vec![0; members])
    }
}

impl Oracle for Order {
    fn name(&self) -> &'static str {
        "order and no gap"
    }

    fn see(&mut self, fact: &Fact) -> Result<(), String> {
        let Some((_, last)) = of(&mut self.0, fact)? else {
            return Ok(());
        };
        match &fact.what {
            What::Started => *last = 0,
            What::Committed { commit, from, events } => {
                // What its log does not hold any more it cannot read.
                *last = (*last).max(from - 1);
                for seen in events {
                    if seen.number != *last + 1 {
                        return Err(format!("event {} was read after event {last}", seen.number));
                    }
                    *last = seen.number;
                }
                if *last < commit.event.0 {
                    return Err(format!(
                        "event {} is committed, and {last} is the last to be read",
                        commit.event
                    ));
                }
            }
            What::Unreadable(why) => return Err(format!("what is committed cannot be read: {why}")),
            What::Skipped(count) => {
                return Err(format!(
                    "{count} batches were skipped, and every office had proposed in order"
                ));
            }
            _ => {}
        }
        Ok(())
    }
}
