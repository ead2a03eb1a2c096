//! How much may be on its way from a ship, and how long it is waited for: TCP's slow start, congestion avoidance and
//! time-outs, with vere's figures (`spec/drivers.md` section 9).

use crate::limits;
use std::time::{Duration, Instant};

/// Where slow start ends unless something was lost before.
const THRESHOLD: u32 = 10_000;
/// A round trip and its variance before anything was measured.
const UNKNOWN: Duration = Duration::from_secs(1);

/// What is known of the way to a ship.
#[derive(Clone, Debug)]
pub(crate) struct Gauge {
    round_trip: Duration,
    variance: Duration,
    time_out: Duration,
    window: u32,
    /// Answers since the window last grew.
    answers: u32,
    threshold: u32,
}

impl Gauge {
    /// Nothing is known.
    pub(crate) fn new() -> Gauge {
        Gauge {
            round_trip: UNKNOWN,
            variance: UNKNOWN,
            time_out: limits::MESA_TIME_OUT_LEAST,
            window: 1,
            answers: 0,
            threshold: THRESHOLD,
        }
    }

    /// How many packets may be on their way.
    pub(crate) fn window(&self) -> usize {
        (self.window as usize).min(limits::MESA_WINDOW)
    }

    /// After what time a packet is taken for lost.
    pub(crate) fn time_out(&self) -> Duration {
        self.time_out
    }

    /// An answer came to what was sent then.
    pub(crate) fn answered(&mut self, sent: Instant, now: Instant) {
        let took = now.saturating_duration_since(sent);
        let error = took.abs_diff(self.round_trip);
        self.round_trip = (took + self.round_trip * 7) / 8;
        self.variance = (error + self.variance * 7) / 8;
        self.time_out = clamp(self.round_trip + self.variance * 4);
        self.answers += 1;
        if self.window < self.threshold || self.answers >= self.window {
            self.window = self.window.saturating_add(1);
            self.answers = 0;
        }
    }

    /// Something was lost.
    pub(crate) fn lost(&mut self) {
        self.threshold = (self.window / 2).max(1);
        self.window = self.threshold;
        self.time_out = clamp(self.time_out * 2);
    }
}

fn clamp(time_out: Duration) -> Duration {
    time_out.clamp(limits::MESA_TIME_OUT_LEAST, limits::MESA_TIME_OUT_MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_fast_then_slowly_and_shrinks_when_something_is_lost() {
        let start = Instant::now();
        let mut gauge = Gauge::new();
        assert_eq!(
            (gauge.window(), gauge.time_out()),
            (1, limits::MESA_TIME_OUT_LEAST)
        );
        for answer in 2..=20 {
            gauge.answered(start, start + Duration::from_millis(10));
            assert_eq!(gauge.window(), answer);
        }
        gauge.lost();
        assert_eq!(gauge.window(), 10);
        for _ in 0..9 {
            gauge.answered(start, start + Duration::from_millis(10));
            assert_eq!(gauge.window(), 10);
        }
        gauge.answered(start, start + Duration::from_millis(10));
        assert_eq!(gauge.window(), 11);
    }

    #[test]
    fn time_outs_follow_the_round_trips_between_their_bounds() {
        let start = Instant::now();
        let mut gauge = Gauge::new();
        for _ in 0..200 {
            gauge.answered(start, start + Duration::from_millis(1));
        }
        assert_eq!(gauge.time_out(), limits::MESA_TIME_OUT_LEAST);
        for _ in 0..20 {
            gauge.lost();
        }
        assert_eq!(
            (gauge.window(), gauge.time_out()),
            (1, limits::MESA_TIME_OUT_MOST)
        );
        for _ in 0..200 {
            gauge.answered(start, start + Duration::from_secs(2));
        }
        let settled = gauge.time_out();
        assert!(
            settled >= Duration::from_secs(2) && settled < Duration::from_secs(3),
            "{settled:?}"
        );
        // However it goes on, the window stays within what is allowed.
        let mut gauge = Gauge::new();
        for _ in 0..50_000 {
            gauge.answered(start, start);
        }
        assert_eq!(gauge.window(), limits::MESA_WINDOW);
    }
}
