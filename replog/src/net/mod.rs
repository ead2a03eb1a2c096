//! The members' conversations: frames, messages, connections, the listener, and openraft's network on top.

pub(crate) mod connection;
pub(crate) mod detour;
pub(crate) mod frame;
pub(crate) mod join;
pub(crate) mod limits;
pub(crate) mod link;
pub(crate) mod server;
pub(crate) mod snapshot;
pub(crate) mod wire;
