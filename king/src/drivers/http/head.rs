//! The head of a response, byte for byte as vere's server library writes it (`spec/drivers.md` section 6).

use super::shapes::Header;

/// What the server calls itself.
pub(crate) const SERVER: &str = "urbit/vere-3.5";

/// A kernel's header that begins so says only that the body's length is to be known; its value is not used.
pub(crate) const LENGTH_NAME: &[u8] = b"content-length";

/// Whether a connection serves another request after this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Connection {
    /// It does.
    KeepAlive,
    /// It does not.
    Close,
}

impl Connection {
    /// [`Connection::KeepAlive`] if so.
    pub(crate) fn keep_if(keep: bool) -> Connection {
        if keep {
            Connection::KeepAlive
        } else {
            Connection::Close
        }
    }
}

/// How a response's body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// By its length, in bytes: that of the part that came with the head.
    Length(usize),
    /// By itself.
    Chunked,
    /// It has none by its nature (HEAD, 1xx, 204, 304): what the kernel sends nevertheless goes out as it is.
    Bare,
    /// Not at all: its end is the connection's, or cannot be known.
    Unframed,
}

/// What of a request its response's head depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    /// Whether it was of HTTP/1.1.
    pub(crate) is_1_1: bool,
    /// Whether its method was HEAD.
    pub(crate) is_head: bool,
    /// Whether the connection may go on.
    pub(crate) connection: Connection,
}

/// The head of a response of the kernel's: how it frames the body, and what it says.
#[derive(Debug)]
pub(crate) struct ResponseHead {
    /// How the body is framed.
    pub(crate) framing: Framing,
    /// What becomes of the connection.
    pub(crate) connection: Connection,
    /// The bytes, up to and with the empty line.
    pub(crate) bytes: Vec<u8>,
}

impl ResponseHead {
    /// The head for the kernel's status and headers, with a first part of the body of `first_len` bytes.
    pub(crate) fn new(
        status: u16,
        headers: &[Header],
        first_len: usize,
        asked: Asked,
        date: &str,
    ) -> ResponseHead {
        let has_length = headers.iter().any(|(name, _)| name.starts_with(LENGTH_NAME));
        let is_bodiless = asked.is_head || matches!(status, 100..200 | 204 | 304);
        let framing = match (has_length, asked.is_1_1, is_bodiless, status) {
            (true, ..) => Framing::Length(first_len),
            // With `keep-alive` asked for, an old client is left to guess where the body ends; as in the C.
            (false, false, ..) => Framing::Unframed,
            (false, true, true, _) => Framing::Bare,
            (false, true, false, 200) => Framing::Chunked,
            (false, true, false, _) => Framing::Unframed,
        };
        let connection = match framing {
            Framing::Unframed if asked.is_1_1 => Connection::Close,
            _ => asked.connection,
        };
        let lines = Lines {
            status,
            reason: reason(status),
            date,
            connection,
            content_length: match framing {
                Framing::Length(length) => Some(length),
                _ => None,
            },
        };
        let chunked = matches!(framing, Framing::Chunked)
            .then_some((b"transfer-encoding".as_slice(), b"chunked".as_slice()));
        let copied = headers.iter().rev().filter(|header| is_copied(header));
        let bytes = lines.bytes(
            copied
                .map(|(name, value)| (name.as_slice(), value.as_slice()))
                .chain(chunked),
        );
        ResponseHead {
            framing,
            connection,
            bytes,
        }
    }
}

/// Whether a kernel's header goes out as it is. One that would end its line, and so could pass for other headers or
/// for the body, does not; the C lets it through.
pub(crate) fn is_copied((name, value): &Header) -> bool {
    let is_whole = |bytes: &[u8]| !bytes.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0));
    let whole = is_whole(name) && is_whole(value);
    if !whole {
        let name = String::from_utf8_lossy(name);
        tracing::warn!(
            "http: the header {name:?} of a response holds a line's end or a zero: it is left out"
        );
    }
    whole && !name.starts_with(LENGTH_NAME)
}

