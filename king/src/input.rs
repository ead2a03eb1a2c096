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
    let mut bytes = Vec::new();
    File::open(path)?
        .take(limits::INPUT_FILE_BYTES + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limits::INPUT_FILE_BYTES {
        let limit = limits::INPUT_FILE_BYTES;
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("larger than {limit} bytes"),
        ));
    }
    Ok(bytes)
}
