//! The handle that the king holds: propose a batch, learn what is committed and what this member is, read events.

use crate::{
    errors::{CloseError, Fatal, OpenError, ProposeError, ReadError, RollError, TransferError},
    net::detour::Detours,
    raft::{
        config::{Command, Lost, end_term},
        limits::MAX_BATCH_BYTES,
        machine::durable_place,
        node::Node,
        seat::Seat,
        tasks,
    },
    simulated::{self, Defect},
    store::event_log::EventLog,
    types::{Batch, Commit, Event, Member, MemberId, Role, ShipIdentity, Term},
};
use openraft::{
    Instant as _, ReadPolicy, async_runtime::watch::WatchReceiver, vote::leader_id_std::CommittedLeaderId,
};
use seguro_event::EventNumber;
use serde::{Deserialize, Serialize};
use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::sync::{OwnedMutexGuard, watch};

/// How often a leader says that it is there, unless it is set.
pub const DEFAULT_HEARTBEAT: Duration = Duration::from_millis(100);
/// The least time, after the lease of a leader that has fallen silent has run out, until another stands for election, unless
/// it is set. A follower stands after `MAX` (the lease) and a random time between `MIN` and `MAX`: at the least 800 ms, which
/// is eight heartbeats missed in a row, and 870 ms in the mean for the first of two.
pub const DEFAULT_ELECTION_TIMEOUT_MIN: Duration = Duration::from_millis(300);
/// The lease that followers grant, and the most that they wait after it.
pub const DEFAULT_ELECTION_TIMEOUT_MAX: Duration = Duration::from_millis(500);
/// Address space reserved for the event log, unless it is set: vere's own, 1 TiB.
pub const DEFAULT_EVENT_LOG_MAP_BYTES: usize = crate::limits::EVENT_LOG_MAP_BYTES;

/// How a member starts.
#[derive(Clone, Debug)]
pub enum Start {
    /// A new ship: this member founds the cluster, alone at first; the others join it.
    Found {
        /// Goes into META of the event log, here and on every member; no event is in the log yet.
        genesis: ShipIdentity,
    },
    /// The pier is there: a member that was stopped, or a pier of vere's that is taken over (its events
    /// are the history that the cluster begins with). Founds a cluster where no identity file is.
    Resume,
    /// An empty directory: wait for the leader among `machines`, and join.
    Join,
}

/// Everything a member is given.
#[derive(Clone, Debug)]
pub struct Config {
    /// The pier's directory.
    pub pier: PathBuf,
    /// Where all members are reached, this one included. Empty: a cluster of one, no listener.
    pub machines: Vec<SocketAddr>,
    /// This member's own address, one of `machines`; None with no machines.
    pub own_address: Option<SocketAddr>,
    /// How to start.
    pub start: Start,
    /// How often a leader says that it is there.
    pub heartbeat: Duration,
    /// The least time after a silent leader's lease until another stands for election.
    pub election_timeout_min: Duration,
    /// The lease that followers grant a leader, and the most that they wait after it.
    pub election_timeout_max: Duration,
    /// What `vere.txt` of a new epoch says, e.g. `3.5`.
    pub vere_version: String,
    /// LMDB map size of the event log, bytes (vere: 1 TiB).
    pub event_log_map_bytes: usize,
    /// Whether addresses outside loopback may be used without TLS.
    pub insecure_peers: bool,
}

/// This member's part in the replicated log. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Replog {
    seat: Arc<Seat>,
    pier: PathBuf,
}

/// While it is there, nothing is added to this member's event log: see [`Replog::hold`].
#[derive(Debug)]
pub struct Hold {
    _applying: OwnedMutexGuard<()>,
}

/// A snapshot that was installed from the leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstalledSnapshot {
    /// How many snapshots this process has installed, this one included: distinguishes two that are equal.
    pub nth: u64,
    /// The epoch whose image (`epoch_image`) must replace the serf's state; None for epoch 0, which has none.
    pub image: Option<EventNumber>,
    /// The last event of the snapshot.
    pub last: EventNumber,
}

/// A member's state, for `status`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// This member.
    pub id: MemberId,
    /// The cluster's random name, hexadecimal; empty while it is not known.
    pub cluster: String,
    /// What this member is.
    pub role: Role,
    /// The newest term it knows.
    pub term: Term,
    /// Who leads, if known.
    pub leader: Option<Member>,
    /// All members.
    pub members: Vec<Member>,
    /// Whether a change of voters is half done: until it is finished a quorum of the old ones and of the new ones is needed.
    pub joint: bool,
    /// Last event committed as far as this member knows.
    pub committed: EventNumber,
    /// Last event synced in this member's event log.
    pub durable: EventNumber,
    /// Bytes in use in the Raft log.
    pub raft_log_bytes: u64,
    /// Bytes in use in the event log, all epochs.
    pub event_log_bytes: u64,
    /// The epochs held, oldest first.
    pub epochs: Vec<u64>,
    /// Index of the last entry in this member's Raft log.
    pub last_log_index: u64,
    /// Index of the last entry that was purged from it.
    pub purged_index: u64,
    /// On the leader: milliseconds since a quorum last acknowledged its office.
    pub millis_since_quorum: Option<u64>,
}

