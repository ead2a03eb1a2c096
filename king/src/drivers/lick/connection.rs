//! One client's connection: a reader and a writer, each a task, both ended with the port.

use super::message::{self, Refusal};
use crate::limits;
use serf_ipc::{Noun, newt::Decoder};
use std::sync::Arc;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{Notify, mpsc},
    time::timeout,
};

/// What a port hears of its connections.
pub(super) enum Heard {
    /// A client said something.
    Message(Noun),
    /// The connection of this number is over.
    Closed(u64),
}

/// The way to a connection's client.
pub(super) struct Outbox {
    queue: mpsc::Sender<Noun>,
    hang_up: Arc<Notify>,
}

/// A connection's end of it.
pub(super) struct Inbox {
    queue: mpsc::Receiver<Noun>,
    hang_up: Arc<Notify>,
}

impl Outbox {
    /// An outbox, and what its connection reads.
    pub(super) fn new() -> (Outbox, Inbox) {
        let (sender, queue) = mpsc::channel(limits::LICK_WAITING);
        let hang_up = Arc::<Notify>::default();
        let inbox = Inbox {
            queue,
            hang_up: Arc::clone(&hang_up),
        };
        let outbox = Outbox {
            queue: sender,
            hang_up,
        };
        (outbox, inbox)
    }

    /// Sends what the ship says. A client that has too much waiting is hung up on: false.
    pub(super) fn send(&self, message: Noun) -> bool {
        let is_sent = self.queue.try_send(message).is_ok();
        if !is_sent {
            self.hang_up.notify_one();
        }
        is_sent
    }
}

/// Serves a client to the end of its connection, and tells the port.
pub(super) async fn serve(stream: UnixStream, number: u64, inbox: Inbox, port: mpsc::Sender<Heard>) {
    let (read, write) = stream.into_split();
    let mut writer = Writer {
        stream: write,
        outgoing: inbox.queue,
    };
    let ended = tokio::select! {
        ended = read_messages(read, &port) => ended,
        () = writer.run() => Ok(()),
        () = inbox.hang_up.notified() => Ok(()),
    };
    if let Err(refusal) = ended {
        let (code, words) = (refusal.code(), refusal.words());
        tracing::warn!(target: crate::console::TARGET, "lick: moor bail {code} {words}");
        // What is on its way to the client goes first, if it takes it.
        let _ = timeout(limits::LICK_LINGER, writer.refuse(refusal)).await;
    }
    let _ = port.send(Heard::Closed(number)).await;
}

/// Reads until the client has no more to say, or says what cannot be understood. While the ship is busy it is not read.
async fn read_messages(mut stream: OwnedReadHalf, port: &mpsc::Sender<Heard>) -> Result<(), Refusal> {
    let mut decoder = Decoder::new(limits::LICK_FRAME_BYTES);
    loop {
        while let Some(body) = decoder.next_body().map_err(|_| Refusal::NewtDecode)? {
            let message = if body.len() < limits::CONN_PARSE_BYTES {
                message::parse(body)?
            } else {
                let body = body.to_vec();
                // A thread that panicked, or a runtime that ends: the connection ends too.
                let parsed = tokio::task::spawn_blocking(move || message::parse(&body)).await;
                parsed.unwrap_or(Err(Refusal::CueNone))?
            };
            if port.send(Heard::Message(message)).await.is_err() {
                return Ok(());
            }
        }
        match stream.read(decoder.space()).await {
            Ok(0) => return Ok(()),
            Ok(count) => decoder.filled(count),
            Err(error) => {
                tracing::debug!(target: "lick", %error, "the client is gone");
                return Ok(());
            }
        }
    }
}

struct Writer {
    stream: OwnedWriteHalf,
    outgoing: mpsc::Receiver<Noun>,
}

impl Writer {
    /// Writes what the ship says, until the client is gone or the port lets go of it.
    async fn run(&mut self) {
        while let Some(message) = self.outgoing.recv().await {
            if !self.write(&message).await {
                return;
            }
        }
    }

    async fn refuse(&mut self, refusal: Refusal) {
        while let Ok(message) = self.outgoing.try_recv() {
            if !self.write(&message).await {
                return;
            }
        }
        if self.write(&refusal.to_noun()).await {
            let _ = self.stream.shutdown().await;
        }
    }

    async fn write(&mut self, message: &Noun) -> bool {
        match message::frame(message) {
            Ok(frame) => self.stream.write_all(&frame).await.is_ok(),
            Err(error) => {
                tracing::error!(%error, "lick: what the ship says does not fit into a frame; hanging up");
                false
            }
        }
    }
}
