//! Opening and making an event log, by vere's rules (`spec/eventlog.md` section 8) but for one: nothing is deleted that
//! could hold data. An epoch that vere would remove as bogus is set aside, and said so.

use super::{
    EventLog, EventLogOptions, Shared,
    epoch::{Epoch, EpochError},
    hash::LogHash,
    layout::{self, EPOCH_VERSION, Layout},
    meta::{self, Meta, MetaError},
    recent::Recent,
    roll,
    seguro::Applied,
    transfer,
    writer::Writer,
};
use crate::{
    limits::{EVENT_LOG_COMMANDS, EVENT_LOG_PENDING_BYTES, EVENT_LOG_RECENT_BYTES, KIB, MIN_MAP_BYTES},
    pier_lock::PierLock,
    simulated,
    store::{
        failure::{EXIT_CORRUPT, EXIT_FULL, EXIT_IO, FailureKind, Health},
        files::{self, FileError},
        lmdb::{self, DATA_FILE, EnvError, In},
    },
    types::ShipIdentity,
};
use seguro_event::EventNumber;
use std::{
    collections::{BTreeMap, VecDeque},
    fmt, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, RwLock,
        atomic::{AtomicBool, AtomicU64},
    },
    thread,
};
use tokio::sync::{Semaphore, watch};

/// Why an event log could not be opened or made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EventLogOpenError {
    /// The log is older than epochs.
    #[error(
        "{} has version {version} of the event log, from before epochs: run `urbit play` of vere v3.5 on the pier once, which \
         migrates it",
        path.display()
    )]
    Old {
        /// The log's directory.
        path: PathBuf,
        /// Its version.
        version: u8,
    },
    /// The log, or its newest epoch, is of a runtime that is newer than this program knows.
    #[error("{} was made by a newer runtime ({found}): this program knows event logs up to that of vere v3.5", path.display())]
    New {
        /// The log's or the epoch's directory.
        path: PathBuf,
        /// What it says.
        found: String,
    },
    /// There is a log, but no epoch in it that can be used.
    #[error("{} holds no usable epoch: {found}. Restore the pier from a copy", path.display())]
    NoEpoch {
        /// The log's directory.
        path: PathBuf,
        /// What is there instead.
        found: String,
    },
    /// A log is where a new one should be made.
    #[error("{} holds an event log already: a ship is booted once. Run it, or boot into another directory", path.display())]
    Exists {
        /// The log's directory.
        path: PathBuf,
    },
    /// The log ends before what was recorded as applied: events were lost.
    #[error(
        "{} ends with event {last}, but event {applied} was written to it: events were lost. Restore the pier from a copy, or \
         let the member join anew from an empty directory",
        path.display()
    )]
    Short {
        /// The log's directory.
        path: PathBuf,
        /// The last event held.
        last: EventNumber,
        /// The last event that was written.
        applied: EventNumber,
    },
    /// An epoch cannot be used.
    #[error(transparent)]
    Epoch(#[from] EpochError),
    /// The writer's thread could not be started.
    #[error("cannot start the event log's thread: {0}")]
    Thread(#[source] io::Error),
}

impl From<FileError> for EventLogOpenError {
    fn from(error: FileError) -> EventLogOpenError {
        EventLogOpenError::Epoch(error.into())
    }
}

impl From<EnvError> for EventLogOpenError {
    fn from(error: EnvError) -> EventLogOpenError {
        EventLogOpenError::Epoch(error.into())
    }
}

/// Exit code where another program, or a person, must put the pier in order (`EX_CONFIG` of sysexits).
const EXIT_CONFIG: u8 = 78;

impl EventLogOpenError {
    /// The process's exit code after this failure.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            EventLogOpenError::Old { .. }
            | EventLogOpenError::New { .. }
            | EventLogOpenError::Exists { .. } => EXIT_CONFIG,
            EventLogOpenError::NoEpoch { .. } | EventLogOpenError::Short { .. } => EXIT_CORRUPT,
            EventLogOpenError::Thread(_) => EXIT_IO,
            EventLogOpenError::Epoch(error) => match error.kind() {
                FailureKind::Io => EXIT_IO,
                FailureKind::DiskFull | FailureKind::MapFull => EXIT_FULL,
                FailureKind::Corrupt => EXIT_CORRUPT,
            },
        }
    }
}

/// Events that did not come through Raft.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Foreign {
    /// The last event that did; 0 where none did: a pier of vere's.
    pub(crate) after: EventNumber,
    /// How many there are after it.
    pub(crate) count: u64,
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} events after event {} were written by another runtime",
            self.count, self.after
        )
    }
}

