//! An HTTP/1.1 response from bytes, without I/O, as vere's library takes it (`spec/drivers.md` section 7).

use super::shapes::Header;
use crate::{
    drivers::http::chunked::{Decoded, Decoder},
    limits,
};
use std::fmt;

/// A whole response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Response {
    pub(super) status: u16,
    /// In their order, names in lower case.
    pub(super) headers: Vec<Header>,
    pub(super) body: Vec<u8>,
}

impl Response {
    /// What the ship gets when there is none.
    pub(super) fn failed() -> Response {
        Response {
            status: 504,
            ..Response::default()
        }
    }
}

/// Why there is no response, in the words of vere's library where it has some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The server cannot be reached.
    Connect(String),
    /// Its name cannot be resolved.
    Resolve(String),
    /// There was no TLS with it.
    Tls(String),
    /// The connection ended within something.
    CutShort(&'static str),
    /// What came is no response.
    Malformed(&'static str),
    /// It is larger than what is taken.
    TooLarge,
    /// Nothing moved for too long, or it took too long as a whole.
    TimedOut,
    /// The request cannot be sent as it is.
    Unsendable(&'static str),
    /// Too many are waiting.
    TooMany,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Connect(why) => write!(f, "connection failure: {why}"),
            Failure::Resolve(why) => f.write_str(why),
            Failure::Tls(why) => write!(f, "SSL handshake failure: {why}"),
            Failure::CutShort(what) => write!(f, "I/O error ({what})"),
            Failure::Malformed(what) => write!(f, "{what}"),
            Failure::TooLarge => f.write_str("the response is larger than what is taken"),
            Failure::TimedOut => f.write_str("I/O timeout"),
            Failure::Unsendable(what) => f.write_str(what),
            Failure::TooMany => f.write_str("too many requests at once"),
        }
    }
}

/// How a body ends.
#[derive(Debug)]
enum State {
    /// It has not begun.
    Head,
    /// After so many bytes more.
    Length(usize),
    /// With its last chunk.
    Chunks(Decoder),
    /// With the connection.
    Close,
    /// It has.
    Done,
}

/// Takes a response apart, however its bytes are split.
#[derive(Debug)]
pub(super) struct Reader {
    state: State,
    /// What was asked for is a head alone.
    is_head_only: bool,
    head: Vec<u8>,
    response: Response,
}

impl Reader {
    /// For the response to a request; to `HEAD` there is no body.
    pub(super) fn new(is_head_only: bool) -> Reader {
        Reader {
            state: State::Head,
            is_head_only,
            head: Vec::new(),
            response: Response::default(),
        }
    }

    /// Whether all of it is there.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// How much memory it holds, bytes.
    pub(super) fn held(&self) -> usize {
        self.head.len() + self.response.body.len()
    }