impl Replog {
    /// Opens the stores and starts Raft; returns at once, whatever the role (roles arrive on [`role`](Self::role)).
    ///
    /// # Errors
    /// When the settings contradict each other or the disk, an address cannot be had, or a store cannot be opened.
    pub async fn open(config: Config) -> Result<Replog, OpenError> {
        Replog::open_with(config, Detours::default()).await
    }

    /// As [`open`](Self::open), with relays in the way to other members: for tests of the network.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    #[doc(hidden)]
    pub async fn open_with(config: Config, detours: Detours) -> Result<Replog, OpenError> {
        let pier = config.pier.clone();
        Ok(Replog {
            seat: Seat::open(config, detours).await?,
            pier,
        })
    }

    /// Purges all of the Raft log that the event log has on disk, as if it had grown far beyond its limits: for tests.
    #[doc(hidden)]
    pub async fn purge_all(&self) {
        let Some(node) = self.seat.node() else { return };
        let purging = async move {
            if (simulated::has(Defect::PurgedTooEarly) || node.log.sync().await.is_ok())
                && let Ok(place) = durable_place(&node.log)
                && let Some(applied) = place.applied
            {
                let _ = tasks::purge_log(&node.raft, applied.index).await;
            }
        };
        self.seat.run(purging).await;
    }

    /// Batches that were skipped since this member was opened, since another had taken their place: for tests of their order.
    #[doc(hidden)]
    #[must_use]
    pub fn skips(&self) -> u64 {
        self.seat.board.skips.load(Ordering::Relaxed)
    }

    /// Whose ship it is; None until known (a member that joins learns it from the leader).
    #[must_use]
    pub fn identity(&self) -> Option<ShipIdentity> {
        *self.seat.board.ship.borrow()
    }

    /// What this member is; changes are seen here. Coalesces: only the newest value counts.
    #[must_use]
    pub fn role(&self) -> watch::Receiver<Role> {
        self.seat.board.role.subscribe()
    }

    /// How far the history is committed as far as is known here, and by whose proposal. Never decreases. Becomes N only
    /// after `read(N)` would return it.
    ///
    /// The king takes a commit for its own office's only if the proposer's term is the office's: another leader's event
    /// may bear the same number as one that this member proposed and lost. The proposer's term is in the entry.
    #[must_use]
    pub fn committed(&self) -> watch::Receiver<Commit> {
        self.seat.board.committed.subscribe()
    }

    /// A failure after which this member must stop: the message, and the process's exit code.
    #[must_use]
    pub fn fatal(&self) -> watch::Receiver<Option<Fatal>> {
        self.seat.board.fatal.subscribe()
    }

    /// A snapshot was installed from the leader: the events after its image's are held, and the serf's state must be
    /// replaced by that image. Counted, so that each is seen.
    #[must_use]
    pub fn installed(&self) -> watch::Receiver<Option<InstalledSnapshot>> {
        self.seat.board.installed.subscribe()
    }

    /// Hands a batch to Raft in order; returns when it is queued, not when it is committed ([`committed`](Self::committed)
    /// tells). It is dropped, never written, if this member's office of `term` is over. Batches of one term are
    /// appended in the order of calls.
    ///
    /// # Errors
    /// When the office is known to be over, the batch is too large, or the log is closed.
    pub async fn propose(&self, term: Term, batch: Batch) -> Result<(), ProposeError> {
        let bytes = batch.bytes();
        if bytes > MAX_BATCH_BYTES {
            let (first, last) = (batch.first(), batch.last());
            return Err(ProposeError::TooLarge {
                first,
                last,
                bytes,
                limit: MAX_BATCH_BYTES,
            });
        }
        let node = self.in_office(term)?;
        if simulated::has(Defect::BatchesReordered) {
            for batch in simulated::order(term, batch) {
                self.write(&node, term, batch).await?;
            }
            return Ok(());
        }
        self.write(&node, term, batch).await
    }

    async fn write(&self, node: &Node, term: Term, batch: Batch) -> Result<(), ProposeError> {
        let lost = Lost {
            term,
            ended: self.seat.board.ended.clone(),
            is_lost: Result::is_err,
        };
        node.raft
            .write(Command::Events {
                proposer: term,
                batch,
            })
            .with_leader(CommittedLeaderId::new(term))
            .responder(lost)
            .await
            .map_err(|error| ProposeError::Closed(error.to_string()))
    }

