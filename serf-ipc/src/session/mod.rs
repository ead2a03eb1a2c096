//! The conversation with one serf as a state machine: what may be sent now, and what an incoming message answers. No
//! I/O and no clock: [`Session::send`] makes a frame for the pipe, [`Session::receive`] takes what came from it.
//!
//! A serf answers in the order in which it was asked (`spec/ipc.md` section 5), so the session is a queue of what was
//! asked, and the serf's position. It refuses to send what would make the serf end itself or would break an invariant,
//! and it takes no answer that is out of order. A refusal to send changes nothing. An error from [`Session::receive`] is
//! the end: what the serf's state is can no longer be known, and it has to be killed.

mod error;

#[cfg(test)]
mod tests;

pub use error::SessionError;

use crate::limits::{MAX_UNANSWERED, SERF_FRAME_BYTES};
use crate::newt;
use crate::noun::{Noun, ToNoun, jam};
use crate::protocol::{Goof, PROTOCOL, PlayBail, Plea, Ripe, WorkReply, Writ};
use seguro_event::{EventNumber, Mug};
use std::collections::VecDeque;

/// A serf's side of things as the king knows it. `T` is the caller's own word for what a writ was sent for; it comes
/// back with the answer.
#[derive(Debug)]
pub struct Session<T> {
    stage: Stage,
    /// The serf's position, as of its last report.
    event: EventNumber,
    mug: Mug,
    /// What was sent and not answered, oldest first.
    unanswered: VecDeque<(Writ, T)>,
    /// Where the serf will be when all of `unanswered` has gone well; nothing if that hangs on answers to come.
    ahead: Option<EventNumber>,
}

/// How far the conversation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The serf has not said `%ripe`.
    Waking,
    Live,
    /// `%exit` was sent.
    Exiting,
    /// The serf broke the protocol, or is dead.
    Over,
}

/// What a message from the serf means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming<T> {
    /// The serf is up, and writs may be sent.
    Ripe(Ripe),
    /// A print of the kernel.
    Slog {
        /// How important: 0 is the least.
        priority: u32,
        /// What to print.
        tank: Noun,
    },
    /// A print of the serf: a cord.
    Flog(Noun),
    /// The answer to the oldest unanswered writ, and what it was sent for.
    Reply(T, Reply),
}

/// An answer. Its kind is that of the writ that it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A `%cram`, `%save`, `%meld` or `%pack` is done.
    Live,
    /// The kernel's answer to a `%peek`, or why there is none.
    Peek(Result<Noun, Goof>),
    /// The mug after the last event of a `%play`, or which event failed.
    Play(Result<Mug, PlayBail>),
    /// What takes how much memory: a list of masses.
    QuizQuac(Noun),
    /// How much memory is free: `[%open bytes] [%idle bytes] ~`.
    QuizQuic(Noun),
    /// What became of an event.
    Work(WorkReply),
}

impl<T> Session<T> {
    /// A session with a serf that was just started.
    #[must_use]
    pub fn new() -> Session<T> {
        Session {
            stage: Stage::Waking,
            event: EventNumber::ZERO,
            mug: Mug::UNKNOWN,
            unanswered: VecDeque::new(),
            ahead: None,
        }
    }

