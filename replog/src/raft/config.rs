//! The types that openraft is instantiated with, named once for the whole crate.

use crate::types::{Batch, MemberId, ShipIdentity, Term};
use openraft::vote::leader_id_std;
use seguro_event::EventNumber;
use serde::{Deserialize, Serialize};
use std::{fmt, net::SocketAddr};
use tokio::sync::watch;

/// A ship's Raft: one leader a term (so that a [`Term`] names an office), members by their random identity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TypeConfig;

impl openraft::RaftTypeConfig for TypeConfig {
    type D = Command;
    type R = ();
    type NodeId = MemberId;
    type Node = Peer;
    type Term = Term;
    type LeaderId = leader_id_std::LeaderId<Term, MemberId>;
    type Vote = openraft::impls::Vote<Self::LeaderId>;
    type Payload = openraft::EntryPayload<Command, MemberId, Peer>;
    type Entry = openraft::impls::Entry<leader_id_std::CommittedLeaderId<Term>, Self::Payload>;
    type AsyncRuntime = crate::raft::runtime::RaftRuntime;
    type Responder<T>
        = Lost<T>
    where
        T: openraft::OptionalSend + 'static;
    type Batch<T>
        = openraft::impls::InlineBatch<T>
    where
        T: openraft::OptionalSend + 'static;
    type ErrorSource = openraft::impls::BoxedErrorSource;
}

/// What goes with a proposal: it ends the office when the proposal is lost. Batches of an office follow one another, so that
/// after a lost one none of the later ones could be applied.
pub(crate) struct Lost<T> {
    /// The office that proposed.
    pub(crate) term: Term,
    /// Where the newest term is kept that has been given up.
    pub(crate) ended: watch::Sender<Term>,
    /// Whether a result is a loss.
    pub(crate) is_lost: fn(&T) -> bool,
}

impl<T: openraft::OptionalSend + 'static> openraft::raft::responder::Responder<TypeConfig, T> for Lost<T> {
    fn on_complete(self, result: T) {
        if (self.is_lost)(&result) {
            end_term(&self.ended, self.term);
        }
    }
}

/// Gives up the office of `term`, and those before it.
pub(crate) fn end_term(ended: &watch::Sender<Term>, term: Term) {
    ended.send_if_modified(|newest| {
        let newer = term > *newest;
        *newest = (*newest).max(term);
        newer
    });
}

/// An entry of the Raft log.
pub(crate) type Entry = openraft::type_config::alias::EntryOf<TypeConfig>;
/// What an entry holds: nothing (a new leader's first entry), a [`Command`], or a membership.
pub(crate) type Payload = openraft::type_config::alias::PayloadOf<TypeConfig>;
/// An entry's place: the term of the leader that wrote it, and its index.
pub(crate) type LogId = openraft::type_config::alias::LogIdOf<TypeConfig>;
/// A promise not to follow an older term, or the fact of an office.
pub(crate) type Vote = openraft::type_config::alias::VoteOf<TypeConfig>;
/// Who votes and who learns.
pub(crate) type Membership = openraft::Membership<MemberId, Peer>;
/// A membership, and the entry that it comes from.
pub(crate) type StoredMembership = openraft::type_config::alias::StoredMembershipOf<TypeConfig>;
/// What a snapshot stands for: the last entry in it, and the membership there.
pub(crate) type SnapshotMeta = openraft::type_config::alias::SnapshotMetaOf<TypeConfig>;

/// The place of the entry `index` that a leader of `term` wrote.
pub(crate) fn log_id(term: Term, index: u64) -> LogId {
    LogId::new(leader_id_std::CommittedLeaderId::new(term), index)
}

/// What members know of a member besides its identity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Peer {
    /// Where it is reached; None for the only member of a cluster that was given no machines.
    pub(crate) address: Option<SocketAddr>,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(address) => address.fmt(f),
            None => f.write_str("no address"),
        }
    }
}

/// What the log tells the event log to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Command {
    /// The first command of a cluster: whose ship it is, and the cluster's random name. Every member writes it
    /// into its event log's META; a member that has an identity already checks that it is the same.
    Genesis {
        /// Whose ship.
        ship: ShipIdentity,
        /// The cluster's name, random, so that members of two clusters never mix.
        cluster: ClusterId,
        /// The last event of the history that the cluster began with: 0 for a new ship, the log's end where a pier
        /// of vere's was taken over. A member that does not hold it needs a snapshot, not the Raft log.
        baseline: EventNumber,
    },
    /// Events to append. They are appended only where the first one follows the log's last; else the whole
    /// batch is skipped, by every member alike (a batch that was queued twice, or by a leader who was wrong).
    Events {
        /// The office in which the batch was proposed.
        proposer: Term,
        /// The events.
        batch: Batch,
    },
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Command::Genesis {
                ship,
                cluster,
                baseline,
            } => {
                write!(
                    f,
                    "genesis of ship {:#x}, cluster {cluster}, after event {baseline}",
                    ship.who
                )
            }
            Command::Events { proposer, batch } => {
                write!(
                    f,
                    "events {} to {} of term {proposer}",
                    batch.first(),
                    batch.last()
                )
            }
        }
    }
}

/// A cluster's random name, made by its founder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct ClusterId(pub(crate) u128);

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl openraft::vote::RaftTerm for Term {
    fn next(&self) -> Self {
        Term(self.0 + 1)
    }

    fn as_u64(&self) -> Option<u64> {
        Some(self.0)
    }
}
