//! Opens the disk that a power cut left, and holds it against what had been promised by then.

use crate::story::{self, Story};
use anyhow::{Context, ensure};
use replog::inspect::for_each_event;
use seguro_event::EventNumber;
use std::{fs, path::Path, pin::Pin};

/// What a story has said so far.
#[derive(Clone, Debug, Default)]
pub struct Promises {
    /// Of a member.
    ship: Ship,
    /// What a Raft log may hold: as one of these.
    may_hold: Vec<String>,
}

#[derive(Clone, Debug, Default)]
struct Ship {
    identity: Option<String>,
    term: u64,
    may_commit: u64,
    committed: u64,
    durable: u64,
    may_roll: u64,
    rolled: u64,
    may_drop: u64,
    dropped: u64,
}

impl Promises {
    /// Hears a mark.
    ///
    /// # Errors
    /// When it is none.
    pub fn hear(&mut self, mark: &str) -> anyhow::Result<()> {
        let (word, rest) = mark.split_once(' ').with_context(|| format!("no mark: {mark}"))?;
        let place = match word {
            "may" => {
                self.may_hold.push(rest.to_owned());
                return Ok(());
            }
            "is" => {
                self.may_hold = vec![rest.to_owned()];
                return Ok(());
            }
            "identity" => {
                self.ship.identity = Some(rest.to_owned());
                return Ok(());
            }
            "term" => &mut self.ship.term,
            "may-commit" => &mut self.ship.may_commit,
            "committed" => &mut self.ship.committed,
            "durable" => &mut self.ship.durable,
            "may-roll" => &mut self.ship.may_roll,
            "rolled" => &mut self.ship.rolled,
            "may-drop" => &mut self.ship.may_drop,
            "dropped" => &mut self.ship.dropped,
            _ => anyhow::bail!("no mark: {mark}"),
        };
        *place = rest.parse::<u64>()?.max(*place);
        Ok(())
    }

    /// Whether anything was promised of a member.
    #[must_use]
    pub fn any(&self) -> bool {
        self.ship.identity.is_some()
    }

    /// Opens what lies in `root`.
    ///
    /// # Errors
    /// When it does not open, or a promise is broken.
    pub fn check(&self, story: Story, root: &Path, log_first: bool) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let checking: Pin<Box<dyn Future<Output = anyhow::Result<()>>>> = match story {
            Story::Ship => Box::pin(self.ship.check(root, log_first)),
            Story::RaftLog => Box::pin(check_raft_log(&self.may_hold, root)),
        };
        runtime.block_on(checking)
    }
}

impl Ship {
    async fn check(&self, root: &Path, log_first: bool) -> anyhow::Result<()> {
        let pier = story::pier(root);
        if log_first && self.identity.is_some() {
            self.check_event_log(&pier).context("the event log by itself")?;
        }
        // What promised nothing may be booted anew.
        let log = match &self.identity {
            Some(_) => story::open(&pier, replog::Start::Resume).await?,
            None => story::open_or_found(&pier).await?,
        };
        let (term, last) = story::led(&log).await?;
        ensure!(term.0 > self.term, "it leads in term {term} again");
        ensure!(
            last >= self.committed,
            "{last} is the last event, {} was acknowledged",
            self.committed
        );
        ensure!(last <= self.may_commit, "event {last} was never proposed");
        let status = log.status();
        if let Some(identity) = &self.identity {
            let now = format!("{:?}", status.id);
            ensure!(now == *identity, "it is {now} and was {identity}");
        }
        let (Some(oldest), Some(newest)) = (status.epochs.first(), status.epochs.last()) else {
            anyhow::bail!("there is no epoch");
        };
        ensure!(
            *newest >= self.rolled,
            "epoch {} was begun, {newest} is the newest",
            self.rolled
        );
        ensure!(*newest <= self.may_roll, "epoch {newest} was never asked for");
        ensure!(*oldest >= self.dropped, "epoch {oldest} was dropped");
        ensure!(*oldest <= self.may_drop, "epochs before {oldest} are gone");
        for epoch in status.epochs.iter().filter(|epoch| **epoch > 0) {
            for (name, bytes) in story::images(*epoch) {
                let path = pier.join(format!(".urb/log/0i{epoch}/{name}"));
                let found = fs::read(&path).with_context(|| path.display().to_string())?;
                ensure!(found == bytes, "{} is not what was copied", path.display());
            }
        }
        let mut next = oldest + 1;
        while next <= last {
            let events = log.read(EventNumber(next), 1000, 16 << 20).await?;
            ensure!(!events.is_empty(), "event {next} is missing");
            for event in events {
                ensure!(event == story::event(next), "event {next} is another");
                next += 1;
            }
        }
        // And it goes on.
        log.propose(term, story::batch(last, 2)?).await?;
        story::committed(&log, last + 2).await?;
        log.close().await?;
        Ok(())
    }

    /// The event log holds what it was said to hold without the help of the other.
    fn check_event_log(&self, pier: &Path) -> anyhow::Result<()> {
        let (mut last, mut wrong) = (None, None);
        for_each_event(pier, |event| {
            if event != story::event(event.number.0) {
                wrong.get_or_insert(event.number);
            }
            last = Some(event.number.0);
        })?;
        ensure!(wrong.is_none(), "event {wrong:?} is another");
        // Nothing after an epoch's beginning is shown as nothing.
        let last = last.unwrap_or(self.rolled);
        ensure!(
            last >= self.durable,
            "it ends with {last}, {} was said to be in it",
            self.durable
        );
        Ok(())
    }
}

async fn check_raft_log(may_hold: &[String], root: &Path) -> anyhow::Result<()> {
    let (mut log, holds) = story::found(root).await?;
    ensure!(
        may_hold.is_empty() || may_hold.contains(&holds),
        "it holds {holds}, allowed were {may_hold:#?}"
    );
    // And it goes on.
    let appended = log.append_in(replog::Term(1_000), &[10]).await;
    appended.map_err(anyhow::Error::from_boxed)?;
    log.close().await.map_err(anyhow::Error::from_boxed)
}
