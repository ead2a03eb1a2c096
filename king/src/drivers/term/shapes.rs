//! The nouns of dill's blits, as types (`spec/drivers.md` section 4).

use serf_ipc::Noun;
use std::{fmt::Write as _, sync::Arc};

/// How a piece of text looks: the numbers of its escape sequence, `1;44;31`; empty where it has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Style(Option<Arc<str>>);

impl Style {
    /// The sequence's numbers.
    pub(super) fn numbers(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// `[(set deco) background foreground]`. What is none of them shows as nothing.
    fn read(noun: &Noun) -> Option<Style> {
        let (decorations, tints) = noun.as_cell()?;
        let (background, foreground) = tints.as_cell()?;
        let mut numbers = Vec::new();
        decorate(decorations, &mut numbers);
        for (plane, tint) in [('4', background), ('3', foreground)] {
            if *tint != Noun::ZERO {
                numbers.push(format!("{plane}{}", colour(tint)));
            }
        }
        let numbers = numbers.join(";");
        Some(Style((!numbers.is_empty()).then(|| numbers.into())))
    }
}

/// The numbers of a set's decorations, in the order in which the kernel taps it.
fn decorate(set: &Noun, numbers: &mut Vec<String>) {
    /// There are four; a set of the kernel's own making has no more.
    const MOST: usize = 16;
    let mut right_to_left = Vec::new();
    let mut waiting = Vec::new();
    let mut tree = set;
    for _ in 0..MOST {
        while let Some((item, branches)) = tree.as_cell() {
            if waiting.len() == MOST {
                break;
            }
            let branches = branches.as_cell();
            waiting.push((item, branches.map(|(left, _)| left)));
            tree = branches.map_or(&Noun::ZERO, |(_, right)| right);
        }
        let Some((item, left)) = waiting.pop() else { break };
        right_to_left.push(match item.as_cord().as_deref() {
            Some("br") => "1",
            Some("un") => "4",
            Some("bl") => "5",
            _ => "0",
        });
        tree = left.unwrap_or(&Noun::ZERO);
    }
    numbers.extend(right_to_left.into_iter().map(str::to_owned));
}

/// What stands behind `3` or `4` for a colour.
fn colour(tint: &Noun) -> String {
    if let Some((red, rest)) = tint.as_cell() {
        let Some((green, blue)) = rest.as_cell() else {
            return "9".to_owned();
        };
        let mut numbers = "8;2".to_owned();
        for part in [red, green, blue] {
            let low = part.atom_bytes().and_then(|bytes| bytes.first().copied());
            let _ = write!(numbers, ";{}", low.unwrap_or(0));
        }
        return numbers;
    }
    let letter = tint.as_cord();
    let place = letter.as_deref().and_then(|letter| "krgybmcw".find(letter));
    place.map_or_else(|| "9".to_owned(), |place| place.to_string())
}

/// Text in one style.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) style: Style,
    pub(super) text: Vec<char>,
}

/// One thing for the screen.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Blit {
    /// The bell.
    Bell,
    /// An empty screen.
    Clear,
    /// The cursor to a column and a row; without one, the last.
    Hop(u64, Option<u64>),
    /// Styled text at the cursor, which stays.
    Styled(Vec<Piece>),
    /// Plain text at the cursor, which stays.
    Text(Vec<char>),
    /// The last row, anew.
    Line(Vec<char>),
    /// A new line.
    NewLine,
    /// Others, in a list.
    More(Noun),
    /// A file: its path, its data.
    Save(Noun, Noun, Form),
    /// An address for a browser: nobody opens one.
    Url,
    /// The cursor's row, emptied.
    Wipe,
}

/// How a noun becomes a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// An atom's bytes (`%sav`).
    Atom,
    /// Any noun's jam (`%sag`).
    Jam,
}

impl Blit {
    /// Reads one; None where it is none. `room` is how many characters may still be read.
    pub(super) fn read(noun: &Noun, room: &mut usize) -> Option<Blit> {
        let (tag, data) = noun.as_cell()?;
        let file = |form| {
            let (path, data) = data.as_cell()?;
            Some(Blit::Save(path.clone(), data.clone(), form))
        };
        Some(match tag.as_cord()?.as_str() {
            "bel" => Blit::Bell,
            "clr" => Blit::Clear,
            "hop" => match data.as_cell() {
                None => Blit::Hop(bounded(data), None),
                Some((column, row)) => Blit::Hop(bounded(column), Some(bounded(row))),
            },
            "klr" => Blit::Styled(stub(data, room)?),
            "put" => Blit::Text(tour(data, room)?),
            "lin" => Blit::Line(tour(data, room)?),
            "nel" => Blit::NewLine,
            "mor" if *data == Noun::ZERO => Blit::NewLine,
            "mor" => Blit::More(data.clone()),
            "sav" => file(Form::Atom)?,
            "sag" => file(Form::Jam)?,
            "url" => Blit::Url,
            "wyp" => Blit::Wipe,
            _ => return None,
        })
    }
}

/// A number, the largest there is for one that is larger.
fn bounded(noun: &Noun) -> u64 {
    noun.as_u64().unwrap_or(u64::MAX)
}

/// A `(list @c)`: characters, one atom each. None where it is not a list, or longer than there is room.
pub(super) fn tour(characters: &Noun, room: &mut usize) -> Option<Vec<char>> {
    let mut text = Vec::new();
    for item in characters.iter_list() {
        *room = room.checked_sub(1)?;
        let code = item.ok()?.as_u64().and_then(|code| u32::try_from(code).ok());
        text.push(
            code.and_then(char::from_u32)
                .unwrap_or(char::REPLACEMENT_CHARACTER),
        );
    }
    Some(text)
}

