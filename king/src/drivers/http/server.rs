//! The servers: started and started anew by the ship's configuration (`spec/drivers.md` section 6).

use super::{
    connection,
    exchange::Exchanges,
    own::Own,
    ports::{Choice, Kind, Setback},
    shapes::{self, Config},
    tls::Tls,
    wire,
};
use crate::{
    console,
    driver::{DriverContext, Intake, Request},
    limits,
    ovum::Ovum,
};
use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpSocket},
    sync::{Semaphore, watch},
    task::JoinHandle,
    time::Instant,
};

/// How far a server's service goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Service {
    /// Connections and requests are taken.
    Open,
    /// The server was closed to start anew: what is under way ends in its own time, nothing else begins.
    Draining,
    /// The office is over: all ends now.
    Over,
}

/// One server, as its connections know it.
#[derive(Debug)]
pub(crate) struct Server {
    /// Its number, the first part of its requests' names.
    pub(crate) number: u32,
    /// What it is for.
    pub(crate) kind: Kind,
    /// Where it listens.
    pub(crate) port: u16,
    /// The ship's key, where it is needed.
    pub(crate) tls: Option<Tls>,
    service: watch::Sender<Service>,
    /// The number of the last connection.
    connections: AtomicU64,
}

impl Server {
    /// Sees how far the service goes.
    pub(crate) fn service(&self) -> watch::Receiver<Service> {
        self.service.subscribe()
    }

    /// How many connections it has had.
    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Goes to a later service; never back.
    fn close(&self, to: Service) {
        self.service.send_if_modified(|service| {
            let before = std::mem::replace(service, to.max(*service));
            before != *service
        });
    }
}

/// Waits until a service has gone so far.
pub(crate) async fn until(service: &mut watch::Receiver<Service>, at_least: Service) {
    // An error means that the server is gone, and with it every service.
    let _ = service.wait_for(|service| *service >= at_least).await;
}

/// What is had patience with, and how much of it there is: those of [`crate::limits`], but for tests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// For a head, and between two reads of a body.
    pub(crate) read_patience: Duration,
    /// For the kernel's answer to begin.
    pub(crate) start_patience: Duration,
    /// Between two parts of it.
    pub(crate) part_patience: Duration,
    /// Bytes of all requests.
    pub(crate) requests_bytes: usize,
    /// Connections.
    pub(crate) connections: usize,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            read_patience: limits::HTTP_READ_PATIENCE,
            start_patience: limits::HTTP_START_PATIENCE,
            part_patience: limits::HTTP_PART_PATIENCE,
            requests_bytes: limits::HTTP_REQUESTS_BYTES,
            connections: limits::HTTP_CONNECTIONS,
        }
    }
}

impl Bounds {
    /// Until when more of a body must come, that began then and has so many bytes already.
    pub(crate) fn body_deadline(&self, begun: Instant, len: usize) -> Instant {
        let earned = Duration::from_secs(len as u64 / limits::HTTP_BODY_RATE);
        (begun + earned).min(Instant::now()) + self.read_patience
    }
}

/// What all connections share.
#[derive(Clone)]
pub(crate) struct Shared {
    /// How patient they are.
    pub(crate) bounds: Bounds,
    /// The way into the pier.
    pub(crate) intake: Intake,
    /// The requests under way.
    pub(crate) exchanges: Arc<Exchanges>,
    /// What is answered without the kernel.
    pub(crate) own: Arc<Own>,
    /// The bytes that requests may hold.
    pub(crate) memory: Arc<Semaphore>,
    /// The connections that there may be.
    pub(crate) places: Arc<Semaphore>,
}

impl Shared {
    fn new(context: &DriverContext, bounds: Bounds) -> Shared {
        Shared {
            bounds,
            intake: context.intake.clone(),
            exchanges: Arc::default(),
            own: Arc::new(Own::new(context.ship.who)),
            memory: Arc::new(Semaphore::new(bounds.requests_bytes)),
            places: Arc::new(Semaphore::new(bounds.connections)),
        }
    }
}

