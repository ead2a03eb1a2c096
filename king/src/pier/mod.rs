//! The pier: one task that owns the serf and the office, hears everything, and decides with the pure parts.
//!
//! A turn is: hear what happened (the serf, the log, the drivers, an operator), then move what can be moved. Nothing
//! in a turn waits; what must be waited for (a read of the log, a sync) is a future that the next turn hears.

mod catch_up;
mod control;
mod double_boot;
mod last_date;
mod leaving;
mod office;
mod operator;
mod patience;
mod saving;
mod serf;
mod serf_events;
mod status;
mod turn;

pub use control::{Control, PierHandle};
pub use leaving::Leave;
pub use status::PierStatus;

use crate::{boot::BootSequence, limits, settings::PierSettings};
use catch_up::CatchUp;
use leaving::Leaving;
use office::Office;
use replog::{Commit, Replog, Role};
use saving::Saving;
use serf::Serf;
use std::{
    future::Future,
    pin::Pin,
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, watch};

/// Something that is waited for outside of a turn.
type Pending<T> = Option<Pin<Box<dyn Future<Output = T> + Send>>>;

/// Hears a pending future; never ends while there is none.
async fn hear<T>(pending: &mut Pending<T>) -> T {
    match pending {
        Some(future) => {
            let value = future.await;
            *pending = None;
            value
        }
        None => std::future::pending().await,
    }
}

/// One ship on this machine.
pub struct Pier {
    settings: PierSettings,
    log: Replog,
    serf: Serf,
    office: Option<Office>,
    /// The boot sequence of a new ship, until it is in the log.
    boot: Option<BootSequence>,
    boot_proposed: bool,
    catch_up: CatchUp,
    saving: Saving,
    leaving: Option<Leaving>,
    /// A quorum's confirmation that was asked for, and when.
    confirming: Pending<(Instant, bool)>,
    /// The question whether the ship lives elsewhere.
    checking: Pending<double_boot::Checked>,
    /// The question when the last event was.
    dating: Pending<last_date::Dated>,
    /// Whether this process has followed another leader: an office of its own then takes over from one.
    followed: bool,
    role: watch::Receiver<Role>,
    commits: watch::Receiver<Commit>,
    commit: Commit,
    held_back: Option<bool>,
    /// The last term whose office is over here: it does not begin again, even if the log still thinks so.
    ended_terms: Option<replog::Term>,
    control: mpsc::Receiver<Control>,
    handing_over: Pending<()>,
    waiting_said: Option<Instant>,
    started: Instant,
    offices: u64,
    ready_said: bool,
    told: operator::Told,
}

impl Pier {
    /// A pier over an open log. `boot` is the sequence of a ship that is made now.
    #[must_use]
    pub fn new(settings: PierSettings, log: Replog, boot: Option<BootSequence>) -> (Pier, PierHandle) {
        let (sender, control) = mpsc::channel(limits::CONTROL_QUEUE);
        let now = crate::clock::instant();
        let pier = Pier {
            serf: Serf::new(settings.serf.clone()),
            office: None,
            boot,
            boot_proposed: false,
            catch_up: CatchUp::default(),
            saving: Saving::new(settings.snap_time, now),
            leaving: None,
            confirming: None,
            checking: None,
            dating: None,
            followed: false,
            role: log.role(),
            commits: log.committed(),
            commit: Commit::default(),
            held_back: None,
            ended_terms: None,
            control,
            handing_over: None,
            waiting_said: None,
            started: now,
            offices: 0,
            ready_said: false,
            told: operator::Told::default(),
            settings,
            log,
        };
        (pier, PierHandle::new(sender))
    }

    /// Runs the ship until it is told to leave, or cannot go on.
    pub async fn run(mut self) -> Leave {
        let mut fatal = self.log.fatal();
        let mut installed = self.log.installed();
        installed.mark_changed();
        loop {
            let failed = fatal.borrow_and_update().clone();
            if let Some(fatal) = failed {
                return self.stop_at_once(&fatal.message, fatal.exit_code).await;
            }
            let now = crate::clock::instant();
            match self.turn(now).await {
                Ok(None) => {}
                Ok(Some(leave)) => return self.finish(leave).await,
                Err(error) => {
                    return self
                        .stop_at_once(&format!("{error:#}"), limits::EXIT_FAILURE)
                        .await;
                }
            }
            let deadline = tokio::time::Instant::from_std(self.deadline(now));
            let office = self.office.as_mut();
            let heard = tokio::select! {
                biased;
                plea = self.serf.hear() => Heard::Serf(plea),
                changed = self.commits.changed() => changed.map_or(Heard::LogGone, |()| Heard::Nothing),
                changed = self.role.changed() => changed.map_or(Heard::LogGone, |()| Heard::Nothing),
                message = async { match office { Some(office) => office.message().await, None => std::future::pending().await } } => Heard::Driver(message),
                read = hear(&mut self.catch_up.reading) => Heard::Read(read),
                durable = hear(&mut self.saving.syncing) => Heard::Durable(durable),
                rolled = hear(&mut self.saving.rolling) => Heard::Rolled(rolled),
                hold = hear(&mut self.saving.holding) => Heard::Held(hold),
                confirmed = hear(&mut self.confirming) => Heard::Confirmed(confirmed),
                checked = hear(&mut self.checking) => Heard::Checked(checked),
                dated = hear(&mut self.dating) => Heard::Dated(dated),
                () = hear(&mut self.handing_over) => Heard::Nothing,
                control = self.control.recv() => Heard::Control(control),
                changed = installed.changed() => { changed.map_or(Heard::LogGone, |()| Heard::Installed(*installed.borrow_and_update())) }
                changed = fatal.changed() => changed.map_or(Heard::LogGone, |()| Heard::Nothing),
                () = tokio::time::sleep_until(deadline) => Heard::Nothing,
            };
            if let Err(error) = self.heard(heard).await {
                return self
                    .stop_at_once(&format!("{error:#}"), limits::EXIT_FAILURE)
                    .await;
            }
        }
    }

