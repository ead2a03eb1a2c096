//! The ship's requests to web servers: one answer each, and none of an office that is over.

use seguro_king::conn_client::Answer;
use seguro_tests::{Outcomes, PATIENCE, Ship, needs_reference_kernel};
use serf_ipc::{Noun, cue, n};
use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
};

/// Has the kernel ask for this; how many events there were then.
fn request(ship: &Ship, leader: usize, number: u64, server: &TcpListener) -> anyhow::Result<u64> {
    let url = format!("http://{}/page", server.local_addr()?);
    let data = n![number, n!["GET", url.as_str(), 0u64, 0u64]];
    let effect = n![n!["http-client", 0u64], "request", data];
    let event = n!["d", n!["mine", 0u64], "emit", n![effect, 0u64]];
    let answer = ship.client(leader)?.ask(1, "ovum", event)?;
    anyhow::ensure!(answer == Answer::Done, "{answer:?}");
    Ok(ship.status(leader)?.committed)
}

/// The next client, once it has asked.
fn asked(server: &TcpListener) -> anyhow::Result<TcpStream> {
    let (mut stream, _) = server.accept()?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    anyhow::ensure!(
        head.starts_with(b"GET /page HTTP/1.1\r\nHost: 127.0.0.1:"),
        "{head:?}"
    );
    Ok(stream)
}

/// Asks, answers, and waits until the answer is an event.
fn is_answered(ship: &mut Ship, leader: usize, number: u64) -> anyhow::Result<()> {
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let before = request(ship, leader, number, &server)?;
    asked(&server)?.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npage")?;
    ship.cluster
        .wait("an answer to become an event", PATIENCE, |cluster| {
            (cluster.status(leader)?.committed > before).then_some(())
        })
}

#[test]
fn what_is_asked_is_answered_once_and_never_by_another_office() -> anyhow::Result<()> {
    if !needs_reference_kernel("what_is_asked_is_answered_once_and_never_by_another_office") {
        return Ok(());
    }
    let mut ship = Ship::new(3, &[])?;
    let leader = ship.boot()?;
    is_answered(&mut ship, leader, 1)?;

    // An answer that does not come before the office ends.
    let slow = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    request(&ship, leader, 2, &slow)?;
    let mut client = asked(&slow)?;
    let old = leader;
    ship.cluster.kill(old)?;
    let leader = ship.cluster.wait_live(PATIENCE)?;
    assert_eq!(client.read(&mut [0]).unwrap_or(0), 0, "it is hung up on");
    is_answered(&mut ship, leader, 3)?;
    slow.set_nonblocking(true)?;
    let again = slow.accept().map(|_| ()).map_err(|error| error.kind());
    assert_eq!(again, Err(ErrorKind::WouldBlock), "nobody asks again");

    let logs = ship.settle_and_judge(&Outcomes::default())?;
    let answer = |jam: &[u8]| {
        let event = cue(jam).ok()?;
        let (wire, card) = event.tail()?.as_cell()?;
        let is_ours = wire.slot(6).is_some_and(|knot| knot.is_cord("http-client"));
        let is_answer = card.head().is_some_and(|tag| tag.is_cord("receive"));
        (is_ours && is_answer).then(|| card.tail().cloned())?
    };
    let answers: Vec<Noun> = logs.events.values().filter_map(|(_, jam)| answer(jam)).collect();
    let headers = n![n!["content-length", "4"], 0u64];
    let expected = |number: u64| {
        n![
            number,
            "start",
            n![200u64, headers.clone()],
            n![0u64, 4u64, "page"],
            0u64
        ]
    };
    assert_eq!(answers, [expected(1), expected(3)]);
    Ok(())
}
