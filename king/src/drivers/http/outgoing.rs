//! A response on its way out: pieces become framed bytes, and bytes go to the socket.

use super::{
    chunked,
    exchange::{End, Part},
    head::{self, Asked, Connection, Framing, ResponseHead},
    socket::Socket,
};
use bytes::{Buf, Bytes};
use std::{
    collections::VecDeque,
    future::poll_fn,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::AsyncWrite;

/// Slices that one write hands to the system.
const SLICES: usize = 64;

/// Bytes that wait for the socket.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    chunks: VecDeque<Bytes>,
    /// Whether the socket may hold some of it back: TLS does.
    is_held_back: bool,
}

impl Outgoing {
    /// Appends bytes.
    pub(crate) fn push(&mut self, bytes: impl Into<Bytes>) {
        let bytes = bytes.into();
        if !bytes.is_empty() {
            self.chunks.push_back(bytes);
        }
    }

    /// Whether all is written.
    pub(crate) fn is_empty(&self) -> bool {
        self.chunks.is_empty() && !self.is_held_back
    }

    /// Writes what the socket takes, some of it at least. It may be dropped at any time: nothing is lost then.
    ///
    /// # Errors
    /// When the client is gone.
    pub(crate) async fn write(&mut self, socket: &mut Socket) -> io::Result<()> {
        poll_fn(|cx| self.poll_write(cx, Pin::new(&mut *socket))).await
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, mut socket: Pin<&mut Socket>) -> Poll<io::Result<()>> {
        if !self.chunks.is_empty() {
            ready!(self.poll_chunks(cx, socket.as_mut()))?;
        }
        if self.chunks.is_empty() && self.is_held_back {
            ready!(socket.poll_flush(cx))?;
            self.is_held_back = false;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_chunks(&mut self, cx: &mut Context<'_>, socket: Pin<&mut Socket>) -> Poll<io::Result<()>> {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let mut count = 0;
        for (slice, chunk) in slices.iter_mut().zip(&self.chunks) {
            *slice = IoSlice::new(chunk);
            count += 1;
        }
        let written = ready!(socket.poll_write_vectored(cx, &slices[..count]))?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.is_held_back = true;
        self.advance(written);
        Poll::Ready(Ok(()))
    }

    /// Drops the first `written` bytes.
    fn advance(&mut self, mut written: usize) {
        while let Some(chunk) = self.chunks.front_mut() {
            if written < chunk.len() {
                chunk.advance(written);
                return;
            }
            written -= chunk.len();
            self.chunks.pop_front();
        }
    }

    #[cfg(test)]
    fn bytes(&self) -> Vec<u8> {
        self.chunks.iter().flatten().copied().collect()
    }
}

/// Frames one response.
#[derive(Debug)]
pub(crate) struct Framer {
    asked: Asked,
    head: Option<(Framing, Connection)>,
    /// Bytes of the body so far.
    sent: usize,
}

impl Framer {
    /// For the response to what was asked.
    pub(crate) fn new(asked: Asked) -> Framer {
        Framer {
            asked,
            head: None,
            sent: 0,
        }
    }

    /// Whether the head is out: the response can only go on, or break off.
    pub(crate) fn has_begun(&self) -> bool {
        self.head.is_some()
    }

    /// The connection will not go on, whatever was asked.
    pub(crate) fn close_afterwards(&mut self) {
        self.asked.connection = Connection::Close;
        if let Some((_, connection)) = &mut self.head {
            *connection = Connection::Close;
        }
    }

    /// Frames the next piece. What becomes of the connection, if it is the last one.
    pub(crate) fn frame(&mut self, part: Part, outgoing: &mut Outgoing) -> Option<Connection> {
        if let Some(opening) = part.opening {
            let date = head::date();
            let head = ResponseHead::new(
                opening.status,
                &opening.headers,
                opening.first_len,
                self.asked,
                &date,
            );
            self.head = Some((head.framing, head.connection));
            outgoing.push(head.bytes);
        }
        let (framing, connection) = self.head?;
        let len = part.chunks.iter().map(Bytes::len).sum::<usize>();
        self.sent += len;
        let is_chunked = framing == Framing::Chunked;
        if is_chunked && len > 0 {
            outgoing.push(chunked::before(len));
        }
        for chunk in part.chunks {
            outgoing.push(chunk);
        }
        if is_chunked {
            if len > 0 && part.end != End::Aborted {
                outgoing.push(chunked::AFTER);
            }
            match part.end {
                End::Open => {}
                End::Whole => outgoing.push(chunked::END),
                End::Aborted => outgoing.push(chunked::ABORT),
            }
        }
        match part.end {
            End::Open => None,
            End::Whole if self.is_as_announced(framing) => Some(connection),
            End::Whole | End::Aborted => Some(Connection::Close),
        }
    }

    /// Breaks off between two pieces. False if the client would take what it has for the whole.
    pub(crate) fn can_break_off(&self, outgoing: &mut Outgoing) -> bool {
        match self.head {
            Some((Framing::Chunked, _)) => {
                outgoing.push(chunked::ABORT);
                true
            }
            Some((Framing::Length(length), _)) => self.sent < length,
            Some((Framing::Bare | Framing::Unframed, _)) | None => false,
        }
    }

    /// Whether the client can tell where this response ended and the next one would begin. A kernel may send a body
    /// where there should be none, or more of it than it announced; that goes out, as in the C, but nothing after it.
    fn is_as_announced(&self, framing: Framing) -> bool {
        match framing {
            Framing::Length(_) if self.asked.is_head => self.sent == 0,
            Framing::Length(length) => self.sent == length,
            Framing::Bare => self.sent == 0,
            Framing::Chunked | Framing::Unframed => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drivers::http::exchange::Opening;

    const ASKED: Asked = Asked {
        is_1_1: true,
        is_head: false,
        connection: Connection::KeepAlive,
    };

    fn part(opening: Option<(u16, &[(&str, &str)])>, chunks: &[&'static str], end: End) -> Part {
        let opening = opening.map(|(status, headers)| Opening {
            status,
            headers: headers
                .iter()
                .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
                .collect(),
            first_len: chunks.first().map_or(0, |chunk| chunk.len()),
        });
        Part {
            opening,
            chunks: chunks
                .iter()
                .map(|chunk| Bytes::from_static(chunk.as_bytes()))
                .collect(),
            end,
        }
    }

    /// The bytes after the head's empty line, and what becomes of the connection.
    fn framed(asked: Asked, parts: Vec<Part>) -> (String, Option<Connection>) {
        let (mut framer, mut outgoing) = (Framer::new(asked), Outgoing::default());
        let mut connection = None;
        for part in parts {
            assert_eq!(connection, None, "a part after the last one");
            connection = framer.frame(part, &mut outgoing);
        }
        let text = String::from_utf8(outgoing.bytes()).unwrap();
        let (_, body) = text.split_once("\r\n\r\n").unwrap();
        (body.to_owned(), connection)
    }

    #[test]
    fn pieces_are_chunks() {
        let parts = vec![
            part(Some((200, &[])), &["first", " part"], End::Open),
            part(None, &[], End::Open),
            part(None, &["second"], End::Open),
            part(None, &[], End::Whole),
        ];
        let body = "a\r\nfirst part\r\n6\r\nsecond\r\n0\r\n\r\n";
        assert_eq!(
            framed(ASKED, parts),
            (body.to_owned(), Some(Connection::KeepAlive))
        );
        let parts = vec![part(Some((200, &[])), &["all"], End::Whole)];
        assert_eq!(framed(ASKED, parts).0, "3\r\nall\r\n0\r\n\r\n");
        assert_eq!(
            framed(ASKED, vec![part(Some((200, &[])), &[], End::Whole)]).0,
            "0\r\n\r\n"
        );
    }

    #[test]
    fn an_abort_breaks_the_chunk() {
        let parts = vec![
            part(Some((200, &[])), &["some"], End::Open),
            part(None, &[], End::Aborted),
        ];
        assert_eq!(
            framed(ASKED, parts),
            ("4\r\nsome\r\n\r\n1\r\n".to_owned(), Some(Connection::Close))
        );
        let parts = vec![part(Some((200, &[])), &["some"], End::Aborted)];
        assert_eq!(
            framed(ASKED, parts),
            ("4\r\nsome\r\n1\r\n".to_owned(), Some(Connection::Close))
        );
    }

    #[test]
    fn a_known_length_is_sent_as_it_is() {
        let length: &[(&str, &str)] = &[("content-length", "3")];
        let parts = vec![part(Some((500, length)), &["all"], End::Whole)];
        assert_eq!(
            framed(ASKED, parts),
            ("all".to_owned(), Some(Connection::KeepAlive))
        );
        let parts = vec![part(Some((200, length)), &["all"], End::Aborted)];
        assert_eq!(framed(ASKED, parts), ("all".to_owned(), Some(Connection::Close)));
    }

    #[test]
    fn what_was_not_announced_ends_the_connection() {
        let length: &[(&str, &str)] = &[("content-length", "")];
        let longer = vec![part(Some((200, length)), &["all", " and more"], End::Whole)];
        assert_eq!(
            framed(ASKED, longer),
            ("all and more".to_owned(), Some(Connection::Close))
        );
        for status in [204, 304] {
            let parts = vec![part(Some((status, &[])), &["body"], End::Whole)];
            assert_eq!(framed(ASKED, parts), ("body".to_owned(), Some(Connection::Close)));
            let parts = vec![part(Some((status, &[])), &[], End::Whole)];
            assert_eq!(framed(ASKED, parts), (String::new(), Some(Connection::KeepAlive)));
        }
        let head = Asked {
            is_head: true,
            ..ASKED
        };
        let parts = vec![part(Some((200, length)), &["body"], End::Whole)];
        assert_eq!(framed(head, parts), ("body".to_owned(), Some(Connection::Close)));
        let parts = vec![part(Some((200, &[])), &[], End::Whole)];
        assert_eq!(framed(head, parts), (String::new(), Some(Connection::KeepAlive)));
    }

    #[test]
    fn bytes_are_dropped_as_they_are_written() {
        let mut outgoing = Outgoing::default();
        for bytes in ["abc", "", "de", "f"] {
            outgoing.push(bytes);
        }
        for (written, rest) in [(0, "abcdef"), (2, "cdef"), (1, "def"), (2, "f"), (1, "")] {
            outgoing.advance(written);
            assert_eq!(outgoing.bytes(), rest.as_bytes());
        }
        assert!(outgoing.is_empty());
    }
}
