//! What a serf says, in order: its messages, read on the pier's own task, and the rest from the threads of its process.

use crate::limits;
use serf_ipc::{
    ChildEvent,
    child::{BadPlea, Output},
    limits::CLOSED_OUTPUT_TIME,
};
use std::io;
use tokio::{
    io::AsyncReadExt as _,
    net::UnixStream,
    runtime::{Handle, RuntimeFlavor},
    sync::mpsc,
    time::{Instant, timeout_at},
};

/// Both sources as one.
pub(super) struct SerfEvents {
    /// The messages, where they do not come with the rest.
    output: Option<(UnixStream, Output)>,
    /// When it ended.
    ended_at: Option<Instant>,
    rest: mpsc::Receiver<ChildEvent>,
    /// The process's end, which is told last.
    exited: Option<ChildEvent>,
}

impl SerfEvents {
    /// A serf all of whose events come on a channel.
    pub(super) fn new(events: mpsc::Receiver<ChildEvent>) -> SerfEvents {
        SerfEvents {
            output: None,
            ended_at: None,
            rest: events,
            exited: None,
        }
    }

    /// A serf whose messages come on a socket.
    ///
    /// # Errors
    /// When the runtime cannot wait for it.
    pub(super) fn with_output(
        rest: mpsc::Receiver<ChildEvent>,
        socket: std::os::unix::net::UnixStream,
        output: Output,
    ) -> io::Result<SerfEvents> {
        Ok(SerfEvents {
            output: Some((UnixStream::from_std(socket)?, output)),
            ..SerfEvents::new(rest)
        })
    }

    /// The next one. None after the last.
    pub(super) async fn next(&mut self) -> Option<ChildEvent> {
        loop {
            if let Some(message) = self.message() {
                return Some(message);
            }
            let Some((socket, output)) = &mut self.output else {
                return match self.exited.take() {
                    Some(exited) => Some(exited),
                    None => self.rest.recv().await,
                };
            };
            if output.has_ended() {
                return self.end().await;
            }
            tokio::select! {
                biased;
                // An error is an end: the other side of a socket is gone.
                count = socket.read(output.space()) => output.filled(count.unwrap_or(0)),
                event = self.rest.recv(), if self.exited.is_none() => match event {
                    Some(ChildEvent::Exited(_)) => self.exited = event,
                    other => return other,
                },
            }
        }
    }

    /// The same, if it is there already.
    pub(super) fn now(&mut self) -> Option<ChildEvent> {
        if let Some(message) = self.message() {
            return Some(message);
        }
        match self.rest.try_recv() {
            Ok(exited @ ChildEvent::Exited(_)) if self.output.is_some() => {
                self.exited = Some(exited);
                None
            }
            event => event.ok(),
        }
    }

    /// A message that has arrived whole. A large one is taken apart while the worker's other tasks go on elsewhere.
    fn message(&mut self) -> Option<ChildEvent> {
        let (_, output) = self.output.as_mut()?;
        let large = output.buffered_bytes() > limits::INLINE_CUE_BYTES;
        if large && Handle::current().runtime_flavor() == RuntimeFlavor::MultiThread {
            tokio::task::block_in_place(|| output.next_message())
        } else {
            output.next_message()
        }
    }

