//! A whole king on a simulated host: its pier's task, its serf, and a driver that is all the ship's clients.

use crate::{
    fact::{Told, What},
    limits::{SERF_DEADLINES, SNAP_TIME, STATUS_EVERY, TICK, WINDOW},
    mark::Mark,
    member::{Shared, Slot, here},
    serf,
};
use replog::{Replog, ShipIdentity};
use seguro_king::{
    boot::{BootInput, BootSequence, Identity, Pill, sequence},
    driver::{Claim, Driver, DriverContext, Effect, Outcome, PeekAnswer},
    limits,
    ovum::Ovum,
    pier::Pier,
    pipeline::{BatchLimits, RunAhead},
    settings::{DriverSettings, PierSettings, ReadMode, SerfSettings},
    simulated::{Defect, SimulatedSerf, World},
};
use serf_ipc::{ChildEvent, Noun, SerfCommand, SerfVersion, n, text::da};
use std::{
    future::poll_fn,
    path::Path,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
    time::Duration,
};
use tokio::{sync::mpsc, time::sleep};

/// The date at which a simulation begins, seconds since 1970.
const EPOCH: u64 = 1_767_225_600;

/// ~zod, and its first events.
pub(crate) fn boot() -> Result<(ShipIdentity, BootSequence), String> {
    let pill = Pill::parse(&reference_serf::kernel::pill_bytes()).map_err(|error| error.to_string())?;
    let now = da::from_unix(EPOCH, 0);
    let sequence = sequence(BootInput {
        ship: 0,
        identity: Identity::Fake,
        pill,
        now,
        wyrd_now: now,
        serf: SerfVersion::V3_5,
        entropy: [7; 64],
        verbose: false,
        lite: false,
        replace_filesystem: None,
        props: Vec::new(),
    })
    .map_err(|error| error.to_string())?;
    let ship = ShipIdentity {
        who: 0,
        fake: true,
        life: sequence.life,
    };
    Ok((ship, sequence))
}

fn settings(pier: &Path, members: usize, reads: ReadMode) -> PierSettings {
    PierSettings {
        pier: pier.to_path_buf(),
        serf: SerfSettings {
            command: SerfCommand::new("simulated", pier),
            deadlines: SERF_DEADLINES,
        },
        drivers: DriverSettings::default(),
        run_ahead: RunAhead {
            events: 256,
            bytes: 1 << 20,
            in_serf: limits::IN_SERF,
        },
        batch: BatchLimits::default(),
        snap_time: SNAP_TIME,
        reads,
        machines: members,
        galaxy_url: seguro_king::boot::double_boot::DEFAULT_GALAXY_URL.to_owned(),
        exit_when_live: false,
    }
}

/// Runs a member's king over its log until it leaves.
pub(crate) async fn serve(shared: &Shared, member: usize, replog: &Replog) {
    let slot = &shared.slots[member];
    let pier = shared.pier(member);
    // Most runs read by lease, the others by quorum.
    let reads = match shared.seed % 4 {
        3 => ReadMode::Quorum,
        _ => ReadMode::Lease,
    };
    let settings = settings(&pier, shared.slots.len(), reads);
    // Where the first start was cut short before the boot was committed, nothing has been lost but the start.
    let sequence = shared.founds(member).then(|| shared.boot.clone()).flatten();
    let (pier, handle) = Pier::new(settings, replog.clone(), sequence);
    let look = async {
        loop {
            sleep(TICK * STATUS_EVERY as u32).await;
            for order in slot.king_orders.take() {
                let handle = handle.clone();
                tokio::task::spawn_local(async move {
                    match order {
                        KingOrder::Save => handle.save().await,
                        // It may be refused: the epoch may be there already.
                        KingOrder::Roll => drop(handle.roll(2).await),
                        KingOrder::Leave => handle.exit(0).await,
                    }
                });
            }
            match handle.status().await {
                Some(status) => slot
                    .played
                    .set(if status.serf.awake { status.computed } else { 0 }),
                None => std::future::pending().await,
            }
        }
    };
    let running = std::pin::pin!(pier.run());
    let leave = tokio::select! {
        biased;
        leave = run_while_free(slot, running) => leave,
        () = look => return,
    };
    slot.played.set(0);
    // It may leave for that, before anybody has looked.
    if shared.disks.has_failed(member) {
        shared.tell(Some(member), What::DiskFailed);
    }
    shared.tell(
        Some(member),
        What::Left(match leave.error {
            Some(error) => format!("error: {}", shared.plain(&error)),
            None => format!("in order, {}", leave.code),
        }),
    );
    slot.ended.set(true);
    std::future::pending().await
}

/// Runs a pier, but for the times at which its task gets no turn: a machine that computes something else, or is out of memory.
async fn run_while_free<T>(slot: &Slot, mut pier: Pin<&mut impl Future<Output = T>>) -> T {
    loop {
        let ran = poll_fn(|cx| match slot.stalled.get() {
            true => Poll::Ready(None),
            false => pier.as_mut().poll(cx).map(Some),
        });
        if let Some(leave) = ran.await {
            return leave;
        }
        sleep(TICK).await;
    }
}

/// Something that an operator has a king do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KingOrder {
    Save,
    Roll,
    Leave,
}

/// The world around the kings.
#[derive(Debug)]
pub(crate) struct KingWorld {
    pub(crate) defect: Option<Defect>,
}

impl World for KingWorld {
    fn spawn_serf(&self, pier: &Path, events: mpsc::Sender<ChildEvent>) -> Box<dyn SimulatedSerf> {
        let member = crate::disk::member(pier).unwrap_or(0);
        serf::spawn(member, pier, events)
    }

