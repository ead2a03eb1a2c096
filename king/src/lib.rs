//! The king: one path for every event, from a driver through the serf and the replicated log to the world.

pub mod driver;
pub mod drivers;
pub mod limits;
pub mod ovum;
pub mod pipeline;
pub mod settings;
