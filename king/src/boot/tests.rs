//! A boot's conversations with servers, good and ill: a pill by its address, and dawn against a roller.

use super::{
    test_server::{Answer, Asked, Server, impatient},
    *,
};
use serde_json::{Value, json};
use serf_ipc::{Noun, jam, n, text::p};
use std::time::{Duration, Instant};

fn ship(name: &str) -> u128 {
    p::parse(name).unwrap()
}

fn ring(seed: &str) -> Ring {
    let mut entropy = [0; 64];
    entropy[..seed.len()].copy_from_slice(seed.as_bytes());
    Ring::from_entropy(&entropy)
}

fn hex(bytes: &[u8; 32]) -> String {
    let digits = bytes.iter().rev().map(|byte| format!("{byte:02x}"));
    format!("0x{}", digits.collect::<String>())
}

/// What the public roller tells of a point, with what matters here filled in.
fn point(life: u64, rift: u64, pass: Pass, sponsor: Option<&str>) -> Value {
    let proxy = |address: &str| json!({ "address": address, "nonce": 0 });
    json!({
        "dominion": "l2",
        "ownership": {
            "spawnProxy": proxy("0x1f"), "owner": proxy("0x2E2"), "managementProxy": proxy("0x0"),
            "votingProxy": proxy("0x4"), "transferProxy": proxy("0x5")
        },
        "network": {
            "rift": rift.to_string(),
            "keys": {
                "life": life.to_string(), "crypt": hex(&pass.crypt), "auth": hex(&pass.sign), "suite": "1"
            },
            "sponsor": { "has": sponsor.is_some(), "who": sponsor.map_or(0, |name| ship(name) as u64) },
            "escape": null
        }
    })
}

/// A contract with a galaxy, a star, two planets that have keys, and one that has none.
fn contract(name: &str) -> Value {
    let empty = Pass::from_contract([0; 32], [0; 32], 0);
    match name {
        "~zod" => point(3, 1, ring("zod").pass(), Some("~zod")),
        "~marzod" => point(2, 0, ring("marzod").pass(), Some("~zod")),
        "~dapnep-ronmyl" => point(4, 5, ring("dapnep").pass(), Some("~marzod")),
        "~lomder-librun" => point(1, 0, ring("lomder").pass(), None),
        _ => point(0, 0, empty, None),
    }
}

/// A roller that knows that contract.
fn roller(asked: &Asked) -> Answer {
    let request: Value = serde_json::from_slice(&asked.body).unwrap();
    let one = |request: &Value| {
        let result = match request["method"].as_str().unwrap() {
            "getPoint" => contract(request["params"]["ship"].as_str().unwrap()),
            "getDns" => json!(["urbit.org", "urbit.org", "10.0.0.1", "Arvo.Network"]),
            other => panic!("{other}"),
        };
        json!({ "jsonrpc": "2.0", "id": request["id"], "result": result })
    };
    let answer = match &request {
        Value::Array(requests) => requests.iter().map(one).rev().collect(),
        request => one(request),
    };
    Answer::Good(answer.to_string().into_bytes())
}

fn feed(name: &str, form: FeedForm, keys: &[(u64, &str)]) -> Feed {
    Feed {
        who: ship(name),
        form,
        keys: keys.iter().map(|(life, seed)| (*life, ring(seed))).collect(),
    }
}

fn dawned(server: &Server, feed: &Feed, domain: Option<&str>) -> Result<Identity, DawnError> {
    dawn(&Roller::new(&server.url(), impatient()), feed, domain)
}

fn vent(identity: Identity) -> Noun {
    match identity {
        Identity::Keys { vent, .. } => vent,
        Identity::Fake => panic!("a fake ship"),
    }
}

