//! What is known of other ships: where they were heard, and which galaxy is theirs.

use crate::{drivers::udp::cache::Cache, limits};
use std::{net::SocketAddrV4, time::Instant};

/// A ship.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Peer {
    /// Where it is, if that is known.
    pub(crate) direct: Option<SocketAddrV4>,
    /// When it was last heard from there.
    heard: Option<Instant>,
    /// Its galaxy, if the kernel has told it.
    pub(crate) galaxy: Option<u8>,
}

impl Peer {
    /// It was heard from there, without anybody between.
    pub(crate) fn heard(&mut self, from: SocketAddrV4, now: Instant) {
        self.direct = Some(from);
        self.heard = Some(now);
    }

    /// Whether it was heard just now, so that its galaxy need not be troubled.
    pub(crate) fn is_near(&self, now: Instant) -> bool {
        let since = self.heard.map(|heard| now.saturating_duration_since(heard));
        since.is_some_and(|since| since < limits::MESA_DIRECT_LASTS)
    }
}

/// The ships that are known; the oldest of too many are forgotten, and met again.
pub(crate) struct Peers(Cache<u128, Peer>);

impl Peers {
    pub(crate) fn new() -> Peers {
        Peers(Cache::new(limits::MESA_PEERS))
    }

    /// A ship, if it is known.
    pub(crate) fn get(&self, ship: u128) -> Option<&Peer> {
        self.0.get(&ship)
    }

    /// Changes a ship, or one that is new. True if it is new.
    pub(crate) fn change(&mut self, ship: u128, change: impl FnOnce(&mut Peer)) -> bool {
        let known = self.0.remove(&ship);
        let is_new = known.is_none();
        let mut peer = known.unwrap_or_default();
        change(&mut peer);
        self.0.put(ship, peer, 1);
        is_new
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn a_ship_is_near_for_a_while_after_it_was_heard() {
        let now = Instant::now();
        let mut peers = Peers::new();
        let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 5);
        assert!(peers.change(7, |peer| peer.galaxy = Some(1)));
        assert!(!peers.get(7).unwrap().is_near(now));
        assert!(!peers.change(7, |peer| peer.heard(address, now)));
        let peer = peers.get(7).unwrap();
        assert_eq!((peer.direct, peer.galaxy), (Some(address), Some(1)));
        assert!(peer.is_near(now));
        assert!(!peer.is_near(now + limits::MESA_DIRECT_LASTS));
        assert_eq!((peers.get(8), peers.len()), (None, 1));
    }
}
