//! The serf as a child process: started, fed, listened to, and seen to its end.
//!
//! [`SerfChild::spawn`] starts the process and the threads that belong to it:
//!
//! * `serf-write` takes frames from a bounded channel and writes as many at once as are waiting: those that the socket did
//!   not take at once when they were sent, and those behind them;
//! * `serf-read` cuts the output into frames and makes each a [`Plea`], unless the caller does with the [`Output`];
//! * `serf-stderr` cuts the standard error into lines;
//! * `serf-wait` waits for the end, reaps the process, lets the others finish and reports last.
//!
//! The last three call the sink, one at a time.
//!
//! **The pipes** are pairs of Unix sockets, as the C king's are. Only this process has our ends of them (they are closed
//! on exec), so a serf whose king dies reads the end of its input and ends by itself (`spec/ipc.md` section 5). And a
//! socket can be shut down from another thread, so that no thread is left waiting for something that a serf's own
//! children hold open.
//!
//! **Signals.** The serf has a process group of its own: Ctrl-C in a terminal is the king's to deal with (`spec/ipc.md`
//! section 11). The standard library starts a child with SIGPIPE as default and with the signal mask of the thread that
//! starts it; we clear that mask, since a blocked SIGINT would make [`SerfChild::interrupt`] deaf. Handlers of the king's
//! become the default action at exec. What stays is a signal that the king itself was started with as ignored (under
//! `nohup` SIGHUP, in the background of a script SIGINT), and that does no harm: a serf installs its own handlers for
//! SIGINT, SIGTERM and SIGVTALRM around each computation whatever they were before, and ignores them otherwise.

mod command;
mod ending;
mod error;
mod lines;
mod pipes;
mod probe;
mod process;
mod reader;
mod sink;
mod writer;

pub use command::{
    DEFAULT_CACHE, DEFAULT_LOOM_EXPONENT, DEFAULT_WAG, LOOM_EXPONENTS, SerfCommand, SerfVersion, wag,
};
pub use ending::Ending;
pub use error::{BadPlea, Excerpt, Gone, SpawnError};
pub use probe::{Probe, ProbeError, probe};
pub use reader::Output;

use crate::limits::WRITE_QUEUE_FRAMES;
use crate::protocol::Plea;
use crossbeam_channel::{Receiver, Sender};
use pipes::Pipes;
use process::Process;
use sink::Sink;
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use writer::{Order, Waiting};

/// What is heard of a child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChildEvent {
    /// A message.
    Plea(Plea),
    /// What is no message. The child has been killed for it, and no more messages follow.
    Bad(BadPlea),
    /// A line of its standard error, without its end.
    Stderr(String),
    /// It has ended and been reaped, and all it had written has been told. This comes once, and last.
    Exited(Ending),
}

/// A running serf. Dropping it kills the process and waits until it is reaped; no event comes after that.
#[derive(Debug)]
pub struct SerfChild {
    process: Arc<Process>,
    pipes: Arc<Pipes>,
    orders: Sender<Order>,
    waiting: Arc<Waiting>,
    /// Held while a frame is given, so that none is cut in two by another.
    giving: Mutex<()>,
    sink: Arc<Sink>,
}

impl SerfChild {
    /// Starts the serf, whose events then come to `sink`, on the child's own threads and one at a time.
    ///
    /// The sink may block: then the child's output waits in the socket, and at last the child. It returns whether it
    /// wants more; when it does not, the child is killed and nothing more comes.
    ///
    /// # Errors
    /// [`SpawnError`], when the program cannot be started.
    pub fn spawn(
        command: &SerfCommand,
        sink: impl FnMut(ChildEvent) -> bool + Send + 'static,
    ) -> Result<SerfChild, SpawnError> {
        SerfChild::start(command, sink, true)
    }

    /// The same, but the messages are not for the sink: the caller reads them from the socket, which does not block, by way of the
    /// [`Output`], and no other thread is woken on their way. Where the socket ends and [`ChildEvent::Exited`] does not come
    /// soon ([`CLOSED_OUTPUT_TIME`](crate::limits::CLOSED_OUTPUT_TIME)), the child is the caller's to kill.
    ///
    /// # Errors
    /// [`SpawnError`], when the program cannot be started.
    pub fn spawn_with_output(
        command: &SerfCommand,
        sink: impl FnMut(ChildEvent) -> bool + Send + 'static,
    ) -> Result<(SerfChild, UnixStream, Output), SpawnError> {
        let child = SerfChild::start(command, sink, false)?;
        let socket = child.pipes.output.try_clone();
        let socket = socket.and_then(|socket| socket.set_nonblocking(true).map(|()| socket));
        let socket = socket.map_err(|source| SpawnError::Resources {
            what: "sockets",
            program: command.program.clone(),
            source,
        })?;
        let output = Output::new(Arc::clone(&child.process));
        Ok((child, socket, output))
    }

