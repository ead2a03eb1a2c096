//! The thread that does the driver's work on the disk: effects one after the other, in the order of their events.

use super::{
    beam::{self, Answer, Beam, Print},
    disk::Disk,
    mirror::{Mirror, name_edits},
    names::MountName,
    restore::restore,
    shapes::{self, Command},
    ship::{Over, Ship},
};
use crate::{console, driver::Outcome, drivers::report, limits, ovum::Ovum};
use seguro_event::EventNumber;
use serf_ipc::Noun;
use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::sync::{mpsc, oneshot};

/// An effect, as it came.
pub(super) struct Kick {
    pub(super) event: EventNumber,
    pub(super) tag: String,
    pub(super) data: Noun,
}

/// What the driver and its thread share.
#[derive(Default)]
pub(super) struct Shared {
    /// The office is over: the files that the ship changed are still written, nothing more is asked or told.
    pub(super) is_over: AtomicBool,
    /// Effects came faster than the disk takes them, and some were not kept.
    pub(super) lost: AtomicBool,
    /// What the ship has printed since it was asked what a mount point shows; None while nothing is asked.
    prints: Mutex<Option<Vec<Print>>>,
}

impl Shared {
    /// Hears a print; true where it belongs to an answer.
    pub(super) fn hear(&self, tank: &Noun) -> bool {
        let mut prints = self.prints();
        let Some(prints) = prints.as_mut() else {
            return false;
        };
        let Some(print) = Print::read(tank) else {
            return false;
        };
        if prints.len() < limits::UNIX_PRINTS {
            prints.push(print);
        }
        true
    }

    fn prints(&self) -> MutexGuard<'_, Option<Vec<Print>>> {
        self.prints.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread's own.
pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) kicks: mpsc::Receiver<Kick>,
    pub(super) ship: Ship,
    pub(super) pier: PathBuf,
    /// Whether the ship lives on this machine only: then the disk is never out of date.
    pub(super) alone: bool,
    /// The knot that tells this driver's wires from those of earlier ones.
    pub(super) instance: String,
    /// Held while this pier's mounts are worked on: an office's thread waits for that of the one before.
    pub(super) disk_turn: Arc<Mutex<()>>,
}

impl Worker {
    /// Works until the driver is gone and what it was given is done.
    pub(super) fn run(mut self) {
        let turn = Arc::clone(&self.disk_turn);
        let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut mirror = match Disk::open(&self.pier) {
            Ok(disk) => Mirror::new(disk),
            Err(error) => {
                tracing::error!(target: console::TARGET, "unix: error opening pier directory: {}: {error}", self.pier.display());
                return;
            }
        };
        while let Some(kick) = self.kicks.blocking_recv() {
            self.kick(&mut mirror, &kick);
            if self.kicks.is_empty() && self.shared.lost.swap(false, Ordering::SeqCst) {
                let all = mirror.mounts.keys().cloned().collect();
                self.restore_all(&mut mirror, all);
            }
        }
        if !self.alone {
            let edits = mirror.edits(|| true);
            name_edits(
                "edited on this machine and not committed, while the ship goes on elsewhere",
                &edits,
            );
        }
    }

    fn is_over(&self) -> bool {
        self.shared.is_over.load(Ordering::SeqCst)
    }

    fn kick(&self, mirror: &mut Mirror, kick: &Kick) {
        let command = match Command::read(&kick.tag, &kick.data) {
            Some(Ok(command)) => command,
            Some(Err(error)) => {
                tracing::error!(target: console::TARGET, "unix: event {}: strange effect: {error}", kick.event);
                return;
            }
            None => return,
        };
        match command {
            Command::Hill(mounts) => self.hill(mirror, &mounts),
            Command::Dirk(mount) => self.dirk(mirror, &mount),
            Command::Ogre(mount) => {
                if let Some(mount) = place(&mount) {
                    mirror.ogre(&mount);
                }
            }
            Command::Ergo {
                mount,
                changes,
                wrong,
            } => {
                if let Some(error) = wrong {
                    tracing::error!(target: console::TARGET, "unix: event {}: strange effect: {error}", kick.event);
                }
                if let Some(mount) = place(&mount) {
                    mirror.ergo(&mount, changes);
                }
            }
        }
    }

