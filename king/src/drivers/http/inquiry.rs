//! A whole request, and how it comes to its answer. Which version of HTTP it came in does not matter here.

use super::{
    cache::{Answer, Page},
    connection::Client,
    exchange::{Exchange, Opened, Teller},
    own::Source,
    reply::Reply,
    request::Head,
    server::Service,
    shapes::{self, Request, Start},
    wire::RequestId,
};
use crate::{
    console,
    driver::{self, Intake, Outcome, OutcomeCallback, PeekAnswer, PierInfo},
    drivers::report,
    ovum::Ovum,
};
use std::{future::Future, pin::pin, sync::Arc};
use tokio::{sync::OwnedSemaphorePermit, time::Instant};

/// A card with a body beyond this is made on a thread that may take its time.
const LARGE_BODY: usize = 1 << 20;

/// A whole request.
pub(crate) struct Inquiry {
    /// Its head.
    pub(crate) head: Box<Head>,
    /// Its body.
    pub(crate) body: Vec<u8>,
    /// The memory that both take.
    pub(crate) memory: Option<OwnedSemaphorePermit>,
}

/// Who brings an answer to its client.
pub(crate) trait Responder {
    /// What passing an answer on ends with.
    type End: Send;

    /// Passes an answer on as it comes. It must begin before the deadline. None if there is none here: somebody else is
    /// to be asked.
    fn pass_on(
        &mut self,
        exchange: &Opened,
        deadline: Instant,
    ) -> impl Future<Output = Option<Self::End>> + Send;
}

/// How a request ended.
pub(crate) struct Answered<End> {
    /// For its client.
    pub(crate) end: End,
    /// The request, if the kernel still owes it an answer that nobody waits for.
    pub(crate) owed: Option<RequestId>,
}

impl Inquiry {
    /// Has it answered.
    pub(crate) async fn answer<R: Responder>(
        mut self,
        client: &Client,
        responder: &mut R,
    ) -> Answered<R::End> {
        let deadline = Instant::now() + client.shared.bounds.start_patience;
        let method = match client.shared.own.source(&self.head) {
            Source::Kernel(method) => method,
            source => {
                if !matches!(source, Source::Page(Page::Grown(_))) {
                    // The kernel will not see it, and a stream of slogs may last for days.
                    (self.body, self.memory) = (Vec::new(), None);
                }
                let exchange = client.shared.exchanges.open_unnamed();
                self.answer_ourselves(client, source, &exchange);
                if let Some(end) = responder.pass_on(&exchange, deadline).await {
                    return Answered { end, owed: None };
                }
                // The ship has taken the page away. Only a GET is answered with one.
                "GET"
            }
        };
        self.ask_kernel(client, method, responder, deadline).await
    }

    /// Begins an answer of the runtime's own.
    fn answer_ourselves(&self, client: &Client, source: Source, exchange: &Opened) {
        match source {
            Source::Kernel(_) | Source::Unknown => exchange.reply(&Reply::BAD_REQUEST),
            Source::Unreadable => {
                client.next_id();
                exchange.reply(&Reply::BAD_REQUEST);
            }
            Source::Health => look_after(client, exchange),
            Source::Slogs(is_known) => {
                client.next_id();
                match is_known {
                    true => client.shared.own.slogs.open(exchange.exchange()),
                    false => exchange.start(Start::bare(403)),
                }
            }
            Source::Page(page) => {
                client.next_id();
                self.look_up(client, page, exchange);
            }
        }
    }

    /// Answers with a page: as it was read before, or as it is read now.
    fn look_up(&self, client: &Client, page: Page, exchange: &Opened) {
        let is_known = client.shared.own.sessions.admit(&self.head.headers);
        if let Some(answer) = client.shared.own.cache.get(&page) {
            return give_page(exchange, &page, &answer, is_known);
        }
        let (teller, own) = (exchange.teller(), Arc::clone(&client.shared.own));
        let sample = page.sample();
        let told = Box::new(move |answer: PeekAnswer| {
            if let PeekAnswer::Unavailable = answer {
                return teller.give(|exchange| exchange.reply(&Reply::UNAVAILABLE));
            }
            if let PeekAnswer::Bailed(goof) = &answer {
                console::goofs(std::slice::from_ref(goof));
            }
            let answer = page.read(&answer.or_null());
            teller.give(|exchange| give_page(exchange, &page, &answer, is_known));
            own.cache.put(page, answer);
        });
        // Given back, it is dropped, and that is told as well: 503.
        drop(client.shared.intake.try_peek(sample, told));
    }

