//! The mounts' files on disk. Nothing here leaves the mount that it was asked about: names are resolved beneath a directory that is
//! held open (`cap-std`, openat2 where the kernel has it), and no symbolic link is followed, wherever it leads.

use super::names::{FileName, MountName, is_for_ship};
use crate::{limits, real_dir};
use cap_std::{
    ambient_authority,
    fs::{Dir, OpenOptions, OpenOptionsExt},
};
use nix::fcntl::OFlag;
use serf_ipc::noun::murmur3;
use std::{
    collections::BTreeSet,
    io::{self, ErrorKind, Read, Write},
    path::Path,
};

/// What is written before it takes a file's name. Walks pass over it, as over all that begins with a dot.
const UNFINISHED: &str = ".seguro-unfinished";

/// Of the other half of a digest.
const SECOND_SEED: u32 = 0x5e60_0000;

/// By what contents are told apart: their length, and 64 bits over all bytes (vere's mug has 31, over those that are not zeros at the
/// end, so that a picture which ends with some always looks edited, and is never written again).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Digest {
    pub(super) len: u64,
    pub(super) hash: u64,
}

impl Digest {
    pub(super) fn of(data: &[u8]) -> Digest {
        Digest {
            len: data.len() as u64,
            hash: u64::from(murmur3(0, data)) << 32 | u64::from(murmur3(SECOND_SEED, data)),
        }
    }
}

/// A pier's directory.
pub(super) struct Disk {
    pier: Dir,
}

/// What a walk found in a mount.
#[derive(Default)]
pub(super) struct Found {
    /// Files for the ship, or known to it.
    pub(super) files: BTreeSet<FileName>,
    /// Symbolic links and whatever else is neither file nor directory.
    pub(super) passed_over: Vec<String>,
}

impl Disk {
    pub(super) fn open(pier: &Path) -> io::Result<Disk> {
        let pier = Dir::open_ambient_dir(pier, ambient_authority())?;
        Ok(Disk { pier })
    }

    /// The directory for what this driver keeps for itself, `.urb/mounts`.
    pub(super) fn own(&self) -> io::Result<Dir> {
        self.pier.create_dir_all(".urb/mounts")?;
        self.pier.open_dir(".urb/mounts")
    }

    /// A file's bytes; None where there is no file of that name.
    ///
    /// # Errors
    /// When it is there and cannot be read, is no file, or has more than `most` bytes.
    pub(super) fn read(&self, file: &FileName, most: u64) -> io::Result<Option<Vec<u8>>> {
        let opened = self.directory(file, Missing::Leave).and_then(|(dir, name)| {
            // A pipe would hold an opener up for ever.
            let flags = (OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW).bits();
            let mut options = OpenOptions::new();
            dir.open_with(name, options.read(true).custom_flags(flags))
        });
        let Some(opened) = unless_gone(opened)? else {
            return Ok(None);
        };
        let meta = opened.metadata()?;
        if !meta.is_file() {
            return Err(io::Error::other("neither a file nor absent"));
        }
        let mut data = Vec::with_capacity(usize::try_from(meta.len().min(most)).unwrap_or(0));
        opened.take(most.saturating_add(1)).read_to_end(&mut data)?;
        if data.len() as u64 > most {
            return Err(io::Error::new(
                ErrorKind::FileTooLarge,
                "more than one event can carry",
            ));
        }
        Ok(Some(data))
    }

    /// Puts these bytes in the file's place, whole or not at all; directories are made as needed.
    pub(super) fn write(&self, file: &FileName, data: &[u8]) -> io::Result<()> {
        let (dir, name) = self.directory(file, Missing::Make)?;
        write_in(&dir, &name, data)
    }

    /// Removes a file or a link, if it is there.
    pub(super) fn remove(&self, file: &FileName) -> io::Result<()> {
        let removed = self
            .directory(file, Missing::Leave)
            .and_then(|(dir, name)| dir.remove_file(name));
        unless_gone(removed).map(|_| ())
    }

