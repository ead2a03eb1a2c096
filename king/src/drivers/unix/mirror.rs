//! The mounts as this driver knows them, and what it does to their files (`spec/drivers.md` section 5).
//!
//! Of each file the driver remembers what the ship last said is in it. A file that differs from that was edited here: it is told to the
//! ship at a commit, and a change in the ship does not overwrite it.

use super::{
    disk::{Digest, Disk},
    names::{FileName, MountName},
    record::Record,
    shapes::Change,
};
use crate::{console, limits};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

/// A mount.
pub(super) struct Mount {
    /// What the ship last had in each file that is, or was, on disk; None where only the disk is known.
    pub(super) files: BTreeMap<FileName, Option<Digest>>,
    /// Whether the disk shows the ship's state but for what was edited here. Where that is not known nothing is committed:
    /// another machine's changes would be undone.
    pub(super) is_sound: bool,
}

/// All mounts, the disk, and the record.
pub(super) struct Mirror {
    pub(super) disk: Disk,
    pub(super) record: Record,
    pub(super) mounts: BTreeMap<MountName, Mount>,
    /// What was said once already.
    said: BTreeSet<String>,
}

impl Mirror {
    pub(super) fn new(disk: Disk) -> Mirror {
        Mirror {
            record: Record::open(&disk),
            disk,
            mounts: BTreeMap::new(),
            said: BTreeSet::new(),
        }
    }

    /// Registers a mount with the files that are on disk, which nobody else can have changed in the ship: this machine is alone.
    pub(super) fn scan(&mut self, mount: &MountName) {
        let found = match self.disk.walk(mount, |file| self.record.last(file).is_some()) {
            Ok(found) => found,
            Err(error) => {
                complain(mount.as_str(), "is not scanned", &error);
                return;
            }
        };
        self.pass_over(found.passed_over);
        let known = self.mounts.entry(mount.clone()).or_insert_with(Mount::sound);
        for file in found.files {
            let last = self.record.last(&file);
            known.files.entry(file).or_insert(last);
        }
    }

    /// Files changed in the ship.
    pub(super) fn ergo(&mut self, mount: &MountName, changes: Vec<Change>) {
        let mut named = Vec::with_capacity(changes.len());
        for change in changes {
            match FileName::of(mount, &change.path) {
                Some(file) => named.push((file, change.data)),
                None => tracing::warn!(
                    target: console::TARGET,
                    "unix: %{}: no file can have the path /{}: not written", mount.as_str(), change.path.join("/")
                ),
            }
        }
        // A file that is written is in the record, whenever this process ends.
        for (file, data) in &named {
            if let Some(data) = data {
                self.record.note(file, Digest::of(data));
            }
        }
        self.record.flush();
        for (file, data) in named {
            self.ergo_file(mount, file, data);
        }
        if self.record.is_long() {
            self.begin_record();
        }
    }

    fn ergo_file(&mut self, mount: &MountName, file: FileName, data: Option<Vec<u8>>) {
        let files = &mut self
            .mounts
            .entry(mount.clone())
            .or_insert_with(Mount::sound)
            .files;
        let Some(data) = data else {
            if files.remove(&file).is_some()
                && let Err(error) = self.disk.remove(&file)
            {
                complain(file.as_str(), "cannot be removed", &error);
            }
            return;
        };
        let remembered = files.get(&file).copied();
        let digest = Digest::of(&data);
        if let Some(remembered) = remembered {
            match self.disk.read(&file, u64::MAX) {
                Ok(None) => {}
                Ok(Some(there)) => {
                    let there = Digest::of(&there);
                    if Some(there) != remembered && !(remembered.is_none() && self.record.had(&file, there)) {
                        // Edited here: the edit stays, and the next commit tells it.
                        files.insert(file, Some(digest));
                        return;
                    }
                }
                Err(error) => {
                    complain(file.as_str(), "cannot be read, and is not overwritten", &error);
                    return;
                }
            }
        }
        match self.disk.write(&file, &data) {
            Ok(()) => {
                files.insert(file, Some(digest));
            }
            // Unknown rather than gone: what is not on disk was not deleted by anybody.
            Err(error) => {
                files.remove(&file);
                complain(file.as_str(), "cannot be written", &error);
            }
        }
    }

