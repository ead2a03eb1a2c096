//! What the members' logs held before their epochs were dropped, or their disks were lost.

use crate::{Logs, Ship};
use anyhow::Context;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Where a member's old epochs are kept until they are read, in its pier: links need to be on one disk.
const KEPT: &str = "kept";

/// The events of epochs that are gone.
#[derive(Default)]
pub(crate) struct Archive {
    logs: Logs,
}

impl Archive {
    /// Has a member begin a new epoch and drop all others, and keeps what they held. The inner error is the member's answer that there
    /// is no new epoch.
    pub(crate) fn roll(&mut self, ship: &Ship, member: usize) -> anyhow::Result<anyhow::Result<u64>> {
        let kept = ship.pier(member).join(KEPT);
        // A member that was killed meanwhile, say.
        let _ = fs::remove_dir_all(&kept);
        let epochs = keep_epochs(ship.pier(member), &kept)?;
        let rolled = seguro_king::control_socket::ask_roll(ship.pier(member), 1);
        if rolled.is_ok() {
            for epoch in epochs {
                anyhow::ensure!(!epoch.exists(), "{} was to be dropped", epoch.display());
            }
            self.logs.add(&kept)?;
        }
        fs::remove_dir_all(&kept)?;
        Ok(rolled)
    }

    /// Keeps what a member held that does not run: its disk is about to be lost. One that never began has no log.
    pub(crate) fn keep(&mut self, pier: &Path) -> anyhow::Result<()> {
        if pier.join(".urb/log/data.mdb").exists() {
            self.logs.add(pier)?;
        }
        Ok(())
    }

    /// All that the members held, once they have stopped.
    pub(crate) fn complete(mut self, ship: &Ship) -> anyhow::Result<Logs> {
        for member in 0..ship.cluster.members.len() {
            self.logs.add(ship.pier(member))?;
        }
        Ok(self.logs)
    }
}

/// Makes a pier of the epochs of another, and says which these are: of links to their files, to which nobody writes any more once
/// there is a new epoch.
fn keep_epochs(pier: &Path, kept: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let (from, to) = (pier.join(".urb/log"), kept.join(".urb/log"));
    fs::create_dir_all(&to)?;
    fs::copy(from.join("data.mdb"), to.join("data.mdb"))?;
    let mut epochs = Vec::new();
    for epoch in fs::read_dir(&from)? {
        let epoch = epoch?;
        if !epoch.file_type()?.is_dir() || !epoch.path().join("epoc.txt").exists() {
            continue;
        }
        let directory = to.join(epoch.file_name());
        fs::create_dir(&directory)?;
        for file in ["data.mdb", "epoc.txt", "vere.txt"] {
            let path = epoch.path().join(file);
            fs::hard_link(&path, directory.join(file))
                .with_context(|| format!("a link to {}", path.display()))?;
        }
        epochs.push(epoch.path());
    }
    Ok(epochs)
}
