//! What this ship asks others for, until it is answered: what its kernel asked, and messages that are fetched for it.

use super::{fetch::Fetch, packet::Name};
use crate::limits;
use std::{
    collections::{BTreeSet, HashMap},
    net::SocketAddrV4,
    time::Instant,
};

/// Whom it is asked of, and for what. vere tells requests apart by the latter only.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    /// The ship.
    pub(crate) ship: u128,
    /// The path's text.
    path: Box<[u8]>,
}

impl Key {
    /// What a name asks for.
    pub(crate) fn of(name: &Name) -> Key {
        Key {
            ship: name.ship,
            path: name.path.clone(),
        }
    }
}

/// A packet of the kernel's, sent again until it is answered.
#[derive(Debug)]
pub(crate) struct Pushed {
    /// The packet.
    pub(crate) bytes: Vec<u8>,
    /// Where it goes.
    pub(crate) lanes: Vec<SocketAddrV4>,
    /// How often it is still to be sent.
    left: u32,
}

impl Pushed {
    /// It is sent once more: how often it is to be sent after that.
    pub(crate) fn again(&mut self) -> u32 {
        self.left = self.left.saturating_sub(1);
        self.left
    }
}

/// A request.
#[derive(Debug)]
pub(crate) enum Request {
    /// Nothing has come.
    Pushed(Pushed),
    /// A message is coming.
    Fetched(Box<Fetch>),
}

impl Request {
    /// A packet that was sent a first time.
    pub(crate) fn pushed(bytes: Vec<u8>, lanes: Vec<SocketAddrV4>) -> Request {
        Request::Pushed(Pushed {
            bytes,
            lanes,
            left: limits::MESA_PUSHES,
        })
    }
}

/// All requests, and when each is to be looked at again.
#[derive(Default)]
pub(crate) struct Requests {
    all: HashMap<Key, (Request, Instant)>,
    due: BTreeSet<(Instant, Key)>,
    fetches: usize,
}

impl Requests {
    pub(crate) fn get(&self, key: &Key) -> Option<&Request> {
        self.all.get(key).map(|(request, _)| request)
    }

    pub(crate) fn get_mut(&mut self, key: &Key) -> Option<&mut Request> {
        self.all.get_mut(key).map(|(request, _)| request)
    }

    /// Puts a request in the place of an older one.
    pub(crate) fn put(&mut self, key: Key, request: Request, due: Instant) {
        self.remove(&key);
        self.fetches += usize::from(matches!(request, Request::Fetched(_)));
        self.due.insert((due, key.clone()));
        self.all.insert(key, (request, due));
    }

    pub(crate) fn remove(&mut self, key: &Key) -> Option<Request> {
        let (key, (request, due)) = self.all.remove_entry(key)?;
        self.due.remove(&(due, key));
        self.fetches -= usize::from(matches!(request, Request::Fetched(_)));
        Some(request)
    }

    /// A request is to be looked at then, and not before.
    pub(crate) fn due(&mut self, key: &Key, due: Instant) {
        if let Some((_, known)) = self.all.get_mut(key) {
            self.due.remove(&(*known, key.clone()));
            *known = due;
            self.due.insert((due, key.clone()));
        }
    }

    /// When the first of them is to be looked at.
    pub(crate) fn first_due(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    /// One whose time has come; it has no other until [`Requests::due`].
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<Key> {
        let is_due = self.first_due().is_some_and(|due| due <= now);
        is_due.then(|| self.due.pop_first()).flatten().map(|(_, key)| key)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// How many of them are messages that are coming.
    pub(crate) fn fetches(&self) -> usize {
        self.fetches
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn key(ship: u128) -> Key {
        Key {
            ship,
            path: (*b"a").into(),
        }
    }

    #[test]
    fn each_is_looked_at_in_its_time() {
        let start = Instant::now();
        let later = |seconds| start + Duration::from_secs(seconds);
        let mut requests = Requests::default();
        assert_eq!(requests.first_due(), None);
        for (ship, due) in [(1, 3), (2, 1), (3, 2)] {
            requests.put(key(ship), Request::pushed(vec![], vec![]), later(due));
        }
        assert_eq!(requests.take_due(start), None);
        requests.due(&key(3), later(5));
        requests.put(key(1), Request::pushed(vec![1], vec![]), later(4));
        assert_eq!(requests.first_due(), Some(later(1)));
        assert_eq!(requests.take_due(later(4)), Some(key(2)));
        assert_eq!(requests.take_due(later(4)), Some(key(1)));
        assert_eq!(requests.take_due(later(4)), None);
        assert_eq!(requests.len(), 3);
        assert!(requests.remove(&key(3)).is_some() && requests.remove(&key(3)).is_none());
        assert_eq!(requests.first_due(), None);
        requests.due(&key(2), later(6));
        assert_eq!(requests.first_due(), Some(later(6)));
    }

    #[test]
    fn a_packet_is_sent_so_often() {
        let Request::Pushed(mut pushed) = Request::pushed(vec![], vec![]) else {
            panic!("it is pushed")
        };
        let again = (0..20).take_while(|_| pushed.again() > 0).count();
        assert_eq!(again as u32 + 1, limits::MESA_PUSHES);
    }
}
