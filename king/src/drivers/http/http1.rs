//! A connection that speaks HTTP/1: requests in, responses out, one after the other.

use super::{
    chunked::{Broken, Decoded, Decoder},
    connection::Client,
    head::{self, Asked, Connection as Keeping},
    http2,
    inquiry::{self, Inquiry},
    memory::Memory,
    peer::{Ending, Peer, Responding},
    reply::{BARE_BAD_REQUEST, Reply},
    request::{self, BodyFraming, Head, Parsed},
    server::{Service, until},
    socket::Socket,
    wire::RequestId,
};
use crate::limits::{HTTP_BODY_BYTES, HTTP_HEAD_BYTES, HTTP_READ_BYTES};
use bytes::{Buf, BytesMut};
use std::sync::Arc;
use tokio::{
    io::AsyncReadExt,
    time::{Instant, sleep_until},
};

/// Read at a time from a body.
const BODY_READ_BYTES: usize = 64 << 10;
/// A connection that speaks HTTP/1.1, or 1.0.
pub(crate) struct Http1 {
    client: Client,
    peer: Peer,
    /// Read, and not yet used.
    input: BytesMut,
    memory: Memory,
    /// Whether it has had a request.
    is_used: bool,
}

/// Why there is no request.
enum Unread {
    /// The client is gone, or too slow, or not awaited any more.
    Gone,
    /// What came is HTTP/2, by a client that knew beforehand that it is spoken here.
    Preface,
    /// What came is not HTTP.
    Bare,
    /// What came is not taken.
    Refused(&'static Reply),
}

impl Http1 {
    /// A connection that was just accepted.
    pub(crate) fn new(socket: Socket, client: Client) -> Http1 {
        Http1 {
            peer: Peer {
                socket,
                service: client.service(),
                bounds: client.shared.bounds,
            },
            input: BytesMut::new(),
            memory: Memory::new(Arc::clone(&client.shared.memory)),
            is_used: false,
            client,
        }
    }

    /// Serves it to its end.
    pub(crate) async fn run(mut self) {
        let ending = loop {
            let head = match self.read_head().await {
                Ok(head) => head,
                Err(Unread::Preface) => {
                    self.peer.socket.unread(self.input.freeze());
                    return http2::serve(self.peer.socket, self.client).await;
                }
                Err(unread) => break self.refuse(unread, false).await,
            };
            let body = match self.read_body(&head).await {
                Ok(body) => body,
                Err(unread) => break self.refuse(unread, head.is_head()).await,
            };
            if self.input.is_empty() {
                // An event stream may last for days.
                self.input = BytesMut::new();
            }
            self.is_used = true;
            let asked = self.asked(&head);
            let inquiry = Inquiry {
                head,
                body,
                memory: self.memory.take(),
            };
            let mut responder = Responding {
                peer: &mut self.peer,
                asked,
            };
            let answered = inquiry.answer(&self.client, &mut responder).await;
            match (answered.end, answered.owed) {
                (Ok(Keeping::KeepAlive), None) => {}
                (Ok(Keeping::KeepAlive), Some(id)) => inquiry::cancel(&self.client.shared.intake, id).await,
                (Ok(Keeping::Close), Some(id)) => return self.close_and_cancel(Ending::Clean, id).await,
                (Err(ending), Some(id)) => return self.close_and_cancel(ending, id).await,
                (Ok(Keeping::Close), None) => break Ending::Clean,
                (Err(ending), None) => break ending,
            }
        };
        self.peer.close(ending).await;
    }

    /// Reads a request's head.
    async fn read_head(&mut self) -> Result<Box<Head>, Unread> {
        let deadline = Instant::now() + self.peer.bounds.read_patience;
        let mut seen = 0;
        loop {
            let is_new = seen == 0 && !self.input.is_empty();
            let is_full = self.input.len() >= HTTP_HEAD_BYTES;
            if is_new || is_full || request::has_empty_line(&self.input, seen) {
                match request::parse(&self.input) {
                    Parsed::Partial => {}
                    Parsed::Head(head, len) => {
                        self.input.advance(len);
                        return Ok(head);
                    }
                    Parsed::Bad if self.input.starts_with(http2::PREFACE) && !self.is_used => {
                        return Err(Unread::Preface);
                    }
                    Parsed::Bad => return Err(Unread::Bare),
                }
            }
            seen = self.input.len();
            if !self.memory.cover(seen.saturating_sub(HTTP_READ_BYTES)) {
                return Err(Unread::Refused(&Reply::UNAVAILABLE));
            }
            self.read(HTTP_READ_BYTES, deadline, seen == 0).await?;
        }
    }

