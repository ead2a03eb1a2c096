//! behn: the ship's one timer (`spec/drivers.md` section 3).

use crate::{
    clock, console,
    driver::{Claim, Driver, DriverContext, DropReason, Effect, Intake, Outcome, OutcomeCallback, Request},
    drivers::report,
    limits,
    ovum::Ovum,
};
use serf_ipc::{Goof, Noun, n, text::da};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep_until},
};

/// Makes the driver.
#[must_use]
pub fn new(context: DriverContext) -> Box<dyn Driver> {
    Box::new(Behn {
        context,
        live: Arc::default(),
        due: watch::Sender::new(None),
        timer: None,
    })
}

struct Behn {
    context: DriverContext,
    live: Arc<AtomicBool>,
    /// When the timer fires.
    due: watch::Sender<Option<Instant>>,
    timer: Option<JoinHandle<()>>,
}

impl Driver for Behn {
    fn name(&self) -> &'static str {
        "behn"
    }

    fn start(&mut self) -> anyhow::Result<()> {
        let knot = clock::session_knot(clock::now());
        let ovum = Ovum::new("b", ["behn", &knot], n!["born", Noun::ZERO]);
        let (intake, live) = (self.context.intake.clone(), Arc::clone(&self.live));
        let outcome = essential(
            &self.context.intake,
            &ovum,
            limits::BEHN_RETRIES,
            move |accepted| {
                if accepted {
                    become_live(&live, &intake);
                } else {
                    tracing::error!(target: console::TARGET, "behn: initialization failed");
                    intake.request(Request::Fatal(
                        "behn: initialization failed: the ship refuses its timer".to_owned(),
                    ));
                }
            },
        );
        self.context.intake.plan_now(ovum, Some(outcome));

        let wake = Wake {
            intake: self.context.intake.clone(),
            may_block: self.context.settings.behn_allow_blocked,
        };
        self.timer = Some(self.context.runtime.spawn(run(self.due.subscribe(), wake)));
        Ok(())
    }

    fn effect(&mut self, effect: &Effect<'_>) -> Claim {
        if !effect.wire_starts("behn") || effect.tag != "doze" {
            return Claim::Passed;
        }
        become_live(&self.live, &self.context.intake);
        // As vere: whatever is not `[~ date]` means no timer.
        let date = effect.data.tail().and_then(Noun::as_u128);
        let gap = date.map(|date| Duration::from_millis(da::gap_ms(clock::now(), date)));
        self.due
            .send_replace(gap.map(|gap| Instant::now() + gap.min(limits::BEHN_LONGEST)));
        Claim::Taken
    }

    fn is_live(&self) -> bool {
        self.live.load(Ordering::Relaxed)
    }

    fn stop(&mut self) {
        if let Some(timer) = self.timer.take() {
            timer.abort();
        }
    }
}

impl Drop for Behn {
    fn drop(&mut self) {
        self.stop();
    }
}

fn become_live(live: &AtomicBool, intake: &Intake) {
    if !live.swap(true, Ordering::Relaxed) {
        intake.poke();
    }
}

/// The timer: one deadline, replaced at will; each time it passes, a `%wake`.
async fn run(mut due: watch::Receiver<Option<Instant>>, wake: Wake) {
    let mut deadline = None;
    loop {
        let passed = async {
            match deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            changed = due.changed() => {
                if changed.is_err() {
                    return;
                }
                deadline = *due.borrow_and_update();
            }
            () = passed => {
                // The kernel answers a wake with a new doze. Where that is lost, this asks again.
                deadline = Some(Instant::now() + limits::BEHN_BACKSTOP);
                wake.plan().await;
            }
        }
    }
}

/// Tells the ship that its timer fired.
struct Wake {
    intake: Intake,
    /// `--behn-allow-blocked`.
    may_block: bool,
}

impl Wake {
    async fn plan(&self) {
        let ovum = Ovum::new("b", ["behn"], n!["wake", Noun::ZERO]);
        let (intake, may_block) = (self.intake.clone(), self.may_block);
        let outcome = essential(&self.intake, &ovum, limits::BEHN_RETRIES, move |accepted| {
            if accepted {
                return;
            }
            tracing::error!(target: console::TARGET, "behn: timer failed; queue blocked");
            if may_block {
                tracing::warn!(target: console::TARGET, "vere: warning: continuing without timers");
            } else {
                intake.request(Request::Fatal(
                    "behn: timer failed; queue blocked: the ship cannot handle its next timer; \
                     --behn-allow-blocked goes on without timers"
                        .to_owned(),
                ));
            }
        });
        self.intake.plan(ovum, Some(outcome)).await;
    }
}