#[test]
fn a_planet_dawns() {
    let server = Server::start(roller);
    let keys = feed("~dapnep-ronmyl", FeedForm::Rift(5), &[(4, "dapnep")]);
    let vent = vent(dawned(&server, &keys, None).unwrap());
    assert!(vent.head().unwrap().is_cord("dawn"));
    let who = Noun::from_u128(ship("~dapnep-ronmyl"));
    let own = Noun::list([n![4_u64, ring("dapnep").to_noun()]]);
    assert_eq!(vent.slot(6), Some(&n![n![2_u64, 0_u64], who, 5_u64, own]));
    // The galaxy first; no one but planets and below has a `kid`.
    let net = |life: u64, rift: u64, seed: &str, sponsor: u64| {
        n![
            Noun::ZERO,
            life,
            ring(seed).pass().to_noun(),
            rift,
            n![Noun::YES, sponsor],
            Noun::ZERO
        ]
    };
    let ownership = || n![0x2e2_u64, 0_u64, 4_u64, 5_u64];
    let sponsors = Noun::list([
        n![0_u64, ownership(), net(3, 1, "zod", 0), Noun::ZERO],
        n![0x100_u64, ownership(), net(2, 0, "marzod", 0), Noun::ZERO],
    ]);
    assert_eq!(vent.slot(14), Some(&sponsors));
    let zod = n![
        n![0_u64, 1_u64, 3_u64, ring("zod").pass().to_noun()],
        Noun::ZERO,
        Noun::ZERO
    ];
    assert_eq!(vent.slot(30), Some(&zod));
    let turf = |labels: [&str; 2]| Noun::list(labels.map(Noun::cord));
    let domains = Noun::list([turf(["org", "urbit"]), turf(["network", "arvo"])]);
    assert_eq!(vent.slot(62), Some(&domains));
    assert_eq!(vent.slot(63), Some(&n![Noun::ZERO, Noun::ZERO]));
    let asked = server.asked();
    assert_eq!(
        asked.len(),
        5,
        "its point, the galaxies, the domains, two sponsors"
    );
    let head = asked[0].head.to_ascii_lowercase();
    for header in [
        "post / ",
        "accept: application/json",
        "content-type: application/json",
        "charsets: utf-8",
    ] {
        assert!(head.contains(header), "{head}");
    }
}

#[test]
fn every_rank_and_form_dawns() {
    let server = Server::start(roller);
    let comet = ring("comet");
    let comet = Feed {
        who: comet.pass().fingerprint(),
        form: FeedForm::Seed,
        keys: vec![(1, comet)],
    };
    for (feed, rift, sponsors) in [
        (feed("~zod", FeedForm::Seed, &[(3, "zod")]), 1, 0),
        (feed("~marzod", FeedForm::Seed, &[(2, "marzod")]), 0, 1),
        // The key that is the contract's is found among others; the rift is the contract's, or the file's.
        (
            feed("~dapnep-ronmyl", FeedForm::Keys, &[(3, "old"), (4, "dapnep")]),
            5,
            2,
        ),
        (feed("~dapnep-ronmyl", FeedForm::Rift(6), &[(4, "dapnep")]), 6, 2),
        // A moon is its planet's affair.
        (
            feed("~doznec-dapnep-ronmyl", FeedForm::Rift(2), &[(7, "any")]),
            2,
            3,
        ),
    ] {
        let ship = name_of(&feed);
        let vent = vent(dawned(&server, &feed, None).unwrap());
        assert_eq!(vent.slot(54).and_then(Noun::as_u64), Some(rift), "{ship}");
        assert_eq!(vent.slot(14).unwrap().iter_list().count(), sponsors, "{ship}");
    }
    // A comet's star has no keys here: it is told which sponsor.
    let error = dawned(&server, &comet, None).unwrap_err().to_string();
    assert!(error.contains("has no keys on the network"), "{error}");
}

fn name_of(feed: &Feed) -> String {
    p::format(feed.who)
}

#[test]
fn several_keys_are_given_to_the_ship_one_by_one() {
    let server = Server::start(roller);
    let keys = [(4, "dapnep"), (3, "old")];
    let several = dawned(&server, &feed("~dapnep-ronmyl", FeedForm::Keys, &keys), None).unwrap();
    let Identity::Keys { rekeys, .. } = several else {
        panic!()
    };
    assert_eq!(rekeys, [(4, ring("dapnep")), (3, ring("old"))]);
    let one = dawned(&server, &feed("~dapnep-ronmyl", FeedForm::Rift(5), &keys), None).unwrap();
    let Identity::Keys { rekeys, .. } = one else {
        panic!()
    };
    assert_eq!(rekeys, []);
}

