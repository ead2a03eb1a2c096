//! Tanks, the kernel's pretty-printable trees, as lines of text: what its `++wash`, with which vere prints, makes of them.
//!
//! A tank is `[%leaf tape]`, `[%palm [mid cap open close] tanks]`, `[%rose [mid open close] tanks]`, or a cord. On one
//! line if it fits, else its parts below one another: those of a rose further in by two, between `open` and `close`; those of a
//! palm below `cap`, the last at its left and each before that further in by two. `open` and `cap` share the line of what comes
//! after them where its indentation leaves them the room.

use serf_ipc::Noun;

/// How deep a tank is followed; deeper ones are cut.
const DEPTH: usize = 64;
/// How much text one tank may make, in bytes.
const TEXT: usize = 64 << 10;
/// How many parts and characters are looked at for one tank, each as often as it is measured. A few cells can share so much
/// that they stand for more than anybody could print.
const STEPS: usize = 1 << 20;

/// The lines of `tank`, at most `width` columns where it can be broken. What is no tank is one line of `?`. A column is a byte,
/// as it is to the kernel.
#[must_use]
pub fn lines(tank: &Noun, width: usize) -> Vec<String> {
    let mut washer = Washer {
        width,
        openers: Vec::new(),
        lines: Vec::new(),
        budget: Budget {
            room: TEXT,
            steps: STEPS,
        },
    };
    washer.wash(tank, 0, 0);
    washer.place(None);
    let lines = washer.lines.iter();
    lines
        .map(|line| String::from_utf8_lossy(line).into_owned())
        .collect()
}

/// What one tank may still cost.
struct Budget {
    /// Bytes of text.
    room: usize,
    /// Parts and characters to look at.
    steps: usize,
}

impl Budget {
    fn is_spent(&self) -> bool {
        self.room == 0 || self.steps == 0
    }

    /// Counts one part or character; false when there have been too many.
    fn step(&mut self) -> bool {
        self.steps = self.steps.saturating_sub(1);
        self.steps > 0
    }

    /// Counts bytes of text; false when there have been too many.
    fn write(&mut self, bytes: usize) -> bool {
        let is_left = bytes <= self.room;
        self.room = if is_left { self.room - bytes } else { 0 };
        is_left
    }
}

/// Writes a tank's lines, from above to below.
struct Washer {
    width: usize,
    /// What waits for the next line to share it: indentation and text, the innermost last.
    openers: Vec<(usize, Vec<u8>)>,
    lines: Vec<Vec<u8>>,
    budget: Budget,
}

impl Washer {
    fn wash(&mut self, tank: &Noun, indent: usize, depth: usize) {
        if self.budget.is_spent() {
            return;
        }
        let styled = (depth < DEPTH)
            .then(|| Styled::read(tank, &mut self.budget))
            .flatten();
        let most = match styled {
            Some(_) => self.width.saturating_sub(indent),
            None => self.budget.room,
        };
        let mut line = Vec::new();
        let fits = flat(tank, depth, most, &mut line, &mut self.budget);
        match styled {
            Some(styled) if !fits => self.wash_parts(&styled, indent, depth),
            _ => self.push(indent, &line),
        }
    }

    fn wash_parts(&mut self, styled: &Styled, indent: usize, depth: usize) {
        let Styled {
            open, close, parts, ..
        } = styled;
        match (&styled.cap, &parts[..]) {
            (None, parts) => {
                if !open.is_empty() {
                    self.open(indent, open);
                }
                // Too far in it begins again at the left.
                let within = (indent + 2).checked_rem(2 * (self.width / 3)).unwrap_or(0);
                for part in parts {
                    self.wash(part, within, depth + 1);
                }
                if !close.is_empty() {
                    self.push(indent, close);
                }
            }
            (Some(cap), []) => self.push(indent, cap),
            (Some(cap), [part]) => {
                self.push(indent + 2, cap);
                self.wash(part, indent, depth + 1);
            }
            (Some(cap), parts) => {
                self.open(indent, cap);
                for (at, part) in parts.iter().rev().enumerate().rev() {
                    self.wash(part, indent + 2 * at, depth + 1);
                }
            }
        }
    }

