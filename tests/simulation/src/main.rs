//! Runs seeds: one in this process, or many in processes of their own, with a tally.

use anyhow::{Context, bail};
use clap::Parser;
use replog::simulated::Defect as LogDefect;
use seguro_king::simulated::Defect as KingDefect;
use seguro_simulation::{Options, Planted, run};
use std::{
    ops::Range,
    process::{Command, ExitCode},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

/// Runs clusters in a deterministic simulation.
#[derive(Debug, Parser)]
struct Arguments {
    /// The seed to run.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Many seeds, FROM..TO, each in a process of its own.
    #[arg(long, value_parser = range, conflicts_with = "seed")]
    seeds: Option<Range<u64>>,
    /// Prints every state change, a line each.
    #[arg(long)]
    trace: bool,
    /// How many members; 3 or 5 by the seed where it is not given.
    #[arg(long)]
    members: Option<usize>,
    /// Runs whole kings with their serfs, not the replicated log alone.
    #[arg(long)]
    ship: bool,
    /// Puts a defect in, by name.
    #[arg(long, value_parser = defect)]
    defect: Option<Planted>,
    /// Of many seeds, begins no other after the first that fails.
    #[arg(long)]
    stop: bool,
    /// How many seeds at a time.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
}

fn range(text: &str) -> Result<Range<u64>, String> {
    let (from, to) = text.split_once("..").ok_or("say FROM..TO")?;
    let number = |text: &str| text.parse::<u64>().map_err(|error| format!("{text}: {error}"));
    Ok(number(from)?..number(to)?)
}

/// All defects by name; the king's need `--ship` to be seen.
const DEFECTS: [(&str, Planted); 10] = [
    ("vote-not-synced", Planted::Log(LogDefect::VoteNotSynced)),
    ("truncated-too-far", Planted::Log(LogDefect::TruncatedTooFar)),
    ("purged-too-early", Planted::Log(LogDefect::PurgedTooEarly)),
    ("batches-reordered", Planted::Log(LogDefect::BatchesReordered)),
    (
        "released-before-commit",
        Planted::King(KingDefect::ReleasedBeforeCommit),
    ),
    (
        "saved-ahead-of-commit",
        Planted::King(KingDefect::SavedAheadOfCommit),
    ),
    (
        "stale-leader-releases",
        Planted::King(KingDefect::StaleLeaderReleases),
    ),
    ("rollback-forgotten", Planted::King(KingDefect::RollbackForgotten)),
    ("peek-before-commit", Planted::King(KingDefect::PeekBeforeCommit)),
    ("clocks-beyond-lease", Planted::ClocksBeyondLease),
];

fn defect(text: &str) -> Result<Planted, String> {
    let named = DEFECTS.iter().find(|(name, _)| *name == text);
    named.map(|(_, planted)| *planted).ok_or_else(|| {
        let names: Vec<&str> = DEFECTS.iter().map(|(name, _)| *name).collect();
        format!("there is no such defect: {}", names.join(", "))
    })
}

fn name(planted: Planted) -> &'static str {
    let named = DEFECTS.iter().find(|(_, other)| *other == planted);
    named.map_or("", |(name, _)| name)
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    if let Some(log) = std::env::var_os("RUST_LOG") {
        tracing_subscriber::fmt()
            .with_env_filter(log.to_string_lossy().as_ref())
            .without_time()
            .with_ansi(false)
            .init();
    }
    match arguments.seeds.clone() {
        Some(seeds) => many(seeds, &arguments),
        None => Ok(one(&arguments)),
    }
}

fn one(arguments: &Arguments) -> ExitCode {
    let seed = arguments.seed;
    let options = Options {
        seed,
        members: arguments.members,
        trace: arguments.trace,
        ship: arguments.ship,
        defect: arguments.defect,
    };
    match run(options) {
        Ok(tally) => {
            println!(
                "seed {seed}: {} members, {} faults, {} starts, {} disks lost, {} changes of members cut short, {} events, {} facts in {} simulated ms: all promises kept",
                tally.members,
                tally.faults,
                tally.starts,
                tally.wipes,
                tally.cut_changes,
                tally.events,
                tally.facts,
                tally.lasted.as_millis()
            );
            ExitCode::SUCCESS
        }
        Err(failure) => {
            println!("seed {seed}: {failure}");
            let rest: String = std::env::args()
                .skip(1)
                .filter(|argument| argument != "--trace")
                .map(|argument| format!(" {argument}"))
                .collect();
            println!("to see it again: cargo run -p seguro-simulation --{rest} --trace");
            ExitCode::FAILURE
        }
    }
}

/// Runs each seed in a process of its own: a seed's run is the same only in a fresh one.
fn many(seeds: Range<u64>, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let begun = Instant::now();
    let next = AtomicU64::new(seeds.start);
    let failed = Mutex::new(Vec::new());
    let work = || -> anyhow::Result<()> {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            let any = || !failed.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
            if seed >= seeds.end || (arguments.stop && any()) {
                return Ok(());
            }
            let mut command = Command::new(&program);
            command
                .arg("--seed")
                .arg(seed.to_string())
                .env("RUST_BACKTRACE", "0");
            if let Some(members) = arguments.members {
                command.arg("--members").arg(members.to_string());
            }
            if arguments.ship {
                command.arg("--ship");
            }
            if let Some(defect) = arguments.defect {
                command.arg("--defect").arg(name(defect));
            }
            let output = command.output().context("cannot start a run")?;
            print!("{}", String::from_utf8_lossy(&output.stdout));
            if !output.status.success() {
                print!("{}", String::from_utf8_lossy(&output.stderr));
                failed.lock().unwrap_or_else(PoisonError::into_inner).push(seed);
            }
        }
    };
    let ended: Vec<anyhow::Result<()>> = thread::scope(|scope| {
        let workers: Vec<_> = (0..arguments.jobs.max(1)).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|_| bail!("a worker has panicked")))
            .collect()
    });
    ended.into_iter().collect::<anyhow::Result<()>>()?;
    let mut failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    failed.sort_unstable();
    println!(
        "{} seeds in {} s: {} failed {failed:?}",
        next.into_inner().min(seeds.end).saturating_sub(seeds.start),
        begun.elapsed().as_secs(),
        failed.len()
    );
    Ok(if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
