//! Names on disk: which directories below `.urb/log` are epochs, which are ours in passing, what their texts say.

use super::super::{
    fault::Faults,
    files::{self, At, FileError},
    lmdb,
};
use crate::limits::EPOCH_TEXT_BYTES;
use seguro_event::EventNumber;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The epoch layout that is ours: images in two files (`spec/eventlog.md` section 3).
pub(super) const EPOCH_VERSION: &str = "1";
/// The file that says the epoch layout.
pub(super) const EPOCH_TEXT: &str = "epoc.txt";
/// The file that says which runtime made the epoch.
pub(super) const VERE_TEXT: &str = "vere.txt";
/// The serf's image: pages from the bottom of its loom, and the one from the top.
pub(super) const IMAGES: [&str; 2] = ["north.bin", "south.bin"];

/// A new epoch while it is being made. vere looks only at names that are `0i` and a number, so it never sees this.
const STAGE: &str = "seguro-new-epoch";
/// An epoch while it is being received.
const INCOMING: &str = "seguro-incoming";
/// What an epoch is called while it is being removed.
const DROPPED: &str = "seguro-dropped-";
/// What an epoch is called that was found unusable, and set aside instead of being removed.
const BOGUS: &str = "seguro-bogus-";
/// In an epoch that was received, until what it replaces is removed.
pub(super) const REPLACES: &str = "seguro-replaces";

/// Where things are below a pier.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pier: PathBuf,
    log: PathBuf,
}

impl Layout {
    /// The layout of the pier in this directory.
    pub(crate) fn new(pier: &Path) -> Layout {
        Layout {
            pier: pier.to_path_buf(),
            log: pier.join(".urb/log"),
        }
    }

    /// The top-level directory of the log, with the environment that holds only META.
    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    /// The serf's live image.
    pub(super) fn checkpoint(&self) -> PathBuf {
        self.pier.join(".urb/chk")
    }

    /// An epoch's directory.
    pub(crate) fn epoch(&self, start: EventNumber) -> PathBuf {
        self.log.join(format!("0i{start}"))
    }

    /// Where a new epoch is made.
    pub(super) fn stage(&self) -> PathBuf {
        self.log.join(STAGE)
    }

    /// Where an epoch is received.
    pub(super) fn incoming(&self) -> PathBuf {
        self.log.join(INCOMING)
    }

    /// What an epoch is called while it is being removed.
    pub(super) fn dropped(&self, start: EventNumber) -> PathBuf {
        self.log.join(format!("{DROPPED}0i{start}"))
    }

    /// A free name for an epoch that is set aside.
    pub(super) fn bogus(&self, start: EventNumber) -> PathBuf {
        let name = |nth: u32| self.log.join(format!("{BOGUS}0i{start}-{nth}"));
        let mut nth = 1;
        while name(nth).exists() {
            nth += 1;
        }
        name(nth)
    }

    /// Makes the directories that vere makes at every start (`spec/eventlog.md` section 8).
    pub(super) fn create_dirs(&self, faults: &dyn Faults) -> Result<(), FileError> {
        for name in ["", ".urb", ".urb/put", ".urb/get", ".urb/log"] {
            files::create_dir(&self.pier.join(name), faults)?;
        }
        Ok(())
    }

    /// Makes durable what is seen here: a process that was killed may have renamed and removed, and not come to the sync.
    /// What is done next rests on it.
    pub(super) fn settle(&self, faults: &dyn Faults) -> Result<(), FileError> {
        if !self.log.is_dir() {
            return Ok(());
        }
        self.create_dirs(faults)?;
        files::sync_dir(&self.log, faults)?;
        let incoming = self.incoming();
        if incoming.is_dir() {
            files::sync_dir(&incoming, faults)?;
        }
        for start in self.epochs()? {
            files::sync_dir(&self.epoch(start), faults)?;
        }
        Ok(())
    }

    /// The epochs on disk, oldest first: directories named exactly `0i` and a decimal number.
    pub(super) fn epochs(&self) -> Result<Vec<EventNumber>, FileError> {
        let mut epochs: Vec<_> = self
            .names()?
            .iter()
            .filter_map(|name| parse_epoch(name))
            .collect();
        epochs.sort_unstable();
        Ok(epochs)
    }

    /// Removes what an interrupted roll or removal left: it was never, or is no longer, part of the log.
    pub(super) fn sweep(&self, faults: &dyn Faults) -> Result<(), FileError> {
        for name in self.names()? {
            if name == STAGE || name.starts_with(DROPPED) {
                files::remove_dir(&self.log.join(name), faults)?;
            }
        }
        lmdb::sweep(&self.log, faults)
    }

    /// Removes an epoch. From the rename on it is no longer one, however far the removal gets.
    pub(super) fn drop_epoch(&self, start: EventNumber, faults: &dyn Faults) -> Result<(), FileError> {
        let dropped = self.dropped(start);
        if dropped.exists() {
            files::remove_dir(&dropped, faults)?;
        }
        files::rename(&self.epoch(start), &dropped, faults)?;
        files::sync_dir(&self.log, faults)?;
        files::remove_dir(&dropped, faults)
    }

    /// Names of the directories in the log's.
    fn names(&self) -> Result<Vec<String>, FileError> {
        let entries = match fs::read_dir(&self.log) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.at("cannot list", &self.log)?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.at("cannot list", &self.log)?;
            if let Ok(name) = entry.file_name().into_string()
                && entry.path().is_dir()
            {
                names.push(name);
            }
        }
        Ok(names)
    }
}

/// The number of an epoch's directory.
fn parse_epoch(name: &str) -> Option<EventNumber> {
    let digits = name.strip_prefix("0i")?;
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    if !plain || (digits.len() > 1 && digits.starts_with('0')) {
        return None;
    }
    digits.parse().ok().map(EventNumber)
}

/// A text of an epoch, trailing white space trimmed; None when it is not there.
pub(super) fn read_text(epoch: &Path, name: &str) -> Result<Option<String>, FileError> {
    let bytes = files::read_small(&epoch.join(name), EPOCH_TEXT_BYTES)?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).trim_end().to_owned()))
}

/// Writes the two texts of an epoch as vere does: no newline, staged, synced, renamed.
pub(super) fn write_texts(epoch: &Path, vere_version: &str, faults: &dyn Faults) -> Result<(), FileError> {
    files::write_atomically(epoch, EPOCH_TEXT, EPOCH_VERSION.as_bytes(), faults)?;
    files::write_atomically(epoch, VERE_TEXT, vere_version.as_bytes(), faults)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_are_named_exactly() {
        for (name, number) in [
            ("0i0", Some(0)),
            ("0i61", Some(61)),
            ("0i18446744073709551615", Some(u64::MAX)),
        ] {
            assert_eq!(parse_epoch(name), number.map(EventNumber));
        }
        for name in [
            "0i",
            "0i01",
            "0i-1",
            "0i1x",
            "0i 1",
            "0x1",
            "i1",
            "0i18446744073709551616",
            "0i1.tmp",
            STAGE,
        ] {
            assert_eq!(parse_epoch(name), None, "{name}");
        }
    }
}
