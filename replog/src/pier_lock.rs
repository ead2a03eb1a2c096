//! The pier's lock, as vere takes it: a record lock on the first byte of `.vere.lock` (`spec/eventlog.md` section 2).
//!
//! Whoever opens the logs holds it: vere's subcommands, its king, ours. It is advisory and belongs to the process: the kernel
//! frees it when the process ends, or when *any* handle of the file is closed in it. So the file is opened in one place only.

use crate::{
    limits::PIER_LOCK_ATTEMPTS,
    store::{
        fault::NoFaults,
        files::{At, FileError, create_dir},
    },
};
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, fcntl},
    libc,
};
use std::{
    collections::HashSet,
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

/// The file's name in the pier.
const NAME: &str = ".vere.lock";
/// vere reads this much of the file.
const TEXT_BYTES: u64 = 12;
/// vere creates it with this mode (less the process's mask).
const MODE: u32 = 0o666;

/// The piers that this process has locked, by device and inode of the file: the kernel would let it lock one twice, and free
/// it at the first close.
static HELD: Mutex<Option<HashSet<(u64, u64)>>> = Mutex::new(None);

/// Why a pier could not be locked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PierLockError {
    /// A process has it.
    #[error("{} is in use by {}: stop that one first", pier.display(), holder(*pid))]
    Held {
        /// The pier.
        pier: PathBuf,
        /// The process, as far as the file tells.
        pid: Option<u32>,
    },
    /// The file could not be used.
    #[error(transparent)]
    File(#[from] FileError),
}

fn holder(pid: Option<u32>) -> String {
    match pid {
        Some(pid) => format!("process {pid}"),
        None => "a process that did not leave its number".to_owned(),
    }
}

/// A pier that nobody else uses. Dropped, it is free again.
#[derive(Debug)]
pub(crate) struct PierLock {
    pier: PathBuf,
    path: PathBuf,
    /// Held open: closing it frees the lock.
    _file: File,
    key: (u64, u64),
}

impl PierLock {
    /// Locks the pier in this directory, making the directory if it is not there.
    ///
    /// # Errors
    /// When another process has it (or this one, already), or the file cannot be written.
    pub(crate) fn acquire(pier: &Path) -> Result<PierLock, PierLockError> {
        create_dir(pier, &NoFaults)?;
        let path = pier.join(NAME);
        for _ in 0..PIER_LOCK_ATTEMPTS {
            if let Some(lock) = PierLock::attempt(pier, &path)? {
                return Ok(lock);
            }
        }
        Err(PierLockError::Held {
            pier: pier.to_path_buf(),
            pid: None,
        })
    }

    /// One attempt; None when the file was unlinked under our hands.
    fn attempt(pier: &Path, path: &Path) -> Result<Option<PierLock>, PierLockError> {
        let held = |pid| PierLockError::Held {
            pier: pier.to_path_buf(),
            pid,
        };
        // Our own lock must be noticed before the file is opened: closing it again would free it.
        let mut ours = HELD.lock().unwrap_or_else(PoisonError::into_inner);
        let ours = ours.get_or_insert_default();
        let key_of = |meta: &fs::Metadata| (meta.dev(), meta.ino());
        if let Ok(meta) = fs::metadata(path)
            && ours.contains(&key_of(&meta))
        {
            return Err(held(Some(std::process::id())));
        }
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(MODE)
            .open(path)
            .at("cannot open", path)?;
        let mut text = String::new();
        // What is no text is no number either.
        let _ = Read::by_ref(&mut file).take(TEXT_BYTES).read_to_string(&mut text);
        let pid = text.lines().next().and_then(|line| line.parse().ok());
        let region = libc::flock {
            l_type: libc::F_WRLCK as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: 0,
            l_len: 1,
            l_pid: 0,
        };
        match fcntl(&file, FcntlArg::F_SETLK(&region)) {
            Ok(_) => {}
            Err(Errno::EACCES | Errno::EAGAIN) => return Err(held(pid)),
            Err(error) => {
                return Err(io::Error::from(error))
                    .at("cannot lock", path)
                    .map_err(Into::into);
            }
        }
        let key = key_of(&file.metadata().at("cannot look at", path)?);
        if fs::metadata(path).ok().map(|meta| key_of(&meta)) != Some(key) {
            return Ok(None);
        }
        let mut write = || -> io::Result<()> {
            file.set_len(0)?;
            file.seek(SeekFrom::Start(0))?;
            writeln!(file, "{}", std::process::id())?;
            file.sync_all()
        };
        write().at("cannot write", path)?;
        ours.insert(key);
        Ok(Some(PierLock {
            pier: pier.to_path_buf(),
            path: path.to_path_buf(),
            _file: file,
            key,
        }))
    }

    /// The pier.
    pub(crate) fn pier(&self) -> &Path {
        &self.pier
    }
}

impl Drop for PierLock {
    fn drop(&mut self) {
        // Unlinked while it is still locked, as vere does; then the file is closed.
        let _ = fs::remove_file(&self.path);
        let mut ours = HELD.lock().unwrap_or_else(PoisonError::into_inner);
        ours.get_or_insert_default().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn it_holds_our_number_and_goes_with_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let pier = dir.path().join("zod");
        let lock = PierLock::acquire(&pier).unwrap();
        assert_eq!(
            fs::read_to_string(pier.join(NAME)).unwrap(),
            format!("{}\n", std::process::id())
        );
        match PierLock::acquire(&pier) {
            Err(PierLockError::Held { pid, .. }) => assert_eq!(pid, Some(std::process::id())),
            other => panic!("{other:?}"),
        }
        drop(lock);
        assert!(!pier.join(NAME).exists());
        drop(PierLock::acquire(&pier).unwrap());
    }

    #[test]
    fn a_stale_file_is_no_lock() {
        let dir = tempfile::tempdir().unwrap();
        for text in ["123\n456\n", "", "no number", "\u{0}\u{1}"] {
            fs::write(dir.path().join(NAME), text).unwrap();
            let lock = PierLock::acquire(dir.path()).unwrap();
            assert_eq!(
                fs::read_to_string(dir.path().join(NAME)).unwrap(),
                format!("{}\n", std::process::id())
            );
            drop(lock);
        }
    }

    /// Holds the lock in another process until its input ends.
    #[test]
    #[ignore = "run by the test below, in a process of its own"]
    fn child_holds() {
        let pier = std::env::var("PIER_LOCK_CHILD").unwrap();
        let _lock = PierLock::acquire(Path::new(&pier)).unwrap();
        println!("held");
        io::stdin().read_to_end(&mut Vec::new()).unwrap();
    }

    #[test]
    fn another_process_is_named_and_its_death_frees_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "pier_lock::tests::child_holds",
                "--ignored",
                "--nocapture",
            ])
            .env("PIER_LOCK_CHILD", dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = io::BufRead::lines(io::BufReader::new(child.stdout.take().unwrap()));
        assert!(said.any(|line| line.unwrap().contains("held")));
        let error = PierLock::acquire(dir.path()).unwrap_err();
        assert!(
            error.to_string().contains(&format!("process {}", child.id())),
            "{error}"
        );
        child.kill().unwrap();
        child.wait().unwrap();
        drop(PierLock::acquire(dir.path()).unwrap());
    }
}
