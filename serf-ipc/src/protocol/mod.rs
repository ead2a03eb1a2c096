//! The messages between king and serf as types: [`Writ`] from the king, [`Plea`] from the serf, both in both
//! directions, since a serf written in Rust reads the ones and writes the others. `spec/ipc.md` section 5.
//!
//! Shapes are checked here and order is not: that is [`Session`](crate::session::Session)'s. What a message carries for
//! others (an event, its effects, a peek's answer) stays a noun.

mod goof;
mod plea;
mod term;
mod writ;

pub use goof::Goof;
pub use plea::{PlayBail, Plea, Ripe, WorkReply};
pub use writ::Writ;

/// The protocol version that this king speaks (`pro` in `%ripe`): that of vere up to v3.5 (`spec/ipc.md` section 14).
pub const PROTOCOL: u8 = 1;
