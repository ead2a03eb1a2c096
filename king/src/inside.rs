//! Ways into this crate for fuzz targets and benches. Not for use: no promise is made about it.

use crate::{
    boot, control_socket,
    drivers::{ames, conn, fore, http, iris, lick, mesa, term, unix},
};
use serf_ipc::Noun;

pub use crate::drivers::unix::MeasuredMount;

/// Reads bytes as what a web client sends, cut into reads of `size` bytes, for a fuzzer.
///
/// # Panics
/// When a cut makes a difference, or a request means something else when it is sent again.
pub fn fuzz_http(size: usize, bytes: &[u8]) {
    http::fuzz::client(size, bytes);
}

/// The event of a web client's request with a known length, as the serf computes it: what one costs to make.
#[must_use]
pub fn http_event(bytes: &[u8]) -> Option<Noun> {
    http::fuzz::event(bytes).map(|ovum| ovum.job(0))
}

/// Whether bytes have the envelope of a packet of ames': what a flood costs for each of its packets.
#[must_use]
pub fn ames_packet_passes(bytes: &[u8]) -> bool {
    ames::fuzz::passes(bytes)
}

/// Reads bytes as what comes over the network for ames, for a fuzzer.
///
/// # Panics
/// When a packet is another one once it is written again, or makes a local ship speak to another machine.
pub fn fuzz_ames(bytes: &[u8]) {
    ames::fuzz::packet(bytes);
}

/// Whether bytes are a packet of mesa's.
#[must_use]
pub fn mesa_packet_passes(bytes: &[u8]) -> bool {
    mesa::fuzz::passes(bytes)
}

/// Reads bytes as what comes over the network for mesa, for a fuzzer.
///
/// # Panics
/// When a packet is another one once it is written again, or makes a local ship speak to another machine.
pub fn fuzz_mesa(bytes: &[u8]) {
    mesa::fuzz::packet(bytes);
    mesa::fuzz::packet(&mesa::fuzz::sealed(bytes));
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
    ames::fuzz::kernel(noun);
    mesa::fuzz::kernel(noun);
    iris::fuzz_noun(noun);
}

/// Reads bytes as what a web server answers, cut into reads of `size` bytes, and as a URL, for a fuzzer.
///
/// # Panics
/// When a cut makes a difference, or a URL would break a request's line.
pub fn fuzz_web(size: usize, is_head_only: bool, bytes: &[u8]) {
    iris::fuzz(size, is_head_only, bytes);
}

/// Reads bytes as what is typed, cut into reads of `size` bytes, for a fuzzer.
///
/// # Panics
/// When a cut makes a difference, or text is not what was typed.
pub fn fuzz_keys(size: usize, bytes: &[u8]) {
    term::fuzz_input(size, bytes);
}

/// Reads bytes as lines of the operator's socket, for a fuzzer.
///
/// # Panics
/// When what was read is not what is written.
pub fn fuzz_control(bytes: &[u8]) {
    control_socket::fuzz(bytes);
}

/// Reads a text as a key file, for a fuzzer.
///
/// # Panics
/// When the keys that are found are others once they are written again.
pub fn fuzz_keyfile(text: &str) {
    boot::fuzz_keyfile(text);
}