    /// What comes next may stand behind this on its line.
    fn open(&mut self, indent: usize, text: &[u8]) {
        if self.budget.write(indent + text.len()) {
            self.openers.push((indent, text.to_vec()));
        }
    }

    fn push(&mut self, indent: usize, text: &[u8]) {
        if self.budget.write(indent + text.len()) {
            self.place(Some(indented(indent, text)));
        }
    }

    /// Places a line, and before it or on it what waited for it.
    fn place(&mut self, line: Option<Vec<u8>>) {
        let mut below = Vec::from_iter(line);
        while let Some((indent, text)) = self.openers.pop() {
            let mut opener = indented(indent, &text);
            let end = opener.len() + 1;
            match below.last_mut() {
                Some(line) if line.len() > end && line[..end].iter().all(|byte| *byte == b' ') => {
                    opener.resize(end, b' ');
                    line[..end].copy_from_slice(&opener);
                }
                _ => below.push(opener),
            }
        }
        self.lines.extend(below.into_iter().rev());
    }
}

fn indented(indent: usize, text: &[u8]) -> Vec<u8> {
    let mut line = vec![b' '; indent];
    line.extend(text);
    line
}

/// Appends the whole tank on one line. False, and perhaps cut, where that takes more than `most` bytes.
fn flat(tank: &Noun, depth: usize, most: usize, line: &mut Vec<u8>, budget: &mut Budget) -> bool {
    if depth >= DEPTH || !budget.step() {
        line.extend(b"...");
    } else if let Some(bytes) = tank.atom_bytes() {
        line.extend(&bytes[..bytes.len().min(budget.room)]);
    } else if let Some(text) = leaf(tank, budget) {
        line.extend(text);
    } else if let Some(styled) = Styled::read(tank, budget) {
        line.extend(styled.cap.iter().flatten());
        line.extend(styled.open);
        for (index, part) in styled.parts.iter().enumerate() {
            if line.len() > most || budget.is_spent() {
                break;
            }
            if index > 0 {
                line.extend(&styled.mid);
            }
            flat(part, depth + 1, most, line, budget);
        }
        line.extend(styled.close);
    } else {
        line.push(b'?');
    }
    line.len() <= most
}

fn leaf(tank: &Noun, budget: &mut Budget) -> Option<Vec<u8>> {
    let (tag, text) = tank.as_cell()?;
    tag.is_cord("leaf").then(|| tape(text, budget)).flatten()
}

/// A palm or a rose.
struct Styled {
    /// What stands between its parts.
    mid: Vec<u8>,
    /// What stands before all, of a palm.
    cap: Option<Vec<u8>>,
    open: Vec<u8>,
    close: Vec<u8>,
    parts: Vec<Noun>,
}

impl Styled {
    fn read(tank: &Noun, budget: &mut Budget) -> Option<Styled> {
        let (tag, rest) = tank.as_cell()?;
        let (mut style, tanks) = rest.as_cell()?;
        let mut texts = [const { Vec::new() }; 3];
        let before_close = if tag.is_cord("palm") {
            3
        } else if tag.is_cord("rose") {
            2
        } else {
            return None;
        };
        for text in &mut texts[..before_close] {
            let (first, more) = style.as_cell()?;
            *text = tape(first, budget)?;
            style = more;
        }
        let close = tape(style, budget)?;
        let parts = tanks
            .iter_list()
            .take_while(|_| budget.step())
            .map(|part| part.ok().cloned())
            .collect::<Option<Vec<_>>>()?;
        let (mid, cap, open) = match texts {
            [mid, cap, open] if before_close == 3 => (mid, Some(cap), open),
            [mid, open, _] => (mid, None, open),
        };
        Some(Styled {
            mid,
            cap,
            open,
            close,
            parts,
        })
    }
}