    /// What comes after the last message.
    async fn end(&mut self) -> Option<ChildEvent> {
        if let Some(exited) = self.exited.take() {
            self.output = None;
            return Some(exited);
        }
        let by = *self
            .ended_at
            .get_or_insert_with(|| Instant::now() + CLOSED_OUTPUT_TIME);
        match timeout_at(by, self.rest.recv()).await {
            Ok(event) => event,
            Err(_) => {
                self.output = None;
                Some(ChildEvent::Bad(BadPlea::Closed))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serf_ipc::{Ending, Plea, SerfChild, SerfCommand, ToNoun as _, jam, newt, protocol::Ripe};
    use std::{fmt::Write as _, time::Duration};

    /// Longer than anything takes on a loaded machine.
    const PATIENCE: Duration = Duration::from_secs(30);

    /// A shell script in the serf's place.
    fn start(dir: &std::path::Path, script: &str) -> (SerfChild, SerfEvents) {
        let program = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../serf-ipc/tests/data/pretend-serf.sh"
        );
        let path = dir.join("script");
        std::fs::write(&path, script).unwrap();
        let (sender, rest) = mpsc::channel(4);
        let command = SerfCommand::new(program, path);
        let (child, socket, output) =
            SerfChild::spawn_with_output(&command, move |event| sender.blocking_send(event).is_ok()).unwrap();
        (child, SerfEvents::with_output(rest, socket, output).unwrap())
    }

    fn print(bytes: &[u8]) -> String {
        bytes.iter().fold("printf '".to_owned(), |mut text, byte| {
            let _ = write!(text, "\\{byte:03o}");
            text
        }) + "'"
    }

    fn ripe(event: u64) -> Plea {
        Plea::Ripe(Ripe {
            pro: 1,
            hon: 137,
            noc: 4,
            event: seguro_event::EventNumber(event),
            mug: seguro_event::Mug(7),
        })
    }

    fn say(plea: &Plea) -> String {
        print(&newt::encode(&jam(&plea.to_noun())))
    }

    /// All events up to the end of the process.
    async fn all(events: &mut SerfEvents) -> Vec<ChildEvent> {
        let mut heard = Vec::new();
        loop {
            let event = tokio::time::timeout(PATIENCE, events.next())
                .await
                .expect("an event");
            heard.push(event.expect("the end comes before the last"));
            if let Some(ChildEvent::Exited(_)) = heard.last() {
                return heard;
            }
        }
    }

    #[tokio::test]
    async fn the_end_comes_behind_everything_that_was_said() {
        let dir = tempfile::tempdir().unwrap();
        let script = format!(
            "{}; {}; echo last words >&2; exit 3",
            say(&ripe(1)),
            say(&ripe(2))
        );
        let (_serf, mut events) = start(dir.path(), &script);
        // The process has ended before anything of its socket is read.
        let deadline = Instant::now() + PATIENCE;
        let mut first = Vec::new();
        while events.exited.is_none() {
            assert!(Instant::now() < deadline, "it ends");
            first.extend(events.now());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(first, [ChildEvent::Stderr("last words".to_owned())]);
        assert_eq!(
            all(&mut events).await,
            [
                ChildEvent::Plea(ripe(1)),
                ChildEvent::Plea(ripe(2)),
                ChildEvent::Exited(Ending::Exited { status: 3 })
            ]
        );
    }

    #[tokio::test]
    async fn a_serf_that_closes_its_output_and_lives_on_is_told_of() {
        let dir = tempfile::tempdir().unwrap();
        let (serf, mut events) = start(dir.path(), "exec >&-; exec sleep 1000");
        let event = tokio::time::timeout(PATIENCE, events.next())
            .await
            .expect("an event");
        assert_eq!(event, Some(ChildEvent::Bad(BadPlea::Closed)));
        serf.kill();
        assert!(matches!(all(&mut events).await[..], [ChildEvent::Exited(_)]));
    }

    #[tokio::test]
    async fn nothing_is_heard_behind_what_is_no_message() {
        let dir = tempfile::tempdir().unwrap();
        let script = format!(
            "{}; {}; exec sleep 1000",
            print(&[0, 1, 0, 0, 0, 3]),
            say(&ripe(2))
        );
        let (_serf, mut events) = start(dir.path(), &script);
        let heard = all(&mut events).await;
        assert!(matches!(
            heard[..],
            [
                ChildEvent::Bad(BadPlea::Cue { .. }),
                ChildEvent::Exited(Ending::Signalled { .. })
            ]
        ));
    }

    #[tokio::test]
    async fn a_message_in_pieces_is_one() {
        let dir = tempfile::tempdir().unwrap();
        let bytes = newt::encode(&jam(&ripe(9).to_noun()));
        let (one, other) = bytes.split_at(6);
        let script = format!("{}; sleep 0.1; {}; exit 0", print(one), print(other));
        let (_serf, mut events) = start(dir.path(), &script);
        let heard = all(&mut events).await;
        assert_eq!(
            heard,
            [
                ChildEvent::Plea(ripe(9)),
                ChildEvent::Exited(Ending::Exited { status: 0 })
            ]
        );
    }
}
