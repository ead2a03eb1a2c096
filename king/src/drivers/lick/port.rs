//! A port: its listener, its connections, and what the ship is told of them, in order, by one task.

use super::{
    connection::{self, Heard, Outbox},
    message,
    socket::{PortPath, Socket},
};
use crate::{
    console,
    driver::{Intake, Outcome},
    drivers::report,
    limits,
    ovum::Ovum,
};
use serf_ipc::{Noun, n};
use std::{
    collections::VecDeque,
    io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{
    net::{UnixListener, UnixStream},
    runtime::Handle,
    sync::mpsc,
    task::{AbortHandle, JoinSet},
};

/// An open port. Dropped, its socket and all its connections are closed at once, and the ship is told nothing.
pub(super) struct Port {
    /// As the ship calls it.
    path: Noun,
    clients: Arc<Clients>,
    task: AbortHandle,
    _socket: Socket,
}

/// The clients of a port.
#[derive(Default)]
struct Clients(Mutex<Connected>);

#[derive(Default)]
struct Connected {
    /// The newest first.
    all: VecDeque<(u64, Outbox)>,
    /// Whether what the ship says reaches the newest. As in vere any connection's end makes this false, until the next one begins: a client
    /// that stays speaks on, and hears nothing.
    reached: bool,
}

impl Clients {
    fn lock(&self) -> MutexGuard<'_, Connected> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Port {
    /// Opens a port.
    ///
    /// # Errors
    /// When its socket cannot be made.
    pub(super) fn open(
        pier: &Path,
        place: &PortPath,
        path: Noun,
        intake: Intake,
        runtime: &Handle,
    ) -> io::Result<Port> {
        let (socket, listener) = Socket::listen(pier, place)?;
        let listener = {
            let _entered = runtime.enter();
            UnixListener::from_std(listener)?
        };
        let clients = Arc::<Clients>::default();
        let task = Task {
            path: path.clone(),
            intake,
            clients: Arc::clone(&clients),
            connections: JoinSet::new(),
        };
        let task = runtime.spawn(task.run(listener)).abort_handle();
        Ok(Port {
            path,
            clients,
            task,
            _socket: socket,
        })
    }

    /// Sends what the ship says to the newest client; false where there is none.
    pub(super) fn spit(&self, message: Noun) -> bool {
        let clients = self.clients.lock();
        if !clients.reached {
            return false;
        }
        let Some((number, outbox)) = clients.all.front() else {
            return false;
        };
        if !outbox.send(message) {
            tracing::warn!(target: console::TARGET, "lick: client {number} does not read: hanging up");
        }
        true
    }

    /// As the ship calls it.
    pub(super) fn path(&self) -> &Noun {
        &self.path
    }

    /// How many connections it has.
    pub(super) fn connections(&self) -> usize {
        self.clients.lock().all.len()
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a port does by itself.
struct Task {
    path: Noun,
    intake: Intake,
    clients: Arc<Clients>,
    /// Ended with the task.
    connections: JoinSet<()>,
}

impl Task {
    async fn run(mut self, listener: UnixListener) {
        let (sender, mut heard) = mpsc::channel(limits::LICK_HEARD);
        let mut next = 0;
        // Connections that the ship knows of: those that have not ended.
        let mut open = 0_usize;
        loop {
            tokio::select! {
                Some(heard) = heard.recv() => match heard {
                    Heard::Message(message) => self.soak(message).await,
                    Heard::Closed(number) => {
                        open -= 1;
                        self.forget(number);
                        if open == 0 {
                            self.soak(n!["disconnect", ()]).await;
                        }
                    }
                },
                stream = accept(&listener), if open < limits::LICK_CONNECTIONS => {
                    open += 1;
                    self.serve(next, stream, sender.clone());
                    next += 1;
                    if open == 1 {
                        self.soak(n!["connect", ()]).await;
                    }
                }
                Some(_) = self.connections.join_next() => {}
            }
        }
    }

    fn serve(&mut self, number: u64, stream: UnixStream, port: mpsc::Sender<Heard>) {
        let (outbox, inbox) = Outbox::new();
        let mut clients = self.clients.lock();
        clients.all.push_front((number, outbox));
        clients.reached = true;
        self.connections
            .spawn(connection::serve(stream, number, inbox, port));
    }

    fn forget(&self, number: u64) {
        let mut clients = self.clients.lock();
        clients.all.retain(|(other, _)| *other != number);
        clients.reached = false;
    }

    async fn soak(&self, message: Noun) {
        let (ovum, told) = soak(&self.path, message);
        self.intake.plan(ovum, Some(told)).await;
    }
}

/// The event that tells the ship something of a port.
pub(super) fn soak(path: &Noun, message: Noun) -> (Ovum, crate::driver::OutcomeCallback) {
    let ovum = Ovum::new("l", ["lick"], message::soak(path, message));
    let failed = ovum.clone();
    let told = move |outcome: Outcome| {
        if let Outcome::Bailed(goofs) = outcome {
            report::bailed("lick", &failed, &goofs);
        }
    };
    (ovum, Box::new(told))
}

/// The next connection. An accept that fails is tried again: descriptors come back when others close.
async fn accept(listener: &UnixListener) -> UnixStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                tracing::warn!(%error, "lick: a connection was not accepted");
                tokio::time::sleep(limits::ACCEPT_PAUSE).await;
            }
        }
    }
}
