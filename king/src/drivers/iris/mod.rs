//! iris: the ship's requests to web servers, cttp in vere's words (`spec/drivers.md` section 7).
//!
//! ```text
//! pier ──%request──▶ Iris::effect ──▶ client.rs, a task each ──▶ server
//!   ▲                                      │
//!   └───────────────%receive───────────────┘
//! ```
//!
//! HTTP/1.1 with one connection for each request; no redirect is followed; the whole response is one event, and a failure one with the
//! status 504. What is on its way when an office ends is dropped: its connection is closed, and its answer is no event of any ship. The next
//! leader's `%born` makes the ship take it for lost, and nothing is asked twice.
//!
//! Differences from vere, on purpose: a URL that the kernel's parser refuses is answered 504 too, where vere says nothing and the ship waits for
//! ever; bytes that would break a request's lines are escaped or refused; there are bounds.

mod client;
mod response;
mod shapes;
#[cfg(test)]
mod tests;
mod url;

use self::{
    client::Client,
    response::{Failure, Response},
    shapes::{Command, Request},
    url::Url,
};
use crate::{
    clock, console,
    driver::{Claim, Driver, DriverContext, Effect},
    limits,
    ovum::Ovum,
};
use serf_ipc::Noun;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{sync::Semaphore, task::AbortHandle};

/// The wire's first knot.
const WIRE: &str = "http-client";

/// Makes the driver.
#[must_use]
pub fn new(context: DriverContext) -> Box<dyn Driver> {
    Box::new(Iris::new(context, Client::trusting_the_usual))
}

/// What makes the client, once it is needed.
type MakeClient = fn() -> anyhow::Result<Client>;

struct Iris {
    context: DriverContext,
    /// This office's knot.
    session: String,
    make_client: MakeClient,
    client: Option<Arc<Client>>,
    running: Running,
    /// What may be asked at once.
    places: Arc<Semaphore>,
    asked: u64,
}

/// Requests by the ship's numbers, of which it may give one to several: each with its own number here, and its task.
type ByNumber = HashMap<u32, Vec<(u64, AbortHandle)>>;

/// What is on its way.
#[derive(Clone, Default)]
struct Running(Arc<Mutex<ByNumber>>);

impl Running {
    fn lock(&self) -> MutexGuard<'_, ByNumber> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self) -> usize {
        self.lock().values().map(Vec::len).sum()
    }

    /// Ends the latest of this number, as vere.
    fn cancel(&self, number: u32) {
        let mut running = self.lock();
        if let Some(of_it) = running.get_mut(&number) {
            if let Some((_, task)) = of_it.pop() {
                task.abort();
            }
            if of_it.is_empty() {
                running.remove(&number);
            }
        }
    }

    fn forget(&self, number: u32, asked: u64) {
        let mut running = self.lock();
        if let Some(of_it) = running.get_mut(&number) {
            of_it.retain(|(other, _)| *other != asked);
            if of_it.is_empty() {
                running.remove(&number);
            }
        }
    }

    fn end(&self) {
        for (_, task) in self.lock().drain().flat_map(|(_, tasks)| tasks) {
            task.abort();
        }
    }
}

impl Driver for Iris {
    fn name(&self) -> &'static str {
        "cttp"
    }

    fn start(&mut self) -> anyhow::Result<()> {
        self.context.intake.plan_now(self.ovum(shapes::born()), None);
        Ok(())
    }

    fn effect(&mut self, effect: &Effect<'_>) -> Claim {
        if !effect.wire_starts(WIRE) {
            return Claim::Passed;
        }
        match Command::read(effect.tag, effect.data) {
            Some(Ok(Command::Request(number, request))) => self.request(number, request),
            Some(Ok(Command::Cancel(number))) => self.running.cancel(number),
            Some(Err(error)) => {
                tracing::warn!(target: console::TARGET, "cttp: strange {}: {error}", effect.tag);
                return Claim::Passed;
            }
            None => {
                tracing::warn!(target: console::TARGET, "cttp: strange effect (unknown type)");
                return Claim::Passed;
            }
        }
        Claim::Taken
    }

    fn is_live(&self) -> bool {
        true
    }

    fn info(&self) -> Vec<(String, u64)> {
        vec![("requests".to_owned(), self.running.count() as u64)]
    }

    fn stop(&mut self) {
        self.running.end();
    }
}

