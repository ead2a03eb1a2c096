//! The ship's UDP port, which ames and mesa share: binding it, reading it fairly, telling the two protocols apart, sending
//! (`spec/drivers.md` sections 8 and 9).
//!
//! It belongs to an office: the leader binds it, a follower has none. Whoever flooded it would only be read in portions,
//! between which everything else has its turn, into one buffer that is used again and again.

pub(crate) mod cache;
pub(crate) mod galaxies;
pub(crate) mod queue;
pub(crate) mod shared;

use self::galaxies::Galaxies;
use crate::{console, driver::DriverContext, limits, settings::DriverSettings};
use nix::sys::socket::{setsockopt, sockopt};
use replog::ShipIdentity;
use std::{
    collections::VecDeque,
    future::poll_fn,
    io,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
};
use tokio::{net::UdpSocket, runtime::Handle, sync::Notify, task::AbortHandle, time::Instant};

/// What stands at bytes 4 to 7 of a packet of mesa's.
pub(crate) const MESA_COOKIE: [u8; 4] = 0x67e0_0200_u32.to_le_bytes();

/// Whether the ship speaks to ships of this machine only: a fake one, or one that was told to.
#[must_use]
pub(crate) fn is_local(settings: &DriverSettings, ship: &ShipIdentity) -> bool {
    settings.local || ship.fake
}

/// Whose ship it is, and what it may do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity {
    /// The ship.
    pub(crate) ship: u128,
    /// Whether it speaks to ships of this machine only.
    pub(crate) is_local: bool,
}

/// What the two protocols' drivers have in common for an office.
#[derive(Clone)]
pub(crate) struct Network {
    /// Whose it is.
    pub(crate) identity: Identity,
    /// The ship's port.
    pub(crate) port: Arc<UdpPort>,
    /// Where the galaxies are.
    pub(crate) galaxies: Galaxies,
}

impl Network {
    /// A network that nobody uses yet.
    pub(crate) fn new(context: &DriverContext) -> Network {
        let identity = Identity {
            ship: context.ship.who,
            is_local: is_local(&context.settings, &context.ship),
        };
        let known = galaxies::galaxy(identity.ship).map(|galaxy| galaxies::port(galaxy, identity.is_local));
        let number = match (context.settings.ames_port, known) {
            (0, Some(known)) => known,
            (asked, _) => asked,
        };
        Network {
            identity,
            port: UdpPort::new(UdpPort::address(number, identity.is_local)),
            galaxies: Galaxies::new(identity.is_local),
        }
    }
}

/// A protocol's driver, as the port sees it.
pub(crate) trait Hear: Send + Sync {
    /// A packet came. Must return at once.
    fn hear(&self, from: SocketAddrV4, packet: &[u8]);
}

/// Who hears what comes.
#[derive(Clone)]
struct Hearers {
    /// What has mesa's cookie, if mesa is there.
    mesa: Option<Arc<dyn Hear>>,
    /// All else.
    ames: Arc<dyn Hear>,
}

/// The port. Open from [`UdpPort::open`] to [`UdpPort::close`], and then never again.
pub(crate) struct UdpPort {
    address: SocketAddrV4,
    open: Mutex<Open>,
    closed: AtomicBool,
    /// There is something to send that the system did not take.
    unsent: Notify,
    counts: Counts,
    /// Whether the last packet went out: a network that is gone is named once.
    sends: AtomicBool,
}

#[derive(Default)]
struct Open {
    socket: Option<UdpSocket>,
    waiting: VecDeque<(SocketAddrV4, Vec<u8>)>,
    tasks: Vec<AbortHandle>,
    mesa: Option<Arc<dyn Hear>>,
}

/// How often what happened.
#[derive(Default)]
struct Counts {
    received: AtomicU64,
    too_long: AtomicU64,
    sent: AtomicU64,
    not_sent: AtomicU64,
}

impl UdpPort {
    /// A port that will be bound there. Port 0 is any.
    pub(crate) fn new(address: SocketAddrV4) -> Arc<UdpPort> {
        Arc::new(UdpPort {
            address,
            open: Mutex::default(),
            closed: AtomicBool::new(false),
            unsent: Notify::new(),
            counts: Counts::default(),
            sends: AtomicBool::new(true),
        })
    }

    /// Has mesa's packets heard, from when the port is opened.
    pub(crate) fn set_mesa(&self, mesa: Arc<dyn Hear>) {
        self.lock().mesa = Some(mesa);
    }

