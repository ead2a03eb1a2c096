//! The drivers: a file or folder each.

pub mod behn;
pub mod conn;
pub mod fore;
pub mod hind;
pub mod http;
pub mod lick;
pub mod scry;
pub mod term;
pub mod unix;

#[cfg(test)]
pub(crate) mod fake_pier;
mod report;

use crate::driver::{Driver, DriverContext};

/// All drivers, in vere's order (`spec/drivers.md` section 0): it is the order of their first events, and of who is
/// asked first about an effect. `context` makes the context for a place in the list.
pub(crate) fn all(context: impl Fn(usize) -> DriverContext) -> Vec<Box<dyn Driver>> {
    if let Some(simulated) = crate::simulated::world(|world| world.drivers(&context)) {
        return simulated;
    }
    if context(0).settings.scry.is_some() {
        return vec![scry::new(context(0))];
    }
    let makers: [fn(DriverContext) -> Box<dyn Driver>; 8] = [
        fore::new,
        term::new,
        unix::new,
        http::Http::new,
        lick::new,
        conn::new,
        behn::new,
        hind::new,
    ];
    let no_conn = context(0).settings.no_conn;
    let makers = makers
        .into_iter()
        .enumerate()
        .filter(|(place, _)| !(no_conn && *place == CONN));
    makers
        .enumerate()
        .map(|(place, (_, make))| make(context(place)))
        .collect()
}

/// The control socket's place among them.
const CONN: usize = 5;
