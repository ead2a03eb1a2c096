//! The driver over real sockets, with a fake pier as the ship.

mod endings;
mod floods;
mod http2;
mod own;
mod recorded;
mod requests;
mod responses;
mod servers;
pub(super) mod tls;

use super::{
    Http,
    server::Bounds,
    shapes::{Body, Header, Response, Start},
    wire::RequestId,
};
use crate::{
    driver::{Claim, Driver, Planned},
    drivers::fake_pier::{FakePier, as_planned, commit},
};
use serf_ipc::{FromNoun, Noun, ToNoun, n};
use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// `%set-config`'s data without TLS.
fn config() -> Noun {
    n![(), false, true, false]
}

/// A ship with running servers.
struct Ship {
    pier: FakePier,
    driver: Http,
    /// The knot of the driver's instance.
    sev: String,
    public: u16,
    secure: Option<u16>,
    loopback: u16,
}

impl Ship {
    fn new() -> Ship {
        Ship::with(Bounds::default())
    }

    /// A ship that has begun to serve.
    fn with(bounds: Bounds) -> Ship {
        let mut ship = Ship::asleep(bounds);
        ship.configure(&config());
        ship.settle();
        ship.pier.poke();
        ship
    }

    /// A ship that was not told yet to serve.
    fn asleep(bounds: Bounds) -> Ship {
        let mut pier = FakePier::new();
        pier.settings.http_ip = Ipv4Addr::LOCALHOST;
        pier.settings.http_port = Some(free_port());
        pier.settings.https_port = Some(free_port());
        let mut driver = Http::with(pier.context(), bounds);
        driver.start().unwrap();
        let born = pier.planned();
        assert_eq!(born.ovum.card, n!["born", ()]);
        let wire = knots(&born.ovum.wire);
        assert_eq!(wire[..2], ["e", "http-server"]);
        assert!(born.outcome.is_none());
        Ship {
            pier,
            driver,
            sev: wire[2].clone(),
            public: 0,
            secure: None,
            loopback: 0,
        }
    }

    /// An effect on the driver's own wire.
    fn configure(&mut self, config: &Noun) {
        let claim = self.pier.effect(
            &mut self.driver,
            &["http-server", &self.sev.clone()],
            "set-config",
            config,
        );
        assert_eq!(claim, Claim::Taken);
    }

    /// Waits until the servers are up, and notes their ports.
    fn settle(&mut self) {
        let live = self.pier.planned();
        assert_eq!(knots(&live.ovum.wire), ["e", "http-server", &self.sev]);
        let (tag, public, secure) = <(String, u16, Option<u16>)>::from_noun(&live.ovum.card).unwrap();
        assert_eq!(tag, "live");
        let ports = self.ports();
        let loopback = ports
            .lines()
            .next()
            .unwrap()
            .strip_suffix(" insecure loopback")
            .unwrap();
        (self.public, self.secure, self.loopback) = (public, secure, loopback.parse().unwrap());
        assert_eq!(
            ports.lines().nth(1),
            Some(format!("{public} insecure public").as_str())
        );
        if let Some(port) = secure {
            assert_eq!(
                ports.lines().nth(2),
                Some(format!("{port} secure public").as_str())
            );
        }
    }

    /// What `.http.ports` says.
    fn ports(&self) -> String {
        std::fs::read_to_string(self.pier.directory.path().join(".http.ports")).unwrap_or_default()
    }

    /// A client of the public server.
    fn client(&self) -> Client {
        Client::new(self.public)
    }

    /// The next request that comes to the kernel.
    fn request(&mut self) -> Asked {
        Asked::new(self.pier.planned())
    }

    /// The next request or cancel, if one has come.
    fn next(&mut self) -> Option<Asked> {
        let runtime = Arc::clone(&self.pier.runtime);
        let message = runtime.block_on(self.pier.try_next_message(Duration::ZERO));
        message.map(|message| Asked::new(as_planned(message)))
    }

    /// Sends part of a response.
    fn respond(&mut self, wire: &[String], response: &Response) {
        let wire = wire.iter().map(String::as_str).collect::<Vec<_>>();
        let claim = self
            .pier
            .effect(&mut self.driver, &wire, "response", &response.to_noun());
        assert_eq!(claim, Claim::Taken);
    }

    /// The next message, which must be the cancel of this request.
    fn cancelled(&mut self, wire: &[String]) {
        let cancel = Asked::new(self.pier.planned());
        assert_eq!(
            (cancel.tag.as_str(), &cancel.data, cancel.wire.as_slice()),
            ("cancel-request", &Noun::ZERO, wire)
        );
    }

