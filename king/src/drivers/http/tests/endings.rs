//! Events that come to nothing, and the office's end.

use super::*;
use crate::{
    driver::{DropReason, Outcome},
    drivers::{fake_pier::tell, http::shapes::Config},
};

const UNAVAILABLE: &str = "HTTP/1.1 503 service unavailable\r\nDate: DATE\r\nConnection: close\r\n\
    Content-Length: 19\r\nServer: urbit/vere-3.5\r\ncontent-type: text/plain; charset=utf-8\r\nretry-after: 1\r\n\r\n\
    service unavailable";

#[test]
fn an_event_that_the_kernel_refused_is_500() {
    for outcome in [
        Outcome::Bailed(Vec::new()),
        Outcome::Dropped(DropReason::KilledSerf),
    ] {
        let mut ship = Ship::new();
        let mut client = ship.client();
        client.get("/");
        let mut asked = ship.request();
        tell(asked.planned.take().unwrap(), outcome);
        assert!(
            client
                .head()
                .starts_with("HTTP/1.1 500 hosed\r\nDate: DATE\r\nConnection: keep-alive\r\n")
        );
        assert_eq!(client.read(5), "hosed");
        ship.pier.assert_silent();
        ship.all_is_quiet(Bounds::default());
    }
}

#[test]
fn an_event_whose_fate_is_unknown_is_503_and_the_connection_ends() {
    for outcome in [
        Some(Outcome::Unknown),
        Some(Outcome::Dropped(DropReason::OfficeOver)),
        None,
    ] {
        let mut ship = Ship::new();
        let mut client = ship.client();
        client.get("/");
        let mut asked = ship.request();
        match outcome {
            Some(outcome) => tell(asked.planned.take().unwrap(), outcome),
            None => drop(asked.planned.take()),
        }
        assert_eq!(client.rest(), UNAVAILABLE);
        ship.pier.assert_silent();
        ship.all_is_quiet(Bounds::default());
    }
}

#[test]
fn a_committed_event_that_the_kernel_crashed_on_is_waited_for() {
    let mut ship = Ship::new();
    let mut client = ship.client();
    client.get("/");
    let mut asked = ship.request();
    let swapped = Outcome::Committed {
        event: seguro_event::EventNumber(8),
        swapped: true,
    };
    tell(asked.planned.take().unwrap(), swapped);
    ship.respond(&asked.wire, &page("still"));
    client.head();
    assert_eq!(client.read(5), "still");
}

#[test]
fn an_event_that_is_too_large_for_the_ship_is_413() {
    let mut ship = Ship::new();
    let mut client = ship.client();
    client.get("/");
    let mut asked = ship.request();
    tell(
        asked.planned.take().unwrap(),
        Outcome::Dropped(DropReason::TooLarge),
    );
    assert!(
        client
            .rest()
            .starts_with("HTTP/1.1 413 Request Entity Too Large\r\n")
    );
}

#[test]
fn at_the_offices_end_whoever_waits_is_sent_elsewhere_and_streams_break_off() {
    let mut ship = Ship::new();
    let mut idle = ship.client();
    let mut halfway = ship.client();
    halfway.send("POST / HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(halfway.head(), "HTTP/1.1 100 Continue\r\n\r\n");
    let mut waiting = ship.client();
    waiting.get("/waiting");
    let asked = ship.request();
    let mut stream = ship.client();
    stream.get("/stream");
    let streamed = ship.request();
    ship.respond(&streamed.wire, &start(200, &[], octs(b"some"), false));
    assert!(stream.head().ends_with("transfer-encoding: chunked\r\n\r\n"));
    assert_eq!(stream.read(9), "4\r\nsome\r\n");
    let mut unframed = ship.client();
    unframed.get("/unframed");
    let broken = ship.request();
    ship.respond(&broken.wire, &start(500, &[], octs(b"some"), false));
    unframed.head();
    assert_eq!(unframed.read(4), "some");
    until("all of them are accepted", || {
        ship.driver
            .servers
            .listening()
            .iter()
            .any(|server| server.connections() == 5)
    });

    ship.driver.stop();
    assert_eq!(waiting.rest(), UNAVAILABLE);
    assert_eq!(halfway.rest(), UNAVAILABLE);
    assert_eq!(stream.rest(), "\r\n1\r\n");
    assert_eq!(idle.rest(), "");
    // Who would take a close for the end of the body gets a reset.
    unframed.is_reset();
    assert_eq!(ship.ports(), "");
    assert!(!ship.pier.directory.path().join(".http.ports").exists());
    until("the port is closed", || {
        TcpStream::connect((Ipv4Addr::LOCALHOST, ship.public)).is_err()
    });
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, ship.loopback)).is_err());
    // The kernel is not told: this member has no say any more.
    ship.pier.assert_silent();
    drop((asked, streamed, broken));
    until("all is given back", || {
        ship.driver.servers.shared().exchanges.len() == 0
            && ship.driver.servers.shared().places.available_permits() == Bounds::default().connections
    });
    // Nothing opens again.
    let runtime = Arc::clone(&ship.pier.runtime);
    assert!(
        !runtime.block_on(
            ship.driver
                .servers
                .restart(&Config::from_noun(&config()).unwrap())
        )
    );
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, ship.public)).is_err());
    assert_eq!(ship.ports(), "");
    ship.pier.assert_silent();
}

#[test]
fn a_driver_that_is_dropped_ends_as_one_that_is_stopped() {
    let mut ship = Ship::new();
    let mut client = ship.client();
    client.get("/");
    let asked = ship.request();
    let Ship {
        pier, driver, public, ..
    } = ship;
    drop(driver);
    assert_eq!(client.rest(), UNAVAILABLE);
    until("the port is closed", || {
        TcpStream::connect((Ipv4Addr::LOCALHOST, public)).is_err()
    });
    assert!(!pier.directory.path().join(".http.ports").exists());
    drop(asked);
}

#[test]
fn without_a_pier_requests_are_put_off() {
    let ship = Ship::new();
    let mut client = ship.client();
    let Ship { pier, driver, .. } = ship;
    let runtime = Arc::clone(&pier.runtime);
    drop(pier);
    client.get("/");
    assert_eq!(client.rest(), UNAVAILABLE);
    drop(driver);
    drop(runtime);
}
