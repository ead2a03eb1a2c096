//! The control socket's file.

use crate::limits;
use anyhow::Context;
use std::{
    fs::{self, File},
    io,
    os::{
        fd::AsRawFd,
        unix::{ffi::OsStrExt, net::UnixListener},
    },
    path::{Path, PathBuf},
};

/// Its name below the pier's `.urb`.
const NAME: &str = "conn.sock";
/// The longest path that a socket's address holds (`sun_path`, with its zero byte).
const ADDRESS_BYTES: usize = 108;

/// Where the socket of a pier is.
pub(super) fn path(pier: &Path) -> PathBuf {
    pier.join(".urb").join(NAME)
}

/// Listens on the pier's socket; a stale file, which a killed king leaves behind, is removed first.
pub(super) fn listen(pier: &Path) -> anyhow::Result<UnixListener> {
    let path = path(pier);
    let listener = remove(&path)
        .and_then(|()| bind(&path))
        .with_context(|| format!("conn: cannot listen on {}", path.display()))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Binds, through the open directory where the path is too long for a socket's address. (vere changes its working
/// directory for it, which is no way among threads.)
fn bind(path: &Path) -> io::Result<UnixListener> {
    if path.as_os_str().as_bytes().len() < ADDRESS_BYTES {
        return UnixListener::bind(path);
    }
    let directory = File::open(path.parent().unwrap_or(Path::new(".")))?;
    UnixListener::bind(format!("/proc/self/fd/{}/{NAME}", directory.as_raw_fd()))
}

/// Removes the socket's file, if it is there.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
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
