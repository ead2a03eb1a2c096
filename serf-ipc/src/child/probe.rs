//! Which vere a binary is: the first line of `<binary> -R` (`spec/ipc.md` section 14).

use super::{SerfVersion, SpawnError};
use crate::limits::PROBE_BYTES;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What a binary says that it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Its release, as it writes it: `3.5`, or `3.5-` and a commit.
    pub release: String,
    /// The arguments that its serf takes.
    pub version: SerfVersion,
}

/// A binary cannot be used as a serf.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// It cannot be started.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// It is a vere whose worker keeps the event log itself.
    #[error(
        "{} is vere {release}, which keeps the event log itself and cannot be a serf: use a vere up to v3.5 \
         (ipc protocol 1)",
        program.display()
    )]
    TooNew {
        /// The program that was asked.
        program: PathBuf,
        /// Its release.
        release: String,
    },
    /// It is no vere.
    #[error(
        "{} is no vere: asked for its version with -R it said {said:?} instead of `urbit <version>`; \
         name the `urbit` binary of a vere up to v3.5",
        program.display()
    )]
    NotVere {
        /// The program that was asked.
        program: PathBuf,
        /// Its first line.
        said: String,
    },
    /// It did not answer.
    #[error(
        "{} did not tell its version within {} s (asked with -R): name the `urbit` binary of a vere up to v3.5",
        program.display(), time.as_secs_f32()
    )]
    Silent {
        /// The program that was asked.
        program: PathBuf,
        /// How long it was waited for.
        time: Duration,
    },
}

/// Asks a binary which vere it is. It is started for that, and killed once it has answered or `time` is over;
/// [`PROBE_TIME`](crate::limits::PROBE_TIME) is enough on any machine.
///
/// # Errors
/// [`ProbeError`] if it is none that can be a serf.
pub fn probe(program: &Path, time: Duration) -> Result<Probe, ProbeError> {
    let path = program.to_path_buf();
    let said = match first_line(program, time)? {
        Some(line) => line,
        None => return Err(ProbeError::Silent { program: path, time }),
    };
    let Some((release, (major, minor))) = parse(&said) else {
        return Err(ProbeError::NotVere { program: path, said });
    };
    let release = release.to_owned();
    match SerfVersion::of_release(major, minor) {
        Some(version) => Ok(Probe { release, version }),
        None => Err(ProbeError::TooNew {
            program: path,
            release,
        }),
    }
}

/// The release in `urbit 3.5-0123456789`, and its first two numbers.
fn parse(line: &str) -> Option<(&str, (u32, u32))> {
    let release = line.strip_prefix("urbit ")?.trim_end();
    let number = release.split('-').next()?;
    let mut parts = number.split('.').map(|part| part.parse().ok());
    let (major, minor) = (parts.next()??, parts.next()??);
    Some((release, (major, minor)))
}

/// The first line that the program prints, or all that it prints if that is less. Nothing if it takes longer than `time`.
fn first_line(program: &Path, time: Duration) -> Result<Option<String>, SpawnError> {
    let deadline = Instant::now() + time;
    let resources = |source| SpawnError::Resources {
        what: "sockets",
        program: program.to_path_buf(),
        source,
    };
    let (output, theirs) = UnixStream::pair().map_err(resources)?;
    let mut command = Command::new(program);
    command
        .arg("-R")
        .process_group(0)
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    command.stdout(Stdio::from(OwnedFd::from(theirs)));
    let child = command
        .spawn()
        .map_err(|source| SpawnError::program(program.to_path_buf(), source))?;
    drop(command); // It holds the other end of `output`.
    let process = super::process::Process::new(child);
    let line = read_line(&output, deadline);
    process.kill();
    process.reap();
    Ok(line)
}

fn read_line(mut output: &UnixStream, deadline: Instant) -> Option<String> {
    let mut read = Vec::new();
    let mut piece = [0; PROBE_BYTES];
    while read.len() < PROBE_BYTES && !read.contains(&b'\n') {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || output.set_read_timeout(Some(left)).is_err() {
            return None;
        }
        match output.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => read.extend_from_slice(&piece[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                return None;
            }
            Err(_) => break,
        }
    }
    let line = read.split(|byte| *byte == b'\n').next().unwrap_or_default();
    Some(
        String::from_utf8_lossy(&line[..line.len().min(PROBE_BYTES)])
            .trim_end()
            .to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_read_with_and_without_a_commit() {
        assert_eq!(parse("urbit 3.5"), Some(("3.5", (3, 5))));
        assert_eq!(
            parse("urbit 2.12-0123456789\r"),
            Some(("2.12-0123456789", (2, 12)))
        );
        assert_eq!(parse("urbit 1.18-rc1"), Some(("1.18-rc1", (1, 18))));
        assert_eq!(parse("urbit three"), None);
        assert_eq!(parse("bash 5.2"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn each_release_has_its_arguments() {
        assert_eq!(SerfVersion::of_release(1, 18), Some(SerfVersion::V1_18));
        assert_eq!(SerfVersion::of_release(2, 9), Some(SerfVersion::V1_18));
        assert_eq!(SerfVersion::of_release(2, 10), Some(SerfVersion::V2_12));
        assert_eq!(SerfVersion::of_release(3, 0), Some(SerfVersion::V3_5));
        assert_eq!(SerfVersion::of_release(3, 5), Some(SerfVersion::V3_5));
        assert_eq!(SerfVersion::of_release(4, 0), None);
    }
}
