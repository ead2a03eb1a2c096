//! What the log holds and who holds it: events, batches, members, terms.

use bytes::Bytes;
use seguro_event::{EventNumber, Mug};
use serde::{Deserialize, Serialize};
use std::{fmt, net::SocketAddr, sync::Arc};

/// A member's identity: random, made once, kept in its identity file. A member whose disk was wiped gets a new
/// one, since it has forgotten its votes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MemberId(pub u64);

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl From<u64> for MemberId {
    fn from(id: u64) -> MemberId {
        MemberId(id)
    }
}

/// A Raft term: one election's reign.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Term(pub u64);

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<u64> for Term {
    fn from(term: u64) -> Term {
        Term(term)
    }
}

/// Whose ship this is: what vere keeps in the META table (`spec/eventlog.md` section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShipIdentity {
    /// The ship's number.
    pub who: u128,
    /// Whether it is a fake ship.
    pub fake: bool,
    /// How many of the first events are lifecycle formulas.
    pub life: u32,
}

/// One event as it lies in the log. On disk its value is the mug (4 bytes, little-endian), then the bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its number in the ship's history.
    pub number: EventNumber,
    /// The kernel's mug after it, as the leader's serf computed it.
    pub mug: Mug,
    /// The jammed `[date ovum]`, or a jammed formula in the boot sequence.
    pub jam: Bytes,
}

/// Events that follow one another, proposed and committed as one. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    events: Arc<[Event]>,
}

/// Why events do not make a batch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// A batch holds at least one event.
    #[error("a batch of no events")]
    Empty,
    /// The numbers do not follow one another.
    #[error("event {found} stands in a batch where {expected} belongs")]
    Gap {
        /// The number that belongs there.
        expected: EventNumber,
        /// The number found.
        found: EventNumber,
    },
}

impl Batch {
    /// A batch of these events, whose numbers must follow one another.
    ///
    /// # Errors
    /// When there are none, or a number is out of sequence.
    pub fn new(events: Vec<Event>) -> Result<Batch, BatchError> {
        let Some(first) = events.first() else {
            return Err(BatchError::Empty);
        };
        let mut expected = first.number;
        for event in &events {
            if event.number != expected {
                return Err(BatchError::Gap {
                    expected,
                    found: event.number,
                });
            }
            expected = expected.next();
        }
        Ok(Batch {
            events: events.into(),
        })
    }

    /// The events, in order.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// The number of the first event.
    #[must_use]
    pub fn first(&self) -> EventNumber {
        self.events.first().map(|e| e.number).unwrap_or_default()
    }

    /// The number of the last event.
    #[must_use]
    pub fn last(&self) -> EventNumber {
        self.events.last().map(|e| e.number).unwrap_or_default()
    }

    /// The bytes of all events together.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.events.iter().map(|e| e.jam.len() + 4).sum()
    }
}

/// How far the ship's history is committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// The last committed event.
    pub event: EventNumber,
    /// The term of the office that proposed it; 0 where that is not known (a history that was taken over, or that
    /// came as a snapshot), which is no office's term.
    pub term: Term,
}

/// What this member is at the moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "role")]
pub enum Role {
    /// Not yet a member: it asks the machines it was given to let it join.
    Joining,
    /// Stores entries, does not vote yet.
    Learner {
        /// Who leads, if known.
        leader: Option<MemberId>,
    },
    /// Stores entries and votes.
    Follower {
        /// Who leads, if known.
        leader: Option<MemberId>,
    },
    /// Stands for election.
    Candidate,
    /// Elected, and every entry of earlier terms is committed (an entry of this term is): it may propose.
    Leader {
        /// The term of its office.
        term: Term,
        /// The last event of earlier terms: the ship's whole history when the office began.
        barrier: EventNumber,
    },
}

impl Role {
    /// The role in a word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Role::Joining => "joining",
            Role::Learner { .. } => "learner",
            Role::Follower { .. } => "follower",
            Role::Candidate => "candidate",
            Role::Leader { .. } => "leader",
        }
    }
}

/// A member as the others know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its identity.
    pub id: MemberId,
    /// Where its peers reach it; None for the only member of a cluster that was given no machines.
    pub address: Option<SocketAddr>,
    /// Whether it votes; a learner does not.
    pub voter: bool,
    /// The last log index that the leader knows this member has; only the leader knows.
    pub matched: Option<u64>,
}
