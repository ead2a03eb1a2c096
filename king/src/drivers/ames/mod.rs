//! ames: the ship's packets, over UDP, and the STUN that keeps a way open to it (`spec/drivers.md` section 8).
//!
//! ```text
//! network ──packet──▶ udp.rs ──▶ core.rs ──%hear──▶ pier
//!    ▲                              │  ▲                │
//!    └──────────── Act::Send ◀──────┘  └─ effects, answers to peeks, outcomes
//! ```
//!
//! Everything that is decided is decided in `core.rs`, which has no I/O, clock or runtime: it is given packets, effects,
//! answers and the time, and gives back what is to be done. This file does it.
//!
//! What strangers send costs a read, a hash and nothing else, until it has passed the checks in `packet.rs`; what has
//! passed waits for the ship in a queue of thirty. Packets may be lost and may come twice, in this king as in any network:
//! the kernels at both ends take care of that. So nothing here is retried, and nothing survives an office.
//!
//! Differences from vere, on purpose: `%saxo` is no entry in the cache of lanes (a missing `break`), a failed question for
//! the lane of one's own answer does not give that answer to the ship, many packets for one ship wait for one question, a
//! ship that speaks to this machine only asks no DNS, a port that is taken is waited for, and an effect of another shape is
//! logged; either ends vere.
//! NAT-PMP and mDNS, which vere does unasked, are done where they are asked for.
//!
//! | file | |
//! | --- | --- |
//! | `core.rs` | decisions |
//! | `packet.rs`, `fine.rs`, `stun.rs` | bytes |
//! | `shapes.rs` | nouns |
//! | `lanes.rs` | who is where |
//! | `stun_client.rs` | where the ship is seen from |
//! | `resolver.rs` | DNS |
//! | `nat_pmp.rs` | the gateway's port |
//! | `mdns.rs` | ships on the local network |
//! | `counters.rs` | what is counted |
//! | `fuzz.rs` | a fuzzer's way in |

mod core;
mod counters;
mod fine;
pub(crate) mod fuzz;
pub(crate) mod lanes;
mod mdns;
pub mod nat_pmp;
mod packet;
mod resolver;
mod shapes;
mod stun;
mod stun_client;
#[cfg(test)]
mod tests;

use self::{
    core::{Core, Question},
    stun::Id,
};
use super::udp::{Hear, Network, galaxies, shared::Shared};
use crate::{
    clock, console,
    driver::{Claim, Driver, DriverContext, Effect, Request},
};
use std::sync::Arc;
use tokio::{sync::watch, task::AbortHandle};

/// A question that every kernel answers: its protocol's version.
pub(crate) fn version_sample() -> serf_ipc::Noun {
    shapes::ask_version()
}

/// Makes the driver.
pub(crate) fn new(context: DriverContext, network: Network) -> Box<dyn Driver> {
    let core = Core::new(network.identity, network.galaxies.clone(), random_id);
    let shared = Shared::new(context, network, core);
    Box::new(Ames {
        shared,
        timer: None,
        resolver: None,
        mapping: None,
        announcer: None,
    })
}

struct Ames {
    shared: Arc<Shared<Core>>,
    timer: Option<AbortHandle>,
    /// Looks the galaxies up under the ship's domain.
    resolver: Option<AbortHandle>,
    /// Keeps a port of the gateway's for the ship.
    mapping: Option<nat_pmp::Keeper>,
    /// Announces the ship on the local network.
    announcer: Option<mdns::Announcer>,
}

