//! What is seen of a run: one fact a state change. The trace prints them, the oracles judge them.

use crate::mark::{self, Mark};
use replog::{Commit, Event, Role, Status, Term};
use seguro_king::clock;
use serf_ipc::cue;
use std::{fmt, hash::Hasher};

/// An event, as oracles compare it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its number.
    pub number: u64,
    /// A hash over its number, its mug and its bytes.
    pub digest: u64,
    /// Which of the load's requests it is; None for the ship's own and for what is no ship's event.
    pub mark: Option<Mark>,
    /// Its date (`@da`), where it has one.
    pub date: Option<u128>,
}

impl Seen {
    /// Looks at an event.
    #[must_use]
    pub fn of(event: &Event) -> Seen {
        // Without a random key: the same in every run.
        let mut hasher = std::hash::DefaultHasher::new();
        hasher.write_u64(event.number.0);
        hasher.write_u32(event.mug.0);
        hasher.write(&event.jam);
        let noun = cue(&event.jam).ok();
        Seen {
            number: event.number.0,
            digest: hasher.finish(),
            mark: noun.as_ref().and_then(mark::of),
            date: noun.as_ref().and_then(clock::date_of),
        }
    }
}

/// What happened to a member, or to the cluster.
#[derive(Clone, Debug)]
pub enum What {
    /// It was started.
    Started,
    /// It is open.
    Opened,
    /// It could not be opened.
    Refused(String),
    /// It must stop.
    Fatal(String),
    /// Its disk has failed.
    DiskFailed,
    /// Its process is gone.
    Crashed,
    /// Its disk is gone as well: what comes in its place is another member.
    Wiped,
    /// Its process stands still.
    Stopped,
    /// It goes on, and finds that it is so many milliseconds later.
    Woken(u64),
    /// Its role has changed.
    Role(Role),
    /// Its status, looked at now and then.
    Status(Box<Status>),
    /// It knows more to be committed, and read it.
    Committed {
        /// How far.
        commit: Commit,
        /// The first event that its log holds: what came before is only in an epoch's image.
        from: u64,
        /// What it read: everything after what it had read before, after a start from the first event on that its log holds.
        events: Vec<Seen>,
    },
    /// It could not read what it says is committed.
    Unreadable(String),
    /// Its office has begun: it proposes from here on.
    Office {
        /// The term.
        term: Term,
        /// The last event of earlier terms.
        barrier: u64,
    },
    /// It handed over a batch.
    Proposed {
        /// For the office of this term.
        term: Term,
        /// The first event.
        first: u64,
        /// The last event.
        last: u64,
    },
    /// Events of its office are committed, as it has told its clients.
    Acknowledged {
        /// The office.
        term: Term,
        /// What was proposed under these numbers.
        events: Vec<Seen>,
    },
    /// Batches were skipped there so far.
    Skipped(u64),
    /// Whether its office is certain.
    Certain(Option<Term>),
    /// A fault begins or ends.
    Fault(String),
    /// Its king has left.
    Left(String),
    /// Its serf has ended by itself, or was made to.
    SerfEnded,
    /// Its serf writes a snapshot.
    Saved {
        /// At this event.
        event: u64,
        /// What is committed as far as this member knows.
        committed: u64,
        /// What is on disk in its event log.
        durable: u64,
    },
    /// An effect reached a driver.
    Released {
        /// Of this event.
        event: u64,
        /// Which of the load's requests it is of.
        mark: Option<Mark>,
        /// Its place among the event's effects as the load numbered them.
        place: u64,
        /// What is committed as far as this member knows.
        committed: u64,
    },
    /// A client learned what became of its request.
    Told {
        /// The request.
        mark: Mark,
        /// Its end.
        outcome: Told,
    },
    /// A client asked how many events there are.
    Asked(Mark),
    /// It was answered.
    Answered {
        /// The question.
        mark: Mark,
        /// So many.
        count: u64,
        /// What is committed as far as this member knows.
        committed: u64,
    },
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// It is this event.
    Done(u64),
    /// It is not in the log, and will not be.
    Dropped,
    /// Nobody knows.
    Unknown,
}

/// A fact.
#[derive(Clone, Debug)]
pub struct Fact {
    /// Simulated milliseconds since the start.
    pub at: u64,
    /// The member; None for what concerns the cluster.
    pub member: Option<usize>,
    /// How often it was started.
    pub life: u64,
    /// What happened.
    pub what: What,
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let range = |events: &[Seen]| match (events.first(), events.last()) {
            (Some(first), Some(last)) => format!("{} to {} {:016x}", first.number, last.number, last.digest),
            _ => "none".to_owned(),
        };
        match self {
            What::Started => f.write_str("started"),
            What::Opened => f.write_str("opened"),
            What::Refused(why) => write!(f, "cannot be opened: {why}"),
            What::Fatal(why) => write!(f, "must stop: {why}"),
            What::DiskFailed => f.write_str("a step of its disk failed"),
            What::Crashed => f.write_str("crashed"),
            What::Wiped => f.write_str("its disk is lost: another comes in its place"),
            What::Stopped => f.write_str("its process is stopped"),
            What::Woken(late) => write!(f, "its process goes on, {late} ms later"),
            What::Role(role) => write!(f, "role {role:?}"),
            What::Status(status) => write!(
                f,
                "status of {}{} term {} committed {} durable {} index {} purged {} bytes {}",
                status.id,
                if status.joint { " changing members" } else { "" },
                status.term,
                status.committed,
                status.durable,
                status.last_log_index,
                status.purged_index,
                status.raft_log_bytes
            ),
            What::Committed { commit, from, events } => {
                write!(
                    f,
                    "committed {} of term {}, holds {from} and on, read {}",
                    commit.event,
                    commit.term,
                    range(events)
                )
            }
            What::Unreadable(why) => write!(f, "cannot read what is committed: {why}"),
            What::Office { term, barrier } => write!(f, "office of term {term} begins after event {barrier}"),
            What::Proposed { term, first, last } => write!(f, "proposed {first} to {last} in term {term}"),
            What::Acknowledged { term, events } => write!(f, "acknowledged {} of term {term}", range(events)),
            What::Skipped(count) => write!(f, "skipped {count} batches"),
            What::Certain(Some(term)) => write!(f, "certain of its office of term {term}"),
            What::Certain(None) => f.write_str("certain of no office"),
            What::Fault(text) => f.write_str(text),
            What::Left(why) => write!(f, "its king has left: {why}"),
            What::SerfEnded => f.write_str("its serf ended"),
            What::Saved {
                event,
                committed,
                durable,
            } => write!(f, "saves {event} of {committed} committed and {durable} durable"),
            What::Released {
                event,
                mark,
                place,
                committed,
            } => write!(
                f,
                "released {event} {mark:?} place {place}, committed {committed}"
            ),
            What::Told { mark, outcome } => write!(f, "told {mark:?} {outcome:?}"),
            What::Asked(mark) => write!(f, "asked {mark:?}"),
            What::Answered {
                mark,
                count,
                committed,
            } => write!(f, "answered {mark:?} {count} of {committed} committed"),
        }
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.member {
            Some(member) => write!(f, "{:>7} m{member}.{} {}", self.at, self.life, self.what),
            None => write!(f, "{:>7} ---- {}", self.at, self.what),
        }
    }
}
