//! What the recorded programs do, and what they say of it while they do it.
//!
//! A story can be told on a disk where an earlier one was broken off: it goes on from what it finds. What it says is a mark, a
//! line written with one call: `may` is said before something that may or may not be there after a power cut, all else after
//! it was promised to be there.

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use replog::{Batch, Config, Event, Replog, Role, ShipIdentity, Start, Term, inside::BareRaftLog};
use seguro_event::{EventNumber, Mug};
use std::{
    fmt::Write as _,
    fs::{self, File, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
    pin::Pin,
    time::Duration,
};
use tokio::time::timeout;

/// Nothing that is waited for takes longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

const SHIP: ShipIdentity = ShipIdentity {
    who: 0xfe,
    fake: true,
    life: 3,
};

/// What can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Story {
    /// A member alone: its identity, both logs, epochs.
    Ship,
    /// The Raft log by itself: votes, entries of many terms, truncated and purged.
    RaftLog,
}

impl Story {
    /// All of them.
    pub const ALL: [Story; 2] = [Story::Ship, Story::RaftLog];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Story::Ship => "ship",
            Story::RaftLog => "raft-log",
        }
    }

    /// The story of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Story> {
        Story::ALL.into_iter().find(|story| story.name() == name)
    }
}

/// Where a story says what it promises.
#[derive(Debug)]
struct Marks(File);

impl Marks {
    fn say(&mut self, text: &str) -> anyhow::Result<()> {
        // One call: it is there whole.
        Ok(self.0.write_all(format!("{text}\n").as_bytes())?)
    }
}

/// Tells a story with files in `root`.
///
/// # Errors
/// When anything fails: nothing should.
pub fn tell(story: Story, root: &Path, marks: &Path) -> anyhow::Result<()> {
    let marks = Marks(OpenOptions::new().append(true).create(true).open(marks)?);
    // One thread less to be traced; the stores have their own.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let telling: Pin<Box<dyn Future<Output = anyhow::Result<()>>>> = match story {
        Story::Ship => Box::pin(ship(root, marks)),
        Story::RaftLog => Box::pin(raft_log(root, marks)),
    };
    runtime.block_on(telling)
}

// ---------------------------------------------------------------------------------------------------------------
// A member alone

/// The pier below the root.
pub(crate) fn pier(root: &Path) -> PathBuf {
    root.join("zod")
}

/// The event of this number: its size and its bytes follow from it.
pub(crate) fn event(number: u64) -> Event {
    let size = match number {
        50 => 70_000,
        120 => 300_000,
        n if n % 17 == 0 => 5_000,
        n => 40 + (n * 37 % 700) as usize,
    };
    let mut jam = vec![number as u8; size];
    jam[..8].copy_from_slice(&number.to_le_bytes());
    Event {
        number: EventNumber(number),
        mug: Mug(number as u32 & 0x7fff_ffff),
        jam: Bytes::from(jam),
    }
}

