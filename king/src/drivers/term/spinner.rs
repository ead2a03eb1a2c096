//! The spinner: when it turns, and what it says of the event that the ship computes (`spec/drivers.md` section 4).

use crate::{limits, ovum::Ovum};
use serf_ipc::Noun;
use std::time::Instant;

/// Its frames.
const WHEEL: [char; 4] = ['|', '/', '-', '\\'];
/// How much of a cause it shows, bytes.
const LABEL: usize = 4;

/// Why the ship computes: the beginning of the event's wire, and whether the operator waits for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cause {
    label: String,
    /// Return was typed: it turns sooner.
    is_awaited: bool,
}

impl Cause {
    /// The cause that an event is. What is typed has no label.
    #[must_use]
    pub fn of(ovum: &Ovum) -> Cause {
        let knot = ovum.wire.slot(6);
        if knot.is_some_and(|knot| knot.is_cord("term")) {
            let belt = ovum.card.tail().and_then(Noun::head);
            return Cause {
                label: String::new(),
                is_awaited: belt.is_some_and(|belt| belt.is_cord("ret")),
            };
        }
        Cause {
            label: label(&knot.and_then(Noun::as_cord).unwrap_or_default()),
            is_awaited: false,
        }
    }

    /// A computation that is no event of the ship's own: the log's, played.
    #[must_use]
    pub fn named(name: &str) -> Cause {
        Cause {
            label: label(name),
            is_awaited: true,
        }
    }
}

fn label(text: &str) -> String {
    text.chars().filter(char::is_ascii_graphic).take(LABEL).collect()
}

/// One picture of the spinner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// What is written.
    pub(super) text: String,
    /// Its columns.
    pub(super) width: usize,
    /// Whether nothing of it stood there before.
    pub(super) is_first: bool,
}

#[derive(Debug)]
struct Turning {
    cause: Cause,
    due: Instant,
    frames: usize,
}

/// The spinner, without a clock of its own.
#[derive(Debug, Default)]
pub(super) struct Spinner {
    turning: Option<Turning>,
    /// When one that was seen ended.
    ended: Option<Instant>,
}

impl Spinner {
    /// The ship begins to compute.
    pub(super) fn start(&mut self, cause: Cause, now: Instant) {
        let warm = |ended: Instant| now.duration_since(ended) < limits::TERM_SPIN_STAYS_WARM;
        let after = match self.ended {
            _ if cause.is_awaited => limits::TERM_SPIN_AWAITED,
            Some(ended) if warm(ended) => limits::TERM_SPIN_WARM,
            _ => limits::TERM_SPIN_COOL,
        };
        self.turning = Some(Turning {
            cause,
            due: now + after,
            frames: 0,
        });
    }

    /// The ship is done. True when the spinner was seen.
    pub(super) fn stop(&mut self, now: Instant) -> bool {
        let was_seen = self.is_seen();
        if self.turning.take().is_some() {
            self.ended = was_seen.then_some(now);
        }
        was_seen
    }

    /// Whether it stands on the screen.
    pub(super) fn is_seen(&self) -> bool {
        self.turning.as_ref().is_some_and(|turning| turning.frames > 0)
    }

    /// When the next frame is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.turning.as_ref().map(|turning| turning.due)
    }

    /// The frame that is due, if one is.
    pub(super) fn turn(&mut self, now: Instant) -> Option<Frame> {
        let turning = self.turning.as_mut().filter(|turning| turning.due <= now)?;
        let mut text = String::from(WHEEL[turning.frames % WHEEL.len()]);
        if !turning.cause.label.is_empty() {
            text.push('«');
            text.push_str(&turning.cause.label);
            text.push('»');
        }
        let is_first = turning.frames == 0;
        turning.frames += 1;
        turning.due = now + limits::TERM_SPIN_FRAME;
        Some(Frame {
            width: text.chars().count(),
            text,
            is_first,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serf_ipc::n;
    use std::time::Duration;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn it_says_whose_event_it_is() {
        let cause = |wire: &[&str], card| Cause::of(&Ovum::new("x", wire, card));
        assert_eq!(cause(&["http-server", "0v1"], n!["request", 0u64]).label, "http");
        assert_eq!(cause(&["khan"], n!["fyrd", 0u64]).label, "khan");
        assert_eq!(cause(&["\x1b[2J"], Noun::ZERO).label, "[2J");
        assert_eq!(cause(&[], Noun::ZERO).label, "");
        assert_eq!(cause(&["term", "1"], n!["belt", "txt", 0u64]), Cause::default());
        let awaited = cause(&["term", "1"], n!["belt", "ret", 0u64]);
        assert!(awaited.is_awaited && awaited.label.is_empty());
    }

    #[test]
    fn it_turns_when_somebody_waits() {
        let start = crate::clock::instant();
        let mut spinner = Spinner::default();
        assert_eq!(spinner.due(), None);
        spinner.start(Cause::named("behn"), start);
        assert_eq!(spinner.turn(start + ms(99)), None);
        let frame = |text: &str, is_first| Frame {
            text: text.to_owned(),
            width: text.chars().count(),
            is_first,
        };
        assert_eq!(spinner.turn(start + ms(100)), Some(frame("|«behn»", true)));
        assert_eq!(spinner.turn(start + ms(349)), None);
        assert_eq!(spinner.turn(start + ms(350)), Some(frame("/«behn»", false)));
        assert!(spinner.stop(start + ms(400)), "it was seen");
        assert_eq!((spinner.due(), spinner.turn(start + ms(900))), (None, None));
    }

    #[test]
    fn it_waits_longer_when_it_was_not_seen_just_now() {
        let start = crate::clock::instant();
        let mut spinner = Spinner::default();
        spinner.start(Cause::default(), start);
        assert_eq!(spinner.due(), Some(start + ms(500)));
        assert!(!spinner.stop(start), "nothing was seen");
        spinner.start(Cause::default(), start);
        assert_eq!(spinner.due(), Some(start + ms(500)), "so it is cool");
        assert!(
            spinner
                .turn(start + ms(500))
                .is_some_and(|frame| frame.text == "|")
        );
        assert!(spinner.stop(start + ms(600)));
        spinner.start(Cause::default(), start + ms(600));
        assert_eq!(spinner.due(), Some(start + ms(650)), "warm");
        assert!(!spinner.stop(start + ms(640)));
        assert!(!spinner.stop(start + ms(640)), "twice is once");
    }
}
