//! lick: ports for other programs, sockets below `.urb/dev` (`spec/drivers.md` section 11).
//!
//! ```text
//! pier ──%spin %shut %spit──▶ Lick::effect ──▶ port.rs ──▶ connection.rs ──▶ client
//!   ▲                                            ▲                │
//!   └──────────────────── %soak ─────────────────┴────────────────┘
//! ```
//!
//! A port is the ship's, and lives on the machine that leads: at an office's end its socket and all connections are closed at once, and
//! the next leader's `%born` makes the ship open its ports there. Whoever was connected connects again, there.
//!
//! What the ship says goes to the newest connection only, as in vere, and after any connection's end to nobody until the next begins: it is told
//! `%error 'not connected'`. All connections are heard.
//!
//! Differences from vere, on purpose: `%shut` closes all connections of the port (the C forgets the others and goes on using their memory);
//! a port that cannot be opened is said and passed over, where the C king ends; a path that leads out of `.urb/dev` is not opened; the
//! ship is told a port's path as the ship gave it; a client that does not read is hung up on.

mod connection;
mod message;
mod port;
mod socket;
#[cfg(test)]
mod tests;

pub(crate) use self::message::fuzz;
use self::{message::Command, port::Port, socket::PortPath};
use crate::{
    console,
    driver::{Claim, Driver, DriverContext, Effect, Outcome},
    limits,
    ovum::{Ovum, wire_path},
};
use serf_ipc::{Noun, n};
use std::collections::HashMap;

/// Makes the driver.
#[must_use]
pub fn new(context: DriverContext) -> Box<dyn Driver> {
    Box::new(Lick {
        context,
        is_live: false,
        ports: HashMap::new(),
    })
}

struct Lick {
    context: DriverContext,
    is_live: bool,
    ports: HashMap<PortPath, Port>,
}

impl Driver for Lick {
    fn name(&self) -> &'static str {
        "lick"
    }

    fn start(&mut self) -> anyhow::Result<()> {
        let born = Ovum::new("l", ["lick"], message::born());
        let told = |outcome| {
            if matches!(outcome, Outcome::Bailed(_)) {
                tracing::warn!(target: console::TARGET, "lick: %born failure;");
            }
        };
        self.context.intake.plan_now(born, Some(Box::new(told)));
        self.is_live = true;
        Ok(())
    }

    fn effect(&mut self, effect: &Effect<'_>) -> Claim {
        if !effect.wire_starts("lick") {
            return Claim::Passed;
        }
        match Command::read(effect.tag, effect.data) {
            None => return Claim::Passed,
            Some(Err(error)) => {
                tracing::warn!(target: console::TARGET, "lick: event {}: strange effect: {error}", effect.event)
            }
            Some(Ok(Command::Spin(path))) => self.spin(path),
            Some(Ok(Command::Shut(path))) => {
                PortPath::of(&path).and_then(|place| self.ports.remove(&place));
            }
            Some(Ok(Command::Spit { port, message })) => self.spit(&port, message),
        }
        Claim::Taken
    }

    fn is_live(&self) -> bool {
        self.is_live
    }

    fn info(&self) -> Vec<(String, u64)> {
        let connections = self.ports.values().map(Port::connections).sum::<usize>();
        vec![
            ("ports".to_owned(), self.ports.len() as u64),
            ("connections".to_owned(), connections as u64),
        ]
    }

    fn stop(&mut self) {
        self.ports.clear();
    }
}

impl Drop for Lick {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Lick {
    /// Opens a port, unless it is open: a few calls to the system, none of which waits.
    fn spin(&mut self, path: Noun) {
        let Some(place) = PortPath::of(&path) else {
            tracing::error!(target: console::TARGET, "lick: no socket can have the path {}: not opened", wire_path(&path));
            return;
        };
        if self.ports.contains_key(&place) {
            return;
        }
        if self.ports.len() >= limits::LICK_PORTS {
            tracing::error!(target: console::TARGET, "lick: {place} is not opened: there are {} ports already", limits::LICK_PORTS);
            return;
        }
        let (intake, runtime) = (self.context.intake.clone(), &self.context.runtime);
        match Port::open(&self.context.pier, &place, path, intake, runtime) {
            Ok(port) => {
                self.ports.insert(place, port);
            }
            Err(error) => tracing::error!(target: console::TARGET, "lick: {place} cannot be opened: {error}"),
        }
    }

    fn spit(&self, path: &Noun, message: Noun) {
        let Some(port) = PortPath::of(path).and_then(|place| self.ports.get(&place)) else {
            tracing::info!(target: console::TARGET, "lick: spit: gen {} not found", wire_path(path));
            return;
        };
        if !port.spit(message) {
            let (ovum, told) = port::soak(port.path(), n!["error", "not connected"]);
            self.context.intake.plan_now(ovum, Some(told));
        }
    }
}
