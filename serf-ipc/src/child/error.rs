//! What can be wrong with a child: it cannot be started, it is gone, or it says what no serf says.

use super::command::LOOM_EXPONENTS;
use crate::limits::BAD_PLEA_BYTES;
use crate::newt::NewtError;
use crate::noun::{CueError, ShapeError};
use std::fmt;
use std::io;
use std::path::PathBuf;

/// A serf could not be started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// There is no such program.
    #[error(
        "the serf's program {} does not exist: name the `urbit` binary of a vere up to v3.5",
        program.display()
    )]
    NotFound {
        /// The program that was named.
        program: PathBuf,
    },
    /// The program may not be executed.
    #[error(
        "the serf's program {} may not be executed: make it executable (chmod +x), on a file system that allows it",
        program.display()
    )]
    NotExecutable {
        /// The program that was named.
        program: PathBuf,
    },
    /// The program cannot be executed for another reason: it is for another machine, or resources are short.
    #[error("the serf's program {} cannot be started: {source}", program.display())]
    Program {
        /// The program that was named.
        program: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The loom's size is none that a serf accepts.
    #[error(
        "a loom of 2^{given} bytes is not possible: choose an exponent from {} to {}",
        LOOM_EXPONENTS.start(), LOOM_EXPONENTS.end()
    )]
    LoomExponent {
        /// The exponent asked for.
        given: u8,
    },
    /// The system gives no more sockets or threads.
    #[error(
        "no {what} for the serf {}: {source}; close other programs or raise the process's limits (ulimit -n, -u)",
        program.display()
    )]
    Resources {
        /// What there is none of.
        what: &'static str,
        /// The program that was named.
        program: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl SpawnError {
    /// The error of a program that could not be executed.
    pub(super) fn program(program: PathBuf, source: io::Error) -> SpawnError {
        match source.kind() {
            // If it does exist, what is missing is its interpreter or its loader.
            io::ErrorKind::NotFound if !program.exists() => SpawnError::NotFound { program },
            io::ErrorKind::PermissionDenied => SpawnError::NotExecutable { program },
            _ => SpawnError::Program { program, source },
        }
    }
}

/// The serf takes no more writs: it has ended, or its input was closed. Its [`Ending`](super::Ending) says more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the serf (pid {pid}) takes no more writs: it has ended or was told to")]
pub struct Gone {
    /// The serf's process.
    pub pid: u32,
}

/// The serf said what no serf says. It is killed for it, since what it is about to do is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPlea {
    /// Its output is no sequence of frames.
    #[error("the serf's output is not of its protocol: {error}; it goes on with {next}")]
    Newt {
        /// What is wrong.
        #[source]
        error: NewtError,
        /// The output from the bad frame on.
        next: Excerpt,
    },
    /// A frame holds no noun.
    #[error("the serf sent a frame that is no noun: {error}; it begins with {body}")]
    Cue {
        /// What is wrong.
        #[source]
        error: CueError,
        /// The frame's body.
        body: Excerpt,
    },
    /// A noun is no plea.
    #[error("the serf sent what is no plea: {error}; its jam begins with {body}")]
    Shape {
        /// What is wrong, and what was found there.
        #[source]
        error: ShapeError,
        /// The frame's body.
        body: Excerpt,
    },
    /// It closed its output and lives on, so it will not answer any more.
    #[error("the serf closed its output and did not end")]
    Closed,
}

/// The beginning of some bytes, for a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// The first bytes, at most [`BAD_PLEA_BYTES`].
    pub start: Vec<u8>,
    /// How many there are in all.
    pub length: usize,
}

impl Excerpt {
    pub(super) fn new(bytes: &[u8]) -> Excerpt {
        Excerpt {
            start: bytes[..bytes.len().min(BAD_PLEA_BYTES)].to_vec(),
            length: bytes.len(),
        }
    }
}

/// `0x0a0b.. (200 bytes)`.
impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0x")?;
        self.start.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(if self.start.len() < self.length { ".." } else { "" })?;
        write!(f, " ({} bytes)", self.length)
    }
}
