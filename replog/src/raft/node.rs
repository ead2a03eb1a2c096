//! A running member: its stores, its Raft, its tasks; how they are started and stopped.

use crate::{
    errors::{CloseError, OpenError},
    handle::Config,
    identity::{Identity, IdentityFile},
    net::{
        detour::Detours,
        join::Registrar,
        link::{Links, Sending},
        receiving::Receiving,
        server::{self, Server},
        stream::Listener,
    },
    raft::{
        Raft,
        board::Board,
        config::{ClusterId, Command, Peer},
        limits::{CLOSE_PATIENCE, LEASE_PERCENT},
        machine::{Machine, Place},
        members,
        tasks::{self, Gate},
    },
    store::{event_log::EventLog, failure::Alarm, raft_log::RaftLog},
    types::{Commit, MemberId, Term},
};
use futures::{FutureExt, future::BoxFuture};
use openraft::{
    ChangeMembers, SnapshotPolicy,
    async_runtime::watch::WatchReceiver,
    errors::{InitializeError, RaftError},
};
use seguro_event::EventNumber;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, timeout},
};
use tracing::{info, warn};

/// What is open before Raft starts.
pub(crate) struct Stores {
    /// The event log.
    pub(crate) log: EventLog,
    /// How far Raft's log is applied to it.
    pub(crate) place: Place,
    /// The Raft log.
    pub(crate) raft_log: RaftLog,
    /// Raised when one of them fails.
    pub(crate) alarm: Alarm,
    /// Who this member is.
    pub(crate) identity: IdentityFile,
}

/// A member whose Raft runs.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) id: MemberId,
    pub(crate) cluster: ClusterId,
    pub(crate) raft: Raft,
    pub(crate) log: EventLog,
    pub(crate) raft_log: RaftLog,
    pub(crate) lease: Duration,
    /// The ways to the others.
    pub(crate) links: Links,
    tasks: Mutex<JoinSet<()>>,
}

/// The settings, as openraft takes them.
fn raft_config(config: &Config, cluster: ClusterId) -> Result<Arc<openraft::Config>, OpenError> {
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let max = millis(config.election_timeout_max);
    let settings = openraft::Config {
        cluster_name: cluster.to_string(),
        heartbeat_interval: millis(config.heartbeat),
        election_timeout_min: millis(config.election_timeout_min),
        election_timeout_max: max,
        // A leader that hears nobody is silent for a while, so that those who hear it can elect another.
        quorum_loss_probe_interval: Some(max.saturating_mul(2)),
        enable_pre_vote: Some(true),
        // After a restart a leader is elected anew: a term is one office.
        enable_leader_restore: Some(false),
        // The event log is the snapshot; `tasks::purge` decides when one is taken and what is purged.
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: u64::MAX,
        replication_lag_threshold: u64::MAX,
        // The store bounds the bytes of what it gives at a time.
        max_payload_entries: 1024,
        broadcast_submitted_on_append: Some(true),
        ..openraft::Config::default()
    };
    let settings = settings.validate().map_err(|error| {
        OpenError::Config(format!(
            "the heartbeat and election times do not go together: {error}"
        ))
    })?;
    Ok(Arc::new(settings))
}

impl Node {
    /// Starts Raft over the stores, and everything around it. Where that fails the stores are closed when this returns: the
    /// pier can be opened again.
    ///
    /// # Errors
    /// When the settings contradict what is stored, or Raft cannot be started.
    pub(crate) async fn start(
        config: &Config,
        stores: Stores,
        listener: Option<Listener>,
        detours: Detours,
        board: Arc<Board>,
    ) -> Result<Arc<Node>, OpenError> {
        let (log, raft_log) = (stores.log.clone(), stores.raft_log.clone());
        let mut built = None;
        let started = Node::start_over(config, stores, listener, detours, board, &mut built).await;
        if let Err(error) = &started
            && let Err(failed) = halt(built.as_ref(), &log, &raft_log).await
        {
            warn!("after \"{error}\": {failed}");
        }
        started
    }