    fn start(
        command: &SerfCommand,
        sink: impl FnMut(ChildEvent) -> bool + Send + 'static,
        reads: bool,
    ) -> Result<SerfChild, SpawnError> {
        command.check()?;
        let (process, pipes) = pipes::start(command)?;
        let (orders, queue) = crossbeam_channel::bounded(WRITE_QUEUE_FRAMES);
        let serf = SerfChild {
            process: Arc::new(process),
            pipes: Arc::new(pipes),
            orders,
            waiting: Arc::default(),
            giving: Mutex::default(),
            sink: Arc::new(Sink::new(sink)),
        };
        match serf.start_threads(queue, reads) {
            Ok(()) => Ok(serf),
            Err(source) => {
                // The thread that would reap was the last to be started: there is none.
                serf.sink.mute();
                serf.process.kill();
                serf.process.reap();
                Err(SpawnError::Resources {
                    what: "threads",
                    program: command.program.clone(),
                    source,
                })
            }
        }
    }

    /// Gives the serf a frame, behind those given before: at once, as far as its socket takes it, and by the writer's thread
    /// otherwise.
    ///
    /// It waits only while [`MAX_UNANSWERED`](crate::limits::MAX_UNANSWERED) frames are queued that the serf has not
    /// taken: a [`Session`](crate::session::Session) never lets out so many. How many bytes are queued is bounded by the
    /// caller, who decides how far to run ahead.
    ///
    /// # Errors
    /// [`Gone`] if the serf has ended or its input was closed. A frame that was accepted can still be lost with the serf.
    pub fn send(&self, frame: Vec<u8>) -> Result<(), Gone> {
        // Nothing that panics is done under this lock.
        let _giving = self.giving.lock().unwrap_or_else(PoisonError::into_inner);
        let written = if self.waiting.is_none() {
            writer::write_now(&self.pipes.input, &frame)
        } else {
            0
        };
        if written == frame.len() {
            return Ok(());
        }
        self.waiting.add();
        self.orders
            .send(Order::Frame(frame, written))
            .map_err(|_| Gone { pid: self.pid() })
    }

    /// Ends the serf's input behind the frames given so far. The serf then ends with status 1, without a snapshot.
    pub fn close_input(&self) {
        self.waiting.add();
        // An error means that there is no input left to close.
        let _ = self.orders.send(Order::Close);
    }

    /// Sends the serf SIGINT. What it is computing fails with mote `intr`. To be used only while something is being
    /// computed: before its first computation the serf dies of it, after that it ignores it (`spec/ipc.md` section 11).
    pub fn interrupt(&self) {
        self.process.interrupt();
    }

    /// Sends the serf SIGKILL. Its end comes as [`ChildEvent::Exited`]; only then is the pier free for another serf.
    pub fn kill(&self) {
        self.process.kill();
    }

    /// The process's number.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// With a reader of the messages or without.
    fn start_threads(&self, queue: Receiver<Order>, reads: bool) -> io::Result<()> {
        let pipes = Arc::clone(&self.pipes);
        let waiting = Arc::clone(&self.waiting);
        let output = Output::new(Arc::clone(&self.process));
        let read = move |pipes: &Pipes, sink: &Sink, process: &Process| {
            reader::read_pleas(pipes, sink, process, output)
        };
        let reader = reads
            .then(|| self.thread("serf-read", &pipes, read))
            .transpose()?;
        let stderr = self.thread("serf-stderr", &pipes, reader::read_lines)?;
        let writer = self.thread("serf-write", &pipes, move |pipes, _, _| {
            writer::write_frames(&queue, &pipes.input, &waiting)
        })?;
        let (orders, waiting) = (self.orders.clone(), Arc::clone(&self.waiting));
        self.thread("serf-wait", &pipes, move |pipes, sink, process| {
            let ending = process.reap();
            pipes.shut();
            waiting.add();
            // The writer may be waiting for an order. If it has ended there is nobody to take this one.
            let _ = orders.send(Order::Close);
            for thread in reader.into_iter().chain([stderr, writer]) {
                // One that panicked has said so, and had the process killed.
                let _ = thread.join();
            }
            sink.deliver(ChildEvent::Exited(ending));
        })?;
        Ok(())
    }

    /// Starts a thread of the child's. Should it panic, the child is killed: with a thread missing it would hang.
    fn thread(
        &self,
        name: &str,
        pipes: &Arc<Pipes>,
        body: impl FnOnce(&Pipes, &Sink, &Process) + Send + 'static,
    ) -> io::Result<JoinHandle<()>> {
        let (pipes, sink, process) = (
            Arc::clone(pipes),
            Arc::clone(&self.sink),
            Arc::clone(&self.process),
        );
        thread::Builder::new().name(name.to_owned()).spawn(move || {
            let _guard = KillOnPanic(&process);
            body(&pipes, &sink, &process);
        })
    }
}

impl Drop for SerfChild {
    /// Waits as long as it takes, which is moments: nobody may start another serf on the pier before this one is gone. It
    /// does not wait for the threads, one of which may be in a sink that waits for the caller; they end by themselves.
    fn drop(&mut self) {
        self.sink.mute();
        self.process.kill();
        self.process.wait();
    }
}

/// Kills the child when the thread that holds this unwinds.
struct KillOnPanic<'a>(&'a Process);

impl Drop for KillOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.kill();
        }
    }
}
