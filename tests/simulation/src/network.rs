//! The network between simulated members: turmoil's streams, as the log dials and takes them; and the disks beside it.
//!
//! turmoil loses the messages that are sent while a way is closed, and sends none again, as TCP would: what follows them on the
//! same connection is never heard, and the other direction lives on. A kernel gives such a connection up. So do we: when the
//! way is open again every connection between the two is reset ([`Wires`]). Messages that are late and not lost are the faults that hold.

use crate::{disk::Disks, limits::PORT};
use futures::future::BoxFuture;
use replog::simulated::{Defect, Faults, Listener, Moment, Stream, World};
use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use turmoil::net::{TcpListener, TcpStream};

/// The address of a member.
pub(crate) fn host(member: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(192, 168, 7, member as u8 + 1))
}

/// Where it is reached.
pub(crate) fn address(member: usize) -> SocketAddr {
    SocketAddr::new(host(member), PORT)
}

/// What members live in.
#[derive(Debug)]
pub(crate) struct Surroundings {
    pub(crate) disks: Disks,
    pub(crate) wires: Wires,
    pub(crate) defect: Option<Defect>,
}

/// What may befall a connection's end.
#[derive(Debug, Default)]
struct Fate {
    reset: AtomicBool,
    waiting: Mutex<Vec<Waker>>,
}

/// All ends of connections: whose, to whom.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wires(Arc<Mutex<Vec<End>>>);

#[derive(Debug)]
struct End {
    own: IpAddr,
    peer: IpAddr,
    fate: Weak<Fate>,
}

impl Wires {
    fn wire(&self, stream: TcpStream) -> io::Result<Box<dyn Stream>> {
        let fate = Arc::new(Fate::default());
        let (own, peer) = (stream.local_addr()?.ip(), stream.peer_addr()?.ip());
        let mut ends = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ends.retain(|end| end.fate.strong_count() > 0);
        ends.push(End {
            own,
            peer,
            fate: Arc::downgrade(&fate),
        });
        Ok(Box::new(Wire { stream, fate }))
    }

    /// Resets all connections between two members.
    pub(crate) fn reset(&self, one: usize, other: usize) {
        let (one, other) = (host(one), host(other));
        let ends = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for End { own, peer, fate } in ends.iter() {
            if ((*own, *peer) == (one, other) || (*own, *peer) == (other, one))
                && let Some(fate) = fate.upgrade()
            {
                fate.reset.store(true, Ordering::Relaxed);
                let mut waiting = fate.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                waiting.drain(..).for_each(Waker::wake);
            }
        }
    }
}

/// An end of a connection.
#[derive(Debug)]
struct Wire {
    stream: TcpStream,
    fate: Arc<Fate>,
}

impl Wire {
    fn check(&self, cx: &Context<'_>) -> io::Result<()> {
        if self.fate.reset.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let mut waiting = self.fate.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
        }
        Ok(())
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

struct Taking(TcpListener, Wires);

impl fmt::Debug for Taking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Taking")
    }
}

impl Listener for Taking {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(Box<dyn Stream>, SocketAddr)>> {
        Box::pin(async {
            let (stream, from) = self.0.accept().await?;
            Ok((self.1.wire(stream)?, from))
        })
    }
}

impl World for Surroundings {
    fn dial(&self, address: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn Stream>>> {
        let wires = self.wires.clone();
        Box::pin(async move { wires.wire(TcpStream::connect(address).await?) })
    }

    fn bind(&self, address: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn Listener>>> {
        let wires = self.wires.clone();
        Box::pin(async move {
            let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await?;
            Ok(Box::new(Taking(listener, wires)) as Box<dyn Listener>)
        })
    }

    fn disk(&self, store: &Path, moment: Moment) -> Duration {
        self.disks.takes(store, moment)
    }

    fn faults(&self) -> Arc<dyn Faults> {
        Arc::new(self.disks.clone())
    }

    fn defect(&self) -> Option<Defect> {
        self.defect
    }
}
