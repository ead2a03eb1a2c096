//! What a serf tells its king.

use super::term::{cell, tag, tagged, term};
use super::{Goof, PROTOCOL};
use crate::n;
use crate::noun::{AtPath, FromNoun, Noun, ShapeError, ToNoun};
use seguro_event::{EventNumber, Mug};

const FLOG: u64 = term("flog");
const LIVE: u64 = term("live");
const PEEK: u64 = term("peek");
const PLAY: u64 = term("play");
const QUIZ: u64 = term("quiz");
const RIPE: u64 = term("ripe");
const SLOG: u64 = term("slog");
const WORK: u64 = term("work");
const BAIL: u64 = term("bail");
const DONE: u64 = term("done");
const SWAP: u64 = term("swap");
const QUAC: u64 = term("quac");
const QUIC: u64 = term("quic");

/// A message from the serf to the king (`spec/ipc.md` section 5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plea {
    /// `[%ripe [pro hon noc] eve mug]`: the serf is up. Its first message but for prints.
    Ripe(Ripe),
    /// `[%slog pri tank]`: a print, at any time.
    Slog {
        /// How important: 0 is the least.
        priority: u32,
        /// What to print.
        tank: Noun,
    },
    /// `[%flog cord]`: a print of the serf itself, at any time.
    Flog(Noun),
    /// `[%live ~]`: a `%cram`, `%save`, `%meld` or `%pack` is done.
    Live,
    /// `[%peek %done dat]` or `[%peek %bail goof]`: the kernel's answer, as the kernel gave it.
    Peek(Result<Noun, Goof>),
    /// `[%play %done mug]`, with the mug after the last event, or `[%play %bail eve mug goof]`.
    Play(Result<Mug, PlayBail>),
    /// `[%quiz %quac list]`: what takes how much memory.
    QuizQuac(Noun),
    /// `[%quiz %quic [%open bytes] [%idle bytes] ~]`: how much memory is free. The noun is what follows `%quic`.
    QuizQuic(Noun),
    /// `[%work ..]`: what became of an event.
    Work(WorkReply),
}

/// What a serf says of itself when it is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ripe {
    /// The protocol's version: [`PROTOCOL`], or the king and the serf cannot talk.
    pub pro: u8,
    /// The serf's hoon version. It has nothing to do with what the king puts in `%wyrd`.
    pub hon: u8,
    /// The serf's nock version.
    pub noc: u8,
    /// The event that the serf's image is at.
    pub event: EventNumber,
    /// The kernel's mug there; 0 before the first event.
    pub mug: Mug,
}

/// A replay that failed. The events before the failure were applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlayBail {
    /// The last event that was applied, or that the serf was at before.
    pub last_good: EventNumber,
    /// The kernel's mug there.
    pub mug: Mug,
    /// Why the event after that failed.
    pub goof: Goof,
}

/// What became of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkReply {
    /// The event was computed as it was sent.
    Done {
        /// The number that it got.
        event: EventNumber,
        /// The kernel's mug after it.
        mug: Mug,
        /// What the kernel wants done: a list of ova.
        effects: Noun,
    },
    /// The event failed, and a report of that was computed in its place. The log takes `job`, not what was sent.
    Swap {
        /// The number that the report got.
        event: EventNumber,
        /// The kernel's mug after it.
        mug: Mug,
        /// The report: `[now+1 [%$ %arvo ~] %crud goof ovum]`.
        job: Noun,
        /// What the kernel wants done: a list of ova.
        effects: Noun,
    },
    /// The event failed, and so did the report: no number was used, nothing changed. The newest goof is first; one alone
    /// is `%evil`, for which no report is tried.
    Bail(Vec<Goof>),
}

impl Plea {
    /// The kind in words of the protocol, for messages: `%ripe`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Plea::Ripe(_) => "%ripe",
            Plea::Slog { .. } => "%slog",
            Plea::Flog(_) => "%flog",
            Plea::Live => "%live",
            Plea::Peek(_) => "%peek",
            Plea::Play(_) => "%play",
            Plea::QuizQuac(_) => "%quac",
            Plea::QuizQuic(_) => "%quic",
            Plea::Work(_) => "%work",
        }
    }
}

impl ToNoun for Plea {
    fn to_noun(&self) -> Noun {
        match self {
            Plea::Ripe(ripe) => tag(RIPE, ripe.to_noun()),
            Plea::Slog { priority, tank } => tag(SLOG, Noun::cell(priority.to_noun(), tank.clone())),
            Plea::Flog(cord) => tag(FLOG, cord.clone()),
            Plea::Live => tag(LIVE, Noun::ZERO),
            Plea::Peek(Ok(answer)) => tag(PEEK, tag(DONE, answer.clone())),
            Plea::Peek(Err(goof)) => tag(PEEK, tag(BAIL, goof.to_noun())),
            Plea::Play(Ok(mug)) => tag(PLAY, tag(DONE, mug.to_noun())),
            Plea::Play(Err(bail)) => tag(PLAY, tag(BAIL, n![bail.last_good, bail.mug, bail.goof])),
            Plea::QuizQuac(masses) => tag(QUIZ, tag(QUAC, masses.clone())),
            Plea::QuizQuic(free) => tag(QUIZ, tag(QUIC, free.clone())),
            Plea::Work(reply) => tag(WORK, reply.to_noun()),
        }
    }
}

