//! How a machine becomes a member: it asks, the leader takes it in as a learner. Promotion is `raft::members`' affair.

use crate::{
    net::{
        connection::{Connection, LinkError},
        detour::Detours,
        limits::{HANDSHAKE_PATIENCE, JOIN_PATIENCE, JOIN_PAUSE},
        wire::{self, Hello, Join, JoinAnswer, Purpose, kind},
    },
    raft::{
        Raft,
        config::{ClusterId, Membership, Peer},
    },
    types::{MemberId, ShipIdentity},
};
use openraft::{ChangeMembers, async_runtime::watch::WatchReceiver, errors::RaftError};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tracing::{info, warn};

/// Takes in those who ask, on the leader; tells others where the leader is.
#[derive(Debug)]
pub(crate) struct Registrar {
    pub(crate) id: MemberId,
    pub(crate) cluster: ClusterId,
    pub(crate) ship: ShipIdentity,
    /// Who may be a member.
    pub(crate) machines: Vec<SocketAddr>,
    pub(crate) raft: Raft,
    /// Whether the cluster is founded: before that nobody is taken in.
    pub(crate) founded: watch::Receiver<bool>,
}

impl Registrar {
    /// One question, one answer.
    pub(crate) async fn serve(&self, mut connection: Connection) -> Result<(), LinkError> {
        let message = timeout(HANDSHAKE_PATIENCE, connection.reader.message())
            .await
            .map_err(|_| LinkError::Silent(HANDSHAKE_PATIENCE))??;
        let join: Join = wire::read(&message, kind::JOIN, "a wish to join")?;
        let answer = self.answer(&join).await;
        if let JoinAnswer::Refused(why) = &answer {
            warn!(member = %join.id, address = %join.address, "refused a machine that wants to join: {why}");
        }
        wire::push(&mut connection.writer.encoder, kind::JOIN_ANSWER, &answer);
        connection.writer.flush().await
    }

    async fn answer(&self, join: &Join) -> JoinAnswer {
        if !self.machines.contains(&join.address) {
            return JoinAnswer::Refused(format!(
                "{} is not among the machines that this cluster was given",
                join.address
            ));
        }
        let (leader, membership) = {
            let metrics = self.raft.server_metrics();
            let metrics = metrics.borrow_watched();
            (
                metrics.current_leader,
                metrics.membership_config.membership().clone(),
            )
        };
        match leader {
            Some(leader) if leader == self.id => {}
            Some(leader) => {
                return match membership.get_node(&leader).and_then(|peer| peer.address) {
                    Some(address) => JoinAnswer::Ask(address),
                    None => JoinAnswer::Later("the leader's address is not known here".to_owned()),
                };
            }
            None => return JoinAnswer::Later("nobody leads at the moment".to_owned()),
        }
        if !*self.founded.borrow() {
            return JoinAnswer::Later("the cluster is being founded".to_owned());
        }
        let changes = match changes(&membership, join) {
            Ok(None) => return self.taken(),
            Ok(Some(changes)) => changes,
            Err(why) => return JoinAnswer::Refused(why),
        };
        info!(member = %join.id, address = %join.address, "a machine joins as a learner");
        match timeout(JOIN_PATIENCE, self.raft.change_membership(changes, true)).await {
            Ok(Ok(_)) => self.taken(),
            Ok(Err(RaftError::Fatal(error))) => JoinAnswer::Later(error.to_string()),
            Ok(Err(RaftError::APIError(error))) => JoinAnswer::Later(error.to_string()),
            Err(_) => JoinAnswer::Later("the change of members is not committed yet".to_owned()),
        }
    }

    fn taken(&self) -> JoinAnswer {
        JoinAnswer::Taken {
            cluster: self.cluster,
            ship: self.ship,
        }
    }
}

