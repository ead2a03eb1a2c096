//! The replicated event log of a ship: Raft over LMDB, in vere's own epochs and bytes.
//!
//! [`Replog`] is the handle that the king holds. Below it: `raft` (openraft's types, the state machine, membership), `net`
//! (the members' conversations) and `store` (both logs on disk). This crate does not know what a noun is: an event is a number,
//! a mug and bytes.

mod errors;
mod handle;
mod identity;
#[doc(hidden)]
pub mod inside;
pub mod inspect;
mod limits;
mod net;
mod pier_lock;
mod raft;
#[doc(hidden)]
pub mod simulated;
mod store;
mod types;

pub use errors::{CloseError, Fatal, OpenError, ProposeError, ReadError, RollError, TransferError};
pub use handle::{
    Config, DEFAULT_ELECTION_TIMEOUT_MAX, DEFAULT_ELECTION_TIMEOUT_MIN, DEFAULT_EVENT_LOG_MAP_BYTES,
    DEFAULT_HEARTBEAT, Hold, InstalledSnapshot, Replog, Start, Status,
};
#[doc(hidden)]
pub use net::detour::Detours;
pub use types::{Batch, BatchError, Commit, Event, Member, MemberId, Role, ShipIdentity, Term};
