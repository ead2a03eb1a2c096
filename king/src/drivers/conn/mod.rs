//! conn: the control socket, `.urb/conn.sock`: events, peeks, threads and the runtime's own figures, for whoever may
//! open the pier's files (`spec/drivers.md` section 10).
//!
//! ```text
//! client ──frames──▶ connection.rs ──Intake──▶ pier
//!    ▲                    ▲                      │
//!    └────── answer.rs ───┴── outcomes, answers, effects, each after its commit
//! ```
//!
//! What a client is told is true of the ship wherever it runs: `%news %done` says that a quorum has the event, `%news
//! %drop` that it never will be in the log, `%bail` that the kernel refused it. Of a request whose fate this member
//! cannot know, since it lost its office meanwhile, nothing is told: the connection is closed instead. A client then
//! asks the next leader, and does not repeat an event blindly.
//!
//! Requests of one connection are worked on at once and answered as they complete. What a connection may have
//! unanswered is bounded ([`limits::CONN_UNITS`]): beyond it, and while the client does not
//! read its answers, it is not read.
//!
//! Differences from vere, on purpose: what makes the C king abort (a tag that is a cell, an event without a proper wire
//! or card, an effect that conn does not know) closes the connection; a thread whose start crashed is answered
//! `%bail`; a peek that this member may not answer closes the connection, where `~` would mean that nothing is there;
//! requests are named in the debugging log, not on the console.

mod answer;
mod connection;
mod peel;
mod request;
mod socket;
#[cfg(test)]
mod tests;

pub(crate) use self::request::fuzz;
use self::{connection::Connection, request::Refusal};
use crate::{
    clock, console,
    driver::{Claim, Driver, DriverContext, Effect, Outcome},
    limits,
    ovum::Ovum,
};
use serf_ipc::{
    Noun, n,
    text::{self, Aura},
};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::{net::UnixListener, sync::Semaphore, task::AbortHandle};

/// Makes the driver.
#[must_use]
pub fn new(context: DriverContext) -> Box<dyn Driver> {
    let instance = clock::session_knot(clock::now());
    let shared = Shared {
        context,
        instance,
        khan: AtomicBool::new(false),
        stopping: AtomicBool::new(false),
        connections: Mutex::default(),
    };
    Box::new(Conn {
        shared: Arc::new(shared),
        acceptor: None,
    })
}

struct Conn {
    shared: Arc<Shared>,
    /// The task that takes connections; Some while the socket is there.
    acceptor: Option<AbortHandle>,
}

/// What the driver and its connections share.
struct Shared {
    context: DriverContext,
    /// The knot that tells this driver's wires from those of earlier ones.
    instance: String,
    /// Whether the ship has khan, which runs threads.
    khan: AtomicBool,
    stopping: AtomicBool,
    /// By number; numbers count from 1.
    connections: Mutex<HashMap<u32, Connection>>,
}