impl FromNoun for Plea {
    fn from_noun(noun: &Noun) -> Result<Plea, ShapeError> {
        const EXPECTED: &str = "a plea (%ripe, %slog, %flog, %live, %peek, %play, %quiz or %work)";
        let (tag, rest) = tagged(noun, EXPECTED)?;
        match tag {
            WORK => WorkReply::from_noun(rest).at("work").map(Plea::Work),
            SLOG => slog(rest).at("slog"),
            FLOG if rest.is_atom() => Ok(Plea::Flog(rest.clone())),
            FLOG => Err(ShapeError::new("a cord", rest).at("flog")),
            LIVE => <()>::from_noun(rest).at("live").map(|()| Plea::Live),
            PEEK => peek(rest).at("peek"),
            PLAY => play(rest).at("play"),
            QUIZ => quiz(rest).at("quiz"),
            RIPE => Ripe::from_noun(rest).at("ripe").map(Plea::Ripe),
            _ => Err(ShapeError::new(EXPECTED, noun)),
        }
    }
}

impl ToNoun for Ripe {
    fn to_noun(&self) -> Noun {
        n![n![self.pro, self.hon, self.noc], self.event, self.mug]
    }
}

/// Of another protocol than ours only the version is read, and the rest is left 0: its `%ripe` has another shape
/// (`spec/ipc.md` section 15), and the version is what the error has to say.
impl FromNoun for Ripe {
    fn from_noun(noun: &Noun) -> Result<Ripe, ShapeError> {
        let (versions, position) = cell(noun, "versions, an event number and a mug")?;
        let (pro, versions) = cell(versions, "three versions").at("versions")?;
        let pro = u8::from_noun(pro).at("pro")?;
        if pro != PROTOCOL {
            return Ok(Ripe {
                pro,
                hon: 0,
                noc: 0,
                event: EventNumber::ZERO,
                mug: Mug::UNKNOWN,
            });
        }
        let (hon, noc) = cell(versions, "the versions of hoon and nock").at("versions")?;
        let (event, mug) = cell(position, "an event number and a mug")?;
        Ok(Ripe {
            pro,
            hon: u8::from_noun(hon).at("hon")?,
            noc: u8::from_noun(noc).at("noc")?,
            event: EventNumber::from_noun(event).at("event")?,
            mug: Mug::from_noun(mug).at("mug")?,
        })
    }
}

impl ToNoun for WorkReply {
    fn to_noun(&self) -> Noun {
        match self {
            WorkReply::Done { event, mug, effects } => tag(DONE, n![event, mug, effects]),
            WorkReply::Swap {
                event,
                mug,
                job,
                effects,
            } => tag(SWAP, n![event, mug, job, effects]),
            WorkReply::Bail(goofs) => tag(BAIL, goofs.to_noun()),
        }
    }
}

impl FromNoun for WorkReply {
    fn from_noun(noun: &Noun) -> Result<WorkReply, ShapeError> {
        const EXPECTED: &str = "%done, %swap or %bail";
        let (tag, rest) = tagged(noun, EXPECTED)?;
        match tag {
            DONE => {
                let (event, mug, effects) = position(rest).at("done")?;
                Ok(WorkReply::Done {
                    event,
                    mug,
                    effects: effects.clone(),
                })
            }
            SWAP => {
                let (event, mug, rest) = position(rest).at("swap")?;
                let (job, effects) = cell(rest, "a job and effects").at("swap")?;
                if job.is_atom() {
                    return Err(ShapeError::new("a job ([date ovum])", job).at("job").at("swap"));
                }
                Ok(WorkReply::Swap {
                    event,
                    mug,
                    job: job.clone(),
                    effects: effects.clone(),
                })
            }
            BAIL => Vec::from_noun(rest).at("bail").map(WorkReply::Bail),
            _ => Err(ShapeError::new(EXPECTED, noun)),
        }
    }
}

/// `[eve mug rest]`.
fn position(noun: &Noun) -> Result<(EventNumber, Mug, &Noun), ShapeError> {
    const EXPECTED: &str = "an event number, a mug and more";
    let (event, rest) = cell(noun, EXPECTED)?;
    let (mug, rest) = cell(rest, EXPECTED)?;
    Ok((
        EventNumber::from_noun(event).at("event")?,
        Mug::from_noun(mug).at("mug")?,
        rest,
    ))
}

fn slog(noun: &Noun) -> Result<Plea, ShapeError> {
    let (priority, tank) = cell(noun, "a priority and a tank")?;
    Ok(Plea::Slog {
        priority: u32::from_noun(priority).at("priority")?,
        tank: tank.clone(),
    })
}

fn peek(noun: &Noun) -> Result<Plea, ShapeError> {
    const EXPECTED: &str = "%done or %bail";
    match tagged(noun, EXPECTED)? {
        (DONE, answer) => Ok(Plea::Peek(Ok(answer.clone()))),
        (BAIL, goof) => Ok(Plea::Peek(Err(Goof::from_noun(goof).at("bail")?))),
        _ => Err(ShapeError::new(EXPECTED, noun)),
    }
}

fn play(noun: &Noun) -> Result<Plea, ShapeError> {
    const EXPECTED: &str = "%done or %bail";
    match tagged(noun, EXPECTED)? {
        (DONE, mug) => Mug::from_noun(mug).at("done").map(|mug| Plea::Play(Ok(mug))),
        (BAIL, rest) => {
            let (last_good, mug, goof) = position(rest).at("bail")?;
            Ok(Plea::Play(Err(PlayBail {
                last_good,
                mug,
                goof: Goof::from_noun(goof).at("bail")?,
            })))
        }
        _ => Err(ShapeError::new(EXPECTED, noun)),
    }
}

fn quiz(noun: &Noun) -> Result<Plea, ShapeError> {
    const EXPECTED: &str = "%quac or %quic";
    match tagged(noun, EXPECTED)? {
        (QUAC, masses) => Ok(Plea::QuizQuac(masses.clone())),
        (QUIC, free) => Ok(Plea::QuizQuic(free.clone())),
        _ => Err(ShapeError::new(EXPECTED, noun)),
    }
}