    /// Committed events from `from` on: at most `max_events`, and at most `max_bytes` unless the first alone is larger.
    /// Empty when `from` is the event after the last one.
    ///
    /// # Errors
    /// When `from` lies before the oldest epoch held, or the store fails.
    pub async fn read(
        &self,
        from: EventNumber,
        max_events: usize,
        max_bytes: usize,
    ) -> Result<Vec<Event>, ReadError> {
        let log = self.log(from)?;
        if let Some(events) = log.read_recent(from, max_events, max_bytes) {
            return Ok(events);
        }
        // The disk may have to be read: not on a thread that others need.
        simulated::blocking(move || log.read(from, max_events, max_bytes))
            .await
            .unwrap_or(Err(ReadError::Closed))
    }

    /// Waits until events up to `event` (committed already) are synced in this member's event log.
    ///
    /// # Errors
    /// When `event` is not committed here, or the store fails.
    pub async fn make_durable(&self, event: EventNumber) -> Result<(), ReadError> {
        self.log(event)?.make_durable(event).await
    }

    /// Whether this member's office of `term` is certain at this moment: a quorum acknowledged it within the lease
    /// (monotonic clock; no member's may run a third faster than another's). Cheap: no round trip. Always true for a sole voter
    /// in office.
    #[must_use]
    pub fn lease_holds(&self, term: Term) -> bool {
        let Ok(node) = self.in_office(term) else {
            return false;
        };
        if *self.seat.board.ended.borrow() >= term {
            return false;
        }
        let alone = {
            let server = node.raft.server_metrics();
            let server = server.borrow_watched();
            if !server.vote.committed || server.vote.leader_id.term != term {
                return false;
            }
            server.membership_config.voter_ids().eq([node.id])
        };
        alone || {
            let data = node.raft.data_metrics();
            let acked = data.borrow_watched().last_quorum_acked;
            acked.is_some_and(|acked| acked.into_inner().elapsed() < node.lease)
        }
    }

    /// Waits for a quorum to confirm the office of `term` (a ReadIndex round).
    ///
    /// # Errors
    /// When the office is over, or no quorum confirms it.
    pub async fn confirm_office(&self, term: Term) -> Result<(), ProposeError> {
        let node = self.in_office(term)?;
        match node.raft.ensure_linearizable(ReadPolicy::ReadIndex).await {
            Ok(_) => self.in_office(term).map(|_| ()),
            Err(openraft::errors::RaftError::Fatal(error)) => Err(ProposeError::Closed(error.to_string())),
            Err(openraft::errors::RaftError::APIError(_)) => Err(ProposeError::NotLeader(term)),
        }
    }

    /// Keeps this member's event log where it ends, until what is returned is dropped: a snapshot of the serf's at that event is then
    /// one at which an epoch can begin, however much is committed meanwhile. What is waits in the Raft log, and this member goes on
    /// to acknowledge it; an office cannot begin here, so one that was just elected must let go.
    pub async fn hold(&self) -> Hold {
        Hold {
            _applying: Arc::clone(&self.seat.board.applying).lock_owned().await,
        }
    }

    /// Rolls a new epoch at `at`, which must be the last durable event and the event of the serf's image in
    /// `<pier>/.urb/chk` (north.bin, south.bin), and copies the images there. The caller keeps the serf from saving meanwhile.
    ///
    /// # Errors
    /// When `at` is not the log's durable end, or files cannot be written.
    pub async fn roll_epoch(&self, at: EventNumber) -> Result<(), RollError> {
        self.open_log()?.roll(at).await
    }

    /// Drops all epochs but the newest `keep` (at least 1).
    ///
    /// # Errors
    /// When files cannot be removed.
    pub async fn chop_epochs(&self, keep: usize) -> Result<(), RollError> {
        self.open_log()?.chop(keep).await.map(|_| ())
    }

    /// The directory with the images (north.bin, south.bin) of epoch `n`.
    #[must_use]
    pub fn epoch_image(&self, n: EventNumber) -> PathBuf {
        self.pier.join(".urb/log").join(format!("0i{n}"))
    }

    /// Hands office to a voter that nothing holds back (see [`hold_back`](Self::hold_back)) and that has the most of the log;
    /// to one that is held back where there is no other. Returns when it is taken or refused.
    ///
    /// # Errors
    /// When this member does not lead, no other voter can take office, or it did not within `patience`.
    pub async fn transfer_leadership(&self, patience: Duration) -> Result<MemberId, TransferError> {
        self.hand_over(true, patience).await
    }

