//! A response of HTTP/2 on its way out.

use super::{
    connection::Client,
    exchange::{End, Opened, Opening, Part, Taken},
    head::{self, LENGTH_NAME, SERVER},
    inquiry::Responder,
    reply::Reply,
    server::{Bounds, Service, until},
};
use crate::limits::HTTP_LINGER;
use bytes::Bytes;
use h2::{Reason, SendStream, server::SendResponse};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use std::{
    collections::VecDeque,
    future::poll_fn,
    task::{Context, Poll, ready},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

/// The client's end of one request.
pub(crate) struct Stream {
    respond: SendResponse<Bytes>,
    /// The body's way, once the head is out and unless that was all.
    body: Option<SendStream<Bytes>>,
    has_begun: bool,
    outgoing: VecDeque<Bytes>,
    /// No body may follow: HEAD, 204, 304.
    is_bare: bool,
    service: watch::Receiver<Service>,
    bounds: Bounds,
}

/// How a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closing {
    /// With its last frame.
    Whole,
    /// Broken off.
    Broken,
}

impl Responder for Stream {
    type End = Closing;

    async fn pass_on(&mut self, exchange: &Opened, mut deadline: Instant) -> Option<Closing> {
        let mut last = None;
        let mut is_over = false;
        loop {
            if self.outgoing.is_empty() {
                match last {
                    Some(End::Whole) => return Some(self.end()),
                    Some(End::Aborted) => return Some(Closing::Broken),
                    Some(End::Open) | None => {}
                }
                match exchange.take() {
                    // At the office's end what has come goes out still, but nothing is waited for.
                    Taken::Nothing if is_over && !self.has_begun => {
                        return Some(self.reply(&Reply::UNAVAILABLE));
                    }
                    Taken::Nothing if is_over => return Some(Closing::Broken),
                    Taken::Nothing => {}
                    Taken::Severed => return Some(Closing::Broken),
                    Taken::Declined => return None,
                    Taken::Reply(reply) => return Some(self.reply(reply)),
                    Taken::Part(part) => {
                        last = match self.begin(part) {
                            Ok(end) => Some(end),
                            Err(closing) => return Some(closing),
                        };
                        self.renew(&mut deadline, is_over);
                        continue;
                    }
                }
            } else if exchange.is_severed() {
                return Some(Closing::Broken);
            }
            let is_idle = self.outgoing.is_empty();
            let mut service = self.service.clone();
            tokio::select! {
                biased;
                () = until(&mut service, Service::Over), if !is_over => {
                    is_over = true;
                    deadline = deadline.min(Instant::now() + HTTP_LINGER);
                }
                sent = poll_fn(|cx| self.poll_send(cx)) => match sent {
                    Ok(()) => self.renew(&mut deadline, is_over),
                    Err(Gone) => return Some(Closing::Broken),
                },
                () = exchange.changed() => {
                    if is_idle && self.has_begun {
                        self.renew(&mut deadline, is_over);
                    }
                }
                () = sleep_until(deadline) => return Some(match self.has_begun {
                    false => self.reply(&Reply::TIMEOUT),
                    true => Closing::Broken,
                }),
            }
        }
    }
}

/// The client does not want it any more, or is not there.
struct Gone;

impl Stream {
    /// A request that was just accepted.
    pub(crate) fn new(respond: SendResponse<Bytes>, client: &Client, is_head: bool) -> Stream {
        Stream {
            respond,
            body: None,
            has_begun: false,
            outgoing: VecDeque::new(),
            is_bare: is_head,
            service: client.service(),
            bounds: client.shared.bounds,
        }
    }

    /// Answers with one of the king's own.
    pub(crate) fn reply(&mut self, reply: &'static Reply) -> Closing {
        let kernels = reply
            .headers()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let body = Bytes::from_static(reply.body().as_bytes());
        let is_whole = self.is_bare || body.is_empty();
        let length = (reply.status() != 204).then_some(body.len());
        if self.send_head(reply.status(), kernels, length, is_whole).is_err() {
            return Closing::Broken;
        }
        if !is_whole && let Some(stream) = &mut self.body {
            // So few bytes wait within `h2` for their turn.
            stream.reserve_capacity(body.len());
            if stream.send_data(body, true).is_err() {
                return Closing::Broken;
            }
        }
        Closing::Whole
    }

    /// Ends it.
    pub(crate) fn close(mut self, closing: Closing) {
        match closing {
            Closing::Whole => {}
            Closing::Broken => self.respond.send_reset(Reason::INTERNAL_ERROR),
        }
    }