#[test]
fn an_own_domain_takes_the_place_of_the_network_s() {
    let server = Server::start(roller);
    let zod = feed("~zod", FeedForm::Seed, &[(3, "zod")]);
    let vent = vent(dawned(&server, &zod, Some("Ships.Example.com")).unwrap());
    let turf = Noun::list(["com", "example", "ships"].map(Noun::cord));
    assert_eq!(vent.slot(62), Some(&Noun::list([turf])));
    assert_eq!(server.asked().len(), 2, "the domains are not asked for");
    for domain in ["10.0.0.1", "a b", "", "x.", "-a.org"] {
        let error = dawned(&server, &zod, Some(domain)).unwrap_err().to_string();
        assert!(
            error.contains("invalid domain specified with -H"),
            "{domain}: {error}"
        );
    }
}

#[test]
fn keys_that_are_not_the_ship_s_are_refused() {
    let server = Server::start(roller);
    for (feed, words) in [
        (
            feed("~dapnep-ronmyl", FeedForm::Seed, &[(4, "other")]),
            "key-mismatch",
        ),
        (
            feed("~dapnep-ronmyl", FeedForm::Seed, &[(3, "dapnep")]),
            "life-mismatch",
        ),
        (feed("~dapnep-ronmyl", FeedForm::Keys, &[]), "no-key"),
        (
            feed("~dapnep-ronmyl", FeedForm::Keys, &[(1, "a"), (3, "dapnep")]),
            "key-mismatch): was",
        ),
        (
            feed("~sampel-palnet", FeedForm::Seed, &[(1, "a")]),
            "no networking keys",
        ),
        (
            feed("~lomder-librun", FeedForm::Seed, &[(1, "lomder")]),
            "no sponsor",
        ),
        (
            feed("~doznec-dapnep-ronmyl", FeedForm::Seed, &[(1, "a")]),
            "updated format",
        ),
        (
            feed("~doznec-dapnep-ronmyl", FeedForm::Keys, &[(1, "a")]),
            "updated format",
        ),
    ] {
        let error = dawned(&server, &feed, None).unwrap_err().to_string();
        assert!(error.contains(words), "{words}: {error}");
        assert!(
            error.contains(&name_of(&feed)) || words == "updated format",
            "{error}"
        );
    }
    let comet = ring("comet");
    for (who, life, words) in [
        (comet.pass().fingerprint(), 2, "invalid-life"),
        (1 << 100, 1, "key-mismatch"),
    ] {
        let feed = Feed {
            who,
            form: FeedForm::Rift(0),
            keys: vec![(life, comet.clone())],
        };
        let error = dawned(&server, &feed, None).unwrap_err().to_string();
        assert!(error.contains(words), "{words}: {error}");
    }
}

