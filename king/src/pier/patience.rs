//! How long a serf may take over a batch to play or an image to write before it is taken for one that will never end.
//!
//! What the log holds was computed in bounded time once, so it can be played in bounded time; but this machine may be slower. So
//! whenever a serf was killed over such a thing, the next one is given twice as long for it.

use crate::limits;
use seguro_event::EventNumber;
use std::time::Duration;

/// Something that may take long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Long {
    /// Playing a batch.
    Play,
    /// Writing an image.
    Save,
}

/// What the serfs of a pier were killed over.
#[derive(Debug)]
pub(super) struct Patience {
    /// For one that was never killed.
    first: Duration,
    /// How often while they played on from `stuck_at`.
    plays: u32,
    stuck_at: EventNumber,
    /// How often while they saved.
    saves: u32,
}

impl Patience {
    pub(super) fn new(first: Duration) -> Patience {
        Patience {
            first,
            plays: 0,
            stuck_at: EventNumber::ZERO,
            saves: 0,
        }
    }

    /// How long this may take now.
    pub(super) fn with(&self, what: Long) -> Duration {
        let kills = match what {
            Long::Play => self.plays,
            Long::Save => self.saves,
        };
        let doubled = 2u32.saturating_pow(kills.min(limits::SERF_PATIENCE_DOUBLINGS));
        self.first.saturating_mul(doubled)
    }

    /// A serf that stood at event `at` is killed over it.
    pub(super) fn killed(&mut self, what: Long, at: EventNumber) {
        match what {
            Long::Play => {
                self.plays = self.plays.saturating_add(1);
                self.stuck_at = self.stuck_at.max(at);
            }
            Long::Save => self.saves = self.saves.saturating_add(1),
        }
    }

    /// A serf has done it, and stands at event `at` now. One that has only come to where others got stuck proves nothing.
    pub(super) fn done(&mut self, what: Long, at: EventNumber) {
        match what {
            Long::Play if at > self.stuck_at => self.plays = 0,
            Long::Play => {}
            Long::Save => self.saves = 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn each_kill_doubles_it_until_the_serf_is_past_the_place() {
        let mut patience = Patience::new(SECOND);
        patience.killed(Long::Play, EventNumber(500));
        patience.killed(Long::Play, EventNumber(500));
        assert_eq!(patience.with(Long::Play), 4 * SECOND);
        assert_eq!(patience.with(Long::Save), SECOND);
        // From the snapshot to the place is no progress.
        patience.done(Long::Play, EventNumber(300));
        patience.done(Long::Play, EventNumber(500));
        assert_eq!(patience.with(Long::Play), 4 * SECOND);
        patience.done(Long::Play, EventNumber(501));
        assert_eq!(patience.with(Long::Play), SECOND);
    }

    #[test]
    fn an_image_is_given_more_time_until_one_is_written() {
        let mut patience = Patience::new(SECOND);
        patience.killed(Long::Save, EventNumber(7));
        patience.done(Long::Play, EventNumber(9));
        assert_eq!(patience.with(Long::Save), 2 * SECOND);
        patience.done(Long::Save, EventNumber(9));
        assert_eq!(patience.with(Long::Save), SECOND);
    }

    #[test]
    fn it_has_an_end() {
        let mut patience = Patience::new(Duration::MAX);
        for _ in 0..100 {
            patience.killed(Long::Play, EventNumber(1));
        }
        assert_eq!(patience.with(Long::Play), Duration::MAX);
    }
}
