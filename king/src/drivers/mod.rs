//! The drivers: a file or folder each.

pub mod ames;
pub mod behn;
pub mod conn;
pub mod fore;
pub mod hind;
pub mod http;
pub mod iris;
pub mod lick;
pub mod mesa;
pub mod scry;
pub mod term;
pub mod unix;

#[cfg(test)]
pub(crate) mod fake_pier;
mod report;
mod udp;

use self::udp::Network;
use crate::driver::{Driver, DriverContext};

/// All drivers, in vere's order (`spec/drivers.md` section 0): it is the order of their first events, and of who is
/// asked first about an effect. `context` makes the context for a place in the list.
pub(crate) fn all(context: impl Fn(usize) -> DriverContext) -> Vec<Box<dyn Driver>> {
    if let Some(simulated) = crate::simulated::world(|world| world.drivers(&context)) {
        return simulated;
    }
    let first = context(0);
    if let Some(scry) = first.settings.scry.clone() {
        return vec![scry::new(first, scry)];
    }
    let no_conn = first.settings.no_conn;
    let network = Network::new(&first);
    let makers: [Option<Maker<'_>>; 11] = [
        Some(&fore::new),
        Some(&term::new),
        Some(&unix::new),
        Some(&iris::new),
        Some(&http::Http::new),
        // Before ames, since it reads what ames takes.
        Some(&|context| mesa::new(context, network.clone())),
        Some(&|context| ames::new(context, network.clone())),
        Some(&lick::new),
        if no_conn { None } else { Some(&conn::new) },
        Some(&behn::new),
        Some(&hind::new),
    ];
    let makers = makers.into_iter().flatten().enumerate();
    makers.map(|(place, make)| make(context(place))).collect()
}

/// Makes a driver.
type Maker<'a> = &'a dyn Fn(DriverContext) -> Box<dyn Driver>;
