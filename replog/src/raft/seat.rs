//! A member's seat: the thread that it runs on, and how it comes to run, by what is found in the pier.
//!
//! Start-up, in this order: settings, the listener's address, the pier's lock, the identity file, the event log, what other
//! runtimes wrote to it, the Raft log, Raft. A member that has to join does the last three when it has been taken in.

use crate::{
    errors::{CloseError, OpenError},
    handle::{Config, Start},
    identity::{Identity, IdentityFile},
    net::{detour::Detours, join, stream::Listener},
    pier_lock::PierLock,
    raft::{
        board::Board,
        config::{ClusterId, Command, Payload},
        machine::Place,
        node::{Node, Stores},
    },
    simulated,
    store::{
        event_log::{EventLog, EventLogOptions, Foreign, Opened},
        failure::{Alarm, EXIT_CORRUPT, EXIT_IO},
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
    runtime::{Builder, Handle},
    sync::{oneshot, watch},
    task::JoinHandle,
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
    joining: Mutex<Option<Joining>>,
    thread: RaftThread,
}

/// A member that has not been taken in yet, or is being started after it was.
#[derive(Debug)]
struct Joining {
    /// Dropped to give up asking.
    asking: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// Where Raft and the members' conversations run. With other members that is a thread of its own: nothing that the king computes delays a
/// heartbeat, and a step from one task to the next needs no other thread to be woken. A member alone owes nobody a heartbeat: it
/// runs where its caller does, and a commit needs two threads fewer to be woken.
#[derive(Debug)]
struct RaftThread {
    handle: Handle,
    stop: Mutex<Option<oneshot::Sender<()>>>,
}

impl RaftThread {
    fn start(alone: bool) -> io::Result<RaftThread> {
        if alone || simulated::is_on() {
            // What still runs when the member is closed ends with the runtime that it was opened on.
            return Ok(RaftThread {
                handle: Handle::current(),
                stop: Mutex::new(None),
            });
        }
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
    pub(crate) async fn open(config: Config, detours: Detours) -> Result<Arc<Seat>, OpenError> {
        check(&config)?;
        let thread =
            RaftThread::start(config.machines.is_empty()).map_err(|error| store_error(error, EXIT_IO))?;
        let board = Board::new();
        let opening = thread.run(open(config, detours, Arc::clone(&board))).await;
        let Opening {
            id,
            lock,
            node,
            joining,
        } = opening.unwrap_or_else(|| Err(store_error("starting was interrupted", EXIT_IO)))?;
        Ok(Arc::new(Seat {
            board,
            node,
            id,
            lock: Mutex::new(Some(lock)),
            joining: Mutex::new(joining),
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
        let joining = self.joining.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Joining { asking, task }) = joining {
            // Where it was just taken in it is started first: what it has opened is closed in order then.
            drop(asking);
            let _ = task.await;
        }
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

/// What a member is started from.
struct Startup {
    config: Config,
    detours: Detours,
    board: Arc<Board>,
    lock: Arc<PierLock>,
    alarm: Alarm,
    listener: Option<Listener>,
}

/// What has been opened.
struct Opening {
    id: MemberId,
    lock: Arc<PierLock>,
    node: watch::Sender<Option<Arc<Node>>>,
    joining: Option<Joining>,
}

async fn open(config: Config, detours: Detours, board: Arc<Board>) -> Result<Opening, OpenError> {
    let listener = match config.own_address {
        Some(address) => Some(bind(address).await?),
        None => None,
    };
    let lock = PierLock::acquire(&config.pier).map_err(|error| store_error(error, EXIT_CONFIG))?;
    let startup = Startup {
        config,
        detours,
        board,
        lock: Arc::new(lock),
        alarm: Alarm::new(),
        listener,
    };
    let identity =
        IdentityFile::read(&startup.lock).map_err(|error| store_error(&error, error.exit_code()))?;
    startup.choose(identity).await
}

impl Startup {
    /// What to do by what is in the pier.
    async fn choose(self, identity: Option<IdentityFile>) -> Result<Opening, OpenError> {
        let pier = self.config.pier.display();
        let (opened, identity) = match (&self.config.start, identity) {
            (_, Some(identity)) if identity.get().cluster.is_none() => return self.wait_to_join(identity),
            (Start::Found { .. }, Some(identity)) if !identity.get().founding => {
                return Err(config_error(format!(
                    "{pier} holds a ship already: a ship is booted once. Run it, or boot into another directory"
                )));
            }
            (_, Some(identity)) => (self.open_log()?, identity),
            (Start::Found { genesis }, None) => {
                let log = self.new_log(genesis)?;
                let opened = Opened {
                    log,
                    applied: None,
                    foreign: None,
                    notices: Vec::new(),
                };
                let identity = or_close(&opened.log, new_identity(&self.lock, true)).await?;
                (opened, identity)
            }
            (Start::Resume, None) => {
                let opened = self.open_log()?;
                if opened.applied.is_some() {
                    let _ = opened.log.close().await;
                    return Err(store_error(
                        format!(
                            "{pier} holds a replicated event log, but not the Raft log and identity that belong to it \
                             (.urb/raft): what was acknowledged last may be missing. Restore the pier whole, or let the \
                             member join anew from an empty directory"
                        ),
                        EXIT_CORRUPT,
                    ));
                }
                let identity = or_close(&opened.log, new_identity(&self.lock, true)).await?;
                (opened, identity)
            }
            (Start::Join, None) => {
                let identity = new_identity(&self.lock, false)?;
                return self.wait_to_join(identity);
            }
        };
        let id = identity.get().member;
        let lock = Arc::clone(&self.lock);
        let node = self.resume(opened, identity).await?;
        Ok(Opening {
            id,
            lock,
            node: watch::Sender::new(Some(node)),
            joining: None,
        })
    }

    /// Starts a member of which the event log is open. Where that fails all is closed when this returns.
    async fn resume(self, opened: Opened, identity: IdentityFile) -> Result<Arc<Node>, OpenError> {
        let id = identity.get().member;
        let mut raft_log = or_close(&opened.log, self.open_raft_log(id)).await?;
        let settled = settle(&opened, &mut raft_log, id).await;
        if settled.is_err() {
            let _ = raft_log.close().await;
        }
        let place = or_close(&opened.log, settled).await?;
        self.launch(opened.log, place, raft_log, identity).await
    }

    /// Asks to join until it is taken in; then starts the member.
    fn wait_to_join(self, identity: IdentityFile) -> Result<Opening, OpenError> {
        let (Some(address), id) = (self.config.own_address, identity.get().member) else {
            return Err(config_error("this member has not joined yet: give the machines"));
        };
        let node = watch::Sender::new(None);
        let (lock, started) = (Arc::clone(&self.lock), node.clone());
        let (asking, given_up) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            let board = Arc::clone(&self.board);
            let asked = tokio::select! {
                asked = join::join(id, address, &self.config.machines, &self.detours) => asked,
                _ = given_up => return,
            };
            let joined = match asked {
                Ok((cluster, ship)) => self.joined(identity, cluster, ship).await,
                Err(refused) => Err(config_error(refused)),
            };
            match joined {
                Ok(node) => {
                    started.send_replace(Some(node));
                }
                Err(OpenError::Store { message, exit_code }) => board.fail(message, exit_code),
                Err(other) => board.fail(other.to_string(), EXIT_CONFIG),
            }
        });
        Ok(Opening {
            id,
            lock,
            node,
            joining: Some(Joining { asking, task }),
        })
    }

    async fn joined(
        self,
        mut identity: IdentityFile,
        cluster: ClusterId,
        ship: ShipIdentity,
    ) -> Result<Arc<Node>, OpenError> {
        info!(%cluster, "taken in as a learner");
        // The log may have been made by an attempt that was interrupted: it is finished then.
        let log = self.new_log(&ship)?;
        // Last: a member with a cluster has its log.
        let ready = identity
            .set_cluster(cluster)
            .map_err(|error| store_error(&error, error.exit_code()))
            .and_then(|()| self.open_raft_log(identity.get().member));
        let raft_log = or_close(&log, ready).await?;
        self.launch(log, Place::default(), raft_log, identity).await
    }

    async fn launch(
        self,
        log: EventLog,
        place: Place,
        raft_log: RaftLog,
        identity: IdentityFile,
    ) -> Result<Arc<Node>, OpenError> {
        let stores = Stores {
            log,
            place,
            raft_log,
            alarm: self.alarm,
            identity,
        };
        Node::start(&self.config, stores, self.listener, self.detours, self.board).await
    }

    fn log_options(&self) -> EventLogOptions {
        EventLogOptions {
            map_bytes: self.config.event_log_map_bytes,
            vere_version: self.config.vere_version.clone(),
            alarm: self.alarm.clone(),
            faults: simulated::faults(),
        }
    }

    fn new_log(&self, ship: &ShipIdentity) -> Result<EventLog, OpenError> {
        EventLog::create(&self.lock, ship, self.log_options())
            .map_err(|error| store_error(&error, error.exit_code()))
    }

    fn open_log(&self) -> Result<Opened, OpenError> {
        EventLog::open(&self.lock, self.log_options())
            .map_err(|error| store_error(&error, error.exit_code()))?
            .ok_or_else(|| {
                config_error(format!(
                    "{} holds no ship: boot one there first",
                    self.config.pier.display()
                ))
            })
    }

    fn open_raft_log(&self, id: MemberId) -> Result<RaftLog, OpenError> {
        RaftLog::open(&self.lock, id, RaftLogOptions::new(self.alarm.clone()))
            .map_err(|error| store_error(&error, error.exit_code()))
    }
}

/// Closes the event log where `result` is an error: it is said when the log can be opened again, and not before. An error of the
/// closing would say less than the one at hand.
async fn or_close<T>(log: &EventLog, result: Result<T, OpenError>) -> Result<T, OpenError> {
    if result.is_err() {
        let _ = log.close().await;
    }
    result
}

async fn bind(address: SocketAddr) -> Result<Listener, OpenError> {
    Listener::bind(address)
        .await
        .map_err(|source| OpenError::Listen { address, source })
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
