//! The driver with a fake pier as the ship, and real files.

use super::*;
use crate::{
    driver::{DropReason, Message, Outcome, PeekAnswer, Planned, PlannedPeek},
    drivers::fake_pier::{FakePier, as_planned, tell},
};
use seguro_event::EventNumber;
use serf_ipc::{FromNoun, Noun, cue, n};
use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// What %base is, as the ship prints it.
const BASE: &str = "[[p=~zod q=%base r=[%ud p=0]] s=/]";

/// A form in which no ship prints it.
const UNKNOWN: &str = "[[p=~zod q=%base r=[%da p=~2025.1.1]] s=/]";

/// A ship with one desk, %base, mounted or not.
struct Ship {
    /// Before the pier: its runtime's end waits for the driver's thread.
    driver: Box<dyn Driver>,
    pier: FakePier,
    revision: u64,
    /// What the desk has: text files.
    desk: BTreeMap<Vec<String>, String>,
    /// What is mounted, as the ship prints it.
    beams: BTreeMap<String, String>,
    /// Peeks that were answered.
    peeks: usize,
    /// Questions what is mounted.
    questions: usize,
}

impl Ship {
    fn new(alone: bool) -> Ship {
        let mut pier = FakePier::new();
        pier.settings.alone = alone;
        let driver = new(pier.context());
        let mut ship = Ship {
            pier,
            driver,
            revision: 7,
            desk: BTreeMap::new(),
            beams: [("base".to_owned(), BASE.to_owned())].into(),
            peeks: 0,
            questions: 0,
        };
        ship.start();
        ship
    }

    fn start(&mut self) {
        self.driver.start().unwrap();
        let boat = self.pier.planned();
        assert_eq!(boat.ovum.to_noun(), n![n!["c", "boat", 0u64], "boat", 0u64]);
    }

    /// The next office of this member.
    fn next_office(&mut self) {
        self.driver.stop();
        self.driver = new(self.pier.context());
        self.start();
    }

    fn effect(&mut self, tag: &str, data: &Noun) {
        assert_eq!(
            self.pier.effect(&mut *self.driver, &["sync"], tag, data),
            Claim::Taken
        );
    }

    fn hill(&mut self, mounts: &[&str]) {
        self.effect("hill", &Noun::list(mounts.iter().map(|mount| Noun::cord(mount))));
        assert!(self.driver.is_live());
        self.pier.poke();
    }

    /// The ship's file changes, and the ship says so.
    fn ergo(&mut self, path: &str, text: Option<&str>) {
        self.set(path, text);
        let mime = text.map(|text| n![n!["text", "plain", 0u64], text.len() as u64, text]);
        self.effect("ergo", &n!["base", n![n![knots(path), Noun::unit(mime)], 0u64]]);
    }

    /// What was in a file that was set aside, the only time that any was.
    fn set_aside(&self, path: &str) -> String {
        let mut times = fs::read_dir(self.path(".urb/mounts/edits")).unwrap();
        let first = times.next().unwrap().unwrap().path();
        assert!(times.next().is_none(), "once");
        fs::read_to_string(first.join(path)).unwrap()
    }

    /// The ship's file changes, while nobody of this machine listens.
    fn set(&mut self, path: &str, text: Option<&str>) {
        self.revision += 1;
        match text {
            Some(text) => self.desk.insert(knots(path), text.to_owned()),
            None => self.desk.remove(&knots(path)),
        };
    }

    /// A commit: what the driver tells the ship, its peeks answered meanwhile.
    fn commit(&mut self) -> Vec<(String, Option<String>)> {
        self.commit_of("base")
    }

    fn commit_of(&mut self, mount: &str) -> Vec<(String, Option<String>)> {
        self.effect("dirk", &n![mount]);
        let planned = self.serve();
        let (wire, card) = (&planned.ovum.wire, &planned.ovum.card);
        assert!(wire.head().unwrap().is_cord("c") && wire.slot(6).unwrap().is_cord("sync"));
        assert!(wire.slot(14).and_then(Noun::as_cord).unwrap().starts_with("0v"));
        assert_eq!(card.slot(6).unwrap(), &n![mount]);
        assert_eq!(card.slot(14).unwrap(), &Noun::NO);
        let list = card.slot(15).unwrap().clone();
        tell(planned, Outcome::Bailed(Vec::new()));
        let changes = list.iter_list().map(|change| {
            let (path, mime): (Vec<String>, Option<(Noun, u64, String)>) =
                FromNoun::from_noun(change.unwrap()).unwrap();
            (format!("/{}", path.join("/")), mime.map(|(_, _, text)| text))
        });
        changes.collect()
    }

