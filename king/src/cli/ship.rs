//! `boot` and `run`: a member's life, from the arguments to the exit code.

use super::{
    BootArgs, MemberArgs, RunArgs,
    birth::{self, Who},
    daemon, machines, serf_binary,
};
use crate::{
    boot::{self, BootInput, BootSequence, Fetcher, Identity},
    clock,
    console::{self, Verbosity},
    control_socket,
    drivers::{
        scry::Scry,
        term::{Ending, Terminal},
    },
    images, limits,
    pier::{Leave, Pier, PierHandle},
    pipeline::{BatchLimits, RunAhead},
    settings::{DriverSettings, PierSettings, ReadMode, SerfSettings},
};
use anyhow::{Context, bail, ensure};
use replog::{Config, Replog, ShipIdentity, Start};
use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::signal::unix::{SignalKind, signal};

/// `boot`: a new ship in a new directory.
pub(super) fn boot(args: Box<BootArgs>) -> anyhow::Result<u8> {
    let BootArgs {
        new,
        member: how,
        directory,
    } = *args;
    if let Some(code) = in_background(&how)? {
        return Ok(code);
    }
    begin_logging(&how);
    let pier = birth::place(&new, directory)?;
    let who = Who::named(&new)?;
    let (machines, own) = place(&how)?;
    let serf = serf_binary::command(&how, &absolute(&pier)?)?;
    let fetcher = Fetcher::default();
    let is_reference = how.serf_bin.as_deref() == Some(Path::new(serf_binary::BUILTIN));
    let pill = birth::pill(&new, &fetcher, serf.version, is_reference)?;
    let filesystem = new.arvo.as_deref().map(birth::filesystem).transpose()?;
    let (who, identity) = who.dawn(&new, &fetcher)?;
    let genesis_fake = matches!(identity, Identity::Fake);
    let sequence = boot::sequence(BootInput {
        ship: who,
        identity,
        pill,
        now: clock::now(),
        wyrd_now: clock::now(),
        serf: serf.version,
        entropy: birth::entropy()?,
        verbose: how.verbose,
        lite: new.lite,
        replace_filesystem: filesystem,
        props: birth::props(&new, &fetcher, serf.version)?,
    })?;
    let genesis = ShipIdentity {
        who,
        fake: genesis_fake,
        life: sequence.life,
    };
    make_pier(&pier)?;
    member(
        &how,
        &pier,
        serf,
        machines,
        own,
        Start::Found { genesis },
        Some(sequence),
    )
}

/// Whether the king may use the terminal that it was started on, if it was.
fn wants_terminal(args: &MemberArgs) -> bool {
    !args.no_tty && !args.daemon
}

/// A ship that is alone on its terminal shows there what vere shows, and what goes wrong.
fn begin_logging(args: &MemberArgs) {
    let beside_prompt = wants_terminal(args) && args.machines.is_empty() && console::has_terminal();
    let verbosity = match (args.verbose, beside_prompt) {
        (true, _) => Verbosity::Verbose,
        (false, true) => Verbosity::Quiet,
        (false, false) => Verbosity::Usual,
    };
    console::init(args.log_format, verbosity);
}

/// With `-d`, starts the ship in the background, and gives the exit code; None in the process that runs it.
fn in_background(args: &MemberArgs) -> anyhow::Result<Option<u8>> {
    if args.daemon { daemon::split() } else { Ok(None) }
}

/// `run`: a ship that is there, or a new member of its cluster.
pub(super) fn run(args: Box<RunArgs>) -> anyhow::Result<u8> {
    if let Some(code) = in_background(&args.member)? {
        return Ok(code);
    }
    begin_logging(&args.member);
    let (machines, own) = place(&args.member)?;
    let start = if holds_ship(&args.pier) {
        Start::Resume
    } else {
        ensure!(
            !machines.is_empty(),
            "couldn't find pier {}: no ship is there. `boot` makes one; with --machines, `run` joins the ship that runs on the others",
            args.pier.display()
        );
        ensure!(
            is_vacant(&args.pier)?,
            "{} is neither a pier nor an empty directory; name an empty or new one for a member that joins",
            args.pier.display()
        );
        make_pier(&args.pier)?;
        Start::Join
    };
    let serf = serf_binary::command(&args.member, &absolute(&args.pier)?)?;
    member(&args.member, &args.pier, serf, machines, own, start, None)
}

fn place(args: &MemberArgs) -> anyhow::Result<(Vec<SocketAddr>, Option<SocketAddr>)> {
    let own = machines::own_address(&args.machines, args.bind, &machines::local_addresses())?;
    if args.machines.len() == 2 {
        tracing::warn!(
            "two machines survive nothing: either one lost stops the ship. Three survive the loss of one"
        );
    }
    Ok((args.machines.clone(), own))
}

fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("the path of {}", path.display()))
}

/// Whether a ship's log is there: vere's of any version, or ours.
fn holds_ship(pier: &Path) -> bool {
    let log = pier.join(".urb/log");
    log.join("data.mdb").exists()
        || fs::read_dir(&log).is_ok_and(|entries| {
            entries.flatten().any(|entry| {
                entry
                    .file_name()
                    .to_str()
                    .is_some_and(|name| name.starts_with("0i"))
            })
        })
}

/// Whether a new member may live there: nothing is there, or only what a member that was joining left.
fn is_vacant(pier: &Path) -> anyhow::Result<bool> {
    if !pier.exists() {
        return Ok(true);
    }
    let entries = fs::read_dir(pier).with_context(|| format!("the directory {}", pier.display()))?;
    Ok(entries.flatten().all(|entry| {
        entry
            .file_name()
            .to_str()
            .is_some_and(|name| [".urb", ".vere.lock", "lost+found"].contains(&name))
    }))
}

/// The directories of a pier, for its owner only, as vere makes them.
fn make_pier(pier: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    for dir in ["", ".urb", ".urb/put", ".urb/get", ".urb/chk"] {
        let path = pier.join(dir);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("the directory {} cannot be made", path.display()))?;
    }
    Ok(())
}

fn member(
    args: &MemberArgs,
    pier: &Path,
    serf: serf_ipc::SerfCommand,
    machines: Vec<SocketAddr>,
    own: Option<SocketAddr>,
    start: Start,
    sequence: Option<BootSequence>,
) -> anyhow::Result<u8> {
    let pier = pier
        .canonicalize()
        .with_context(|| format!("the pier {}", pier.display()))?;
    let (log, mut settings) = configure(args, &pier, serf, machines, own, start)?;
    // Dropped last, behind the runtime: whatever is said until then is shown on it.
    let on_terminal = if wants_terminal(args) {
        let taken = console::take_terminal(settings.machines > 1);
        taken.context("the terminal cannot be used: -t does without")?
    } else {
        None
    };
    settings.drivers.terminal = on_terminal.as_ref().map(|taken| taken.0.clone());
    tracing::info!(target: console::TARGET, "~");
    tracing::info!(target: console::TARGET, "seguro {}", env!("CARGO_PKG_VERSION"));
    tracing::info!(target: console::TARGET, "boot: home is {}", pier.display());
    if args.daemon {
        tracing::info!(target: console::TARGET, "boot: running as daemon");
    }
    make_pier(&pier)?;
    images::recover(&pier.join(".urb/chk"))?;
    raise_descriptors();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(limits::RUNTIME_THREADS)
        .enable_all()
        .build()
        .context("the runtime cannot start")?;
    let leave = runtime.block_on(live(log, settings, sequence))?;
    runtime.shutdown_timeout(Duration::from_secs(1));
    drop(on_terminal);
    match leave.error {
        None => Ok(leave.code),
        Some(error) => {
            tracing::error!("{error}");
            eprintln!("seguro-king: {error}");
            Ok(leave.code)
        }
    }
}

/// As many descriptors as the system lets this process have: a ship may hold thousands of event streams open.
fn raise_descriptors() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, most)| setrlimit(Resource::RLIMIT_NOFILE, most, most));
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

