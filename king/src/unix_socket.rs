//! Sockets in a pier's directory, however long its path: a socket's address holds only 107 bytes of it.
//!
//! A longer path is reached through the open directory, `/proc/self/fd/N/NAME`. (vere changes its working directory for
//! it, which is no way among threads.)

use std::{
    fs::{self, File},
    io,
    os::{
        fd::AsRawFd,
        unix::{
            ffi::OsStrExt,
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
};

/// The longest path that a socket's address holds (`sun_path`, with its zero byte).
const ADDRESS_BYTES: usize = 108;

/// Listens on `path`; a stale file, which a killed king leaves behind, is removed first: whoever has the pier's lock
/// has its sockets.
///
/// # Errors
/// When the socket cannot be made.
pub(crate) fn listen(path: &Path) -> io::Result<UnixListener> {
    remove(path)?;
    let listener = through_short_path(path, |path| UnixListener::bind(path))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Connects to the socket at `path`.
///
/// # Errors
/// When nobody listens there.
pub(crate) fn connect(path: &Path) -> io::Result<UnixStream> {
    through_short_path(path, |path| UnixStream::connect(path))
}

/// Removes the socket's file, if it is there.
///
/// # Errors
/// When it is there and stays.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn through_short_path<T>(path: &Path, work: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    if path.as_os_str().as_bytes().len() < ADDRESS_BYTES {
        return work(path);
    }
    // Held open until the work is done.
    let directory = File::open(directory)?;
    work(&PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd())).join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_longer_than_an_address_is_reached_all_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let deep = directory.path().join("d".repeat(120));
        fs::create_dir(&deep).unwrap();
        for dir in [directory.path(), &deep] {
            let path = dir.join("a.sock");
            drop(listen(&path).unwrap());
            // The file of the first listener is stale now.
            let listener = listen(&path).unwrap();
            connect(&path).unwrap();
            listener.set_nonblocking(false).unwrap();
            listener.accept().unwrap();
            remove(&path).unwrap();
            connect(&path).unwrap_err();
        }
    }
}
