//! A member's life on its simulated host: its log is opened and watched at every step, and either a king runs over it, or a load that
//! proposes events while it leads.

use crate::{
    dice::Dice,
    disk::Disks,
    fact::{Fact, Seen, What},
    limits::{MAP_BYTES, STATUS_EVERY, TICK, WINDOW},
    mark::Mark,
    network::address,
    oracles::{Oracles, Violation},
    serf::Trouble,
    ship::{self, KingOrder},
};
use bytes::Bytes;
use replog::{Batch, Config, Event, MemberId, Replog, Role, ShipIdentity, Start, Status, Term};
use seguro_event::{EventNumber, Mug};
use seguro_king::boot::BootSequence;
use std::{
    cell::{Cell, RefCell},
    future::pending,
    path::PathBuf,
    rc::Rc,
    time::Duration,
};
use tokio::{runtime, time::sleep};

/// Something that a member is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Purge,
    Transfer,
}

/// What a member shares with the one who runs the cluster.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    pub(crate) life: Cell<u64>,
    pub(crate) orders: RefCell<Vec<Order>>,
    /// Its process has ended by itself, and is to be taken away.
    pub(crate) ended: Cell<bool>,
    /// The term of the office that is certain at this step.
    pub(crate) certain: Cell<Option<Term>>,
    pub(crate) committed: Cell<u64>,
    pub(crate) role: RefCell<Option<Role>>,
    pub(crate) voters: Cell<usize>,
    /// Who it is; None after its disk was lost, until it is known who came in its place.
    pub(crate) id: Cell<Option<MemberId>>,
    /// Whether its disk was ever lost.
    pub(crate) wiped: Cell<bool>,
    /// Its process stands still.
    pub(crate) stopped: Cell<bool>,
    /// Thousandths by which its machine's monotonic clock is off.
    pub(crate) drift: Cell<i64>,
    /// The log that is open.
    replog: RefCell<Option<Replog>>,
    /// The runtime of the host, by which a task is known to be of it.
    runtime: Cell<Option<runtime::Id>>,
    /// What is wrong with its serf.
    pub(crate) serf: Cell<Option<Trouble>>,
    /// Its pier's task gets no turn.
    pub(crate) stalled: Cell<bool>,
    pub(crate) king_orders: RefCell<Vec<KingOrder>>,
    /// The event at which its serf stands; 0 while it is not awake.
    pub(crate) played: Cell<u64>,
    /// How far its clock is ahead.
    pub(crate) skew_ms: Cell<i64>,
}

impl Slot {
    /// The process is gone.
    pub(crate) fn clear(&self) {
        self.ended.set(false);
        self.certain.set(None);
        self.role.replace(None);
        self.orders.take();
        self.replog.replace(None);
        self.runtime.set(None);
        self.serf.set(None);
        self.stalled.set(false);
        self.stopped.set(false);
        self.king_orders.take();
        self.played.set(0);
    }
}

/// What all members and the one who runs them share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) seed: u64,
    pub(crate) directory: PathBuf,
    pub(crate) genesis: ShipIdentity,
    /// The ship's first events, where whole kings are run.
    pub(crate) boot: Option<BootSequence>,
    pub(crate) marks: Cell<u64>,
    pub(crate) slots: Vec<Slot>,
    pub(crate) now: Cell<u64>,
    pub(crate) trace: bool,
    pub(crate) oracles: RefCell<Oracles>,
    pub(crate) violation: RefCell<Option<Violation>>,
    pub(crate) dice: RefCell<Dice>,
    pub(crate) facts: Cell<u64>,
    pub(crate) disks: Disks,
}

thread_local! {
    static HERE: RefCell<Option<Rc<Shared>>> = const { RefCell::new(None) };
}

/// Makes this the run of this thread.
pub(crate) fn enter(shared: &Rc<Shared>) {
    HERE.set(Some(Rc::clone(shared)));
}

/// The run of this thread, for callbacks that cannot hold it because they could be sent elsewhere.
///
/// # Panics
/// Where there is none.
#[expect(clippy::expect_used, reason = "a stated invariant")]
pub(crate) fn here<T>(ask: impl FnOnce(&Shared) -> T) -> T {
    let shared = HERE.with_borrow(Clone::clone);
    ask(&shared.expect("invariant: what is simulated runs on the thread of its run"))
}

impl Shared {
    /// A member's directory.
    pub(crate) fn pier(&self, member: usize) -> PathBuf {
        self.directory.join(format!("m{member}"))
    }

    /// Whether a member with an empty directory is to found the cluster: it was the first, and still has its first disk.
    pub(crate) fn founds(&self, member: usize) -> bool {
        member == 0 && !self.slots[member].wiped.get()
    }

