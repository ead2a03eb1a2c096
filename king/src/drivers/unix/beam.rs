//! What a mount point shows: a desk's directory, at the desk's newest revision or at an older one.
//!
//! Clay tells the names of its mounts and nothing else of them, and no peek reads its table of mounts. But it says what a mount point
//! shows when somebody wants to mount something there: `%already-mounted`, a print, after which nothing is changed. So that is how it
//! is asked: to mount a revision of %base that there cannot be, which mounts nothing even where the mount point has gone meanwhile
//! (`%unknown-case`). The question is an event like others, without effects.

use crate::tank;
use serf_ipc::{Noun, n, text::p};

/// A revision that no desk has.
const NEVER: u64 = 1 << 62;
/// The same, as the ship prints it.
const NEVER_PRINTED: &str = "p=4.611.686.018.427.387.904]";

/// What a mount point shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Beam {
    pub(super) ship: u128,
    pub(super) desk: String,
    /// None where it follows the desk.
    pub(super) revision: Option<u64>,
    /// The directory in the desk.
    pub(super) below: Vec<String>,
}

/// A print that belongs to an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Print {
    /// What comes before a beam, or after `Nothing`.
    Around,
    /// Something is mounted there: this.
    Mounted(Beam),
    /// Nothing is.
    Nothing,
}

/// What the ship said while a question was on its way.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Mounted(Beam),
    Nothing,
    /// Not a word: it is told to be quiet, or has another kernel.
    Silence,
    /// Somebody else mounted something meanwhile, and had an answer too.
    Ambiguous,
}

/// The card that asks, `[%mont pot beam]`.
pub(super) fn question(who: u128, mount: &str) -> Noun {
    let beak = n![Noun::from_u128(who), "base", "ud", NEVER];
    n!["mont", mount, n![beak, 0u64]]
}

impl Beam {
    /// What `|mount` gives a mount point of this name unless told otherwise.
    pub(super) fn of_desk(ship: u128, desk: &str) -> Beam {
        Beam {
            ship,
            desk: desk.to_owned(),
            revision: None,
            below: Vec::new(),
        }
    }

    /// The path of one of the desk's files in the mount; None where it is not in it.
    pub(super) fn inside<'a>(&self, path: &'a [String]) -> Option<&'a [String]> {
        path.strip_prefix(self.below.as_slice())
    }

    /// Reads `[[p=~zod q=%base r=[%ud p=0]] s=/gen]`. A mount that follows its desk has revision 0.
    fn read(text: &str) -> Option<Beam> {
        let (ship, rest) = text.strip_prefix("[[p=")?.split_once(" q=%")?;
        let (desk, rest) = rest.split_once(" r=[%ud p=")?;
        let (revision, rest) = rest.split_once("]] s=/")?;
        let below = rest.strip_suffix(']')?;
        let revision = revision.replace('.', "").parse::<u64>().ok()?;
        Some(Beam {
            ship: p::parse(ship).ok()?,
            // The empty name is printed as `$`.
            desk: if desk == "$" {
                String::new()
            } else {
                desk.to_owned()
            },
            revision: Some(revision).filter(|revision| *revision > 0),
            below: match below {
                "" => Vec::new(),
                below => below.split('/').map(str::to_owned).collect(),
            },
        })
    }
}

impl Print {
    pub(super) fn read(tank: &Noun) -> Option<Print> {
        let lines = tank::lines(tank, usize::MAX);
        let [text] = lines.as_slice() else { return None };
        match text.as_str() {
            "%already-mounted" => Some(Print::Around),
            "%unknown-case" => Some(Print::Nothing),
            text if text.contains(NEVER_PRINTED) => Some(Print::Around),
            text => Beam::read(text).map(Print::Mounted),
        }
    }
}

