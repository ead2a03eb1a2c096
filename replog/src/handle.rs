//! The handle that the king holds: propose a batch, learn what is committed and what this member is, read events.
//!
//! SKELETON: signatures are the contract between replog and king.

use crate::types::*;
use seguro_event::EventNumber;
use serde::{Deserialize, Serialize};
use std::{net::SocketAddr, path::{Path, PathBuf}, time::Duration};
use tokio::sync::watch;

/// How a member starts.
#[derive(Clone, Debug)]
pub enum Start {
    /// A new ship: this member founds the cluster, alone at first; the others join it.
    /// `genesis` goes into META of the event log, here and on every member; no event is in the log yet.
    Found { genesis: ShipIdentity },
    /// The pier is there: a member that was stopped, or a pier of vere's that is taken over (its events
    /// are the history that the cluster begins with). Founds a cluster where no identity file is.
    Resume,
    /// An empty directory: wait for the leader among `machines`, and join.
    Join,
}

/// Everything a member is given.
#[derive(Clone, Debug)]
pub struct Config {
    pub pier: PathBuf,
    /// Empty: a cluster of one, no listener.
    pub machines: Vec<SocketAddr>,
    /// This member's own address, one of `machines`; None with no machines.
    pub own_address: Option<SocketAddr>,
    pub start: Start,
    pub heartbeat: Duration,
    pub election_timeout_min: Duration,
    pub election_timeout_max: Duration,
    /// What `vere.txt` of a new epoch says, e.g. `3.5`.
    pub vere_version: String,
    /// LMDB map size of the event log, bytes (vere: 1 TiB).
    pub event_log_map_bytes: usize,
    /// Whether addresses outside loopback may be used without TLS.
    pub insecure_peers: bool,
}

/// How far the ship's history is committed. CHANGED CONTRACT: lives in types.rs in the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    /// The last committed event.
    pub event: EventNumber,
    /// The term of the office that proposed it.
    pub term: Term,
}

/// This member's part in the replicated log.
#[derive(Clone)]
pub struct Replog {}

/// What happened to a proposal that was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum ProposeError {
    #[error("this member's office of term {0} is over")]
    NotLeader(Term),
    #[error("the log is closed: {0}")]
    Closed(String),
}

/// A member's state, for `status`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    pub id: MemberId,
    pub cluster: String,
    pub role: Role,
    pub term: Term,
    pub leader: Option<Member>,
    pub members: Vec<Member>,
    /// Last event committed as far as this member knows.
    pub committed: EventNumber,
    /// Last event synced in this member's event log.
    pub durable: EventNumber,
    pub raft_log_bytes: u64,
    pub event_log_bytes: u64,
    pub epochs: Vec<u64>,
    pub last_log_index: u64,
    pub purged_index: u64,
    pub millis_since_quorum: Option<u64>,
}

impl Replog {
    /// Opens the stores and starts Raft; returns at once, whatever the role (roles arrive on `role()`).
    pub async fn open(config: Config) -> Result<Replog, OpenError> { todo!() }

    /// Whose ship it is; None until known (a member that joins learns it from the leader).
    pub fn identity(&self) -> Option<ShipIdentity> { todo!() }

    /// What this member is; changes are seen here. Coalesces: only the newest value counts.
    pub fn role(&self) -> watch::Receiver<Role> { todo!() }

    /// The last committed event known here, and the term of the office that PROPOSED it (kept in the entry's payload). Never decreases.
    /// Becomes N only after read(N) would return it. CHANGED CONTRACT (pier's owner): the king needs the proposer's term to tell its own
    /// events from those of another leader with the same numbers: an office of term T takes a commit for its own only if `commit.term == T`.
    /// Events of the baseline (taken over, or from a snapshot) have Term(0) unless known.
    pub fn committed(&self) -> watch::Receiver<Commit> { todo!() }

    /// A failure after which this member must stop (a store that failed, corrupt files): the message, and the process's exit code.
    pub fn fatal(&self) -> watch::Receiver<Option<Fatal>> { todo!() }

    /// A snapshot was installed from the leader: events up to this number are held as an epoch with an image, and the serf's
    /// state must be replaced by `epoch_image(n)`. Counted so that the king sees each.
    pub fn installed(&self) -> watch::Receiver<Option<InstalledSnapshot>> { todo!() }

    /// Hands a batch to Raft in order; returns when it is queued, not when it is committed (`committed()` tells). It is dropped, never
    /// written, if this member's office of `term` is over. Batches of one term are appended in the order of calls.
    pub async fn propose(&self, term: Term, batch: Batch) -> Result<(), ProposeError> { todo!() }

    /// Committed events from `from` on: at most `max_events`, and at most `max_bytes` unless the first alone is larger.
    /// Fails when `from` lies before the oldest epoch held.
    pub async fn read(&self, from: EventNumber, max_events: usize, max_bytes: usize) -> Result<Vec<Event>, ReadError> { todo!() }

    /// Waits until events up to `event` (committed already) are synced in this member's event log.
    pub async fn make_durable(&self, event: EventNumber) -> Result<(), ReadError> { todo!() }

    /// Whether this member's office of `term` is certain at this moment: a quorum acknowledged it within the lease (monotonic clock). Cheap: no round trip.
    /// Always true for a sole voter in office.
    pub fn lease_holds(&self, term: Term) -> bool { todo!() }

    /// Waits for a quorum to confirm the office of `term` (ReadIndex round).
    pub async fn confirm_office(&self, term: Term) -> Result<(), ProposeError> { todo!() }

    /// Rolls a new epoch at `at`, which must be the last durable event and the event of the serf image in `<pier>/.urb/chk` (north.bin, south.bin):
    /// copies the images there. The caller keeps the serf from saving meanwhile.
    pub async fn roll_epoch(&self, at: EventNumber) -> Result<(), RollError> { todo!() }

    /// Drops all epochs but the newest `keep` (at least 1).
    pub async fn chop_epochs(&self, keep: usize) -> Result<(), RollError> { todo!() }

    /// The directory with the images (north.bin, south.bin) of epoch `n`.
    pub fn epoch_image(&self, n: EventNumber) -> PathBuf { todo!() }

    /// Hands office to the best caught-up voter; returns when it is taken or refused.
    pub async fn transfer_leadership(&self, patience: Duration) -> Result<MemberId, TransferError> { todo!() }

    /// Holds this member back from standing for election (true) or lets it stand (false): its serf trails too far.
    pub fn hold_back(&self, hold: bool) { todo!() }

    pub fn status(&self) -> Status { todo!() }

    /// Syncs and closes; after it the pier is one that `urbit` can open.
    pub async fn close(self) -> Result<(), CloseError> { todo!() }
}
