//! What the stores read from disk: values of EVENTS, records of SEGURO, a snapshot's head, an identity file.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| replog::inside::fuzz_stored(bytes));
