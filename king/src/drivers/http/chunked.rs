//! Bodies in chunks: taking a request's apart, putting a response's together (RFC 9112, section 7.1).

use crate::limits::HTTP_CHUNK_LINE_BYTES;

/// Takes a chunked body apart, however its bytes are split. As lenient as vere's library: extensions and trailers are
/// dropped, a bare newline ends a line, carriage returns before it do not count.
#[derive(Debug)]
pub(crate) struct Decoder {
    state: State,
    /// Of the current chunk, not yet seen.
    left: u64,
    /// Framing bytes since the last of the body's: bounded.
    idle: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In a chunk's size; whether it has a digit yet.
    Size(bool),
    /// After a size, before the line's end.
    Extension,
    Data,
    /// After a chunk, before the line's end.
    DataEnd,
    /// At the beginning of a line after the last chunk.
    TrailerStart,
    Trailer,
    Done,
}

/// A chunked body that is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

/// What a piece of input was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decoded {
    /// All of it is used, and there is more to come.
    More,
    /// The body ended after this many bytes of it.
    End(usize),
}

impl Decoder {
    /// At the beginning of a body.
    pub(crate) fn new() -> Decoder {
        Decoder {
            state: State::Size(false),
            left: 0,
            idle: 0,
        }
    }

    /// Takes the next bytes, and hands on those of the body.
    ///
    /// # Errors
    /// When they are not framed as they should be, or carry too little.
    pub(crate) fn take(&mut self, input: &[u8], mut body: impl FnMut(&[u8])) -> Result<Decoded, Broken> {
        let mut at = 0;
        while let Some(&byte) = input.get(at) {
            if self.state == State::Data {
                let have = input.len() - at;
                let len = usize::try_from(self.left).map_or(have, |left| left.min(have));
                body(&input[at..at + len]);
                at += len;
                self.left -= len as u64;
                self.idle = 0;
                if self.left == 0 {
                    self.state = State::DataEnd;
                }
                continue;
            }
            self.idle += 1;
            if self.idle > HTTP_CHUNK_LINE_BYTES {
                return Err(Broken);
            }
            let stays = self.step(byte)?;
            if self.state == State::Done {
                return Ok(Decoded::End(at + 1));
            }
            at += usize::from(!stays);
        }
        Ok(Decoded::More)
    }

    /// Looks at a byte of framing; true if it is for the next state to look at again.
    fn step(&mut self, byte: u8) -> Result<bool, Broken> {
        match self.state {
            State::Size(some) => match char::from(byte).to_digit(16) {
                Some(digit) => {
                    let left = self.left.checked_mul(16).ok_or(Broken)?;
                    self.left = left + u64::from(digit);
                    self.state = State::Size(true);
                }
                None if some => {
                    self.state = State::Extension;
                    return Ok(true);
                }
                None => return Err(Broken),
            },
            State::Extension if byte == b'\n' => {
                self.state = if self.left == 0 {
                    State::TrailerStart
                } else {
                    State::Data
                };
            }
            State::DataEnd if byte == b'\n' => self.state = State::Size(false),
            State::DataEnd if byte != b'\r' => return Err(Broken),
            State::TrailerStart if byte == b'\n' => self.state = State::Done,
            State::TrailerStart if byte != b'\r' => self.state = State::Trailer,
            State::Trailer if byte == b'\n' => self.state = State::TrailerStart,
            State::Extension | State::DataEnd | State::TrailerStart | State::Trailer => {}
            State::Data | State::Done => {}
        }
        Ok(false)
    }
}

/// What stands before the bytes of a chunk of a response.
pub(crate) fn before(len: usize) -> String {
    format!("{len:x}\r\n")
}

