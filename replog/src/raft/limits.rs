//! Limits of entries and of their way through Raft, with their reasons.

/// Largest jam of one event: the issue of large clay commits and pills decides, not LMDB (4 GiB) nor Raft.
pub(crate) const MAX_EVENT_BYTES: usize = 512 * 1024 * 1024;

/// Largest entry: one event of the largest size, or many small ones, with four bytes of mug each.
pub(crate) const MAX_BATCH_BYTES: usize = MAX_EVENT_BYTES + 1024 * 1024;
