//! Whole clusters of the replicated log in one process, from one seed.
//!
//! The members are the product: openraft, the stores with their LMDB files, the state machine, the members' protocol. What is
//! simulated is what lies around them: the network and the clocks (`turmoil`), the disks' delays and failures, randomness
//! ([`entropy`]), crashes. A run founds a cluster, goes through a phase of faults under load in which only safety is asked for,
//! then heals everything and asks for liveness: all members must agree and go on committing. [`oracles`] judge every state change.
//!
//! A seed gives the same run, state change by state change, in every process: `cargo run -p seguro-simulation -- --seed N
//! --trace` prints it. One process runs one seed, since the standard library's and tokio's own randomness is drawn from counters of the
//! process.
//!
//! What is not simulated: one member's clock that stops or drifts while others' go on (the hosts' clocks tick together), torn and
//! misdirected writes (LMDB's files are real, in memory; the stores' own tests tear them), and parallelism between threads.

pub mod cluster;
pub mod dice;
pub mod disk;
pub mod entropy;
pub mod fact;
mod limits;
mod member;
mod network;
pub mod oracles;
pub mod schedule;

pub use cluster::{Failure, Options, Tally, run};
