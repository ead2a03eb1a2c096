//! mesa: the ship's packets of the newer protocol, in which everything is a question for what another ship publishes, or an
//! answer to one (`spec/drivers.md` section 9).
//!
//! ```text
//! network ──packet──▶ udp ──▶ core.rs ──%heer──▶ pier
//!    ▲                          │  ▲                │
//!    └────────Act::Send ◀───────┘  └─ effects, answers to questions, outcomes
//! ```
//!
//! Everything that is decided is decided in `core.rs`, which has no I/O, clock or runtime. This file does it. The ship's kernel sees
//! whole messages: their fragments are cut and put together here.
//!
//! Nothing survives an office, and nothing is retried beyond it: kernels ask again. What strangers can make the king remember is
//! bounded, and the oldest of it is forgotten.
//!
//! Differences from vere, on purpose: packets that vere ends over are refused; the claim of a long message is put to the kernel in the form
//! that it knows; requests to two ships for the same path are two; a fragment that does not exist is not read from
//! memory; who asks for a fragment of a message that is being looked up gets that fragment; the last fragment of a message may be a full one; a
//! fetch that brings nothing is given up, so that the ship can begin another; a page that nobody waits for changes nothing.
//!
//! | file | |
//! | --- | --- |
//! | `core.rs` | decisions |
//! | `packet.rs` | bytes |
//! | `lss.rs` | hash trees |
//! | `shapes.rs` | nouns |
//! | `messages.rs` | what this ship publishes |
//! | `requests.rs`, `fetch.rs`, `gauge.rs` | what it asks for |
//! | `interests.rs`, `peers.rs` | who waits, and who is where |
//! | `fuzz.rs` | a fuzzer's way in |

mod core;
mod fetch;
pub(crate) mod fuzz;
mod gauge;
mod interests;
mod lss;
mod messages;
mod packet;
mod peers;
mod requests;
mod shapes;
#[cfg(test)]
mod tests;

use self::core::{Act, Core, Question};
use super::{
    peek::Answer,
    udp::{Hear, Network, galaxies},
};
use crate::{
    clock, console,
    driver::{Claim, Driver, DriverContext, Effect, Outcome, PeekAnswer},
    ovum::Ovum,
};
use serf_ipc::Noun;
use std::{
    net::SocketAddrV4,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::{sync::Notify, task::AbortHandle};

/// Makes the driver. `network` is what it shares with ames' driver, which opens it.
pub(crate) fn new(context: DriverContext, network: Network) -> Box<dyn Driver> {
    let shared = Arc::new_cyclic(|own| Shared {
        own: own.clone(),
        core: Mutex::new(Core::new(network.identity, network.galaxies.clone())),
        network,
        context,
        is_over: AtomicBool::new(false),
        timer: Notify::new(),
    });
    shared.network.port.set_mesa(Arc::clone(&shared) as Arc<dyn Hear>);
    Box::new(Mesa { shared, timer: None })
}

struct Mesa {
    shared: Arc<Shared>,
    timer: Option<AbortHandle>,
}

/// What the driver and its tasks share.
struct Shared {
    own: Weak<Shared>,
    context: DriverContext,
    network: Network,
    core: Mutex<Core>,
    is_over: AtomicBool,
    /// The core's next time has changed.
    timer: Notify,
}

impl Driver for Mesa {
    fn name(&self) -> &'static str {
        "mesa"
    }

    fn start(&mut self) -> anyhow::Result<()> {
        let shared = &self.shared;
        if galaxies::galaxy(shared.network.identity.ship).is_some() {
            tracing::info!(target: console::TARGET, "mesa: forwarding enabled");
        }
        let timer = shared.context.runtime.spawn(keep_time(Arc::clone(shared)));
        self.timer = Some(timer.abort_handle());
        Ok(())
    }

    fn effect(&mut self, effect: &Effect<'_>) -> Claim {
        if !effect.wire_starts("ames") {
            return Claim::Passed;
        }
        let shared = &self.shared;
        let done = match effect.tag {
            "push" => shapes::push(effect.data).map(|(lanes, packet)| {
                shared.decide(|core| core.push(&lanes, packet, clock::instant()));
            }),
            // Ames reads it too, and takes it.
            "nail" => {
                if let Ok((ship, direct)) = shapes::nail(effect.data) {
                    shared.decide(|core| core.nail(ship, direct));
                }
                return Claim::Passed;
            }
            _ => return Claim::Passed,
        };
        if let Err(error) = done {
            tracing::warn!("mesa: event {}: {error}", effect.event);
        }
        Claim::Taken
    }

    fn is_live(&self) -> bool {
        true
    }

    fn info(&self) -> Vec<(String, u64)> {
        self.shared.core().info()
    }

    fn stop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        if let Some(timer) = self.timer.take() {
            timer.abort();
        }
    }
}

impl Drop for Mesa {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Hear for Shared {
    fn hear(&self, from: SocketAddrV4, packet: &[u8]) {
        self.decide(|core| core.hear(from, packet, clock::instant()));
    }
}

impl Shared {
    fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the core decide something, and does what comes of it.
    fn decide(&self, decide: impl FnOnce(&mut Core)) {
        let acts = {
            let mut core = self.core();
            let due = core.due();
            decide(&mut core);
            if core.due() != due {
                self.timer.notify_one();
            }
            core.acts()
        };
        if self.is_over.load(Ordering::SeqCst) {
            return;
        }
        for act in acts {
            match act {
                Act::Send(to, packet) => self.network.port.send(to, packet),
                Act::Hear(ovum) => self.give(ovum),
                Act::Ask(question, sample) => self.ask(question, sample),
            }
        }
    }

    /// Gives the ship a packet.
    fn give(&self, ovum: Ovum) {
        let own = self.own.clone();
        let heard = move |outcome: Outcome| {
            let Some(shared) = own.upgrade() else { return };
            let goofs = match outcome {
                Outcome::Bailed(goofs) => Some(goofs),
                Outcome::Committed { .. } | Outcome::Dropped(_) | Outcome::Unknown => None,
            };
            shared.decide(|core| core.heard(goofs.is_some()));
            if let Some(goofs) = goofs {
                tracing::info!(target: console::TARGET, "mesa: hear bail");
                console::goofs(&goofs);
            }
        };
        if self.context.intake.try_plan(ovum, Some(Box::new(heard))).is_err() {
            // Questions have taken its place: it is lost, as it might have been on its way here.
            self.core().not_heard();
        }
    }

    /// Asks the kernel, and has the core take the answer.
    fn ask(&self, question: Question, sample: Noun) {
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

/// Wakes the core when its time comes.
async fn keep_time(shared: Arc<Shared>) {
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
