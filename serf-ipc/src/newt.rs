//! newt, the framing on the serf's pipes and on the control socket: one version byte, a length, a jammed noun.
//!
//! `spec/ipc.md` section 1: byte 0 is `0x00`; bytes 1 to 4 are the body's length as a little-endian `u32`, never
//! zero; the body is the `jam` of one noun. There is no I/O here: bytes go in, bodies come out.

use crate::limits::{NEWT_BUFFER_KEEP_BYTES, NEWT_READ_BYTES};

/// Bytes before a body: the version byte and the length (`spec/ipc.md` section 1).
pub const HEADER_BYTES: usize = 5;

/// The only version byte there is (`spec/ipc.md` section 1).
const VERSION: u8 = 0;

/// Why a stream is not newt, or not newt that we accept. After any of these the stream's boundaries are lost: there is
/// no next frame to be found, and the stream has to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NewtError {
    /// The first byte of a header is not the version byte.
    #[error("newt: a frame begins with byte 0x{found:02x} instead of 0x00: the sender does not speak newt")]
    Version {
        /// The byte that was there.
        found: u8,
    },
    /// A header announces a body of no bytes, which no noun jams to.
    #[error("newt: a frame announces an empty body: the sender does not speak newt")]
    Empty,
    /// A body is longer than this side accepts, or than the header can say.
    #[error("newt: a frame of {length} bytes is over the limit of {limit} bytes")]
    TooLong {
        /// The body's length in bytes.
        length: u64,
        /// The longest body accepted, in bytes.
        limit: u64,
    },
}

/// Cuts a stream of bytes into the bodies of its frames. However the stream was split into reads, the bodies are the
/// same.
///
/// Memory follows what has arrived, never what a header announces: the buffer at most doubles when it is full.
#[derive(Debug)]
pub struct Decoder {
    /// Every byte is initialised; the unread ones are `buffer[start..end]`.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    limit: usize,
    failed: Option<NewtError>,
}

impl Decoder {
    /// A decoder at the start of a stream, which accepts bodies of at most `limit` bytes. It holds no memory until
    /// bytes arrive.
    #[must_use]
    pub fn new(limit: usize) -> Decoder {
        Decoder {
            buffer: Vec::new(),
            start: 0,
            end: 0,
            limit,
            failed: None,
        }
    }

    /// Takes the next bytes of the stream, as many or as few as there are.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        self.buffer[self.end..self.end + bytes.len()].copy_from_slice(bytes);
        self.end += bytes.len();
    }

    /// Room to read the next bytes of the stream into; [`Decoder::filled`] says how many came. This spares the copy
    /// that [`Decoder::feed`] makes.
    pub fn space(&mut self) -> &mut [u8] {
        self.reserve(NEWT_READ_BYTES);
        &mut self.buffer[self.end..]
    }

    /// The first `count` bytes of [`Decoder::space`] hold the next bytes of the stream.
    ///
    /// # Panics
    /// When `count` is more than the room that was given.
    pub fn filled(&mut self, count: usize) {
        assert!(
            count <= self.buffer.len() - self.end,
            "invariant: no more was read than there was room for"
        );
        self.end += count;
    }

    /// The body of the next frame if all of it has arrived. Call until `None` after every read.
    ///
    /// # Errors
    /// [`NewtError`], and from then on the same error at every call.
    pub fn next_frame(&mut self) -> Result<Option<Vec<u8>>, NewtError> {
        Ok(self.next_body()?.map(<[u8]>::to_vec))
    }

    /// As [`Decoder::next_frame`], without a copy: the body stays in the decoder's buffer.
    ///
    /// # Errors
    /// [`NewtError`], and from then on the same error at every call.
    pub fn next_body(&mut self) -> Result<Option<&[u8]>, NewtError> {
        let Some(length) = self.announced()? else {
            return Ok(None);
        };
        let frame = HEADER_BYTES + length;
        if self.buffered() < frame {
            return Ok(None);
        }
        let body = self.start + HEADER_BYTES..self.start + frame;
        self.start += frame;
        Ok(Some(&self.buffer[body]))
    }

    /// Bytes that have arrived and belong to no frame that was given out. Zero at the end of a stream that was not cut
    /// short.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.end - self.start
    }

    /// Those bytes: after an error, what was found where a frame should be.
    #[must_use]
    pub fn unread(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// The length of the next body, once its header is here.
    fn announced(&mut self) -> Result<Option<usize>, NewtError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        match parse_header(&self.buffer[self.start..self.end], self.limit) {
            Ok(length) => Ok(length),
            Err(error) => {
                self.failed = Some(error);
                Err(error)
            }
        }
    }

    /// Makes room for `more` bytes behind the unread ones.
    fn reserve(&mut self, more: usize) {
        let unread = self.buffered();
        if unread == 0 {
            self.start = 0;
            self.end = 0;
            if self.buffer.len() > NEWT_BUFFER_KEEP_BYTES {
                self.buffer = Vec::new();
            }
        }
        if self.buffer.len() - self.end >= more {
            return;
        }
        // The unread bytes are at most part of one frame once the caller has taken all it can, so moving them to the
        // front costs each byte one move.
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.start = 0;
            self.end = unread;
        }
        if self.buffer.len() - self.end < more {
            let grown = (unread + more).max(self.buffer.len() * 2);
            self.buffer.resize(grown, 0);
        }
    }
}

