//! A member's seat: the thread that it runs on, and how it comes to run, by what is found in the pier.
//!
//! Start-up, in this order: settings, the listener's address, the pier's lock, the identity file, the event log, what other
//! runtimes wrote to it, the Raft log, Raft. A member that has to join does the last three when it has been taken in.

use crate::{
    errors::{CloseError, OpenError},
    handle::{Config, Start},
    identity::{Identity, IdentityFile},
    net::{join, server},
    pier_lock::PierLock,
    raft::{
        board::Board,
        config::{ClusterId, Command, Payload},
        machine::Place,
        node::{Node, Stores},
    },
    store::{
        event_log::{EventLog, EventLogOptions, Foreign, Opened},
        failure::{Alarm, EXIT_CORRUPT, EXIT_IO},
        fault::NoFaults,
        raft_log::{RaftLog, RaftLogOptions},
    },
    types::{MemberId, ShipIdentity},
};
use openraft::{RaftLogReader, storage::RaftLogStorage};
use std::{
    future::Future,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    thread,
};
use tokio::{
    net::TcpListener,
    runtime::{Builder, Handle},
    sync::{oneshot, watch},
};
use tracing::{info, warn};

/// Exit code where a person must put settings or the pier in order (`EX_CONFIG` of sysexits).
const EXIT_CONFIG: u8 = 78;

/// A member's seat.
#[derive(Debug)]
pub(crate) struct Seat {
    /// What the member tells.
    pub(crate) board: Arc<Board>,
    /// The member, once it runs.
    node: watch::Sender<Option<Arc<Node>>>,
    id: MemberId,
    lock: Mutex<Option<Arc<PierLock>>>,
    thread: RaftThread,
}

/// A thread of its own for Raft and the members' conversations: nothing that the king computes delays a heartbeat, and a
/// step from one task to the next needs no other thread to be woken.
#[derive(Debug)]
struct RaftThread {
    handle: Handle,
    stop: Mutex<Option<oneshot::Sender<()>>>,
}

impl RaftThread {
    fn start() -> io::Result<RaftThread> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        thread::Builder::new().name("raft".to_owned()).spawn(move || {
            // Ends when the seat is closed or dropped; tasks that still run end with it.
            let _ = runtime.block_on(stopped);
            runtime.shutdown_background();
        })?;
        Ok(RaftThread {
            handle,
            stop: Mutex::new(Some(stop)),
        })
    }

    /// Runs `work` there.
    async fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Option<T> {
        self.handle.spawn(work).await.ok()
    }

    fn stop(&self) {
        self.stop.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.thread.stop();
    }
}

fn config_error(text: impl Into<String>) -> OpenError {
    OpenError::Config(text.into())
}

fn store_error(error: impl ToString, exit_code: u8) -> OpenError {
    OpenError::Store {
        message: error.to_string(),
        exit_code,
    }
}

/// Settings that contradict each other.
fn check(config: &Config) -> Result<(), OpenError> {
    for address in config.machines.iter().chain(&config.own_address) {
        if !address.ip().is_loopback() && !config.insecure_peers {
            return Err(OpenError::Insecure(*address));
        }
    }
    match config.own_address {
        None if !config.machines.is_empty() => Err(config_error(
            "machines are given, but not which of them is this one: give its own address",
        )),
        Some(own) if !config.machines.contains(&own) => Err(config_error(format!(
            "this machine's own address {own} is not among the machines given"
        ))),
        None if matches!(config.start, Start::Join) => Err(config_error(
            "an empty directory, and no machines to join: boot a ship, or give the machines",
        )),
        _ => {
            let mut all = config.machines.clone();
            all.sort_unstable();
            all.dedup();
            if all.len() == config.machines.len() {
                Ok(())
            } else {
                Err(config_error("a machine is given twice"))
            }
        }
    }
}

impl Seat {
    /// Opens what is in the pier and starts the member.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub(crate) async fn open(config: Config) -> Result<Arc<Seat>, OpenError> {
        check(&config)?;
        let thread = RaftThread::start().map_err(|error| store_error(error, EXIT_IO))?;
        let board = Board::new();
        let opening = thread.run(open(config, Arc::clone(&board))).await;
        let Opening { id, lock, node } =
            opening.unwrap_or_else(|| Err(store_error("starting was interrupted", EXIT_IO)))?;
        Ok(Arc::new(Seat {
            board,
            node,
            id,
            lock: Mutex::new(Some(lock)),
            thread,
        }))
    }

    /// The member, once it runs.
    pub(crate) fn node(&self) -> Option<Arc<Node>> {
        self.node.borrow().clone()
    }

    /// This member.
    pub(crate) fn id(&self) -> MemberId {
        self.id
    }

    /// Runs `work` on the member's thread.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        self.thread.run(work).await
    }

    /// Stops the member and frees the pier.
    ///
    /// # Errors
    /// When the last write fails.
    pub(crate) async fn close(&self) -> Result<(), CloseError> {
        let node = self.node.send_replace(None);
        let result = match node {
            Some(node) => self.run(async move { node.stop().await }).await.unwrap_or(Ok(())),
            None => Ok(()),
        };
        self.thread.stop();
        self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
        result
    }
}

