//! What the kernel does with its cards.

use crate::talk::{Serf, life, pier, under_test};
use serf_ipc::protocol::{Plea, WorkReply, Writ};
use serf_ipc::{Noun, ToNoun, n};

/// `/d/term/1`, a wire that means nothing to the kernel.
fn term() -> Noun {
    n!["d", "term", "1", 0_u64]
}

fn behn() -> Noun {
    n!["b", "behn", 0_u64]
}

fn http() -> Noun {
    n!["e", "http-server", "0v1", "1", "1", 0_u64]
}

/// `[%request ..]`.
fn request(method: &str, url: &str) -> Noun {
    n![
        "request",
        false,
        n!["ipv4", 0x7f00_0001_u64],
        method,
        url,
        0_u64,
        0_u64
    ]
}

fn list(items: impl IntoIterator<Item = Noun>) -> Noun {
    Noun::list(items)
}

/// A line of trace.
fn leaf(text: &str) -> Noun {
    n!["leaf", list(text.bytes().map(|byte| byte.to_noun()))]
}

/// The status and the body of the responses among the effects, put together, and whether they are finished.
fn response(effects: &Noun, wire: &Noun) -> (u64, String, bool) {
    let (mut status, mut body, mut finished) = (0, Vec::new(), false);
    for effect in effects
        .iter_list()
        .map(Result::unwrap)
        .filter(|effect| effect.head() == Some(wire))
    {
        let gift = effect.slot(7).unwrap();
        let kind = gift.head().unwrap();
        let rest = match (kind.is_cord("start"), kind.is_cord("continue")) {
            (true, false) => {
                status = gift.slot(12).unwrap().as_u64().unwrap();
                gift.slot(7).unwrap()
            }
            (false, true) => gift.slot(3).unwrap(),
            _ => panic!("an unknown response: {gift:?}"),
        };
        let (data, complete) = rest.as_cell().unwrap();
        assert!(!finished, "something follows the end of a response");
        finished = complete == &Noun::YES;
        if let Some(octs) = data.tail() {
            let bytes = octs.tail().unwrap().atom_bytes().unwrap().into_owned();
            assert_eq!(octs.head().unwrap().as_u64().unwrap(), bytes.len() as u64);
            body.extend(bytes);
        }
    }
    (status, String::from_utf8(body).unwrap(), finished)
}

fn ship() -> (Serf, tempfile::TempDir) {
    let pier = pier();
    (Serf::booted(&under_test(), pier.path()), pier)
}

#[test]
fn events_are_counted_from_the_lifecycle_on() {
    let (mut serf, _pier) = ship();
    assert_eq!(serf.peek("count"), n![2_u64]);
    for number in 3..=250_u64 {
        match serf.work(term(), n!["other", 0_u64]) {
            WorkReply::Done { event, effects, .. } => assert_eq!((event.0, effects), (number, Noun::ZERO)),
            reply => panic!("{reply:?}"),
        }
    }
    assert_eq!(serf.peek("count"), n![250_u64]);
    let (_, text, _) = response(
        &serf.effects(http(), request("GET", "/text")),
        http().tail().unwrap(),
    );
    assert!(text.starts_with("event 251\n"), "{text}");
}

#[test]
fn echo_and_emit_give_chosen_effects() {
    let (mut serf, _pier) = ship();
    let echoed = serf.effects(term(), n!["echo", 5_u64, 6_u64]);
    assert_eq!(echoed, list([n![term(), "echo", 5_u64, 6_u64]]));
    let chosen = list([n![n!["a", 0_u64], "x", 1_u64], n![n!["b", 0_u64], "y", 0_u64]]);
    assert_eq!(serf.effects(term(), n!["emit", &chosen]), chosen);
    assert_eq!(serf.effects(term(), n!["emit", 0_u64]), Noun::ZERO);
    for malformed in [
        n![7_u64],
        list([n![7_u64]]),
        list([n![7_u64, 8_u64]]),
        n![n![0_u64, "x", 0_u64], 9_u64],
    ] {
        assert!(matches!(
            serf.work(term(), n!["emit", malformed]),
            WorkReply::Swap { .. }
        ));
    }
}

#[test]
fn a_mass_is_the_serfs_and_not_the_kings() {
    let (mut serf, _pier) = ship();
    let mass = |data: Noun| {
        list([
            n![n!["a", 0_u64], "x", 1_u64],
            n![n!["b", 0_u64], "mass", data],
            n![0_u64, "y", 2_u64],
        ])
    };
    let profile = n!["name", 0_u64, 17_u64];
    assert_eq!(serf.effects(term(), n!["emit", mass(profile)]), mass(Noun::ZERO));
}