/// The body length that the header at the front of `bytes` announces. A wrong version byte is told as soon as it is
/// there, before the rest of the header.
fn parse_header(bytes: &[u8], limit: usize) -> Result<Option<usize>, NewtError> {
    match bytes {
        [] => Ok(None),
        [found, ..] if *found != VERSION => Err(NewtError::Version { found: *found }),
        [_, a, b, c, d, ..] => {
            let length = u32::from_le_bytes([*a, *b, *c, *d]);
            if length == 0 {
                return Err(NewtError::Empty);
            }
            match usize::try_from(length) {
                Ok(length) if length <= limit => Ok(Some(length)),
                _ => Err(NewtError::TooLong {
                    length: u64::from(length),
                    limit: limit as u64,
                }),
            }
        }
        _ => Ok(None),
    }
}

/// The frame around `body`.
///
/// # Panics
/// When `body` is empty or longer than a header can say (`u32::MAX` bytes): no noun jams to nothing, and what may be
/// that long is limited before it gets here. [`encode_with`] tells of a body that is too long as an error.
#[must_use]
pub fn encode(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap_or(0);
    assert!(
        length > 0,
        "invariant: a newt body of {} bytes can be framed",
        body.len()
    );
    let mut frame = Vec::with_capacity(HEADER_BYTES + body.len());
    frame.push(VERSION);
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(body);
    frame
}