impl Drop for Iris {
    fn drop(&mut self) {
        self.running.end();
    }
}

impl Iris {
    fn new(context: DriverContext, make_client: MakeClient) -> Iris {
        Iris {
            context,
            session: clock::session_knot(clock::now()),
            make_client,
            client: None,
            running: Running::default(),
            places: Arc::new(Semaphore::new(limits::IRIS_REQUESTS)),
            asked: 0,
        }
    }

    fn ovum(&self, card: Noun) -> Ovum {
        Ovum::new("i", [WIRE, &self.session], card)
    }

    fn client(&mut self) -> Result<Arc<Client>, Failure> {
        if let Some(client) = &self.client {
            return Ok(Arc::clone(client));
        }
        let made = (self.make_client)().map_err(|error| Failure::Tls(error.to_string()))?;
        Ok(Arc::clone(self.client.insert(Arc::new(made))))
    }

    fn request(&mut self, number: u32, request: Request) {
        let url = Url::parse(&request.url);
        if url.is_none() {
            let text = String::from_utf8_lossy(&request.url);
            tracing::warn!(target: console::TARGET, "cttp: unable to parse url:\n    {text}");
        }
        let ready = match url {
            None => Err(Failure::Unsendable("the url is none")),
            Some(_) if self.running.count() >= limits::IRIS_WAITING => Err(Failure::TooMany),
            Some(url) => self.client().map(|client| (client, url)),
        };
        self.asked += 1;
        let asked = self.asked;
        let (intake, session) = (self.context.intake.clone(), self.session.clone());
        let (running, places) = (self.running.clone(), Arc::clone(&self.places));
        // Whoever is done before this is remembered waits to be forgotten.
        let mut remembered = self.running.lock();
        let task = self.context.runtime.spawn(async move {
            let answer = match ready {
                Ok((client, url)) => ask(&client, &places, &url, &request).await,
                Err(failure) => Err(failure),
            };
            drop(request);
            let response = answer.unwrap_or_else(|failure| {
                tracing::warn!(target: console::TARGET, "http: fail ({number}, 504): {failure}");
                Response::failed()
            });
            let ovum = Ovum::new("i", [WIRE, &session], shapes::receive(number, response));
            intake.plan(ovum, None).await;
            running.forget(number, asked);
        });
        remembered
            .entry(number)
            .or_default()
            .push((asked, task.abort_handle()));
    }
}

async fn ask(client: &Client, places: &Semaphore, url: &Url, request: &Request) -> Result<Response, Failure> {
    // The places are never closed.
    let _place = places.acquire().await;
    let asking = client.ask(url, request);
    tokio::time::timeout(limits::IRIS_WHOLE_PATIENCE, asking)
        .await
        .unwrap_or(Err(Failure::TimedOut))
}

/// Any bytes as a server's, in reads of `size`, and as a URL. For a fuzzer.
pub(crate) fn fuzz(size: usize, is_head_only: bool, bytes: &[u8]) {
    response::fuzz(size, is_head_only, bytes);
    if let Some(url) = Url::parse(bytes) {
        assert!(url.target.starts_with(b"/"));
        assert!(url.target.iter().all(|byte| *byte > b' ' && *byte != 0x7f));
        assert!(!url.authority().contains(char::is_whitespace));
    }
}

/// Any noun as a card of the kernel's. For a fuzzer.
pub(crate) fn fuzz_noun(noun: &Noun) {
    let Some((tag, data)) = noun.as_cell() else { return };
    let Some(tag) = tag.as_cord() else { return };
    if let Some(Ok(Command::Request(_, request))) = Command::read(&tag, data)
        && let Some(url) = Url::parse(&request.url)
        && let Ok(bytes) = client::written(&url, &request)
    {
        let head = bytes.len() - request.body.as_deref().map_or(0, <[u8]>::len);
        let lines = bytes[..head].iter().filter(|byte| **byte == b'\n').count();
        let expected = request.headers.len() + 3 + usize::from(request.body.is_some());
        assert_eq!(lines, expected, "a line that nobody wrote");
    }
}
