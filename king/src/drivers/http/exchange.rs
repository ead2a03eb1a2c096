//! A request between its connection and the driver: what the kernel answered and the client has not got yet.
//!
//! The driver, on the pier's task, puts in; the connection, on its own, takes out. Neither waits for the other: what
//! a client does not take is bounded here, and a response that outgrows its bound is severed.

use super::{
    reply::Reply,
    shapes::{Body, Header, Start},
    wire::RequestId,
};
use crate::{
    console,
    driver::{DropReason, Outcome},
    limits::{HTTP_PART_COST, HTTP_RESPONSE_BYTES, HTTP_RESPONSES_BYTES},
};
use bytes::Bytes;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::sync::Notify;

/// Every request that waits for its response, or for the rest of it.
#[derive(Debug, Default)]
pub(crate) struct Exchanges {
    open: Mutex<HashMap<RequestId, Arc<Exchange>>>,
    /// Bytes that wait for clients, of all responses.
    waiting: Arc<AtomicUsize>,
}

impl Exchanges {
    /// Opens one. It is found by its name until the guard is dropped.
    pub(crate) fn open(self: &Arc<Self>, id: RequestId) -> Opened {
        let exchange = Arc::new(Exchange::new(Arc::clone(&self.waiting)));
        let before = self.lock().insert(id, Arc::clone(&exchange));
        assert!(
            before.is_none(),
            "a connection numbers its requests, a server its connections: {id:?} came twice"
        );
        Opened {
            exchange,
            id: Some(id),
            exchanges: Arc::clone(self),
        }
    }

    /// Opens one that has no name: the kernel knows nothing of it.
    pub(crate) fn open_unnamed(self: &Arc<Self>) -> Opened {
        Opened {
            exchange: Arc::new(Exchange::new(Arc::clone(&self.waiting))),
            id: None,
            exchanges: Arc::clone(self),
        }
    }

    /// The one of this name, if it is open.
    pub(crate) fn find(&self, id: RequestId) -> Option<Arc<Exchange>> {
        self.lock().get(&id).cloned()
    }

    /// How many are open.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// How many bytes wait for clients.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RequestId, Arc<Exchange>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The connection's end of an exchange.
#[derive(Debug)]
pub(crate) struct Opened {
    exchange: Arc<Exchange>,
    id: Option<RequestId>,
    exchanges: Arc<Exchanges>,
}

impl Opened {
    /// What the event's outcome is told to. One that is never told is taken for [`Outcome::Unknown`].
    pub(crate) fn teller(&self) -> Teller {
        Teller(Some(Arc::clone(&self.exchange)))
    }

    /// The other end.
    pub(crate) fn exchange(&self) -> &Arc<Exchange> {
        &self.exchange
    }
}

impl std::ops::Deref for Opened {
    type Target = Exchange;

    fn deref(&self) -> &Exchange {
        &self.exchange
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        if let Some(id) = &self.id {
            self.exchanges.lock().remove(id);
        }
        self.exchange.abandon();
    }
}

/// Carries an event's outcome, or a read's answer, to its request.
#[derive(Debug)]
pub(crate) struct Teller(Option<Arc<Exchange>>);

impl Teller {
    /// What became of the event.
    pub(crate) fn tell(mut self, outcome: &Outcome) {
        if let Some(exchange) = self.0.take() {
            exchange.settle(outcome);
        }
    }

