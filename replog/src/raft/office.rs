//! What this member is, as the king is told: from openraft's state and the state machine's, a decision without I/O.

use crate::{
    raft::{board::Begun, config::Vote},
    types::{MemberId, Role, Term},
};
use openraft::ServerState;

/// What the decision rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// This member.
    pub(crate) id: MemberId,
    /// openraft's view.
    pub(crate) state: ServerState,
    /// The vote on this member's disk.
    pub(crate) vote: Vote,
    /// Who leads, as far as is known.
    pub(crate) leader: Option<MemberId>,
    /// The newest term of which an entry has been applied here.
    pub(crate) begun: Begun,
    /// The newest term that this member has given up: a proposal of it was lost, or office is being handed over.
    pub(crate) ended: Term,
}

/// The role to announce. Office is announced only when an entry of its term is committed and applied here, since only then
/// all that earlier terms committed is; leaving it is announced at once.
pub(crate) fn role(standing: &Standing) -> Role {
    let term = standing.vote.leader_id.term;
    let mine = standing.vote.committed && standing.vote.leader_id.voted_for == standing.id;
    let leader = standing.leader.filter(|leader| *leader != standing.id);
    match standing.state {
        ServerState::Leader if mine && standing.ended < term && standing.begun.term == term => Role::Leader {
            term,
            barrier: standing.begun.barrier,
        },
        ServerState::Leader if standing.ended < term => Role::Candidate,
        ServerState::Candidate => Role::Candidate,
        ServerState::Leader | ServerState::Follower => Role::Follower { leader },
        ServerState::Learner | ServerState::Shutdown => Role::Learner { leader },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use seguro_event::EventNumber;

    const ME: MemberId = MemberId(1);
    const OTHER: MemberId = MemberId(2);

    fn leading() -> Standing {
        Standing {
            id: ME,
            state: ServerState::Leader,
            vote: Vote::new_committed(Term(3), ME),
            leader: Some(ME),
            begun: Begun {
                term: Term(3),
                barrier: EventNumber(9),
            },
            ended: Term(2),
        }
    }

    #[test]
    fn office_begins_when_an_entry_of_its_term_is_applied() {
        assert_eq!(
            role(&leading()),
            Role::Leader {
                term: Term(3),
                barrier: EventNumber(9)
            }
        );
        let early = Begun {
            term: Term(2),
            barrier: EventNumber(9),
        };
        assert_eq!(
            role(&Standing {
                begun: early,
                ..leading()
            }),
            Role::Candidate
        );
        // The vote is not on this member's disk yet.
        assert_eq!(
            role(&Standing {
                vote: Vote::new(Term(3), ME),
                ..leading()
            }),
            Role::Candidate
        );
    }

    #[test]
    fn office_ends_when_it_is_given_up_or_taken() {
        let nobody = Role::Follower { leader: None };
        assert_eq!(
            role(&Standing {
                ended: Term(3),
                ..leading()
            }),
            nobody
        );
        let state = ServerState::Follower;
        assert_eq!(role(&Standing { state, ..leading() }), nobody);
        let taken = Standing {
            vote: Vote::new_committed(Term(4), OTHER),
            state,
            leader: Some(OTHER),
            ..leading()
        };
        assert_eq!(role(&taken), Role::Follower { leader: Some(OTHER) });
    }

    #[test]
    fn others_are_what_openraft_says() {
        let leader = Some(OTHER);
        assert_eq!(
            role(&Standing {
                state: ServerState::Learner,
                leader,
                ..leading()
            }),
            Role::Learner { leader }
        );
        assert_eq!(
            role(&Standing {
                state: ServerState::Candidate,
                leader: None,
                ..leading()
            }),
            Role::Candidate
        );
    }
}
