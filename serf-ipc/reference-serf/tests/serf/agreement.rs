//! Random conversations under both serfs: frame for frame the same answers, goofs with their traces included, through saves,
//! restarts and replays.
//!
//! Left out is only what depends on the machine: memory (`%quac`, `%quic`), time limits, and recursion near the end of the
//! stack, where each serf bails at a depth of its own.
//!
//! For hours: `SEGURO_SERF=/path/to/urbit SEGURO_CONVERSATIONS=1000 cargo test -p reference-serf --test serf -- --ignored
//! --nocapture many_random`. It begins with the seed `SEGURO_SEED`, or 1000.

use crate::comparison::answers;
use crate::formulas::{formula, noun};
use crate::talk::{PEEKS, Serf, both, life, peek_at, pier};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use seguro_event::{EventNumber, Mug};
use serf_ipc::protocol::{Plea, WorkReply, Writ};
use serf_ipc::{FromNoun as _, Noun, cue, n};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Steps of one conversation.
const STEPS: usize = 120;

/// What happens next. Events are `[wire card]`, without a date.
#[derive(Clone, Debug)]
enum Step {
    Work(Noun),
    Play(Vec<Noun>),
    Peek(Noun),
    Save,
    Pack,
    Meld,
    /// The serf ends, by itself or not, and begins at its image; what came after that is played again.
    Restart {
        killed: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        60 => event().prop_map(Step::Work),
        10 => prop::collection::vec(event(), 1..6).prop_map(Step::Play),
        15 => peek().prop_map(Step::Peek),
        5 => Just(Step::Save),
        1 => Just(Step::Pack),
        1 => Just(Step::Meld),
        4 => any::<bool>().prop_map(|killed| Step::Restart { killed }),
    ]
}

fn event() -> impl Strategy<Value = Noun> {
    let http = (0..3_u64).prop_map(|id| n!["e", "http-server", "0v3", id, "1", 0_u64]);
    let wires = select(vec![
        n![0_u64, "arvo", 0_u64],
        n!["b", "behn", "0v1", 0_u64],
        n!["c", "boat", 0_u64],
        n!["d", "term", "1", 0_u64],
        n!["e", "http-server", "0v3", 0_u64],
    ]);
    prop_oneof![
        10 => (wires.clone(), card()).prop_map(|(wire, card)| n![wire, card]),
        10 => (http, prop_oneof![4 => request(), 1 => card()]).prop_map(|(wire, card)| n![wire, card]),
        2 => (noun(), card()).prop_map(|(wire, card)| n![wire, card]),
        2 => (wires, noun()).prop_map(|(wire, card)| n![wire, card]),
        1 => noun(),
    ]
}

fn card() -> impl Strategy<Value = Noun> {
    let leaf = select(vec!["", "hi", "some words"]).prop_map(|text| {
        n![
            "leaf",
            Noun::list(text.bytes().map(|byte| Noun::atom(byte.into())))
        ]
    });
    let effect =
        (noun(), select(vec!["x", "mass", "doze"]), noun()).prop_map(|(wire, tag, data)| n![wire, tag, data]);
    let effects = prop::collection::vec(effect, 0..4).prop_map(Noun::list);
    let tags = vec![
        "echo", "emit", "hold", "drop", "wait", "rest", "wake", "born", "boat", "boom", "doom", "crud",
        "wyrd", "nock",
    ];
    prop_oneof![
        8 => (select(tags), noun()).prop_map(|(tag, data)| n![tag, data]),
        4 => effects.prop_map(|effects| n!["emit", effects]),
        3 => prop::collection::vec(any::<u8>(), 0..600).prop_map(|bytes| n!["hold", Noun::from_le_vec(bytes)]),
        3 => (noun(), noun()).prop_map(|(goof, event)| n!["crud", goof, event]),
        3 => (0..4_u64, leaf).prop_map(|(priority, tank)| n!["slog", priority, tank]),
        2 => (noun(), constant()).prop_map(|(subject, formula)| n!["nock", subject, formula]),
        2 => (0..2_000_u64).prop_map(|times| n!["spin", times]),
        2 => (0..2_000_u64).prop_map(|depth| n!["deep", depth]),
        3 => select(vec!["boom", "doom", "drop", "born", "wake", "rest", "boat"]).prop_map(|tag| n![tag, 0_u64]),
        1 => any::<u128>().prop_map(|date| n!["wait", date]),
    ]
}