#[test]
fn timers_are_set_at_birth_and_by_wait() {
    let (mut serf, _pier) = ship();
    let first = n!["behn", "0v1", 0_u64];
    let date = serf.job(0_u64, 0_u64).head().unwrap().as_u128().unwrap();
    let next = Noun::from_u128(date + (1 << 48));
    let doze = |wire: &Noun, date: Option<Noun>| list([n![wire, "doze", Noun::unit(date)]]);

    // Born without a deadline: woken at once, and that is all.
    let born = serf.effects(Noun::cell(n!["b"], first.clone()), n!["born", 0_u64]);
    assert_eq!(born, doze(&first, Some(next)));
    assert_eq!(serf.effects(behn(), n!["wake", 0_u64]), doze(&first, None));
    assert_eq!(serf.peek("wakes"), n![1_u64]);

    // A deadline survives a new birth.
    let later = Noun::from_u128(date + (60 << 64));
    assert_eq!(
        serf.effects(behn(), n!["wait", &later]),
        doze(&first, Some(later.clone()))
    );
    assert_eq!(serf.peek("deadline"), Noun::unit(Some(later.clone())));
    let second = n!["behn", "0v2", 0_u64];
    assert_eq!(
        serf.effects(Noun::cell(n!["b"], second.clone()), n!["born", 0_u64]),
        doze(&second, Some(later.clone()))
    );

    // It ends with the wake, or when it is cleared.
    assert_eq!(serf.effects(behn(), n!["wake", 0_u64]), doze(&second, None));
    assert_eq!(serf.peek("deadline"), Noun::ZERO);
    serf.effects(behn(), n!["wait", later]);
    assert_eq!(serf.effects(behn(), n!["rest", 0_u64]), doze(&second, None));
    assert_eq!(serf.peek("deadline"), Noun::ZERO);
    assert_eq!(serf.peek("wakes"), n![2_u64]);
}

#[test]
fn drivers_get_what_makes_them_live() {
    let (mut serf, _pier) = ship();
    let server = n!["http-server", "0v1", 0_u64];
    let configured = serf.effects(Noun::cell(n!["e"], server.clone()), n!["born", 0_u64]);
    assert_eq!(
        configured,
        list([n![server, "set-config", 0_u64, true, false, false]])
    );
    let mounts = serf.effects(n!["c", "boat", 0_u64], n!["boat", 0_u64]);
    assert_eq!(mounts, list([n![n!["boat", 0_u64], "hill", 0_u64]]));
    for (wire, card) in [
        (n!["a", "ames", 0_u64], n!["born", 0_u64]),
        (n!["k", "khan", "0v1", 0_u64], n!["born", 0_u64]),
        (n!["l", "lick", 0_u64], n!["born", 0_u64]),
        (term(), n!["blew", 80_u64, 24_u64]),
        (n![0_u64, "arvo", 0_u64], n!["wyrd", n!["0v1", 0_u64], 0_u64]),
        (n![0_u64, "arvo", 0_u64], n!["whom", 0_u64]),
        (n!["c", "sync", 0_u64], n!["park", "base", 0_u64, 0_u64]),
    ] {
        assert_eq!(serf.effects(wire, card), Noun::ZERO);
    }
}

#[test]
fn pages_show_the_event_the_time_and_a_counter_that_a_post_raises() {
    let (mut serf, _pier) = ship();
    let wire = http().tail().unwrap().clone();
    let get = |serf: &mut Serf, method: &str, url: &str| {
        response(&serf.effects(http(), request(method, url)), &wire)
    };
    let (status, text, finished) = get(&mut serf, "GET", "/text");
    assert_eq!(
        (status, text.as_str(), finished),
        (200, "event 3\ntime 1795398880\ncounter 0\n", true)
    );
    assert_eq!(
        get(&mut serf, "POST", "/text").1,
        "event 4\ntime 1795398880\ncounter 1\n"
    );
    assert_eq!(get(&mut serf, "POST", "/").0, 200);
    let (status, html, finished) = get(&mut serf, "GET", "/");
    assert_eq!((status, finished), (200, true));
    assert!(
        html.starts_with("<!doctype html>") && html.ends_with("</html>\n"),
        "{html}"
    );
    assert!(
        html.contains("event <b>6</b>") && html.contains("<b id=\"counter\">2</b>"),
        "{html}"
    );
    assert_eq!(get(&mut serf, "HEAD", "/"), (200, String::new(), true));
    assert_eq!(serf.peek("counter"), n![2_u64]);
    assert_eq!(get(&mut serf, "PUT", "/").0, 405);
    assert_eq!(get(&mut serf, "GET", "/nowhere").0, 404);
    assert_eq!(get(&mut serf, "GET", "/text?query").0, 404);
    assert_eq!(get(&mut serf, "GET", "/boom").0, 404);
}

