//! What this machine has ever been told that the ship has in its mounts: `.urb/mounts/record`, a JSON object a line.
//!
//! It tells a mirror that is out of date, because another machine led meanwhile, from files that somebody edited here: contents
//! that stand in it once came from the ship. It is written before the files are, so that a file which the ship wrote is in it
//! whenever this machine stops. Nothing committed rests on it: without it, what differs from the ship is set aside.

use super::{
    disk::{Digest, Disk},
    names::{FileName, MountName},
};
use crate::limits;
use cap_std::fs::{Dir, File, OpenOptions};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    io::{self, BufRead, BufReader, Write},
};

const NAME: &str = "record";
const NEXT: &str = "record.next";

/// A line.
#[derive(Serialize, Deserialize)]
struct Line {
    file: String,
    len: u64,
    hash: u64,
}

/// The record, as it is on disk.
pub(super) struct Record {
    files: BTreeMap<FileName, Vec<Digest>>,
    lines: usize,
    place: Option<(Dir, File)>,
    /// What was noted and is not yet written.
    pending: Vec<u8>,
}

impl Record {
    /// Reads what is there. A record that cannot be read or kept is said once, and done without.
    pub(super) fn open(disk: &Disk) -> Record {
        let mut record = Record {
            files: BTreeMap::new(),
            lines: 0,
            place: None,
            pending: Vec::new(),
        };
        if let Err(error) = record.load(disk) {
            tracing::warn!(%error, "unix: .urb/mounts/record cannot be kept: which files were edited here is not known after a failover");
        }
        record
    }

    fn load(&mut self, disk: &Disk) -> io::Result<()> {
        let own = disk.own()?;
        let mut options = OpenOptions::new();
        let file = own.open_with(NAME, options.read(true).append(true).create(true))?;
        for line in BufReader::new(&file).split(b'\n') {
            // The last may be torn.
            if let Ok(line) = serde_json::from_slice::<Line>(&line?)
                && let Some(name) = FileName::recorded(&line.file)
            {
                let digest = Digest {
                    len: line.len,
                    hash: line.hash,
                };
                self.files.entry(name).or_default().push(digest);
            }
            self.lines += 1;
        }
        self.place = Some((own, file));
        Ok(())
    }

    /// Whether the ship once had this in the file.
    pub(super) fn had(&self, file: &FileName, digest: Digest) -> bool {
        self.files
            .get(file)
            .is_some_and(|digests| digests.contains(&digest))
    }

    /// What the ship had in the file last.
    pub(super) fn last(&self, file: &FileName) -> Option<Digest> {
        self.files.get(file)?.last().copied()
    }

    /// Whether anything is known of the mount.
    pub(super) fn knows(&self, mount: &MountName) -> bool {
        self.files.keys().any(|file| file.is_of(mount))
    }

    /// Its files.
    pub(super) fn files(&self) -> impl Iterator<Item = &FileName> {
        self.files.keys()
    }

    /// The ship has this in the file.
    pub(super) fn note(&mut self, file: &FileName, digest: Digest) {
        if self.last(file) == Some(digest) {
            return;
        }
        self.files.entry(file.clone()).or_default().push(digest);
        self.lines += 1;
        push_line(&mut self.pending, file, digest);
    }

    /// Writes what was noted.
    pub(super) fn flush(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        let written = match &mut self.place {
            Some((_, file)) if !pending.is_empty() => file.write_all(&pending),
            _ => Ok(()),
        };
        self.give_up_on(written);
    }

    /// Whether so much has been noted that it should begin anew.
    pub(super) fn is_long(&self) -> bool {
        self.lines > limits::UNIX_RECORD_LINES.max(2 * self.files.len())
    }

    /// Begins anew: these files have these contents, and what the ship had before is over.
    pub(super) fn begin<'a>(&mut self, files: impl Iterator<Item = (&'a FileName, Digest)>) {
        let files: BTreeMap<_, _> = files.map(|(name, digest)| (name.clone(), vec![digest])).collect();
        let written = self.rewrite(&files);
        self.lines = files.len();
        self.files = files;
        self.pending.clear();
        self.give_up_on(written);
    }

    fn rewrite(&mut self, files: &BTreeMap<FileName, Vec<Digest>>) -> io::Result<()> {
        let Some((own, file)) = &mut self.place else {
            return Ok(());
        };
        let mut text = Vec::new();
        for (name, digests) in files {
            digests
                .iter()
                .for_each(|digest| push_line(&mut text, name, *digest));
        }
        own.write(NEXT, text)?;
        own.rename(NEXT, own, NAME)?;
        *file = own.open_with(NAME, OpenOptions::new().append(true))?;
        Ok(())
    }

    fn give_up_on(&mut self, written: io::Result<()>) {
        if let Err(error) = written {
            tracing::warn!(%error, "unix: .urb/mounts/record cannot be written");
            self.place = None;
        }
    }
}

fn push_line(text: &mut Vec<u8>, file: &FileName, digest: Digest) {
    let line = Line {
        file: file.as_str().to_owned(),
        len: digest.len,
        hash: digest.hash,
    };
    // Neither a map nor a writer that could fail is in it.
    if serde_json::to_writer(&mut *text, &line).is_ok() {
        text.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn it_outlives_its_process() {
        let pier = tempfile::tempdir().unwrap();
        let disk = Disk::open(pier.path()).unwrap();
        let base = MountName::of("base").unwrap();
        let file = |name: &str| FileName::of(&base, &[name.to_owned(), "txt".to_owned()]).unwrap();
        let (one, two) = (Digest::of(b"one"), Digest::of(b"two"));
        let mut record = Record::open(&disk);
        record.note(&file("a"), one);
        record.note(&file("a"), one);
        record.note(&file("a"), two);
        record.note(&file("b"), one);
        record.flush();
        let path = pier.path().join(".urb/mounts/record");
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 3);
        fs::write(
            &path,
            [
                fs::read(&path).unwrap(),
                b"{\"file\":\"../x\",\"len\":1,\"hash\":1}\n{\"fil".to_vec(),
            ]
            .concat(),
        )
        .unwrap();

        let mut record = Record::open(&disk);
        assert!(record.had(&file("a"), one) && record.had(&file("a"), two) && !record.had(&file("b"), two));
        assert_eq!(record.last(&file("a")), Some(two));
        assert!(record.knows(&base) && !record.knows(&MountName::of("kids").unwrap()));
        assert_eq!(record.files().count(), 2);
        record.begin([(&file("b"), two)].into_iter());
        record.note(&file("c"), one);
        record.flush();

        let record = Record::open(&disk);
        assert_eq!(record.files().count(), 2);
        assert!(record.had(&file("b"), two) && record.had(&file("c"), one) && !record.had(&file("b"), one));
    }

    #[test]
    fn a_disk_that_takes_none_is_done_without() {
        let pier = tempfile::tempdir().unwrap();
        fs::write(pier.path().join(".urb"), "no directory").unwrap();
        let mut record = Record::open(&Disk::open(pier.path()).unwrap());
        let file = FileName::recorded("base/a.txt").unwrap();
        record.note(&file, Digest::of(b""));
        record.flush();
        assert!(record.had(&file, Digest::of(b"")));
    }
}
