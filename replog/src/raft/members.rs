//! Who votes: learners that have caught up are promoted, a member whose disk was wiped is replaced, a change that a dead
//! leader left half done is finished. What to do follows from the membership alone, so any leader goes on with it.

use crate::{
    raft::{
        Raft,
        config::{Membership, Peer},
        limits::{PROMOTE_LAG, TEND_EVERY},
    },
    types::{MemberId, Role},
};
use openraft::{ChangeMembers, async_runtime::watch::WatchReceiver};
use std::collections::{BTreeMap, BTreeSet};
use tokio::{sync::watch, time::sleep};
use tracing::{debug, info, warn};

/// The voters to be, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A change is half done: these are the voters that it leads to.
    Finish(BTreeSet<MemberId>),
    /// Learners have caught up.
    Promote {
        /// Which ones.
        learners: Vec<MemberId>,
        /// The voters at the same addresses, whose disks are gone.
        instead: Vec<MemberId>,
        /// All voters then.
        voters: BTreeSet<MemberId>,
    },
}

/// What the leader should do about its members now. `matched` says how far it knows each of them to be.
pub(crate) fn next_step(
    membership: &Membership,
    matched: &BTreeMap<MemberId, Option<u64>>,
    last: u64,
) -> Option<Step> {
    let configs = membership.get_joint_config();
    let voters = configs.last()?;
    if configs.len() > 1 {
        return Some(Step::Finish(voters.clone()));
    }
    let address = |id: &MemberId| membership.get_node(id).and_then(|peer: &Peer| peer.address);
    let caught_up = |id: &MemberId| {
        matched
            .get(id)
            .copied()
            .flatten()
            .is_some_and(|matched| matched + PROMOTE_LAG >= last)
    };
    // All at once: a cluster of two, on the way to three, survives the loss of neither.
    let learners: Vec<MemberId> = membership.learner_ids().filter(caught_up).collect();
    if learners.is_empty() {
        return None;
    }
    let replaced = |voter: &MemberId| {
        address(voter).is_some() && learners.iter().any(|learner| address(learner) == address(voter))
    };
    let instead: Vec<MemberId> = voters.iter().copied().filter(replaced).collect();
    let stay = voters.iter().copied().filter(|voter| !instead.contains(voter));
    let voters = stay.chain(learners.iter().copied()).collect();
    Some(Step::Promote {
        learners,
        instead,
        voters,
    })
}

/// Does it, as long as this member leads.
pub(crate) async fn tend(raft: Raft, role: watch::Receiver<Role>) {
    let (server, data) = (raft.server_metrics(), raft.data_metrics());
    loop {
        sleep(TEND_EVERY).await;
        if !matches!(*role.borrow(), Role::Leader { .. }) {
            continue;
        }
        let membership = server.borrow_watched().membership_config.membership().clone();
        let (matched, last) = {
            let data = data.borrow_watched();
            let replication = data.replication.clone().unwrap_or_default();
            let matched = replication
                .into_iter()
                .map(|(id, at)| (id, at.map(|at| at.index)))
                .collect();
            (matched, data.last_log.map_or(0, |last| last.index))
        };
        let Some(step) = next_step(&membership, &matched, last) else {
            continue;
        };
        let voters = match &step {
            Step::Finish(voters) => {
                info!("finishing a change of members that was left half done");
                voters.clone()
            }
            Step::Promote {
                learners,
                instead,
                voters,
            } => {
                for learner in learners {
                    info!(member = %learner, "a learner has caught up: it votes from now on");
                }
                for gone in instead {
                    info!(member = %gone, "a voter whose disk is gone is replaced by who came to its address");
                }
                voters.clone()
            }
        };
        let count = voters.len();
        match raft
            .change_membership(ChangeMembers::ReplaceAllVoters(voters), false)
            .await
        {
            Ok(_) if count == 2 => {
                warn!(
                    "the cluster has two voters now: it survives the loss of neither until a third one joins"
                );
            }
            Ok(_) => info!("the cluster has {count} voters now"),
            Err(error) => debug!("a change of members has to wait: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(n: u64) -> MemberId {
        MemberId(n)
    }

    fn ids(ids: &[u64]) -> BTreeSet<MemberId> {
        ids.iter().copied().map(MemberId).collect()
    }

    /// Members by id and port.
    fn membership(configs: &[&[u64]], nodes: &[(u64, u16)]) -> Membership {
        let nodes = nodes.iter().map(|(n, port)| {
            (
                member(*n),
                Peer {
                    address: Some(([127, 0, 0, 1], *port).into()),
                },
            )
        });
        let configs = configs.iter().map(|config| ids(config)).collect();
        Membership::new(configs, nodes.collect::<BTreeMap<_, _>>()).unwrap()
    }

    fn matched(of: &[(u64, u64)]) -> BTreeMap<MemberId, Option<u64>> {
        of.iter().map(|(n, at)| (member(*n), Some(*at))).collect()
    }

    const LAST: u64 = 10_000;

    #[test]
    fn nothing_to_do() {
        let all = membership(&[&[1, 2, 3]], &[(1, 1), (2, 2), (3, 3)]);
        assert_eq!(next_step(&all, &matched(&[(1, LAST), (2, LAST)]), LAST), None);
    }

    fn promote(learners: &[u64], instead: &[u64], voters: &[u64]) -> Option<Step> {
        let list = |ids: &[u64]| ids.iter().copied().map(MemberId).collect();
        Some(Step::Promote {
            learners: list(learners),
            instead: list(instead),
            voters: ids(voters),
        })
    }

    #[test]
    fn a_learner_votes_when_it_has_caught_up() {
        let learner = membership(&[&[1]], &[(1, 1), (2, 2)]);
        assert_eq!(
            next_step(
                &learner,
                &matched(&[(1, LAST), (2, LAST - PROMOTE_LAG - 1)]),
                LAST
            ),
            None
        );
        assert_eq!(
            next_step(&learner, &BTreeMap::from([(member(2), None)]), LAST),
            None
        );
        let close = matched(&[(1, LAST), (2, LAST - PROMOTE_LAG)]);
        assert_eq!(next_step(&learner, &close, LAST), promote(&[2], &[], &[1, 2]));
    }

    #[test]
    fn learners_that_have_caught_up_vote_at_once() {
        let learners = membership(&[&[1]], &[(1, 1), (2, 2), (3, 3)]);
        let all = matched(&[(1, LAST), (2, LAST), (3, LAST)]);
        assert_eq!(
            next_step(&learners, &all, LAST),
            promote(&[2, 3], &[], &[1, 2, 3])
        );
    }

    #[test]
    fn a_wiped_voter_is_replaced_by_who_came_to_its_address() {
        let wiped = membership(&[&[1, 2, 3]], &[(1, 1), (2, 2), (3, 3), (9, 3)]);
        assert_eq!(
            next_step(&wiped, &matched(&[(9, LAST)]), LAST),
            promote(&[9], &[3], &[1, 2, 9])
        );
    }

    #[test]
    fn a_change_left_half_done_is_finished_first() {
        let joint = membership(
            &[&[1, 2, 3], &[1, 2, 9]],
            &[(1, 1), (2, 2), (3, 3), (9, 3), (4, 4)],
        );
        assert_eq!(
            next_step(&joint, &matched(&[(4, LAST)]), LAST),
            Some(Step::Finish(ids(&[1, 2, 9])))
        );
    }
}
