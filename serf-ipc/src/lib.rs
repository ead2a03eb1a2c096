//! Nouns, and the protocol between an Urbit king and its serf.

pub mod limits;
pub mod noun;

pub use noun::{AtPath, CueError, FromNoun, ListIter, Noun, Octs, ShapeError, ToNoun, cue, jam};
