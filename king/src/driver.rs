//! What a driver is, and the handle through which it speaks to the pier (`spec/drivers.md` section 0).
//!
//! A driver lives for one office: the pier makes a fresh set when this member is elected and its serf is current,
//! and drops the set when the office is over. It is given only effects of committed events ([`Effect`] can be made
//! from nothing else), and everything that it learns of its own events ([`Outcome`]) it learns after their commit.

use crate::{limits, ovum::Ovum};
use replog::ShipIdentity;
use seguro_event::EventNumber;
use serf_ipc::{Goof, Noun};
use std::{path::PathBuf, sync::Arc, time::Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// One of the ship's hands in the world: a file or folder below `drivers/`.
///
/// Every method runs on the pier's own task and must return at once: work that waits is a task of the driver's own,
/// spawned in `start`, which speaks through its [`Intake`] and ends when the driver is dropped.
pub trait Driver: Send {
    /// Its name, as in the console's lines.
    fn name(&self) -> &'static str;

    /// Begins: plans its first events (`%born` and the like) in the order that the ship expects, opens what it opens.
    ///
    /// # Errors
    /// When the ship cannot run without what failed to open: the pier stops with this message.
    fn start(&mut self) -> anyhow::Result<()>;

    /// Takes a committed effect, or leaves it for the next driver.
    fn effect(&mut self, effect: &Effect<'_>) -> Claim;

    /// Hears what the ship prints: a tank, or a cord. It is no effect, and does not wait for its event's commit. A driver takes what
    /// answers a question of its own; that is shown to nobody.
    fn slog(&mut self, _what: &Noun) -> Claim {
        Claim::Passed
    }

    /// Whether its part of `pier (N): live` is reached.
    fn is_live(&self) -> bool;

    /// Lines for `status` and `%peel /info`: name and value.
    fn info(&self) -> Vec<(String, u64)> {
        Vec::new()
    }

    /// Ends in order: sockets closed, files of a live ship removed. Called once, before it is dropped.
    fn stop(&mut self) {}
}

/// Whether a driver took an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Handled here; no other driver sees it.
    Taken,
    /// Not this driver's.
    Passed,
}

/// One effect of a committed event. The wire is without a leading `%$` (old kernels prefix it).
#[derive(Debug)]
pub struct Effect<'a> {
    /// The event that it belongs to.
    pub event: EventNumber,
    /// The wire, a list of knots.
    pub wire: &'a Noun,
    /// The card's tag.
    pub tag: &'a str,
    /// The card's data.
    pub data: &'a Noun,
    /// Only the release of a committed event makes effects.
    pub(crate) _released: crate::pipeline::Token,
}

impl Effect<'_> {
    /// The wire's knots as text; None where an element is a cell or not UTF-8.
    #[must_use]
    pub fn knots(&self) -> Option<Vec<String>> {
        self.wire
            .iter_list()
            .map(|k| k.ok().and_then(Noun::as_cord))
            .collect()
    }

    /// Whether the wire's first knot is `name`.
    #[must_use]
    pub fn wire_starts(&self, name: &str) -> bool {
        self.wire.head().is_some_and(|knot| knot.is_cord(name))
    }
}

/// What became of an ovum. Told after the commit of everything that it shows.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The serf accepted it (as it is, or as a `%crud` in its place), and a quorum has it.
    Committed {
        /// Its number.
        event: EventNumber,
        /// Whether the kernel crashed on it and a `%crud` event stands in its place.
        swapped: bool,
    },
    /// The kernel refused it, and the `%crud` too; newest goof first. It changed nothing and has no number.
    Bailed(Vec<Goof>),
    /// It is not in the log, and will not be.
    Dropped(DropReason),
    /// This member lost its office while the event was on its way: it may be in the log or not.
    Unknown,
}

/// Why an ovum was dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// It ended the serf twice.
    KilledSerf,
    /// It is larger than any event may be.
    TooLarge,
    /// It is not of an event's shape, and a serf would abort on it.
    Refused,
    /// This member's office, or the king, ended before it was computed.
    OfficeOver,
}

