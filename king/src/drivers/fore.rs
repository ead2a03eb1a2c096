//! fore: what a start puts in front of everything else: entropy, verbosity, and what the user injects
//! (`spec/drivers.md` section 1).

use crate::{
    console,
    driver::{Claim, Driver, DriverContext, DropReason, Effect, Outcome, OutcomeCallback},
    drivers::report,
    input,
    ovum::{Ovum, wire_path},
};
use anyhow::{Context, anyhow};
use serf_ipc::{Noun, cue, n};
use std::{
    path::{Path, PathBuf},
    sync::PoisonError,
};

/// Bytes of a vane's name at the head of an injected ovum's wire.
const TARGET_BYTES: u64 = 4;
/// Where an import comes from, for the ship: 127.0.0.1.
const LOCALHOST: u64 = 0x7f00_0001;

/// Makes the driver.
#[must_use]
pub fn new(context: DriverContext) -> Box<dyn Driver> {
    Box::new(Fore { context })
}

struct Fore {
    context: DriverContext,
}

impl Driver for Fore {
    fn name(&self) -> &'static str {
        "fore"
    }

    fn start(&mut self) -> anyhow::Result<()> {
        let mut entropy = [0; 64];
        getrandom::fill(&mut entropy)
            .map_err(|error| anyhow!("the system gives no entropy for %wack: {error}"))?;
        let settings = &self.context.settings;
        let arvo = |card| self.context.intake.plan_now(Ovum::new("", ["arvo"], card), None);
        arvo(n!["wack", Noun::from_le_bytes(&entropy)]);
        arvo(n!["verb", Noun::ZERO, Noun::loob(!settings.verbose)]);
        for path in &settings.inject {
            self.inject(path)?;
        }
        settings.import.as_ref().map_or(Ok(()), |path| self.import(path))
    }

    fn effect(&mut self, _: &Effect<'_>) -> Claim {
        Claim::Passed
    }

    fn is_live(&self) -> bool {
        true
    }
}

impl Fore {
    /// `-I`: an ovum from a file. One that is ill-formed is named and left out, as vere does.
    fn inject(&self, path: &Path) -> anyhow::Result<()> {
        if self.was_injected(path) {
            return Ok(());
        }
        let noun = read(path, "-I")?;
        match to_inject(&noun) {
            Ok(ovum) => {
                let (tag, wire) = (ovum.tag(), wire_path(&ovum.wire));
                tracing::info!(target: console::TARGET, "pier: injecting %{tag} event on {wire}");
                self.plan_once(path, ovum, "pier: injected event failed");
            }
            Err(why) => tracing::error!(target: console::TARGET, "pier: {why} ({})", path.display()),
        }
        Ok(())
    }

    /// `-i`: an archive, as a request to the ship's loopback server.
    fn import(&self, path: &Path) -> anyhow::Result<()> {
        if self.was_injected(path) {
            return Ok(());
        }
        let archive = read(path, "-i")?;
        let Some(bytes) = archive.atom_bytes() else {
            tracing::error!(target: console::TARGET, "pier: import failed: {} holds no atom", path.display());
            return Ok(());
        };
        let body = [b"#import_", &*bytes].concat();
        let body = n![body.len() as u64, Noun::from_le_vec(body)];
        let address = n!["ipv4", LOCALHOST];
        let request = n![
            "request-local",
            Noun::NO,
            address,
            "POST",
            "/",
            Noun::ZERO,
            Noun::unit(Some(body))
        ];
        self.plan_once(
            path,
            Ovum::new("e", ["http-server"], request),
            "pier: import failed",
        );
        Ok(())
    }

    fn was_injected(&self, path: &Path) -> bool {
        let injected = self
            .context
            .settings
            .injected
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        injected.contains(path)
    }

