//! The dates of events: from the system's clock as vere reads it, never going backwards.

use serf_ipc::{
    Noun, cue,
    text::{self, da},
};
use std::time::{Instant, SystemTime};

/// How far apart the events of one batch are dated: 2^-16 s (`spec/ipc.md` section 9).
pub const STEP: u128 = 1 << 48;

/// The system's clock as a `@da`. One that is set before 1970 reads as 1970: the log's last date then rules.
#[must_use]
pub fn now() -> u128 {
    crate::simulated::world(|world| world.date()).unwrap_or_else(|| da::from_system_time(SystemTime::now()))
}

/// The monotonic clock, by the runtime's: a simulation's time is its own.
#[must_use]
pub fn instant() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The knot by which a driver's instance is known to the ship: `(scot %uv (mug now))`, new at every start.
#[must_use]
pub fn session_knot(now: u128) -> String {
    text::uv(u64::from(Noun::from_u128(now).mug().0))
}

/// The date of a logged event, `[date ovum]`; None for what has no date, which a lifecycle formula has not.
#[must_use]
pub fn date_of(event: &Noun) -> Option<u128> {
    event.head().and_then(Noun::as_u128)
}

/// The date of an event as the log keeps it, jammed.
#[must_use]
pub fn date_of_jam(jam: &[u8]) -> Option<u128> {
    cue(jam).ok().as_ref().and_then(date_of)
}

/// Dates events so that none is earlier than the one before it, across leaders and restarts: the ship's timers and
/// sessions take a date that goes backwards for a broken world.
#[derive(Clone, Debug)]
pub struct EventClock {
    last: u128,
}

impl EventClock {
    /// A clock that goes on after the ship's last event; None for a ship without dated events.
    #[must_use]
    pub fn new(last_event: Option<u128>) -> EventClock {
        EventClock {
            last: last_event.unwrap_or(0),
        }
    }

    /// The next event's date. Given one and the same `now` for a batch it counts up from there as vere does; where
    /// the clock went back, or stood still under more than 65,536 events a second, it counts up from the last event.
    pub fn stamp(&mut self, now: u128) -> u128 {
        self.last = now.max(self.last.saturating_add(STEP));
        self.last
    }

    /// The next event's date in the same batch, without a look at the time of day.
    pub fn step(&mut self) -> u128 {
        self.stamp(0)
    }

    /// Takes note of an event that another clock dated (another leader's, or the serf's own `%crud`).
    pub fn observe(&mut self, date: u128) {
        self.last = self.last.max(date);
    }

    /// The date given last.
    #[must_use]
    pub fn last(&self) -> u128 {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serf_ipc::jam;

    /// 2023-11-14, in seconds of Unix time.
    const AUTUMN: u64 = 1_700_000_000;

    #[test]
    fn the_system_clock_reads_as_a_date_of_this_century() {
        let now = now();
        assert!(
            now > da::from_unix(AUTUMN, 0) && now < da::from_unix(3 * AUTUMN, 0),
            "{now:#x}"
        );
    }

    #[test]
    fn a_session_knot_is_the_date_s_mug() {
        let now = da::from_unix(AUTUMN, 500_000);
        let mug = u64::from(Noun::from_u128(now).mug().0);
        assert_eq!(
            text::slaw(text::Aura::Uv, &session_knot(now)),
            Ok(Noun::atom(mug))
        );
        assert_ne!(session_knot(now), session_knot(now + STEP));
    }

    #[test]
    fn a_batch_counts_up_from_its_time() {
        let mut clock = EventClock::new(None);
        let now = da::from_unix(AUTUMN, 0);
        assert_eq!(
            [clock.stamp(now), clock.stamp(now), clock.step()],
            [now, now + STEP, now + 2 * STEP]
        );
        let later = now + (1 << 64);
        assert_eq!(clock.stamp(later), later);
    }

    #[test]
    fn no_date_is_earlier_than_the_one_before() {
        let last = da::from_unix(AUTUMN, 0);
        let mut clock = EventClock::new(Some(last));
        // A machine whose clock is an hour behind takes over.
        assert_eq!(clock.stamp(last - (3600 << 64)), last + STEP);
        clock.observe(last);
        assert_eq!(clock.last(), last + STEP);
        clock.observe(last + (1 << 64) + 1);
        assert_eq!(clock.stamp(last), last + (1 << 64) + 1 + STEP);
    }

    #[test]
    fn the_date_of_an_event_is_its_head() {
        let date = da::from_unix(AUTUMN, 0);
        let event = Noun::cell(Noun::from_u128(date), Noun::cell(Noun::ZERO, Noun::ZERO));
        assert_eq!(date_of(&event), Some(date));
        assert_eq!(date_of_jam(&jam(&event)), Some(date));
        assert_eq!(date_of(&Noun::cell(event.clone(), Noun::ZERO)), None);
        assert_eq!(date_of(&Noun::ZERO), None);
        assert_eq!(date_of_jam(b""), None);
    }
}