#[test]
fn an_ill_roller_is_told_of() {
    let zod = feed("~zod", FeedForm::Seed, &[(3, "zod")]);
    let said = |answer: fn() -> Answer| {
        let server = Server::start(move |_| answer());
        let error = dawned(&server, &zod, None).unwrap_err().to_string();
        assert!(
            error.starts_with("boot: failed to retrieve ~zod's public keys: "),
            "{error}"
        );
        (error, server.asked().len())
    };
    for (answer, words, tries) in [
        ((|| Answer::Status(404)) as fn() -> Answer, "HTTP 404", 1),
        (|| Answer::Status(302), "HTTP 302", 1),
        (|| Answer::Status(500), "HTTP 500", 3),
        (|| Answer::HangUp, "tried 3 times", 3),
        (
            || Answer::CutShort(b"{\"result\":".to_vec(), 90),
            "tried 3 times",
            3,
        ),
        (|| Answer::Good(b"<html>".to_vec()), "no such answer", 1),
        (|| Answer::Good(Vec::new()), "no such answer", 1),
        (
            || Answer::Good(br#"{"result":{}}"#.to_vec()),
            "missing field `ownership`",
            1,
        ),
        (
            || Answer::Good(br#"{"id":""}"#.to_vec()),
            "neither a result nor an error",
            1,
        ),
        (
            || {
                Answer::Good(
                    b"{\"error\":{\"code\":-32000,\"message\":\"no such \\u001b[31mship\"}}".to_vec(),
                )
            },
            "refused getPoint: no such  [31mship",
            1,
        ),
    ] {
        let (error, asked) = said(answer);
        assert!(error.contains(words), "{words}: {error}");
        assert_eq!(asked, tries, "{words}");
    }
}

/// One field of a good answer changed.
#[test]
fn each_field_of_an_answer_is_looked_at() {
    let zod = feed("~zod", FeedForm::Seed, &[(3, "zod")]);
    for (pointer, value) in [
        ("/network/keys/life", json!(3)),
        ("/network/keys/life", json!("03")),
        ("/network/keys/life", json!("-1")),
        ("/network/rift", json!("")),
        ("/network/keys/crypt", json!("12")),
        ("/network/keys/auth", json!(format!("0x{}", "1".repeat(65)))),
        ("/network/keys/auth", json!("0x")),
        ("/network/keys/suite", Value::Null),
        ("/network/sponsor/has", json!("yes")),
        ("/network/sponsor/who", json!("~zod")),
        ("/network/sponsor/who", json!(-1)),
        ("/ownership/owner/address", json!("0xzz")),
    ] {
        let mut answer = json!({ "result": contract("~zod") });
        *answer["result"].pointer_mut(pointer).unwrap() = value.clone();
        let server = Server::start(move |_| Answer::Good(answer.to_string().into_bytes()));
        let error = dawned(&server, &zod, None).unwrap_err().to_string();
        assert!(error.contains("no such answer"), "{pointer} {value}: {error}");
    }
}

#[test]
fn galaxies_and_domains_that_are_none_are_told_of() {
    let zod = feed("~zod", FeedForm::Seed, &[(3, "zod")]);
    let galaxy = |id: &str| json!({ "id": id, "result": contract("~zod") });
    let without = json!({ "id": "gal-3", "error": { "message": "gone" } });
    for (table, domains, words) in [
        (json!([]), json!([]), "no galaxy has keys"),
        (json!({}), json!([]), "invalid type"),
        (json!([galaxy("gal-256")]), json!([]), "what was not asked"),
        (
            json!([galaxy("gal-0"), galaxy("0")]),
            json!([]),
            "what was not asked",
        ),
        (
            json!([galaxy("gal-0"), without]),
            json!([]),
            "refused getPoint: gone",
        ),
        (json!([galaxy("gal-0")]), json!(["a..b"]), "is no domain"),
        (json!([galaxy("gal-0")]), json!("urbit.org"), "invalid type"),
    ] {
        let server = Server::start(move |asked| {
            let request: Value = serde_json::from_slice(&asked.body).unwrap();
            match (request.is_array(), request["method"].as_str()) {
                (true, _) => Answer::Good(table.to_string().into_bytes()),
                (false, Some("getDns")) => {
                    Answer::Good(json!({ "result": domains }).to_string().into_bytes())
                }
                _ => roller(asked),
            }
        });
        let error = dawned(&server, &zod, None).unwrap_err().to_string();
        assert!(error.contains(words), "{words}: {error}");
    }
}

#[test]
fn sponsors_that_go_in_a_circle_end() {
    let server = Server::start(|asked: &Asked| {
        let request: Value = serde_json::from_slice(&asked.body).unwrap();
        match request["params"]["ship"].as_str() {
            Some("~marzod") => {
                let result = point(2, 0, ring("marzod").pass(), Some("~marzod"));
                Answer::Good(json!({ "result": result }).to_string().into_bytes())
            }
            _ => roller(asked),
        }
    });
    let error = dawned(&server, &feed("~marzod", FeedForm::Seed, &[(2, "marzod")]), None).unwrap_err();
    assert!(matches!(error, DawnError::Circle), "{error}");
}

/// What the kernel's own code makes of the same answers (`point:take:dawn`, `czar:take:dawn`, `turf:take:dawn`): the mugs are those
/// that the C program's kernel gave.
#[test]
fn answers_are_read_as_the_kernel_reads_them() {
    let bytes = |from: u8| std::array::from_fn(|place| from + 31 - place as u8);
    let mut answer = point(
        2,
        3,
        Pass {
            crypt: bytes(1),
            sign: bytes(0x21),
        },
        Some("~marzod"),
    );
    answer["ownership"]["owner"]["address"] = json!("0x2E2");
    let server = Server::start(move |asked| {
        let request: Value = serde_json::from_slice(&asked.body).unwrap();
        let reply = match (request.is_array(), request["method"].as_str()) {
            (true, _) => json!([{ "id": "gal-0", "result": answer }, { "id": "gal-201", "result": answer }]),
            (false, Some("getDns")) => {
                json!({ "result": ["urbit.org", "URBIT.org", "urbit.org", "1.2.3.4", "x-1.net"] })
            }
            _ => json!({ "result": answer }),
        };
        Answer::Good(reply.to_string().into_bytes())
    });
    let roller = Roller::new(&server.url(), impatient());
    for (name, mug) in [("~sampel-palnet", 1_268_005_847), ("~marzod", 1_459_857_905)] {
        let point = roller.point(ship(name)).unwrap().to_noun(ship(name));
        assert_eq!(point.mug().0, mug, "{name}");
    }
    assert_eq!(roller.domains().unwrap().mug().0, 1_103_120_652);
    assert_eq!(roller.galaxies().unwrap().mug().0, 802_405_298);
}

#[test]
fn a_server_that_falls_silent_is_given_up() {
    for answer in [|| Answer::Silence, || Answer::Stalls(vec![7; 10], 10)] {
        let server = Server::start(move |_| answer());
        let fetcher = Fetcher::new(2, Duration::ZERO, Duration::from_millis(50));
        let begun = Instant::now();
        let error = fetcher.get(&server.url(), 100, None).unwrap_err().to_string();
        assert!(error.contains("tried 2 times"), "{error}");
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "it was given up for its silence"
        );
        assert_eq!(server.asked().len(), 2);
    }
}

#[test]
fn what_is_fetched_is_whole_and_bounded() {
    let server = Server::start(|asked| match asked.path.as_str() {
        "/pill" => Answer::Good(vec![7; 200_000]),
        _ => Answer::Status(404),
    });
    let url = format!("{}/pill", server.url());
    assert_eq!(
        impatient().get(&url, 200_000, Some("pill")).unwrap(),
        vec![7; 200_000]
    );
    let error = impatient().get(&url, 199_999, None).unwrap_err().to_string();
    assert!(error.contains("more than 199999 bytes"), "{error}");
    for url in [
        "",
        "nowhere",
        "http://",
        "ftp://127.0.0.1/x",
        "http://127.0.0.1:99999/",
    ] {
        assert!(impatient().get(url, 100, None).is_err(), "{url:?}");
    }
}

#[test]
fn a_server_that_recovers_is_fetched_from() {
    let tries = std::sync::atomic::AtomicUsize::new(0);
    let server = Server::start(
        move |_| match tries.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => Answer::Status(503),
            1 => Answer::CutShort(vec![1; 10], 10),
            _ => Answer::Good(b"pill".to_vec()),
        },
    );
    assert_eq!(impatient().get(&server.url(), 100, None).unwrap(), b"pill");
    assert_eq!(server.asked().len(), 3);
}

