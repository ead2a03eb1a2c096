//! The terminal that this process was started on: raw while a ship lives in it, and given back as it was.

use super::screen::Size;
use rustix::{
    io::Errno,
    termios::{
        ControlModes, InputModes, LocalModes, OptionalActions, OutputModes, SpecialCodeIndex, Termios,
        isatty, tcgetattr, tcgetwinsize, tcsetattr,
    },
};
use std::{
    io::{self, Write as _},
    os::fd::AsFd,
};

/// Standard input and output, which are a terminal. Dropping it changes nothing: see [`Tty::restore`].
#[derive(Debug)]
pub(super) struct Tty {
    input: Termios,
    output: Termios,
    /// Whether standard error goes to the same terminal.
    has_stderr: bool,
}

impl Tty {
    /// What the terminal is like now; None when there is none.
    ///
    /// # Errors
    /// When the system does not say.
    pub(super) fn open() -> io::Result<Option<Tty>> {
        if !isatty(io::stdin()) || !isatty(io::stdout()) {
            return Ok(None);
        }
        let device = |fd: &dyn AsFd| rustix::fs::fstat(fd.as_fd()).map(|stat| stat.st_rdev);
        Ok(Some(Tty {
            input: tcgetattr(io::stdin())?,
            output: tcgetattr(io::stdout())?,
            has_stderr: isatty(io::stderr()) && device(&io::stderr()) == device(&io::stdout()),
        }))
    }

    /// Whether what is written to standard error appears on this terminal.
    pub(super) fn has_stderr(&self) -> bool {
        self.has_stderr
    }

    /// Hands over every key as it is typed, without showing it, and shows bytes as they are. Ctrl-C, Ctrl-Z and Ctrl-\ stay signals.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub(super) fn make_raw(&self) -> io::Result<()> {
        set(io::stdin(), &raw(&self.input))?;
        set(io::stdout(), &raw(&self.output))
    }

    /// As it was found.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub(super) fn restore(&self) -> io::Result<()> {
        set(io::stdin(), &self.input)?;
        set(io::stdout(), &self.output)
    }

    /// Its size.
    pub(super) fn size(&self) -> Size {
        tcgetwinsize(io::stdout()).map_or_else(
            |_| Size::default(),
            |size| Size::or_unknown(size.ws_col, size.ws_row),
        )
    }

    /// Waits for keys; how many bytes there are, 0 when it has hung up.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match rustix::io::read(io::stdin(), &mut *buffer) {
                Err(Errno::INTR) => {}
                // What reads of a terminal say that has hung up.
                Err(Errno::IO) => return Ok(0),
                other => return Ok(other?),
            }
        }
    }

    /// Shows bytes; waits while the terminal takes none.
    ///
    /// # Errors
    /// When it is gone.
    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes)?;
        stdout.flush()
    }
}

/// At once: what was written before came with its own carriage returns, and a terminal that takes nothing must not hold anyone up.
fn set(fd: impl AsFd, modes: &Termios) -> io::Result<()> {
    loop {
        match tcsetattr(&fd, OptionalActions::Now, modes) {
            Err(Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
}

fn raw(cooked: &Termios) -> Termios {
    let mut raw = cooked.clone();
    raw.local_modes -= LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::IEXTEN;
    raw.input_modes -= InputModes::ICRNL | InputModes::INPCK | InputModes::ISTRIP;
    raw.control_modes -= ControlModes::CSIZE | ControlModes::PARENB;
    raw.control_modes |= ControlModes::CS8;
    raw.output_modes -= OutputModes::OPOST;
    // A read waits for a byte, and for no more.
    raw.special_codes[SpecialCodeIndex::VMIN] = 1;
    raw.special_codes[SpecialCodeIndex::VTIME] = 0;
    raw
}
