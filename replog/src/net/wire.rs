//! What members say to each other: the messages of protocol version 1 and their bytes.
//!
//! A connection begins with eight bytes from each side, [`PREFACE`]: `SEGURO` and the protocol's version (2, little-endian).
//! Then frames (see [`frame`](super::frame)): the dialer's [`Hello`], the other's [`Welcome`] or [`Refusal`]. After that the
//! dialer asks and the other answers, as the connection's [`Purpose`] allows. Bodies are bincode ([`codec`]) but for entries.
//!
//! | kind | message | body | on |
//! | --- | --- | --- | --- |
//! | 1 | hello | [`Hello`] | all |
//! | 2 | welcome | [`Welcome`] | all |
//! | 3 | refusal | [`Refusal`] | all |
//! | 4 | alive | empty | all |
//! | 16 | append | length of head (4), [`AppendHead`], per entry its record's length (8) and its record | log |
//! | 17 | appended | [`AppendAnswer`] | log |
//! | 32 | ask | [`Ask`] | control |
//! | 33 | answer | [`Answer`] | control |
//! | 48 | join | [`Join`] | join |
//! | 49 | join answer | [`JoinAnswer`] | join |
//! | 64 and on | the snapshot's | see `snapshot` | snapshot |

use crate::{
    net::frame::{Encoder, Message, Piece},
    net::limits::INLINE_APPEND_BYTES,
    raft::{
        codec::{self, CodecError},
        config::{ClusterId, Entry, LogId, TypeConfig, Vote},
        record::{self, RecordError},
    },
    types::{MemberId, ShipIdentity},
};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use openraft::raft::{AppendEntriesRequest, StreamAppendError, StreamAppendResult};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{fmt, net::SocketAddr};

/// The protocol's version: a member refuses another one.
pub(crate) const VERSION: u16 = 1;

/// The first bytes of a connection, from both sides.
pub(crate) const PREFACE: [u8; 8] = {
    let v = VERSION.to_le_bytes();
    [b'S', b'E', b'G', b'U', b'R', b'O', v[0], v[1]]
};

/// Kinds of messages.
pub(crate) mod kind {
    pub(crate) const HELLO: u8 = 1;
    pub(crate) const WELCOME: u8 = 2;
    pub(crate) const REFUSAL: u8 = 3;
    pub(crate) const ALIVE: u8 = 4;
    pub(crate) const APPEND: u8 = 16;
    pub(crate) const APPENDED: u8 = 17;
    pub(crate) const ASK: u8 = 32;
    pub(crate) const ANSWER: u8 = 33;
    pub(crate) const JOIN: u8 = 48;
    pub(crate) const JOIN_ANSWER: u8 = 49;
}

/// A message that is not what its place in the conversation asks for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    /// Another kind was due.
    #[error("a message of kind {found} where {expected} is due")]
    Kind {
        /// What came.
        found: u8,
        /// What was due.
        expected: &'static str,
    },
    /// A body that cannot be read.
    #[error(transparent)]
    Body(#[from] CodecError),
    /// A log record that cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// An append request whose parts do not fit together.
    #[error("an append request {0}")]
    Append(&'static str),
}

/// What a connection is for. Heartbeats and votes have their own, so that they never wait behind an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum Purpose {
    /// Entries, from the leader.
    Log,
    /// Heartbeats, votes, a transfer of office.
    Control,
    /// A snapshot, from the leader.
    Snapshot,
    /// The wish to be a member.
    Join,
}

/// Who dials, whom, what for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello {
    /// The dialer's cluster; None before it has joined one.
    pub(crate) cluster: Option<ClusterId>,
    /// The dialer.
    pub(crate) from: MemberId,
    /// Whom it means to reach: an address may have got a new owner. None when it asks to join.
    pub(crate) to: Option<MemberId>,
    /// What for.
    pub(crate) purpose: Purpose,
}

/// The dialer is talking to whom it meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Welcome {
    /// Who answers.
    pub(crate) from: MemberId,
}

/// Why a connection was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub(crate) enum Refusal {
    /// Another protocol.
    #[error(
        "it speaks protocol version {0}; this is version {VERSION}: run the same version on all machines"
    )]
    Version(u16),
    /// Another cluster.
    #[error("it is a member of cluster {0}: the list of machines names a machine of another ship")]
    Cluster(ClusterId),
    /// The address has a new owner.
    #[error("the member at this address is {0} now: the old one's disk is gone")]
    NotMe(MemberId),
    /// Too many connections.
    #[error("it has too many connections")]
    Full,
    /// It stops, or has not started yet.
    #[error("it is not ready: {0}")]
    NotReady(String),
}

/// A question on a control connection. Several may be under way: `id` says which one an answer is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ask {
    /// Chosen by the dialer.
    pub(crate) id: u64,
    /// What.
    pub(crate) what: Question,
}

