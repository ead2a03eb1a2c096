//! Nouns, and the protocol between an Urbit king and its serf.

pub mod child;
pub mod limits;
pub mod newt;
pub mod noun;
pub mod protocol;
pub mod session;
pub mod text;
pub mod watchdog;

pub use child::{ChildEvent, Ending, SerfChild, SerfCommand, SerfVersion};
pub use protocol::{Goof, PlayBail, Plea, Ripe, WorkReply, Writ};
pub use session::{Incoming, Reply, Session, SessionError};
pub use watchdog::{Deadlines, Escalation, Watchdog};

pub use noun::{AtPath, CueError, FromNoun, ListIter, Noun, Octs, ShapeError, ToNoun, cue, jam};
pub use seguro_event::{EventNumber, Mug};