    /// How many writs are unanswered.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.unanswered.len()
    }

    /// The event that the serf is at, as last reported. Unanswered writs may have moved it on.
    #[must_use]
    pub fn event(&self) -> EventNumber {
        self.event
    }

    /// The kernel's mug at [`Session::event`].
    #[must_use]
    pub fn mug(&self) -> Mug {
        self.mug
    }

    /// What was asked and not answered, oldest first, for when the serf is dead. Nothing can be sent after this.
    pub fn drain(&mut self) -> Vec<(Writ, T)> {
        self.stage = Stage::Over;
        self.unanswered.drain(..).collect()
    }

    /// The frame that tells the serf this writ, to be written to its pipe before any later one.
    ///
    /// # Errors
    /// [`SessionError`] if the writ may not be sent now ([`Session::permits`]) or makes too long a frame. Then nothing
    /// has changed.
    pub fn send(&mut self, writ: Writ, tag: T) -> Result<Vec<u8>, SessionError> {
        self.permits(&writ)?;
        let frame = newt::encode_with(SERF_FRAME_BYTES, |out| {
            out.extend_from_slice(&jam(&writ.to_noun()))
        });
        let frame = frame.map_err(|error| SessionError::Frame {
            writ: writ.kind(),
            error,
        })?;
        match &writ {
            Writ::Work { .. } => self.ahead = None,
            Writ::Play { first, events } => self.ahead = Some(last_of(*first, events)),
            Writ::Exit(_) => self.stage = Stage::Exiting,
            _ => {}
        }
        self.unanswered.push_back((writ, tag));
        Ok(frame)
    }

    /// Whether this writ may be sent now, for callers that want to know before they part with it.
    ///
    /// # Errors
    /// [`SessionError`] that says why not.
    pub fn permits(&self, writ: &Writ) -> Result<(), SessionError> {
        match self.stage {
            Stage::Live => {}
            Stage::Waking => return Err(SessionError::NotRipe { kind: writ.kind() }),
            Stage::Exiting => return Err(SessionError::Exiting { writ: writ.kind() }),
            Stage::Over => return Err(SessionError::Over),
        }
        if self.unanswered.len() >= MAX_UNANSWERED {
            return Err(SessionError::TooMany {
                limit: MAX_UNANSWERED,
            });
        }
        match writ {
            Writ::Save(event) | Writ::Cram(event) => self.permits_save(writ, *event),
            Writ::Play { first, events } => self.permits_play(*first, events),
            Writ::Work { job, .. } => self.permits_work(job),
            Writ::Exit(_) | Writ::Meld | Writ::Pack | Writ::Peek { .. } | Writ::QuizQuac | Writ::QuizQuic => {
                Ok(())
            }
        }
    }

    /// A snapshot must not run ahead of the log. The caller knows what is committed and names that event; here it is
    /// made sure that the serf is at no other.
    fn permits_save(&self, writ: &Writ, event: EventNumber) -> Result<(), SessionError> {
        if !self.unanswered.is_empty() {
            return Err(SessionError::SaveWhileBusy {
                writ: writ.kind(),
                depth: self.depth(),
            });
        }
        if event != self.event {
            return Err(SessionError::SaveElsewhere {
                writ: writ.kind(),
                asked: event,
                serf: self.event,
            });
        }
        Ok(())
    }

    fn permits_play(&self, first: EventNumber, events: &[Noun]) -> Result<(), SessionError> {
        let Some(ahead) = self.ahead else {
            return Err(SessionError::PlayBehindWork { first });
        };
        if first != after(ahead, 1) {
            return Err(SessionError::PlayElsewhere { first, serf: ahead });
        }
        if events.is_empty() {
            return Err(SessionError::EmptyPlay { first });
        }
        let is_boot = ahead == EventNumber::ZERO;
        match events.iter().position(|event| !is_boot && event.is_atom()) {
            Some(at) => Err(SessionError::Malformed {
                what: "an event to play",
                event: after(first, at),
            }),
            None => Ok(()),
        }
    }

    fn permits_work(&self, job: &Noun) -> Result<(), SessionError> {
        if self.ahead == Some(EventNumber::ZERO) {
            return Err(SessionError::NoKernel);
        }
        match job.as_cell() {
            Some((date, ovum)) if date.is_atom() && ovum.is_cell() => Ok(()),
            _ => Err(SessionError::Malformed {
                what: "a job",
                event: after(self.event, self.depth() + 1),
            }),
        }
    }

    /// What this message from the serf means.
    ///
    /// # Errors
    /// [`SessionError`] if the message must not come now. It is the last use of this session but for
    /// [`Session::drain`]: kill the serf.
    pub fn receive(&mut self, plea: Plea) -> Result<Incoming<T>, SessionError> {
        let incoming = self.accept(plea);
        if incoming.is_err() {
            self.stage = Stage::Over;
        }
        incoming
    }

    fn accept(&mut self, plea: Plea) -> Result<Incoming<T>, SessionError> {
        if self.stage == Stage::Over {
            return Err(SessionError::Over);
        }
        let reply = match plea {
            Plea::Slog { priority, tank } => return Ok(Incoming::Slog { priority, tank }),
            Plea::Flog(cord) => return Ok(Incoming::Flog(cord)),
            Plea::Ripe(ripe) => return self.wake(ripe).map(Incoming::Ripe),
            reply => reply,
        };
        if self.stage == Stage::Waking {
            return Err(SessionError::NotRipe { kind: reply.kind() });
        }
        let Some((writ, tag)) = self.unanswered.pop_front() else {
            return Err(SessionError::Unasked { found: reply.kind() });
        };
        let (reply, position) = match match_reply(&writ, reply, self.event) {
            Ok(matched) => matched,
            Err(error) => {
                self.unanswered.push_front((writ, tag)); // It is still unanswered, and will be drained.
                return Err(error);
            }
        };
        if let Some((event, mug)) = position {
            self.event = event;
            self.mug = mug;
        }
        if self.unanswered.is_empty() {
            self.ahead = Some(self.event);
        }
        Ok(Incoming::Reply(tag, reply))
    }

    fn wake(&mut self, ripe: Ripe) -> Result<Ripe, SessionError> {
        if self.stage != Stage::Waking {
            return Err(SessionError::SecondRipe);
        }
        if ripe.pro != PROTOCOL {
            return Err(SessionError::Protocol { found: ripe.pro });
        }
        self.stage = Stage::Live;
        self.event = ripe.event;
        self.mug = ripe.mug;
        self.ahead = Some(ripe.event);
        Ok(ripe)
    }
}

