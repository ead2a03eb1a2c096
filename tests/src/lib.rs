//! A harness for tests with real processes: clusters on loopback, load, and what to hold them to.
//!
//! What runs is the `seguro-king` of this workspace, built once a test run, and the serf and the pill that the
//! environment names: `SEGURO_SERF` (an `urbit` binary up to v3.5) and `SEGURO_PILL`. Where they are unset it is the
//! reference serf and its kernel. Each test says on stderr which. `SEGURO_KING` names another king, built before.

mod archive;
mod build;
mod clocks;
mod disk;
mod load;
pub mod nemesis;
mod network;
mod oracle;
mod process;
mod pty;
pub mod soak;

pub use build::king;
pub use clocks::Clocks;
pub use disk::Disk;
pub use load::{Fate, Load, Outcomes, Pace};
pub use network::{Link, Network, missing, needs_network};
pub use oracle::{Logs, acknowledged_are_there_once, logs};
pub use process::{Process, Stopped, processes_of};
pub use pty::InTerminal;

use anyhow::Context;
use nix::{sys::signal::Signal, unistd::Pid};
use replog::Role;
use seguro_king::{
    conn_client::ConnClient,
    local_cluster::{ClusterOptions, LocalCluster},
    pier::PierStatus,
};
use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

/// How long a ship may take to boot: seconds with the reference serf, minutes with a real one and a full pill.
pub const BOOT: Duration = Duration::from_secs(900);
/// How long anything else may take on a slow and busy machine before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The serf that the environment names, or the reference serf.
#[must_use]
pub fn serf() -> PathBuf {
    std::env::var_os("SEGURO_SERF")
        .filter(|value| !value.is_empty())
        .map_or_else(|| "builtin".into(), PathBuf::from)
}

/// The pill that the environment names, or the reference kernel.
#[must_use]
pub fn pill() -> PathBuf {
    std::env::var_os("SEGURO_PILL")
        .filter(|value| !value.is_empty())
        .map_or_else(|| "builtin".into(), PathBuf::from)
}

/// Whether the reference kernel runs, whose effects a test can choose.
#[must_use]
pub fn reference_kernel() -> bool {
    pill() == Path::new("builtin")
}

/// Whether the reference kernel runs, which the test of this name needs; says so where it does not.
#[must_use]
pub fn needs_reference_kernel(test: &str) -> bool {
    let there = reference_kernel();
    if !there {
        eprintln!("{test}: NOT RUN: it needs the reference kernel, so SEGURO_PILL must not be set");
    }
    there
}

/// The `urbit` program that `SEGURO_SERF` names, which the test of this name needs; says so where there is none.
#[must_use]
pub fn needs_urbit(test: &str) -> Option<PathBuf> {
    let urbit = Some(serf()).filter(|serf| serf != Path::new("builtin"));
    if urbit.is_none() {
        eprintln!("{test}: NOT RUN: it needs an urbit program, up to v3.5, in SEGURO_SERF");
    }
    urbit
}

/// Members in a directory of their own, which goes when this is dropped.
#[derive(Debug)]
pub struct Ship {
    /// The members.
    pub cluster: LocalCluster,
    /// The disk that the last member's pier lies on, where it has one of its own. Before the directory that it is mounted in.
    pub disk: Option<Disk>,
    /// The members' clocks, where they have their own.
    pub clocks: Option<Clocks>,
    /// Their directory.
    pub directory: tempfile::TempDir,
    /// The network between them, where it is their own. After the members: it goes when they are gone.
    pub network: Option<Network>,
}

impl Ship {
    /// Lays out a ship of so many members; nothing runs yet.
    ///
    /// # Errors
    /// When its directory cannot be made.
    pub fn new(members: usize, extra: &[&str]) -> anyhow::Result<Ship> {
        let directory = tempfile::Builder::new().prefix("seguro-test-").tempdir()?;
        Ship::within(directory, members, extra)
    }

    /// The same, in a directory that is there.
    ///
    /// # Errors
    /// When no ports are free.
    pub fn within(directory: tempfile::TempDir, members: usize, extra: &[&str]) -> anyhow::Result<Ship> {
        let (serf, pill) = (serf(), pill());
        eprintln!("serf: {}, pill: {}", serf.display(), pill.display());
        let cluster = LocalCluster::new(ClusterOptions {
            king: king()?,
            serf,
            pill,
            members,
            directory: directory.path().to_owned(),
            extra: extra.iter().map(OsString::from).collect(),
            http: true,
        })?;
        Ok(Ship {
            cluster,
            disk: None,
            clocks: None,
            directory,
            network: None,
        })
    }

