//! HTTP/2.

use super::*;
use crate::limits::{HTTP_RESPONSE_BYTES, HTTP2_STREAMS};
use bytes::Bytes;
use h2::{
    Reason, RecvStream,
    client::{ResponseFuture, SendRequest},
};
use tokio::{runtime::Runtime, time::timeout};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};

/// A client with one connection.
struct Http2 {
    runtime: Arc<Runtime>,
    requests: SendRequest<Bytes>,
}

/// Waits for what must come.
fn wait<T>(runtime: &Runtime, future: impl Future<Output = T>) -> T {
    runtime.block_on(async { timeout(PATIENCE, future).await.expect("nothing comes") })
}

/// A request whose answer is awaited.
struct Awaited {
    runtime: Arc<Runtime>,
    response: ResponseFuture,
}

impl Http2 {
    /// Through TLS, which agrees on the protocol.
    fn secure(ship: &Ship) -> Http2 {
        let connector = TlsConnector::from(tls::trusting(b"h2"));
        let port = ship.secure.unwrap();
        ship.pier.runtime.block_on(async {
            let tcp = tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port))
                .await
                .unwrap();
            let name = ServerName::try_from("localhost").unwrap();
            let stream = connector.connect(name, tcp).await.unwrap();
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
            Http2::over(&ship.pier.runtime, stream).await
        })
    }

    /// Without asking whether it is spoken.
    fn plain(ship: &Ship) -> Http2 {
        ship.pier.runtime.block_on(async {
            let tcp = tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, ship.public))
                .await
                .unwrap();
            Http2::over(&ship.pier.runtime, tcp).await
        })
    }

    async fn over(
        runtime: &Arc<Runtime>,
        stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    ) -> Http2 {
        let (requests, connection) = h2::client::Builder::new()
            .initial_connection_window_size(1 << 20)
            .handshake(stream)
            .await
            .unwrap();
        tokio::spawn(connection);
        Http2 {
            runtime: Arc::clone(runtime),
            requests,
        }
    }

    fn ask(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Awaited {
        let mut request = http::Request::builder()
            .method(method)
            .uri(format!("https://zod.example{target}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(()).unwrap();
        let runtime = Arc::clone(&self.runtime);
        self.requests = wait(&runtime, self.requests.clone().ready()).unwrap();
        let (response, mut stream) = self.requests.send_request(request, body.is_empty()).unwrap();
        if !body.is_empty() {
            stream.send_data(Bytes::copy_from_slice(body), true).unwrap();
        }
        Awaited { runtime, response }
    }

    fn get(&mut self, target: &str) -> Awaited {
        self.ask("GET", target, &[], b"")
    }

    /// The server says that it is done with this connection.
    fn is_ended(&mut self) {
        let runtime = Arc::clone(&self.runtime);
        runtime.block_on(async {
            let ended = async {
                while self.requests.clone().ready().await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(2)).await
                }
            };
            timeout(PATIENCE, ended).await.expect("the connection goes on");
        });
    }
}

impl Awaited {
    /// The status, the headers in order with `DATE` for the date, and the body.
    fn head(self) -> (u16, String, Body) {
        let runtime = self.runtime;
        let response = wait(&runtime, self.response).unwrap();
        let mut headers = String::new();
        for (name, value) in response.headers() {
            let value = value.to_str().unwrap();
            match httpdate::parse_http_date(value) {
                Ok(_) => headers.push_str(&format!("{name}: DATE\n")),
                Err(_) => headers.push_str(&format!("{name}: {value}\n")),
            }
        }
        let status = response.status().as_u16();
        (
            status,
            headers,
            Body {
                runtime,
                stream: response.into_body(),
            },
        )
    }

    fn whole(self) -> (u16, String, String) {
        let (status, headers, mut body) = self.head();
        (status, headers, body.rest())
    }

    /// It is reset.
    fn reset_reason(self) -> Option<Reason> {
        let answer = wait(&self.runtime, self.response);
        answer.unwrap_err().reason()
    }
}

/// The body of a response.
struct Body {
    runtime: Arc<Runtime>,
    stream: RecvStream,
}

impl Body {
    /// The next bytes; None at the end.
    fn next(&mut self) -> Option<Result<String, h2::Error>> {
        let data = wait(&self.runtime, self.stream.data())?;
        Some(data.map(|data| {
            self.stream.flow_control().release_capacity(data.len()).unwrap();
            String::from_utf8(data.to_vec()).unwrap()
        }))
    }

