//! A harness for tests with real processes: clusters on loopback, load, and what to hold them to.
//!
//! What runs is the `seguro-king` of this workspace, built once a test run, and the serf and the pill that the
//! environment names: `SEGURO_SERF` (an `urbit` binary up to v3.5) and `SEGURO_PILL`. Where they are unset it is the
//! reference serf and its kernel. Each test says on stderr which.

mod build;
mod load;
mod oracle;

pub use build::king;
pub use load::{Fate, Load, Outcomes};
pub use oracle::{Logs, acknowledged_are_there_once, logs};

use seguro_king::local_cluster::{ClusterOptions, LocalCluster};
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
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

/// Members in a directory of their own, which goes when this is dropped.
#[derive(Debug)]
pub struct Ship {
    /// The members.
    pub cluster: LocalCluster,
    /// Their directory.
    pub directory: tempfile::TempDir,
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
        Ok(Ship { cluster, directory })
    }

    /// Boots ~zod on all members, and waits until it is live and all of them vote.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn boot(&mut self) -> anyhow::Result<usize> {
        self.cluster.boot("zod")?;
        let leader = self.cluster.wait_live(BOOT)?;
        let members = self.cluster.members.len();
        self.cluster.wait("all members to vote", BOOT, |cluster| {
            let status = cluster.live_leader().and_then(|leader| cluster.status(leader))?;
            (status.log.members.iter().filter(|member| member.voter).count() == members).then_some(())
        })?;
        Ok(leader)
    }

    /// Where member `index` lives.
    #[must_use]
    pub fn pier(&self, index: usize) -> &Path {
        &self.cluster.members[index].pier
    }

    /// Ends a test: everybody runs, agrees and leaves in order; then the logs are equal and without a gap, and every
    /// acknowledged event is there once.
    ///
    /// # Errors
    /// What does not hold.
    pub fn settle_and_judge(mut self, outcomes: &Outcomes) -> anyhow::Result<Logs> {
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
        let piers: Vec<&Path> = self
            .cluster
            .members
            .iter()
            .map(|member| member.pier.as_path())
            .collect();
        let logs = logs(&piers)?;
        acknowledged_are_there_once(&logs, outcomes)?;
        Ok(logs)
    }
}
