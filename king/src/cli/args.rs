//! The arguments, defined once: the parser and the help come from here.

use super::{
    bare, fetch_serf::FetchSerfArgs, member_args::MemberArgs, new_ship::NewShipArgs, utility::UtilityArgs,
};
use crate::demo::DemoArgs;
use clap::{Args, Parser, Subcommand};
use std::{ffi::OsString, path::PathBuf};

/// Runs one Urbit ship on several machines, so that losing one loses nothing.
#[derive(Debug, Parser)]
#[command(name = "seguro-king", version, about, max_term_width = 100, infer_long_args = true, after_help = bare::HELP)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a new ship in a new directory, and run it.
    Boot(Box<BootArgs>),
    /// Run a ship: one that was stopped, one of vere's, or (an empty directory with --machines) join its cluster.
    Run(Box<RunArgs>),
    /// How a running member stands.
    Status(StatusArgs),
    /// Begin a new epoch at a fresh snapshot, and drop old ones.
    Roll(RollArgs),
    /// Drop all epochs but the newest two of a ship that does not run.
    Chop(PierArgs),
    /// What the log of a ship that does not run holds.
    Info(PierArgs),
    /// The forms of vere's command line, `seguro-king [OPTIONS] PIER` and `seguro-king -F SHIP -c PIER`.
    #[command(name = bare::NAME, hide = true, override_usage = bare::USAGE)]
    Bare(Box<BareArgs>),
    /// Defragment the snapshot of a ship that does not run.
    Pack(UtilityArgs),
    /// Deduplicate and defragment the snapshot.
    Meld(UtilityArgs),
    /// Deduplicate the snapshot.
    Melt(UtilityArgs),
    /// Measure the ship's memory.
    #[command(visible_alias = "mass")]
    Grab(UtilityArgs),
    /// Write the ship's state to a file below `.urb/roc`.
    Cram(UtilityArgs),
    /// Load such a file into the snapshot.
    Queu(UtilityArgs),
    /// Compute the events of the log again.
    Play(UtilityArgs),
    /// Compute what the snapshot lacks, and save, before another runtime takes over.
    Prep(UtilityArgs),
    /// Print the ship's key file.
    Vile(UtilityArgs),
    /// Evaluate Hoon from stdin.
    Eval(UtilityArgs),
    /// Download an `urbit` binary to run as the serf.
    #[command(visible_alias = "fetch-vere")]
    Vere(FetchSerfArgs),
    /// vere's upgrade of itself: says what to do instead.
    #[command(alias = "upgrade", hide = true)]
    Next(NotHereArgs),
    /// vere's copy of itself into a pier: says what to do instead.
    #[command(hide = true)]
    Dock(NotHereArgs),
    /// Three members on this machine: look at a ship that survives, or have it proven.
    Demo(DemoArgs),
    /// Print what a shell needs to complete this program's words.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Write this program's man pages into a directory.
    Man {
        /// The directory.
        directory: PathBuf,
    },
    /// Write the reference kernel's pill to a file.
    #[command(hide = true)]
    Pill {
        /// The file.
        file: PathBuf,
    },
}

/// Arguments of `boot`.
#[derive(Debug, Args)]
pub struct BootArgs {
    /// The ship to make.
    #[command(flatten)]
    pub new: NewShipArgs,
    /// How to run.
    #[command(flatten)]
    pub member: MemberArgs,
    /// The directory to make; must not exist. Without it, the ship's name.
    #[arg(value_name = "PIER", conflicts_with = "new_pier")]
    pub directory: Option<PathBuf>,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// How to run.
    #[command(flatten)]
    pub member: MemberArgs,
    /// The ship's directory.
    #[arg(value_name = "PIER")]
    pub pier: PathBuf,
}

/// vere's own form, without a subcommand: `boot` where a new ship is named, else `run`.
#[derive(Debug, Args)]
pub struct BareArgs {
    /// The ship to make.
    #[command(flatten)]
    pub new: NewShipArgs,
    /// How to run.
    #[command(flatten)]
    pub member: MemberArgs,
    /// The directory of a ship that is there.
    #[arg(value_name = "PIER")]
    pub pier: Option<PathBuf>,
}

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// As JSON.
    #[arg(long)]
    pub json: bool,
    /// The ship's directory on this machine.
    #[arg(value_name = "PIER")]
    pub pier: PathBuf,
}

/// Arguments of what concerns a pier and needs nothing else.
#[derive(Debug, Args)]
pub struct PierArgs {
    /// The ship's directory on this machine.
    #[arg(value_name = "PIER")]
    pub pier: PathBuf,
}

/// Arguments of what is only vere's: whatever it takes.
#[derive(Debug, Args)]
pub struct NotHereArgs {
    /// Not looked at.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    pub words: Vec<OsString>,
}

/// Arguments of `roll`.
#[derive(Debug, Args)]
pub struct RollArgs {
    /// How many epochs stay, the new one among them.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub keep_epochs: u64,
    /// The `urbit` binary that does it on a ship that does not run. Without it: `urbit` on the PATH.
    #[arg(long, value_name = "FILE", env = "SEGURO_SERF")]
    pub serf_bin: Option<PathBuf>,
    /// The ship's directory on this machine.
    #[arg(value_name = "PIER")]
    pub pier: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    /// A conflict with an argument that is not there, say, is only found by a debug build that is given that subcommand.
    #[test]
    fn the_arguments_fit_together() {
        Cli::command().debug_assert();
    }
}
