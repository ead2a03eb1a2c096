//! Limits of the conversations between members, with their reasons.

use std::time::Duration;

/// Largest body of a frame. Small enough that a frame's checksum and copy take a fraction of a millisecond.
pub(crate) const MAX_FRAME_BODY: usize = 1024 * 1024;

/// Bytes read from a socket at a time, and of a large message that are framed ahead of the socket.
pub(crate) const READ_BUFFER_BYTES: usize = 64 * 1024;

/// With so much of a read's buffer left, it is read into: messages that are kept are parts of it, and would otherwise hold a whole one
/// each.
pub(crate) const READ_ROOM_BYTES: usize = 4 * 1024;

/// Largest message before the peer has said who it is, and of votes, heartbeats and answers at any time.
pub(crate) const MAX_SMALL_MESSAGE: usize = 64 * 1024;

/// An append request up to here is framed at once; above it frames are cut as the socket takes them.
pub(crate) const INLINE_APPEND_BYTES: usize = 256 * 1024;

/// Largest append request: one entry of the largest size, or several small ones, and their heads.
pub(crate) const MAX_APPEND_BYTES: usize = crate::raft::limits::MAX_BATCH_BYTES + 64 * 1024 * 1024;

/// Append requests on their way to a follower, unanswered: enough to fill a long link, few enough to bound what a
/// follower has to hold. openraft's own pipeline on the follower is as deep.
pub(crate) const APPENDS_IN_FLIGHT: usize = 64;

/// How long a commit waits for entries that it can go with: one tick of tokio's clock, and little against the linger of those
/// who are told of it.
pub(crate) const COMMIT_LINGER: Duration = Duration::from_millis(1);

/// Bytes that wait for a socket before no further append request is taken.
pub(crate) const SEND_BACKLOG_BYTES: usize = 4 * 1024 * 1024;

/// Requests of one control connection that are worked on at a time; more close it.
pub(crate) const CONTROL_IN_FLIGHT: usize = 32;

/// Connections accepted at a time: each peer has about four, and machines that want to join have one.
pub(crate) const MAX_CONNECTIONS: usize = 128;

/// How long a connection's first words may take.
pub(crate) const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(2);

/// How often a member that has nothing to say on a log connection says so.
pub(crate) const ALIVE_EVERY: Duration = Duration::from_secs(1);

/// How long a peer may be silent that owes an answer or an [`ALIVE_EVERY`] before the connection is given up.
pub(crate) const SILENCE: Duration = Duration::from_secs(5);

/// How long a later leader's snapshot waits for an earlier leader's to end: that is less than a piece of it takes to be written. Well
/// below [`SILENCE`], within which whoever offered it wants an answer.
pub(crate) const TURN_PATIENCE: Duration = Duration::from_secs(1);

/// How long unacknowledged bytes may lie in the kernel before it gives a connection up: the other side's host is gone.
pub(crate) const TCP_PATIENCE_MS: u32 = 10_000;

/// Idle control connections kept per peer: a vote and a transfer may be under way at once.
pub(crate) const IDLE_CONNECTIONS: usize = 2;

/// Pauses between attempts to reach a peer, the last one for good.
pub(crate) const RETRY_PAUSES: [Duration; 5] = [
    Duration::from_millis(20),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
];

/// How often a warning about the same peer is repeated while nothing changes.
pub(crate) const COMPLAIN_EVERY: Duration = Duration::from_secs(30);

/// How long the leader waits for a new learner's entry to be committed before it answers that it is not yet.
pub(crate) const JOIN_PATIENCE: Duration = Duration::from_secs(3);

/// Between two rounds of asking all machines.
pub(crate) const JOIN_PAUSE: Duration = Duration::from_millis(250);

/// Events of a snapshot that go in one message: one sync of the receiver's.
pub(crate) const SNAPSHOT_EVENTS: usize = 16 * 1024;

/// Bytes of them; one larger event passes.
pub(crate) const SNAPSHOT_EVENTS_BYTES: usize = 4 * 1024 * 1024;

/// Largest message of a snapshot: one event of the largest size.
pub(crate) const MAX_SNAPSHOT_MESSAGE: usize = MAX_APPEND_BYTES;

/// How often the receiver of a snapshot says how far it is; less than a silence.
pub(crate) const PROGRESS_EVERY: Duration = Duration::from_secs(1);

const _: () = {
    assert!(
        ALIVE_EVERY.as_millis() * 3 < SILENCE.as_millis(),
        "a word or two may be lost to a busy machine"
    );
    assert!(
        MAX_SMALL_MESSAGE <= MAX_FRAME_BODY && INLINE_APPEND_BYTES <= MAX_FRAME_BODY,
        "small messages are one frame"
    );
    assert!(SNAPSHOT_EVENTS_BYTES < MAX_SNAPSHOT_MESSAGE);
};