/// Something that an operator should know, and that did not keep the log from being opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// The newest epoch was unusable; the one before is the newest now.
    SetAside {
        /// The epoch.
        epoch: EventNumber,
        /// What is wrong with it.
        why: &'static str,
        /// Where it lies now.
        to: PathBuf,
    },
    /// The top-level META was missing and has been written from the epoch's.
    Repaired,
    /// A snapshot's installation that was interrupted has been finished.
    Installed,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Notice::SetAside { epoch, why, to } => {
                write!(
                    f,
                    "epoch 0i{epoch} is unusable ({why}) and was set aside as {}; the one before it is used",
                    to.display()
                )
            }
            Notice::Repaired => {
                f.write_str("the event log's top-level META was missing and has been written again")
            }
            Notice::Installed => f.write_str("an interrupted installation of a snapshot has been finished"),
        }
    }
}

/// An event log that was opened, and what was found.
#[derive(Debug)]
pub(crate) struct Opened {
    /// The log.
    pub(crate) log: EventLog,
    /// How far Raft's log is applied; None where it never was.
    pub(crate) applied: Option<Applied>,
    /// Events of another runtime's: `append` is refused until [`EventLog::adopt`].
    pub(crate) foreign: Option<Foreign>,
    /// What else an operator should know; it has been logged.
    #[cfg_attr(not(test), expect(dead_code, reason = "for tests to look at"))]
    pub(crate) notices: Vec<Notice>,
}

impl EventLog {
    /// Makes the log of a new ship: its directories, epoch 0, the top-level META. Where that was begun for the same
    /// ship, and no event written, it is finished.
    ///
    /// # Errors
    /// When there is a log already, or it cannot be written.
    pub(crate) fn create(
        pier: &PierLock,
        ship: &ShipIdentity,
        options: EventLogOptions,
    ) -> Result<EventLog, EventLogOpenError> {
        let layout = Layout::new(pier.pier());
        let faults = Arc::clone(&options.faults);
        layout.create_dirs(&*faults)?;
        layout.settle(&*faults)?;
        layout.sweep(&*faults)?;
        if files::holds(layout.log(), DATA_FILE) {
            return Err(EventLogOpenError::Exists {
                path: layout.log().to_path_buf(),
            });
        }
        match layout.epochs()?[..] {
            [] => {
                let base = LogHash::starting_after(EventNumber::ZERO);
                roll::make_epoch(&layout, &options, ship, EventNumber::ZERO, &[], &base, None)?;
            }
            [EventNumber::ZERO] => {
                // A boot that was interrupted between the epoch and the top-level META.
                let epoch = Epoch::open(
                    EventNumber::ZERO,
                    &layout.epoch(EventNumber::ZERO),
                    MIN_MAP_BYTES,
                    &*faults,
                )?;
                let (last, meta) = (epoch.last()?, epoch.meta()?);
                Arc::new(epoch).closing().wait();
                if last > EventNumber::ZERO || meta.ship != *ship {
                    return Err(EventLogOpenError::Exists {
                        path: layout.log().to_path_buf(),
                    });
                }
            }
            _ => {
                return Err(EventLogOpenError::Exists {
                    path: layout.log().to_path_buf(),
                });
            }
        }
        write_top(&layout, ship, &options)?;
        let epoch = Epoch::open(
            EventNumber::ZERO,
            &layout.epoch(EventNumber::ZERO),
            options.map_bytes,
            &*faults,
        )?;
        start(layout, options, *ship, epoch, EventNumber::ZERO, None, true)
    }