#[test]
fn the_stars_for_comets_are_stars() {
    for (body, words) in [
        (jam(&Noun::list([Noun::atom(0x100), Noun::atom(0xffff)])), ""),
        (jam(&Noun::ZERO), "empty"),
        (
            jam(&Noun::list([Noun::atom(0x100), Noun::atom(0xff)])),
            "~fes, which is no star",
        ),
        (jam(&n![0x100_u64, 5_u64]), "no list"),
        (b"<html>".to_vec(), "no "),
    ] {
        let server = Server::start(move |_| Answer::Good(body.clone()));
        match stars(&impatient(), &server.url()) {
            Ok(stars) => assert_eq!((stars.len(), words), (2, "")),
            Err(error) => assert!(error.to_string().contains(words) && !words.is_empty(), "{error}"),
        }
    }
}

#[test]
fn a_pill_is_fetched_by_its_address() {
    let server = Server::start(|asked| match asked.path.as_str() {
        "/tiny.pill" => Answer::Good(include_bytes!("../../tests/data/tiny.pill").to_vec()),
        _ => Answer::Good(b"<html>".to_vec()),
    });
    let pill = Pill::fetch(&format!("{}/tiny.pill", server.url()), &impatient()).unwrap();
    assert_eq!(pill.kind.as_deref(), Some("tiny"));
    let error = Pill::fetch(&format!("{}/login", server.url()), &impatient()).unwrap_err();
    assert!(error.to_string().contains("unable to parse pill"), "{error}");
}