    /// Everything in a mount that is for the ship, and what `known` says is there. Directories that are empty are removed on the way,
    /// as vere does (which removes what is in them, too, when it is nothing for the ship: nobody's notes are lost here).
    ///
    /// # Errors
    /// When a directory could not be read: nothing can be said of its files.
    pub(super) fn walk(&self, mount: &MountName, known: impl Fn(&FileName) -> bool) -> io::Result<Found> {
        let mut found = Found::default();
        for entry in self.pier.entries()? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            let Some(rest) = name.strip_prefix(mount.as_str()) else {
                continue;
            };
            let kind = entry.file_type()?;
            if kind.is_dir() && rest.is_empty() {
                if let Some(dir) = unless_gone(real_dir::open(&self.pier, &name))?
                    && walk_in(&dir, &name, 0, &known, &mut found)?
                {
                    drop(dir);
                    remove_if_empty(&self.pier, &name);
                }
            } else if rest.len() > 1 && rest.starts_with('.') && !kind.is_dir() {
                found.take(FileName::found("", &name), &name, kind.is_file(), &known);
            } else if rest.is_empty() {
                found.passed_over.push(name);
            }
        }
        Ok(found)
    }

    /// Removes a mount's directory with everything in it; links go, and what they lead to stays.
    pub(super) fn remove_tree(&self, mount: &MountName) -> io::Result<()> {
        match self.pier.symlink_metadata(mount.as_str()) {
            Ok(meta) if meta.is_dir() => unless_gone(self.pier.remove_dir_all(mount.as_str())).map(|_| ()),
            Ok(_) => Err(io::Error::other(
                "a file or link where the mount's directory should be: it stays",
            )),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Moves a file out of its mount, to the same name below `.urb/mounts/edits/DIRECTORY`; says where.
    pub(super) fn set_aside(&self, file: &FileName, data: &[u8], directory: &str) -> io::Result<String> {
        let own = self.own()?;
        let place = format!("edits/{directory}/{}", file.as_str());
        let (above, name) = place.rsplit_once('/').unwrap_or(("", &place));
        own.create_dir_all(above)?;
        write_in(&own.open_dir(above)?, name, data)?;
        self.remove(file)?;
        Ok(format!(".urb/mounts/{place}"))
    }

    /// The directory that a file lies in, and its name there.
    fn directory(&self, file: &FileName, missing: Missing) -> io::Result<(Dir, String)> {
        let Some((mount, inside)) = file.split_mount() else {
            return Ok((self.pier.try_clone()?, file.as_str().to_owned()));
        };
        let mut dir = missing.open(&self.pier, mount)?;
        let (above, name) = inside
            .rsplit_once('/')
            .map_or((None, inside), |(above, name)| (Some(above), name));
        for part in above.into_iter().flat_map(|above| above.split('/')) {
            dir = missing.open(&dir, part)?;
        }
        Ok((dir, name.to_owned()))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    Leave,
    Make,
}

impl Missing {
    /// Opens a directory, which most often is there.
    fn open(self, above: &Dir, name: &str) -> io::Result<Dir> {
        match real_dir::open(above, name) {
            Err(error) if error.kind() == ErrorKind::NotFound && self == Missing::Make => {
                match above.create_dir(name) {
                    Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
                    _ => real_dir::open(above, name),
                }
            }
            opened => opened,
        }
    }
}

impl Found {
    fn take(&mut self, file: FileName, name: &str, is_file: bool, known: &impl Fn(&FileName) -> bool) {
        if !is_file {
            self.passed_over.push(file.as_str().to_owned());
        } else if known(&file) || is_for_ship(name) {
            self.files.insert(file);
        }
    }
}

/// True where the directory is empty when all is done.
fn walk_in(
    dir: &Dir,
    path: &str,
    depth: usize,
    known: &impl Fn(&FileName) -> bool,
    found: &mut Found,
) -> io::Result<bool> {
    let mut is_empty = true;
    for entry in dir.entries()? {
        let entry = entry?;
        if found.files.len() > limits::UNIX_FILES {
            return Err(io::Error::other("more files than a mount may have"));
        }
        let Ok(name) = entry.file_name().into_string() else {
            is_empty = false;
            continue;
        };
        let kind = entry.file_type()?;
        if kind.is_dir() && !name.starts_with('.') && depth < limits::UNIX_DEPTH {
            let below = unless_gone(real_dir::open(dir, &name))?;
            let emptied = match &below {
                Some(below) => walk_in(below, &format!("{path}/{name}"), depth + 1, known, found)?,
                None => true,
            };
            drop(below);
            is_empty &= emptied && remove_if_empty(dir, &name);
            continue;
        }
        is_empty = false;
        if !name.starts_with('.') {
            found.take(FileName::found(path, &name), &name, kind.is_file(), known);
        }
    }
    Ok(is_empty)
}

/// True where it is gone afterwards.
fn remove_if_empty(above: &Dir, name: &str) -> bool {
    unless_gone(above.remove_dir(name)).is_ok()
}

/// Writes a file beside its place, then moves it there: a reader sees the old file or the new one.
fn write_in(dir: &Dir, name: &str, data: &[u8]) -> io::Result<()> {
    let create = || dir.open_with(UNFINISHED, OpenOptions::new().write(true).create_new(true));
    let mut file = match create() {
        // A process ended over it.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            unless_gone(dir.remove_file(UNFINISHED))?;
            create()?
        }
        created => created?,
    };
    let written = file
        .write_all(data)
        .and_then(|()| dir.rename(UNFINISHED, dir, name));
    if written.is_err() {
        // What is left is removed when the next file is written, at the latest.
        let _ = dir.remove_file(UNFINISHED);
    }
    written
}

/// What is not there is no error.
fn unless_gone<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        // ENOTDIR: a file stands where a directory on the way was.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::symlink};

    struct Place {
        pier: tempfile::TempDir,
        disk: Disk,
        base: MountName,
    }

    impl Place {
        fn new() -> Place {
            let pier = tempfile::tempdir().unwrap();
            fs::create_dir(pier.path().join(".urb")).unwrap();
            let disk = Disk::open(pier.path()).unwrap();
            let base = MountName::of("base").unwrap();
            Place { pier, disk, base }
        }

        fn file(&self, path: &[&str]) -> FileName {
            let path: Vec<String> = path.iter().map(|knot| (*knot).to_owned()).collect();
            FileName::of(&self.base, &path).unwrap()
        }

        fn names(&self) -> Vec<String> {
            let found = self.disk.walk(&self.base, |_| false).unwrap();
            found.files.iter().map(|file| file.as_str().to_owned()).collect()
        }
    }

    #[test]
    fn files_come_and_go() {
        let place = Place::new();
        let files = [place.file(&["gen", "deep", "hi", "hoon"]), place.file(&["txt"])];
        for file in &files {
            assert_eq!(place.disk.read(file, 99).unwrap(), None);
            place.disk.remove(file).unwrap();
            place.disk.write(file, b"one").unwrap();
            place.disk.write(file, b"two").unwrap();
            assert_eq!(place.disk.read(file, 3).unwrap().unwrap(), b"two");
            assert_eq!(
                place.disk.read(file, 2).unwrap_err().kind(),
                ErrorKind::FileTooLarge
            );
        }
        assert_eq!(place.names(), ["base.txt", "base/gen/deep/hi.hoon"]);
        assert_eq!(
            fs::read_dir(place.pier.path().join("base/gen/deep"))
                .unwrap()
                .count(),
            1
        );
        place.disk.remove(&files[0]).unwrap();
        assert_eq!(place.names(), ["base.txt"]);
        assert!(!place.pier.path().join("base").exists(), "empty directories go");
    }

    #[test]
    fn what_was_left_unfinished_is_in_nobodys_way() {
        let place = Place::new();
        let file = place.file(&["gen", "hi", "hoon"]);
        place.disk.write(&file, b"one").unwrap();
        let left = place.pier.path().join("base/gen").join(UNFINISHED);
        let outside = tempfile::tempdir().unwrap();
        let secret = outside.path().join("secret.txt");
        fs::write(&secret, "secret").unwrap();
        fs::write(&left, "half of someth").unwrap();
        place.disk.write(&file, b"two").unwrap();
        assert!(!left.exists());
        symlink(&secret, &left).unwrap();
        place.disk.write(&file, b"three").unwrap();
        assert_eq!(place.disk.read(&file, 9).unwrap().unwrap(), b"three");
        assert!(!left.exists());
        assert_eq!(fs::read(&secret).unwrap(), b"secret");
    }

    #[test]
    fn a_walk_sees_what_is_for_the_ship() {
        let place = Place::new();
        let base = place.pier.path().join("base");
        fs::create_dir_all(base.join(".git/objects")).unwrap();
        fs::create_dir_all(base.join("notes")).unwrap();
        fs::create_dir_all(base.join("empty/er")).unwrap();
        for name in [
            "a.txt",
            "noext",
            "Bad.txt",
            "x.txt~",
            ".hid.txt",
            ".git/a.txt",
            "notes/TODO",
        ] {
            fs::write(base.join(name), name).unwrap();
        }
        fs::write(place.pier.path().join("based.txt"), "").unwrap();
        fs::create_dir(place.pier.path().join("base.d")).unwrap();
        assert_eq!(place.names(), ["base/a.txt"]);
        let known = place
            .disk
            .walk(&place.base, |file| file.as_str() == "base/Bad.txt")
            .unwrap();
        assert_eq!(known.files.len(), 2);
        assert!(base.join("notes/TODO").exists() && !base.join("empty").exists());
    }

    #[test]
    fn links_lead_nowhere() {
        let place = Place::new();
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret.txt"), "secret").unwrap();
        let pier = place.pier.path();
        fs::create_dir(pier.join("base")).unwrap();
        fs::write(pier.join(".urb/key.txt"), "key").unwrap();
        symlink(outside.path(), pier.join("base/out")).unwrap();
        symlink("../.urb", pier.join("base/in")).unwrap();
        symlink(outside.path().join("secret.txt"), pier.join("base/file.txt")).unwrap();
        symlink(outside.path().join("secret.txt"), pier.join("base.txt")).unwrap();
        symlink(".", pier.join("base/loop")).unwrap();
        let found = place.disk.walk(&place.base, |_| true).unwrap();
        assert!(found.files.is_empty(), "{:?}", found.files);
        assert_eq!(found.passed_over.len(), 5);
        for path in [
            &["out", "secret", "txt"][..],
            &["in", "key", "txt"],
            &["loop", "x", "txt"],
        ] {
            let file = place.file(path);
            assert!(!matches!(place.disk.read(&file, 99), Ok(Some(_))), "{path:?}");
            place.disk.write(&file, b"mine").unwrap_err();
            let _ = place.disk.remove(&file);
        }
        for path in [&["file", "txt"][..], &["txt"]] {
            let file = place.file(path);
            assert!(!matches!(place.disk.read(&file, 99), Ok(Some(_))), "{path:?}");
            // What is written takes the link's place.
            place.disk.write(&file, b"mine").unwrap();
            assert_eq!(place.disk.read(&file, 99).unwrap().unwrap(), b"mine");
        }
        assert_eq!(fs::read(outside.path().join("secret.txt")).unwrap(), b"secret");
        assert_eq!(fs::read(pier.join(".urb/key.txt")).unwrap(), b"key");
        place.disk.remove_tree(&place.base).unwrap();
        assert!(!pier.join("base").exists());
        assert!(outside.path().join("secret.txt").exists() && pier.join(".urb/key.txt").exists());
    }

    #[test]
    fn a_mount_that_is_a_link_is_none() {
        let place = Place::new();
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("a.txt"), "a").unwrap();
        symlink(outside.path(), place.pier.path().join("base")).unwrap();
        assert!(place.names().is_empty());
        assert!(place.disk.write(&place.file(&["a", "txt"]), b"b").is_err());
        assert!(place.disk.remove_tree(&place.base).is_err());
        assert_eq!(fs::read(outside.path().join("a.txt")).unwrap(), b"a");
    }

    #[test]
    fn a_pipe_holds_nobody_up() {
        let place = Place::new();
        fs::create_dir(place.pier.path().join("base")).unwrap();
        let path = place.pier.path().join("base/pipe.txt");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(place.names().is_empty());
        assert!(place.disk.read(&place.file(&["pipe", "txt"]), 99).is_err());
    }

    #[test]
    fn what_is_set_aside_keeps_its_name() {
        let place = Place::new();
        let file = place.file(&["gen", "hi", "hoon"]);
        place.disk.write(&file, b"mine").unwrap();
        let where_to = place.disk.set_aside(&file, b"mine", "5").unwrap();
        assert_eq!(where_to, ".urb/mounts/edits/5/base/gen/hi.hoon");
        assert_eq!(fs::read(place.pier.path().join(where_to)).unwrap(), b"mine");
        assert_eq!(place.disk.read(&file, 99).unwrap(), None);
    }
}
