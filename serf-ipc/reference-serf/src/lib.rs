//! A small serf without jets, and a kernel for demonstrations and tests.
//!
//! [`main`] is the serf: it speaks the serf's side of the protocol (`spec/ipc.md`) with Nock as [`nock`] computes it, and
//! keeps its image below `<pier>/.urb/chk`. [`kernel`] is a kernel assembled for it, which runs under the C serf as well;
//! a table there says what it answers to.
//!
//! This is no replacement of the C serf: it has no jets, so that a real Arvo would take years to boot. It makes the
//! demonstration and the tests run on a machine without an `urbit` binary, and it is held to the C serf's behaviour, reply
//! for reply, by running the same conversations under both.

mod image;
pub mod in_process;
pub mod kernel;
mod limits;
pub mod nock;
mod run;
mod serf;
mod watch;

pub use run::main;