/// The answer to a peek, given after the commit of every event computed before it.
#[derive(Clone, Debug)]
pub enum PeekAnswer {
    /// What the kernel answered, untouched: a unit.
    Done(Noun),
    /// The kernel crashed.
    Bailed(Goof),
    /// This member may not answer for the ship (any more).
    Unavailable,
}

impl PeekAnswer {
    /// The kernel's answer as vere's drivers see it: `~` where there is none.
    #[must_use]
    pub fn or_null(self) -> Noun {
        match self {
            PeekAnswer::Done(noun) => noun,
            PeekAnswer::Bailed(_) | PeekAnswer::Unavailable => Noun::ZERO,
        }
    }
}

/// Called once, on the pier's task, with what became of an ovum.
pub type OutcomeCallback = Box<dyn FnOnce(Outcome) + Send>;
/// Called once, on the pier's task, with a peek's answer.
pub type PeekCallback = Box<dyn FnOnce(PeekAnswer) + Send>;
/// Called once, on the pier's task, with what follows `%quac` or `%quic` in the serf's report; None when it cannot be
/// had.
pub type QuizCallback = Box<dyn FnOnce(Option<Noun>) + Send>;

/// What a driver asks of the king itself.
pub enum Request {
    /// End in order (drain, commit, save, hand over), and leave with this status.
    Exit(u8),
    /// Stop at once with this message: a driver cannot go on (vere's "pier bail").
    Fatal(String),
    /// Have the serf defragment its memory.
    Pack,
    /// Have the serf deduplicate its memory.
    Meld,
    /// The serf's memory report (`[%quiz %quac ~]`).
    Quac(QuizCallback),
    /// The serf's free memory (`[%quiz %quic ~]`).
    Quic(QuizCallback),
    /// The pier's own figures, as `[name value]` lines.
    Info(Box<dyn FnOnce(PierInfo) + Send>),
}

/// The pier's figures for `%peel /info`.
#[derive(Clone, Debug, Default)]
pub struct PierInfo {
    /// Lines of the pipeline: name and value.
    pub work: Vec<(String, u64)>,
    /// Lines of the log.
    pub disk: Vec<(String, u64)>,
    /// Lines of the serf.
    pub lord: Vec<(String, u64)>,
    /// Whether every driver is live.
    pub live: bool,
    /// Whether the serf computes an event.
    pub computing: bool,
}

/// What a driver sends to the pier.
pub(crate) enum Message {
    /// An event to compute.
    Plan(Planned),
    /// A read of the ship's state.
    Peek(PlannedPeek),
    /// Something asked of the king.
    Request(Request),
    /// The driver's liveness may have changed.
    Poke,
}

/// An ovum on its way to the serf.
pub(crate) struct Planned {
    pub(crate) ovum: Ovum,
    pub(crate) outcome: Option<OutcomeCallback>,
    /// Holds one of the driver's places until the event's outcome is told.
    pub(crate) _place: Option<OwnedSemaphorePermit>,
    /// Whether it goes before what the driver planned earlier: it was refused, and is tried again.
    pub(crate) again: bool,
    pub(crate) since: Instant,
}

/// A peek on its way to the serf.
pub(crate) struct PlannedPeek {
    pub(crate) sample: Noun,
    pub(crate) answer: PeekCallback,
    pub(crate) _place: Option<OwnedSemaphorePermit>,
}

impl PlannedPeek {
    /// One that takes nobody's place.
    pub(crate) fn new(sample: Noun, answer: PeekCallback) -> PlannedPeek {
        PlannedPeek {
            sample,
            answer,
            _place: None,
        }
    }
}

/// A driver's way into the pier: cheap to clone, usable from any task or thread.
#[derive(Clone)]
pub struct Intake {
    driver: usize,
    queue: mpsc::UnboundedSender<(usize, Message)>,
    /// Bounds what the driver's own tasks may have waiting.
    places: Arc<Semaphore>,
}

