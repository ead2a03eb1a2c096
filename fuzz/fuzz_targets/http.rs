//! A stream from a web client that may say anything, cut into any reads: the same requests, heads that mean the same when
//! they are sent again, and chunked bodies as a plain reading has them.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &[u8])| {
    let (size, stream) = input;
    seguro_king::inside::fuzz_http(usize::from(size) + 1, stream);
});
