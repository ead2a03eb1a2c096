//! What the ship and the king show, as bytes for a terminal: no I/O (`spec/drivers.md` section 4).
//!
//! The ship's cursor is kept in the terminal (`ESC[s`, `ESC[u`), so that text never moves it. Lines of the king's are printed on the last
//! row, pushed up, and the ship's own last row, of which a copy is kept here, is written again below them. Until the ship has been told
//! a size, and when no ship is shown any more, there is no such row, and lines are just lines.

use super::{
    shapes::{Blit, Piece, Style},
    spinner::Frame,
};
use crate::limits;
use std::{fmt::Write as _, iter::repeat_n};

/// Columns and rows of a terminal that is not there, or does not say.
const UNKNOWN: Size = Size {
    columns: 80,
    rows: 24,
};

/// A terminal's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Characters in a row.
    pub columns: u16,
    /// Rows.
    pub rows: u16,
}

impl Default for Size {
    fn default() -> Size {
        UNKNOWN
    }
}

impl Size {
    /// This size; one that has no columns or no rows, as a serial line's, is not known.
    pub(super) fn or_unknown(columns: u16, rows: u16) -> Size {
        if columns == 0 || rows == 0 {
            return UNKNOWN;
        }
        Size { columns, rows }
    }
}

/// The screen. Bytes for the terminal collect in it until they are taken.
#[derive(Debug, Default)]
pub(super) struct Screen {
    /// None while no ship is shown.
    size: Option<Size>,
    /// The ship's cursor, from 0 at the top left.
    column: u16,
    row: u16,
    /// What the ship wrote on the last row.
    last: Vec<(Style, char)>,
    out: String,
}

impl Screen {
    /// A ship is shown from now on, on a terminal of this size; or it has changed.
    pub(super) fn show_on(&mut self, size: Size) {
        self.size = Some(size);
    }

    /// No ship is shown any more: the cursor goes below what there is.
    pub(super) fn show_no_more(&mut self) {
        if let Some(size) = self.size.take() {
            self.sequence(format_args!("{};1H", size.rows));
            self.out.push_str("\r\n");
        }
        let out = std::mem::take(&mut self.out);
        *self = Screen {
            out,
            ..Screen::default()
        };
    }

    /// The bytes that have collected.
    pub(super) fn take(&mut self) -> String {
        std::mem::take(&mut self.out)
    }

    /// How many they are.
    pub(super) fn waiting(&self) -> usize {
        self.out.len()
    }

    /// Forgets bytes beyond so many: the terminal takes none.
    pub(super) fn lose(&mut self, beyond: usize) {
        self.out.truncate(beyond);
    }

    /// Rings the bell.
    pub(super) fn bell(&mut self) {
        self.out.push('\x07');
    }

    /// What a blit shows. Files and lists of blits show nothing.
    pub(super) fn blit(&mut self, blit: &Blit) {
        match blit {
            Blit::Bell => self.bell(),
            Blit::Clear => {
                self.out.push_str("\x1b[H\x1b[2J\x1b[u");
                // vere would write the old row again below the next line.
                self.last.clear();
            }
            Blit::Hop(column, row) => self.hop(*column, *row),
            Blit::Styled(stub) => self.text(stub),
            Blit::Text(text) => self.text(&plain(text)),
            Blit::Line(text) => {
                self.hop(0, None);
                self.wipe();
                self.text(&plain(text));
            }
            Blit::NewLine => self.new_line(),
            Blit::Wipe => self.wipe(),
            Blit::More(_) | Blit::Save(..) | Blit::Url => {}
        }
    }

    /// A line of the king's, or several; styled or not.
    pub(super) fn log(&mut self, line: &str) {
        self.begin_last();
        // Nothing in this terminal makes a carriage return of its own.
        for (index, part) in line.split('\n').enumerate() {
            if index > 0 {
                self.out.push_str("\r\n");
            }
            self.out.push_str(part.strip_suffix('\r').unwrap_or(part));
        }
        if self.size.is_some() {
            self.out.push('\n');
            self.restore_last();
        } else {
            self.out.push_str("\r\n");
        }
    }

    /// A turn of the spinner, which stands at the cursor or, if that is not on the last row, at that row's beginning; the terminal's
    /// cursor stays on it.
    pub(super) fn spin(&mut self, frame: &Frame) {
        let size = self.size();
        let Some(room) = size.columns.checked_sub(self.column + 1) else {
            return;
        };
        if frame.is_first {
            if self.size.is_some() && self.row + 1 < size.rows {
                self.sequence(format_args!("{};1H", size.rows));
            }
            let back = frame.width.saturating_sub(usize::from(room));
            self.out.extend(repeat_n('\x08', back));
        }
        self.out.push_str(&frame.text);
        self.out.extend(repeat_n('\x08', frame.width));
    }

