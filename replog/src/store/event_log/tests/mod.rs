//! The event log as a whole, on real directories.

mod crash;
mod epochs;
mod life;
mod opening;
mod power;
mod transfer;

use super::*;
use crate::{
    limits::MIN_MAP_BYTES,
    pier_lock::PierLock,
    store::fault::{Faults, NoFaults, Step},
};
use seguro_event::Mug;
use std::{fs, path::Path, process::Command as Process};
use tempfile::TempDir;

const SHIP: ShipIdentity = ShipIdentity {
    who: 0,
    fake: true,
    life: 2,
};

fn options() -> EventLogOptions {
    options_with(Arc::new(NoFaults))
}

fn options_with(faults: Arc<dyn Faults>) -> EventLogOptions {
    EventLogOptions {
        map_bytes: MIN_MAP_BYTES,
        vere_version: "3.5".to_owned(),
        alarm: Alarm::new(),
        faults,
    }
}

/// A new pier, locked, with an empty log.
fn new_pier() -> (TempDir, PierLock, EventLog) {
    let dir = crate::store::fast_dir();
    let lock = PierLock::acquire(dir.path()).unwrap();
    let log = EventLog::create(&lock, &SHIP, options()).unwrap();
    (dir, lock, log)
}

/// Opens the log that is there.
fn open(lock: &PierLock) -> Opened {
    EventLog::open(lock, options()).unwrap().expect("there is a log")
}

/// Event `number`, with bytes of its own.
fn event(number: u64) -> Event {
    sized(number, 20 + number as usize % 50)
}

/// Event `number`, its jam so many bytes long.
fn sized(number: u64, length: usize) -> Event {
    let jam = (0..length)
        .map(|i| (number as usize * 31 + i) as u8)
        .collect::<Vec<_>>();
    Event {
        number: EventNumber(number),
        mug: Mug(number as u32 * 7),
        jam: jam.into(),
    }
}

fn events(from: u64, to: u64) -> Vec<Event> {
    (from..=to).map(event).collect()
}

/// A raft layer's record.
fn raft(index: u64) -> Bytes {
    Bytes::from(format!("log id {index}"))
}

/// All events of the log, in reads of a few.
fn all(log: &EventLog) -> Vec<Event> {
    let first = log.epochs()[0].next();
    let mut out: Vec<Event> = Vec::new();
    loop {
        let next = out.last().map_or(first, |e| e.number.next());
        let more = log.read(next, 7, usize::MAX).unwrap();
        if more.is_empty() {
            return out;
        }
        out.extend(more);
    }
}

/// Images as a serf would have saved them.
fn write_images(pier: &Path, text: &str) {
    let chk = pier.join(".urb/chk");
    fs::create_dir_all(&chk).unwrap();
    fs::write(chk.join("north.bin"), format!("north {text}").repeat(1000)).unwrap();
    fs::write(chk.join("south.bin"), format!("south {text}")).unwrap();
}

/// The pier of vere's that comes with the tests: 61 events, written by vere v3.5 and left by a SIGKILL.
fn vere_pier() -> (TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/pier-v35-tiny.tar.gz");
    let status = Process::new("tar")
        .arg("xzf")
        .arg(archive)
        .arg("-C")
        .arg(dir.path())
        .status()
        .unwrap();
    assert!(status.success());
    let pier = dir.path().join("zod");
    (dir, pier)
}

/// A copy of a pier as it is at this moment, which is what a process that is killed now would leave.
fn copy_pier(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_pier(&entry.path(), &target);
        } else if entry.file_name() != ".vere.lock" {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