    /// What was read.
    pub(crate) fn give(mut self, answer: impl FnOnce(&Exchange)) {
        if let Some(exchange) = self.0.take() {
            answer(&exchange);
        }
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        if let Some(exchange) = self.0.take() {
            exchange.settle(&Outcome::Unknown);
        }
    }
}

/// One request's answer, as far as it has come.
#[derive(Debug)]
pub(crate) struct Exchange {
    state: Mutex<State>,
    changed: Notify,
    /// Shared by all exchanges.
    waiting: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    /// The head, until the connection takes it.
    opening: Option<Opening>,
    /// The body's next bytes.
    parts: Vec<Body>,
    /// What `parts` count, and what the connection took last and is writing.
    queued: usize,
    writing: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The kernel has not begun its answer.
    Planned,
    /// It has, and will go on.
    Started,
    /// It has ended it.
    Complete,
    /// It has begun and cancelled it.
    Cancelled,
    /// It did not begin it, and will not: this goes out instead.
    Failed(&'static Reply),
    /// Somebody else is to answer it.
    Declined,
    /// The client does not take it fast enough.
    Severed,
    /// The connection is done with it.
    Over,
}

/// What a connection is to do next.
#[derive(Debug)]
pub(crate) enum Taken {
    /// Wait.
    Nothing,
    /// Write this.
    Part(Part),
    /// Write this answer instead of the kernel's.
    Reply(&'static Reply),
    /// Ask somebody else.
    Declined,
    /// Close at once.
    Severed,
}

/// A piece of a response.
#[derive(Debug)]
pub(crate) struct Part {
    /// What its head says, if it is the first piece.
    pub(crate) opening: Option<Opening>,
    /// Bytes of the body.
    pub(crate) chunks: Vec<Bytes>,
    /// Whether it is the last one.
    pub(crate) end: End,
}

/// The kernel's part of a response's head.
#[derive(Debug)]
pub(crate) struct Opening {
    /// The status.
    pub(crate) status: u16,
    /// The headers, in the kernel's order.
    pub(crate) headers: Vec<Header>,
    /// How many bytes of the body came with them.
    pub(crate) first_len: usize,
}

/// How a piece of a response ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// More will come.
    Open,
    /// The response is whole with it.
    Whole,
    /// The response stays unfinished.
    Aborted,
}

impl Exchange {
    fn new(waiting: Arc<AtomicUsize>) -> Exchange {
        let state = State {
            phase: Phase::Planned,
            opening: None,
            parts: Vec::new(),
            queued: 0,
            writing: 0,
        };
        Exchange {
            state: Mutex::new(state),
            changed: Notify::new(),
            waiting,
        }
    }

    /// The kernel begins its answer.
    pub(crate) fn start(&self, start: Start) {
        let mut state = self.lock();
        if state.phase != Phase::Planned {
            tracing::info!(target: console::TARGET, "http: %start not sane");
            return;
        }
        state.phase = if start.complete {
            Phase::Complete
        } else {
            Phase::Started
        };
        let first_len = start.data.as_ref().map_or(0, Body::len);
        state.opening = Some(Opening {
            status: start.status,
            headers: start.headers,
            first_len,
        });
        self.push(&mut state, start.data);
    }

    /// The kernel goes on.
    pub(crate) fn proceed(&self, data: Option<Body>, complete: bool) {
        let mut state = self.lock();
        match state.phase {
            Phase::Planned => {
                tracing::info!(target: console::TARGET, "http: %continue before %start");
            }
            Phase::Started => {
                if complete {
                    state.phase = Phase::Complete;
                }
                self.push(&mut state, data);
            }
            Phase::Complete
            | Phase::Cancelled
            | Phase::Failed(_)
            | Phase::Declined
            | Phase::Severed
            | Phase::Over => {}
        }
    }

    /// The kernel gives up.
    pub(crate) fn cancel(&self) {
        let mut state = self.lock();
        match state.phase {
            Phase::Planned => state.phase = Phase::Failed(&Reply::HOSED),
            Phase::Started => state.phase = Phase::Cancelled,
            _ => return,
        }
        self.changed.notify_one();
    }

    /// What became of the request's event. Committed, the kernel's answer is waited for; otherwise there is none.
    fn settle(&self, outcome: &Outcome) {
        let reply = match outcome {
            Outcome::Committed { .. } => return,
            Outcome::Bailed(_) | Outcome::Dropped(DropReason::KilledSerf | DropReason::Refused) => {
                &Reply::HOSED
            }
            Outcome::Dropped(DropReason::TooLarge) => &Reply::TOO_LARGE,
            Outcome::Dropped(DropReason::OfficeOver) | Outcome::Unknown => &Reply::UNAVAILABLE,
        };
        self.reply(reply);
    }

