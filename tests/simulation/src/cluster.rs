//! A cluster on simulated hosts, and its run: founding, faults, healing.

use crate::{
    dice::Dice,
    disk::{Disks, Failing},
    entropy,
    fact::What,
    limits::{
        BEYOND, FAULTS, FOUNDING, FRESH_EVENTS, HEALING, NEAR, PURGE_EVERY, SEGMENTS, STANDING,
        STEP_PATIENCE, TICK,
    },
    member::{self, Order, Shared, Slot, live},
    network::{Kernels, Surroundings, Wires, host},
    oracles::{Oracles, Violation},
    process::Process,
    schedule::{Fault, Planned, Way, plan, slow_leader},
    ship::{self, KingOrder, KingWorld},
};
use replog::{MemberId, Role, ShipIdentity, Status, simulated};
use std::{
    any::Any,
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

/// What is run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// All that is random follows from it.
    pub seed: u64,
    /// How many members; None: 3 or 5, by the seed.
    pub members: Option<usize>,
    /// Whether every fact is printed.
    pub trace: bool,
    /// Whether whole kings are run, or their logs alone.
    pub ship: bool,
    /// A defect that is put in.
    pub defect: Option<Planted>,
}

/// A defect of one part or another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// The log's.
    Log(replog::simulated::Defect),
    /// The king's.
    King(seguro_king::simulated::Defect),
    /// No defect of the program: clocks that drift by more than a lease allows for.
    ClocksBeyondLease,
}

/// The ship of a log that has no king.
const NO_SHIP: ShipIdentity = ShipIdentity {
    who: 0xfe,
    fake: true,
    life: 3,
};

/// What a run came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Members.
    pub members: usize,
    /// Faults of the plan.
    pub faults: usize,
    /// How often members were started.
    pub starts: u64,
    /// How often a member's disk was lost.
    pub wipes: u64,
    /// How often a leader died over a change of members.
    pub cut_changes: u64,
    /// Events committed in the end.
    pub events: u64,
    /// Facts that the oracles saw.
    pub facts: u64,
    /// Simulated time.
    pub lasted: Duration,
}

/// Why a run failed.
#[derive(Debug)]
pub enum Failure {
    /// A promise was broken.
    Broken(Violation),
    /// The simulation itself could not go on.
    Unable(String),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Broken(violation) => write!(f, "{violation}"),
            Failure::Unable(why) => write!(f, "the simulation could not go on: {why}"),
        }
    }
}

/// Runs a seed. Once in a process, if another run of the seed is to be the same.
///
/// # Errors
/// When an oracle finds a promise broken.
pub fn run(options: Options) -> Result<Tally, Failure> {
    entropy::seed(options.seed);
    let (done, ended) = mpsc::channel();
    // A thread of its own: what this one has drawn so far does not matter there.
    let running = thread::Builder::new()
        .name("simulation".to_owned())
        .spawn(move || {
            let panicked = |panic: Box<dyn Any + Send>| {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                Err(Failure::Unable(format!("a panic: {}", text.unwrap_or_default())))
            };
            let result = catch_unwind(AssertUnwindSafe(|| run_here(options))).unwrap_or_else(panicked);
            let _ = done.send(result);
        });
    running.map_err(|error| Failure::Unable(error.to_string()))?;
    // A task that never rests stops the simulated clock.
    let mut at = 0;
    loop {
        match ended.recv_timeout(STEP_PATIENCE) {
            Ok(result) => return result,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Failure::Unable("its thread is gone".to_owned()));
            }
            Err(RecvTimeoutError::Timeout) => {
                let now = NOW.load(Ordering::Relaxed);
                if now == at {
                    return Err(Failure::Broken(Violation {
                        oracle: "every task rests",
                        at: now,
                        text: format!("this step has not ended for {STEP_PATIENCE:?}: a task spins"),
                    }));
                }
                at = now;
            }
        }
    }
}

/// The simulated time of the run in this process, for the thread that watches over it.
static NOW: AtomicU64 = AtomicU64::new(0);

