//! The answers that the king gives by itself: their reasons, bodies, and bytes (`spec/drivers.md` section 6).

use super::head::{self, Connection};

/// Seconds until a client may try again: about what it takes to elect another leader.
const RETRY_AFTER: &str = "1";

/// An answer that does not come from the kernel.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    status: u16,
    reason: &'static str,
    body: &'static str,
    /// Whether the connection cannot serve another request after it.
    closes: bool,
    /// Whether the client is told to try again, this member or another, in a second.
    retry: bool,
}

impl Reply {
    /// A method that eyre does not know.
    pub(crate) const BAD_REQUEST: Reply = Reply::new(400, "bad request", "bad request");
    /// A `content-length` that is no number, or several that differ.
    pub(crate) const BROKEN_LENGTH: Reply =
        Reply::new(400, "Invalid Request", "broken content-length header").closing();
    /// A `transfer-encoding` other than `chunked`.
    pub(crate) const UNKNOWN_CODING: Reply =
        Reply::new(400, "Invalid Request", "unknown transfer-encoding").closing();
    /// A chunked body that is not one.
    pub(crate) const BROKEN_CHUNKS: Reply =
        Reply::new(400, "Invalid Request", "broken chunked-encoding").closing();
    /// A body that is larger than is taken.
    pub(crate) const TOO_LARGE: Reply =
        Reply::new(413, "Request Entity Too Large", "request entity is too large").closing();
    /// An `expect` other than `100-continue`.
    pub(crate) const EXPECTATION: Reply =
        Reply::new(417, "Expectation Failed", "unknown expectation").closing();
    /// A page for those who are logged in.
    pub(crate) const UNAUTHORIZED: Reply = Reply::new(403, "Unauthorized", "unauthorized");
    /// A read that the kernel has no answer to, or none that is a page.
    pub(crate) const SCRY_FAILED: Reply = Reply::new(500, "Internal Server Error", "scry failed");
    /// The serf computes nothing just now.
    pub(crate) const IDLE: Reply = Reply::new(204, "no content", "");
    /// It does.
    pub(crate) const BUSY: Reply = Reply::new(429, "busy", "");
    /// The kernel cancelled the request, or crashed on it.
    pub(crate) const HOSED: Reply = Reply::new(500, "hosed", "hosed");
    /// The kernel did not begin its answer in time.
    pub(crate) const TIMEOUT: Reply = Reply::new(504, "gateway timeout", "gateway timeout");
    /// This member cannot answer for the ship (any more), or has no memory for the request.
    pub(crate) const UNAVAILABLE: Reply = Reply {
        retry: true,
        ..Reply::new(503, "service unavailable", "service unavailable").closing()
    };

    const fn new(status: u16, reason: &'static str, body: &'static str) -> Reply {
        Reply {
            status,
            reason,
            body,
            closes: false,
            retry: false,
        }
    }

    const fn closing(self) -> Reply {
        Reply { closes: true, ..self }
    }

    /// Whether the connection stays open after it, if it would otherwise.
    pub(crate) fn connection(&self, wanted: Connection) -> Connection {
        if self.closes { Connection::Close } else { wanted }
    }

    /// Its status.
    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    /// Its body.
    pub(crate) fn body(&self) -> &'static str {
        self.body
    }

    /// Its headers, but for those that every answer has.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let kind = ("content-type", "text/plain; charset=utf-8");
        let kind = (!self.body.is_empty()).then_some(kind);
        let retry = self.retry.then_some(("retry-after", RETRY_AFTER));
        kind.into_iter().chain(retry)
    }

    /// The whole response. The body is left out for HEAD.
    pub(crate) fn bytes(&self, date: &str, wanted: Connection, to_head: bool) -> Vec<u8> {
        let mut bytes = head::Lines {
            status: self.status,
            reason: self.reason,
            date,
            connection: self.connection(wanted),
            content_length: Some(self.body.len()),
        }
        .bytes(
            self.headers()
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

    fn text(reply: &Reply, connection: Connection, to_head: bool) -> String {
        String::from_utf8(reply.bytes(DATE, connection, to_head)).unwrap()
    }

    #[test]
    fn a_failure_is_these_bytes() {
        assert_eq!(
            text(&Reply::TIMEOUT, Connection::KeepAlive, false),
            "HTTP/1.1 504 gateway timeout\r\nDate: Mon, 23 Nov 2026 02:07:01 GMT\r\nConnection: keep-alive\r\n\
             Content-Length: 15\r\nServer: urbit/vere-3.5\r\ncontent-type: text/plain; charset=utf-8\r\n\r\ngateway timeout"
        );
        assert_eq!(
            text(&Reply::TOO_LARGE, Connection::KeepAlive, false),
            "HTTP/1.1 413 Request Entity Too Large\r\nDate: Mon, 23 Nov 2026 02:07:01 GMT\r\nConnection: close\r\n\
             Content-Length: 27\r\nServer: urbit/vere-3.5\r\ncontent-type: text/plain; charset=utf-8\r\n\r\n\
             request entity is too large"
        );
        assert_eq!(
            text(&Reply::UNAVAILABLE, Connection::KeepAlive, false),
            "HTTP/1.1 503 service unavailable\r\nDate: Mon, 23 Nov 2026 02:07:01 GMT\r\nConnection: close\r\n\
             Content-Length: 19\r\nServer: urbit/vere-3.5\r\ncontent-type: text/plain; charset=utf-8\r\n\
             retry-after: 1\r\n\r\nservice unavailable"
        );
    }

    #[test]
    fn head_gets_the_length_but_not_the_body() {
        let head = text(&Reply::HOSED, Connection::Close, true);
        assert!(head.contains("HTTP/1.1 500 hosed\r\n") && head.contains("Content-Length: 5\r\n"));
        assert!(head.ends_with("\r\n\r\n"));
    }

    #[test]
    fn without_a_body_there_is_no_kind_of_it() {
        assert_eq!(
            text(&Reply::IDLE, Connection::KeepAlive, false),
            "HTTP/1.1 204 no content\r\nDate: Mon, 23 Nov 2026 02:07:01 GMT\r\nConnection: keep-alive\r\n\
             Content-Length: 0\r\nServer: urbit/vere-3.5\r\n\r\n"
        );
    }

    #[test]
    fn the_bare_refusal_says_its_length() {
        assert!(BARE_BAD_REQUEST.ends_with(b"\r\n\r\nBad Request"));
    }
}
