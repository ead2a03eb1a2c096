//! Leaving in order: drain, commit, release, hand over, save, exit; each step bounded, and the whole.

use super::{Pier, office::Stage, serf::Asked};
use crate::limits;
use serf_ipc::Writ;
use std::time::{Duration, Instant};

/// How a pier ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leave {
    /// The process's exit code.
    pub code: u8,
    /// What went wrong, if something did.
    pub error: Option<String>,
}

/// How far a leave has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Draining,
    HandingOver,
    Saving,
    Exiting,
}

/// A leave under way.
pub(super) struct Leaving {
    code: u8,
    since: Instant,
    step: Step,
    save_asked: bool,
}

impl Pier {
    /// Begins to leave, unless it has begun.
    pub(super) fn leave(&mut self, code: u8, now: Instant) {
        if self.leaving.is_some() {
            return;
        }
        tracing::info!(code, "leaving in order");
        self.leaving = Some(Leaving {
            code,
            since: now,
            step: Step::Draining,
            save_asked: false,
        });
        if let Some(office) = &mut self.office {
            office.drain();
        }
    }

    /// Whether the serf is not to be played anything more.
    pub(super) fn leaving_holds_serf(&self) -> bool {
        self.leaving
            .as_ref()
            .is_some_and(|leaving| leaving.step >= Step::Saving)
    }

    /// Whether the serf's end is what the leave waits for.
    pub(super) fn leaving_awaits_exit(&self) -> bool {
        self.leaving
            .as_ref()
            .is_some_and(|leaving| leaving.step == Step::Exiting)
    }

    /// Moves a leave along; its end when it has come.
    pub(super) fn advance_leaving(&mut self, now: Instant) -> anyhow::Result<Option<Leave>> {
        let Some(leaving) = &self.leaving else {
            return Ok(None);
        };
        let (code, step, spent) = (leaving.code, leaving.step, now.duration_since(leaving.since));
        if spent > limits::EXIT_PATIENCE {
            tracing::warn!(
                ?step,
                "leaving took too long; the rest is left to the next start. Nothing committed is lost"
            );
            return Ok(Some(Leave { code, error: None }));
        }
        match step {
            Step::Draining => {
                let drained = self
                    .office
                    .as_ref()
                    .is_none_or(|office| office.pipeline.is_idle());
                if drained || spent > limits::EXIT_PATIENCE / 2 {
                    if let Some(office) = &mut self.office {
                        office.stop_drivers();
                        self.hand_over();
                    }
                    self.leave_step(Step::HandingOver);
                }
            }
            Step::HandingOver => {
                if self.handing_over.is_none() {
                    self.leave_step(Step::Saving);
                }
            }
            Step::Saving => {
                if !self.serf.is_awake() {
                    // One that is only starting has nothing to save.
                    return Ok(Some(Leave { code, error: None }));
                } else if self.serf.depth() == 0 && !self.saving.holds_intake() {
                    let at = self.serf.event();
                    let asked = self
                        .leaving
                        .as_mut()
                        .is_some_and(|leaving| std::mem::replace(&mut leaving.save_asked, true));
                    if asked || self.saving.saved() == Some(at) || self.speculative() {
                        self.serf.send(Writ::Exit(0), Asked::Exit, now)?;
                        self.leave_step(Step::Exiting);
                    } else {
                        self.saving.want();
                        self.advance_saving(now);
                    }
                }
            }
            Step::Exiting => {
                if !self.serf.is_running() {
                    return Ok(Some(Leave { code, error: None }));
                }
            }
        }
        Ok(None)
    }

    fn speculative(&self) -> bool {
        self.office
            .as_ref()
            .is_some_and(|office| office.pipeline.is_speculative())
    }

    fn leave_step(&mut self, step: Step) {
        if let Some(leaving) = &mut self.leaving {
            leaving.step = step;
        }
    }

    /// Gives the office to another voter, if there is one.
    fn hand_over(&mut self) {
        if !self.has_others() {
            return;
        }
        let log = self.log.clone();
        self.handing_over = Some(Box::pin(async move {
            match log.transfer_leadership(limits::HANDOVER_PATIENCE).await {
                Ok(heir) => tracing::info!(%heir, "leadership handed over"),
                Err(error) => tracing::warn!(%error, "leadership was not handed over; the others will elect"),
            }
        }));
    }

    /// Offers an office for which the serf has far to catch up to the others, once: another may serve sooner.
    pub(super) fn offer_office_if_far(&mut self) {
        let far = self.serf_is_far();
        let Some(office) = &mut self.office else { return };
        if !far
            || office.offered
            || !matches!(office.stage, Stage::CatchingUp | Stage::Wyrd)
            || self.leaving.is_some()
            || self.handing_over.is_some()
        {
            return;
        }
        office.offered = true;
        if !self.has_others() {
            return;
        }
        let (log, at) = (self.log.clone(), self.serf.event());
        tracing::info!(serf = %at, "this member leads, but its serf is far behind: the office is offered to the others");
        self.handing_over = Some(Box::pin(async move {
            match log.transfer_to_one_that_is_near(limits::HANDOVER_PATIENCE).await {
                Ok(heir) => tracing::info!(%heir, "leadership handed over"),
                Err(error) => tracing::info!(%error, "this member stays in office and catches up"),
            }
        }));
    }

    /// Whether the ship has other members that vote.
    fn has_others(&self) -> bool {
        let members = self.log.status().members;
        members.iter().filter(|member| member.voter).count() > 1
    }

    /// The end after a leave in order.
    pub(super) async fn finish(mut self, leave: Leave) -> Leave {
        if let Some(office) = self.office.take() {
            office.end();
        }
        self.serf.retire().await;
        self.saving.let_go();
        match tokio::time::timeout(Duration::from_secs(5), self.log.clone().close()).await {
            Ok(Ok(())) => leave,
            Ok(Err(error)) => Leave {
                code: limits::EXIT_FAILURE,
                error: Some(format!("the log was not closed in order: {error}")),
            },
            Err(_) => Leave {
                code: limits::EXIT_FAILURE,
                error: Some("the log did not close in time".to_owned()),
            },
        }
    }

    /// The end when the ship cannot go on: no save, nothing more given out.
    pub(super) async fn stop_at_once(self, message: &str, code: u8) -> Leave {
        let leave = self.finish(Leave { code, error: None }).await;
        Leave {
            code,
            error: Some(match leave.error {
                Some(also) => format!("{message} ({also})"),
                None => message.to_owned(),
            }),
        }
    }
}
