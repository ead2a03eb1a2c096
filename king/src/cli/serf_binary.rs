//! Which serf runs: `--serf-bin`, `SEGURO_SERF`, `urbit` on the PATH, or the reference serf that is built in.

use super::MemberArgs;
use anyhow::{Context, bail};
use serf_ipc::{SerfCommand, SerfVersion};
use std::path::{Path, PathBuf};

/// The name of the reference serf.
const BUILTIN: &str = "builtin";
/// The serf's flags: vere's default word, 128, and `-q` (`spec/ipc.md` section 4).
const HASHLESS: u32 = 1 << 7;
const QUIET: u32 = 1 << 6;
const VERBOSE: u32 = 1 << 4;

/// The serf's command line for this pier.
pub(super) fn command(args: &MemberArgs, pier: &Path) -> anyhow::Result<SerfCommand> {
    let (program, version) = program(args)?;
    let mut wag = HASHLESS;
    if args.quiet {
        wag |= QUIET;
    }
    if args.verbose {
        wag |= VERBOSE;
    }
    Ok(SerfCommand {
        wag,
        loom_exponent: args.loom,
        memo_cache: args.memo_cache,
        keep_cache: args.keep_cache,
        version,
        ..SerfCommand::new(program, pier)
    })
}

fn program(args: &MemberArgs) -> anyhow::Result<(PathBuf, SerfVersion)> {
    let named = args.serf_bin.clone().filter(|path| !path.as_os_str().is_empty());
    if named.as_deref() == Some(Path::new(BUILTIN)) {
        let own =
            std::env::current_exe().context("the path of this program, which is also the reference serf")?;
        return Ok((own, args.serf_version.named().unwrap_or(SerfVersion::V3_5)));
    }
    let program = match named.or_else(urbit_on_path) {
        Some(program) => program,
        None => bail!(
            "no serf: give an `urbit` binary of vere up to v3.5 with --serf-bin or in SEGURO_SERF, or put it on the PATH. \
             Releases are at github.com/urbit/vere; `--serf-bin builtin` is the reference serf, for trying things out"
        ),
    };
    let program = program
        .canonicalize()
        .with_context(|| format!("the serf {} is not there", program.display()))?;
    let version = match args.serf_version.named() {
        Some(version) => version,
        None => serf_ipc::child::probe(&program, serf_ipc::limits::PROBE_TIME)?.version,
    };
    Ok((program, version))
}

fn urbit_on_path() -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|dir| dir.join("urbit"))
        .find(|path| path.is_file())
}
