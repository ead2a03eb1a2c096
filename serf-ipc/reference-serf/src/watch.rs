//! What may end a computation: a signal, the time limit of its writ, too much memory.
//!
//! The C serf leaves SIGINT alone until its first computation, turns SIGINT and SIGTERM into the motes `%intr` and `%term`
//! while it computes, and ignores both between computations (`spec/ipc.md` section 11). So does this one.

use crate::limits::{MEMORY_BYTES, MEMORY_BYTES_MIN, POLLS_PER_MEMORY_CHECK};
use crate::nock::Mote;
use nix::sys::resource::{UsageWho, getrusage};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The signals and limits of the computation that runs.
pub(crate) struct Watch {
    interrupt: Arc<AtomicBool>,
    terminate: Arc<AtomicBool>,
    /// Whether the signals are caught already.
    armed: bool,
    /// The CPU time at which the computation has to end, in milliseconds of this process's life.
    deadline_ms: Option<i64>,
    /// Looks until the next look at the memory.
    polls: u32,
    /// The memory that this process may hold, in bytes.
    memory: u64,
}

impl Watch {
    /// A watch that keeps this process within a loom of `loom` bytes, or less.
    pub(crate) fn new(loom: u64) -> Watch {
        Watch {
            interrupt: Arc::default(),
            terminate: Arc::default(),
            armed: false,
            deadline_ms: None,
            polls: POLLS_PER_MEMORY_CHECK,
            memory: loom.clamp(MEMORY_BYTES_MIN, MEMORY_BYTES),
        }
    }

    /// A computation begins, with a limit on its CPU time in milliseconds, or none if that is 0. Signals that came before
    /// are forgotten.
    ///
    /// # Errors
    /// If the signals cannot be caught.
    pub(crate) fn begin(&mut self, limit_ms: u32) -> io::Result<()> {
        if !self.armed {
            signal_hook::flag::register(SIGINT, Arc::clone(&self.interrupt))?;
            signal_hook::flag::register(SIGTERM, Arc::clone(&self.terminate))?;
            self.armed = true;
        }
        self.interrupt.store(false, Ordering::Relaxed);
        self.terminate.store(false, Ordering::Relaxed);
        self.deadline_ms = match limit_ms {
            0 => None,
            limit => cpu_ms().map(|now| now + i64::from(limit)),
        };
        Ok(())
    }

    /// Why the computation has to end, if it has.
    pub(crate) fn interrupted(&mut self) -> Option<Mote> {
        if self.interrupt.load(Ordering::Relaxed) {
            return Some(Mote::Intr);
        }
        if self.terminate.load(Ordering::Relaxed) {
            return Some(Mote::Term);
        }
        if self
            .deadline_ms
            .is_some_and(|deadline| cpu_ms().is_some_and(|now| now >= deadline))
        {
            return Some(Mote::Alrm);
        }
        self.polls -= 1;
        if self.polls > 0 {
            return None;
        }
        self.polls = POLLS_PER_MEMORY_CHECK;
        (self.free_bytes() == 0).then_some(Mote::Meme)
    }

    /// How many bytes this process may still take.
    pub(crate) fn free_bytes(&self) -> u64 {
        self.memory.saturating_sub(resident_bytes().unwrap_or(0))
    }

    /// How many bytes this process may take in all.
    pub(crate) fn total_bytes(&self) -> u64 {
        self.memory
    }
}

/// The CPU time that this process has used outside the system, in milliseconds. It is what the C serf's timer counts.
fn cpu_ms() -> Option<i64> {
    let used = getrusage(UsageWho::RUSAGE_SELF).ok()?.user_time();
    Some(used.tv_sec() * 1000 + used.tv_usec() / 1000)
}

/// The memory that this process holds, in bytes, where the system tells it.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024)
}
