//! Any bytes as what a client sends, and as what the kernel answers. For a fuzzer.

use super::{
    cache::{Cache, Page},
    chunked::{Decoded, Decoder},
    head::{Asked, Connection, ResponseHead},
    own::{Own, Source},
    ports::Kind,
    request::{self, BodyFraming, Head, Parsed},
    shapes::{Command, Config, Request, Response},
    tls::Tls,
    wire::RequestId,
};
use crate::{
    limits::{HTTP_BODY_BYTES, HTTP_CHUNK_LINE_BYTES, HTTP_HEADERS},
    ovum::Ovum,
};
use serf_ipc::{Noun, text::Path};
use std::net::Ipv4Addr;

/// How a connection's bytes end.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// Within a head, or before one.
    Head,
    /// Within a body.
    Body,
    /// With what is no request.
    Bad,
}

/// Reads the requests of a connection, the bytes cut into reads of `size`, and once more in one read.
pub(crate) fn client(size: usize, bytes: &[u8]) {
    let (requests, end) = requests(bytes.chunks(size));
    let (whole, whole_end) = self::requests(std::iter::once(bytes));
    assert!(requests == whole, "reads of {size} bytes make a difference");
    // A head is only looked at when it may be whole: one that is bad is not known to be, until then.
    assert!(
        end == whole_end || (end, whole_end) == (End::Head, End::Bad),
        "reads of {size} bytes make a difference at the end"
    );
    let own = Own::new(0);
    for (head, _) in &requests {
        check(head);
        if let Source::Page(page) = own.source(head) {
            page.sample();
        }
    }
    chunked(size, bytes);
}

/// The event of the request that `bytes` begin with.
pub(crate) fn event(bytes: &[u8]) -> Option<Ovum> {
    let Parsed::Head(head, len) = request::parse(bytes) else {
        return None;
    };
    let body = match head.body {
        BodyFraming::None => Vec::new(),
        BodyFraming::Length(length) => bytes.get(len..len + length)?.to_vec(),
        BodyFraming::Chunked | BodyFraming::Refused(_) => return None,
    };
    let id = RequestId {
        server: 1,
        connection: 2,
        sequence: 3,
    };
    let method = head.method_name()?;
    let request = Request::new(*head, method, body, Kind::Public, Ipv4Addr::LOCALHOST);
    Some(Ovum::new("e", id.knots(), request.into_card()))
}

/// Whole requests with their bodies, as `connection.rs` takes them.
fn requests<'a>(reads: impl Iterator<Item = &'a [u8]>) -> (Vec<(Head, Vec<u8>)>, End) {
    let (mut input, mut requests, mut reads) = (Vec::new(), Vec::new(), reads.fuse());
    loop {
        let mut seen = 0;
        let head = loop {
            if seen == 0 && !input.is_empty() || request::has_empty_line(&input, seen) {
                match request::parse(&input) {
                    Parsed::Partial => {}
                    Parsed::Head(head, len) => {
                        input.drain(..len);
                        break *head;
                    }
                    Parsed::Bad => return (requests, End::Bad),
                }
            }
            seen = input.len();
            match reads.next() {
                Some(read) => input.extend_from_slice(read),
                None => return (requests, End::Head),
            }
        };
        let mut body = Vec::new();
        let mut decoder = Decoder::new();
        loop {
            let (used, is_whole) = match head.body {
                BodyFraming::None => (0, true),
                BodyFraming::Refused(_) => return (requests, End::Bad),
                BodyFraming::Length(length) => {
                    assert!(length <= HTTP_BODY_BYTES);
                    let used = (length - body.len()).min(input.len());
                    body.extend_from_slice(&input[..used]);
                    (used, body.len() == length)
                }
                BodyFraming::Chunked => match decoder.take(&input, |bytes| body.extend_from_slice(bytes)) {
                    Ok(Decoded::More) => (input.len(), false),
                    Ok(Decoded::End(used)) => (used, true),
                    Err(_) => return (requests, End::Bad),
                },
            };
            input.drain(..used);
            if is_whole {
                break;
            }
            match reads.next() {
                Some(read) => input.extend_from_slice(read),
                None => return (requests, End::Body),
            }
        }
        requests.push((head, body));
    }
}