    /// Plans the request's event, and has the kernel's response passed on.
    async fn ask_kernel<R: Responder>(
        self,
        client: &Client,
        method: &'static str,
        responder: &mut R,
        deadline: Instant,
    ) -> Answered<R::End> {
        let id = client.next_id();
        let exchange = client.shared.exchanges.open(id);
        let request = Request::new(*self.head, method, self.body, client.server.kind, client.address);
        let mut is_planned = false;
        let plan = async {
            // Without an ovum the runtime ends, and with it the exchange's teller: 503.
            let teller = exchange.teller();
            if let Some(ovum) = make_ovum(id, request).await {
                let outcome = on_outcome(&ovum, teller, self.memory);
                client.shared.intake.plan(ovum, Some(outcome)).await;
            }
        };
        let end = {
            let mut plan = pin!(plan);
            let mut passed = pin!(responder.pass_on(&exchange, deadline));
            loop {
                tokio::select! {
                    biased;
                    () = &mut plan, if !is_planned => is_planned = true,
                    end = &mut passed => break end,
                }
            }
        };
        let Some(end) = end else {
            unreachable!("the kernel cannot decline a request")
        };
        // An event that was never planned is not cancelled; in an ending office none is.
        let is_over = *client.service().borrow() == Service::Over;
        let is_owed = exchange.abandon() && is_planned && !is_over;
        Answered {
            end,
            owed: is_owed.then_some(id),
        }
    }
}

/// Tells the kernel that nobody waits for its answer.
pub(crate) async fn cancel(intake: &Intake, id: RequestId) {
    let ovum = Ovum::new("e", id.knots(), shapes::cancel_request());
    intake.plan(ovum, None).await;
}

/// Answers whether the serf is at work.
fn look_after(client: &Client, exchange: &Opened) {
    let teller = exchange.teller();
    let told = Box::new(move |info: PierInfo| {
        let reply = if info.computing {
            &Reply::BUSY
        } else {
            &Reply::IDLE
        };
        teller.give(|exchange| exchange.reply(reply));
    });
    client.shared.intake.request(driver::Request::Info(told));
}

/// Answers with a page.
fn give_page(exchange: &Exchange, page: &Page, answer: &Answer, is_known: bool) {
    match (page, answer) {
        (Page::Grown(_), Answer::Nothing) => exchange.decline(),
        (_, Answer::Nothing | Answer::Strange) => exchange.reply(&Reply::SCRY_FAILED),
        (_, Answer::Entry(entry)) if entry.auth && !is_known => exchange.reply(&Reply::UNAUTHORIZED),
        (_, Answer::Entry(entry)) => exchange.start(entry.start.clone()),
    }
}

/// Tells the exchange what became of its event. Until then the request's memory counts as held.
fn on_outcome(ovum: &Ovum, teller: Teller, memory: Option<OwnedSemaphorePermit>) -> OutcomeCallback {
    let ovum = ovum.clone();
    Box::new(move |outcome| {
        if let Outcome::Bailed(goofs) = &outcome {
            report::bailed(super::NAME, &ovum, goofs);
        }
        teller.tell(&outcome);
        drop(memory);
    })
}

/// The request's event. None if the runtime ends meanwhile.
async fn make_ovum(id: RequestId, request: Request) -> Option<Ovum> {
    let is_large = request.body.len() > LARGE_BODY;
    let make = move || Ovum::new("e", id.knots(), request.into_card());
    if is_large {
        tokio::task::spawn_blocking(make).await.ok()
    } else {
        Some(make())
    }
}