/// A formula that ends: not each one does, and a serf would compute for ever.
fn constant() -> impl Strategy<Value = Noun> {
    formula().prop_map(|formula| n![1_u64, formula])
}

fn request() -> impl Strategy<Value = Noun> {
    let tags = select(vec!["request", "request-local"]);
    let methods = select(vec!["GET", "HEAD", "POST", "PUT"]);
    let urls = select(vec!["/", "/text", "/events", "/boom", "/nowhere"]);
    prop_oneof![
        6 => (tags, methods, urls).prop_map(|(tag, method, url)| {
            n![tag, false, n!["ipv4", 1_u64], method, url, 0_u64, 0_u64]
        }),
        1 => Just(n!["cancel-request", 0_u64]),
    ]
}

fn peek() -> impl Strategy<Value = Noun> {
    prop_oneof![
        5 => select(&PEEKS[..]).prop_map(peek_at),
        1 => noun(),
    ]
}

/// The serfs in one conversation.
struct Conversation {
    seed: u64,
    at: usize,
    programs: Vec<(PathBuf, tempfile::TempDir)>,
    serfs: Vec<Serf>,
    /// What a king's log would hold, and the mug after each event; unknown within a replay.
    log: Vec<(Noun, Mug)>,
    date: u128,
    /// The kinds of answers that came.
    heard: BTreeSet<&'static str>,
}

impl Conversation {
    fn new(seed: u64) -> Conversation {
        let programs: Vec<_> = both().into_iter().map(|program| (program, pier())).collect();
        let mut conversation = Conversation {
            seed,
            at: 0,
            programs,
            serfs: Vec::new(),
            log: Vec::new(),
            date: 0x8000_000d_39a1_aa60 << 64,
            heard: BTreeSet::new(),
        };
        conversation.start();
        conversation.play(life());
        conversation
    }

    /// Starts the serfs, which are at the same event, and gives them what they have not got.
    fn start(&mut self) {
        let place = self.place();
        self.serfs = self
            .programs
            .iter()
            .map(|(program, pier)| Serf::start(program, pier.path()))
            .collect();
        let ripes: Vec<_> = self.serfs.iter_mut().map(Serf::ripe).collect();
        assert!(
            ripes.iter().all(|ripe| ripe == &ripes[0]),
            "{place}: they begin at {ripes:?}"
        );
        let (event, mug) = ripes[0];
        let rest = self.log.split_off(event.0 as usize);
        let known = self.log.last().map_or(Mug::UNKNOWN, |(_, mug)| *mug);
        assert!(
            !known.contradicts(mug),
            "{place}: {mug} at {event}, which was {known}"
        );
        let Some((_, mug)) = rest.last() else { return };
        let mut events: Vec<Noun> = rest.iter().map(|(event, _)| event.clone()).collect();
        // The boot sequence is played by itself.
        let others = if event.0 == 0 {
            events.split_off(life().len())
        } else {
            Vec::new()
        };
        for events in [events, others] {
            if !events.is_empty() {
                assert!(
                    matches!(self.play(events), Plea::Play(Ok(_))),
                    "{place}: a replay failed"
                );
            }
        }
        let replayed = self.log.last().map(|(_, mug)| *mug);
        assert!(
            replayed.is_some_and(|replayed| !replayed.contradicts(*mug)),
            "{place}: replayed to {replayed:?}, not {mug}"
        );
        // A replay tells no mugs on the way: those that were known before are.
        for ((_, known), (_, mug)) in self.log[event.0 as usize..].iter_mut().zip(rest) {
            *known = mug;
        }
    }

    fn place(&self) -> String {
        format!("seed {}, step {}", self.seed, self.at)
    }

    fn event(&self) -> EventNumber {
        EventNumber(self.log.len() as u64)
    }

    fn job(&mut self, event: Noun) -> Noun {
        self.date += 1 << 48;
        Noun::cell(Noun::from_u128(self.date), event)
    }

