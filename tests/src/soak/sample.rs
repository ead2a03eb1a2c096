//! What is measured of the members at one moment.

use crate::{Process, Ship};
use anyhow::Context;
use nix::unistd::Pid;
use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::Path,
    time::{Duration, Instant},
};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Quantity {
    /// Memory of the king's that no file backs, bytes.
    KingMemory,
    /// Memory of the king's in all, the mapped logs with it, bytes.
    KingResident,
    KingDescriptors,
    KingThreads,
    /// The serf's resident memory, bytes.
    SerfMemory,
    SerfDescriptors,
    SerfThreads,
    /// The event logs of all epochs, bytes on disk, as all that follow.
    EventLog,
    /// The serf's image, and those that epochs begin with.
    Images,
    RaftLog,
    /// Every other file of the pier.
    OtherFiles,
}

impl Quantity {
    pub(super) const ALL: [Quantity; 11] = [
        Quantity::KingMemory,
        Quantity::KingResident,
        Quantity::KingDescriptors,
        Quantity::KingThreads,
        Quantity::SerfMemory,
        Quantity::SerfDescriptors,
        Quantity::SerfThreads,
        Quantity::EventLog,
        Quantity::Images,
        Quantity::RaftLog,
        Quantity::OtherFiles,
    ];

    /// Whether it is a number of bytes.
    pub(super) fn bytes(self) -> bool {
        !matches!(
            self,
            Quantity::KingDescriptors
                | Quantity::KingThreads
                | Quantity::SerfDescriptors
                | Quantity::SerfThreads
        )
    }

    /// The name of its column.
    fn title(self) -> &'static str {
        match self {
            Quantity::KingMemory => "king MiB",
            Quantity::KingResident => "with files",
            Quantity::KingDescriptors => "descriptors",
            Quantity::KingThreads => "threads",
            Quantity::SerfMemory => "serf MiB",
            Quantity::SerfDescriptors => "descriptors",
            Quantity::SerfThreads => "threads",
            Quantity::EventLog => "events MiB",
            Quantity::Images => "images MiB",
            Quantity::RaftLog => "raft MiB",
            Quantity::OtherFiles => "other MiB",
        }
    }

    /// A number of it, for people.
    pub(super) fn show(self, value: u64) -> String {
        if self.bytes() {
            format!("{:.1}", value as f64 / f64::from(1 << 20))
        } else {
            value.to_string()
        }
    }
}

/// What was measured of every member at one moment. A serf that is being started has nothing to measure.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    at: Duration,
    /// By member, in the order of [`Quantity::ALL`].
    pub(super) members: Vec<[Option<u64>; Quantity::ALL.len()]>,
}

impl Sample {
    pub(super) fn take(ship: &Ship, began: Instant) -> anyhow::Result<Sample> {
        let members = (0..ship.cluster.members.len()).map(|index| {
            let king = ship.cluster.pid(index).context("a member has ended")?;
            let serf = ship.status(index)?.serf.pid;
            let serf = serf.and_then(|pid| Some(Process(Pid::from_raw(i32::try_from(pid).ok()?))));
            let (king, files) = (Process(king), Files::of(ship.pier(index))?);
            Ok(Quantity::ALL.map(|quantity| match quantity {
                Quantity::KingMemory => king.status("RssAnon:").map(|kib| kib << 10),
                Quantity::KingResident => king.status("VmRSS:").map(|kib| kib << 10),
                Quantity::KingDescriptors => king.descriptors(),
                Quantity::KingThreads => king.status("Threads:"),
                Quantity::SerfMemory => serf?.status("VmRSS:").map(|kib| kib << 10),
                Quantity::SerfDescriptors => serf?.descriptors(),
                Quantity::SerfThreads => serf?.status("Threads:"),
                Quantity::EventLog => Some(files.events),
                Quantity::Images => Some(files.images),
                Quantity::RaftLog => Some(files.raft),
                Quantity::OtherFiles => Some(files.other),
            }))
        });
        Ok(Sample {
            at: began.elapsed(),
            members: members.collect::<anyhow::Result<_>>()?,
        })
    }

    /// The head of a table whose lines [`Sample::line`] gives.
    pub(super) fn header(members: usize) -> String {
        let titles =
            Quantity::ALL.map(|quantity| format!("{:>width$}", quantity.title(), width = 7 * members));
        format!(
            "{:>7} {:>9} {:>8} {:>6} {}",
            "seconds",
            "events",
            "requests",
            "epochs",
            titles.join(" ")
        )
    }

    /// A line of the table: in each column all members.
    pub(super) fn line(&self, events: usize, requests: u64, epochs: usize) -> String {
        let columns = (0..Quantity::ALL.len()).map(|column| {
            let show =
                |value: Option<u64>| value.map_or("-".to_owned(), |value| Quantity::ALL[column].show(value));
            let values: Vec<String> = self.members.iter().map(|member| show(member[column])).collect();
            format!("{:>width$}", values.join("/"), width = 7 * self.members.len())
        });
        let columns: Vec<String> = columns.collect();
        format!(
            "{:>7.1} {events:>9} {requests:>8} {epochs:>6} {}",
            self.at.as_secs_f64(),
            columns.join(" ")
        )
    }
}

/// Bytes on disk of a pier's files, by kind.
#[derive(Debug, Default)]
struct Files {
    events: u64,
    images: u64,
    raft: u64,
    other: u64,
}

impl Files {
    fn of(pier: &Path) -> anyhow::Result<Files> {
        let mut files = Files::default();
        files.add(pier, pier)?;
        Ok(files)
    }

    fn add(&mut self, pier: &Path, directory: &Path) -> anyhow::Result<()> {
        let entries = match fs::read_dir(directory) {
            // Epochs go while they are looked at.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            entries => entries.with_context(|| format!("the directory {}", directory.display()))?,
        };
        for entry in entries.flatten() {
            let (path, Ok(metadata)) = (entry.path(), entry.metadata()) else {
                continue;
            };
            if metadata.is_dir() {
                self.add(pier, &path)?;
                continue;
            }
            let below = path.strip_prefix(pier)?;
            let kind = if below.starts_with(".urb/raft") {
                &mut self.raft
            } else if below.starts_with(".urb/log") && below.extension().is_some_and(|kind| kind == "mdb") {
                &mut self.events
            } else if below.extension().is_some_and(|kind| kind == "bin") {
                &mut self.images
            } else {
                &mut self.other
            };
            *kind += metadata.blocks() * 512;
        }
        Ok(())
    }
}
