//! What a web server may answer a ship, cut into any reads: the same response or none; and any bytes as a URL, which never break the line
//! of a request.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, bool, &[u8])| {
    let (size, is_head_only, bytes) = input;
    seguro_king::inside::fuzz_web(usize::from(size) + 1, is_head_only, bytes);
});
