//! A client's connection as bytes: plain, or through TLS.

use super::tls::HTTP2;
use bytes::Bytes;
use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

/// The bytes' way.
#[derive(Debug)]
pub(crate) struct Socket {
    way: Way,
    /// Read already, and to be read again.
    ahead: Bytes,
}

#[derive(Debug)]
enum Way {
    /// As they are.
    Plain(TcpStream),
    /// Encrypted.
    Secure(Box<TlsStream<TcpStream>>),
}

impl Socket {
    /// One without TLS.
    pub(crate) fn plain(tcp: TcpStream) -> Socket {
        Socket {
            way: Way::Plain(tcp),
            ahead: Bytes::new(),
        }
    }

    /// One through TLS.
    pub(crate) fn secure(tls: TlsStream<TcpStream>) -> Socket {
        Socket {
            way: Way::Secure(Box::new(tls)),
            ahead: Bytes::new(),
        }
    }

    /// Whether HTTP/2 was agreed on.
    pub(crate) fn speaks_http2(&self) -> bool {
        match &self.way {
            Way::Plain(_) => false,
            Way::Secure(tls) => tls.get_ref().1.alpn_protocol() == Some(HTTP2),
        }
    }

    /// Gives back what was read: it comes first again.
    pub(crate) fn unread(&mut self, bytes: Bytes) {
        self.ahead = bytes;
    }

    /// What lies below.
    pub(crate) fn tcp(&self) -> &TcpStream {
        match &self.way {
            Way::Plain(tcp) => tcp,
            Way::Secure(tls) => tls.get_ref().0,
        }
    }

    /// The same, to be read past TLS: only what is dropped anyway.
    pub(crate) fn tcp_mut(&mut self) -> &mut TcpStream {
        match &mut self.way {
            Way::Plain(tcp) => tcp,
            Way::Secure(tls) => tls.get_mut().0,
        }
    }

    /// Waits until the client is certainly gone. Only a reset says so: one that has sent all that it had to say still
    /// listens.
    pub(crate) async fn gone(&self) {
        // An error here is the client's end too.
        let _ = self.tcp().ready(Interest::ERROR).await;
    }

    fn pinned(self: Pin<&mut Self>) -> Pin<&mut dyn Stream> {
        match &mut self.get_mut().way {
            Way::Plain(tcp) => Pin::new(tcp),
            Way::Secure(tls) => Pin::new(tls.as_mut()),
        }
    }
}

/// What both kinds are.
trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.ahead.is_empty() {
            let len = self.ahead.len().min(buf.remaining());
            buf.put_slice(&self.ahead.split_to(len));
            return Poll::Ready(Ok(()));
        }
        self.pinned().poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.pinned().poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.pinned().poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pinned().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pinned().poll_shutdown(cx)
    }
}
