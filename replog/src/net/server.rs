//! The listener: takes connections of other members and puts their questions to Raft.

use crate::{
    net::{
        connection::{Connection, LinkError},
        join::Registrar,
        limits::{ALIVE_EVERY, CONTROL_IN_FLIGHT, MAX_APPEND_BYTES, MAX_CONNECTIONS},
        receiving::Receiving,
        snapshot,
        stream::{Listener, Stream},
        wire::{
            self, Answer, AppendAnswer, AppendHead, Ask, Hello, Purpose, Question, Refusal, Reply, VoteAsk,
            WireError, check_append, kind,
        },
    },
    raft::{
        Raft,
        board::Board,
        config::{ClusterId, Entry, LogId, TypeConfig, Vote},
        limits::INLINE_DECODE_BYTES,
    },
    simulated,
    store::{failure::EXIT_CORRUPT, raft_log::RaftLog},
    types::MemberId,
};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream, stream::FuturesUnordered};
use openraft::{
    async_runtime::watch::WatchReceiver,
    raft::{AppendEntriesRequest, TransferLeaderRequest, VoteRequest, VoteResponse},
};
use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    sync::Semaphore,
    time::{Instant, MissedTickBehavior, interval},
};
use tracing::{debug, info, warn};

/// What the listener works with.
#[derive(Debug)]
pub(crate) struct Server {
    /// This member.
    pub(crate) id: MemberId,
    /// Its cluster.
    pub(crate) cluster: ClusterId,
    /// Its Raft.
    pub(crate) raft: Raft,
    /// Its Raft log.
    pub(crate) raft_log: RaftLog,
    /// Its directory, where a snapshot is received.
    pub(crate) pier: PathBuf,
    /// No vote is given before: a member that was restarted has forgotten whom it owes its lease.
    pub(crate) votes_from: Instant,
    /// When a leader was last heard.
    pub(crate) leader_heard: Arc<Mutex<Instant>>,
    /// Takes in those who want to join.
    pub(crate) registrar: Registrar,
    /// Whose snapshot is received.
    pub(crate) receiving: Receiving,
    /// Where it is told that this member must stop.
    pub(crate) board: Arc<Board>,
}

/// Takes connections until it is dropped.
pub(crate) async fn listen(mut listener: Listener, server: Arc<Server>) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut complaints = Complaints::default();
    let mut connections: tokio::task::JoinSet<Option<String>> = tokio::task::JoinSet::new();
    loop {
        let (stream, address) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    complaints.say(&format!("cannot take a connection: {error}"));
                    // Out of file descriptors, most likely: others are being closed meanwhile.
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
            Some(ended) = connections.join_next() => {
                if let Some(text) = ended.unwrap_or_else(|error| Some(format!("a connection's task has failed: {error}"))) {
                    complaints.say(&text);
                }
                continue;
            }
        };
        let permit = Arc::clone(&room).try_acquire_owned();
        let server = Arc::clone(&server);
        connections.spawn(async move {
            let full = permit.is_err();
            let _permit = permit;
            match serve(server, stream, full).await {
                Ok(()) => None,
                Err(error) if error.is_quiet() => {
                    debug!(%address, "a connection ended: {error}");
                    None
                }
                Err(error) => Some(format!("closed a connection from {}: {error}", address.ip())),
            }
        });
    }
}

/// A pause after a connection could not be taken.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Warnings, each once in a while.
#[derive(Debug, Default)]
struct Complaints {
    said: Option<(String, Instant)>,
}

impl Complaints {
    fn say(&mut self, text: &str) {
        let fresh = self
            .said
            .as_ref()
            .is_none_or(|(said, at)| said != text || at.elapsed() >= crate::net::limits::COMPLAIN_EVERY);
        if fresh {
            warn!("{text}");
            self.said = Some((text.to_owned(), Instant::now()));
        }
    }
}

async fn serve(server: Arc<Server>, stream: Stream, full: bool) -> Result<(), LinkError> {
    let (mut connection, hello) = Connection::accept(stream).await?;
    if let Some(refusal) = server.judge(&hello, full) {
        return connection.refuse(&refusal).await;
    }
    connection.welcome(server.id).await?;
    debug!(peer = %hello.from, purpose = %hello.purpose, "a member connected");
    match hello.purpose {
        Purpose::Log => serve_log(server, connection, hello.from).await,
        Purpose::Control => serve_control(server, connection, hello.from).await,
        Purpose::Snapshot => snapshot::receive(server, connection, hello.from).await,
        Purpose::Join => server.registrar.serve(connection).await,
    }
}

impl Server {
    /// Why the dialer is not welcome.
    fn judge(&self, hello: &Hello, full: bool) -> Option<Refusal> {
        if full {
            return Some(Refusal::Full);
        }
        if hello.cluster.is_some_and(|cluster| cluster != self.cluster)
            || (hello.cluster.is_none() && hello.purpose != Purpose::Join)
        {
            return Some(Refusal::Cluster(self.cluster));
        }
        if hello.to.is_some_and(|to| to != self.id) || (hello.to.is_none() && hello.purpose != Purpose::Join)
        {
            return Some(Refusal::NotMe(self.id));
        }
        None
    }