fn run_here(options: Options) -> Result<Tally, Failure> {
    let mut dice = Dice::new(options.seed, 1);
    let members = options.members.unwrap_or(if dice.once_in(4) { 5 } else { 3 });
    let planned = match options.defect {
        Some(Planted::ClocksBeyondLease) => slow_leader(),
        _ => plan(members, options.ship, &mut dice),
    };
    let unable = |error: std::io::Error| Failure::Unable(error.to_string());
    let directory = match std::path::Path::new("/dev/shm") {
        memory if memory.is_dir() => tempfile::tempdir_in(memory),
        _ => tempfile::tempdir(),
    }
    .map_err(unable)?;
    let disks = Disks::new(members, Dice::new(options.seed, 2));
    let (genesis, boot) = if options.ship {
        let (genesis, boot) = ship::boot().map_err(Failure::Unable)?;
        (genesis, Some(boot))
    } else {
        (NO_SHIP, None)
    };
    let shared = Rc::new(Shared {
        seed: options.seed,
        genesis,
        boot,
        marks: Cell::new(0),
        directory: directory.path().to_path_buf(),
        slots: (0..members).map(|_| Slot::default()).collect(),
        now: Cell::new(0),
        trace: options.trace,
        oracles: Oracles::new(members).into(),
        violation: None.into(),
        dice: Dice::new(options.seed, 3).into(),
        facts: Cell::new(0),
        disks: disks.clone(),
    });
    let kernels = Kernels::new(members, Wires::default());
    let _world = simulated::enter(Surroundings {
        disks: disks.clone(),
        kernels: kernels.clone(),
        defect: match options.defect {
            Some(Planted::Log(defect)) => Some(defect),
            _ => None,
        },
    });
    member::enter(&shared);
    seguro_king::simulated::enter(Box::new(KingWorld {
        defect: match options.defect {
            Some(Planted::King(defect)) => Some(defect),
            _ => None,
        },
    }));
    let mut cluster = Cluster::new(options.seed, Rc::clone(&shared), disks, kernels)?;
    cluster.clocks_beyond = options.defect == Some(Planted::ClocksBeyondLease);
    let faults = planned.len();
    cluster.found()?;
    cluster.suffer(planned)?;
    cluster.heal()?;
    cluster.judge()?;
    Ok(Tally {
        members,
        faults,
        starts: shared.slots.iter().map(|slot| slot.life.get()).sum(),
        wipes: cluster.wipes,
        cut_changes: cluster.cut_changes,
        events: cluster.newest(),
        facts: shared.facts.get(),
        lasted: Duration::from_millis(shared.now.get()),
    })
}

/// Members on their machines.
struct Cluster {
    /// The processes; None where it is gone. The first to be dropped: their sockets are their machines'.
    processes: Vec<Option<Process>>,
    /// The machines' kernels, and the network between them.
    hosts: turmoil::Sim<'static>,
    shared: Rc<Shared>,
    disks: Disks,
    kernels: Kernels,
    /// In which order processes get their turns.
    turns: Dice,
    /// What each way is like now, `from * members + to`.
    ways: Vec<Way>,
    /// Steps after which a member that is away is started; None while it runs.
    away: Vec<Option<u64>>,
    wipes: u64,
    cut_changes: u64,
    /// Whether clocks drift by more than a lease allows.
    clocks_beyond: bool,
}

