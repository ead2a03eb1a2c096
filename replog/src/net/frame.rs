//! Frames: how messages are cut into checked pieces on a connection, and put together again. No I/O.
//!
//! ```text
//! offset size
//!      0    4  length of the body, at most MAX_FRAME_BODY
//!      4    1  kind of message
//!      5    1  1 when more frames of the same message follow, else 0
//!      6    2  zero
//!      8    4  crc32c of the eight bytes above and the body
//!     12       body
//! ```
//! All integers are little-endian. A message larger than a frame is split over several that follow one another directly.

use crate::net::limits::{MAX_FRAME_BODY, READ_BUFFER_BYTES, READ_ROOM_BYTES};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::collections::VecDeque;

/// Bytes before a frame's body.
pub(crate) const HEAD: usize = 12;

/// Bytes on a connection that are not a frame: the connection is closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    /// A length beyond the limit.
    #[error("a frame of {length} bytes, more than the {MAX_FRAME_BODY} that are allowed")]
    TooLong {
        /// The length it claims.
        length: usize,
    },
    /// Flipped bytes.
    #[error("a frame's checksum is {found:08x} where its bytes have {expected:08x}")]
    Checksum {
        /// What the frame says.
        found: u32,
        /// What its bytes have.
        expected: u32,
    },
    /// Bits that are not used are set: the bytes are no frame of this version.
    #[error("a frame with reserved bits")]
    Reserved,
    /// A message goes on with a frame of another kind.
    #[error("a message of kind {began} goes on with kind {found}")]
    Mixed {
        /// Kind of its first frame.
        began: u8,
        /// Kind of the frame that came.
        found: u8,
    },
    /// A message whose frames together exceed what this connection takes.
    #[error("a message of kind {kind} with more than {limit} bytes")]
    MessageTooLong {
        /// Its kind.
        kind: u8,
        /// The limit, bytes.
        limit: usize,
    },
}

/// A whole message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// What it is.
    pub(crate) kind: u8,
    /// What it holds.
    pub(crate) body: Bytes,
}

/// Takes bytes as they come, gives messages. Holds at most a frame more than the message that is being put together,
/// and no more than has arrived: a length that lies reserves nothing.
#[derive(Debug)]
pub(crate) struct Decoder {
    buffer: BytesMut,
    begun: Option<(u8, Vec<u8>)>,
    limit: usize,
}

impl Decoder {
    /// A decoder for messages of at most `limit` bytes.
    pub(crate) fn new(limit: usize) -> Decoder {
        Decoder {
            buffer: BytesMut::new(),
            begun: None,
            limit,
        }
    }

    /// Takes larger messages from now on (or smaller ones).
    pub(crate) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Where arriving bytes are appended; has room.
    pub(crate) fn buffer(&mut self) -> &mut BytesMut {
        let missing = match self.wanted() {
            Some(wanted) => wanted.saturating_sub(self.buffer.len()),
            None => 0,
        };
        let room = self.buffer.capacity() - self.buffer.len();
        if room < missing.max(READ_ROOM_BYTES) {
            self.buffer.reserve(missing.max(READ_BUFFER_BYTES));
        }
        &mut self.buffer
    }

    /// Whether the bytes so far end between two messages.
    pub(crate) fn is_clean(&self) -> bool {
        self.buffer.is_empty() && self.begun.is_none()
    }

    /// How long the frame at the front is, if its length is there and is allowed.
    fn wanted(&self) -> Option<usize> {
        let length = u32::from_le_bytes(*self.buffer.first_chunk::<4>()?) as usize;
        (length <= MAX_FRAME_BODY).then_some(HEAD + length)
    }

