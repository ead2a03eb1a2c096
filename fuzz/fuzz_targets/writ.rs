//! Any bytes as a writ: read without a panic, and what was read says the same once it is written and read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serf_ipc::{FromNoun, ToNoun, Writ, cue};

fuzz_target!(|body: &[u8]| {
    let Ok(noun) = cue(body) else { return };
    let Ok(writ) = Writ::from_noun(&noun) else { return };
    let written = writ.to_noun();
    // What follows %quac and %quic is not looked at, as in the C serf.
    assert!(written == noun || matches!(writ, Writ::QuizQuac | Writ::QuizQuic));
    assert_eq!(Writ::from_noun(&written), Ok(writ));
});
