//! Clocks of the members' own: each runs with Debian's `libfaketime`, which shifts the time of day by what stands in a file.
//!
//! The monotonic clock is left as it is: no machine's goes back.

use anyhow::Context;
use nix::{sys::signal::kill, unistd::Pid};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

/// Where Debian has libraries: below it, a directory for each architecture.
const LIBRARIES: &str = "/usr/lib";
/// The library, below that.
const LIBRARY: &str = "faketime/libfaketime.so.1";
/// Where the library keeps what it shares, and what the names there begin with; the number of the process follows.
const SHARED: (&str, [&str; 2]) = ("/dev/shm", ["faketime_shm_", "sem.faketime_sem_"]);
/// How long a process may take to see that its clock was set: the library looks once a second.
pub(crate) const SEEN: Duration = Duration::from_secs(1);

fn library() -> Option<PathBuf> {
    let directories = fs::read_dir(LIBRARIES).ok()?.flatten();
    directories
        .map(|directory| directory.path().join(LIBRARY))
        .find(|library| library.exists())
}

/// What this machine lacks to have such clocks; None when it has all.
#[must_use]
pub(crate) fn missing() -> Option<String> {
    library().is_none().then(|| "Debian's faketime".to_owned())
}

/// The members' clocks.
#[derive(Debug)]
pub struct Clocks {
    directory: PathBuf,
    /// Seconds by which each is ahead.
    ahead: Vec<i64>,
}

impl Clocks {
    /// Clocks that are right, for so many members, set by files in `directory`.
    ///
    /// # Errors
    /// When these cannot be written.
    pub fn new(members: usize, directory: &Path) -> anyhow::Result<Clocks> {
        remove_left_behind();
        let mut clocks = Clocks {
            directory: directory.to_owned(),
            ahead: vec![0; members],
        };
        (0..members).try_for_each(|member| clocks.set(member, 0))?;
        Ok(clocks)
    }

    fn file(&self, member: usize) -> PathBuf {
        self.directory.join(format!("{}.clock", member + 1))
    }

    /// A member's clock is so many seconds ahead from now on (within a second).
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn set(&mut self, member: usize, seconds: i64) -> anyhow::Result<()> {
        self.ahead[member] = seconds;
        let (file, new) = (self.file(member), self.directory.join("new.clock"));
        fs::write(&new, format!("{seconds:+}\n"))?;
        Ok(fs::rename(new, file)?)
    }

    /// By how many seconds a member's clock is ahead.
    #[must_use]
    pub fn ahead(&self, member: usize) -> i64 {
        self.ahead[member]
    }

    /// A program, written to the directory, that is `program` by the member's clock: the same process, by `exec`.
    ///
    /// # Errors
    /// When it cannot be written, or the library is missing.
    pub fn program(&self, member: usize, program: &Path) -> anyhow::Result<PathBuf> {
        let library = library().context("Debian's faketime")?;
        let path = self.directory.join(format!("{}-clock.sh", member + 1));
        let text = format!(
            "#!/bin/sh\nexport LD_PRELOAD='{}' FAKETIME_TIMESTAMP_FILE='{}' FAKETIME_CACHE_DURATION={} \
             FAKETIME_DONT_FAKE_MONOTONIC=1 NO_FAKE_STAT=1\nexec '{}' \"$@\"\n",
            library.display(),
            self.file(member).display(),
            SEEN.as_secs(),
            program.display()
        );
        fs::write(&path, text).with_context(|| format!("the file {}", path.display()))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        Ok(path)
    }
}

impl Drop for Clocks {
    fn drop(&mut self) {
        remove_left_behind();
    }
}

/// Removes what the library shared in processes that were killed.
fn remove_left_behind() {
    let (directory, prefixes) = SHARED;
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let process = prefixes
            .iter()
            .find_map(|prefix| name.strip_prefix(prefix)?.parse().ok());
        if process.is_some_and(|process| kill(Pid::from_raw(process), None).is_err()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_process_lives_by_the_clock_that_it_is_given() {
        if let Some(missing) = missing() {
            eprintln!("a_process_lives_by_the_clock_that_it_is_given: NOT RUN: it needs {missing}");
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let mut clocks = Clocks::new(1, directory.path()).unwrap();
        let program = clocks.program(0, Path::new("/bin/date")).unwrap();
        let date = |program: &Path| -> i64 {
            let output = Command::new(program).arg("+%s").output().unwrap();
            String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
        };
        for ahead in [0, 600, -600] {
            clocks.set(0, ahead).unwrap();
            let by = date(&program) - date(Path::new("/bin/date"));
            assert!((by - ahead).abs() <= 2, "{by} s ahead instead of {ahead}");
        }
    }
}
