//! The operator's terminal, which outlives offices: it shows the king's lines, and the ship while this member leads.
//!
//! ```text
//! keys ──▶ term-keys ──▶ the office's driver       whoever shows something ──▶ Screen ──▶ term-screen ──▶ terminal
//! ```
//!
//! Bytes for the terminal collect in [`Screen`] and are written by a thread of their own, which also turns the spinner: a terminal that takes
//! nothing (Ctrl-S) holds nobody up. Beyond a bound they are lost, and the ship is asked to show all of itself again afterwards.
//!
//! The terminal is raw from [`Terminal::open`] to [`Terminal::close`]; a panic is shown as lines, and a signal that ends the process gives it
//! back first.

use super::{
    screen::{Screen, Size},
    shapes::Blit,
    spinner::{Cause, Spinner},
    tty::Tty,
};
use crate::{clock, console, limits};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP},
    iterator::Signals,
    low_level::emulate_default_handler,
};
use std::{
    io, panic,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Instant,
};
use tokio::sync::{Notify, mpsc};

/// Ctrl-D.
const END_OF_INPUT: u8 = 4;

/// The terminal; cheap to clone.
#[derive(Clone, Debug)]
pub struct Terminal {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    tty: Tty,
    state: Mutex<State>,
    /// There is something to write, or nothing any more.
    changed: Condvar,
    /// The operator has gone, or wants to.
    ending: Notify,
    /// Whether somebody else takes the signals that end a process.
    leaves_by_itself: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    screen: Screen,
    spinner: Spinner,
    /// When the writer looks again by itself.
    wakes: Option<Instant>,
    /// Whether the writer is at bytes that it took.
    is_writing: bool,
    /// Whether the terminal cannot be written to any more.
    is_gone: bool,
    is_closed: bool,
    /// Pieces that the terminal did not take in time.
    lost: usize,
    listener: Option<Listener>,
    /// How many offices there were.
    sessions: u64,
    is_read: bool,
    /// Whether somebody who typed while no ship was there has been told so.
    told_nobody: bool,
    ending: Option<Ending>,
}

/// Why the operator's side ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The terminal has hung up.
    HungUp,
    /// Ctrl-D, while no ship takes it.
    Asked,
}

/// An office's driver.
#[derive(Debug)]
struct Listener {
    session: u64,
    keys: mpsc::Sender<Vec<u8>>,
    news: Arc<Notify>,
    has_new_size: bool,
    wants_all: bool,
}

impl Terminal {
    /// Takes the terminal that this process was started on; None when there is none. The keys of `followers`, who may never hold an
    /// office, are read at once, so that they are not taken for the ship's later.
    ///
    /// # Errors
    /// When it is there and cannot be used.
    pub fn open(followers: bool) -> io::Result<Option<Terminal>> {
        let Some(tty) = Tty::open()? else { return Ok(None) };
        let shared = Arc::new(Shared {
            tty,
            state: Mutex::default(),
            changed: Condvar::new(),
            ending: Notify::new(),
            leaves_by_itself: AtomicBool::new(false),
        });
        give_back_on_signals(&shared)?;
        show_panics(&shared);
        shared.tty.make_raw()?;
        let writer = Arc::clone(&shared);
        let writing = thread::Builder::new().name("term-screen".to_owned());
        if let Err(error) = writing.spawn(move || writer.write()) {
            shared.tty.restore()?;
            return Err(error);
        }
        let terminal = Terminal { shared };
        if followers {
            terminal.read_keys();
        }
        Ok(Some(terminal))
    }

    /// Gives the terminal back as it was, once it has shown what it takes without delay.
    pub fn close(&self) {
        let mut state = self.shared.lock();
        state.is_closed = true;
        state.listener = None;
        if state.spinner.stop(clock::instant()) {
            state.screen.restore_last();
        }
        state.screen.show_no_more();
        self.shared.changed.notify_all();
        let busy = |state: &mut State| !state.is_gone && (state.is_writing || state.screen.waiting() > 0);
        let waited = self
            .shared
            .changed
            .wait_timeout_while(state, limits::TERM_LAST_WORDS, busy);
        drop(waited);
        // A terminal that is gone need not be given back.
        let _ = self.shared.tty.restore();
    }

    /// Shows a line of the king's, or several.
    pub fn log(&self, line: &str) {
        self.shared.draw(|screen| screen.log(line));
    }

    /// Whether what is written to standard error appears here, and must come by way of [`Terminal::log`].
    #[must_use]
    pub fn has_stderr(&self) -> bool {
        self.shared.tty.has_stderr()
    }

