//! What a serf keeps on disk: its image, which `%save` writes and a start reads.
//!
//! The files have the names that the C serf's have, `.urb/chk/north.bin` and `.urb/chk/south.bin`, so that whoever copies
//! those for an epoch copies these. Everything is in the first:
//!
//! | bytes | what |
//! | --- | --- |
//! | 0..8 | `seguroim` |
//! | 8..12 | version, 1 |
//! | 12..16 | CRC-32C of all that follows |
//! | 16..24 | event number |
//! | 24.. | jam of the kernel |
//!
//! Numbers are little-endian. The second holds one line of text that never changes. Each is written beside its place,
//! synced and renamed, the second before the first, so that a crash leaves the old image or the new one.

use seguro_event::EventNumber;
use serf_ipc::{Noun, cue, jam};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"seguroim";
const VERSION: u32 = 1;
/// Where the checksummed part begins.
const SUMMED: usize = 16;
const HEADER_BYTES: usize = 24;
const SOUTH: &[u8] = b"The reference serf keeps its image in north.bin.\n";

/// Why an image cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ImageError {
    /// The disk.
    #[error("{path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// Not one of ours.
    #[error(
        "{path}: this is not an image of the reference serf; the pier belongs to urbit's own serf, so start that one \
         (--serf-bin), or boot another pier"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// From another time.
    #[error("{path}: the image has version {found}, this serf reads version {VERSION}")]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// One of ours, damaged.
    #[error(
        "{path}: the image is damaged ({what}); take it from another member or from an epoch's directory"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How this shows.
        what: &'static str,
    },
}

/// Where a pier's image is.
pub(crate) struct Image {
    checkpoint: PathBuf,
    rocks: PathBuf,
    /// Nothing is written (`spec/ipc.md` section 4, wag bit 5).
    dry: bool,
}

impl Image {
    /// The image of the pier, whose directory for it is made if it is not there.
    pub(crate) fn open(pier: &Path, dry: bool) -> Result<Image, ImageError> {
        let image = Image {
            checkpoint: pier.join(".urb/chk"),
            rocks: pier.join(".urb/roc"),
            dry,
        };
        fs::create_dir_all(&image.checkpoint).map_err(|source| io_error(&image.checkpoint, source))?;
        Ok(image)
    }

    /// The event and the kernel that were saved last, if any were.
    pub(crate) fn load(&self) -> Result<Option<(EventNumber, Noun)>, ImageError> {
        let south = self.checkpoint.join("south.bin");
        let known = match fs::read(&south) {
            Ok(bytes) if bytes == SOUTH => true,
            Ok(_) => return Err(ImageError::Foreign { path: south }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(source) => return Err(io_error(&south, source)),
        };
        let path = self.checkpoint.join("north.bin");
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(io_error(&path, source)),
        };
        let loaded = parse(&bytes, &path)?;
        if !known {
            return Err(ImageError::Damaged {
                path: south,
                what: "the file is missing",
            });
        }
        Ok(Some(loaded))
    }

    /// Makes `kernel` after `event` what the next start reads. It is on disk when this returns.
    pub(crate) fn save(&self, event: EventNumber, kernel: &Noun) -> Result<(), ImageError> {
        if self.dry {
            return Ok(());
        }
        let body = jam(kernel);
        let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&event.0.to_le_bytes());
        bytes.extend_from_slice(&body);
        let checksum = crc32c::crc32c(&bytes[SUMMED..]);
        bytes[SUMMED - 4..SUMMED].copy_from_slice(&checksum.to_le_bytes());
        if fs::read(self.checkpoint.join("south.bin")).ok().as_deref() != Some(SOUTH) {
            write_durably(&self.checkpoint, "south.bin", SOUTH)?;
        }
        write_durably(&self.checkpoint, "north.bin", &bytes)
    }

    /// Writes a rock, the jam of a portable copy of the state.
    pub(crate) fn save_rock(&self, event: EventNumber, rock: &[u8]) -> Result<(), ImageError> {
        fs::create_dir_all(&self.rocks).map_err(|source| io_error(&self.rocks, source))?;
        write_durably(&self.rocks, &format!("{event}.jam"), rock)
    }
}

fn io_error(path: &Path, source: io::Error) -> ImageError {
    ImageError::Io {
        path: path.to_owned(),
        source,
    }
}

/// The event and the kernel in an image's bytes.
fn parse(bytes: &[u8], path: &Path) -> Result<(EventNumber, Noun), ImageError> {
    let foreign = || ImageError::Foreign {
        path: path.to_owned(),
    };
    let damaged = |what| ImageError::Damaged {
        path: path.to_owned(),
        what,
    };
    let (magic, rest) = bytes.split_first_chunk::<8>().ok_or_else(foreign)?;
    if magic != MAGIC {
        return Err(foreign());
    }
    let short = || damaged("it is cut off");
    let (version, rest) = rest.split_first_chunk::<4>().ok_or_else(short)?;
    let (checksum, summed) = rest.split_first_chunk::<4>().ok_or_else(short)?;
    let (event, body) = summed.split_first_chunk::<8>().ok_or_else(short)?;
    let version = u32::from_le_bytes(*version);
    if version != VERSION {
        return Err(ImageError::Version {
            path: path.to_owned(),
            found: version,
        });
    }
    if u32::from_le_bytes(*checksum) != crc32c::crc32c(summed) {
        return Err(damaged("its checksum does not agree"));
    }
    let kernel = cue(body).map_err(|_| damaged("its kernel is no jam"))?;
    Ok((EventNumber(u64::from_le_bytes(*event)), kernel))
}

/// Puts a file into a directory so that a crash at any moment leaves the old file or the new one.
fn write_durably(directory: &Path, name: &str, bytes: &[u8]) -> Result<(), ImageError> {
    let place = directory.join(name);
    let beside = directory.join(format!("{name}.new"));
    let written = File::create(&beside).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(|source| io_error(&beside, source))?;
    fs::rename(&beside, &place).map_err(|source| io_error(&place, source))?;
    File::open(directory)
        .and_then(|file| file.sync_all())
        .map_err(|source| io_error(directory, source))
}
