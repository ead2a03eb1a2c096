//! How a member runs: the options that `boot` and `run` share, vere's under vere's names (`spec/cli.md` section 2).

use super::numbers::{number, within};
use crate::{boot::double_boot, console::LogFormat, drivers::ames::nat_pmp::Gateway, limits};
use clap::{Args, ValueEnum};
use serf_ipc::SerfVersion;
use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

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
    #[arg(long, value_name = "N", default_value_t = 31, value_parser = within(20..=33_u8))]
    pub loom: u8,
    /// Entries of the serf's transient memoization cache.
    #[arg(
        short = 'C',
        long = "memo-cache-limit",
        value_name = "N",
        default_value_t = 50_000,
        value_parser = number::<u32>
    )]
    pub memo_cache: u32,
    /// Entries of the serf's persistent memoization cache.
    #[arg(
        short = 'M',
        long = "keep-cache-limit",
        value_name = "N",
        default_value_t = 50_000,
        value_parser = number::<u32>
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
    #[arg(long, value_name = "MINUTES", value_parser = within(1..=65_535_u64))]
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

    /// The serf reads its whole image at the start.
    #[arg(long)]
    pub no_demand: bool,
    /// The serf pages memory out to a file of its own.
    #[arg(long)]
    pub swap: bool,
    /// The same, to this file.
    #[arg(long, value_name = "FILE")]
    pub swap_to: Option<PathBuf>,
    /// The serf gives memory back often, skipping so many words.
    #[arg(long, value_name = "N")]
    pub toss: Option<u32>,
    /// The serf looks for leaks after each event.
    #[arg(short = 'g', long)]
    pub gc: bool,
    /// The serf profiles its computations, if it was built for that.
    #[arg(short = 'P', long)]
    pub profile: bool,
    /// The serf writes traces to `.urb/put/trace`.
    #[arg(short = 'j', long)]
    pub json_trace: bool,
    /// The serf writes no snapshots: what it lacks is computed again at every start, and no epoch can begin.
    #[arg(short = 'D', long)]
    pub replay: bool,

    /// In the background: returns when the ship is live (a follower: when it has caught up). Implies --no-tty.
    #[arg(short = 'd', long)]
    pub daemon: bool,
    /// Read `/care/desk/path` from the ship, write it to a file below `.urb/put`, and leave.
    #[arg(short = 'X', long, value_name = "PATH")]
    pub scry: Option<String>,
    /// That file's name; without it, the path.
    #[arg(short = 'Y', long, value_name = "NAME", requires = "scry")]
    pub scry_into: Option<String>,
    /// What is written: `jam`, or an aura without its @ for text, e.g. `ud`.
    #[arg(
        short = 'Z',
        long,
        value_name = "FORMAT",
        requires = "scry",
        default_value = "jam"
    )]
    pub scry_format: String,
    /// No terminal: text is printed line by line, and nothing is read. So it is too where stdin and stdout are none, and with `-d`.
    #[arg(short = 't', long)]
    pub no_tty: bool,
    /// Verbose.
    #[arg(short = 'v', long)]
    pub verbose: bool,
    /// Silence the serf's own printing.
    #[arg(short = 'q', long)]
    pub quiet: bool,
    /// Speak to ships of this machine only; fake ships always do.
    #[arg(short = 'L', long)]
    pub local: bool,
    /// The UDP port for other ships; 0 is the one that belongs to a galaxy, and any free one for other ships.
    #[arg(short = 'p', long, value_name = "PORT", default_value_t = 0, value_parser = number::<u16>)]
    pub ames_port: u16,
    /// Have the gateway send on what comes to the same UDP port of its own (NAT-PMP): the default route's, or the one that is
    /// named. Only the member that leads asks, and gives it back when it no longer does. vere always asks; here nobody does
    /// unless told to, since a machine of a cluster seldom stands behind a home's gateway.
    #[arg(
        long,
        value_name = "IPV4[:PORT]",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = Gateway::OF_ROUTE
    )]
    pub nat_pmp: Option<Gateway>,
    /// Tell the local network where the ship is, and the ship who else is there (mDNS, `_ames._udp`); a ship that speaks to this
    /// machine only is told to this machine only. Needs no avahi. vere does it wherever avahi runs; here only this asks for it,
    /// since whoever is on that network may then move other ships' lanes and make events.
    #[arg(long)]
    pub mdns: bool,
    /// Where a galaxy's web server is, {} standing for its name: it is asked whether this ship lives elsewhere too.
    #[arg(long, value_name = "URL", default_value = double_boot::DEFAULT_GALAXY_URL)]
    pub galaxy_url: String,
    /// Where the public HTTP servers listen.
    #[arg(short = 'b', long = "http-ip", value_name = "IPV4", default_value_t = Ipv4Addr::UNSPECIFIED)]
    pub http_ip: Ipv4Addr,
    /// A fixed port for public HTTP; 0 leaves it to the ship.
    #[arg(long, value_name = "PORT", default_value_t = 0, value_parser = number::<u16>)]
    pub http_port: u16,
    /// A fixed port for HTTPS, which is served once the ship has a certificate; 0 leaves it to the ship.
    #[arg(long, value_name = "PORT", default_value_t = 0, value_parser = number::<u16>)]
    pub https_port: u16,
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
    /// What vere has and this king has no use for.
    #[command(flatten)]
    pub ignored: IgnoredArgs,
    /// How structured logs look; they go to stderr, and SEGURO_LOG filters them.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// Options of vere that mean nothing here: this king computes nothing in a loom of its own (`--urth-loom`, `-J`), always starts
/// its serf without hashboards (`-S`), copies no binary into a pier (`--no-dock`) and never aborts (`-a`); `-K` and `-n` have no
/// effect in vere either. Nor has `--jumbo-bloq`: vere asks its kernel for messages of mesa's whole, keeps them whole and cuts
/// them itself, whatever part of one a fragment's number would belong to.
#[derive(Clone, Debug, Args)]
pub struct IgnoredArgs {
    #[arg(long, value_name = "N", value_parser = within(20..=33_u8), hide = true)]
    urth_loom: Option<u8>,
    #[arg(short = 'J', long, value_name = "FILE", hide = true)]
    ivory_pill: Option<PathBuf>,
    #[arg(short = 'S', long, hide = true)]
    skip_battery_hashes: bool,
    #[arg(short = 'a', long, hide = true)]
    abort: bool,
    #[arg(short = 'K', long, value_name = "N", value_parser = number::<u8>, hide = true)]
    kernel_stage: Option<u8>,
    #[arg(short = 'n', long, value_name = "N", hide = true)]
    replay_to: Option<u64>,
    #[arg(long, hide = true)]
    no_dock: bool,
    #[arg(long, value_name = "N", value_parser = within(13..=29_u8), hide = true)]
    jumbo_bloq: Option<u8>,
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
