//! Members as real processes on this machine: what the demo shows and the end-to-end tests break.

use crate::{control_socket, pier::PierStatus};
use anyhow::{Context, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use replog::Role;
use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicU8, Ordering},
    time::{Duration, Instant},
};

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(5);
/// How often at least, when it has been waited for for long: a ship's boot takes minutes, and members that are asked two hundred
/// times a second how they stand take a good part of a processor from their serfs.
const POLL_SLOWEST: Duration = Duration::from_millis(100);
/// The part of the time waited that the next pause may take.
const POLL_PART: u32 = 200;

/// What the members are made of.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// The `seguro-king` program.
    pub king: PathBuf,
    /// `--serf-bin`.
    pub serf: PathBuf,
    /// The pill, or `builtin`.
    pub pill: PathBuf,
    /// How many members; 1 is a ship without `--machines`.
    pub members: usize,
    /// The directory that takes the piers and the processes' output.
    pub directory: PathBuf,
    /// More arguments for `boot` and `run`.
    pub extra: Vec<OsString>,
    /// Whether each member gets a fixed HTTP port.
    pub http: bool,
}

/// One member: its directory, its addresses, its process.
#[derive(Debug)]
pub struct LocalMember {
    /// The program that runs it: a test may put another in its place, such as one with a limit around it.
    pub program: PathBuf,
    /// Its pier.
    pub pier: PathBuf,
    /// Where its peers reach it.
    pub address: SocketAddr,
    /// Its HTTP port, if it was given one.
    pub http_port: Option<u16>,
    /// Its UDP port. Each has its own: a leader that hangs keeps its port from the next one, and other clusters on this
    /// machine have the same ship.
    pub ames_port: u16,
    /// What it prints: stdout.
    pub stdout: PathBuf,
    /// What it logs: stderr.
    pub stderr: PathBuf,
    child: Option<Child>,
}

/// Members of one ship on this machine. Whatever still runs is killed when this is dropped.
#[derive(Debug)]
pub struct LocalCluster {
    options: ClusterOptions,
    /// The members, the one that boots first.
    pub members: Vec<LocalMember>,
}

/// A loopback address (of 127.0.0.0/8) that other programs do not happen to use: a member that is down finds its port free when it
/// comes back, whatever ports others' connections are given meanwhile.
fn own_host() -> Ipv4Addr {
    static HOSTS: AtomicU8 = AtomicU8::new(1);
    let [low, high, ..] = std::process::id().to_le_bytes();
    Ipv4Addr::new(127, 1 + high % 254, low, HOSTS.fetch_add(1, Ordering::Relaxed))
}

impl LocalCluster {
    /// Lays out a cluster; nothing runs yet.
    ///
    /// # Errors
    /// When the directory or a port cannot be had.
    pub fn new(options: ClusterOptions) -> anyhow::Result<LocalCluster> {
        fs::create_dir_all(&options.directory)
            .with_context(|| format!("the directory {}", options.directory.display()))?;
        // Held together until all are chosen, so that none is given out twice.
        let mut listeners = Vec::new();
        let mut port = |host: Ipv4Addr| -> anyhow::Result<SocketAddr> {
            let listener = TcpListener::bind((host, 0)).context("no loopback port is free")?;
            let address = listener.local_addr()?;
            listeners.push(listener);
            Ok(address)
        };
        let mut sockets = Vec::new();
        let mut udp_port = || -> anyhow::Result<u16> {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("no loopback port is free")?;
            let port = socket.local_addr()?.port();
            sockets.push(socket);
            Ok(port)
        };
        let host = own_host();
        let mut members = Vec::new();
        for index in 0..options.members {
            let name = |suffix: &str| options.directory.join(format!("{}{suffix}", index + 1));
            members.push(LocalMember {
                program: options.king.clone(),
                pier: name(""),
                address: port(host)?,
                http_port: if options.http {
                    Some(port(Ipv4Addr::LOCALHOST)?.port())
                } else {
                    None
                },
                ames_port: udp_port()?,
                stdout: name(".out"),
                stderr: name(".err"),
                child: None,
            });
        }
        Ok(LocalCluster { options, members })
    }