    /// The next message, if it is all there. After an error the connection must be closed.
    pub(crate) fn next(&mut self) -> Result<Option<Message>, FrameError> {
        loop {
            let Some(head) = self.buffer.first_chunk::<HEAD>() else {
                return Ok(None);
            };
            let mut fields = &head[..];
            let length = fields.get_u32_le() as usize;
            if length > MAX_FRAME_BODY {
                return Err(FrameError::TooLong { length });
            }
            let (kind, more, zero, found) = (
                fields.get_u8(),
                fields.get_u8(),
                fields.get_u16_le(),
                fields.get_u32_le(),
            );
            if self.buffer.len() < HEAD + length {
                return Ok(None);
            }
            let expected =
                crc32c::crc32c_append(crc32c::crc32c(&head[..8]), &self.buffer[HEAD..HEAD + length]);
            if found != expected {
                return Err(FrameError::Checksum { found, expected });
            }
            if more > 1 || zero != 0 {
                return Err(FrameError::Reserved);
            }
            self.buffer.advance(HEAD);
            let body = self.buffer.split_to(length).freeze();
            let so_far = self.begun.as_ref().map_or(0, |(_, bytes)| bytes.len());
            if so_far + length > self.limit {
                return Err(FrameError::MessageTooLong {
                    kind,
                    limit: self.limit,
                });
            }
            match (self.begun.take(), more == 1) {
                (Some((began, _)), _) if began != kind => {
                    return Err(FrameError::Mixed { began, found: kind });
                }
                (None, false) => return Ok(Some(Message { kind, body })),
                (None, true) => self.begun = Some((kind, body.to_vec())),
                (Some((_, mut bytes)), more) => {
                    bytes.extend_from_slice(&body);
                    if !more {
                        return Ok(Some(Message {
                            kind,
                            body: bytes.into(),
                        }));
                    }
                    self.begun = Some((kind, bytes));
                }
            }
        }
    }
}

/// Takes messages, gives the bytes to send. A large message is cut into frames as the socket takes them.
#[derive(Debug, Default)]
pub(crate) struct Encoder {
    ready: BytesMut,
    waiting: VecDeque<Large>,
}

/// A message that is larger than a frame, not yet framed.
#[derive(Debug)]
struct Large {
    kind: u8,
    pieces: VecDeque<Piece>,
    left: usize,
    crc: u32,
}

/// A part of a large message.
#[derive(Clone, Debug)]
pub(crate) enum Piece {
    /// These bytes; they count for the crc that follows.
    Summed(Bytes),
    /// These bytes, which do not count.
    Plain(Bytes),
    /// The crc32c of the bytes that counted since the last one, four bytes.
    Sum,
}

impl Piece {
    fn length(&self) -> usize {
        match self {
            Piece::Summed(bytes) | Piece::Plain(bytes) => bytes.len(),
            Piece::Sum => 4,
        }
    }
}

impl Encoder {
    /// Adds a message that fits a frame, written by `fill` to the end of the buffer.
    pub(crate) fn push(&mut self, kind: u8, fill: impl FnOnce(&mut BytesMut)) {
        if self.waiting.is_empty() {
            frame(&mut self.ready, kind, false, fill);
        } else {
            let mut body = BytesMut::new();
            fill(&mut body);
            self.push_large(kind, vec![Piece::Plain(body.freeze())]);
        }
    }

    /// Adds a message of any size, which is framed bit by bit.
    pub(crate) fn push_large(&mut self, kind: u8, pieces: Vec<Piece>) {
        let left = pieces.iter().map(Piece::length).sum();
        self.waiting.push_back(Large {
            kind,
            pieces: pieces.into(),
            left,
            crc: 0,
        });
    }

    /// What is to be sent next; empty when all is sent.
    pub(crate) fn ready(&mut self) -> &[u8] {
        if self.ready.is_empty() {
            while let Some(large) = self.waiting.front_mut() {
                large.frame(&mut self.ready);
                if large.left == 0 {
                    self.waiting.pop_front();
                }
                if self.ready.len() >= READ_BUFFER_BYTES {
                    break;
                }
            }
        }
        &self.ready
    }

    /// So many bytes of [`ready`](Self::ready) have been sent.
    pub(crate) fn sent(&mut self, count: usize) {
        self.ready.advance(count);
    }

    /// Bytes that wait to be sent.
    pub(crate) fn backlog(&self) -> usize {
        self.ready.len() + self.waiting.iter().map(|large| large.left).sum::<usize>()
    }
}

