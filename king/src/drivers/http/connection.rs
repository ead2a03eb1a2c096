//! One connection: requests in, responses out, one after the other.

use super::{
    chunked::{Broken, Decoded, Decoder},
    exchange::{Opened, Taken},
    failure::{BARE_BAD_REQUEST, Failure},
    head::{self, Asked, Connection as Keeping},
    memory::Memory,
    outgoing::{Framer, Outgoing},
    ports::Kind,
    request::{self, BodyFraming, Head, Parsed},
    server::{Server, Service, Shared, until},
    shapes::{self, Request},
    socket::Socket,
    wire::RequestId,
};
use crate::{
    driver::{Outcome, OutcomeCallback},
    drivers::report,
    limits::{
        HTTP_BODY_BYTES, HTTP_BODY_RATE, HTTP_HEAD_BYTES, HTTP_LINGER, HTTP_LINGER_BYTES, HTTP_READ_BYTES,
        HTTP_UNACKNOWLEDGED_MS,
    },
    ovum::Ovum,
};
use bytes::{Buf, BytesMut};
use nix::sys::socket::{setsockopt, sockopt};
use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    time::{Instant, sleep_until, timeout},
};

/// Read at a time from a body.
const BODY_READ_BYTES: usize = 64 << 10;
/// A card with a body beyond this is made on a thread that may take its time.
const LARGE_BODY: usize = 1 << 20;

/// Serves one connection to its end.
pub(crate) async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    server: Arc<Server>,
    number: u64,
    shared: Shared,
) {
    // Nothing is lost without these but time.
    let _ = stream.set_nodelay(true);
    let _ = setsockopt(&stream, sockopt::TcpUserTimeout, &HTTP_UNACKNOWLEDGED_MS);
    let address = match peer {
        SocketAddr::V4(peer) => *peer.ip(),
        SocketAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
    };
    let mut service = server.service();
    let Some(socket) = shake_hands(stream, &server, &mut service, shared.bounds.read_patience).await else {
        return;
    };
    let connection = Connection {
        socket,
        input: BytesMut::new(),
        memory: Memory::new(Arc::clone(&shared.memory)),
        service,
        address,
        number,
        sequence: 0,
        server,
        shared,
    };
    connection.run().await;
}

/// Begins TLS where the server has it. None if the client does not come so far, or nobody waits for it any more.
async fn shake_hands(
    stream: TcpStream,
    server: &Server,
    service: &mut watch::Receiver<Service>,
    patience: Duration,
) -> Option<Socket> {
    let Some(tls) = &server.tls else {
        return Some(Socket::Plain(stream));
    };
    let accepted = tokio::select! {
        biased;
        () = until(service, Service::Draining) => return None,
        accepted = timeout(patience, tls.accept(stream)) => accepted,
    };
    match accepted {
        Ok(Ok(stream)) => Some(Socket::Secure(Box::new(stream))),
        Ok(Err(error)) => {
            tracing::debug!("http: TLS on port {}: {error}", server.port);
            None
        }
        Err(_) => None,
    }
}

struct Connection {
    socket: Socket,
    /// Read, and not yet used.
    input: BytesMut,
    memory: Memory,
    service: watch::Receiver<Service>,
    address: Ipv4Addr,
    number: u64,
    /// The number of the last request.
    sequence: u64,
    server: Arc<Server>,
    shared: Shared,
}

