//! What a running member does beside Raft: announcing its role, purging its log, deciding whether it may stand for election,
//! noticing that it must stop.

use crate::{
    net::link::Sending,
    raft::{
        Raft,
        board::Board,
        config::{TypeConfig, Vote, end_term},
        limits::{GATE_EVERY, HOLD_BACK_SILENCES, PURGE_EVERY, QUORUM_SILENCES},
        machine::durable_place,
        office::{self, Standing},
        purge::{self, Situation},
    },
    store::{
        event_log::EventLog,
        failure::{EXIT_IO, StoreFailed},
    },
    types::{MemberId, Role, Term},
};
use futures::FutureExt;
use openraft::{Instant as _, async_runtime::watch::WatchReceiver, errors::Fatal, raft::VoteRequest};
use std::{
    future::Future,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use tracing::{debug, info, warn};

/// Announces this member's role as it changes, until Raft stops.
pub(crate) async fn announce(raft: Raft, id: MemberId, board: Arc<Board>) {
    let mut server = raft.server_metrics();
    let (mut begun, mut ended) = (board.begun.subscribe(), board.ended.subscribe());
    loop {
        let standing = {
            let now = server.borrow_and_update();
            let (begun, ended) = (*begun.borrow_and_update(), *ended.borrow_and_update());
            Standing {
                id,
                state: now.state,
                vote: now.vote,
                leader: now.current_leader,
                begun,
                ended,
            }
        };
        board.announce(office::role(&standing));
        tokio::select! {
            changed = server.changed() => if changed.is_err() { return },
            _ = begun.changed() => {}
            _ = ended.changed() => {}
        }
    }
}

/// No member's identity: those are random, and never zero.
const NOBODY: MemberId = MemberId(0);

/// Leaves an office that has been given up but that Raft still holds, so that somebody (perhaps this member) is elected anew.
pub(crate) async fn resign(raft: Raft, id: MemberId, board: Arc<Board>, patience: Duration) {
    let (server, data, mut ended) = (
        raft.server_metrics(),
        raft.data_metrics(),
        board.ended.subscribe(),
    );
    while ended.changed().await.is_ok() {
        let term = *ended.borrow_and_update();
        loop {
            // A transfer takes care of itself, if it goes well.
            sleep(patience).await;
            let vote = server.borrow_watched().vote;
            if !vote.committed || vote.leader_id.voted_for != id || vote.leader_id.term > term {
                break;
            }
            info!(term = %vote.leader_id.term, "resigning: a proposal of this office was lost, or nobody took it over");
            // The only way to make openraft step down: a vote in the next term, for a candidate that there is not. Nobody
            // wins that term, and the next one is open to all.
            let request = VoteRequest {
                vote: Vote::new(Term(vote.leader_id.term.0 + 1), NOBODY),
                last_log_id: data.borrow_watched().last_log,
                leadership_transfer: true,
            };
            if let Err(error) = raft.vote(request).await {
                debug!("could not resign: {error}");
                return;
            }
        }
    }
}

/// Ends an office that no quorum has acknowledged for [`QUORUM_SILENCES`] times `silence`, each of them seen: whoever waits at this
/// member learns that nobody knows, and asks elsewhere. A member that was stopped for a while sees one silence when it wakes,
/// and may find that it still leads. (Raft dissertation, section 6.2: a leader steps down if an election timeout elapses
/// without a successful round of heartbeats.)
pub(crate) async fn give_up_unheard(raft: Raft, id: MemberId, board: Arc<Board>, silence: Duration) {
    let (server, data) = (raft.server_metrics(), raft.data_metrics());
    let mut silences = 0;
    loop {
        sleep(silence).await;
        let Role::Leader { term, .. } = *board.role.borrow() else {
            silences = 0;
            continue;
        };
        let alone = server.borrow_watched().membership_config.voter_ids().eq([id]);
        let acked = data.borrow_watched().last_quorum_acked;
        if alone || acked.is_some_and(|acked| acked.into_inner().elapsed() < silence) {
            silences = 0;
            continue;
        }
        silences += 1;
        if silences >= QUORUM_SILENCES {
            warn!(%term, "no quorum has been heard for {:?}: this member gives up its office", silence * silences);
            end_term(&board.ended, term);
            silences = 0;
        }
    }
}

/// Purges the Raft log from time to time.
pub(crate) async fn purge(
    raft: Raft,
    log: EventLog,
    sending: Sending,
    bytes: impl Fn() -> u64 + Send + Sync,
) {
    let data = raft.data_metrics();
    loop {
        sleep(PURGE_EVERY).await;
        let Ok(durable) = durable_place(&log) else {
            continue;
        };
        let situation = {
            let data = data.borrow_watched();
            let matched = data.replication.clone().unwrap_or_default();
            Situation {
                durable: durable.applied.map(|at| at.index),
                purged: data.purged.map(|at| at.index),
                bytes: bytes(),
                matched: matched.into_values().map(|at| at.map(|at| at.index)).collect(),
                sending: sending.indexes(),
            }
        };
        if let Some(to) = purge::purge_to(&situation)
            && purge_log(&raft, to).await.is_err()
        {
            return;
        }
    }
}

/// Purges the Raft log up to `to`, which the event log has on disk.
pub(crate) async fn purge_log(raft: &Raft, to: u64) -> Result<(), Fatal<TypeConfig>> {
    // To openraft the event log is a snapshot: it purges only what one covers.
    let mut data = raft.data_metrics();
    if data
        .borrow_watched()
        .snapshot
        .is_none_or(|covered| covered.index < to)
    {
        raft.trigger().snapshot().await?;
        loop {
            if data
                .borrow_and_update()
                .snapshot
                .is_some_and(|covered| covered.index >= to)
            {
                break;
            }
            if data.changed().await.is_err() {
                return Err(Fatal::Stopped);
            }
        }
    }
    debug!(to, "purging the Raft log");
    raft.trigger().purge_log(to).await
}

/// When this member may stand for election.
#[derive(Debug)]
pub(crate) struct Gate {
    /// Not before: it may have promised a leader its lease before it was restarted.
    pub(crate) from: Instant,
    /// When a leader was last heard.
    pub(crate) leader_heard: Arc<Mutex<Instant>>,
    /// The longest silence after which an election is due.
    pub(crate) silence: Duration,
}

/// Opens and closes the gate.
pub(crate) async fn gate(raft: Raft, gate: Gate, board: Arc<Board>) {
    let mut open = None;
    let mut complained = false;
    loop {
        let held = *board.hold_back.borrow();
        let heard = *gate.leader_heard.lock().unwrap_or_else(PoisonError::into_inner);
        let nobody_else = heard.elapsed() >= gate.silence * HOLD_BACK_SILENCES;
        let now = Instant::now() >= gate.from && (!held || nobody_else);
        if held && nobody_else && !complained {
            warn!("this member trails behind, but nobody else takes office: it stands for election");
        }
        complained = held && nobody_else;
        if open != Some(now) {
            raft.runtime_config().elect(now);
            open = Some(now);
        }
        sleep(GATE_EVERY).await;
    }
}

/// Tells when a store or Raft has failed.
pub(crate) async fn watch_failures(
    raft: Raft,
    mut alarm: watch::Receiver<Option<StoreFailed>>,
    board: Arc<Board>,
) {
    // These seldom change, and their sender goes when Raft ends. The metrics that say why are sent at every step.
    let mut server = raft.server_metrics();
    loop {
        if let Some(failed) = alarm.borrow_and_update().clone() {
            board.fail(failed.to_string(), failed.exit_code());
            return;
        }
        tokio::select! {
            changed = alarm.changed() => if changed.is_err() { return },
            changed = server.changed() => if changed.is_err() { break },
        }
    }
    let ended = raft.metrics().borrow_watched().running_state.clone();
    // A store that failed has raised its alarm, whose words are better.
    let failed = alarm.borrow().clone();
    match (failed, ended) {
        (Some(failed), _) => board.fail(failed.to_string(), failed.exit_code()),
        (None, Err(Fatal::Stopped)) => {}
        (None, Err(error)) => board.fail(format!("Raft has stopped: {error}"), EXIT_IO),
        (None, Ok(())) => {
            board.fail(
                "Raft has ended without a word: a defect of this program".to_owned(),
                EXIT_SOFTWARE,
            );
        }
    }
}

/// Exit code after a defect of this program (`EX_SOFTWARE` of sysexits).
const EXIT_SOFTWARE: u8 = 70;

/// Runs one of a member's tasks. A member that lacks one must not go on: if it panics, that is a failure.
pub(crate) async fn watched(name: &'static str, board: Arc<Board>, task: impl Future<Output = ()> + Send) {
    if AssertUnwindSafe(task).catch_unwind().await.is_err() {
        board.fail(
            format!("the task `{name}` has panicked: a defect of this program"),
            EXIT_SOFTWARE,
        );
    }
}
