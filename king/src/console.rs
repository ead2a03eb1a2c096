//! The king's two voices: lines for the operator on stdout, as vere prints them, and structured logs on stderr.
//!
//! A log record with the target [`TARGET`] is a console line: it goes to stdout as it is, without time or level.

use crate::tank;
use serf_ipc::{Goof, Noun};
use std::io::{IsTerminal, Write};
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
/// Columns to which the ship's own prints are broken; a terminal is never assumed.
pub(crate) const WIDTH: usize = 80;

/// How structured logs look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// A JSON object a line.
    Json,
}

/// Begins logging: `SEGURO_LOG` filters (as `RUST_LOG` does elsewhere), by default `info`, with `verbose` `debug`.
pub fn init(format: LogFormat, verbose: bool) {
    let default = if verbose {
        "debug,openraft=info"
    } else {
        "info,openraft=off"
    };
    let filter = EnvFilter::try_from_env("SEGURO_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let structured = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_target(true);
    let structured = match format {
        LogFormat::Text => structured.with_ansi(std::io::stderr().is_terminal()).boxed(),
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
        line.0.push('\n');
        let mut stdout = std::io::stdout().lock();
        // A closed stdout is no reason to stop a ship.
        let _ = stdout.write_all(line.0.as_bytes()).and_then(|()| stdout.flush());
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

/// A `%slog` of the ship: the priority as a prefix (`spec/cli.md` section 4), without colours.
pub fn slog(priority: u64, tank: &Noun) {
    let prefix = match priority {
        3 => ">>> ",
        2 => ">>  ",
        1 => ">   ",
        _ => "",
    };
    for line in tank::lines(tank, WIDTH) {
        tracing::info!(target: TARGET, "{prefix}{line}");
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

/// A line of the serf's stderr.
pub fn serf_line(line: &str) {
    tracing::info!(target: "serf", "{line}");
}

/// Why the kernel refused something: newest first, its trace above its mote, as vere prints it.
pub fn goofs(goofs: &[Goof]) {
    for goof in goofs {
        tracing::info!(target: TARGET, "");
        for tank in goof.tang.iter_list().flatten() {
            for line in tank::lines(tank, WIDTH) {
                tracing::info!(target: TARGET, "{line}");
            }
        }
        tracing::info!(target: TARGET, "king: bail: %{}", goof.mote);
    }
}
