//! The members' conversations: frames, messages, connections, the listener, and openraft's network on top.

pub(crate) mod frame;
pub(crate) mod limits;
pub(crate) mod wire;