/// What the kernel relies on, and that a head means the same when it is sent again.
fn check(head: &Head) {
    assert!(head.headers.len() <= HTTP_HEADERS + 1);
    for (at, (name, value)) in head.headers.iter().enumerate() {
        assert_eq!(name == b"host", at == 0, "host comes first, and once");
        assert!(
            !name
                .iter()
                .any(|byte| byte.is_ascii_uppercase() || byte.is_ascii_control())
        );
        assert!(!value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
    }
    let version: &[u8] = if head.is_1_1 { b"HTTP/1.1" } else { b"HTTP/1.0" };
    let mut again = [&head.method[..], b" ", &head.target, b" ", version, b"\r\n"].concat();
    for (name, value) in &head.headers {
        again.extend([&name[..], b": ", value, b"\r\n"].concat());
    }
    again.extend_from_slice(b"\r\n");
    let Parsed::Head(read, len) = request::parse(&again) else {
        // The default host is a header more than was sent.
        assert_eq!(
            head.headers.len(),
            HTTP_HEADERS + 1,
            "a head that was read is refused"
        );
        return;
    };
    assert_eq!(len, again.len());
    assert!(
        (&read.method, &read.target, read.is_1_1, &read.headers)
            == (&head.method, &head.target, head.is_1_1, &head.headers),
        "a head is read otherwise when it is sent again"
    );
}

/// Takes a chunked body apart in pieces, and once more line by line.
fn chunked(size: usize, bytes: &[u8]) {
    let mut decoder = Decoder::new();
    let (mut body, mut seen, mut end) = (Vec::new(), 0, None);
    for read in bytes.chunks(size) {
        match decoder.take(read, |bytes| body.extend_from_slice(bytes)) {
            Ok(Decoded::More) => seen += read.len(),
            Ok(Decoded::End(used)) => {
                end = Some(seen + used);
                break;
            }
            Err(_) => break,
        }
    }
    assert!(body.len() <= bytes.len());
    // Below this much framing none is refused for being too much.
    if bytes.len() <= HTTP_CHUNK_LINE_BYTES {
        let whole = end.map(|end| (body, end));
        assert!(whole == plain_chunked(bytes), "the plain reading is another one");
    }
}

/// A whole chunked body at the beginning of `bytes`, and where it ends.
fn plain_chunked(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut rest = bytes;
    let mut line = move |skip: Option<usize>| -> Option<(&[u8], usize)> {
        if let Some(count) = skip {
            let data = rest.get(..count)?;
            rest = &rest[count..];
            return Some((data, 0));
        }
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        let line = &rest[..end];
        rest = &rest[end + 1..];
        Some((line, bytes.len() - rest.len()))
    };
    let is_empty = |line: &[u8]| line.iter().all(|byte| *byte == b'\r');
    let mut body = Vec::new();
    loop {
        let (head, _) = line(None)?;
        let digits = head.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let size = std::str::from_utf8(&head[..digits]).ok()?;
        match usize::from_str_radix(size, 16).ok()? {
            0 => break,
            size => body.extend_from_slice(line(Some(size))?.0),
        }
        let (after, _) = line(None)?;
        if !is_empty(after) {
            return None;
        }
    }
    loop {
        let (trailer, end) = line(None)?;
        if is_empty(trailer) {
            return Some((body, end));
        }
    }
}

/// Reads a noun as one of the kernel's cards, and writes its response's head.
pub(crate) fn kernel(noun: &Noun) {
    let Some((tag, data)) = noun.as_cell() else { return };
    let Some(tag) = tag.as_cord() else { return };
    Page::Grown(Path::default()).read(noun);
    let Ok(command) = Command::read(&tag, data) else {
        return;
    };
    let start = match command {
        Command::Response(Response::Start(start)) => start,
        Command::SetConfig(Config {
            secure: Some((key, certificates)),
            ..
        }) => return drop(Tls::new(&key, &certificates)),
        Command::Grow(grown) => return Cache::default().grow(grown),
        _ => return,
    };
    let first = start.data.as_ref().map_or(0, super::shapes::Body::len);
    for is_head in [false, true] {
        let asked = Asked {
            is_1_1: !is_head,
            is_head,
            connection: Connection::keep_if(is_head),
        };
        let head = ResponseHead::new(start.status, &start.headers, first, asked, "now");
        let ends = head.bytes.windows(4).filter(|four| four == b"\r\n\r\n").count();
        assert!(ends == 1 && head.bytes.ends_with(b"\r\n\r\n"), "a head ends once");
    }
    if let Some(body) = start.data.filter(|body| body.len() < 1 << 20) {
        let len = body.len();
        assert_eq!(
            body.into_chunks().iter().map(bytes::Bytes::len).sum::<usize>(),
            len
        );
    }
}