    /// Answers questions until an event comes that is none.
    fn serve(&mut self) -> Planned {
        loop {
            match self.next() {
                Message::Peek(peek) => {
                    self.peeks += 1;
                    let answer = self.look_up(peek.sample.tail().unwrap());
                    (peek.answer)(PeekAnswer::Done(Noun::unit(answer)));
                }
                message => return as_planned(message),
            }
        }
    }

    /// The first peek, before which the ship is asked what is mounted.
    fn first_peek(&mut self) -> PlannedPeek {
        match self.next() {
            Message::Peek(peek) => peek,
            _ => panic!("not a peek"),
        }
    }

    /// The next message that does not ask what is mounted.
    fn next(&mut self) -> Message {
        loop {
            match self.pier.message() {
                Message::Plan(planned) if planned.ovum.tag() == "mont" => self.say_what_is_mounted(planned),
                message => return message,
            }
        }
    }

    fn say_what_is_mounted(&mut self, planned: Planned) {
        self.questions += 1;
        let (pot, beam): (String, Noun) = FromNoun::from_noun(planned.ovum.card.tail().unwrap()).unwrap();
        assert_eq!(beam, n![n![0u64, "base", "ud", 1u64 << 62], 0u64]);
        let prints = match self.beams.get(&pot) {
            Some(beam) => ["%already-mounted", beam],
            None => [
                "%unknown-case",
                "[~zod %base [%ud p=4.611.686.018.427.387.904] /]",
            ],
        };
        for print in prints {
            let claim = match print {
                UNKNOWN => Claim::Passed,
                _ => Claim::Taken,
            };
            assert_eq!(self.driver.slog(&Noun::cord(print)), claim, "{print}");
        }
        assert_eq!(self.driver.slog(&Noun::cord("gall: bumped")), Claim::Passed);
        tell(
            planned,
            Outcome::Committed {
                event: EventNumber(9),
                swapped: false,
            },
        );
    }

    fn look_up(&self, nom: &Noun) -> Option<Noun> {
        let (_, how, what, rest): (u64, String, String, Noun) = FromNoun::from_noun(nom).unwrap();
        if how == "once" {
            let (desk, path): (String, Vec<String>) = FromNoun::from_noun(&rest).unwrap();
            return match (what.as_str(), desk.as_str()) {
                ("cw", "base") => Some(n!["omen", 0u64, "cass", self.revision, 5u64]),
                ("cw", _) => Some(n!["omen", 0u64, "cass", 0u64, 0u64]),
                ("ex", "") => {
                    assert_eq!(path[..4], ["_~_", "cx", "~zod", "base"]);
                    let text = self.desk.get(&path[5..])?;
                    // The ship's own way with %odd.
                    let text = if path.ends_with(&["odd".to_owned()]) {
                        text.to_uppercase()
                    } else {
                        text.clone()
                    };
                    Some(n![
                        "omen",
                        0u64,
                        "noun",
                        n!["text", 0u64],
                        text.len() as u64,
                        text
                    ])
                }
                _ => panic!("asked %{what}"),
            };
        }
        let ((who, desk, case, at), path): ((u64, String, String, u64), Vec<String>) =
            FromNoun::from_noun(&rest).unwrap();
        assert_eq!(
            (who, desk.as_str(), case.as_str(), at),
            (0, "base", "ud", self.revision)
        );
        match what.as_str() {
            "ct" => Some(n!["file-list", self.desk.keys().cloned().collect::<Vec<_>>()]),
            "cq" => {
                let text = self.desk.get(&path)?;
                let mark = path.last().unwrap();
                Some(if mark == "txt" {
                    n![mark, text.split('\n').map(str::to_owned).collect::<Vec<_>>()]
                } else {
                    n![mark, text]
                })
            }
            _ => panic!("asked %{what}"),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.pier.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.path(name)).ok()
    }