impl Cluster {
    fn new(seed: u64, shared: Rc<Shared>, disks: Disks, kernels: Kernels) -> Result<Cluster, Failure> {
        let members = shared.slots.len();
        let mut hosts = turmoil::Builder::new()
            .rng_seed(seed)
            .tick_duration(TICK)
            .simulation_duration(Duration::from_secs(100_000))
            .min_message_latency(Duration::from_millis(0))
            .max_message_latency(Duration::from_millis(8))
            .tcp_capacity(SEGMENTS)
            .enable_random_order()
            .build();
        for member in 0..members {
            let kernels = kernels.clone();
            hosts.host(host(member), move || kernels.boot(member));
        }
        let mut cluster = Cluster {
            processes: (0..members).map(|_| None).collect(),
            hosts,
            shared,
            disks,
            kernels,
            turns: Dice::new(seed, 4),
            ways: vec![Way::Open; members * members],
            away: vec![None; members],
            wipes: 0,
            cut_changes: 0,
            clocks_beyond: false,
        };
        (0..members).try_for_each(|member| cluster.start(member))?;
        Ok(cluster)
    }

    /// Starts a member's process.
    fn start(&mut self, member: usize) -> Result<(), Failure> {
        let life = live(Rc::clone(&self.shared), member);
        let process = Process::start(life).map_err(|error| Failure::Unable(error.to_string()))?;
        self.processes[member] = Some(process);
        Ok(())
    }

    /// A step of a member's process, if there is one.
    fn run(&mut self, member: usize) -> Result<(), String> {
        let slot = &self.shared.slots[member];
        let Some(process) = &mut self.processes[member] else {
            return Ok(());
        };
        if slot.stopped.get() {
            process.stand_still(slot.drift.get());
            return Ok(());
        }
        let late = process.run(slot.drift.get())?;
        if late > 0 {
            self.shared.tell(Some(member), What::Woken(late));
        }
        Ok(())
    }

    fn members(&self) -> usize {
        self.shared.slots.len()
    }

    fn newest(&self) -> u64 {
        self.shared
            .slots
            .iter()
            .map(|slot| slot.committed.get())
            .max()
            .unwrap_or(0)
    }

    fn tell(&self, what: What) {
        self.shared.tell(None, what);
    }

    /// One step of everybody's clock.
    fn step(&mut self) -> Result<(), Failure> {
        self.hosts
            .step()
            .map_err(|error| Failure::Unable(error.to_string()))?;
        let mut members: Vec<usize> = (0..self.members()).collect();
        while !members.is_empty() {
            let member = members.swap_remove(self.turns.of(0..members.len() as u64) as usize);
            self.run(member).map_err(|text| {
                Failure::Broken(Violation {
                    oracle: "the members' own assertions",
                    at: self.shared.now.get(),
                    text: format!("m{member}: {text}"),
                })
            })?;
        }
        self.shared
            .now
            .set(self.shared.now.get() + TICK.as_millis() as u64);
        NOW.store(self.shared.now.get(), Ordering::Relaxed);
        for member in 0..self.members() {
            // A process that has ended is started again by whoever watches over it.
            if self.shared.slots[member].ended.get() {
                self.crash(member, 300);
            }
            match self.away[member] {
                Some(0) => {
                    self.away[member] = None;
                    self.hosts.bounce(host(member));
                    self.start(member)?;
                }
                Some(left) => self.away[member] = Some(left - 1),
                None => {}
            }
        }
        match self.shared.violation.borrow_mut().take() {
            Some(violation) => Err(Failure::Broken(violation)),
            None => Ok(()),
        }
    }

    /// Takes a member's process away, for so many steps.
    fn crash(&mut self, member: usize, steps: u64) {
        if let Some(left) = &mut self.away[member] {
            *left = (*left).max(steps);
            return;
        }
        self.processes[member] = None;
        self.hosts.crash(host(member));
        self.shared.slots[member].clear();
        self.away[member] = Some(steps);
        self.shared.tell(Some(member), What::Crashed);
    }

    /// Takes a member's process and its disk away, for so many steps.
    fn wipe(&mut self, member: usize, steps: u64) -> Result<(), Failure> {
        self.crash(member, steps);
        let removed = std::fs::remove_dir_all(self.shared.pier(member));
        removed.map_err(|error| Failure::Unable(error.to_string()))?;
        let slot = &self.shared.slots[member];
        slot.wiped.set(true);
        slot.id.set(None);
        slot.committed.set(0);
        self.wipes += 1;
        self.shared.tell(Some(member), What::Wiped);
        Ok(())
    }