    /// Opens the pier's log; None where there is none.
    ///
    /// # Errors
    /// When it is too old, too new, damaged, or cannot be read.
    pub(crate) fn open(
        pier: &PierLock,
        options: EventLogOptions,
    ) -> Result<Option<Opened>, EventLogOpenError> {
        let layout = Layout::new(pier.pier());
        let faults = Arc::clone(&options.faults);
        let mut notices = Vec::new();
        layout.settle(&*faults)?;
        if transfer::finish(&layout, &*faults)? {
            notices.push(Notice::Installed);
        }
        layout.sweep(&*faults)?;
        let top = read_top(&layout, &options)?;
        let epochs = layout.epochs()?;
        match (top, epochs.is_empty()) {
            (None, true) if !files::holds(layout.log(), DATA_FILE) => return Ok(None),
            (
                Some(Meta {
                    version: version @ (1 | 2),
                    ..
                }),
                _,
            ) => {
                return Err(EventLogOpenError::Old {
                    path: layout.log().to_path_buf(),
                    version,
                });
            }
            (Some(Meta { version, .. }), _) if version != meta::VERSION => {
                let found = format!("disk version {version}");
                return Err(EventLogOpenError::New {
                    path: layout.log().to_path_buf(),
                    found,
                });
            }
            (_, true) => {
                let found = "no directory is named 0i and a number".to_owned();
                return Err(EventLogOpenError::NoEpoch {
                    path: layout.log().to_path_buf(),
                    found,
                });
            }
            _ => {}
        }
        let (mut epoch, mut ship) = newest(&layout, &options, epochs, &mut notices)?;
        if top.is_none() {
            // Not while the epoch is open: a migrated pier's two lock files are one, and closing either frees both.
            let start = epoch.start();
            Arc::new(epoch).closing().wait();
            write_top(&layout, &ship, &options)?;
            notices.push(Notice::Repaired);
            epoch = Epoch::open(start, &layout.epoch(start), options.map_bytes, &*faults)?;
            ship = epoch.meta()?.ship;
        }
        let last = epoch.last()?;
        let applied = find_applied(&layout, &options, &epoch)?;
        let after = applied.as_ref().map_or(EventNumber::ZERO, Applied::event);
        if after > last {
            return Err(EventLogOpenError::Short {
                path: layout.log().to_path_buf(),
                last,
                applied: after,
            });
        }
        let foreign = (after < last).then(|| Foreign {
            after,
            count: last.since(after),
        });
        for notice in &notices {
            tracing::warn!("{notice}");
        }
        let log = start(
            layout,
            options,
            ship,
            epoch,
            last,
            applied.clone(),
            foreign.is_none(),
        )?;
        Ok(Some(Opened {
            log,
            applied,
            foreign,
            notices,
        }))
    }
}

/// The newest epoch that can be used, and whose it is. The newest of all may be unusable in two ways (no `epoc.txt`; or
/// neither events nor META): it is set aside once, as vere removes it once.
fn newest(
    layout: &Layout,
    options: &EventLogOptions,
    mut epochs: Vec<EventNumber>,
    notices: &mut Vec<Notice>,
) -> Result<(Epoch, ShipIdentity), EventLogOpenError> {
    let faults = &*options.faults;
    loop {
        let no_epoch = |found: &str| EventLogOpenError::NoEpoch {
            path: layout.log().to_path_buf(),
            found: found.to_owned(),
        };
        let start = epochs.pop().ok_or_else(|| no_epoch("none"))?;
        let path = layout.epoch(start);
        let why = match layout::read_text(&path, layout::EPOCH_TEXT)? {
            Some(version) if version == EPOCH_VERSION => {
                let epoch = Epoch::open(start, &path, options.map_bytes, faults)?;
                let (last, meta) = (epoch.last()?, epoch.meta());
                match meta {
                    Ok(meta) => return Ok((epoch, meta.ship)),
                    Err(EpochError::Meta {
                        source: MetaError::Lmdb(_),
                        ..
                    }) => return Err(meta_error(meta)),
                    Err(_) if last == start => {}
                    Err(_) => return Err(meta_error(meta)),
                }
                Arc::new(epoch).closing().wait();
                "it has neither events nor META"
            }
            Some(version) if !version.is_empty() && version.bytes().all(|b| b.is_ascii_digit()) => {
                return Err(EventLogOpenError::New {
                    path,
                    found: format!("epoch version {version}"),
                });
            }
            Some(version) => return Err(no_epoch(&format!("0i{start}/epoc.txt says `{version}`"))),
            None => "it has no epoc.txt",
        };
        if !notices
            .iter()
            .all(|notice| !matches!(notice, Notice::SetAside { .. }))
        {
            return Err(no_epoch("the two newest epochs are unusable"));
        }
        if epochs.is_empty() {
            return Err(no_epoch(&format!(
                "its only epoch, 0i{start}, is unusable: {why}"
            )));
        }
        let to = layout.bogus(start);
        files::rename(&path, &to, faults)?;
        files::sync_dir(layout.log(), faults)?;
        notices.push(Notice::SetAside {
            epoch: start,
            why,
            to,
        });
    }
}

fn meta_error(meta: Result<Meta, EpochError>) -> EventLogOpenError {
    match meta {
        Err(error) => EventLogOpenError::Epoch(error),
        Ok(_) => unreachable!("called with an error"),
    }
}