    /// Waits for what the thread does.
    fn wait_for(&self, name: &str, text: Option<&str>) {
        let begun = Instant::now();
        while self.read(name).as_deref() != text {
            assert!(
                begun.elapsed() < PATIENCE,
                "{name} is {:?}, not {text:?}",
                self.read(name)
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

fn knots(path: &str) -> Vec<String> {
    path.split('/').skip(1).map(str::to_owned).collect()
}

fn change(path: &str, text: Option<&str>) -> (String, Option<String>) {
    (path.to_owned(), text.map(str::to_owned))
}

// ------------------------------------------------------------------------------------------------ as vere

#[test]
fn a_recorded_session_goes_the_same_way() {
    #[derive(serde::Deserialize)]
    struct Line {
        hex: String,
    }
    let lines = include_str!("../../../tests/data/clay-session.jsonl")
        .lines()
        .map(|line| {
            let line: Line = serde_json::from_str(line).unwrap();
            let bytes = (0..line.hex.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&line.hex[at..at + 2], 16).unwrap());
            cue(&bytes.collect::<Vec<_>>()).unwrap()
        });
    let [boat, hill, dirk, into, ergo, ogre] = lines.collect::<Vec<_>>().try_into().unwrap();
    let mut ship = Ship::new(true);
    // [%work timeout date wire card]
    assert_eq!(boat.slot(31).unwrap(), &n!["boat", 0u64]);
    // [%work %done event mug effects]: those of clay, as the pier routes them.
    let route = |ship: &mut Ship, answer: &Noun| {
        let effects = answer.slot(31).unwrap().iter_list().map(|effect| {
            let (wire, tag, data): (Vec<String>, String, Noun) =
                FromNoun::from_noun(effect.unwrap()).unwrap();
            (wire, tag, data)
        });
        for (wire, tag, data) in effects.collect::<Vec<_>>() {
            let wire: Vec<&str> = wire.iter().map(String::as_str).collect();
            let taken = ship.pier.effect(&mut *ship.driver, &wire, &tag, &data) == Claim::Taken;
            assert_eq!(taken, ["sync", "boat"].contains(&wire[0]), "{wire:?} {tag}");
        }
    };
    route(&mut ship, &hill);
    assert!(ship.driver.is_live());
    ship.pier.poke();
    // The mount itself is one of the frames that the recording left out.
    ship.ergo("/desk/bill", Some("bill"));
    let text = into
        .slot(31)
        .and_then(|card| card.slot(15)?.head()?.slot(31)?.as_cord())
        .unwrap();
    ship.write("base/gen/mytest.hoon", &text);
    route(&mut ship, &dirk);
    let told = ship.pier.planned();
    assert_eq!(told.ovum.card, into.slot(31).unwrap().clone());
    // The ship's own answer finds the file as it is.
    route(&mut ship, &ergo);
    assert_eq!(ship.commit(), []);
    assert_eq!(ship.read("base/gen/mytest.hoon").unwrap(), text);
    route(&mut ship, &ogre);
    let begun = Instant::now();
    while ship.path("base").exists() {
        assert!(begun.elapsed() < PATIENCE);
    }
}

#[test]
fn files_are_told_and_written() {
    let mut ship = Ship::new(true);
    ship.hill(&[]);
    ship.ergo("/gen/hi/hoon", Some("one"));
    ship.ergo("/sys/kelvin", Some("410"));
    ship.wait_for("base/sys.kelvin", Some("410"));
    assert_eq!(ship.read("base/gen/hi.hoon").unwrap(), "one");
    assert_eq!(ship.commit(), []);
    // Here: one changed, one new, one gone.
    ship.write("base/gen/hi.hoon", "two");
    ship.write("base/a/b/c.txt", "new");
    ship.write("base/noext", "nothing");
    fs::remove_file(ship.path("base/sys.kelvin")).unwrap();
    let told = [
        change("/a/b/c/txt", Some("new")),
        change("/gen/hi/hoon", Some("two")),
        change("/sys/kelvin", None),
    ];
    assert_eq!(ship.commit(), told);
    // Told again until the ship says that it has it; what is gone is gone.
    assert_eq!(ship.commit(), told[..2]);
    ship.ergo("/gen/hi/hoon", Some("two"));
    ship.ergo("/a/b/c/txt", Some("new"));
    assert_eq!(ship.commit(), []);
    // In the ship: a file changes that was edited here.
    ship.write("base/gen/hi.hoon", "three");
    ship.ergo("/gen/hi/hoon", Some("four"));
    ship.ergo("/a/b/c/txt", Some("newer"));
    assert_eq!(ship.commit(), [change("/gen/hi/hoon", Some("three"))]);
    assert_eq!(ship.read("base/a/b/c.txt").unwrap(), "newer");
    ship.ergo("/a/b/c/txt", None);
    ship.wait_for("base/a/b/c.txt", None);
    assert_eq!(ship.peeks, 0);
}

#[test]
fn a_ship_on_one_machine_goes_on_where_it_stopped() {
    let mut ship = Ship::new(true);
    ship.hill(&[]);
    ship.ergo("/gen/hi/hoon", Some("one"));
    ship.ergo("/gen/ho/hoon", Some("one"));
    ship.ergo("/gone/txt", Some("one"));
    ship.wait_for("base/gone.txt", Some("one"));
    ship.driver.stop();
    ship.write("base/gen/hi.hoon", "edited while it was down");
    ship.write("base/new.txt", "new");
    fs::remove_file(ship.path("base/gone.txt")).unwrap();
    ship.next_office();
    ship.hill(&["base"]);
    let told = [
        change("/gen/hi/hoon", Some("edited while it was down")),
        change("/new/txt", Some("new")),
    ];
    assert_eq!(ship.commit(), told);
    // What the ship changes is written, though this king never wrote it.
    ship.ergo("/gen/ho/hoon", Some("two"));
    ship.wait_for("base/gen/ho.hoon", Some("two"));
    assert_eq!(ship.peeks, 0);
}

#[test]
fn a_pier_of_veres_tells_its_whole_mount_once() {
    let mut ship = Ship::new(true);
    ship.write("base/gen/hi.hoon", "one");
    ship.write("base.txt", "beside");
    ship.hill(&["base"]);
    let whole = [
        change("/txt", Some("beside")),
        change("/gen/hi/hoon", Some("one")),
    ];
    assert_eq!(ship.commit(), whole);
    ship.ergo("/gen/hi/hoon", Some("one"));
    assert_eq!(ship.commit(), whole[..1]);
}

// ------------------------------------------------------------------------------------------------ several machines

fn two_files(ship: &mut Ship) {
    ship.set("/gen/hi/hoon", Some("hi"));
    ship.set("/desk/txt", Some("a\nb\n"));
    ship.set("/sys/kelvin", Some("410"));
}

#[test]
fn a_new_leader_writes_the_mount_before_it_looks() {
    let mut ship = Ship::new(false);
    two_files(&mut ship);
    ship.hill(&["base"]);
    // A commit that comes at once deletes nothing.
    assert_eq!(ship.commit(), []);
    assert_eq!(ship.read("base/gen/hi.hoon").unwrap(), "hi");
    assert_eq!(ship.read("base/desk.txt").unwrap(), "a\nb\n");
    assert_eq!(ship.read("base/sys.kelvin").unwrap(), "410");
    fs::remove_file(ship.path("base/desk.txt")).unwrap();
    ship.write("base/gen/hi.hoon", "ho");
    assert_eq!(
        ship.commit(),
        [change("/desk/txt", None), change("/gen/hi/hoon", Some("ho"))]
    );
}

#[test]
fn marks_are_converted_as_the_ship_does() {
    let mut ship = Ship::new(false);
    for (path, text) in [
        ("/a/odd", "shout"),
        ("/b/odd", "aloud"),
        ("/c/hoon", "quiet"),
        ("/d/hoon", "still"),
    ] {
        ship.set(path, Some(text));
    }
    ship.hill(&["base"]);
    assert_eq!(ship.commit(), []);
    assert_eq!(ship.read("base/b.odd").unwrap(), "ALOUD");
    assert_eq!(ship.read("base/d.hoon").unwrap(), "still");
    // The revision, the list, four pages; the ship's word for both %odd and for one %hoon.
    assert_eq!(ship.peeks, 2 + 4 + 3);
}

#[test]
fn a_mirror_that_is_out_of_date_is_no_edit() {
    let mut ship = Ship::new(false);
    two_files(&mut ship);
    ship.set("/kept/txt", Some("1"));
    ship.set("/conflict/txt", Some("1"));
    ship.set("/deleted/txt", Some("1"));
    ship.set("/lost/txt", Some("1"));
    ship.hill(&["base"]);
    assert_eq!(ship.commit(), []);
    // Somebody edits here; then another machine leads, and the ship changes.
    ship.driver.stop();
    ship.write("base/kept.txt", "mine");
    ship.write("base/conflict.txt", "mine");
    ship.write("base/new.txt", "mine");
    fs::remove_file(ship.path("base/lost.txt")).unwrap();
    ship.set("/gen/hi/hoon", Some("changed elsewhere"));
    ship.set("/conflict/txt", Some("2"));
    ship.set("/deleted/txt", None);
    ship.set("/added/txt", Some("1"));
    ship.next_office();
    ship.hill(&["base"]);
    let told = [
        change("/kept/txt", Some("mine")),
        change("/new/txt", Some("mine")),
    ];
    assert_eq!(ship.commit(), told);
    for (name, text) in [
        ("base/gen/hi.hoon", Some("changed elsewhere")),
        ("base/conflict.txt", Some("2")),
        ("base/deleted.txt", None),
        ("base/lost.txt", Some("1")),
        ("base/added.txt", Some("1")),
        ("base/kept.txt", Some("mine")),
    ] {
        assert_eq!(ship.read(name).as_deref(), text, "{name}");
    }
    assert_eq!(ship.set_aside("base/conflict.txt"), "mine");
}

#[test]
fn a_mirror_that_nobody_kept_a_record_of_is_set_aside() {
    let mut ship = Ship::new(false);
    two_files(&mut ship);
    ship.write("base/gen/hi.hoon", "old or edited, who knows");
    ship.write("base/desk.txt", "a\nb\n");
    ship.write("base/more.txt", "old or new");
    ship.hill(&["base"]);
    assert_eq!(ship.commit(), []);
    assert_eq!(ship.read("base/gen/hi.hoon").unwrap(), "hi");
    assert_eq!(ship.read("base/more.txt"), None);
    assert_eq!(ship.set_aside("base/more.txt"), "old or new");
    assert_eq!(ship.set_aside("base/gen/hi.hoon"), "old or edited, who knows");
}

#[test]
fn what_was_unmounted_elsewhere_goes_but_not_what_was_edited() {
    let mut ship = Ship::new(false);
    two_files(&mut ship);
    ship.hill(&["base"]);
    assert_eq!(ship.commit(), []);
    ship.driver.stop();
    ship.write("base/desk.txt", "mine");
    ship.next_office();
    ship.hill(&[]);
    ship.wait_for("base/gen/hi.hoon", None);
    ship.wait_for("base/sys.kelvin", None);
    assert_eq!(ship.read("base/desk.txt").unwrap(), "mine");
}

#[test]
fn an_office_that_ends_in_the_middle_leaves_the_next_to_do_it() {
    let mut ship = Ship::new(false);
    two_files(&mut ship);
    ship.hill(&["base"]);
    ship.effect("dirk", &n!["base"]);
    let first = ship.first_peek();
    drop(first);
    ship.driver.stop();
    ship.next_office();
    ship.hill(&["base"]);
    assert_eq!(ship.commit(), []);
    assert_eq!(ship.read("base/gen/hi.hoon").unwrap(), "hi");
    ship.pier.assert_silent();
}

#[test]
fn changes_that_come_while_a_mount_is_written_are_kept() {
    let mut ship = Ship::new(false);
    two_files(&mut ship);
    ship.hill(&["base"]);
    let first = ship.first_peek();
    // The desk is read at its revision then; the change is behind it.
    let before = (ship.revision, ship.desk.clone());
    ship.ergo("/gen/hi/hoon", Some("later"));
    (ship.revision, ship.desk) = before;
    let answer = ship.look_up(first.sample.tail().unwrap());
    (first.answer)(PeekAnswer::Done(Noun::unit(answer)));
    assert_eq!(ship.commit(), []);
    assert_eq!(ship.read("base/gen/hi.hoon").unwrap(), "later");
}

#[test]
fn a_mount_that_cannot_be_read_is_not_committed() {
    for (beam, peeks) in [
        // The revision of no desk is asked for.
        ("[[p=~zod q=%other r=[%ud p=0]] s=/]", 1),
        // Another ship's.
        ("[[p=~bus q=%base r=[%ud p=0]] s=/]", 0),
        // The driver does not know this form, and takes the name for a desk's.
        (UNKNOWN, 1),
    ] {
        let mut ship = Ship::new(false);
        ship.beams.insert("other".to_owned(), beam.to_owned());
        ship.write("other/gen/hi.hoon", "from long ago");
        ship.hill(&["other"]);
        ship.effect("dirk", &n!["other"]);
        two_files(&mut ship);
        ship.ergo("/desk/txt", Some("b"));
        // Base is committed, and other was not.
        assert_eq!(ship.commit(), []);
        assert_eq!(ship.peeks, peeks, "{beam}");
        assert_eq!(ship.read("other/gen/hi.hoon").unwrap(), "from long ago");
    }
}

#[test]
fn a_mount_of_another_name_is_written_too() {
    let mut ship = Ship::new(false);
    two_files(&mut ship);
    ship.set("/gen/sub/ho/hoon", Some("ho"));
    for (mount, below) in [
        ("gen", "/gen"),
        ("sub", "/gen/sub"),
        ("copy", "/"),
        ("none", "/no/such"),
    ] {
        let beam = format!("[[p=~zod q=%base r=[%ud p=0]] s={below}]");
        ship.beams.insert(mount.to_owned(), beam);
    }
    ship.write("sub/from/long.ago", "from long ago");
    ship.hill(&["copy", "gen", "none", "sub"]);
    assert_eq!(ship.commit_of("gen"), []);
    assert_eq!(ship.questions, 4);
    for (name, text) in [
        ("gen/hi.hoon", "hi"),
        ("gen/sub/ho.hoon", "ho"),
        ("sub/ho.hoon", "ho"),
        ("copy/gen/hi.hoon", "hi"),
        ("copy/desk.txt", "a\nb\n"),
    ] {
        assert_eq!(ship.read(name).as_deref(), Some(text), "{name}");
    }
    for absent in ["gen/desk.txt", "sub/hi.hoon", "none", "sub/from/long.ago"] {
        assert!(!ship.path(absent).exists(), "{absent}");
    }
    assert_eq!(ship.set_aside("sub/from/long.ago"), "from long ago");
    ship.write("sub/ho.hoon", "mine");
    assert_eq!(ship.commit_of("sub"), [change("/ho/hoon", Some("mine"))]);
    assert_eq!(ship.commit_of("none"), []);
    assert_eq!(ship.commit_of("copy"), []);
}

#[test]
fn a_mount_of_an_older_revision_shows_that() {
    let mut ship = Ship::new(false);
    two_files(&mut ship);
    let beam = format!("[[p=~zod q=%base r=[%ud p={}]] s=/gen]", ship.revision);
    ship.beams.insert("old".to_owned(), beam);
    ship.hill(&["old"]);
    assert_eq!(ship.commit_of("old"), []);
    assert_eq!(ship.read("old/hi.hoon").unwrap(), "hi");
    // The list, the page, and the ship's own word for it: the newest revision is not asked for.
    assert_eq!(ship.peeks, 3);
}

#[test]
fn a_mount_that_goes_while_it_is_asked_for_is_not_written() {
    let mut ship = Ship::new(false);
    two_files(&mut ship);
    ship.write("gone/hi.hoon", "from long ago");
    ship.hill(&["gone", "base"]);
    ship.effect("ogre", &n!["gone"]);
    assert_eq!(ship.commit(), []);
    assert_eq!(ship.questions, 2);
    assert_eq!(ship.read("gone/hi.hoon").unwrap(), "from long ago");
}

#[test]
fn prints_are_only_taken_for_answers_while_something_is_asked() {
    let mut ship = Ship::new(false);
    two_files(&mut ship);
    ship.hill(&["base"]);
    assert_eq!(ship.commit(), []);
    for print in ["%already-mounted", BASE] {
        assert_eq!(ship.driver.slog(&Noun::cord(print)), Claim::Passed);
    }
}

#[test]
fn a_peek_that_no_serf_answered_is_asked_again() {
    let mut ship = Ship::new(false);
    two_files(&mut ship);
    ship.hill(&["base"]);
    let first = ship.first_peek();
    (first.answer)(PeekAnswer::Unavailable);
    assert_eq!(ship.commit(), []);
    assert_eq!(ship.read("base/gen/hi.hoon").unwrap(), "hi");
}

// ------------------------------------------------------------------------------------------------ bounds

#[test]
fn names_that_lead_elsewhere_are_not_written() {
    let mut ship = Ship::new(true);
    ship.hill(&[]);
    let mime = n![0u64, n!["text", "plain", 0u64], 3u64, "bad"];
    for (mount, path) in [
        (".urb", &["chk", "image", "bin"][..]),
        ("..", &["escaped", "txt"]),
        ("a/b", &["c", "txt"]),
        (".http", &["ports"]),
        ("base", &["..", "..", "escaped", "txt"]),
        ("base", &["../../escaped", "txt"]),
        ("base", &["a", "b/../../../escaped"]),
        ("base", &[]),
    ] {
        let path = Noun::list(path.iter().map(|knot| Noun::cord(knot)));
        ship.effect("ergo", &n![mount, n![n![path, &mime], 0u64]]);
    }
    for (tag, data) in [
        ("ogre", n![".urb"]),
        ("ogre", n!["/"]),
        ("dirk", n![".urb"]),
        ("hill", n![5u64]),
        ("ergo", n![5u64]),
    ] {
        ship.effect(tag, &data);
    }
    ship.ergo("/good/txt", Some("good"));
    ship.wait_for("base/good.txt", Some("good"));
    let names = |directory: PathBuf| {
        let names = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect::<std::collections::BTreeSet<_>>()
    };
    let pier = ship.pier.directory.path().to_owned();
    assert_eq!(
        names(pier.clone()),
        [".urb", "!..", "base"].map(str::to_owned).into()
    );
    assert_eq!(names(pier.join(".urb")), ["mounts"].map(str::to_owned).into());
    assert_eq!(
        names(pier.join("base")),
        ["!..", "good.txt"].map(str::to_owned).into()
    );
    assert!(!pier.parent().unwrap().join("escaped.txt").exists());
    ship.pier.assert_silent();
}

#[test]
fn other_effects_are_left_to_others() {
    let ship = Ship::new(true);
    let mut driver = ship.driver;
    for (wire, tag) in [(&["behn"][..], "hill"), (&["sync"], "cruz"), (&[], "hill")] {
        assert_eq!(
            ship.pier.effect(&mut *driver, wire, tag, &Noun::ZERO),
            Claim::Passed
        );
    }
    assert!(!driver.is_live());
}

#[test]
fn a_thousand_files_and_the_end_of_the_office() {
    let mut ship = Ship::new(true);
    ship.hill(&[]);
    let files = (0..1000).map(|at| {
        let text = format!("text {at}");
        n![
            n!["gen", format!("f{at}"), "txt", 0u64],
            0u64,
            0u64,
            text.len() as u64,
            text
        ]
    });
    ship.effect("ergo", &n!["base", Noun::list(files)]);
    ship.effect("dirk", &n!["base"]);
    // What was released is written, though the office is over; the commit may be told before the end or not at all.
    ship.next_office();
    ship.hill(&["base"]);
    ship.wait_for("base/gen/f999.txt", Some("text 999"));
    let runtime = Arc::clone(&ship.pier.runtime);
    while let Some(message) = runtime.block_on(ship.pier.try_next_message(Duration::from_millis(50))) {
        tell(as_planned(message), Outcome::Dropped(DropReason::OfficeOver));
    }
    assert_eq!(ship.commit(), []);
}
