//! What becomes of what clients send.

use super::*;
use crate::limits::{HTTP_BODY_BYTES, HTTP_HEAD_BYTES};

const BARE: &str = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\
                    Content-Length: 11\r\n\r\nBad Request";

/// A reply's response.
fn reply(line: &str, connection: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {line}\r\nDate: DATE\r\nConnection: {connection}\r\nContent-Length: {}\r\n\
         Server: urbit/vere-3.5\r\ncontent-type: text/plain; charset=utf-8\r\n\r\n{body}",
        body.len()
    )
}

fn patient(read: Duration) -> Bounds {
    Bounds {
        read_patience: read,
        ..Bounds::default()
    }
}

#[test]
fn requests_are_numbered_by_connection_and_in_it() {
    let mut ship = Ship::new();
    let mut first = ship.client();
    for sequence in ["1", "2"] {
        first.get("/a?b=c");
        let mut asked = ship.request();
        assert_eq!(asked.wire, ["http-server", &ship.sev, "1", sequence]);
        let headers = n![("host", "zod.example"), ()];
        assert_eq!(asked.tag, "request");
        assert_eq!(
            asked.data,
            n![false, ("ipv4", 0x7f00_0001_u32), "GET", "/a?b=c", headers, ()]
        );
        asked.commit();
        ship.respond(&asked.wire, &page("hello"));
        assert_eq!(
            first.head() + &first.read(5),
            "HTTP/1.1 200 ok\r\nDate: DATE\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\
             Server: urbit/vere-3.5\r\n\r\nhello"
        );
    }
    let mut second = ship.client();
    second.get("/");
    assert_eq!(ship.request().wire, ["http-server", &ship.sev, "2", "1"]);
}

#[test]
fn the_loopback_server_has_the_next_number_and_its_requests_are_local() {
    let mut ship = Ship::new();
    let mut client = Client::new(ship.loopback);
    client.send("POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nab\0\0");
    let asked = ship.request();
    assert_eq!((asked.tag.as_str(), asked.connection()), ("request-local", "1"));
    assert_eq!(asked.body(), Some((4, Noun::cord("ab"))));
    let instance = serf_ipc::text::slaw(serf_ipc::text::Aura::Uv, &ship.sev)
        .unwrap()
        .as_u64()
        .unwrap();
    assert_eq!(asked.wire[1], serf_ipc::text::uv(instance + 1));
}