impl<T> Default for Session<T> {
    fn default() -> Session<T> {
        Session::new()
    }
}

/// Where a serf is after an answer, if that moved it.
type Position = Option<(EventNumber, Mug)>;

/// Checks that `reply` answers `writ` from a serf that was at event `at`.
fn match_reply(writ: &Writ, reply: Plea, at: EventNumber) -> Result<(Reply, Position), SessionError> {
    match (writ, reply) {
        (Writ::Work { .. }, Plea::Work(reply)) => {
            let position = match &reply {
                WorkReply::Done { event, mug, .. } | WorkReply::Swap { event, mug, .. } => {
                    Some((*event, *mug))
                }
                WorkReply::Bail(_) => None,
            };
            match position {
                Some((found, _)) if found != after(at, 1) => Err(SessionError::WrongNumber {
                    expected: after(at, 1),
                    found,
                }),
                position => Ok((Reply::Work(reply), position)),
            }
        }
        (Writ::Peek { .. }, Plea::Peek(answer)) => Ok((Reply::Peek(answer), None)),
        (Writ::Play { first, events }, Plea::Play(Ok(mug))) => {
            Ok((Reply::Play(Ok(mug)), Some((last_of(*first, events), mug))))
        }
        (Writ::Play { first, events }, Plea::Play(Err(bail))) => {
            // The event after the last good one is the one that failed, so it has to be one that was sent.
            let failed = bail.last_good.0.checked_add(1).map(EventNumber);
            if !failed.is_some_and(|failed| (*first..=last_of(*first, events)).contains(&failed)) {
                return Err(SessionError::WrongBail {
                    first: *first,
                    count: events.len(),
                    found: bail.last_good,
                });
            }
            let position = Some((bail.last_good, bail.mug));
            Ok((Reply::Play(Err(bail)), position))
        }
        (Writ::Cram(_) | Writ::Save(_) | Writ::Meld | Writ::Pack, Plea::Live) => Ok((Reply::Live, None)),
        (Writ::QuizQuac, Plea::QuizQuac(masses)) => Ok((Reply::QuizQuac(masses), None)),
        (Writ::QuizQuic, Plea::QuizQuic(free)) => Ok((Reply::QuizQuic(free), None)),
        (writ, reply) => Err(SessionError::Unexpected {
            asked: writ.kind(),
            found: reply.kind(),
        }),
    }
}

/// The number of the last of some events, of which there is at least one.
fn last_of(first: EventNumber, events: &[Noun]) -> EventNumber {
    after(first, events.len().saturating_sub(1))
}

/// The number `count` events later. A serf may claim to be at the last number there is: that is no reason to panic.
fn after(event: EventNumber, count: usize) -> EventNumber {
    EventNumber(event.0.saturating_add(count as u64))
}