impl Answer {
    pub(super) fn of(prints: Vec<Print>) -> Answer {
        let mut answer = Answer::Silence;
        for print in prints {
            let heard = match print {
                Print::Around => continue,
                Print::Nothing => Answer::Nothing,
                Print::Mounted(beam) => Answer::Mounted(beam),
            };
            if answer != Answer::Silence && answer != heard {
                return Answer::Ambiguous;
            }
            answer = heard;
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beam(revision: Option<u64>, below: &[&str]) -> Beam {
        Beam {
            revision,
            below: below.iter().map(|knot| (*knot).to_owned()).collect(),
            ..Beam::of_desk(0, "base")
        }
    }

    #[test]
    fn what_clay_prints_is_read() {
        // As Arvo of zuse 410 prints them.
        for (text, read) in [
            (
                "[[p=~zod q=%base r=[%ud p=0]] s=/gen/hood]",
                beam(None, &["gen", "hood"]),
            ),
            ("[[p=~zod q=%base r=[%ud p=0]] s=/]", beam(None, &[])),
            (
                "[[p=~zod q=%base r=[%ud p=1.234]] s=/sys]",
                beam(Some(1234), &["sys"]),
            ),
        ] {
            assert_eq!(
                Print::read(&Noun::cord(text)),
                Some(Print::Mounted(read)),
                "{text}"
            );
        }
        let [leaf, rose] = [
            n![
                "leaf",
                Noun::list("%already-mounted".bytes().map(|byte| Noun::atom(byte.into())))
            ],
            n![
                "rose",
                n![n![" ", 0u64], n!["[", 0u64], n!["]", 0u64]],
                "~zod",
                "%base",
                "[%ud p=4.611.686.018.427.387.904]",
                "/",
                0u64
            ],
        ];
        let rose_of_tapes = Print::read(&rose);
        assert_eq!(Print::read(&leaf), Some(Print::Around));
        assert_eq!(rose_of_tapes, Some(Print::Around));
        assert_eq!(Print::read(&Noun::cord("%unknown-case")), Some(Print::Nothing));
        for other in [
            "",
            "gall: bumped",
            "[[p=~zod q=%base r=[%da p=~2025.1.1]] s=/]",
            "[[p=zod q=%base r=[%ud p=0]] s=/]",
            "[[p=~zod",
        ] {
            assert_eq!(Print::read(&Noun::cord(other)), None, "{other}");
        }
        assert_eq!(Print::read(&n![1u64, 2u64]), None);
    }

    #[test]
    fn an_answer_is_of_one_voice() {
        let one = || Print::Mounted(beam(None, &[]));
        let other = || Print::Mounted(beam(None, &["sys"]));
        assert_eq!(Answer::of(vec![]), Answer::Silence);
        assert_eq!(
            Answer::of(vec![Print::Around, one()]),
            Answer::Mounted(beam(None, &[]))
        );
        assert_eq!(Answer::of(vec![one(), one()]), Answer::Mounted(beam(None, &[])));
        assert_eq!(Answer::of(vec![one(), other()]), Answer::Ambiguous);
        assert_eq!(Answer::of(vec![one(), Print::Nothing]), Answer::Ambiguous);
        assert_eq!(Answer::of(vec![Print::Nothing, Print::Around]), Answer::Nothing);
    }

    #[test]
    fn what_is_below_is_inside() {
        let path: Vec<String> = ["gen", "hood", "hi", "hoon"].map(str::to_owned).into();
        assert_eq!(beam(None, &["gen", "hood"]).inside(&path), Some(&path[2..]));
        assert_eq!(beam(None, &[]).inside(&path), Some(&path[..]));
        assert_eq!(beam(None, &["gen", "ho"]).inside(&path), None);
    }

    #[test]
    fn nothing_can_be_mounted_by_asking() {
        let noun = question(0, "sub");
        // [%mont pot [our desk case] spur]
        assert_eq!(noun, n!["mont", "sub", n![n![0u64, "base", "ud", NEVER], 0u64]]);
    }
}
