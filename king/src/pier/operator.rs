//! What the operator at this member's terminal is told of the pier: what the serf is at, and whether the ship is here.

use super::Pier;
use crate::drivers::term::Cause;
use replog::Role;

/// What the serf is at, and was last said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    /// An event of the office: how many it has answered before.
    Event(u64),
    /// The log's events.
    Playing,
}

/// What the terminal was last told.
#[derive(Debug, Default)]
pub(super) struct Told {
    doing: Option<Doing>,
    follows: bool,
}

impl Pier {
    /// Tells the terminal, if there is one.
    pub(super) fn tell_operator(&mut self) {
        let Some(terminal) = self.settings.drivers.terminal.clone() else {
            return;
        };
        let first = self.office.as_ref().and_then(|office| {
            let answered = office.pipeline.answered_so_far();
            office.pipeline.in_serf().next().map(|fed| (answered, fed))
        });
        let doing = match &first {
            Some((answered, _)) => Some(Doing::Event(*answered)),
            None => self.catch_up.is_long().then_some(Doing::Playing),
        };
        if doing != self.told.doing {
            self.told.doing = doing;
            let cause = match first {
                Some((_, fed)) => Some(Cause::of(&fed.tag.ovum)),
                None => doing.map(|_| Cause::named("play")),
            };
            terminal.spin(cause);
        }
        let follows =
            self.office.is_none() && matches!(*self.role.borrow(), Role::Follower { leader: Some(_) });
        if follows && !self.told.follows {
            tracing::info!(
                target: crate::console::TARGET,
                "seguro: this member follows: it shows its own lines, and the ship is spoken to where it leads (Ctrl-D leaves)"
            );
        }
        // Between two leaders nothing is certain, and nothing is said.
        if follows || self.office.is_some() {
            self.told.follows = follows;
        }
    }
}
