//! What a protocol's driver and its tasks share: what it decides, and the doing of it.
//!
//! Both protocols decide without I/O, clock or runtime ([`Decides`]); what comes of it is a list of [`Act`]s, which are done here.

use super::{Hear, Network};
use crate::{
    clock, console,
    driver::{DriverContext, Outcome, PeekAnswer},
    ovum::Ovum,
    peek::Answer,
};
use serf_ipc::{Goof, Noun};
use std::{
    net::SocketAddrV4,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};
use tokio::{sync::Notify, task::AbortHandle};

/// What is to be done. `Q` is what a protocol asks the kernel.
#[derive(Debug)]
pub(crate) enum Act<Q> {
    /// Send this.
    Send(SocketAddrV4, Vec<u8>),
    /// Give the ship this packet, and say what became of it to [`Decides::heard`].
    Hear(Ovum),
    /// Tell the ship.
    Tell(Ovum),
    /// Ask the kernel this, and give the answer to [`Decides::answered`].
    Ask(Q, Noun),
}

/// What a protocol decides.
pub(crate) trait Decides: Send + 'static {
    /// What the kernel is asked.
    type Question: Send + 'static;

    /// A packet came, from there.
    fn hear(&mut self, from: SocketAddrV4, packet: &[u8], now: Instant);

    /// What became of a packet that the ship was given: it was computed, or refused, newest goof first. True when that is to be shown.
    fn heard(&mut self, refused: Option<&[Goof]>) -> bool;

    /// A packet could not be given to the ship after all.
    fn not_heard(&mut self);

    /// The kernel has answered.
    fn answered(&mut self, question: Self::Question, answer: &Answer, now: Instant);

    /// When [`Decides::tick`] is to be called.
    fn due(&self) -> Option<Instant>;

    /// The time has come.
    fn tick(&mut self, now: Instant);

    /// Takes what is to be done.
    fn acts(&mut self) -> Vec<Act<Self::Question>>;
}

/// A driver's half that its tasks have too. Once its office is over nothing of it reaches the world.
pub(crate) struct Shared<C> {
    own: Weak<Shared<C>>,
    /// What the driver was made from.
    pub(crate) context: DriverContext,
    /// What both protocols use.
    pub(crate) network: Network,
    core: Mutex<C>,
    is_over: AtomicBool,
    /// The core's next time has changed.
    timer: Notify,
}

impl<C: Decides> Shared<C> {
    pub(crate) fn new(context: DriverContext, network: Network, core: C) -> Arc<Shared<C>> {
        Arc::new_cyclic(|own| Shared {
            own: own.clone(),
            context,
            network,
            core: Mutex::new(core),
            is_over: AtomicBool::new(false),
            timer: Notify::new(),
        })
    }

    /// What decides.
    pub(crate) fn core(&self) -> MutexGuard<'_, C> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing is done any more.
    pub(crate) fn end(&self) {
        self.is_over.store(true, Ordering::SeqCst);
    }

    /// Begins to wake the core when its times come.
    pub(crate) fn keep_time(&self) -> Option<AbortHandle> {
        let shared = self.own.upgrade()?;
        Some(self.context.runtime.spawn(keep_time(shared)).abort_handle())
    }

    /// Has the core decide something, and does what comes of it.
    pub(crate) fn decide<T>(&self, decide: impl FnOnce(&mut C) -> T) -> T {
        let (decided, acts) = {
            let mut core = self.core();
            let due = core.due();
            let decided = decide(&mut core);
            if core.due() != due {
                self.timer.notify_one();
            }
            (decided, core.acts())
        };
        if !self.is_over.load(Ordering::SeqCst) {
            acts.into_iter().for_each(|act| self.act(act));
        }
        decided
    }

    fn act(&self, act: Act<C::Question>) {
        match act {
            Act::Send(to, packet) => self.network.port.send(to, packet),
            Act::Hear(ovum) => self.give(ovum),
            // One in 25 s at most: it always finds a place, except in an office that is about to end.
            Act::Tell(ovum) => drop(self.context.intake.try_plan(ovum, None)),
            Act::Ask(question, sample) => self.ask(question, sample),
        }
    }

    /// Gives the ship a packet.
    fn give(&self, ovum: Ovum) {
        let own = self.own.clone();
        let heard = move |outcome: Outcome| {
            let Some(shared) = own.upgrade() else { return };
            let Outcome::Bailed(goofs) = outcome else {
                shared.decide(|core| core.heard(None));
                return;
            };
            if shared.decide(|core| core.heard(Some(&goofs))) {
                console::goofs(&goofs);
            }
        };
        if self.context.intake.try_plan(ovum, Some(Box::new(heard))).is_err() {
            // Questions have taken its place: it is lost, as it might have been on its way here.
            self.core().not_heard();
        }
    }

    /// Asks the kernel, and has the core take the answer.
    pub(crate) fn ask(&self, question: C::Question, sample: Noun) {
        let own = self.own.clone();
        let answered = move |answer: PeekAnswer| {
            if let Some(shared) = own.upgrade() {
                shared.decide(|core| core.answered(question, &Answer::read(answer), clock::instant()));
            }
        };
        if let Err(answered) = self.context.intake.try_peek(sample, Box::new(answered)) {
            answered(PeekAnswer::Unavailable);
        }
    }
}

impl<C: Decides> Hear for Shared<C> {
    fn hear(&self, from: SocketAddrV4, packet: &[u8]) {
        self.decide(|core| core.hear(from, packet, clock::instant()));
    }
}

/// Wakes the core when its time comes.
async fn keep_time<C: Decides>(shared: Arc<Shared<C>>) {
    loop {
        let due = shared.core().due();
        let come = async {
            match due {
                Some(due) => tokio::time::sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = come => shared.decide(|core| core.tick(clock::instant())),
            () = shared.timer.notified() => {}
        }
    }
}
