//! All randomness of the process, from a seed: the system's `getrandom` is answered here.
//!
//! That is where the order of the standard library's hash maps comes from, tokio's choice among ready branches, openraft's
//! election times and the members' identities. Without it two runs of a seed would part ways after a few steps.

use std::{
    ffi::{c_uint, c_void},
    sync::atomic::{AtomicU64, Ordering},
};

static STATE: AtomicU64 = AtomicU64::new(0);

/// Everything random follows from `seed` from now on: on threads that are started after this.
pub fn seed(seed: u64) {
    STATE.store(seed.wrapping_mul(0x2545_f491_4f6c_dd1d), Ordering::Relaxed);
}

fn next() -> u64 {
    let mut mixed = STATE.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Stands for the C library's function of this name in programs that this crate is linked into.
///
/// # Safety
/// As for the C function: `buffer` must be valid for writes of `length` bytes.
#[unsafe(no_mangle)]
#[expect(
    unsafe_code,
    reason = "the C library's function is replaced under its own name and signature; it is told where to write"
)]
pub unsafe extern "C" fn getrandom(buffer: *mut c_void, length: usize, _flags: c_uint) -> isize {
    let mut left = 0;
    for at in 0..length {
        if at % 8 == 0 {
            left = next();
        }
        // SAFETY: the caller gives `length` bytes to write into, and `at` is below.
        unsafe { buffer.cast::<u8>().add(at).write(left as u8) };
        left >>= 8;
    }
    length as isize
}
