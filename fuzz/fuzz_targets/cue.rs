//! Any bytes as a jam: no panic, and a noun that is read is written and read as itself.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serf_ipc::{cue, jam};

fuzz_target!(|bytes: &[u8]| {
    let Ok(noun) = cue(bytes) else { return };
    let jammed = jam(&noun);
    let read = cue(&jammed);
    assert_eq!(read.as_ref(), Ok(&noun));
    assert_eq!(
        read.map(|read| (jam(&read), read.mug())),
        Ok((jammed, noun.mug()))
    );
});