    fn hear_leader(&self) {
        *self
            .leader_heard
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = Instant::now();
    }

    /// The leader says that this member has lost an entry that it had stored.
    fn check_loss(&self, from: MemberId, entry: LogId) {
        let leader = self.raft.server_metrics().borrow_watched().current_leader;
        let last = self.raft.data_metrics().borrow_watched().last_log;
        if leader == Some(from) && last < Some(entry) {
            self.board.fail(
                format!(
                    "this member's Raft log ends with entry {}, but the leader was told that entry {} was on its disk: the disk \
                     does not keep what it syncs, or an old copy was put back. This member's votes cannot be trusted: move the \
                     pier away and let it join anew from an empty directory",
                    last.map_or(0, |last| last.index),
                    entry.index
                ),
                EXIT_CORRUPT,
            );
        }
    }

    /// This member's vote, if its log holds all that a snapshot up to `last` does. What is in a snapshot is committed, so whatever log ends
    /// there or later has it: it is kept, with what follows in it (Raft paper, figure 13, rule 6). openraft would install the
    /// snapshot all the same, and take its own log to end earlier than it does.
    pub(crate) async fn holds(&self, last: LogId) -> std::io::Result<Option<Vote>> {
        let holds = self.raft_log.reaches(last).await?;
        Ok(holds.then(|| self.raft.server_metrics().borrow_watched().vote))
    }

    /// A leader speaks for itself.
    pub(crate) fn check_leader(&self, vote: &Vote, from: MemberId) -> Result<(), WireError> {
        if vote.committed && vote.leader_id.voted_for == from {
            Ok(())
        } else {
            Err(WireError::Append("in the name of another member"))
        }
    }
}

/// Entries: read from the socket straight into Raft, answered as they reach the disk.
async fn serve_log(server: Arc<Server>, connection: Connection, from: MemberId) -> Result<(), LinkError> {
    let Connection {
        mut reader,
        mut writer,
    } = connection;
    reader.set_limit(MAX_APPEND_BYTES);
    // Where the reading half leaves what went wrong.
    let wrong: Arc<Mutex<Option<LinkError>>> = Arc::default();
    let requests = {
        let (server, wrong) = (Arc::clone(&server), Arc::clone(&wrong));
        stream::unfold(reader, move |mut reader| {
            let (server, wrong) = (Arc::clone(&server), Arc::clone(&wrong));
            async move {
                match next_request(&mut reader, &server, from).await {
                    Ok(request) => Some((request, reader)),
                    Err(error) => {
                        *wrong.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(error);
                        None
                    }
                }
            }
        })
    };
    let mut answers = Box::pin(server.raft.stream_append(requests).fuse());
    let mut alive = interval(ALIVE_EVERY);
    alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            answer = answers.next() => {
                let Some(answer) = answer else { break };
                let Ok(answer) = answer else { return Err(LinkError::Closed) };
                wire::push(&mut writer.encoder, kind::APPENDED, &AppendAnswer::from(answer));
                // Others that are ready go with it.
                while let Some(Some(Ok(answer))) = answers.next().now_or_never() {
                    wire::push(&mut writer.encoder, kind::APPENDED, &AppendAnswer::from(answer));
                }
                alive.reset();
            }
            _ = alive.tick() => writer.encoder.push(kind::ALIVE, |_| {}),
        }
        writer.flush().await?;
    }
    let wrong = wrong
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .take();
    wrong.map_or(Ok(()), Err)
}

async fn next_request(
    reader: &mut crate::net::connection::Reader,
    server: &Server,
    from: MemberId,
) -> Result<AppendEntriesRequest<TypeConfig>, LinkError> {
    let message = reader.message().await?;
    let request = if message.body.len() <= INLINE_DECODE_BYTES {
        wire::read_append(&message)?
    } else {
        // A checksum over a large entry takes long enough to be noticed by the heartbeats of this thread.
        let reading = simulated::blocking(move || wire::read_append(&message));
        reading.await.ok_or(LinkError::Closed)??
    };
    server.check_leader(&request.vote, from)?;
    server.hear_leader();
    Ok(request)
}

/// Heartbeats and votes: several at a time, since a vote waits for the disk and a heartbeat must not wait for it.
async fn serve_control(server: Arc<Server>, connection: Connection, from: MemberId) -> Result<(), LinkError> {
    let Connection {
        mut reader,
        mut writer,
    } = connection;
    let mut working: FuturesUnordered<BoxFuture<'static, Answer>> = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some(answer) = working.next(), if !working.is_empty() => {
                wire::push(&mut writer.encoder, kind::ANSWER, &answer);
                writer.flush().await?;
            }
            message = reader.message() => {
                let ask: Ask = wire::read(&message?, kind::ASK, "a question")?;
                if working.len() >= CONTROL_IN_FLIGHT {
                    return Err(LinkError::Wire(WireError::Append("too many questions at a time")));
                }
                check_question(&server, &ask.what, from)?;
                let server = Arc::clone(&server);
                working.push(Box::pin(async move {
                    let what = answer(&server, ask.what, from).await.unwrap_or_else(Reply::Failed);
                    Answer { id: ask.id, what }
                }));
            }
        }
    }
}