    /// Takes the next bytes. What comes behind the response is dropped.
    ///
    /// # Errors
    /// When they are none of a response's, or too many.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match &self.state {
            State::Head => {
                let before = self.head.len();
                self.head.extend_from_slice(bytes);
                self.heads(before)
            }
            _ => self.body(bytes),
        }
    }

    /// The connection has ended.
    ///
    /// # Errors
    /// When the response has not.
    pub(super) fn end(self) -> Result<Response, Failure> {
        match self.state {
            State::Head => Err(Failure::CutShort("head")),
            State::Length(_) => Err(Failure::CutShort("body; content-length")),
            State::Chunks(_) => Err(Failure::CutShort("body; chunked")),
            State::Close | State::Done => Ok(self.response),
        }
    }

    /// Looks for whole heads; those that only tell of progress are skipped.
    fn heads(&mut self, mut looked: usize) -> Result<(), Failure> {
        loop {
            if !has_end(&self.head, looked) {
                if self.head.len() > limits::IRIS_HEAD_BYTES {
                    return Err(Failure::TooLarge);
                }
                return Ok(());
            }
            looked = 0;
            let mut headers = [httparse::EMPTY_HEADER; limits::IRIS_HEADERS];
            let mut head = httparse::Response::new(&mut headers);
            let mut config = httparse::ParserConfig::default();
            config.allow_spaces_after_header_name_in_responses(true);
            let parsed = config.parse_response(&mut head, &self.head);
            let (Ok(httparse::Status::Complete(length)), Some(status)) = (parsed, head.code) else {
                if matches!(parsed, Ok(httparse::Status::Partial))
                    && self.head.len() <= limits::IRIS_HEAD_BYTES
                {
                    return Ok(());
                }
                return Err(Failure::Malformed("failed to parse the response"));
            };
            if length > limits::IRIS_HEAD_BYTES {
                return Err(Failure::TooLarge);
            }
            if (100..200).contains(&status) && status != 101 {
                self.head.drain(..length);
                continue;
            }
            let has_body = !self.is_head_only && !matches!(status, 101 | 204 | 304);
            self.state = if has_body {
                framing(head.headers)?
            } else {
                State::Done
            };
            self.response.status = status;
            let header = |header: &httparse::Header<'_>| {
                (
                    header.name.to_ascii_lowercase().into_bytes(),
                    header.value.to_vec(),
                )
            };
            self.response.headers = head.headers.iter().map(header).collect();
            let rest = self.head.split_off(length);
            self.head = Vec::new();
            return self.body(&rest);
        }
    }

    fn body(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let body = &mut self.response.body;
        let mut is_too_large = false;
        let mut keep = |bytes: &[u8]| {
            is_too_large |= body.len() + bytes.len() > limits::IRIS_BODY_BYTES;
            if !is_too_large {
                body.extend_from_slice(bytes);
            }
        };
        match &mut self.state {
            State::Head | State::Done => {}
            State::Close => keep(bytes),
            State::Length(left) => {
                let now = bytes.len().min(*left);
                keep(bytes.get(..now).unwrap_or_default());
                *left -= now;
                if *left == 0 {
                    self.state = State::Done;
                }
            }
            State::Chunks(decoder) => match decoder.take(bytes, keep) {
                Ok(Decoded::More) => {}
                Ok(Decoded::End(_)) => self.state = State::Done,
                Err(_) => return Err(Failure::Malformed("failed to parse the response (chunked)")),
            },
        }
        if is_too_large {
            return Err(Failure::TooLarge);
        }
        Ok(())
    }
}

/// Whether an empty line may be in there, of which `looked` bytes were looked at before.
fn has_end(head: &[u8], looked: usize) -> bool {
    let new = head.get(looked.saturating_sub(3)..).unwrap_or_default();
    new.windows(2).any(|two| two == b"\n\n") || new.windows(3).any(|three| three == b"\n\r\n")
}