/// How far Raft's log was applied. A runtime that began an epoch of its own did not know of our record, which then lies
/// in an older one.
fn find_applied(
    layout: &Layout,
    options: &EventLogOptions,
    newest: &Epoch,
) -> Result<Option<Applied>, EventLogOpenError> {
    if let Some(applied) = newest.applied()? {
        return Ok(Some(applied));
    }
    for start in layout.epochs()?.into_iter().rev() {
        let path = layout.epoch(start);
        if start == newest.start() || !files::holds(&path, DATA_FILE) {
            continue;
        }
        let epoch = Epoch::open(start, &path, MIN_MAP_BYTES, &*options.faults)?;
        let applied = epoch.applied()?;
        Arc::new(epoch).closing().wait();
        if applied.is_some() {
            return Ok(applied);
        }
    }
    Ok(None)
}

/// The top-level META: None where there is none or it cannot be read, which vere takes for a pier from before it.
fn read_top(layout: &Layout, options: &EventLogOptions) -> Result<Option<Meta>, EventLogOpenError> {
    if !files::holds(layout.log(), DATA_FILE) {
        return Ok(None);
    }
    let path = layout.log();
    let env = lmdb::open_env(path, MIN_MAP_BYTES, &*options.faults)?;
    let read = || -> Result<Meta, MetaError> {
        let txn = env.read_txn()?;
        let table = env
            .open_database(&txn, Some(meta::TABLE))?
            .ok_or(MetaError::NoTable)?;
        meta::read(table, &txn)
    };
    let meta = read();
    lmdb::close_env(env);
    match meta {
        Ok(meta) => Ok(Some(meta)),
        Err(MetaError::Lmdb(source)) => Err(EnvError::Lmdb {
            path: path.to_path_buf(),
            source,
        }
        .into()),
        Err(_) => Ok(None),
    }
}

/// Writes the top-level META.
fn write_top(
    layout: &Layout,
    ship: &ShipIdentity,
    options: &EventLogOptions,
) -> Result<(), EventLogOpenError> {
    let faults = &*options.faults;
    let fill = |env: &lmdb::Env, path: &Path| -> Result<(), EnvError> {
        let mut txn = env.write_txn().within(path)?;
        let table = env.create_database(&mut txn, Some(meta::TABLE)).within(path)?;
        meta::write(table, &mut txn, ship).within(path)?;
        txn.commit().within(path)
    };
    let path = layout.log();
    if !files::holds(path, DATA_FILE) {
        return Ok(lmdb::create_env(path, faults, fill)?);
    }
    // One of another runtime's that lacks it, and may hold something else.
    let env = lmdb::open_env(path, MIN_MAP_BYTES, faults)?;
    let filled = fill(&env, path);
    lmdb::close_env(env);
    filled?;
    Ok(files::sync_dir(path, faults)?)
}

/// Starts the writer of an open log.
fn start(
    layout: Layout,
    options: EventLogOptions,
    ship: ShipIdentity,
    epoch: Epoch,
    last: EventNumber,
    applied: Option<Applied>,
    adopted: bool,
) -> Result<EventLog, EventLogOpenError> {
    let mut epochs: BTreeMap<_, _> = layout.epochs()?.into_iter().map(|start| (start, None)).collect();
    epochs.insert(epoch.start(), Some(Arc::new(epoch)));
    let durable = super::Durable {
        event: last,
        applied: applied.clone(),
        settled: 0,
        ended: false,
    };
    let shared = Arc::new(Shared {
        health: Health::of_event_log(&layout, &options.alarm),
        layout,
        options,
        ship,
        recent: Mutex::new(Recent::new(last, EVENT_LOG_RECENT_BYTES)),
        epochs: RwLock::new(epochs),
        durable: watch::Sender::new(durable),
        urgent: AtomicU64::new(0),
        room: Semaphore::new(EVENT_LOG_PENDING_BYTES / KIB),
        pins: Mutex::new(BTreeMap::new()),
        marks: Mutex::new(VecDeque::new()),
        adopted: AtomicBool::new(adopted),
        woken: AtomicBool::new(false),
    });
    let (sender, receiver) = crossbeam_channel::bounded(EVENT_LOG_COMMANDS);
    let writer = Writer::new(Arc::clone(&shared), receiver, applied);
    if simulated::is_on() {
        tokio::spawn(writer.run_simulated());
    } else {
        thread::Builder::new()
            .name("event-log".to_owned())
            .spawn(move || writer.run_guarded())
            .map_err(EventLogOpenError::Thread)?;
    }
    Ok(EventLog {
        shared,
        commands: sender,
        turn: Arc::default(),
    })
}
