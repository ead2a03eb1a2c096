//! Every limit of this crate, with its reason. A queue, a batch, a frame or a wait that is not bounded here is a bug.

use std::time::Duration;

/// Binary units, bytes.
pub(crate) const KIB: usize = 1024;
/// Binary units, bytes.
pub(crate) const MIB: usize = 1024 * KIB;
/// Binary units, bytes.
pub(crate) const GIB: usize = 1024 * MIB;

// ---------------------------------------------------------------------------------------------------------------
// The event log

/// LMDB map of an epoch: address space, not disk. vere's own (`spec/eventlog.md` section 4): 1 TiB, and 500 GiB on
/// linux/aarch64, whose kernels may have only 39 bits of address space. Halved at open where it is not to be had.
#[cfg(all(target_pointer_width = "64", not(target_arch = "aarch64")))]
pub(crate) const EVENT_LOG_MAP_BYTES: usize = 1024 * GIB;
/// LMDB map of an epoch, see the other one.
#[cfg(all(target_pointer_width = "64", target_arch = "aarch64"))]
pub(crate) const EVENT_LOG_MAP_BYTES: usize = 500 * GIB;
/// LMDB map of an epoch where addresses have 32 bits.
#[cfg(not(target_pointer_width = "64"))]
pub(crate) const EVENT_LOG_MAP_BYTES: usize = GIB;

/// The least map that is worth opening a store with: below it the next large event would not fit.
pub(crate) const MIN_MAP_BYTES: usize = 64 * MIB;

/// Tables that an environment of ours may have open: vere's META and EVENTS, our SEGURO (or our own three), and one to spare.
pub(crate) const MAX_TABLES: u32 = 4;

/// Reads of one environment at a time: more than tokio has threads for what may block (512), so that none is refused.
pub(crate) const MAX_READERS: u32 = 1024;

/// How long an applied event may wait for its place in the event log. The Raft log holds it meanwhile, so this only
/// bounds how much is applied again after a crash, against two syncs of a disk that the Raft log waits for.
pub(crate) const EVENT_LOG_LINGER: Duration = Duration::from_millis(250);

/// Applied bytes that wait before the event log is written without further waiting.
pub(crate) const EVENT_LOG_GROUP_BYTES: usize = 8 * MIB;

/// Applied bytes that may wait for the event log; the state machine is held back beyond. A single larger batch passes.
pub(crate) const EVENT_LOG_PENDING_BYTES: usize = 64 * MIB;

/// Memory for events that are in the event log and are kept beside it, since a serf that plays them is usually close behind.
pub(crate) const EVENT_LOG_RECENT_BYTES: usize = 8 * MIB;

/// An event of up to so many bytes is copied into that memory: it may be a part of the message or of the buffer that it came in, which
/// would be kept with it, and may be many times as large.
pub(crate) const EVENT_LOG_COPIED_BYTES: usize = 4 * KIB;

/// What an event takes there beside its bytes: its place in the queue, and the allocator's and the reference counter's share.
pub(crate) const EVENT_LOG_EVENT_COST: usize = 128;

/// Commands that wait for the event log's thread: one long one (roll, chop, adopt, install, close), a wake, and some that
/// nobody waits for any more.
pub(crate) const EVENT_LOG_COMMANDS: usize = 8;

/// The most events a single read returns, whatever was asked for: bounds the memory of an answer of tiny events.
pub(crate) const READ_EVENTS: usize = 64 * 1024;

/// Positions of the running hash that are remembered for comparison with other members, the newest ones.
pub(crate) const HASH_MARKS: usize = 256;

/// Events between two remembered positions of the running hash.
pub(crate) const HASH_MARK_EVERY: u64 = 256;

/// The raft layer's part of the applied record: a log id and a membership.
pub(crate) const APPLIED_BYTES: usize = 64 * KIB;

/// A buffer for copying the serf's images.
pub(crate) const COPY_BYTES: usize = MIB;

/// `epoc.txt` and `vere.txt` are read up to here; vere reads less of either (`spec/eventlog.md` section 8).
pub(crate) const EPOCH_TEXT_BYTES: u64 = 128;

/// Files that an epoch's snapshot may hold beside its events: vere has `north.bin` and `south.bin`.
pub(crate) const EPOCH_FILES: usize = 8;

