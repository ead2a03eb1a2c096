//! `demo`: three members of one ship on this machine, to look at, or to have the claim proven.
//!
//! Without `--for` it boots, prints what to try, and runs until it is interrupted. With `--for` it sends events all
//! the while, kills the leader if it is told to, and ends with a report of what was acknowledged, lost, doubled.

mod evidence;
mod load;
mod report;

use crate::{
    console,
    local_cluster::{ClusterOptions, LocalCluster},
};
use anyhow::{Context, ensure};
use clap::Args;
use load::{Card, Load};
use report::Report;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

/// Members of the demo.
const MEMBERS: usize = 3;
/// How long the ship may take to boot: a real pill under a real serf takes minutes.
const BOOT_PATIENCE: Duration = Duration::from_secs(1800);
/// How long the members may take to agree at the end.
const SETTLE_PATIENCE: Duration = Duration::from_secs(120);
/// How long a member may take to leave.
const LEAVE_PATIENCE: Duration = Duration::from_secs(15);

/// Arguments of `demo`.
#[derive(Clone, Debug, Args)]
pub struct DemoArgs {
    /// The serf: an `urbit` binary, or `builtin`.
    #[arg(long, value_name = "FILE", default_value = "builtin")]
    pub serf_bin: PathBuf,
    /// The pill, or `builtin`.
    #[arg(long, value_name = "PILL", default_value = "builtin")]
    pub pill: PathBuf,
    /// The ship to fake.
    #[arg(long, value_name = "SHIP", default_value = "zod")]
    pub ship: String,
    /// Send events for this long, then report and leave: `20s`, `500ms`, `2m`.
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub run_for: Option<Duration>,
    /// Kill the leader with SIGKILL this long after the first event.
    #[arg(long, value_name = "TIME", value_parser = duration, requires = "run_for")]
    pub kill_leader_after: Option<Duration>,
    /// Start the killed member again this long after its death.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "3s")]
    pub restart_after: Duration,
    /// Events on their way at once.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=4096))]
    pub window: u64,
    /// The report as JSON.
    #[arg(long)]
    pub json: bool,
    /// Where the piers go; they are kept. Without it they go to a temporary directory, which is removed.
    #[arg(long, value_name = "DIR")]
    pub directory: Option<PathBuf>,
}

/// A length of time: a number with `ms`, `s` or `m`.
fn duration(text: &str) -> Result<Duration, String> {
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let count: u64 = digits
        .parse()
        .map_err(|_| format!("`{text}` is no length of time: try 20s, 500ms or 2m"))?;
    match unit {
        "ms" => Ok(Duration::from_millis(count)),
        "s" | "" => Ok(Duration::from_secs(count)),
        "m" => Ok(Duration::from_secs(count * 60)),
        _ => Err(format!("`{unit}` is no unit of time: ms, s or m")),
    }
}

/// Runs the demo; the exit code is 0 only if everything that it claims held.
///
/// # Errors
/// When a member cannot be started, or the ship does not come up.
pub fn main(args: DemoArgs) -> anyhow::Result<u8> {
    console::init(console::LogFormat::Text, console::Verbosity::Usual);
    let temporary = tempdir(args.directory.as_deref())?;
    let directory = match (&args.directory, &temporary) {
        (Some(directory), _) => directory.clone(),
        (None, Some(temporary)) => temporary.0.clone(),
        (None, None) => unreachable_directory(),
    };
    let interrupted = Arc::new(AtomicBool::new(false));
    watch_interrupt(interrupted.clone())?;
    let mut cluster = LocalCluster::new(ClusterOptions {
        king: std::env::current_exe().context("the path of this program")?,
        serf: args.serf_bin.clone(),
        pill: args.pill.clone(),
        members: MEMBERS,
        directory,
        extra: Vec::new(),
        http: true,
    })?;
    say(
        &args,
        &format!(
            "booting ~{} on three members in {}",
            args.ship.trim_start_matches('~'),
            cluster.members[0]
                .pier
                .parent()
                .unwrap_or(Path::new("."))
                .display()
        ),
    );
    cluster.boot(&args.ship)?;
    let end = Instant::now() + BOOT_PATIENCE;
    let leader = cluster.wait("the ship to be live", BOOT_PATIENCE, |cluster| {
        let stop = interrupted.load(Ordering::Relaxed) || Instant::now() > end || !cluster.is_running(0);
        cluster.live_leader().map(Some).or(stop.then_some(None))
    })?;
    let Some(leader) = leader else {
        anyhow::bail!("the ship did not come up\n{}", cluster.tails());
    };
    cluster.wait("three voters", SETTLE_PATIENCE, |cluster| {
        let status = cluster.live_leader().and_then(|leader| cluster.status(leader))?;
        (status.log.voters() == Some(MEMBERS)).then_some(())
    })?;
    match args.run_for {
        None => show(&args, &mut cluster, leader, &interrupted),
        Some(run_for) => prove(&args, cluster, run_for, &interrupted),
    }
}

fn say(args: &DemoArgs, text: &str) {
    if args.json {
        eprintln!("{text}")
    } else {
        println!("{text}")
    }
}

