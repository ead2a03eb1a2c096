//! What is typed, as the belts that dill knows: a decoder of bytes without I/O (`spec/drivers.md` section 4).
//!
//! It understands what vere's does, no more and no less: an unknown sequence rings the bell, and what is left of a longer one than it
//! knows is text. One thing is otherwise: bytes that are no UTF-8 ring the bell too, where vere's kernel function crashes over them.

use serf_ipc::{Noun, n};

/// A key, or a piece of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Belt {
    /// Characters that were typed or pasted.
    Text(Vec<char>),
    /// Return.
    Return,
    /// Backspace.
    Backspace,
    /// Delete.
    Delete,
    /// An arrow: `u`, `d`, `l` or `r`.
    Arrow(char),
    /// A letter with Ctrl.
    Control(char),
    /// A letter with Alt.
    Meta(char),
    /// Backspace with Alt.
    MetaBackspace,
    /// A mouse button, at a column and row from 0.
    Hit(u8, u8),
}

impl Belt {
    /// The belt as dill takes it.
    pub(super) fn to_noun(&self) -> Noun {
        let letter = |letter: &char| Noun::atom(u64::from(u32::from(*letter)));
        match self {
            Belt::Text(text) => Noun::cell(Noun::cord("txt"), Noun::list(text.iter().map(letter))),
            Belt::Return => n!["ret", Noun::ZERO],
            Belt::Backspace => n!["bac", Noun::ZERO],
            Belt::Delete => n!["del", Noun::ZERO],
            Belt::Arrow(direction) => n!["aro", letter(direction)],
            Belt::Control(key) => n!["mod", "ctl", letter(key)],
            Belt::Meta(key) => n!["mod", "met", letter(key)],
            Belt::MetaBackspace => n!["mod", "met", "bac", Noun::ZERO],
            Belt::Hit(column, row) => n!["hit", u64::from(*column), u64::from(*row)],
        }
    }
}

/// What bytes came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// For the ship.
    Belt(Belt),
    /// Nothing that is known.
    Bell,
}

/// Where in a key's bytes the decoder is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Ground,
    /// Behind ESC.
    Escape,
    /// Behind `ESC [` or `ESC O`: the last of the parameters, which are single bytes.
    Sequence(u8),
    /// Behind `ESC [ M`: the bytes of button and column.
    Mouse([u8; 2], usize),
    /// Within a character of so many bytes.
    Character {
        bytes: [u8; 4],
        have: usize,
        width: usize,
    },
}

/// Takes reads of any size apart; a key may be cut anywhere.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    state: State,
    text: Vec<char>,
    heard: Vec<Heard>,
}

impl Decoder {
    /// What one read brings, on a screen of so many rows. Text never waits for the next one.
    pub(super) fn take(&mut self, bytes: &[u8], rows: u16) -> Vec<Heard> {
        for byte in bytes {
            self.byte(*byte, rows);
        }
        self.flush();
        std::mem::take(&mut self.heard)
    }

    fn flush(&mut self) {
        if !self.text.is_empty() {
            let text = std::mem::take(&mut self.text);
            self.heard.push(Heard::Belt(Belt::Text(text)));
        }
    }

    fn belt(&mut self, belt: Belt) {
        self.flush();
        self.heard.push(Heard::Belt(belt));
    }

    fn bell(&mut self) {
        self.heard.push(Heard::Bell);
    }

    fn byte(&mut self, byte: u8, rows: u16) {
        match std::mem::take(&mut self.state) {
            State::Ground => self.key(byte),
            State::Escape => self.escaped(byte),
            State::Sequence(parameter) => self.sequence(byte, parameter),
            State::Mouse(mut bytes, have) => {
                if let Some(slot) = bytes.get_mut(have) {
                    *slot = byte;
                    self.state = State::Mouse(bytes, have + 1);
                } else {
                    self.mouse(bytes, byte, rows);
                }
            }
            State::Character { bytes, have, width } => self.character(byte, bytes, have, width),
        }
    }

