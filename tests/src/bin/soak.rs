//! Keeps a ship of real members busy for as long as asked, rolls and drops its epochs, and watches that nothing grows for ever.
//!
//! `cargo run --release -p seguro-tests --bin soak -- [SECONDS [MEMBERS]]`; the serf and the pill are those of `SEGURO_SERF` and
//! `SEGURO_PILL`, else the reference serf. Ends with 0 only if every promise was kept and nothing grew.

use seguro_tests::soak;
use std::{process::ExitCode, time::Duration};

/// How long it lasts unless it is told.
const SECONDS: u64 = 600;
/// How many members the ship has unless it is told.
const MEMBERS: u64 = 3;
/// So long it lasts at least: in less, whatever starts is still growing.
const LEAST: u64 = 300;

fn main() -> ExitCode {
    let words: Result<Vec<u64>, _> = std::env::args().skip(1).map(|word| word.parse()).collect();
    let (seconds, members) = match words.as_deref() {
        Ok([]) => (SECONDS, MEMBERS),
        Ok([seconds]) => (*seconds, MEMBERS),
        Ok([seconds, members]) => (*seconds, *members),
        _ => return usage(),
    };
    let Ok(members) = usize::try_from(members) else {
        return usage();
    };
    println!(
        "{seconds} s, {members} members, {} events/s, {} requests/s",
        soak::EVENTS_PER_SECOND,
        soak::REQUESTS_PER_SECOND
    );
    match soak::run(Duration::from_secs(seconds), members, |line| println!("{line}")) {
        Ok(report) => {
            println!("{report}");
            let grown = report.grown().count();
            if grown > 0 && seconds < LEAST {
                println!("{grown} quantities grew: no verdict in less than {LEAST} s");
            }
            if grown > 0 && seconds >= LEAST {
                eprintln!("{grown} quantities grew");
                return ExitCode::FAILURE;
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("usage: soak [SECONDS [MEMBERS]]");
    ExitCode::from(64)
}