#[test]
fn bodies_come_whole_however_they_are_sent() {
    let mut ship = Ship::new();
    let mut client = ship.client();
    let head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nX-Kept: yes\r\n\r\n";
    for piece in [
        head,
        "5\r\nhel",
        "lo\r",
        "\n6;ext\r\n wor",
        "ld\r\n0\r\nTrailer: x\r\n",
        "\r\n",
    ] {
        client.send(piece);
    }
    let asked = ship.request();
    assert_eq!(asked.body(), Some((11, Noun::cord("hello world"))));
    assert_eq!(
        asked.data.slot(62),
        Some(&n![("host", "default"), ("x-kept", "yes"), ()])
    );
    ship.respond(&asked.wire, &page("1"));
    assert!(client.head().starts_with("HTTP/1.1 200 ok"));
    assert_eq!(client.read(1), "1");

    client.send("PUT / HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
    let asked = ship.request();
    assert_eq!(asked.body(), None, "an empty body is none");
    ship.respond(&asked.wire, &page("2"));
    client.head();
    assert_eq!(client.read(1), "2");

    let large = vec![7; 3 << 20];
    client.send(format!(
        "PUT / HTTP/1.1\r\nContent-Length: {}\r\nExpect: 100-Continue\r\n\r\n",
        large.len()
    ));
    assert_eq!(client.head(), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send(&large);
    assert_eq!(
        ship.request().body(),
        Some((3 << 20, Noun::from_le_bytes(&large)))
    );
}

#[test]
fn requests_on_one_connection_are_handled_one_after_the_other() {
    let mut ship = Ship::new();
    let mut client = ship.client();
    client.send(
        "GET /1 HTTP/1.1\r\n\r\n".to_owned()
            + "POST /2 HTTP/1.1\r\nContent-Length: 2\r\n\r\nab"
            + "GET /3 HTTP/1.1\r\n\r\n",
    );
    for number in ["1", "2", "3"] {
        let asked = ship.request();
        assert_eq!(
            (asked.url(), asked.wire[3].as_str()),
            (format!("/{number}"), number)
        );
        ship.pier.assert_silent();
        ship.respond(&asked.wire, &page(number));
        client.head();
        assert_eq!(client.read(1), number);
    }
}

#[test]
fn a_method_that_eyre_does_not_know_is_refused_and_has_no_number() {
    let mut ship = Ship::new();
    let mut client = ship.client();
    client.send("PATCH / HTTP/1.1\r\nContent-Length: 2\r\n\r\nab");
    let refused = reply("400 bad request", "keep-alive", "bad request");
    assert_eq!(client.head() + &client.read(11), refused);
    client.send(format!("PATCH / HTTP/1.1\r\nContent-Length: {}\r\n\r\n", 1 << 20));
    client.send(vec![0; 1 << 20]);
    assert_eq!(client.head() + &client.read(11), refused);
    let memory = &ship.driver.servers.shared().memory;
    assert_eq!(
        memory.available_permits(),
        Bounds::default().requests_bytes,
        "an idle connection holds none"
    );
    client.get("/");
    assert_eq!(ship.request().wire[2..], ["1", "1"]);
}

#[test]
fn what_is_not_http_gets_the_bare_answer() {
    let ship = Ship::new();
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(101));
    let long = format!("GET / HTTP/1.1\r\na: {}", "x".repeat(HTTP_HEAD_BYTES));
    for text in ["\0\r\n\r\n", "GET / HTTP/1.1\r\nno colon\r\n\r\n", &many, &long] {
        let mut client = ship.client();
        client.send(text);
        assert_eq!(client.rest(), BARE);
    }
    // What was a beginning at first, and then was none.
    let mut client = ship.client();
    for piece in ["GET / HT", "TP/1.1\r\nno", " colon\r\n", "\r\n"] {
        client.send(piece);
    }
    assert_eq!(client.rest(), BARE);
    ship.all_is_quiet(Bounds::default());
}

#[test]
fn bodies_that_are_not_taken_are_refused_with_a_reason() {
    let mut ship = Ship::new();
    let too_large = reply(
        "413 Request Entity Too Large",
        "close",
        "request entity is too large",
    );
    let length = |len: usize| format!("POST / HTTP/1.1\r\nContent-Length: {len}\r\n\r\n");
    let coded = |coding: &str| format!("POST / HTTP/1.1\r\nTransfer-Encoding: {coding}\r\n\r\n");
    let refusals = [
        (length(HTTP_BODY_BYTES + 1), too_large),
        (
            "POST / HTTP/1.1\r\nContent-Length: 1\r\nExpect: wonders\r\n\r\n".to_owned(),
            reply("417 Expectation Failed", "close", "unknown expectation"),
        ),
        (
            length(1).replace('1', "x").replace("HTTP/x.x", "HTTP/1.1"),
            reply("400 Invalid Request", "close", "broken content-length header"),
        ),
        (
            coded("gzip"),
            reply("400 Invalid Request", "close", "unknown transfer-encoding"),
        ),
        (
            coded("chunked") + "nonsense",
            reply("400 Invalid Request", "close", "broken chunked-encoding"),
        ),
    ];
    for (text, refusal) in refusals {
        let mut client = ship.client();
        client.send(&text);
        assert_eq!(client.rest(), refusal, "{text:?}");
    }
    // To HEAD without the body.
    let mut client = ship.client();
    client.send("HEAD / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n");
    assert!(client.rest().ends_with("utf-8\r\n\r\n"));
    ship.pier.assert_silent();
    ship.all_is_quiet(Bounds::default());
}

#[test]
fn a_client_that_goes_on_sending_reads_its_refusal_all_the_same() {
    let ship = Ship::new();
    let mut client = ship.client();
    client.send(format!(
        "POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n",
        HTTP_BODY_BYTES + 1
    ));
    client.send(vec![0; 256 << 10]);
    assert!(client.rest().starts_with("HTTP/1.1 413 "));
}

#[test]
fn bodies_beyond_the_common_store_are_put_off() {
    let bounds = Bounds {
        requests_bytes: 1 << 20,
        ..Bounds::default()
    };
    let mut ship = Ship::with(bounds);
    let mut holder = ship.client();
    holder.send(format!(
        "POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n",
        700 << 10
    ));
    holder.send(vec![1; 700 << 10]);
    let mut held = ship.request();

    let mut client = ship.client();
    client.send("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send(format!("{:x}\r\n", 900 << 10));
    client.send(vec![2; 500 << 10]);
    let refusal = client.rest();
    assert!(
        refusal.starts_with("HTTP/1.1 503 service unavailable\r\n"),
        "{refusal}"
    );
    assert!(refusal.contains("\r\nretry-after: 1\r\n"), "{refusal}");

    // The holder's body is held until its event is committed, whatever becomes of the response.
    ship.respond(&held.wire, &page("1"));
    assert!(holder.head().starts_with("HTTP/1.1 200 ok"));
    drop(holder);
    assert!(ship.driver.servers.shared().memory.available_permits() < 400 << 10);
    held.commit();
    ship.all_is_quiet(bounds);
}

#[test]
fn slow_heads_and_idle_connections_are_closed_silently() {
    let bounds = patient(Duration::from_millis(300));
    let mut ship = Ship::with(bounds);
    for begun in ["", "GET / HTTP/1.1\r\nHost: a"] {
        let since = Instant::now();
        let mut client = ship.client();
        client.send(begun);
        assert_eq!(client.rest(), "");
        assert!(since.elapsed() >= Duration::from_millis(300));
    }
    // Between two requests too.
    let mut client = ship.client();
    client.get("/");
    let asked = ship.request();
    ship.respond(&asked.wire, &page("1"));
    assert!(client.rest().ends_with("\r\n\r\n1"));
    // A body may take longer in all, but not between two reads.
    let mut client = ship.client();
    client.send("POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\na");
    assert_eq!(client.rest(), "");
    ship.pier.assert_silent();
    ship.all_is_quiet(bounds);
}

#[test]
fn a_body_in_drops_ends() {
    let ship = Ship::with(patient(Duration::from_millis(400)));
    let mut client = ship.client();
    client.send("POST / HTTP/1.1\r\nContent-Length: 1000\r\n\r\n");
    let since = Instant::now();
    // Every drop comes in time, but they do not make a stream.
    while client.0.write_all(b"x").is_ok() {
        assert!(since.elapsed() < PATIENCE, "it is read for ever");
        std::thread::sleep(Duration::from_millis(50));
    }
}
