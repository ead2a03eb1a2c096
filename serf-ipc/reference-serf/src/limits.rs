//! Every bound of this crate, with its reason.

use std::ops::RangeInclusive;

/// Evaluations that may wait for another one's product. The C serf's stack is its loom, and a computation that fills it
/// bails with `%meme`; here it is 48 MB at most, far beyond what the kernels that run here need.
pub(crate) const STACK_FRAMES: usize = 1 << 20;

/// Steps of the machine between two looks at the signals and the time limit: some hundred microseconds.
pub(crate) const POLL_STEPS: u32 = 1 << 13;

/// Looks at the signals between two looks at this process's memory, which cost a system call: some ten milliseconds, in
/// which a computation can allocate a few megabytes.
pub(crate) const POLLS_PER_MEMORY_CHECK: u32 = 1 << 5;

/// The exponents accepted for the loom's size (`spec/ipc.md` section 4, word 6).
pub(crate) const LOOM_EXPONENTS: RangeInclusive<u32> = 20..=33;

/// The loom's exponent when the word is missing or no number (`spec/ipc.md` section 4, word 6).
pub(crate) const LOOM_EXPONENT_DEFAULT: u32 = 31;

/// A computation bails with `%meme` when this process holds more memory, in bytes, whatever the loom's size: several
/// members of a cluster share a machine in the tests.
pub(crate) const MEMORY_BYTES: u64 = 1 << 30;

/// A computation may hold at least this much, in bytes, however small the loom: the program itself has to fit.
pub(crate) const MEMORY_BYTES_MIN: u64 = 64 << 20;
