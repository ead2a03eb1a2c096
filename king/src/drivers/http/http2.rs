//! A connection that speaks HTTP/2: its requests are tasks of their own, and `h2` frames them.

use super::{
    connection::Client,
    frames::Stream,
    inquiry::{self, Inquiry},
    memory::Memory,
    reply::Reply,
    request::Head,
    server::{Service, until},
    socket::Socket,
};
use crate::limits::{
    HTTP_BODY_BYTES, HTTP_HEADERS, HTTP_LINGER, HTTP2_HEAD_BYTES, HTTP2_SEND_BYTES, HTTP2_STREAMS,
    HTTP2_WINDOW,
};
use bytes::Bytes;
use h2::{
    RecvStream,
    server::{Builder, Connection, SendResponse},
};
use std::{future::poll_fn, sync::Arc};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until, timeout, timeout_at},
};

/// How a client's first bytes begin (RFC 9113, section 3.4).
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n";

/// Serves a connection to its end.
pub(crate) async fn serve(socket: Socket, client: Client) {
    let bounds = client.shared.bounds;
    let handshake = Builder::new()
        .max_concurrent_streams(HTTP2_STREAMS)
        .max_header_list_size(HTTP2_HEAD_BYTES)
        .initial_window_size(HTTP2_WINDOW)
        .initial_connection_window_size(HTTP2_WINDOW)
        .max_send_buffer_size(HTTP2_SEND_BYTES)
        .handshake::<_, Bytes>(socket);
    let Ok(Ok(mut connection)) = timeout(bounds.read_patience, handshake).await else {
        return;
    };
    let client = Arc::new(client);
    let (mut draining, mut over) = (client.service(), client.service());
    let mut streams = JoinSet::new();
    let (mut is_closing, mut is_over) = (false, false);
    // How long a connection without requests stays.
    let patience = |is_closing| {
        if is_closing {
            HTTP_LINGER
        } else {
            bounds.read_patience
        }
    };
    let mut last_ended = Instant::now();
    let mut deadline = last_ended + bounds.read_patience;
    loop {
        let is_idle = streams.is_empty();
        // Those that were given up count until the kernel is told.
        let has_place = streams.len() < HTTP2_STREAMS as usize;
        tokio::select! {
            biased;
            () = until(&mut over, Service::Over), if !is_over => {
                // The requests have their answers or their ends by themselves, soon.
                is_over = true;
                deadline = Instant::now() + HTTP_LINGER;
            }
            () = until(&mut draining, Service::Draining), if !is_closing => {
                is_closing = true;
                connection.graceful_shutdown();
                deadline = Instant::now() + HTTP_LINGER;
            }
            _ = streams.join_next(), if !is_idle && !is_over => {
                last_ended = Instant::now();
                deadline = deadline.max(last_ended + patience(is_closing));
            }
            next = next(&mut connection, has_place) => match next {
                Some(Ok((request, respond))) => {
                    streams.spawn(converse(Arc::clone(&client), request, respond));
                }
                Some(Err(error)) => {
                    tracing::debug!("http: HTTP/2 on port {}: {error}", client.server.port);
                    break;
                }
                None => break,
            },
            () = sleep_until(deadline), if is_idle || is_over => {
                // The last bytes of an answer may be on their way still.
                if !is_over && connection.has_streams() && last_ended.elapsed() < bounds.part_patience {
                    deadline = Instant::now() + patience(is_closing);
                    continue;
                }
                if is_closing || is_over {
                    break;
                }
                is_closing = true;
                connection.graceful_shutdown();
                deadline = Instant::now() + HTTP_LINGER;
            }
        }
    }
    // They see that the connection is gone, and tell the kernel.
    streams.detach_all();
}

/// The next request, if there is a place for it; otherwise the connection only goes on.
async fn next(
    connection: &mut Connection<Socket, Bytes>,
    has_place: bool,
) -> Option<Result<(http::Request<RecvStream>, SendResponse<Bytes>), h2::Error>> {
    if has_place {
        return connection.accept().await;
    }
    match poll_fn(|cx| connection.poll_closed(cx)).await {
        Ok(()) => None,
        Err(error) => Some(Err(error)),
    }
}

