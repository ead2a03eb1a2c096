//! The client's end of a connection that speaks HTTP/1: responses go out to it, piece by piece.

use super::{
    exchange::{Opened, Taken},
    head::{self, Asked, Connection as Keeping},
    inquiry::Responder,
    outgoing::{Framer, Outgoing},
    reply::Reply,
    server::{Bounds, Service, until},
    socket::Socket,
};
use crate::limits::{HTTP_LINGER, HTTP_LINGER_BYTES, HTTP_READ_BYTES};
use std::{io, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::watch,
    time::{Instant, sleep_until, timeout},
};

/// The client's end.
pub(crate) struct Peer {
    /// The bytes.
    pub(crate) socket: Socket,
    /// How far the server's service goes.
    pub(crate) service: watch::Receiver<Service>,
    /// How patient the server is.
    pub(crate) bounds: Bounds,
}

/// How a connection ends.
pub(crate) enum Ending {
    /// In order: what was sent is to be read.
    Clean,
    /// The client cannot, or shall not, take what was sent for a whole.
    Broken,
}

/// One response on its way.
pub(crate) struct Responding<'a> {
    /// To whom.
    pub(crate) peer: &'a mut Peer,
    /// What its head depends on.
    pub(crate) asked: Asked,
}

impl Responder for Responding<'_> {
    type End = Result<Keeping, Ending>;

    async fn pass_on(&mut self, exchange: &Opened, mut deadline: Instant) -> Option<Self::End> {
        let mut outgoing = Outgoing::default();
        let mut framer = Framer::new(self.asked);
        let mut last = None;
        let mut is_over = false;
        loop {
            if outgoing.is_empty() {
                if let Some(keeping) = last {
                    return Some(Ok(keeping));
                }
                match exchange.take() {
                    // At the office's end what has come goes out still, but nothing is waited for.
                    Taken::Nothing if is_over && !framer.has_begun() => {
                        return Some(self.reply(&Reply::UNAVAILABLE).await);
                    }
                    Taken::Nothing if is_over => return Some(Err(self.break_off(&framer, outgoing).await)),
                    Taken::Nothing => {}
                    Taken::Severed => return Some(Err(Ending::Broken)),
                    Taken::Declined => return None,
                    Taken::Reply(reply) => return Some(self.reply(reply).await),
                    Taken::Part(part) => {
                        if !self.peer.is_open() {
                            framer.close_afterwards();
                        }
                        last = framer.frame(part, &mut outgoing);
                        self.renew(&mut deadline, is_over);
                        continue;
                    }
                }
            } else if exchange.is_severed() {
                return Some(Err(Ending::Broken));
            }
            let is_idle = outgoing.is_empty();
            tokio::select! {
                biased;
                () = until(&mut self.peer.service, Service::Over), if !is_over => {
                    is_over = true;
                    deadline = deadline.min(Instant::now() + HTTP_LINGER);
                }
                written = write_or_wait(&mut self.peer.socket, &mut outgoing) => match written {
                    Ok(()) => self.renew(&mut deadline, is_over),
                    Err(_) => return Some(Err(Ending::Broken)),
                },
                () = exchange.changed() => {
                    if is_idle && framer.has_begun() {
                        self.renew(&mut deadline, is_over);
                    }
                }
                () = sleep_until(deadline) => return Some(match framer.has_begun() {
                    false => self.reply(&Reply::TIMEOUT).await,
                    true => Err(self.break_off(&framer, outgoing).await),
                }),
            }
        }
    }
}

impl Responding<'_> {
    /// Something went on: the next part has its time again.
    fn renew(&self, deadline: &mut Instant, is_over: bool) {
        if !is_over {
            *deadline = Instant::now() + self.peer.bounds.part_patience;
        }
    }

    /// Answers with one of the king's own.
    async fn reply(&mut self, reply: &Reply) -> Result<Keeping, Ending> {
        let connection = reply.connection(if self.peer.is_open() {
            self.asked.connection
        } else {
            Keeping::Close
        });
        let bytes = reply.bytes(&head::date(), connection, self.asked.is_head);
        match self.peer.write(&bytes).await {
            Ok(()) => Ok(connection),
            Err(_) => Err(Ending::Broken),
        }
    }

    /// Breaks a response off: between two pieces so that the client sees it where its framing can tell, in the midst
    /// of one, which a client was slow to take, by a reset.
    async fn break_off(&mut self, framer: &Framer, mut outgoing: Outgoing) -> Ending {
        if !outgoing.is_empty() || !framer.can_break_off(&mut outgoing) {
            return Ending::Broken;
        }
        // What the socket takes of it at once is enough.
        let _ = timeout(Duration::ZERO, outgoing.write(&mut self.peer.socket)).await;
        Ending::Clean
    }
}

impl Peer {
    /// Whether the connection may serve another request.
    pub(crate) fn is_open(&self) -> bool {
        *self.service.borrow() == Service::Open
    }

    /// Writes a few bytes.
    ///
    /// # Errors
    /// When the client is gone, or does not take them in time.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let is_over = *self.service.borrow() == Service::Over;
        let patience = if is_over {
            HTTP_LINGER
        } else {
            self.bounds.part_patience
        };
        let write = async {
            self.socket.write_all(bytes).await?;
            self.socket.flush().await
        };
        timeout(patience, write).await?
    }

    /// Ends the connection.
    pub(crate) async fn close(mut self, ending: Ending) {
        if let Ending::Broken = ending {
            // A reset: whoever reads a response that ends with its connection shall not take this one for a whole.
            let _ = self.socket.tcp().set_zero_linger();
            return;
        }
        let linger = async {
            self.socket.shutdown().await?;
            let mut dropped = 0;
            let mut buffer = vec![0; HTTP_READ_BYTES];
            while dropped < HTTP_LINGER_BYTES {
                match self.socket.tcp_mut().read(&mut buffer).await? {
                    0 => break,
                    len => dropped += len,
                }
            }
            io::Result::Ok(())
        };
        let _ = timeout(HTTP_LINGER, linger).await;
    }
}

/// Writes some of what there is to write, or waits for the client to be gone.
async fn write_or_wait(socket: &mut Socket, outgoing: &mut Outgoing) -> io::Result<()> {
    if outgoing.is_empty() {
        socket.gone().await;
        return Err(io::ErrorKind::ConnectionReset.into());
    }
    outgoing.write(socket).await
}