    /// The columns of a row.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.shared.tty.size().columns.into()
    }

    /// What the ship computes, or nothing: called again for each event.
    pub fn spin(&self, cause: Option<Cause>) {
        let mut state = self.shared.lock();
        let now = clock::instant();
        let was_seen = state.spinner.stop(now);
        if was_seen && !state.is_closed {
            state.screen.restore_last();
        }
        if let Some(cause) = cause {
            state.spinner.start(cause, now);
        }
        let sooner = |due: Instant| state.wakes.is_none_or(|wakes| due < wakes);
        if was_seen || state.spinner.due().is_some_and(sooner) {
            self.shared.changed.notify_all();
        }
    }

    /// The terminal has another size.
    pub fn resized(&self) {
        let mut state = self.shared.lock();
        let State { screen, listener, .. } = &mut *state;
        if let Some(listener) = listener {
            screen.show_on(self.shared.tty.size());
            listener.has_new_size = true;
            listener.news.notify_one();
        }
    }

    /// The process goes on after it was stopped; whoever had the terminal meanwhile may have left it otherwise.
    pub fn continued(&self) {
        if self.shared.tty.make_raw().is_ok() {
            self.resized();
            self.shared.lock().want_all();
        }
    }

    /// From now on somebody else takes the signals that end a process.
    pub fn leaves_by_itself(&self) {
        self.shared.leaves_by_itself.store(true, Ordering::Release);
    }

    /// Waits until the operator has gone, or wants to.
    pub async fn ending(&self) -> Ending {
        loop {
            if let Some(ending) = self.shared.lock().ending.take() {
                return ending;
            }
            self.shared.ending.notified().await;
        }
    }

    /// Shows a ship, until the session ends; whatever showed one before does so no more.
    pub(super) fn attach(&self) -> Session {
        let (sender, keys) = mpsc::channel(limits::TERM_READS);
        let news = Arc::new(Notify::new());
        let mut state = self.shared.lock();
        state.sessions += 1;
        state.told_nobody = false;
        let session = state.sessions;
        state.listener = Some(Listener {
            session,
            keys: sender,
            news: Arc::clone(&news),
            has_new_size: false,
            wants_all: false,
        });
        state.screen.show_on(self.shared.tty.size());
        drop(state);
        self.read_keys();
        Session {
            view: View {
                terminal: self.clone(),
                session,
            },
            keys,
            news,
        }
    }

    /// Begins to read keys, once.
    fn read_keys(&self) {
        if std::mem::replace(&mut self.shared.lock().is_read, true) {
            return;
        }
        let shared = Arc::clone(&self.shared);
        let reading = thread::Builder::new().name("term-keys".to_owned());
        if let Err(error) = reading.spawn(move || shared.read()) {
            tracing::error!(target: console::TARGET, "term: no keys are read: {error}");
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Whoever panicked while drawing left a screen that is at worst wrong.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn draw(&self, draw: impl FnOnce(&mut Screen)) {
        let mut state = self.lock();
        let waiting = state.screen.waiting();
        draw(&mut state.screen);
        if state.is_gone {
            state.screen.lose(0);
        } else if waiting > limits::TERM_WAITING_BYTES {
            state.screen.lose(waiting);
            state.lost += 1;
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Writes what collects, and turns the spinner.
    fn write(&self) {
        let mut state = self.lock();
        loop {
            if state.screen.waiting() > 0 {
                let bytes = state.screen.take();
                state.is_writing = true;
                drop(state);
                let written = self.tty.write(bytes.as_bytes());
                state = self.lock();
                state.is_writing = false;
                state.is_gone |= written.is_err();
                state.show_losses();
                self.changed.notify_all();
                continue;
            }
            if state.is_closed || state.is_gone {
                return;
            }
            let now = clock::instant();
            let State { screen, spinner, .. } = &mut *state;
            if let Some(frame) = spinner.turn(now) {
                screen.spin(&frame);
                continue;
            }
            state.wakes = state.spinner.due();
            state = match state.wakes {
                Some(due) => {
                    let waited = self
                        .changed
                        .wait_timeout(state, due.saturating_duration_since(now));
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Reads keys for whoever listens.
    fn read(&self) {
        let mut buffer = [0; limits::TERM_READ_BYTES];
        loop {
            match self.tty.read(&mut buffer) {
                Ok(0) => {
                    tracing::info!(target: console::TARGET, "term: hangup (EOF)");
                    return self.end(Ending::HungUp);
                }
                Ok(count) => self.heard(buffer.get(..count).unwrap_or_default()),
                Err(error) => {
                    tracing::info!(target: console::TARGET, "term: read: {error}");
                    return self.end(Ending::HungUp);
                }
            }
        }
    }

    fn heard(&self, bytes: &[u8]) {
        let listener = self
            .lock()
            .listener
            .as_ref()
            .map(|listener| listener.keys.clone());
        // Waits while the ship takes no keys.
        if listener.is_some_and(|listener| listener.blocking_send(bytes.to_vec()).is_ok()) {
            return;
        }
        if bytes.contains(&END_OF_INPUT) {
            return self.end(Ending::Asked);
        }
        let told = std::mem::replace(&mut self.lock().told_nobody, true);
        self.draw(Screen::bell);
        if !told {
            tracing::info!(
                target: console::TARGET,
                "term: this member does not lead, and what is typed here reaches nobody. Ctrl-D leaves"
            );
        }
    }

    fn end(&self, ending: Ending) {
        self.lock().ending = Some(ending);
        self.ending.notify_one();
    }
}

impl State {
    /// What was lost is said once there is room, and shown anew.
    fn show_losses(&mut self) {
        let lost = std::mem::take(&mut self.lost);
        if lost > 0 {
            self.screen.log(&format!(
                "term: {lost} pieces were lost, as the terminal took nothing"
            ));
            self.want_all();
        }
    }

    fn want_all(&mut self) {
        if let Some(listener) = &mut self.listener {
            listener.wants_all = true;
            listener.news.notify_one();
        }
    }
}

/// A signal that ends the process while nobody leaves in order gives the terminal back first; Ctrl-\ always does so.
fn give_back_on_signals(shared: &Arc<Shared>) -> io::Result<()> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP])?;
    let shared = Arc::clone(shared);
    let waiting = move || {
        for signal in signals.forever() {
            if signal != SIGQUIT && shared.leaves_by_itself.load(Ordering::Acquire) {
                continue;
            }
            let _ = shared.tty.restore();
            // A king is not stopped, but ended (`spec/cli.md` section 5).
            let _ = emulate_default_handler(if signal == SIGTSTP { SIGTERM } else { signal });
        }
    };
    thread::Builder::new()
        .name("term-signals".to_owned())
        .spawn(waiting)?;
    Ok(())
}

/// A panic is shown as lines of the king's, wherever it happens.
fn show_panics(shared: &Arc<Shared>) {
    let shared = Arc::downgrade(shared);
    let elsewhere = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let Some(shared) = shared.upgrade() else {
            return elsewhere(info);
        };
        // Whoever panics while drawing holds the screen.
        match shared.state.try_lock() {
            Err(TryLockError::WouldBlock) => {
                let _ = shared.tty.restore();
                elsewhere(info);
            }
            Ok(state) if state.is_closed => elsewhere(info),
            locked => {
                drop(locked);
                let thread = thread::current();
                let backtrace = std::backtrace::Backtrace::capture();
                let name = thread.name().unwrap_or("<unnamed>");
                shared.draw(|screen| screen.log(&format!("thread '{name}' {info}\n{backtrace}")));
            }
        }
    }));
}

/// An office's time at the terminal.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) view: View,
    /// What is typed.
    pub(super) keys: mpsc::Receiver<Vec<u8>>,
    /// There is something for [`View::news`].
    pub(super) news: Arc<Notify>,
}

