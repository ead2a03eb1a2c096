//! http: the ship's web servers, eyre's hands (`spec/drivers.md` section 6).
//!
//! ```text
//!             ┌────────────▶ own.rs, pages and slogs ────┐
//! server.rs ─▶ connection.rs, http1.rs, inquiry.rs       ├─▶ exchange.rs ─▶ peer.rs ─▶ the client
//!             └─%request──▶ pier ─%response─▶ Http::effect┘
//! ```
//!
//! HTTP/1.1 is spoken here by ourselves, over `httparse`, and not through `hyper`. Clients of a ship have lived with
//! the bytes of vere's server library: `Date` first and the kernel's headers last, reversed, in the kernel's own
//! case, duplicates apart, a `Content-Length` beside chunks where the kernel says so, bodies that end with their
//! connection, a broken chunk for an abort. `hyper` orders, folds, checks and completes heads, and offers no way
//! around it. HTTP/2 has heads that leave nothing to be kept as it was, and is left to `h2`.
//!
//! A connection is a task, not a thread, and an event stream that says nothing costs a few kilobytes. Everything that
//! a client can make grow has a bound in [`crate::limits`]. A client that is slow to read is not waited for by anybody:
//! its response is kept for it up to a bound, and aborted beyond it. (vere keeps any amount.)
//!
//! | file | |
//! | --- | --- |
//! | `server.rs`, `ports.rs` | listening, starting anew, ending |
//! | `connection.rs`, `socket.rs`, `tls.rs` | one connection, plain or not |
//! | `http1.rs`, `request.rs`, `chunked.rs` | requests from bytes |
//! | `http2.rs`, `frames.rs` | requests and responses of HTTP/2 |
//! | `inquiry.rs`, `own.rs` | a whole request, and who answers it |
//! | `beam.rs`, `cache.rs`, `sessions.rs`, `slogs.rs` | what is answered without an event |
//! | `exchange.rs` | a request between who answers it and its connection |
//! | `peer.rs`, `outgoing.rs`, `head.rs`, `reply.rs` | a response as bytes |
//! | `memory.rs` | what there is for all |
//! | `shapes.rs`, `wire.rs` | nouns |
//! | `fuzz.rs` | a fuzzer's way in |

mod beam;
mod cache;
pub(crate) mod chunked;
mod connection;
mod exchange;
mod frames;
pub(crate) mod fuzz;
mod head;
mod http1;
mod http2;
mod inquiry;
mod memory;
mod outgoing;
mod own;
mod peer;
mod ports;
mod reply;
mod request;
mod server;
mod sessions;
mod shapes;
mod slogs;
mod socket;
#[cfg(test)]
mod tests;
mod tls;
mod wire;

use self::{
    own::Own,
    server::{Bounds, Servers},
    shapes::{Command, Config, Response},
    wire::RequestId,
};
use crate::{
    clock, console,
    driver::{Claim, Driver, DriverContext, Effect},
    limits::HTTP_SLOG_BEAT,
    ovum::Ovum,
};
use serf_ipc::Noun;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
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
        }
    }

    fn own(&self) -> &Own {
        &self.servers.shared().own
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
        // So does this one.
        let (own, mut over) = (Arc::clone(&self.servers.shared().own), self.config.subscribe());
        self.context.runtime.spawn(async move {
            loop {
                tokio::select! {
                    _ = over.wait_for(|_| false) => return,
                    () = tokio::time::sleep(HTTP_SLOG_BEAT) => own.slogs.beat(),
                }
            }
        });
        Ok(())
    }

    fn slog(&mut self, what: &Noun) -> Claim {
        self.own().slogs.tell(what);
        Claim::Passed
    }

    fn effect(&mut self, effect: &Effect<'_>) -> Claim {
        let Some(id) = RequestId::of(effect) else {
            return Claim::Passed;
        };
        match Command::read(effect.tag, effect.data) {
            Ok(Command::SetConfig(config)) => {
                self.config.send_replace(Some(config));
            }
            Ok(Command::Sessions(tokens)) => self.own().sessions.set(tokens),
            Ok(Command::Grow(grown)) => self.own().cache.grow(grown),
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
            ("sessions".to_owned(), self.own().sessions.len() as u64),
            ("open-slogstreams".to_owned(), self.own().slogs.len() as u64),
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
