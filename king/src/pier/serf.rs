//! The pier's hold on its serf: spawn, wake, send, hear, notice a hang, start anew.

use super::{
    patience::{Long, Patience},
    serf_events::SerfEvents,
};
use crate::{
    driver::{PeekCallback, QuizCallback},
    limits,
    settings::SerfSettings,
    simulated::{self, SimulatedSerf},
};
use seguro_event::{EventNumber, Mug};
use serf_ipc::{
    ChildEvent, Ending, Escalation, Noun, SerfChild, SerfCommand, Session, SessionError, Watchdog, Writ,
    child::SpawnError,
};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// What a writ's answer is for.
pub(crate) enum Asked {
    /// The oldest event in the pipeline.
    Work,
    /// A driver's peek.
    Peek(AskedPeek),
    /// Events from the log, the last of which has this mug there.
    Play {
        /// The last event of the batch.
        last: EventNumber,
        /// What the log says of it.
        expected: Mug,
    },
    /// A snapshot at this event.
    Save(EventNumber),
    /// `pack` or `meld`, by name.
    Tidy(&'static str),
    /// A memory report.
    Quiz(QuizCallback),
    /// The end.
    Exit,
}

/// A peek that was sent.
pub(crate) struct AskedPeek {
    /// Who waits for the answer.
    pub(crate) answer: PeekCallback,
    /// When it was asked for: a quorum's confirmation must be younger, where one is wanted.
    pub(crate) since: Instant,
}

impl std::fmt::Debug for AskedPeek {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AskedPeek")
    }
}

/// The serf, or its absence.
pub(crate) struct Serf {
    settings: SerfSettings,
    running: Option<Running>,
    /// When a serf that died may be started again.
    retry_at: Option<Instant>,
    deaths_in_a_row: u32,
    patience: Patience,
    /// The last serf's process, until it is reaped: it may still be writing its files.
    leaving: Option<oneshot::Receiver<()>>,
}

/// What runs the ship's kernel.
enum Child {
    Process(SerfChild),
    Simulated(Box<dyn SimulatedSerf>),
}

impl Child {
    fn spawn(settings: &SerfSettings) -> Result<(Child, SerfEvents), SpawnError> {
        let (sender, events) = mpsc::channel(limits::SERF_EVENTS);
        let command = &settings.command;
        if let Some(serf) = simulated::world(|world| world.spawn_serf(&command.pier, sender.clone())) {
            return Ok((Child::Simulated(serf), SerfEvents::new(events)));
        }
        let (child, socket, output) =
            SerfChild::spawn_with_output(command, move |event| sender.blocking_send(event).is_ok())?;
        let events =
            SerfEvents::with_output(events, socket, output).map_err(|source| SpawnError::Resources {
                what: "sockets",
                program: command.program.clone(),
                source,
            })?;
        Ok((Child::Process(child), events))
    }

    fn pid(&self) -> u32 {
        match self {
            Child::Process(child) => child.pid(),
            Child::Simulated(_) => 0,
        }
    }

    /// A serf that is gone takes nothing: its end arrives as an event.
    fn send(&mut self, frame: Vec<u8>) {
        match self {
            Child::Process(child) => drop(child.send(frame)),
            Child::Simulated(serf) => serf.send(frame),
        }
    }

    fn interrupt(&mut self) {
        match self {
            Child::Process(child) => child.interrupt(),
            Child::Simulated(serf) => serf.interrupt(),
        }
    }

    fn kill(&mut self) {
        match self {
            Child::Process(child) => child.kill(),
            Child::Simulated(serf) => serf.kill(),
        }
    }
}

struct Running {
    child: Child,
    events: SerfEvents,
    session: Session<Asked>,
    watchdog: Watchdog,
    awake: bool,
    started: Instant,
    /// What it is at, if that may take long: nothing else is asked of it meanwhile.
    long: Option<Long>,
}

impl Serf {
    pub(crate) fn new(settings: SerfSettings) -> Serf {
        Serf {
            patience: Patience::new(settings.deadlines.kill),
            settings,
            running: None,
            retry_at: Some(crate::clock::instant()),
            deaths_in_a_row: 0,
            leaving: None,
        }
    }

