//! Power loss: every file operation of a real run is recorded, and every disk that it may leave is opened.
//!
//! [`record`] runs a [`story`] under `strace`; [`trace`] reads what it wrote; [`replay`] does the same to a [`disk`] that knows
//! what is certain and what is not; [`judge`] opens disks that a power cut may leave, and holds them against what the story had been
//! told was done by then; [`search`] takes many such moments and disks from a seed.

pub mod disk;
pub mod judge;
pub mod record;
pub mod replay;
pub mod search;
pub mod story;
pub mod trace;