    /// Reads a request's body.
    async fn read_body(&mut self, head: &Head) -> Result<Vec<u8>, Unread> {
        if let BodyFraming::Refused(reply) = head.body {
            return Err(Unread::Refused(reply));
        }
        if head.expects_continue {
            let go_on = self.peer.write(b"HTTP/1.1 100 Continue\r\n\r\n").await;
            go_on.map_err(|_| Unread::Gone)?;
        }
        let begun = Instant::now();
        let mut body = Vec::new();
        let mut decoder = Decoder::new();
        loop {
            let (used, is_whole) = match head.body {
                BodyFraming::Length(length) => {
                    let used = (length - body.len()).min(self.input.len());
                    body.extend_from_slice(&self.input[..used]);
                    (used, body.len() == length)
                }
                BodyFraming::Chunked => {
                    match decoder.take(&self.input, |bytes| body.extend_from_slice(bytes)) {
                        Ok(Decoded::More) => (self.input.len(), false),
                        Ok(Decoded::End(used)) => (used, true),
                        Err(Broken) => return Err(Unread::Refused(&Reply::BROKEN_CHUNKS)),
                    }
                }
                BodyFraming::None | BodyFraming::Refused(_) => (0, true),
            };
            self.input.advance(used);
            if body.len() > HTTP_BODY_BYTES {
                return Err(Unread::Refused(&Reply::TOO_LARGE));
            }
            if !self
                .memory
                .cover((body.len() + self.input.len()).saturating_sub(HTTP_READ_BYTES))
            {
                return Err(Unread::Refused(&Reply::UNAVAILABLE));
            }
            if is_whole {
                return Ok(body);
            }
            let deadline = self.peer.bounds.body_deadline(begun, body.len());
            self.read(BODY_READ_BYTES, deadline, false).await?;
        }
    }

    /// Reads what there is, some of it at least. Between requests (`is_idle`) nobody waits for a server that closes.
    async fn read(&mut self, len: usize, deadline: Instant, is_idle: bool) -> Result<(), Unread> {
        self.input.reserve(len);
        let closed = if is_idle { Service::Draining } else { Service::Over };
        tokio::select! {
            biased;
            () = until(&mut self.peer.service, closed) => match is_idle {
                true => Err(Unread::Gone),
                false => Err(Unread::Refused(&Reply::UNAVAILABLE)),
            },
            read = self.peer.socket.read_buf(&mut self.input) => match read {
                Ok(0) | Err(_) => Err(Unread::Gone),
                Ok(_) => Ok(()),
            },
            () = sleep_until(deadline) => Err(Unread::Gone),
        }
    }

    /// Answers what is no request, or none that is taken; the connection ends.
    async fn refuse(&mut self, unread: Unread, is_head: bool) -> Ending {
        let bytes = match unread {
            Unread::Gone | Unread::Preface => return Ending::Clean,
            Unread::Bare => BARE_BAD_REQUEST.to_vec(),
            Unread::Refused(reply) => reply.bytes(&head::date(), Keeping::Close, is_head),
        };
        match self.peer.write(&bytes).await {
            Ok(()) => Ending::Clean,
            Err(_) => Ending::Broken,
        }
    }

    /// What the response's head depends on.
    fn asked(&self, head: &Head) -> Asked {
        Asked {
            is_1_1: head.is_1_1,
            is_head: head.is_head(),
            connection: Keeping::keep_if(head.keep_alive && self.peer.is_open()),
        }
    }

    /// Ends the connection, and tells the kernel meanwhile.
    async fn close_and_cancel(self, ending: Ending, id: RequestId) {
        let intake = &self.client.shared.intake;
        tokio::join!(self.peer.close(ending), inquiry::cancel(intake, id));
    }
}