    /// Plans an event that must go into the log at most once in this process's life, however often it is elected.
    fn plan_once(&self, path: &Path, ovum: Ovum, failed: &'static str) {
        let injected = &self.context.settings.injected;
        injected
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(path.to_owned());
        let outcome = self.once(path.to_owned(), ovum.clone(), failed);
        self.context.intake.plan_now(ovum, Some(outcome));
    }

    fn once(&self, path: PathBuf, ovum: Ovum, failed: &'static str) -> OutcomeCallback {
        let injected = self.context.settings.injected.clone();
        Box::new(move |outcome| match outcome {
            Outcome::Committed { .. } => {}
            Outcome::Bailed(goofs) => {
                report::bailed("fore", &ovum, &goofs);
                tracing::error!(target: console::TARGET, "{failed}");
            }
            // The next office has another try.
            Outcome::Dropped(DropReason::OfficeOver) => {
                injected
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .remove(&path);
            }
            Outcome::Dropped(why) => tracing::error!(target: console::TARGET, "{failed}: {why:?}"),
            Outcome::Unknown => tracing::warn!(
                path = %path.display(),
                "this member lost its office while a file's event was on its way: it may be in the log or not, \
                 and is not injected again by this process"
            ),
        })
    }
}

/// The noun whose jam a file is. Without it the king cannot do what it was started for.
fn read(path: &Path, option: &str) -> anyhow::Result<Noun> {
    let bytes = input::read(path).with_context(|| format!("{option} {}: cannot be read", path.display()))?;
    cue(&bytes).with_context(|| format!("{option} {}: not the jam of a noun", path.display()))
}

/// The ovum in a noun `[[target wire] tag data]`, or what is wrong with it, in vere's words.
fn to_inject(noun: &Noun) -> Result<Ovum, &'static str> {
    let (wire, card) = noun.as_cell().ok_or("invalid ovum in -I")?;
    if !card.head().is_some_and(Noun::is_atom) {
        return Err("invalid card in -I ovum");
    }
    let (target, _) = wire.as_cell().ok_or("invalid wire in -I ovum")?;
    if target.bit_len().is_none_or(|bits| bits > 8 * TARGET_BYTES) {
        return Err("invalid target in -I wire");
    }
    Ok(Ovum {
        wire: wire.clone(),
        card: card.clone(),
    })
}

