//! The running hash of a log: what members compare to know that they hold the same events.
//!
//! `digest(n) = SHA-256(digest(n-1) ‖ number ‖ mug ‖ length of jam ‖ jam)`, numbers little-endian in 8, 4 and 8 bytes,
//! starting from zeros *after* some event: after 0 where Seguro booted the ship, after the last event of the history that it
//! took over otherwise. Two members of one cluster start at the same event, since the later ones got it from the first.

use crate::types::Event;
use seguro_event::EventNumber;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

/// The hash of the events after `from` up to and including `at`.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LogHash {
    /// The event after which it starts.
    pub(crate) from: EventNumber,
    /// The last event in it.
    pub(crate) at: EventNumber,
    /// The digest; zeros where `from == at`.
    pub(crate) digest: [u8; 32],
}

impl LogHash {
    /// The hash of no events, after `from`.
    pub(crate) fn starting_after(from: EventNumber) -> LogHash {
        LogHash {
            from,
            at: from,
            digest: [0; 32],
        }
    }

    /// Takes one more event in.
    ///
    /// # Panics
    /// When the event is not the next one.
    pub(crate) fn add(&mut self, event: &Event) {
        assert_eq!(event.number, self.at.next(), "a log is hashed in order");
        let mut hasher = Sha256::new();
        hasher.update(self.digest);
        hasher.update(event.number.0.to_le_bytes());
        hasher.update(event.mug.0.to_le_bytes());
        hasher.update((event.jam.len() as u64).to_le_bytes());
        hasher.update(&event.jam);
        self.digest = hasher.finalize().into();
        self.at = event.number;
    }
}

impl fmt::Display for LogHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.digest {
            write!(f, "{byte:02x}")?;
        }
        write!(f, " of events {} to {}", self.from.next(), self.at)
    }
}

impl fmt::Debug for LogHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use seguro_event::Mug;

    fn event(number: u64, jam: &'static [u8]) -> Event {
        Event {
            number: EventNumber(number),
            mug: Mug(0x1234),
            jam: Bytes::from_static(jam),
        }
    }

    #[test]
    fn golden() {
        // From another implementation: sha256 of 32 zeros, 01 00*7, 34 12 00 00, 03 00*7, "abc" (55 bytes).
        let mut hash = LogHash::starting_after(EventNumber::ZERO);
        hash.add(&event(1, b"abc"));
        assert_eq!(
            hash.to_string(),
            "f65c684f9a35403000bfc2ce611600c0bfcd33ffcb4612ebd1d1e3329bee8f43 of events 1 to 1"
        );
    }

    #[test]
    fn every_part_counts() {
        let of = |events: &[Event]| {
            let mut hash = LogHash::starting_after(EventNumber::ZERO);
            events.iter().for_each(|e| hash.add(e));
            hash.digest
        };
        let base = of(&[event(1, b"ab"), event(2, b"c")]);
        assert_ne!(base, of(&[event(1, b"a"), event(2, b"bc")]));
        assert_ne!(base, of(&[event(1, b"ab"), event(2, b"d")]));
        let mut other = event(2, b"c");
        other.mug = Mug(0x1235);
        assert_ne!(base, of(&[event(1, b"ab"), other]));
        assert_eq!(base, of(&[event(1, b"ab"), event(2, b"c")]));
    }
}
