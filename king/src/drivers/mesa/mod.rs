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

use self::core::Core;
use super::udp::{Hear, Network, galaxies, shared::Shared};
use crate::{
    clock, console,
    driver::{Claim, Driver, DriverContext, Effect},
};
use std::sync::Arc;
use tokio::task::AbortHandle;

/// Makes the driver. `network` is what it shares with ames' driver, which opens it.
pub(crate) fn new(context: DriverContext, network: Network) -> Box<dyn Driver> {
    let core = Core::new(network.identity, network.galaxies.clone());
    let shared = Shared::new(context, network, core);
    shared.network.port.set_mesa(Arc::clone(&shared) as Arc<dyn Hear>);
    Box::new(Mesa { shared, timer: None })
}

struct Mesa {
    shared: Arc<Shared<Core>>,
    timer: Option<AbortHandle>,
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
        self.timer = shared.keep_time();
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
        self.shared.end();
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
