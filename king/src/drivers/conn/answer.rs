//! Answers on their way to a client, and the promise that each request gets one or the connection ends.

use super::request::Refusal;
use crate::{
    console,
    driver::{Outcome, PeekAnswer},
};
use serf_ipc::{Goof, Noun, ToNoun, jam, n, newt};
use std::sync::Arc;
use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc};

/// What is said of a request.
#[derive(Clone, Debug)]
pub(super) enum Body {
    /// The event is committed: `[%news %done]`.
    Done,
    /// The event is not in the log, and will not be: `[%news %drop]`.
    Drop,
    /// The kernel refused it: `[%bail goofs]`, the newest first.
    Bail(Vec<Goof>),
    /// What the kernel has there: `[%peek unit]`.
    Peek(Noun),
    /// What a thread came to: `[%avow each]`.
    Avow(Noun),
    /// Anything as it is.
    Plain(Noun),
}

impl Body {
    fn to_noun(&self) -> Noun {
        match self {
            Body::Done => n!["news", "done"],
            Body::Drop => n!["news", "drop"],
            Body::Bail(goofs) => n!["bail", Noun::list(goofs.iter().map(Goof::to_noun))],
            Body::Peek(answer) => n!["peek", answer],
            Body::Avow(result) => n!["avow", result],
            Body::Plain(noun) => noun.clone(),
        }
    }
}

/// What a request holds of its connection's units, until its answer is written.
pub(super) type Units = Option<OwnedSemaphorePermit>;

/// What a connection's writer is sent.
pub(super) enum Outgoing {
    /// An answer.
    Answer {
        rid: Noun,
        body: Body,
        /// Given back once the answer is written: who does not read is not read.
        units: Units,
    },
    /// The end, after everything before it.
    Close,
}

/// The frame of an answer. A noun whose jam no frame can hold has none.
pub(super) fn frame(rid: &Noun, body: &Body) -> Result<Vec<u8>, newt::NewtError> {
    let jam = jam(&Noun::cell(rid.clone(), body.to_noun()));
    newt::encode_with(u32::MAX as usize, |out| out.extend_from_slice(&jam))
}

/// The way to a connection's writer: cheap to clone, usable from any thread, never waits. It is bounded by the units
/// that its requests hold.
#[derive(Clone)]
pub(super) struct Outbox {
    queue: mpsc::UnboundedSender<Outgoing>,
    closing: Arc<Notify>,
}

impl Outbox {
    /// An outbox, and what its connection's writer reads.
    pub(super) fn new() -> (Outbox, mpsc::UnboundedReceiver<Outgoing>) {
        let (queue, outgoing) = mpsc::unbounded_channel();
        (
            Outbox {
                queue,
                closing: Arc::default(),
            },
            outgoing,
        )
    }

    /// Sends an answer; to nobody if the connection is gone.
    pub(super) fn send(&self, rid: Noun, body: Body, units: Units) {
        let _ = self.queue.send(Outgoing::Answer { rid, body, units });
    }

    /// Ends the connection, after what is on its way to the client.
    pub(super) fn hang_up(&self) {
        let _ = self.queue.send(Outgoing::Close);
        self.closing.notify_one();
    }

    /// Logs in vere's words why, and ends the connection.
    pub(super) fn refuse(&self, refusal: Refusal) {
        let (code, words) = (refusal.code(), refusal.words());
        tracing::warn!(target: console::TARGET, "conn: moor bail {code} {words}");
        self.hang_up();
    }

    /// Waits until somebody hangs up.
    pub(super) async fn closing(&self) {
        self.closing.notified().await;
    }
}

/// A request's claim to an answer. Dropped without one it ends its connection: what became of the request is not
/// known, and the client must not take it for done or for dropped.
pub(super) struct Ticket {
    outbox: Outbox,
    rid: Noun,
    units: Units,
    answered: bool,
}

impl Ticket {
    pub(super) fn new(outbox: Outbox, rid: Noun, units: Units) -> Ticket {
        Ticket {
            outbox,
            rid,
            units,
            answered: false,
        }
    }

