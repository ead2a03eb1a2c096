//! Every limit of the king, with its reason.

/// Events and peeks that one driver's own tasks may have waiting for the serf: beyond it they wait in turn.
pub const DRIVER_QUEUE: usize = 4096;