    /// Starts the serf if it is down and its time has come.
    pub(crate) fn start_if_due(&mut self, now: Instant) -> Result<(), SpawnError> {
        if self.running.is_some() || self.retry_at.is_none_or(|at| now < at) {
            return Ok(());
        }
        if let Some(leaving) = &mut self.leaving {
            if matches!(leaving.try_recv(), Err(oneshot::error::TryRecvError::Empty)) {
                self.retry_at = Some(now + limits::SERF_REAP_POLL);
                return Ok(());
            }
            self.leaving = None;
        }
        self.retry_at = None;
        let (child, events) = Child::spawn(&self.settings)?;
        tracing::info!(pid = child.pid(), program = %self.settings.command.program.display(), "serf started");
        self.running = Some(Running {
            child,
            events,
            session: Session::new(),
            watchdog: Watchdog::new(self.settings.deadlines),
            awake: false,
            started: now,
            long: None,
        });
        Ok(())
    }

    /// The next thing that the serf says. Never ends while no serf runs.
    pub(crate) async fn hear(&mut self) -> Option<ChildEvent> {
        match &mut self.running {
            Some(running) => running.events.next().await,
            None => std::future::pending().await,
        }
    }

    /// The same, if it is there already.
    pub(crate) fn hear_now(&mut self) -> Option<ChildEvent> {
        self.running.as_mut().and_then(|running| running.events.now())
    }

    /// Whether the serf has said where it stands and may be sent writs.
    pub(crate) fn is_awake(&self) -> bool {
        self.running.as_ref().is_some_and(|running| running.awake)
    }

