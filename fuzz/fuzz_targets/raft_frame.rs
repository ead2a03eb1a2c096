//! A stream from a peer that may say anything, cut into any reads; and anything as the body of any message, with checksums that
//! are right.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &[u8])| {
    let (size, stream) = input;
    replog::inside::fuzz_peer(usize::from(size) + 1, stream);
});
