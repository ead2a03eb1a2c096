//! openraft's network: one [`Link`] per peer and purpose, which dials when it must and keeps the connection.

use crate::{
    net::{
        appending::Appending,
        connection::{Connection, LinkError},
        detour::Detours,
        limits::{COMPLAIN_EVERY, IDLE_CONNECTIONS, RETRY_PAUSES},
        wire::{
            self, Answer, AppendAnswer, AppendHead, Ask, Hello, Purpose, Question, Reply, VoteAsk, WireError,
            kind,
        },
    },
    raft::config::{ClusterId, LogId, Peer, TypeConfig},
    types::{MemberId, Term},
};
use futures::{Stream, StreamExt, stream};
use openraft::{
    OptionalSend, RaftNetworkFactory,
    base::{BoxFuture, BoxStream},
    errors::{NetworkError, RPCError, Unreachable},
    network::{Backoff, NetBackoff, NetStreamAppend, NetTransferLeader, NetVote, RPCOption},
    raft::{
        AppendEntriesRequest, StreamAppendResult, TransferLeaderRequest, TransferLeaderResponse, VoteRequest,
        VoteResponse,
    },
};
use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::time::Instant;
use tracing::{debug, info, warn};

/// What all links of a member share.
#[derive(Debug)]
pub(crate) struct Shared {
    id: MemberId,
    cluster: ClusterId,
    idle: Mutex<HashMap<MemberId, Vec<Connection>>>,
    peers: Mutex<HashMap<MemberId, Arc<PeerState>>>,
    next_ask: AtomicU64,
    sending: Sending,
    detours: Detours,
}

/// The last entries of the snapshots that are being sent: what comes after them is not purged.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sending(Arc<Mutex<BTreeMap<u64, usize>>>);

/// A snapshot that is being sent.
#[derive(Debug)]
pub(crate) struct SendingPin {
    sending: Sending,
    index: u64,
}

impl Sending {
    /// The last entries, lowest first.
    pub(crate) fn indexes(&self) -> Vec<u64> {
        lock(&self.0).keys().copied().collect()
    }
}

impl Drop for SendingPin {
    fn drop(&mut self) {
        let mut pins = lock(&self.sending.0);
        if let Some(count) = pins.get_mut(&self.index) {
            *count -= 1;
            if *count == 0 {
                pins.remove(&self.index);
            }
        }
    }
}

/// What this member remembers of a peer while it runs.
#[derive(Debug, Default)]
struct PeerState {
    /// The last entry that the peer has said is on its disk, and the office to which it said so: while that office lasts
    /// its log must never be shorter again.
    stored: Mutex<(Term, Option<LogId>)>,
    /// What was last said about its being out of reach, and when.
    complaint: Mutex<Option<(String, Instant)>>,
}

/// Makes links.
#[derive(Clone, Debug)]
pub(crate) struct Links(Arc<Shared>);

/// The way to one peer.
#[derive(Debug)]
pub(crate) struct Link {
    shared: Arc<Shared>,
    state: Arc<PeerState>,
    target: MemberId,
    address: Option<SocketAddr>,
    purpose: Purpose,
    pub(super) connection: Option<Connection>,
    /// Whether answers are due on `connection` that nobody waits for any more.
    pub(super) owed: bool,
    /// The office for which it sends entries.
    pub(super) term: Term,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that panics is done under these locks.
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Links {
    /// For member `id` of `cluster`.
    pub(crate) fn new(id: MemberId, cluster: ClusterId, sending: Sending, detours: Detours) -> Links {
        Links(Arc::new(Shared {
            id,
            cluster,
            sending,
            detours,
            idle: Mutex::default(),
            peers: Mutex::default(),
            next_ask: AtomicU64::new(1),
        }))
    }

    fn link(&self, target: MemberId, peer: &Peer, purpose: Purpose) -> Link {
        let state = lock(&self.0.peers).entry(target).or_default().clone();
        Link {
            shared: self.0.clone(),
            state,
            target,
            address: peer.address,
            purpose,
            connection: None,
            owed: false,
            term: Term(0),
        }
    }
}

impl Links {
    /// Whether a peer says that it could serve soon, if office were handed over to it.
    ///
    /// # Errors
    /// When it does not answer.
    pub(crate) async fn is_near(&self, target: MemberId, peer: &Peer) -> Result<bool, LinkError> {
        match self
            .link(target, peer, Purpose::Control)
            .ask(Question::Near)
            .await?
        {
            Reply::Near(near) => Ok(near),
            other => Err(unexpected(&other)),
        }
    }
}

impl RaftNetworkFactory<TypeConfig> for Links {
    type Network = Link;

