//! Where the galaxies are: ports by their numbers, addresses by DNS under the ship's first domain
//! (`spec/drivers.md` section 8).

use crate::console;
use serf_ipc::text;
use std::{
    net::{Ipv4Addr, SocketAddrV4},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The port of galaxy 0.
const PORT: u16 = 13_337;
/// The same where ships only speak to ships of this machine.
const LOCAL_PORT: u16 = 31_337;
/// The longest domain that leaves room for a galaxy's name and the two dots in the 255 bytes of DNS.
const DOMAIN: usize = 250;

/// The port on which a galaxy is to be found.
pub(crate) fn port(galaxy: u8, is_local: bool) -> u16 {
    u16::from(galaxy) + if is_local { LOCAL_PORT } else { PORT }
}

/// The galaxy with this number, if it is one's.
pub(crate) fn galaxy(ship: u128) -> Option<u8> {
    u8::try_from(ship).ok()
}

/// The name of a galaxy's machine, with the dot that ends it.
pub(crate) fn host(galaxy: u8, domain: &str) -> String {
    let name = text::p::format(u128::from(galaxy));
    format!("{}.{domain}.", name.trim_start_matches('~'))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// Nothing is known yet.
    Unknown,
    /// There is no such machine; whether that was said when something was to be sent there.
    Gone { said: bool },
    /// There.
    At(Ipv4Addr),
}

/// The galaxies' addresses. Cheap to clone: all clones know the same.
#[derive(Clone)]
pub(crate) struct Galaxies {
    is_local: bool,
    known: Arc<Mutex<Known>>,
}

struct Known {
    domain: Option<String>,
    found: [Found; 256],
}

impl Galaxies {
    pub(crate) fn new(is_local: bool) -> Galaxies {
        let known = Known {
            domain: None,
            found: [Found::Unknown; 256],
        };
        Galaxies {
            is_local,
            known: Arc::new(Mutex::new(known)),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a new domain. True if it is another one: what was known is forgotten.
    pub(crate) fn set_domain(&self, domain: &str) -> bool {
        if domain.len() > DOMAIN || domain.is_empty() {
            tracing::warn!(target: console::TARGET, "ames: galaxy domain of {} bytes is no domain", domain.len());
            return false;
        }
        let mut known = self.known();
        if known.domain.as_deref() == Some(domain) {
            return false;
        }
        known.domain = Some(domain.to_owned());
        known.found = [Found::Unknown; 256];
        true
    }

    pub(crate) fn has_domain(&self) -> bool {
        self.known().domain.is_some()
    }

    /// Takes what DNS says of a galaxy under a domain. One that was found stays where it was while DNS fails.
    pub(crate) fn resolved(&self, domain: &str, galaxy: u8, address: Option<Ipv4Addr>) {
        let mut known = self.known();
        if known.domain.as_deref() != Some(domain) {
            return;
        }
        let found = &mut known.found[usize::from(galaxy)];
        match (address, *found) {
            (Some(address), Found::At(known)) if known == address => {}
            (Some(address), _) => {
                tracing::info!(target: console::TARGET, "ames: czar {} ip .{address}", host(galaxy, domain));
                *found = Found::At(address);
            }
            (None, Found::Unknown) => *found = Found::Gone { said: false },
            (None, _) => {}
        }
    }

    /// Where a galaxy is, if that is known.
    pub(crate) fn find(&self, galaxy: u8) -> Option<SocketAddrV4> {
        let port = port(galaxy, self.is_local);
        if self.is_local {
            return Some(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port));
        }
        let Known { domain, found } = &mut *self.known();
        match &mut found[usize::from(galaxy)] {
            Found::Unknown => None,
            Found::Gone { said } => {
                if !std::mem::replace(said, true) {
                    let host = host(galaxy, domain.as_deref().unwrap_or_default());
                    tracing::info!(target: console::TARGET, "ames: czar at {host}: not found (b)");
                }
                None
            }
            Found::At(address) => Some(SocketAddrV4::new(*address, port)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn galaxies_are_found_by_their_names_under_the_domain() {
        assert_eq!(host(0, "urbit.org"), "zod.urbit.org.");
        assert_eq!(host(255, "urbit.org"), "fes.urbit.org.");
        let galaxies = Galaxies::new(false);
        assert_eq!(galaxies.find(1), None);
        assert!(galaxies.set_domain("urbit.org"));
        assert!(!galaxies.set_domain("urbit.org"));
        let (here, there) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));
        galaxies.resolved("urbit.org", 1, None);
        assert_eq!(galaxies.find(1), None);
        galaxies.resolved("urbit.org", 1, Some(here));
        assert_eq!(galaxies.find(1), Some(SocketAddrV4::new(here, 13_338)));
        galaxies.resolved("urbit.org", 1, None);
        assert!(galaxies.find(1).is_some(), "a failing DNS moves nobody");
        galaxies.resolved("urbit.org", 1, Some(there));
        galaxies.resolved("example.org", 1, Some(here));
        assert_eq!(galaxies.find(1), Some(SocketAddrV4::new(there, 13_338)));
        assert!(galaxies.set_domain("example.org"));
        assert_eq!(galaxies.find(1), None);
        for strange in ["", &"a".repeat(DOMAIN + 1)] {
            assert!(!galaxies.set_domain(strange));
        }
    }

    #[test]
    fn on_this_machine_all_galaxies_are_here() {
        let galaxies = Galaxies::new(true);
        let bus = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 31_363);
        assert_eq!(galaxies.find(26), Some(bus));
    }
}