/// A `stub`: pieces of text, each `[style tour]`.
pub(super) fn stub(pieces: &Noun, room: &mut usize) -> Option<Vec<Piece>> {
    let mut stub = Vec::new();
    for piece in pieces.iter_list() {
        *room = room.checked_sub(1)?;
        let (style, text) = piece.ok()?.as_cell()?;
        stub.push(Piece {
            style: Style::read(style)?,
            text: tour(text, room)?,
        });
    }
    Some(stub)
}

/// All blits of a list in their order, those within `%mor` too, each given to `show`; what is no blit is given to `odd`. No more than
/// `room` of them and of their characters: a few cells can share so much that they stand for more than anybody could show.
pub(super) fn walk(list: &Noun, room: &mut usize, mut show: impl FnMut(Blit), mut odd: impl FnMut(&Noun)) {
    let mut lists = vec![list.clone()];
    while let Some(list) = lists.pop() {
        let Some((first, rest)) = list.as_cell() else {
            if list != Noun::ZERO {
                odd(&list);
            }
            continue;
        };
        let Some(less) = room.checked_sub(1) else {
            odd(&list);
            return;
        };
        *room = less;
        lists.push(rest.clone());
        match Blit::read(first, room) {
            Some(Blit::More(list)) => lists.push(list),
            Some(blit) => show(blit),
            None => odd(first),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serf_ipc::n;

    fn text(text: &str) -> Noun {
        Noun::list(text.chars().map(|c| Noun::atom(u64::from(u32::from(c)))))
    }

    fn style(decorations: Noun, background: Noun, foreground: Noun) -> String {
        let style = Style::read(&n![decorations, background, foreground]).unwrap();
        style.numbers().unwrap_or_default().to_owned()
    }

    #[test]
    fn styles_are_numbers() {
        let none = || Noun::ZERO;
        assert_eq!(style(none(), none(), none()), "");
        assert_eq!(style(none(), Noun::cord("k"), Noun::cord("w")), "40;37");
        assert_eq!(style(none(), none(), Noun::cord("?")), "39");
        assert_eq!(style(none(), n![1u64, 2u64], none()), "49");
        assert_eq!(style(none(), none(), n![1u64, 258u64, 255u64]), "38;2;1;2;255");
        assert_eq!(style(n!["br", 0u64, 0u64], none(), none()), "1");
        let both = n!["un", n!["br", 0u64, 0u64], n!["bl", 0u64, 0u64]];
        assert_eq!(style(both, none(), Noun::cord("r")), "5;4;1;31");
        assert_eq!(style(n![0u64, 0u64, 0u64], none(), none()), "0");
        // A set that is none, and one that is deeper than any.
        assert_eq!(style(Noun::atom(7), none(), none()), "");
        let deep = (0..100_000).fold(Noun::ZERO, |tree, _| n!["br", tree, 0u64]);
        assert_eq!(style(deep, none(), none()).len(), 31);
    }

    #[test]
    fn text_is_read_from_its_shapes() {
        let mut room = 100;
        assert_eq!(
            tour(&text("zod ☂ 𝄞"), &mut room)
                .unwrap()
                .iter()
                .collect::<String>(),
            "zod ☂ 𝄞"
        );
        assert_eq!(room, 93);
        let odd = Noun::list([Noun::atom(0xd800), Noun::atom(u64::MAX)]);
        assert_eq!(tour(&odd, &mut room).unwrap(), ['\u{fffd}', '\u{fffd}']);
        assert_eq!(tour(&Noun::atom(7), &mut room), None);
        assert_eq!(stub(&Noun::list([Noun::atom(7)]), &mut room), None);
        assert_eq!(tour(&text("long"), &mut 3), None);
    }

    #[test]
    fn lists_within_lists_are_opened_in_order() {
        let blit = |tag: &str| n![tag, 0u64];
        let nested = n![
            "mor",
            Noun::list([blit("bel"), n!["mor", Noun::list([blit("clr")])], blit("mor")])
        ];
        let list = Noun::list([
            nested,
            Noun::atom(3),
            n!["hop", 3u64],
            n!["hop", 3u64, 4u64],
            blit("wyp"),
        ]);
        let (mut shown, mut odd) = (Vec::new(), Vec::new());
        walk(
            &list,
            &mut 100,
            |blit| shown.push(blit),
            |noun| odd.push(noun.clone()),
        );
        let expected = [
            Blit::Bell,
            Blit::Clear,
            Blit::NewLine,
            Blit::Hop(3, None),
            Blit::Hop(3, Some(4)),
            Blit::Wipe,
        ];
        assert_eq!(shown, expected);
        assert_eq!(odd, [Noun::atom(3)]);
    }

    #[test]
    fn a_few_cells_that_stand_for_ever_so_much_are_cut() {
        let bell = Noun::list([n!["bel", 0u64]]);
        let list = (0..64).fold(bell, |list, _| {
            let more = n!["mor", list];
            Noun::list([more.clone(), more])
        });
        let (mut shown, mut odd) = (0, 0);
        walk(&list, &mut 1000, |_| shown += 1, |_| odd += 1);
        assert!(shown > 0 && shown < 1000 && odd == 1, "{shown} {odd}");
    }
}
