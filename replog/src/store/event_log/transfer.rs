//! The newest epoch as a snapshot for another member: reading it here, receiving it there.
//!
//! A snapshot is what vere calls an epoch: the serf's image at event N and the events after it, up to the last one that
//! is on disk with the record of Raft's log there. Both stay as they are while they are read: images never change,
//! events are only added, and the epoch is pinned against `chop`.
//!
//! It is received in a directory of its own (`seguro-incoming`), which survives a restart: `begin` goes on where the
//! last attempt ended, if the offer is of the same epoch. Nothing of it counts until it is whole and has been checked: images
//! by their crc32c, events by the running hash. Then it takes the log's place:
//!
//! 1. `seguro-replaces` is written into it: from here on the replacement happens, if need be at the next open.
//! 2. It is renamed to `0i<N>` (or exchanged with the one that is there).
//! 3. The other epochs are dropped, and `seguro-replaces` goes.

use super::{
    EventLog, Shared,
    epoch::{Epoch, EpochError},
    hash::LogHash,
    layout::{self, IMAGES, Layout, REPLACES},
    seguro::{Applied, EpochFile},
};
use crate::{
    errors::ReadError,
    limits::{EPOCH_TEXT_BYTES, EVENT_LOG_GROUP_BYTES, EVENT_LOG_MAP_BYTES, READ_EVENTS},
    raft::codec,
    store::{
        fault::{Faults, Step},
        files::{self, At, FileError},
        lmdb::EnvError,
        lock, sealed,
    },
    types::{Event, ShipIdentity},
};
use bytes::Bytes;
use seguro_event::EventNumber;
use serde::{Deserialize, Serialize};
use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// What the offered snapshot is kept as while it is being received.
const HEAD: &str = "seguro-head";
/// The most bytes of it.
const HEAD_BYTES: u64 = codec::LIMIT + 8;

/// What a snapshot is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SnapshotHead {
    /// The epoch: its image is that of this event, its events follow it.
    pub(crate) epoch: EventNumber,
    /// Whose ship.
    pub(crate) ship: ShipIdentity,
    /// What the epoch's `vere.txt` says.
    pub(crate) vere_version: String,
    /// The image's files; none in epoch 0.
    pub(crate) images: Vec<EpochFile>,
    /// A position of the running hash in the epoch from which the events can be checked.
    pub(crate) base: LogHash,
    /// The running hash at the snapshot's last event.
    pub(crate) hash: LogHash,
    /// The raft layer's record there.
    pub(crate) raft: Bytes,
}

impl SnapshotHead {
    /// The snapshot's last event.
    pub(crate) fn last(&self) -> EventNumber {
        self.hash.at
    }

    /// Whether what was received of `other` is good for this one as well: the same epoch, perhaps more of it.
    fn continues(&self, other: &SnapshotHead) -> bool {
        let same = SnapshotHead {
            hash: self.hash,
            raft: self.raft.clone(),
            ..other.clone()
        };
        *self == same && self.last() >= other.last()
    }

    /// A head comes from a peer: nothing in it may reach out of its directory or contradict itself.
    fn check(&self) -> Result<(), IncomingError> {
        let known = |file: &EpochFile| IMAGES.contains(&file.name.as_str());
        let twice = self
            .images
            .iter()
            .enumerate()
            .any(|(i, a)| self.images[..i].iter().any(|b| a.name == b.name));
        // There is always a next event.
        let order = self.epoch <= self.base.at
            && self.base.at <= self.hash.at
            && self.hash.at.0 < u64::MAX
            && self.base.from == self.hash.from;
        let text = self.vere_version.len() as u64 <= EPOCH_TEXT_BYTES
            && !self.vere_version.is_empty()
            && self.vere_version.bytes().all(|b| b.is_ascii_graphic());
        match () {
            () if !self.images.iter().all(known) || twice => {
                Err(IncomingError::Offer("it has strange files"))
            }
            () if !order => Err(IncomingError::Offer("its numbers contradict each other")),
            () if !text => Err(IncomingError::Offer("its version text is none")),
            () if self.epoch > EventNumber::ZERO && self.images.is_empty() => {
                Err(IncomingError::Offer("it has no image"))
            }
            () => Ok(()),
        }
    }
}

