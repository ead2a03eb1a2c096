//! The network between simulated members: turmoil's streams, as the log dials and takes them; and the disks beside it.
//!
//! A process does not hold turmoil's streams: its machine's kernel does ([`kernel`]), which is what runs on turmoil's host. So a process may
//! stand still or lag ([`Process`](crate::process::Process)) while its machine answers, and finds what came meanwhile in its sockets.
//!
//! turmoil loses the messages that are sent while a way is closed, and sends none again, as TCP would: what follows them on the
//! same connection is never heard, and the other direction lives on. A kernel gives such a connection up. So do we: when the
//! way is open again every connection between the two is reset ([`Wires`]). Messages that are late and not lost are the faults that hold.

use crate::{
    disk::Disks,
    limits::{PORT, SOCKET_BYTES},
    member::{Shared, here},
};
use futures::future::BoxFuture;
use replog::simulated::{Defect, Faults, Listener, Moment, Stream, World};
use std::{
    io,
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
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, copy_bidirectional, duplex},
    sync::{mpsc, oneshot},
    task::spawn_local,
};
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
    pub(crate) kernels: Kernels,
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
    /// A process's end of a connection whose bytes this kernel carries from now on.
    fn wire(&self, mut stream: TcpStream) -> io::Result<Wire> {
        let fate = Arc::new(Fate::default());
        let (own, peer) = (stream.local_addr()?.ip(), stream.peer_addr()?.ip());
        let (process, mut socket) = duplex(SOCKET_BYTES);
        // Until one end is gone, and both what it said and what it was told has arrived.
        spawn_local(async move {
            let _ = copy_bidirectional(&mut socket, &mut stream).await;
        });
        let mut ends = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ends.retain(|end| end.fate.strong_count() > 0);
        ends.push(End {
            own,
            peer,
            fate: Arc::downgrade(&fate),
        });
        Ok(Wire {
            stream: process,
            fate,
        })
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

/// A process's end of a connection.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: DuplexStream,
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

/// What a process asks of its machine's kernel.
#[derive(Debug)]
pub(crate) enum Call {
    Dial(SocketAddr, oneshot::Sender<io::Result<Wire>>),
    Bind(u16, oneshot::Sender<io::Result<Taking>>),
}

/// How to reach each machine's kernel.
#[derive(Clone, Debug)]
pub(crate) struct Kernels {
    pub(crate) wires: Wires,
    calls: Arc<Mutex<Vec<Option<mpsc::UnboundedSender<Call>>>>>,
}

impl Kernels {
    pub(crate) fn new(machines: usize, wires: Wires) -> Kernels {
        Kernels {
            wires,
            calls: Arc::new(Mutex::new((0..machines).map(|_| None).collect())),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Option<mpsc::UnboundedSender<Call>>>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A kernel that starts: what it runs.
    pub(crate) fn boot(&self, machine: usize) -> impl Future<Output = turmoil::Result> + use<> {
        let (calls, called) = mpsc::unbounded_channel();
        if let Some(slot) = self.lock().get_mut(machine) {
            *slot = Some(calls);
        }
        kernel(called, self.wires.clone())
    }

    /// The kernel of the process that runs now does something for it.
    fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce(oneshot::Sender<io::Result<T>>) -> Call,
    ) -> BoxFuture<'static, io::Result<T>> {
        let (done, result) = oneshot::channel();
        let machine = here(Shared::running);
        let calls = machine.and_then(|machine| self.lock().get(machine).cloned().flatten());
        let gone = || io::Error::from(io::ErrorKind::NetworkDown);
        let sent = calls.ok_or_else(gone).map(|calls| calls.send(call(done)));
        Box::pin(async move {
            sent?.map_err(|_| gone())?;
            result.await.unwrap_or_else(|_| Err(gone()))
        })
    }
}

/// A machine's kernel, until the machine is gone.
async fn kernel(mut called: mpsc::UnboundedReceiver<Call>, wires: Wires) -> turmoil::Result {
    while let Some(call) = called.recv().await {
        let wires = wires.clone();
        spawn_local(async move {
            match call {
                // Nobody may wait for it any more: then it is closed again.
                Call::Dial(address, done) => {
                    let dialed = TcpStream::connect(address).await;
                    drop(done.send(dialed.and_then(|stream| wires.wire(stream))));
                }
                Call::Bind(port, done) => match TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await {
                    Ok(listener) => {
                        let (taken, taking) = mpsc::unbounded_channel();
                        drop(done.send(Ok(Taking(taking))));
                        take(&listener, &wires, &taken).await;
                    }
                    Err(error) => drop(done.send(Err(error))),
                },
            }
        });
    }
    Ok(())
}

/// Takes connections for a process, whether or not it looks, until it listens no more.
async fn take(
    listener: &TcpListener,
    wires: &Wires,
    taken: &mpsc::UnboundedSender<io::Result<(Wire, SocketAddr)>>,
) {
    loop {
        let next = tokio::select! {
            biased;
            () = taken.closed() => return,
            next = listener.accept() => next,
        };
        let next = next.and_then(|(stream, from)| Ok((wires.wire(stream)?, from)));
        if taken.send(next).is_err() {
            return;
        }
    }
}

/// The connections that a process's machine has taken for it.
#[derive(Debug)]
pub(crate) struct Taking(mpsc::UnboundedReceiver<io::Result<(Wire, SocketAddr)>>);

impl Listener for Taking {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(Box<dyn Stream>, SocketAddr)>> {
        Box::pin(async {
            let taken = self.0.recv().await;
            let (wire, from) = taken.unwrap_or_else(|| Err(io::ErrorKind::NetworkDown.into()))?;
            Ok((Box::new(wire) as Box<dyn Stream>, from))
        })
    }
}

impl World for Surroundings {
    fn dial(&self, address: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn Stream>>> {
        let dialed = self.kernels.call(|done| Call::Dial(address, done));
        Box::pin(async move { Ok(Box::new(dialed.await?) as Box<dyn Stream>) })
    }

    fn bind(&self, address: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn Listener>>> {
        let bound = self.kernels.call(|done| Call::Bind(address.port(), done));
        Box::pin(async move { Ok(Box::new(bound.await?) as Box<dyn Listener>) })
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
