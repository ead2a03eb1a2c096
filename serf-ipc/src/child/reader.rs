//! The threads that listen to a child: to its messages, and to its standard error.

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

/// Hands over the child's messages until its output ends. The child is killed if it says what is no message, if nobody
/// wants to hear it, or if it goes on without an output.
pub(super) fn read_pleas(pipes: &Pipes, sink: &Sink, process: &Process) {
    let mut decoder = Decoder::new(SERF_FRAME_BYTES);
    loop {
        // A read error is an end: the other side of a socket is gone.
        let count = read(&pipes.output, decoder.space()).unwrap_or(0);
        if count == 0 {
            break;
        }
        decoder.filled(count);
        loop {
            let event = match next_plea(&mut decoder) {
                Ok(Some(plea)) => ChildEvent::Plea(plea),
                Ok(None) => break,
                Err(bad) => ChildEvent::Bad(bad),
            };
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
