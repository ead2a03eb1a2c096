//! Lines on the operator's socket, from whoever may connect to it, and from what answers there: a request or an answer means the
//! same when it is written again, and everything else is refused.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|lines: &[u8]| seguro_king::inside::fuzz_control(lines));
