//! How what the kernel says reaches clients.

use super::*;

fn patient(start: Duration, part: Duration) -> Bounds {
    Bounds {
        start_patience: start,
        part_patience: part,
        ..Bounds::default()
    }
}

const CHUNKED: &str = "HTTP/1.1 200 ok\r\nDate: DATE\r\nConnection: keep-alive\r\nServer: urbit/vere-3.5\r\n\
                       content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
const EVENTS: (&str, &str) = ("content-type", "text/event-stream");

#[test]
fn a_stream_arrives_as_it_comes() {
    let mut ship = Ship::new();
    let mut client = ship.client();
    client.get("/~/channel/1");
    let mut asked = ship.request();
    asked.commit();
    ship.respond(&asked.wire, &start(200, &[EVENTS], None, false));
    assert_eq!(client.head(), CHUNKED);
    for text in ["id: 0\n\n", "\n", "id: 1\n\n"] {
        ship.respond(&asked.wire, &proceed(octs(text.as_bytes()), false));
        let chunk = format!("{:x}\r\n{text}\r\n", text.len());
        assert_eq!(client.read(chunk.len()), chunk);
    }
    ship.respond(&asked.wire, &proceed(None, true));
    assert_eq!(client.read(5), "0\r\n\r\n");
    // The connection goes on.
    client.get("/");
    let asked = ship.request();
    ship.respond(&asked.wire, &page("x"));
    assert!(client.head().starts_with("HTTP/1.1 200 ok"));
}

#[test]
fn large_bodies_arrive_whole() {
    let mut ship = Ship::new();
    let mut client = ship.client();
    client.get("/");
    let asked = ship.request();
    let bytes = (0..20_000_000_u32)
        .map(|at| b'a' + (at % 23) as u8)
        .collect::<Vec<_>>();
    ship.respond(
        &asked.wire,
        &start(200, &[("content-length", "")], octs(&bytes), true),
    );
    assert!(client.head().contains("Content-Length: 20000000\r\n"));
    assert!(client.read(bytes.len()).into_bytes() == bytes);
}

#[test]
fn unframed_bodies_end_with_the_connection() {
    let mut ship = Ship::new();
    let mut client = ship.client();
    client.get("/");
    let asked = ship.request();
    ship.respond(&asked.wire, &start(404, &[], octs(b"not"), false));
    ship.respond(&asked.wire, &proceed(octs(b" here"), true));
    assert_eq!(
        client.rest(),
        "HTTP/1.1 404 missing\r\nDate: DATE\r\nConnection: close\r\nServer: urbit/vere-3.5\r\n\r\nnot here"
    );
}

#[test]
fn old_clients_are_closed_after_one_answer() {
    let mut ship = Ship::new();
    let mut client = ship.client();
    client.send("GET / HTTP/1.0\r\n\r\n");
    let asked = ship.request();
    ship.respond(&asked.wire, &start(200, &[], octs(b"old"), true));
    assert_eq!(
        client.rest(),
        "HTTP/1.1 200 ok\r\nDate: DATE\r\nConnection: close\r\nServer: urbit/vere-3.5\r\n\r\nold"
    );
}

#[test]
fn a_cancel_is_500_before_the_start_and_breaks_the_stream_after_it() {
    let mut ship = Ship::new();
    let mut client = ship.client();
    client.get("/");
    let asked = ship.request();
    ship.respond(&asked.wire, &Response::Cancel(()));
    assert_eq!(
        client.head() + &client.read(5),
        "HTTP/1.1 500 hosed\r\nDate: DATE\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\
         Server: urbit/vere-3.5\r\ncontent-type: text/plain; charset=utf-8\r\n\r\nhosed"
    );
    client.get("/");
    let asked = ship.request();
    ship.respond(&asked.wire, &start(200, &[EVENTS], octs(b"some"), false));
    assert_eq!(
        client.head() + &client.read(9),
        CHUNKED.to_owned() + "4\r\nsome\r\n"
    );
    ship.respond(&asked.wire, &Response::Cancel(()));
    assert_eq!(client.rest(), "\r\n1\r\n");
    ship.pier.assert_silent();
}

#[test]
fn what_cannot_be_read_does_not_keep_the_client_waiting() {
    let mut ship = Ship::new();
    let mut client = ship.client();
    client.get("/");
    let asked = ship.request();
    let wire = asked.wire.iter().map(String::as_str).collect::<Vec<_>>();
    let strange = n!["start", (1000_u16, ()), (), true];
    assert_eq!(
        ship.pier.effect(&mut ship.driver, &wire, "response", &strange),
        Claim::Taken
    );
    assert!(client.head().starts_with("HTTP/1.1 500 hosed\r\n"));
}

