//! Notices a serf that does not answer: warns, then asks for an interrupt, then for a kill. No clock and no I/O: the
//! caller says what time it is and does what is asked.
//!
//! The C king waits for ever (`spec/ipc.md` section 10). A serf answers in order, so the event it is at began when it
//! was sent or when the one before it was answered, whichever is later. Only that one's time runs.

use crate::limits::{WATCHDOG_INTERRUPT, WATCHDOG_KILL, WATCHDOG_WARN};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long a serf may be at one event before something is done about it. Each counts from the event's beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// Say so in the log.
    pub warn: Duration,
    /// Send SIGINT: the computation ends with mote `%intr`, and the event becomes a `%crud` (`%swap`) or a `%bail`
    /// (`spec/ipc.md` section 11). Never earlier than `warn`.
    pub interrupt: Duration,
    /// Send SIGKILL: the serf has not heeded the interrupt. Never earlier than `interrupt`, and counted so that the
    /// time between the two is given in full from the moment at which the interrupt was asked for.
    pub kill: Duration,
}

impl Default for Deadlines {
    fn default() -> Deadlines {
        Deadlines {
            warn: WATCHDOG_WARN,
            interrupt: WATCHDOG_INTERRUPT,
            kill: WATCHDOG_KILL,
        }
    }
}

/// What [`Watchdog::check`] asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escalation {
    /// Tell the log that an event takes long.
    Warn,
    /// Send the serf SIGINT.
    Interrupt,
    /// Send the serf SIGKILL.
    Kill,
}

/// Whether a writ may be cut short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Patience {
    /// A computation for someone who waits: all three deadlines.
    Bounded,
    /// A batch to play, an image to write: this long, with a warning, and no interrupt, which could only lose work.
    Long(Duration),
    /// A loom to pack, at an operator's wish: as long as it takes, with a warning.
    Unbounded,
}

/// The serf's clock. Tell it of every writ sent and of every answer, and ask it now and then.
#[derive(Debug)]
pub struct Watchdog {
    deadlines: Deadlines,
    /// The writs that the serf holds, oldest first; the first is what it is at.
    held: VecDeque<Patience>,
    /// When it began with the first. `None` while `held` is empty.
    since: Option<Instant>,
    /// What was asked for about the first, and when.
    last: Option<(Escalation, Instant)>,
}

impl Watchdog {
    /// A watchdog over a serf that holds nothing. Deadlines that are out of order are put in order by raising the later
    /// ones.
    #[must_use]
    pub fn new(deadlines: Deadlines) -> Watchdog {
        let interrupt = deadlines.interrupt.max(deadlines.warn);
        let kill = deadlines.kill.max(interrupt);
        let deadlines = Deadlines {
            warn: deadlines.warn,
            interrupt,
            kill,
        };
        Watchdog {
            deadlines,
            held: VecDeque::new(),
            since: None,
            last: None,
        }
    }

    /// A writ that must be answered in time was sent: `%work` or `%peek`.
    pub fn started(&mut self, now: Instant) {
        self.hold(Patience::Bounded, now);
    }

    /// A writ that may take long was sent, `%play` or `%save`: after `patience` it is taken for one that will never end. A
    /// caller whose serf is killed for it gives the next one more, in case it was only slow.
    pub fn started_long(&mut self, patience: Duration, now: Instant) {
        self.hold(Patience::Long(patience), now);
    }

    /// A writ that may take as long as it needs was sent: `%cram`, `%pack`, `%meld`, `%quiz`. Only [`Escalation::Warn`] will
    /// come of it.
    pub fn started_unbounded(&mut self, now: Instant) {
        self.hold(Patience::Unbounded, now);
    }

    /// The oldest writ was answered; the next one begins.
    pub fn answered(&mut self, now: Instant) {
        self.held.pop_front();
        self.begin(now);
    }

    /// The serf is gone, and what it held with it.
    pub fn clear(&mut self) {
        self.held.clear();
        self.since = None;
        self.last = None;
    }

    /// What has to be done at `now`, each thing once for each writ, in order. Call until `None`. Take in the answers
    /// that have arrived before asking: a process that was stopped for a while finds them waiting.
    pub fn check(&mut self, now: Instant) -> Option<Escalation> {
        let (due, escalation) = self.next_escalation()?;
        if now < due {
            return None;
        }
        self.last = Some((escalation, now));
        Some(escalation)
    }

