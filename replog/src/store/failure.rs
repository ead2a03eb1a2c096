//! A store that has failed: the error, the exit code that says so, and the alarm that ends the process.

use crate::limits::LITTLE_ROOM_BYTES;
use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};
use tokio::sync::watch;

/// Exit code after a failed write or sync (`EX_IOERR` of sysexits).
pub(crate) const EXIT_IO: u8 = 74;
/// Exit code when there is no room: the disk, a quota, a file size limit, or the LMDB map (`EX_CANTCREAT` of sysexits).
pub(crate) const EXIT_FULL: u8 = 73;
/// Exit code when what is on disk is not what was written (`EX_DATAERR` of sysexits).
pub(crate) const EXIT_CORRUPT: u8 = 65;

/// Which store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoreName {
    /// `.urb/raft`.
    RaftLog,
    /// `.urb/log`.
    EventLog,
}

impl fmt::Display for StoreName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StoreName::RaftLog => "the Raft log",
            StoreName::EventLog => "the event log",
        })
    }
}

/// What kind of failure: decides the advice and the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// A write or sync failed.
    Io,
    /// There is no room on the disk, or a quota or file size limit is reached.
    DiskFull,
    /// The LMDB map is used up.
    MapFull,
    /// Bytes on disk are not what was written.
    Corrupt,
}

/// A store that failed and refuses everything from now on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{store} at {} has failed and is closed: {what}: {cause}. {}", path.display(), self.advice())]
pub(crate) struct StoreFailed {
    /// Which store.
    pub(crate) store: StoreName,
    /// What was being done.
    pub(crate) what: String,
    /// To which directory or file.
    pub(crate) path: PathBuf,
    /// What the system said.
    pub(crate) cause: String,
    /// What kind of failure it is.
    pub(crate) kind: FailureKind,
}

impl StoreFailed {
    /// The process's exit code after this failure.
    pub(crate) fn exit_code(&self) -> u8 {
        match self.kind {
            FailureKind::Io => EXIT_IO,
            FailureKind::DiskFull | FailureKind::MapFull => EXIT_FULL,
            FailureKind::Corrupt => EXIT_CORRUPT,
        }
    }

    /// What the operator should do.
    fn advice(&self) -> &'static str {
        match self.kind {
            FailureKind::Io => {
                "Everything acknowledged before is kept; check the disk (kernel log, SMART), then start this member again"
            }
            FailureKind::DiskFull => {
                "Everything acknowledged before is kept; make room on the disk or raise the quota, then start this member again"
            }
            FailureKind::MapFull => {
                "Everything acknowledged before is kept; the reserved address space is used up: roll and chop epochs, or \
                 start with a larger map"
            }
            FailureKind::Corrupt => {
                "The bytes on this disk cannot be trusted: keep a copy, check the disk, then let the member join anew from an \
                 empty directory"
            }
        }
    }
}

/// What kind of failure an I/O error is.
pub(crate) fn kind_of_io(error: &io::Error) -> FailureKind {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            FailureKind::DiskFull
        }
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => FailureKind::Corrupt,
        _ => FailureKind::Io,
    }
}

/// What kind of failure an error of LMDB's is.
pub(crate) fn kind_of_heed(error: &heed::Error) -> FailureKind {
    use heed::MdbError;
    match error {
        heed::Error::Io(error) => kind_of_io(error),
        heed::Error::Mdb(MdbError::MapFull) => FailureKind::MapFull,
        heed::Error::Mdb(
            MdbError::Corrupted
            | MdbError::PageNotFound
            | MdbError::Invalid
            | MdbError::KeyExist
            | MdbError::BadValSize
            | MdbError::Incompatible,
        )
        | heed::Error::Decoding(_) => FailureKind::Corrupt,
        _ => FailureKind::Io,
    }
}

/// Whether there is next to no room for the files in a directory, or in those below it.
fn is_full(directory: &Path) -> bool {
    use nix::sys::{
        resource::{Resource, getrlimit},
        statvfs::statvfs,
    };
    #[allow(
        clippy::unnecessary_cast,
        reason = "these numbers are narrower on some systems"
    )]
    let free = statvfs(directory).map_or(u64::MAX, |fs| {
        fs.blocks_available() as u64 * fs.fragment_size() as u64
    });
    let limit = getrlimit(Resource::RLIMIT_FSIZE).map_or(u64::MAX, |(soft, _)| soft);
    free < LITTLE_ROOM_BYTES
        || (limit < u64::MAX && largest(directory, 1).saturating_add(LITTLE_ROOM_BYTES) > limit)
}

