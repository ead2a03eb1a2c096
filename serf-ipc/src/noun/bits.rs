//! Streams of bits, the lowest bit of each byte first.

/// Bits collected into bytes.
pub(super) struct BitWriter {
    out: Vec<u8>,
    /// The bits that do not fill a word yet, and how many they are (below 64).
    word: u64,
    fill: u32,
}

impl BitWriter {
    pub(super) fn with_capacity(bytes: usize) -> BitWriter {
        BitWriter {
            out: Vec::with_capacity(bytes),
            word: 0,
            fill: 0,
        }
    }

    /// How many bits have been written.
    pub(super) fn position(&self) -> u64 {
        self.out.len() as u64 * 8 + u64::from(self.fill)
    }

    /// Writes the low `count` bits (at most 64) of a value that has no others.
    pub(super) fn put(&mut self, value: u64, count: u32) {
        assert!(count == 64 || value >> count == 0, "bits above the count");
        self.word |= value << self.fill;
        let fill = self.fill + count;
        if fill < 64 {
            self.fill = fill;
        } else {
            self.out.extend_from_slice(&self.word.to_le_bytes());
            self.word = if self.fill == 0 {
                0
            } else {
                value >> (64 - self.fill)
            };
            self.fill = fill - 64;
        }
    }

    /// Writes all bits of some bytes up to the highest one bit of the last.
    pub(super) fn put_significant(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        let (last, words) = match rest {
            [] => words
                .split_last()
                .map_or((0, words), |(last, words)| (u64::from_le_bytes(*last), words)),
            _ => {
                let mut last = [0; 8];
                last[..rest.len()].copy_from_slice(rest);
                (u64::from_le_bytes(last), words)
            }
        };
        for word in words {
            self.put(u64::from_le_bytes(*word), 64);
        }
        self.put(last, 64 - last.leading_zeros());
    }

    /// The bytes, the last one filled up with zeros.
    pub(super) fn finish(mut self) -> Vec<u8> {
        let used = self.fill.div_ceil(8) as usize;
        self.out.extend_from_slice(&self.word.to_le_bytes()[..used]);
        self.out
    }
}

/// How many bits [`BitReader::peek`] shows at least.
pub(super) const PEEK_BITS: u32 = 57;

/// A place in a string of bits.
#[derive(Clone, Copy)]
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    position: u64,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> BitReader<'a> {
        BitReader { bytes, position: 0 }
    }

    /// How many bits have been read.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// How many bytes the input has.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// How many bits are left.
    pub(super) fn left(&self) -> u64 {
        (self.bytes.len() as u64 * 8).saturating_sub(self.position)
    }

    /// The next bits, at least [`PEEK_BITS`] of them; zeros where the input has ended.
    pub(super) fn peek(&self) -> u64 {
        self.word(self.position / 8) >> (self.position % 8)
    }

    /// Passes over some bits, which may lie beyond the end.
    pub(super) fn skip(&mut self, count: u64) {
        self.position += count;
    }

    /// Reads up to 64 bits, of which the input has that many.
    pub(super) fn take(&mut self, count: u32) -> u64 {
        let (byte, shift) = (self.position / 8, (self.position % 8) as u32);
        let mut value = self.word(byte) >> shift;
        if shift + count > 64 {
            value |= self.word(byte + 8) << (64 - shift);
        }
        self.position += u64::from(count);
        if count == 64 {
            value
        } else {
            value & ((1 << count) - 1)
        }
    }

    /// Reads some bits, of which the input has that many, as little-endian bytes.
    pub(super) fn take_bytes(&mut self, count: u64) -> Vec<u8> {
        let mut out = vec![0; count.div_ceil(8) as usize];
        let (whole, last) = out.split_at_mut((count / 64) as usize * 8);
        let (words, _) = whole.as_chunks_mut::<8>();
        let (source, _) = self.bytes[(self.position / 8) as usize..].as_chunks::<8>();
        let shift = (self.position % 8) as u32;
        let mut copied = 0;
        for ((word, low), high) in words.iter_mut().zip(source).zip(source.iter().skip(1)) {
            // Twice, since a shift by 64 would be none.
            let high = u64::from_le_bytes(*high) << 1 << (63 - shift);
            *word = (u64::from_le_bytes(*low) >> shift | high).to_le_bytes();
            copied += 1;
        }
        // At the end of the input there may be no whole word to look at.
        self.position += copied * 64;
        for word in words.iter_mut().skip(copied as usize) {
            *word = self.take(64).to_le_bytes();
        }
        let tail = self.take((count % 64) as u32).to_le_bytes();
        last.copy_from_slice(&tail[..last.len()]);
        out
    }

    /// The eight bytes from here as a word, zeros beyond the end.
    fn word(&self, byte: u64) -> u64 {
        let Some(rest) = usize::try_from(byte).ok().and_then(|byte| self.bytes.get(byte..)) else {
            return 0;
        };
        if let Some(word) = rest.first_chunk::<8>() {
            return u64::from_le_bytes(*word);
        }
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        u64::from_le_bytes(word)
    }
}