    fn rest(&mut self) -> String {
        let mut text = String::new();
        while let Some(part) = self.next() {
            text.push_str(&part.unwrap());
        }
        text
    }
}

#[test]
fn requests_of_one_connection_do_not_wait_for_each_other() {
    let mut ship = tls::ship(Bounds::default());
    let mut client = Http2::secure(&ship);
    let cookies = [
        ("cookie", "a=b"),
        ("x-two", "1"),
        ("cookie", "c=d"),
        ("X-Two", "2"),
        ("expect", "100-continue"),
    ];
    let first = client.ask("POST", "/first?q", &cookies, b"body");
    let asked_first = ship.request();
    let second = client.get("/second");
    let asked_second = ship.request();

    assert_eq!(asked_first.tag, "request");
    assert_eq!(asked_first.data.head(), Some(&Noun::ZERO), "it is secure");
    assert_eq!(asked_first.wire, ["http-server", &ship.sev, "1", "1"]);
    assert_eq!(asked_second.wire, ["http-server", &ship.sev, "1", "2"]);
    assert_eq!(asked_first.data.slot(14), Some(&Noun::cord("POST")));
    assert_eq!(asked_first.url(), "/first?q");
    let headers: Vec<(String, String)> = FromNoun::from_noun(asked_first.data.slot(62).unwrap()).unwrap();
    let headers = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect::<Vec<_>>();
    // The names are in the order of their first headers, which is as much as the library keeps.
    assert_eq!(
        headers,
        [
            ("host", "zod.example"),
            ("cookie", "a=b; c=d"),
            ("x-two", "1"),
            ("x-two", "2"),
            ("expect", "100-continue"),
        ]
    );
    assert_eq!(asked_first.body(), Some((4, Noun::cord("body"))));

    let kernel = [
        ("content-type", "text/html"),
        ("content-length", "999"),
        ("Set-Cookie", "one"),
        ("connection", "keep-alive"),
        ("transfer-encoding", "chunked"),
        ("bad name", "x"),
        ("set-cookie", "two"),
    ];
    ship.respond(&asked_second.wire, &start(404, &kernel, octs(b"second"), true));
    let expected = "server: urbit/vere-3.5\ndate: DATE\nset-cookie: two\nset-cookie: one\n\
        content-type: text/html\ncontent-length: 6\n";
    assert_eq!(second.whole(), (404, expected.to_owned(), "second".to_owned()));
    ship.respond(&asked_first.wire, &page("first"));
    assert_eq!(first.whole().2, "first");
    ship.pier.assert_silent();
}

#[test]
fn a_stream_goes_on_until_the_client_resets_it() {
    let mut ship = Ship::new();
    // Without TLS, by a client that knows beforehand.
    let mut client = Http2::plain(&ship);
    let stream = client.get("/stream");
    let mut asked = ship.request();
    assert_eq!(asked.data.head(), Some(&Noun::atom(1)));
    asked.commit();
    ship.respond(
        &asked.wire,
        &start(200, &[("content-type", "text/event-stream")], octs(b"a"), false),
    );
    let (status, headers, mut body) = stream.head();
    assert_eq!(
        (status, headers.as_str()),
        (
            200,
            "server: urbit/vere-3.5\ndate: DATE\ncontent-type: text/event-stream\n"
        )
    );
    assert_eq!(body.next().unwrap().unwrap(), "a");
    for part in ["b", "cd"] {
        ship.respond(&asked.wire, &proceed(octs(part.as_bytes()), false));
        assert_eq!(body.next().unwrap().unwrap(), part);
    }
    let other = client.get("/other");
    let asked_other = ship.request();
    drop(body);
    // At once, not at the second write after it.
    ship.cancelled(&asked.wire);
    drop(other);
    ship.cancelled(&asked_other.wire);
    drop(asked_other);

    let stream = client.get("/whole");
    let mut asked = ship.request();
    asked.commit();
    ship.respond(&asked.wire, &start(200, &[], None, false));
    ship.respond(&asked.wire, &proceed(octs(b"end"), true));
    assert_eq!(stream.whole().2, "end");
    let aborted = client.get("/aborted");
    let asked = ship.request();
    ship.respond(&asked.wire, &start(200, &[], octs(b"some"), false));
    let (_, _, mut body) = aborted.head();
    assert_eq!(body.next().unwrap().unwrap(), "some");
    ship.respond(&asked.wire, &Response::Cancel(()));
    assert_eq!(
        body.next().unwrap().unwrap_err().reason(),
        Some(Reason::INTERNAL_ERROR)
    );
    drop((client, asked, body));
    ship.pier.assert_silent();
    ship.all_is_quiet(Bounds::default());
}