/// The reason that eyre's responses have.
fn reason(status: u16) -> &'static str {
    match status {
        0..200 => "weird",
        200..300 => "ok",
        300..400 => "moved",
        400..500 => "missing",
        _ => "hosed",
    }
}

/// What every head begins with.
pub(crate) struct Lines<'a> {
    pub(crate) status: u16,
    pub(crate) reason: &'a str,
    pub(crate) date: &'a str,
    pub(crate) connection: Connection,
    pub(crate) content_length: Option<usize>,
}

impl Lines<'_> {
    /// The head with these headers after the fixed ones.
    pub(crate) fn bytes<'h>(&self, headers: impl Iterator<Item = (&'h [u8], &'h [u8])>) -> Vec<u8> {
        let connection = match self.connection {
            Connection::KeepAlive => "keep-alive",
            Connection::Close => "close",
        };
        let Lines {
            status, reason, date, ..
        } = self;
        let mut text = format!("HTTP/1.1 {status} {reason}\r\nDate: {date}\r\nConnection: {connection}\r\n");
        if let Some(length) = self.content_length {
            text.push_str(&format!("Content-Length: {length}\r\n"));
        }
        text.push_str(&format!("Server: {SERVER}\r\n"));
        let mut bytes = text.into_bytes();
        for (name, value) in headers {
            for part in [name, b": ", value, b"\r\n"] {
                bytes.extend_from_slice(part);
            }
        }
        bytes.extend_from_slice(b"\r\n");
        bytes
    }
}

/// The date of now, as heads have it.
pub(crate) fn date() -> String {
    httpdate::fmt_http_date(std::time::SystemTime::now())
}

#[cfg(test)]
mod tests {
    use super::*;
    use Connection::{Close, KeepAlive};

    const DATE: &str = "Mon, 23 Nov 2026 02:07:01 GMT";
    const ASKED: Asked = Asked {
        is_1_1: true,
        is_head: false,
        connection: KeepAlive,
    };

    fn headers(pairs: &[(&str, &str)]) -> Vec<Header> {
        pairs
            .iter()
            .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
            .collect()
    }

    fn head(status: u16, pairs: &[(&str, &str)], first_len: usize, asked: Asked) -> (Framing, String) {
        let head = ResponseHead::new(status, &headers(pairs), first_len, asked, DATE);
        let text = String::from_utf8(head.bytes).unwrap();
        let says = text.contains("\r\nConnection: keep-alive\r\n");
        assert_eq!(says, head.connection == KeepAlive, "{text}");
        (head.framing, text)
    }

    #[test]
    fn a_length_is_that_of_the_first_part_and_headers_are_reversed() {
        let kernel = [
            ("content-type", "text/html"),
            ("content-length", "999"),
            ("set-cookie", "urbauth-~zod=0v3; Path=/"),
            ("X-Case", "Stays"),
        ];
        let (framing, text) = head(404, &kernel, 144, ASKED);
        assert_eq!(framing, Framing::Length(144));
        assert_eq!(
            text,
            "HTTP/1.1 404 missing\r\nDate: Mon, 23 Nov 2026 02:07:01 GMT\r\nConnection: keep-alive\r\n\
             Content-Length: 144\r\nServer: urbit/vere-3.5\r\nX-Case: Stays\r\n\
             set-cookie: urbauth-~zod=0v3; Path=/\r\ncontent-type: text/html\r\n\r\n"
        );
    }

    #[test]
    fn without_a_length_200_is_chunked_and_says_so_last() {
        let (framing, text) = head(
            200,
            &[
                ("content-type", "text/event-stream"),
                ("connection", "keep-alive"),
            ],
            50,
            ASKED,
        );
        assert_eq!(framing, Framing::Chunked);
        assert_eq!(
            text,
            "HTTP/1.1 200 ok\r\nDate: Mon, 23 Nov 2026 02:07:01 GMT\r\nConnection: keep-alive\r\n\
             Server: urbit/vere-3.5\r\nconnection: keep-alive\r\ncontent-type: text/event-stream\r\n\
             transfer-encoding: chunked\r\n\r\n"
        );
    }