fn configure(
    args: &MemberArgs,
    pier: &Path,
    serf: serf_ipc::SerfCommand,
    machines: Vec<SocketAddr>,
    own: Option<SocketAddr>,
    start: Start,
) -> anyhow::Result<(Config, PierSettings)> {
    let (&[min, max], &[warn, interrupt, kill]) =
        (args.election_ms.as_slice(), args.serf_deadlines_s.as_slice())
    else {
        bail!("--election-ms takes MIN,MAX and --serf-deadlines-s takes WARN,INTERRUPT,KILL");
    };
    ensure!(
        args.heartbeat_ms > 0 && min > args.heartbeat_ms && max > min,
        "--heartbeat-ms must be less than the least of --election-ms, and that less than the most"
    );
    ensure!(
        warn < interrupt && interrupt < kill,
        "--serf-deadlines-s must grow from WARN to INTERRUPT to KILL"
    );
    ensure!(
        args.run_ahead > 0 && args.run_ahead_bytes > 0,
        "--run-ahead and --run-ahead-bytes must be at least 1"
    );
    let settings = PierSettings {
        pier: pier.to_owned(),
        drivers: DriverSettings {
            verbose: args.verbose,
            http_ip: args.http_ip,
            http_port: (args.http_port != 0).then_some(args.http_port),
            https_port: (args.https_port != 0).then_some(args.https_port),
            local: args.local,
            ames_port: args.ames_port,
            nat_pmp: args.nat_pmp,
            mdns: args.mdns,
            no_conn: args.no_conn,
            behn_allow_blocked: args.behn_allow_blocked,
            alone: machines.len() <= 1,
            inject: args.inject.clone(),
            import: args.import.clone(),
            scry: scry(args)?,
            ..DriverSettings::default()
        },
        run_ahead: RunAhead {
            events: args.run_ahead,
            bytes: args.run_ahead_bytes,
            in_serf: limits::IN_SERF,
        },
        batch: BatchLimits::default(),
        snap_time: args
            .snap_time
            .map_or(limits::SNAP_TIME, |minutes| Duration::from_secs(minutes * 60)),
        reads: match args.reads {
            super::Reads::Lease => ReadMode::Lease,
            super::Reads::Quorum => ReadMode::Quorum,
        },
        machines: machines.len(),
        galaxy_url: args.galaxy_url.clone(),
        exit_when_live: args.exit,
        serf: SerfSettings {
            deadlines: serf_ipc::Deadlines {
                warn: Duration::from_secs(warn),
                interrupt: Duration::from_secs(interrupt),
                kill: Duration::from_secs(kill),
            },
            command: serf,
        },
    };
    let log = Config {
        pier: pier.to_owned(),
        machines,
        own_address: own,
        start,
        heartbeat: Duration::from_millis(args.heartbeat_ms),
        election_timeout_min: Duration::from_millis(min),
        election_timeout_max: Duration::from_millis(max),
        vere_version: "3.5".to_owned(),
        event_log_map_bytes: args.lmdb_map_size,
        insecure_peers: args.insecure_peers,
    };
    Ok((log, settings))
}

/// What `-X` asks for.
fn scry(args: &MemberArgs) -> anyhow::Result<Option<Scry>> {
    let Some(path) = &args.scry else { return Ok(None) };
    ensure!(
        args.machines.is_empty(),
        "-X is for a ship on this machine alone; one on several is asked through `.urb/conn.sock`"
    );
    Scry::parse(path, args.scry_into.as_deref(), &args.scry_format).map(Some)
}

async fn live(
    config: Config,
    settings: PierSettings,
    sequence: Option<BootSequence>,
) -> anyhow::Result<Leave> {
    let log = Replog::open(config).await?;
    let pier_dir = settings.pier.clone();
    let terminal = settings.drivers.terminal.clone();
    let (pier, handle) = Pier::new(settings, log, sequence);
    let control = control_socket::serve(&pier_dir, handle.clone())?;
    let signals = tokio::spawn(pass_signals(handle.clone()));
    let operator = terminal.map(|terminal| tokio::spawn(attend(terminal, handle)));
    let leave = tokio::spawn(pier.run()).await;
    signals.abort();
    if let Some(operator) = operator {
        operator.abort();
    }
    control.end();
    leave.context("the pier's task ended by a broken invariant; nothing committed is lost, start again")
}

/// SIGTERM leaves in order; SIGINT is the ship's `%ctl 'c'`; SIGTSTP ends as in vere, but in order; SIGUSR1 has the state
/// printed (`spec/cli.md` section 5).
async fn pass_signals(handle: PierHandle) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut report = signal(SignalKind::user_defined1())?;
    let mut stop = signal(SignalKind::from_raw(nix::sys::signal::Signal::SIGTSTP as i32))?;
    loop {
        tokio::select! {
            _ = terminate.recv() => handle.exit(0).await,
            _ = interrupt.recv() => handle.interrupt().await,
            _ = stop.recv() => {
                tracing::info!(target: console::TARGET, "[received keyboard stop signal, exiting]");
                handle.exit(limits::EXIT_FAILURE).await;
            }
            _ = report.recv() => {
                if let Some(status) = handle.status().await {
                    super::status::report(&status);
                }
            }
        }
    }
}

/// What concerns the terminal: its size, and its end. One that hangs up ends the king as in vere, but in order.
async fn attend(terminal: Terminal, handle: PierHandle) -> anyhow::Result<()> {
    let mut resized = signal(SignalKind::window_change())?;
    let mut hung_up = signal(SignalKind::hangup())?;
    let mut continued = signal(SignalKind::from_raw(nix::sys::signal::Signal::SIGCONT as i32))?;
    terminal.leaves_by_itself();
    loop {
        tokio::select! {
            _ = resized.recv() => terminal.resized(),
            _ = continued.recv() => terminal.continued(),
            _ = hung_up.recv() => handle.exit(limits::EXIT_FAILURE).await,
            ending = terminal.ending() => handle.exit(match ending {
                Ending::HungUp => limits::EXIT_FAILURE,
                Ending::Asked => 0,
            }).await,
        }
    }
}
