//! The arguments, defined once: the parser and the help come from here.

use crate::{console::LogFormat, demo::DemoArgs, limits};
use clap::{Args, Parser, Subcommand, ValueEnum};
use serf_ipc::SerfVersion;
use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

/// Runs one Urbit ship on several machines, so that losing one loses nothing.
#[derive(Debug, Parser)]
#[command(name = "seguro-king", version, about, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a new ship in a new directory, and run it.
    Boot(Box<BootArgs>),
    /// Run a ship: one that was stopped, one of vere's, or (an empty directory with --machines) join its cluster.
    Run(Box<RunArgs>),
    /// How a running member stands.
    Status(StatusArgs),
    /// Begin a new epoch at a fresh snapshot, and drop old ones: on a running member.
    Roll(RollArgs),
    /// Three members on this machine: look at a ship that survives, or have it proven.
    Demo(DemoArgs),
    /// Write the reference kernel's pill to a file.
    #[command(hide = true)]
    Pill {
        /// The file.
        file: PathBuf,
    },
}

/// Arguments of `boot`.
#[derive(Debug, Args)]
pub struct BootArgs {
    /// Make this fake ship, e.g. `zod` or `~zod`.
    #[arg(short = 'F', long = "fake", value_name = "SHIP")]
    pub fake: String,
    /// The pill to boot from; `builtin` is the reference kernel.
    #[arg(short = 'B', long = "bootstrap", value_name = "PILL")]
    pub pill: PathBuf,
    /// Use this directory for the initial filesystem.
    #[arg(short = 'A', long = "arvo", value_name = "DIR")]
    pub arvo: Option<PathBuf>,
    /// Lite boot.
    #[arg(short = 'l', long = "lite-boot")]
    pub lite: bool,
    /// How to run.
    #[command(flatten)]
    pub member: MemberArgs,
    /// The directory to make; must not exist.
    #[arg(value_name = "PIER")]
    pub pier: PathBuf,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// How to run.
    #[command(flatten)]
    pub member: MemberArgs,
    /// The ship's directory.
    #[arg(value_name = "PIER")]
    pub pier: PathBuf,
}

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// As JSON.
    #[arg(long)]
    pub json: bool,
    /// The ship's directory on this machine.
    #[arg(value_name = "PIER")]
    pub pier: PathBuf,
}

/// Arguments of `roll`.
#[derive(Debug, Args)]
pub struct RollArgs {
    /// How many epochs stay, the new one among them.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub keep_epochs: u64,
    /// The ship's directory on this machine.
    #[arg(value_name = "PIER")]
    pub pier: PathBuf,
}

