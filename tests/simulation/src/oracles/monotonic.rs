//! What a member says is committed never becomes less while it lives, nor below what was on its disk when it comes back.

use super::{Oracle, of};
use crate::fact::{Fact, What};

#[derive(Clone, Debug, Default)]
struct Member {
    committed: u64,
    durable: u64,
}

/// The last word of each member.
#[derive(Debug)]
pub(super) struct Monotonic(Vec<Member>);

impl Monotonic {
    pub(super) fn new(members: usize) -> Monotonic {
        Monotonic(vec![Member::default(); members])
    }
}

impl Oracle for Monotonic {
    fn name(&self) -> &'static str {
        "committed never decreases"
    }

    fn see(&mut self, fact: &Fact) -> Result<(), String> {
        let Some((_, member)) = of(&mut self.0, fact)? else {
            return Ok(());
        };
        match &fact.what {
            // Its event log, with what was durable there, is all that it knows at first.
            What::Crashed => member.committed = member.durable,
            What::Wiped => *member = Member::default(),
            What::Committed { commit, .. } => {
                if commit.event.0 < member.committed {
                    return Err(format!("{} after {}", commit.event, member.committed));
                }
                member.committed = commit.event.0;
            }
            What::Status(status) => {
                if status.durable.0 < member.durable {
                    return Err(format!(
                        "event {} was on disk, and now {} is the last",
                        member.durable, status.durable
                    ));
                }
                member.durable = status.durable.0;
            }
            _ => {}
        }
        Ok(())
    }
}