/// What one office shows. Once another has begun, or it has ended, it shows nothing.
#[derive(Clone, Debug)]
pub(super) struct View {
    terminal: Terminal,
    session: u64,
}

/// What a ship should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct News {
    /// The terminal's new size.
    pub(super) size: Option<Size>,
    /// The screen has to be shown anew.
    pub(super) all: bool,
}

impl View {
    /// The terminal's size.
    pub(super) fn size(&self) -> Size {
        self.terminal.shared.tty.size()
    }

    /// Shows what the ship says.
    pub(super) fn show(&self, blits: &[Blit]) {
        if self.is_current() {
            let shared = &self.terminal.shared;
            shared.draw(|screen| blits.iter().for_each(|blit| screen.blit(blit)));
        }
    }

    /// Rings the bell.
    pub(super) fn bell(&self) {
        self.show(&[Blit::Bell]);
    }

    /// What has happened to the terminal since this was last asked.
    pub(super) fn news(&self) -> News {
        let mut state = self.terminal.shared.lock();
        let listener = state
            .listener
            .as_mut()
            .filter(|listener| listener.session == self.session);
        let told = listener.map(|listener| {
            (
                std::mem::take(&mut listener.has_new_size),
                std::mem::take(&mut listener.wants_all),
            )
        });
        drop(state);
        let (has_new_size, all) = told.unwrap_or_default();
        News {
            size: has_new_size.then(|| self.size()),
            all,
        }
    }

    /// The office is over: the screen is the king's alone.
    pub(super) fn end(&self) {
        if self.is_current() {
            self.terminal.shared.lock().listener = None;
            self.terminal.shared.draw(Screen::show_no_more);
        }
    }

    fn is_current(&self) -> bool {
        let state = self.terminal.shared.lock();
        state
            .listener
            .as_ref()
            .is_some_and(|listener| listener.session == self.session)
    }
}