/// What must change so that `join` is a learner: None when it is a member already.
fn changes(membership: &Membership, join: &Join) -> Result<Option<ChangeMembers<MemberId, Peer>>, String> {
    if let Some(peer) = membership.get_node(&join.id) {
        return if peer.address == Some(join.address) {
            Ok(None)
        } else {
            Err(format!(
                "member {} is known at {peer}, not at {}",
                join.id, join.address
            ))
        };
    }
    let add = ChangeMembers::AddNodes(BTreeMap::from([(
        join.id,
        Peer {
            address: Some(join.address),
        },
    )]));
    // A learner that was at this address has lost its disk before it could vote. A voter is replaced when the new
    // one has caught up (`raft::members`).
    let gone: BTreeSet<MemberId> = membership
        .learner_ids()
        .filter(|id| {
            membership
                .get_node(id)
                .is_some_and(|peer| peer.address == Some(join.address))
        })
        .collect();
    Ok(Some(if gone.is_empty() {
        add
    } else {
        ChangeMembers::Batch(vec![ChangeMembers::RemoveNodes(gone), add])
    }))
}

/// Asks `machines` until one of them takes this member in. An error is final.
pub(crate) async fn join(
    id: MemberId,
    address: SocketAddr,
    machines: &[SocketAddr],
    detours: &Detours,
) -> Result<(ClusterId, ShipIdentity), String> {
    let mut said = String::new();
    loop {
        let mut hint = None;
        let mut reasons = Vec::new();
        for machine in machines.iter().filter(|machine| **machine != address) {
            let mut next = Some(*machine);
            // The leader that a member names is asked at once; it may name another, once.
            for _ in 0..2 {
                let Some(machine) = next.take() else { break };
                match ask(id, address, detours.on_the_way_to(machine)).await {
                    Ok(JoinAnswer::Taken { cluster, ship }) => return Ok((cluster, ship)),
                    Ok(JoinAnswer::Ask(leader)) => next = Some(leader),
                    Ok(JoinAnswer::Later(why)) => hint = Some(why),
                    Ok(JoinAnswer::Refused(why)) => {
                        return Err(format!("{machine} does not take this machine in: {why}"));
                    }
                    Err(error) => reasons.push(format!("{machine}: {error}")),
                }
            }
        }
        let text = hint.unwrap_or_else(|| reasons.join("; "));
        if text != said {
            info!("waiting for the leader among the machines: {text}");
            said = text;
        }
        sleep(JOIN_PAUSE).await;
    }
}

async fn ask(id: MemberId, address: SocketAddr, machine: SocketAddr) -> Result<JoinAnswer, LinkError> {
    let hello = Hello {
        cluster: None,
        from: id,
        to: None,
        purpose: Purpose::Join,
    };
    let mut connection = Connection::dial(machine, &hello).await?;
    wire::push(&mut connection.writer.encoder, kind::JOIN, &Join { id, address });
    let talk = async {
        connection.writer.flush().await?;
        let message = connection.reader.message().await?;
        Ok(wire::read(
            &message,
            kind::JOIN_ANSWER,
            "an answer to a wish to join",
        )?)
    };
    let patience = 2 * JOIN_PATIENCE;
    timeout(patience, talk)
        .await
        .map_err(|_| LinkError::Silent(patience))?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    fn members() -> Membership {
        let nodes = (1..=3).map(|n| {
            (
                MemberId(n),
                Peer {
                    address: Some(address(n as u16)),
                },
            )
        });
        Membership::new(
            vec![BTreeSet::from([MemberId(1), MemberId(2)])],
            nodes.collect::<BTreeMap<_, _>>(),
        )
        .unwrap()
    }

    #[test]
    fn who_is_there_stays() {
        let join = Join {
            id: MemberId(2),
            address: address(2),
        };
        assert_eq!(changes(&members(), &join), Ok(None));
        let moved = Join {
            id: MemberId(2),
            address: address(9),
        };
        changes(&members(), &moved).unwrap_err();
    }

    #[test]
    fn a_wiped_learner_makes_room_a_wiped_voter_does_not_yet() {
        let add = |join: &Join| {
            ChangeMembers::AddNodes(BTreeMap::from([(
                join.id,
                Peer {
                    address: Some(join.address),
                },
            )]))
        };
        let voter = Join {
            id: MemberId(9),
            address: address(2),
        };
        assert_eq!(changes(&members(), &voter), Ok(Some(add(&voter))));
        let learner = Join {
            id: MemberId(9),
            address: address(3),
        };
        let gone = ChangeMembers::RemoveNodes(BTreeSet::from([MemberId(3)]));
        assert_eq!(
            changes(&members(), &learner),
            Ok(Some(ChangeMembers::Batch(vec![gone, add(&learner)])))
        );
    }
}
