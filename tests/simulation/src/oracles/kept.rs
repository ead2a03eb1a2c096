//! A member comes back with what others were told that it has: the entries, and the term that it followed or held.

use super::{Oracle, of};
use crate::fact::{Fact, What};
use replog::{MemberId, Role, Term};

#[derive(Clone, Debug, Default)]
struct Member {
    id: Option<MemberId>,
    /// The newest term in which a leader counted on it, and the last entry that the leader counted on.
    said: (Term, u64),
    /// It was started, and nothing has been seen of it since.
    fresh: bool,
}

/// What each member is counted on to have.
#[derive(Debug)]
pub(super) struct Kept(Vec<Member>);

impl Kept {
    pub(super) fn new(members: usize) -> Kept {
        Kept(vec![Member::default(); members])
    }
}

impl Oracle for Kept {
    fn name(&self) -> &'static str {
        "a member keeps what it said it had"
    }

    fn see(&mut self, fact: &Fact) -> Result<(), String> {
        let Some((_, member)) = of(&mut self.0, fact)? else {
            return Ok(());
        };
        match &fact.what {
            What::Started => member.fresh = true,
            // Nobody counts on it: it comes under another identity.
            What::Wiped => *member = Member::default(),
            // Before a vote is known nothing has been read from the disk.
            What::Status(status) if status.term > Term(0) => {
                member.id = Some(status.id);
                let (term, index) = member.said;
                if std::mem::take(&mut member.fresh) {
                    if status.term < term {
                        return Err(format!(
                            "came back in term {}, but it had followed term {term}",
                            status.term
                        ));
                    }
                    // Only the leader of that term wrote to it, and a leader takes nothing back.
                    if status.term == term && status.last_log_index < index {
                        return Err(format!(
                            "came back with entries up to {}, but in term {term} it had said that it has {index}",
                            status.last_log_index
                        ));
                    }
                }
                let Role::Leader { term, .. } = status.role else {
                    return Ok(());
                };
                if term != status.term {
                    return Ok(());
                }
                member.said = member.said.max((term, 0));
                for peer in &status.members {
                    let Some(matched) = peer.matched else { continue };
                    for other in self.0.iter_mut().filter(|other| other.id == Some(peer.id)) {
                        other.said = other.said.max((term, matched));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}
