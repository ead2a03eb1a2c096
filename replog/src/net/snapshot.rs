//! A snapshot's way to another member: the newest epoch, on a connection of its own.
//!
//! | kind | message | body | from |
//! | --- | --- | --- | --- |
//! | 64 | offer | [`Offer`] | leader |
//! | 65 | progress | [`Held`]: what is there of it, also from an earlier attempt | follower |
//! | 66 | image | file (4), offset (8), bytes | leader |
//! | 67 | events | a log record of kind 3 (see `raft::record`) | leader |
//! | 68 | whole | empty | leader |
//! | 69 | installed | the follower's vote | follower |
//! | 70 | failed | text | follower |
//!
//! The leader sends what the follower has not got: images, then events. The follower checks all of it (`store`), installs it
//! through Raft, and answers. A broken transfer goes on where it ended.

use crate::{
    net::{
        connection::{Connection, LinkError, Reader, Writer},
        frame::Message,
        limits::{
            ALIVE_EVERY, MAX_FRAME_BODY, MAX_SNAPSHOT_MESSAGE, PROGRESS_EVERY, SILENCE, SNAPSHOT_EVENTS,
            SNAPSHOT_EVENTS_BYTES,
        },
        link::{Link, rpc_error},
        server::Server,
        wire::{self, Purpose, WireError, kind},
    },
    raft::{
        config::{Command, Entry, Payload, TypeConfig, Vote, log_id},
        machine::{Place, SnapshotData},
        record,
    },
    simulated,
    store::event_log::{EpochSnapshot, EventLog, IncomingEpoch, IncomingError, SnapshotHead},
    types::{Batch, MemberId, Term},
};
use bytes::{Buf, Bytes};
use openraft::{
    OptionalSend,
    entry::RaftEntry,
    errors::{ReplicationClosed, StreamingError},
    network::{NetSnapshot, RPCOption},
    raft::SnapshotResponse,
    storage::Snapshot,
    type_config::alias::SnapshotOf,
};
use seguro_event::EventNumber;
use serde::{Deserialize, Serialize};
use std::{future::Future, sync::Arc};
use tokio::time::{Instant, interval, timeout};
use tracing::{info, warn};

const OFFER: u8 = 64;
const PROGRESS: u8 = 65;
const IMAGE: u8 = 66;
const EVENTS: u8 = 67;
const WHOLE: u8 = 68;
const INSTALLED: u8 = 69;
const FAILED: u8 = 70;

/// Bytes before an image's bytes in a message.
const IMAGE_HEAD: usize = 12;

/// What the leader offers.
#[derive(Debug, Serialize, Deserialize)]
struct Offer {
    vote: Vote,
    head: SnapshotHead,
}

/// What the follower holds of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Held {
    /// Bytes of each image, in the offer's order.
    images: Vec<u64>,
    /// The last event.
    last: EventNumber,
}

// ---------------------------------------------------------------------------------------------------------------
// The leader's side

impl NetSnapshot<TypeConfig> for Link {
    type SnapshotData = SnapshotData;

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: SnapshotOf<TypeConfig, SnapshotData>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let SnapshotData::Outgoing(log) = snapshot.snapshot else {
            return Err(ReplicationClosed::new("only a snapshot of this member's own can be sent").into());
        };
        let pin = self.pin(snapshot.meta.last_log_id);
        let sent = tokio::select! {
            closed = cancel => return Err(closed.into()),
            sent = send(self, vote, log) => sent,
        };
        drop(pin);
        sent.map(SnapshotResponse::new)
            .map_err(|error| rpc_error(self, &error).into())
    }
}

async fn send(link: &Link, vote: Vote, log: EventLog) -> Result<Vote, LinkError> {
    let connection = link.dial(Purpose::Snapshot).await?;
    let Connection {
        mut reader,
        mut writer,
    } = connection;
    reader.set_limit(MAX_SNAPSHOT_MESSAGE);
    log.sync().await.map_err(io_error)?;
    let snapshot = blocking(move || log.snapshot().map_err(io_error)).await?;
    let Some(snapshot) = snapshot else {
        return Err(io_error("there is nothing to make a snapshot of yet"));
    };
    let snapshot = Arc::new(snapshot);
    let head = snapshot.head().clone();
    info!(
        peer = %link.target(),
        epoch = %head.epoch,
        last = %head.last(),
        mib = total_bytes(&head) / (1024 * 1024),
        "sending a snapshot"
    );
    wire::push(
        &mut writer.encoder,
        OFFER,
        &Offer {
            vote,
            head: head.clone(),
        },
    );
    writer.flush().await?;
    let held: Held = wire::read(
        &due(&mut reader).await?,
        PROGRESS,
        "what the other side holds of the snapshot",
    )?;
    // What it says while it receives is heard at the same time: it may give up.
    let said = tokio::select! {
        said = verdict(&mut reader) => said?,
        sent = send_rest(&mut writer, &snapshot, held) => {
            sent?;
            verdict(&mut reader).await?
        }
    };
    info!(peer = %link.target(), epoch = %head.epoch, last = %head.last(), "the snapshot is installed there");
    Ok(said)
}