    /// Starts all: the first boots `ship`, the others join it.
    ///
    /// # Errors
    /// When a process cannot be started.
    pub fn boot(&mut self, ship: &str) -> anyhow::Result<()> {
        self.boot_with(ship, &[])
    }

    /// The same, with more arguments for the `boot`.
    ///
    /// # Errors
    /// When a process cannot be started.
    pub fn boot_with(&mut self, ship: &str, more: &[OsString]) -> anyhow::Result<()> {
        self.boot_as(&[&["-F".into(), ship.into()], more].concat())
    }

    /// The same with the arguments that say which ship it is.
    ///
    /// # Errors
    /// When a process cannot be started.
    pub fn boot_as(&mut self, ship: &[OsString]) -> anyhow::Result<()> {
        let pill = self.options.pill.clone();
        let mut words = vec!["boot".into(), "-B".into(), pill.into()];
        words.extend_from_slice(ship);
        self.spawn(0, &words)?;
        for index in 1..self.members.len() {
            self.run(index)?;
        }
        Ok(())
    }

    /// Starts one member on what is there.
    ///
    /// # Errors
    /// When it runs already, or cannot be started.
    pub fn run(&mut self, index: usize) -> anyhow::Result<()> {
        self.spawn(index, &["run".into()])
    }

    fn spawn(&mut self, index: usize, words: &[OsString]) -> anyhow::Result<()> {
        let machines = self
            .members
            .iter()
            .map(|member| member.address.to_string())
            .collect::<Vec<_>>()
            .join(",");
        let alone = self.members.len() == 1;
        let options = &self.options;
        let member = self.members.get_mut(index).context("no such member")?;
        ensure!(member.child.is_none(), "member {} runs already", index + 1);
        let mut command = Command::new(&member.program);
        command.args(words);
        command
            .arg("-t")
            .arg("--serf-bin")
            .arg(&options.serf)
            .args(["--http-ip", "127.0.0.1", "--ames-port"])
            .arg(member.ames_port.to_string());
        if !alone {
            command
                .arg("--machines")
                .arg(machines)
                .arg("--bind")
                .arg(member.address.to_string());
        }
        if let Some(port) = member.http_port {
            command.arg("--http-port").arg(port.to_string());
        }
        command.args(&options.extra).arg(&member.pier);
        let file = |path: &Path| -> anyhow::Result<File> {
            OpenOptions::new()
                .create(true)
                .append(true)
                .open(path)
                .with_context(|| format!("the file {}", path.display()))
        };
        command
            .stdin(Stdio::null())
            .stdout(file(&member.stdout)?)
            .stderr(file(&member.stderr)?)
            .process_group(0);
        member.child = Some(
            command
                .spawn()
                .with_context(|| format!("{} cannot be started", options.king.display()))?,
        );
        Ok(())
    }

    /// What a running member says of itself; None while it does not answer.
    #[must_use]
    pub fn status(&self, index: usize) -> Option<PierStatus> {
        let member = self.members.get(index)?;
        member.child.as_ref()?;
        control_socket::ask_status(&member.pier).ok()
    }

    /// The member that holds office with all its drivers live.
    #[must_use]
    pub fn live_leader(&self) -> Option<usize> {
        (0..self.members.len()).find(|index| {
            self.status(*index)
                .is_some_and(|status| status.live && matches!(status.log.role, Role::Leader { .. }))
        })
    }

    /// Waits for a live leader.
    ///
    /// # Errors
    /// When there is none in time, or no member runs any more.
    pub fn wait_live(&mut self, patience: Duration) -> anyhow::Result<usize> {
        let leader = self.wait("a live leader", patience, |cluster| match cluster.live_leader() {
            Some(leader) => Some(Some(leader)),
            None if (0..cluster.members.len()).any(|index| cluster.is_running(index)) => None,
            None => Some(None),
        })?;
        leader.with_context(|| format!("no member runs any more\n{}", self.tails()))
    }

