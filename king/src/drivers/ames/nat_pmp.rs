//! NAT-PMP (RFC 6886): has the gateway send on to the ship's port what other ships send to the gateway's, for as long as an
//! office lasts. Only where `--nat-pmp` asks for it; vere does it unasked for every ship that is not fake.
//!
//! Unlike vere's, a request that is not answered is sent again, a mapping is renewed before it ends and given back at the
//! office's end, and a gateway that refused or was silent is asked again later.

use crate::{console, limits};
use std::{
    fmt, io,
    net::{Ipv4Addr, SocketAddrV4},
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    io::AsyncReadExt as _,
    net::UdpSocket,
    runtime::Handle,
    sync::watch,
    task::AbortHandle,
    time::{sleep, timeout},
};

/// The port on which gateways listen.
const PORT: u16 = 5351;
/// How long a mapping is asked for, seconds (vere; the RFC recommends it too).
const LIFETIME: u32 = 7200;
/// Bytes of a request.
const REQUEST: usize = 12;
/// Bytes of an answer that grants a mapping.
const ANSWER: usize = 16;
/// The opcode that maps a UDP port.
const MAP_UDP: u8 = 1;
/// What an answer has in its opcode beside the request's.
const IS_ANSWER: u8 = 128;
/// Where Linux tells its routes.
const ROUTES: &str = "/proc/net/route";
/// The flags of a route that is up and leads by way of a gateway.
const UP_BY_GATEWAY: u32 = 0x3;

/// Who is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gateway {
    /// The gateway of the default route.
    OfRoute,
    /// This one.
    At(SocketAddrV4),
}

impl Gateway {
    /// The word for [`Gateway::OfRoute`].
    pub const OF_ROUTE: &str = "route";
}

impl FromStr for Gateway {
    type Err = String;

    /// Reads `route`, an IPv4 address, or one with a port.
    fn from_str(text: &str) -> Result<Gateway, String> {
        if text == Gateway::OF_ROUTE {
            return Ok(Gateway::OfRoute);
        }
        text.parse()
            .or_else(|_| text.parse().map(|ip: Ipv4Addr| SocketAddrV4::new(ip, PORT)))
            .map(Gateway::At)
            .map_err(|_| format!("neither {} nor an IPv4 address", Gateway::OF_ROUTE))
    }
}

/// A mapping that was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mapping {
    /// The port on the gateway's other side.
    public: u16,
    /// Seconds.
    lifetime: u32,
}

impl Mapping {
    /// When it is to be asked for again: half-way to its end.
    fn renew_after(self) -> Duration {
        let half = Duration::from_secs(u64::from(self.lifetime / 2));
        half.clamp(limits::NAT_PMP_RENEW_LEAST, limits::NAT_PMP_RENEW_MOST)
    }
}

/// Why there is no mapping.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Failure {
    #[error("no route leads to a gateway; name one with --nat-pmp=IPV4")]
    NoGateway,
    #[error("the gateway {0} does not answer: it speaks no NAT-PMP, or is told not to")]
    Silent(SocketAddrV4),
    #[error("the gateway {0} refuses: {1}")]
    Refused(SocketAddrV4, Refusal),
    #[error("{0}")]
    Io(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Io(error.to_string())
    }
}

/// A gateway's reason, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal(u16);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.write_str("it speaks another version of the protocol"),
            2 => f.write_str("it may not"),
            3 => f.write_str("it has no network itself"),
            4 => f.write_str("it can map no more ports"),
            5 => f.write_str("it does not map ports"),
            other => write!(f, "reason {other}"),
        }
    }
}

/// The bytes that ask to have `port` mapped, to the same port if that is free. A lifetime of 0 gives a mapping back.
fn request(port: u16, lifetime: u32) -> [u8; REQUEST] {
    let public = if lifetime == 0 { 0 } else { port };
    let mut bytes = [0; REQUEST];
    bytes[1] = MAP_UDP;
    bytes[4..6].copy_from_slice(&port.to_be_bytes());
    bytes[6..8].copy_from_slice(&public.to_be_bytes());
    bytes[8..].copy_from_slice(&lifetime.to_be_bytes());
    bytes
}

