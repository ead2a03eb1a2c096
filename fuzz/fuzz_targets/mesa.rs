//! Any bytes from the network as a packet of mesa's, as they are and with a head that is theirs: what is read says the same once
//! it is written again, and nothing makes a local ship speak to another machine.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|packet: &[u8]| {
    seguro_king::inside::fuzz_mesa(packet);
});
