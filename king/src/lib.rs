//! The king: one path for every event, from a driver through the serf and the replicated log to the world.

pub mod boot;
pub mod cli;
pub mod clock;
pub mod conn_client;
pub mod console;
pub mod control_socket;
pub mod demo;
pub mod driver;
pub mod drivers;
pub mod images;
mod input;
#[doc(hidden)]
pub mod inside;
pub mod limits;
pub mod local_cluster;
pub mod ovum;
mod peek;
pub mod pier;
pub mod pipeline;
mod ready;
mod real_dir;
pub mod settings;
#[doc(hidden)]
pub mod simulated;
pub mod tank;
mod unix_socket;