/// How the body of a response with these headers ends: chunks count before a length.
fn framing(headers: &[httparse::Header<'_>]) -> Result<State, Failure> {
    let mut state = State::Close;
    for header in headers {
        let value = header.value.trim_ascii();
        if header.name.eq_ignore_ascii_case("transfer-encoding") {
            if value.eq_ignore_ascii_case(b"chunked") {
                state = State::Chunks(Decoder::new());
            } else if !value.eq_ignore_ascii_case(b"identity") {
                return Err(Failure::Malformed("unexpected type of transfer-encoding"));
            }
        } else if header.name.eq_ignore_ascii_case("content-length") && !matches!(state, State::Chunks(_)) {
            let digits = std::str::from_utf8(value)
                .ok()
                .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
            let length = digits.and_then(|digits| digits.parse().ok());
            let Some(length) = length else {
                return Err(Failure::Malformed("invalid content-length"));
            };
            if length > limits::IRIS_BODY_BYTES {
                return Err(Failure::TooLarge);
            }
            state = if length == 0 {
                State::Done
            } else {
                State::Length(length)
            };
        }
    }
    Ok(state)
}

/// Any bytes as a server's, whole and in pieces of `size`: the same response or none. For a fuzzer.
pub(super) fn fuzz(size: usize, is_head_only: bool, bytes: &[u8]) {
    let read = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let mut reader = Reader::new(is_head_only);
        for piece in pieces {
            reader.take(piece)?;
            if reader.is_done() {
                break;
            }
        }
        reader.end()
    };
    let whole = read(&mut std::iter::once(bytes));
    let pieces = read(&mut bytes.chunks(size.max(1)));
    match (&whole, &pieces) {
        (Ok(_), _) | (_, Ok(_)) => assert!(whole == pieces, "reads of {size} bytes make a difference"),
        (Err(_), Err(_)) => {}
    }
    let Ok(response) = whole else { return };
    assert!(response.body.len() <= bytes.len() && response.headers.len() <= limits::IRIS_HEADERS);
    let is_lower = |(name, _): &Header| name.iter().all(|byte| !byte.is_ascii_uppercase());
    assert!(response.headers.iter().all(is_lower));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: &[u8]) -> Result<Response, Failure> {
        let mut reader = Reader::new(false);
        reader.take(bytes)?;
        reader.end()
    }

    fn body(bytes: &[u8]) -> Result<String, Failure> {
        read(bytes).map(|response| String::from_utf8(response.body).unwrap())
    }

    #[test]
    fn bodies_end_as_their_heads_say() {
        let response =
            read(b"HTTP/1.1 200 OK\r\nX-One: a\r\nx-one:  B \r\nContent-Length: 3\r\n\r\nabcdef").unwrap();
        assert_eq!((response.status, response.body.as_slice()), (200, &b"abc"[..]));
        let headers: Vec<_> = response
            .headers
            .iter()
            .map(|(name, value)| {
                (
                    std::str::from_utf8(name).unwrap(),
                    std::str::from_utf8(value).unwrap(),
                )
            })
            .collect();
        assert_eq!(headers, [("x-one", "a"), ("x-one", "B"), ("content-length", "3")]);
        let chunked = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        assert_eq!(body(chunked).unwrap(), "abc");
        assert_eq!(body(b"HTTP/1.0 200 OK\n\nall of it").unwrap(), "all of it");
        assert_eq!(
            body(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nx").unwrap(),
            "x"
        );
        assert_eq!(
            body(b"HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\nabc").unwrap(),
            ""
        );
        assert_eq!(
            read(b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n")
                .unwrap()
                .status,
            302
        );
        let early = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\nend";
        assert_eq!(body(early).unwrap(), "end");
        let mut head = Reader::new(true);
        head.take(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
            .unwrap();
        assert!(head.is_done());
    }

    #[test]
    fn what_is_none_is_a_failure() {
        let cut = |what| Err(Failure::CutShort(what));
        assert_eq!(body(b""), cut("head"));
        assert_eq!(body(b"HTTP/1.1 200 OK\r\nA: b\r\n"), cut("head"));
        assert_eq!(body(b"HTTP/1.1 100 Continue\r\n\r\n"), cut("head"));
        assert_eq!(
            body(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab"),
            cut("body; content-length")
        );
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(
            body(format!("{chunked}3\r\nabc\r\n").as_bytes()),
            cut("body; chunked")
        );
        for bad in [
            format!("{chunked}x\r\n"),
            "not a response\r\n\r\n".to_owned(),
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n".to_owned(),
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n".to_owned(),
        ] {
            assert!(
                matches!(body(bad.as_bytes()), Err(Failure::Malformed(_))),
                "{bad}"
            );
        }
    }

    #[test]
    fn what_is_too_large_is_not_waited_for() {
        let length = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
            limits::IRIS_BODY_BYTES + 1
        );
        assert_eq!(body(length.as_bytes()), Err(Failure::TooLarge));
        let mut endless = Reader::new(false);
        endless.take(b"HTTP/1.1 200 OK\r\n").unwrap();
        let line = b"x: y\r\n".repeat(1000);
        let failure = (0..1000).find_map(|_| endless.take(&line).err());
        assert!(failure.is_some());
        assert!(endless.held() <= limits::IRIS_HEAD_BYTES + line.len());
    }

    proptest! {
        #[test]
        fn where_reads_end_makes_no_difference(
            head in "HTTP/1\\.[01] (100|200|204|302) OK\r?\n(A: b\r?\n|Content-Length: [0-9]{1,2}\r\n|Transfer-Encoding: chunked\r\n){0,3}\r?\n",
            rest in "(3\r\nabc\r\n|0\r\n\r\n|[a-z0-9\r\n]){0,20}", size in 1_usize..9, is_head_only: bool) {
            fuzz(size, is_head_only, format!("{head}{rest}").as_bytes());
        }
    }
}
