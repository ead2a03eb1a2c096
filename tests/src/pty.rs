//! A king in a terminal of its own, as an operator has it: a pseudo-terminal that is read all the time.

use crate::PATIENCE;
use anyhow::{Context, ensure};
use rustix::{
    fs::{Mode, OFlags},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Termios, Winsize, tcgetattr, tcsetwinsize},
};
use std::{
    ffi::OsStr,
    fs::File,
    io::{Read, Write},
    os::fd::OwnedFd,
    path::Path,
    process::{Child, Command, ExitStatus},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// A program in a terminal. Whatever still runs is killed when this is dropped.
#[derive(Debug)]
pub struct InTerminal {
    child: Child,
    master: File,
    /// Held open, so that the terminal is there after the program.
    slave: OwnedFd,
    shown: Arc<Mutex<Vec<u8>>>,
    /// How much of that has been looked at.
    seen: usize,
}

impl InTerminal {
    /// Starts a program in a terminal of so many columns and rows, which is its controlling one.
    ///
    /// # Errors
    /// When there is no terminal, no `setsid` (util-linux), or no such program.
    pub fn start<A: AsRef<OsStr>>(
        program: &Path,
        words: &[A],
        environment: &[(&str, &OsStr)],
        size: (u16, u16),
    ) -> anyhow::Result<InTerminal> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let name = ptsname(&master, Vec::new())?;
        let slave = rustix::fs::open(&name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty())?;
        set_size(&master, size)?;
        let child = Command::new("setsid")
            .arg("--ctty")
            .arg(program)
            .args(words)
            .envs(environment.iter().copied())
            .stdin(slave.try_clone()?)
            .stdout(slave.try_clone()?)
            .stderr(slave.try_clone()?)
            .spawn()
            .context("setsid (util-linux) starts it")?;
        let master = File::from(master);
        let shown = Arc::<Mutex<Vec<u8>>>::default();
        let (mut reader, all) = (master.try_clone()?, Arc::clone(&shown));
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
                all.extend_from_slice(&buffer[..count]);
            }
        });
        Ok(InTerminal {
            child,
            master,
            slave,
            shown,
            seen: 0,
        })
    }

    /// Types.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn types(&mut self, keys: &[u8]) -> anyhow::Result<()> {
        Ok(self.master.write_all(keys)?)
    }

    /// Gives the terminal another size.
    ///
    /// # Errors
    /// When it is gone.
    pub fn resize(&self, size: (u16, u16)) -> anyhow::Result<()> {
        set_size(&self.master, size)
    }

    /// How the terminal treats keys and lines.
    ///
    /// # Errors
    /// When it is gone.
    pub fn modes(&self) -> anyhow::Result<Termios> {
        Ok(tcgetattr(&self.slave)?)
    }

    /// Waits until it shows this behind what was waited for before.
    ///
    /// # Errors
    /// When it does not come.
    pub fn until_shown(&mut self, what: &str) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let mut is_over = false;
        loop {
            let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
            let new = &shown[self.seen..];
            if let Some(at) = new.windows(what.len()).position(|part| part == what.as_bytes()) {
                self.seen += at + what.len();
                return Ok(());
            }
            let new = String::from_utf8_lossy(new).into_owned();
            drop(shown);
            ensure!(
                !is_over && Instant::now() < deadline,
                "{what:?} is not shown, but {new:?}"
            );
            // What it showed last may not have been read yet.
            is_over = self.child.try_wait()?.is_some();
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// All that it has shown.
    #[must_use]
    pub fn shown(&self) -> String {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&shown).into_owned()
    }

    /// Waits for the program's end.
    ///
    /// # Errors
    /// When it does not end.
    pub fn end(&mut self) -> anyhow::Result<ExitStatus> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            ensure!(Instant::now() < deadline, "it does not end: {}", self.shown());
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for InTerminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn set_size(master: impl std::os::fd::AsFd, (columns, rows): (u16, u16)) -> anyhow::Result<()> {
    let size = Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    Ok(tcsetwinsize(master, size)?)
}
