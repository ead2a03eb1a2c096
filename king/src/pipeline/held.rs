//! What waits for a commit, and the only way out of the waiting: release.

use crate::driver::{Effect, Outcome, PeekAnswer};
use seguro_event::EventNumber;
use serf_ipc::{Goof, Noun};

/// Proof that an effect comes from a committed event: only the release makes one.
#[derive(Clone, Copy, Debug)]
pub struct Token(());

#[cfg(test)]
impl Token {
    /// For drivers' own tests, which play the release.
    pub(crate) fn for_test() -> Token {
        Token(())
    }
}

/// Something that shows the serf's state after `barrier()`, and must not be seen before that is committed.
#[derive(Debug)]
pub(super) enum Held<T, P> {
    Event {
        number: EventNumber,
        effects: Noun,
        swapped: bool,
        tag: T,
    },
    Bail {
        behind: EventNumber,
        goofs: Vec<Goof>,
        tag: T,
    },
    Peek {
        behind: EventNumber,
        answer: Result<Noun, Goof>,
        tag: P,
    },
}

impl<T, P> Held<T, P> {
    pub(super) fn barrier(&self) -> EventNumber {
        match self {
            Held::Event { number, .. } => *number,
            Held::Bail { behind, .. } | Held::Peek { behind, .. } => *behind,
        }
    }

    pub(super) fn release(self) -> Released<T, P> {
        match self {
            Held::Event {
                number,
                effects,
                swapped,
                tag,
            } => Released::Event(
                ReleasedEvent {
                    number,
                    effects,
                    token: Token(()),
                },
                Outcome::Committed {
                    event: number,
                    swapped,
                },
                tag,
            ),
            Held::Bail { goofs, tag, .. } => Released::Bail(Outcome::Bailed(goofs), tag),
            Held::Peek { answer, tag, .. } => {
                let answer = match answer {
                    Ok(noun) => PeekAnswer::Done(noun),
                    Err(goof) => PeekAnswer::Bailed(goof),
                };
                Released::Peek(answer, tag)
            }
        }
    }
}

/// What may now be seen outside.
#[derive(Debug)]
pub enum Released<T, P> {
    /// A committed event: its effects, and what to tell its driver.
    Event(ReleasedEvent, Outcome, T),
    /// A refused event: what to tell its driver.
    Bail(Outcome, T),
    /// A peek's answer.
    Peek(PeekAnswer, P),
}

/// A committed event's effects.
#[derive(Debug)]
pub struct ReleasedEvent {
    pub(super) number: EventNumber,
    pub(super) effects: Noun,
    pub(super) token: Token,
}

impl ReleasedEvent {
    /// The event.
    #[must_use]
    pub fn number(&self) -> EventNumber {
        self.number
    }

    /// Gives each effect, in order, to `each`; what is not `[wire tag data]` goes to `odd`.
    pub fn for_each(&self, mut each: impl FnMut(&Effect<'_>), mut odd: impl FnMut(&Noun)) {
        for item in self.effects.iter_list() {
            let Ok(item) = item else { break };
            let parts = item
                .as_cell()
                .and_then(|(wire, card)| Some((wire, card.as_cell()?)));
            let Some((wire, (tag, data))) = parts else {
                odd(item);
                continue;
            };
            let Some(tag) = tag.as_cord() else {
                odd(item);
                continue;
            };
            // Old kernels begin an effect's wire with the empty knot (`spec/drivers.md` section 0).
            let wire = match wire.as_cell() {
                Some((head, tail)) if *head == Noun::ZERO && tail.is_cell() => tail,
                _ => wire,
            };
            each(&Effect {
                event: self.number,
                wire,
                tag: &tag,
                data,
                _released: self.token,
            });
        }
    }
}
