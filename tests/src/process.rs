//! A process that is not a child of the test: a serf, by its number.

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{ffi::OsStr, fs, os::unix::ffi::OsStrExt, path::Path};

/// A process, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process(pub Pid);

impl Process {
    /// Sends it a signal.
    ///
    /// # Errors
    /// When it is gone.
    pub fn signal(self, signal: Signal) -> anyhow::Result<()> {
        Ok(kill(self.0, signal)?)
    }

    /// Stops it, as a machine that pages would, until what is returned is dropped.
    ///
    /// # Errors
    /// When it is gone.
    pub fn stop(self) -> anyhow::Result<Stopped> {
        self.signal(Signal::SIGSTOP)?;
        Ok(Stopped(self))
    }

    /// The time that its threads have computed, in the system's ticks (a hundredth of a second); None when it is gone.
    #[must_use]
    pub fn ticks(self) -> Option<u64> {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.0)).ok()?;
        // The name, in parentheses, may hold anything; what follows it is numbers, the third to last of which are these.
        let (_, numbers) = text.rsplit_once(')')?;
        let mut numbers = numbers.split_whitespace().skip(11).map(str::parse::<u64>);
        Some(numbers.next()?.ok()? + numbers.next()?.ok()?)
    }

    /// The most memory that it has held, in bytes; None when it is gone.
    #[must_use]
    pub fn peak_bytes(self) -> Option<u64> {
        self.status("VmHWM:").map(|kilobytes| kilobytes * 1024)
    }

    /// The first number that its `/proc/PID/status` has on the line of this name; None when it is gone.
    pub(crate) fn status(self, name: &str) -> Option<u64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.0)).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    }

    /// How many descriptors it has open; None when it is gone.
    pub(crate) fn descriptors(self) -> Option<u64> {
        Some(fs::read_dir(format!("/proc/{}/fd", self.0)).ok()?.count() as u64)
    }
}

/// A stopped process, which goes on when this is dropped.
#[derive(Debug)]
pub struct Stopped(Process);

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = self.0.signal(Signal::SIGCONT);
    }
}

/// Every process one of whose arguments lies in `directory`: the kings and serfs of a ship there.
#[must_use]
pub fn processes_of(directory: &Path) -> Vec<Process> {
    let of_it = |argument: &[u8]| Path::new(OsStr::from_bytes(argument)).starts_with(directory);
    let Ok(processes) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let processes = processes.flatten().filter_map(|process| {
        let number = process.file_name().to_str()?.parse().ok()?;
        let arguments = fs::read(process.path().join("cmdline")).ok()?;
        let named = arguments.split(|byte| *byte == 0).any(of_it);
        named.then_some(Process(Pid::from_raw(number)))
    });
    processes.collect()
}