    /// What a member says of itself now, where it is open.
    pub(crate) fn status(&self, member: usize) -> Option<Status> {
        self.slots[member].replog.borrow().as_ref().map(Replog::status)
    }

    /// Whether a member's serf stands at this event or a later one, where there are serfs.
    pub(crate) fn has_played(&self, slot: &Slot, event: u64) -> bool {
        self.boot.is_none() || slot.played.get() >= event
    }

    /// The mark of a new request.
    pub(crate) fn next_mark(&self) -> Mark {
        self.marks.set(self.marks.get() + 1);
        Mark(self.marks.get())
    }

    /// The member whose host runs now.
    pub(crate) fn running(&self) -> Option<usize> {
        let id = runtime::Handle::try_current().ok()?.id();
        self.slots.iter().position(|slot| slot.runtime.get() == Some(id))
    }

    /// What is committed, as far as a member knows at this moment.
    pub(crate) fn committed(&self, member: usize) -> u64 {
        let replog = self.slots[member].replog.borrow();
        replog
            .as_ref()
            .map_or(0, |replog| replog.committed().borrow().event.0)
    }

    /// A member's serf writes a snapshot.
    pub(crate) fn saves(&self, member: usize, event: u64) {
        if let Some(status) = self.status(member) {
            self.tell(
                Some(member),
                What::Saved {
                    event,
                    committed: status.committed.0,
                    durable: status.durable.0,
                },
            );
        }
    }

    /// A text without this run's directory, so that two runs print the same.
    pub(crate) fn plain(&self, text: &str) -> String {
        text.replace(&self.directory.display().to_string(), "")
    }

    /// A fact: printed, judged.
    pub(crate) fn tell(&self, member: Option<usize>, what: What) {
        let life = member.map_or(0, |member| self.slots[member].life.get());
        let fact = Fact {
            at: self.now.get(),
            member,
            life,
            what,
        };
        self.facts.set(self.facts.get() + 1);
        if self.trace {
            println!("{fact}");
        }
        if let Err(violation) = self.oracles.borrow_mut().see(&fact) {
            self.violation.borrow_mut().get_or_insert(violation);
        }
    }

    fn config(&self, member: usize) -> Config {
        let pier = self.pier(member);
        let start = if pier.join(".urb/raft/identity").exists() {
            Start::Resume
        } else if self.founds(member) {
            Start::Found {
                genesis: self.genesis,
            }
        } else {
            Start::Join
        };
        Config {
            pier,
            machines: (0..self.slots.len()).map(address).collect(),
            own_address: Some(address(member)),
            start,
            heartbeat: replog::DEFAULT_HEARTBEAT,
            election_timeout_min: replog::DEFAULT_ELECTION_TIMEOUT_MIN,
            election_timeout_max: replog::DEFAULT_ELECTION_TIMEOUT_MAX,
            vere_version: "3.5".to_owned(),
            event_log_map_bytes: MAP_BYTES,
            insecure_peers: true,
        }
    }
}

/// A member's process.
pub(crate) async fn live(shared: Rc<Shared>, member: usize) {
    let slot = &shared.slots[member];
    slot.life.set(slot.life.get() + 1);
    slot.runtime
        .set(runtime::Handle::try_current().ok().map(|handle| handle.id()));
    shared.tell(Some(member), What::Started);
    match Replog::open(shared.config(member)).await {
        Ok(replog) => {
            shared.tell(Some(member), What::Opened);
            slot.replog.replace(Some(replog.clone()));
            let watch = watch(&shared, member, &replog);
            if shared.boot.is_some() {
                futures::future::join(watch, ship::serve(&shared, member, &replog)).await;
            } else {
                futures::future::join(watch, serve(&shared, member, &replog)).await;
            }
        }
        Err(error) => {
            if shared.disks.has_failed(member) {
                shared.tell(Some(member), What::DiskFailed);
            }
            shared.tell(Some(member), What::Refused(shared.plain(&error.to_string())));
            slot.ended.set(true);
        }
    }
    // Whoever runs the cluster takes it away.
    pending().await
}