#[test]
fn a_client_that_vanishes_cancels_all_that_it_asked() {
    let mut ship = Ship::new();
    let mut client = Http2::plain(&ship);
    let waiting = [client.get("/a"), client.get("/b")];
    let mut wires = [ship.request(), ship.request()].map(|mut asked| {
        asked.commit();
        asked.wire
    });
    drop((waiting, client));
    let mut cancelled = [ship.request(), ship.request()].map(|asked| {
        assert_eq!(asked.tag, "cancel-request");
        asked.wire
    });
    wires.sort();
    cancelled.sort();
    assert_eq!(wires, cancelled);
    ship.all_is_quiet(Bounds::default());
}

#[test]
fn answers_without_a_body_have_none() {
    let mut ship = Ship::new();
    let mut client = Http2::plain(&ship);
    for (method, status) in [("HEAD", 200), ("GET", 204), ("GET", 304)] {
        for complete in [true, false] {
            let answer = client.ask(method, "/", &[], b"");
            let asked = ship.request();
            ship.respond(&asked.wire, &start(status, &[], octs(b"too much"), complete));
            if !complete {
                ship.respond(&asked.wire, &proceed(octs(b"more"), true));
            }
            let (got, _, body) = answer.whole();
            assert_eq!((got, body.as_str()), (status, ""));
        }
    }
    // A length that is not that of the whole is not said.
    let answer = client.get("/");
    let asked = ship.request();
    ship.respond(
        &asked.wire,
        &start(200, &[("content-length", "1")], octs(b"a"), false),
    );
    let (_, headers, mut body) = answer.head();
    assert!(!headers.contains("content-length"), "{headers}");
    ship.respond(&asked.wire, &proceed(octs(b"b"), true));
    assert_eq!(body.rest(), "ab");
    let weird = client.get("/");
    let asked = ship.request();
    ship.respond(&asked.wire, &start(42, &[], None, true));
    assert_eq!(weird.whole().0, 500);
}

#[test]
fn the_king_answers_by_itself_here_too() {
    let mut ship = Ship::new();
    let mut client = Http2::plain(&ship);
    let kind = "content-type: text/plain; charset=utf-8\n";
    let own = |length: usize, more: &str| {
        format!("server: urbit/vere-3.5\ndate: DATE\n{kind}{more}content-length: {length}\n")
    };
    assert_eq!(
        client.ask("PATCH", "/", &[], b"").whole(),
        (400, own(11, ""), "bad request".to_owned())
    );
    assert_eq!(client.get("/~_~/slog").whole().0, 403);
    let hosed = client.get("/");
    let asked = ship.request();
    ship.respond(&asked.wire, &Response::Cancel(()));
    assert_eq!(hosed.whole(), (500, own(5, ""), "hosed".to_owned()));
    let many = (0..101)
        .map(|number| (format!("x-{number}"), String::new()))
        .collect::<Vec<_>>();
    let many = many
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect::<Vec<_>>();
    assert_eq!(client.ask("GET", "/", &many, b"").whole().0, 400);
    let unknown = client.get("/");
    drop(ship.request());
    assert_eq!(
        unknown.whole(),
        (503, own(19, "retry-after: 1\n"), "service unavailable".to_owned())
    );
    ship.pier.assert_silent();
}

#[test]
fn at_the_offices_end_streams_end_and_whoever_waits_is_sent_elsewhere() {
    let mut ship = tls::ship(Bounds::default());
    let mut client = Http2::secure(&ship);
    let waiting = client.get("/waiting");
    let asked = ship.request();
    let stream = client.get("/stream");
    let streamed = ship.request();
    ship.respond(&streamed.wire, &start(200, &[], octs(b"some"), false));
    let (_, _, mut body) = stream.head();
    assert_eq!(body.next().unwrap().unwrap(), "some");
    ship.driver.stop();
    assert_eq!(waiting.whole().0, 503);
    assert_eq!(
        body.next().unwrap().unwrap_err().reason(),
        Some(Reason::INTERNAL_ERROR)
    );
    client.is_ended();
    ship.pier.assert_silent();
    drop((asked, streamed));
    until("all is given back", || {
        ship.driver.servers.shared().exchanges.len() == 0
            && ship.driver.servers.shared().places.available_permits() == Bounds::default().connections
    });
}