    /// Whether a member's disk may be lost: somebody is certain to lead, and a majority of all, this one not among them, is up, near the
    /// log's end, and knows that no other member is being replaced. What nobody could promise anything for is not tried: a change that
    /// the leader alone knows to be finished is not, and with it goes a voter whose disk was lost before.
    fn can_spare(&self, member: usize) -> bool {
        let slots = &self.shared.slots;
        let leader = slots.iter().position(|slot| slot.certain.get().is_some());
        let Some(status) = leader.and_then(|leader| self.shared.status(leader)) else {
            return false;
        };
        let is = |id: MemberId| slots.iter().position(|slot| slot.id.get() == Some(id));
        let settled = |status: &Status| {
            !status.joint
                && status.members.len() == slots.len()
                && status
                    .members
                    .iter()
                    .all(|peer| peer.voter && is(peer.id).is_some())
        };
        let well = |other: usize| {
            other != member
                && self.away[other].is_none()
                && !slots[other].stopped.get()
                && self.shared.status(other).is_some_and(|status| settled(&status))
        };
        let near = status.members.iter().filter(|peer| {
            is(peer.id).is_some_and(well)
                && (peer.id == status.id || peer.matched.is_some_and(|at| at + NEAR >= status.last_log_index))
        });
        settled(&status) && near.count() > slots.len() / 2
    }

    /// The leader that has begun to change the members, and has not ended.
    fn changing(&self) -> Option<usize> {
        let leads = |slot: &Slot| matches!(*slot.role.borrow(), Some(Role::Leader { .. }));
        (0..self.members())
            .filter(|member| leads(&self.shared.slots[*member]))
            .find(|member| self.shared.status(*member).is_some_and(|status| status.joint))
    }

    /// Waits until all members are voters, and know the same to be committed.
    fn found(&mut self) -> Result<(), Failure> {
        let members = self.members();
        self.until(FOUNDING, "a cluster without faults is whole", |shared| {
            shared.slots.iter().all(|slot| {
                slot.voters.get() == members && slot.committed.get() > 0 && shared.has_played(slot, 1)
            })
        })
    }

    fn until(
        &mut self,
        patience: Duration,
        what: &str,
        reached: impl Fn(&Shared) -> bool,
    ) -> Result<(), Failure> {
        let end = self.shared.now.get() + patience.as_millis() as u64;
        while !reached(&self.shared) {
            if self.shared.now.get() >= end {
                let state: Vec<String> = self
                    .shared
                    .slots
                    .iter()
                    .map(|slot| {
                        let (committed, played) = (slot.committed.get(), slot.played.get());
                        let voters = slot.voters.get();
                        format!(
                            "{:?} of {voters} voters, committed {committed} played {played}",
                            slot.role.borrow()
                        )
                    })
                    .collect();
                return Err(Failure::Broken(Violation {
                    oracle: "liveness",
                    at: self.shared.now.get(),
                    text: format!("{what}: not within {patience:?} ({})", state.join("; ")),
                }));
            }
            self.step()?;
        }
        Ok(())
    }

