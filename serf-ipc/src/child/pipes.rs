//! Starting the process, with a pair of sockets for each of its three streams.

use super::process::Process;
use super::{SerfCommand, SpawnError};
use nix::sys::signal::{SigSet, SigmaskHow};
use std::io;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

/// Our ends of the child's streams. They are closed on exec, so that no other child holds them open.
#[derive(Debug)]
pub(super) struct Pipes {
    /// Frames to the child.
    pub(super) input: UnixStream,
    /// Frames from the child.
    pub(super) output: UnixStream,
    /// The child's standard error.
    pub(super) errors: UnixStream,
}

impl Pipes {
    /// Ends the streams of a child that is no more, whoever holds their other ends. What had been written to us before
    /// this is read first; a thread that is writing gets an error.
    pub(super) fn shut(&self) {
        // An error means that a stream has no other end any more, which is what is wanted.
        let _ = self.input.shutdown(Shutdown::Both);
        let _ = self.output.shutdown(Shutdown::Read);
        let _ = self.errors.shutdown(Shutdown::Read);
    }
}

/// Starts the program.
pub(super) fn start(command: &SerfCommand) -> Result<(Process, Pipes), SpawnError> {
    let sockets = || -> io::Result<_> { Ok((UnixStream::pair()?, UnixStream::pair()?, UnixStream::pair()?)) };
    let program = || command.program.clone();
    let ((input, stdin), (output, stdout), (errors, stderr)) =
        sockets().map_err(|source| SpawnError::Resources {
            what: "sockets",
            program: program(),
            source,
        })?;
    let words = command.argv();
    let mut process = Command::new(&command.program);
    process.args(&words[1..]).process_group(0);
    process
        .stdin(stdio(stdin))
        .stdout(stdio(stdout))
        .stderr(stdio(stderr));
    let child = with_no_signal_blocked(|| process.spawn());
    let child = child.map_err(|source| SpawnError::program(program(), source))?;
    // `process` held the child's ends. Now only the child has them.
    drop(process);
    Ok((
        Process::new(child),
        Pipes {
            input,
            output,
            errors,
        },
    ))
}

fn stdio(socket: UnixStream) -> Stdio {
    OwnedFd::from(socket).into()
}

/// Calls `spawn` with no signal blocked in this thread, since the child inherits that.
fn with_no_signal_blocked(spawn: impl FnOnce() -> io::Result<Child>) -> io::Result<Child> {
    // Neither call can fail: the sets are sets, and the way is a way.
    let before = SigSet::empty().thread_swap_mask(SigmaskHow::SIG_SETMASK);
    let child = spawn();
    if let Ok(before) = before {
        let _ = before.thread_set_mask();
    }
    child
}
