//! Web clients and the machine that leads: HTTPS as the ship says, streams that end with their leader, and the next one's.

use seguro_king::conn_client::{Answer, ConnClient};
use seguro_tests::{Outcomes, PATIENCE, Ship, needs_reference_kernel};
use serf_ipc::{Noun, n};
use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
};

const KEY: &str = include_str!("../../king/tests/data/tls/localhost.key");
const CERTIFICATES: &str = include_str!("../../king/tests/data/tls/localhost.pem");
const COOKIE: &str = "Cookie: urbauth-~zod=0v3\r\n";

/// Has the reference kernel say this to the web servers.
fn emit(client: &mut ConnClient, card: Noun) -> anyhow::Result<()> {
    let wire = n!["http-server", "0v1", 0u64];
    let effects = n![n![wire, card], 0u64];
    let answer = client.ask(1, "ovum", n!["c", n!["sync", 0u64], "emit", effects])?;
    assert_eq!(answer, Answer::Done);
    Ok(())
}

fn lines(text: &str) -> Noun {
    Noun::list(text.lines().map(Noun::cord))
}

/// The port of this kind that a member's `.http.ports` names, once it does.
fn port(ship: &mut Ship, member: usize, kind: &str) -> anyhow::Result<u16> {
    let file = ship.pier(member).join(".http.ports");
    ship.cluster.wait("a web server", PATIENCE, |_| {
        let text = fs::read_to_string(&file).ok()?;
        let line = text.lines().find(|line| line.ends_with(kind))?;
        line.split(' ').next()?.parse().ok()
    })
}

/// Asks, and reads the answer's head.
fn get(port: u16, target: &str) -> anyhow::Result<(TcpStream, String)> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("GET {target} HTTP/1.1\r\n{COOKIE}\r\n").as_bytes())?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    Ok((stream, String::from_utf8(head)?))
}

/// Opens a stream of what the ship prints, for which one must be logged in. The servers learn of the session and of the client
/// by different ways.
fn listen(ship: &mut Ship, port: u16) -> anyhow::Result<TcpStream> {
    ship.cluster.wait("a stream", PATIENCE, |_| {
        let (stream, head) = get(port, "/~_~/slog").ok()?;
        head.starts_with("HTTP/1.1 200 ok\r\n").then_some(stream)
    })
}

#[test]
fn streams_end_with_their_leader_and_begin_again_at_the_next() -> anyhow::Result<()> {
    if !needs_reference_kernel("streams_end_with_their_leader_and_begin_again_at_the_next") {
        return Ok(());
    }
    // Only one member leads and listens.
    let secure = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let mut ship = Ship::new(3, &["--https-port", &secure.to_string()])?;
    let first = ship.boot()?;
    let mut client = ship.client(first)?;
    let config = n![
        "set-config",
        Some((lines(KEY), lines(CERTIFICATES))),
        false,
        true,
        false
    ];
    let sessions = n!["sessions", "0v3", 0u64, 0u64];
    emit(&mut client, config.clone())?;
    emit(&mut client, sessions.clone())?;
    assert_eq!(port(&mut ship, first, " secure public")?, secure);
    drop(TcpStream::connect((Ipv4Addr::LOCALHOST, secure))?);
    let public = port(&mut ship, first, " insecure public")?;
    let mut stream = listen(&mut ship, public)?;

    ship.cluster.kill(first)?;
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
    }
    let second = ship.cluster.wait_live(PATIENCE)?;
    assert_ne!(first, second);
    // This kernel does not tell a new leader what it told the old one.
    let mut client = ship.client(second)?;
    let public = port(&mut ship, second, " insecure public")?;
    assert!(
        get(public, "/~_~/slog")?
            .1
            .starts_with("HTTP/1.1 403 missing\r\n")
    );
    emit(&mut client, sessions)?;
    let mut stream = listen(&mut ship, public)?;
    assert!(get(public, "/")?.1.starts_with("HTTP/1.1 200 ok\r\n"));
    // What listens goes on while the servers start anew.
    emit(&mut client, config)?;
    assert_eq!(port(&mut ship, second, " secure public")?, secure);

    // A leader that leaves in order says so.
    ship.cluster.run(first)?;
    ship.cluster.settle(PATIENCE)?;
    ship.cluster.terminate(second, PATIENCE)?;
    let mut rest = String::new();
    stream.read_to_string(&mut rest)?;
    assert!(
        rest.ends_with("data:urbit shutting down\n\n\r\n0\r\n\r\n"),
        "{rest:?}"
    );
    ship.cluster.wait_live(PATIENCE)?;
    ship.cluster.run(second)?;
    ship.settle_and_judge(&Outcomes::default())?;
    Ok(())
}