    /// This goes out, if nothing else has begun to.
    pub(crate) fn reply(&self, reply: &'static Reply) {
        self.settle_for(Phase::Failed(reply));
    }

    /// Somebody else is to answer, if nothing has begun to go out.
    pub(crate) fn decline(&self) {
        self.settle_for(Phase::Declined);
    }

    fn settle_for(&self, phase: Phase) {
        let mut state = self.lock();
        if state.phase == Phase::Planned {
            state.phase = phase;
            self.changed.notify_one();
        }
    }

    /// What to do next. What was taken before counts as written.
    pub(crate) fn take(&self) -> Taken {
        let mut state = self.lock();
        self.forget_written(&mut state);
        let end = match state.phase {
            Phase::Planned | Phase::Over => return Taken::Nothing,
            Phase::Severed => return Taken::Severed,
            Phase::Declined => return Taken::Declined,
            Phase::Failed(reply) => return Taken::Reply(reply),
            Phase::Started if state.opening.is_none() && state.parts.is_empty() => return Taken::Nothing,
            Phase::Started => End::Open,
            Phase::Complete => End::Whole,
            Phase::Cancelled => End::Aborted,
        };
        state.writing = std::mem::take(&mut state.queued);
        let parts = std::mem::take(&mut state.parts);
        let chunks = parts.into_iter().flat_map(Body::into_chunks).collect();
        Taken::Part(Part {
            opening: state.opening.take(),
            chunks,
            end,
        })
    }

    /// Whether the response outgrew its bound: what is being written is not worth finishing.
    pub(crate) fn is_severed(&self) -> bool {
        self.lock().phase == Phase::Severed
    }

    /// Waits until there may be something to take.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The connection is done with it. True if the kernel still owes (more of) a response: it is to be told.
    pub(crate) fn abandon(&self) -> bool {
        let mut state = self.lock();
        let owed = matches!(state.phase, Phase::Planned | Phase::Started | Phase::Severed);
        state.phase = Phase::Over;
        self.forget_written(&mut state);
        self.drop_queue(&mut state);
        owed
    }

    /// Appends to the body, unless too much of it waits already.
    fn push(&self, state: &mut State, data: Option<Body>) {
        let backlog = state.queued + state.writing;
        let everyone = self.waiting.load(Ordering::Relaxed);
        if backlog > HTTP_RESPONSE_BYTES || (backlog > 0 && everyone > HTTP_RESPONSES_BYTES) {
            state.phase = Phase::Severed;
            self.drop_queue(state);
        } else if let Some(data) = data {
            let cost = data.len() + HTTP_PART_COST;
            state.queued += cost;
            self.waiting.fetch_add(cost, Ordering::Relaxed);
            state.parts.push(data);
        }
        self.changed.notify_one();
    }

    fn forget_written(&self, state: &mut State) {
        self.waiting
            .fetch_sub(std::mem::take(&mut state.writing), Ordering::Relaxed);
    }

