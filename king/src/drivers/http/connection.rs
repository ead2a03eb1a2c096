//! One connection: from its acceptance to the version of HTTP that it speaks.

use super::{
    http1::Http1,
    http2,
    server::{Server, Service, Shared, until},
    socket::Socket,
    wire::RequestId,
};
use crate::limits::HTTP_UNACKNOWLEDGED_MS;
use nix::sys::socket::{setsockopt, sockopt};
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::{net::TcpStream, sync::watch, time::timeout};

/// Serves one connection to its end.
pub(crate) async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    server: Arc<Server>,
    number: u64,
    shared: Shared,
) {
    // Nothing is lost without these but time.
    let _ = stream.set_nodelay(true);
    let _ = setsockopt(&stream, sockopt::TcpUserTimeout, &HTTP_UNACKNOWLEDGED_MS);
    let address = match peer {
        SocketAddr::V4(peer) => *peer.ip(),
        SocketAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
    };
    let client = Client {
        server,
        shared,
        address,
        number,
        sequence: AtomicU64::new(0),
    };
    let Some(socket) = shake_hands(stream, &client).await else {
        return;
    };
    if socket.speaks_http2() {
        return http2::serve(socket, client).await;
    }
    Http1::new(socket, client).run().await;
}

/// Begins TLS where the server has it. None if the client does not come so far, or nobody waits for it any more.
async fn shake_hands(stream: TcpStream, client: &Client) -> Option<Socket> {
    let Some(tls) = &client.server.tls else {
        return Some(Socket::plain(stream));
    };
    let mut service = client.service();
    let accepted = tokio::select! {
        biased;
        () = until(&mut service, Service::Draining) => return None,
        accepted = timeout(client.shared.bounds.read_patience, tls.accept(stream)) => accepted,
    };
    match accepted {
        Ok(Ok(stream)) => Some(Socket::secure(stream)),
        Ok(Err(error)) => {
            tracing::debug!("http: TLS on port {}: {error}", client.server.port);
            None
        }
        Err(_) => None,
    }
}

/// Who is at the other end, and what there is for him.
pub(crate) struct Client {
    /// The server that he came to.
    pub(crate) server: Arc<Server>,
    /// What all connections share.
    pub(crate) shared: Shared,
    /// Where he is; 0 if he has no IPv4 address.
    pub(crate) address: Ipv4Addr,
    /// The connection's number.
    number: u64,
    /// The number of its last request.
    sequence: AtomicU64,
}

impl Client {
    /// The name of the next request.
    pub(crate) fn next_id(&self) -> RequestId {
        RequestId {
            server: self.server.number,
            connection: self.number,
            sequence: self.sequence.fetch_add(1, Ordering::Relaxed) + 1,
        }
    }

    /// Sees how far the server's service goes.
    pub(crate) fn service(&self) -> watch::Receiver<Service> {
        self.server.service()
    }
}
