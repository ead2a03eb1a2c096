//! The control socket over a real socket, with a pier that the test plays.

use super::*;
use crate::{
    driver::DropReason,
    driver::{Message, PeekAnswer, PierInfo, Request},
    drivers::fake_pier::{FakePier, as_planned, commit, tell},
};
use serf_ipc::{Goof, cue, jam, newt};
use std::{
    fs::{self, File},
    io::{Read, Write},
    os::{fd::AsRawFd, unix::net::UnixStream},
    path::Path,
    time::Duration,
};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// A client of the socket.
struct Client {
    stream: UnixStream,
    decoder: newt::Decoder,
}

impl Client {
    fn connect(pier: &Path) -> Client {
        let directory = File::open(pier.join(".urb")).unwrap();
        let path = format!("/proc/self/fd/{}/conn.sock", directory.as_raw_fd());
        let stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Client {
            stream,
            decoder: newt::Decoder::new(1 << 30),
        }
    }

    fn send(&mut self, noun: &Noun) {
        self.send_bytes(&newt::encode(&jam(noun)));
    }

    fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The next answer; None when the king has hung up.
    fn receive(&mut self) -> Option<Noun> {
        loop {
            if let Some(body) = self.decoder.next_body().unwrap() {
                return Some(cue(body).unwrap());
            }
            match self.stream.read(self.decoder.space()) {
                Ok(0) => return None,
                Ok(count) => self.decoder.filled(count),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("no answer: {error}"),
            }
        }
    }

    /// Asks for something that the king knows by itself, to see that the connection is served.
    fn assert_served(&mut self) {
        self.send(&n![99u64, "peel", "v", 0u64]);
        assert_eq!(self.receive(), Some(n![99u64, 0u64, "3.5"]));
    }

    fn assert_hung_up(&mut self) {
        assert_eq!(self.receive(), None);
    }
}

/// A started driver, whose `%born` has been taken and not answered.
struct Started {
    pier: FakePier,
    conn: Box<dyn Driver>,
    /// The knot of its wires.
    instance: String,
    born: Option<crate::driver::Planned>,
}

impl Started {
    fn new() -> Started {
        Started::on(FakePier::new())
    }

    fn on(mut pier: FakePier) -> Started {
        let mut conn = new(pier.context());
        assert!(!conn.is_live());
        conn.start().unwrap();
        let born = pier.planned();
        let instance = born.ovum.wire.slot(14).and_then(Noun::as_cord).unwrap();
        Started {
            pier,
            conn,
            instance,
            born: Some(born),
        }
    }

    /// With khan.
    fn with_khan() -> Started {
        let mut started = Started::new();
        commit(started.born.take().unwrap());
        started
    }

    fn client(&self) -> Client {
        Client::connect(self.pier.directory.path())
    }

    /// The knots of an effect's wire.
    fn effect(&mut self, knots: &[&str], tag: &str, data: &Noun) -> Claim {
        self.pier.effect(&mut *self.conn, knots, tag, data)
    }
}

fn ovum(rid: u64) -> Noun {
    n![rid, "ovum", "d", n!["term", "1", 0u64], "echo", rid]
}

/// The number that an `%echo` from [`ovum`] carries.
fn number(planned: &crate::driver::Planned) -> u64 {
    planned.ovum.card.tail().and_then(Noun::as_u64).unwrap()
}

fn goof(mote: &str) -> Goof {
    Goof {
        mote: mote.to_owned(),
        tang: Noun::ZERO,
    }
}

fn done(rid: u64) -> Option<Noun> {
    Some(n![rid, "news", "done"])
}

// ------------------------------------------------------------------------------------------------ the socket

#[test]
fn it_begins_with_born_and_is_live_at_once() {
    let mut started = Started::new();
    let born = started.born.take().unwrap();
    assert_eq!(
        born.ovum.to_noun(),
        n![n!["k", "khan", started.instance.as_str(), 0u64], "born", 0u64]
    );
    assert!(started.conn.is_live());
    started.client().assert_served();
}