    /// Waits until nothing is open any more: no request, no byte for a client or of one, no connection.
    fn all_is_quiet(&self, bounds: Bounds) {
        let shared = self.driver.servers.shared();
        until("everything is given back", || {
            shared.exchanges.len() == 0
                && shared.exchanges.waiting() == 0
                && shared.memory.available_permits() == bounds.requests_bytes
                // Each server holds a place for its next connection.
                && shared.places.available_permits() >= bounds.connections - self.driver.servers.listening().len()
        });
    }
}

/// A request as it came to the kernel.
struct Asked {
    wire: Vec<String>,
    tag: String,
    data: Noun,
    planned: Option<Planned>,
}

impl Asked {
    fn new(planned: Planned) -> Asked {
        let wire = knots(&planned.ovum.wire);
        assert_eq!(wire[0], "e");
        let (tag, data) = FromNoun::from_noun(&planned.ovum.card).unwrap();
        Asked {
            wire: wire[1..].to_vec(),
            tag,
            data,
            planned: Some(planned),
        }
    }

    /// Its event is committed.
    fn commit(&mut self) {
        commit(self.planned.take().unwrap());
    }

    /// The body's length and bytes.
    fn body(&self) -> Option<(u64, Noun)> {
        FromNoun::from_noun(self.data.slot(63).unwrap()).unwrap()
    }

    fn url(&self) -> String {
        self.data.slot(30).unwrap().as_cord().unwrap()
    }

    /// The number that its connection has.
    fn connection(&self) -> &str {
        &self.wire[2]
    }
}

/// A client that waits for what must come.
struct Client<S = TcpStream>(S);

/// A connection whose reads and writes end some time.
fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

impl<S: Read + Write> Client<S> {
    fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).unwrap();
    }

    fn get(&mut self, path: &str) {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: zod.example\r\n\r\n"));
    }

    /// Exactly so many bytes.
    fn read(&mut self, len: usize) -> String {
        let mut bytes = vec![0; len];
        self.0.read_exact(&mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    /// A head, with `DATE` for its date.
    fn head(&mut self) -> String {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            head.push_str(&self.read(1));
        }
        dateless(&head)
    }

    /// All until the server closes, with `DATE` for dates.
    fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        self.0.read_to_end(&mut bytes).unwrap();
        dateless(&String::from_utf8(bytes).unwrap())
    }
}

impl Client {
    fn new(port: u16) -> Client {
        Client(connect(port))
    }

    /// The server resets the connection, sooner or later.
    fn is_reset(&mut self) {
        let mut buffer = vec![0; 1 << 20];
        let error = loop {
            match self.0.read(&mut buffer) {
                Ok(0) => panic!("the connection was closed in order"),
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
    }

    /// Closes as a process does that dies: with a reset.
    fn reset(self) {
        socket_linger_zero(&self.0);
    }

    /// Says that nothing more will be said.
    fn half_close(&self) {
        self.0.shutdown(Shutdown::Write).unwrap();
    }
}

/// Has the system reset a connection when it is closed.
fn socket_linger_zero(stream: &TcpStream) {
    let linger = nix::libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    nix::sys::socket::setsockopt(stream, nix::sys::socket::sockopt::Linger, &linger).unwrap();
}

/// `text` with `DATE` in place of every date.
fn dateless(text: &str) -> String {
    let mut lines = text.split("\r\n").map(str::to_owned).collect::<Vec<_>>();
    for line in &mut lines {
        if let Some(date) = line.strip_prefix("Date: ") {
            httpdate::parse_http_date(date).unwrap();
            *line = "Date: DATE".to_owned();
        }
    }
    lines.join("\r\n")
}

/// A port that nobody has just now.
fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

fn knots(wire: &Noun) -> Vec<String> {
    wire.iter_list()
        .map(|knot| knot.unwrap().as_cord().unwrap())
        .collect()
}

/// The wire of a request.
fn wire_of(id: RequestId) -> Vec<String> {
    id.knots().to_vec()
}

/// Octs of a response.
fn octs(bytes: &[u8]) -> Option<Body> {
    Some(Body::from_noun(&n![bytes.len() as u64, Noun::from_le_bytes(bytes)]).unwrap())
}

/// Octs of so many zeros, which cost no memory.
fn zeros(len: usize) -> Option<Body> {
    Some(Body::from_noun(&n![len as u64, ()]).unwrap())
}

/// `%start`, with or without a length.
fn start(status: u16, headers: &[(&str, &str)], data: Option<Body>, complete: bool) -> Response {
    let headers = headers
        .iter()
        .map(|(name, value)| -> Header { (name.as_bytes().to_vec(), value.as_bytes().to_vec()) });
    Response::Start(Start {
        status,
        headers: headers.collect(),
        data,
        complete,
    })
}

/// A whole small page.
fn page(text: &str) -> Response {
    start(200, &[("content-length", "")], octs(text.as_bytes()), true)
}

fn proceed(data: Option<Body>, complete: bool) -> Response {
    Response::Continue { data, complete }
}

/// Waits until it is so.
fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