/// Why there is no request.
enum Unread {
    /// The client is gone, or too slow, or not awaited any more.
    Gone,
    /// What came is not HTTP.
    Bare,
    /// What came is not taken.
    Refused(&'static Failure),
}

/// How a connection ends.
enum Ending {
    /// In order: what was sent is to be read.
    Clean,
    /// The client cannot, or shall not, take what was sent for a whole.
    Broken,
}

/// How a request ended.
struct Answered {
    /// Whether the connection goes on.
    keeping: Result<Keeping, Ending>,
    /// Whether the kernel still owes an answer that nobody waits for.
    is_owed: bool,
}

impl Connection {
    async fn run(mut self) {
        let ending = loop {
            let head = match self.read_head().await {
                Ok(head) => head,
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
            let Some(method) = head.method_name() else {
                drop(self.memory.take());
                match self.fail(&Failure::BAD_REQUEST, self.asked(&head)).await {
                    Ok(Keeping::KeepAlive) => continue,
                    Ok(Keeping::Close) => break Ending::Clean,
                    Err(ending) => break ending,
                }
            };
            // The runtime's own endpoints (`/~_~/..`, `/_~_/..`) and the cache of `%grow` would be asked here first.
            let asked = self.asked(&head);
            self.sequence += 1;
            let id = RequestId {
                server: self.server.number,
                connection: self.number,
                sequence: self.sequence,
            };
            let answered = self.ask_kernel(id, method, *head, body, asked).await;
            match answered.keeping {
                Ok(Keeping::KeepAlive) => {
                    if answered.is_owed {
                        self.cancel(id).await;
                    }
                }
                Ok(Keeping::Close) if answered.is_owed => {
                    return self.close_and_cancel(Ending::Clean, id).await;
                }
                Err(ending) if answered.is_owed => return self.close_and_cancel(ending, id).await,
                Ok(Keeping::Close) => break Ending::Clean,
                Err(ending) => break ending,
            }
        };
        close(self.socket, ending).await;
    }

    /// Reads a request's head.
    async fn read_head(&mut self) -> Result<Box<Head>, Unread> {
        let deadline = Instant::now() + self.shared.bounds.read_patience;
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
                    Parsed::Bad => return Err(Unread::Bare),
                }
            }
            seen = self.input.len();
            if !self.memory.cover(seen.saturating_sub(HTTP_READ_BYTES)) {
                return Err(Unread::Refused(&Failure::UNAVAILABLE));
            }
            self.read(HTTP_READ_BYTES, deadline, seen == 0).await?;
        }
    }

    /// Reads a request's body.
    async fn read_body(&mut self, head: &Head) -> Result<Vec<u8>, Unread> {
        if let BodyFraming::Refused(failure) = head.body {
            return Err(Unread::Refused(failure));
        }
        if head.expects_continue {
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n".to_vec()).await?;
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
                        Err(Broken) => return Err(Unread::Refused(&Failure::BROKEN_CHUNKS)),
                    }
                }
                BodyFraming::None | BodyFraming::Refused(_) => (0, true),
            };
            self.input.advance(used);
            if body.len() > HTTP_BODY_BYTES {
                return Err(Unread::Refused(&Failure::TOO_LARGE));
            }
            if !self
                .memory
                .cover((body.len() + self.input.len()).saturating_sub(HTTP_READ_BYTES))
            {
                return Err(Unread::Refused(&Failure::UNAVAILABLE));
            }
            if is_whole {
                return Ok(body);
            }
            let earned = Duration::from_secs(body.len() as u64 / HTTP_BODY_RATE);
            let deadline = (begun + earned).min(Instant::now()) + self.shared.bounds.read_patience;
            self.read(BODY_READ_BYTES, deadline, false).await?;
        }
    }

    /// Reads what there is, some of it at least. Between requests (`is_idle`) nobody waits for a server that closes.
    async fn read(&mut self, len: usize, deadline: Instant, is_idle: bool) -> Result<(), Unread> {
        self.input.reserve(len);
        let closed = if is_idle { Service::Draining } else { Service::Over };
        tokio::select! {
            biased;
            () = until(&mut self.service, closed) => match is_idle {
                true => Err(Unread::Gone),
                false => Err(Unread::Refused(&Failure::UNAVAILABLE)),
            },
            read = self.socket.read_buf(&mut self.input) => match read {
                Ok(0) | Err(_) => Err(Unread::Gone),
                Ok(_) => Ok(()),
            },
            () = sleep_until(deadline) => Err(Unread::Gone),
        }
    }

    /// Answers what is no request, or none that is taken; the connection ends.
    async fn refuse(&mut self, unread: Unread, is_head: bool) -> Ending {
        let asked = Asked {
            is_1_1: true,
            is_head,
            connection: Keeping::Close,
        };
        let bytes = match unread {
            Unread::Gone => return Ending::Clean,
            Unread::Bare => BARE_BAD_REQUEST.to_vec(),
            Unread::Refused(failure) => failure.bytes(&head::date(), asked.connection, is_head),
        };
        match self.write(bytes).await {
            Ok(()) => Ending::Clean,
            Err(_) => Ending::Broken,
        }
    }

    /// Answers with a failure.
    async fn fail(&mut self, failure: &Failure, asked: Asked) -> Result<Keeping, Ending> {
        let connection = failure.connection(if self.is_open() {
            asked.connection
        } else {
            Keeping::Close
        });
        let bytes = failure.bytes(&head::date(), connection, asked.is_head);
        match self.write(bytes).await {
            Ok(()) => Ok(connection),
            Err(_) => Err(Ending::Broken),
        }
    }

    /// Writes a few bytes.
    async fn write(&mut self, bytes: Vec<u8>) -> Result<(), Unread> {
        let is_over = *self.service.borrow() == Service::Over;
        let patience = if is_over {
            HTTP_LINGER
        } else {
            self.shared.bounds.part_patience
        };
        let write = async {
            self.socket.write_all(&bytes).await?;
            self.socket.flush().await
        };
        match timeout(patience, write).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Unread::Gone),
        }
    }

    /// What the response's head depends on.
    fn asked(&self, head: &Head) -> Asked {
        let keep = head.keep_alive && self.is_open();
        Asked {
            is_1_1: head.is_1_1,
            is_head: head.is_head(),
            connection: Keeping::keep_if(keep),
        }
    }

    /// Whether the connection may serve another request.
    fn is_open(&self) -> bool {
        *self.service.borrow() == Service::Open
    }

    /// Plans the request's event, and passes on the kernel's response.
    async fn ask_kernel(
        &mut self,
        id: RequestId,
        method: &'static str,
        head: Head,
        body: Vec<u8>,
        asked: Asked,
    ) -> Answered {
        let request = Request {
            secure: self.server.kind == Kind::Secure,
            local: self.server.kind == Kind::Loopback,
            address: self.address,
            method,
            url: head.target,
            headers: head.headers,
            body,
        };
        let exchange = self.shared.exchanges.open(id);
        let Some(ovum) = make_ovum(id, request).await else {
            let keeping = self.fail(&Failure::UNAVAILABLE, asked).await;
            return Answered {
                keeping,
                is_owed: false,
            };
        };
        let outcome = self.on_outcome(&ovum, &exchange);
        let intake = self.shared.intake.clone();
        let mut is_planned = false;
        let keeping = {
            let mut plan = std::pin::pin!(intake.plan(ovum, Some(outcome)));
            let deadline = Instant::now() + self.shared.bounds.start_patience;
            let mut pass = std::pin::pin!(self.pass_on(&exchange, asked, deadline));
            loop {
                tokio::select! {
                    biased;
                    () = &mut plan, if !is_planned => is_planned = true,
                    keeping = &mut pass => break keeping,
                }
            }
        };
        // An event that was never planned is not cancelled; in an ending office none is.
        let is_over = *self.service.borrow() == Service::Over;
        Answered {
            keeping,
            is_owed: exchange.abandon() && is_planned && !is_over,
        }
    }

    /// Tells the exchange what became of its event. Until then the request's memory counts as held.
    fn on_outcome(&mut self, ovum: &Ovum, exchange: &Opened) -> OutcomeCallback {
        let (ovum, teller, memory) = (ovum.clone(), exchange.teller(), self.memory.take());
        Box::new(move |outcome| {
            if let Outcome::Bailed(goofs) = &outcome {
                report::bailed(super::NAME, &ovum, goofs);
            }
            teller.tell(&outcome);
            drop(memory);
        })
    }

    /// Writes the response as it comes.
    async fn pass_on(
        &mut self,
        exchange: &Opened,
        asked: Asked,
        mut deadline: Instant,
    ) -> Result<Keeping, Ending> {
        let mut outgoing = Outgoing::default();
        let mut framer = Framer::new(asked);
        let mut last = None;
        loop {
            if outgoing.is_empty() {
                if let Some(keeping) = last {
                    return Ok(keeping);
                }
                match exchange.take() {
                    Taken::Nothing => {}
                    Taken::Severed => return Err(Ending::Broken),
                    Taken::Failure(failure) => return self.fail(failure, asked).await,
                    Taken::Part(part) => {
                        if !self.is_open() {
                            framer.close_afterwards();
                        }
                        last = framer.frame(part, &mut outgoing);
                        deadline = Instant::now() + self.shared.bounds.part_patience;
                        continue;
                    }
                }
            } else if exchange.is_severed() {
                return Err(Ending::Broken);
            }
            let is_idle = outgoing.is_empty();
            tokio::select! {
                biased;
                () = until(&mut self.service, Service::Over) => {
                    return match framer.has_begun() {
                        false => self.fail(&Failure::UNAVAILABLE, asked).await,
                        true => Err(self.break_off(&framer, outgoing).await),
                    };
                }
                written = write_or_wait(&mut self.socket, &mut outgoing) => match written {
                    Ok(()) => deadline = Instant::now() + self.shared.bounds.part_patience,
                    Err(_) => return Err(Ending::Broken),
                },
                () = exchange.changed() => {
                    if is_idle && framer.has_begun() {
                        deadline = Instant::now() + self.shared.bounds.part_patience;
                    }
                }
                () = sleep_until(deadline) => match framer.has_begun() {
                    false => return self.fail(&Failure::TIMEOUT, asked).await,
                    true => return Err(self.break_off(&framer, outgoing).await),
                },
            }
        }
    }

    /// Breaks a response off: between two pieces so that the client sees it where its framing can tell, in the midst
    /// of one, which a client was slow to take, by a reset.
    async fn break_off(&mut self, framer: &Framer, mut outgoing: Outgoing) -> Ending {
        if !outgoing.is_empty() || !framer.can_break_off(&mut outgoing) {
            return Ending::Broken;
        }
        // What the socket takes of it at once is enough.
        let _ = timeout(Duration::ZERO, outgoing.write(&mut self.socket)).await;
        Ending::Clean
    }

    /// Tells the kernel that nobody waits for its answer.
    async fn cancel(&self, id: RequestId) {
        self.shared
            .intake
            .plan(Ovum::new("e", id.knots(), shapes::cancel_request()), None)
            .await;
    }

    /// Ends the connection, and tells the kernel meanwhile.
    async fn close_and_cancel(self, ending: Ending, id: RequestId) {
        let intake = self.shared.intake.clone();
        let cancel = intake.plan(Ovum::new("e", id.knots(), shapes::cancel_request()), None);
        tokio::join!(close(self.socket, ending), cancel);
    }
}

/// The request's event. None if the runtime ends meanwhile.
async fn make_ovum(id: RequestId, request: Request) -> Option<Ovum> {
    let is_large = request.body.len() > LARGE_BODY;
    let make = move || Ovum::new("e", id.knots(), request.into_card());
    if is_large {
        tokio::task::spawn_blocking(make).await.ok()
    } else {
        Some(make())
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

/// Ends a connection.
async fn close(mut socket: Socket, ending: Ending) {
    if let Ending::Broken = ending {
        // A reset: whoever reads a response that ends with its connection shall not take this one for a whole.
        let _ = socket.tcp().set_zero_linger();
        return;
    }
    let linger = async {
        socket.shutdown().await?;
        let mut dropped = 0;
        let mut buffer = vec![0; HTTP_READ_BYTES];
        while dropped < HTTP_LINGER_BYTES {
            match socket.tcp_mut().read(&mut buffer).await? {
                0 => break,
                len => dropped += len,
            }
        }
        io::Result::Ok(())
    };
    let _ = timeout(HTTP_LINGER, linger).await;
}