#[test]
fn the_socket_is_gone_when_it_stops_and_its_clients_are_told() {
    let mut started = Started::new();
    let mut client = started.client();
    client.assert_served();
    started.conn.stop();
    client.assert_hung_up();
    assert!(!started.pier.directory.path().join(".urb/conn.sock").exists());
}

#[test]
fn what_a_killed_king_left_behind_is_replaced() {
    let pier = FakePier::new();
    let path = pier.directory.path().join(".urb/conn.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    Started::on(pier).client().assert_served();
}

#[test]
fn a_pier_without_its_directory_stops_the_start() {
    let pier = FakePier::new();
    fs::remove_dir(pier.directory.path().join(".urb")).unwrap();
    let error = format!("{:#}", new(pier.context()).start().unwrap_err());
    assert!(
        error.contains("conn: cannot listen on") && error.contains("conn.sock"),
        "{error}"
    );
}

#[test]
fn a_pier_s_path_may_be_longer_than_a_socket_s_address() {
    let pier = FakePier::new();
    let deep = pier.directory.path().join("a".repeat(200));
    fs::create_dir_all(deep.join(".urb")).unwrap();
    let mut conn = new(pier.context_at(&deep, pier.runtime.handle().clone()));
    conn.start().unwrap();
    Client::connect(&deep).assert_served();
    conn.stop();
    assert!(!deep.join(".urb/conn.sock").exists());
}

#[test]
fn more_clients_than_there_is_room_for_wait_their_turn() {
    let started = Started::new();
    let mut clients = (0..limits::CONN_CONNECTIONS)
        .map(|_| started.client())
        .collect::<Vec<_>>();
    for client in &mut clients {
        client.assert_served();
    }
    let mut waiting = started.client();
    waiting.send(&n![1u64, "peel", "v", 0u64]);
    waiting
        .stream
        .set_read_timeout(Some(Duration::from_millis(50)))
        .unwrap();
    assert!(
        waiting.stream.read(&mut [0; 8]).is_err(),
        "served beyond the limit"
    );
    waiting.stream.set_read_timeout(Some(PATIENCE)).unwrap();
    clients.pop();
    assert_eq!(waiting.receive(), Some(n![1u64, 0u64, "3.5"]));
}

// ------------------------------------------------------------------------------------------------ events

#[test]
fn an_event_is_done_when_it_is_committed() {
    let mut started = Started::new();
    let mut client = started.client();
    client.send(&ovum(5));
    client.send(&ovum(6));
    let (first, second) = (started.pier.planned(), started.pier.planned());
    assert_eq!(first.ovum.to_noun(), n![n!["d", "term", "1", 0u64], "echo", 5u64]);
    // Nothing is said of the first until its commit, though the second is answered meanwhile.
    commit(second);
    assert_eq!(client.receive(), done(6));
    commit(first);
    assert_eq!(client.receive(), done(5));
}

#[test]
fn other_ends_of_an_event_are_told_as_they_are() {
    let mut started = Started::new();
    let mut client = started.client();
    let mut end = |outcome: Outcome| {
        client.send(&ovum(5));
        tell(started.pier.planned(), outcome);
        client.receive()
    };
    let bail = n![5u64, "bail", n!["exit", 0u64], n!["evil", 0u64], 0u64];
    assert_eq!(end(Outcome::Bailed(vec![goof("exit"), goof("evil")])), Some(bail));
    let dropped = Some(n![5u64, "news", "drop"]);
    assert_eq!(end(Outcome::Dropped(DropReason::KilledSerf)), dropped);
    assert_eq!(end(Outcome::Dropped(DropReason::OfficeOver)), dropped);
    let swapped = Outcome::Committed {
        event: seguro_event::EventNumber(9),
        swapped: true,
    };
    assert_eq!(end(swapped), done(5));
    assert_eq!(end(Outcome::Unknown), None, "an unknown fate was told");
}

#[test]
fn a_pier_that_ends_without_a_word_is_an_unknown_fate() {
    let mut started = Started::new();
    let mut client = started.client();
    client.send(&ovum(5));
    client.send(&ovum(6));
    let (first, second) = (started.pier.planned(), started.pier.planned());
    commit(second);
    drop(first);
    assert_eq!(client.receive(), done(6));
    client.assert_hung_up();
}

#[test]
fn answers_already_given_reach_the_client_before_the_end() {
    let mut started = Started::new();
    let mut client = started.client();
    for rid in 0..100 {
        client.send(&ovum(rid));
    }
    let planned = (0..100).map(|_| started.pier.planned()).collect::<Vec<_>>();
    planned.into_iter().for_each(commit);
    started.conn.stop();
    for rid in 0..100 {
        assert_eq!(client.receive(), done(rid));
    }
    client.assert_hung_up();
}

#[test]
fn requests_may_be_split_and_joined_at_will() {
    let mut started = Started::new();
    let mut client = started.client();
    let bytes = (0..20)
        .flat_map(|rid| newt::encode(&jam(&ovum(rid))))
        .collect::<Vec<_>>();
    for piece in bytes.chunks(7) {
        client.send_bytes(piece);
    }
    for rid in 0..20 {
        let planned = started.pier.planned();
        assert_eq!(number(&planned), rid);
        commit(planned);
        assert_eq!(client.receive(), done(rid));
    }
}

#[test]
fn a_connection_has_only_so_much_unanswered() {
    let mut started = Started::new();
    let mut client = started.client();
    let mut writer = client.stream.try_clone().unwrap();
    let more = u64::from(limits::CONN_UNITS) + 500;
    let sender = std::thread::spawn(move || {
        for rid in 0..more {
            writer.write_all(&newt::encode(&jam(&ovum(rid)))).unwrap();
        }
    });
    let mut waiting = (0..limits::CONN_UNITS)
        .map(|_| started.pier.planned())
        .collect::<Vec<_>>();
    let runtime = Arc::clone(&started.pier.runtime);
    let beyond = runtime.block_on(started.pier.try_next_message(Duration::from_millis(100)));
    assert!(beyond.is_none(), "more requests than the connection has units");
    // One answer, one more request.
    commit(waiting.remove(0));
    assert_eq!(client.receive(), done(0));
    waiting.push(started.pier.planned());
    for (rid, planned) in (1..).zip(waiting) {
        commit(planned);
        assert_eq!(client.receive(), done(rid));
    }
    for rid in u64::from(limits::CONN_UNITS) + 1..more {
        commit(started.pier.planned());
        assert_eq!(client.receive(), done(rid));
    }
    sender.join().unwrap();
}

#[test]
fn a_large_request_takes_its_share_of_the_units() {
    let mut started = Started::new();
    let mut client = started.client();
    // A quarter of the units each: four fit, and the fifth waits.
    let size = limits::CONN_UNIT_BYTES * limits::CONN_UNITS as usize / 4 - 1024;
    let large = Noun::from_le_vec(vec![0x5a; size]);
    let mut writer = client.stream.try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        for rid in 0..5u64 {
            let request = n![rid, "ovum", "d", n!["term", "1", 0u64], "echo", &large];
            writer.write_all(&newt::encode(&jam(&request))).unwrap();
        }
    });
    let mut waiting = (0..4).map(|_| started.pier.planned()).collect::<Vec<_>>();
    let runtime = Arc::clone(&started.pier.runtime);
    let beyond = runtime.block_on(started.pier.try_next_message(Duration::from_millis(100)));
    assert!(beyond.is_none(), "more bytes than the connection has units");
    commit(waiting.remove(0));
    assert_eq!(client.receive(), done(0));
    waiting.push(started.pier.planned());
    for (rid, planned) in (1..).zip(waiting) {
        commit(planned);
        assert_eq!(client.receive(), done(rid));
    }
    sender.join().unwrap();
}

