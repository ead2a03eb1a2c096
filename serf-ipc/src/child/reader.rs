//! Listening to a child: to its messages, and to its standard error.

use super::error::Excerpt;
use super::lines::Lines;
use super::pipes::Pipes;
use super::process::Process;
use super::sink::Sink;
use super::{BadPlea, ChildEvent};
use crate::limits::{CLOSED_OUTPUT_TIME, SERF_FRAME_BYTES, STDERR_LINE_BYTES};
use crate::newt::Decoder;
use crate::noun::{FromNoun, cue};
use crate::protocol::Plea;
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

/// A child's messages, for a caller who reads its socket in an event loop of their own ([`SerfChild::spawn_with_output`]): the
/// bytes read go into [`space`](Self::space), [`filled`](Self::filled) says how many, then
/// [`next_message`](Self::next_message) gives messages until there is none.
///
/// [`SerfChild::spawn_with_output`]: super::SerfChild::spawn_with_output
#[derive(Debug)]
pub struct Output {
    process: Arc<Process>,
    decoder: Decoder,
    ended: bool,
    /// It has said what is no message.
    is_broken: bool,
}

impl Output {
    pub(super) fn new(process: Arc<Process>) -> Output {
        Output {
            process,
            decoder: Decoder::new(SERF_FRAME_BYTES),
            ended: false,
            is_broken: false,
        }
    }

    /// Room for the next bytes of the socket.
    pub fn space(&mut self) -> &mut [u8] {
        self.decoder.space()
    }

    /// So many bytes were read into the room. None, or an error, is the end.
    ///
    /// # Panics
    /// When `count` is more than the room that was given.
    pub fn filled(&mut self, count: usize) {
        self.decoder.filled(count);
        self.ended |= count == 0;
    }

    /// The next message, if it has arrived whole. A child that says what is none is killed, and no more messages follow.
    pub fn next_message(&mut self) -> Option<ChildEvent> {
        if self.is_broken {
            return None;
        }
        match next_plea(&mut self.decoder) {
            Ok(plea) => Some(ChildEvent::Plea(plea?)),
            Err(bad) => {
                self.is_broken = true;
                self.process.kill();
                Some(ChildEvent::Bad(bad))
            }
        }
    }

    /// Bytes that have arrived and are in no message that was given out: how much [`next_message`](Self::next_message) may have to
    /// take apart.
    #[must_use]
    pub fn buffered_bytes(&self) -> usize {
        self.decoder.buffered()
    }

    /// Whether nothing more is to be read. A child that lives on after this will never answer again.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended || self.is_broken
    }
}

/// Hands over the child's messages until its output ends. The child is killed if it says what is no message, if nobody
/// wants to hear it, or if it goes on without an output.
pub(super) fn read_pleas(pipes: &Pipes, sink: &Sink, process: &Process, mut output: Output) {
    while !output.has_ended() {
        // A read error is an end: the other side of a socket is gone.
        let count = read(&pipes.output, output.space()).unwrap_or(0);
        output.filled(count);
        while let Some(event) = output.next_message() {
            let is_bad = matches!(event, ChildEvent::Bad(_));
            if !sink.deliver(event) || is_bad {
                process.kill();
                return;
            }
        }
    }
    if !process.wait_for(CLOSED_OUTPUT_TIME) {
        sink.deliver(ChildEvent::Bad(BadPlea::Closed));
        process.kill();
    }
}

/// Hands over the lines of the child's standard error until it ends.
pub(super) fn read_lines(pipes: &Pipes, sink: &Sink, process: &Process) {
    let mut buffer = vec![0; STDERR_LINE_BYTES];
    let mut lines = Lines::new(STDERR_LINE_BYTES);
    loop {
        let mut wanted = true;
        let mut hand_over = |line| wanted = wanted && sink.deliver(ChildEvent::Stderr(line));
        let count = read(&pipes.errors, &mut buffer).unwrap_or(0);
        if count == 0 {
            return lines.end(&mut hand_over);
        }
        lines.feed(&buffer[..count], &mut hand_over);
        if !wanted {
            return process.kill();
        }
    }
}

/// The next message that has arrived whole.
fn next_plea(decoder: &mut Decoder) -> Result<Option<Plea>, BadPlea> {
    let body = match decoder.next_body() {
        Ok(None) => return Ok(None),
        Ok(Some(body)) => body,
        Err(error) => {
            return Err(BadPlea::Newt {
                error,
                next: Excerpt::new(decoder.unread()),
            });
        }
    };
    let noun = cue(body).map_err(|error| BadPlea::Cue {
        error,
        body: Excerpt::new(body),
    })?;
    let plea = Plea::from_noun(&noun).map_err(|error| BadPlea::Shape {
        error,
        body: Excerpt::new(body),
    })?;
    Ok(Some(plea))
}

/// Reads once, however often a signal gets in between.
fn read(mut stream: &UnixStream, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}
