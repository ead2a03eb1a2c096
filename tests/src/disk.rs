//! A disk of a member's own, which can be filled: a `tmpfs`, whose size is set while it is in use.

use anyhow::{Context, ensure};
use nix::{sys::statvfs::statvfs, unistd::geteuid};
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// How large it is when it is not full. It takes memory only for what is on it.
const BYTES: u64 = 4 << 30;

/// What this machine lacks to have such disks; None when it has all.
#[must_use]
pub(crate) fn missing() -> Option<String> {
    if !geteuid().is_root() {
        return Some("a tmpfs: only root mounts one".into());
    }
    let try_one = || -> anyhow::Result<()> {
        let directory = tempfile::tempdir()?;
        let disk = Disk::new(directory.path())?;
        disk.fill(0)
    };
    let error = try_one().err()?;
    Some(format!("a tmpfs: {error:#}"))
}

/// A disk, which is removed with what is on it when this is dropped.
#[derive(Debug)]
pub struct Disk(PathBuf);

impl Disk {
    /// An empty disk, mounted on a directory.
    ///
    /// # Errors
    /// When it cannot be.
    pub fn new(directory: &Path) -> anyhow::Result<Disk> {
        run(
            "mount",
            &["-t", "tmpfs", "-o", &format!("size={BYTES}"), "seguro-test"],
            directory,
        )?;
        Ok(Disk(directory.to_owned()))
    }

    /// It is full from now on, but for so many bytes.
    ///
    /// # Errors
    /// When its size cannot be set.
    pub fn fill(&self, room: u64) -> anyhow::Result<()> {
        let disk = statvfs(&self.0)?;
        let used = (disk.blocks() - disk.blocks_free()) * disk.fragment_size();
        // A size of 0 would be none.
        self.resize((used + room).max(disk.fragment_size()))
    }

    /// It has room again.
    ///
    /// # Errors
    /// When its size cannot be set.
    pub fn make_room(&self) -> anyhow::Result<()> {
        self.resize(BYTES)
    }

    fn resize(&self, bytes: u64) -> anyhow::Result<()> {
        run("mount", &["-o", &format!("remount,size={bytes}")], &self.0)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: who was killed may still be on its way out.
        let _ = run("umount", &["--lazy"], &self.0);
    }
}

fn run(program: &str, words: &[&str], directory: &Path) -> anyhow::Result<()> {
    let output = Command::new(program)
        .args(words)
        .arg(directory)
        .output()
        .with_context(|| format!("`{program}` cannot be run"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{program} {}: {}",
        words.join(" "),
        said.trim()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_full_disk_takes_nothing_until_there_is_room() {
        if let Some(missing) = missing() {
            eprintln!("a_full_disk_takes_nothing_until_there_is_room: NOT RUN: it needs {missing}");
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::new(directory.path()).unwrap();
        let file = directory.path().join("file");
        fs::write(&file, vec![1; 100_000]).unwrap();
        disk.fill(8192).unwrap();
        let error = fs::write(directory.path().join("more"), vec![1; 100_000]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
        disk.make_room().unwrap();
        fs::write(directory.path().join("more"), vec![1; 100_000]).unwrap();
        drop(disk);
        assert!(!file.exists(), "it went with the disk");
    }
}