    /// Waits until `condition` gives something.
    ///
    /// # Errors
    /// When it does not in time: what was waited for, and the tail of each member's log.
    pub fn wait<T>(
        &mut self,
        what: &str,
        patience: Duration,
        mut condition: impl FnMut(&mut LocalCluster) -> Option<T>,
    ) -> anyhow::Result<T> {
        let begun = Instant::now();
        loop {
            if let Some(value) = condition(self) {
                return Ok(value);
            }
            if begun.elapsed() > patience {
                bail!(
                    "waited {} s in vain for {what}\n{}",
                    patience.as_secs(),
                    self.tails()
                );
            }
            std::thread::sleep((begun.elapsed() / POLL_PART).clamp(POLL, POLL_SLOWEST));
        }
    }

    /// The last lines of every member's log.
    #[must_use]
    pub fn tails(&self) -> String {
        let tail = |path: &Path| {
            let text = fs::read(path)
                .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
                .unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            lines
                .iter()
                .skip(lines.len().saturating_sub(25))
                .map(|line| format!("  {line}\n"))
                .collect::<String>()
        };
        (1..)
            .zip(&self.members)
            .map(|(number, member)| format!("member {number}:\n{}", tail(&member.stderr)))
            .collect()
    }

    /// Sends a signal to a member's process.
    ///
    /// # Errors
    /// When it does not run.
    pub fn signal(&self, index: usize, signal: Signal) -> anyhow::Result<()> {
        let pid = self
            .pid(index)
            .with_context(|| format!("member {} does not run", index + 1))?;
        Ok(kill(pid, signal)?)
    }

    /// A running member's process.
    #[must_use]
    pub fn pid(&self, index: usize) -> Option<Pid> {
        let child = self.members.get(index)?.child.as_ref()?;
        i32::try_from(child.id()).ok().map(Pid::from_raw)
    }

    /// Kills a member with SIGKILL, as a burning machine would.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill(&mut self, index: usize) -> anyhow::Result<()> {
        let child = self.members.get_mut(index).and_then(|member| member.child.take());
        let mut child = child.with_context(|| format!("member {} does not run", index + 1))?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Asks a member to leave in order, and waits for its end.
    ///
    /// # Errors
    /// When it does not run, or does not end in time (it is killed then).
    pub fn terminate(&mut self, index: usize, patience: Duration) -> anyhow::Result<ExitStatus> {
        self.signal(index, Signal::SIGTERM)?;
        self.wait_exit(index, patience)
    }

    /// Waits for a member's end.
    ///
    /// # Errors
    /// When it does not come in time (it is killed then).
    pub fn wait_exit(&mut self, index: usize, patience: Duration) -> anyhow::Result<ExitStatus> {
        let ended = self.wait("a member's end", patience, |cluster| {
            cluster
                .members
                .get_mut(index)?
                .child
                .as_mut()?
                .try_wait()
                .ok()
                .flatten()
        });
        match ended {
            Ok(status) => {
                if let Some(member) = self.members.get_mut(index) {
                    member.child = None;
                }
                Ok(status)
            }
            Err(error) => {
                self.kill(index)?;
                Err(error)
            }
        }
    }

    /// Whether a member's process runs.
    #[must_use]
    pub fn is_running(&mut self, index: usize) -> bool {
        let child = self
            .members
            .get_mut(index)
            .and_then(|member| member.child.as_mut());
        child.is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Waits until all running members have committed and computed the same events: no load may run.
    ///
    /// # Errors
    /// When they do not agree in time.
    pub fn settle(&mut self, patience: Duration) -> anyhow::Result<Vec<PierStatus>> {
        self.wait("all members to stand at one event", patience, |cluster| {
            let running: Vec<usize> = (0..cluster.members.len())
                .filter(|index| cluster.is_running(*index))
                .collect();
            let all: Vec<PierStatus> = running
                .iter()
                .filter_map(|index| cluster.status(*index))
                .collect();
            let first = all.first()?;
            let agree = all.iter().all(|status| {
                status.committed == first.committed
                    && status.computed == first.committed
                    && status.log.durable.0 <= status.committed
            });
            (agree && all.len() == running.len() && all.iter().any(|status| status.live)).then_some(all)
        })
    }
}

impl Drop for LocalCluster {
    fn drop(&mut self) {
        for member in &mut self.members {
            if let Some(child) = &mut member.child {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }
}