    /// Where a ship's port is to be bound: `number`, on loopback for a ship that speaks to this machine only.
    pub(crate) fn address(number: u16, is_local: bool) -> SocketAddrV4 {
        let ip = if is_local {
            Ipv4Addr::LOCALHOST
        } else {
            Ipv4Addr::UNSPECIFIED
        };
        SocketAddrV4::new(ip, number)
    }

    /// Binds the port and begins to read, mesa's packets for mesa and all else for ames: at once where the port is free; else it is tried until it is, since a leader that was
    /// deposed may still have it. `bound` is then told the port's number, or, of an error that does not pass, why it cannot be had.
    pub(crate) fn open(
        self: &Arc<Self>,
        runtime: &Handle,
        ames: Arc<dyn Hear>,
        bound: impl FnOnce(io::Result<u16>) + Send + 'static,
    ) {
        match self.bind(runtime) {
            Ok(number) => {
                bound(Ok(number));
                self.run(runtime, ames);
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                tracing::info!(target: console::TARGET, "ames: {} is taken: waiting for it", self.address);
                let (port, on) = (Arc::clone(self), runtime.clone());
                let task = runtime.spawn(async move {
                    match port.bind_patiently(&on).await {
                        Ok(number) => {
                            bound(Ok(number));
                            port.run(&on, ames);
                        }
                        Err(error) => bound(Err(error)),
                    }
                });
                self.keep(task.abort_handle());
            }
            Err(error) => bound(Err(error)),
        }
    }

