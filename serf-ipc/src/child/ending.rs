//! How a serf ended.

use nix::sys::signal::Signal;
use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// How a serf ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It ended by itself with this status: 0 or what `%exit` named; 1 after it said what was wrong on its standard error
    /// (`spec/ipc.md` section 5).
    Exited {
        /// The exit status.
        status: i32,
    },
    /// A signal ended it: one that it brought on itself (SIGABRT after a failed assertion, SIGSEGV), or one that was
    /// sent (SIGKILL by the king, or by a system that is out of memory).
    Signalled {
        /// The signal's number.
        signal: i32,
        /// Whether it left a core file.
        core: bool,
    },
    /// It has ended, and the system does not say how. This is so when the process was started with SIGCHLD ignored.
    Unknown,
}

impl Ending {
    /// Whether the serf failed in a way that it had not foreseen, so that the event that it was at may be to blame. An
    /// exit with a status and a signal that someone sent are no crashes.
    #[must_use]
    pub fn is_crash(&self) -> bool {
        const SENT: [i32; 5] = [
            Signal::SIGKILL as i32,
            Signal::SIGTERM as i32,
            Signal::SIGINT as i32,
            Signal::SIGHUP as i32,
            Signal::SIGQUIT as i32,
        ];
        match self {
            Ending::Exited { .. } | Ending::Unknown => false,
            Ending::Signalled { signal, core } => *core || !SENT.contains(signal),
        }
    }

    /// Whether the serf ended by itself with status 0.
    #[must_use]
    pub fn is_success(&self) -> bool {
        *self == Ending::Exited { status: 0 }
    }
}

impl From<ExitStatus> for Ending {
    fn from(status: ExitStatus) -> Ending {
        match (status.code(), status.signal()) {
            (Some(status), _) => Ending::Exited { status },
            (None, Some(signal)) => Ending::Signalled {
                signal,
                core: status.core_dumped(),
            },
            (None, None) => Ending::Unknown,
        }
    }
}

/// `exit status 1`, `signal 6 (SIGABRT), core dumped`.
impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ending::Exited { status } => write!(f, "exit status {status}"),
            Ending::Signalled { signal, core } => {
                write!(f, "signal {signal}")?;
                if let Ok(name) = Signal::try_from(*signal) {
                    write!(f, " ({name})")?;
                }
                f.write_str(if *core { ", core dumped" } else { "" })
            }
            Ending::Unknown => f.write_str("no known exit status"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_is_told_from_an_exit_and_from_a_kill() {
        let ending = |raw| Ending::from(ExitStatus::from_raw(raw));
        let (abort, abort_core, killed, exit_3, exit_0) = (6, 6 | 0x80, 9, 3 << 8, 0);
        assert!(ending(abort).is_crash());
        assert!(ending(abort_core).is_crash());
        assert!(!ending(killed).is_crash());
        assert!(!ending(exit_3).is_crash());
        assert_eq!(ending(exit_3), Ending::Exited { status: 3 });
        assert!(ending(exit_0).is_success() && !ending(exit_3).is_success() && !ending(killed).is_success());
        assert_eq!(ending(abort_core).to_string(), "signal 6 (SIGABRT), core dumped");
        assert_eq!(ending(exit_3).to_string(), "exit status 3");
    }
}
