//! What a member tells the king, and its own tasks: each value is a watch, of which only the newest counts.

use crate::{
    errors::Fatal,
    handle::InstalledSnapshot,
    types::{Commit, Role, ShipIdentity, Term},
};
use seguro_event::EventNumber;
use std::sync::{Arc, atomic::AtomicU64};
use tokio::sync::{Mutex, watch};

/// A term's first entry has been applied here: all that earlier terms committed is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Begun {
    /// The term.
    pub(crate) term: Term,
    /// The last event of earlier terms.
    pub(crate) barrier: EventNumber,
}

/// The board.
#[derive(Debug)]
pub(crate) struct Board {
    /// Whose ship it is, once that is known.
    pub(crate) ship: watch::Sender<Option<ShipIdentity>>,
    /// What this member is.
    pub(crate) role: watch::Sender<Role>,
    /// How far the history is committed, and can be read.
    pub(crate) committed: watch::Sender<Commit>,
    /// The newest term of which an entry has been applied.
    pub(crate) begun: watch::Sender<Begun>,
    /// The newest term that this member has given up: a proposal of it was lost, or office is being handed over.
    pub(crate) ended: watch::Sender<Term>,
    /// The newest snapshot that was installed.
    pub(crate) installed: watch::Sender<Option<InstalledSnapshot>>,
    /// Whether this member is to be held back from standing for election.
    pub(crate) hold_back: watch::Sender<bool>,
    /// A failure after which this member must stop.
    pub(crate) fatal: watch::Sender<Option<Fatal>>,
    /// Held while something is applied, and by who wants the event log to stay as it is.
    pub(crate) applying: Arc<Mutex<()>>,
    /// Batches skipped since the start.
    pub(crate) skips: AtomicU64,
}

impl Board {
    /// The board of a member that has just begun to start.
    pub(crate) fn new() -> Arc<Board> {
        Arc::new(Board {
            ship: watch::Sender::new(None),
            role: watch::Sender::new(Role::Joining),
            committed: watch::Sender::new(Commit::default()),
            begun: watch::Sender::new(Begun::default()),
            ended: watch::Sender::new(Term(0)),
            installed: watch::Sender::new(None),
            hold_back: watch::Sender::new(false),
            fatal: watch::Sender::new(None),
            applying: Arc::default(),
            skips: AtomicU64::new(0),
        })
    }

    /// Announces a role, if it is a new one.
    pub(crate) fn announce(&self, role: Role) {
        self.role.send_if_modified(|announced| {
            let new = *announced != role;
            if new {
                tracing::info!(from = %announced.word(), to = %role.word(), "this member's role has changed");
                *announced = role;
            }
            new
        });
    }

    /// Tells of a failure; the first one stays.
    pub(crate) fn fail(&self, message: String, exit_code: u8) {
        self.fatal.send_if_modified(|told| {
            let first = told.is_none();
            if first {
                *told = Some(Fatal { message, exit_code });
            }
            first
        });
        // Whatever office this member holds, it can do nothing with it.
        self.ended.send_replace(Term(u64::MAX));
        self.announce(Role::Follower { leader: None });
    }
}
