//! What a king tells its serf.

use super::term::{cell, tag, tagged, term};
use crate::noun::{AtPath, FromNoun, Noun, ShapeError, ToNoun};
use seguro_event::EventNumber;
use std::fmt;

const LIVE: u64 = term("live");
const PEEK: u64 = term("peek");
const PLAY: u64 = term("play");
const QUIZ: u64 = term("quiz");
const WORK: u64 = term("work");
const CRAM: u64 = term("cram");
const EXIT: u64 = term("exit");
const SAVE: u64 = term("save");
const MELD: u64 = term("meld");
const PACK: u64 = term("pack");
const QUAC: u64 = term("quac");
const QUIC: u64 = term("quic");

/// A message from the king to the serf (`spec/ipc.md` section 5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Writ {
    /// `[%live %cram eve]`: write a portable copy of the state, and the image.
    Cram(EventNumber),
    /// `[%live %exit cod]`: end with this status. It is never answered.
    Exit(u8),
    /// `[%live %save eve]`: write the image. The serf ends itself if it is at another event.
    Save(EventNumber),
    /// `[%live %meld ~]`: share what is equal in the state.
    Meld,
    /// `[%live %pack ~]`: defragment the state.
    Pack,
    /// `[%peek mil gan sam]`: read the namespace.
    Peek {
        /// CPU time in milliseconds after which the serf gives up with mote `alrm`; 0 is no limit.
        limit_ms: u32,
        /// `[gan sam]`: who asks, and for what (`spec/ipc.md` section 5).
        sample: Noun,
    },
    /// `[%play eve lit]`: replay events. A serf at event 0 takes the whole list as the boot sequence.
    Play {
        /// The number of the first event, one more than the serf's.
        first: EventNumber,
        /// The events, `[date ovum]` each; formulas in the boot sequence. Never empty.
        events: Vec<Noun>,
    },
    /// `[%quiz %quac ~]`: what takes how much memory. Not known to vere before v3.0.
    QuizQuac,
    /// `[%quiz %quic ~]`: how much memory is free. Not known to vere before v3.0.
    QuizQuic,
    /// `[%work mil now ovum]`: compute an event.
    Work {
        /// CPU time in milliseconds after which the serf gives up with mote `alrm`; 0 is no limit.
        limit_ms: u32,
        /// `[now wire card]`: the event and its date.
        job: Noun,
    },
}

impl Writ {
    /// The kind in words of the protocol, for messages: `%save`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Writ::Cram(_) => "%cram",
            Writ::Exit(_) => "%exit",
            Writ::Save(_) => "%save",
            Writ::Meld => "%meld",
            Writ::Pack => "%pack",
            Writ::Peek { .. } => "%peek",
            Writ::Play { .. } => "%play",
            Writ::QuizQuac => "%quac",
            Writ::QuizQuic => "%quic",
            Writ::Work { .. } => "%work",
        }
    }
}

/// The kind, with the numbers that matter and without the nouns: `%save 12`.
impl fmt::Display for Writ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())?;
        match self {
            Writ::Cram(event) | Writ::Save(event) => write!(f, " {event}"),
            Writ::Exit(status) => write!(f, " {status}"),
            Writ::Play { first, events } => write!(f, " {first} ({} events)", events.len()),
            _ => Ok(()),
        }
    }
}

impl ToNoun for Writ {
    fn to_noun(&self) -> Noun {
        let live = |kind, argument| tag(LIVE, tag(kind, argument));
        match self {
            Writ::Cram(event) => live(CRAM, event.to_noun()),
            Writ::Exit(status) => live(EXIT, status.to_noun()),
            Writ::Save(event) => live(SAVE, event.to_noun()),
            Writ::Meld => live(MELD, Noun::ZERO),
            Writ::Pack => live(PACK, Noun::ZERO),
            Writ::Peek { limit_ms, sample } => tag(PEEK, Noun::cell(limit_ms.to_noun(), sample.clone())),
            Writ::Play { first, events } => tag(PLAY, Noun::cell(first.to_noun(), events.to_noun())),
            Writ::QuizQuac => tag(QUIZ, tag(QUAC, Noun::ZERO)),
            Writ::QuizQuic => tag(QUIZ, tag(QUIC, Noun::ZERO)),
            Writ::Work { limit_ms, job } => tag(WORK, Noun::cell(limit_ms.to_noun(), job.clone())),
        }
    }
}

/// Checks as much as the C serf does before it begins with a writ: what a job or a sample holds shows when it is used.
impl FromNoun for Writ {
    fn from_noun(noun: &Noun) -> Result<Writ, ShapeError> {
        const EXPECTED: &str = "a writ (%live, %peek, %play, %quiz or %work)";
        let (tag, rest) = tagged(noun, EXPECTED)?;
        match tag {
            LIVE => live(rest).at("live"),
            PEEK => timed(rest)
                .at("peek")
                .map(|(limit_ms, sample)| Writ::Peek { limit_ms, sample }),
            PLAY => play(rest).at("play"),
            QUIZ => quiz(rest).at("quiz"),
            WORK => timed(rest)
                .at("work")
                .map(|(limit_ms, job)| Writ::Work { limit_ms, job }),
            _ => Err(ShapeError::new(EXPECTED, noun)),
        }
    }
}

fn live(noun: &Noun) -> Result<Writ, ShapeError> {
    const EXPECTED: &str = "%cram, %exit, %save, %meld or %pack with its argument";
    let (tag, argument) = tagged(noun, EXPECTED)?;
    match tag {
        CRAM => EventNumber::from_noun(argument).at("cram").map(Writ::Cram),
        EXIT => u8::from_noun(argument).at("exit").map(Writ::Exit),
        SAVE => EventNumber::from_noun(argument).at("save").map(Writ::Save),
        MELD => <()>::from_noun(argument).at("meld").map(|()| Writ::Meld),
        PACK => <()>::from_noun(argument).at("pack").map(|()| Writ::Pack),
        _ => Err(ShapeError::new(EXPECTED, noun)),
    }
}

/// `[mil what]`.
fn timed(noun: &Noun) -> Result<(u32, Noun), ShapeError> {
    let (limit_ms, what) = cell(noun, "a cell with a time limit")?;
    Ok((u32::from_noun(limit_ms).at("limit_ms")?, what.clone()))
}

fn play(noun: &Noun) -> Result<Writ, ShapeError> {
    let (first, events) = cell(noun, "a number and a list of events")?;
    let first = EventNumber::from_noun(first).at("first")?;
    if events.is_atom() {
        return Err(ShapeError::new("a list of at least one event", events).at("events"));
    }
    Ok(Writ::Play {
        first,
        events: Vec::from_noun(events).at("events")?,
    })
}

/// The C serf does not look at what follows `%quac` or `%quic`.
fn quiz(noun: &Noun) -> Result<Writ, ShapeError> {
    const EXPECTED: &str = "%quac or %quic";
    match tagged(noun, EXPECTED)?.0 {
        QUAC => Ok(Writ::QuizQuac),
        QUIC => Ok(Writ::QuizQuic),
        _ => Err(ShapeError::new(EXPECTED, noun)),
    }
}