    pub(crate) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.running.as_ref().map(|running| running.child.pid())
    }

    /// The event that the serf stands at; 0 while there is none.
    pub(crate) fn event(&self) -> EventNumber {
        self.running
            .as_ref()
            .filter(|r| r.awake)
            .map(|running| running.session.event())
            .unwrap_or_default()
    }

    pub(crate) fn mug(&self) -> Mug {
        self.running
            .as_ref()
            .filter(|r| r.awake)
            .map(|running| running.session.mug())
            .unwrap_or_default()
    }

    /// Writs without an answer.
    pub(crate) fn depth(&self) -> usize {
        self.running.as_ref().map_or(0, |running| running.session.depth())
    }

    /// The session of an awake serf, for its incoming pleas.
    pub(crate) fn receive(
        &mut self,
        plea: serf_ipc::Plea,
        now: Instant,
    ) -> Result<Option<serf_ipc::Incoming<Asked>>, SessionError> {
        let Some(running) = &mut self.running else {
            return Ok(None);
        };
        let incoming = running.session.receive(plea)?;
        match &incoming {
            serf_ipc::Incoming::Ripe(_) => running.awake = true,
            serf_ipc::Incoming::Reply(..) => {
                running.watchdog.answered(now);
                self.deaths_in_a_row = 0;
                if let Some(long) = running.long.take() {
                    self.patience.done(long, running.session.event());
                }
            }
            _ => {}
        }
        Ok(Some(incoming))
    }

    /// Sends a writ. A serf that is gone takes nothing: its end arrives by `hear`, and what was asked comes back
    /// from `take_down`.
    pub(crate) fn send(&mut self, writ: Writ, asked: Asked, now: Instant) -> Result<(), SessionError> {
        let Some(running) = &mut self.running else {
            return Ok(());
        };
        let long = match writ {
            Writ::Play { .. } => Some(Long::Play),
            Writ::Save(_) => Some(Long::Save),
            _ => None,
        };
        let bounded = matches!(writ, Writ::Work { .. } | Writ::Peek { .. });
        let frame = running.session.send(writ, asked)?;
        if let Some(long) = long {
            running.long = Some(long);
            running.watchdog.started_long(self.patience.with(long), now);
        } else if bounded {
            running.watchdog.started(now);
        } else {
            running.watchdog.started_unbounded(now);
        }
        running.child.send(frame);
        Ok(())
    }

    /// What the hang watch asks for now, carried out; for messages.
    pub(crate) fn check_hang(&mut self, now: Instant) -> Option<Escalation> {
        let running = self.running.as_mut()?;
        let escalation = running.watchdog.check(now)?;
        match escalation {
            Escalation::Warn => {}
            Escalation::Interrupt => running.child.interrupt(),
            Escalation::Kill => {
                if let Some(long) = running.long {
                    self.patience.killed(long, running.session.event());
                }
                running.child.kill();
            }
        }
        Some(escalation)
    }

    /// An operator's interrupt: ends the computation that runs, if somebody waits for it. One that plays or saves is left
    /// alone, as an interrupt could only lose its work.
    pub(crate) fn interrupt(&mut self) {
        if let Some(running) = &mut self.running
            && running.watchdog.may_interrupt()
        {
            running.child.interrupt();
        }
    }

    /// When `check_hang` or `start_if_due` next has something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match &self.running {
            Some(running) => running.watchdog.next_deadline(),
            None => self.retry_at,
        }
    }

    /// The serf has ended, or is to be ended because it has seen a future that may not happen: what it was asked
    /// and did not answer, oldest first. It starts again at once if `deliberate`, else after a pause that grows.
    pub(crate) fn take_down(&mut self, deliberate: bool, now: Instant) -> Vec<Asked> {
        let Some(mut running) = self.running.take() else {
            return Vec::new();
        };
        let unanswered = running
            .session
            .drain()
            .into_iter()
            .map(|(_, asked)| asked)
            .collect();
        let Running {
            child,
            events,
            started,
            ..
        } = running;
        // A thread of the child's may wait for room in the channel: it is let go before the child is reaped.
        drop(events);
        self.leaving = Some(reap(child));
        let pause = if deliberate {
            Duration::ZERO
        } else {
            self.deaths_in_a_row += 1;
            let doubled = limits::SERF_RESTART_PAUSE
                * 2u32.saturating_pow(self.deaths_in_a_row.saturating_sub(1).min(16));
            if now.duration_since(started) > limits::SERF_RESTART_PAUSE_MAX {
                limits::SERF_RESTART_PAUSE
            } else {
                doubled.min(limits::SERF_RESTART_PAUSE_MAX)
            }
        };
        self.retry_at = Some(now + pause);
        unanswered
    }

    /// Ends the serf for good and waits until it is gone: its files are then nobody's.
    pub(crate) async fn retire(&mut self) {
        self.retry_at = None;
        if let Some(Running { child, events, .. }) = self.running.take() {
            drop(events);
            self.leaving = Some(reap(child));
        }
        if let Some(leaving) = self.leaving.take() {
            let _ = leaving.await;
        }
    }

    /// Lets a retired serf start again.
    pub(crate) fn revive(&mut self) {
        if self.running.is_none() {
            self.retry_at = Some(crate::clock::instant());
        }
    }

    /// How often in a row it died without an answer in between.
    pub(crate) fn deaths_in_a_row(&self) -> u32 {
        self.deaths_in_a_row
    }

    /// Whether it is at one thing for so long that this is worth a warning.
    pub(crate) fn is_slow(&self, now: Instant) -> bool {
        let at_one_thing = self
            .running
            .as_ref()
            .and_then(|running| running.watchdog.elapsed(now));
        at_one_thing.is_some_and(|time| time >= self.settings.deadlines.warn)
    }

    /// What runs.
    pub(crate) fn command(&self) -> &SerfCommand {
        &self.settings.command
    }
}

/// Ends the child on a thread of its own; the receiver resolves once it is reaped.
fn reap(mut child: Child) -> oneshot::Receiver<()> {
    child.kill();
    let (done, gone) = oneshot::channel();
    let Child::Process(child) = child else {
        let _ = done.send(());
        return gone;
    };
    std::thread::spawn(move || {
        drop(child);
        let _ = done.send(());
    });
    gone
}

/// How a serf ended, in words.
pub(crate) fn describe(ending: &Ending) -> String {
    ending.to_string()
}

/// The writ for an event.
pub(crate) fn work(job: Noun) -> Writ {
    Writ::Work { limit_ms: 0, job }
}