    /// As [`start`](Self::start), but for the closing; `built` becomes Raft as soon as it runs.
    async fn start_over(
        config: &Config,
        stores: Stores,
        listener: Option<Listener>,
        detours: Detours,
        board: Arc<Board>,
        built: &mut Option<Raft>,
    ) -> Result<Arc<Node>, OpenError> {
        let Stores {
            log,
            place,
            raft_log,
            alarm,
            mut identity,
        } = stores;
        let Identity {
            member: id,
            cluster,
            founding,
        } = identity.get();
        let cluster = cluster
            .ok_or_else(|| OpenError::Config("a member that has not joined cannot start".to_owned()))?;
        let ship = log.ship();
        let sending = Sending::default();
        let machine = Machine::new(log.clone(), cluster, place.clone(), Arc::clone(&board));
        board.ship.send_replace(Some(ship));
        board.committed.send_replace(Commit {
            event: log.last(),
            term: Term(0),
        });
        let links = Links::new(id, cluster, sending.clone(), detours);
        let raft = Raft::build(
            id,
            raft_config(config, cluster)?,
            links.clone(),
            raft_log.clone(),
            machine,
        )
        .await
        .map_err(|error| failed_start(&error, &alarm))?;
        *built = Some(raft.clone());
        // Not before it is known whom this member owes what.
        raft.runtime_config().elect(founding);
        raft.run();
        let membership = raft
            .with_raft_state(|state| state.membership_state.effective().membership().clone())
            .await
            .map_err(|error| failed_start(&error, &alarm))?;
        check_members(&membership, id, config)?;
        let alone = !founding && membership.voter_ids().eq([id]);
        // A leader that this member followed before it was stopped may still count on that.
        let quiet = if founding || alone {
            Duration::ZERO
        } else {
            config.election_timeout_max
        };
        let now = Instant::now();
        let leader_heard = Arc::new(Mutex::new(now));
        let gate = Gate {
            from: now + quiet,
            leader_heard: Arc::clone(&leader_heard),
            silence: config.election_timeout_max * 2,
        };
        let mut tasks = JoinSet::new();
        let mut spawn = |name, task: BoxFuture<'static, ()>| {
            tasks.spawn(tasks::watched(name, Arc::clone(&board), task));
        };
        let failures = tasks::watch_failures(raft.clone(), alarm.subscribe(), Arc::clone(&board));
        spawn("failures", failures.boxed());
        let (founded, is_founded) = watch::channel(!founding);
        if founding {
            found(&raft, id, config.own_address, &log, &board, cluster).await?;
            identity.set_founded().map_err(|error| OpenError::Store {
                message: error.to_string(),
                exit_code: error.exit_code(),
            })?;
            founded.send_replace(true);
        } else if alone {
            // Nobody else can be elected: why wait.
            let _ = raft.trigger().elect(false).await;
        }
        if let Some(listener) = listener {
            let server = Server {
                id,
                cluster,
                raft: raft.clone(),
                raft_log: raft_log.clone(),
                pier: config.pier.clone(),
                votes_from: now + quiet,
                leader_heard,
                registrar: Registrar {
                    id,
                    cluster,
                    ship,
                    machines: config.machines.clone(),
                    raft: raft.clone(),
                    founded: is_founded,
                },
                receiving: Receiving::new(),
                board: Arc::clone(&board),
            };
            spawn("listener", server::listen(listener, Arc::new(server)).boxed());
        }
        let patience = config.election_timeout_max * 2;
        let used = {
            let raft_log = raft_log.clone();
            move || raft_log.used_bytes()
        };
        spawn(
            "roles",
            tasks::announce(raft.clone(), id, Arc::clone(&board)).boxed(),
        );
        spawn(
            "resignation",
            tasks::resign(raft.clone(), id, Arc::clone(&board), patience).boxed(),
        );
        spawn(
            "quorum",
            tasks::give_up_unheard(raft.clone(), id, Arc::clone(&board), config.election_timeout_max).boxed(),
        );
        spawn(
            "elections",
            tasks::gate(raft.clone(), gate, Arc::clone(&board)).boxed(),
        );
        spawn(
            "purge",
            tasks::purge(raft.clone(), log.clone(), sending, used).boxed(),
        );
        spawn(
            "members",
            members::tend(raft.clone(), board.role.subscribe()).boxed(),
        );
        if alone && config.own_address.is_some() {
            spawn(
                "own address",
                settle_address(raft.clone(), id, config.own_address).boxed(),
            );
        }
        let lease = config.election_timeout_max * LEASE_PERCENT / 100;
        Ok(Arc::new(Node {
            id,
            cluster,
            raft,
            log,
            raft_log,
            lease,
            links,
            tasks: Mutex::new(tasks),
        }))
    }

    /// Stops Raft and closes the stores; what was acknowledged is on disk before, what is applied goes there now.
    ///
    /// # Errors
    /// When the last write fails.
    pub(crate) async fn stop(&self) -> Result<(), CloseError> {
        self.tasks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .abort_all();
        halt(Some(&self.raft), &self.log, &self.raft_log).await
    }
}

/// Stops Raft, if it runs, and closes both logs.
async fn halt(raft: Option<&Raft>, log: &EventLog, raft_log: &RaftLog) -> Result<(), CloseError> {
    if let Some(raft) = raft
        && timeout(CLOSE_PATIENCE, raft.shutdown()).await.is_err()
    {
        warn!("Raft did not stop within {} s", CLOSE_PATIENCE.as_secs());
    }
    let event_log = log.close().await;
    let raft_log = raft_log.close().await;
    event_log
        .and(raft_log)
        .map_err(|failed| CloseError::Store(failed.to_string()))
}