    /// When the next turn is due even if nothing is heard.
    fn deadline(&self, now: Instant) -> Instant {
        let mut next = now + limits::PIER_TICK;
        let mut sooner = |at: Option<Instant>| {
            if let Some(at) = at {
                next = next.min(at);
            }
        };
        sooner(self.serf.deadline());
        // A king that leaves saves when it comes to that, and has no other time for it.
        if self.leaving.is_none() {
            sooner(self.saving.deadline(now));
        }
        if let Some(office) = &self.office {
            sooner(office.pipeline.batch_deadline());
            // A release that waits for a confirmed lease is looked at again soon.
            if office.pipeline.has_releasable() {
                sooner(Some(now + Duration::from_millis(5)));
            }
        }
        next.max(now)
    }
}

/// What a turn begins with.
enum Heard {
    Nothing,
    LogGone,
    Serf(Option<serf_ipc::ChildEvent>),
    Driver(Option<(usize, crate::driver::Message)>),
    Read(catch_up::ReadResult),
    Durable(Result<seguro_event::EventNumber, replog::ReadError>),
    Rolled(Result<seguro_event::EventNumber, replog::RollError>),
    Held(replog::Hold),
    Confirmed((Instant, bool)),
    Checked(double_boot::Checked),
    Dated(last_date::Dated),
    Control(Option<Control>),
    Installed(Option<replog::InstalledSnapshot>),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        pipeline::{BatchLimits, RunAhead},
        settings::{DriverSettings, ReadMode, SerfSettings},
    };
    use replog::{Config, ShipIdentity, Start};

    /// A pier alone, whose serf is never started.
    async fn pier(directory: &std::path::Path) -> Pier {
        let genesis = ShipIdentity {
            who: 0,
            fake: true,
            life: 2,
        };
        let config = Config {
            pier: directory.to_owned(),
            machines: Vec::new(),
            own_address: None,
            start: Start::Found { genesis },
            heartbeat: replog::DEFAULT_HEARTBEAT,
            election_timeout_min: replog::DEFAULT_ELECTION_TIMEOUT_MIN,
            election_timeout_max: replog::DEFAULT_ELECTION_TIMEOUT_MAX,
            vere_version: "3.5".to_owned(),
            event_log_map_bytes: 1 << 30,
            insecure_peers: false,
        };
        let log = Replog::open(config).await.unwrap();
        let settings = PierSettings {
            pier: directory.to_owned(),
            serf: SerfSettings {
                command: serf_ipc::SerfCommand::new("/no/such/serf", directory),
                deadlines: serf_ipc::Deadlines::default(),
            },
            drivers: DriverSettings::default(),
            run_ahead: RunAhead {
                events: 1,
                bytes: 1,
                in_serf: 1,
            },
            batch: BatchLimits::default(),
            snap_time: Duration::from_secs(10),
            reads: ReadMode::Lease,
            machines: 1,
            galaxy_url: crate::boot::double_boot::DEFAULT_GALAXY_URL.to_owned(),
            exit_when_live: false,
        };
        Pier::new(settings, log, None).0
    }

    #[tokio::test]
    async fn no_epoch_begins_at_a_snapshot_that_is_not_written() {
        let directory = tempfile::tempdir().unwrap();
        let mut pier = pier(directory.path()).await;
        pier.settings.serf.command.wag |= serf_ipc::child::wag::DRY_RUN;
        let (answer, rolled) = tokio::sync::oneshot::channel();
        pier.heard_control(Control::Roll { keep: 1, answer });
        assert!(rolled.await.unwrap().unwrap_err().contains("-D"));
    }

    #[tokio::test]
    async fn a_king_that_leaves_rests_between_its_turns_though_a_snapshot_is_due() {
        let directory = tempfile::tempdir().unwrap();
        let mut pier = pier(directory.path()).await;
        pier.serf.retire().await;
        let now = crate::clock::instant();
        let late = now + Duration::from_secs(11);
        assert_eq!(pier.deadline(late), late, "the snapshot is due");
        pier.leave(0, now);
        assert!(pier.deadline(late) > late, "and is not waited for");
    }
}
