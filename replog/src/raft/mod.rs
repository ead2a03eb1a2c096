//! Raft over the two logs: openraft's types for this ship, what an entry holds, the state machine, membership.

pub(crate) mod codec;
pub(crate) mod config;
pub(crate) mod limits;
pub(crate) mod record;
