//! How a serf is started: its arguments, by version.

use super::SpawnError;
use std::ffi::OsString;
use std::ops::RangeInclusive;
use std::path::PathBuf;

/// Bits of [`SerfCommand::wag`] (`spec/ipc.md` section 4). The names in brackets are the C king's options.
pub mod wag {
    /// Look for leaks after each event (`-g`).
    pub const DEBUG_RAM: u32 = 1 << 0;
    /// Profile the computation (`-P`).
    pub const DEBUG_CPU: u32 = 1 << 1;
    /// Print more (`-v`).
    pub const VERBOSE: u32 = 1 << 4;
    /// Write no snapshot (`-D`).
    pub const DRY_RUN: u32 = 1 << 5;
    /// Print less (`-q`).
    pub const QUIET: u32 = 1 << 6;
    /// No hashboard (`-S`); the C king always sets it.
    pub const HASHLESS: u32 = 1 << 7;
    /// Write traces (`-j`).
    pub const TRACE: u32 = 1 << 8;
    /// Read the whole image at the start (`--no-demand`).
    pub const NO_DEMAND: u32 = 1 << 9;
    /// Use [`SerfCommand::swap_file`](super::SerfCommand::swap_file) (`--swap`).
    pub const SWAP: u32 = 1 << 12;
    /// Give memory back often, as [`SerfCommand::toss`](super::SerfCommand::toss) says (`--toss`).
    pub const TOSS: u32 = 1 << 13;
}

/// What the C king passes when it is given no options.
pub const DEFAULT_WAG: u32 = wag::HASHLESS;
/// The loom's size when nothing else is asked for: 2^31 bytes.
pub const DEFAULT_LOOM_EXPONENT: u8 = 31;
/// The loom sizes that a serf accepts, as exponents of two in bytes.
pub const LOOM_EXPONENTS: RangeInclusive<u8> = 20..=33;
/// Entries in each of the memoization caches when nothing else is asked for.
pub const DEFAULT_CACHE: u32 = 50_000;

/// Which arguments a serf takes. All three speak the same protocol, but that `%quiz` is new in the last
/// (`spec/ipc.md` section 14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SerfVersion {
    /// vere v3.0 to v3.5: 11 words.
    V3_5,
    /// vere v2.10 to v2.12: 10 words, no persistent cache's size.
    V2_12,
    /// vere v1.16 to v2.9: 8 words, no swap file and no toss either.
    V1_18,
}

impl SerfVersion {
    /// The arguments that a release of vere takes; nothing for v4.0 and later, whose worker is no serf.
    pub(super) fn of_release(major: u32, minor: u32) -> Option<SerfVersion> {
        match (major, minor) {
            (0..=1, _) | (2, 0..=9) => Some(SerfVersion::V1_18),
            (2, _) => Some(SerfVersion::V2_12),
            (3, _) => Some(SerfVersion::V3_5),
            _ => None,
        }
    }
}

/// A serf to be started. [`SerfCommand::new`] fills in what the C king passes when it is given no options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SerfCommand {
    /// The `urbit` binary. A name without a slash is looked for in `PATH`.
    pub program: PathBuf,
    /// The pier, whose `.urb/chk` holds the serf's image. One serf at a time may have it.
    pub pier: PathBuf,
    /// Which arguments the binary takes; [`probe`](super::probe()) finds out.
    pub version: SerfVersion,
    /// Flags, see [`wag`].
    pub wag: u32,
    /// The size of the serf's memory is 2 to this many bytes; one of [`LOOM_EXPONENTS`].
    pub loom_exponent: u8,
    /// How many entries the transient memoization cache has.
    pub memo_cache: u32,
    /// How many entries the persistent memoization cache has; before v3.0 there is no such setting.
    pub keep_cache: u32,
    /// A file to page memory out to, with [`wag::SWAP`]; before v2.10 there is no such setting.
    pub swap_file: Option<PathBuf>,
    /// How many words to skip when memory is given back, with [`wag::TOSS`]; before v2.10 there is no such setting.
    pub toss: u32,
}

impl SerfCommand {
    /// The serf `program` (vere v3.5) on `pier`.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>, pier: impl Into<PathBuf>) -> SerfCommand {
        SerfCommand {
            program: program.into(),
            pier: pier.into(),
            version: SerfVersion::V3_5,
            wag: DEFAULT_WAG,
            loom_exponent: DEFAULT_LOOM_EXPONENT,
            memo_cache: DEFAULT_CACHE,
            keep_cache: DEFAULT_CACHE,
            swap_file: None,
            toss: 0,
        }
    }

    /// All words of the command line, the program's name first (`spec/ipc.md` section 4).
    #[must_use]
    pub fn argv(&self) -> Vec<OsString> {
        let mut argv: Vec<OsString> = vec![
            self.program.clone().into(),
            "serf".into(),
            self.pier.clone().into(),
            "0:0:0:0".into(), // a disk key, which is parsed and never used
            self.wag.to_string().into(),
            self.memo_cache.to_string().into(),
            self.loom_exponent.to_string().into(),
            "0".into(), // a rock to start from; a serf that did would misreport its event number
        ];
        if self.version != SerfVersion::V1_18 {
            argv.push(self.swap_file.clone().map_or("0".into(), OsString::from));
            argv.push(self.toss.to_string().into());
        }
        if self.version == SerfVersion::V3_5 {
            argv.push(self.keep_cache.to_string().into());
        }
        argv
    }

    /// Refuses what the serf would misunderstand instead of refusing it itself.
    pub(super) fn check(&self) -> Result<(), SpawnError> {
        if LOOM_EXPONENTS.contains(&self.loom_exponent) {
            Ok(())
        } else {
            Err(SpawnError::LoomExponent {
                given: self.loom_exponent,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(command: &SerfCommand) -> Vec<String> {
        command
            .argv()
            .into_iter()
            .map(|word| word.into_string().unwrap())
            .collect()
    }

    #[test]
    fn the_words_are_those_of_each_version() {
        let mut command = SerfCommand::new("/bin/urbit", "/zod");
        let all = [
            "/bin/urbit",
            "serf",
            "/zod",
            "0:0:0:0",
            "128",
            "50000",
            "31",
            "0",
            "0",
            "0",
            "50000",
        ];
        assert_eq!(words(&command), all);
        command.version = SerfVersion::V2_12;
        assert_eq!(words(&command), all[..10]);
        command.version = SerfVersion::V1_18;
        assert_eq!(words(&command), all[..8]);
    }

    #[test]
    fn every_setting_has_its_word() {
        let command = SerfCommand {
            wag: DEFAULT_WAG | wag::SWAP | wag::TOSS,
            loom_exponent: 33,
            memo_cache: 1,
            keep_cache: 2,
            swap_file: Some("/swap".into()),
            toss: 3,
            ..SerfCommand::new("urbit", "zod")
        };
        let all = [
            "urbit", "serf", "zod", "0:0:0:0", "12416", "1", "33", "0", "/swap", "3", "2",
        ];
        assert_eq!(words(&command), all);
    }

    #[test]
    fn a_loom_that_the_serf_does_not_accept_is_refused() {
        let command = SerfCommand {
            loom_exponent: 34,
            ..SerfCommand::new("urbit", "zod")
        };
        assert!(matches!(
            command.check(),
            Err(SpawnError::LoomExponent { given: 34 })
        ));
    }
}