    /// What differs from the ship, for its commit; None where nothing can be said, which is not the same as no change.
    pub(super) fn changes(&mut self, mount: &MountName) -> Option<Vec<Change>> {
        let known = self.mounts.get_mut(mount)?;
        if !known.is_sound {
            tracing::error!(
                target: console::TARGET,
                "unix: %{}: not committed: what the ship has there is not known on this machine; |unmount and |mount it again", mount.as_str()
            );
            return None;
        }
        let found = match self.disk.walk(mount, |file| known.files.contains_key(file)) {
            Ok(found) => found,
            Err(error) => {
                complain(mount.as_str(), "is not committed", &error);
                return None;
            }
        };
        for file in found.files {
            known.files.entry(file).or_insert(None);
        }
        let (mut changes, mut gone, mut room) = (Vec::new(), Vec::new(), limits::UNIX_COMMIT_BYTES);
        for (file, remembered) in &known.files {
            let change = |data| Change {
                path: file.path(mount),
                data,
            };
            match self.disk.read(file, room) {
                Ok(None) => {
                    changes.push(change(None));
                    gone.push(file.clone());
                }
                Ok(Some(data)) if Some(Digest::of(&data)) == *remembered => {}
                Ok(Some(data)) => {
                    room -= data.len() as u64;
                    changes.push(change(Some(data)));
                }
                Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                    tracing::error!(
                        target: console::TARGET,
                        "unix: %{}: not committed: its changes up to {} are more than the {} bytes that one event can carry",
                        mount.as_str(), file.as_str(), limits::UNIX_COMMIT_BYTES
                    );
                    return None;
                }
                Err(error) => complain(file.as_str(), "cannot be read", &error),
            }
        }
        for file in gone {
            known.files.remove(&file);
        }
        self.pass_over(found.passed_over);
        Some(changes)
    }

    /// Forgets a mount and removes its files: all of its directory, as vere does, and files beside it that the ship knows.
    pub(super) fn ogre(&mut self, mount: &MountName) {
        let Some(known) = self.mounts.remove(mount) else {
            tracing::info!(target: console::TARGET, "mount point already gone: {}", mount.as_str());
            return;
        };
        if let Err(error) = self.disk.remove_tree(mount) {
            complain(mount.as_str(), "cannot be removed", &error);
        }
        for file in known.files.keys().filter(|file| file.split_mount().is_none()) {
            if let Err(error) = self.disk.remove(file) {
                complain(file.as_str(), "cannot be removed", &error);
            }
        }
    }

    /// Removes what the record says was written for mounts that the ship has no more: they were unmounted while another machine led.
    /// What was edited stays.
    pub(super) fn clear_unmounted(&mut self, mounted: &BTreeSet<MountName>) {
        let left: Vec<FileName> = self
            .record
            .files()
            .filter(|file| !mounted.iter().any(|mount| file.is_of(mount)))
            .cloned()
            .collect();
        let mut edited = Vec::new();
        let mut directories = BTreeSet::new();
        for file in left {
            match self.disk.read(&file, u64::MAX) {
                Ok(Some(data)) if self.record.had(&file, Digest::of(&data)) => {
                    if let Err(error) = self.disk.remove(&file) {
                        complain(file.as_str(), "cannot be removed", &error);
                    }
                }
                Ok(None) => {}
                Ok(Some(_)) | Err(_) => edited.push(file.as_str().to_owned()),
            }
            if let Some((mount, _)) = file.split_mount() {
                directories.insert(mount.to_owned());
            }
        }
        // Walking removes directories that are empty now.
        for mount in directories.iter().filter_map(|name| MountName::on_disk(name)) {
            let _ = self.disk.walk(&mount, |_| false);
        }
        name_edits(
            "edited here and not committed, in a mount that the ship no longer has: they stay",
            &edited,
        );
    }

    /// Files that were edited here and not committed.
    pub(super) fn edits(&self, go_on: impl Fn() -> bool) -> Vec<String> {
        let mut edited = Vec::new();
        for (mount, known) in self.mounts.iter().filter(|(_, known)| known.is_sound) {
            let found = self.disk.walk(mount, |file| known.files.contains_key(file));
            let found = found.map(|found| found.files).unwrap_or_default();
            let all: BTreeSet<&FileName> = found.iter().chain(known.files.keys()).collect();
            for file in all {
                if !go_on() {
                    return edited;
                }
                let there = match self.disk.read(file, limits::UNIX_COMMIT_BYTES) {
                    Ok(data) => data.as_deref().map(Digest::of),
                    Err(_) => continue,
                };
                if there != known.files.get(file).copied().flatten() {
                    edited.push(file.as_str().to_owned());
                }
            }
        }
        edited
    }

    /// The record begins anew with what is known now.
    pub(super) fn begin_record(&mut self) {
        let files = self.mounts.values().flat_map(|mount| &mount.files);
        self.record
            .begin(files.filter_map(|(file, digest)| Some((file, (*digest)?))));
    }

    pub(super) fn pass_over(&mut self, names: Vec<String>) {
        for name in names {
            if self.said.len() < limits::UNIX_SAID && self.said.insert(name.clone()) {
                tracing::warn!(
                    target: console::TARGET,
                    "unix: {name}: neither a file nor a directory (symbolic links are not followed): passed over"
                );
            }
        }
    }
}

impl Mount {
    pub(super) fn sound() -> Mount {
        Mount {
            files: BTreeMap::new(),
            is_sound: true,
        }
    }
}

/// Says which files somebody edited, up to a number.
pub(super) fn name_edits(what: &str, files: &[String]) {
    if files.is_empty() {
        return;
    }
    let named = files.iter().take(limits::UNIX_NAMED).cloned().collect::<Vec<_>>();
    let more = match files.len() - named.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    tracing::warn!(target: console::TARGET, "unix: {what}: {}{more}", named.join(", "));
}

pub(super) fn complain(what: &str, outcome: &str, error: &io::Error) {
    tracing::error!(target: console::TARGET, "unix: {what} {outcome}: {error}");
}
