//! What a conversation goes over: TCP, or what stands for it in a simulation.

use crate::simulated;
use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

/// A connection, not yet in halves.
#[derive(Debug)]
pub(crate) enum Stream {
    /// The product's.
    Tcp(TcpStream),
    /// A simulation's.
    Simulated(Box<dyn simulated::Stream>),
}

/// The half that is read.
#[derive(Debug)]
pub(crate) enum ReadHalf {
    /// The product's.
    Tcp(OwnedReadHalf),
    /// A simulation's.
    Simulated(tokio::io::ReadHalf<Box<dyn simulated::Stream>>),
}

/// The half that is written.
#[derive(Debug)]
pub(crate) enum WriteHalf {
    /// The product's.
    Tcp(OwnedWriteHalf),
    /// A simulation's.
    Simulated(tokio::io::WriteHalf<Box<dyn simulated::Stream>>),
}

/// Takes connections.
#[derive(Debug)]
pub(crate) enum Listener {
    /// The product's.
    Tcp(TcpListener),
    /// A simulation's.
    Simulated(Box<dyn simulated::Listener>),
}

impl Stream {
    /// Dials.
    pub(crate) async fn dial(address: SocketAddr) -> io::Result<Stream> {
        match simulated::world().map(|world| world.dial(address)) {
            None => TcpStream::connect(address).await.map(Stream::Tcp),
            Some(dialing) => dialing.await.map(Stream::Simulated),
        }
    }

    /// Makes it fit for our messages, and takes it apart.
    pub(crate) fn into_halves(self) -> io::Result<(ReadHalf, WriteHalf)> {
        match self {
            Stream::Tcp(stream) => {
                tune(&stream)?;
                let (reader, writer) = stream.into_split();
                Ok((ReadHalf::Tcp(reader), WriteHalf::Tcp(writer)))
            }
            Stream::Simulated(stream) => {
                let (reader, writer) = tokio::io::split(stream);
                Ok((ReadHalf::Simulated(reader), WriteHalf::Simulated(writer)))
            }
        }
    }
}

/// No waiting for more to send, and an end when the other side's host is gone.
fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    #[cfg(target_os = "linux")]
    nix::sys::socket::setsockopt(
        stream,
        nix::sys::socket::sockopt::TcpUserTimeout,
        &crate::net::limits::TCP_PATIENCE_MS,
    )?;
    Ok(())
}

impl Listener {
    /// Binds this member's own address.
    pub(crate) async fn bind(address: SocketAddr) -> io::Result<Listener> {
        match simulated::world().map(|world| world.bind(address)) {
            // Reused at once after a restart; tokio sets SO_REUSEADDR.
            None => TcpListener::bind(address).await.map(Listener::Tcp),
            Some(binding) => binding.await.map(Listener::Simulated),
        }
    }

    /// The next connection, and who dialed. Loses none when it is dropped.
    pub(crate) async fn accept(&mut self) -> io::Result<(Stream, SocketAddr)> {
        match self {
            Listener::Tcp(listener) => listener
                .accept()
                .await
                .map(|(stream, from)| (Stream::Tcp(stream), from)),
            Listener::Simulated(listener) => listener
                .accept()
                .await
                .map(|(stream, from)| (Stream::Simulated(stream), from)),
        }
    }
}

impl AsyncRead for ReadHalf {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            ReadHalf::Tcp(half) => Pin::new(half).poll_read(cx, buffer),
            ReadHalf::Simulated(half) => Pin::new(half).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for WriteHalf {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            WriteHalf::Tcp(half) => Pin::new(half).poll_write(cx, bytes),
            WriteHalf::Simulated(half) => Pin::new(half).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            WriteHalf::Tcp(half) => Pin::new(half).poll_flush(cx),
            WriteHalf::Simulated(half) => Pin::new(half).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            WriteHalf::Tcp(half) => Pin::new(half).poll_shutdown(cx),
            WriteHalf::Simulated(half) => Pin::new(half).poll_shutdown(cx),
        }
    }
}
