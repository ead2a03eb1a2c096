//! The driver with a fake pier as the ship, and real sockets.

use super::*;
use crate::{
    driver::{DropReason, Message, Planned},
    drivers::fake_pier::{FakePier, as_planned, tell},
};
use serf_ipc::{cue, jam, newt};
use std::{
    io::{ErrorKind, Read, Write},
    os::unix::net::UnixStream,
    sync::Arc,
    time::Duration,
};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// A ship, and its driver.
struct Ship {
    driver: Box<dyn Driver>,
    pier: FakePier,
}

impl Ship {
    fn new() -> Ship {
        let pier = FakePier::new();
        let driver = new(pier.context());
        let mut ship = Ship { driver, pier };
        ship.start();
        ship
    }

    fn start(&mut self) {
        self.driver.start().unwrap();
        let born = self.pier.planned();
        assert_eq!(born.ovum.to_noun(), n![n!["l", "lick", 0u64], "born", 0u64]);
        assert!(self.driver.is_live());
    }

    fn next_office(&mut self) {
        self.driver.stop();
        self.driver = new(self.pier.context());
        self.start();
    }

    fn effect(&mut self, tag: &str, data: &Noun) {
        assert_eq!(
            self.pier.effect(&mut *self.driver, &["lick"], tag, data),
            Claim::Taken
        );
    }

    fn spin(&mut self, path: &[&str]) {
        self.effect("spin", &list(path));
    }

    fn spit(&mut self, path: &[&str], message: Noun) {
        self.effect("spit", &Noun::cell(list(path), message));
    }

    fn client(&self, path: &str) -> Client {
        let stream = UnixStream::connect(self.pier.directory.path().join(".urb/dev").join(path)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Client(stream)
    }

    /// The next event, which must be a `%soak` of this port: `[mark data]`.
    fn soaked(&mut self, path: &[&str]) -> Noun {
        let planned = self.pier.planned();
        let noun = planned.ovum.to_noun();
        assert_eq!(noun.head().unwrap(), &n!["l", "lick", 0u64]);
        assert!(noun.slot(6).unwrap().is_cord("soak"));
        assert_eq!(noun.slot(14).unwrap(), &list(path));
        tell(planned, Outcome::Bailed(Vec::new()));
        noun.slot(15).unwrap().clone()
    }

    fn assert_quiet(&mut self) {
        let runtime = Arc::clone(&self.pier.runtime);
        let message = runtime.block_on(self.pier.try_next_message(Duration::from_millis(100)));
        assert!(message.is_none());
    }
}

struct Client(UnixStream);

impl Client {
    fn send(&mut self, message: &Noun) {
        self.0.write_all(&newt::encode(&jam(message))).unwrap();
    }

    /// The next message, or None at the end.
    fn receive(&mut self) -> Option<Noun> {
        let mut head = [0; 5];
        match self.0.read_exact(&mut head) {
            Ok(()) => {}
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset
                ) =>
            {
                return None;
            }
            Err(error) => panic!("{error}"),
        }
        let mut body = vec![0; u32::from_le_bytes(head[1..].try_into().unwrap()) as usize];
        self.0.read_exact(&mut body).unwrap();
        Some(cue(&body).unwrap())
    }
}

fn list(path: &[&str]) -> Noun {
    Noun::list(path.iter().map(|knot| Noun::cord(knot)))
}

fn connect() -> Noun {
    n!["connect", 0u64]
}

fn disconnect() -> Noun {
    n!["disconnect", 0u64]
}

#[test]
fn a_port_carries_messages_both_ways() {
    const PORT: [&str; 2] = ["hood", "printer"];
    let mut ship = Ship::new();
    ship.spin(&PORT);
    ship.spin(&PORT);
    let mut client = ship.client("hood/printer");
    assert_eq!(ship.soaked(&PORT), connect());
    client.send(&n!["noun", 5u64]);
    client.send(&n![n![1u64, 2u64], 3u64]);
    assert_eq!(ship.soaked(&PORT), n!["noun", 5u64]);
    assert_eq!(ship.soaked(&PORT), n![n![1u64, 2u64], 3u64]);
    ship.spit(&PORT, n!["noun", "hello"]);
    ship.spit(&PORT, n!["noun", "again"]);
    assert_eq!(client.receive(), Some(n!["noun", "hello"]));
    assert_eq!(client.receive(), Some(n!["noun", "again"]));
    let names = |ship: &Ship| ship.driver.info();
    assert_eq!(
        names(&ship),
        [("ports".to_owned(), 1), ("connections".to_owned(), 1)]
    );
    drop(client);
    assert_eq!(ship.soaked(&PORT), disconnect());
    ship.spit(&PORT, n!["noun", "nobody"]);
    assert_eq!(ship.soaked(&PORT), n!["error", "not connected"]);
    ship.assert_quiet();
}