/// The servers of one office.
pub(crate) struct Servers {
    shared: Shared,
    /// The driver's instance number.
    instance: u32,
    public: Ipv4Addr,
    ports_file: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Nothing is opened any more.
    is_over: bool,
    /// How many servers there were.
    count: u32,
    /// The ports that are to be had and no others: given, or reached by counting up. For plain HTTP and for HTTPS.
    fixed: Fixed,
    /// Those that listen, the newest first.
    listening: Vec<(Arc<Server>, JoinHandle<()>)>,
    /// Those that do not, and may have connections still.
    draining: Vec<Arc<Server>>,
}

#[derive(Clone, Copy, Default)]
struct Fixed {
    public: Option<u16>,
    secure: Option<u16>,
}

impl Servers {
    pub(crate) fn new(context: &DriverContext, instance: u32, bounds: Bounds) -> Servers {
        let fixed = Fixed {
            public: context.settings.http_port,
            secure: context.settings.https_port,
        };
        Servers {
            shared: Shared::new(context, bounds),
            instance,
            public: context.settings.http_ip,
            ports_file: context.pier.join(".http.ports"),
            state: Mutex::new(State {
                fixed,
                ..State::default()
            }),
        }
    }

    /// What the connections share.
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Those that listen, the newest first.
    pub(crate) fn listening(&self) -> Vec<Arc<Server>> {
        self.lock()
            .listening
            .iter()
            .map(|(server, _)| Arc::clone(server))
            .collect()
    }

    /// Starts the servers as they are configured now, after ending those that run. False if the office or the ship
    /// ends instead.
    pub(crate) async fn restart(&self, config: &Config) -> bool {
        let before = self.drain().await;
        let fixed = self.lock().fixed;
        let mut secure = None;
        if let Some(tls) = make_tls(config) {
            let choice = Choice::first(Kind::Secure, fixed.secure, config.proxy);
            let Some(opened) = self.open(Kind::Secure, choice, Some(tls)) else {
                return false;
            };
            secure = Some(opened.port);
        }
        let choice = Choice::first(Kind::Public, fixed.public, config.proxy);
        let Some(public) = self.open(Kind::Public, choice, None) else {
            return false;
        };
        let choice = Choice::first(Kind::Loopback, None, config.proxy);
        let Some(_) = self.open(Kind::Loopback, choice, None) else {
            return false;
        };

        self.write_ports(&before);
        let knot = wire::server_knot(self.instance);
        let live = Ovum::new("e", [wire::HEAD, &knot], shapes::live(public.port, secure));
        self.shared.intake.plan(live, None).await;
        true
    }

