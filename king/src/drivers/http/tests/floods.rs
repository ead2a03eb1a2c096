//! Many clients, slow clients, and clients that send anything.

use super::*;
use crate::limits::HTTP_RESPONSE_BYTES;
use proptest::{prelude::*, test_runner::TestRunner};
use std::cell::RefCell;

#[test]
fn a_client_that_does_not_read_loses_its_stream_and_the_memory_is_free() {
    let mut ship = Ship::new();
    let mut client = ship.client();
    client.get("/");
    let mut asked = ship.request();
    asked.commit();
    ship.respond(&asked.wire, &start(200, &[], None, false));
    client.head();
    let mut sent = 0;
    while ship.driver.servers.shared().exchanges.len() > 0 {
        assert!(sent < 100, "nothing stops the kernel");
        ship.respond(&asked.wire, &proceed(zeros(HTTP_RESPONSE_BYTES / 4), false));
        let waiting = ship.driver.servers.shared().exchanges.waiting();
        assert!(waiting <= HTTP_RESPONSE_BYTES * 2, "{waiting} bytes wait");
        sent += 1;
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(sent > 4, "it was given up too early");
    ship.cancelled(&asked.wire);
    ship.all_is_quiet(Bounds::default());
    client.is_reset();
}

#[test]
fn a_client_that_stops_reading_is_given_up_after_a_while() {
    let bounds = Bounds {
        part_patience: Duration::from_millis(500),
        ..Bounds::default()
    };
    let mut ship = Ship::with(bounds);
    for complete in [true, false] {
        let mut client = ship.client();
        client.get("/");
        let mut asked = ship.request();
        asked.commit();
        ship.respond(
            &asked.wire,
            &start(200, &[], zeros(HTTP_RESPONSE_BYTES), complete),
        );
        client.head();
        if !complete {
            ship.cancelled(&asked.wire);
        }
        ship.all_is_quiet(bounds);
        client.is_reset();
    }
    ship.pier.assert_silent();
}

#[test]
fn a_thousand_streams_need_no_thread_each() {
    const STREAMS: usize = 1000;
    let threads = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("Threads:"))
            .unwrap();
        line.trim().parse::<usize>().unwrap()
    };
    let (limit, _) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).unwrap();
    assert!(
        limit > 2 * STREAMS as u64 + 200,
        "this test needs {} file descriptors: ulimit -n",
        2 * STREAMS + 200
    );

    let mut ship = Ship::new();
    let before = threads();
    let mut clients = Vec::new();
    let mut wires = Vec::new();
    for _ in 0..STREAMS {
        let mut client = ship.client();
        client.get("/~/channel");
        let mut asked = ship.request();
        asked.commit();
        ship.respond(&asked.wire, &start(200, &[], None, false));
        wires.push(asked.wire);
        clients.push(client);
    }
    // Other tests of this process run beside this one, with some threads of their own.
    assert!(threads() < before + 100, "{before} threads became {}", threads());
    for (number, wire) in wires.iter().enumerate() {
        ship.respond(wire, &proceed(octs(format!("{number:04}").as_bytes()), true));
    }
    for (number, client) in clients.iter_mut().enumerate() {
        client.head();
        assert_eq!(client.read(14), format!("4\r\n{number:04}\r\n0\r\n\r\n"));
    }
    drop(clients);
    ship.all_is_quiet(Bounds::default());
}

#[test]
fn connections_beyond_the_bound_wait_for_their_turn() {
    // Each server holds a place for the connection that it waits for.
    let mut ship = Ship::with(Bounds {
        connections: 3,
        ..Bounds::default()
    });
    let mut clients = (0..3).map(|_| ship.client()).collect::<Vec<_>>();
    let accepted = |ship: &Ship| {
        ship.driver
            .servers
            .listening()
            .iter()
            .map(|server| server.connections())
            .sum::<u64>()
    };
    until("two are served", || accepted(&ship) == 2);
    clients[2].get("/third");
    ship.pier.assert_silent();
    drop(clients.remove(0));
    assert_eq!((ship.request().url().as_str(), accepted(&ship)), ("/third", 3));
}

/// What clients send in the tests below: requests in pieces, whole or not, and noise.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let pieces: &[&[u8]] = &[
        b"GET / HTTP/1.1\r\n",
        b"POST / HTTP/1.1\r\n",
        b"HEAD /x HTTP/1.0\r\n",
        b"PATCH / HTTP/1.1\r\n",
        b"Content-Length: 3\r\n",
        b"Content-Length: 99999999999\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Expect: 100-continue\r\n",
        b"Connection: close\r\n",
        b"Host: zod\r\n",
        b"\r\n",
        b"\n",
        b"abc",
        b"3\r\nabc\r\n",
        b"0\r\n\r\n",
        b"ffffffffffffffff\r\n",
        b"\0",
    ];
    let piece = prop_oneof![
        8 => prop::sample::select(pieces).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..40),
    ];
    prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

#[test]
fn whatever_clients_send_the_server_lives_and_keeps_nothing() {
    let bounds = Bounds {
        read_patience: Duration::from_millis(100),
        ..Bounds::default()
    };
    let ship = RefCell::new(Ship::with(bounds));
    let mut runner = TestRunner::new(ProptestConfig {
        failure_persistence: None,
        cases: 300,
        ..ProptestConfig::default()
    });
    let inputs = (noise(), any::<bool>(), any::<bool>());
    let outcome = runner.run(&inputs, |(bytes, resets, answers)| {
        let mut ship = ship.borrow_mut();
        let mut client = ship.client();
        // The server may have closed already.
        let _ = client.0.write_all(&bytes);
        if resets {
            client.reset();
        } else {
            client.half_close();
            client.0.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
            let _ = client.0.read_to_end(&mut Vec::new());
        }
        // The kernel answers what has come, or crashes on it; the rest is left to the next case.
        while let Some(mut asked) = ship.next() {
            if asked.tag.starts_with("request") {
                if answers {
                    asked.commit();
                }
                ship.respond(&asked.wire.clone(), &page("fine"));
            }
        }
        Ok(())
    });
    outcome.unwrap();
    let mut ship = ship.into_inner();
    // Whatever is still under way is answered.
    let shared = ship.driver.servers.shared().clone();
    let deadline = Instant::now() + PATIENCE;
    while shared.places.available_permits() < bounds.connections - 2 || shared.exchanges.len() > 0 {
        assert!(
            Instant::now() < deadline,
            "{} requests are left",
            shared.exchanges.len()
        );
        while let Some(asked) = ship.next() {
            if asked.tag.starts_with("request") {
                ship.respond(&asked.wire.clone(), &page("fine"));
            }
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    while ship.next().is_some() {}
    ship.all_is_quiet(bounds);
    let mut client = ship.client();
    client.get("/");
    let asked = ship.request();
    ship.respond(&asked.wire, &page("alive"));
    client.head();
    assert_eq!(client.read(5), "alive");
}
