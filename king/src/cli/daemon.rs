//! `-d`: the ship in the background. This process starts another of the same, and ends when that one says that it is ready,
//! or with its exit code if it ends before (`spec/cli.md` section 5).
//!
//! What is said, and how, is systemd's notification protocol: see `ready`.

use crate::{limits, ready};
use anyhow::Context;
use std::{
    env,
    io::ErrorKind,
    os::unix::{
        net::UnixDatagram,
        process::{CommandExt, ExitStatusExt},
    },
    process::{Command, ExitStatus},
};
use tempfile::TempDir;

/// Set for the process in the background: it does not start another.
const MARK: &str = "SEGURO_IN_BACKGROUND";

/// The socket's name.
const SOCKET: &str = "ready";

/// Starts the ship in the background and waits until it is ready: the exit code. None in the process that is to run it.
///
/// # Errors
/// When it cannot be started.
pub(super) fn split() -> anyhow::Result<Option<u8>> {
    if env::var_os(MARK).is_some() {
        return Ok(None);
    }
    let (directory, socket) = listen().context("a socket to hear from the ship in the background")?;
    let mut words = env::args_os();
    let program = env::current_exe().context("the path of this program")?;
    let mut command = Command::new(&program);
    if let Some(own) = words.next() {
        command.arg0(own);
    }
    let mut child = command
        .args(words)
        .env(MARK, "1")
        .env(ready::SOCKET, directory.path().join(SOCKET))
        .spawn()
        .with_context(|| format!("{} in the background", program.display()))?;
    let mut message = [0; 256];
    loop {
        match socket.recv(&mut message) {
            Ok(length) if ready::is_ready(message.get(..length).unwrap_or_default()) => return Ok(Some(0)),
            Ok(_) => {}
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                ) => {}
            Err(error) => return Err(error).context("hearing from the ship in the background"),
        }
        if let Some(status) = child.try_wait().context("the ship in the background")? {
            return Ok(Some(code(status)));
        }
    }
}

/// A socket in a directory of its own, which goes with it.
fn listen() -> anyhow::Result<(TempDir, UnixDatagram)> {
    let directory = tempfile::Builder::new().prefix("seguro-king-").tempdir()?;
    let socket = UnixDatagram::bind(directory.path().join(SOCKET))?;
    socket.set_read_timeout(Some(limits::DAEMON_LOOK))?;
    Ok((directory, socket))
}

/// A shell's view of how a process ended.
fn code(status: ExitStatus) -> u8 {
    let signal = || status.signal().map(|signal| 128 + signal);
    let code = status.code().or_else(signal);
    code.and_then(|code| u8::try_from(code).ok())
        .unwrap_or(limits::EXIT_FAILURE)
}