fn failed_start(
    error: &openraft::errors::Fatal<crate::raft::config::TypeConfig>,
    alarm: &Alarm,
) -> OpenError {
    match alarm.subscribe().borrow().clone() {
        Some(failed) => OpenError::Store {
            message: failed.to_string(),
            exit_code: failed.exit_code(),
        },
        None => OpenError::Store {
            message: format!("Raft cannot go on from what is on disk: {error}"),
            exit_code: crate::store::failure::EXIT_CORRUPT,
        },
    }
}

/// Makes this member the first one of its cluster: the only voter, and an entry that says whose ship it is. Where that was
/// begun before, it is finished.
async fn found(
    raft: &Raft,
    id: MemberId,
    address: Option<SocketAddr>,
    log: &EventLog,
    board: &Board,
    cluster: ClusterId,
) -> Result<(), OpenError> {
    let stopped = |error: String| OpenError::Store {
        message: format!("the cluster could not be founded: {error}"),
        exit_code: crate::store::failure::EXIT_IO,
    };
    match raft.initialize(BTreeMap::from([(id, Peer { address })])).await {
        Ok(()) => {}
        Err(RaftError::APIError(InitializeError::NotAllowed(_))) => {
            raft.trigger()
                .elect(false)
                .await
                .map_err(|error| stopped(error.to_string()))?;
        }
        Err(error) => return Err(stopped(error.to_string())),
    }
    // An entry of the first office is applied: it leads.
    let mut begun = board.begun.subscribe();
    let mut fatal = board.fatal.subscribe();
    tokio::select! {
        leads = begun.wait_for(|begun| begun.term > Term(0)) => {
            leads.map_err(|_| stopped("it was stopped".to_owned()))?;
        }
        failed = fatal.wait_for(Option::is_some) => {
            let text = failed.ok().and_then(|failed| failed.clone()).map(|failed| failed.message);
            return Err(stopped(text.unwrap_or_default()));
        }
    }
    let baseline = log.last();
    let genesis = Command::Genesis {
        ship: log.ship(),
        cluster,
        baseline,
    };
    let written = raft
        .client_write(genesis)
        .await
        .map_err(|error| stopped(error.to_string()))?;
    if baseline > EventNumber::ZERO {
        // The history is not in the Raft log: whoever joins must come to need a snapshot.
        tasks::purge_log(raft, written.log_id.index)
            .await
            .map_err(|error| stopped(error.to_string()))?;
        let mut data = raft.data_metrics();
        while data
            .borrow_and_update()
            .purged
            .is_none_or(|purged| purged.index < written.log_id.index)
        {
            data.changed()
                .await
                .map_err(|_| stopped("it was stopped".to_owned()))?;
        }
    }
    info!(member = %id, %cluster, events = %baseline, "founded a cluster");
    Ok(())
}

/// Whether the machines that were given are those that the members are known at.
fn check_members(
    membership: &crate::raft::config::Membership,
    id: MemberId,
    config: &Config,
) -> Result<(), OpenError> {
    let others: Vec<SocketAddr> = membership
        .nodes()
        .filter(|(other, _)| **other != id)
        .filter_map(|(_, peer)| peer.address)
        .collect();
    if config.machines.is_empty() {
        return match others.len() {
            0 => Ok(()),
            count => Err(OpenError::Config(format!(
                "this pier is a member of a cluster with {count} others ({}): give their machines",
                list(&others)
            ))),
        };
    }
    let unknown: Vec<SocketAddr> = others
        .iter()
        .copied()
        .filter(|address| !config.machines.contains(address))
        .collect();
    if !unknown.is_empty() {
        return Err(OpenError::Config(format!(
            "the cluster has members at {} that are not among the machines given: give all of them on every machine",
            list(&unknown)
        )));
    }
    match membership.get_node(&id).and_then(|peer| peer.address) {
        Some(known) if Some(known) != config.own_address => Err(OpenError::Config(format!(
            "the cluster knows this member at {known}, not at {}: a member keeps its address",
            config.own_address.map(|own| own.to_string()).unwrap_or_default()
        ))),
        _ => Ok(()),
    }
}

fn list(addresses: &[SocketAddr]) -> String {
    let unique: BTreeSet<String> = addresses.iter().map(ToString::to_string).collect();
    unique.into_iter().collect::<Vec<_>>().join(", ")
}

/// The only member of a cluster that was given no machines before, and is now: the others must know where it is.
async fn settle_address(raft: Raft, id: MemberId, address: Option<SocketAddr>) {
    let mut server = raft.server_metrics();
    loop {
        let (known, leads) = {
            let now = server.borrow_and_update();
            let known = now
                .membership_config
                .membership()
                .get_node(&id)
                .map(|peer| peer.address);
            (known, now.state == openraft::ServerState::Leader)
        };
        if known == Some(address) {
            return;
        }
        if leads {
            let nodes = BTreeMap::from([(id, Peer { address })]);
            if raft
                .change_membership(ChangeMembers::SetNodes(nodes), true)
                .await
                .is_ok()
            {
                return;
            }
        }
        if server.changed().await.is_err() {
            return;
        }
    }
}