// ---------------------------------------------------------------------------------------------------------------
// The Raft log

/// LMDB map of the Raft log: reserved at the start, since resizing a live map has deadlocked other projects. Address
/// space only; the file stays as small as the entries between two purges. Halved at open where it is not to be had.
#[cfg(target_pointer_width = "64")]
pub(crate) const RAFT_LOG_MAP_BYTES: usize = 64 * GIB;
/// LMDB map of the Raft log where addresses have 32 bits.
#[cfg(not(target_pointer_width = "64"))]
pub(crate) const RAFT_LOG_MAP_BYTES: usize = 512 * MIB;

/// The Raft log's journal: so much is written, a sync a group, before the environment is. What it holds is also in memory.
pub(crate) const RAFT_JOURNAL_BYTES: usize = 8 * MIB;

/// The largest record of the journal. A larger group goes straight into the environment: its second sync is little beside its
/// bytes, which would be written twice.
pub(crate) const RAFT_JOURNAL_RECORD_BYTES: usize = MIB;

/// How long nothing is asked for before what the journal holds is put into the environment.
pub(crate) const RAFT_JOURNAL_PAUSE: Duration = Duration::from_millis(50);

/// Appends that wait for the Raft log's thread: openraft pipelines them, so this is its depth.
pub(crate) const RAFT_LOG_APPENDS: usize = 2048;

/// Other commands that wait for it, beside appends: a vote, a truncation or a purge, a close. openraft waits for each.
pub(crate) const RAFT_LOG_COMMANDS: usize = 8;

/// Bytes of entries that wait for the Raft log's thread; an append waits beyond. A single larger append passes.
pub(crate) const RAFT_LOG_PENDING_BYTES: usize = 64 * MIB;

/// Bytes of entries that go into one transaction: bounds what a vote behind them waits for.
pub(crate) const RAFT_LOG_GROUP_BYTES: usize = 16 * MIB;

/// Entries of the environment kept in memory, so that replication and apply seldom read the disk.
pub(crate) const RAFT_LOG_CACHE_BYTES: usize = 8 * MIB;

/// Bytes read at a time by a stream of entries; one larger entry passes.
pub(crate) const RAFT_LOG_READ_BYTES: usize = 4 * MIB;

/// Entries purged in one transaction: a million at once blocks for half a second, these about a millisecond.
pub(crate) const PURGE_SLICE: u64 = 1024;

/// Bytes purged in one transaction: LMDB keeps a number in memory for every page that becomes free. One larger entry passes.
pub(crate) const PURGE_SLICE_BYTES: usize = 64 * MIB;

/// A value at least this large is written into LMDB's pages directly; below it a copy costs less than the extra call.
pub(crate) const RESERVE_BYTES: usize = 64 * KIB;

// ---------------------------------------------------------------------------------------------------------------
// Files

/// What is left of a disk, or of a file size limit, when a write that failed for no stated reason counts as one for
/// lack of room: LMDB reports a short write, which is what a disk that fills gives first, as an I/O error.
pub(crate) const LITTLE_ROOM_BYTES: u64 = 2 * MIB as u64;

/// The most of an identity file that is read: it has five short lines.
pub(crate) const IDENTITY_BYTES: u64 = 1024;

/// How often the pier's lock is tried: a holder that goes away unlinks the file, and who comes may have opened the old
/// one. More often in a row is not chance.
pub(crate) const PIER_LOCK_ATTEMPTS: usize = 16;

const _: () = {
    assert!(
        EVENT_LOG_GROUP_BYTES <= EVENT_LOG_PENDING_BYTES,
        "a full group fits into what may wait"
    );
    assert!(
        RAFT_LOG_GROUP_BYTES <= RAFT_LOG_PENDING_BYTES,
        "a full group fits into what may wait"
    );
    assert!(
        RAFT_JOURNAL_RECORD_BYTES < RAFT_JOURNAL_BYTES,
        "the largest record fits into the journal"
    );
    assert!(
        MIN_MAP_BYTES <= RAFT_LOG_MAP_BYTES && MIN_MAP_BYTES <= EVENT_LOG_MAP_BYTES,
        "halving ends above the least"
    );
};
