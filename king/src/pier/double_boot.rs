//! An office's first question: does the ship live elsewhere? See `boot::double_boot`.

use super::{Pier, office::Stage};
use crate::{
    boot::{
        Fetcher, Rank,
        double_boot::{self, Beginning, Memory, Verdict},
    },
    console,
    driver::{PeekAnswer, PlannedPeek},
    limits,
};
use anyhow::bail;
use replog::{Replog, ShipIdentity};
use seguro_event::EventNumber;
use serf_ipc::cue;
use std::time::Duration;
use tokio::sync::oneshot;

/// What became of the question; None when the serf died over it, and it is to be asked again.
pub(super) type Checked = Option<Verdict>;

impl Pier {
    /// Whether there is a galaxy that could know better than the ship: a galaxy asks nobody, and nobody speaks of a ship that speaks
    /// to this machine only. (vere asks for fake ships too when they are started again.)
    fn is_to_be_checked(&self, ship: &ShipIdentity) -> bool {
        !ship.fake && !self.settings.drivers.local && Rank::of(ship.who) != Rank::Galaxy
    }

    /// Begins the check. False when there is nothing to check.
    pub(super) fn check_double_boot(&mut self) -> bool {
        let Some(ship) = self.log.identity().filter(|ship| self.is_to_be_checked(ship)) else {
            return false;
        };
        let Some(office) = &mut self.office else {
            return false;
        };
        let (sender, answer) = oneshot::channel();
        office.plan_peek(PlannedPeek::new(
            double_boot::sample(),
            Box::new(move |answer| {
                // Nobody waits any more when the office is over.
                let _ = sender.send(answer);
            }),
        ));
        office.stage = Stage::Checking;
        // Who takes over an office knows what the leader before it knew: there the world waits for this ship, and it is not made to
        // wait long for a galaxy that does not answer.
        let patience = if self.followed {
            limits::DOUBLE_BOOT_PATIENCE_TAKING_OVER
        } else {
            limits::DOUBLE_BOOT_PATIENCE
        };
        let (log, url) = (self.log.clone(), self.settings.galaxy_url.clone());
        self.checking = Some(Box::pin(async move {
            let memory = match answer.await {
                Ok(PeekAnswer::Unavailable) | Err(_) => return None,
                Ok(answer) => Memory::read(&answer.or_null()),
            };
            let rift = match memory {
                Memory::Never => rift_of_keys(&log, ship.life).await,
                Memory::Unknown | Memory::Talk(_) => None,
            };
            Some(ask(url, ship.who, memory, rift, patience).await)
        }));
        true
    }

    /// The check is over: the office goes on, or the king ends.
    pub(super) fn heard_checked(&mut self, checked: Checked) -> anyhow::Result<()> {
        let Some(office) = self
            .office
            .as_mut()
            .filter(|office| office.stage == Stage::Checking)
        else {
            return Ok(());
        };
        match checked {
            None => office.stage = Stage::CatchingUp,
            Some(Verdict::Pass) => office.stage = Stage::Checked,
            Some(Verdict::Unsure(why)) => {
                tracing::warn!(target: console::TARGET, "{why}");
                office.stage = Stage::Checked;
            }
            Some(Verdict::Refuse(refusal)) => {
                let ship = self.log.identity().map_or(0, |ship| ship.who);
                bail!("{}", refusal.told(ship))
            }
        }
        Ok(())
    }
}

async fn ask(url: String, ship: u128, memory: Memory, rift: Option<u64>, patience: Duration) -> Verdict {
    let fetcher = Fetcher::new(1, Duration::ZERO, patience);
    let asked = tokio::task::spawn_blocking(move || double_boot::check(&fetcher, &url, ship, memory, rift));
    match tokio::time::timeout(patience, asked).await {
        Ok(Ok(verdict)) => verdict,
        Ok(Err(_)) | Err(_) => {
            Verdict::Unsure("boot: the galaxy does not answer, cannot protect from double-boot")
        }
    }
}

/// The rift of the keys that a ship was made with which has not lived yet: its log holds what it was made from, and no start. (vere
/// knows it in the process only that made the ship: one that was refused may then be started again.) Of one that has lived it
/// proves nothing: its talk with a galaxy may have ended for good reasons.
async fn rift_of_keys(log: &Replog, life: u32) -> Option<u64> {
    let mut beginning = Beginning::default();
    let first = EventNumber(u64::from(life) + 1);
    let mut next = first;
    while next.since(first) < limits::DOUBLE_BOOT_EVENTS {
        let Some(event) = log.read(next, 1, 0).await.ok()?.into_iter().next() else {
            return beginning.rift_if_new();
        };
        if event.jam.len() <= limits::DOUBLE_BOOT_EVENT_BYTES
            && let Ok(noun) = cue(&event.jam)
        {
            beginning.then(&noun);
        }
        next = next.next();
    }
    None
}
