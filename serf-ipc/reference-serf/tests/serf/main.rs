//! The reference serf as a process, at the other end of a pipe. What a kernel does is tried under the C serf instead if
//! `SEGURO_SERF` names one.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says by panicking what it misses"
)]

mod agreement;
mod comparison;
mod conversations;
mod formulas;
mod hostile;
mod image;
mod kernel;
mod limits;
mod machine;
mod talk;