impl Held {
    /// Refuses a peer that says that it holds what was not offered.
    fn check(&self, head: &SnapshotHead) -> Result<(), LinkError> {
        if self.last >= head.epoch && self.last <= head.last() {
            return Ok(());
        }
        Err(io_error(format!(
            "it says that it holds events up to {}, but those from {} to {} were offered",
            self.last,
            head.epoch.next(),
            head.last()
        )))
    }
}

async fn send_rest(writer: &mut Writer, snapshot: &Arc<EpochSnapshot>, held: Held) -> Result<(), LinkError> {
    let head = snapshot.head().clone();
    held.check(&head)?;
    for (nth, image) in head.images.iter().enumerate() {
        let mut offset = held.images.get(nth).copied().unwrap_or(0);
        while offset < image.length {
            let (snapshot, name) = (Arc::clone(snapshot), image.name.clone());
            let bytes = blocking(move || {
                let mut bytes = vec![0; MAX_FRAME_BODY - IMAGE_HEAD];
                let count = snapshot.read_image(&name, offset, &mut bytes).map_err(io_error)?;
                bytes.truncate(count);
                Ok(bytes)
            })
            .await?;
            if bytes.is_empty() {
                return Err(io_error(format!(
                    "the epoch's {} is shorter than it was",
                    image.name
                )));
            }
            writer.encoder.push(IMAGE, |out| {
                out.extend_from_slice(&(nth as u32).to_le_bytes());
                out.extend_from_slice(&offset.to_le_bytes());
                out.extend_from_slice(&bytes);
            });
            offset += bytes.len() as u64;
            writer.flush().await?;
        }
    }
    let mut next = held.last.next();
    while next <= head.last() {
        let snapshot = Arc::clone(snapshot);
        let events = blocking(move || {
            snapshot
                .read_events(next, SNAPSHOT_EVENTS, SNAPSHOT_EVENTS_BYTES)
                .map_err(io_error)
        })
        .await?;
        let batch = Batch::new(events).map_err(io_error)?;
        next = batch.last().next();
        let payload = Payload::Normal(Command::Events {
            proposer: Term(0),
            batch,
        });
        wire::push_record(
            &mut writer.encoder,
            EVENTS,
            &Entry::new(log_id(Term(0), 0), payload),
        );
        writer.flush().await?;
    }
    writer.encoder.push(WHOLE, |_| {});
    writer.flush().await
}

/// What the follower says in the end; that it is alive until then.
async fn verdict(reader: &mut Reader) -> Result<Vote, LinkError> {
    loop {
        let message = due(reader).await?;
        match message.kind {
            kind::ALIVE => {}
            INSTALLED => return Ok(wire::read(&message, INSTALLED, "that the snapshot is installed")?),
            FAILED => {
                let text: String = wire::read(&message, FAILED, "why the snapshot is not taken")?;
                return Err(io_error(format!("it could not take the snapshot: {text}")));
            }
            found => {
                return Err(WireError::Kind {
                    found,
                    expected: "a word on the snapshot",
                }
                .into());
            }
        }
    }
}

async fn due(reader: &mut Reader) -> Result<Message, LinkError> {
    timeout(SILENCE, reader.message())
        .await
        .map_err(|_| LinkError::Silent(SILENCE))?
}

fn total_bytes(head: &SnapshotHead) -> u64 {
    head.images.iter().map(|image| image.length).sum()
}

fn io_error(error: impl ToString) -> LinkError {
    LinkError::Io(std::io::Error::other(error.to_string()))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LinkError> + Send + 'static,
) -> Result<T, LinkError> {
    simulated::blocking(work).await.unwrap_or(Err(LinkError::Closed))
}

// ---------------------------------------------------------------------------------------------------------------
// The follower's side