    fn key(&mut self, byte: u8) {
        match byte {
            b' '..=b'~' => self.text.push(char::from(byte)),
            0 => self.bell(),
            8 | 127 => self.belt(Belt::Backspace),
            b'\n' | b'\r' => self.belt(Belt::Return),
            1..=26 => self.belt(Belt::Control(char::from(b'a' + byte - 1))),
            27 => self.state = State::Escape,
            28..=31 => {}
            128.. => {
                let width = match byte {
                    0xc2..=0xdf => 2,
                    0xe0..=0xef => 3,
                    0xf0..=0xf4 => 4,
                    _ => return self.bell(),
                };
                self.state = State::Character {
                    bytes: [byte, 0, 0, 0],
                    have: 1,
                    width,
                };
            }
        }
    }

    fn escaped(&mut self, byte: u8) {
        match byte {
            b'a'..=b'z' => self.belt(Belt::Meta(char::from(byte))),
            8 | 127 => self.belt(Belt::MetaBackspace),
            b'[' | b'O' => self.state = State::Sequence(0),
            _ => self.bell(),
        }
    }

    fn sequence(&mut self, byte: u8, parameter: u8) {
        match (byte, parameter) {
            (..=b'9', _) => self.state = State::Sequence(byte),
            (b'~', b'3') => self.belt(Belt::Delete),
            (b'A', _) => self.belt(Belt::Arrow('u')),
            (b'B', _) => self.belt(Belt::Arrow('d')),
            (b'C', _) => self.belt(Belt::Arrow('r')),
            (b'D', _) => self.belt(Belt::Arrow('l')),
            (b'M', _) => self.state = State::Mouse([0; 2], 0),
            _ => self.bell(),
        }
    }

    /// A mouse's report: three bytes, each 32 more than what it says. Terminals are not asked for any.
    fn mouse(&mut self, [button, column]: [u8; 2], row: u8, rows: u16) {
        let (Some(column), Some(row)) = (column.checked_sub(33), row.checked_sub(33)) else {
            return;
        };
        if button != 32 && u16::from(row) < rows {
            self.belt(Belt::Hit(column, row));
        }
    }

    fn character(&mut self, byte: u8, mut bytes: [u8; 4], have: usize, width: usize) {
        if byte & 0xc0 != 0x80 {
            // The character was cut short; this begins something else.
            self.bell();
            return self.key(byte);
        }
        if let Some(slot) = bytes.get_mut(have) {
            *slot = byte;
        }
        if have + 1 < width {
            let have = have + 1;
            self.state = State::Character { bytes, have, width };
            return;
        }
        let text = bytes
            .get(..width)
            .and_then(|bytes| std::str::from_utf8(bytes).ok());
        match text.and_then(|text| text.chars().next()) {
            Some(character) => self.text.push(character),
            None => self.bell(),
        }
    }
}