/// What has been opened.
struct Opening {
    id: MemberId,
    lock: Arc<PierLock>,
    node: watch::Sender<Option<Arc<Node>>>,
}

async fn open(config: Config, board: Arc<Board>) -> Result<Opening, OpenError> {
    let listener = match config.own_address {
        Some(address) => Some(bind(address).await?),
        None => None,
    };
    let lock = PierLock::acquire(&config.pier).map_err(|error| store_error(error, EXIT_CONFIG))?;
    let lock = Arc::new(lock);
    let alarm = Alarm::new();
    let identity = IdentityFile::read(&lock).map_err(|error| store_error(&error, error.exit_code()))?;
    let options = event_log_options(&config, &alarm);
    let node = watch::Sender::new(None);
    let (log, identity) = match (&config.start, identity) {
        (_, Some(identity)) if identity.get().cluster.is_none() => {
            return wait_to_join(config, board, lock, alarm, identity, listener, node);
        }
        (Start::Found { .. }, Some(identity)) if !identity.get().founding => {
            return Err(config_error(format!(
                "{} holds a ship already: a ship is booted once. Run it, or boot into another directory",
                config.pier.display()
            )));
        }
        (_, Some(identity)) => (open_log(&lock, &config, options)?, identity),
        (Start::Found { genesis }, None) => {
            let log =
                EventLog::create(&lock, genesis, options).map_err(|e| store_error(&e, e.exit_code()))?;
            (
                Opened {
                    log,
                    applied: None,
                    foreign: None,
                    notices: Vec::new(),
                },
                new_identity(&lock, true)?,
            )
        }
        (Start::Resume, None) => {
            let opened = open_log(&lock, &config, options)?;
            if opened.applied.is_some() {
                return Err(store_error(
                    format!(
                        "{} holds a replicated event log, but not the Raft log and identity that belong to it (.urb/raft): what \
                         was acknowledged last may be missing. Restore the pier whole, or let the member join anew from an empty \
                         directory",
                        config.pier.display()
                    ),
                    EXIT_CORRUPT,
                ));
            }
            (opened, new_identity(&lock, true)?)
        }
        (Start::Join, None) => {
            let identity = new_identity(&lock, false)?;
            return wait_to_join(config, board, lock, alarm, identity, listener, node);
        }
    };
    let id = identity.get().member;
    let mut raft_log = open_raft_log(&lock, id, &alarm)?;
    let place = settle(&log, &mut raft_log, id).await?;
    let stores = Stores {
        log: log.log,
        place,
        raft_log,
        alarm,
        identity,
    };
    node.send_replace(Some(Node::start(&config, stores, listener, board).await?));
    Ok(Opening { id, lock, node })
}

async fn bind(address: SocketAddr) -> Result<TcpListener, OpenError> {
    server::bind(address)
        .await
        .map_err(|source| OpenError::Listen { address, source })
}

fn event_log_options(config: &Config, alarm: &Alarm) -> EventLogOptions {
    EventLogOptions {
        map_bytes: config.event_log_map_bytes,
        vere_version: config.vere_version.clone(),
        alarm: alarm.clone(),
        faults: Arc::new(NoFaults),
    }
}

fn open_log(lock: &PierLock, config: &Config, options: EventLogOptions) -> Result<Opened, OpenError> {
    EventLog::open(lock, options)
        .map_err(|error| store_error(&error, error.exit_code()))?
        .ok_or_else(|| {
            config_error(format!(
                "{} holds no ship: boot one there first",
                config.pier.display()
            ))
        })
}

fn open_raft_log(lock: &PierLock, id: MemberId, alarm: &Alarm) -> Result<RaftLog, OpenError> {
    RaftLog::open(lock, id, RaftLogOptions::new(alarm.clone()))
        .map_err(|error| store_error(&error, error.exit_code()))
}

fn new_identity(lock: &PierLock, founding: bool) -> Result<IdentityFile, OpenError> {
    let random = |bytes: &mut [u8]| {
        getrandom::fill(bytes).map_err(|error| store_error(format!("no random numbers: {error}"), EXIT_IO))
    };
    let (mut member, mut cluster) = ([0; 8], [0; 16]);
    random(&mut member)?;
    random(&mut cluster)?;
    let identity = Identity {
        // Zero is nobody's.
        member: MemberId(u64::from_le_bytes(member).max(1)),
        cluster: founding.then_some(ClusterId(u128::from_le_bytes(cluster))),
        founding,
    };
    IdentityFile::create(lock, identity).map_err(|error| store_error(&error, error.exit_code()))
}