    /// Lays out a ship of so many members on a network of its own; nothing runs yet.
    ///
    /// # Errors
    /// When its directory or its network cannot be made; see [`missing`].
    pub fn on_network(members: usize, extra: &[&str], seed: u64) -> anyhow::Result<Ship> {
        let mut ship = Ship::new(members, &[extra, &["--insecure-peers"]].concat())?;
        ship.join_network(seed)?;
        Ok(ship)
    }

    /// Puts the members, none of which runs, on a network of their own. They need `--insecure-peers`.
    ///
    /// # Errors
    /// When it cannot be made; see [`missing`].
    pub fn join_network(&mut self, seed: u64) -> anyhow::Result<()> {
        let network = Network::new(self.cluster.members.len(), seed)?;
        for (index, member) in self.cluster.members.iter_mut().enumerate() {
            member.program = network.program(index, &member.program, self.directory.path())?;
            member.address = network.address(index)?;
        }
        self.network = Some(network);
        Ok(())
    }

    /// Gives the members, none of which runs or has a network of its own yet, clocks of their own.
    ///
    /// # Errors
    /// When these cannot be made.
    pub fn have_clocks(&mut self) -> anyhow::Result<()> {
        let clocks = Clocks::new(self.cluster.members.len(), self.directory.path())?;
        for (index, member) in self.cluster.members.iter_mut().enumerate() {
            member.program = clocks.program(index, &member.program)?;
        }
        self.clocks = Some(clocks);
        Ok(())
    }