impl Driver for Ames {
    fn name(&self) -> &'static str {
        "ames"
    }

    fn start(&mut self) -> anyhow::Result<()> {
        let shared = &self.shared;
        let context = &shared.context;
        context.intake.plan_now(shapes::born(), None);
        shared.ask(Question::Version, shapes::ask_version());

        self.say_unusual_port();
        let hearer = Arc::clone(shared) as Arc<dyn Hear>;
        let own = Arc::downgrade(shared);
        let (known, number) = watch::channel(None);
        shared.network.port.open(&context.runtime, hearer, move |number| {
            if let Some(shared) = own.upgrade() {
                known.send_replace(number.as_ref().ok().copied());
                bound(&shared, number);
            }
        });
        self.timer = shared.keep_time();
        // Nobody beyond this machine is to reach a ship that speaks to this machine only.
        if let Some(gateway) = context.settings.nat_pmp
            && !shared.network.identity.is_local
        {
            self.mapping = Some(nat_pmp::Keeper::new(&context.runtime, gateway, number.clone()));
        }
        if context.settings.mdns {
            let shared = Arc::downgrade(shared);
            match mdns::Announcer::new(&context.runtime, shared, number, mdns::PORT) {
                Ok(announcer) => self.announcer = Some(announcer),
                Err(error) => tracing::info!(target: console::TARGET, "mdns: init failed: {error}"),
            }
        }
        Ok(())
    }

    fn effect(&mut self, effect: &Effect<'_>) -> Claim {
        // The kernel speaks to its UDP drivers on one wire, `/ames`, and did on `/newt`.
        let is_ours = effect.wire_starts("ames")
            || effect.wire_starts("newt")
            || effect.wire_starts("term") && effect.tag == "send";
        let Some(read) = is_ours
            .then(|| shapes::Effect::read(effect.tag, effect.data))
            .flatten()
        else {
            return Claim::Passed;
        };
        match read {
            Ok(read) => self.apply(read),
            Err(error) => tracing::warn!("ames: event {}: {error}", effect.event),
        }
        Claim::Taken
    }

    fn is_live(&self) -> bool {
        // From its start, as in vere: a port that is taken keeps the ship from other ships, and from nothing else.
        true
    }

    fn info(&self) -> Vec<(String, u64)> {
        let mut lines = self.shared.core().info();
        let mapped = self.mapping.as_ref().and_then(nat_pmp::Keeper::public);
        lines.push(("mapped-port".to_owned(), mapped.unwrap_or(0).into()));
        lines.extend(self.shared.network.port.info());
        lines
    }

    fn stop(&mut self) {
        self.shared.end();
        // Before the port is free: who has it next may ask for the same, and announce the same.
        self.mapping = None;
        self.announcer = None;
        self.shared.network.port.close();
        for task in [self.timer.take(), self.resolver.take()].into_iter().flatten() {
            task.abort();
        }
    }
}

impl Drop for Ames {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Ames {
    fn apply(&mut self, effect: shapes::Effect) {
        let shared = &self.shared;
        let domain = shared.decide(|core| core.effect(effect, clock::instant()));
        if let Some(domain) = domain {
            let task = resolver::run(Arc::downgrade(shared), domain);
            let task = shared.context.runtime.spawn(task).abort_handle();
            if let Some(old) = self.resolver.replace(task) {
                old.abort();
            }
        }
    }

    fn say_unusual_port(&self) {
        let asked = self.shared.context.settings.ames_port;
        let identity = self.shared.network.identity;
        let Some(galaxy) = galaxies::galaxy(identity.ship) else {
            return;
        };
        let known = galaxies::port(galaxy, identity.is_local);
        if asked != 0 && asked != known {
            tracing::info!(target: console::TARGET, "ames: czar: overriding port {known} with -p {asked}");
            tracing::info!(target: console::TARGET, "ames: czar: WARNING: {known} required for discoverability");
        }
    }
}

/// The port is bound, or cannot be.
fn bound(shared: &Shared<Core>, bound: std::io::Result<u16>) {
    match bound {
        Ok(number) => {
            let scope = if shared.network.identity.is_local {
                " (localhost only)"
            } else {
                ""
            };
            tracing::info!(target: console::TARGET, "ames: live on {number}{scope}");
            tracing::info!(target: console::TARGET, "mesa: live on {number}{scope}");
        }
        Err(error) => {
            tracing::error!(target: console::TARGET, "ames: bind: {error}");
            shared.context.intake.request(Request::Fatal(format!(
                "ames: the UDP port cannot be bound: {error}; choose another with -p"
            )));
        }
    }
}

/// A random name for a transaction.
fn random_id() -> Id {
    let mut id = Id::default();
    if let Err(error) = getrandom::fill(&mut id) {
        // A name that can be guessed lets a stranger tell the ship a wrong address, no more.
        tracing::error!("stun: no entropy from the system: {error}");
    }
    id
}
