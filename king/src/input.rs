//! Files that a user names: pills, ova to inject, archives. They are read whole, and only up to a limit.

use crate::limits;
use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

/// The bytes of a file.
///
/// # Errors
/// When it cannot be read, or is larger than [`limits::INPUT_FILE_BYTES`].
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    read_up_to(path, limits::INPUT_FILE_BYTES)
}

/// The bytes of a file that has `most` at most.
///
/// # Errors
/// When it cannot be read, or is larger.
pub(crate) fn read_up_to(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("larger than {most} bytes"),
        ));
    }
    Ok(bytes)
}