/// The frame around the body that `write` appends to the vector it is given: the body is written where it will be sent
/// from. The vector already holds the header's bytes, which `write` must leave alone.
///
/// # Errors
/// [`NewtError::TooLong`] when the body is over `limit` or over what a header can say; [`NewtError::Empty`] when nothing
/// was written.
///
/// # Panics
/// When `write` cut the header off.
pub fn encode_with(limit: usize, write: impl FnOnce(&mut Vec<u8>)) -> Result<Vec<u8>, NewtError> {
    let mut frame = vec![VERSION; HEADER_BYTES];
    write(&mut frame);
    assert!(
        frame.len() >= HEADER_BYTES,
        "invariant: the header stays in front of the body"
    );
    let length = frame.len() - HEADER_BYTES;
    if length == 0 {
        return Err(NewtError::Empty);
    }
    match u32::try_from(length) {
        Ok(announced) if length <= limit => {
            frame[1..HEADER_BYTES].copy_from_slice(&announced.to_le_bytes());
            Ok(frame)
        }
        _ => {
            let limit = limit.min(u32::MAX as usize) as u64;
            Err(NewtError::TooLong {
                length: length as u64,
                limit,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All bodies that `decoder` has ready.
    fn ready(decoder: &mut Decoder) -> Result<Vec<Vec<u8>>, NewtError> {
        std::iter::from_fn(|| decoder.next_frame().transpose()).collect()
    }

    #[test]
    fn a_frame_is_a_zero_a_length_and_the_body() {
        assert_eq!(encode(&[0x0c]), [0, 1, 0, 0, 0, 0x0c]);
        let long = encode(&[7; 0x0102]);
        assert_eq!(long[..HEADER_BYTES], [0, 0x02, 0x01, 0, 0]);
    }

    #[test]
    fn encode_with_makes_the_same_frame_as_encode() {
        let frame = encode_with(10, |out| out.extend_from_slice(b"body")).unwrap();
        assert_eq!(frame, encode(b"body"));
    }

    #[test]
    fn encode_with_refuses_what_no_reader_accepts() {
        assert_eq!(encode_with(10, |_| ()), Err(NewtError::Empty));
        let long = encode_with(3, |out| out.extend_from_slice(b"body"));
        assert_eq!(long, Err(NewtError::TooLong { length: 4, limit: 3 }));
    }

    #[test]
    fn one_byte_at_a_time_and_all_at_once_give_the_same() {
        let stream: Vec<u8> = [&b"a"[..], b"bc", &[0; 300]]
            .iter()
            .flat_map(|body| encode(body))
            .collect();
        let mut at_once = Decoder::new(1000);
        at_once.feed(&stream);
        let expected = ready(&mut at_once).unwrap();
        let mut slowly = Decoder::new(1000);
        let mut got = Vec::new();
        for byte in &stream {
            slowly.feed(std::slice::from_ref(byte));
            got.extend(ready(&mut slowly).unwrap());
        }
        assert_eq!(got, expected);
        assert_eq!(got.len(), 3);
        assert_eq!(slowly.buffered(), 0);
    }

    #[test]
    fn a_wrong_version_byte_is_told_before_the_rest_of_the_header() {
        let mut decoder = Decoder::new(10);
        decoder.feed(b"u");
        assert_eq!(decoder.next_frame(), Err(NewtError::Version { found: b'u' }));
    }

    #[test]
    fn an_empty_body_is_an_error() {
        let mut decoder = Decoder::new(10);
        decoder.feed(&[0, 0, 0, 0, 0]);
        assert_eq!(decoder.next_frame(), Err(NewtError::Empty));
    }

    #[test]
    fn the_limit_is_the_longest_accepted_body() {
        let mut decoder = Decoder::new(10);
        decoder.feed(&encode(&[1; 10]));
        decoder.feed(&encode(&[1; 11]));
        assert_eq!(decoder.next_frame(), Ok(Some(vec![1; 10])));
        assert_eq!(
            decoder.next_frame(),
            Err(NewtError::TooLong {
                length: 11,
                limit: 10
            })
        );
    }

    #[test]
    fn an_error_stays_and_good_frames_before_it_are_given() {
        let mut decoder = Decoder::new(10);
        decoder.feed(&encode(b"good"));
        decoder.feed(b"bad");
        decoder.feed(&encode(b"lost"));
        assert_eq!(decoder.next_frame(), Ok(Some(b"good".to_vec())));
        assert_eq!(decoder.next_frame(), Err(NewtError::Version { found: b'b' }));
        decoder.feed(&encode(b"lost"));
        assert_eq!(decoder.next_frame(), Err(NewtError::Version { found: b'b' }));
    }

    #[test]
    fn an_announced_length_takes_no_memory_before_its_bytes_arrive() {
        let mut decoder = Decoder::new(usize::MAX);
        decoder.feed(&[0, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(decoder.next_frame(), Ok(None));
        assert!(!decoder.space().is_empty());
        assert!(
            decoder.buffer.len() <= 2 * NEWT_READ_BYTES,
            "{}",
            decoder.buffer.len()
        );
    }

    #[test]
    fn the_buffer_of_a_large_frame_is_given_back() {
        let body = vec![9; 4 * NEWT_BUFFER_KEEP_BYTES];
        let mut decoder = Decoder::new(usize::MAX);
        decoder.feed(&encode(&body));
        assert_eq!(decoder.next_frame(), Ok(Some(body)));
        decoder.feed(&encode(b"small"));
        assert!(
            decoder.buffer.len() <= NEWT_BUFFER_KEEP_BYTES,
            "{}",
            decoder.buffer.len()
        );
        assert_eq!(decoder.next_frame(), Ok(Some(b"small".to_vec())));
    }

    /// A stream of bodies, and the points at which it is cut into reads.
    fn stream() -> impl Strategy<Value = (Vec<Vec<u8>>, Vec<usize>)> {
        let body = prop_oneof![4 => 1..40_usize, 1 => 1..70_000_usize]
            .prop_flat_map(|length| proptest::collection::vec(any::<u8>(), length));
        proptest::collection::vec(body, 0..20).prop_flat_map(|bodies| {
            let length: usize = bodies.iter().map(|body| body.len() + HEADER_BYTES).sum();
            (Just(bodies), proptest::collection::vec(0..=length, 0..40))
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_split_gives_the_same_bodies((bodies, mut cuts) in stream(), read_into in any::<bool>()) {
            let bytes: Vec<u8> = bodies.iter().flat_map(|body| encode(body)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let mut decoder = Decoder::new(1 << 20);
            let mut got = Vec::new();
            for cut in cuts.windows(2) {
                let mut piece = &bytes[cut[0]..cut[1]];
                if !read_into {
                    decoder.feed(piece);
                }
                while read_into && !piece.is_empty() {
                    let space = decoder.space();
                    let count = space.len().min(piece.len());
                    space[..count].copy_from_slice(&piece[..count]);
                    decoder.filled(count);
                    piece = &piece[count..];
                }
                while let Some(body) = decoder.next_body().unwrap() {
                    got.push(body.to_vec());
                }
            }
            prop_assert_eq!(got, bodies);
            prop_assert_eq!(decoder.buffered(), 0);
        }

        #[test]
        fn hostile_bytes_end_in_frames_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut decoder = Decoder::new(64);
            decoder.feed(&bytes);
            while let Ok(Some(body)) = decoder.next_body() {
                prop_assert!((1..=64).contains(&body.len()));
            }
        }
    }
}
