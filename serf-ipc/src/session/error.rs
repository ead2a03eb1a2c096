//! What can be wrong between a king and its serf.

use crate::newt::NewtError;
use crate::protocol::PROTOCOL;
use seguro_event::EventNumber;

/// A writ that may not be sent, or a message from the serf that must not come.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    // --- refusals to send: nothing has changed ---
    /// A `%save` or `%cram` with writs unanswered. Its snapshot could hold events that are not committed.
    #[error(
        "{writ} refused: {depth} writs are unanswered; a snapshot is taken of a serf that has nothing to do"
    )]
    SaveWhileBusy {
        /// `%save` or `%cram`.
        writ: &'static str,
        /// How many writs are unanswered.
        depth: usize,
    },
    /// A `%save` or `%cram` of an event that the serf is not at. The serf would end itself.
    #[error("{writ} of event {asked} refused: the serf is at event {serf}")]
    SaveElsewhere {
        /// `%save` or `%cram`.
        writ: &'static str,
        /// The event that was named.
        asked: EventNumber,
        /// The event that the serf is at.
        serf: EventNumber,
    },
    /// A `%play` that does not begin where the serf will be. The serf would abort.
    #[error("%play from event {first} refused: the serf will be at event {serf}, and plays {serf} + 1 next")]
    PlayElsewhere {
        /// The first event to be played.
        first: EventNumber,
        /// Where the serf will be when what was sent before is done.
        serf: EventNumber,
    },
    /// A `%play` behind unanswered `%work`, after which the serf's number cannot be known.
    #[error(
        "%play from event {first} refused: work is unanswered, and may or may not use up an event number"
    )]
    PlayBehindWork {
        /// The first event to be played.
        first: EventNumber,
    },
    /// A `%play` of no events.
    #[error("%play from event {first} refused: it holds no events")]
    EmptyPlay {
        /// The number that a first event would have.
        first: EventNumber,
    },
    /// A job that is not `[date wire card]`. The serf would abort.
    #[error("{what} for event {event} refused: it is not [date wire card], which makes a serf abort")]
    Malformed {
        /// Which kind of job.
        what: &'static str,
        /// The number that the event has or will at most have.
        event: EventNumber,
    },
    /// `%work` for a serf that has not been booted. The serf would abort.
    #[error("%work refused: the serf has no kernel; play the boot sequence first")]
    NoKernel,
    /// A writ behind `%exit`.
    #[error("{writ} refused: the serf was told to exit")]
    Exiting {
        /// The writ's kind.
        writ: &'static str,
    },
    /// More unanswered writs than the session's bound.
    #[error("a writ was refused: {limit} are unanswered, which is the limit; wait for answers")]
    TooMany {
        /// [`MAX_UNANSWERED`](crate::limits::MAX_UNANSWERED).
        limit: usize,
    },
    /// A writ that is too long for a frame.
    #[error("{writ} refused: {error}")]
    Frame {
        /// The writ's kind.
        writ: &'static str,
        /// The lengths.
        #[source]
        error: NewtError,
    },

    // --- broken conversations: kill the serf ---
    /// A writ before `%ripe`, which is refused, or an answer before it, which ends the session.
    #[error("{kind} before the serf said %ripe")]
    NotRipe {
        /// The message's kind.
        kind: &'static str,
    },
    /// The serf said `%ripe` twice.
    #[error("the serf said %ripe a second time: it is not the serf that was started")]
    SecondRipe,
    /// The serf speaks another protocol.
    #[error(
        "the serf speaks ipc protocol {found}, and {PROTOCOL} is needed: use the `urbit` of a vere up to v3.5 \
         (from v4.0 the worker keeps the event log itself)"
    )]
    Protocol {
        /// The version that the serf named.
        found: u8,
    },
    /// An answer of another kind than the oldest writ's.
    #[error("the serf answered {found} to {asked}: the conversation is out of step")]
    Unexpected {
        /// The oldest unanswered writ's kind.
        asked: &'static str,
        /// The answer's kind.
        found: &'static str,
    },
    /// An answer where nothing was asked.
    #[error("the serf answered {found}, and nothing was asked")]
    Unasked {
        /// The answer's kind.
        found: &'static str,
    },
    /// An event computed under another number than the next.
    #[error("the serf computed event {found}, and the next event is {expected}")]
    WrongNumber {
        /// The number after the serf's last.
        expected: EventNumber,
        /// The number in the answer.
        found: EventNumber,
    },
    /// A failed replay that does not say one of the played events failed.
    #[error(
        "the serf says that it played well up to event {found}, of {count} events from {first} of which one failed"
    )]
    WrongBail {
        /// The first event that was to be played.
        first: EventNumber,
        /// How many were to be played.
        count: usize,
        /// The last good event in the answer.
        found: EventNumber,
    },
    /// The session ended with an earlier error, or was drained.
    #[error("the session with this serf is over; start another serf")]
    Over,
}