    async fn bind_patiently(&self, runtime: &Handle) -> io::Result<u16> {
        let patience = Instant::now() + limits::UDP_BIND_PATIENCE;
        let mut pause = limits::UDP_BIND_PAUSE;
        loop {
            tokio::time::sleep(pause).await;
            match self.bind(runtime) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    if pause == limits::UDP_BIND_PAUSE && Instant::now() > patience {
                        pause = limits::UDP_BIND_PAUSE_LONG;
                        tracing::error!(
                            "ames: {} is still taken, by another program or by another member on this machine that hangs. The ship goes \
                             on and hears no other ships until that one is ended; or choose another port with -p",
                            self.address
                        );
                    }
                }
                done => return done,
            }
        }
    }

    fn bind(&self, runtime: &Handle) -> io::Result<u16> {
        let socket = std::net::UdpSocket::bind(self.address)?;
        socket.set_nonblocking(true)?;
        // Less than was asked for is no reason to stop.
        let _ = setsockopt(&socket, sockopt::RcvBuf, &limits::UDP_SYSTEM_BYTES);
        let _ = setsockopt(&socket, sockopt::SndBuf, &limits::UDP_SYSTEM_BYTES);
        let socket = {
            let _entered = runtime.enter();
            UdpSocket::from_std(socket)?
        };
        let number = socket.local_addr()?.port();
        let mut open = self.lock();
        if self.is_closed() {
            return Err(io::Error::other("the office is over"));
        }
        open.socket = Some(socket);
        Ok(number)
    }

    fn run(self: &Arc<Self>, runtime: &Handle, ames: Arc<dyn Hear>) {
        let mesa = self.lock().mesa.clone();
        let hearers = Hearers { mesa, ames };
        let reader = runtime.spawn(Arc::clone(self).read(hearers));
        let writer = runtime.spawn(Arc::clone(self).write());
        self.keep(reader.abort_handle());
        self.keep(writer.abort_handle());
    }

    fn keep(&self, task: AbortHandle) {
        let mut open = self.lock();
        if self.is_closed() {
            task.abort();
        } else {
            open.tasks.push(task);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Closes the port at once: it is free, nothing is heard or sent any more.
    pub(crate) fn close(&self) {
        let open = {
            let mut open = self.lock();
            self.closed.store(true, Ordering::SeqCst);
            std::mem::take(&mut *open)
        };
        open.tasks.iter().for_each(AbortHandle::abort);
    }

    /// Reads until the port is closed.
    async fn read(self: Arc<Self>, hearers: Hearers) {
        // One more than is taken shows what was cut.
        let mut buffer = [0; limits::UDP_PACKET_BYTES + 1];
        while poll_fn(|context| self.poll(context, UdpSocket::poll_recv_ready)).await {
            for _ in 0..limits::UDP_READS {
                match self.receive(&mut buffer) {
                    Some((len, from)) => self.sort(&hearers, from, &buffer[..len]),
                    None => break,
                }
            }
            // A flood keeps the socket readable for ever: timers and other sockets are looked at between two portions.
            tokio::task::yield_now().await;
        }
    }

    /// Waits for the socket; false once the port is closed.
    fn poll(
        &self,
        context: &mut Context<'_>,
        ready: fn(&UdpSocket, &mut Context<'_>) -> Poll<io::Result<()>>,
    ) -> Poll<bool> {
        match &self.lock().socket {
            Some(socket) => ready(socket, context).map(|ready| ready.is_ok()),
            None => Poll::Ready(false),
        }
    }

    fn receive(&self, buffer: &mut [u8]) -> Option<(usize, SocketAddrV4)> {
        let open = self.lock();
        // An error (a host that is unreachable, say) is another packet's, and says nothing of the next.
        let (len, from) = open.socket.as_ref()?.try_recv_from(buffer).ok()?;
        match from {
            SocketAddr::V4(from) => Some((len, from)),
            SocketAddr::V6(_) => None,
        }
    }

    fn sort(&self, hearers: &Hearers, from: SocketAddrV4, packet: &[u8]) {
        self.counts.received.fetch_add(1, Ordering::Relaxed);
        if packet.len() > limits::UDP_PACKET_BYTES {
            self.counts.too_long.fetch_add(1, Ordering::Relaxed);
        } else if packet.get(4..8) != Some(&MESA_COOKIE) {
            hearers.ames.hear(from, packet);
        } else if let Some(mesa) = &hearers.mesa {
            mesa.hear(from, packet);
        }
    }

    /// Sends a packet, now or when the system takes it; drops it when too much waits, and while the port is not open.
    pub(crate) fn send(&self, to: SocketAddrV4, packet: Vec<u8>) {
        let mut open = self.lock();
        let Some(socket) = &open.socket else {
            self.counts.not_sent.fetch_add(1, Ordering::Relaxed);
            return;
        };
        if open.waiting.is_empty() {
            match socket.try_send_to(&packet, to.into()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return self.sent(done),
            }
        }
        if open.waiting.len() >= limits::UDP_SENDS {
            self.counts.not_sent.fetch_add(1, Ordering::Relaxed);
            return;
        }
        open.waiting.push_back((to, packet));
        self.unsent.notify_one();
    }

    fn sent(&self, done: io::Result<usize>) {
        match done {
            Ok(_) => {
                self.counts.sent.fetch_add(1, Ordering::Relaxed);
                self.sends.store(true, Ordering::Relaxed);
            }
            Err(error) => {
                self.counts.not_sent.fetch_add(1, Ordering::Relaxed);
                if self.sends.swap(false, Ordering::Relaxed) {
                    tracing::info!(target: console::TARGET, "ames: send fail: {error}");
                }
            }
        }
    }

    /// Sends what the system did not take at once, until the port is closed.
    async fn write(self: Arc<Self>) {
        loop {
            self.unsent.notified().await;
            while !self.lock().waiting.is_empty() {
                if !poll_fn(|context| self.poll(context, UdpSocket::poll_send_ready)).await {
                    return;
                }
                self.send_waiting();
                tokio::task::yield_now().await;
            }
        }
    }

    fn send_waiting(&self) {
        let mut open = self.lock();
        let Open { socket, waiting, .. } = &mut *open;
        let Some(socket) = socket else { return };
        for _ in 0..limits::UDP_READS {
            let Some((to, packet)) = waiting.front() else {
                return;
            };
            match socket.try_send_to(packet, (*to).into()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                done => self.sent(done),
            }
            waiting.pop_front();
        }
    }

    /// Its figures.
    pub(crate) fn info(&self) -> Vec<(String, u64)> {
        let counts = &self.counts;
        let lines = [
            ("bound", u64::from(self.lock().socket.is_some())),
            ("can-send", u64::from(self.sends.load(Ordering::Relaxed))),
            ("packets-received", counts.received.load(Ordering::Relaxed)),
            ("packets-sent", counts.sent.load(Ordering::Relaxed)),
            ("packets-not-sent", counts.not_sent.load(Ordering::Relaxed)),
            ("filtered-too-long", counts.too_long.load(Ordering::Relaxed)),
        ];
        lines.map(|(name, value)| (name.to_owned(), value)).into()
    }
}
