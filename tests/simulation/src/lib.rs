//! Whole clusters in one process, from one seed: of the replicated log alone, or of whole kings.
//!
//! The members are the product: openraft, the stores with their LMDB files, the state machine, the members' protocol; and with
//! `--ship` the pier's task with its pipeline, over the reference serf ([`serf`]) and under a driver that plays the ship's clients
//! ([`ship`]). What is simulated is what lies around them: the network and the clocks (`turmoil`), the disks' delays and
//! failures, randomness ([`entropy`]), crashes, disks
//! that are lost, serfs that die, hang or are slow, clocks that are wrong, slow or fast, processes that are stopped. A run founds a cluster, goes through a phase of faults under load in which only safety is asked for,
//! then heals everything and asks for liveness: all members must agree and go on committing. [`oracles`] judge every state change.
//!
//! A seed gives the same run, state change by state change, in every process: `cargo run -p seguro-simulation -- --seed N
//! --trace` prints it. One process runs one seed, since the standard library's and tokio's own randomness is drawn from counters of the
//! process.
//!
//! What is not simulated: a process that is stopped between two instructions (it is where it waits for something), torn and
//! misdirected writes (LMDB's files are real, in memory; the stores' own tests tear them), and parallelism between threads.

pub mod cluster;
pub mod dice;
pub mod disk;
pub mod entropy;
pub mod fact;
mod limits;
pub mod mark;
mod member;
mod network;
pub mod oracles;
mod process;
pub mod schedule;
pub mod serf;
pub mod ship;

pub use cluster::{Failure, Options, Planted, Tally, run};