    /// The phase of faults: only safety is asked for.
    fn suffer(&mut self, planned: Vec<Planned>) -> Result<(), Failure> {
        let mut coming = planned.into_iter().peekable();
        let mut present: Vec<Planned> = Vec::new();
        for step in 0..(FAULTS.as_millis() / TICK.as_millis()) as u64 {
            let now = TICK * step as u32;
            while let Some(mut begun) = coming.next_if(|planned| planned.from <= now) {
                match begun.fault {
                    Fault::IsolateLeader => begun.fault = Fault::Isolate(self.leader().unwrap_or(0)),
                    Fault::StopLeader => begun.fault = Fault::Stop(self.leader().unwrap_or(0)),
                    Fault::DriftLeader(drift) => {
                        begun.fault = Fault::Drift(self.leader().unwrap_or(0), drift);
                    }
                    Fault::DriftFollowers(drift) => {
                        begun.fault = Fault::DriftAllBut(self.leader().unwrap_or(0), drift);
                    }
                    _ => {}
                }
                self.tell(What::Fault(begun.fault.to_string()));
                self.begin(&begun);
                present.push(begun);
            }
            let over: Vec<Planned> = present.extract_if(.., |planned| planned.to <= now).collect();
            for ended in over {
                self.tell(What::Fault(format!("{} ends", ended.fault)));
                self.end(&ended.fault, &present);
            }
            self.set_ways(&present, step);
            self.set_clocks(&present);
            let mut done = Vec::new();
            for (at, planned) in present.iter().enumerate() {
                match planned.fault {
                    Fault::Purge if step % PURGE_EVERY == 0 => {
                        (0..self.members()).for_each(|member| self.order(member, Order::Purge));
                    }
                    Fault::Wipe(member, steps) if self.can_spare(member) => {
                        self.wipe(member, steps)?;
                        done.push(at);
                    }
                    Fault::CrashInChange => {
                        if let Some(leader) = self.changing() {
                            self.crash(leader, 300);
                            self.cut_changes += 1;
                            done.push(at);
                        }
                    }
                    _ => {}
                }
            }
            for at in done.into_iter().rev() {
                present.remove(at);
            }
            self.step()?;
        }
        for planned in std::mem::take(&mut present) {
            self.end(&planned.fault, &[]);
        }
        self.set_ways(&[], 0);
        self.set_clocks(&[]);
        self.tell(What::Fault("all is healed".to_owned()));
        Ok(())
    }

    /// The member that is certain to lead, or thinks that it does.
    fn leader(&self) -> Option<usize> {
        let slots = &self.shared.slots;
        let leads = |slot: &Slot| matches!(*slot.role.borrow(), Some(Role::Leader { .. }));
        let certain = slots.iter().position(|slot| slot.certain.get().is_some());
        certain.or_else(|| slots.iter().position(leads))
    }

    fn order(&self, member: usize, order: Order) {
        self.shared.slots[member].orders.borrow_mut().push(order);
    }

    fn king_order(&self, member: usize, order: KingOrder) {
        self.shared.slots[member].king_orders.borrow_mut().push(order);
    }

    /// What can only be judged when all is known.
    fn judge(&self) -> Result<(), Failure> {
        let mut oracles = self.shared.oracles.borrow_mut();
        oracles.end(self.shared.now.get()).map_err(Failure::Broken)
    }

    fn begin(&mut self, planned: &Planned) {
        let steps = (planned.to - planned.from).as_millis() as u64;
        match planned.fault {
            Fault::Crash(member) => self.crash(member, steps),
            Fault::CrashAll => (0..self.members()).for_each(|member| self.crash(member, steps)),
            Fault::SlowLink(one, other, latency) => {
                self.hosts
                    .set_link_max_message_latency(host(one), host(other), latency);
            }
            Fault::SlowDisk(member, slow) => self.disks.slow(member, slow),
            Fault::Disk(member, failing) => self.disks.fail(member, Some(failing)),
            Fault::Transfer(member) => self.order(member, Order::Transfer),
            Fault::Serf(member, trouble) => self.shared.slots[member].serf.set(Some(trouble)),
            Fault::Stall(member) => self.shared.slots[member].stalled.set(true),
            Fault::Stop(member) if self.away[member].is_none() => {
                self.shared.slots[member].stopped.set(true);
                self.shared.slots[member].certain.set(None);
                self.shared.tell(Some(member), What::Stopped);
            }
            Fault::Clock(member, skew) => self.shared.slots[member].skew_ms.set(skew),
            Fault::Save(member) => self.king_order(member, KingOrder::Save),
            Fault::Roll(member) => self.king_order(member, KingOrder::Roll),
            Fault::Leave(member) => self.king_order(member, KingOrder::Leave),
            _ => {}
        }
    }

