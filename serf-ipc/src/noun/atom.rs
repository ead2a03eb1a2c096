//! The bytes of an atom that does not fit in 64 bits.

use std::sync::atomic::AtomicU32;

use super::hash;

/// Up to this many bytes lie in the atom itself: dates, most cords and wire knots, without a second allocation.
const INLINE: usize = 23;

/// An atom of nine bytes or more, the last of which is not zero.
pub(super) struct Atom {
    /// The mug, 0 until it is computed.
    pub(super) mug: AtomicU32,
    pub(super) hash: u32,
    bytes: Bytes,
}

enum Bytes {
    Inline(u8, [u8; INLINE]),
    Heap(Box<[u8]>),
}

impl Atom {
    /// `bytes` has been cut to its significant part.
    pub(super) fn from_slice(bytes: &[u8]) -> Atom {
        let hash = hash_of(bytes);
        let mut inline = [0; INLINE];
        let bytes = match (inline.get_mut(..bytes.len()), u8::try_from(bytes.len())) {
            (Some(place), Ok(len)) => {
                place.copy_from_slice(bytes);
                Bytes::Inline(len, inline)
            }
            _ => Bytes::Heap(bytes.into()),
        };
        Atom {
            mug: AtomicU32::new(0),
            hash,
            bytes,
        }
    }

    /// As `from_slice`, without a copy where the bytes lie on the heap.
    pub(super) fn from_vec(bytes: Vec<u8>) -> Atom {
        if bytes.len() <= INLINE {
            return Atom::from_slice(&bytes);
        }
        Atom {
            mug: AtomicU32::new(0),
            hash: hash_of(&bytes),
            bytes: Bytes::Heap(bytes.into()),
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Inline(len, bytes) => &bytes[..usize::from(*len)],
            Bytes::Heap(bytes) => bytes,
        }
    }

    pub(super) fn bit_len(&self) -> u64 {
        let bytes = self.bytes();
        let top = bytes.last().map_or(0, |top| top.leading_zeros());
        bytes.len() as u64 * 8 - u64::from(top)
    }
}

fn hash_of(bytes: &[u8]) -> u32 {
    assert!(
        bytes.len() > 8 && bytes.last() != Some(&0),
        "a small or padded atom must not be boxed"
    );
    hash::of_bytes(bytes)
}

/// The bytes without the zeros at their end.
pub(super) fn significant(bytes: &[u8]) -> &[u8] {
    let len = bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    &bytes[..len]
}