/// The serf's image at an event: its two files.
pub(crate) fn images(event: u64) -> [(&'static str, Vec<u8>); 2] {
    let bytes = |length: u64| (0..length).map(|at| (at * 7 + event * 13) as u8).collect();
    [("north.bin", bytes(9_000 + event)), ("south.bin", bytes(500))]
}

/// Opens the pier as it is, or makes it.
pub(crate) async fn open(pier: &Path, start: Start) -> Result<Replog, replog::OpenError> {
    Replog::open(Config {
        pier: pier.to_path_buf(),
        machines: Vec::new(),
        own_address: None,
        start,
        heartbeat: replog::DEFAULT_HEARTBEAT,
        election_timeout_min: replog::DEFAULT_ELECTION_TIMEOUT_MIN,
        election_timeout_max: replog::DEFAULT_ELECTION_TIMEOUT_MAX,
        vere_version: "3.5".to_owned(),
        event_log_map_bytes: 1 << 32,
        insecure_peers: false,
    })
    .await
}

/// A member whose boot was broken off is booted again, or resumed: one of them works, if it promised anything the second.
pub(crate) async fn open_or_found(pier: &Path) -> anyhow::Result<Replog> {
    let resumed = match open(pier, Start::Resume).await {
        Ok(log) => return Ok(log),
        Err(error) => error,
    };
    open(pier, Start::Found { genesis: SHIP })
        .await
        .with_context(|| format!("nor could it be resumed: {resumed}"))
}

/// Its office and the last event of those before.
pub(crate) async fn led(log: &Replog) -> anyhow::Result<(Term, u64)> {
    let mut role = log.role();
    let leads = timeout(
        PATIENCE,
        role.wait_for(|role| matches!(role, Role::Leader { .. })),
    )
    .await??;
    match *leads {
        Role::Leader { term, barrier } => Ok((term, barrier.0)),
        _ => bail!("it does not lead"),
    }
}

/// Waits until an event is committed.
pub(crate) async fn committed(log: &Replog, event: u64) -> anyhow::Result<()> {
    let mut committed = log.committed();
    timeout(PATIENCE, committed.wait_for(|commit| commit.event.0 >= event)).await??;
    Ok(())
}

/// Events that follow this one, as many as are asked for.
pub(crate) fn batch(after: u64, count: u64) -> anyhow::Result<Batch> {
    Ok(Batch::new((after + 1..=after + count).map(event).collect())?)
}

/// What a serf does when it saves: written aside, synced, renamed.
fn save(pier: &Path, event: u64) -> anyhow::Result<()> {
    let chk = pier.join(".urb/chk");
    fs::create_dir_all(&chk)?;
    for (name, bytes) in images(event) {
        let staged = chk.join("staged");
        let mut file = File::create(&staged)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&staged, chk.join(name))?;
    }
    File::open(&chk)?.sync_all()?;
    Ok(File::open(pier.join(".urb"))?.sync_all()?)
}

async fn ship(root: &Path, mut marks: Marks) -> anyhow::Result<()> {
    let pier = pier(root);
    for round in 0..3 {
        let log = open_or_found(&pier).await?;
        let (term, mut last) = led(&log).await?;
        marks.say(&format!("identity {:?}", log.status().id))?;
        marks.say(&format!("term {}", term.0))?;
        marks.say(&format!("committed {last}"))?;
        let end = last + 45;
        while last < end {
            // One by one, then several on their way at once.
            let at_once = if last % 3 == 0 { 3 } else { 1 };
            for _ in 0..at_once {
                let count = 1 + last % 4;
                marks.say(&format!("may-commit {}", last + count))?;
                log.propose(term, batch(last, count)?).await?;
                last += count;
            }
            committed(&log, last).await?;
            marks.say(&format!("committed {last}"))?;
            if last % 5 == 0 {
                log.make_durable(EventNumber(last)).await?;
                marks.say(&format!("durable {last}"))?;
            }
        }
        if round != 1 {
            log.purge_all().await;
        }
        log.make_durable(EventNumber(last)).await?;
        save(&pier, last)?;
        marks.say(&format!("may-roll {last}"))?;
        log.roll_epoch(EventNumber(last)).await?;
        marks.say(&format!("rolled {last}"))?;
        marks.say(&format!("may-commit {}", last + 3))?;
        log.propose(term, batch(last, 3)?).await?;
        last += 3;
        committed(&log, last).await?;
        marks.say(&format!("committed {last}"))?;
        if round == 1 {
            // Two epochs are kept: the oldest goes.
            let oldest = log
                .status()
                .epochs
                .iter()
                .rev()
                .nth(1)
                .copied()
                .context("two epochs")?;
            marks.say(&format!("may-drop {oldest}"))?;
            log.chop_epochs(2).await?;
            marks.say(&format!("dropped {oldest}"))?;
        }
        log.close().await?;
        marks.say(&format!("durable {last}"))?;
    }
    Ok(())
}

// ---------------------------------------------------------------------------------------------------------------
// The Raft log by itself

/// What a Raft log holds, in words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Held {
    vote: u64,
    purged: Option<u64>,
    /// The terms of the entries after what was purged.
    terms: Vec<u64>,
}

impl Held {
    fn first(&self) -> u64 {
        self.purged.map_or(0, |purged| purged + 1)
    }

    fn end(&self) -> u64 {
        self.first() + self.terms.len() as u64
    }

