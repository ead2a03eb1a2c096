//! The ports' sockets, files below `.urb/dev`. No name and no symbolic link leads out of it.

use crate::real_dir;
use cap_std::{
    ambient_authority,
    fs::{Dir, DirBuilder, DirBuilderExt},
};
use serf_ipc::{FromNoun, Noun};
use std::{
    io::{self, ErrorKind},
    os::{fd::AsRawFd, unix::net::UnixListener},
    path::Path,
};

/// A port's place below `.urb/dev`: knots, each a file's name as it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct PortPath(String);

impl PortPath {
    /// The place of a port; None for a path that is empty or has a knot that is no file's name.
    pub(super) fn of(path: &Noun) -> Option<PortPath> {
        let knots: Vec<String> = FromNoun::from_noun(path).ok()?;
        let is_name =
            |knot: &String| !matches!(knot.as_str(), "" | "." | "..") && !knot.contains(['/', '\0']);
        (!knots.is_empty() && knots.iter().all(is_name)).then(|| PortPath(knots.join("/")))
    }

    pub(super) fn components(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }
}

impl std::fmt::Display for PortPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "/{}", self.0)
    }
}

/// A socket that is listened on. Its file goes with it.
pub(super) struct Socket {
    directory: Dir,
    name: String,
}

impl Socket {
    /// Listens; a stale file of that name, which a killed king leaves behind, is removed first.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub(super) fn listen(pier: &Path, path: &PortPath) -> io::Result<(Socket, UnixListener)> {
        let mut directory = devices(pier)?;
        let mut parts = path.components().peekable();
        let mut name = "";
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                name = part;
                break;
            }
            made(directory.create_dir(part))?;
            directory = real_dir::open(&directory, part)?;
        }
        let socket = Socket {
            directory,
            name: name.to_owned(),
        };
        socket.remove()?;
        // An address has a hundred bytes or so; through the directory's descriptor it is short.
        let short = format!("/proc/self/fd/{}/{}", socket.directory.as_raw_fd(), socket.name);
        let listener = UnixListener::bind(short)?;
        listener.set_nonblocking(true)?;
        Ok((socket, listener))
    }

    fn remove(&self) -> io::Result<()> {
        match self.directory.remove_file(&self.name) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            tracing::warn!(target: crate::console::TARGET, "lick: failed to unlink socket: {error}");
        }
    }
}

/// `.urb/dev`, for the owner only.
fn devices(pier: &Path) -> io::Result<Dir> {
    let urb = Dir::open_ambient_dir(pier.join(".urb"), ambient_authority())?;
    made(urb.create_dir_with("dev", DirBuilder::new().mode(0o700)))?;
    real_dir::open(&urb, "dev")
}

fn made(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serf_ipc::n;
    use std::{fs, os::unix::fs::symlink, os::unix::net::UnixStream};

    fn pier() -> tempfile::TempDir {
        let pier = tempfile::tempdir().unwrap();
        fs::create_dir(pier.path().join(".urb")).unwrap();
        pier
    }

    #[test]
    fn paths_are_names_of_files() {
        assert_eq!(PortPath::of(&n!["a", "b.c", 0u64]).unwrap().to_string(), "/a/b.c");
        for path in [
            n![0u64],
            n!["..", 0u64],
            n!["a", "..", "b", 0u64],
            n!["a/b", 0u64],
            n!["/", 0u64],
            n![0u64, "a", 0u64],
            n!["a\0b", 0u64],
            n!["a"],
            n![n![1u64, 2u64], 0u64],
            n![255u64, 0u64],
        ] {
            assert_eq!(PortPath::of(&path), None, "{path:?}");
        }
    }

    #[test]
    fn a_socket_is_there_until_it_is_dropped() {
        let pier = pier();
        let path = PortPath::of(&n!["a", "b".repeat(200), "c", 0u64]).unwrap();
        let file = pier.path().join(".urb/dev/a").join("b".repeat(200)).join("c");
        for _ in 0..2 {
            let (socket, listener) = Socket::listen(pier.path(), &path).unwrap();
            assert!(file.exists());
            drop(listener);
            // The one after it finds a stale file.
            std::mem::forget(socket);
        }
        let (socket, _listener) = Socket::listen(pier.path(), &path).unwrap();
        drop(socket);
        assert!(!file.exists() && file.parent().unwrap().exists());
    }

    #[test]
    fn links_lead_nowhere() {
        let (pier, outside) = (pier(), tempfile::tempdir().unwrap());
        let dev = pier.path().join(".urb/dev");
        fs::create_dir(&dev).unwrap();
        symlink(outside.path(), dev.join("out")).unwrap();
        let path = PortPath::of(&n!["out", "a", 0u64]).unwrap();
        assert!(Socket::listen(pier.path(), &path).is_err());
        // A link in the socket's own place gives way.
        fs::write(outside.path().join("file"), "text").unwrap();
        symlink(outside.path().join("file"), dev.join("a")).unwrap();
        let path = PortPath::of(&n!["a", 0u64]).unwrap();
        let (_socket, _listener) = Socket::listen(pier.path(), &path).unwrap();
        UnixStream::connect(dev.join("a")).unwrap();
        assert_eq!(fs::read_to_string(outside.path().join("file")).unwrap(), "text");
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
    }
}
