//! http: the ship's web servers, eyre's hands (`spec/drivers.md` section 6).
//!
//! ```text
//! server.rs ──accepts──▶ connection.rs ──%request──▶ pier ──%response──▶ Http::effect
//!                             ▲                                               │
//!                             └──────────────── exchange.rs ◀─────────────────┘
//! ```
//!
//! HTTP/1.1 is spoken here by ourselves, over `httparse`, and not through `hyper`. Clients of a ship have lived with
//! the bytes of vere's server library: `Date` first and the kernel's headers last, reversed, in the kernel's own
//! case, duplicates apart, a `Content-Length` beside chunks where the kernel says so, bodies that end with their
//! connection, a broken chunk for an abort. `hyper` orders, folds, checks and completes heads, and offers no way
//! around it.
//!
//! A connection is a task, not a thread, and an event stream that says nothing costs a few kilobytes. Everything that
//! a client can make grow has a bound in [`crate::limits`].
//!
//! | file | |
//! | --- | --- |
//! | `server.rs` | listening, starting anew, ending |
//! | `socket.rs`, `tls.rs` | a connection as bytes, plain or not |
//! | `connection.rs` | one connection's life |
//! | `request.rs`, `chunked.rs` | a request from bytes |
//! | `head.rs`, `outgoing.rs`, `failure.rs` | a response as bytes |
//! | `exchange.rs` | a request between the driver and its connection |
//! | `ports.rs`, `memory.rs` | what there is to have |
//! | `shapes.rs`, `wire.rs` | nouns |
//! | `fuzz.rs` | a fuzzer's way in |

mod chunked;
mod connection;
mod exchange;
mod failure;
pub(crate) mod fuzz;
mod head;
mod memory;
mod outgoing;
mod ports;
mod request;
mod server;
mod shapes;
mod socket;
#[cfg(test)]
mod tests;
mod tls;
mod wire;

use self::{
    server::{Bounds, Servers},
    shapes::{Command, Config, Response},
    wire::RequestId,
};
use crate::{
    clock, console,
    driver::{Claim, Driver, DriverContext, Effect},
    ovum::Ovum,
};
use serf_ipc::Noun;
use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::sync::watch;

/// Its name, as in the console's lines.
const NAME: &str = "http";

/// The driver.
pub struct Http {
    context: DriverContext,
    /// Tells this instance from earlier ones.
    instance: u32,
    servers: Arc<Servers>,
    /// The configuration that the servers are to have; the latest one rules.
    config: watch::Sender<Option<Config>>,
    is_live: Arc<AtomicBool>,
    /// The tokens of the sessions that are logged in: they open the runtime's own endpoints.
    sessions: HashSet<Vec<u8>>,
}

impl Http {
    /// Makes the driver.
    #[expect(
        clippy::new_ret_no_self,
        reason = "the pier knows drivers as trait objects only"
    )]
    #[must_use]
    pub fn new(context: DriverContext) -> Box<dyn Driver> {
        Box::new(Http::with(context, Bounds::default()))
    }

    fn with(context: DriverContext, bounds: Bounds) -> Http {
        let instance = Noun::from_u128(clock::now()).mug().0;
        let servers = Arc::new(Servers::new(&context, instance, bounds));
        let config = watch::Sender::new(None);
        Http {
            context,
            instance,
            servers,
            config,
            is_live: Arc::default(),
            sessions: HashSet::new(),
        }
    }

    /// Passes a part of a response on to its connection, if that is still there.
    fn respond(&self, id: RequestId, response: Response) {
        let Some(exchange) = self.servers.shared().exchanges.find(id) else {
            tracing::debug!("http: request not found: {}", id.knots().join("/"));
            return;
        };
        match response {
            Response::Start(start) => exchange.start(start),
            Response::Continue { data, complete } => exchange.proceed(data, complete),
            Response::Cancel(()) => exchange.cancel(),
        }
    }
}

impl Driver for Http {
    fn name(&self) -> &'static str {
        NAME
    }

    fn start(&mut self) -> anyhow::Result<()> {
        let knot = wire::server_knot(self.instance);
        self.context
            .intake
            .plan_now(Ovum::new("e", [wire::HEAD, &knot], shapes::born()), None);

        let mut configs = self.config.subscribe();
        let (servers, is_live) = (Arc::clone(&self.servers), Arc::clone(&self.is_live));
        let intake = self.context.intake.clone();
        // Ends when the driver is dropped, and the sender of configurations with it.
        self.context.runtime.spawn(async move {
            while configs.changed().await.is_ok() {
                let config = configs.borrow_and_update().clone();
                if let Some(config) = config
                    && servers.restart(&config).await
                    && !is_live.swap(true, Ordering::Relaxed)
                {
                    intake.poke();
                }
            }
        });
        Ok(())
    }

    fn effect(&mut self, effect: &Effect<'_>) -> Claim {
        let Some(id) = RequestId::of(effect) else {
            return Claim::Passed;
        };
        match Command::read(effect.tag, effect.data) {
            Ok(Command::SetConfig(config)) => {
                self.config.send_replace(Some(config));
            }
            Ok(Command::Sessions(sessions)) => self.sessions = sessions,
            Ok(Command::Grow) => {}
            Ok(Command::Response(response)) => self.respond(id, response),
            Err(error) if effect.tag == "set-config" => {
                tracing::info!(target: console::TARGET, "http: form: invalid card");
                tracing::warn!("http: event {}: {error}", effect.event);
            }
            Err(error) => {
                // Nobody is left waiting for what cannot be read.
                if let Some(exchange) = self.servers.shared().exchanges.find(id) {
                    tracing::info!(target: console::TARGET, "http: strange response");
                    exchange.cancel();
                }
                tracing::warn!("http: event {}: {error}", effect.event);
            }
        }
        Claim::Taken
    }

    fn is_live(&self) -> bool {
        self.is_live.load(Ordering::Relaxed)
    }

    fn info(&self) -> Vec<(String, u64)> {
        let exchanges = &self.servers.shared().exchanges;
        let mut lines = vec![
            ("instance".to_owned(), u64::from(self.instance)),
            ("sessions".to_owned(), self.sessions.len() as u64),
            ("open-requests".to_owned(), exchanges.len() as u64),
            ("response-bytes-waiting".to_owned(), exchanges.waiting() as u64),
        ];
        for server in self.servers.listening() {
            let knot = wire::server_knot(server.number);
            lines.push((format!("{knot}/port"), u64::from(server.port)));
            lines.push((format!("{knot}/connections"), server.connections()));
        }
        lines
    }

    fn stop(&mut self) {
        self.servers.end();
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        self.stop();
    }
}