/// Prints what to try, and who leads whenever it changes, until the interrupt.
fn show(
    args: &DemoArgs,
    cluster: &mut LocalCluster,
    mut leader: usize,
    interrupted: &AtomicBool,
) -> anyhow::Result<u8> {
    let king = std::env::current_exe()?;
    let king = king.display();
    println!("the ship is live; member {} leads\n", leader + 1);
    for (index, member) in cluster.members.iter().enumerate() {
        let port = member
            .http_port
            .map(|port| format!("http://127.0.0.1:{port}/"))
            .unwrap_or_default();
        let pid = cluster.pid(index).map(|pid| pid.to_string()).unwrap_or_default();
        println!(
            "  member {}: {port}  pid {pid}  {}",
            index + 1,
            member.pier.display()
        );
    }
    println!("\nThe member that leads answers HTTP. Try:");
    if let Some(port) = cluster.members[leader].http_port {
        println!("  curl http://127.0.0.1:{port}/            # a page of the ship");
        println!("  curl -X POST http://127.0.0.1:{port}/    # raises its counter");
    }
    println!("  {king} status {}", cluster.members[leader].pier.display());
    if let Some(pid) = cluster.pid(leader) {
        println!("  kill -9 {pid}                            # and ask the others");
    }
    println!("\nCtrl-C ends the demo.");
    while !interrupted.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(100));
        if let Some(now) = cluster.live_leader()
            && now != leader
        {
            leader = now;
            let port = cluster.members[leader].http_port.unwrap_or_default();
            println!("member {} leads now: http://127.0.0.1:{port}/", leader + 1);
        }
    }
    for index in 0..MEMBERS {
        if cluster.is_running(index) {
            let _ = cluster.terminate(index, LEAVE_PATIENCE);
        }
    }
    let _ = args;
    Ok(0)
}

/// Sends events, kills the leader, and reports.
fn prove(
    args: &DemoArgs,
    mut cluster: LocalCluster,
    run_for: Duration,
    interrupted: &AtomicBool,
) -> anyhow::Result<u8> {
    let builtin = args.pill == Path::new("builtin");
    let load = Load::start(
        &cluster,
        if builtin { Card::Emit } else { Card::Born },
        args.window,
    )?;
    let start = Instant::now();
    let mut killed = None;
    let mut restarted = false;
    while start.elapsed() < run_for && !interrupted.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(5));
        if killed.is_none()
            && args
                .kill_leader_after
                .is_some_and(|after| start.elapsed() >= after)
        {
            let leader = cluster.live_leader().context("no member leads")?;
            say(args, &format!("killing member {}, which leads", leader + 1));
            cluster.kill(leader)?;
            killed = Some((leader, Instant::now()));
        }
        if let (Some((member, at)), false) = (killed, restarted)
            && at.elapsed() >= args.restart_after
        {
            say(args, &format!("starting member {} again", member + 1));
            cluster.run(member)?;
            restarted = true;
        }
    }
    if let (Some((member, _)), false) = (killed, restarted) {
        cluster.run(member)?;
    }
    let seen = load.stop();
    ensure!(
        !seen.acknowledged.is_empty(),
        "no event was acknowledged\n{}",
        cluster.tails()
    );
    let statuses = cluster.settle(SETTLE_PATIENCE)?;
    for index in 0..MEMBERS {
        cluster.terminate(index, LEAVE_PATIENCE)?;
    }
    let evidence = evidence::gather(&cluster)?;
    let report = Report::new(
        &seen,
        &evidence,
        &statuses,
        killed.map(|(_, at)| at),
        start,
        builtin,
    );
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?)
    } else {
        print!("{report}")
    }
    if !report.holds() {
        eprintln!(
            "what failed can be looked at in the piers with --directory; the members' last lines:\n{}",
            cluster.tails()
        );
    }
    Ok(u8::from(!report.holds()))
}

/// A directory that is removed when the demo ends.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn tempdir(given: Option<&Path>) -> anyhow::Result<Option<Temporary>> {
    if given.is_some() {
        return Ok(None);
    }
    let path = std::env::temp_dir().join(format!("seguro-demo-{}", std::process::id()));
    std::fs::create_dir(&path).with_context(|| format!("the directory {}", path.display()))?;
    Ok(Some(Temporary(path)))
}

#[expect(
    clippy::panic,
    reason = "invariant: a temporary directory is made whenever none is given"
)]
fn unreachable_directory() -> PathBuf {
    panic!("no directory was given and none was made")
}

/// Notes SIGINT and SIGTERM instead of dying of them, so that the members are ended too.
fn watch_interrupt(interrupted: Arc<AtomicBool>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::spawn(move || {
        runtime.block_on(async {
            use tokio::signal::unix::{SignalKind, signal};
            let (Ok(mut interrupt), Ok(mut terminate)) =
                (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
            else {
                return;
            };
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                interrupted.store(true, Ordering::Relaxed);
            }
        });
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time() {
        assert_eq!(duration("20s"), Ok(Duration::from_secs(20)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert!(duration("s").is_err());
        assert!(duration("2h").is_err());
    }
}
