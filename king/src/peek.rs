//! Questions to the kernel about the ship as it is, and what the kernel says to them (`spec/drivers.md` section 0, "last").

use crate::driver::PeekAnswer;
use serf_ipc::{Noun, n, text::da};

/// The gang `[~ ~]`: for nobody but the ship.
pub(crate) fn ourselves() -> Noun {
    n![(), ()]
}

/// `[gang %| %once care desk spur]`: by whom (`~` is everybody), in which way, where, and what.
pub(crate) fn last(gang: Noun, care: &str, desk: Noun, spur: Noun) -> Noun {
    n![gang, Noun::NO, "once", care, desk, spur]
}

/// What the kernel says to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// This.
    Noun(Noun),
    /// That there is nothing, or nothing yet; or it crashed.
    Nothing,
    /// Nothing that this member may know: its office is over.
    Unavailable,
}

impl Answer {
    /// Reads `[~ %omen path mark noun]`, the answer to a question about the ship as it is, and `[~ mark noun]`, to one about a beam.
    pub(crate) fn read(answer: PeekAnswer) -> Answer {
        let noun = match &answer {
            PeekAnswer::Done(noun) if noun.slot(6).is_some_and(|tag| tag.is_cord("omen")) => noun.slot(31),
            PeekAnswer::Done(noun) => noun.slot(7),
            PeekAnswer::Bailed(_) => None,
            PeekAnswer::Unavailable => return Answer::Unavailable,
        };
        noun.map_or(Answer::Nothing, |noun| Answer::Noun(noun.clone()))
    }

    /// The noun, if there is one.
    pub(crate) fn noun(&self) -> Option<&Noun> {
        match self {
            Answer::Noun(noun) => Some(noun),
            Answer::Nothing | Answer::Unavailable => None,
        }
    }
}

/// The ship's date at a question about it as it is, which is that of its last event: `[~ %omen path ..]`, whose path begins
/// `/care/ship/desk/date`.
pub(crate) fn date(answer: &Noun) -> Option<u128> {
    let path = answer
        .slot(14)
        .filter(|_| answer.slot(6).is_some_and(|tag| tag.is_cord("omen")))?;
    let date = path.iter_list().nth(3)?.ok()?.as_cord()?;
    da::parse(&date).ok()
}