/// What openraft takes for granted of a question.
fn check_question(server: &Server, question: &Question, from: MemberId) -> Result<(), WireError> {
    match question {
        Question::Heartbeat(head) => {
            if head.entries != 0 {
                return Err(WireError::Append("with entries, on a control connection"));
            }
            server.check_leader(&head.vote, from)?;
            check_append(&head.clone().request(Vec::new()))
        }
        Question::Vote(ask) | Question::PreVote(ask) => {
            if ask.vote.committed || ask.vote.leader_id.voted_for != from {
                return Err(WireError::Append("for a vote that is not the candidate's own"));
            }
            Ok(())
        }
        Question::Transfer { from: vote, .. } => server.check_leader(vote, from),
        Question::Lost(_) | Question::Near => Ok(()),
    }
}

async fn answer(server: &Server, question: Question, from: MemberId) -> Result<Reply, String> {
    match question {
        Question::Heartbeat(head) => Ok(Reply::Heartbeat(heartbeat(server, head).await?)),
        Question::Vote(ask) => {
            if let Some(reply) = too_early(server, &ask).await? {
                return Ok(reply);
            }
            vote_reply(server.raft.vote(ask.request()).await)
        }
        Question::PreVote(ask) => {
            if let Some(reply) = too_early(server, &ask).await? {
                return Ok(reply);
            }
            vote_reply(server.raft.pre_vote(ask.request()).await)
        }
        Question::Transfer { from, to, last } => {
            let request = TransferLeaderRequest::new(from, to, last);
            let taken = server
                .raft
                .handle_transfer_leader(request)
                .await
                .map_err(|error| error.to_string())?;
            Ok(Reply::Transfer(taken.map_err(|error| error.to_string())))
        }
        Question::Lost(entry) => {
            server.check_loss(from, entry);
            Ok(Reply::Lost)
        }
        Question::Near => Ok(Reply::Near(!*server.board.hold_back.borrow())),
    }
}

fn vote_reply<E: std::fmt::Display>(response: Result<VoteResponse<TypeConfig>, E>) -> Result<Reply, String> {
    let response = response.map_err(|error| error.to_string())?;
    Ok(Reply::Vote {
        vote: response.vote,
        granted: response.vote_granted,
        last: response.last_log_id,
    })
}

/// A vote is refused while a leader that this member followed before its restart may still count on its lease.
async fn too_early(server: &Server, ask: &VoteAsk) -> Result<Option<Reply>, String> {
    if ask.transfer || Instant::now() >= server.votes_from {
        return Ok(None);
    }
    info!(candidate = %ask.vote.leader_id.voted_for, "no vote so shortly after the start: a leader may hold its lease");
    let vote = server
        .raft
        .with_raft_state(|state| *state.vote_ref())
        .await
        .map_err(|error| error.to_string())?;
    // The last entry is not told: a candidate that sees a longer log waits longer, and this one is not against it.
    Ok(Some(Reply::Vote {
        vote,
        granted: false,
        last: None,
    }))
}

impl VoteAsk {
    fn request(&self) -> VoteRequest<TypeConfig> {
        VoteRequest {
            vote: self.vote,
            last_log_id: self.last,
            leadership_transfer: self.transfer,
        }
    }
}

/// A heartbeat is answered when this member follows that leader, whatever its disk is busy with. openraft itself answers only
/// when all entries so far are synced: behind a large one that takes seconds, and the leader would think itself alone.
/// The leader takes from a heartbeat's answer that it is followed, and nothing about entries.
async fn heartbeat(server: &Server, head: AppendHead) -> Result<AppendAnswer, String> {
    server.hear_leader();
    let (vote, prev) = (head.vote, head.prev);
    let appended = server.raft.append_entries(head.request(Vec::<Entry>::new()));
    // Asked after the heartbeat and answered in order: by then Raft has taken it.
    let followed = async {
        match server
            .raft
            .with_raft_state(move |state| *state.vote_ref() == vote)
            .await
        {
            Ok(true) => Ok(()),
            Ok(false) => std::future::pending().await,
            Err(error) => Err(error.to_string()),
        }
    };
    tokio::select! {
        biased;
        answer = appended => {
            use openraft::raft::AppendEntriesResponse as Response;
            Ok(match answer.map_err(|error| error.to_string())? {
                Response::Success => AppendAnswer::Stored(prev),
                Response::PartialSuccess(stored) => AppendAnswer::Stored(stored),
                Response::HigherVote(higher) => AppendAnswer::Higher(higher),
                Response::Conflict => match prev {
                    Some(prev) => AppendAnswer::Conflict(prev),
                    None => return Err("a conflict before the first entry".to_owned()),
                },
            })
        }
        followed = followed => followed.map(|()| AppendAnswer::Stored(prev)),
    }
}
