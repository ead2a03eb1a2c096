//! A client of a ship's control socket, `.urb/conn.sock` (`spec/drivers.md` section 10), for the demo, the tests and
//! the benches.

use crate::unix_socket;
use serf_ipc::{Noun, cue, jam, n, newt};
use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

/// The largest answer that is read.
const ANSWER_BYTES: usize = 256 << 20;

/// A connection to the ship that lives on a pier.
#[derive(Debug)]
pub struct ConnClient {
    stream: UnixStream,
    decoder: newt::Decoder,
    buffer: Vec<u8>,
}

/// What the ship said of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The event is committed.
    Done,
    /// The event is not in the log, and will not be.
    Drop,
    /// The kernel refused the event.
    Bail,
    /// Anything else.
    Other(Noun),
}

impl ConnClient {
    /// Connects to the ship on `pier`, which has the socket only on the member that leads.
    ///
    /// # Errors
    /// When no leader runs there.
    pub fn connect(pier: &Path) -> io::Result<ConnClient> {
        let stream = unix_socket::connect(&pier.join(".urb/conn.sock"))?;
        Ok(ConnClient {
            stream,
            decoder: newt::Decoder::new(ANSWER_BYTES),
            buffer: vec![0; 64 << 10],
        })
    }

    /// How long `receive` waits; None is for ever.
    ///
    /// # Errors
    /// When the socket refuses.
    pub fn set_patience(&self, patience: Option<Duration>) -> io::Result<()> {
        self.stream.set_read_timeout(patience)
    }

    /// Another handle on the same connection, to send from another thread.
    ///
    /// # Errors
    /// When the system has no descriptor left.
    pub fn try_clone(&self) -> io::Result<ConnClient> {
        Ok(ConnClient {
            stream: self.stream.try_clone()?,
            decoder: newt::Decoder::new(ANSWER_BYTES),
            buffer: vec![0; 64 << 10],
        })
    }

    /// Sends `[id tag data]`.
    ///
    /// # Errors
    /// When the ship is gone.
    pub fn send(&mut self, id: u64, tag: &str, data: Noun) -> io::Result<()> {
        self.stream.write_all(&newt::encode(&jam(&n![id, tag, data])))
    }

    /// Sends an event: `wire` with its target first, and a card.
    ///
    /// # Errors
    /// When the ship is gone, or the wire is no cell.
    pub fn send_ovum(&mut self, id: u64, wire: &Noun, card: Noun) -> io::Result<()> {
        let Some((target, rest)) = wire.as_cell() else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        self.send(id, "ovum", n![target.clone(), rest.clone(), card])
    }

    /// The next answer: the request's id, and what was said.
    ///
    /// # Errors
    /// When the ship is gone, does not answer in time, or says what is no answer.
    pub fn receive(&mut self) -> io::Result<(u64, Answer)> {
        loop {
            let frame = self
                .decoder
                .next_frame()
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
            if let Some(frame) = frame {
                return answer(&frame)
                    .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not an answer"));
            }
            let count = self.stream.read(&mut self.buffer)?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.decoder.feed(self.buffer.get(..count).unwrap_or_default());
        }
    }

    /// Asks and waits for the answer, with nothing else in flight.
    ///
    /// # Errors
    /// As [`Self::receive`].
    pub fn ask(&mut self, id: u64, tag: &str, data: Noun) -> io::Result<Answer> {
        self.send(id, tag, data)?;
        loop {
            let (answered, answer) = self.receive()?;
            if answered == id {
                return Ok(answer);
            }
        }
    }
}

fn answer(frame: &[u8]) -> Option<(u64, Answer)> {
    let noun = cue(frame).ok()?;
    let (id, said) = noun.as_cell()?;
    let answer = match said.as_cell() {
        Some((tag, rest)) if tag.is_cord("news") && rest.is_cord("done") => Answer::Done,
        Some((tag, rest)) if tag.is_cord("news") && rest.is_cord("drop") => Answer::Drop,
        Some((tag, _)) if tag.is_cord("bail") => Answer::Bail,
        _ => Answer::Other(said.clone()),
    };
    Some((id.as_u64()?, answer))
}