#[test]
fn effects_for_nobody_are_taken_and_others_are_not() {
    let mut ship = Ship::new();
    let sev = ship.sev.clone();
    let gone = wire_of(RequestId {
        server: 5,
        connection: 6,
        sequence: 7,
    });
    ship.respond(&gone, &page("nobody"));
    let mut claim =
        |wire: &[&str], tag: &str, data: &Noun| ship.pier.effect(&mut ship.driver, wire, tag, data);
    let tokens = n!["0v2.token", n!["0v1", (), ()], ()];
    assert_eq!(claim(&["http-server", &sev], "sessions", &tokens), Claim::Taken);
    assert_eq!(
        claim(&["http-server", "0v1"], "grow", &n!["cache", "1", "~.x", ()]),
        Claim::Taken
    );
    assert_eq!(
        claim(&["http-server", &sev], "unheard-of", &Noun::ZERO),
        Claim::Taken
    );
    assert_eq!(
        claim(&["http-client", &sev], "request", &Noun::ZERO),
        Claim::Passed
    );
    assert_eq!(claim(&["http-server"], "response", &Noun::ZERO), Claim::Passed);
    assert_eq!(claim(&[], "response", &Noun::ZERO), Claim::Passed);
    assert!(ship.driver.info().contains(&("sessions".to_owned(), 2)));
    ship.pier.assert_silent();
}

#[test]
fn a_kernel_that_does_not_answer_is_timed_out_and_told() {
    let mut ship = Ship::with(patient(Duration::from_millis(300), PATIENCE));
    let mut client = ship.client();
    client.get("/");
    let mut asked = ship.request();
    asked.commit();
    assert_eq!(
        client.head() + &client.read(15),
        "HTTP/1.1 504 gateway timeout\r\nDate: DATE\r\nConnection: keep-alive\r\nContent-Length: 15\r\n\
         Server: urbit/vere-3.5\r\ncontent-type: text/plain; charset=utf-8\r\n\r\ngateway timeout"
    );
    ship.cancelled(&asked.wire);
    // The answer comes too late; the connection goes on with the next request.
    ship.respond(&asked.wire, &page("late"));
    client.get("/");
    let asked = ship.request();
    assert_eq!(asked.wire[2..], ["1", "2"]);
    ship.respond(&asked.wire, &page("x"));
    assert!(client.head().starts_with("HTTP/1.1 200 ok"));
}

#[test]
fn a_stream_that_falls_silent_is_aborted_and_the_kernel_told() {
    let patience = Duration::from_millis(1500);
    let mut ship = Ship::with(patient(PATIENCE, patience));
    let mut client = ship.client();
    client.get("/");
    let asked = ship.request();
    ship.respond(&asked.wire, &start(200, &[EVENTS], None, false));
    assert_eq!(client.head(), CHUNKED);
    // Each part, even an empty one, buys as much time again.
    let since = Instant::now();
    for _ in 0..3 {
        std::thread::sleep(patience / 3);
        ship.respond(&asked.wire, &proceed(None, false));
    }
    assert_eq!(client.rest(), "\r\n1\r\n");
    assert!(since.elapsed() >= patience + patience * 2 / 3);
    ship.cancelled(&asked.wire);
}

#[test]
fn a_client_that_dies_is_noticed_while_it_waits() {
    let mut ship = Ship::new();
    let mut client = ship.client();
    client.get("/");
    let asked = ship.request();
    client.reset();
    ship.cancelled(&asked.wire);
    ship.respond(&asked.wire, &page("nobody"));
    ship.all_is_quiet_but(asked);
}

#[test]
fn a_client_that_leaves_its_stream_is_noticed_when_it_is_written_to() {
    let mut ship = Ship::new();
    let mut client = ship.client();
    client.get("/");
    let asked = ship.request();
    ship.respond(&asked.wire, &start(200, &[EVENTS], None, false));
    assert_eq!(client.head(), CHUNKED);
    drop(client);
    ship.respond(&asked.wire, &proceed(octs(b"\n"), false));
    ship.cancelled(&asked.wire);
}

#[test]
fn a_client_that_only_listens_gets_its_answer() {
    let mut ship = Ship::new();
    let mut client = ship.client();
    client.get("/");
    client.half_close();
    let asked = ship.request();
    ship.respond(&asked.wire, &start(200, &[EVENTS], octs(b"one"), false));
    assert_eq!(
        client.head() + &client.read(8),
        CHUNKED.to_owned() + "3\r\none\r\n"
    );
    ship.respond(&asked.wire, &proceed(octs(b"two"), true));
    assert_eq!(client.rest(), "3\r\ntwo\r\n0\r\n\r\n");
    ship.pier.assert_silent();
}

impl Ship {
    /// As [`Ship::all_is_quiet`], once this request's event is committed.
    fn all_is_quiet_but(&self, mut asked: Asked) {
        asked.commit();
        self.all_is_quiet(Bounds::default());
    }
}
