//! Breaks a ship of three real members, and their network where the machine permits it, for as long as asked, under load, and
//! holds it to its promises.
//!
//! `cargo run --release -p seguro-tests --bin nemesis -- [SECONDS [SEED]]`; the serf and the pill are those of `SEGURO_SERF` and
//! `SEGURO_PILL`, else the reference serf. Ends with 0 only if every promise was kept.

use std::{
    process::ExitCode,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// How long it lasts unless it is told.
const SECONDS: u64 = 60;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1).map(|word| word.parse::<u64>());
    let (seconds, seed) = match (words.next(), words.next()) {
        (None, _) => (SECONDS, None),
        (Some(Ok(seconds)), None) => (seconds, None),
        (Some(Ok(seconds)), Some(Ok(seed))) => (seconds, Some(seed)),
        _ => {
            eprintln!("usage: nemesis [SECONDS [SEED]]");
            return ExitCode::from(64);
        }
    };
    let now = || {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs())
    };
    let seed = seed.unwrap_or_else(now);
    println!(
        "seed {seed}, {seconds} s: cargo run --release -p seguro-tests --bin nemesis -- {seconds} {seed}"
    );
    match seguro_tests::nemesis::run(seed, Duration::from_secs(seconds), |line| println!("{line}")) {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("seed {seed}: {error:#}");
            ExitCode::FAILURE
        }
    }
}