    /// The spinner is gone: the last row as it was, and the cursor where the ship put it.
    pub(super) fn restore_last(&mut self) {
        self.begin_last();
        if self.size.is_none() {
            return;
        }
        let last = std::mem::take(&mut self.last);
        for run in last.chunk_by(|a, b| a.0 == b.0) {
            let style = run.first().map(|(style, _)| style);
            self.styled(style, run.iter().map(|(_, character)| *character));
        }
        self.last = last;
        self.out.push_str("\x1b[u");
    }

    /// The terminal's cursor to the beginning of a row for the king, emptied.
    fn begin_last(&mut self) {
        match self.size {
            Some(size) => self.sequence(format_args!("{};1H", size.rows)),
            None => self.out.push('\r'),
        }
        self.out.push_str("\x1b[K");
    }

    fn size(&self) -> Size {
        self.size.unwrap_or_default()
    }

    fn sequence(&mut self, rest: std::fmt::Arguments<'_>) {
        self.out.push_str("\x1b[");
        // A string takes everything.
        let _ = self.out.write_fmt(rest);
    }

    fn hop(&mut self, column: u64, row: Option<u64>) {
        let size = self.size();
        let within = |at: u64, most: u16| u16::try_from(at).unwrap_or(u16::MAX).min(most.saturating_sub(1));
        self.column = within(column, size.columns);
        self.row = within(row.unwrap_or(u64::MAX), size.rows);
        self.sequence(format_args!("{};{}H\x1b[s", self.row + 1, self.column + 1));
    }

    fn is_on_last(&self) -> bool {
        self.row + 1 >= self.size().rows
    }

    fn wipe(&mut self) {
        self.out.push_str("\r\x1b[K\x1b[u");
        if self.is_on_last() {
            self.last.clear();
        }
    }

    fn new_line(&mut self) {
        self.out.push_str("\r\n\x1b[s");
        self.column = 0;
        if self.is_on_last() {
            self.last.clear();
        } else {
            self.row += 1;
        }
    }

    fn text(&mut self, stub: &[Piece]) {
        for piece in stub {
            self.styled(Some(&piece.style), piece.text.iter().copied());
        }
        self.out.push_str("\x1b[u");
        if self.is_on_last() {
            self.remember(stub);
        }
    }

    fn styled(&mut self, style: Option<&Style>, text: impl Iterator<Item = char>) {
        match style.and_then(Style::numbers) {
            None => self.out.extend(text),
            Some(numbers) => {
                self.sequence(format_args!("{numbers}m"));
                self.out.extend(text);
                self.out.push_str("\x1b[0m");
            }
        }
    }

    /// Lays text over the copy of the last row, at the cursor.
    fn remember(&mut self, stub: &[Piece]) {
        let start = usize::from(self.column);
        if self.last.len() < start {
            self.last.resize(start, (Style::default(), ' '));
        }
        let cells = stub.iter().flat_map(|piece| {
            piece
                .text
                .iter()
                .map(|character| (piece.style.clone(), *character))
        });
        for (at, cell) in (start..limits::TERM_ROW).zip(cells) {
            match self.last.get_mut(at) {
                Some(old) => *old = cell,
                None => self.last.push(cell),
            }
        }
    }
}