/// How a member runs, at boot and later.
#[derive(Clone, Debug, Args)]
pub struct MemberArgs {
    /// The machines that the ship lives on, this one among them: `IP:PORT,IP:PORT,...`. Without it, this one alone.
    #[arg(
        short = 'm',
        long = "machines",
        visible_short_alias = 'r',
        visible_alias = "replicas",
        value_name = "IP:PORT,...",
        value_delimiter = ','
    )]
    pub machines: Vec<SocketAddr>,
    /// Which of the machines this one is, where its addresses do not tell.
    #[arg(long, value_name = "IP:PORT")]
    pub bind: Option<SocketAddr>,
    /// Let members speak over networks other than loopback without encryption: only where nobody else can reach them.
    #[arg(long)]
    pub insecure_peers: bool,
    /// How often a leader shows that it lives, milliseconds.
    #[arg(long, value_name = "MS", default_value_t = replog::DEFAULT_HEARTBEAT.as_millis() as u64)]
    pub heartbeat_ms: u64,
    /// How long a leader may be silent before another is elected, milliseconds: the least and the most.
    #[arg(long, value_name = "MIN,MAX", value_delimiter = ',', num_args = 1, default_value = &*Box::leak(default_election().into_boxed_str()))]
    pub election_ms: Vec<u64>,
    /// How a leader makes sure that it still leads before it answers a read.
    #[arg(long, value_enum, default_value_t = Reads::Lease)]
    pub reads: Reads,

    /// The serf: an `urbit` binary up to v3.5, or `builtin` for the reference serf. Without it: `urbit` on the PATH.
    #[arg(long, value_name = "FILE", env = "SEGURO_SERF")]
    pub serf_bin: Option<PathBuf>,
    /// The serf's version; `auto` asks the binary.
    #[arg(long, value_enum, default_value_t = SerfVersionArg::Auto)]
    pub serf_version: SerfVersionArg,
    /// Log2 of the serf's memory in bytes, 20 to 33.
    #[arg(long, value_name = "N", default_value_t = 31, value_parser = clap::value_parser!(u8).range(20..=33))]
    pub loom: u8,
    /// Entries of the serf's transient memoization cache.
    #[arg(
        short = 'C',
        long = "memo-cache-limit",
        value_name = "N",
        default_value_t = 50_000
    )]
    pub memo_cache: u32,
    /// Entries of the serf's persistent memoization cache.
    #[arg(
        short = 'M',
        long = "keep-cache-limit",
        value_name = "N",
        default_value_t = 50_000
    )]
    pub keep_cache: u32,
    /// Seconds of one computation after which the king warns, interrupts, and kills the serf. One that plays or saves is not
    /// interrupted, and gets twice as long after each kill.
    #[arg(
        long,
        value_name = "WARN,INTERRUPT,KILL",
        value_delimiter = ',',
        num_args = 1,
        default_value = "30,1800,2400"
    )]
    pub serf_deadlines_s: Vec<u64>,
    /// Minutes between snapshots; without it, two minutes.
    #[arg(long, value_name = "MINUTES", value_parser = clap::value_parser!(u64).range(1..65_536))]
    pub snap_time: Option<u64>,
    /// Events that the serf may be ahead of the commit.
    #[arg(long, value_name = "N", default_value_t = limits::RUN_AHEAD_EVENTS)]
    pub run_ahead: usize,
    /// Bytes of events that the serf may be ahead of the commit.
    #[arg(long, value_name = "BYTES", default_value_t = limits::RUN_AHEAD_BYTES)]
    pub run_ahead_bytes: usize,
    /// Address space for the event log, bytes.
    #[arg(long, value_name = "BYTES", default_value_t = replog::DEFAULT_EVENT_LOG_MAP_BYTES)]
    pub lmdb_map_size: usize,

    /// No terminal: the only form for now, so accepted and without effect.
    #[arg(short = 't', long)]
    pub no_tty: bool,
    /// Verbose.
    #[arg(short = 'v', long)]
    pub verbose: bool,
    /// Silence the serf's own printing.
    #[arg(short = 'q', long)]
    pub quiet: bool,
    /// Loopback networking only; so far the only kind that there is.
    #[arg(short = 'L', long)]
    pub local: bool,
    /// Where the public HTTP servers listen.
    #[arg(short = 'b', long = "http-ip", value_name = "IPV4", default_value_t = Ipv4Addr::UNSPECIFIED)]
    pub http_ip: Ipv4Addr,
    /// A fixed port for public HTTP; 0 leaves it to the ship.
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub http_port: u16,
    /// No control socket for the ship (`.urb/conn.sock`).
    #[arg(long)]
    pub no_conn: bool,
    /// Go on without timers when one fails.
    #[arg(long)]
    pub behn_allow_blocked: bool,
    /// Inject a jammed event at every start of an office.
    #[arg(short = 'I', long = "inject", value_name = "FILE")]
    pub inject: Vec<PathBuf>,
    /// Import an archive at start.
    #[arg(short = 'i', long = "import", value_name = "FILE")]
    pub import: Option<PathBuf>,
    /// Leave once the ship is live.
    #[arg(short = 'x', long)]
    pub exit: bool,
    /// How structured logs look; they go to stderr, and SEGURO_LOG filters them.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

fn default_election() -> String {
    format!(
        "{},{}",
        replog::DEFAULT_ELECTION_TIMEOUT_MIN.as_millis(),
        replog::DEFAULT_ELECTION_TIMEOUT_MAX.as_millis()
    )
}

/// How a read is made certain, as an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Reads {
    /// A quorum acknowledged the leader within its lease.
    Lease,
    /// A quorum confirms it for each read.
    Quorum,
}

/// A serf's version, as an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SerfVersionArg {
    /// Ask the binary.
    Auto,
    /// vere v3.5
    #[value(name = "3.5")]
    V3_5,
    /// vere v2.12
    #[value(name = "2.12")]
    V2_12,
    /// vere v1.18
    #[value(name = "1.18")]
    V1_18,
}

impl SerfVersionArg {
    /// The version that was named; None for `auto`.
    #[must_use]
    pub fn named(self) -> Option<SerfVersion> {
        match self {
            SerfVersionArg::Auto => None,
            SerfVersionArg::V3_5 => Some(SerfVersion::V3_5),
            SerfVersionArg::V2_12 => Some(SerfVersion::V2_12),
            SerfVersionArg::V1_18 => Some(SerfVersion::V1_18),
        }
    }
}
