//! Raft over the two logs: openraft's types for this ship, what an entry holds, the state machine, membership.

pub(crate) mod board;
pub(crate) mod codec;
pub(crate) mod config;
pub(crate) mod limits;
pub(crate) mod machine;
pub(crate) mod members;
pub(crate) mod node;
pub(crate) mod office;
pub(crate) mod purge;
pub(crate) mod record;
pub(crate) mod runtime;
pub(crate) mod seat;
pub(crate) mod tasks;
pub(crate) mod transfer;

/// A member's Raft.
pub(crate) type Raft = openraft::Raft<config::TypeConfig, machine::Machine>;
