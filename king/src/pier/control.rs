//! What is asked of a running pier from outside the ship: by signals and by the control socket.

use super::{Pier, PierStatus};
use crate::ovum::Ovum;
use seguro_event::EventNumber;
use serf_ipc::{child::wag, n};
use tokio::sync::{mpsc, oneshot};

/// A request to the pier.
#[derive(Debug)]
pub enum Control {
    /// Leave in order, with this exit code.
    Exit(u8),
    /// The operator's Ctrl-C: it ends the computation that runs, and the ship gets `%ctl 'c'` (`spec/ipc.md` section 11).
    Interrupt,
    /// How things stand.
    Status(oneshot::Sender<PierStatus>),
    /// Write a snapshot as soon as it may be.
    Save,
    /// Write a snapshot, begin a new epoch there, and keep only the newest epochs.
    Roll {
        /// How many to keep.
        keep: usize,
        /// The new epoch's number, or why there is none.
        answer: oneshot::Sender<Result<EventNumber, String>>,
    },
}

/// A running pier, seen from outside; cheap to clone.
#[derive(Clone, Debug)]
pub struct PierHandle {
    control: mpsc::Sender<Control>,
}

impl PierHandle {
    pub(super) fn new(control: mpsc::Sender<Control>) -> PierHandle {
        PierHandle { control }
    }

    /// Asks the pier to leave in order. Nothing happens if it has left already.
    pub async fn exit(&self, code: u8) {
        let _ = self.control.send(Control::Exit(code)).await;
    }

    /// Passes the operator's interrupt on.
    pub async fn interrupt(&self) {
        let _ = self.control.send(Control::Interrupt).await;
    }

    /// Asks for a snapshot.
    pub async fn save(&self) {
        let _ = self.control.send(Control::Save).await;
    }

    /// Asks for a new epoch at a fresh snapshot, and that only the newest `keep` epochs stay.
    ///
    /// # Errors
    /// Why there is no new epoch.
    pub async fn roll(&self, keep: usize) -> Result<EventNumber, String> {
        let (answer, rolled) = oneshot::channel();
        let left = || "the pier is leaving".to_owned();
        self.control
            .send(Control::Roll { keep, answer })
            .await
            .map_err(|_| left())?;
        rolled.await.unwrap_or_else(|_| Err(left()))
    }

    /// How things stand; None once the pier has left.
    pub async fn status(&self) -> Option<PierStatus> {
        let (answer, status) = oneshot::channel();
        self.control.send(Control::Status(answer)).await.ok()?;
        status.await.ok()
    }
}

impl Pier {
    pub(super) fn heard_control(&mut self, control: Control) {
        let now = crate::clock::instant();
        match control {
            Control::Exit(code) => self.leave(code, now),
            Control::Interrupt => {
                // Behind an empty line, as vere.
                tracing::info!(target: crate::console::TARGET, "");
                tracing::info!(target: crate::console::TARGET, "interrupt");
                self.serf.interrupt();
                if let Some(office) = &mut self.office {
                    let card = n!["belt", "mod", "ctl", "c"];
                    office
                        .intake(0)
                        .plan_now(Ovum::new("d", ["term", "1"], card), None);
                }
            }
            Control::Status(answer) => {
                let _ = answer.send(self.status(now));
            }
            Control::Save => self.saving.want(),
            Control::Roll { answer, .. } if self.settings.serf.command.wag & wag::DRY_RUN != 0 => {
                let why = "its serf writes no snapshots (-D), so none can begin an epoch: start it without";
                let _ = answer.send(Err(why.to_owned()));
            }
            Control::Roll { keep, answer } => self.saving.want_roll(keep, answer),
        }
    }
}
