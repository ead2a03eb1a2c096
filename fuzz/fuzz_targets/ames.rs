//! Any bytes from the network as a packet of ames', of fine's or of STUN's: what is read says the same once it is written
//! again, one packet makes the ship do one thing, and nothing makes a local ship speak to another machine.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|packet: &[u8]| {
    seguro_king::inside::fuzz_ames(packet);
});
