//! Cuts a serf's standard error into lines.

/// A stream of text as lines of bounded length. A line longer than the limit comes in pieces, cut between characters;
/// blank lines are left out. Carriage returns at a line's ends are dropped: a serf writes for a raw terminal.
#[derive(Debug)]
pub(super) struct Lines {
    pending: Vec<u8>,
    limit: usize,
}

impl Lines {
    /// At the start of a stream. `limit` is the longest line given out, in bytes, and has room for any character.
    pub(super) fn new(limit: usize) -> Lines {
        assert!(limit >= 4, "invariant: a line has room for one character");
        Lines {
            pending: Vec::new(),
            limit,
        }
    }

    /// Takes the next bytes of the stream and gives `each` the lines that they complete.
    pub(super) fn feed(&mut self, mut bytes: &[u8], mut each: impl FnMut(String)) {
        while !bytes.is_empty() {
            let room = self.limit - self.pending.len();
            let newline = bytes.iter().take(room).position(|byte| *byte == b'\n');
            let (piece, rest) = bytes.split_at(newline.unwrap_or(room.min(bytes.len())));
            self.pending.extend_from_slice(piece);
            bytes = if newline.is_some() { &rest[1..] } else { rest };
            if newline.is_some() {
                self.end(&mut each);
            } else if self.pending.len() == self.limit {
                self.cut(&mut each);
            }
        }
    }

    /// Gives out what stands after the last newline, at the stream's end.
    pub(super) fn end(&mut self, mut each: impl FnMut(String)) {
        give(&self.pending, &mut each);
        self.pending.clear();
    }

    /// Gives out a full buffer, and keeps the beginning of a character that it ends with.
    fn cut(&mut self, each: &mut impl FnMut(String)) {
        let whole = self.limit - unfinished_character(&self.pending);
        give(&self.pending[..whole], each);
        self.pending.drain(..whole);
    }
}

fn give(line: &[u8], each: &mut impl FnMut(String)) {
    let line = String::from_utf8_lossy(line);
    let line = line.trim_matches('\r').trim_end();
    if !line.is_empty() {
        each(line.to_owned());
    }
}

/// How many bytes at the end are the beginning of a UTF-8 character that is not complete.
fn unfinished_character(bytes: &[u8]) -> usize {
    let begins_one = |count: &usize| {
        let tail = &bytes[bytes.len().saturating_sub(*count)..];
        // An error without a length is an end of input within a character.
        std::str::from_utf8(tail).is_err_and(|error| error.error_len().is_none())
    };
    (1..4).find(begins_one).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of a text that comes in reads of this size.
    fn lines(text: &[u8], read: usize, limit: usize) -> Vec<String> {
        let mut lines = Lines::new(limit);
        let mut got = Vec::new();
        for piece in text.chunks(read) {
            lines.feed(piece, |line| got.push(line));
        }
        lines.end(|line| got.push(line));
        got
    }

    #[test]
    fn lines_come_out_whole_however_they_were_read() {
        let text = b"serf (7): one\r\n\r\ntwo\n\rthree";
        for read in 1..=text.len() {
            assert_eq!(
                lines(text, read, 80),
                ["serf (7): one", "two", "three"],
                "read {read}"
            );
        }
    }

    #[test]
    fn a_long_line_comes_in_pieces_and_nothing_is_lost() {
        let text = [b"x".repeat(25), b"\nend\n".to_vec()].concat();
        let long = |count| "x".repeat(count);
        assert_eq!(
            lines(&text, 7, 10),
            [long(10), long(10), long(5), "end".to_owned()]
        );
    }

    #[test]
    fn a_line_of_exactly_the_limit_is_one_line() {
        assert_eq!(lines(b"0123456789\nnext", 100, 10), ["0123456789", "next"]);
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let text = "añ→𝄞".repeat(20);
        for limit in 4..40 {
            assert_eq!(lines(text.as_bytes(), 3, limit).concat(), text, "limit {limit}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_shown_as_such() {
        assert_eq!(lines(b"a\xff\xfeb\n", 2, 10), ["a\u{fffd}\u{fffd}b"]);
    }
}
