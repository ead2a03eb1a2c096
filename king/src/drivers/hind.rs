//! hind: effects that are known by their tag alone, whatever wire they come on (`spec/drivers.md` section 2).

use crate::{
    console,
    driver::{Claim, Driver, DriverContext, Effect, Request},
    ovum::Ovum,
};
use serf_ipc::n;

/// Makes the driver.
#[must_use]
pub fn new(context: DriverContext) -> Box<dyn Driver> {
    Box::new(Hind { context })
}

struct Hind {
    context: DriverContext,
}

impl Driver for Hind {
    fn name(&self) -> &'static str {
        "hind"
    }

    fn start(&mut self) -> anyhow::Result<()> {
        Ok(())
    }

    fn effect(&mut self, effect: &Effect<'_>) -> Claim {
        let intake = &self.context.intake;
        match effect.tag {
            "exit" => {
                tracing::info!(target: console::TARGET, "<<<goodbye>>>");
                intake.request(Request::Exit(0));
            }
            // The serf asks for memory by way of the kernel: the answer is an event.
            "trim" => intake.plan_now(Ovum::new("", ["arvo"], n!["trim", effect.data]), None),
            "vega" => tracing::info!(target: console::TARGET, "<<<reset>>>"),
            // A kernel that asks for older kelvins: vere ignores it after the start, too.
            "wend" => {}
            _ => return Claim::Passed,
        }
        Claim::Taken
    }

    fn is_live(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drivers::fake_pier::FakePier;
    use serf_ipc::Noun;

    #[test]
    fn exit_asks_the_king_to_leave() {
        let mut pier = FakePier::new();
        let mut hind = new(pier.context());
        assert_eq!(
            pier.effect(&mut *hind, &["any", "wire"], "exit", &Noun::ZERO),
            Claim::Taken
        );
        assert!(matches!(pier.request(), Request::Exit(0)));
    }

    #[test]
    fn trim_becomes_an_event() {
        let mut pier = FakePier::new();
        let mut hind = new(pier.context());
        assert_eq!(
            pier.effect(&mut *hind, &["arvo"], "trim", &Noun::atom(1)),
            Claim::Taken
        );
        assert_eq!(
            pier.planned().ovum.to_noun(),
            n![n![0u64, "arvo", 0u64], "trim", 1u64]
        );
    }

    #[test]
    fn the_rest_is_known_by_its_tag() {
        let mut pier = FakePier::new();
        let mut hind = new(pier.context());
        for (tag, claim) in [
            ("vega", Claim::Taken),
            ("wend", Claim::Taken),
            ("doze", Claim::Passed),
        ] {
            assert_eq!(pier.effect(&mut *hind, &[], tag, &Noun::ZERO), claim);
        }
        pier.assert_silent();
        assert!(hind.is_live());
    }
}