fn plain(text: &[char]) -> [Piece; 1] {
    [Piece {
        style: Style::default(),
        text: text.to_vec(),
    }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drivers::term::shapes::walk;
    use serf_ipc::{Noun, n};

    const SIZE: Size = Size { columns: 10, rows: 3 };

    fn tour(text: &str) -> Noun {
        Noun::list(text.chars().map(|c| Noun::atom(u64::from(u32::from(c)))))
    }

    fn red(text: &str) -> Noun {
        n![n![0u64, 0u64, "r"], tour(text)]
    }

    fn white(text: &str) -> Noun {
        n![n![0u64, 0u64, 0u64], tour(text)]
    }

    fn screen() -> Screen {
        let mut screen = Screen::default();
        screen.show_on(SIZE);
        screen
    }

    fn bytes(screen: &mut Screen, blits: impl IntoIterator<Item = Noun>) -> String {
        walk(
            &Noun::list(blits),
            &mut 1000,
            |blit| screen.blit(&blit),
            |odd| panic!("{odd:?}"),
        );
        screen.take()
    }

    #[test]
    fn blits_are_vere_s_bytes() {
        let cases = [
            (n!["bel", 0u64], "\x07"),
            (n!["clr", 0u64], "\x1b[H\x1b[2J\x1b[u"),
            (n!["hop", 4u64], "\x1b[3;5H\x1b[s"),
            (n!["hop", 4u64, 1u64], "\x1b[2;5H\x1b[s"),
            (n!["hop", 99u64, 99u64], "\x1b[3;10H\x1b[s"),
            (n!["hop", u64::MAX], "\x1b[3;10H\x1b[s"),
            (n!["put", tour("é☂")], "é☂\x1b[u"),
            (n!["klr", red("ab"), white("c"), 0u64], "\x1b[31mab\x1b[0mc\x1b[u"),
            (n!["nel", 0u64], "\r\n\x1b[s"),
            (n!["mor", 0u64], "\r\n\x1b[s"),
            (n!["wyp", 0u64], "\r\x1b[K\x1b[u"),
            (n!["lin", tour("x")], "\x1b[3;1H\x1b[s\r\x1b[K\x1b[ux\x1b[u"),
            (n!["url", "http://there"], ""),
            (n!["sav", 0u64, 0u64], ""),
        ];
        for (blit, expected) in cases {
            assert_eq!(bytes(&mut screen(), [blit.clone()]), expected, "{blit:?}");
        }
    }

    #[test]
    fn the_last_row_stands_again_below_a_line() {
        let mut screen = screen();
        bytes(
            &mut screen,
            [
                n!["hop", 0u64],
                n!["klr", white("> "), red("ab"), 0u64],
                n!["hop", 4u64],
            ],
        );
        screen.log("said");
        let below = "\x1b[3;1H\x1b[Ksaid\n\x1b[3;1H\x1b[K> \x1b[31mab\x1b[0m\x1b[u";
        assert_eq!(screen.take(), below);
        // What is written over it, or beyond its end, is part of it.
        bytes(
            &mut screen,
            [
                n!["hop", 1u64],
                n!["put", tour("X")],
                n!["hop", 6u64],
                n!["klr", red("Y"), 0u64],
            ],
        );
        screen.restore_last();
        assert_eq!(
            screen.take(),
            "\x1b[3;1H\x1b[K>X\x1b[31mab\x1b[0m  \x1b[31mY\x1b[0m\x1b[u"
        );
        // What is written on other rows is not.
        bytes(&mut screen, [n!["hop", 0u64, 0u64], n!["put", tour("above")]]);
        for wipe in [n!["wyp", 0u64], n!["nel", 0u64], n!["clr", 0u64]] {
            bytes(&mut screen, [n!["hop", 0u64], n!["put", tour("gone")], wipe]);
            screen.restore_last();
            assert_eq!(screen.take(), "\x1b[3;1H\x1b[K\x1b[u");
        }
    }

    #[test]
    fn lines_of_several_have_their_carriage_returns() {
        let mut screen = Screen::default();
        screen.log("a\nb\r\nc");
        assert_eq!(
            screen.take(),
            "\r\x1b[Ka\r\nb\r\nc\r\n",
            "nothing of a row that is not there"
        );
        screen.show_on(SIZE);
        screen.log("a\nb");
        assert_eq!(screen.take(), "\x1b[3;1H\x1b[Ka\r\nb\n\x1b[3;1H\x1b[K\x1b[u");
        screen.show_no_more();
        screen.log("a");
        assert_eq!(screen.take(), "\x1b[3;1H\r\n\r\x1b[Ka\r\n");
        screen.show_no_more();
        assert_eq!(screen.take(), "", "once");
    }

    #[test]
    fn the_spinner_stands_within_the_row() {
        let mut screen = screen();
        let frame = |is_first| Frame {
            text: "|«behn»".to_owned(),
            width: 7,
            is_first,
        };
        bytes(&mut screen, [n!["hop", 1u64]]);
        screen.spin(&frame(true));
        assert_eq!(
            screen.take(),
            format!("|«behn»{}", "\x08".repeat(7)),
            "there is room"
        );
        bytes(&mut screen, [n!["hop", 8u64]]);
        screen.spin(&frame(true));
        let back = "\x08".repeat(6);
        assert_eq!(
            screen.take(),
            format!("{back}|«behn»{}", "\x08".repeat(7)),
            "for one"
        );
        screen.spin(&frame(false));
        assert_eq!(
            screen.take(),
            format!("|«behn»{}", "\x08".repeat(7)),
            "it stands there"
        );
        bytes(&mut screen, [n!["hop", 9u64, 0u64]]);
        screen.spin(&frame(true));
        assert!(screen.take().starts_with("\x1b[3;1H\x08"), "on the last row");
    }

    #[test]
    fn a_size_that_changes_does_not_lead_out_of_it() {
        let mut screen = screen();
        bytes(&mut screen, [n!["hop", 9u64, 2u64]]);
        screen.show_on(Size { columns: 2, rows: 1 });
        screen.spin(&Frame {
            text: "|".to_owned(),
            width: 1,
            is_first: true,
        });
        assert_eq!(screen.take(), "", "no room where the cursor was");
        assert_eq!(
            bytes(&mut screen, [n!["nel", 0u64], n!["hop", 9u64, 9u64]]),
            "\r\n\x1b[s\x1b[1;2H\x1b[s"
        );
        assert_eq!(
            Size::or_unknown(0, 5),
            Size {
                columns: 80,
                rows: 24
            }
        );
    }

    #[test]
    fn a_row_that_is_too_long_is_kept_in_part() {
        let mut screen = screen();
        let long = vec!['x'; limits::TERM_ROW + 5];
        screen.blit(&Blit::Line(long));
        screen.take();
        screen.restore_last();
        assert_eq!(screen.take().matches('x').count(), limits::TERM_ROW);
    }
}