    fn drivers(&self, context: &dyn Fn(usize) -> DriverContext) -> Vec<Box<dyn Driver>> {
        let context = context(0);
        let member = crate::disk::member(&context.pier).unwrap_or(0);
        vec![Box::new(Clients {
            member,
            context,
            waiting: Arc::default(),
            task: None,
        })]
    }

    fn date(&self) -> u128 {
        let micros = here(|shared| {
            let member = shared.running();
            let skew = member.map_or(0, |member| shared.slots[member].skew_ms.get());
            let millis = shared.now.get().saturating_add_signed(skew);
            EPOCH * 1_000_000 + millis * 1000
        });
        da::from_unix(micros / 1_000_000, (micros % 1_000_000) as u32)
    }

    fn defect(&self) -> Option<Defect> {
        self.defect
    }
}

/// A driver that makes requests of its own, and tells what comes of them.
struct Clients {
    member: usize,
    context: DriverContext,
    /// Requests without an end.
    waiting: Arc<AtomicU64>,
    task: Option<tokio::task::AbortHandle>,
}

impl Driver for Clients {
    fn name(&self) -> &'static str {
        "clients"
    }

    fn start(&mut self) -> anyhow::Result<()> {
        let (member, intake, waiting) = (
            self.member,
            self.context.intake.clone(),
            Arc::clone(&self.waiting),
        );
        let task = tokio::spawn(async move {
            // Where events are on their way a read waits for them; so that reads come alone too, there are times without events.
            let (mut reads, mut left) = (false, 0);
            loop {
                let (pause, kind) = here(|shared| {
                    let mut dice = shared.dice.borrow_mut();
                    if left == 0 {
                        // The reads for long enough that another may be elected meanwhile.
                        reads = !reads && dice.once_in(2);
                        left = if reads {
                            dice.of(100..900)
                        } else {
                            dice.of(20..300)
                        };
                    }
                    left -= 1;
                    (dice.of(0..8), dice.of(0..if reads { 8 } else { 40 }))
                });
                sleep(TICK * pause as u32 + Duration::from_micros(300)).await;
                if waiting.load(Ordering::Relaxed) >= WINDOW {
                    continue;
                }
                waiting.fetch_add(1, Ordering::Relaxed);
                let done = Waiting(Arc::clone(&waiting));
                let mark = here(Shared::next_mark);
                if kind < 8 {
                    ask(member, mark, &intake, done).await;
                } else {
                    request(member, mark, kind, &intake, done).await;
                }
            }
        });
        self.task = Some(task.abort_handle());
        Ok(())
    }

    fn effect(&mut self, effect: &Effect<'_>) -> Claim {
        let knots = effect.knots().unwrap_or_default();
        let mark = knots.iter().find_map(|knot| Mark::of_knot(knot));
        let member = self.member;
        here(|shared| {
            shared.tell(
                Some(member),
                What::Released {
                    event: effect.event.0,
                    mark,
                    place: effect.data.as_u64().unwrap_or(0),
                    committed: shared.committed(member),
                },
            );
        });
        Claim::Taken
    }

    fn is_live(&self) -> bool {
        true
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

/// A request that has no end yet.
struct Waiting(Arc<AtomicU64>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Asks for the number of events that the kernel has counted.
async fn ask(member: usize, mark: Mark, intake: &seguro_king::driver::Intake, done: Waiting) {
    let nom = n![1_u64, "beam", "cx", n![0_u64, "base", "1"], "count", 0_u64];
    here(|shared| shared.tell(Some(member), What::Asked(mark)));
    let answer = Box::new(move |answer| {
        drop(done);
        // [~ mark count]
        if let PeekAnswer::Done(noun) = answer
            && let Some(count) = noun.slot(7).and_then(Noun::as_u64)
        {
            here(|shared| {
                let committed = shared.committed(member);
                shared.tell(
                    Some(member),
                    What::Answered {
                        mark,
                        count,
                        committed,
                    },
                );
            });
        }
    });
    intake.peek(n![n![0_u64, 0_u64], nom], answer).await;
}

/// Plans an event: most have one effect, some have several, some crash, some cannot even crash.
async fn request(member: usize, mark: Mark, kind: u64, intake: &seguro_king::driver::Intake, done: Waiting) {
    let knot = mark.knot();
    let card = match kind {
        36 => n!["boom", 0_u64],
        37 => n!["doom", 0_u64],
        30..36 => {
            let effect = |place: u64| n![n![knot.as_str(), 0_u64], "place", place];
            n!["emit", Noun::list([effect(1), effect(2), effect(3)])]
        }
        _ => n!["echo", 0_u64],
    };
    let mut told = Some(TellUnknown { member, mark });
    let outcome = Box::new(move |outcome| {
        drop(done);
        let outcome = match outcome {
            Outcome::Committed { event, .. } => Told::Done(event.0),
            Outcome::Bailed(_) | Outcome::Dropped(_) => Told::Dropped,
            Outcome::Unknown => Told::Unknown,
        };
        if let Some(told) = told.take() {
            told.tell(outcome);
        }
    });
    intake
        .plan(Ovum::new("z", [knot.as_str()], card), Some(outcome))
        .await;
}

/// Tells a client that nobody knows, if nothing else is told it.
struct TellUnknown {
    member: usize,
    mark: Mark,
}

impl TellUnknown {
    fn tell(self, outcome: Told) {
        let (member, mark) = (self.member, self.mark);
        std::mem::forget(self);
        here(|shared| shared.tell(Some(member), What::Told { mark, outcome }));
    }
}

impl Drop for TellUnknown {
    fn drop(&mut self) {
        let (member, mark) = (self.member, self.mark);
        let outcome = Told::Unknown;
        here(|shared| shared.tell(Some(member), What::Told { mark, outcome }));
    }
}