#[test]
fn the_newest_connection_is_spoken_to_and_all_are_heard() {
    const PORT: [&str; 1] = ["p"];
    let mut ship = Ship::new();
    ship.spin(&PORT);
    let mut first = ship.client("p");
    assert_eq!(ship.soaked(&PORT), connect());
    let mut second = ship.client("p");
    second.send(&n!["second", 1u64]);
    assert_eq!(ship.soaked(&PORT), n!["second", 1u64]);
    first.send(&n!["first", 1u64]);
    assert_eq!(ship.soaked(&PORT), n!["first", 1u64]);
    ship.spit(&PORT, n!["to", "second"]);
    assert_eq!(second.receive(), Some(n!["to", "second"]));
    // The newest goes: the first is still heard, and hears nothing; the ship is told that nobody is there.
    drop(second);
    let mut not_connected = false;
    while !not_connected {
        ship.spit(&PORT, n!["to", "nobody"]);
        let runtime = Arc::clone(&ship.pier.runtime);
        let message = runtime.block_on(ship.pier.try_next_message(Duration::from_millis(20)));
        not_connected = message.is_some_and(|message| {
            let planned = as_planned(message);
            planned.ovum.card.slot(7).unwrap() == &n!["error", "not connected"]
        });
    }
    first.send(&n!["first", 2u64]);
    assert_eq!(ship.soaked(&PORT), n!["first", 2u64]);
    // The next is connected at once, and no %connect is said of it: the first is still there.
    let mut third = ship.client("p");
    third.send(&n!["third", 1u64]);
    assert_eq!(ship.soaked(&PORT), n!["third", 1u64]);
    ship.spit(&PORT, n!["to", "third"]);
    assert_eq!(third.receive(), Some(n!["to", "third"]));
    drop(first);
    drop(third);
    assert_eq!(ship.soaked(&PORT), disconnect());
    let mut fourth = ship.client("p");
    assert_eq!(ship.soaked(&PORT), connect());
    ship.spit(&PORT, n!["to", "fourth"]);
    assert_eq!(fourth.receive(), Some(n!["to", "fourth"]));
    ship.assert_quiet();
}

#[test]
fn a_port_that_is_shut_lets_all_go_and_is_silent() {
    const PORT: [&str; 2] = ["a", "b"];
    let mut ship = Ship::new();
    ship.spin(&PORT);
    let mut first = ship.client("a/b");
    assert_eq!(ship.soaked(&PORT), connect());
    let mut second = ship.client("a/b");
    second.send(&n![1u64, 1u64]);
    assert_eq!(ship.soaked(&PORT), n![1u64, 1u64]);
    ship.effect("shut", &list(&PORT));
    assert_eq!((first.receive(), second.receive()), (None, None));
    let dev = ship.pier.directory.path().join(".urb/dev/a");
    assert_eq!(std::fs::read_dir(dev).unwrap().count(), 0);
    ship.spit(&PORT, n![1u64, 1u64]);
    ship.effect("shut", &list(&PORT));
    ship.assert_quiet();
    // And is opened again.
    ship.spin(&PORT);
    ship.client("a/b");
    assert_eq!(ship.soaked(&PORT), connect());
    assert_eq!(ship.soaked(&PORT), disconnect());
}

#[test]
fn an_office_s_end_closes_everything_and_the_next_begins_anew() {
    const PORT: [&str; 1] = ["p"];
    let mut ship = Ship::new();
    ship.spin(&PORT);
    let mut client = ship.client("p");
    assert_eq!(ship.soaked(&PORT), connect());
    ship.driver.stop();
    assert_eq!(client.receive(), None);
    assert!(!ship.pier.directory.path().join(".urb/dev/p").exists());
    ship.next_office();
    ship.spin(&PORT);
    let mut client = ship.client("p");
    client.send(&n![1u64, 1u64]);
    assert_eq!(ship.soaked(&PORT), connect());
    assert_eq!(ship.soaked(&PORT), n![1u64, 1u64]);
}