impl Driver for Conn {
    fn name(&self) -> &'static str {
        "conn"
    }

    fn start(&mut self) -> anyhow::Result<()> {
        let context = &self.shared.context;
        let born = Ovum::new("k", ["khan", &self.shared.instance], n!["born", Noun::ZERO]);
        let shared = Arc::clone(&self.shared);
        context
            .intake
            .plan_now(born, Some(Box::new(move |outcome| shared.was_born(&outcome))));

        let listener = socket::listen(&context.pier)?;
        let listener = {
            let _entered = context.runtime.enter();
            UnixListener::from_std(listener)?
        };
        let path = socket::path(&context.pier);
        tracing::info!(target: console::TARGET, "conn: listening on {}", path.display());
        let acceptor = context.runtime.spawn(accept(Arc::clone(&self.shared), listener));
        self.acceptor = Some(acceptor.abort_handle());
        Ok(())
    }

    fn effect(&mut self, effect: &Effect<'_>) -> Claim {
        let Some((number, rid)) = self.shared.read_wire(effect) else {
            return Claim::Passed;
        };
        let Some(connection) = self.shared.connections().get(&number).cloned() else {
            tracing::info!(target: console::TARGET, "conn: handle-no-coq {} {number}", self.shared.instance);
            return Claim::Taken;
        };
        if effect.tag == "avow" {
            connection.avow(rid, effect.data.clone());
        } else {
            connection.outbox.refuse(Refusal::HandleUnknown);
        }
        Claim::Taken
    }

    fn is_live(&self) -> bool {
        self.acceptor.is_some()
    }

    fn info(&self) -> Vec<(String, u64)> {
        vec![("connections".to_owned(), self.shared.connections().len() as u64)]
    }

    fn stop(&mut self) {
        let Some(acceptor) = self.acceptor.take() else {
            return;
        };
        self.shared.stopping.store(true, Ordering::SeqCst);
        acceptor.abort();
        if let Err(error) = socket::remove(&socket::path(&self.shared.context.pier)) {
            tracing::warn!(target: console::TARGET, "conn: failed to unlink socket: {error}");
        }
        for connection in self.shared.connections().values() {
            connection.outbox.hang_up();
        }
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Takes connections, so many at once, and gives each a task and a number.
async fn accept(shared: Arc<Shared>, listener: UnixListener) {
    let room = Arc::new(Semaphore::new(limits::CONN_CONNECTIONS));
    // The numbers stand in wires, where 31 bits are read.
    for number in (1..1 << 31).cycle() {
        let place = Arc::clone(&room).acquire_owned().await;
        let stream = socket::accept(&listener).await;
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            connection::serve(shared, number, stream).await;
            drop(place);
        });
    }
}

impl Shared {
    fn connections(&self) -> MutexGuard<'_, HashMap<u32, Connection>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_khan(&self) -> bool {
        self.khan.load(Ordering::Relaxed)
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// The wire `/khan/instance/number[/name]`.
    fn wire(&self, number: u32, name: Option<&str>) -> Vec<String> {
        let knots = [
            "khan".to_owned(),
            self.instance.clone(),
            text::ud(u64::from(number)),
        ];
        knots.into_iter().chain(name.map(str::to_owned)).collect()
    }

    /// The connection and request that an effect's wire names, if it is one of this driver's. As in vere a wire may
    /// stop early, and names number 0 then.
    fn read_wire(&self, effect: &Effect<'_>) -> Option<(u32, Noun)> {
        if !effect.wire_starts("khan") {
            return None;
        }
        let knots = effect.knots()?;
        let (number, name) = match &knots[1..] {
            [instance] if *instance == self.instance => ("0", "0v0"),
            [instance, number] if *instance == self.instance => (number.as_str(), "0v0"),
            [instance, number, name] if *instance == self.instance => (number.as_str(), name.as_str()),
            _ => return None,
        };
        Some((
            text::knot_number(Aura::Ud, number)?,
            text::slaw(Aura::Uv, name).ok()?,
        ))
    }

    fn was_born(&self, outcome: &Outcome) {
        match outcome {
            Outcome::Committed { .. } => self.khan.store(true, Ordering::Relaxed),
            Outcome::Bailed(_) | Outcome::Dropped(_) => {
                tracing::warn!(target: console::TARGET, "conn: %born failure; %fyrd not supported");
            }
            Outcome::Unknown => {}
        }
    }

    /// Tells the ship that a client is gone: its threads have nobody to answer.
    async fn closed(&self, number: u32) {
        if !self.has_khan() || self.is_stopping() {
            return;
        }
        let ovum = Ovum::new("k", self.wire(number, None), n!["done", Noun::ZERO]);
        let failed = ovum.clone();
        let told = move |outcome: Outcome| connection::report_bail(&failed, &outcome);
        self.context.intake.plan(ovum, Some(Box::new(told))).await;
    }
}
