//! Directories that are what their names say: not reached through a symbolic link.

use cap_std::fs::Dir;
use nix::{fcntl::OFlag, sys::stat::Mode};
use std::io;

/// Opens the directory of this name in `above`.
///
/// # Errors
/// As from the system; where a link has the name, neither as if nothing nor as if something else were there.
pub(crate) fn open(above: &Dir, name: &str) -> io::Result<Dir> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    match nix::fcntl::openat(above, name, flags, Mode::empty()) {
        Ok(opened) => Ok(Dir::from_std_file(opened.into())),
        // A link is no proof that what was here is gone.
        Err(_) if above.symlink_metadata(name).is_ok_and(|meta| meta.is_symlink()) => {
            Err(io::Error::other("a symbolic link is in the way"))
        }
        Err(error) => Err(error.into()),
    }
}
