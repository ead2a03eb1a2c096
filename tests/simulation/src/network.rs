//! The network between simulated members: turmoil's streams, as the log dials and takes them; and the disks beside it.

use crate::{disk::Disks, limits::PORT};
use futures::future::BoxFuture;
use replog::simulated::{Defect, Faults, Listener, Moment, Stream, World};
use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
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
    pub(crate) defect: Option<Defect>,
}

struct Taking(TcpListener);

impl fmt::Debug for Taking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Taking")
    }
}

impl Listener for Taking {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(Box<dyn Stream>, SocketAddr)>> {
        Box::pin(async {
            let (stream, from) = self.0.accept().await?;
            Ok((Box::new(stream) as Box<dyn Stream>, from))
        })
    }
}

impl World for Surroundings {
    fn dial(&self, address: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    }

    fn bind(&self, address: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await?;
            Ok(Box::new(Taking(listener)) as Box<dyn Listener>)
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
