//! The king's two voices: lines for the operator on stdout, as vere prints them, and structured logs on stderr.
//!
//! A log record with the target [`TARGET`] is a console line: it goes to stdout as it is, without time or level.
//!
//! While the king has a terminal ([`take_terminal`]) all that would appear there goes by way of it, so that the ship's prompt stays below.

use crate::{drivers::term::Terminal, tank};
use serf_ipc::{Goof, Noun};
use std::{
    io::{self, IsTerminal, Write},
    sync::{PoisonError, RwLock},
};
use tracing::{Event, Subscriber, field::Visit};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{FilterExt as _, LevelFilter, filter_fn},
    layer::Context,
    prelude::*,
    registry::LookupSpan,
};

/// The target of console lines.
pub const TARGET: &str = "console";
/// Columns to which the ship's own prints are broken where there is no terminal.
const WIDTH: usize = 80;

/// The terminal, while the king has one.
static TERMINAL: RwLock<Option<Terminal>> = RwLock::new(None);

fn terminal() -> Option<Terminal> {
    TERMINAL.read().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Columns to which the ship's own prints are broken, for whoever they are.
pub(crate) fn columns() -> usize {
    terminal().map_or(WIDTH, |terminal| terminal.columns())
}

/// The king's hold on its terminal: dropping it gives that back as it was.
#[derive(Debug)]
pub struct OnTerminal(pub Terminal);

impl Drop for OnTerminal {
    fn drop(&mut self) {
        *TERMINAL.write().unwrap_or_else(PoisonError::into_inner) = None;
        self.0.close();
    }
}

/// Whether this process was started on a terminal, in and out.
#[must_use]
pub fn has_terminal() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Has the king use the terminal that it was started on; None when there is none. `followers` may never lead: see [`Terminal::open`].
///
/// # Errors
/// When it is there and cannot be used.
pub fn take_terminal(followers: bool) -> io::Result<Option<OnTerminal>> {
    let Some(terminal) = Terminal::open(followers)? else {
        return Ok(None);
    };
    *TERMINAL.write().unwrap_or_else(PoisonError::into_inner) = Some(terminal.clone());
    Ok(Some(OnTerminal(terminal)))
}

/// How structured logs look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// A JSON object a line.
    Json,
}

/// How much of the structured logs is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verbosity {
    /// What needs an operator: beside a ship's prompt.
    Quiet,
    /// What happens.
    Usual,
    /// What helps to find defects.
    Verbose,
}

/// Begins logging: `SEGURO_LOG` filters (as `RUST_LOG` does elsewhere), else `verbosity`.
pub fn init(format: LogFormat, verbosity: Verbosity) {
    let default = match verbosity {
        Verbosity::Quiet => "warn,openraft=off",
        Verbosity::Usual => "info,openraft=off",
        Verbosity::Verbose => "debug,openraft=info",
    };
    let filter = EnvFilter::try_from_env("SEGURO_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let structured = tracing_subscriber::fmt::layer()
        .with_writer(|| Stderr(Vec::new()))
        .with_target(true);
    let structured = match format {
        LogFormat::Text => structured.with_ansi(io::stderr().is_terminal()).boxed(),
        LogFormat::Json => structured.json().boxed(),
    };
    // One filter a layer, and a level for each: what neither wants then costs nothing where it is said. Of two filters around one
    // layer either would let openraft's spans, some for every event, be made.
    let console = filter_fn(|meta| meta.target() == TARGET).with_max_level_hint(LevelFilter::INFO);
    let not_console = filter_fn(|meta| meta.target() != TARGET);
    // A second start in one process (tests) keeps the first one's.
    let _ = tracing_subscriber::registry()
        .with(Console.with_filter(console))
        .with(structured.with_filter(filter.and(not_console)))
        .try_init();
}

/// Writes console lines.
struct Console;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Console {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        if let Some(terminal) = terminal() {
            return terminal.log(&line.0);
        }
        line.0.push('\n');
        let mut stdout = io::stdout().lock();
        // A closed stdout is no reason to stop a ship.
        let _ = stdout.write_all(line.0.as_bytes()).and_then(|()| stdout.flush());
    }
}

/// Writes structured logs, each whole.
struct Stderr(Vec<u8>);

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Stderr {
    fn drop(&mut self) {
        match terminal().filter(Terminal::has_stderr) {
            Some(terminal) => terminal.log(String::from_utf8_lossy(&self.0).trim_end_matches('\n')),
            // A closed stderr is no reason to stop a ship.
            None => drop(io::stderr().write_all(&self.0)),
        }
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

/// A `%slog` of the ship: the priority as a prefix, and on a terminal as a colour (`spec/cli.md` section 4).
pub fn slog(priority: u64, tank: &Noun) {
    let (colour, prefix) = match priority {
        3 => ("31", ">>> "),
        2 => ("33", ">>  "),
        1 => ("32", ">   "),
        0 => ("38;5;244", ""),
        _ => ("0", ""),
    };
    if let Some(terminal) = terminal() {
        let lines = tank::lines(tank, terminal.columns()).join("\n");
        tracing::info!(target: TARGET, "\x1b[{colour}m{prefix}{lines}\x1b[0m");
        return;
    }
    // As vere's: what goes on in a line below has no prefix of its own.
    for (nth, line) in tank::lines(tank, WIDTH).into_iter().enumerate() {
        tracing::info!(target: TARGET, "{}{line}", if nth == 0 { prefix } else { "" });
    }
}

/// A `%flog` of the serf: a cord.
pub fn flog(text: &Noun) {
    if let Some(text) = text.as_cord() {
        for line in text.lines() {
            tracing::info!(target: TARGET, "{line}");
        }
    }
}

/// A line of the serf's stderr: on a terminal as it is, as vere's serf writes it there itself.
pub fn serf_line(line: &str) {
    if terminal().is_some() {
        tracing::info!(target: TARGET, "{line}");
    } else {
        tracing::info!(target: "serf", "{line}");
    }
}

/// Why the kernel refused something: newest first, its trace above its mote, as vere prints it.
pub fn goofs(goofs: &[Goof]) {
    for goof in goofs {
        tracing::info!(target: TARGET, "");
        for tank in goof.tang.iter_list().flatten() {
            slog(0, tank);
        }
        tracing::info!(target: TARGET, "king: bail: %{}", goof.mote);
    }
}
