//! A mount on a machine that has just been elected: what lies on its disk may be nothing, or what the ship had when this machine last led.
//!
//! Each file is held against the ship and against the record of what the ship has ever been written here:
//!
//! | on disk | in the ship | |
//! | --- | --- | --- |
//! | nothing | a file | written anew: never read as deleted |
//! | as in the ship | | as it is |
//! | what the ship once had | another, or none | out of date: written anew, or removed |
//! | what it never had | what this machine knew, or none ever | edited here: stays for the next commit, and is named |
//! | what it never had | changed since, or deleted | edited here and changed there: set aside, named, and written anew |
//!
//! Without a record (a pier of vere's, or of a ship that was alone) nobody knows what is out of date: what differs is set aside.

use super::{
    beam::Beam,
    disk::Digest,
    mirror::{Mirror, Mount, complain, name_edits},
    names::{FileName, MountName},
    ship::{Over, Ship, ShipFile},
};
use crate::console;
use serf_ipc::text;
use std::collections::BTreeSet;

/// What was done to a mount.
#[derive(Default)]
struct Tally {
    written: usize,
    removed: usize,
    unreadable: usize,
    edited: Vec<String>,
    aside: Vec<String>,
}

/// Brings a mount to what the ship has.
///
/// # Errors
/// When the office ends meanwhile. The mount is not sound then.
pub(super) fn restore(
    mirror: &mut Mirror,
    ship: &Ship,
    mount: &MountName,
    shows: Beam,
    stamp: &str,
) -> Result<(), Over> {
    let unsound = Mount {
        is_sound: false,
        ..Mount::sound()
    };
    mirror.mounts.insert(mount.clone(), unsound);
    let (whose, desk) = (text::p::format(shows.ship), shows.desk.clone());
    let Some(desk) = ship.desk(shows)? else {
        tracing::warn!(
            target: console::TARGET,
            "unix: %{}: what is mounted there, of {whose}'s %{desk}, cannot be read from the ship: nothing is written there, and nothing \
             committed from this machine, until |unmount and |mount", mount.as_str()
        );
        return Ok(());
    };
    let found = match mirror.disk.walk(mount, |_| true) {
        Ok(found) => found,
        Err(error) => {
            complain(mount.as_str(), "cannot be restored", &error);
            return Ok(());
        }
    };
    mirror.pass_over(found.passed_over);
    let is_recorded = mirror.record.knows(mount);
    let (mut tally, mut seen) = (Tally::default(), BTreeSet::new());
    ship.read(&desk, |file| {
        if let Some(name) = one(mirror, mount, file, stamp, &mut tally) {
            seen.insert(name);
        }
    })?;
    for file in found.files.difference(&seen) {
        left(mirror, file, is_recorded, stamp, &mut tally);
    }
    mirror.record.flush();
    if let Some(mount) = mirror.mounts.get_mut(mount) {
        mount.is_sound = true;
    }
    let Tally {
        written,
        removed,
        unreadable,
        edited,
        aside,
    } = tally;
    tracing::info!(mount = %mount.as_str(), files = seen.len(), written, removed, unreadable, "unix: the mount is as the ship has it");
    name_edits(
        "edited here and not committed, kept for the next |commit",
        &edited,
    );
    name_edits("edited here and changed in the ship since, set aside", &aside);
    Ok(())
}

/// One of the ship's files; its name, unless there is none for it.
fn one(
    mirror: &mut Mirror,
    mount: &MountName,
    (path, data): ShipFile,
    stamp: &str,
    tally: &mut Tally,
) -> Option<FileName> {
    let Some(name) = FileName::of(mount, &path) else {
        tracing::warn!(target: console::TARGET, "unix: no file can have the path /{}: not written", path.join("/"));
        return None;
    };
    let Some(data) = data else {
        tracing::warn!(target: console::TARGET, "unix: {}: the ship does not tell its contents: left as it is", name.as_str());
        tally.unreadable += 1;
        return Some(name);
    };
    let digest = Digest::of(&data);
    let there = match mirror.disk.read(&name, u64::MAX) {
        Ok(there) => there,
        Err(error) => {
            complain(name.as_str(), "cannot be read, and is not written anew", &error);
            return Some(name);
        }
    };
    let was_known = mirror.record.had(&name, digest);
    let write = match there {
        None => true,
        Some(there) if Digest::of(&there) == digest => false,
        Some(there) if mirror.record.had(&name, Digest::of(&there)) => true,
        Some(_) if was_known => {
            tally.edited.push(name.as_str().to_owned());
            false
        }
        Some(there) => set_aside(mirror, &name, &there, stamp, tally),
    };
    mirror.record.note(&name, digest);
    if write {
        mirror.record.flush();
        if let Err(error) = mirror.disk.write(&name, &data) {
            // It is not among the mount's files: what is not on disk was not deleted by anybody.
            complain(name.as_str(), "cannot be written", &error);
            return Some(name);
        }
        tally.written += 1;
    }
    if let Some(mount) = mirror.mounts.get_mut(mount) {
        mount.files.insert(name.clone(), Some(digest));
    }
    Some(name)
}

/// A file on disk that the ship has not.
fn left(mirror: &mut Mirror, file: &FileName, is_recorded: bool, stamp: &str, tally: &mut Tally) {
    let there = match mirror.disk.read(file, u64::MAX) {
        Ok(Some(there)) => there,
        Ok(None) => return,
        Err(error) => return complain(file.as_str(), "cannot be read", &error),
    };
    if mirror.record.had(file, Digest::of(&there)) {
        match mirror.disk.remove(file) {
            Ok(()) => tally.removed += 1,
            Err(error) => complain(file.as_str(), "cannot be removed", &error),
        }
    } else if mirror.record.last(file).is_some() || !is_recorded && is_new(file) {
        set_aside(mirror, file, &there, stamp, tally);
    } else if is_new(file) {
        tally.edited.push(file.as_str().to_owned());
    }
}

fn is_new(file: &FileName) -> bool {
    let name = file.as_str().rsplit('/').next().unwrap_or_default();
    super::names::is_for_ship(name)
}

/// True where the file's place is free now.
fn set_aside(mirror: &Mirror, name: &FileName, data: &[u8], stamp: &str, tally: &mut Tally) -> bool {
    match mirror.disk.set_aside(name, data, stamp) {
        Ok(place) => {
            tally.aside.push(format!("{} (now {place})", name.as_str()));
            true
        }
        Err(error) => {
            complain(
                name.as_str(),
                "was edited here, cannot be set aside, and stays",
                &error,
            );
            tally.edited.push(name.as_str().to_owned());
            false
        }
    }
}