/// What is asked on a control connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Question {
    /// A leader says that it is there.
    Heartbeat(AppendHead),
    /// A candidate asks for a vote.
    Vote(VoteAsk),
    /// It asks whether it would be given one.
    PreVote(VoteAsk),
    /// A leader hands office over.
    Transfer {
        /// The office that ends.
        from: Vote,
        /// Who shall have it.
        to: MemberId,
        /// The last entry that the heir must have.
        last: Option<LogId>,
    },
    /// A leader has been told by this member that the entry is on its disk, and now it is not.
    Lost(LogId),
    /// A leader that thinks of handing office over asks whether this member could serve soon.
    Near,
}

/// What a candidate says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VoteAsk {
    /// The vote it asks for.
    pub(crate) vote: Vote,
    /// Its last entry.
    pub(crate) last: Option<LogId>,
    /// Whether the leader itself asked it to stand.
    pub(crate) transfer: bool,
}

/// An answer on a control connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// Which question's.
    pub(crate) id: u64,
    /// What.
    pub(crate) what: Reply,
}

/// What is answered on a control connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// To a heartbeat.
    Heartbeat(AppendAnswer),
    /// To a vote or a pre-vote.
    Vote {
        /// The answerer's own vote.
        vote: Vote,
        /// Whether it is (or would be) given.
        granted: bool,
        /// The answerer's last entry.
        last: Option<LogId>,
    },
    /// To a transfer: taken, or why not.
    Transfer(Result<(), String>),
    /// To a loss: heard.
    Lost,
    /// The question cannot be answered now.
    Failed(String),
    /// Whether this member could serve soon: nothing holds it back from office.
    Near(bool),
}

/// What goes before the entries of an append request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AppendHead {
    /// The leader's office.
    pub(crate) vote: Vote,
    /// The entry before the first.
    pub(crate) prev: Option<LogId>,
    /// What the leader knows to be committed.
    pub(crate) commit: Option<LogId>,
    /// How many entries follow.
    pub(crate) entries: u32,
}

/// The answer to an append request or a heartbeat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum AppendAnswer {
    /// All entries up to this one are on the follower's disk.
    Stored(Option<LogId>),
    /// The follower has not got this entry, which the request continues.
    Conflict(LogId),
    /// The follower knows a newer office or candidate.
    Higher(Vote),
}

/// The wish to be a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Join {
    /// Who.
    pub(crate) id: MemberId,
    /// Where it is reached.
    pub(crate) address: SocketAddr,
}

/// The answer to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum JoinAnswer {
    /// It is a learner now; the leader will come to it.
    Taken {
        /// The cluster it belongs to from now on.
        cluster: ClusterId,
        /// Whose ship it is.
        ship: ShipIdentity,
    },
    /// Ask there: the leader.
    Ask(SocketAddr),
    /// Nobody leads at the moment, or a change of members is under way: ask again.
    Later(String),
    /// Never: the text says why.
    Refused(String),
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Purpose::Log => "log",
            Purpose::Control => "control",
            Purpose::Snapshot => "snapshot",
            Purpose::Join => "join",
        })
    }
}

/// Adds a small message.
pub(crate) fn push(encoder: &mut Encoder, kind: u8, body: &impl Serialize) {
    encoder.push(kind, |out| out.extend_from_slice(&codec::encode(body)));
}

/// Reads a small message of the kind that is due.
pub(crate) fn read<T: DeserializeOwned>(
    message: &Message,
    kind: u8,
    expected: &'static str,
) -> Result<T, WireError> {
    if message.kind != kind {
        return Err(WireError::Kind {
            found: message.kind,
            expected,
        });
    }
    Ok(codec::decode(expected, &message.body)?)
}

/// Adds an append request.
pub(crate) fn push_append(encoder: &mut Encoder, request: &AppendEntriesRequest<TypeConfig>) {
    let head = codec::encode(&AppendHead::of(request));
    let lengths: Vec<usize> = request.entries.iter().map(record::length).collect();
    let total = 4 + head.len() + lengths.iter().map(|length| 8 + length).sum::<usize>();
    if total <= INLINE_APPEND_BYTES {
        encoder.push(kind::APPEND, |out| {
            out.reserve(total);
            out.put_u32_le(head.len() as u32);
            out.extend_from_slice(&head);
            for (entry, length) in request.entries.iter().zip(lengths) {
                out.put_u64_le(length as u64);
                #[expect(clippy::expect_used, reason = "invariant: writing into memory does not fail")]
                record::write(entry, &mut out.writer()).expect("a buffer takes all bytes");
            }
        });
        return;
    }
    let mut front = BytesMut::new();
    front.put_u32_le(head.len() as u32);
    front.extend_from_slice(&head);
    let mut pieces = vec![Piece::Plain(front.freeze())];
    for (entry, length) in request.entries.iter().zip(lengths) {
        pieces.push(Piece::Plain(Bytes::copy_from_slice(
            &(length as u64).to_le_bytes(),
        )));
        record::pieces(entry, &mut |piece| pieces.push(Piece::Summed(piece.into_bytes())));
        pieces.push(Piece::Sum);
    }
    encoder.push_large(kind::APPEND, pieces);
}

/// Adds a message that is one log record.
pub(crate) fn push_record(encoder: &mut Encoder, kind: u8, entry: &Entry) {
    let mut pieces = Vec::new();
    record::pieces(entry, &mut |piece| pieces.push(Piece::Summed(piece.into_bytes())));
    pieces.push(Piece::Sum);
    encoder.push_large(kind, pieces);
}