/// Reads what may be the answer about `port`. None where it is none.
pub(super) fn read_answer(bytes: &[u8], port: u16) -> Option<Result<Mapping, Refusal>> {
    let word = |at: usize| Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
    // A version that is not spoken, or an opcode that is not known, may be answered under another opcode.
    let result = word(2).filter(|_| bytes[1] & IS_ANSWER != 0)?;
    if bytes[0] != 0 {
        return Some(Err(Refusal(1)));
    }
    if result != 0 {
        return Some(Err(Refusal(result)));
    }
    if bytes[1] != IS_ANSWER | MAP_UDP || bytes.len() < ANSWER || word(8)? != port {
        return None;
    }
    let lifetime = u32::from(word(12)?) << 16 | u32::from(word(14)?);
    let public = word(10)?;
    // Zeros are the answer to what gives a mapping back.
    (lifetime > 0 && public > 0).then_some(Ok(Mapping { public, lifetime }))
}

/// The gateway of the default route with the least metric, of a table as Linux prints it.
fn gateway_of(routes: &str) -> Option<Ipv4Addr> {
    let gateways = routes.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().take(8).collect();
        let [_, destination, gateway, flags, _, _, metric, mask] = fields[..] else {
            return None;
        };
        let number = |text: &str| u32::from_str_radix(text, 16).ok();
        let is_default = number(destination)? == 0 && number(mask)? == 0;
        let leads = number(flags)? & UP_BY_GATEWAY == UP_BY_GATEWAY;
        // An address stands there as the number that its bytes are to this machine.
        let gateway = Ipv4Addr::from(number(gateway)?.to_ne_bytes());
        (is_default && leads).then_some((metric.parse::<u32>().ok()?, gateway))
    });
    gateways
        .min_by_key(|(metric, _)| *metric)
        .map(|(_, gateway)| gateway)
}

async fn find(gateway: Gateway) -> Result<SocketAddrV4, Failure> {
    match gateway {
        Gateway::At(address) => Ok(address),
        Gateway::OfRoute => {
            let mut table = Vec::new();
            let file = tokio::fs::File::open(ROUTES).await?;
            file.take(limits::NAT_PMP_ROUTES_BYTES)
                .read_to_end(&mut table)
                .await?;
            let gateway = gateway_of(&String::from_utf8_lossy(&table)).ok_or(Failure::NoGateway)?;
            Ok(SocketAddrV4::new(gateway, PORT))
        }
    }
}

/// What a mapping's keeper and its task share.
#[derive(Default)]
struct Line(Mutex<State>);

#[derive(Default)]
enum State {
    /// Nothing was asked for.
    #[default]
    Idle,
    /// A gateway was asked to map this port, and may have done so.
    Asked {
        socket: Arc<UdpSocket>,
        port: u16,
        granted: Option<Mapping>,
    },
    /// The office is over: nothing is asked for any more.
    Over,
}

impl Line {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for the mapping, unless the office is over.
    fn ask(&self, socket: &Arc<UdpSocket>, port: u16) -> io::Result<()> {
        let mut state = self.lock();
        if let State::Over = *state {
            return Ok(());
        }
        *state = State::Asked {
            socket: Arc::clone(socket),
            port,
            granted: None,
        };
        match socket.try_send(&request(port, LIFETIME)) {
            // It is asked again before long.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            done => done.map(drop),
        }
    }

    fn granted(&self, mapping: Mapping) {
        if let State::Asked { granted, .. } = &mut *self.lock() {
            *granted = Some(mapping);
        }
    }
}

/// Keeps a mapping up until it is dropped, which gives the mapping back.
pub(super) struct Keeper {
    line: Arc<Line>,
    task: AbortHandle,
}

impl Keeper {
    /// Asks `gateway` for a mapping to the port whose number `bound` tells once it is known.
    pub(super) fn new(runtime: &Handle, gateway: Gateway, bound: watch::Receiver<Option<u16>>) -> Keeper {
        let line = Arc::new(Line::default());
        let task = runtime.spawn(keep(gateway, bound, Arc::clone(&line)));
        Keeper {
            line,
            task: task.abort_handle(),
        }
    }