    async fn new_client(&mut self, target: MemberId, node: &Peer) -> Link {
        self.link(target, node, Purpose::Log)
    }

    async fn new_heartbeat_client(&mut self, target: MemberId, node: &Peer) -> Link {
        self.link(target, node, Purpose::Control)
    }

    async fn new_snapshot_client(&mut self, target: MemberId, node: &Peer) -> Link {
        self.link(target, node, Purpose::Snapshot)
    }
}

impl Link {
    /// The peer's address.
    pub(crate) fn address(&self) -> Result<SocketAddr, LinkError> {
        self.address
            .ok_or_else(|| LinkError::Io(std::io::Error::other("it has no address")))
    }

    /// Keeps the entries after `last` from being purged while a snapshot up to there is sent.
    pub(crate) fn pin(&self, last: Option<LogId>) -> SendingPin {
        let (sending, index) = (self.shared.sending.clone(), last.map_or(0, |last| last.index));
        *lock(&sending.0).entry(index).or_insert(0) += 1;
        SendingPin { sending, index }
    }

    /// Whom it leads to.
    pub(crate) fn target(&self) -> MemberId {
        self.target
    }

    /// Dials for `purpose`.
    pub(crate) async fn dial(&self, purpose: Purpose) -> Result<Connection, LinkError> {
        let hello = Hello {
            cluster: Some(self.shared.cluster),
            from: self.shared.id,
            to: Some(self.target),
            purpose,
        };
        Connection::dial(self.shared.detours.on_the_way_to(self.address()?), &hello).await
    }

    /// Makes the kept connection a good one: a new one if there is none, or one that owes answers to nobody.
    async fn connect(&mut self) -> Result<(), LinkError> {
        if std::mem::take(&mut self.owed) {
            self.connection = None;
        }
        if self.connection.is_none() {
            self.connection = Some(self.dial(self.purpose).await?);
            self.reached();
        }
        Ok(())
    }

    /// Says once that the peer is out of reach, and again from time to time.
    pub(crate) fn complain(&self, error: &LinkError) {
        let text = error.to_string();
        // However a connection breaks, it is the same trouble; a refusal has a reason of its own.
        let trouble = match error {
            LinkError::Refused(_) | LinkError::Reverted(_) | LinkError::Stranger(_) => text.clone(),
            _ => String::new(),
        };
        let mut last = lock(&self.state.complaint);
        let new = last
            .as_ref()
            .is_none_or(|(said, at)| *said != trouble || at.elapsed() >= COMPLAIN_EVERY);
        if !new {
            return;
        }
        let address = self.address.map(|a| a.to_string()).unwrap_or_default();
        warn!(peer = %self.target, %address, purpose = %self.purpose, "cannot talk to a member: {text}");
        *last = Some((trouble, Instant::now()));
    }

    fn reached(&self) {
        if lock(&self.state.complaint).take().is_some() {
            info!(peer = %self.target, "a member is reached again");
        }
    }

