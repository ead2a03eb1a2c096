//! The answers that the king gives by itself: their reasons, bodies, and bytes (`spec/drivers.md` section 6).

use super::head::{self, Connection};

/// Seconds until a client may try again: about what it takes to elect another leader.
const RETRY_AFTER: &str = "1";

/// An answer that does not come from the kernel.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    status: u16,
    reason: &'static str,
    body: &'static str,
    /// Whether the connection cannot serve another request after it.
    closes: bool,
    /// Whether the client is told to try again, this member or another, in a second.
    retry: bool,
}

impl Failure {
    /// A method that eyre does not know.
    pub(crate) const BAD_REQUEST: Failure = Failure::new(400, "bad request", "bad request");
    /// A `content-length` that is no number, or several that differ.
    pub(crate) const BROKEN_LENGTH: Failure =
        Failure::new(400, "Invalid Request", "broken content-length header").closing();
    /// A `transfer-encoding` other than `chunked`.
    pub(crate) const UNKNOWN_CODING: Failure =
        Failure::new(400, "Invalid Request", "unknown transfer-encoding").closing();
    /// A chunked body that is not one.
    pub(crate) const BROKEN_CHUNKS: Failure =
        Failure::new(400, "Invalid Request", "broken chunked-encoding").closing();
    /// A body that is larger than is taken.
    pub(crate) const TOO_LARGE: Failure =
        Failure::new(413, "Request Entity Too Large", "request entity is too large").closing();
    /// An `expect` other than `100-continue`.
    pub(crate) const EXPECTATION: Failure =
        Failure::new(417, "Expectation Failed", "unknown expectation").closing();
    /// The kernel cancelled the request, or crashed on it.
    pub(crate) const HOSED: Failure = Failure::new(500, "hosed", "hosed");
    /// The kernel did not begin its answer in time.
    pub(crate) const TIMEOUT: Failure = Failure::new(504, "gateway timeout", "gateway timeout");
    /// This member cannot answer for the ship (any more), or has no memory for the request.
    pub(crate) const UNAVAILABLE: Failure = Failure {
        retry: true,
        ..Failure::new(503, "service unavailable", "service unavailable").closing()
    };

    const fn new(status: u16, reason: &'static str, body: &'static str) -> Failure {
        Failure {
            status,
            reason,
            body,
            closes: false,
            retry: false,
        }
    }

    const fn closing(self) -> Failure {
        Failure { closes: true, ..self }
    }

    /// Whether the connection stays open after it, if it would otherwise.
    pub(crate) fn connection(&self, wanted: Connection) -> Connection {
        if self.closes { Connection::Close } else { wanted }
    }

    /// The whole response. The body is left out for HEAD.
    pub(crate) fn bytes(&self, date: &str, wanted: Connection, to_head: bool) -> Vec<u8> {
        let mut headers = vec![("content-type", "text/plain; charset=utf-8")];
        if self.retry {
            headers.push(("retry-after", RETRY_AFTER));
        }
        let mut bytes = head::Lines {
            status: self.status,
            reason: self.reason,
            date,
            connection: self.connection(wanted),
            content_length: Some(self.body.len()),
        }
        .bytes(
            headers
                .into_iter()
                .map(|(name, value)| (name.as_bytes(), value.as_bytes())),
        );
        if !to_head {
            bytes.extend_from_slice(self.body.as_bytes());
        }
        bytes
    }
}

/// The answer to bytes that are no request: always these, and the end of the connection.
pub(crate) const BARE_BAD_REQUEST: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\
    Connection: close\r\n\
    Content-Length: 11\r\n\
    \r\n\
    Bad Request";

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "Mon, 23 Nov 2026 02:07:01 GMT";

    fn text(failure: &Failure, connection: Connection, to_head: bool) -> String {
        String::from_utf8(failure.bytes(DATE, connection, to_head)).unwrap()
    }

    #[test]
    fn a_failure_is_these_bytes() {
        assert_eq!(
            text(&Failure::TIMEOUT, Connection::KeepAlive, false),
            "HTTP/1.1 504 gateway timeout\r\nDate: Mon, 23 Nov 2026 02:07:01 GMT\r\nConnection: keep-alive\r\n\
             Content-Length: 15\r\nServer: urbit/vere-3.5\r\ncontent-type: text/plain; charset=utf-8\r\n\r\ngateway timeout"
        );
        assert_eq!(
            text(&Failure::TOO_LARGE, Connection::KeepAlive, false),
            "HTTP/1.1 413 Request Entity Too Large\r\nDate: Mon, 23 Nov 2026 02:07:01 GMT\r\nConnection: close\r\n\
             Content-Length: 27\r\nServer: urbit/vere-3.5\r\ncontent-type: text/plain; charset=utf-8\r\n\r\n\
             request entity is too large"
        );
        assert_eq!(
            text(&Failure::UNAVAILABLE, Connection::KeepAlive, false),
            "HTTP/1.1 503 service unavailable\r\nDate: Mon, 23 Nov 2026 02:07:01 GMT\r\nConnection: close\r\n\
             Content-Length: 19\r\nServer: urbit/vere-3.5\r\ncontent-type: text/plain; charset=utf-8\r\n\
             retry-after: 1\r\n\r\nservice unavailable"
        );
    }

    #[test]
    fn head_gets_the_length_but_not_the_body() {
        let head = text(&Failure::HOSED, Connection::Close, true);
        assert!(head.contains("HTTP/1.1 500 hosed\r\n") && head.contains("Content-Length: 5\r\n"));
        assert!(head.ends_with("\r\n\r\n"));
    }

    #[test]
    fn the_bare_refusal_says_its_length() {
        assert!(BARE_BAD_REQUEST.ends_with(b"\r\n\r\nBad Request"));
    }
}