// ------------------------------------------------------------------------------------------------ reads

#[test]
fn a_peek_is_answered_with_what_the_kernel_says() {
    let mut started = Started::new();
    let mut client = started.client();
    let nom = n![1u64, "once", "ax", 0u64, "boot", 0u64];
    client.send(&n![7u64, "peek", &nom]);
    let peek = started.pier.peek();
    assert_eq!(peek.sample, n![n![0u64, 0u64], nom]);
    (peek.answer)(PeekAnswer::Done(n![0u64, "noun", 5u64]));
    assert_eq!(client.receive(), Some(n![7u64, "peek", 0u64, "noun", 5u64]));
    client.send(&n![8u64, "peek", 0u64]);
    (started.pier.peek().answer)(PeekAnswer::Bailed(goof("exit")));
    assert_eq!(client.receive(), Some(n![8u64, "peek", 0u64]));
    client.send(&n![9u64, "peek", 0u64]);
    (started.pier.peek().answer)(PeekAnswer::Unavailable);
    client.assert_hung_up();
}

#[test]
fn the_runtime_s_figures_come_from_the_king() {
    let mut started = Started::new();
    let mut client = started.client();
    client.send(&n![1u64, "peel", "live", 0u64]);
    let Request::Info(tell) = started.pier.request() else {
        panic!("not the pier's figures")
    };
    tell(PierInfo {
        live: true,
        ..PierInfo::default()
    });
    assert_eq!(client.receive(), Some(n![1u64, 0u64, 0u64]));

    client.send(&n![2u64, "peel", "info", 0u64]);
    let Request::Info(tell) = started.pier.request() else {
        panic!("not the pier's figures")
    };
    tell(PierInfo::default());
    assert_eq!(
        client.receive(),
        Some(n![2u64, 0u64, peel::mass(&PierInfo::default())])
    );

    client.send(&n![3u64, "peel", "mass", 0u64]);
    let Request::Quac(tell) = started.pier.request() else {
        panic!("not the memory report")
    };
    tell(Some(Noun::list([n!["sweep", 5u64, 0u64]])));
    assert_eq!(
        client.receive(),
        Some(n![3u64, "peel", "quac", n!["sweep", 5u64, 0u64], 0u64])
    );

    client.send(&n![4u64, "peel", "quic", 0u64]);
    let Request::Quic(tell) = started.pier.request() else {
        panic!("not the free memory")
    };
    tell(None);
    assert_eq!(client.receive(), Some(n![4u64, 0u64]));

    client.send(&n![5u64, "peel", "nothing", 0u64]);
    assert_eq!(client.receive(), Some(n![5u64, 0u64]));
}

