//! Plain files and directories made so that they survive a power cut: written, synced, renamed, their directory synced.

use super::fault::{Faults, Step};
use crate::limits::COPY_BYTES;
use std::{
    ffi::OsStr,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// Mode of the directories that vere makes (`spec/eventlog.md` section 1).
const DIRECTORY_MODE: u32 = 0o700;
/// Mode of files: the directory keeps others out; what is stricter than vere's does not disturb it.
const FILE_MODE: u32 = 0o600;

/// An I/O error that says on which path it happened, and what was tried.
#[derive(Debug, thiserror::Error)]
#[error("{what} {}: {source}", path.display())]
pub(crate) struct FileError {
    /// What was tried, e.g. `cannot sync`.
    pub(crate) what: &'static str,
    /// On which path.
    pub(crate) path: PathBuf,
    /// What the system said.
    #[source]
    pub(crate) source: io::Error,
}

/// Adds what and where to an I/O result.
pub(crate) trait At<T> {
    /// Adds what and where.
    fn at(self, what: &'static str, path: &Path) -> Result<T, FileError>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, what: &'static str, path: &Path) -> Result<T, FileError> {
        self.map_err(|source| FileError {
            what,
            path: path.to_path_buf(),
            source,
        })
    }
}

/// Makes a directory with vere's mode, unless it is there, and makes its name durable in either case: a process that was killed
/// may have made it and not come to that.
pub(crate) fn create_dir(path: &Path, faults: &dyn Faults) -> Result<(), FileError> {
    let there = path.is_dir();
    if !there {
        faults
            .at(Step::CreateDir, path)
            .at("cannot create the directory", path)?;
        match DirBuilder::new().mode(DIRECTORY_MODE).create(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => other.at("cannot create the directory", path)?,
        }
    }
    let parent = match path.parent() {
        None => return Ok(()),
        Some(parent) if parent == Path::new("") => Path::new("."),
        Some(parent) => parent,
    };
    match sync_dir(parent, faults) {
        // Who may not list the parent did not make a directory there.
        Err(FileError { source, .. }) if there && source.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        other => other,
    }
}

/// Makes names in a directory durable.
pub(crate) fn sync_dir(path: &Path, faults: &dyn Faults) -> Result<(), FileError> {
    faults
        .at(Step::Sync, path)
        .at("cannot sync the directory", path)?;
    File::open(path)
        .and_then(|dir| dir.sync_all())
        .at("cannot sync the directory", path)
}

/// Makes a file's bytes durable.
pub(crate) fn sync_file(file: &File, path: &Path, faults: &dyn Faults) -> Result<(), FileError> {
    faults.at(Step::Sync, path).at("cannot sync", path)?;
    file.sync_all().at("cannot sync", path)
}

/// Writes `dir/name` so that it is there whole or not at all, and durable on return.
pub(crate) fn write_atomically(
    dir: &Path,
    name: &str,
    bytes: &[u8],
    faults: &dyn Faults,
) -> Result<(), FileError> {
    let staged = dir.join(Path::new(name).with_extension("tmp"));
    let target = dir.join(name);
    faults.at(Step::WriteFile, &staged).at("cannot write", &staged)?;
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(FILE_MODE)
        .open(&staged)
        .at("cannot create", &staged)?;
    file.write_all(bytes).at("cannot write", &staged)?;
    sync_file(&file, &staged, faults)?;
    rename(&staged, &target, faults)?;
    sync_dir(dir, faults)
}

/// Renames, without a sync of the directory.
pub(crate) fn rename(from: &Path, to: &Path, faults: &dyn Faults) -> Result<(), FileError> {
    faults.at(Step::Rename, from).at("cannot rename", from)?;
    fs::rename(from, to).at("cannot rename", from)
}

/// Copies a file and syncs the copy. Returns its length and the crc32c of its bytes.
pub(crate) fn copy_file(from: &Path, to: &Path, faults: &dyn Faults) -> Result<(u64, u32), FileError> {
    faults.at(Step::WriteFile, to).at("cannot write", to)?;
    let mut source = File::open(from).at("cannot open", from)?;
    let mut target = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(FILE_MODE)
        .open(to)
        .at("cannot create", to)?;
    let (mut copied, mut crc) = (0, 0);
    each_chunk(&mut source, from, |chunk| {
        copied += chunk.len() as u64;
        crc = crc32c::crc32c_append(crc, chunk);
        target.write_all(chunk).at("cannot write", to)
    })?;
    sync_file(&target, to, faults)?;
    Ok((copied, crc))
}

/// A file's length and the crc32c of its bytes; None when it is not there.
pub(crate) fn checksum(path: &Path) -> Result<Option<(u64, u32)>, FileError> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.at("cannot open", path)?,
    };
    let (mut length, mut crc) = (0, 0);
    each_chunk(&mut file, path, |chunk| {
        length += chunk.len() as u64;
        crc = crc32c::crc32c_append(crc, chunk);
        Ok(())
    })?;
    Ok(Some((length, crc)))
}

/// Gives a file's bytes to `each`, piece by piece.
fn each_chunk(
    file: &mut File,
    path: &Path,
    mut each: impl FnMut(&[u8]) -> Result<(), FileError>,
) -> Result<(), FileError> {
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        match file.read(&mut buffer).at("cannot read", path)? {
            0 => return Ok(()),
            length => each(&buffer[..length])?,
        }
    }
}

/// Removes a directory and all in it, and syncs its parent. Nothing when it is not there.
pub(crate) fn remove_dir(path: &Path, faults: &dyn Faults) -> Result<(), FileError> {
    faults.at(Step::Remove, path).at("cannot remove", path)?;
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.at("cannot remove", path)?,
    }
    match path.parent() {
        Some(parent) => sync_dir(parent, faults),
        None => Ok(()),
    }
}

/// The bytes of a small file, or None when it is not there.
pub(crate) fn read_small(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, FileError> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.at("cannot open", path)?,
    };
    let mut bytes = Vec::new();
    file.take(limit + 1)
        .read_to_end(&mut bytes)
        .at("cannot read", path)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("longer than {limit} bytes"),
        ))
        .at("cannot read", path);
    }
    Ok(Some(bytes))
}

/// Whether a directory holds a file of that name.
pub(crate) fn holds(dir: &Path, name: impl AsRef<OsStr>) -> bool {
    dir.join(name.as_ref()).exists()
}

/// Removes a file, if it is there, without a sync of the directory.
pub(crate) fn remove_file(path: &Path, faults: &dyn Faults) -> Result<(), FileError> {
    faults.at(Step::Remove, path).at("cannot remove", path)?;
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.at("cannot remove", path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[derive(Debug, Default)]
    struct Syncs(Mutex<Vec<PathBuf>>);

    impl Faults for Syncs {
        fn at(&self, step: Step, path: &Path) -> io::Result<()> {
            if step == Step::Sync {
                self.0.lock().unwrap().push(path.to_path_buf());
            }
            Ok(())
        }
    }

    #[test]
    fn a_directory_s_name_is_synced_whoever_made_it() {
        let dir = tempfile::tempdir().unwrap();
        let syncs = Syncs::default();
        for _ in 0..2 {
            create_dir(&dir.path().join("zod"), &syncs).unwrap();
        }
        assert_eq!(*syncs.0.lock().unwrap(), [dir.path(), dir.path()]);
    }

    #[test]
    fn one_in_the_working_directory_too() {
        let syncs = Syncs::default();
        create_dir(Path::new("src"), &syncs).unwrap();
        assert_eq!(*syncs.0.lock().unwrap(), [Path::new(".")]);
    }
}