/// Why a snapshot could not be received.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IncomingError {
    /// What the peer offers is none.
    #[error("the offered snapshot is not one: {0}")]
    Offer(&'static str),
    /// A piece that does not follow the one before.
    #[error("a piece of the snapshot at {found} came where {expected} belongs")]
    Order {
        /// Where the next piece begins: a byte of an image, or an event's number.
        expected: u64,
        /// Where the piece given does.
        found: u64,
    },
    /// What was received is not what was offered; it has been thrown away, and must be sent again.
    #[error("the snapshot's {what} arrived damaged or incomplete; it must be sent again")]
    Damaged {
        /// Which part.
        what: String,
    },
    /// It cannot be written. What has been received stays for another attempt.
    #[error("the snapshot cannot be received: {0}")]
    Disk(#[from] EpochError),
}

impl From<FileError> for IncomingError {
    fn from(error: FileError) -> IncomingError {
        IncomingError::Disk(error.into())
    }
}

// ---------------------------------------------------------------------------------------------------------------
// Reading

/// The newest epoch, held for reading.
#[derive(Debug)]
pub(crate) struct EpochSnapshot {
    pin: Pin,
    head: SnapshotHead,
}

impl EventLog {
    /// The newest epoch with what is on disk of it: `sync` first. Reads the image where another runtime made the epoch: not
    /// for a thread that must not wait. None before anything came through Raft.
    ///
    /// # Errors
    /// When the store has failed, was closed, or is found damaged.
    pub(crate) fn snapshot(&self) -> Result<Option<EpochSnapshot>, ReadError> {
        let shared = &self.shared;
        loop {
            let Some(epoch) = shared.current() else {
                return Err(shared.unreadable());
            };
            let Some(applied) = shared.durable.borrow().applied.clone() else {
                return Ok(None);
            };
            let start = epoch.start();
            let pin = Pin::new(shared, start);
            if applied.event() < start || shared.current().is_none_or(|now| now.start() != start) {
                // An epoch was begun in between.
                continue;
            }
            let head = shared
                .head_of(&epoch, applied)
                .map_err(|error| shared.damaged(&error))?;
            return Ok(Some(EpochSnapshot { pin, head }));
        }
    }
}

/// Keeps an epoch from being dropped.
#[derive(Debug)]
struct Pin {
    shared: Arc<Shared>,
    start: EventNumber,
}

impl Pin {
    fn new(shared: &Arc<Shared>, start: EventNumber) -> Pin {
        *lock(&shared.pins).entry(start).or_insert(0) += 1;
        Pin {
            shared: Arc::clone(shared),
            start,
        }
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut pins = lock(&self.shared.pins);
        if let Some(count) = pins.get_mut(&self.start) {
            *count -= 1;
            if *count == 0 {
                pins.remove(&self.start);
            }
        }
    }
}

impl Shared {
    fn head_of(&self, epoch: &Epoch, applied: Applied) -> Result<SnapshotHead, EpochError> {
        let hash = applied.hash;
        let base = match epoch.base()? {
            Some(base) if base.from == hash.from && base.at <= hash.at => base,
            _ if hash.from >= epoch.start() => LogHash::starting_after(hash.from),
            _ => hash,
        };
        let images = match epoch.images()? {
            Some(images) => images,
            None => images_in(epoch.path())?,
        };
        let vere_version = layout::read_text(epoch.path(), layout::VERE_TEXT)?
            .filter(|text| !text.is_empty())
            .unwrap_or_else(|| self.options.vere_version.clone());
        Ok(SnapshotHead {
            epoch: epoch.start(),
            ship: self.ship,
            vere_version,
            images,
            base,
            hash,
            raft: applied.raft,
        })
    }
}

/// The images in an epoch's directory.
fn images_in(path: &Path) -> Result<Vec<EpochFile>, FileError> {
    let mut images = Vec::new();
    for name in IMAGES {
        if let Some((length, crc)) = files::checksum(&path.join(name))? {
            images.push(EpochFile {
                name: name.to_owned(),
                length,
                crc,
            });
        }
    }
    Ok(images)
}

impl EpochSnapshot {
    /// What it is.
    pub(crate) fn head(&self) -> &SnapshotHead {
        &self.head
    }

    /// Bytes of an image from `offset` on, as many as `buffer` holds; fewer only at the file's end.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn read_image(&self, name: &str, offset: u64, buffer: &mut [u8]) -> Result<usize, FileError> {
        let path = self.pin.shared.layout.epoch(self.head.epoch).join(name);
        let file = File::open(&path).at("cannot open", &path)?;
        let mut filled = 0;
        while filled < buffer.len() {
            match file
                .read_at(&mut buffer[filled..], offset + filled as u64)
                .at("cannot read", &path)?
            {
                0 => break,
                count => filled += count,
            }
        }
        Ok(filled)
    }

    /// Its events from `from` on, within the limits, as [`EventLog::read`]; none after the last.
    ///
    /// # Errors
    /// As [`EventLog::read`].
    pub(crate) fn read_events(
        &self,
        from: EventNumber,
        max_events: usize,
        max_bytes: usize,
    ) -> Result<Vec<Event>, ReadError> {
        let left = self.head.last().next().since(from).min(READ_EVENTS as u64) as usize;
        if left == 0 {
            return Ok(Vec::new());
        }
        self.pin.shared.read(from, max_events.min(left), max_bytes)
    }
}

