//! The driver with servers of its own on this machine: good ones, slow ones, broken ones, endless ones.

use super::*;
use crate::{
    drivers::fake_pier::{FakePier, as_planned},
    ovum::Ovum,
};
use serf_ipc::{cue, n};
use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::mpsc,
    thread,
    time::Duration,
};
use tokio_rustls::rustls::{
    RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

/// A certificate for `localhost`, and the one that vouches for it.
const CERTIFICATES: &str = include_str!("../../../tests/data/tls/localhost.pem");
/// Its key.
const KEY: &str = include_str!("../../../tests/data/tls/localhost.key");
/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server for one connection: what it was sent comes back from its thread.
struct Server {
    port: u16,
    thread: thread::JoinHandle<Vec<u8>>,
}

/// Serves one connection with `serve`.
fn server(serve: impl FnOnce(TcpStream) -> Vec<u8> + Send + 'static) -> Server {
    server_at(Ipv4Addr::LOCALHOST, serve)
}

fn server_at(address: Ipv4Addr, serve: impl FnOnce(TcpStream) -> Vec<u8> + Send + 'static) -> Server {
    let listener = TcpListener::bind((address, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        serve(stream)
    });
    Server { port, thread }
}

/// Reads a request's head, and `body` bytes behind it.
fn read_request(stream: &mut impl Read, body: usize) -> Vec<u8> {
    let (mut bytes, mut byte) = (Vec::new(), [0]);
    while !bytes.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        bytes.push(byte[0]);
    }
    let head = bytes.len();
    bytes.resize(head + body, 0);
    stream.read_exact(&mut bytes[head..]).unwrap();
    bytes
}

/// A server that answers with these bytes and hangs up.
fn answering(answer: &'static [u8]) -> Server {
    server(move |mut stream| {
        let request = read_request(&mut stream, 0);
        stream.write_all(answer).unwrap();
        request
    })
}

fn own_authority() -> anyhow::Result<Client> {
    let issuer = CertificateDer::pem_slice_iter(CERTIFICATES.as_bytes())
        .nth(1)
        .unwrap()?;
    let mut roots = RootCertStore::empty();
    roots.add(issuer)?;
    Client::new(roots)
}

fn nobody() -> anyhow::Result<Client> {
    Client::new(RootCertStore::empty())
}

struct Ship {
    pier: FakePier,
    iris: Iris,
}

impl Ship {
    fn new() -> Ship {
        Ship::trusting(own_authority)
    }

    fn trusting(make: MakeClient) -> Ship {
        let mut pier = FakePier::new();
        let mut iris = Iris::new(pier.context(), make);
        iris.start().unwrap();
        let born = pier.planned().ovum;
        assert_eq!(born.card, n!["born", 0u64]);
        assert!(born.path().starts_with("/i/http-client/0v"), "{}", born.path());
        Ship { pier, iris }
    }

    fn effect(&mut self, tag: &str, data: &Noun) -> Claim {
        let session = self.iris.session.clone();
        self.pier.effect(&mut self.iris, &[WIRE, &session], tag, data)
    }

    fn get(&mut self, number: u32, url: &str) {
        let request = n![number, n!["GET", url, 0u64, 0u64]];
        assert_eq!(self.effect("request", &request), Claim::Taken);
    }

    /// The next answer: its number, status and body.
    fn answer(&mut self) -> (u64, u64, Option<Vec<u8>>) {
        let ovum = self.pier.planned().ovum;
        assert_eq!(ovum.path(), format!("/i/http-client/{}", self.iris.session));
        read(&ovum)
    }
}

fn read(ovum: &Ovum) -> (u64, u64, Option<Vec<u8>>) {
    type Card = (Noun, u64, Noun, (u64, Noun), Option<serf_ipc::Octs>, bool);
    let card: Card = serf_ipc::FromNoun::from_noun(&ovum.card).unwrap();
    let (receive, number, start, (status, _), body, complete) = card;
    assert!(receive.is_cord("receive") && start.is_cord("start") && complete);
    (number, status, body.map(|octs| octs.data))
}

#[test]
fn a_request_is_asked_and_answered_as_recorded() {
    let lines = include_str!("../../../tests/data/iris-session.jsonl").lines();
    let frames: Vec<Noun> = lines
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let digits = line["hex"].as_str().unwrap().as_bytes();
            let byte = |two: &[u8]| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap();
            cue(&digits.chunks(2).map(byte).collect::<Vec<_>>()).unwrap()
        })
        .collect();
    // [%work %done event mug effects], and [%work 0 now wire card].
    let effects = frames[0].slot(31).unwrap();
    let card = effects.iter_list().map(Result::unwrap).find_map(|effect| {
        let (wire, card) = effect.as_cell()?;
        wire.head()?.is_cord(WIRE).then_some(card)
    });
    let (_, data) = card.unwrap().as_cell().unwrap();
    let Some(Ok(Command::Request(0, request))) = Command::read("request", data) else {
        panic!("{data:?}")
    };
    let url = Url::parse(&request.url).unwrap();
    let bytes = client::written(&url, &request).unwrap();
    assert_eq!(bytes, b"GET /x.txt HTTP/1.1\r\nHost: 127.0.0.1:18299\r\n\r\n");
    let answer: &[u8] = b"HTTP/1.0 200 OK\r\nServer: SimpleHTTP/0.6 Python/3.11.7\r\nDate: Mon, 23 Nov 2026 02:07:37 GMT\r\n\
        Content-type: text/plain\r\nContent-Length: 9\r\nLast-Modified: Mon, 23 Nov 2026 02:07:36 GMT\r\n\r\nhi-there\n";
    let mut reader = response::Reader::new(false);
    reader.take(answer).unwrap();
    let event = frames[1].slot(31).unwrap();
    assert_eq!(&shapes::receive(0, reader.end().unwrap()), event);
}

