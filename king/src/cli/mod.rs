//! The command line: what is asked, in vere's words where vere has them (`spec/cli.md`).

mod args;
mod bare;
mod birth;
mod daemon;
mod fetch_serf;
mod log;
mod machines;
mod member_args;
mod new_ship;
mod numbers;
mod pages;
mod prop_args;
mod secret;
mod serf_binary;
mod ship;
mod status;
mod utility;

pub use args::{BareArgs, BootArgs, Cli, Command, NotHereArgs, PierArgs, RollArgs, RunArgs, StatusArgs};
pub use fetch_serf::FetchSerfArgs;
pub use member_args::{MemberArgs, Reads, SerfVersionArg};
pub use new_ship::NewShipArgs;
pub use prop_args::PropArgs;
pub use secret::KeyText;
pub use utility::UtilityArgs;

use crate::{console, demo, limits};
use clap::Parser;
use std::process::ExitCode;

/// Runs the program: parses the arguments, does what they ask, and gives the exit code.
#[must_use]
pub fn main() -> ExitCode {
    let mut words = std::env::args_os();
    // The king runs itself as the reference serf (`--serf-bin builtin`), in the C program's own words.
    if words.nth(1).is_some_and(|word| word == "serf") {
        return reference_serf::main(std::env::args_os());
    }
    let cli = match Cli::try_parse_from(bare::with_subcommand(std::env::args_os())) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and versions come this way too, and go to stdout.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() {
                limits::EXIT_FAILURE
            } else {
                0
            });
        }
    };
    let code = match cli.command {
        Command::Boot(args) => ship::boot(args),
        Command::Run(args) => ship::run(args),
        Command::Bare(args) => bare::meant(*args).and_then(|meant| match meant {
            bare::Meant::Boot(args) => ship::boot(args),
            bare::Meant::Run(args) => ship::run(args),
        }),
        Command::Status(args) => status::main(&args),
        Command::Roll(args) => log::roll(&args),
        Command::Chop(args) => log::chop(&args),
        Command::Info(args) => log::info(&args),
        Command::Vere(args) => fetch_serf::run(&args),
        Command::Next(_) => utility::next(),
        Command::Dock(_) => utility::dock(),
        Command::Demo(args) => demo::main(args),
        Command::Completions { shell } => pages::completions(shell),
        Command::Man { directory } => pages::man(&directory),
        Command::Pill { file } => write_pill(&file),
        Command::Pack(args) => utility::run("pack", args),
        Command::Meld(args) => utility::run("meld", args),
        Command::Melt(args) => utility::run("melt", args),
        Command::Grab(args) => utility::run("grab", args),
        Command::Cram(args) => utility::run("cram", args),
        Command::Queu(args) => utility::run("queu", args),
        Command::Play(args) => utility::run("play", args),
        Command::Prep(args) => utility::run("prep", args),
        Command::Vile(args) => utility::run("vile", args),
        Command::Eval(args) => utility::run("eval", args),
    };
    match code {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("seguro-king: {error:#}");
            ExitCode::from(limits::EXIT_FAILURE)
        }
    }
}

/// Writes the reference kernel's pill, for who wants to boot it under another serf.
fn write_pill(file: &std::path::Path) -> anyhow::Result<u8> {
    use anyhow::Context;
    std::fs::write(file, reference_serf::kernel::pill_bytes())
        .with_context(|| format!("{} cannot be written", file.display()))?;
    tracing::info!(target: console::TARGET, "pill written to {}", file.display());
    Ok(0)
}
