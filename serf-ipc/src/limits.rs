//! Every limit of this crate, in one place, with its reason.

use std::time::Duration;

// --- nouns ---

/// How deep `Debug` of a noun descends into heads before it writes `..`: enough for any message of the protocol.
pub const DEBUG_DEPTH: usize = 8;

/// How many nouns `Debug` of a noun writes before it gives up with `..`: a line of a log, not a page.
pub const DEBUG_ITEMS: usize = 64;

/// How many bytes of one atom `Debug` writes, as text or in hex.
pub const DEBUG_ATOM_BYTES: usize = 64;

// --- newt ---

/// Room offered to one read of a newt stream, in bytes: some hundred small pleas in one system call.
pub const NEWT_READ_BYTES: usize = 64 << 10;

/// A decoder's buffer larger than this is given back once it is empty, in bytes: one large frame must not cost its
/// memory for ever.
pub const NEWT_BUFFER_KEEP_BYTES: usize = 1 << 20;

// --- the session with a serf ---

/// The longest frame from or to a serf, in bytes. A serf's loom is 2^31 bytes unless it is told otherwise
/// (`spec/ipc.md` section 4), so a longer jam means a broken stream and not a large noun. Events are limited to a
/// quarter of this by the king, and a `%swap` carries an event and its effects.
pub const SERF_FRAME_BYTES: usize = 1 << 31;

/// Writs that may be unanswered at once. At 20,000 events a second a serf takes 0.2 s to answer so many; a king that is
/// further ahead than that gains nothing.
pub const MAX_UNANSWERED: usize = 4096;

// --- the child process ---

/// Frames that the child's writer may have waiting: all that a session lets out, so that handing one over never blocks.
pub(crate) const WRITE_QUEUE_FRAMES: usize = MAX_UNANSWERED;
const _: () = assert!(WRITE_QUEUE_FRAMES >= MAX_UNANSWERED);

/// Queued frames are put together into one write of up to this size in bytes, about what a socket's buffer takes at
/// once.
pub(crate) const WRITE_COALESCE_BYTES: usize = 128 << 10;

/// The longest piece of a serf's standard error given out as one line, in bytes. A longer line comes in pieces: nothing
/// is lost, and nothing grows.
pub const STDERR_LINE_BYTES: usize = 8 << 10;

/// How much of an unintelligible frame is kept for its report, in bytes: enough for a tag and a guess.
pub const BAD_PLEA_BYTES: usize = 64;

/// How long a serf may live on after it has closed its output. Ending takes it moments; one that lives on will never
/// answer again.
pub const CLOSED_OUTPUT_TIME: Duration = Duration::from_secs(5);

/// How long `<binary> -R` may take. It prints a few lines; seconds cover a cold disk on a loaded machine.
pub const PROBE_TIME: Duration = Duration::from_secs(10);

/// How much of the output of `<binary> -R` is looked at, in bytes. Only its first line matters.
pub(crate) const PROBE_BYTES: usize = 4 << 10;

// --- the watchdog ---

/// When a serf that is still at one event is mentioned in the log. Everyday events take milliseconds.
pub const WATCHDOG_WARN: Duration = Duration::from_secs(30);

/// When a serf that is still at one event is interrupted. The longest honest events, upgrades of the whole system, take
/// some minutes; interrupting one makes it fail, so this is generous.
pub const WATCHDOG_INTERRUPT: Duration = Duration::from_secs(30 * 60);

/// When a serf that did not heed the interrupt is killed. Computing in Nock stops within moments; a jet may take longer.
pub const WATCHDOG_KILL: Duration = Duration::from_secs(35 * 60);

/// How many bytes an `$octs` may announce. The number is not bound to the bytes that are there, so a small noun could
/// ask for any amount of memory; no event is larger than this.
pub const OCTS_BYTES: usize = 512 << 20;

// --- text ---

/// The longest decimal number that is read, in bytes of text. Reading one takes quadratic time; this is some 10 us.
pub const DECIMAL_TEXT_BYTES: usize = 4 << 10;

/// How much of a text that is wrong its error repeats, in characters.
pub const TEXT_ERROR_CHARS: usize = 80;
