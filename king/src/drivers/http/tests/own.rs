//! What the runtime answers by itself.

use super::*;
use crate::driver::{PeekAnswer, PierInfo, PlannedPeek, Request};

const OCCUPIED: &str = "HTTP/1.1 429 busy\r\nDate: DATE\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\
    Server: urbit/vere-3.5\r\n\r\n";
const FREE: &str = "HTTP/1.1 204 no content\r\nDate: DATE\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\
    Server: urbit/vere-3.5\r\n\r\n";
const COOKIE: &str = "Cookie: a=b; urbauth-~zod=0v3\r\n";

/// The king's own answer with a body.
fn reply(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nDate: DATE\r\nConnection: keep-alive\r\nContent-Length: {}\r\nServer: urbit/vere-3.5\r\n\
         content-type: text/plain; charset=utf-8\r\n\r\n{body}",
        body.len()
    )
}

/// A page as it goes out.
fn shown(text: &str) -> String {
    format!(
        "HTTP/1.1 200 ok\r\nDate: DATE\r\nConnection: keep-alive\r\nContent-Length: {}\r\nServer: urbit/vere-3.5\r\n\
         content-type: text/html\r\n\r\n{text}",
        text.len()
    )
}

/// `[auth=? %payload [status headers] data]`.
fn entry(auth: bool, text: &str) -> Noun {
    let headers = Noun::list([n!["content-type", "text/html"], n!["content-length", "1"]]);
    n![auth, "payload", n![200_u16, headers], octs(text.as_bytes())]
}

/// The answer to a read of the ship as it is now.
fn last(entry: &Noun) -> PeekAnswer {
    PeekAnswer::Done(n![0_u8, "omen", 0_u8, "noun", entry])
}

fn path(knots: &[&str]) -> Noun {
    Noun::list(knots.iter().map(|knot| Noun::cord(knot)))
}

impl Ship {
    /// A ship with one session, whose token is `0v3`.
    fn with_session() -> Ship {
        let mut ship = Ship::new();
        ship.tell("sessions", &n!["0v3", (), ()]);
        ship
    }

    fn tell(&mut self, tag: &str, data: &Noun) {
        let wire = ["http-server", &self.sev.clone()];
        assert_eq!(self.pier.effect(&mut self.driver, &wire, tag, data), Claim::Taken);
    }

    fn grow(&mut self, aeon: &str, url: &str) {
        self.tell("grow", &path(&["cache", aeon, url]));
    }

    /// The next read, which must be this one.
    fn read(&mut self, sample: &Noun) -> PlannedPeek {
        let peek = self.pier.peek();
        assert_eq!(&peek.sample, sample);
        peek
    }
}

impl Client {
    /// Asks, with more lines for the head.
    fn ask(&mut self, line: &str, more: &str) {
        self.send(format!("{line} HTTP/1.1\r\nHost: zod.example\r\n{more}\r\n"));
    }

    fn expects(&mut self, answer: &str) {
        let head = self.head();
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        assert_eq!(head + &self.read(body.len()), answer);
    }
}

#[test]
fn a_watcher_learns_whether_the_serf_is_at_work() {
    let mut ship = Ship::new();
    let mut client = ship.client();
    for (target, computing) in [("/~_~/healthz", true), ("/%7e_~/x/../healthz/y?z", false)] {
        for method in ["GET", "HEAD", "PATCH"] {
            client.ask(&format!("{method} {target}"), "");
            let Request::Info(answer) = ship.pier.request() else {
                panic!("another request")
            };
            answer(PierInfo {
                computing,
                ..PierInfo::default()
            });
            client.expects(if computing { OCCUPIED } else { FREE });
        }
    }
    // It has no number: the kernel's first request is the first.
    client.get("/");
    assert_eq!(ship.request().wire[3], "1");
    // Without a pier nobody knows.
    let mut client = ship.client();
    client.get("/~_~/healthz");
    drop(ship.pier.request());
    assert!(client.rest().starts_with("HTTP/1.1 503 service unavailable\r\n"));
}