    /// Gives the last member, which does not run and has no pier yet, a disk of its own.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn have_disk(&mut self) -> anyhow::Result<()> {
        let member = self.cluster.members.last().context("a member")?;
        fs::create_dir(&member.pier)?;
        self.disk = Some(Disk::new(&member.pier)?);
        Ok(())
    }

    /// Removes all that a member has, which does not run.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub fn wipe(&self, index: usize) -> anyhow::Result<()> {
        // Its directory stays: a disk may be mounted there.
        for entry in fs::read_dir(self.pier(index))? {
            let path = entry?.path();
            if path.is_dir() {
                fs::remove_dir_all(path)?;
            } else {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// Boots ~zod on all members, and waits until it is live and all of them vote.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn boot(&mut self) -> anyhow::Result<usize> {
        self.cluster.boot("zod")?;
        self.live_and_voting()
    }

    /// The same, but the boot is computed by one serf alone: the ship begins on one machine, begins a new epoch there, and becomes that
    /// of all members, of which the others get the epoch's image. Arvo's boot is a computation of one to two minutes on a processor
    /// of its own, and members that are on one machine would all do it at once.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn boot_on_one_first(&mut self) -> anyhow::Result<usize> {
        let (first, serf, pill) = (self.pier(0).to_owned(), serf(), pill());
        let port = self.cluster.members[0].ames_port.to_string();
        let mut boot = Command::new(king()?);
        boot.args([
            "boot",
            "-F",
            "zod",
            "-t",
            "-x",
            "--http-ip",
            "127.0.0.1",
            "--ames-port",
            &port,
        ])
        .args([
            "-B".as_ref(),
            pill.as_path(),
            "--serf-bin".as_ref(),
            &serf,
            &first,
        ]);
        let mut roll = Command::new(king()?);
        roll.args(["roll", "--keep-epochs", "1"])
            .args(["--serf-bin".as_ref(), serf.as_path(), &first]);
        for command in [&mut boot, &mut roll] {
            let done = command.stdin(Stdio::null()).output()?;
            let said = String::from_utf8_lossy(&done.stderr);
            anyhow::ensure!(done.status.success(), "{command:?}: {}\n{said}", done.status);
        }
        // As a pier of vere's: its Raft log still has the boot, of which the others would be given each event.
        fs::remove_dir_all(first.join(".urb/raft"))?;
        for index in 0..self.cluster.members.len() {
            fs::create_dir_all(self.pier(index))?;
            self.cluster.run(index)?;
        }
        self.live_and_voting()
    }

    fn live_and_voting(&mut self) -> anyhow::Result<usize> {
        let leader = self.cluster.wait_live(BOOT)?;
        let members = self.cluster.members.len();
        self.cluster.wait("all members to vote", BOOT, |cluster| {
            let leader = cluster.live_leader()?;
            (cluster.status(leader)?.log.voters() == Some(members)).then_some(())
        })?;
        Ok(leader)
    }

    /// Boots ~zod on all members, and waits until all of them vote and the leader commits an event that comes by its
    /// control socket. A kernel that never tells the runtime its configuration comes so far, and is never live.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn boot_answering(&mut self) -> anyhow::Result<usize> {
        self.cluster.boot("zod")?;
        let members = self.cluster.members.len();
        self.cluster.wait(
            "a leader that answers, and all members to vote",
            BOOT,
            |cluster| {
                (0..members).find(|index| {
                    let leads = cluster.status(*index).is_some_and(|status| {
                        matches!(status.log.role, Role::Leader { .. }) && status.log.voters() == Some(members)
                    });
                    leads && load::commits_an_event(&cluster.members[*index].pier)
                })
            },
        )
    }

    /// Where member `index` lives.
    #[must_use]
    pub fn pier(&self, index: usize) -> &Path {
        &self.cluster.members[index].pier
    }

    /// Starts a load of `window` events at a time on whichever member leads.
    #[must_use]
    pub fn load(&self, window: usize) -> Load {
        let members = &self.cluster.members;
        let piers: Vec<&Path> = members.iter().map(|member| member.pier.as_path()).collect();
        Load::start(&piers, window)
    }

    /// Starts a load at a steady pace on whichever member leads.
    #[must_use]
    pub fn steady_load(&self, pace: Pace) -> Load {
        let piers: Vec<&Path> = self
            .cluster
            .members
            .iter()
            .map(|member| member.pier.as_path())
            .collect();
        Load::steady(&piers, pace)
    }

    /// What member `index` says of itself.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn status(&self, index: usize) -> anyhow::Result<PierStatus> {
        let status = self.cluster.status(index);
        status.with_context(|| format!("member {} does not answer\n{}", index + 1, self.cluster.tails()))
    }

    /// The ship's control socket on member `index`, whose answers are waited for as long as anything is.
    ///
    /// # Errors
    /// When that member does not lead.
    pub fn client(&self, index: usize) -> anyhow::Result<ConnClient> {
        let client = ConnClient::connect(self.pier(index)).with_context(|| {
            format!(
                "member {} has no control socket\n{}",
                index + 1,
                self.cluster.tails()
            )
        })?;
        client.set_patience(Some(PATIENCE))?;
        Ok(client)
    }

    /// The serf of member `index`, once it is awake and not `old`.
    ///
    /// # Errors
    /// When there is none in time.
    pub fn serf(&mut self, index: usize, old: Option<Process>) -> anyhow::Result<Process> {
        self.cluster.wait("a serf that is awake", PATIENCE, |cluster| {
            let serf = cluster.status(index)?.serf;
            let serf = serf.pid.filter(|_| serf.awake)?;
            Some(Process(Pid::from_raw(i32::try_from(serf).ok()?))).filter(|serf| Some(*serf) != old)
        })
    }

    /// What member `index` has printed and logged so far.
    ///
    /// # Errors
    /// When its files cannot be read.
    pub fn said(&self, index: usize) -> anyhow::Result<String> {
        let member = &self.cluster.members[index];
        let bytes = [fs::read(&member.stdout)?, fs::read(&member.stderr)?].concat();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Ends a test: everybody runs, agrees and leaves in order; then the logs are equal and without a gap, and every
    /// acknowledged event is there once.
    ///
    /// # Errors
    /// What does not hold.
    pub fn settle_and_judge(mut self, outcomes: &Outcomes) -> anyhow::Result<Logs> {
        self.judge(outcomes)
    }

    /// The same, for a test that goes on.
    ///
    /// # Errors
    /// What does not hold.
    pub fn judge(&mut self, outcomes: &Outcomes) -> anyhow::Result<Logs> {
        self.stop_in_agreement()?;
        let members = self.cluster.members.iter();
        let piers: Vec<&Path> = members.map(|member| member.pier.as_path()).collect();
        let logs = logs(&piers)?;
        acknowledged_are_there_once(&logs, outcomes)?;
        logs.dates_never_go_back()?;
        Ok(logs)
    }

    /// Everybody runs, agrees and leaves in order.
    ///
    /// # Errors
    /// What does not hold.
    pub fn stop_in_agreement(&mut self) -> anyhow::Result<()> {
        for index in 0..self.cluster.members.len() {
            if !self.cluster.is_running(index) {
                self.cluster.run(index)?;
            }
        }
        let statuses = self.cluster.settle(PATIENCE)?;
        let mugs: Vec<_> = statuses
            .iter()
            .map(|status| (status.computed, status.serf.mug.clone()))
            .collect();
        anyhow::ensure!(
            mugs.windows(2).all(|pair| pair[0] == pair[1]),
            "the members' kernels differ: {mugs:?}"
        );
        for index in 0..self.cluster.members.len() {
            let status = self.cluster.terminate(index, PATIENCE)?;
            anyhow::ensure!(
                status.success(),
                "member {} left with {status}\n{}",
                index + 1,
                self.cluster.tails()
            );
        }
        Ok(())
    }
}

impl Drop for Ship {
    fn drop(&mut self) {
        for index in 0..self.cluster.members.len() {
            if self.cluster.is_running(index) {
                let _ = self.cluster.kill(index);
            }
        }
        // Serfs may outlive their kings: those that are stopped, or compute for ever, as tests make them.
        for process in processes_of(self.directory.path()) {
            let _ = process.signal(Signal::SIGKILL);
        }
    }
}
