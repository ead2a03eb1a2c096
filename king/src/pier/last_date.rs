//! An office's question to the kernel when the last event was, where the log does not hold that event any more: the epochs up to it
//! are dropped, and nothing has happened since. Dates go on from there, also if this machine's clock is behind.

use super::{Pier, office::Stage};
use crate::{
    driver::{PeekAnswer, PlannedPeek},
    drivers::ames,
    peek,
};
use tokio::sync::oneshot;

/// What became of the question.
pub(super) enum Dated {
    /// This is the date; None from a kernel that does not tell.
    Told(Option<u128>),
    /// The serf died over it: it is to be asked again.
    Unanswered,
}

impl Pier {
    /// Asks it. Any question that every kernel answers will do: what it is asked for stands in the answer with a date.
    pub(super) fn ask_last_date(&mut self) {
        let Some(office) = &mut self.office else { return };
        let (sender, answer) = oneshot::channel();
        office.plan_peek(PlannedPeek::new(
            ames::version_sample(),
            Box::new(move |answer| {
                // Nobody waits any more when the office is over.
                let _ = sender.send(answer);
            }),
        ));
        office.stage = Stage::Dating;
        self.dating = Some(Box::pin(async move {
            match answer.await {
                Ok(PeekAnswer::Unavailable) | Err(_) => Dated::Unanswered,
                Ok(answer) => Dated::Told(peek::date(&answer.or_null())),
            }
        }));
    }

    /// The kernel has answered: the office goes on.
    pub(super) fn heard_dated(&mut self, dated: Dated) {
        let Some(office) = &mut self.office else { return };
        match dated {
            Dated::Unanswered => office.stage = Stage::CatchingUp,
            Dated::Told(date) => {
                if date.is_none() {
                    tracing::warn!(
                        event = %office.barrier,
                        "the last event was dropped with its epoch, and the kernel does not tell its date: dates go on from this machine's clock, \
                         which must not be behind"
                    );
                }
                self.plan_wyrd(date);
            }
        }
    }
}
