//! What the drivers are told on the command line (`spec/cli.md` section 2), with vere's defaults.

use std::{
    collections::BTreeSet,
    net::Ipv4Addr,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

/// Settings of the drivers.
#[derive(Clone, Debug)]
pub struct DriverSettings {
    /// `-v`: verbose (the `%verb` event says so).
    pub verbose: bool,
    /// The terminal that the king was started on, unless `-t` or `-d` forbids it.
    pub terminal: Option<crate::drivers::term::Terminal>,
    /// `-b`: where the public HTTP servers bind.
    pub http_ip: Ipv4Addr,
    /// `--http-port`: a fixed port for public HTTP; None lets the ship's configuration choose.
    pub http_port: Option<u16>,
    /// `--https-port`: a fixed port for HTTPS; None lets the ship's configuration choose.
    pub https_port: Option<u16>,
    /// `-L`: speak to ships of this machine only, as fake ships always do.
    pub local: bool,
    /// `-p`: the UDP port; 0 is a galaxy's own, and any other ship's any.
    pub ames_port: u16,
    /// `--nat-pmp`: who is asked to map the UDP port; None asks nobody.
    pub nat_pmp: Option<crate::drivers::ames::nat_pmp::Gateway>,
    /// `--mdns`: announce the ship on the local network, and hear who else is there.
    pub mdns: bool,
    /// `--no-conn`: no control socket.
    pub no_conn: bool,
    /// `--behn-allow-blocked`: go on without timers when a wake fails.
    pub behn_allow_blocked: bool,
    /// Whether the ship lives on this machine only: nobody else can have led it since this one did.
    pub alone: bool,
    /// Held by whoever works on this pier's mounts: an office's thread waits for that of the one before.
    pub mounts: Arc<Mutex<()>>,
    /// `-I`: jammed ova to inject at start.
    pub inject: Vec<PathBuf>,
    /// `-i`: an archive to import.
    pub import: Option<PathBuf>,
    /// `-X`: what is read from the ship, in place of all drivers.
    pub scry: Option<crate::drivers::scry::Scry>,
    /// Which of these files this process has injected already: an office that follows another does not do it again.
    pub injected: Arc<Mutex<BTreeSet<PathBuf>>>,
}

impl Default for DriverSettings {
    fn default() -> DriverSettings {
        DriverSettings {
            verbose: false,
            terminal: None,
            http_ip: Ipv4Addr::UNSPECIFIED,
            http_port: None,
            https_port: None,
            local: false,
            ames_port: 0,
            nat_pmp: None,
            mdns: false,
            no_conn: false,
            behn_allow_blocked: false,
            alone: true,
            mounts: Arc::default(),
            inject: Vec::new(),
            import: None,
            scry: None,
            injected: Arc::default(),
        }
    }
}

/// How the serf is run.
#[derive(Clone, Debug)]
pub struct SerfSettings {
    /// Its binary and arguments.
    pub command: serf_ipc::SerfCommand,
    /// When a silence becomes a warning, an interrupt, an end.
    pub deadlines: serf_ipc::Deadlines,
}

/// How a leader makes sure that it still is one before it answers a read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadMode {
    /// A quorum acknowledged it within its lease: no round trip, rests on clocks that run at about the same rate.
    #[default]
    Lease,
    /// A quorum confirms it after each read was asked for.
    Quorum,
}

/// How the pier runs.
#[derive(Clone, Debug)]
pub struct PierSettings {
    /// The pier's directory.
    pub pier: PathBuf,
    /// The serf.
    pub serf: SerfSettings,
    /// The drivers.
    pub drivers: DriverSettings,
    /// How far the serf may run ahead of the commit.
    pub run_ahead: crate::pipeline::RunAhead,
    /// What closes a batch.
    pub batch: crate::pipeline::BatchLimits,
    /// How often the serf saves.
    pub snap_time: Duration,
    /// How a read is made certain.
    pub reads: ReadMode,
    /// How many members a leader wants beside it before a ship that was just booted goes live.
    pub machines: usize,
    /// Where a galaxy's web server is, `{}` standing for its name: it is asked whether the ship lives elsewhere.
    pub galaxy_url: String,
    /// `-x`: leave once the ship is live.
    pub exit_when_live: bool,
}