// ---------------------------------------------------------------------------------------------------------------
// Receiving

/// An epoch that is being received.
#[derive(Debug)]
pub(crate) struct IncomingEpoch {
    layout: Layout,
    head: SnapshotHead,
    epoch: Epoch,
    last: EventNumber,
    /// The running hash, once the events have reached the head's base.
    hash: LogHash,
    images: Vec<(File, u64)>,
    faults: Arc<dyn Faults>,
    scratch: Vec<u8>,
}

/// An epoch that was received whole and has been checked.
#[derive(Debug)]
pub(crate) struct CompleteEpoch {
    layout: Layout,
    head: SnapshotHead,
}

impl IncomingEpoch {
    /// Begins to receive what a peer offers, or goes on where the last attempt ended.
    ///
    /// # Errors
    /// When the offer is none, or nothing can be written.
    pub(crate) fn begin(
        pier: &Path,
        head: SnapshotHead,
        faults: Arc<dyn Faults>,
    ) -> Result<IncomingEpoch, IncomingError> {
        head.check()?;
        let layout = Layout::new(pier);
        layout.create_dirs(&*faults)?;
        let dir = layout.incoming();
        if !read_head(&dir)?.is_some_and(|old| head.continues(&old)) {
            files::remove_dir(&dir, &*faults)?;
            files::create_dir(&dir, &*faults)?;
            layout::write_texts(&dir, &head.vere_version, &*faults)?;
            Epoch::create(&dir, &head.ship, Some(&head.base), &head.images, None, &*faults)?;
        }
        // Last: a directory with a head in it is one that can be continued.
        files::write_atomically(&dir, HEAD, &sealed::seal(&codec::encode(&head)), &*faults)?;
        let epoch = Epoch::open(head.epoch, &dir, EVENT_LOG_MAP_BYTES, &*faults)?;
        let last = epoch.last()?;
        let mut images = Vec::new();
        for image in &head.images {
            images.push(open_image(&dir.join(&image.name), image.length)?);
        }
        let hash = head.base;
        let mut incoming = IncomingEpoch {
            layout,
            head,
            epoch,
            last: hash.at,
            hash,
            images,
            faults,
            scratch: Vec::new(),
        };
        incoming.hash_held(last)?;
        incoming.last = last;
        Ok(incoming)
    }

    /// Hashes what an earlier attempt received.
    fn hash_held(&mut self, last: EventNumber) -> Result<(), IncomingError> {
        while self.hash.at < last {
            let (mut events, mut bytes) = (Vec::new(), 0);
            let limits = (READ_EVENTS, EVENT_LOG_GROUP_BYTES);
            self.epoch
                .read(self.hash.at.next(), last, limits, &mut bytes, &mut events)?;
            events.iter().for_each(|event| self.hash.add(event));
        }
        Ok(())
    }