/// Reads a noun as an ovum to inject, for a fuzzer.
pub(crate) fn fuzz(noun: &Noun) {
    if let Ok(ovum) = to_inject(noun) {
        assert!(ovum.to_noun() == *noun, "an ovum is what was in the file");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drivers::fake_pier::{FakePier, commit, tell};
    use serf_ipc::jam;

    /// Takes %wack and %verb, which come first.
    fn skip_start(pier: &mut FakePier) {
        pier.planned();
        pier.planned();
    }

    fn file(pier: &FakePier, name: &str, noun: &Noun) -> PathBuf {
        let path = pier.directory.path().join(name);
        std::fs::write(&path, jam(noun)).unwrap();
        path
    }

    fn poke() -> Noun {
        n![n!["g", "inject", 0u64], "deal", 1u64, 2u64]
    }

    #[test]
    fn entropy_and_verbosity_come_first() {
        for verbose in [false, true] {
            let mut pier = FakePier::new();
            pier.settings.verbose = verbose;
            new(pier.context()).start().unwrap();
            let wack = pier.planned().ovum.to_noun();
            assert_eq!(wack.slot(2), Some(&n![0u64, "arvo", 0u64]));
            assert!(wack.slot(6).unwrap().is_cord("wack"));
            let bits = wack.slot(7).and_then(Noun::bit_len).unwrap();
            assert!((400..=512).contains(&bits), "64 random bytes have {bits} bits");
            assert_eq!(pier.planned().ovum.card, n!["verb", 0u64, Noun::loob(!verbose)]);
            pier.assert_silent();
        }
    }

    #[test]
    fn a_file_s_ovum_is_injected() {
        let mut pier = FakePier::new();
        pier.settings.inject = vec![file(&pier, "ovum.jam", &poke())];
        new(pier.context()).start().unwrap();
        skip_start(&mut pier);
        assert_eq!(pier.planned().ovum.to_noun(), poke());
    }

    #[test]
    fn a_later_office_does_not_inject_again() {
        let mut pier = FakePier::new();
        pier.settings.inject = vec![file(&pier, "ovum.jam", &poke())];
        new(pier.context()).start().unwrap();
        skip_start(&mut pier);
        commit(pier.planned());
        new(pier.context()).start().unwrap();
        skip_start(&mut pier);
        pier.assert_silent();
    }

    #[test]
    fn an_injection_that_is_surely_not_in_the_log_is_tried_again() {
        let mut pier = FakePier::new();
        pier.settings.inject = vec![file(&pier, "ovum.jam", &poke())];
        let mut again = |outcome: Outcome| {
            new(pier.context()).start().unwrap();
            skip_start(&mut pier);
            tell(pier.planned(), outcome);
        };
        again(Outcome::Dropped(DropReason::OfficeOver));
        again(Outcome::Unknown);
        new(pier.context()).start().unwrap();
        skip_start(&mut pier);
        pier.assert_silent();
    }

    #[test]
    fn ill_formed_ova_are_left_out() {
        for (noun, why) in [
            (n![5u64], "invalid ovum in -I"),
            (n![n!["g", 0u64], 5u64], "invalid card in -I ovum"),
            (n![n!["g", 0u64], n![1u64, 2u64], 0u64], "invalid card in -I ovum"),
            (n![5u64, "tag", 0u64], "invalid wire in -I ovum"),
            (n![n!["fives", 0u64], "tag", 0u64], "invalid target in -I wire"),
            (
                n![n![n![1u64, 2u64], 0u64], "tag", 0u64],
                "invalid target in -I wire",
            ),
        ] {
            assert_eq!(to_inject(&noun).unwrap_err(), why);
            let mut pier = FakePier::new();
            pier.settings.inject = vec![file(&pier, "bad.jam", &noun)];
            new(pier.context()).start().unwrap();
            skip_start(&mut pier);
            pier.assert_silent();
        }
        assert!(to_inject(&n![n!["ames", 0u64], "tag", 0u64]).is_ok());
        assert!(to_inject(&n![n![0u64, "arvo", 0u64], "tag", 0u64]).is_ok());
    }

    #[test]
    fn a_file_that_is_missing_or_no_jam_stops_the_start() {
        let mut pier = FakePier::new();
        let path = pier.directory.path().join("ovum.jam");
        pier.settings.inject = vec![path.clone()];
        let error = new(pier.context()).start().unwrap_err();
        assert!(
            format!("{error:#}").contains("ovum.jam: cannot be read"),
            "{error:#}"
        );
        std::fs::write(path, b"").unwrap();
        let error = new(pier.context()).start().unwrap_err();
        assert!(
            format!("{error:#}").contains("ovum.jam: not the jam of a noun"),
            "{error:#}"
        );
    }

    #[test]
    fn an_archive_is_posted_to_the_ship_itself() {
        let mut pier = FakePier::new();
        pier.settings.import = Some(file(&pier, "archive.jam", &Noun::cord("zipped")));
        new(pier.context()).start().unwrap();
        skip_start(&mut pier);
        let body = n![0u64, 14u64, "#import_zipped"];
        let request = n![1u64, n!["ipv4", 0x7f00_0001u64], "POST", "/", 0u64, body];
        assert_eq!(
            pier.planned().ovum.to_noun(),
            n![n!["e", "http-server", 0u64], "request-local", request]
        );
    }

    #[test]
    fn an_archive_that_is_a_cell_is_left_out() {
        let mut pier = FakePier::new();
        pier.settings.import = Some(file(&pier, "archive.jam", &n![1u64, 2u64]));
        new(pier.context()).start().unwrap();
        skip_start(&mut pier);
        pier.assert_silent();
    }
}
