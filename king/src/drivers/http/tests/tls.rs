//! HTTPS.

use super::*;
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};

/// A certificate for `localhost`, and the one that vouches for it.
pub(in super::super) const CERTIFICATES: &str = include_str!("../../../../tests/data/tls/localhost.pem");
/// Its key.
pub(in super::super) const KEY: &str = include_str!("../../../../tests/data/tls/localhost.key");
/// Another key.
pub(in super::super) const OTHER_KEY: &str = include_str!("../../../../tests/data/tls/other.key");

type Secure = StreamOwned<ClientConnection, TcpStream>;

/// A text as its lines.
pub(in super::super) fn wain(text: &str) -> Noun {
    Noun::list(text.lines().map(Noun::cord))
}

/// `%set-config`'s data with this key.
fn config_with(key: &str) -> Noun {
    n![Some((wain(key), wain(CERTIFICATES))), false, true, false]
}

/// A ship that serves HTTPS.
pub(super) fn ship(bounds: Bounds) -> Ship {
    let mut ship = Ship::asleep(bounds);
    ship.configure(&config_with(KEY));
    ship.settle();
    ship.pier.poke();
    ship
}

/// A client's part of TLS that trusts the certificate's issuer only, and speaks this.
pub(super) fn trusting(protocol: &[u8]) -> Arc<ClientConfig> {
    let issuer = CertificateDer::pem_slice_iter(CERTIFICATES.as_bytes())
        .nth(1)
        .unwrap()
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(issuer).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    Arc::new(config)
}

/// A client that speaks HTTP/1.1.
fn client(ship: &Ship) -> Client<Secure> {
    let name = ServerName::try_from("localhost").unwrap();
    let session = ClientConnection::new(trusting(b"http/1.1"), name).unwrap();
    Client(StreamOwned::new(session, connect(ship.secure.unwrap())))
}

#[test]
fn a_ship_with_a_certificate_is_served_through_tls_too() {
    let mut ship = ship(Bounds::default());
    assert_eq!(
        ship.secure, ship.pier.settings.https_port,
        "the port that was given"
    );
    let mut secure = client(&ship);
    secure.get("/secret");
    let asked = ship.request();
    assert_eq!((asked.tag.as_str(), asked.url().as_str()), ("request", "/secret"));
    assert_eq!(asked.data.head(), Some(&Noun::ZERO), "it is secure");
    // It is the first server.
    assert_eq!(asked.wire, ["http-server", &ship.sev, "1", "1"]);
    ship.respond(&asked.wire, &page("told"));
    assert_eq!(
        secure.head(),
        "HTTP/1.1 200 ok\r\nDate: DATE\r\nConnection: keep-alive\r\nContent-Length: 4\r\nServer: urbit/vere-3.5\r\n\r\n"
    );
    assert_eq!(secure.read(4), "told");
    assert_eq!(secure.0.conn.alpn_protocol(), Some(b"http/1.1".as_slice()));

    // A stream, on the same connection.
    secure.get("/stream");
    let streamed = ship.request();
    ship.respond(&streamed.wire, &start(200, &[], None, false));
    assert!(secure.head().ends_with("transfer-encoding: chunked\r\n\r\n"));
    for part in ["a", "bc"] {
        ship.respond(&streamed.wire, &proceed(octs(part.as_bytes()), false));
        assert_eq!(
            secure.read(5 + part.len()),
            format!("{}\r\n{part}\r\n", part.len())
        );
    }

    let mut plain = ship.client();
    plain.get("/");
    let asked = ship.request();
    assert_eq!(asked.data.head(), Some(&Noun::atom(1)), "and this one is not");
    ship.respond(&asked.wire, &page("plain"));
    plain.head();

    // What is under way goes on when the ship has a new certificate, and new clients are shown that one.
    ship.configure(&config_with(KEY));
    ship.settle();
    ship.respond(&streamed.wire, &proceed(octs(b"end"), true));
    assert_eq!(secure.rest(), "3\r\nend\r\n0\r\n\r\n");
    let mut again = client(&ship);
    again.get("/again");
    assert_eq!(ship.request().url(), "/again");
}

#[test]
fn a_key_that_does_not_serve_costs_https_only() {
    let mut ship = Ship::asleep(Bounds::default());
    for key in ["no key", OTHER_KEY] {
        ship.configure(&config_with(key));
        ship.settle();
        assert_eq!(ship.secure, None);
        if key == "no key" {
            ship.pier.poke();
        }
        let mut client = ship.client();
        client.get("/");
        let asked = ship.request();
        ship.respond(&asked.wire, &page("plain"));
        client.head();
        assert_eq!(client.read(5), "plain");
    }
    ship.configure(&config_with(KEY));
    ship.settle();
    client(&ship).get("/");
    ship.request();
}

#[test]
fn who_does_not_speak_tls_or_says_nothing_is_hung_up_on() {
    let bounds = Bounds {
        read_patience: Duration::from_millis(300),
        ..Bounds::default()
    };
    let mut ship = ship(bounds);
    let mut silent = Client::new(ship.secure.unwrap());
    let mut plain = Client::new(ship.secure.unwrap());
    plain.get("/");
    // An alert, or nothing.
    let mut bytes = Vec::new();
    let _ = plain.0.read_to_end(&mut bytes);
    assert!(bytes.len() < 10, "{bytes:?}");
    assert_eq!(silent.rest(), "");
    ship.pier.assert_silent();
    client(&ship).get("/");
    ship.request();
}

#[test]
fn at_the_offices_end_secure_clients_are_told_too() {
    let mut ship = ship(Bounds::default());
    let mut waiting = client(&ship);
    waiting.get("/");
    let asked = ship.request();
    let mut stream = client(&ship);
    stream.get("/");
    let streamed = ship.request();
    ship.respond(&streamed.wire, &start(200, &[], octs(b"some"), false));
    stream.head();
    assert_eq!(stream.read(9), "4\r\nsome\r\n");
    ship.driver.stop();
    assert!(waiting.rest().starts_with("HTTP/1.1 503 service unavailable\r\n"));
    assert_eq!(stream.rest(), "\r\n1\r\n");
    drop((asked, streamed));
}

#[test]
fn a_secure_client_that_does_not_read_is_cut_off() {
    let mut ship = ship(Bounds::default());
    let mut slow = client(&ship);
    slow.get("/");
    let mut asked = ship.request();
    asked.commit();
    ship.respond(&asked.wire, &start(200, &[], None, false));
    slow.head();
    let part = crate::limits::HTTP_RESPONSE_BYTES / 4;
    let mut sent = 0;
    while ship.driver.servers.shared().exchanges.len() > 0 {
        assert!(sent < 100, "nothing stops the kernel");
        ship.respond(&asked.wire, &proceed(zeros(part), false));
        sent += 1;
        std::thread::sleep(Duration::from_millis(5));
    }
    ship.cancelled(&asked.wire);
    ship.all_is_quiet(Bounds::default());
}
