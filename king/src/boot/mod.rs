//! How a ship begins: the pill that it grows from, and the events that its log begins with (`spec/boot.md`).

mod arvo_dir;
mod pill;
mod sequence;
mod ship;
pub mod wyrd;

pub use arvo_dir::initial_filesystem;
pub use pill::{Pill, PillError};
pub use sequence::{BootError, BootInput, BootSequence, sequence};
pub use ship::{ShipError, fake_ship};