/// What becomes of an event that the ship cannot do without: a bail that may pass (out of memory, interrupted) is
/// tried again, `retries` times. `end` is told whether the ship took it; nothing where the office is over.
fn essential<F>(intake: &Intake, ovum: &Ovum, retries: u32, end: F) -> OutcomeCallback
where
    F: FnOnce(bool) + Send + 'static,
{
    let (intake, ovum) = (intake.clone(), ovum.clone());
    Box::new(move |outcome| match outcome {
        Outcome::Committed { .. } => end(true),
        Outcome::Bailed(goofs) if retries > 0 && may_pass(&goofs) => {
            let again = essential(&intake, &ovum, retries - 1, end);
            intake.plan_again(ovum, Some(again));
        }
        Outcome::Bailed(goofs) => {
            report::bailed("behn", &ovum, &goofs);
            end(false);
        }
        Outcome::Dropped(DropReason::OfficeOver) | Outcome::Unknown => {}
        Outcome::Dropped(_) => end(false),
    })
}

/// Whether the newest goof is of a kind that has nothing to do with the event itself.
fn may_pass(goofs: &[Goof]) -> bool {
    goofs
        .first()
        .is_some_and(|goof| goof.is("meme") || goof.is("intr"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        driver::Message,
        drivers::fake_pier::{FakePier, as_planned, commit, tell},
    };

    fn goof(mote: &str) -> Goof {
        Goof {
            mote: mote.to_owned(),
            tang: Noun::ZERO,
        }
    }

    fn bail(mote: &str) -> Outcome {
        Outcome::Bailed(vec![goof(mote), goof("exit")])
    }

    #[test]
    fn born_makes_it_live() {
        let mut pier = FakePier::new();
        let mut behn = new(pier.context());
        behn.start().unwrap();
        let born = pier.planned();
        let (target, wire) = born.ovum.wire.as_cell().unwrap();
        assert!(target.is_cord("b") && wire.head().unwrap().is_cord("behn"));
        assert!(wire.slot(6).and_then(Noun::as_cord).unwrap().starts_with("0v"));
        assert_eq!(born.ovum.card, n!["born", 0u64]);
        assert!(!behn.is_live());
        commit(born);
        assert!(behn.is_live());
        pier.poke();
    }

    #[test]
    fn a_doze_makes_it_live_too() {
        let mut pier = FakePier::new();
        let mut behn = new(pier.context());
        behn.start().unwrap();
        pier.planned();
        assert_eq!(
            pier.effect(&mut *behn, &["behn"], "doze", &Noun::ZERO),
            Claim::Taken
        );
        assert!(behn.is_live());
        pier.poke();
        assert_eq!(
            pier.effect(&mut *behn, &["behn"], "wake", &Noun::ZERO),
            Claim::Passed
        );
        assert_eq!(
            pier.effect(&mut *behn, &["term"], "doze", &Noun::ZERO),
            Claim::Passed
        );
    }

    #[test]
    fn born_is_tried_three_times() {
        let mut pier = FakePier::new();
        let mut behn = new(pier.context());
        behn.start().unwrap();
        for mote in ["meme", "intr"] {
            tell(pier.planned(), bail(mote));
        }
        let last = pier.planned();
        assert_eq!(last.ovum.card, n!["born", 0u64]);
        tell(last, bail("meme"));
        assert!(
            matches!(pier.request(), Request::Fatal(message) if message.contains("initialization failed"))
        );
        assert!(!behn.is_live());
    }

    #[test]
    fn other_bails_of_born_are_final() {
        let mut pier = FakePier::new();
        new(pier.context()).start().unwrap();
        tell(pier.planned(), bail("exit"));
        assert!(matches!(pier.request(), Request::Fatal(_)));
    }

    #[test]
    fn an_office_that_ends_is_no_failure() {
        for outcome in [Outcome::Unknown, Outcome::Dropped(DropReason::OfficeOver)] {
            let mut pier = FakePier::new();
            new(pier.context()).start().unwrap();
            tell(pier.planned(), outcome);
            pier.assert_silent();
        }
    }

    /// A started driver on a clock that stands still until everything waits.
    async fn started(pier: &mut FakePier) -> Box<dyn Driver> {
        let context = pier.context_at(pier.directory.path(), tokio::runtime::Handle::current());
        let mut behn = new(context);
        behn.start().unwrap();
        commit(as_planned(pier.next_message().await));
        assert!(matches!(pier.next_message().await, Message::Poke));
        behn
    }

    /// The runtime of [`FakePier`] is not used there, and may not be dropped in an async context.
    fn on_paused_clock<F: Future<Output = ()>>(test: impl FnOnce(Box<FakePier>) -> F) {
        let pier = Box::new(FakePier::new());
        let keep = Arc::clone(&pier.runtime);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(test(pier));
        drop(keep);
    }

    fn in_future(gap: Duration) -> Noun {
        let ticks = u128::from(gap.subsec_millis()) * 65_536 / 1000;
        Noun::unit(Some(Noun::from_u128(
            clock::now() + (u128::from(gap.as_secs()) << 64) + (ticks << 48),
        )))
    }

    #[test]
    fn the_timer_wakes_the_ship_when_it_is_due() {
        on_paused_clock(|mut pier| async move {
            let mut behn = started(&mut pier).await;
            let begun = Instant::now();
            pier.effect(
                &mut *behn,
                &["behn"],
                "doze",
                &in_future(Duration::from_secs(3600)),
            );
            pier.effect(&mut *behn, &["behn"], "doze", &in_future(Duration::from_secs(60)));
            let wake = as_planned(pier.next_message_in(Duration::from_secs(100)).await);
            assert_eq!(wake.ovum.to_noun(), n![n!["b", "behn", 0u64], "wake", 0u64]);
            let took = begun.elapsed();
            assert!(
                (Duration::from_secs(58)..Duration::from_secs(61)).contains(&took),
                "{took:?}"
            );
        });
    }

    #[test]
    fn a_date_that_is_past_wakes_it_at_once() {
        on_paused_clock(|mut pier| async move {
            let mut behn = started(&mut pier).await;
            let begun = Instant::now();
            pier.effect(&mut *behn, &["behn"], "doze", &Noun::unit(Some(Noun::atom(5))));
            as_planned(pier.next_message().await);
            assert!(begun.elapsed() < Duration::from_millis(5));
        });
    }

    #[test]
    fn a_wake_without_an_answer_is_repeated_after_ten_minutes() {
        on_paused_clock(|mut pier| async move {
            let mut behn = started(&mut pier).await;
            pier.effect(&mut *behn, &["behn"], "doze", &in_future(Duration::ZERO));
            commit(as_planned(pier.next_message().await));
            let begun = Instant::now();
            commit(as_planned(pier.next_message_in(Duration::from_secs(700)).await));
            assert_eq!(begun.elapsed().as_secs(), 600);
            // A doze without a date cancels the backstop as well.
            pier.effect(&mut *behn, &["behn"], "doze", &Noun::ZERO);
            tokio::time::sleep(Duration::from_secs(6000)).await;
            pier.assert_silent();
        });
    }

    #[test]
    fn a_date_at_the_end_of_time_is_no_harm() {
        on_paused_clock(|mut pier| async move {
            let mut behn = started(&mut pier).await;
            pier.effect(
                &mut *behn,
                &["behn"],
                "doze",
                &Noun::unit(Some(Noun::from_u128(u128::MAX))),
            );
            pier.effect(
                &mut *behn,
                &["behn"],
                "doze",
                &Noun::unit(Some(Noun::from_le_bytes(&[255; 40]))),
            );
            tokio::time::sleep(Duration::from_secs(6000)).await;
            pier.assert_silent();
        });
    }

    #[test]
    fn a_wake_that_fails_blocks_the_queue() {
        for allowed in [false, true] {
            let mut pier = FakePier::new();
            pier.settings.behn_allow_blocked = allowed;
            let mut behn = new(pier.context());
            behn.start().unwrap();
            pier.planned();
            pier.effect(&mut *behn, &["behn"], "doze", &Noun::unit(Some(Noun::atom(1))));
            pier.poke();
            tell(pier.planned(), bail("intr"));
            tell(pier.planned(), bail("exit"));
            if allowed {
                pier.assert_silent();
            } else {
                assert!(
                    matches!(pier.request(), Request::Fatal(message) if message.contains("queue blocked"))
                );
            }
        }
    }

    #[test]
    fn a_stopped_driver_wakes_nobody() {
        on_paused_clock(|mut pier| async move {
            let mut behn = started(&mut pier).await;
            pier.effect(&mut *behn, &["behn"], "doze", &in_future(Duration::from_secs(5)));
            behn.stop();
            tokio::time::sleep(Duration::from_secs(6000)).await;
            pier.assert_silent();
        });
    }
}
