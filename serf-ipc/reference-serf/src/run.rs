//! The serf as a process: words on the command line, frames in, frames out (`spec/ipc.md` sections 1 and 4).

use crate::image::Image;
use crate::kernel;
use crate::limits::{LOOM_EXPONENT_DEFAULT, LOOM_EXPONENTS};
use crate::nock::{Host, Mote};
use crate::serf::{End, Guard, Serf};
use crate::watch::Watch;
use serf_ipc::limits::SERF_FRAME_BYTES;
use serf_ipc::newt::{Decoder, NewtError, encode_with};
use serf_ipc::protocol::Writ;
use serf_ipc::{FromNoun as _, Noun, ShapeError, ToNoun as _, cue, jam, n};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// How the program is called.
const USAGE: &str = "usage: reference-serf serf PIER KEY WAG CACHE LOOM ROCK EPHEMERAL [TOSS CACHE]
       reference-serf pill FILE";

/// The fewest words that the C serf accepts, its own name included (`spec/ipc.md` section 4).
const SERF_WORDS: usize = 9;

/// The flag that makes a snapshot a no-op (`spec/ipc.md` section 4, wag bit 5).
const WAG_DRY_RUN: u32 = 1 << 5;

/// Why the program ends with an error.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{USAGE}")]
    Usage,
    #[error("serf: missing args\n{USAGE}")]
    MissingWords,
    #[error("serf: rock {0:?}: this serf starts from its image only; pass 0")]
    Rock(OsString),
    #[error("pill: {path}: {source}")]
    Pill { path: PathBuf, source: io::Error },
    #[error("serf: {0}")]
    Image(#[from] crate::image::ImageError),
    #[error("serf: pier error: {0}")]
    Pipe(#[from] io::Error),
    #[error("serf: pier error: newt-decode: {0}")]
    Newt(#[from] NewtError),
    #[error("serf: pier error: bad jar: {0}")]
    Cue(#[from] serf_ipc::CueError),
    #[error("serf: pier error: bad jar: {0}")]
    Writ(#[from] ShapeError),
    #[error("serf: pier unexpectedly shut down")]
    Gone,
    #[error(transparent)]
    End(#[from] End),
}

/// Runs the program that the words say, the first of which is its own name. With `serf` as the second it speaks the serf's
/// side of the protocol on standard input and output until it is told to exit; with `pill` it writes the kernel's pill to
/// a file.
///
/// Where the C serf aborts, so does this: the process ends with SIGABRT.
#[must_use]
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    let words: Vec<OsString> = args.collect();
    let done = match words.get(1).and_then(|word| word.to_str()) {
        Some("serf") => serve(&words),
        Some("pill") => write_pill(&words),
        _ => Err(Failure::Usage),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::End(End::Exit(status))) => ExitCode::from(status),
        Err(failure) => {
            eprintln!("{failure}");
            if let Failure::End(End::Broken { .. }) = failure {
                std::process::abort();
            }
            ExitCode::FAILURE
        }
    }
}

fn write_pill(words: &[OsString]) -> Result<(), Failure> {
    let [_, _, path] = words else {
        return Err(Failure::Usage);
    };
    std::fs::write(path, kernel::pill_bytes()).map_err(|source| Failure::Pill {
        path: path.into(),
        source,
    })
}

/// The words that matter here. The others set what this serf does not have.
struct Words<'a> {
    pier: &'a Path,
    dry: bool,
    /// The loom's size in bytes.
    loom: u64,
}

impl Words<'_> {
    fn parse(words: &[OsString]) -> Result<Words<'_>, Failure> {
        if words.len() < SERF_WORDS {
            return Err(Failure::MissingWords);
        }
        if words[7] != "0" {
            return Err(Failure::Rock(words[7].clone()));
        }
        let number = |word: &OsString| word.to_str().and_then(|word| word.parse::<u32>().ok());
        let exponent = number(&words[6]).filter(|exponent| LOOM_EXPONENTS.contains(exponent));
        Ok(Words {
            pier: Path::new(&words[2]),
            dry: number(&words[4]).is_some_and(|wag| wag & WAG_DRY_RUN != 0),
            loom: 1 << exponent.unwrap_or(LOOM_EXPONENT_DEFAULT),
        })
    }
}

fn serve(words: &[OsString]) -> Result<(), Failure> {
    let words = Words::parse(words)?;
    let mut input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let image = Image::open(words.pier, words.dry)?;
    let mut serf = match image.load()? {
        Some((event, kernel)) => Serf::new(image, event, Some(kernel)),
        None => Serf::new(image, seguro_event::EventNumber::ZERO, None),
    };
    let mut king = King {
        output,
        watch: Watch::new(words.loom),
        failed: None,
    };
    king.say(&serf.ripe().to_noun())?;
    let mut frames = Decoder::new(SERF_FRAME_BYTES);
    loop {
        while let Some(body) = frames.next_body()? {
            let plea = serf.answer(Writ::from_noun(&cue(body)?)?, &mut king)?;
            king.failed.take().map_or(Ok(()), Err)?;
            king.say(&plea.to_noun())?;
        }
        match input.read(frames.space()) {
            Ok(0) => return Err(Failure::Gone),
            Ok(count) => frames.filled(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The king at the other end of the pipe, as a computation sees it.
struct King {
    output: File,
    watch: Watch,
    /// What went wrong while a computation could not be told.
    failed: Option<io::Error>,
}

impl King {
    /// Sends a plea. It is on the pipe when this returns.
    fn say(&mut self, plea: &Noun) -> Result<(), Failure> {
        let frame = encode_with(SERF_FRAME_BYTES, |frame| frame.extend_from_slice(&jam(plea)))?;
        Ok(self.output.write_all(&frame)?)
    }
}

impl Host for King {
    fn slog(&mut self, line: &Noun) {
        if let Err(Failure::Pipe(error)) = self.say(&n!["slog", line]) {
            self.failed.get_or_insert(error);
        }
    }

    fn interrupted(&mut self) -> Option<Mote> {
        self.watch.interrupted()
    }
}

impl Guard for King {
    fn begin(&mut self, limit_ms: u32) {
        if let Err(error) = self.watch.begin(limit_ms) {
            self.failed.get_or_insert(error);
        }
    }

    fn free_bytes(&self) -> u64 {
        self.watch.free_bytes()
    }

    fn total_bytes(&self) -> u64 {
        self.watch.total_bytes()
    }
}
