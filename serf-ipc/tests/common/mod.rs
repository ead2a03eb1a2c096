//! Children that are shell scripts, and their events.

#![allow(dead_code, reason = "each test program uses a part of this")]

use crossbeam_channel::{Receiver, RecvTimeoutError};
use seguro_event::{EventNumber, Mug};
use serf_ipc::child::{ChildEvent, Ending, SerfChild, SerfCommand};
use serf_ipc::protocol::{Plea, Ripe};
use serf_ipc::{ToNoun, jam, newt};
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longer than anything takes on a loaded machine. A test that waits so long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The program that plays a serf.
pub(crate) const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/pretend-serf.sh");

/// A running script.
pub(crate) struct Pretender {
    pub(crate) child: SerfChild,
    pub(crate) events: Receiver<ChildEvent>,
    /// Where the script is, and what it leaves.
    pub(crate) dir: TempDir,
}

/// The command that runs this script, which is put into `dir`.
pub(crate) fn command(dir: &Path, script: &str) -> SerfCommand {
    let path = dir.join("script");
    std::fs::write(&path, script).unwrap();
    SerfCommand::new(PROGRAM, path)
}

/// Starts a script whose directory is known as `$D`.
pub(crate) fn start(script: &str) -> Pretender {
    let dir = tempfile::tempdir().unwrap();
    let command = command(dir.path(), &format!("D='{}'\n{script}", dir.path().display()));
    let (sender, events) = crossbeam_channel::unbounded();
    let child = SerfChild::spawn(&command, move |event| sender.send(event).is_ok()).unwrap();
    Pretender { child, events, dir }
}

impl Pretender {
    /// The next event.
    pub(crate) fn next(&self) -> ChildEvent {
        self.events.recv_timeout(PATIENCE).expect("an event")
    }

    /// The next event, which is a line of standard error.
    pub(crate) fn line(&self) -> String {
        match self.next() {
            ChildEvent::Stderr(line) => line,
            other => panic!("{other:?}"),
        }
    }

    /// All events up to the end, and the end; nothing may come after that.
    pub(crate) fn rest(&self) -> (Vec<ChildEvent>, Ending) {
        let mut events = Vec::new();
        let ending = loop {
            match self.next() {
                ChildEvent::Exited(ending) => break ending,
                event => events.push(event),
            }
        };
        assert!(self.events.try_recv().is_err(), "the end comes last");
        (events, ending)
    }
}

/// A shell command that writes these frames.
pub(crate) fn say(pleas: &[Plea]) -> String {
    let bytes: Vec<u8> = pleas
        .iter()
        .flat_map(|plea| newt::encode(&jam(&plea.to_noun())))
        .collect();
    print(&bytes)
}

/// A shell command that writes these bytes.
pub(crate) fn print(bytes: &[u8]) -> String {
    let escaped = bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "\\{byte:03o}").unwrap();
        text
    });
    format!("printf '%b' '{}'", escaped.replace('\\', "\\0"))
}

/// What a serf says first.
pub(crate) fn ripe(event: u64) -> Plea {
    Plea::Ripe(Ripe {
        pro: 1,
        hon: 138,
        noc: 4,
        event: EventNumber(event),
        mug: Mug(0x1234),
    })
}

/// Waits for a condition.
pub(crate) fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether there is a process of this number that runs, a zombie not counted.
pub(crate) fn is_running(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The state follows the name, which is in brackets.
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// Whether the channel's other side is gone, nothing being left in it.
pub(crate) fn is_disconnected(events: &Receiver<ChildEvent>) -> bool {
    events.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Disconnected)
}
