//! A real Arvo's session with the C king: its effects are read, and its clients' requests become the same events.

use super::*;
use crate::{drivers::http::request, drivers::http::shapes, ovum::Ovum};
use serf_ipc::cue;

/// Effects on `/http-server` wires, and events for eyre, of the recorded session: `[wire card]` each.
fn session() -> (Vec<(Vec<String>, Noun)>, Vec<Noun>) {
    let text = include_str!("../../../../tests/data/eyre-session.jsonl");
    let (mut effects, mut events) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let frame: serde_json::Value = serde_json::from_str(line).unwrap();
        let hex = frame["hex"].as_str().unwrap();
        let bytes = (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap());
        let noun = cue(&bytes.collect::<Vec<_>>()).unwrap();
        if frame["dir"] == ">" {
            // [%work timeout date ovum]
            events.push(noun.slot(15).unwrap().clone());
        } else {
            // [%work %done event mug effects]
            for effect in noun.slot(31).unwrap().iter_list() {
                let (wire, card) = effect.unwrap().as_cell().unwrap();
                let wire = knots(wire);
                if wire[0] == "http-server" {
                    effects.push((wire, card.clone()));
                }
            }
        }
    }
    (effects, events)
}

#[test]
fn every_recorded_effect_is_read_and_written_back() {
    let (effects, _) = session();
    assert_eq!(effects.len(), 33, "recorded effects on eyre's wires");
    for (wire, card) in effects {
        let (tag, data) = <(String, Noun)>::from_noun(&card).unwrap();
        match shapes::Command::read(&tag, &data).unwrap() {
            shapes::Command::SetConfig(config) => {
                assert_eq!(config.to_noun(), data);
                assert_eq!(
                    (config.secure, config.proxy, config.log, config.redirect),
                    (None, false, true, false)
                );
            }
            shapes::Command::Sessions(sessions) => assert!(sessions.len() <= 1),
            shapes::Command::Response(response) => {
                assert_eq!(wire.len(), 4);
                assert_eq!(response.to_noun(), data);
            }
            shapes::Command::Grow(_) => panic!("none was recorded"),
        }
    }
}

#[test]
fn a_recorded_response_has_these_bytes() {
    let (effects, _) = session();
    let wire = ["http-server", "0v18.nac4u", "1", "1"];
    let (_, card) = effects.iter().find(|(of, _)| of == &wire).unwrap();
    let mut ship = Ship::new();
    let mut client = ship.client();
    client.get("/");
    let asked = ship.request();
    let data = Response::from_noun(card.tail().unwrap()).unwrap();
    ship.respond(&asked.wire, &data);
    assert_eq!(
        client.head(),
        "HTTP/1.1 404 missing\r\nDate: DATE\r\nConnection: keep-alive\r\nContent-Length: 144\r\n\
         Server: urbit/vere-3.5\r\n\
         set-cookie: urbauth-~zod=0v3sprf.ealsd.ei8eo.kcsdr.du29a; Path=/; Max-Age=604800\r\n\
         content-type: text/html\r\n\r\n"
    );
    let body = client.read(144);
    assert!(
        body.starts_with("<html><head><title>404 Not Found") && body.ends_with("</html>"),
        "{body}"
    );
}

#[test]
fn what_clients_sent_becomes_the_recorded_events() {
    let (_, events) = session();
    let curl = |request: &str, host: &str, more: &str, body: &str| {
        let length = if body.is_empty() {
            String::new()
        } else {
            format!("Content-Length: {}\r\n", body.len())
        };
        format!(
            "{request} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n{length}{more}\r\n{body}"
        )
    };
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let lens = r#"{"source":{"dojo":"(add 2 40)"},"sink":{"stdout":null}}"#;
    let sent = [
        ("0v18.nac4v", true, curl("POST /", "localhost:12322", form, lens)),
        ("0v18.nac4u", false, curl("GET /", "127.0.0.1:18280", "", "")),
    ];
    for (server, local, text) in sent {
        let request::Parsed::Head(head, len) = request::parse(text.as_bytes()) else {
            panic!("{text}")
        };
        let request = shapes::Request {
            secure: false,
            local,
            address: Ipv4Addr::LOCALHOST,
            method: head.method_name().unwrap(),
            url: head.target,
            headers: head.headers,
            body: text.as_bytes()[len..].to_vec(),
        };
        let ovum = Ovum::new("e", ["http-server", server, "1", "1"], request.into_card());
        assert!(events.contains(&ovum.to_noun()), "{:?}", ovum.to_noun());
    }
    let own = |card| Ovum::new("e", ["http-server", "0v18.nac4u"], card).to_noun();
    assert!(events.contains(&own(shapes::born())) && events.contains(&own(shapes::live(18280, None))));
}
