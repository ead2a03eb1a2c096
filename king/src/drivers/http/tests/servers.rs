//! Starting, and starting anew.

use super::*;
use crate::driver::Request;

#[test]
fn nothing_is_served_until_the_ship_says_how() {
    let mut ship = Ship::asleep(Bounds::default());
    assert!(!ship.driver.is_live() && ship.ports().is_empty());
    ship.configure(&n![7_u8, false, true, false]);
    ship.configure(&n![(), 2_u8, true, false]);
    ship.pier.assert_silent();
    ship.configure(&config());
    ship.settle();
    ship.pier.poke();
    assert!(ship.driver.is_live());
    let public = ship.pier.settings.http_port.unwrap();
    assert_eq!(ship.public, public, "the port that was given");
    assert!(ship.loopback >= 12_321);
    assert_eq!(
        ship.ports(),
        format!("{} insecure loopback\n{public} insecure public\n", ship.loopback)
    );
    let info = ship.driver.info();
    assert!(
        info.contains(&(format!("{}/port", ship.sev), u64::from(public))),
        "{info:?}"
    );
}

#[test]
fn a_new_configuration_starts_the_servers_anew() {
    let mut ship = Ship::new();
    let mut idle = ship.client();
    let mut stream = ship.client();
    stream.get("/");
    let streamed = ship.request();
    ship.respond(&streamed.wire, &start(200, &[], None, false));
    assert!(stream.head().contains("Connection: keep-alive\r\n"));
    let mut waiting = ship.client();
    waiting.get("/");
    let asked = ship.request();
    let before = ship.ports();
    until("both clients and the idle one are accepted", || {
        ship.driver
            .servers
            .listening()
            .iter()
            .any(|server| server.connections() == 3)
    });

    ship.configure(&config());
    ship.settle();
    // The public port was fixed; the loopback server may have found another in between.
    assert_eq!(
        ship.ports(),
        format!(
            "{} insecure loopback\n{} insecure public\n{before}",
            ship.loopback, ship.public
        )
    );
    assert_eq!(idle.rest(), "");

    // What was under way goes on, and is the last on its connection.
    ship.respond(&asked.wire, &page("old"));
    let old = waiting.rest();
    assert!(
        old.contains("\r\nConnection: close\r\n") && old.ends_with("\r\n\r\nold"),
        "{old}"
    );
    ship.respond(&streamed.wire, &proceed(octs(b"old"), true));
    assert_eq!(stream.rest(), "3\r\nold\r\n0\r\n\r\n");

    // The new public server is the third of this driver.
    let mut client = ship.client();
    client.get("/");
    let asked = ship.request();
    let instance = serf_ipc::text::slaw(serf_ipc::text::Aura::Uv, &ship.sev)
        .unwrap()
        .as_u64()
        .unwrap();
    assert_eq!(
        asked.wire,
        ["http-server", &serf_ipc::text::uv(instance + 2), "1", "1"]
    );
    ship.respond(&asked.wire, &page("new"));
    client.head();
    assert_eq!(client.read(3), "new");
    ship.pier.assert_silent();
}

#[test]
fn a_given_port_that_is_taken_stops_the_ship() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut pier = FakePier::new();
    pier.settings.http_ip = Ipv4Addr::LOCALHOST;
    pier.settings.http_port = Some(port);
    let mut driver = Http::with(pier.context(), Bounds::default());
    driver.start().unwrap();
    let born = pier.planned();
    let sev = knots(&born.ovum.wire)[2].clone();
    assert_eq!(
        pier.effect(&mut driver, &["http-server", &sev], "set-config", &config()),
        Claim::Taken
    );
    match pier.request() {
        Request::Fatal(line) => assert_eq!(line, format!("http: listen ({port}): address already in use")),
        _ => panic!("another request"),
    }
    assert!(
        pier.directory
            .path()
            .read_dir()
            .unwrap()
            .all(|entry| entry.unwrap().file_name() != ".http.ports")
    );
}

#[test]
fn an_address_that_is_not_this_machines_stops_the_ship() {
    let mut pier = FakePier::new();
    pier.settings.http_ip = Ipv4Addr::new(192, 0, 2, 1);
    pier.settings.http_port = Some(free_port());
    let mut driver = Http::with(pier.context(), Bounds::default());
    driver.start().unwrap();
    let sev = knots(&pier.planned().ovum.wire)[2].clone();
    assert_eq!(
        pier.effect(&mut driver, &["http-server", &sev], "set-config", &config()),
        Claim::Taken
    );
    assert!(matches!(pier.request(), Request::Fatal(line) if line == "http: ip address not available"));
}

#[test]
fn the_loopback_server_counts_up_past_a_port_that_is_taken() {
    let first = Ship::new();
    let second = Ship::new();
    assert_ne!(first.loopback, second.loopback);
    assert!(first.loopback.min(second.loopback) >= 12_321);
}