/// What stands after the bytes of a chunk.
pub(crate) const AFTER: &[u8] = b"\r\n";
/// The chunk that ends a body.
pub(crate) const END: &[u8] = b"0\r\n\r\n";
/// A chunk that is none, so that a client does not take an aborted body for a whole one (vere).
pub(crate) const ABORT: &[u8] = b"\r\n1\r\n";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Decodes input split at every `step` bytes: the body, and what is left of the input.
    fn decode(input: &[u8], step: usize) -> Result<(Vec<u8>, Option<Vec<u8>>), Broken> {
        let mut decoder = Decoder::new();
        let mut body = Vec::new();
        let mut seen = 0;
        for piece in input.chunks(step) {
            if let Decoded::End(used) = decoder.take(piece, |bytes| body.extend_from_slice(bytes))? {
                return Ok((body, Some(input[seen + used..].to_vec())));
            }
            seen += piece.len();
        }
        Ok((body, None))
    }

    fn whole(input: &str) -> Result<(String, String), Broken> {
        let answers = (1..=input.len())
            .map(|step| decode(input.as_bytes(), step))
            .collect::<Vec<_>>();
        assert!(
            answers.windows(2).all(|pair| pair[0] == pair[1]),
            "{input:?}: the split shows"
        );
        let (body, rest) = answers[0].clone()?;
        let rest = rest.unwrap_or_else(|| b"(open)".to_vec());
        Ok((String::from_utf8(body).unwrap(), String::from_utf8(rest).unwrap()))
    }

    #[test]
    fn chunks_are_joined_and_what_follows_is_left() {
        let ok = |body: &str, rest: &str| Ok((body.to_owned(), rest.to_owned()));
        assert_eq!(whole("0\r\n\r\n"), ok("", ""));
        assert_eq!(
            whole("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\nGET /"),
            ok("hello world", "GET /")
        );
        assert_eq!(
            whole("00A;name=\"v\"\r\n0123456789\r\n0;x\r\nTrailer: 1\r\nB: 2\r\n\r\nrest"),
            ok("0123456789", "rest")
        );
        assert_eq!(whole("3\nabc\n0\n\n!"), ok("abc", "!"));
        assert_eq!(whole("3\r\nabc\r\n"), ok("abc", "(open)"));
        assert_eq!(whole("3\r\nab"), ok("ab", "(open)"));
    }

    #[test]
    fn what_is_no_chunk_is_refused() {
        for input in [
            "x",
            "\r\n",
            "3\r\nabcd\r\n",
            "11112222333344445\r\n",
            "-1\r\n",
            "g\r\n",
        ] {
            assert_eq!(whole(input), Err(Broken), "{input:?}");
        }
    }

    #[test]
    fn framing_that_carries_nothing_ends() {
        let extension = format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(HTTP_CHUNK_LINE_BYTES));
        assert_eq!(decode(extension.as_bytes(), 100), Err(Broken));
        let trailers = format!("0\r\n{}\r\n", "a: b\r\n".repeat(HTTP_CHUNK_LINE_BYTES / 6));
        assert_eq!(decode(trailers.as_bytes(), 100), Err(Broken));
        let zeros = "0".repeat(HTTP_CHUNK_LINE_BYTES + 1);
        assert_eq!(decode(zeros.as_bytes(), 100), Err(Broken));
        // The same in small doses between bytes of the body is not too much.
        let small = format!("1;{}\r\na\r\n", "x".repeat(100)).repeat(1000) + "0\r\n\r\n";
        assert_eq!(
            decode(small.as_bytes(), 99),
            Ok((b"a".repeat(1000), Some(Vec::new())))
        );
    }

    proptest! {
        #[test]
        fn what_is_put_together_is_taken_apart(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..8), step in 1usize..64) {
            let mut input = Vec::new();
            for chunk in &chunks {
                input.extend_from_slice(before(chunk.len()).as_bytes());
                input.extend_from_slice(chunk);
                input.extend_from_slice(AFTER);
            }
            input.extend_from_slice(END);
            input.extend_from_slice(b"next");
            prop_assert_eq!(decode(&input, step), Ok((chunks.concat(), Some(b"next".to_vec()))));
        }

        #[test]
        fn an_aborted_body_never_reads_as_a_whole_one(chunk in prop::collection::vec(any::<u8>(), 1..50)) {
            let mut input = before(chunk.len()).into_bytes();
            input.extend_from_slice(&chunk);
            input.extend_from_slice(ABORT);
            prop_assert_eq!(decode(&input, 7), Ok((chunk.clone(), None)));
            let after_a_whole_chunk = [before(chunk.len()).as_bytes(), &chunk, AFTER, ABORT].concat();
            prop_assert_eq!(decode(&after_a_whole_chunk, 7), Err(Broken));
        }

        #[test]
        fn no_bytes_are_too_strange(input in prop::collection::vec(any::<u8>(), 0..400), step in 1usize..50) {
            let _ = decode(&input, step);
        }
    }
}