impl Intake {
    pub(crate) fn new(driver: usize, queue: mpsc::UnboundedSender<(usize, Message)>) -> Intake {
        Intake {
            driver,
            queue,
            places: Arc::new(Semaphore::new(limits::DRIVER_QUEUE)),
        }
    }

    /// Plans an event, waiting for a place in this driver's queue: the way for whatever the outside world drives.
    /// Quietly nothing once the office is over: the callback is then told [`DropReason::OfficeOver`] or dropped.
    pub async fn plan(&self, ovum: Ovum, outcome: Option<OutcomeCallback>) {
        let place = self.places.clone().acquire_owned().await.ok();
        self.send(Message::Plan(Planned {
            ovum,
            outcome,
            _place: place,
            again: false,
            since: crate::clock::instant(),
        }));
    }

    /// Plans an event without waiting, if this driver's queue has a place; gives the ovum back otherwise.
    ///
    /// # Errors
    /// When the queue is full: the ovum.
    pub fn try_plan(&self, ovum: Ovum, outcome: Option<OutcomeCallback>) -> Result<(), Ovum> {
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            return Err(ovum);
        };
        self.send(Message::Plan(Planned {
            ovum,
            outcome,
            _place: Some(place),
            again: false,
            since: crate::clock::instant(),
        }));
        Ok(())
    }

    /// Plans an event at once, outside the queue's bound: only for the few that a driver owes to its start or to
    /// an effect, from within [`Driver`]'s methods.
    pub fn plan_now(&self, ovum: Ovum, outcome: Option<OutcomeCallback>) {
        self.send(Message::Plan(Planned {
            ovum,
            outcome,
            _place: None,
            again: false,
            since: crate::clock::instant(),
        }));
    }

    /// Plans an event that the ship refused once more, before all else of this driver's, as `u3_auto_redo` of vere's does.
    pub fn plan_again(&self, ovum: Ovum, outcome: Option<OutcomeCallback>) {
        self.send(Message::Plan(Planned {
            ovum,
            outcome,
            _place: None,
            again: true,
            since: crate::clock::instant(),
        }));
    }

    /// Asks the kernel's `+peek` with `sample` = `[gang what]`, the answer as it comes ("full").
    pub async fn peek(&self, sample: Noun, answer: PeekCallback) {
        let place = self.places.clone().acquire_owned().await.ok();
        self.send(Message::Peek(PlannedPeek {
            sample,
            answer,
            _place: place,
        }));
    }

    /// Asks the kernel's `+peek` without waiting, if this driver's queue has a place; gives the callback back otherwise.
    ///
    /// # Errors
    /// When the queue is full: the callback.
    pub fn try_peek(&self, sample: Noun, answer: PeekCallback) -> Result<(), PeekCallback> {
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            return Err(answer);
        };
        self.send(Message::Peek(PlannedPeek {
            sample,
            answer,
            _place: Some(place),
        }));
        Ok(())
    }

    /// Asks something of the king.
    pub fn request(&self, request: Request) {
        self.send(Message::Request(request));
    }

    /// Has the pier look at [`Driver::is_live`] again.
    pub fn poke(&self) {
        self.send(Message::Poke);
    }

    /// After the office the pier's end is gone and what is sent is dropped: callbacks with it, which is why whoever
    /// waits on one must take its disappearance for [`Outcome::Unknown`].
    fn send(&self, message: Message) {
        let _ = self.queue.send((self.driver, message));
    }
}

/// What a driver is made from.
#[derive(Clone)]
pub struct DriverContext {
    /// Its way into the pier.
    pub intake: Intake,
    /// Whose ship it is.
    pub ship: ShipIdentity,
    /// The pier's directory.
    pub pier: PathBuf,
    /// Settings from the command line.
    pub settings: Arc<crate::settings::DriverSettings>,
    /// The runtime for the driver's own tasks. End them by dropping what they hold (a channel, an abort handle).
    pub runtime: tokio::runtime::Handle,
}
