//! What can go wrong, by stage: opening, proposing, reading, rolling, handing over, closing.

use crate::types::{MemberId, Term};
use seguro_event::EventNumber;
use serde::{Deserialize, Serialize};
use std::{net::SocketAddr, path::PathBuf};

/// Why a member could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The settings contradict each other or what is on disk; the text says which and what to do.
    #[error("{0}")]
    Config(String),
    /// An address outside loopback, and no leave to use it without TLS.
    #[error(
        "{0} is not a loopback address, and traffic between members is not yet encrypted; \
         --insecure-peers allows it on a network that you trust"
    )]
    Insecure(SocketAddr),
    /// The listener's address could not be had.
    #[error("cannot listen on {address} for the other machines: {source}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// One of the stores: locked by another process, corrupt, foreign, no space. The text names the file.
    #[error("{message}")]
    Store {
        /// What happened, to which file, and what to do.
        message: String,
        /// The process's exit code that says so.
        exit_code: u8,
    },
}

/// What happened to a proposal that was not accepted, or to a question that only the leader answers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// The office is over (or was never held): nothing was written.
    #[error("this member's office of term {0} is over")]
    NotLeader(Term),
    /// A batch that no log may hold: an event or the batch as a whole is too large.
    #[error(
        "events {first} to {last} make an entry of {bytes} bytes, more than the {limit} that a log entry may have"
    )]
    TooLarge {
        /// The batch's first event.
        first: EventNumber,
        /// The batch's last event.
        last: EventNumber,
        /// Its size, bytes.
        bytes: usize,
        /// The most that is allowed, bytes.
        limit: usize,
    },
    /// The log has been closed or has failed.
    #[error("the log is closed: {0}")]
    Closed(String),
}

/// Why events could not be read, or made durable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The event lies in an epoch that was dropped.
    #[error("event {event} is no longer held: the log begins at {first}")]
    Chopped {
        /// The event asked for.
        event: EventNumber,
        /// The first one that is held.
        first: EventNumber,
    },
    /// The event is not committed as far as this member knows.
    #[error("event {event} is not committed here, the last one is {committed}")]
    NotCommitted {
        /// The event asked for.
        event: EventNumber,
        /// The last committed one.
        committed: EventNumber,
    },
    /// The store failed; the text names the file. It is fatal.
    #[error("{0}")]
    Store(String),
    /// The log has been closed.
    #[error("the log is closed")]
    Closed,
}

/// Why an epoch could not be rolled or dropped.
#[derive(Debug, thiserror::Error)]
pub enum RollError {
    /// The event is not the log's end: more was committed since, or it is not durable yet.
    #[error("an epoch cannot begin at event {at}: the log ends at {last}, durably at {durable}")]
    NotAtEnd {
        /// Where the epoch was to begin.
        at: EventNumber,
        /// The last event of the log.
        last: EventNumber,
        /// The last durable one.
        durable: EventNumber,
    },
    /// The image is missing or could not be copied.
    #[error("the serf's image {path} could not be copied into the new epoch: {source}")]
    Image {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The store failed; the text names the file. It is fatal.
    #[error("{0}")]
    Store(String),
    /// The log has been closed.
    #[error("the log is closed")]
    Closed,
}

/// Why office was not handed over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    /// This member does not lead.
    #[error("this member does not lead, there is no office to hand over")]
    NotLeader,
    /// There is no other voter that has the whole log and answers.
    #[error("no other voter is caught up and reachable: {0}")]
    NoHeir(String),
    /// The heir did not take office in time.
    #[error("member {to} did not take office within {millis} ms")]
    Timeout {
        /// Who was to take office.
        to: MemberId,
        /// How long it was waited for, milliseconds.
        millis: u64,
    },
    /// The log has been closed.
    #[error("the log is closed: {0}")]
    Closed(String),
}

/// Why a member did not close cleanly; what was acknowledged is safe nevertheless.
#[derive(Debug, thiserror::Error)]
pub enum CloseError {
    /// The store failed; the text names the file.
    #[error("{0}")]
    Store(String),
}

/// A failure after which this member must stop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fatal {
    /// What happened, to what, what to do.
    pub message: String,
    /// The process's exit code that says so.
    pub exit_code: u8,
}