    /// When [`Watchdog::check`] will next ask for something if no answer comes before.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.next_escalation().map(|(due, _)| due)
    }

    /// Whether the serf is at a computation for someone who waits, which may be interrupted at an operator's wish too.
    #[must_use]
    pub fn may_interrupt(&self) -> bool {
        self.held.front() == Some(&Patience::Bounded)
    }

    /// How long the serf has been at the writ that it is at.
    #[must_use]
    pub fn elapsed(&self, now: Instant) -> Option<Duration> {
        self.since.map(|since| now.saturating_duration_since(since))
    }

    fn hold(&mut self, patience: Patience, now: Instant) {
        self.held.push_back(patience);
        if self.held.len() == 1 {
            self.begin(now);
        }
    }

    fn begin(&mut self, now: Instant) {
        self.since = (!self.held.is_empty()).then_some(now);
        self.last = None;
    }

    fn next_escalation(&self) -> Option<(Instant, Escalation)> {
        let (since, patience) = (self.since?, *self.held.front()?);
        let Deadlines {
            warn,
            interrupt,
            kill,
        } = self.deadlines;
        match (self.last, patience) {
            (None, Patience::Long(patience)) if patience <= warn => {
                Some((since + patience, Escalation::Kill))
            }
            (None, _) => Some((since + warn, Escalation::Warn)),
            (_, Patience::Unbounded) => None,
            (Some((Escalation::Warn, _)), Patience::Long(patience)) => {
                Some((since + patience, Escalation::Kill))
            }
            (Some((Escalation::Warn, _)), _) => Some((since + interrupt, Escalation::Interrupt)),
            (Some((Escalation::Interrupt, asked)), _) => Some((asked + (kill - interrupt), Escalation::Kill)),
            (Some((Escalation::Kill, _)), _) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEADLINES: Deadlines = Deadlines {
        warn: Duration::from_secs(10),
        interrupt: Duration::from_secs(20),
        kill: Duration::from_secs(25),
    };

    /// A watchdog, and a clock that counts seconds.
    fn watchdog() -> (Watchdog, impl Fn(u64) -> Instant) {
        let start = Instant::now();
        (Watchdog::new(DEADLINES), move |seconds| {
            start + Duration::from_secs(seconds)
        })
    }

    #[test]
    fn an_idle_serf_is_left_alone() {
        let (mut dog, at) = watchdog();
        assert_eq!(dog.check(at(1000)), None);
        assert_eq!(dog.next_deadline(), None);
        dog.started(at(1000));
        dog.answered(at(1001));
        assert_eq!(dog.check(at(9000)), None);
        assert_eq!(dog.elapsed(at(9000)), None);
    }

    #[test]
    fn each_deadline_comes_once_and_in_order() {
        let (mut dog, at) = watchdog();
        dog.started(at(0));
        assert_eq!(dog.next_deadline(), Some(at(10)));
        assert_eq!(dog.check(at(9)), None);
        assert_eq!(dog.check(at(10)), Some(Escalation::Warn));
        assert_eq!(dog.check(at(11)), None);
        assert_eq!(dog.next_deadline(), Some(at(20)));
        assert_eq!(dog.check(at(20)), Some(Escalation::Interrupt));
        assert_eq!(dog.check(at(21)), None);
        assert_eq!(dog.check(at(25)), Some(Escalation::Kill));
        assert_eq!(dog.check(at(9000)), None);
        assert_eq!(dog.next_deadline(), None);
    }

    #[test]
    fn a_queue_of_events_is_timed_one_by_one() {
        let (mut dog, at) = watchdog();
        for _ in 0..3 {
            dog.started(at(0));
        }
        dog.answered(at(8));
        assert_eq!(
            dog.check(at(17)),
            None,
            "the second began when the first was answered"
        );
        assert_eq!(dog.check(at(18)), Some(Escalation::Warn));
        dog.answered(at(19));
        assert_eq!(dog.check(at(28)), None, "the third has a warning of its own");
        assert_eq!(dog.check(at(29)), Some(Escalation::Warn));
        assert_eq!(dog.elapsed(at(30)), Some(Duration::from_secs(11)));
    }

    #[test]
    fn after_a_late_interrupt_the_serf_still_has_its_time_to_heed_it() {
        let (mut dog, at) = watchdog();
        dog.started(at(0));
        assert_eq!(dog.check(at(1000)), Some(Escalation::Warn));
        assert_eq!(dog.check(at(1000)), Some(Escalation::Interrupt));
        assert_eq!(dog.check(at(1000)), None);
        assert_eq!(dog.next_deadline(), Some(at(1005)));
    }

    #[test]
    fn what_takes_as_long_as_it_needs_is_only_warned_about() {
        let (mut dog, at) = watchdog();
        assert!(!dog.may_interrupt());
        dog.started_unbounded(at(0));
        dog.started(at(0));
        assert_eq!(dog.check(at(100)), Some(Escalation::Warn));
        assert_eq!(dog.check(at(1000)), None);
        assert!(!dog.may_interrupt());
        dog.answered(at(1000));
        assert_eq!(dog.next_deadline(), Some(at(1010)));
        assert!(dog.may_interrupt());
    }

    #[test]
    fn what_may_take_long_is_killed_at_last_and_never_interrupted() {
        let (mut dog, at) = watchdog();
        dog.started_long(Duration::from_secs(600), at(0));
        assert_eq!(dog.check(at(10)), Some(Escalation::Warn));
        assert!(!dog.may_interrupt());
        assert_eq!(dog.check(at(599)), None);
        assert_eq!(dog.next_deadline(), Some(at(600)));
        assert_eq!(dog.check(at(600)), Some(Escalation::Kill));
        assert_eq!(dog.check(at(9000)), None);
        dog.clear();
        dog.started_long(Duration::from_secs(3), at(0));
        assert_eq!(dog.check(at(3)), Some(Escalation::Kill));
    }

    #[test]
    fn deadlines_out_of_order_are_put_in_order() {
        let second = Duration::from_secs(1);
        let mut dog = Watchdog::new(Deadlines {
            warn: 3 * second,
            interrupt: second,
            kill: 2 * second,
        });
        let start = Instant::now();
        dog.started(start);
        assert_eq!(dog.check(start + 2 * second), None);
        let all: Vec<_> = std::iter::from_fn(|| dog.check(start + 3 * second)).collect();
        assert_eq!(all, [Escalation::Warn, Escalation::Interrupt, Escalation::Kill]);
    }

    #[test]
    fn a_dead_serf_holds_nothing() {
        let (mut dog, at) = watchdog();
        dog.started(at(0));
        dog.clear();
        assert_eq!(dog.check(at(1000)), None);
        dog.started(at(1000));
        assert_eq!(dog.next_deadline(), Some(at(1010)));
    }
}
