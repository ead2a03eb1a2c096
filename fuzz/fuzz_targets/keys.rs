//! Any bytes as what is typed, in reads of any size: a cut makes no difference but to where text is cut, and text is what was typed.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &[u8])| {
    let (size, bytes) = input;
    seguro_king::inside::fuzz_keys(usize::from(size % 16) + 1, bytes);
});