/// Any bytes, whole and in pieces of `size`: the same but for where text is cut. For a fuzzer.
pub(crate) fn fuzz(size: usize, bytes: &[u8]) {
    let whole = joined(Decoder::default().take(bytes, 24));
    let mut decoder = Decoder::default();
    let pieces = bytes.chunks(size.max(1)).flat_map(|read| decoder.take(read, 24));
    assert!(joined(pieces) == whole, "reads of {size} bytes make a difference");
    for heard in &whole {
        if let Heard::Belt(Belt::Text(text)) = heard {
            assert!(text.iter().all(|c| *c >= ' ' && *c != '\x7f'), "{text:?}");
        }
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && text.chars().all(|c| c >= ' ' && c != '\x7f')
        && !text.is_empty()
    {
        assert!(whole == [Heard::Belt(Belt::Text(text.chars().collect()))]);
    }
}

/// With the pieces of a text that nothing came between joined; a bell comes between.
fn joined(heard: impl IntoIterator<Item = Heard>) -> Vec<Heard> {
    let mut all: Vec<Heard> = Vec::new();
    let mut bells = 0;
    for heard in heard {
        match (heard, all.last_mut()) {
            // A bell rings at once, and text before it is still collected: their order says nothing.
            (Heard::Bell, _) => bells += 1,
            (Heard::Belt(Belt::Text(text)), Some(Heard::Belt(Belt::Text(before)))) => before.extend(text),
            (heard, _) => all.push(heard),
        }
    }
    all.extend(std::iter::repeat_n(Heard::Bell, bells));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn heard(bytes: &[u8]) -> Vec<Heard> {
        Decoder::default().take(bytes, 24)
    }

    fn text(text: &str) -> Heard {
        Heard::Belt(Belt::Text(text.chars().collect()))
    }

    #[test]
    fn keys_are_belts() {
        let cases: [(&[u8], Belt); 16] = [
            (b"\r", Belt::Return),
            (b"\n", Belt::Return),
            (b"\x08", Belt::Backspace),
            (b"\x7f", Belt::Backspace),
            (b"\t", Belt::Control('i')),
            (b"\x01", Belt::Control('a')),
            (b"\x18", Belt::Control('x')),
            (b"\x1a", Belt::Control('z')),
            (b"\x1b[A", Belt::Arrow('u')),
            (b"\x1bOB", Belt::Arrow('d')),
            (b"\x1b[C", Belt::Arrow('r')),
            (b"\x1b[D", Belt::Arrow('l')),
            (b"\x1b[3~", Belt::Delete),
            (b"\x1bf", Belt::Meta('f')),
            (b"\x1b\x7f", Belt::MetaBackspace),
            (b"\x1b[M!\"#", Belt::Hit(1, 2)),
        ];
        for (bytes, belt) in cases {
            assert_eq!(heard(bytes), [Heard::Belt(belt)], "{bytes:?}");
        }
    }

    #[test]
    fn what_is_not_known_rings_the_bell_or_nothing() {
        for bytes in [
            &b"\0"[..],
            b"\x1b[5~",
            b"\x1b[H",
            b"\x1b!",
            b"\x1b\x1b",
            b"\x80",
            b"\xff",
        ] {
            assert_eq!(heard(bytes), [Heard::Bell], "{bytes:?}");
        }
        for bytes in [
            &b"\x1c"[..],
            b"\x1f",
            b"\x1b",
            b"\x1b[",
            b"\x1b[3",
            b"\x1b[M \"#",
            b"\x1b[M!  ",
            b"\x1b[M!!~",
        ] {
            assert_eq!(heard(bytes), [], "{bytes:?}");
        }
        // As vere: the semicolon ends it.
        assert_eq!(heard(b"\x1b[1;5A"), [Heard::Bell, text("5A")]);
        // What encloses a paste is unknown to both; the paste itself is text.
        assert_eq!(
            heard(b"\x1b[200~ab\x1b[201~"),
            [Heard::Bell, Heard::Bell, text("ab")]
        );
    }

    #[test]
    fn text_comes_before_the_key_behind_it() {
        assert_eq!(
            heard("(add 1 1)\rü\x08".as_bytes()),
            [
                text("(add 1 1)"),
                Heard::Belt(Belt::Return),
                text("ü"),
                Heard::Belt(Belt::Backspace)
            ]
        );
    }

    #[test]
    fn a_character_may_be_cut_between_reads() {
        let mut decoder = Decoder::default();
        let bytes = "aé☂𝄞b".as_bytes();
        let all: Vec<_> = bytes.iter().flat_map(|byte| decoder.take(&[*byte], 24)).collect();
        assert_eq!(all, ["a", "é", "☂", "𝄞", "b"].map(text));
        assert_eq!(
            heard(b"\xe2\x98\rx"),
            [Heard::Bell, Heard::Belt(Belt::Return), text("x")]
        );
        assert_eq!(heard(b"\xed\xa0\x80x"), [Heard::Bell, text("x")], "a surrogate");
    }

    #[test]
    fn belts_have_dill_s_shapes() {
        assert_eq!(
            Belt::Text(vec!['a', '☂']).to_noun(),
            n!["txt", 97u64, 0x2602_u64, 0u64]
        );
        assert_eq!(Belt::Control('c').to_noun(), n!["mod", "ctl", "c"]);
        assert_eq!(Belt::MetaBackspace.to_noun(), n!["mod", "met", "bac", 0u64]);
        assert_eq!(Belt::Arrow('u').to_noun(), n!["aro", "u"]);
        assert_eq!(Belt::Return.to_noun(), n!["ret", 0u64]);
        assert_eq!(Belt::Hit(1, 2).to_noun(), n!["hit", 1u64, 2u64]);
    }

    proptest! {
        #[test]
        fn where_reads_end_makes_no_difference(bytes: Vec<u8>, size in 1_usize..6) {
            fuzz(size, &bytes);
        }

        #[test]
        fn keys_in_pieces_are_keys(keys in proptest::collection::vec(
            prop_oneof!["[ -~]", "\x1b\\[[A-D3M~1;]", "é|☂|𝄞", "[\x01-\x1f]"], 0..20), size in 1_usize..4) {
            fuzz(size, keys.concat().as_bytes());
        }
    }
}