/// Reads how far Raft's log is applied, and decides about events that another runtime wrote: the history of a pier that is
/// taken over, or what `urbit` appended while a member was stopped. The latter is only taken in where no other member
/// could hold another continuation.
async fn settle(opened: &Opened, raft_log: &mut RaftLog, id: MemberId) -> Result<Place, OpenError> {
    let place = match &opened.applied {
        Some(applied) => Place::read(&applied.raft).map_err(|error| store_error(error, EXIT_CORRUPT))?,
        None => Place::default(),
    };
    let read_error = |error: io::Error| store_error(error, EXIT_IO);
    let state = raft_log.get_log_state().await.map_err(read_error)?;
    if state.last_purged_log_id > place.applied {
        return Err(store_error(
            "the event log is older than the Raft log: one of them was put back from a copy. Restore both, or let the member join \
             anew from an empty directory",
            EXIT_CORRUPT,
        ));
    }
    let Some(foreign) = opened.foreign else {
        return Ok(place);
    };
    if opened.applied.is_some() {
        let membership = place.membership.membership();
        if !membership.nodes().map(|(member, _)| *member).eq([id]) {
            return Err(refuse_foreign(
                &foreign,
                "this member is one of several, which hold another continuation",
            ));
        }
        let from = place.applied.map_or(0, |applied| applied.index + 1);
        let mut reader = raft_log.get_log_reader().await;
        let waiting = reader.try_get_log_entries(from..).await.map_err(read_error)?;
        let events = |entry: &crate::raft::config::Entry| {
            matches!(entry.payload, Payload::Normal(Command::Events { .. }))
        };
        if waiting.iter().any(events) {
            return Err(refuse_foreign(
                &foreign,
                "the Raft log holds acknowledged events that belong in their place",
            ));
        }
        warn!("{foreign}: taken into the replicated history");
    } else {
        info!(
            events = foreign.count,
            "taking over a pier that another runtime wrote"
        );
    }
    opened
        .log
        .adopt(place.bytes())
        .await
        .map_err(|error| store_error(error, EXIT_IO))?;
    Ok(place)
}

fn refuse_foreign(foreign: &Foreign, why: &str) -> OpenError {
    store_error(
        format!(
            "{foreign}, but {why}. They cannot be kept: restore the pier from a copy, or let the member join anew from an empty \
             directory"
        ),
        EXIT_CORRUPT,
    )
}

/// Asks to join until it is taken in; then starts the member.
fn wait_to_join(
    config: Config,
    board: Arc<Board>,
    lock: Arc<PierLock>,
    alarm: Alarm,
    identity: IdentityFile,
    listener: Option<TcpListener>,
    node: watch::Sender<Option<Arc<Node>>>,
) -> Result<Opening, OpenError> {
    let (Some(address), id) = (config.own_address, identity.get().member) else {
        return Err(config_error("this member has not joined yet: give the machines"));
    };
    let opening = Opening {
        id,
        lock: Arc::clone(&lock),
        node: node.clone(),
    };
    tokio::spawn(async move {
        let failed = |error: OpenError| match error {
            OpenError::Store { message, exit_code } => board.fail(message, exit_code),
            other => board.fail(other.to_string(), EXIT_CONFIG),
        };
        match join::join(id, address, &config.machines).await {
            Ok((cluster, ship)) => {
                info!(%cluster, "taken in as a learner");
                match joined(
                    &config,
                    Arc::clone(&board),
                    &lock,
                    alarm,
                    identity,
                    listener,
                    cluster,
                    ship,
                )
                .await
                {
                    Ok(started) => {
                        node.send_replace(Some(started));
                    }
                    Err(error) => failed(error),
                }
            }
            Err(refused) => failed(config_error(refused)),
        }
    });
    Ok(opening)
}

#[expect(clippy::too_many_arguments, reason = "everything that a start needs")]
async fn joined(
    config: &Config,
    board: Arc<Board>,
    lock: &PierLock,
    alarm: Alarm,
    mut identity: IdentityFile,
    listener: Option<TcpListener>,
    cluster: ClusterId,
    ship: ShipIdentity,
) -> Result<Arc<Node>, OpenError> {
    let options = event_log_options(config, &alarm);
    let log =
        EventLog::create(lock, &ship, options).map_err(|error| store_error(&error, error.exit_code()))?;
    // Last: a member with a cluster has its log.
    identity
        .set_cluster(cluster)
        .map_err(|error| store_error(&error, error.exit_code()))?;
    let raft_log = open_raft_log(lock, identity.get().member, &alarm)?;
    let stores = Stores {
        log,
        place: Place::default(),
        raft_log,
        alarm,
        identity,
    };
    Node::start(config, stores, listener, board).await
}
