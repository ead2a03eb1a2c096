//! The command line: what is asked, in vere's words where vere has them (`spec/cli.md`).

mod args;
mod machines;
mod serf_binary;
mod ship;
mod status;

pub use args::{BootArgs, Cli, Command, MemberArgs, RollArgs, RunArgs, StatusArgs};

use crate::{console, control_socket, demo, limits};
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
    let cli = Cli::parse();
    let code = match cli.command {
        Command::Boot(args) => ship::boot(args),
        Command::Run(args) => ship::run(args),
        Command::Status(args) => status::main(&args),
        Command::Roll(args) => roll(&args),
        Command::Demo(args) => demo::main(args),
        Command::Pill { file } => write_pill(&file),
    };
    match code {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("seguro-king: {error:#}");
            ExitCode::from(limits::EXIT_FAILURE)
        }
    }
}

/// `roll PIER`: asks the member that runs there.
fn roll(args: &RollArgs) -> anyhow::Result<u8> {
    let keep = usize::try_from(args.keep_epochs)?;
    let epoch = control_socket::ask_roll(&args.pier, keep)?;
    println!("roll: new epoch {epoch}");
    Ok(0)
}

/// Writes the reference kernel's pill, for who wants to boot it under another serf.
fn write_pill(file: &std::path::Path) -> anyhow::Result<u8> {
    use anyhow::Context;
    std::fs::write(file, reference_serf::kernel::pill_bytes())
        .with_context(|| format!("{} cannot be written", file.display()))?;
    tracing::info!(target: console::TARGET, "pill written to {}", file.display());
    Ok(0)
}