#[test]
fn a_new_configuration_lets_streams_finish_and_takes_no_more() {
    let mut ship = Ship::new();
    let mut client = Http2::plain(&ship);
    let stream = client.get("/stream");
    let streamed = ship.request();
    ship.respond(&streamed.wire, &start(200, &[], octs(b"some"), false));
    let (_, _, mut body) = stream.head();
    ship.configure(&config());
    ship.settle();
    client.is_ended();
    ship.respond(&streamed.wire, &proceed(octs(b" more"), true));
    assert_eq!(body.rest(), "some more");
    drop(streamed);
    ship.all_is_quiet(Bounds::default());
}

#[test]
fn a_client_that_does_not_read_loses_that_stream_only() {
    let mut ship = Ship::new();
    let mut client = Http2::plain(&ship);
    let slow = client.get("/slow");
    let mut asked = ship.request();
    asked.commit();
    ship.respond(&asked.wire, &start(200, &[], None, false));
    let (_, _, body) = slow.head();
    let mut sent = 0;
    while ship.driver.servers.shared().exchanges.len() > 0 {
        assert!(sent < 100, "nothing stops the kernel");
        ship.respond(&asked.wire, &proceed(zeros(HTTP_RESPONSE_BYTES / 4), false));
        sent += 1;
        std::thread::sleep(Duration::from_millis(5));
    }
    ship.cancelled(&asked.wire);
    let quick = client.get("/quick");
    let asked = ship.request();
    ship.respond(&asked.wire, &page("quick"));
    assert_eq!(quick.whole().2, "quick");
    drop(body);
    assert_eq!(ship.driver.servers.shared().exchanges.waiting(), 0);
}

#[test]
fn large_bodies_pass_in_both_directions() {
    let mut ship = tls::ship(Bounds::default());
    let mut client = Http2::secure(&ship);
    let body = vec![b'x'; 3 << 20];
    let answer = client.ask("PUT", "/", &[], &body);
    let asked = ship.request();
    assert_eq!(
        asked.body(),
        Some((body.len() as u64, Noun::from_le_bytes(&body)))
    );
    ship.respond(
        &asked.wire,
        &start(200, &[("content-length", "")], octs(&body), true),
    );
    let (_, headers, text) = answer.whole();
    assert!(headers.contains("content-length: 3145728\n"));
    assert!(text.len() == body.len() && text.bytes().all(|byte| byte == b'x'));
}

#[test]
fn requests_beyond_the_bound_and_idle_connections_do_not_stay() {
    let bounds = Bounds {
        read_patience: Duration::from_millis(300),
        ..Bounds::default()
    };
    let mut ship = Ship::with(bounds);
    let mut client = Http2::plain(&ship);
    let mut waiting = (0..HTTP2_STREAMS)
        .map(|number| client.get(&format!("/{number}")))
        .collect::<Vec<_>>();
    let mut asked = (0..HTTP2_STREAMS).map(|_| ship.request()).collect::<Vec<_>>();
    let late = http::Request::get("https://zod.example/late").body(()).unwrap();
    let runtime = Arc::clone(&ship.pier.runtime);
    let (late, _) = client.requests.send_request(late, true).unwrap();
    std::thread::sleep(Duration::from_millis(400));
    ship.pier.assert_silent();
    let first = asked.remove(0);
    ship.respond(&first.wire, &page("first"));
    // They are asked at once, in any order.
    let number = first.url()[1..].parse().unwrap();
    assert_eq!(waiting.remove(number).whole().2, "first");
    let late_asked = ship.request();
    assert_eq!(late_asked.url(), "/late");
    for asked in asked.into_iter().chain([late_asked]) {
        ship.respond(&asked.wire, &page("other"));
    }
    assert!(waiting.into_iter().all(|answer| answer.whole().2 == "other"));
    let late = Awaited {
        runtime,
        response: late,
    };
    assert_eq!(late.whole().2, "other");
    drop(first);
    client.is_ended();
    ship.all_is_quiet(bounds);
}

#[test]
fn a_body_that_does_not_come_is_not_waited_for() {
    let bounds = Bounds {
        read_patience: Duration::from_millis(200),
        ..Bounds::default()
    };
    let mut ship = Ship::with(bounds);
    let client = Http2::plain(&ship);
    let runtime = Arc::clone(&ship.pier.runtime);
    let request = http::Request::post("https://zod.example/").body(()).unwrap();
    let mut requests = client.requests.clone();
    let (response, stream) = runtime.block_on(async { requests.send_request(request, false).unwrap() });
    let awaited = Awaited { runtime, response };
    assert!(awaited.reset_reason().is_some());
    drop(stream);
    ship.pier.assert_silent();
}