#[test]
fn the_serf_is_tidied_on_request() {
    let mut started = Started::new();
    let mut client = started.client();
    client.send(&n![1u64, "urth", "pack"]);
    assert!(matches!(started.pier.request(), Request::Pack));
    assert_eq!(client.receive(), Some(n![1u64, 0u64]));
    client.send(&n![2u64, "urth", "meld"]);
    assert!(matches!(started.pier.request(), Request::Meld));
    assert_eq!(client.receive(), Some(n![2u64, 0u64]));
}

// ------------------------------------------------------------------------------------------------ threads

#[test]
fn a_thread_s_result_comes_as_an_effect() {
    let mut started = Started::with_khan();
    let mut client = started.client();
    let args = n!["base", "hi", "tape", n!["ship", 0u64]];
    client.send(&n![32u64, "fyrd", &args]);
    let planned = started.pier.planned();
    let instance = started.instance.clone();
    let wire = n!["k", "khan", instance.as_str(), "1", "0v10", 0u64];
    assert_eq!(planned.ovum.to_noun(), n![wire, "fyrd", &args]);
    commit(planned);
    let wire = ["khan", &instance, "1", "0v10"];
    let result = n![0u64, "tape", 1u64];
    assert_eq!(started.effect(&wire, "avow", &result), Claim::Taken);
    assert_eq!(client.receive(), Some(n![32u64, "avow", &result]));
}