/// Looks at the member at every step, and does what it is told.
async fn watch(shared: &Shared, member: usize, replog: &Replog) {
    let slot = &shared.slots[member];
    let tell = |what| shared.tell(Some(member), what);
    let (role, committed, fatal) = (replog.role(), replog.committed(), replog.fatal());
    let held = |replog: &Replog| replog.status().epochs.first().map_or(0, |epoch| *epoch) + 1;
    let (mut next, mut told, mut skips, mut joined) = (EventNumber(1), None, 0, false);
    for step in 0_u64.. {
        if shared.disks.has_failed(member) {
            tell(What::DiskFailed);
        }
        if let Some(fatal) = fatal.borrow().clone() {
            tell(What::Fatal(shared.plain(&fatal.message)));
            slot.ended.set(true);
            return pending().await;
        }
        let now = role.borrow().clone();
        let certain = match now {
            Role::Leader { term, .. } if replog.lease_holds(term) => Some(term),
            _ => None,
        };
        if certain != slot.certain.replace(certain) {
            tell(What::Certain(certain));
        }
        if slot.role.borrow().as_ref() != Some(&now) {
            slot.role.replace(Some(now.clone()));
            tell(What::Role(now));
        }
        let commit = *committed.borrow();
        if told != Some(commit) {
            told = Some(commit);
            let mut events = Vec::new();
            let from = held(replog);
            next = next.max(EventNumber(from));
            while next <= commit.event {
                match replog.read(next, 256, 1 << 20).await {
                    Ok(read) if read.is_empty() => break,
                    Ok(read) => {
                        next = read.last().map_or(next, |event| event.number.next());
                        events.extend(read.iter().map(Seen::of));
                    }
                    Err(error) => {
                        tell(What::Unreadable(shared.plain(&error.to_string())));
                        break;
                    }
                }
            }
            slot.committed.set(commit.event.0);
            tell(What::Committed { commit, from, events });
        }
        if skips != replog.skips() {
            skips = replog.skips();
            tell(What::Skipped(skips));
        }
        if step % STATUS_EVERY == 0 {
            let status = replog.status();
            // A king that leaves has closed its log, which then knows nothing.
            if joined && status.cluster.is_empty() {
                return pending().await;
            }
            joined = !status.cluster.is_empty();
            slot.id.set(Some(status.id));
            slot.voters
                .set(status.members.iter().filter(|member| member.voter).count());
            tell(What::Status(Box::new(status)));
        }
        for order in slot.orders.take() {
            let replog = replog.clone();
            tokio::task::spawn_local(async move {
                match order {
                    Order::Purge => replog.purge_all().await,
                    Order::Transfer => {
                        let _ = replog.transfer_leadership(Duration::from_secs(2)).await;
                    }
                }
            });
        }
        sleep(TICK).await;
    }
}

/// The event that office `term` makes of `number`: no two offices make the same.
fn event(term: Term, number: u64, size: usize) -> Event {
    let mut jam = vec![number as u8; size.max(16)];
    jam[..8].copy_from_slice(&term.0.to_le_bytes());
    jam[8..16].copy_from_slice(&number.to_le_bytes());
    Event {
        number: EventNumber(number),
        mug: Mug(number as u32 & 0x7fff_ffff),
        jam: Bytes::from(jam),
    }
}

/// Proposes while it leads, and tells its clients what is committed.
async fn serve(shared: &Shared, member: usize, replog: &Replog) {
    let tell = |what| shared.tell(Some(member), what);
    let dice = |range| shared.dice.borrow_mut().of(range);
    let mut role = replog.role();
    let committed = replog.committed();
    loop {
        let Ok(leads) = role
            .wait_for(|role| matches!(role, Role::Leader { .. }))
            .await
            .map(|role| role.clone())
        else {
            return pending().await;
        };
        let Role::Leader { term, barrier } = leads else {
            continue;
        };
        tell(What::Office {
            term,
            barrier: barrier.0,
        });
        let mut waiting: std::collections::VecDeque<Seen> = Default::default();
        let mut next = barrier.0 + 1;
        while matches!(*role.borrow(), Role::Leader { term: held, .. } if held == term) {
            let commit = *committed.borrow();
            if commit.term == term {
                let count = waiting
                    .iter()
                    .take_while(|seen| seen.number <= commit.event.0)
                    .count();
                if count > 0 {
                    tell(What::Acknowledged {
                        term,
                        events: waiting.drain(..count).collect(),
                    });
                }
            }
            if (waiting.len() as u64) < WINDOW {
                let count = dice(1..6);
                let size = if dice(0..100) == 0 {
                    100_000
                } else {
                    dice(16..400) as usize
                };
                let events: Vec<Event> = (next..next + count)
                    .map(|number| event(term, number, size))
                    .collect();
                let seen: Vec<Seen> = events.iter().map(Seen::of).collect();
                let Ok(batch) = Batch::new(events) else {
                    return pending().await;
                };
                if replog.propose(term, batch).await.is_err() {
                    break;
                }
                tell(What::Proposed {
                    term,
                    first: next,
                    last: next + count - 1,
                });
                next += count;
                waiting.extend(seen);
            }
            let pause = dice(0..12);
            sleep(TICK * pause as u32 + Duration::from_micros(200)).await;
        }
        // The role may still say what it said: something else ended the office.
        sleep(TICK).await;
    }
}