    fn end(&mut self, fault: &Fault, present: &[Planned]) {
        let again = |same: &dyn Fn(&Fault) -> bool| present.iter().any(|planned| same(&planned.fault));
        match *fault {
            Fault::SlowLink(one, other, _) => {
                self.hosts
                    .set_link_max_message_latency(host(one), host(other), Duration::from_millis(8));
            }
            Fault::SlowDisk(member, _)
                if !again(&|fault| matches!(fault, Fault::SlowDisk(other, _) if *other == member)) =>
            {
                self.disks.slow(member, Duration::ZERO);
            }
            Fault::Disk(member, _)
                if !again(&|fault| matches!(fault, Fault::Disk(other, _) if *other == member)) =>
            {
                self.disks.fail(member, None::<Failing>);
            }
            Fault::Serf(member, _)
                if !again(&|fault| matches!(fault, Fault::Serf(other, _) if *other == member)) =>
            {
                self.shared.slots[member].serf.set(None);
            }
            Fault::Stall(member)
                if !again(&|fault| matches!(fault, Fault::Stall(other) if *other == member)) =>
            {
                self.shared.slots[member].stalled.set(false);
            }
            Fault::Stop(member)
                if !again(&|fault| matches!(fault, Fault::Stop(other) if *other == member)) =>
            {
                self.shared.slots[member].stopped.set(false);
            }
            Fault::Clock(member, _)
                if !again(&|fault| matches!(fault, Fault::Clock(other, _) if *other == member)) =>
            {
                self.shared.slots[member].skew_ms.set(0);
            }
            _ => {}
        }
    }

    /// Sets how fast the members' clocks run.
    fn set_clocks(&self, present: &[Planned]) {
        for (member, slot) in self.shared.slots.iter().enumerate() {
            let drift = present.iter().find_map(|planned| planned.fault.drift(member));
            let times = if self.clocks_beyond { BEYOND } else { 1 };
            slot.drift.set((drift.unwrap_or(0) * times).max(STANDING));
        }
    }

    /// Opens and closes the ways between members.
    fn set_ways(&mut self, present: &[Planned], step: u64) {
        let members = self.members();
        for from in 0..members {
            for to in (0..members).filter(|to| *to != from) {
                let ways: Vec<Way> = present
                    .iter()
                    .map(|planned| planned.fault.way(from, to, step))
                    .collect();
                let way = if ways.contains(&Way::Closed) {
                    Way::Closed
                } else if ways.contains(&Way::Held) {
                    Way::Held
                } else {
                    Way::Open
                };
                let was = std::mem::replace(&mut self.ways[from * members + to], way);
                if was == way {
                    continue;
                }
                let (a, b) = (host(from), host(to));
                // What stood still goes on, or is delivered before the way is closed.
                if was == Way::Held {
                    self.hosts.release(a, b);
                }
                if was == Way::Closed {
                    self.kernels.wires.reset(from, to);
                }
                match way {
                    Way::Open => self.hosts.repair_oneway(a, b),
                    Way::Closed => self.hosts.partition_oneway(a, b),
                    // Both ways at once, as all faults that hold do.
                    Way::Held => self.hosts.hold(a, b),
                }
            }
        }
    }

    /// All is well again: everybody must agree, and go on.
    fn heal(&mut self) -> Result<(), Failure> {
        let goal = self.newest() + FRESH_EVENTS;
        self.until(HEALING, "all members commit again after the healing", |shared| {
            let committed: Vec<u64> = shared.slots.iter().map(|slot| slot.committed.get()).collect();
            let leaders = shared
                .slots
                .iter()
                .filter(|slot| matches!(*slot.role.borrow(), Some(Role::Leader { .. })))
                .count();
            leaders == 1
                && shared
                    .slots
                    .iter()
                    .all(|slot| slot.voters.get() == shared.slots.len())
                && committed.iter().all(|events| *events >= goal)
                && shared.slots.iter().all(|slot| shared.has_played(slot, goal))
        })
    }
}
