//! Any bytes, cut into any reads, give the same frames and the same error as all at once.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serf_ipc::newt::{Decoder, NewtError, encode};

/// The frames up to the first error, and that error.
fn frames<'a>(reads: impl Iterator<Item = &'a [u8]>) -> (Vec<Vec<u8>>, Option<NewtError>) {
    let mut decoder = Decoder::new(1 << 16);
    let mut frames = Vec::new();
    for read in reads {
        decoder.feed(read);
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, None)
}

fuzz_target!(|input: (u8, &[u8])| {
    let (size, stream) = input;
    let whole = frames(std::iter::once(stream));
    let pieces = frames(stream.chunks(usize::from(size) + 1));
    assert_eq!(whole, pieces);
    let again: Vec<u8> = whole.0.iter().flat_map(|frame| encode(frame)).collect();
    assert!(stream.starts_with(&again));
});