/// Receives a snapshot, has it installed, and answers.
pub(crate) async fn receive(
    server: Arc<Server>,
    connection: Connection,
    from: MemberId,
) -> Result<(), LinkError> {
    let Connection {
        mut reader,
        mut writer,
    } = connection;
    reader.set_limit(MAX_SNAPSHOT_MESSAGE);
    let offer: Offer = wire::read(&due(&mut reader).await?, OFFER, "an offer of a snapshot")?;
    server.check_leader(&offer.vote, from)?;
    let Some(_turn) = server.receiving.begin(offer.vote).await else {
        wire::push(
            &mut writer.encoder,
            FAILED,
            &"another snapshot is being received".to_owned(),
        );
        return writer.flush().await;
    };
    match take(&server, &mut reader, &mut writer, offer).await {
        Ok(vote) => wire::push(&mut writer.encoder, INSTALLED, &vote),
        Err(TakeError::Link(error)) => return Err(error),
        Err(TakeError::Refused(text)) => {
            warn!(peer = %from, "a snapshot was not taken: {text}");
            wire::push(&mut writer.encoder, FAILED, &text);
        }
    }
    writer.flush().await
}

/// Why a snapshot was not taken.
enum TakeError {
    /// The conversation broke: what is there stays for another attempt.
    Link(LinkError),
    /// The leader is to know why.
    Refused(String),
}

impl<E: Into<LinkError>> From<E> for TakeError {
    fn from(error: E) -> TakeError {
        TakeError::Link(error.into())
    }
}

fn refused(error: impl ToString) -> TakeError {
    TakeError::Refused(error.to_string())
}

async fn take(
    server: &Server,
    reader: &mut Reader,
    writer: &mut Writer,
    offer: Offer,
) -> Result<Vote, TakeError> {
    let Offer { vote, head } = offer;
    let place = Place::read(&head.raft).map_err(refused)?;
    let Some(last_log_id) = place.applied else {
        return Err(refused("it is of no place in Raft's log"));
    };
    if last_log_id.leader_id.term > vote.leader_id.term {
        return Err(refused("it is of a later term than its leader"));
    }
    if head.ship != server.registrar.ship {
        return Err(refused("it is another ship's"));
    }
    if let Some(own) = server.holds(last_log_id).await.map_err(refused)? {
        // Nothing of it is missing: nothing is sent but that it is whole.
        let held = Held {
            images: head.images.iter().map(|image| image.length).collect(),
            last: head.last(),
        };
        wire::push(&mut writer.encoder, PROGRESS, &held);
        writer.flush().await?;
        whole(server, vote, reader).await?;
        return Ok(own);
    }
    let pier = server.pier.clone();
    let incoming = work(move || IncomingEpoch::begin(&pier, head, simulated::faults())).await?;
    let held = Held {
        images: incoming.image_lengths(),
        last: incoming.last(),
    };
    let goal = total_bytes(incoming.head());
    info!(
        epoch = %incoming.head().epoch,
        last = %incoming.head().last(),
        held_mib = held.images.iter().sum::<u64>() / (1024 * 1024),
        mib = goal / (1024 * 1024),
        "receiving a snapshot from the leader"
    );
    wire::push(&mut writer.encoder, PROGRESS, &held);
    writer.flush().await?;
    let incoming = fill(server, vote, reader, writer, incoming).await?;
    // Checking a large image takes its time, and so does installing it.
    let installed = async {
        let complete = work(move || incoming.complete()).await?;
        if let Some(own) = server.holds(last_log_id).await.map_err(refused)? {
            return Ok(own);
        }
        let snapshot = Snapshot {
            meta: place.meta(),
            snapshot: SnapshotData::Incoming(Box::new(complete)),
        };
        let response = server
            .raft
            .install_full_snapshot(vote, snapshot)
            .await
            .map_err(refused)?;
        Ok(response.vote)
    };
    while_alive(writer, installed).await
}

/// The next part from the leader with this vote, unless a later one's snapshot goes before. What was received so far is on disk, for
/// another attempt.
async fn part(server: &Server, vote: Vote, reader: &mut Reader) -> Result<Message, LinkError> {
    tokio::select! {
        biased;
        () = server.receiving.overtaken(vote) => Err(io_error("a later leader offers a snapshot")),
        message = due(reader) => message,
    }
}

/// Waits until the leader says that all is sent, of a snapshot of which nothing was missing.
async fn whole(server: &Server, vote: Vote, reader: &mut Reader) -> Result<(), LinkError> {
    loop {
        match part(server, vote, reader).await?.kind {
            WHOLE => return Ok(()),
            kind::ALIVE => {}
            found => {
                return Err(WireError::Kind {
                    found,
                    expected: "the end of a snapshot",
                }
                .into());
            }
        }
    }
}

