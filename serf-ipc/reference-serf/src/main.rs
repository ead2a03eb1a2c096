//! The reference serf as a program of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    reference_serf::main(std::env::args_os())
}
