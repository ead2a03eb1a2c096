//! unix: clay's mounts, directories in the pier that show a desk's files (`spec/drivers.md` section 5).
//!
//! ```text
//! pier ──%hill %ergo %dirk %ogre──▶ Unix::effect ──▶ worker.rs, a thread ──▶ mirror.rs ──▶ disk.rs
//!   ▲                                                     │                    record.rs
//!   └───────────── %into, %mont, peeks ───────────────────┘ restore.rs, ship.rs, beam.rs
//! ```
//!
//! The ship tells which mounts there are when an office begins, and files as they change; it never tells again what a mount has. A ship
//! on one machine needs no more, for its disk is as it was left. A machine of several that is elected may have no mount on its disk, or
//! one from long ago, and a commit of that would undo what happened meanwhile. So there each mount is brought to what the ship has
//! (`restore.rs`) before anything in it is looked at: the ship says what the mount shows (`beam.rs`), and that is read by peeks, which
//! change nothing in the ship.
//!
//! Differences from vere, on purpose: symbolic links are not followed, and a mount or file whose name leads elsewhere is not written; what
//! cannot be read is not deleted in the ship; a directory is removed at a commit only when nothing is in it; a file is written whole or
//! not at all; each change is told once; what the ship wrote is known after a restart too, so that a commit tells what changed and not the
//! whole desk, and a file that changes in the ship after a restart is written, not taken for edited; a file where a directory was (which
//! ends vere) is a change like others.

mod beam;
mod disk;
mod measured;
mod mirror;
mod names;
mod record;
mod restore;
mod shapes;
mod ship;
#[cfg(test)]
mod tests;
mod worker;

pub use self::measured::MeasuredMount;
pub(crate) use self::shapes::fuzz;
use self::{
    ship::Ship,
    worker::{Kick, Shared, Worker},
};
use crate::{
    clock,
    driver::{Claim, Driver, DriverContext, Effect},
    ovum::Ovum,
};
use serf_ipc::Noun;
use std::sync::{Arc, atomic::Ordering};
use tokio::sync::mpsc::{self, error::TrySendError};

/// Wires of clay's effects.
const WIRES: [&str; 3] = ["clay", "boat", "sync"];
/// Its effects.
const TAGS: [&str; 4] = ["dirk", "ergo", "hill", "ogre"];

/// Makes the driver.
#[must_use]
pub fn new(context: DriverContext) -> Box<dyn Driver> {
    Box::new(Unix {
        context,
        is_live: false,
        shared: Arc::default(),
        kicks: None,
    })
}

struct Unix {
    context: DriverContext,
    is_live: bool,
    shared: Arc<Shared>,
    /// To the thread; its end is the thread's.
    kicks: Option<mpsc::Sender<Kick>>,
}

impl Driver for Unix {
    fn name(&self) -> &'static str {
        "unix"
    }

    fn start(&mut self) -> anyhow::Result<()> {
        self.context
            .intake
            .plan_now(Ovum::new("c", ["boat"], shapes::boat()), None);
        let (sender, kicks) = mpsc::channel(worker::ROOM);
        let worker = Worker {
            shared: Arc::clone(&self.shared),
            kicks,
            ship: Ship {
                intake: self.context.intake.clone(),
                runtime: self.context.runtime.clone(),
                who: self.context.ship.who,
            },
            pier: self.context.pier.clone(),
            alone: self.context.settings.alone,
            instance: clock::session_knot(clock::now()),
            disk_turn: Arc::clone(&self.context.settings.mounts),
        };
        // One of the runtime's threads for what blocks: the process's end waits for it.
        self.context.runtime.spawn_blocking(move || worker.run());
        self.kicks = Some(sender);
        Ok(())
    }

    fn effect(&mut self, effect: &Effect<'_>) -> Claim {
        if !WIRES.iter().any(|wire| effect.wire_starts(wire)) || !TAGS.contains(&effect.tag) {
            return Claim::Passed;
        }
        if effect.tag == "hill" && !self.is_live {
            self.is_live = true;
            self.context.intake.poke();
        }
        let kick = Kick {
            event: effect.event,
            tag: effect.tag.to_owned(),
            data: effect.data.clone(),
        };
        if let Some(Err(TrySendError::Full(_))) = self.kicks.as_ref().map(|kicks| kicks.try_send(kick))
            && !self.shared.lost.swap(true, Ordering::SeqCst)
        {
            tracing::error!(
                "unix: the disk is too slow for the ship's files: the mounts are read anew when it has caught up"
            );
        }
        Claim::Taken
    }

    fn slog(&mut self, what: &Noun) -> Claim {
        if self.shared.hear(what) {
            Claim::Taken
        } else {
            Claim::Passed
        }
    }

    fn is_live(&self) -> bool {
        self.is_live
    }

    fn stop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        self.kicks = None;
    }
}

impl Drop for Unix {
    fn drop(&mut self) {
        self.stop();
    }
}
