//! Ways into this crate for fuzz targets. Not for use: no promise is made about it.

use crate::drivers::{conn, fore, http, lick, unix};
use serf_ipc::Noun;

/// Reads bytes as what a web client sends, cut into reads of `size` bytes, for a fuzzer.
///
/// # Panics
/// When a cut makes a difference, or a request means something else when it is sent again.
pub fn fuzz_http(size: usize, bytes: &[u8]) {
    http::fuzz::client(size, bytes);
}

/// Reads a noun as everything that the king reads from one: a client's request, an ovum to inject, a card of the kernel's.
///
/// # Panics
/// When something is read that is not what was there.
pub fn fuzz_noun(jam: &[u8], noun: &Noun) {
    conn::fuzz(jam, noun);
    fore::fuzz(noun);
    http::fuzz::kernel(noun);
    lick::fuzz(jam, noun);
    unix::fuzz(noun);
}
