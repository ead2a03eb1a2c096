//! What the journal holds and the environment does not yet.
//!
//! Entries that are purged before they get there need never be written there: under load most are.

use super::{disk::Change, journal::Operation};
use crate::raft::config::{Entry, LogId, Vote};
use openraft::entry::RaftEntry;

/// A change of the entries.
#[derive(Debug)]
enum Step {
    Append(Entry),
    Truncate(u64),
}

/// It, in the order of asking; of what is kept once, the newest.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    steps: Vec<Step>,
    vote: Option<Vote>,
    committed: Option<LogId>,
    purged: Option<LogId>,
}

impl Backlog {
    pub(super) fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.vote.is_none() && self.committed.is_none() && self.purged.is_none()
    }

    /// How many changes of the entries.
    pub(super) fn len(&self) -> usize {
        self.steps.len()
    }

    /// Takes what was written into the journal.
    pub(super) fn push(&mut self, operation: Operation) {
        match operation {
            Operation::Append(entry) => self.steps.push(Step::Append(entry)),
            Operation::Truncate(end) => self.steps.push(Step::Truncate(end)),
            Operation::Vote(vote) => self.vote = Some(vote),
            Operation::Committed(committed) => self.committed = Some(committed),
            Operation::Purged(purged) => self.purged = Some(purged),
        }
    }

    /// What is purged by it.
    pub(super) fn purged(&self) -> Option<LogId> {
        self.purged
    }

    /// Puts it into the environment, but for entries up to `purged`, and that these are.
    pub(super) fn put(
        &self,
        change: &mut Change<'_>,
        purged: Option<&LogId>,
        scratch: &mut Vec<u8>,
    ) -> Result<(), heed::Error> {
        let first = purged.map_or(0, |purged| purged.index + 1);
        for step in &self.steps {
            match step {
                Step::Append(entry) if entry.index() < first => {}
                Step::Append(entry) => change.append(entry, scratch)?,
                Step::Truncate(end) => change.truncate(*end)?,
            }
        }
        if let Some(vote) = &self.vote {
            change.put_vote(vote)?;
        }
        if let Some(committed) = &self.committed {
            change.put_committed(committed)?;
        }
        if let Some(purged) = purged {
            change.put_purged(purged)?;
        }
        Ok(())
    }
}
