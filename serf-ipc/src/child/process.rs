//! The child as a process: it is signalled while its number is its own, and reaped once.

use super::Ending;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use std::process::Child;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A child process that leads its own process group. A signal is sent only under the lock under which it is reaped, so
/// that it never meets a stranger who got the number next.
#[derive(Debug)]
pub(super) struct Process {
    pid: Pid,
    state: Mutex<State>,
    reaped: Condvar,
}

#[derive(Debug)]
struct State {
    child: Child,
    /// How it ended, once it is reaped.
    ending: Option<Ending>,
}

impl Process {
    /// The child, which was started as the leader of a process group.
    pub(super) fn new(child: Child) -> Process {
        let pid = i32::try_from(child.id()).unwrap_or_default();
        assert!(
            pid > 1,
            "invariant: a child's number is positive and fits in 31 bits, and 1 is taken"
        );
        let state = Mutex::new(State { child, ending: None });
        Process {
            pid: Pid::from_raw(pid),
            state,
            reaped: Condvar::new(),
        }
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid.as_raw().unsigned_abs()
    }

    /// Sends SIGINT to the child alone.
    pub(super) fn interrupt(&self) {
        if self.lock().ending.is_none() {
            // One that has ended and is not reaped yet cannot be interrupted, and need not be.
            let _ = kill(self.pid, Signal::SIGINT);
        }
    }

    /// Sends SIGKILL to the child and to whatever it started.
    pub(super) fn kill(&self) {
        if self.lock().ending.is_none() {
            let _ = killpg(self.pid, Signal::SIGKILL);
        }
    }

    /// Waits until the child has ended, ends whatever it left running, and reaps it.
    pub(super) fn reap(&self) -> Ending {
        // Without reaping: the number has to stay the child's until its group has been cleared.
        let ended = loop {
            match waitid(Id::Pid(self.pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) {
                Err(Errno::EINTR) => {}
                other => break other.is_ok(),
            }
        };
        let mut state = self.lock();
        if ended {
            let _ = killpg(self.pid, Signal::SIGKILL);
        }
        // An error means that the system reaped it unasked, as it does where SIGCHLD is ignored.
        let ending = state.child.wait().map_or(Ending::Unknown, Ending::from);
        state.ending = Some(ending);
        self.reaped.notify_all();
        ending
    }

    /// Waits until the child is reaped.
    pub(super) fn wait(&self) {
        let mut state = self.lock();
        while state.ending.is_none() {
            state = self.reaped.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits until the child is reaped, but no longer than this; whether it was.
    pub(super) fn wait_for(&self, time: Duration) -> bool {
        let deadline = Instant::now() + time;
        let mut state = self.lock();
        while state.ending.is_none() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self
                .reaped
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        true
    }

    /// No code that holds the lock can leave a half-made state behind.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