    /// Begins to send a piece.
    fn begin(&mut self, part: Part) -> Result<End, Closing> {
        let len = part.chunks.iter().map(Bytes::len).sum::<usize>();
        if let Some(opening) = &part.opening {
            self.is_bare |= matches!(opening.status, 100..200 | 204 | 304);
            let is_whole = part.end == End::Whole && (self.is_bare || len == 0);
            // A length that says less than what follows would be taken for an error.
            let has_length = opening
                .headers
                .iter()
                .any(|(name, _)| name.starts_with(LENGTH_NAME));
            let length = (has_length && part.end == End::Whole).then_some(len);
            self.send_opening(opening, length, is_whole)?;
        }
        if !self.is_bare {
            self.outgoing
                .extend(part.chunks.into_iter().filter(|chunk| !chunk.is_empty()));
        }
        Ok(part.end)
    }

    fn send_opening(
        &mut self,
        opening: &Opening,
        length: Option<usize>,
        is_whole: bool,
    ) -> Result<(), Closing> {
        let copied = opening
            .headers
            .iter()
            .rev()
            .filter(|header| head::is_copied(header));
        let copied = copied.map(|(name, value)| (name.as_slice(), value.as_slice()));
        self.send_head(opening.status, copied, length, is_whole)
            .map_err(|Gone| Closing::Broken)
    }

    /// Sends a head: `server` and `date` first, the length last.
    fn send_head<'h>(
        &mut self,
        status: u16,
        kernels: impl Iterator<Item = (&'h [u8], &'h [u8])>,
        length: Option<usize>,
        is_whole: bool,
    ) -> Result<(), Gone> {
        // What is no final status is one of the kernel's mistakes.
        let status = StatusCode::from_u16(status)
            .ok()
            .filter(|status| !status.is_informational());
        let mut response = Response::new(());
        *response.status_mut() = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(header::SERVER, HeaderValue::from_static(SERVER));
        if let Ok(date) = HeaderValue::from_str(&head::date()) {
            headers.insert(header::DATE, date);
        }
        append(headers, kernels);
        if let Some(length) = length {
            headers.insert(header::CONTENT_LENGTH, length.into());
        }
        self.has_begun = true;
        let stream = self.respond.send_response(response, is_whole).map_err(|_| Gone)?;
        self.body = (!is_whole).then_some(stream);
        Ok(())
    }

    /// Sends what the client takes, some of it at least; with nothing to send, waits for it to give up.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        let Some(body) = &mut self.body else {
            return match ready!(self.respond.poll_reset(cx)) {
                Ok(_) | Err(_) => Poll::Ready(Err(Gone)),
            };
        };
        if body.poll_reset(cx).is_ready() {
            return Poll::Ready(Err(Gone));
        }
        let Some(chunk) = self.outgoing.front_mut() else {
            return Poll::Pending;
        };
        body.reserve_capacity(chunk.len());
        let Some(Ok(room)) = ready!(body.poll_capacity(cx)) else {
            return Poll::Ready(Err(Gone));
        };
        let piece = chunk.split_to(room.min(chunk.len()));
        if chunk.is_empty() {
            self.outgoing.pop_front();
        }
        Poll::Ready(body.send_data(piece, false).map_err(|_| Gone))
    }

    /// All is sent: says so.
    fn end(&mut self) -> Closing {
        let ended = self
            .body
            .as_mut()
            .is_none_or(|body| body.send_data(Bytes::new(), true).is_ok());
        if ended { Closing::Whole } else { Closing::Broken }
    }

    /// Something went on: the next part has its time again.
    fn renew(&self, deadline: &mut Instant, is_over: bool) {
        if !is_over {
            *deadline = Instant::now() + self.bounds.part_patience;
        }
    }
}

/// Adds the kernel's headers. Those of a connection mean nothing here, and are an error (RFC 9113, section 8.2.2).
fn append<'h>(headers: &mut HeaderMap, kernels: impl Iterator<Item = (&'h [u8], &'h [u8])>) {
    for (name, value) in kernels {
        let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) else {
            let name = String::from_utf8_lossy(name);
            tracing::warn!(
                "http: the header {name:?} of a response cannot be sent in HTTP/2: it is left out"
            );
            continue;
        };
        let is_of_connection = matches!(
            name.as_str(),
            "keep-alive" | "proxy-connection" | "transfer-encoding" | "upgrade" | "te"
        );
        if !is_of_connection && !name.as_str().starts_with("connection") {
            headers.append(name, value);
        }
    }
}