/// The length of the largest file in a directory, and so many levels below.
fn largest(directory: &Path, levels: usize) -> u64 {
    let Ok(files) = std::fs::read_dir(directory) else {
        return 0;
    };
    let length = |file: std::fs::DirEntry| match file.metadata() {
        Ok(data) if data.is_dir() && levels > 0 => largest(&file.path(), levels - 1),
        Ok(data) => data.len(),
        Err(_) => 0,
    };
    files.flatten().map(length).max().unwrap_or(0)
}

/// Tells the process that a store has failed. Shared by a member's stores; the first failure stays.
#[derive(Clone, Debug)]
pub(crate) struct Alarm(watch::Sender<Option<StoreFailed>>);

impl Alarm {
    /// An alarm that nobody has raised.
    pub(crate) fn new() -> Alarm {
        Alarm(watch::Sender::new(None))
    }

    /// Raises it; a second failure changes nothing.
    pub(crate) fn raise(&self, failure: &StoreFailed) {
        self.0.send_if_modified(|raised| {
            let first = raised.is_none();
            if first {
                *raised = Some(failure.clone());
            }
            first
        });
    }

    /// Sees the failure when it is raised.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Option<StoreFailed>> {
        self.0.subscribe()
    }
}

/// One store's health: sound, or failed for good.
#[derive(Clone, Debug)]
pub(crate) struct Health {
    store: StoreName,
    path: PathBuf,
    failed: Arc<OnceLock<StoreFailed>>,
    alarm: Alarm,
}

impl Health {
    /// A sound store at `path`.
    pub(crate) fn new(store: StoreName, path: &Path, alarm: Alarm) -> Health {
        Health {
            store,
            path: path.to_path_buf(),
            failed: Arc::new(OnceLock::new()),
            alarm,
        }
    }

    /// Whether the store may still be used.
    pub(crate) fn check(&self) -> Result<(), StoreFailed> {
        match self.failed.get() {
            None => Ok(()),
            Some(failure) => Err(failure.clone()),
        }
    }

    /// The store has failed: it stays so, and the alarm is raised. Returns the first failure.
    pub(crate) fn fail(
        &self,
        what: impl Into<String>,
        cause: &dyn fmt::Display,
        kind: FailureKind,
    ) -> StoreFailed {
        let failure = self.failed.get_or_init(|| StoreFailed {
            kind: if kind == FailureKind::Io && is_full(&self.path) {
                FailureKind::DiskFull
            } else {
                kind
            },
            store: self.store,
            what: what.into(),
            path: self.path.clone(),
            cause: cause.to_string(),
        });
        self.alarm.raise(failure);
        failure.clone()
    }

    /// As [`fail`](Self::fail), for an error of LMDB's.
    pub(crate) fn fail_heed(&self, what: impl Into<String>, error: &heed::Error) -> StoreFailed {
        self.fail(what, error, kind_of_heed(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_stays_and_says_what_to_do() {
        let alarm = Alarm::new();
        let health = Health::new(StoreName::RaftLog, Path::new("/pier/.urb/raft"), alarm.clone());
        assert_eq!(health.check(), Ok(()));
        let first = health.fail_heed(
            "syncing entry 7",
            &heed::Error::Io(io::ErrorKind::StorageFull.into()),
        );
        let second = health.fail_heed(
            "syncing entry 8",
            &heed::Error::Io(io::Error::other("the cable came out")),
        );
        assert_eq!(first, second);
        assert_eq!(health.check(), Err(first.clone()));
        assert_eq!(alarm.subscribe().borrow().as_ref(), Some(&first));
        assert_eq!(first.exit_code(), EXIT_FULL);
        let text = first.to_string();
        for part in ["the Raft log", "/pier/.urb/raft", "syncing entry 7", "make room"] {
            assert!(text.contains(part), "{text} lacks {part}");
        }
    }

    #[test]
    fn kinds_have_their_own_exit_codes() {
        let kind = |error: heed::Error| kind_of_heed(&error);
        assert_eq!(
            kind(heed::Error::Mdb(heed::MdbError::MapFull)),
            FailureKind::MapFull
        );
        assert_eq!(
            kind(heed::Error::Mdb(heed::MdbError::Corrupted)),
            FailureKind::Corrupt
        );
        assert_eq!(
            kind(heed::Error::Io(io::Error::from_raw_os_error(28))),
            FailureKind::DiskFull
        );
        assert_eq!(
            kind(heed::Error::Io(io::Error::from_raw_os_error(27))),
            FailureKind::DiskFull
        );
        assert_eq!(
            kind(heed::Error::Io(io::Error::from_raw_os_error(122))),
            FailureKind::DiskFull
        );
        assert_eq!(
            kind(heed::Error::Io(io::Error::from_raw_os_error(5))),
            FailureKind::Io
        );
    }
}
