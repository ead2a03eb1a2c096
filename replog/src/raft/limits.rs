//! Limits of entries and of their way through Raft, with their reasons.

use std::time::Duration;

/// Largest jam of one event: the issue of large clay commits and pills decides, not LMDB (4 GiB) nor Raft.
pub(crate) const MAX_EVENT_BYTES: usize = 512 * 1024 * 1024;

/// Largest entry: one event of the largest size, or many small ones, with four bytes of mug each.
pub(crate) const MAX_BATCH_BYTES: usize = MAX_EVENT_BYTES + 1024 * 1024;

/// Events of several entries that are handed to the event log at once: more are handed over in between, so that none
/// waits long for the ones behind it.
pub(crate) const APPLY_GROUP_BYTES: usize = 1024 * 1024;

const _: () = assert!(
    MAX_BATCH_BYTES < u32::MAX as usize,
    "lengths of four bytes, and LMDB's own limit"
);

/// Entries kept although the event log has them: a member that was away for a moment goes on from them.
pub(crate) const KEEP_ENTRIES: u64 = 1024;

/// Entries kept at most for a follower that is behind; after that it needs a snapshot.
pub(crate) const RETAIN_ENTRIES: u64 = 1024 * 1024;

/// Bytes of the Raft log above which nobody is waited for any more.
pub(crate) const RETAIN_BYTES: u64 = 256 * 1024 * 1024;

/// Entries that make a purge worth its transaction.
pub(crate) const PURGE_STEP: u64 = 512;

/// Bytes of the Raft log above which next to nothing is kept: entries are large, and the file never shrinks again.
pub(crate) const FLOOD_BYTES: u64 = 1024 * 1024 * 1024;

/// Entries kept then: what is on its way to the followers.
pub(crate) const KEEP_IN_FLOOD: u64 = 16;

/// An append request up to here is checked on the thread that has the heartbeats; a larger one elsewhere.
pub(crate) const INLINE_DECODE_BYTES: usize = 1024 * 1024;

/// How many entries behind the leader a learner may be to be promoted: it catches up on these while the change commits.
pub(crate) const PROMOTE_LAG: u64 = 256;

/// How often the leader looks after its members.
pub(crate) const TEND_EVERY: Duration = Duration::from_millis(100);

/// How often it is looked whether the Raft log can be purged.
pub(crate) const PURGE_EVERY: Duration = Duration::from_millis(500);

/// How often the conditions of standing for election are looked at.
pub(crate) const GATE_EVERY: Duration = Duration::from_millis(25);

/// Of the election timeout's upper end: how long after a quorum's word a leader is certain of its office. Nobody votes for
/// another before that whole time has passed since it last heard the leader, which is after the leader spoke; the rest is for clocks
/// that run at different rates. An office is never certain beside a later one while no member's monotonic clock runs 4/3 times as fast as
/// another's: the leader's slow by less than 25 %, or the others' fast by less than 33 %. Real ones differ by less than 0.1 %; the simulation
/// tries 24 % and 32 %. A process that is stopped is no slow clock: it finds that the time has passed.
pub(crate) const LEASE_PERCENT: u32 = 75;

/// How many of the longest silences a member that is held back waits before it stands for election nevertheless: nobody
/// else does, it seems.
pub(crate) const HOLD_BACK_SILENCES: u32 = 4;

/// How many election timeouts without a quorum's word a leader sees before it gives up its office. Others are elected after about two,
/// if they can be; a link that only stood still for a moment costs no election.
pub(crate) const QUORUM_SILENCES: u32 = 4;

/// How long the stores and Raft may take to stop.
pub(crate) const CLOSE_PATIENCE: Duration = Duration::from_secs(8);

/// How often it is looked whether the heir of an office has all of the log.
pub(crate) const TRANSFER_POLL: Duration = Duration::from_millis(5);
