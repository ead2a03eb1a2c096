//! term: dill's terminal, in the form without one (`-t`; `spec/drivers.md` section 4): text goes to the console line
//! by line, nothing is read, and files that the ship saves go below `.urb/put`.

use crate::{
    console,
    driver::{Claim, Driver, DriverContext, Effect, Request},
    limits,
    ovum::Ovum,
};
use serf_ipc::{Noun, jam, n, text::path::is_canonical_file_path};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
};

/// Columns and rows of a terminal that is not there.
const SIZE: (u64, u64) = (80, 24);
/// The only session that a console has.
const WIRE: [&str; 2] = ["term", "1"];

/// Makes the driver.
#[must_use]
pub fn new(context: DriverContext) -> Box<dyn Driver> {
    Box::new(Term { context, saver: None })
}

struct Term {
    context: DriverContext,
    /// Writes files, so that the pier need not wait for a disk; begun with the first.
    saver: Option<Saver>,
}

impl Driver for Term {
    fn name(&self) -> &'static str {
        "term"
    }

    fn start(&mut self) -> anyhow::Result<()> {
        let plan = |card| self.context.intake.plan_now(Ovum::new("d", WIRE, card), None);
        // vere passes over a bail of %born in silence.
        let born = Ovum::new("d", WIRE, n!["born", Noun::ZERO]);
        self.context.intake.plan_now(born, Some(Box::new(|_| {})));
        plan(n!["blew", SIZE.0, SIZE.1]);
        plan(n!["hail", Noun::ZERO]);
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
            "blit" => effect
                .data
                .iter_list()
                .map_while(Result::ok)
                .for_each(|blit| self.blit(blit)),
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
        self.saver = None;
    }
}

impl Term {
    /// One thing for the screen. Without a terminal these are text and files; a `%mor` (a list of others) is not
    /// opened, as in vere.
    fn blit(&mut self, blit: &Noun) {
        let Some((tag, data)) = blit.as_cell() else { return };
        match tag.as_cord().as_deref() {
            Some("klr") => print(styled(data)),
            Some("put" | "lin") => print(tour(data)),
            Some("sav") => self.save(data, Form::Atom),
            Some("sag") => self.save(data, Form::Jam),
            _ => {}
        }
    }

    fn save(&mut self, path_and_data: &Noun, form: Form) {
        let Some((path, data)) = path_and_data.as_cell() else {
            return;
        };
        match put_path(path) {
            Err(text) => tracing::warn!(target: console::TARGET, "{text}: non-canonical path"),
            Ok(relative) if form == Form::Atom && data.is_cell() => {
                tracing::warn!(target: console::TARGET, "{}: not an atom, not saved", relative.display());
            }
            Ok(relative) => {
                let path = self.context.pier.join(".urb/put").join(relative);
                let saver = self.saver.get_or_insert_with(Saver::start);
                saver.save(Save {
                    path,
                    data: data.clone(),
                    form,
                });
            }
        }
    }
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

fn print(text: Option<String>) {
    if let Some(text) = text {
        tracing::info!(target: console::TARGET, "{text}");
    }
}

/// A `(list @c)`: characters, one atom each. None where it is not a list.
fn tour(characters: &Noun) -> Option<String> {
    let character = |atom: &Noun| {
        let code = atom.as_u64().and_then(|code| u32::try_from(code).ok());
        code.and_then(char::from_u32)
            .unwrap_or(char::REPLACEMENT_CHARACTER)
    };
    characters
        .iter_list()
        .map(|item| item.ok().map(character))
        .collect()
}

/// A `stub`: pieces of text, each `[style tour]`. Without a terminal there are no styles.
fn styled(stub: &Noun) -> Option<String> {
    stub.iter_list().map(|piece| tour(piece.ok()?.tail()?)).collect()
}

/// The path of a file below `.urb/put`: knots joined by slashes, the last one after a dot.
///
/// # Errors
/// The path as text, when it is empty or would lead anywhere else.
fn put_path(path: &Noun) -> Result<PathBuf, String> {
    let knots = path.iter_list().map(|knot| knot.ok().and_then(Noun::as_cord));
    let Some(knots) = knots.collect::<Option<Vec<_>>>() else {
        return Err(format!("{path:?}"));
    };
    let mut text = String::new();
    for (index, knot) in knots.iter().enumerate() {
        text.push(if index + 1 == knots.len() { '.' } else { '/' });
        text.push_str(knot);
    }
    if !is_canonical_file_path(&text) || text == "/" || text.contains('\0') {
        return Err(text);
    }
    Ok(PathBuf::from(text.strip_prefix('/').unwrap_or(&text)))
}

/// A file to be written.
struct Save {
    path: PathBuf,
    data: Noun,
    form: Form,
}

/// How a noun becomes a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// An atom's bytes (`%sav`).
    Atom,
    /// Any noun's jam (`%sag`).
    Jam,
}