/// Reads an append request, and checks what openraft takes for granted: that the office is one, that the entries follow
/// `prev` and one another, and that none is of a later term.
pub(crate) fn read_append(message: &Message) -> Result<AppendEntriesRequest<TypeConfig>, WireError> {
    if message.kind != kind::APPEND {
        return Err(WireError::Kind {
            found: message.kind,
            expected: "an append request",
        });
    }
    let mut body = message.body.clone();
    let length = body
        .try_get_u32_le()
        .map_err(|_| WireError::Append("without a head"))? as usize;
    if length > body.len() {
        return Err(WireError::Append("whose head is cut"));
    }
    let head: AppendHead = codec::decode("the head of an append request", &body.split_to(length))?;
    // An entry takes its length and a record at least.
    if head.entries as usize > body.len() / (8 + record::MIN_LENGTH) {
        return Err(WireError::Append("with fewer entries than it says"));
    }
    let mut entries = Vec::with_capacity(head.entries as usize);
    for _ in 0..head.entries {
        let length = body
            .try_get_u64_le()
            .map_err(|_| WireError::Append("whose entries are cut"))?;
        if length > body.len() as u64 {
            return Err(WireError::Append("whose entries are cut"));
        }
        entries.push(record::decode(body.split_to(length as usize))?);
    }
    if !body.is_empty() {
        return Err(WireError::Append("with bytes behind its entries"));
    }
    let request = head.request(entries);
    check_append(&request)?;
    Ok(request)
}

/// What openraft takes for granted in a request of a leader's.
pub(crate) fn check_append(request: &AppendEntriesRequest<TypeConfig>) -> Result<(), WireError> {
    if !request.vote.committed {
        return Err(WireError::Append("from one who is no leader"));
    }
    let term = request.vote.leader_id.term;
    let mut prev = request.prev_log_id;
    if prev.is_some_and(|prev| prev.leader_id.term > term) {
        return Err(WireError::Append("that continues an entry of a later term"));
    }
    for entry in &request.entries {
        let next = prev.map_or(0, |prev| prev.index.saturating_add(1));
        if entry.log_id.index != next || prev.is_some_and(|prev| prev.leader_id > entry.log_id.leader_id) {
            return Err(WireError::Append("whose entries do not follow one another"));
        }
        if entry.log_id.leader_id.term > term {
            return Err(WireError::Append("with an entry of a later term"));
        }
        prev = Some(entry.log_id);
    }
    if request
        .leader_commit
        .is_some_and(|commit| commit.leader_id.term > term)
    {
        return Err(WireError::Append("that commits an entry of a later term"));
    }
    Ok(())
}

impl AppendHead {
    /// The head of a request.
    pub(crate) fn of(request: &AppendEntriesRequest<TypeConfig>) -> AppendHead {
        AppendHead {
            vote: request.vote,
            prev: request.prev_log_id,
            commit: request.leader_commit,
            entries: request.entries.len() as u32,
        }
    }

    /// The request with these entries.
    pub(crate) fn request(self, entries: Vec<Entry>) -> AppendEntriesRequest<TypeConfig> {
        AppendEntriesRequest {
            vote: self.vote,
            prev_log_id: self.prev,
            entries,
            leader_commit: self.commit,
        }
    }
}

impl From<StreamAppendResult<TypeConfig>> for AppendAnswer {
    fn from(result: StreamAppendResult<TypeConfig>) -> AppendAnswer {
        match result {
            Ok(stored) => AppendAnswer::Stored(stored),
            Err(StreamAppendError::Conflict(at)) => AppendAnswer::Conflict(at),
            Err(StreamAppendError::HigherVote(vote)) => AppendAnswer::Higher(vote),
        }
    }
}

impl From<AppendAnswer> for StreamAppendResult<TypeConfig> {
    fn from(answer: AppendAnswer) -> StreamAppendResult<TypeConfig> {
        match answer {
            AppendAnswer::Stored(stored) => Ok(stored),
            AppendAnswer::Conflict(at) => Err(StreamAppendError::Conflict(at)),
            AppendAnswer::Higher(vote) => Err(StreamAppendError::HigherVote(vote)),
        }
    }
}

/// Reads a message as every kind that there is.
pub(crate) fn fuzz(message: &Message) {
    fn small<T: Serialize + DeserializeOwned>(message: &Message) {
        if let Ok(value) = read::<T>(message, message.kind, "anything") {
            assert!(codec::encode(&value) == message.body, "a value has one form");
        }
    }
    small::<Hello>(message);
    small::<Welcome>(message);
    small::<Refusal>(message);
    small::<Ask>(message);
    small::<Answer>(message);
    small::<AppendHead>(message);
    small::<AppendAnswer>(message);
    small::<Join>(message);
    small::<JoinAnswer>(message);
    let append = Message {
        kind: kind::APPEND,
        body: message.body.clone(),
    };
    if let Ok(request) = read_append(&append) {
        assert!(check_append(&request).is_ok());
    }
}

#[cfg(test)]
mod tests;
