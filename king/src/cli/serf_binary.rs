//! Which serf runs: `--serf-bin`, `SEGURO_SERF`, `urbit` on the PATH, or the reference serf that is built in.

use super::{MemberArgs, SerfVersionArg};
use anyhow::{Context, bail};
use serf_ipc::{
    SerfCommand, SerfVersion,
    child::{DEFAULT_WAG, wag},
};
use std::path::{Path, PathBuf};

/// The name of the reference serf.
pub(super) const BUILTIN: &str = "builtin";
/// Where the serf's pages go with `--swap`, below the pier (`spec/cli.md` section 2).
const SWAP_FILE: &str = ".urb/chk/limbo.bin";
/// The serf's command line for this pier.
pub(super) fn command(args: &MemberArgs, pier: &Path) -> anyhow::Result<SerfCommand> {
    let (program, version) = program(args.serf_bin.as_deref(), args.serf_version)?;
    Ok(SerfCommand {
        wag: flags(args),
        swap_file: swap_file(args, pier),
        toss: args.toss.unwrap_or(0),
        loom_exponent: args.loom,
        memo_cache: args.memo_cache,
        keep_cache: args.keep_cache,
        version,
        ..SerfCommand::new(program, pier)
    })
}

fn flags(args: &MemberArgs) -> u32 {
    let chosen = [
        (args.gc, wag::DEBUG_RAM),
        (args.profile, wag::DEBUG_CPU),
        (args.verbose, wag::VERBOSE),
        (args.replay, wag::DRY_RUN),
        (args.quiet, wag::QUIET),
        (args.json_trace, wag::TRACE),
        (args.no_demand, wag::NO_DEMAND),
        (args.swap || args.swap_to.is_some(), wag::SWAP),
        (args.toss.is_some(), wag::TOSS),
    ];
    let flags = chosen.iter().filter(|(chosen, _)| *chosen).map(|(_, flag)| flag);
    flags.fold(DEFAULT_WAG, |all, flag| all | flag)
}

fn swap_file(args: &MemberArgs, pier: &Path) -> Option<PathBuf> {
    let own = args.swap.then(|| pier.join(SWAP_FILE));
    args.swap_to.clone().or(own)
}

/// The binary that `named` or the PATH gives, without asking it anything.
///
/// # Errors
/// When there is none.
pub(super) fn binary(named: Option<&Path>) -> anyhow::Result<PathBuf> {
    let named = named
        .filter(|path| !path.as_os_str().is_empty())
        .map(Path::to_owned);
    let program = match named.or_else(urbit_on_path) {
        Some(program) => program,
        None => bail!(
            "no serf: give an `urbit` binary of vere up to v3.5 with --serf-bin or in SEGURO_SERF, or put it on the PATH. \
             `seguro-king vere DIR` downloads it; `--serf-bin builtin` is the reference serf, for trying things out"
        ),
    };
    program
        .canonicalize()
        .with_context(|| format!("the serf {} is not there", program.display()))
}

fn program(named: Option<&Path>, version: SerfVersionArg) -> anyhow::Result<(PathBuf, SerfVersion)> {
    if named == Some(Path::new(BUILTIN)) {
        let own =
            std::env::current_exe().context("the path of this program, which is also the reference serf")?;
        return Ok((own, version.named().unwrap_or(SerfVersion::V3_5)));
    }
    let program = binary(named)?;
    let version = match version.named() {
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
