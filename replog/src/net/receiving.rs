//! One snapshot is received at a time, and a later leader's goes before an earlier one's.
//!
//! A leader that was cut off while it sent one leaves a connection that is silent for long before it counts as broken. The
//! next leader does not wait for that: where this member is needed for a quorum, the ship would.

use crate::{net::limits::TURN_PATIENCE, raft::config::Vote};
use tokio::{
    sync::{Mutex, MutexGuard, watch},
    time::timeout,
};

/// Whose turn it is.
#[derive(Debug)]
pub(crate) struct Receiving {
    turn: Mutex<()>,
    /// The vote of the latest leader that offered one.
    latest: watch::Sender<Option<Vote>>,
}

impl Receiving {
    pub(crate) fn new() -> Receiving {
        Receiving {
            turn: Mutex::new(()),
            latest: watch::Sender::new(None),
        }
    }

    /// The turn of the leader with this vote. None while another snapshot is received that is not an earlier leader's, or is at
    /// its very end.
    pub(crate) async fn begin(&self, vote: Vote) -> Option<MutexGuard<'_, ()>> {
        let is_later = self.latest.send_if_modified(|latest| {
            let is_later = latest.is_none_or(|latest| latest < vote);
            if is_later {
                *latest = Some(vote);
            }
            is_later
        });
        match self.turn.try_lock() {
            Ok(turn) => Some(turn),
            Err(_) if is_later => timeout(TURN_PATIENCE, self.turn.lock()).await.ok(),
            Err(_) => None,
        }
    }

    /// Ends when a later leader than the one with this vote offers a snapshot.
    pub(crate) async fn overtaken(&self, vote: Vote) {
        let mut latest = self.latest.subscribe();
        // The sender is this one's own, and outlives the borrow.
        let _ = latest
            .wait_for(|latest| latest.is_some_and(|latest| latest > vote))
            .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{MemberId, Term};
    use std::{pin::pin, time::Duration};

    /// Of the member that was elected in this term.
    fn elected(term: u64) -> Vote {
        Vote::new_committed(Term(term), MemberId(term))
    }

    #[tokio::test]
    async fn a_later_leader_goes_before_an_earlier_one_and_nobody_else_does() {
        let receiving = Receiving::new();
        let first = receiving.begin(elected(2)).await.unwrap();
        let mut overtaken = pin!(receiving.overtaken(elected(2)));
        assert!(
            receiving.begin(elected(2)).await.is_none(),
            "the same leader's second"
        );
        assert!(receiving.begin(elected(1)).await.is_none(), "an earlier leader's");
        timeout(Duration::from_millis(20), &mut overtaken)
            .await
            .expect_err("neither ends it");

        let ends = async {
            overtaken.await;
            drop(first);
        };
        let ((), second) = tokio::join!(ends, receiving.begin(elected(3)));
        let second = second.expect("the later leader's turn");
        assert!(receiving.begin(elected(2)).await.is_none());
        drop(second);
        assert!(receiving.begin(elected(3)).await.is_some());
    }

    #[tokio::test]
    async fn one_that_does_not_end_is_not_waited_for_without_end() {
        let receiving = Receiving::new();
        let _first = receiving.begin(elected(2)).await.unwrap();
        assert!(receiving.begin(elected(3)).await.is_none());
    }
}