#[test]
fn who_is_logged_in_hears_what_the_ship_prints() {
    let mut ship = Ship::with_session();
    let mut stranger = ship.client();
    stranger.get("/~_~/slog");
    assert_eq!(
        stranger.rest(),
        "HTTP/1.1 403 missing\r\nDate: DATE\r\nConnection: close\r\nServer: urbit/vere-3.5\r\n\r\n"
    );
    let mut clients = [ship.client(), ship.client()];
    for client in &mut clients {
        client.ask("GET /~_~/slog", COOKIE);
        assert_eq!(
            client.head(),
            "HTTP/1.1 200 ok\r\nDate: DATE\r\nConnection: keep-alive\r\nServer: urbit/vere-3.5\r\n\
             Connection: keep-alive\r\nCache-Control: no-cache\r\nContent-Type: text/event-stream\r\n\
             transfer-encoding: chunked\r\n\r\n"
        );
    }
    assert!(ship.driver.info().contains(&("open-slogstreams".to_owned(), 2)));
    ship.driver.slog(&Noun::cord("printed"));
    let leaf = n![
        "leaf",
        Noun::list("tank".bytes().map(|byte| Noun::atom(byte.into())))
    ];
    ship.driver.slog(&leaf);
    ship.driver.servers.shared().own.slogs.beat();
    for client in &mut clients {
        let mut text = String::new();
        while !text.ends_with("\n\r\n1\r\n\n\r\n") && !text.ends_with("\n\n\n\r\n") {
            text.push_str(&client.read(1));
        }
        let body: String = text.split("\r\n").filter(|part| part.ends_with('\n')).collect();
        assert_eq!(body, "data:printed\n\ndata:tank\n\n\n");
    }
    let [leaver, mut stayer] = clients;
    drop(leaver);
    ship.driver.stop();
    assert_eq!(stayer.rest(), "1a\r\ndata:urbit shutting down\n\n\r\n0\r\n\r\n");
    until("both are over", || {
        ship.driver.servers.shared().own.slogs.len() == 0
    });
    // The kernel knows nothing of these requests, and is not told of their end.
    ship.pier.assert_silent();
}

#[test]
fn a_grown_page_is_read_once_and_then_known() {
    let mut ship = Ship::with_session();
    let sample = |aeon| {
        let page = path(&["cache", aeon, "~~~2f.page~3f.q"]);
        n![n![0_u8, 0_u8], 1_u8, "once", "ex", 0_u8, page]
    };
    ship.grow("1", "~~~2f.page~3f.q");
    let mut client = ship.client();
    client.get("/page?q");
    let peek = ship.read(&sample("1"));
    (peek.answer)(last(&entry(false, "hello")));
    client.expects(&shown("hello"));
    client.get("/page?q");
    client.expects(&shown("hello"));
    // Other targets and methods are the kernel's. The first two requests have had their numbers.
    client.get("/page");
    let asked = ship.request();
    assert_eq!((asked.url().as_str(), asked.wire[3].as_str()), ("/page", "3"));
    ship.respond(&asked.wire, &page(""));
    client.head();
    client.ask("HEAD /page?q", "");
    let asked = ship.request();
    ship.respond(&asked.wire, &start(200, &[], None, true));
    client.head();

    // The page changes, and is for some only.
    ship.grow("2", "~~~2f.page~3f.q");
    client.get("/page?q");
    let peek = ship.read(&sample("2"));
    (peek.answer)(last(&entry(true, "secret")));
    client.expects(&reply("403 Unauthorized", "unauthorized"));
    client.ask("GET /page?q", COOKIE);
    client.expects(&shown("secret"));

    // It is taken away: the kernel answers, under the next number.
    ship.grow("3", "~~~2f.page~3f.q");
    for number in ["8", "10"] {
        client.get("/page?q");
        if number == "8" {
            let peek = ship.pier.peek();
            (peek.answer)(PeekAnswer::Done(Noun::ZERO));
        }
        let asked = ship.request();
        assert_eq!(
            (asked.url().as_str(), asked.wire[3].as_str()),
            ("/page?q", number)
        );
        ship.respond(&asked.wire, &page("gone"));
        client.head();
        assert_eq!(client.read(4), "gone");
    }
    ship.pier.assert_silent();
}