#[test]
fn a_thread_that_does_not_start_is_answered_too() {
    let mut started = Started::with_khan();
    let mut client = started.client();
    let mut end = |outcome: Outcome| {
        client.send(&n![32u64, "fyrd", 0u64]);
        tell(started.pier.planned(), outcome);
        client.receive()
    };
    let bail = Some(n![32u64, "bail", n!["exit", 0u64], 0u64]);
    assert_eq!(end(Outcome::Bailed(vec![goof("exit")])), bail);
    let swapped = Outcome::Committed {
        event: seguro_event::EventNumber(9),
        swapped: true,
    };
    assert_eq!(end(swapped), Some(n![32u64, "bail", 0u64]));
    assert_eq!(
        end(Outcome::Dropped(DropReason::KilledSerf)),
        Some(n![32u64, "bail", 0u64])
    );
    assert_eq!(end(Outcome::Unknown), None);
}

#[test]
fn threads_want_a_ship_with_khan() {
    let mut started = Started::new();
    let mut client = started.client();
    client.send(&n![32u64, "fyrd", 0u64]);
    client.assert_hung_up();
    tell(started.born.take().unwrap(), Outcome::Bailed(vec![goof("exit")]));
    let mut client = started.client();
    client.send(&n![32u64, "fyrd", 0u64]);
    client.assert_hung_up();
    started.pier.assert_silent();
}

#[test]
fn threads_that_run_hold_their_units() {
    let mut started = Started::with_khan();
    let mut client = started.client();
    let mut writer = client.stream.try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        for rid in 0..u64::from(limits::CONN_UNITS) + 1 {
            writer
                .write_all(&newt::encode(&jam(&n![rid, "fyrd", 0u64])))
                .unwrap();
        }
    });
    for _ in 0..limits::CONN_UNITS {
        commit(started.pier.planned());
    }
    let runtime = Arc::clone(&started.pier.runtime);
    let beyond = runtime.block_on(started.pier.try_next_message(Duration::from_millis(100)));
    assert!(beyond.is_none(), "more threads than the connection has units");
    let instance = started.instance.clone();
    started.effect(&["khan", &instance, "1", "0v0"], "avow", &Noun::ZERO);
    assert_eq!(client.receive(), Some(n![0u64, "avow", 0u64]));
    commit(started.pier.planned());
    sender.join().unwrap();
}

#[test]
fn effects_of_others_and_for_nobody_do_no_harm() {
    let mut started = Started::with_khan();
    let mut client = started.client();
    client.assert_served();
    let instance = started.instance.clone();
    for (wire, tag, claim) in [
        (&["khan", "0v1", "1", "0v5"][..], "avow", Claim::Passed),
        (&["khan"], "avow", Claim::Passed),
        (&["behn", &instance, "1"], "avow", Claim::Passed),
        (&["khan", &instance, "1", "5"], "avow", Claim::Passed),
        (&["khan", &instance, "one", "0v5"], "avow", Claim::Passed),
        (&["khan", &instance, "1", "0v5", "more"], "avow", Claim::Passed),
        (&["khan", &instance], "avow", Claim::Taken),
        (&["khan", &instance, "77", "0v5"], "avow", Claim::Taken),
    ] {
        assert_eq!(started.effect(wire, tag, &Noun::ZERO), claim, "{wire:?}");
    }
    client.assert_served();
    assert_eq!(
        started.effect(&["khan", &instance, "1", "0v5"], "avowal", &Noun::ZERO),
        Claim::Taken
    );
    client.assert_hung_up();
    started.client().assert_served();
}

#[test]
fn a_client_that_leaves_is_told_to_the_ship() {
    let mut started = Started::with_khan();
    let instance = started.instance.clone();
    let mut first = started.client();
    first.assert_served();
    let mut second = started.client();
    second.assert_served();
    drop(second);
    let planned = started.pier.planned();
    assert_eq!(
        planned.ovum.to_noun(),
        n![n!["k", "khan", instance.as_str(), "2", 0u64], "done", 0u64]
    );
    tell(planned, Outcome::Bailed(vec![goof("exit")]));
    first.assert_served();
    // The end of the office is not theirs to tell.
    started.conn.stop();
    first.assert_hung_up();
    started.pier.assert_silent();
}