    /// The port on the gateway's other side, while there is one.
    pub(super) fn public(&self) -> Option<u16> {
        match &*self.line.lock() {
            State::Asked { granted, .. } => granted.map(|mapping| mapping.public),
            State::Idle | State::Over => None,
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.task.abort();
        if let State::Asked { socket, port, .. } = std::mem::replace(&mut *self.line.lock(), State::Over) {
            // Once: where it is lost the mapping ends by itself.
            let _ = socket.try_send(&request(port, 0));
        }
    }
}

/// Keeps the port mapped, until it is aborted.
async fn keep(gateway: Gateway, mut bound: watch::Receiver<Option<u16>>, line: Arc<Line>) {
    let port = match bound.wait_for(Option::is_some).await.map(|number| *number) {
        Ok(Some(port)) => port,
        _ => return,
    };
    let mut said = None;
    loop {
        let done = map(gateway, port, &line).await;
        let rest = match &done {
            Ok(mapping) => mapping.renew_after(),
            Err(_) => limits::NAT_PMP_REST,
        };
        if said.as_ref() != Some(&done) {
            match &done {
                Ok(Mapping { public, lifetime }) => tracing::info!(target: console::TARGET,
                    "ames: mapped public port {public} to localport {port} lifetime {lifetime}"),
                Err(failure) => tracing::info!(target: console::TARGET, "ames: natpmp error: {failure}"),
            }
            said = Some(done);
        }
        sleep(rest).await;
    }
}

/// Asks until there is an answer, or there have been enough requests.
async fn map(gateway: Gateway, port: u16, line: &Line) -> Result<Mapping, Failure> {
    let gateway = find(gateway).await?;
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    // The system then passes nothing on that others send.
    socket.connect(gateway).await?;
    let socket = Arc::new(socket);
    let mut patience = limits::NAT_PMP_PATIENCE;
    for _ in 0..limits::NAT_PMP_TRIES {
        line.ask(&socket, port)?;
        if let Ok(answer) = timeout(patience, answer(&socket, port)).await {
            let mapping = answer.map_err(|refusal| Failure::Refused(gateway, refusal))?;
            line.granted(mapping);
            return Ok(mapping);
        }
        patience *= 2;
    }
    Err(Failure::Silent(gateway))
}

/// The answer, when it comes.
async fn answer(socket: &UdpSocket, port: u16) -> Result<Mapping, Refusal> {
    let mut buffer = [0; limits::NAT_PMP_ANSWER_BYTES];
    loop {
        match socket.recv(&mut buffer).await {
            Ok(len) => {
                if let Some(answer) = read_answer(&buffer[..len], port) {
                    return answer;
                }
            }
            // Nobody listens there now; perhaps when it is asked again.
            Err(_) => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{net::UdpSocket as Blocking, time::Instant};

    const SHIP: u16 = 34_567;
    /// A tunnel that leads everywhere without a gateway, a route that is down, two that are up, and a network.
    const ROUTES_OF_A_LAPTOP: &str = "\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
tun0\t00000000\t00000000\t0001\t0\t0\t50\t00000000\t0\t0\t0
eth1\t00000000\t0107A8C0\t0002\t0\t0\t1\t00000000\t0\t0\t0
eth0\t00000000\tFE00000A\t0003\t0\t0\t700\t00000000\t0\t0\t0
wlan0\t00000000\t0107A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0
wlan0\t0007A8C0\t00000000\t0001\t0\t0\t600\t00FFFFFF\t0\t0\t0
";

    /// What a gateway grants.
    fn grant(port: u16, public: u16, lifetime: u32) -> Vec<u8> {
        let mut bytes = vec![0, 129, 0, 0, 0, 0, 0, 9];
        bytes.extend(port.to_be_bytes());
        bytes.extend(public.to_be_bytes());
        bytes.extend(lifetime.to_be_bytes());
        bytes
    }

    #[test]
    fn requests_are_the_rfcs() {
        assert_eq!(
            request(0x1234, 7200),
            [0, 1, 0, 0, 0x12, 0x34, 0x12, 0x34, 0, 0, 0x1c, 0x20]
        );
        assert_eq!(request(0x1234, 0), [0, 1, 0, 0, 0x12, 0x34, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn answers_are_told_from_what_is_none() {
        let granted = grant(SHIP, 99, 7200);
        let mapping = Mapping {
            public: 99,
            lifetime: 7200,
        };
        assert_eq!(read_answer(&granted, SHIP), Some(Ok(mapping)));
        for length in 0..granted.len() {
            assert_eq!(read_answer(&granted[..length], SHIP), None, "cut at {length}");
        }
        for none in [
            grant(SHIP + 1, 99, 7200),
            grant(SHIP, 0, 7200),
            grant(SHIP, 99, 0),
            request(SHIP, 7200).to_vec(),
            // About the gateway's own address.
            vec![0, 128, 0, 0, 0, 0, 0, 9, 10, 0, 0, 1],
        ] {
            assert_eq!(read_answer(&none, SHIP), None, "{none:?}");
        }
        assert_eq!(
            read_answer(&[0, 129, 0, 2, 0, 0, 0, 9], SHIP),
            Some(Err(Refusal(2)))
        );
        // A gateway that speaks PCP only.
        assert_eq!(read_answer(&[2, 129, 0, 1], SHIP), Some(Err(Refusal(1))));
    }

    #[test]
    fn a_mapping_is_renewed_half_way_and_never_in_a_hurry() {
        let after = |lifetime| {
            let public = 1;
            Mapping { public, lifetime }.renew_after()
        };
        assert_eq!(after(LIFETIME), Duration::from_secs(3600));
        assert_eq!(after(1), limits::NAT_PMP_RENEW_LEAST);
        assert_eq!(after(u32::MAX), limits::NAT_PMP_RENEW_MOST);
    }

    #[test]
    fn the_gateway_is_that_of_the_best_default_route() {
        let table = ROUTES_OF_A_LAPTOP;
        assert_eq!(gateway_of(table), Some(Ipv4Addr::new(192, 168, 7, 1)));
        let without: Vec<&str> = table.lines().filter(|line| !line.starts_with("wlan0")).collect();
        assert_eq!(
            gateway_of(&without.join("\n")),
            Some(Ipv4Addr::new(10, 0, 0, 254))
        );
        for strange in ["", "eth0", "eth0 x x x x x x x", "\0\n\n\t", &table[..60]] {
            assert_eq!(gateway_of(strange), None, "{strange:?}");
        }
    }

    #[test]
    fn a_gateway_is_named_by_address_or_by_the_route() {
        let at = |port| Ok(Gateway::At(SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), port)));
        assert_eq!("route".parse(), Ok(Gateway::OfRoute));
        assert_eq!("10.0.0.1".parse(), at(PORT));
        assert_eq!("10.0.0.1:99".parse(), at(99));
        for strange in ["", "10.0.0", "::1", "10.0.0.1:", "gateway"] {
            strange.parse::<Gateway>().unwrap_err();
        }
    }

    fn gateway() -> (Blocking, Gateway) {
        let socket = Blocking::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let port = socket.local_addr().unwrap().port();
        (socket, Gateway::At(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)))
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_mapping_is_asked_for_until_it_is_there_and_given_back_in_the_end() {
        let (socket, gateway) = gateway();
        let (number, bound) = watch::channel(None);
        let keeper = Keeper::new(&Handle::current(), gateway, bound);
        number.send_replace(Some(SHIP));
        let mut buffer = [0; 64];
        // The first request is lost, the second answered with nonsense before its answer.
        let (_, _) = socket.recv_from(&mut buffer).unwrap();
        let (len, from) = socket.recv_from(&mut buffer).unwrap();
        assert_eq!(buffer[..len], request(SHIP, LIFETIME));
        assert_eq!(keeper.public(), None);
        for answer in [
            vec![],
            vec![7; 64],
            grant(SHIP + 1, 5, 7200),
            grant(SHIP, 4321, 7200),
        ] {
            socket.send_to(&answer, from).unwrap();
        }
        let deadline = Instant::now() + Duration::from_secs(20);
        while keeper.public() != Some(4321) {
            assert!(Instant::now() < deadline, "the mapping is taken");
            sleep(Duration::from_millis(5)).await;
        }
        drop(keeper);
        // What was asked again before the answer came may be read first.
        while buffer[..len] != request(SHIP, 0) {
            let (got, whence) = socket.recv_from(&mut buffer).unwrap();
            assert_eq!((got, whence), (len, from));
        }
    }

    #[tokio::test]
    async fn a_refusal_is_an_answer() {
        let (socket, gateway) = gateway();
        let line = Line::default();
        let refuse = tokio::task::spawn_blocking(move || {
            let (_, from) = socket.recv_from(&mut [0; 64]).unwrap();
            socket.send_to(&[0, 129, 0, 3, 0, 0, 0, 9], from).unwrap();
        });
        let failure = map(gateway, SHIP, &line).await.unwrap_err();
        refuse.await.unwrap();
        let Gateway::At(address) = gateway else {
            unreachable!()
        };
        assert_eq!(failure, Failure::Refused(address, Refusal(3)));
    }

    #[tokio::test]
    async fn nothing_is_asked_once_the_office_is_over() {
        let (socket, gateway) = gateway();
        let (number, bound) = watch::channel(None);
        let keeper = Keeper::new(&Handle::current(), gateway, bound);
        let line = Arc::clone(&keeper.line);
        drop(keeper);
        number.send_replace(Some(SHIP));
        let Gateway::At(address) = gateway else {
            unreachable!()
        };
        let late = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        late.connect(address).await.unwrap();
        line.ask(&Arc::new(late), SHIP).unwrap();
        // Whatever had been sent is there by now: this machine loses and delays nothing.
        socket.set_nonblocking(true).unwrap();
        assert_eq!(
            socket.recv_from(&mut [0; 64]).unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
    }
}