    /// The request's name.
    pub(super) fn rid(&self) -> &Noun {
        &self.rid
    }

    pub(super) fn answer(self, body: Body) {
        let outbox = self.outbox.clone();
        let (rid, units) = self.hand_on();
        outbox.send(rid, body, units);
    }

    /// Gives up the claim without ending the connection: another will answer. What the request held is handed on.
    pub(super) fn hand_on(mut self) -> (Noun, Units) {
        self.answered = true;
        (std::mem::take(&mut self.rid), self.units.take())
    }

    /// Tells what became of an event. Nothing is told of one that may be in the log or not.
    pub(super) fn tell(self, outcome: Outcome) {
        match outcome {
            Outcome::Committed { .. } => self.answer(Body::Done),
            Outcome::Bailed(goofs) => self.answer(Body::Bail(goofs)),
            Outcome::Dropped(_) => self.answer(Body::Drop),
            Outcome::Unknown => drop(self),
        }
    }

    /// Tells what a peek came to. A member that may not answer for the ship says nothing, since `~` would say that
    /// nothing is there.
    pub(super) fn tell_peek(self, answer: PeekAnswer) {
        match answer {
            PeekAnswer::Unavailable => drop(self),
            PeekAnswer::Bailed(goof) => {
                console::goofs(std::slice::from_ref(&goof));
                self.answer(Body::Peek(Noun::ZERO));
            }
            PeekAnswer::Done(noun) => self.answer(Body::Peek(noun)),
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.answered {
            self.outbox.hang_up();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serf_ipc::cue;

    fn answered(body: Body) -> Noun {
        let frame = frame(&Noun::atom(9), &body).unwrap();
        assert_eq!(
            frame.len(),
            newt::HEADER_BYTES + u32::from_le_bytes(frame[1..5].try_into().unwrap()) as usize
        );
        cue(&frame[newt::HEADER_BYTES..]).unwrap()
    }

    #[test]
    fn answers_have_vere_s_shapes() {
        let goof = |mote: &str| Goof {
            mote: mote.to_owned(),
            tang: Noun::ZERO,
        };
        assert_eq!(answered(Body::Done), n![9u64, "news", "done"]);
        assert_eq!(answered(Body::Drop), n![9u64, "news", "drop"]);
        let bail = answered(Body::Bail(vec![goof("exit"), goof("meme")]));
        assert_eq!(bail, n![9u64, "bail", n!["exit", 0u64], n!["meme", 0u64], 0u64]);
        assert_eq!(answered(Body::Peek(Noun::ZERO)), n![9u64, "peek", 0u64]);
        assert_eq!(
            answered(Body::Avow(n![0u64, "mark", 1u64])),
            n![9u64, "avow", 0u64, "mark", 1u64]
        );
        assert_eq!(answered(Body::Plain(n![0u64, 1u64])), n![9u64, 0u64, 1u64]);
    }

    #[tokio::test]
    async fn an_unknown_outcome_is_told_by_hanging_up() {
        let (outbox, mut outgoing) = Outbox::new();
        Ticket::new(outbox.clone(), Noun::atom(1), None).tell(Outcome::Unknown);
        assert!(matches!(outgoing.recv().await, Some(Outgoing::Close)));
        Ticket::new(outbox.clone(), Noun::atom(2), None).tell_peek(PeekAnswer::Unavailable);
        assert!(matches!(outgoing.recv().await, Some(Outgoing::Close)));
        drop(Ticket::new(outbox.clone(), Noun::atom(3), None));
        assert!(matches!(outgoing.recv().await, Some(Outgoing::Close)));
        outbox.closing().await;
        Ticket::new(outbox, Noun::atom(4), None).answer(Body::Done);
        assert!(matches!(outgoing.recv().await, Some(Outgoing::Answer { .. })));
        assert!(outgoing.try_recv().is_err(), "an answered request hung up");
    }
}