#[test]
fn a_ship_without_khan_is_told_nothing() {
    let mut started = Started::new();
    let mut client = started.client();
    client.assert_served();
    drop(client);
    let runtime = Arc::clone(&started.pier.runtime);
    let message = runtime.block_on(started.pier.try_next_message(Duration::from_millis(100)));
    assert!(message.is_none());
}

// ------------------------------------------------------------------------------------------------ hostile clients

#[test]
fn what_cannot_be_understood_ends_the_connection_and_nothing_else() {
    let mut started = Started::with_khan();
    let framed = |noun: Noun| newt::encode(&jam(&noun));
    for bytes in [
        b"GET / HTTP/1.1\r\n".to_vec(),
        vec![0, 0, 0, 0, 0],
        vec![0, 0xff, 0xff, 0xff, 0xff],
        newt::encode(&[0xff; 40]),
        framed(n![5u64]),
        framed(n![n![1u64, 2u64], "peel", 0u64]),
        framed(n![5u64, "what", 0u64]),
        framed(n![5u64, n![1u64, 2u64], 0u64]),
        framed(n![5u64, "ovum", 0u64, 0u64]),
        framed(n![5u64, "ovum", "b", 0u64, "born", 0u64]),
        framed(n![5u64, "ovum", "b", n!["behn", 0u64], "born"]),
        framed(n![5u64, "urth", "burn"]),
    ] {
        let mut client = started.client();
        // A good request before it is not lost.
        client.send(&ovum(1));
        client.send_bytes(&bytes);
        let planned = started.pier.planned();
        assert_eq!(number(&planned), 1);
        client.assert_hung_up();
        commit(planned);
        let gone = started.pier.planned();
        assert!(gone.ovum.card.head().unwrap().is_cord("done"), "{bytes:?}");
    }
    started.client().assert_served();
}

#[test]
fn a_client_that_stops_in_the_middle_of_a_frame_is_forgotten() {
    let mut started = Started::with_khan();
    let mut client = started.client();
    client.send_bytes(&newt::encode(&jam(&ovum(1)))[..10]);
    drop(client);
    assert!(started.pier.planned().ovum.card.head().unwrap().is_cord("done"));
    assert_eq!(started.conn.info(), [("connections".to_owned(), 0)]);
}

#[test]
fn a_client_that_never_reads_holds_nobody_up() {
    let mut started = Started::new();
    let mut deaf = started.client();
    let large = Noun::from_le_vec(vec![1; 4 << 20]);
    for rid in 0..4u64 {
        deaf.send(&n![rid, "peek", 0u64]);
        (started.pier.peek().answer)(PeekAnswer::Done(large.clone()));
    }
    started.client().assert_served();
    let begun = std::time::Instant::now();
    started.conn.stop();
    // The end does not wait for it, and its connection goes when its moment is over.
    assert!(begun.elapsed() < Duration::from_millis(500));
    while !started
        .conn
        .info()
        .iter()
        .all(|(_, connections)| *connections == 0)
    {
        assert!(begun.elapsed() < PATIENCE, "the connection stays");
        std::thread::yield_now();
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes_are_a_request_or_a_refusal(body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
        let _ = request::parse(&body);
    }
}

#[test]
fn thousands_in_flight_are_all_answered() {
    const REQUESTS: u64 = 20_000;
    let mut started = Started::new();
    let mut client = started.client();
    let mut writer = client.stream.try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        for rid in 0..REQUESTS {
            writer.write_all(&newt::encode(&jam(&ovum(rid)))).unwrap();
        }
    });
    let runtime = Arc::clone(&started.pier.runtime);
    let pier = std::thread::spawn(move || {
        runtime.block_on(async {
            for _ in 0..REQUESTS {
                match started.pier.next_message().await {
                    message @ Message::Plan(_) => commit(as_planned(message)),
                    _ => panic!("not an event"),
                }
            }
        });
        started
    });
    for rid in 0..REQUESTS {
        assert_eq!(client.receive(), done(rid));
    }
    sender.join().unwrap();
    pier.join().unwrap();
}