#[test]
fn a_local_request_is_a_request() {
    let (mut serf, _pier) = ship();
    let card = Noun::cell(
        n!["request-local"],
        request("GET", "/text").tail().unwrap().clone(),
    );
    let effects = serf.effects(http(), card);
    assert_eq!(response(&effects, http().tail().unwrap()).0, 200);
}

#[test]
fn streams_hear_of_each_post_until_they_are_cancelled_or_the_server_is_born_anew() {
    let (mut serf, _pier) = ship();
    let wires = ["1", "2", "3"].map(|connection| n!["http-server", "0v1", connection, "1", 0_u64]);
    let target = |wire: &Noun| Noun::cell(n!["e"], wire.clone());
    for wire in &wires[..2] {
        let effects = serf.effects(target(wire), request("GET", "/events"));
        assert_eq!(response(&effects, wire), (200, "data: 0\n\n".to_owned(), false));
    }
    let effects = serf.effects(target(&wires[2]), request("POST", "/text"));
    assert!(response(&effects, &wires[2]).2);
    for wire in &wires[..2] {
        assert_eq!(response(&effects, wire), (0, "data: 1\n\n".to_owned(), false));
    }
    assert_eq!(
        serf.effects(target(&wires[0]), n!["cancel-request", 0_u64]),
        Noun::ZERO
    );
    let effects = serf.effects(target(&wires[2]), request("POST", "/text"));
    assert_eq!(response(&effects, &wires[0]).1, "");
    assert_eq!(response(&effects, &wires[1]).1, "data: 2\n\n");
    serf.effects(n!["e", "http-server", "0v2", 0_u64], n!["born", 0_u64]);
    assert_eq!(serf.peek("listeners"), Noun::ZERO);
}

#[test]
fn a_crash_is_swapped_for_its_record_with_a_trace() {
    let (mut serf, _pier) = ship();
    let job = serf.job(term(), n!["boom", 0_u64]);
    let Plea::Work(WorkReply::Swap {
        event,
        job: record,
        effects,
        ..
    }) = serf.ask(&Writ::Work {
        limit_ms: 0,
        job: job.clone(),
    })
    else {
        panic!("not swapped");
    };
    let later = Noun::from_u128(job.head().unwrap().as_u128().unwrap() + 1);
    let goof = n!["exit", list([leaf("a %boom card")])];
    let expected = n![later, n![0_u64, "arvo", 0_u64], "crud", goof, job.tail().unwrap()];
    assert_eq!((event.0, record, effects), (3, expected, Noun::ZERO));
    assert_eq!(serf.peek("count"), n![3_u64]);
}

#[test]
fn a_crash_of_the_record_too_bails_with_both_goofs_and_changes_nothing() {
    let (mut serf, _pier) = ship();
    let WorkReply::Bail(goofs) = serf.work(term(), n!["doom", 0_u64]) else {
        panic!("not bailed")
    };
    let traces: Vec<_> = goofs
        .iter()
        .map(|goof| (goof.mote.as_str(), goof.tang.clone()))
        .collect();
    let expected =
        [leaf("the record of a %doom card"), leaf("a %doom card")].map(|line| ("exit", list([line])));
    assert_eq!(traces, expected);
    assert_eq!(serf.peek("count"), n![2_u64]);
    assert!(matches!(serf.work(term(), n!["echo", 1_u64]), WorkReply::Done { event, .. } if event.0 == 3));
}

#[test]
fn a_request_that_crashes_is_answered_by_its_record() {
    let (mut serf, _pier) = ship();
    let WorkReply::Swap { effects, .. } = serf.work(http(), request("POST", "/boom")) else {
        panic!("not swapped")
    };
    let (status, body, finished) = response(&effects, http().tail().unwrap());
    assert_eq!(
        (status, body.as_str(), finished),
        (500, "that request crashed; event 3 records it\n", true)
    );
}

#[test]
fn malformed_events_are_recorded_and_do_no_harm() {
    let (mut serf, _pier) = ship();
    for (wire, card) in [
        (n![0_u64], n![0_u64]),
        (term(), n![7_u64]),
        (n![0_u64], n!["request", 0_u64]),
        (n![0_u64], n!["born", 0_u64]),
        (term(), n!["request", 1_u64, 2_u64]),
    ] {
        assert!(matches!(serf.work(wire, card), WorkReply::Swap { .. }));
    }
    assert_eq!(serf.effects(term(), n!["crud", 7_u64, 8_u64]), Noun::ZERO);
    assert_eq!(serf.peek("count"), n![8_u64]);
}