impl Large {
    /// Appends this message's next frame.
    fn frame(&mut self, out: &mut BytesMut) {
        let size = self.left.min(MAX_FRAME_BODY);
        self.left -= size;
        frame(out, self.kind, self.left > 0, |out| {
            let mut room = size;
            while room > 0 {
                // A sum of four bytes may be cut in two by the frame's end.
                let mut part = match self.pieces.pop_front() {
                    Some(Piece::Sum) => Bytes::copy_from_slice(&std::mem::take(&mut self.crc).to_le_bytes()),
                    Some(Piece::Plain(bytes)) => bytes,
                    Some(Piece::Summed(mut bytes)) => {
                        let rest = bytes.split_off(bytes.len().min(room));
                        self.crc = crc32c::crc32c_append(self.crc, &bytes);
                        if !rest.is_empty() {
                            self.pieces.push_front(Piece::Summed(rest));
                        }
                        bytes
                    }
                    None => break,
                };
                let rest = part.split_off(part.len().min(room));
                if !rest.is_empty() {
                    self.pieces.push_front(Piece::Plain(rest));
                }
                room -= part.len();
                out.extend_from_slice(&part);
            }
            assert!(room == 0, "a message has as many bytes as its pieces");
        });
    }
}

/// Appends one frame to `out`.
fn frame(out: &mut BytesMut, kind: u8, more: bool, fill: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_bytes(0, HEAD);
    fill(out);
    let length = out.len() - start - HEAD;
    assert!(
        length <= MAX_FRAME_BODY,
        "a message of kind {kind} with {length} bytes fits no frame"
    );
    let (head, body) = out[start..].split_at_mut(HEAD);
    head[0..4].copy_from_slice(&(length as u32).to_le_bytes());
    head[4] = kind;
    head[5] = u8::from(more);
    let crc = crc32c::crc32c_append(crc32c::crc32c(&head[..8]), body);
    head[8..12].copy_from_slice(&crc.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn drain(encoder: &mut Encoder) -> Vec<u8> {
        let mut out = Vec::new();
        loop {
            let ready = encoder.ready().to_vec();
            if ready.is_empty() {
                return out;
            }
            encoder.sent(ready.len());
            out.extend(ready);
        }
    }

    fn all(decoder: &mut Decoder) -> Result<Vec<Message>, FrameError> {
        let mut out = Vec::new();
        while let Some(message) = decoder.next()? {
            out.push(message);
        }
        Ok(out)
    }

    fn small(kind: u8, body: &[u8]) -> Vec<u8> {
        let mut encoder = Encoder::default();
        encoder.push(kind, |out| out.extend_from_slice(body));
        drain(&mut encoder)
    }

    #[test]
    fn a_frame_has_these_bytes() {
        let bytes = small(7, b"abc");
        assert_eq!(&bytes[..8], &[3, 0, 0, 0, 7, 0, 0, 0]);
        assert_eq!(
            &bytes[8..12],
            &crc32c::crc32c(&[3, 0, 0, 0, 7, 0, 0, 0, b'a', b'b', b'c']).to_le_bytes()
        );
        assert_eq!(&bytes[12..], b"abc");
    }

    #[test]
    fn a_large_message_is_split_and_keeps_its_place() {
        let mut encoder = Encoder::default();
        let big = Bytes::from((0..3 * MAX_FRAME_BODY + 5).map(|n| n as u8).collect::<Vec<_>>());
        encoder.push(1, |out| out.extend_from_slice(b"before"));
        encoder.push_large(
            2,
            vec![
                Piece::Plain(Bytes::from_static(b"head")),
                Piece::Summed(big.clone()),
                Piece::Sum,
            ],
        );
        encoder.push(3, |out| out.extend_from_slice(b"after"));
        assert_eq!(encoder.backlog(), HEAD + 6 + 4 + big.len() + 4 + 5);
        let bytes = drain(&mut encoder);
        assert_eq!(encoder.backlog(), 0);
        let mut decoder = Decoder::new(4 * MAX_FRAME_BODY);
        // Byte by byte would take long: odd chunks.
        let mut messages = Vec::new();
        for chunk in bytes.chunks(65_537) {
            decoder.buffer().extend_from_slice(chunk);
            messages.extend(all(&mut decoder).unwrap());
        }
        assert!(decoder.is_clean());
        assert_eq!(messages.iter().map(|m| m.kind).collect::<Vec<_>>(), [1, 2, 3]);
        let mut whole = b"head".to_vec();
        whole.extend_from_slice(&big);
        whole.extend_from_slice(&crc32c::crc32c(&big).to_le_bytes());
        assert_eq!(messages[1].body, whole);
    }

    #[test]
    fn a_sum_may_be_cut_by_a_frames_end() {
        for cut in 0..=4 {
            let mut encoder = Encoder::default();
            let big = Bytes::from(vec![9; MAX_FRAME_BODY - cut]);
            encoder.push_large(2, vec![Piece::Summed(big.clone()), Piece::Sum]);
            let mut decoder = Decoder::new(2 * MAX_FRAME_BODY);
            decoder.buffer().extend_from_slice(&drain(&mut encoder));
            let message = decoder.next().unwrap().unwrap();
            assert_eq!(message.body[big.len()..], crc32c::crc32c(&big).to_le_bytes());
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let bytes = small(7, b"abc");
        for bit in 0..bytes.len() * 8 {
            let mut torn = bytes.clone();
            torn[bit / 8] ^= 1 << (bit % 8);
            let mut decoder = Decoder::new(100);
            decoder.buffer().extend_from_slice(&torn);
            // A length that grew waits for bytes that do not come; all else is an error.
            match decoder.next() {
                Ok(None) => assert!(bit < 32, "bit {bit}"),
                Ok(Some(message)) => panic!("bit {bit} gave {message:?}"),
                Err(_) => {}
            }
        }
    }

    #[test]
    fn limits_are_kept() {
        let mut decoder = Decoder::new(100);
        decoder.buffer().extend_from_slice(&small(7, &[0; 101]));
        assert_eq!(
            decoder.next(),
            Err(FrameError::MessageTooLong { kind: 7, limit: 100 })
        );
        let mut decoder = Decoder::new(100);
        decoder.buffer().extend_from_slice(&u32::MAX.to_le_bytes());
        decoder.buffer().extend_from_slice(&[0; 8]);
        assert_eq!(
            decoder.next(),
            Err(FrameError::TooLong {
                length: u32::MAX as usize
            })
        );
        assert!(
            decoder.buffer().capacity() < 4 * READ_BUFFER_BYTES,
            "a length that lies reserves nothing"
        );
    }

    #[test]
    fn messages_that_are_kept_share_what_they_were_read_into() {
        let mut decoder = Decoder::new(100);
        let kept: Vec<Message> = (0..100)
            .map(|_| {
                decoder.buffer().extend_from_slice(&small(7, &[0; 100]));
                decoder.next().unwrap().unwrap()
            })
            .collect();
        let behind = |pair: &&[Message]| {
            pair[1].body.as_ptr().addr() == pair[0].body.as_ptr().addr() + pair[0].body.len() + HEAD
        };
        assert_eq!(
            kept.windows(2).filter(behind).count(),
            99,
            "one follows the other in memory"
        );
    }

    #[test]
    fn a_message_does_not_change_its_kind() {
        let mut out = BytesMut::new();
        frame(&mut out, 1, true, |out| out.extend_from_slice(b"a"));
        frame(&mut out, 2, false, |out| out.extend_from_slice(b"b"));
        let mut decoder = Decoder::new(100);
        decoder.buffer().extend_from_slice(&out);
        assert_eq!(decoder.next(), Err(FrameError::Mixed { began: 1, found: 2 }));
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same(
            messages in proptest::collection::vec((any::<u8>(), proptest::collection::vec(any::<u8>(), 0..300)), 1..10),
            cuts in proptest::collection::vec(1..50usize, 1..200),
        ) {
            let mut encoder = Encoder::default();
            for (nth, (kind, body)) in messages.iter().enumerate() {
                if nth % 3 == 2 {
                    encoder.push_large(*kind, vec![Piece::Summed(Bytes::copy_from_slice(body))]);
                } else {
                    encoder.push(*kind, |out| out.extend_from_slice(body));
                }
            }
            let bytes = drain(&mut encoder);
            let mut decoder = Decoder::new(300);
            let (mut got, mut at, mut cuts) = (Vec::new(), 0, cuts.into_iter().cycle());
            while at < bytes.len() {
                let next = (at + cuts.next().unwrap()).min(bytes.len());
                decoder.buffer().extend_from_slice(&bytes[at..next]);
                got.extend(all(&mut decoder).unwrap());
                at = next;
            }
            prop_assert_eq!(got.into_iter().map(|m| (m.kind, m.body.to_vec())).collect::<Vec<_>>(), messages);
        }

        #[test]
        fn any_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut decoder = Decoder::new(300);
            decoder.buffer().extend_from_slice(&bytes);
            let _ = all(&mut decoder);
        }
    }
}
