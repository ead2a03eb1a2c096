//! `cargo run --release -p seguro-power -- --images 20000 --seed 7`: a long search. `--forget`: each sync in turn does not happen, and
//! whether that is missed.

use anyhow::{Context, bail};
use clap::{
    Parser,
    builder::{OsStringValueParser, TypedValueParser},
};
use fastrand::Rng;
use seguro_power::{record::missing, search::Recording, story::Story};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Instant,
};

/// Power loss: records real runs and opens every disk that they may leave.
#[derive(Debug, Parser)]
struct Args {
    /// Disks to open, of each story.
    #[arg(long, default_value_t = 2_000)]
    images: usize,
    /// What they are drawn from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many times the process is killed and the story goes on in another, which is recorded too.
    #[arg(long, default_value_t = 8)]
    kills: usize,
    /// Only so many moments from a recording's beginning on: where files are made.
    #[arg(long, default_value_t = usize::MAX)]
    first: usize,
    /// Only this story: `ship`, `raft-log`.
    #[arg(long)]
    story: Option<String>,
    /// Each sync in turn does not happen: is it missed?
    #[arg(long)]
    forget: bool,
    /// This one does not happen: of which file or directory, from the root, whose own name is empty. Exit code 3 if it is missed.
    #[arg(long, requires = "story", value_parser = OsStringValueParser::new().map(PathBuf::from))]
    without: Option<PathBuf>,
    /// The how manieth of its syncs, from 0.
    #[arg(long, default_value_t = 0)]
    nth: usize,
}

/// Moments after a sync that was left out in which it may be missed.
const MISSED_WITHIN: usize = 60;
/// Exit code when the sync that was left out was missed.
const MISSED: i32 = 3;

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    if let Some(missing) = missing() {
        println!("NOT RUN: it needs {missing}");
        return Ok(ExitCode::FAILURE);
    }
    let program = recorded()?;
    let mut broken = 0;
    for story in Story::ALL {
        if args.story.as_deref().is_none_or(|only| only == story.name()) {
            if let Some(path) = &args.without {
                return without(&program, story, path, &args);
            }
            broken += match args.forget {
                true => forget(&program, story, &args)?,
                false => search(&program, story, &args)?,
            };
        }
    }
    Ok(if broken == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The program that is recorded lies beside this one.
fn recorded() -> anyhow::Result<PathBuf> {
    let beside = std::env::current_exe()?.with_file_name("recorded");
    beside
        .exists()
        .then_some(beside)
        .context("the program `recorded` is not there: build the whole package")
}

fn search(program: &Path, story: Story, args: &Args) -> anyhow::Result<usize> {
    let mut dice = Rng::with_seed(args.seed);
    let first = Recording::new(program, story)?;
    let moments = first.moments()?.min(args.first);
    let mut broken = 0;
    for nth in 0..=args.kills {
        let drawn = dice.u64(..moments as u64) as usize;
        // Where there are as many as moments, each has its turn.
        let killed_at = (nth > 0).then(|| {
            if args.kills >= moments {
                (nth - 1) % moments
            } else {
                drawn
            }
        });
        let recording = match killed_at {
            None => first.clone(),
            Some(moment) => first.after_kill(program, moment)?,
        };
        let begun = Instant::now();
        let images = args.images / (args.kills + 1) + 1;
        let found = recording.search(
            0..recording.moments()?.min(args.first),
            images,
            dice.u64(..),
            None,
        )?;
        println!(
            "{}{}: {} moments, {} disks opened in {:.1} s, {} broken",
            story.name(),
            killed_at
                .map(|at| format!(", killed at moment {at}, and on"))
                .unwrap_or_default(),
            found.moments,
            found.opened,
            begun.elapsed().as_secs_f64(),
            found.broken
        );
        found.told.iter().for_each(|told| println!("  {told}"));
        broken += found.broken;
    }
    Ok(broken)
}

/// Always 0: a sync that nobody misses is no failure by itself.
fn forget(program: &Path, story: Story, args: &Args) -> anyhow::Result<usize> {
    let mut seen: BTreeMap<PathBuf, usize> = BTreeMap::new();
    let (mut missed, mut not) = (0, 0);
    for (_, _, path) in Recording::new(program, story)?.syncs()? {
        let nth = seen.entry(path.clone()).or_default();
        // In a process of its own: LMDB may end it when its pages are not what it wrote.
        let status = Command::new(std::env::current_exe()?)
            .args(["--story", story.name(), "--nth", &nth.to_string(), "--without"])
            .arg(&path)
            .args([
                "--images",
                &args.images.to_string(),
                "--seed",
                &args.seed.to_string(),
            ])
            .status()?;
        match status.code() {
            Some(0) => {
                not += 1;
                println!("{}: nobody misses sync {nth} of {:?}", story.name(), path);
            }
            Some(MISSED) | None => missed += 1,
            Some(_) => bail!("leaving out sync {nth} of {}: {status}", path.display()),
        }
        *nth += 1;
    }
    println!(
        "{}: of {} syncs {missed} are missed when they are left out",
        story.name(),
        missed + not
    );
    Ok(0)
}

/// Leaves one sync out.
fn without(program: &Path, story: Story, path: &Path, args: &Args) -> anyhow::Result<ExitCode> {
    let recording = Recording::new(program, story)?;
    let moments = recording.moments()?;
    let mut syncs = recording.syncs()?.into_iter().filter(|(_, _, of)| of == path);
    let (call, moment, _) = syncs
        .nth(args.nth)
        .with_context(|| format!("no such sync of {}", path.display()))?;
    let window = moment.min(moments - 1)..moments.min(moment + MISSED_WITHIN);
    let found = recording.search(window, args.images, args.seed, Some(call))?;
    Ok(ExitCode::from(if found.broken > 0 { MISSED as u8 } else { 0 }))
}