#[test]
fn what_is_held_is_kept_until_it_is_dropped() {
    let (mut serf, _pier) = ship();
    let blob = Noun::from_le_bytes(&[0xa5; 10_000]);
    serf.effects(term(), n!["hold", &blob]);
    serf.effects(term(), n!["hold", 1_u64, 2_u64]);
    assert_eq!(serf.peek("blobs"), list([n![1_u64, 2_u64], blob]));
    serf.effects(term(), n!["drop", 0_u64]);
    assert_eq!(serf.peek("blobs"), Noun::ZERO);
}

#[test]
fn a_print_comes_before_the_answer() {
    let (mut serf, _pier) = ship();
    let job = serf.job(term(), n!["slog", 1_u64, leaf("hello")]);
    serf.send(&Writ::Work { limit_ms: 0, job });
    assert_eq!(
        serf.hear(),
        Plea::Slog {
            priority: 1,
            tank: leaf("hello")
        }
    );
    assert!(matches!(serf.hear(), Plea::Work(WorkReply::Done { .. })));
}

#[test]
fn peeks_come_in_three_forms() {
    let (mut serf, _pier) = ship();
    let mut peek = |sample: Noun| match serf.ask(&Writ::Peek {
        limit_ms: 0,
        sample: n![n![0_u64, 0_u64], sample],
    }) {
        Plea::Peek(answer) => answer,
        plea => panic!("{plea:?}"),
    };
    let count = n!["noun", 2_u64];
    let omen = n!["omen", n!["ax", 0_u64, "base", 0_u64, "count", 0_u64], &count];
    assert_eq!(
        peek(n![1_u64, "once", "ax", "base", "count", 0_u64]),
        Ok(Noun::unit(Some(omen)))
    );
    let some = Noun::unit(Some(count));
    assert_eq!(
        peek(n![0_u64, "cx", "~zod", "base", "1", "count", 0_u64]),
        Ok(some.clone())
    );
    assert_eq!(
        peek(n![1_u64, "beam", "cx", n!["~zod", "base", "1"], "count", 0_u64]),
        Ok(some)
    );
    assert_eq!(
        peek(n![1_u64, "once", "ax", 0_u64, "nowhere", 0_u64]),
        Ok(Noun::ZERO)
    );
    let boot = peek(n![1_u64, "once", "ax", 0_u64, "boot", 0_u64]).unwrap();
    assert_eq!(
        boot.slot(31).and_then(Noun::tail),
        Some(&n![0_u64, 0_u64, 1_u64, 12_u64, 1_u64, 2_u64])
    );
    assert_eq!(peek(n![1_u64, "other", 0_u64]), Ok(Noun::ZERO));
    let crashed = peek(n![1_u64, "once", "ax", 0_u64, "crash", 0_u64]).unwrap_err();
    assert_eq!(
        (crashed.mote.as_str(), crashed.tang),
        ("exit", list([leaf("a peek at /crash")]))
    );
    assert_eq!(peek(n![7_u64]).unwrap_err().mote, "exit");
}

#[test]
fn a_long_first_batch_is_lifecycle_and_events() {
    let pier = pier();
    let mut serf = Serf::start(&under_test(), pier.path());
    serf.ripe();
    let mut events = life();
    for _ in 0..20 {
        events.push(serf.job(term(), n!["hold", 1_u64]));
    }
    let played = serf.ask(&Writ::Play {
        first: seguro_event::EventNumber(1),
        events,
    });
    assert!(matches!(played, Plea::Play(Ok(_))), "{played:?}");
    assert_eq!(serf.peek("count"), n![22_u64]);
}

#[test]
fn the_memory_report_is_there() {
    let (mut serf, _pier) = ship();
    let Plea::QuizQuac(masses) = serf.ask(&Writ::QuizQuac) else {
        panic!("no %quac")
    };
    let names: Vec<_> = masses
        .iter_list()
        .map(|mass| mass.unwrap().head().unwrap().as_cord().unwrap())
        .collect();
    let expected = [
        "state",
        "total arvo stuff",
        "total jet stuff",
        "total nock stuff",
        "total road stuff",
        "space profile",
        "total marked",
        "free lists",
        "sweep",
        "loom",
    ];
    assert_eq!(names, expected);
    let Plea::QuizQuic(free) = serf.ask(&Writ::QuizQuic) else {
        panic!("no %quic")
    };
    assert!(free.slot(5).unwrap().as_u64().unwrap() > 1 << 20, "{free:?}");
    assert_eq!(serf.ask(&Writ::Pack), Plea::Live);
    assert_eq!(serf.ask(&Writ::Meld), Plea::Live);
}
