//! At most one member is certain of its office at any time, and a term is one member's.

use super::{Oracle, of};
use crate::fact::{Fact, What};
use replog::{Role, Term};
use std::collections::BTreeMap;

/// Who is certain now, and whose each term was.
#[derive(Debug)]
pub(super) struct OneLeader {
    certain: Vec<Option<Term>>,
    terms: BTreeMap<Term, usize>,
}

impl OneLeader {
    pub(super) fn new(members: usize) -> OneLeader {
        OneLeader {
            certain: vec![None; members],
            terms: BTreeMap::new(),
        }
    }
}

impl Oracle for OneLeader {
    fn name(&self) -> &'static str {
        "at most one leader is certain"
    }

    fn see(&mut self, fact: &Fact) -> Result<(), String> {
        if let (What::Role(Role::Leader { term, .. }), Some(member)) = (&fact.what, fact.member) {
            let holder = *self.terms.entry(*term).or_insert(member);
            if holder != member {
                return Err(format!("leads in term {term}, which m{holder} led in"));
            }
        }
        let Some((member, certain)) = of(&mut self.certain, fact)? else {
            return Ok(());
        };
        match &fact.what {
            What::Certain(term) => *certain = *term,
            // One that stands still is asked by nobody; when it goes on it says it anew.
            What::Crashed | What::Stopped => *certain = None,
            _ => return Ok(()),
        }
        let Some(term) = *certain else { return Ok(()) };
        for (other, theirs) in self.certain.iter().enumerate() {
            if let Some(theirs) = theirs
                && other != member
            {
                return Err(format!(
                    "is certain of its office of term {term} while m{other} is of that of term {theirs}"
                ));
            }
        }
        Ok(())
    }
}
