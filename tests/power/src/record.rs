//! Runs a story under `strace`.

use crate::{replay::Places, trace::Trace};
use anyhow::{Context, ensure};
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

/// All calls that change files, names or descriptors. `?`: not every machine has each.
const CALLS: &str = "trace=?open,openat,?openat2,?creat,close,dup,?dup2,dup3,fcntl,lseek,write,writev,pwrite64,pwritev,pwritev2,\
    ftruncate,truncate,fallocate,?rename,?renameat,renameat2,?unlink,unlinkat,?rmdir,?mkdir,mkdirat,?link,linkat,?symlink,\
    symlinkat,fsync,fdatasync,sync,syncfs,sync_file_range,msync,mmap,sendfile,splice,copy_file_range,io_uring_enter,io_submit";

/// What this machine lacks to record; None when it has all.
#[must_use]
pub fn missing() -> Option<String> {
    let run = Command::new("strace")
        .args([
            "--seccomp-bpf",
            "-f",
            "-o",
            "/dev/null",
            "-e",
            "trace=close",
            "true",
        ])
        .stdin(Stdio::null())
        .output();
    match run {
        Err(error) => Some(format!("Debian's strace: {error}")),
        Ok(output) if !output.status.success() => {
            let said = String::from_utf8_lossy(&output.stderr);
            Some(format!("strace, and leave to trace processes: {}", said.trim()))
        }
        Ok(_) => None,
    }
}

/// Whether there is all that the test of this name needs to record; says so where there is not.
#[must_use]
pub fn needs_recorder(test: &str) -> bool {
    let missing = missing();
    if let Some(missing) = &missing {
        eprintln!("{test}: NOT RUN: it needs {missing}");
    }
    missing.is_none()
}

/// Runs `program story` on the files in `places`, and records it.
///
/// # Errors
/// When it cannot be run, ends badly, or was not recorded whole.
pub fn record(program: &Path, story: &str, places: &Places) -> anyhow::Result<Trace> {
    let written = places.marks.with_extension("strace");
    let output = Command::new("strace")
        .args([
            "--seccomp-bpf",
            "-f",
            "-xx",
            "-s",
            "268435456",
            "-e",
            "signal=none",
            "-e",
            CALLS,
            "-o",
        ])
        .arg(&written)
        .arg(program)
        .arg(story)
        .arg(&places.root)
        .arg(&places.marks)
        .current_dir(&places.stands_in)
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .output()
        .context("strace cannot be run")?;
    ensure!(
        output.status.success(),
        "the story {story} ended with {}: {}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    let text = fs::read_to_string(&written).with_context(|| written.display().to_string())?;
    fs::remove_file(&written)?;
    Trace::parse(&text)
}