/// A thread that writes files one after the other. Dropping it waits for the last.
struct Saver {
    files: Option<mpsc::SyncSender<Save>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Saver {
    fn start() -> Saver {
        let (files, queue) = mpsc::sync_channel::<Save>(limits::TERM_SAVES);
        let thread = thread::Builder::new().name("term-put".to_owned()).spawn(move || {
            for save in queue {
                if let Err(error) = write(&save) {
                    tracing::error!(target: console::TARGET, "{}: {error}", save.path.display());
                }
            }
        });
        // Without a thread nothing takes the files, and each is named as it is lost.
        Saver {
            files: Some(files),
            thread: thread.ok(),
        }
    }

    fn save(&self, save: Save) {
        if let Some(Err(mpsc::SendError(lost))) = self.files.as_ref().map(|files| files.send(save)) {
            tracing::error!(target: console::TARGET, "{}: not saved, no thread to do it", lost.path.display());
        }
    }
}

impl Drop for Saver {
    fn drop(&mut self) {
        self.files = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by the thread itself.
            let _ = thread.join();
        }
    }
}

fn write(save: &Save) -> io::Result<()> {
    let directory = save.path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    match save.form {
        Form::Atom => fs::write(&save.path, save.data.atom_bytes().unwrap_or_default()),
        Form::Jam => fs::write(&save.path, jam(&save.data)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        driver::Outcome,
        drivers::fake_pier::{FakePier, tell},
    };

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
    fn text_is_read_from_its_shapes() {
        assert_eq!(tour(&text("zod ☂ 𝄞")).unwrap(), "zod ☂ 𝄞");
        assert_eq!(
            tour(&Noun::list([Noun::atom(0xd800), Noun::atom(u64::MAX)])).unwrap(),
            "\u{fffd}\u{fffd}"
        );
        let style = n![0u64, 0u64, "r"];
        let stub = Noun::list([n![style.clone(), text("a")], n![style, text("bc")]]);
        assert_eq!(styled(&stub).unwrap(), "abc");
        assert_eq!(tour(&Noun::atom(7)), None);
        assert_eq!(styled(&Noun::list([Noun::atom(7)])), None);
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
    fn files_stay_below_put() {
        assert_eq!(put_path(&path(&["a", "b", "txt"])).unwrap(), Path::new("a/b.txt"));
        assert_eq!(put_path(&path(&["txt"])).unwrap(), Path::new(".txt"));
        for knots in [
            &[][..],
            &[""],
            &["", "", "txt"],
            &["..", "..", "x", "txt"],
            &["a/../..", "b", "txt"],
            &["a", "/b/../../c"],
            &["a", "b\0c", "txt"],
        ] {
            assert!(
                put_path(&path(knots)).is_err(),
                "{knots:?} gave {:?}",
                put_path(&path(knots))
            );
        }
        assert!(put_path(&Noun::atom(5)).is_err());
        assert!(put_path(&n![n![1u64, 2u64], 0u64]).is_err());
        assert!(put_path(&n![255u64, 0u64]).is_err());
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