    /// Asks on a control connection that is kept between questions, and waits for the answer.
    async fn ask(&mut self, what: Question) -> Result<Reply, LinkError> {
        let kept = lock(&self.shared.idle).get_mut(&self.target).and_then(Vec::pop);
        if let Some(mut connection) = kept {
            match self.ask_on(&mut connection, what.clone()).await {
                Ok(reply) => {
                    self.keep(connection);
                    return Ok(reply);
                }
                // It may have been closed while it was idle: once more on a new one.
                Err(error) => {
                    debug!(peer = %self.target, "an idle connection was of no use: {error}")
                }
            }
        }
        let mut connection = self.dial(Purpose::Control).await?;
        self.reached();
        let reply = self.ask_on(&mut connection, what).await?;
        self.keep(connection);
        Ok(reply)
    }

    fn keep(&self, connection: Connection) {
        let mut idle = lock(&self.shared.idle);
        let kept = idle.entry(self.target).or_default();
        if kept.len() < IDLE_CONNECTIONS {
            kept.push(connection);
        }
    }

    async fn ask_on(&self, connection: &mut Connection, what: Question) -> Result<Reply, LinkError> {
        let id = self.shared.next_ask.fetch_add(1, Ordering::Relaxed);
        wire::push(&mut connection.writer.encoder, kind::ASK, &Ask { id, what });
        connection.writer.flush().await?;
        loop {
            let message = connection.reader.message().await?;
            if message.kind == kind::ALIVE {
                continue;
            }
            let answer: Answer = wire::read(&message, kind::ANSWER, "an answer")?;
            // An answer that was given up by a question before this one is passed over.
            if answer.id == id {
                return Ok(answer.what);
            }
        }
    }

    /// One heartbeat, on a connection of its own.
    async fn heartbeat(
        &mut self,
        request: AppendEntriesRequest<TypeConfig>,
    ) -> Result<AppendAnswer, LinkError> {
        self.connect().await?;
        let Some(mut connection) = self.connection.take() else {
            return Err(LinkError::Closed);
        };
        let matched = request.prev_log_id;
        let question = Question::Heartbeat(AppendHead::of(&request));
        // Taken out while it is used: a heartbeat that is given up halfway takes its connection with it.
        let reply = self.ask_on(&mut connection, question).await?;
        self.connection = Some(connection);
        match reply {
            Reply::Heartbeat(AppendAnswer::Conflict(at)) => Err(self.reverted(at, matched)),
            Reply::Heartbeat(answer) => Ok(answer),
            other => Err(unexpected(&other)),
        }
    }

    /// The peer has not got an entry that it had stored. It is told, so that it stops.
    fn reverted(&self, at: LogId, stored: Option<LogId>) -> LinkError {
        let mut link = Links(self.shared.clone()).link(
            self.target,
            &Peer {
                address: self.address,
            },
            Purpose::Control,
        );
        let lost = stored.unwrap_or(at);
        tokio::spawn(async move {
            if let Err(error) = link.ask(Question::Lost(lost)).await {
                debug!(peer = %link.target, "could not tell a member what it has lost: {error}");
            }
        });
        LinkError::Reverted(format!(
            "it has lost log entries that it had stored (entry {} is missing, {} was on its disk): its disk does not keep what \
             it syncs, or an old copy was put back. It must not go on: move its pier away and let it join anew from an \
             empty directory",
            at.index,
            stored.map_or(at.index, |stored| stored.index),
        ))
    }