    /// What is being received.
    pub(crate) fn head(&self) -> &SnapshotHead {
        &self.head
    }

    /// How many bytes of each image are there, in the head's order.
    pub(crate) fn image_lengths(&self) -> Vec<u64> {
        self.images.iter().map(|(_, length)| *length).collect()
    }

    /// The last event that is there, the epoch's number if none is.
    pub(crate) fn last(&self) -> EventNumber {
        self.last
    }

    /// Takes the next bytes of the image `nth`.
    ///
    /// # Errors
    /// When they are not the next ones, or cannot be written.
    pub(crate) fn write_image(&mut self, nth: usize, offset: u64, bytes: &[u8]) -> Result<(), IncomingError> {
        let (Some((file, length)), Some(image)) = (self.images.get_mut(nth), self.head.images.get(nth))
        else {
            return Err(IncomingError::Offer("it has no such file"));
        };
        if offset != *length || offset + bytes.len() as u64 > image.length {
            return Err(IncomingError::Order {
                expected: *length,
                found: offset,
            });
        }
        let path = self.layout.incoming().join(&image.name);
        self.faults.at(Step::WriteFile, &path).at("cannot write", &path)?;
        file.write_all(bytes).at("cannot write", &path)?;
        *length += bytes.len() as u64;
        Ok(())
    }

    /// Takes the next events; they are synced on return.
    ///
    /// # Errors
    /// When they are not the next ones, or cannot be written.
    pub(crate) fn append(&mut self, events: &[Event]) -> Result<(), IncomingError> {
        let mut expected = self.last.next();
        for event in events {
            if event.number != expected || event.number > self.head.last() {
                return Err(IncomingError::Order {
                    expected: expected.0,
                    found: event.number.0,
                });
            }
            expected = expected.next();
        }
        // How far Raft's log is applied is only recorded when all is there.
        let nothing = Applied {
            hash: LogHash::starting_after(self.head.epoch),
            raft: Bytes::new(),
        };
        self.epoch
            .commit(self.last, events, &nothing, &mut self.scratch, &*self.faults)
            .map_err(|source| self.lmdb(source))?;
        for event in events {
            if event.number > self.hash.at {
                self.hash.add(event);
            }
            self.last = event.number;
        }
        Ok(())
    }

    fn lmdb(&self, source: heed::Error) -> EpochError {
        EpochError::Env(EnvError::Lmdb {
            path: self.layout.incoming(),
            source,
        })
    }

    /// Checks that all is there and is what was offered, and makes it durable.
    ///
    /// # Errors
    /// When it is not: what is damaged is thrown away. Or when it cannot be written.
    pub(crate) fn complete(self) -> Result<CompleteEpoch, IncomingError> {
        let faults = Arc::clone(&self.faults);
        let dir = self.layout.incoming();
        for (image, (file, length)) in self.head.images.iter().zip(&self.images) {
            let path = dir.join(&image.name);
            files::sync_file(file, &path, &*faults)?;
            if *length != image.length {
                return Err(IncomingError::Damaged {
                    what: image.name.clone(),
                });
            }
            if files::checksum(&path)? != Some((image.length, image.crc)) {
                files::remove_file(&path, &*faults)?;
                return Err(IncomingError::Damaged {
                    what: image.name.clone(),
                });
            }
        }
        if self.last != self.head.last() {
            return Err(IncomingError::Damaged {
                what: format!("events after {}", self.last),
            });
        }
        if self.hash != self.head.hash {
            // Which event it is cannot be known.
            files::remove_dir(&dir, &*faults)?;
            return Err(IncomingError::Damaged {
                what: "events".to_owned(),
            });
        }
        let applied = Applied {
            hash: self.head.hash,
            raft: self.head.raft.clone(),
        };
        self.epoch
            .commit(self.last, &[], &applied, &mut Vec::new(), &*faults)
            .map_err(|source| self.lmdb(source))?;
        let IncomingEpoch {
            layout, head, epoch, ..
        } = self;
        Arc::new(epoch).closing().wait();
        files::sync_dir(&dir, &*faults)?;
        Ok(CompleteEpoch { layout, head })
    }
}