/// One request and its answer.
async fn converse(client: Arc<Client>, request: http::Request<RecvStream>, respond: SendResponse<Bytes>) {
    let (head, mut incoming) = request.into_parts();
    let mut stream = Stream::new(respond, &client, head.method == http::Method::HEAD);
    let mut memory = Memory::new(Arc::clone(&client.shared.memory));
    let read = async {
        let head = read_head(&head, &mut memory)?;
        let body = read_body(&client, &mut incoming, &mut memory).await?;
        Ok((head, body))
    };
    let (head, body) = match read.await {
        Ok(read) => read,
        Err(Unread::Gone) => return,
        Err(Unread::Refused(reply)) => {
            // Of a request that is not at its end the client may now spare us the rest: `h2` tells it.
            let closing = stream.reply(reply);
            return stream.close(closing);
        }
    };
    let inquiry = Inquiry {
        head: Box::new(head),
        body,
        memory: memory.take(),
    };
    let answered = inquiry.answer(&client, &mut stream).await;
    stream.close(answered.end);
    if let Some(id) = answered.owed {
        inquiry::cancel(&client.shared.intake, id).await;
    }
}

/// Why there is no request.
enum Unread {
    /// The client gave it up, or was too slow.
    Gone,
    /// It is not taken.
    Refused(&'static Reply),
}

fn read_head(head: &http::request::Parts, memory: &mut Memory) -> Result<Head, Unread> {
    let Some(target) = head.uri.path_and_query() else {
        // CONNECT names no target, and there is nothing to connect to.
        return Err(Unread::Refused(&Reply::BAD_REQUEST));
    };
    if head.headers.len() > HTTP_HEADERS {
        return Err(Unread::Refused(&Reply::BAD_REQUEST));
    }
    let len = head
        .headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len());
    if !memory.cover(target.as_str().len() + len.sum::<usize>()) {
        return Err(Unread::Refused(&Reply::UNAVAILABLE));
    }
    let mut headers = Vec::with_capacity(head.headers.len() + 1);
    for name in head.headers.keys() {
        let mut values = head.headers.get_all(name).iter().map(http::HeaderValue::as_bytes);
        if name == http::header::COOKIE {
            // Clients send a cookie apiece in HTTP/2, which is one header everywhere else (RFC 9113, section 8.2.3). The
            // C leaves them apart, and then neither eyre nor itself knows who is logged in.
            headers.push((b"cookie".to_vec(), values.collect::<Vec<_>>().join(&b"; "[..])));
            continue;
        }
        headers.extend(
            values
                .by_ref()
                .map(|value| (name.as_str().as_bytes().to_vec(), value.to_vec())),
        );
    }
    let authority = head.uri.authority().map(http::uri::Authority::as_str);
    Ok(Head::framed(
        head.method.as_str(),
        target.as_str(),
        authority,
        headers,
    ))
}

async fn read_body(
    client: &Client,
    incoming: &mut RecvStream,
    memory: &mut Memory,
) -> Result<Vec<u8>, Unread> {
    let begun = Instant::now();
    let mut over = client.service();
    let mut body = Vec::new();
    loop {
        let deadline = client.shared.bounds.body_deadline(begun, body.len());
        let data = tokio::select! {
            biased;
            () = until(&mut over, Service::Over) => return Err(Unread::Refused(&Reply::UNAVAILABLE)),
            data = timeout_at(deadline, incoming.data()) => data,
        };
        let data = match data {
            Ok(None) => return Ok(body),
            Ok(Some(Ok(data))) => data,
            Ok(Some(Err(_))) | Err(_) => return Err(Unread::Gone),
        };
        if body.len() + data.len() > HTTP_BODY_BYTES {
            return Err(Unread::Refused(&Reply::TOO_LARGE));
        }
        if !memory.cover(body.len() + data.len()) {
            return Err(Unread::Refused(&Reply::UNAVAILABLE));
        }
        body.extend_from_slice(&data);
        // An error means that the stream is gone, which the next read says.
        let _ = incoming.flow_control().release_capacity(data.len());
    }
}