    /// Checks an answer against what the peer is known to have.
    pub(super) fn judge(&self, answer: AppendAnswer) -> Result<StreamAppendResult<TypeConfig>, LinkError> {
        let mut known = lock(&self.state.stored);
        if known.0 != self.term {
            *known = (self.term, None);
        }
        match &answer {
            AppendAnswer::Stored(now) => known.1 = known.1.max(*now),
            // This leader's own log: whoever had a later entry of it had this one.
            AppendAnswer::Conflict(at) if known.1.is_some_and(|stored| *at <= stored) => {
                let stored = known.1;
                return Err(self.reverted(*at, stored));
            }
            AppendAnswer::Conflict(_) | AppendAnswer::Higher(_) => {}
        }
        Ok(answer.into())
    }
}

fn unexpected(reply: &Reply) -> LinkError {
    match reply {
        Reply::Failed(text) => LinkError::Io(std::io::Error::other(text.clone())),
        _ => LinkError::Wire(WireError::Kind {
            found: kind::ANSWER,
            expected: "an answer to this question",
        }),
    }
}

/// openraft backs off where a peer is out of reach, and tries again at once where only the connection broke.
pub(crate) fn rpc_error(link: &Link, error: &LinkError) -> RPCError<TypeConfig> {
    link.complain(error);
    match error {
        LinkError::Closed => RPCError::Network(NetworkError::new(error)),
        _ => RPCError::Unreachable(Unreachable::new(error)),
    }
}

impl NetBackoff<TypeConfig> for Link {
    fn backoff(&self) -> Option<Backoff> {
        let last = RETRY_PAUSES[RETRY_PAUSES.len() - 1];
        Some(Backoff::new(
            RETRY_PAUSES.into_iter().chain(std::iter::repeat(last)),
        ))
    }
}

impl NetVote<TypeConfig> for Link {
    async fn vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        vote_answer(self, Question::Vote(VoteAsk::of(&rpc))).await
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        vote_answer(self, Question::PreVote(VoteAsk::of(&rpc))).await
    }
}

async fn vote_answer(
    link: &mut Link,
    what: Question,
) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
    match link.ask(what).await {
        Ok(Reply::Vote { vote, granted, last }) => Ok(VoteResponse::new(vote, last, granted)),
        Ok(other) => Err(rpc_error(link, &unexpected(&other))),
        Err(error) => Err(rpc_error(link, &error)),
    }
}

impl VoteAsk {
    fn of(rpc: &VoteRequest<TypeConfig>) -> VoteAsk {
        VoteAsk {
            vote: rpc.vote,
            last: rpc.last_log_id,
            transfer: rpc.leadership_transfer,
        }
    }
}

impl NetTransferLeader<TypeConfig> for Link {
    async fn transfer_leader(
        &mut self,
        req: TransferLeaderRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RPCError<TypeConfig>> {
        let what = Question::Transfer {
            from: *req.from_leader(),
            to: *req.to_node_id(),
            last: req.last_log_id().copied(),
        };
        match self.ask(what).await {
            Ok(Reply::Transfer(Ok(()))) => Ok(Ok(())),
            Ok(Reply::Transfer(Err(text))) => {
                Err(rpc_error(self, &LinkError::Io(std::io::Error::other(text))))
            }
            Ok(other) => Err(rpc_error(self, &unexpected(&other))),
            Err(error) => Err(rpc_error(self, &error)),
        }
    }
}

type AppendStream<'s> = BoxStream<'s, Result<StreamAppendResult<TypeConfig>, RPCError<TypeConfig>>>;

impl NetStreamAppend<TypeConfig> for Link {
    fn stream_append<'s, S>(
        &'s mut self,
        mut input: S,
        _option: RPCOption,
    ) -> BoxFuture<'s, Result<AppendStream<'s>, RPCError<TypeConfig>>>
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
    {
        Box::pin(async move {
            if self.purpose == Purpose::Control {
                let Some(request) = input.next().await else {
                    return Ok(Box::pin(stream::empty()) as AppendStream<'s>);
                };
                let answer = self
                    .heartbeat(request)
                    .await
                    .map_err(|error| rpc_error(self, &error))?;
                return Ok(Box::pin(stream::iter([Ok(answer.into())])) as AppendStream<'s>);
            }
            // First a request, then the way: openraft's pause after a failure lies in the taking of a request.
            let Some(first) = input.next().await else {
                return Ok(Box::pin(stream::empty()) as AppendStream<'s>);
            };
            self.connect().await.map_err(|error| rpc_error(self, &error))?;
            let mut appending = Appending::new(self, stream::iter([first]).chain(input));
            let answers = stream::poll_fn(move |cx| appending.poll_answer(cx));
            Ok(Box::pin(answers.fuse()) as AppendStream<'s>)
        })
    }
}
