//! term: dill's terminal (`spec/drivers.md` section 4).
//!
//! ```text
//! keys ──▶ input.rs ──belts──▶ pier            pier ──%blit──▶ shapes.rs ──▶ screen.rs ──bytes──▶ terminal
//! ```
//!
//! The terminal itself is the process's, in `terminal.rs`; this driver is what speaks to it while an office lasts. Without one (`-t`, `-d`, no
//! terminal) text goes to the console line by line, as in vere's `-t`, and nothing is read. Files that the ship saves go below `.urb/put`.

mod input;
mod put;
mod screen;
mod shapes;
mod spinner;
mod terminal;
mod tty;

pub(crate) use self::input::fuzz as fuzz_input;
pub use self::{
    screen::Size,
    spinner::Cause,
    terminal::{Ending, Terminal},
};

use self::{
    input::{Decoder, Heard},
    put::Saver,
    shapes::Blit,
    terminal::{Session, View},
};
use crate::{
    console,
    driver::{Claim, Driver, DriverContext, Effect, Intake, Outcome, Request},
    drivers::report,
    limits,
    ovum::Ovum,
};
use serf_ipc::{Noun, n};
use tokio::task::JoinHandle;

/// The only session that a console has.
const WIRE: [&str; 2] = ["term", "1"];

/// Makes the driver.
#[must_use]
pub fn new(context: DriverContext) -> Box<dyn Driver> {
    Box::new(Term {
        saver: Some(Saver::new(context.pier.clone())),
        context,
        shown: None,
        said_odd: false,
    })
}

struct Term {
    context: DriverContext,
    /// None once it has stopped.
    saver: Option<Saver>,
    shown: Option<Shown>,
    /// Whether something that is no blit has been named.
    said_odd: bool,
}

/// A ship that is shown on a terminal. Dropping it ends that.
struct Shown {
    view: View,
    keys: JoinHandle<()>,
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.keys.abort();
        self.view.end();
    }
}

impl Driver for Term {
    fn name(&self) -> &'static str {
        "term"
    }

    fn start(&mut self) -> anyhow::Result<()> {
        let mut size = Size::default();
        if let Some(terminal) = &self.context.settings.terminal {
            let session = terminal.attach();
            let view = session.view.clone();
            size = view.size();
            let keys = self
                .context
                .runtime
                .spawn(listen(session, self.context.intake.clone()));
            self.shown = Some(Shown { view, keys });
        }
        // vere passes over a bail of %born in silence.
        let born = Ovum::new("d", WIRE, n!["born", Noun::ZERO]);
        self.context.intake.plan_now(born, Some(Box::new(|_| {})));
        for card in [blew(size), hail()] {
            self.context.intake.plan_now(Ovum::new("d", WIRE, card), None);
        }
        Ok(())
    }

    fn effect(&mut self, effect: &Effect<'_>) -> Claim {
        if !effect.wire_starts("term") {
            return Claim::Passed;
        }
        if !is_session(effect.wire) {
            tracing::warn!(target: console::TARGET, "term: bad tire");
            return Claim::Passed;
        }
        let intake = &self.context.intake;
        match effect.tag {
            "blit" => self.blits(effect.data),
            "logo" => intake.request(Request::Exit(exit_status(effect.data))),
            "mass" => {}
            "meld" => intake.request(Request::Meld),
            "pack" => intake.request(Request::Pack),
            "quac" => {
                let answer = intake.clone();
                intake.request(Request::Quac(Box::new(move |report| {
                    if let Some(report) = report {
                        answer.plan_now(Ovum::new("d", WIRE, n!["quac", report]), None);
                    }
                })));
            }
            _ => return Claim::Passed,
        }
        Claim::Taken
    }

    fn is_live(&self) -> bool {
        true
    }

    /// Waits for the files that the ship has saved, as vere does, which writes them on the spot.
    fn stop(&mut self) {
        self.shown = None;
        self.saver = None;
    }
}

