//! A pier for the drivers' own tests: it keeps what they send, and plays the release.

use crate::{
    driver::{Claim, Driver, DriverContext, Effect, Intake, Message, Outcome, Planned, PlannedPeek, Request},
    pipeline::Token,
    settings::DriverSettings,
};
use replog::ShipIdentity;
use seguro_event::EventNumber;
use serf_ipc::Noun;
use std::{sync::Arc, time::Duration};
use tokio::{runtime::Runtime, sync::mpsc};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// The receiving end of a driver's intake.
pub(crate) struct FakePier {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) settings: DriverSettings,
    pub(crate) runtime: Arc<Runtime>,
    intake: Intake,
    messages: mpsc::UnboundedReceiver<(usize, Message)>,
}

impl FakePier {
    pub(crate) fn new() -> FakePier {
        let (sender, messages) = mpsc::unbounded_channel();
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join(".urb")).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        FakePier {
            directory,
            settings: DriverSettings::default(),
            runtime: Arc::new(runtime),
            intake: Intake::new(0, sender),
            messages,
        }
    }

    /// What a driver of this pier, ~zod's, is made from.
    pub(crate) fn context(&self) -> DriverContext {
        self.context_at(self.directory.path(), self.runtime.handle().clone())
    }

    pub(crate) fn context_at(
        &self,
        pier: &std::path::Path,
        runtime: tokio::runtime::Handle,
    ) -> DriverContext {
        DriverContext {
            intake: self.intake.clone(),
            ship: ShipIdentity {
                who: 0,
                fake: true,
                life: 3,
            },
            pier: pier.to_owned(),
            settings: Arc::new(self.settings.clone()),
            runtime,
        }
    }

    /// Releases an effect of a committed event to `driver`.
    pub(crate) fn effect(&self, driver: &mut dyn Driver, wire: &[&str], tag: &str, data: &Noun) -> Claim {
        let wire = Noun::list(wire.iter().map(|knot| Noun::cord(knot)));
        driver.effect(&Effect {
            event: EventNumber(7),
            wire: &wire,
            tag,
            data,
            _released: Token::for_test(),
        })
    }

    /// The next message, waited for on this thread.
    pub(crate) fn message(&mut self) -> Message {
        let runtime = Arc::clone(&self.runtime);
        runtime.block_on(self.next_message())
    }

    /// The next message.
    pub(crate) async fn next_message(&mut self) -> Message {
        self.next_message_in(PATIENCE).await
    }

    /// The next message, waited for so long.
    pub(crate) async fn next_message_in(&mut self, patience: Duration) -> Message {
        let message = tokio::time::timeout(patience, self.messages.recv()).await;
        message
            .expect("the driver sends nothing")
            .expect("the driver's intake is gone")
            .1
    }

    /// The next message, if one comes within so long.
    pub(crate) async fn try_next_message(&mut self, patience: Duration) -> Option<Message> {
        tokio::time::timeout(patience, self.messages.recv())
            .await
            .ok()
            .flatten()
            .map(|(_, message)| message)
    }

    /// The next message, which must be an event.
    pub(crate) fn planned(&mut self) -> Planned {
        as_planned(self.message())
    }

    /// The next message, which must be a peek.
    pub(crate) fn peek(&mut self) -> PlannedPeek {
        match self.message() {
            Message::Peek(peek) => peek,
            other => panic!("not a peek but {}", kind(&other)),
        }
    }

    /// The next message, which must be a request.
    pub(crate) fn request(&mut self) -> Request {
        match self.message() {
            Message::Request(request) => request,
            other => panic!("not a request but {}", kind(&other)),
        }
    }

    /// The next message, which must be a change of liveness.
    pub(crate) fn poke(&mut self) {
        match self.message() {
            Message::Poke => {}
            other => panic!("not a poke but {}", kind(&other)),
        }
    }

    /// Nothing was sent that has not been taken.
    pub(crate) fn assert_silent(&mut self) {
        if let Ok((_, message)) = self.messages.try_recv() {
            panic!("the driver sent {}", kind(&message));
        }
    }
}

/// The event in a message, which must be one.
pub(crate) fn as_planned(message: Message) -> Planned {
    match message {
        Message::Plan(planned) => planned,
        other => panic!("not an event but {}", kind(&other)),
    }
}

/// Tells an event's planner what became of it.
pub(crate) fn tell(planned: Planned, outcome: Outcome) {
    planned.outcome.expect("nobody waits for this event's outcome")(outcome);
}

/// Tells an event's planner that it is committed.
pub(crate) fn commit(planned: Planned) {
    tell(
        planned,
        Outcome::Committed {
            event: EventNumber(7),
            swapped: false,
        },
    );
}

fn kind(message: &Message) -> String {
    match message {
        Message::Plan(planned) => format!("the event %{} on {}", planned.ovum.tag(), planned.ovum.path()),
        Message::Peek(peek) => format!("the peek {:?}", peek.sample),
        Message::Request(_) => "a request".to_owned(),
        Message::Poke => "a poke".to_owned(),
    }
}
