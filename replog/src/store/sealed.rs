//! Small records of ours: a checksum and a version before the body.
//!
//! ```text
//! offset size
//!      0    4  crc32c of all that follows
//!      4    1  version, 1
//!      5    3  zero
//!      8       body
//! ```
//! All integers are little-endian.

const VERSION: u8 = 1;
const HEAD: usize = 8;

/// Bytes that are not a record of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SealError {
    /// Flipped or missing bytes.
    #[error("it is damaged")]
    Damaged,
    /// Written by a newer program.
    #[error("it has version {0}, and this program reads version {VERSION}: use the newer one")]
    Version(u8),
}

/// The record around `body`.
pub(crate) fn seal(body: &[u8]) -> Vec<u8> {
    let mut record = Vec::with_capacity(HEAD + body.len());
    record.extend_from_slice(&[0, 0, 0, 0, VERSION, 0, 0, 0]);
    record.extend_from_slice(body);
    let crc = crc32c::crc32c(&record[4..]);
    record[..4].copy_from_slice(&crc.to_le_bytes());
    record
}

/// The body of a record.
pub(crate) fn unseal(record: &[u8]) -> Result<&[u8], SealError> {
    let (crc, rest) = record.split_first_chunk::<4>().ok_or(SealError::Damaged)?;
    if rest.len() < HEAD - 4 || crc32c::crc32c(rest) != u32::from_le_bytes(*crc) {
        return Err(SealError::Damaged);
    }
    match rest {
        [VERSION, 0, 0, 0, body @ ..] => Ok(body),
        [VERSION, ..] => Err(SealError::Damaged),
        [version, ..] => Err(SealError::Version(*version)),
        [] => Err(SealError::Damaged),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden() {
        // crc32c of 01 00 00 00 68 69, from another implementation.
        assert_eq!(seal(b"hi"), [0x83, 0xb9, 0xe6, 0xbc, 1, 0, 0, 0, b'h', b'i']);
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let record = seal(b"some bytes");
        assert_eq!(unseal(&record), Ok(&b"some bytes"[..]));
        for bit in 0..record.len() * 8 {
            let mut bad = record.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            unseal(&bad).unwrap_err();
        }
        for cut in 0..record.len() {
            unseal(&record[..cut]).unwrap_err();
        }
    }

    #[test]
    fn a_newer_version_is_named() {
        let mut record = seal(b"from the future");
        record[4] = 2;
        let crc = crc32c::crc32c(&record[4..]);
        record[..4].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(unseal(&record), Err(SealError::Version(2)));
    }
}