    /// The same, but only to a voter that nothing holds back. Where there is none this member stays in office.
    ///
    /// # Errors
    /// As [`transfer_leadership`](Self::transfer_leadership).
    pub async fn transfer_to_one_that_is_near(&self, patience: Duration) -> Result<MemberId, TransferError> {
        self.hand_over(false, patience).await
    }

    async fn hand_over(&self, any: bool, patience: Duration) -> Result<MemberId, TransferError> {
        let Role::Leader { term, .. } = *self.seat.board.role.borrow() else {
            return Err(TransferError::NotLeader);
        };
        let node = self.in_office(term).map_err(|_| TransferError::NotLeader)?;
        let ended = self.seat.board.ended.clone();
        let closed = || TransferError::Closed("it was stopped".to_owned());
        let handing_over =
            crate::raft::transfer::hand_over(node, term, any, patience, move || end_term(&ended, term));
        self.seat.run(handing_over).await.ok_or_else(closed)?
    }

    /// Holds this member back from standing for election (true) or lets it stand (false): its serf trails too far.
    pub fn hold_back(&self, hold: bool) {
        self.seat.board.hold_back.send_replace(hold);
    }

    /// This member's state.
    #[must_use]
    pub fn status(&self) -> Status {
        let role = self.seat.board.role.borrow().clone();
        let committed = self.seat.board.committed.borrow().event;
        let Some(node) = self.seat.node() else {
            return Status::joining(self.seat.id(), role);
        };
        let (server, data) = (node.raft.server_metrics(), node.raft.data_metrics());
        let (server, data) = (server.borrow_watched().clone(), data.borrow_watched().clone());
        let membership = server.membership_config.membership();
        let replication = data.replication.clone().unwrap_or_default();
        let leading = matches!(role, Role::Leader { .. });
        let members: Vec<Member> = membership
            .nodes()
            .map(|(id, peer)| Member {
                id: *id,
                address: peer.address,
                voter: membership.voter_ids().any(|voter| voter == *id),
                matched: replication.get(id).copied().flatten().map(|at| at.index),
            })
            .collect();
        Status {
            id: node.id,
            cluster: node.cluster.to_string(),
            role,
            term: server.vote.leader_id.term,
            leader: server
                .current_leader
                .and_then(|id| members.iter().find(|member| member.id == id).cloned()),
            members,
            joint: membership.get_joint_config().len() > 1,
            committed,
            durable: node.log.durable().event,
            raft_log_bytes: node.raft_log.used_bytes(),
            event_log_bytes: node.log.used_bytes(),
            epochs: node.log.epochs().into_iter().map(|epoch| epoch.0).collect(),
            last_log_index: data.last_log.map_or(0, |at| at.index),
            purged_index: data.purged.map_or(0, |at| at.index),
            millis_since_quorum: data
                .last_quorum_acked
                .filter(|_| leading)
                .map(|acked| u64::try_from(acked.into_inner().elapsed().as_millis()).unwrap_or(u64::MAX)),
        }
    }

    /// Syncs and closes; after it the pier is one that `urbit` can open.
    ///
    /// # Errors
    /// When the last sync fails.
    pub async fn close(self) -> Result<(), CloseError> {
        self.seat.close().await
    }

    /// The member, if it holds the office of `term` as far as is announced.
    fn in_office(&self, term: Term) -> Result<Arc<Node>, ProposeError> {
        match *self.seat.board.role.borrow() {
            Role::Leader { term: held, .. } if held == term => {}
            _ => return Err(ProposeError::NotLeader(term)),
        }
        self.seat.node().ok_or(ProposeError::NotLeader(term))
    }

    /// The event log, where there is one.
    fn log(&self, event: EventNumber) -> Result<EventLog, ReadError> {
        let committed = self.seat.board.committed.borrow().event;
        match self.seat.node() {
            Some(node) => Ok(node.log.clone()),
            None => Err(ReadError::NotCommitted { event, committed }),
        }
    }

    fn open_log(&self) -> Result<EventLog, RollError> {
        self.seat
            .node()
            .map(|node| node.log.clone())
            .ok_or(RollError::Closed)
    }
}

impl Status {
    /// How many members vote; None while a change of voters is half done, when the old ones must agree as well.
    #[must_use]
    pub fn voters(&self) -> Option<usize> {
        (!self.joint).then(|| self.members.iter().filter(|member| member.voter).count())
    }

    /// The state of a member that has not joined yet.
    fn joining(id: MemberId, role: Role) -> Status {
        Status {
            id,
            cluster: String::new(),
            role,
            term: Term(0),
            leader: None,
            members: Vec::new(),
            joint: false,
            committed: EventNumber::ZERO,
            durable: EventNumber::ZERO,
            raft_log_bytes: 0,
            event_log_bytes: 0,
            epochs: Vec::new(),
            last_log_index: 0,
            purged_index: 0,
            millis_since_quorum: None,
        }
    }
}
