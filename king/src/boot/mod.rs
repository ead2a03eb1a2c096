//! How a ship begins: the pill that it grows from, the keys that are its own, and the events that its log begins with
//! (`spec/boot.md`).

mod arvo_dir;
mod comet;
mod dawn;
pub mod double_boot;
mod feed;
mod fetch;
mod hoon_map;
mod keys;
mod pill;
mod props;
mod rank;
mod roller;
mod sequence;
mod ship;
pub mod wyrd;

pub use arvo_dir::initial_filesystem;
pub use comet::{CometError, DEFAULT_STARS_URL, mine, stars};
pub use dawn::{DawnError, KeyError, dawn};
pub use feed::{Feed, FeedError, FeedForm};
pub use fetch::{FetchError, Fetcher};
pub use keys::{Pass, Ring, RingError};
pub use pill::{Pill, PillError};
pub use props::{Prop, PropError, PropSource};
pub use rank::{Rank, sein};
pub use roller::{DEFAULT_URL as DEFAULT_ROLLER_URL, Net, Point, Roller, RollerError};
pub use sequence::{BootError, BootInput, BootSequence, Identity, sequence};
pub use ship::{ShipError, fake_ship, named_ship};

pub(crate) use feed::fuzz as fuzz_keyfile;

#[cfg(test)]
pub(crate) mod test_server;
#[cfg(test)]
mod tests;
