//! The `seguro-king` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    seguro_king::cli::main()
}