impl Term {
    fn blits(&mut self, list: &Noun) {
        let mut room = limits::TERM_BLIT_ROOM;
        if self.shown.is_none() {
            // A `%mor` (a list of others) is not opened, as in vere.
            for blit in list.iter_list().map_while(Result::ok) {
                match Blit::read(blit, &mut room) {
                    Some(blit) => self.print(blit),
                    None => self.odd(blit),
                }
            }
            return;
        }
        let (mut blits, mut odd) = (Vec::new(), None);
        shapes::walk(
            list,
            &mut room,
            |blit| blits.push(blit),
            |noun| odd = Some(noun.clone()),
        );
        if let Some(shown) = &self.shown {
            shown.view.show(&blits);
        }
        for blit in blits {
            self.save(blit);
        }
        if let Some(odd) = odd {
            self.odd(&odd);
        }
    }

    /// What a blit is where there is no terminal: text or a file.
    fn print(&mut self, blit: Blit) {
        let text: String = match blit {
            Blit::Styled(stub) => stub.into_iter().flat_map(|piece| piece.text).collect(),
            Blit::Text(text) | Blit::Line(text) => text.into_iter().collect(),
            other => return self.save(other),
        };
        tracing::info!(target: console::TARGET, "{text}");
    }

    fn save(&mut self, blit: Blit) {
        if let (Blit::Save(path, data, form), Some(saver)) = (blit, &mut self.saver) {
            saver.save(&path, &data, form);
        }
    }

    /// Said once: a kernel that says more than this king knows would say it over and over.
    fn odd(&mut self, noun: &Noun) {
        if !std::mem::replace(&mut self.said_odd, true) {
            let tag = noun.head().and_then(Noun::as_cord);
            let tag = tag.unwrap_or_else(|| "?".to_owned());
            tracing::warn!(
                tag,
                "the ship shows something that is no blit of the known ones, or is too much at once"
            );
        }
    }
}

/// Passes on what is typed, and what happens to the terminal.
async fn listen(mut session: Session, intake: Intake) {
    let mut decoder = Decoder::default();
    let plan = |card| {
        let ovum = Ovum::new("d", WIRE, card);
        let told = ovum.clone();
        let tell = move |outcome| {
            if let Outcome::Bailed(goofs) = outcome {
                report::bailed("term", &told, &goofs);
            }
        };
        // Waits for a place: who types faster than the ship computes waits at the keyboard.
        intake.plan(ovum, Some(Box::new(tell)))
    };
    loop {
        tokio::select! {
            biased;
            () = session.news.notified() => {
                let news = session.view.news();
                if let Some(size) = news.size {
                    plan(blew(size)).await;
                }
                if news.all {
                    plan(hail()).await;
                }
            }
            keys = session.keys.recv() => {
                let Some(keys) = keys else { return };
                for heard in decoder.take(&keys, session.view.size().rows) {
                    match heard {
                        Heard::Belt(belt) => plan(n!["belt", belt.to_noun()]).await,
                        Heard::Bell => session.view.bell(),
                    }
                }
            }
        }
    }
}

fn blew(size: Size) -> Noun {
    n!["blew", u64::from(size.columns), u64::from(size.rows)]
}

fn hail() -> Noun {
    n!["hail", Noun::ZERO]
}

/// Whether the wire is `[%term <decimal> ~]`.
fn is_session(wire: &Noun) -> bool {
    let number = wire.slot(6).and_then(Noun::as_cord);
    wire.slot(7) == Some(&Noun::ZERO) && number.is_some_and(|number| number.parse::<u32>().is_ok())
}

