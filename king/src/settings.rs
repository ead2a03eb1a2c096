//! What the drivers are told on the command line (`spec/cli.md` section 2), with vere's defaults.

use std::{net::Ipv4Addr, path::PathBuf};

/// Settings of the drivers.
#[derive(Clone, Debug)]
pub struct DriverSettings {
    /// `-v`: verbose (the `%verb` event says so).
    pub verbose: bool,
    /// `-t`: no terminal; the only form for now.
    pub no_tty: bool,
    /// `-b`: where the public HTTP servers bind.
    pub http_ip: Ipv4Addr,
    /// `--http-port`: a fixed port for public HTTP; None lets the ship's configuration choose.
    pub http_port: Option<u16>,
    /// `--no-conn`: no control socket.
    pub no_conn: bool,
    /// `--behn-allow-blocked`: go on without timers when a wake fails.
    pub behn_allow_blocked: bool,
    /// `-I`: jammed ova to inject at start.
    pub inject: Vec<PathBuf>,
    /// `-i`: an archive to import.
    pub import: Option<PathBuf>,
}

impl Default for DriverSettings {
    fn default() -> DriverSettings {
        DriverSettings {
            verbose: false,
            no_tty: true,
            http_ip: Ipv4Addr::UNSPECIFIED,
            http_port: None,
            no_conn: false,
            behn_allow_blocked: false,
            inject: Vec::new(),
            import: None,
        }
    }
}
