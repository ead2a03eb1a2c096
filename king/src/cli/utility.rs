//! What concerns the serf's memory is done by the serf's own binary, on a pier that nobody uses (`spec/cli.md` section 3).

use super::serf_binary;
use anyhow::{Context, bail, ensure};
use clap::Args;
use replog::inspect;
use std::{
    ffi::OsString,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
};

/// Arguments of a utility: the binary's own.
#[derive(Debug, Args)]
pub struct UtilityArgs {
    /// The `urbit` binary that does it. Without it: `urbit` on the PATH.
    #[arg(long, value_name = "FILE", env = "SEGURO_SERF")]
    pub serf_bin: Option<PathBuf>,
    /// The utility's own options, and the ship's directory last, as `urbit` takes them.
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "OPTIONS AND PIER"
    )]
    pub words: Vec<OsString>,
}

/// Has the binary do it in this process's place. Returns only when that fails.
pub(super) fn run(utility: &str, args: UtilityArgs) -> anyhow::Result<u8> {
    let binary = binary(utility, args.serf_bin.as_deref())?;
    if utility != "eval"
        && let Some(pier) = args.words.last().map(Path::new)
        && pier.is_dir()
    {
        // Held for a moment, to see that no king runs there and that the log is sound. The binary takes the same lock, so
        // that whichever of it and a king comes first shuts the other out.
        inspect::look(pier)?;
    }
    let error = Command::new(&binary).arg(utility).args(args.words).exec();
    Err(error).with_context(|| format!("{} cannot be run", binary.display()))
}

/// vere's `next` replaces vere by its next release, which this program is not; and from v4.0 on those are no serfs.
pub(super) fn next() -> anyhow::Result<u8> {
    bail!(
        "next: this program does not upgrade itself: install its next release in its place. To take another serf binary (vere up to v3.5): \
         stop the ship, `seguro-king prep PIER` with the old one, `seguro-king vere DIR` to download one, and run the ship with that \
         (--serf-bin, or SEGURO_SERF). To go on with a later vere: stop the ship, `seguro-king prep PIER`, and have that vere run the pier"
    )
}

/// vere's `dock` puts itself into a pier, from where `.run` starts it.
pub(super) fn dock() -> anyhow::Result<u8> {
    bail!(
        "dock: this program and its serf are not copied into piers: run `seguro-king PIER`; where a pier should have a command of its own, \
         link its .run to this program (ln -sf \"$(command -v seguro-king)\" PIER/.run)"
    )
}

/// Has the binary do it on a pier, and waits until it is done.
pub(super) fn wait(utility: &str, serf_bin: Option<&Path>, pier: &Path) -> anyhow::Result<()> {
    let binary = binary(utility, serf_bin)?;
    inspect::look(pier)?;
    let status = Command::new(&binary)
        .arg(utility)
        .arg(pier)
        .status()
        .with_context(|| format!("{} cannot be run", binary.display()))?;
    ensure!(
        status.success(),
        "{} {utility} ended with {status}",
        binary.display()
    );
    Ok(())
}

fn binary(utility: &str, named: Option<&Path>) -> anyhow::Result<PathBuf> {
    ensure!(
        named != Some(Path::new(serf_binary::BUILTIN)),
        "{utility} is done by an `urbit` binary; the reference serf has no utilities"
    );
    serf_binary::binary(named)
}
