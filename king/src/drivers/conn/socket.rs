//! The control socket's file.

use crate::{limits, unix_socket};
use anyhow::Context;
use std::{
    io,
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
};

/// Its name below the pier's `.urb`.
const NAME: &str = "conn.sock";

/// Where the socket of a pier is.
pub(super) fn path(pier: &Path) -> PathBuf {
    pier.join(".urb").join(NAME)
}

/// Listens on the pier's socket.
pub(super) fn listen(pier: &Path) -> anyhow::Result<UnixListener> {
    let path = path(pier);
    unix_socket::listen(&path).with_context(|| format!("conn: cannot listen on {}", path.display()))
}

/// Removes the socket's file, if it is there.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    unix_socket::remove(path)
}

/// Connections, one after the other, for as long as somebody asks. An accept that fails is tried again: descriptors
/// come back when others close.
pub(super) async fn accept(listener: &tokio::net::UnixListener) -> tokio::net::UnixStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                tracing::warn!(%error, "conn: a connection was not accepted");
                tokio::time::sleep(limits::CONN_ACCEPT_PAUSE).await;
            }
        }
    }
}