/// A tape (a list of characters, or of UTF-8 bytes) as text, cut where it grows past what there is room for.
fn tape(noun: &Noun, budget: &mut Budget) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for item in noun.iter_list() {
        let code = item.ok()?.as_u64()?;
        match u8::try_from(code) {
            Ok(byte) => bytes.push(byte),
            Err(_) => {
                let character = char::from_u32(u32::try_from(code).ok()?)?;
                bytes.extend(character.encode_utf8(&mut [0; 4]).bytes());
            }
        }
        if bytes.len() > budget.room || !budget.step() {
            break;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serf_ipc::{cue, n};

    fn text(text: &str) -> Noun {
        Noun::list(text.bytes().map(|byte| Noun::atom(u64::from(byte))))
    }

    fn rose(parts: Vec<Noun>) -> Noun {
        n!["rose", n![text(" "), text("["), text("]")], Noun::list(parts)]
    }

    #[test]
    fn leaves_and_cords_are_lines() {
        assert_eq!(lines(&n!["leaf", text("hello")], 80), ["hello"]);
        assert_eq!(lines(&Noun::cord("hello"), 80), ["hello"]);
    }

    #[test]
    fn a_rose_is_flat_where_it_fits_and_broken_where_not() {
        let leaf = |t: &str| n!["leaf", text(t)];
        let tank = rose(vec![leaf("one"), rose(vec![leaf("two"), leaf("three")])]);
        assert_eq!(lines(&tank, 80), ["[one [two three]]"]);
        assert_eq!(lines(&tank, 13), ["[ one", "  [two three]", "]"]);
        assert_eq!(lines(&tank, 0), ["[", "one", "[", "two", "three", "]", "]"]);
    }

    /// Tanks of every kind, nested at random, each with a width and what a real `++wash` made of it: `[width tank wall]`.
    #[test]
    fn lines_are_the_kernels() {
        let recorded = include_str!("../tests/data/washed.txt").lines();
        let mut broken = 0;
        for (at, jammed) in recorded.enumerate() {
            let hex: Vec<u8> = jammed.bytes().collect();
            let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
            let noun = cue(&hex.chunks(2).map(byte).collect::<Vec<_>>()).unwrap();
            let width = noun.slot(2).unwrap().as_u64().unwrap() as usize;
            let wall = noun.slot(7).unwrap().iter_list().map(Result::unwrap);
            let budget = &mut Budget {
                room: TEXT,
                steps: STEPS,
            };
            let wall: Vec<String> = wall
                .map(|line| String::from_utf8(tape(line, budget).unwrap()).unwrap())
                .collect();
            assert_eq!(
                lines(noun.slot(6).unwrap(), width),
                wall,
                "line {} at width {width}",
                at + 1
            );
            broken += usize::from(wall.len() > 1);
        }
        assert!(broken > 30, "most of them do not fit on a line");
    }

    #[test]
    fn what_is_no_tank_is_not_followed() {
        assert_eq!(lines(&n![1u64, 2u64], 80), ["?"]);
        let mut deep = n!["leaf", text("x")];
        for _ in 0..10_000 {
            deep = rose(vec![deep]);
        }
        assert!(!lines(&deep, 80).is_empty());
    }

    /// A few cells that stand for more tanks than anybody could print.
    #[test]
    fn a_tank_that_shares_without_end_is_printed_in_no_time() {
        for leaf in ["", "x"] {
            let mut tank = n!["leaf", text(leaf)];
            for _ in 0..60 {
                tank = n![
                    "rose",
                    n![text(leaf), text(leaf), text(leaf)],
                    tank.clone(),
                    tank,
                    0u64
                ];
            }
            let lines = lines(&tank, 20);
            assert!(lines.iter().map(String::len).sum::<usize>() <= TEXT);
        }
    }
}