/// A process's exit status from the ship's own; what cannot be one is a failure.
fn exit_status(code: &Noun) -> u8 {
    code.as_u64()
        .and_then(|code| u8::try_from(code).ok())
        .unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drivers::fake_pier::{FakePier, tell};
    use serf_ipc::jam;
    use std::fs;

    fn text(text: &str) -> Noun {
        Noun::list(text.chars().map(|c| Noun::atom(u64::from(u32::from(c)))))
    }

    fn path(knots: &[&str]) -> Noun {
        Noun::list(knots.iter().map(|knot| Noun::cord(knot)))
    }

    #[test]
    fn it_greets_the_ship_with_a_size() {
        let mut pier = FakePier::new();
        let mut term = new(pier.context());
        term.start().unwrap();
        let born = pier.planned();
        assert_eq!(born.ovum.to_noun(), n![n!["d", "term", "1", 0u64], "born", 0u64]);
        tell(born, Outcome::Bailed(Vec::new()));
        assert_eq!(pier.planned().ovum.card, n!["blew", 80u64, 24u64]);
        assert_eq!(pier.planned().ovum.card, n!["hail", 0u64]);
        assert!(term.is_live());
    }

    #[test]
    fn the_ship_s_wishes_reach_the_king() {
        let mut pier = FakePier::new();
        let mut term = new(pier.context());
        let mut wish = |tag: &str, data: Noun| {
            assert_eq!(pier.effect(&mut *term, &["term", "1"], tag, &data), Claim::Taken);
            pier.request()
        };
        assert!(matches!(wish("logo", Noun::ZERO), Request::Exit(0)));
        assert!(matches!(wish("logo", Noun::atom(3)), Request::Exit(3)));
        assert!(matches!(wish("logo", n![1u64, 2u64]), Request::Exit(1)));
        assert!(matches!(wish("pack", Noun::ZERO), Request::Pack));
        assert!(matches!(wish("meld", Noun::ZERO), Request::Meld));
        let Request::Quac(answer) = wish("quac", Noun::ZERO) else {
            panic!("not %quac")
        };
        answer(Some(Noun::ZERO));
        assert_eq!(
            pier.planned().ovum.to_noun(),
            n![n!["d", "term", "1", 0u64], "quac", 0u64]
        );
        assert_eq!(
            pier.effect(&mut *term, &["term", "1"], "mass", &Noun::ZERO),
            Claim::Taken
        );
        pier.assert_silent();
    }

    #[test]
    fn other_wires_and_tags_are_left_to_others() {
        let pier = FakePier::new();
        let mut term = new(pier.context());
        for (wire, tag) in [
            (&["term", "one"][..], "blit"),
            (&["term"], "blit"),
            (&["dill", "1"], "blit"),
            (&["term", "1"], "send"),
            (&["term", "1", "2"], "blit"),
        ] {
            assert_eq!(
                pier.effect(&mut *term, wire, tag, &Noun::ZERO),
                Claim::Passed,
                "{wire:?} {tag}"
            );
        }
    }

    #[test]
    fn saved_files_are_there_when_it_has_stopped() {
        let pier = FakePier::new();
        let mut term = new(pier.context());
        let saved = n!["a", 1u64];
        let blits = Noun::list([
            n!["sav", path(&["some", "where", "txt"]), "text"],
            n!["sag", path(&["noun", "jam"]), saved.clone()],
            n!["sav", path(&["cell", "txt"]), 1u64, 2u64],
            n!["sav", path(&["..", "escaped", "txt"]), "no"],
            n!["mor", n!["sav", path(&["hidden", "txt"]), "no"], 0u64],
            n!["put", text("shown")],
            n!["klr", 5u64],
            Noun::atom(3),
            n!["unheard-of", 0u64],
        ]);
        assert_eq!(
            pier.effect(&mut *term, &["term", "1"], "blit", &blits),
            Claim::Taken
        );
        term.stop();
        let put = pier.directory.path().join(".urb/put");
        assert_eq!(fs::read(put.join("some/where.txt")).unwrap(), b"text");
        assert_eq!(fs::read(put.join("noun.jam")).unwrap(), jam(&saved));
        assert!(!put.join("cell.txt").exists() && !put.join("hidden.txt").exists());
        assert!(!pier.directory.path().join(".urb/escaped.txt").exists());
    }
}
