//! Any text as a key file: what is found in it is found again once it is written in its plainest form.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| seguro_king::inside::fuzz_keyfile(text));