    #[test]
    fn only_lower_case_counts_as_a_length_and_beginnings_do() {
        let (framing, text) = head(200, &[("Content-Length", "3")], 3, ASKED);
        assert_eq!(framing, Framing::Chunked);
        assert!(text.ends_with("Content-Length: 3\r\ntransfer-encoding: chunked\r\n\r\n"));
        let (framing, text) = head(200, &[("content-lengthy", "3")], 7, ASKED);
        assert_eq!(framing, Framing::Length(7));
        assert!(!text.contains("content-lengthy"));
    }

    #[test]
    fn other_statuses_are_unframed_and_close() {
        for status in [201, 301, 404, 500] {
            let (framing, text) = head(status, &[], 5, ASKED);
            assert_eq!(framing, Framing::Unframed);
            assert!(text.contains("Connection: close\r\nServer"), "{text}");
        }
    }

    #[test]
    fn responses_without_a_body_have_no_framing_and_keep_the_connection() {
        for (status, asked) in [
            (204, ASKED),
            (304, ASKED),
            (101, ASKED),
            (
                200,
                Asked {
                    is_head: true,
                    ..ASKED
                },
            ),
            (
                500,
                Asked {
                    is_head: true,
                    ..ASKED
                },
            ),
        ] {
            let (framing, text) = head(status, &[], 0, asked);
            assert_eq!(framing, Framing::Bare);
            assert!(
                text.contains("Connection: keep-alive\r\nServer: urbit/vere-3.5\r\n\r\n"),
                "{text}"
            );
        }
        // A length is said all the same.
        let (framing, text) = head(
            200,
            &[("content-length", "3")],
            0,
            Asked {
                is_head: true,
                ..ASKED
            },
        );
        assert_eq!(framing, Framing::Length(0));
        assert!(text.contains("Content-Length: 0\r\n"));
    }

    #[test]
    fn old_clients_get_no_chunks() {
        let old = Asked {
            is_1_1: false,
            connection: Close,
            ..ASKED
        };
        for status in [200, 404, 204] {
            let (framing, text) = head(status, &[], 5, old);
            assert_eq!(framing, Framing::Unframed);
            assert!(
                text.starts_with("HTTP/1.1 ") && text.contains("Connection: close\r\n"),
                "{text}"
            );
        }
        let (framing, text) = head(
            200,
            &[],
            5,
            Asked {
                connection: KeepAlive,
                ..old
            },
        );
        assert_eq!(framing, Framing::Unframed);
        assert!(text.contains("Connection: keep-alive\r\n"), "{text}");
        assert_eq!(head(200, &[("content-length", "")], 5, old).0, Framing::Length(5));
    }

    #[test]
    fn a_closing_connection_says_so() {
        let (_, text) = head(
            200,
            &[("content-length", "1")],
            1,
            Asked {
                connection: Close,
                ..ASKED
            },
        );
        assert!(text.contains("\r\nConnection: close\r\n"));
    }

    #[test]
    fn reasons_go_by_hundreds() {
        let reasons = [42, 199, 200, 299, 300, 399, 400, 499, 500, 999].map(reason);
        let expected = [
            "weird", "weird", "ok", "ok", "moved", "moved", "missing", "missing", "hosed", "hosed",
        ];
        assert_eq!(reasons, expected);
    }

    #[test]
    fn a_header_cannot_end_its_line() {
        let kernel = [
            ("location", "/\r\nset-cookie: a"),
            ("a\nb", "c"),
            ("d", "e\0"),
            ("good", "yes"),
        ];
        let (_, text) = head(303, &kernel, 0, ASKED);
        assert!(
            text.ends_with("Server: urbit/vere-3.5\r\ngood: yes\r\n\r\n"),
            "{text}"
        );
    }

    #[test]
    fn dates_are_those_of_rfc_1123() {
        let date = date();
        assert!(date.len() == DATE.len() && date.ends_with(" GMT"), "{date}");
    }
}