#[test]
fn a_read_is_no_event() {
    let mut ship = Ship::with_session();
    let mut client = ship.client();
    let spur = path(&["range", "0", "", "web", "x", "html"]);
    for (more, gang) in [("", n![()]), (COOKIE, n![0_u8, 0_u8])] {
        let gang = if more.is_empty() { Noun::ZERO } else { gang };
        client.ask("GET /_~_/===/web/x/html", more);
        let peek = ship.read(&n![gang, 1_u8, "once", "ex", "base", spur]);
        (peek.answer)(last(&entry(false, "now")));
        client.expects(&shown("now"));
        client.ask("GET /_~_/~nec/base/7/web/x/html", more);
        let peek = ship.read(&n![gang, 0_u8, "ex", "~nec", "base", "7", spur]);
        (peek.answer)(PeekAnswer::Done(n![0_u8, "noun", entry(false, "then")]));
        client.expects(&shown("then"));
        // That will always be so.
        client.ask("GET /_~_/~nec/base/7/web/x/html", more);
        client.expects(&shown("then"));
    }
    client.ask(
        "POST /_~_/==8/x",
        "Range: bytes=5-\r\nContent-Length: 4\r\n\r\nbody",
    );
    let spur = path(&["range", "0", "4.194.303", "x"]);
    let peek = ship.read(&n![Noun::ZERO, 0_u8, "ex", "~zod", "base", "8", spur]);
    (peek.answer)(PeekAnswer::Done(Noun::ZERO));
    client.expects(&reply("500 Internal Server Error", "scry failed"));
    client.ask("GET /_~_/===/X", "");
    client.expects(&reply("400 bad request", "bad request"));
    client.ask("PATCH /_~_/===/x", "");
    client.expects(&reply("400 bad request", "bad request"));
    for answer in [PeekAnswer::Done(n![0_u8, 7_u8]), last(&n![true, "payload", 7_u8])] {
        client.ask("GET /_~_/===/x", "");
        (ship.pier.peek().answer)(answer);
        client.expects(&reply("500 Internal Server Error", "scry failed"));
    }
    // A client that leaves before its answer, which ends the C king.
    let mut leaver = ship.client();
    leaver.ask("GET /_~_/===/x", "");
    let peek = ship.pier.peek();
    leaver.reset();
    until("it is gone", || {
        ship.driver.servers.shared().places.available_permits() >= Bounds::default().connections - 3
    });
    (peek.answer)(last(&entry(false, "nobody")));

    client.ask("GET /_~_/===/x", "");
    (ship.pier.peek().answer)(PeekAnswer::Unavailable);
    assert!(client.rest().starts_with("HTTP/1.1 503 service unavailable\r\n"));
    let mut client = ship.client();
    client.ask("GET /_~_/===/x", "");
    drop(ship.pier.peek());
    assert!(client.rest().starts_with("HTTP/1.1 503 service unavailable\r\n"));
    ship.pier.assert_silent();
}

#[test]
fn a_read_that_takes_too_long_is_given_up() {
    let mut ship = Ship::with(Bounds {
        start_patience: Duration::from_millis(200),
        ..Bounds::default()
    });
    let mut client = ship.client();
    client.ask("GET /_~_/===/x", "");
    let peek = ship.pier.peek();
    client.expects(&reply("504 gateway timeout", "gateway timeout"));
    (peek.answer)(last(&entry(false, "late")));
    ship.pier.assert_silent();
}

#[test]
fn at_the_offices_end_what_the_kernel_has_finished_goes_out_still() {
    let mut ship = Ship::new();
    let mut client = ship.client();
    client.get("/");
    let asked = ship.request();
    ship.respond(&asked.wire, &page("whole"));
    ship.driver.stop();
    assert!(client.rest().ends_with("\r\n\r\nwhole"));
}