    fn text(&self) -> String {
        let mut text = format!("vote {} purged {:?} terms", self.vote, self.purged);
        for term in &self.terms {
            let _ = write!(text, " {term}");
        }
        text
    }
}

/// A Raft log, and what it should hold.
struct Checked {
    log: BareRaftLog,
    held: Held,
    marks: Marks,
}

impl Checked {
    fn may(&mut self) -> anyhow::Result<()> {
        self.marks.say(&format!("may {}", self.held.text()))
    }

    fn is(&mut self) -> anyhow::Result<()> {
        self.marks.say(&format!("is {}", self.held.text()))
    }

    async fn vote(&mut self, term: u64) -> anyhow::Result<()> {
        self.held.vote = term;
        self.may()?;
        self.log
            .vote(Term(term))
            .await
            .map_err(anyhow::Error::from_boxed)?;
        self.is()
    }

    async fn append(&mut self, term: u64, sizes: &[usize]) -> anyhow::Result<()> {
        self.held.terms.extend(sizes.iter().map(|_| term));
        self.may()?;
        let appended = self.log.append_in(Term(term), sizes).await;
        appended.map_err(anyhow::Error::from_boxed)?;
        self.is()
    }

    async fn truncate(&mut self, count: u64) -> anyhow::Result<()> {
        let left = self.held.terms.len() as u64 - count;
        self.held.terms.truncate(left as usize);
        self.may()?;
        let term = self.held.terms.last().copied().context("an entry is left")?;
        let last = self.held.end() - 1;
        self.log
            .truncate_after(Term(term), last)
            .await
            .map_err(anyhow::Error::from_boxed)?;
        self.is()
    }

    /// A purge is durable with what comes next.
    async fn purge(&mut self, count: u64) -> anyhow::Result<()> {
        let term = self.held.terms[count as usize - 1];
        let last = self.held.first() + count - 1;
        self.held.terms.drain(..count as usize);
        self.held.purged = Some(last);
        self.may()?;
        let purged = self.log.purge_to(Term(term), last).await;
        purged.map_err(anyhow::Error::from_boxed)
    }
}

/// Opens a Raft log and says what it holds.
pub(crate) async fn found(root: &Path) -> anyhow::Result<(BareRaftLog, String)> {
    let mut log = BareRaftLog::open(&root.join("raft")).map_err(anyhow::Error::from_boxed)?;
    let (vote, purged, entries) = log.contents().await.map_err(anyhow::Error::from_boxed)?;
    let first = purged.map_or(0, |purged| purged + 1);
    let mut held = Held {
        vote: vote.0,
        purged,
        terms: Vec::new(),
    };
    for (index, term) in entries {
        ensure!(
            index == first + held.terms.len() as u64,
            "entry {index} does not follow"
        );
        held.terms.push(term.0);
    }
    let text = held.text();
    Ok((log, text))
}

async fn raft_log(root: &Path, mut marks: Marks) -> anyhow::Result<()> {
    marks.say(&format!("may {}", Held::default().text()))?;
    for _ in 0..2 {
        let (mut log, text) = found(root).await?;
        marks.say(&format!("is {text}"))?;
        let (vote, purged, entries) = log.contents().await.map_err(anyhow::Error::from_boxed)?;
        let held = Held {
            vote: vote.0,
            purged,
            terms: entries.into_iter().map(|(_, term)| term.0).collect(),
        };
        let mut checked = Checked { log, held, marks };
        let first = checked.held.vote + 1;
        for term in first..first + 4 {
            checked.vote(term).await?;
            checked.append(term, &[100, 2_000, 300]).await?;
            checked.append(term, &[70_000]).await?;
            for size in 0..6 {
                checked.append(term, &[size * 700]).await?;
            }
            checked.truncate(1 + term % 3).await?;
            checked.vote(term).await?;
            checked.append(term, &[5_000, 1]).await?;
            checked.purge(4 + term % 2).await?;
        }
        checked.log.close().await.map_err(anyhow::Error::from_boxed)?;
        marks = checked.marks;
        marks.say(&format!("is {}", checked.held.text()))?;
    }
    Ok(())
}
