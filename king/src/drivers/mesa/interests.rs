//! Who waits for which page: the way back for answers (`spec/drivers.md` section 9, "interest").

use super::packet::Name;
use crate::{drivers::udp::cache::Cache, limits};
use std::{net::SocketAddrV4, time::Instant};

/// Addresses that wait.
struct Interest {
    lanes: Vec<SocketAddrV4>,
    since: Instant,
}

/// Who waits for what. Strangers add to it, so the oldest of too many are forgotten; who asks again is there again.
pub(crate) struct Interests(Cache<Name, Interest>);

impl Interests {
    pub(crate) fn new() -> Interests {
        Interests(Cache::new(limits::MESA_INTERESTS))
    }

    /// Somebody waits for this page.
    pub(crate) fn add(&mut self, name: &Name, lane: SocketAddrV4, now: Instant) {
        let mut lanes = self.take(name, now);
        if !lanes.contains(&lane) && lanes.len() < limits::MESA_INTEREST_LANES {
            lanes.push(lane);
        }
        self.0.put(name.clone(), Interest { lanes, since: now }, 1);
    }

    /// Whether anybody waits for this page.
    pub(crate) fn has(&self, name: &Name, now: Instant) -> bool {
        let interest = self.0.get(name);
        interest.is_some_and(|interest| is_fresh(interest, now))
    }

    /// Who waits for this page, which has come.
    pub(crate) fn take(&mut self, name: &Name, now: Instant) -> Vec<SocketAddrV4> {
        let interest = self.0.remove(name);
        let fresh = interest.filter(|interest| is_fresh(interest, now));
        fresh.map(|interest| interest.lanes).unwrap_or_default()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

fn is_fresh(interest: &Interest, now: Instant) -> bool {
    now.saturating_duration_since(interest.since) < limits::MESA_INTEREST_LASTS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drivers::mesa::packet::Part;
    use std::net::Ipv4Addr;

    fn name(number: u64) -> Name {
        Name {
            ship: 1,
            rift: 0,
            bloq: 13,
            part: Part::Fragment {
                is_auth: false,
                number,
            },
            path: (*b"a").into(),
        }
    }

    fn lane(port: u16) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)
    }

    #[test]
    fn each_waits_once_and_is_answered_once() {
        let now = Instant::now();
        let mut interests = Interests::new();
        for port in [1, 2, 1] {
            interests.add(&name(0), lane(port), now);
        }
        interests.add(&name(1), lane(3), now);
        assert!(interests.has(&name(0), now));
        assert_eq!(interests.take(&name(0), now), [lane(1), lane(2)]);
        assert!(!interests.has(&name(0), now));
        assert_eq!(interests.take(&name(0), now), []);
        assert_eq!(interests.len(), 1);
    }

    #[test]
    fn interest_ends_and_strangers_do_not_fill_the_memory() {
        let start = Instant::now();
        let mut interests = Interests::new();
        interests.add(&name(0), lane(1), start);
        let later = start + limits::MESA_INTEREST_LASTS;
        assert!(!interests.has(&name(0), later));
        interests.add(&name(0), lane(2), later);
        assert_eq!(interests.take(&name(0), later), [lane(2)]);
        for port in 0..100 {
            interests.add(&name(0), lane(port), later);
        }
        assert_eq!(interests.take(&name(0), later).len(), limits::MESA_INTEREST_LANES);
        for number in 0..limits::MESA_INTERESTS as u64 + 10 {
            interests.add(&name(number), lane(1), later);
        }
        assert_eq!(interests.len(), limits::MESA_INTERESTS);
        assert!(!interests.has(&name(9), later));
    }
}