/// Takes messages until the leader says that all is sent.
async fn fill(
    server: &Server,
    vote: Vote,
    reader: &mut Reader,
    writer: &mut Writer,
    mut incoming: IncomingEpoch,
) -> Result<IncomingEpoch, TakeError> {
    let mut told = Instant::now();
    loop {
        let message = part(server, vote, reader).await?;
        server_alive(writer, &mut told, &incoming).await?;
        incoming = match message.kind {
            IMAGE => {
                let mut body = message.body;
                let (Ok(nth), Ok(offset)) = (body.try_get_u32_le(), body.try_get_u64_le()) else {
                    return Err(WireError::Append("a piece of an image without a head").into());
                };
                write(incoming, move |incoming| {
                    incoming.write_image(nth as usize, offset, &body)
                })
                .await?
            }
            EVENTS => {
                let batch = read_events(message.body)?;
                write(incoming, move |incoming| incoming.append(batch.events())).await?
            }
            WHOLE => return Ok(incoming),
            kind::ALIVE => incoming,
            found => {
                return Err(WireError::Kind {
                    found,
                    expected: "a part of a snapshot",
                }
                .into());
            }
        };
    }
}

fn read_events(body: Bytes) -> Result<Batch, WireError> {
    match record::decode(body)?.payload {
        Payload::Normal(Command::Events { batch, .. }) => Ok(batch),
        _ => Err(WireError::Append("without events, in a snapshot")),
    }
}

/// Says from time to time how far it is: to the log, and that this member is alive to the leader.
async fn server_alive(
    writer: &mut Writer,
    told: &mut Instant,
    incoming: &IncomingEpoch,
) -> Result<(), LinkError> {
    if told.elapsed() < PROGRESS_EVERY {
        return Ok(());
    }
    *told = Instant::now();
    let bytes: u64 = incoming.image_lengths().iter().sum();
    info!(
        mib = bytes / (1024 * 1024),
        of_mib = total_bytes(incoming.head()) / (1024 * 1024),
        event = %incoming.last(),
        of = %incoming.head().last(),
        "receiving a snapshot"
    );
    writer.encoder.push(kind::ALIVE, |_| {});
    writer.flush().await
}

/// Says that this member is alive while it works.
async fn while_alive<T>(
    writer: &mut Writer,
    work: impl Future<Output = Result<T, TakeError>>,
) -> Result<T, TakeError> {
    let mut work = std::pin::pin!(work);
    let mut alive = interval(ALIVE_EVERY);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            _ = alive.tick() => {
                writer.encoder.push(kind::ALIVE, |_| {});
                writer.flush().await?;
            }
        }
    }
}

/// Writing blocks: not on the thread that heartbeats need.
async fn work<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, IncomingError> + Send + 'static,
) -> Result<T, TakeError> {
    match simulated::blocking(work).await {
        Some(done) => done.map_err(refused),
        None => Err(TakeError::Link(LinkError::Closed)),
    }
}

async fn write(
    mut incoming: IncomingEpoch,
    write: impl FnOnce(&mut IncomingEpoch) -> Result<(), IncomingError> + Send + 'static,
) -> Result<IncomingEpoch, TakeError> {
    work(move || write(&mut incoming).map(|()| incoming)).await
}

/// Reads a body as each of a snapshot's messages.
pub(crate) fn fuzz(body: &Bytes) {
    let _ = crate::raft::codec::decode::<Offer>("an offer", body);
    let _ = crate::raft::codec::decode::<Held>("what is held", body);
    let _ = read_events(body.clone());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{store::event_log::LogHash, types::ShipIdentity};

    #[test]
    fn what_was_not_offered_is_not_held() {
        let ship = ShipIdentity {
            who: 0,
            fake: true,
            life: 2,
        };
        let head = SnapshotHead {
            epoch: EventNumber(10),
            ship,
            vere_version: "3.5".to_owned(),
            images: Vec::new(),
            base: LogHash::starting_after(EventNumber(10)),
            hash: LogHash::starting_after(EventNumber(12)),
            raft: Bytes::new(),
        };
        let check = |last| {
            let held = Held {
                images: Vec::new(),
                last: EventNumber(last),
            };
            held.check(&head).is_ok()
        };
        assert!(check(10) && check(11) && check(12));
        assert!(!check(9) && !check(13) && !check(u64::MAX));
    }
}