/// Opens an image to go on writing it.
fn open_image(path: &Path, limit: u64) -> Result<(File, u64), FileError> {
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .at("cannot create", path)?;
    let length = file.metadata().at("cannot look at", path)?.len();
    if length > limit {
        file.set_len(0).at("cannot shorten", path)?;
        return Ok((file, 0));
    }
    Ok((file, length))
}

/// What is being received in `dir`, if that can be continued.
fn read_head(dir: &Path) -> Result<Option<SnapshotHead>, FileError> {
    let Some(bytes) = files::read_small(&dir.join(HEAD), HEAD_BYTES)? else {
        return Ok(None);
    };
    Ok(sealed::unseal(&bytes)
        .ok()
        .and_then(|body| codec::decode("a snapshot's head", body).ok()))
}

impl CompleteEpoch {
    /// What it is.
    pub(crate) fn head(&self) -> &SnapshotHead {
        &self.head
    }

    /// Puts it into the log's place. Interrupted anywhere, [`finish`] does the rest.
    pub(super) fn put_in_place(self, faults: &dyn Faults) -> Result<(), FileError> {
        let text = format!("0i{}", self.head.epoch);
        files::write_atomically(&self.layout.incoming(), REPLACES, text.as_bytes(), faults)?;
        finish(&self.layout, faults).map(|_| ())
    }
}

/// Finishes a replacement of the log that was begun; true if there was one.
pub(super) fn finish(layout: &Layout, faults: &dyn Faults) -> Result<bool, FileError> {
    let incoming = layout.incoming();
    if files::holds(&incoming, REPLACES)
        && let Some(head) = read_head(&incoming)?
    {
        let target = layout.epoch(head.epoch);
        if target.exists() {
            exchange(&incoming, &target, faults)?;
        } else {
            files::rename(&incoming, &target, faults)?;
        }
        files::sync_dir(layout.log(), faults)?;
    }
    let mut replacing = None;
    for start in layout.epochs()? {
        if files::holds(&layout.epoch(start), REPLACES) {
            replacing = Some(start);
        }
    }
    let Some(start) = replacing else { return Ok(false) };
    // An exchanged epoch lies where the incoming one was; it has no head.
    if incoming.exists() && read_head(&incoming)?.is_none() {
        files::remove_dir(&incoming, faults)?;
    }
    for other in layout.epochs()? {
        if other != start {
            layout.drop_epoch(other, faults)?;
        }
    }
    let epoch = layout.epoch(start);
    files::remove_file(&epoch.join(HEAD), faults)?;
    files::remove_file(&epoch.join(REPLACES), faults)?;
    files::sync_dir(&epoch, faults)?;
    Ok(true)
}

/// Lets two directories take each other's place: at once where the system can, else the target goes first.
fn exchange(incoming: &PathBuf, target: &PathBuf, faults: &dyn Faults) -> Result<(), FileError> {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
        faults.at(Step::Rename, incoming).at("cannot rename", incoming)?;
        match renameat2(AT_FDCWD, incoming, AT_FDCWD, target, RenameFlags::RENAME_EXCHANGE) {
            Ok(()) => return Ok(()),
            Err(nix::errno::Errno::ENOSYS | nix::errno::Errno::EINVAL) => {}
            Err(error) => return Err(io::Error::from(error)).at("cannot rename", incoming),
        }
    }
    files::remove_dir(target, faults)?;
    files::rename(incoming, target, faults)
}

/// Reads bytes as a snapshot's head, as a peer or the disk gives it.
pub(super) fn fuzz(bytes: &[u8]) {
    if let Ok(head) = codec::decode::<SnapshotHead>("a snapshot's head", bytes)
        && head.check().is_ok()
    {
        assert!(
            head.images
                .iter()
                .all(|image| IMAGES.contains(&image.name.as_str())),
            "no strange files"
        );
    }
}