    /// Ends the service at once. What connections there are end by themselves, soon.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        if std::mem::replace(&mut state.is_over, true) {
            return;
        }
        self.shared.own.slogs.end();
        let listening = std::mem::take(&mut state.listening);
        for (server, accepting) in listening {
            server.close(Service::Over);
            accepting.abort();
        }
        for server in std::mem::take(&mut state.draining) {
            server.close(Service::Over);
        }
        self.remove_ports();
    }

    /// Closes the listening sockets, and waits until their ports are free. Their lines in the ports file.
    async fn drain(&self) -> String {
        let listening = {
            let mut state = self.lock();
            state
                .draining
                .retain(|server| server.service.receiver_count() > 0);
            let listening = std::mem::take(&mut state.listening);
            state
                .draining
                .extend(listening.iter().map(|(server, _)| Arc::clone(server)));
            if !listening.is_empty() {
                tracing::info!(target: console::TARGET, "http: restarting servers to apply configuration");
                self.remove_ports();
            }
            listening
        };
        let mut lines = String::new();
        for (server, accepting) in listening {
            server.close(Service::Draining);
            // It ends by itself; only if the runtime ends does it end otherwise.
            let _ = accepting.await;
            lines.push_str(&server.kind.file_line(server.port));
        }
        lines
    }

    /// Opens a server on the first port that can be had. None if there is to be no other either.
    fn open(&self, kind: Kind, mut choice: Choice, tls: Option<Tls>) -> Option<Opened> {
        loop {
            let address = SocketAddr::from((kind.address(self.public), choice.port));
            let error = match listen(address) {
                Ok(listener) => return self.install(kind, choice, tls, listener),
                Err(error) => error,
            };
            match choice.after(kind, &error) {
                Setback::Next(next) => choice = next,
                Setback::Without(line) => {
                    tracing::info!(target: console::TARGET, "{line}");
                    return Some(Opened { port: choice.port });
                }
                Setback::Fatal(line) => {
                    tracing::info!(target: console::TARGET, "{line}");
                    self.shared.intake.request(Request::Fatal(line));
                    return None;
                }
            }
        }
    }

    /// Takes connections from a socket, unless the office is over.
    fn install(&self, kind: Kind, choice: Choice, tls: Option<Tls>, listener: TcpListener) -> Option<Opened> {
        let mut state = self.lock();
        if state.is_over {
            return None;
        }
        let port = choice.port;
        if choice.is_counted {
            match kind {
                Kind::Public => state.fixed.public = Some(port),
                Kind::Secure => state.fixed.secure = Some(port),
                Kind::Loopback => {}
            }
        }
        let server = Arc::new(Server {
            number: self.instance.wrapping_add(state.count),
            kind,
            port,
            tls,
            service: watch::Sender::new(Service::Open),
            connections: AtomicU64::new(0),
        });
        state.count += 1;
        let accepting = tokio::spawn(accept(listener, Arc::clone(&server), self.shared.clone()));
        state.listening.insert(0, (server, accepting));
        tracing::info!(target: console::TARGET, "{}", kind.live_line(port));
        Some(Opened { port })
    }

    /// Writes `.http.ports`: the newest server first. Those that were just closed follow, as in the C, whose list
    /// still has them.
    fn write_ports(&self, before: &str) {
        let state = self.lock();
        if state.is_over {
            return;
        }
        let mut lines = String::new();
        for (server, _) in &state.listening {
            lines.push_str(&server.kind.file_line(server.port));
        }
        lines.push_str(before);
        if let Err(error) = std::fs::write(&self.ports_file, lines) {
            tracing::warn!(
                "http: cannot write {}: {error}; the servers run",
                self.ports_file.display()
            );
        }
    }

    fn remove_ports(&self) {
        match std::fs::remove_file(&self.ports_file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!("http: cannot remove {}: {error}", self.ports_file.display());
            }
            _ => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A server that was started, or tried for.
struct Opened {
    port: u16,
}

/// What HTTPS needs, if the ship has it. What it has and cannot be used is named, and plain HTTP goes on without it.
fn make_tls(config: &Config) -> Option<Tls> {
    let (key, certificates) = config.secure.as_ref()?;
    let made = Tls::new(key, certificates);
    let say =
        |error| tracing::info!(target: console::TARGET, "{error}; HTTPS is off until the ship has another");
    made.map_err(say).ok()
}

/// Binds and listens.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    // So that a port is free for its next server while old connections fade out.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(limits::HTTP_BACKLOG)
}

/// Takes connections until the service ends, each into a task of its own.
async fn accept(listener: TcpListener, server: Arc<Server>, shared: Shared) {
    let mut service = server.service();
    let mut is_failing = false;
    loop {
        let next = async {
            let place = Arc::clone(&shared.places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = until(&mut service, Service::Draining) => return,
            next = next => next,
        };
        match accepted {
            Ok((stream, peer)) => {
                is_failing = false;
                let number = server.connections.fetch_add(1, Ordering::Relaxed) + 1;
                let serve = connection::serve(stream, peer, Arc::clone(&server), number, shared.clone());
                tokio::spawn(async move {
                    serve.await;
                    drop(place);
                });
            }
            Err(error) => {
                if !std::mem::replace(&mut is_failing, true) {
                    tracing::warn!("http: accept on port {}: {error}; trying on", server.port);
                }
                tokio::time::sleep(limits::HTTP_ACCEPT_PAUSE).await;
            }
        }
    }
}
