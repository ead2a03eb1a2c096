//! Handing office over: to a voter that answers, that nothing holds back, and that has the most of the log; once it has all of it.

use crate::{
    errors::TransferError,
    raft::{config::Peer, limits::TRANSFER_POLL, node::Node},
    types::{MemberId, Term},
};
use openraft::{Instant as _, async_runtime::watch::WatchReceiver};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::{debug, info};

/// Hands the office of `term` over. Where `any` is set also to one that is held back, if there is no other. `give_up` is called when the heir is known and before it is asked: from then on this member
/// proposes nothing, and is certain of nothing.
pub(crate) async fn hand_over(
    node: Arc<Node>,
    term: Term,
    any: bool,
    patience: Duration,
    give_up: impl FnOnce() + Send + 'static,
) -> Result<MemberId, TransferError> {
    let deadline = Instant::now() + patience;
    let millis = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
    let heir = heir(&node, any).await?;
    give_up();
    // Nothing is proposed any more: the heir has it all in a moment.
    while !has_all(&node, heir) {
        if Instant::now() >= deadline {
            return Err(TransferError::Timeout { to: heir, millis });
        }
        sleep(TRANSFER_POLL).await;
    }
    info!(%term, to = %heir, "handing office over");
    node.raft
        .trigger()
        .transfer_leader(heir)
        .await
        .map_err(|error| TransferError::Closed(error.to_string()))?;
    let mut server = node.raft.server_metrics();
    let taken = async {
        loop {
            {
                let now = server.borrow_and_update();
                if let Some(leader) = now.current_leader.filter(|_| now.vote.leader_id.term > term) {
                    return Ok(leader);
                }
            }
            if server.changed().await.is_err() {
                return Err(TransferError::Closed("it was stopped".to_owned()));
            }
        }
    };
    timeout_at(deadline, taken)
        .await
        .unwrap_or(Err(TransferError::Timeout { to: heir, millis }))
}

/// The voter, not this member, that is known to have the most of the log, of those that answered within the lease; one that is not
/// held back before all others, and no other unless `any` is set.
async fn heir(node: &Node, any: bool) -> Result<MemberId, TransferError> {
    let candidates = candidates(node)?;
    let best = candidates.first().map(|(id, _)| *id);
    for (id, peer) in &candidates {
        let near = timeout(node.lease, node.links.is_near(*id, peer)).await;
        match near {
            Ok(Ok(true)) => return Ok(*id),
            Ok(Ok(false)) => debug!(member = %id, "would have to catch up before it could serve"),
            Ok(Err(error)) => debug!(member = %id, %error, "cannot be asked whether it could serve"),
            Err(_) => debug!(member = %id, "does not say whether it could serve"),
        }
    }
    let none = || TransferError::NoHeir("each of the others would have to catch up as well".to_owned());
    best.filter(|_| any).ok_or_else(none)
}

/// The other voters that answered within the lease, those with the most of the log first.
fn candidates(node: &Node) -> Result<Vec<(MemberId, Peer)>, TransferError> {
    let (server, data) = (node.raft.server_metrics(), node.raft.data_metrics());
    let membership = server.borrow_watched().membership_config.clone();
    let data = data.borrow_watched();
    let heard = |id: &MemberId| {
        let beats = data.heartbeat.as_ref()?;
        let beat = (*beats.get(id)?)?;
        (beat.into_inner().elapsed() < node.lease).then_some(())
    };
    let matched = |id: &MemberId| {
        data.replication
            .as_ref()
            .and_then(|all| all.get(id).copied().flatten())
    };
    let mut found: Vec<_> = membership
        .voter_ids()
        .filter(|id| *id != node.id && heard(id).is_some())
        .filter_map(|id| Some((id, *membership.membership().get_node(&id)?)))
        .collect();
    found.sort_by_key(|(id, _)| std::cmp::Reverse(matched(id)));
    match (found.is_empty(), membership.voter_ids().count()) {
        (false, _) => Ok(found),
        (true, 0 | 1) => Err(TransferError::NoHeir("this member is the only voter".to_owned())),
        (true, _) => Err(TransferError::NoHeir(
            "none of the others has answered of late".to_owned(),
        )),
    }
}

fn has_all(node: &Node, heir: MemberId) -> bool {
    let data = node.raft.data_metrics();
    let data = data.borrow_watched();
    let matched = data
        .replication
        .as_ref()
        .and_then(|all| all.get(&heir).copied().flatten());
    matched.is_some() && matched == data.last_log
}