#[test]
fn requests_go_out_and_their_answers_come_in() {
    let mut ship = Ship::new();
    let good = server(|mut stream| {
        let request = read_request(&mut stream, 4);
        // In pieces, and the connection stays open.
        for piece in [
            "HTTP/1.1 200 OK\r\nX: y\r\nTransfer-Enc",
            "oding: chunked\r\n\r\n3\r\nab",
            "c\r\n0\r\n\r\n",
        ] {
            stream.write_all(piece.as_bytes()).unwrap();
            thread::sleep(Duration::from_millis(5));
        }
        // Until it is hung up on.
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
        request
    });
    let url = format!("http://localhost:{}/a%20b?c=d", good.port);
    let headers = n![n!["one", "1"], n!["two", "2"], 0u64];
    let body = n![0u64, 4u64, "ab"];
    assert_eq!(
        ship.effect("request", &n![7u64, n!["POST", url.as_str(), headers, body]]),
        Claim::Taken
    );
    assert_eq!(ship.answer(), (7, 200, Some(b"abc".to_vec())));
    let port = good.port;
    let request = String::from_utf8(good.thread.join().unwrap()).unwrap();
    assert_eq!(
        request,
        format!(
            "POST /a%20b?c=d HTTP/1.1\r\nHost: localhost:{port}\r\ntwo: 2\r\none: 1\r\nContent-Length: 4\r\n\r\nab\0\0"
        )
    );

    // No redirect is followed, and nothing is a body of no bytes.
    let moved =
        answering(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n");
    ship.get(8, &format!("http://127.0.0.1:{}", moved.port));
    assert_eq!(ship.answer(), (8, 302, None));
    // A server that answers before it was asked everything, and hangs up.
    let rash = server(|mut stream| {
        stream
            .write_all(b"HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno")
            .unwrap();
        Vec::new()
    });
    let body = n![0u64, 8_000_000u64, 0u64];
    let url = format!("http://127.0.0.1:{}/", rash.port);
    ship.effect("request", &n![9u64, n!["PUT", url.as_str(), 0u64, body]]);
    assert_eq!(ship.answer(), (9, 413, Some(b"no".to_vec())));
}

#[test]
fn a_failure_is_a_504() {
    let mut ship = Ship::new();
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let closed = free.local_addr().unwrap().port();
    drop(free);
    let servers = [
        answering(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"),
        answering(b"what is this\r\n\r\n"),
        answering(b""),
        // Says more than it may, without end: hung up on.
        server(|mut stream| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
            while stream.write_all(b"and: so on\r\n").is_ok() {}
            Vec::new()
        }),
    ];
    let urls = servers
        .iter()
        .map(|server| format!("http://127.0.0.1:{}/", server.port));
    let others = [
        format!("http://127.0.0.1:{closed}/"),
        "http://no-such-host.invalid/".to_owned(),
        "http://user@localhost/".to_owned(),
        "not a url".to_owned(),
    ];
    for (number, url) in (0..).zip(urls.chain(others)) {
        ship.get(number, &url);
        assert_eq!(ship.answer(), (u64::from(number), 504, None), "{url}");
    }
    let odd = n![
        20u64,
        n!["GET", "http://localhost/", n![n!["a", "b\r\nc: d"], 0u64], 0u64]
    ];
    ship.effect("request", &odd);
    assert_eq!(ship.answer(), (20, 504, None));
    ship.pier.assert_silent();
}

/// Serves one connection through TLS; what it was sent, unless there was none.
fn secure(address: Ipv4Addr) -> Server {
    server_at(address, |stream| {
        let certificates = CertificateDer::pem_slice_iter(CERTIFICATES.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .unwrap();
        let key = PrivateKeyDer::from_pem_slice(KEY.as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(certificates, key)
            .unwrap();
        let session = ServerConnection::new(Arc::new(config)).unwrap();
        let mut stream = StreamOwned::new(session, stream);
        if stream.conn.complete_io(&mut stream.sock).is_err() {
            return Vec::new();
        }
        let request = read_request(&mut stream, 0);
        // No length and no farewell: the connection's end is the body's.
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nsecret").unwrap();
        stream.flush().unwrap();
        request
    })
}

#[test]
fn https_is_asked_of_whom_an_authority_vouches_for() {
    let mut ship = Ship::new();
    let good = secure(Ipv4Addr::LOCALHOST);
    ship.get(1, &format!("https://localhost:{}/x", good.port));
    assert_eq!(ship.answer(), (1, 200, Some(b"secret".to_vec())));
    assert!(good.thread.join().unwrap().starts_with(b"GET /x HTTP/1.1\r\n"));
    let other_name = secure(Ipv4Addr::new(127, 0, 0, 2));
    ship.get(2, &format!("https://127.0.0.2:{}/x", other_name.port));
    assert_eq!(ship.answer(), (2, 504, None), "it is not whom it says it is");
    assert!(other_name.thread.join().unwrap().is_empty());
    let mut wary = Ship::trusting(nobody);
    let unknown = secure(Ipv4Addr::LOCALHOST);
    wary.get(3, &format!("https://localhost:{}/x", unknown.port));
    assert_eq!(wary.answer(), (3, 504, None), "nobody vouches for it");
    assert!(unknown.thread.join().unwrap().is_empty());
    let plain = answering(b"HTTP/1.1 200 OK\r\n\r\n");
    ship.get(4, &format!("https://localhost:{}/", plain.port));
    // The server waits for the end of a head that is none.
    drop(plain.thread);
    ship.effect("cancel-request", &Noun::atom(4));
    assert!(Client::trusting_the_usual().is_ok());
}

/// A server that is asked and says nothing, and when it has been asked. Its thread ends when it is hung up on.
fn silent() -> (Server, mpsc::Receiver<()>) {
    let (asked, is_asked) = mpsc::channel();
    let server = server(move |mut stream| {
        let request = read_request(&mut stream, 0);
        asked.send(()).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0);
        request
    });
    (server, is_asked)
}

#[test]
fn what_is_cancelled_is_hung_up_on_and_not_answered() {
    let mut ship = Ship::new();
    let (server, asked) = silent();
    ship.get(1, &format!("http://127.0.0.1:{}/", server.port));
    asked.recv_timeout(PATIENCE).unwrap();
    assert_eq!(ship.iris.info(), [("requests".to_owned(), 1)]);
    // Another number, and one that nobody knows.
    assert_eq!(ship.effect("cancel-request", &Noun::atom(2)), Claim::Taken);
    assert_eq!(ship.iris.info()[0].1, 1);
    assert_eq!(ship.effect("cancel-request", &Noun::atom(1)), Claim::Taken);
    assert_eq!(ship.iris.info()[0].1, 0);
    drop(server.thread.join().unwrap());
    ship.pier.assert_silent();
    // Its number is free.
    let good = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    ship.get(1, &format!("http://127.0.0.1:{}/", good.port));
    assert_eq!(ship.answer(), (1, 200, None));
}

#[test]
fn an_office_s_end_hangs_up_and_no_answer_comes() {
    for is_stopped in [true, false] {
        let mut ship = Ship::new();
        let (server, asked) = silent();
        ship.get(1, &format!("http://127.0.0.1:{}/", server.port));
        asked.recv_timeout(PATIENCE).unwrap();
        if is_stopped {
            ship.iris.stop();
        }
        let Ship { mut pier, iris } = ship;
        drop(iris);
        drop(server.thread.join().unwrap());
        pier.assert_silent();
    }
}

#[test]
fn no_more_are_asked_at_once_than_may_be() {
    let mut ship = Ship::new();
    ship.iris.places = Arc::new(Semaphore::new(1));
    let (first, asked) = silent();
    let second = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    ship.get(1, &format!("http://127.0.0.1:{}/", first.port));
    asked.recv_timeout(PATIENCE).unwrap();
    ship.get(2, &format!("http://127.0.0.1:{}/", second.port));
    let early = ship.pier.runtime.clone();
    assert!(
        early
            .block_on(ship.pier.try_next_message(Duration::from_millis(50)))
            .is_none()
    );
    ship.effect("cancel-request", &Noun::atom(1));
    let planned = as_planned(ship.pier.message());
    assert_eq!(read(&planned.ovum), (2, 200, None));
}

#[test]
fn what_is_none_of_iris_s_is_left_to_others() {
    let mut ship = Ship::new();
    for (tag, data) in [
        ("request", n![1u64, 2u64]),
        ("request", Noun::ZERO),
        (
            "request",
            n![u64::MAX, n!["GET", "http://localhost/", 0u64, 0u64]],
        ),
        ("cancel-request", n![1u64, 2u64]),
        ("sing", Noun::ZERO),
    ] {
        assert_eq!(ship.effect(tag, &data), Claim::Passed, "{tag} {data:?}");
    }
    let request = n![1u64, n!["GET", "http://localhost/", 0u64, 0u64]];
    let claim = ship
        .pier
        .effect(&mut ship.iris, &["http-server"], "request", &request);
    assert_eq!(claim, Claim::Passed);
    ship.pier.assert_silent();
}