    fn drop_queue(&self, state: &mut State) {
        self.waiting
            .fetch_sub(std::mem::take(&mut state.queued), Ordering::Relaxed);
        state.parts = Vec::new();
        state.opening = None;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use seguro_event::EventNumber;
    use serf_ipc::{FromNoun, Noun, n};

    const ID: RequestId = RequestId {
        server: 1,
        connection: 2,
        sequence: 3,
    };

    fn open() -> (Arc<Exchanges>, Opened) {
        let exchanges = Arc::new(Exchanges::default());
        let opened = exchanges.open(ID);
        (exchanges, opened)
    }

    fn body(bytes: &[u8]) -> Option<Body> {
        Some(Body::from_noun(&n![bytes.len() as u64, Noun::from_le_bytes(bytes)]).unwrap())
    }

    /// A body of many bytes that costs no memory.
    fn vast(len: usize) -> Option<Body> {
        Some(Body::from_noun(&n![len as u64, 0u64]).unwrap())
    }

    fn start(data: Option<Body>, complete: bool) -> Start {
        Start {
            status: 200,
            headers: Vec::new(),
            data,
            complete,
        }
    }

    /// What is taken: whether with a head, the bytes, and how it ends.
    fn part(exchange: &Exchange) -> (bool, Vec<u8>, End) {
        match exchange.take() {
            Taken::Part(part) => (part.opening.is_some(), part.chunks.concat(), part.end),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_response_is_taken_in_the_pieces_that_have_come() {
        let (_, exchange) = open();
        assert!(matches!(exchange.take(), Taken::Nothing));
        exchange.start(start(body(b"a"), false));
        exchange.proceed(body(b"b\0"), false);
        assert_eq!(part(&exchange), (true, b"ab\0".to_vec(), End::Open));
        assert!(matches!(exchange.take(), Taken::Nothing));
        exchange.proceed(None, false);
        assert!(matches!(exchange.take(), Taken::Nothing), "nothing to write");
        exchange.proceed(body(b"c"), true);
        assert_eq!(part(&exchange), (false, b"c".to_vec(), End::Whole));
        assert!(!exchange.abandon(), "the kernel owes nothing");
    }

    #[test]
    fn a_head_alone_is_a_piece() {
        let (_, exchange) = open();
        exchange.start(start(None, false));
        assert_eq!(part(&exchange), (true, Vec::new(), End::Open));
        exchange.proceed(None, true);
        assert_eq!(part(&exchange), (false, Vec::new(), End::Whole));
    }

    #[test]
    fn out_of_turn_the_kernel_is_not_heard() {
        let (_, exchange) = open();
        exchange.proceed(body(b"early"), true);
        assert!(matches!(exchange.take(), Taken::Nothing));
        exchange.start(start(body(b"first"), true));
        exchange.start(start(body(b"second"), true));
        exchange.proceed(body(b"late"), false);
        exchange.cancel();
        assert_eq!(part(&exchange), (true, b"first".to_vec(), End::Whole));
    }

    #[test]
    fn a_cancel_before_the_start_is_a_failure_and_after_it_an_abort() {
        let (_, exchange) = open();
        exchange.cancel();
        assert!(matches!(exchange.take(), Taken::Reply(reply) if *reply == Reply::HOSED));
        exchange.start(start(None, true));
        assert!(matches!(exchange.take(), Taken::Reply(_)), "it stays failed");
        assert!(!exchange.abandon());

        let (_, exchange) = open();
        exchange.start(start(body(b"a"), false));
        exchange.cancel();
        assert_eq!(part(&exchange), (true, b"a".to_vec(), End::Aborted));
        assert!(!exchange.abandon());
    }

    #[test]
    fn an_event_that_came_to_nothing_fails_its_request() {
        let outcomes = [
            (Outcome::Bailed(Vec::new()), &Reply::HOSED),
            (Outcome::Dropped(DropReason::KilledSerf), &Reply::HOSED),
            (Outcome::Dropped(DropReason::TooLarge), &Reply::TOO_LARGE),
            (Outcome::Dropped(DropReason::OfficeOver), &Reply::UNAVAILABLE),
            (Outcome::Unknown, &Reply::UNAVAILABLE),
        ];
        for (outcome, expected) in outcomes {
            let (_, exchange) = open();
            exchange.teller().tell(&outcome);
            assert!(
                matches!(exchange.take(), Taken::Reply(reply) if reply == expected),
                "{outcome:?}"
            );
            assert!(!exchange.abandon());
        }
        let (_, exchange) = open();
        exchange.teller().tell(&Outcome::Committed {
            event: EventNumber(9),
            swapped: true,
        });
        assert!(matches!(exchange.take(), Taken::Nothing));
        drop(exchange.teller());
        assert!(matches!(exchange.take(), Taken::Reply(reply) if *reply == Reply::UNAVAILABLE));
    }

    #[test]
    fn what_became_of_the_event_does_not_touch_an_answer() {
        let (_, exchange) = open();
        exchange.start(start(body(b"a"), true));
        exchange.teller().tell(&Outcome::Unknown);
        assert_eq!(part(&exchange), (true, b"a".to_vec(), End::Whole));
    }

    #[test]
    fn it_is_found_until_its_connection_is_done() {
        let (exchanges, exchange) = open();
        assert!(exchanges.find(ID).is_some() && exchanges.find(RequestId { sequence: 4, ..ID }).is_none());
        exchange.start(start(body(b"abc"), false));
        assert_eq!(exchanges.waiting(), 3 + HTTP_PART_COST);
        drop(exchange);
        assert!(exchanges.find(ID).is_none());
        assert_eq!((exchanges.len(), exchanges.waiting()), (0, 0));
    }

    #[test]
    fn the_kernel_is_told_of_an_abandoned_request_that_it_owes_an_answer() {
        let (_, exchange) = open();
        assert!(exchange.abandon());
        assert!(!exchange.abandon(), "once");
        let (_, exchange) = open();
        exchange.start(start(None, false));
        assert!(exchange.abandon());
        exchange.proceed(body(b"a"), true);
        assert_eq!(
            exchange.waiting.load(Ordering::Relaxed),
            0,
            "and nothing more is kept"
        );
    }

    #[test]
    fn what_is_being_written_counts_until_the_next_is_taken() {
        let (exchanges, exchange) = open();
        exchange.start(start(vast(1000), false));
        let _ = exchange.take();
        assert_eq!(exchanges.waiting(), 1000 + HTTP_PART_COST);
        let _ = exchange.take();
        assert_eq!(exchanges.waiting(), 0);
    }

    #[test]
    fn one_part_may_be_larger_than_the_bound_but_nothing_may_wait_behind_it() {
        let (exchanges, exchange) = open();
        exchange.start(start(vast(2 * HTTP_RESPONSE_BYTES), false));
        assert!(!exchange.is_severed());
        exchange.proceed(body(b"a"), false);
        assert!(exchange.is_severed());
        assert!(matches!(exchange.take(), Taken::Severed));
        assert_eq!(exchanges.waiting(), 0);
        assert!(exchange.abandon(), "the kernel is told");
    }

    #[test]
    fn a_client_that_keeps_up_may_have_any_number_of_parts() {
        let (_, exchange) = open();
        exchange.start(start(None, false));
        for _ in 0..10 {
            exchange.proceed(vast(HTTP_RESPONSE_BYTES / 2), false);
            let _ = exchange.take();
        }
        assert!(!exchange.is_severed());
    }

    #[test]
    fn empty_parts_are_bounded_too() {
        let (_, exchange) = open();
        exchange.start(start(None, false));
        let parts = (0..).take_while(|_| {
            exchange.proceed(vast(0), false);
            !exchange.is_severed()
        });
        assert!(parts.count() <= HTTP_RESPONSE_BYTES / HTTP_PART_COST + 1);
    }

    #[test]
    fn all_responses_together_are_bounded() {
        let exchanges = Arc::new(Exchanges::default());
        let open = |sequence| {
            let exchange = exchanges.open(RequestId { sequence, ..ID });
            exchange.start(start(vast(HTTP_RESPONSE_BYTES), false));
            exchange
        };
        let full = (0..=HTTP_RESPONSES_BYTES / HTTP_RESPONSE_BYTES)
            .map(|at| open(at as u64))
            .collect::<Vec<_>>();
        assert!(exchanges.waiting() > HTTP_RESPONSES_BYTES);
        // Whoever has nothing waiting is served all the same, once.
        let late = exchanges.open(RequestId { sequence: 99, ..ID });
        late.start(start(vast(10), false));
        assert!(!late.is_severed());
        late.proceed(vast(10), false);
        assert!(late.is_severed());
        drop(full);
        assert_eq!(exchanges.waiting(), 0);
    }
}
