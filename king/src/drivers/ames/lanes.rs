//! Lanes: where a ship's packets go, as the kernel says it, as an address, and as the king remembers it
//! (`spec/drivers.md` section 8).

use crate::{drivers::udp::cache::Cache, limits};
use serf_ipc::{FromNoun, Noun, ShapeError, n};
use std::{net::SocketAddrV4, time::Instant};

/// An address in the kernel's form: `ip + port * 2^32`, six bytes little-endian.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Address {
    ip: u32,
    port: u16,
}

impl Address {
    /// The address of this host and port.
    #[cfg(test)]
    pub(crate) fn new(ip: std::net::Ipv4Addr, port: u16) -> Address {
        Address::from(SocketAddrV4::new(ip, port))
    }

    pub(crate) fn from_le_bytes([a, b, c, d, e, f]: [u8; 6]) -> Address {
        Address {
            ip: u32::from_le_bytes([a, b, c, d]),
            port: u16::from_le_bytes([e, f]),
        }
    }

    pub(crate) fn to_le_bytes(self) -> [u8; 6] {
        let ([a, b, c, d], [e, f]) = (self.ip.to_le_bytes(), self.port.to_le_bytes());
        [a, b, c, d, e, f]
    }

    /// Its atom.
    fn atom(self) -> u64 {
        u64::from(self.port) << 32 | u64::from(self.ip)
    }

    /// The kernel's lane for it, `[1 atom]`.
    pub(crate) fn lane(self) -> Noun {
        n![1_u64, self.atom()]
    }

    /// As the socket wants it.
    pub(crate) fn socket(self) -> SocketAddrV4 {
        SocketAddrV4::new(self.ip.into(), self.port)
    }
}

impl From<SocketAddrV4> for Address {
    fn from(socket: SocketAddrV4) -> Address {
        Address {
            ip: (*socket.ip()).into(),
            port: socket.port(),
        }
    }
}

/// A lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// `[0 galaxy]`: wherever that galaxy is.
    Galaxy(u8),
    /// `[1 atom]`: an address; of an atom of more than 48 bits, nowhere.
    Direct(Address),
}

impl FromNoun for Lane {
    fn from_noun(noun: &Noun) -> Result<Lane, ShapeError> {
        let (tag, value) = <(Noun, Noun)>::from_noun(noun)?;
        match (tag.as_u64(), value.as_u64()) {
            (Some(0), Some(galaxy)) if galaxy < 256 => Ok(Lane::Galaxy(galaxy as u8)),
            (Some(1), _) if value.is_atom() => {
                let atom = value.as_u64().filter(|atom| atom >> 48 == 0).unwrap_or_default();
                let [a, b, c, d, e, f, ..] = atom.to_le_bytes();
                Ok(Lane::Direct(Address::from_le_bytes([a, b, c, d, e, f])))
            }
            _ => Err(ShapeError::new("a lane, [0 galaxy] or [1 address]", noun)),
        }
    }
}

/// Reads a `(list lane)`: what is none is left out, and what is too much.
pub(crate) fn read_list(list: &Noun) -> Vec<Lane> {
    list.iter_list()
        .take(limits::AMES_LANES)
        .filter_map(|item| {
            let lane = item.and_then(Lane::from_noun);
            lane.inspect_err(|error| tracing::warn!("ames: bogus lane: {error}"))
                .ok()
        })
        .collect()
}

/// What is known of ships' lanes.
pub(crate) struct LaneCache {
    ships: Cache<u128, (Vec<Lane>, Instant)>,
    /// Whether the kernel tells of changes (`%nail`): then an entry stays true until it does.
    kernel_tells: bool,
}

impl LaneCache {
    pub(crate) fn new() -> LaneCache {
        LaneCache {
            ships: Cache::new(limits::AMES_LANE_SHIPS),
            kernel_tells: false,
        }
    }

    /// Where this ship is; an empty list where it is known to be nowhere.
    pub(crate) fn find(&self, ship: u128, now: Instant) -> Option<&[Lane]> {
        let (lanes, since) = self.ships.get(&ship)?;
        let is_fresh = self.kernel_tells || now.saturating_duration_since(*since) < limits::AMES_LANE_LASTS;
        is_fresh.then_some(lanes.as_slice())
    }

    /// The answer to a question.
    pub(crate) fn learn(&mut self, ship: u128, lanes: Vec<Lane>, now: Instant) {
        self.ships.put(ship, (lanes, now), 1);
    }

    /// The kernel tells of a change by itself.
    pub(crate) fn told(&mut self, ship: u128, lanes: Vec<Lane>, now: Instant) {
        self.kernel_tells = true;
        self.learn(ship, lanes, now);
    }

    pub(crate) fn len(&self) -> usize {
        self.ships.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{net::Ipv4Addr, time::Duration};

    #[test]
    fn an_address_goes_to_the_kernel_and_back() {
        let address = Address::new(Ipv4Addr::LOCALHOST, 12_345);
        let noun = address.lane();
        assert_eq!(noun, n![1_u64, 0x3039_7f00_0001_u64]);
        assert_eq!(Lane::from_noun(&noun), Ok(Lane::Direct(address)));
        assert_eq!(Address::from_le_bytes(address.to_le_bytes()), address);
        // What a C king told of a packet from ~nec's port.
        let nec = Address::new(Ipv4Addr::LOCALHOST, 31_338);
        assert_eq!(nec.lane(), n![1_u64, 134_597_815_828_481_u64]);
    }

    #[test]
    fn lanes_that_are_none_are_left_out() {
        let long = Noun::from_u128(1 << 100);
        let list = Noun::list([
            n![0_u64, 255_u64],
            n![0_u64, 256_u64],
            n![2_u64, 1_u64],
            Noun::atom(7),
            n![1_u64, 1_u64 << 48],
            n![1_u64, long],
            n![1_u64, n![1_u64, 2_u64]],
        ]);
        let nowhere = Lane::Direct(Address::default());
        assert_eq!(read_list(&list), [Lane::Galaxy(255), nowhere, nowhere]);
        assert_eq!(read_list(&Noun::atom(3)), []);
    }

    #[test]
    fn an_entry_is_old_after_two_minutes_unless_the_kernel_tells_of_changes() {
        let start = Instant::now();
        let mut cache = LaneCache::new();
        cache.learn(7, vec![Lane::Galaxy(1)], start);
        assert_eq!(cache.find(7, start), Some(&[Lane::Galaxy(1)][..]));
        assert_eq!(cache.find(8, start), None);
        let later = start + limits::AMES_LANE_LASTS;
        assert_eq!(cache.find(7, later), None);
        cache.told(8, vec![], later);
        assert_eq!(cache.find(7, later), Some(&[Lane::Galaxy(1)][..]));
        assert_eq!(cache.find(8, later + Duration::from_secs(3600)), Some(&[][..]));
    }
}