    fn hill(&self, mirror: &mut Mirror, mounts: &[String]) {
        let mounts: BTreeSet<MountName> = mounts.iter().filter_map(|mount| place(mount)).collect();
        if self.alone {
            mounts.iter().for_each(|mount| mirror.scan(mount));
            mirror.clear_unmounted(&mounts);
            mirror.begin_record();
        } else {
            mirror.clear_unmounted(&mounts);
            self.restore_all(mirror, mounts);
        }
    }

    fn restore_all(&self, mirror: &mut Mirror, mounts: BTreeSet<MountName>) {
        let stamp = crate::clock::session_knot(crate::clock::now());
        for mount in mounts {
            if self.is_over() || self.restore(mirror, &mount, &stamp).is_err() {
                return;
            }
        }
        // What could not be restored may be known from before.
        if mirror.mounts.values().all(|mount| mount.is_sound) {
            mirror.begin_record();
        }
    }

    fn restore(&self, mirror: &mut Mirror, mount: &MountName, stamp: &str) -> Result<(), Over> {
        match self.shown(mount)? {
            Some(shows) => restore(mirror, &self.ship, mount, shows, stamp),
            // It went while the ship was asked: what says so is on its way.
            None => Ok(()),
        }
    }

    /// What a mount point shows; None where nothing is mounted there any more.
    fn shown(&self, mount: &MountName) -> Result<Option<Beam>, Over> {
        for _ in 0..limits::UNIX_ASK_TRIES {
            match self.ask(mount)? {
                Answer::Mounted(beam) => return Ok(Some(beam)),
                Answer::Nothing => return Ok(None),
                Answer::Ambiguous => {}
                Answer::Silence => break,
            }
        }
        // The name that |mount gives it.
        Ok(Some(Beam::of_desk(self.ship.who, mount.knot())))
    }

    /// Asks the ship once what a mount point shows, and hears what it prints until the question is committed.
    fn ask(&self, mount: &MountName) -> Result<Answer, Over> {
        let card = beam::question(self.ship.who, mount.knot());
        let ovum = Ovum::new("c", ["sync", &self.instance], card);
        let (tell, outcome) = oneshot::channel();
        let told = Box::new(move |outcome| drop(tell.send(outcome)));
        *self.shared.prints() = Some(Vec::new());
        let outcome = self.ship.runtime.block_on(async {
            self.ship.intake.plan(ovum, Some(told)).await;
            outcome.await
        });
        let prints = self.shared.prints().take().unwrap_or_default();
        match outcome {
            Ok(Outcome::Committed { .. } | Outcome::Bailed(_)) => Ok(Answer::of(prints)),
            Ok(Outcome::Dropped(_) | Outcome::Unknown) | Err(_) => Err(Over),
        }
    }

    fn dirk(&self, mirror: &mut Mirror, mount: &str) {
        let Some(mount) = place(mount) else { return };
        if self.is_over() {
            return;
        }
        let Some(changes) = mirror.changes(&mount) else {
            return;
        };
        let ovum = Ovum::new("c", ["sync", &self.instance], shapes::into(mount.knot(), changes));
        let failed = ovum.clone();
        let told = move |outcome: Outcome| {
            if let Outcome::Bailed(goofs) = outcome {
                report::bailed("unix", &failed, &goofs);
            }
        };
        self.ship
            .runtime
            .block_on(self.ship.intake.plan(ovum, Some(Box::new(told))));
    }
}

/// A mount's place on disk, said where it has none.
fn place(mount: &str) -> Option<MountName> {
    let place = MountName::of(mount);
    if place.is_none() {
        tracing::error!(target: console::TARGET, "unix: no directory of the pier can be the mount %{mount}");
    }
    place
}

/// How many effects may wait.
pub(super) const ROOM: usize = limits::UNIX_EFFECTS;