    /// What all of them answer.
    fn ask(&mut self, writ: &Writ) -> Plea {
        let place = self.place();
        let mut said = self.serfs.iter_mut().map(|serf| answers(serf, writ));
        let first = said.next().unwrap();
        for other in said {
            let read = |frames: &[Vec<u8>]| frames.iter().map(|frame| cue(frame)).collect::<Vec<_>>();
            assert!(
                first == other,
                "{place}: to {writ:?} the reference serf says {:?}, the C serf {:?}",
                read(&first),
                read(&other)
            );
        }
        let last = first.last().unwrap();
        let plea = Plea::from_noun(&cue(last).unwrap()).unwrap();
        self.heard.insert(match &plea {
            Plea::Work(WorkReply::Done { .. }) => "work done",
            Plea::Work(WorkReply::Swap { .. }) => "work swap",
            Plea::Work(WorkReply::Bail(_)) => "work bail",
            Plea::Play(Ok(_)) => "play done",
            Plea::Play(Err(_)) => "play bail",
            Plea::Peek(Ok(_)) => "peek done",
            Plea::Peek(Err(_)) => "peek bail",
            Plea::Live => "live",
            plea => plea.kind(),
        });
        plea
    }

    fn play(&mut self, events: Vec<Noun>) -> Plea {
        let writ = Writ::Play {
            first: self.event().next(),
            events: events.clone(),
        };
        let plea = self.ask(&writ);
        let (count, mug) = match &plea {
            Plea::Play(Ok(mug)) => (events.len() as u64, *mug),
            Plea::Play(Err(bail)) => (bail.last_good.since(self.event()), bail.mug),
            plea => panic!("{}: not an answer to %play: {plea:?}", self.place()),
        };
        let good = events.into_iter().take(count as usize);
        self.log.extend(good.map(|event| (event, Mug::UNKNOWN)));
        if let (1.., Some((_, last))) = (count, self.log.last_mut()) {
            *last = mug;
        }
        plea
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Work(event) => {
                let job = self.job(event);
                let writ = Writ::Work {
                    limit_ms: 0,
                    job: job.clone(),
                };
                match self.ask(&writ) {
                    Plea::Work(WorkReply::Done { mug, .. }) => self.log.push((job, mug)),
                    Plea::Work(WorkReply::Swap { mug, job, .. }) => self.log.push((job, mug)),
                    Plea::Work(WorkReply::Bail(_)) => {}
                    plea => panic!("{}: not an answer to %work: {plea:?}", self.place()),
                }
            }
            Step::Play(events) => {
                let events = events.into_iter().map(|event| self.job(event)).collect();
                self.play(events);
            }
            Step::Peek(sample) => {
                self.ask(&Writ::Peek { limit_ms: 0, sample });
            }
            Step::Save => {
                let save = Writ::Save(self.event());
                assert_eq!(self.ask(&save), Plea::Live);
            }
            Step::Pack => assert_eq!(self.ask(&Writ::Pack), Plea::Live),
            Step::Meld => assert_eq!(self.ask(&Writ::Meld), Plea::Live),
            Step::Restart { killed } => {
                for serf in &mut self.serfs {
                    if killed {
                        serf.kill();
                    } else {
                        serf.send(&Writ::Exit(0));
                        assert_eq!(serf.ended().code(), Some(0));
                    }
                }
                self.start();
            }
        }
    }
}

/// The kinds of answers that came.
fn converse(seed: u64) -> BTreeSet<&'static str> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let mut conversation = Conversation::new(seed);
    for at in 0..STEPS {
        conversation.at = at;
        let step = step().new_tree(&mut runner).unwrap().current();
        conversation.take(step);
    }
    conversation.heard
}

#[test]
fn random_conversations_go_the_same_way_under_both_serfs() {
    let heard: BTreeSet<_> = (0..4).flat_map(converse).collect();
    let all = "live, peek bail, peek done, play bail, play done, work bail, work done, work swap";
    assert_eq!(
        Vec::from_iter(heard).join(", "),
        all,
        "the conversations say too little"
    );
}

#[test]
#[ignore = "as long as SEGURO_CONVERSATIONS says; for SEGURO_SERF"]
fn many_random_conversations_go_the_same_way_under_both_serfs() {
    let number = |name, default| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let (first, count): (u64, u64) = (number("SEGURO_SEED", 1_000), number("SEGURO_CONVERSATIONS", 200));
    for seed in first..first + count {
        converse(seed);
    }
    println!("{count} conversations of {STEPS} steps from seed {first} on");
}