#[test]
fn bad_messages_end_their_connection_with_a_word() {
    const PORT: [&str; 1] = ["p"];
    let mut ship = Ship::new();
    ship.spin(&PORT);
    let bail = |code: i32, words: &str| n![0u64, "bail", u64::from(code.cast_unsigned()), words];
    for (bytes, answer) in [
        (newt::encode(&jam(&n![5u64])), bail(-2, "put-bad")),
        (newt::encode(&[0xff; 20]), bail(-1, "cue-none")),
        (b"GET / HTTP/1.1\r\n".to_vec(), bail(-1, "newt-decode")),
        (vec![0, 0, 0, 0, 0], bail(-1, "newt-decode")),
        (vec![0, 0xff, 0xff, 0xff, 0xff], bail(-1, "newt-decode")),
    ] {
        let mut client = ship.client("p");
        assert_eq!(ship.soaked(&PORT), connect());
        client.0.write_all(&bytes).unwrap();
        assert_eq!(client.receive(), Some(answer));
        assert_eq!(client.receive(), None);
        assert_eq!(ship.soaked(&PORT), disconnect());
    }
}

#[test]
fn a_client_that_does_not_read_is_hung_up_on() {
    const PORT: [&str; 1] = ["p"];
    let mut ship = Ship::new();
    ship.spin(&PORT);
    let client = ship.client("p");
    assert_eq!(ship.soaked(&PORT), connect());
    let large = n!["noun", Noun::from_le_vec(vec![7; 64 << 10])];
    for _ in 0..limits::LICK_WAITING + 64 {
        ship.spit(&PORT, large.clone());
    }
    assert_eq!(ship.soaked(&PORT), disconnect());
    drop(client);
}

#[test]
fn clients_beyond_the_limit_wait() {
    const PORT: [&str; 1] = ["p"];
    let mut ship = Ship::new();
    ship.spin(&PORT);
    let mut clients: Vec<Client> = (0..limits::LICK_CONNECTIONS).map(|_| ship.client("p")).collect();
    assert_eq!(ship.soaked(&PORT), connect());
    for client in &mut clients {
        client.send(&n![1u64, 1u64]);
        assert_eq!(ship.soaked(&PORT), n![1u64, 1u64]);
    }
    let mut late = ship.client("p");
    late.send(&n![2u64, 2u64]);
    ship.assert_quiet();
    clients.pop();
    assert_eq!(ship.soaked(&PORT), n![2u64, 2u64]);
}

#[test]
fn a_busy_ship_is_not_flooded() {
    const PORT: [&str; 1] = ["p"];
    let mut ship = Ship::new();
    ship.spin(&PORT);
    let mut client = ship.client("p");
    let mut connected = vec![ship.pier.planned()];
    let sender = std::thread::spawn(move || {
        for at in 0..limits::DRIVER_QUEUE as u64 + 500 {
            client.send(&n!["noun", at]);
        }
        client
    });
    let planned: Vec<Planned> = (1..limits::DRIVER_QUEUE).map(|_| ship.pier.planned()).collect();
    ship.assert_quiet();
    connected.clear();
    drop(planned);
    for _ in 0..501 {
        let Message::Plan(planned) = ship.pier.message() else {
            panic!("not an event")
        };
        tell(planned, Outcome::Dropped(DropReason::OfficeOver));
    }
    drop(sender.join().unwrap());
    assert_eq!(ship.soaked(&PORT), disconnect());
}

#[test]
fn strange_effects_do_no_harm() {
    let mut ship = Ship::new();
    for (tag, data) in [
        ("spin", n![0u64]),
        ("spin", n!["..", "..", "escaped", 0u64]),
        ("spin", n!["a/b", 0u64]),
        ("spin", n!["x".repeat(300), 0u64]),
        ("spin", n![5u64]),
        ("shut", n![5u64]),
        ("shut", n!["never", "spun", 0u64]),
        ("spit", n![5u64]),
        ("spit", n![n!["never", "spun", 0u64], "noun", 5u64]),
    ] {
        ship.effect(tag, &data);
    }
    assert_eq!(ship.driver.info()[0].1, 0);
    assert!(!ship.pier.directory.path().join("escaped").exists());
    let Ship { driver, pier } = &mut ship;
    assert_eq!(
        pier.effect(&mut **driver, &["lick"], "soak", &Noun::ZERO),
        Claim::Passed
    );
    assert_eq!(
        pier.effect(&mut **driver, &["behn"], "spin", &Noun::ZERO),
        Claim::Passed
    );
    ship.assert_quiet();
}
