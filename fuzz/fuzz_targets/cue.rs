//! Any bytes as a jam: the naive model reads the same noun or refuses them too, and what is read is written as the model
//! writes it, and read as itself.

#![no_main]

use libfuzzer_sys::fuzz_target;
use seguro_fuzz::jam_model::{self, Refused};
use serf_ipc::{cue, jam};

/// Beyond this many bytes the model, which looks everything up in a list, is not asked to write.
const MODEL_BYTES: usize = 600;

fuzz_target!(|bytes: &[u8]| {
    let read = cue(bytes);
    match jam_model::cue(bytes) {
        Ok(noun) => assert!(read.as_ref() == Ok(&noun), "the model reads another noun"),
        Err(Refused::Malformed) => assert!(read.is_err(), "the model reads nothing"),
        Err(Refused::TooDeep) => {}
    }
    let Ok(noun) = read else { return };
    let jammed = jam(&noun);
    if bytes.len() <= MODEL_BYTES {
        assert!(
            jam_model::jam(&noun).is_none_or(|model| model == jammed),
            "the model writes other bytes"
        );
    }
    let read = cue(&jammed);
    assert_eq!(read.as_ref(), Ok(&noun));
    assert_eq!(
        read.map(|read| (jam(&read), read.mug())),
        Ok((jammed, noun.mug()))
    );
});
