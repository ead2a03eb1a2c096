//! Any bytes as a jam in which somebody expects something: a writ, a client's request, a pill, a card of the kernel's, a tank
//! to print. What is read says the same once it is written again, and none takes more time or memory than its size.

#![no_main]

use libfuzzer_sys::fuzz_target;
use seguro_king::{
    boot::{BootInput, Identity, Pill, sequence},
    clock, inside, tank,
};
use serf_ipc::{FromNoun, Noun, SerfVersion, ToNoun, Writ, cue, jam, n};

fn writ(noun: &Noun) {
    let Ok(writ) = Writ::from_noun(noun) else { return };
    let written = writ.to_noun();
    // What follows %quac and %quic is not looked at, as in the C serf.
    assert!(written == *noun || matches!(writ, Writ::QuizQuac | Writ::QuizQuic));
    assert_eq!(Writ::from_noun(&written), Ok(writ));
}

fn pill(bytes: &[u8]) {
    let Ok(pill) = Pill::parse(bytes) else { return };
    let list = |items: &[Noun]| Noun::list(items.iter().cloned());
    let kind = pill.kind.as_deref().map_or(n![0_u64, 0_u64], Noun::cord);
    let written = n![
        "pill",
        kind,
        list(&pill.formulas),
        list(&pill.modules),
        list(&pill.userspace)
    ];
    assert!(Pill::parse(&jam(&written)).is_ok_and(|read| read == pill));

    let (formulas, others) = (pill.formulas.len(), pill.modules.len() + pill.userspace.len());
    let booted = sequence(BootInput {
        ship: 0,
        identity: Identity::Fake,
        pill,
        now: 1 << 127,
        wyrd_now: 1 << 127,
        serf: SerfVersion::V3_5,
        entropy: [7; 64],
        verbose: false,
        lite: false,
        replace_filesystem: None,
        props: Vec::new(),
    });
    let Ok(booted) = booted else {
        panic!("a pill without -A always boots")
    };
    assert_eq!(
        (booted.life as usize, booted.events.len()),
        (formulas, formulas + 5 + others)
    );
    let dates: Vec<_> = booted.events[formulas..].iter().map(clock::date_of).collect();
    assert!(dates.iter().all(Option::is_some) && dates.is_sorted());
}

fuzz_target!(|bytes: &[u8]| {
    pill(bytes);
    let Ok(noun) = cue(bytes) else { return };
    writ(&noun);
    inside::fuzz_noun(bytes, &noun);
    let printed: usize = tank::lines(&noun, 20).iter().map(String::len).sum();
    assert!(printed <= 64 << 10, "{printed} bytes of one tank");
});
