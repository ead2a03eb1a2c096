//! The serf without a process, a pipe or a clock: frames in, pleas out, at once. For simulations.

use crate::image::Image;
use crate::limits::LOOM_EXPONENT_DEFAULT;
use crate::nock::{Host, Mote};
use crate::serf::{End, Guard, Serf};
use serf_ipc::limits::SERF_FRAME_BYTES;
use serf_ipc::newt::Decoder;
use serf_ipc::protocol::{Plea, Writ};
use serf_ipc::{Ending, FromNoun as _, Noun, cue};
use std::path::Path;

/// What a process ends with that a failed assertion aborted.
const SIGABRT: i32 = 6;

/// A serf in this process. Its image lies in the pier as that of any serf does.
pub struct InProcess {
    serf: Serf,
    frames: Decoder,
}

/// How the serf ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// As a process it would have ended so.
    pub ending: Ending,
    /// What it would have printed.
    pub said: String,
}

impl InProcess {
    /// A serf on the pier, and what it says first.
    ///
    /// # Errors
    /// When its image cannot be read.
    pub fn start(pier: &Path) -> Result<(InProcess, Plea), Ended> {
        let failed = |error: crate::image::ImageError| exited(1, error.to_string());
        let image = Image::open(pier, false).map_err(failed)?;
        let serf = match image.load().map_err(failed)? {
            Some((event, kernel)) => Serf::new(image, event, Some(kernel)),
            None => Serf::new(image, seguro_event::EventNumber::ZERO, None),
        };
        let ripe = serf.ripe();
        let frames = Decoder::new(SERF_FRAME_BYTES);
        Ok((InProcess { serf, frames }, ripe))
    }

    /// Takes bytes of its input, and gives its answers to the frames that they complete.
    ///
    /// # Errors
    /// Its end, after the answers before it.
    pub fn take(&mut self, bytes: &[u8]) -> (Vec<Plea>, Option<Ended>) {
        let (mut pleas, mut rest) = (Vec::new(), bytes);
        loop {
            match self.frames.next_body() {
                Ok(Some(body)) => match answer(&mut self.serf, body, &mut pleas) {
                    Ok(()) => continue,
                    Err(ended) => return (pleas, Some(ended)),
                },
                Ok(None) if rest.is_empty() => return (pleas, None),
                Ok(None) => {}
                Err(error) => return (pleas, Some(exited(1, error.to_string()))),
            }
            let space = self.frames.space();
            let count = space.len().min(rest.len());
            space[..count].copy_from_slice(&rest[..count]);
            rest = &rest[count..];
            self.frames.filled(count);
        }
    }
}

fn answer(serf: &mut Serf, body: &[u8], pleas: &mut Vec<Plea>) -> Result<(), Ended> {
    let writ = cue(body).map_err(|error| exited(1, error.to_string()))?;
    let writ = Writ::from_noun(&writ).map_err(|error| exited(1, error.to_string()))?;
    match serf.answer(writ, &mut Undisturbed) {
        Ok(plea) => {
            pleas.push(plea);
            Ok(())
        }
        Err(End::Exit(status)) => Err(exited(status.into(), String::new())),
        Err(end @ End::Refused { .. }) => Err(exited(1, end.to_string())),
        Err(end @ End::Broken { .. }) => Err(Ended {
            ending: Ending::Signalled {
                signal: SIGABRT,
                core: false,
            },
            said: end.to_string(),
        }),
    }
}

fn exited(status: i32, said: String) -> Ended {
    Ended {
        ending: Ending::Exited { status },
        said,
    }
}

/// Nothing interrupts a computation, and nobody hears its hints.
struct Undisturbed;

impl Host for Undisturbed {
    fn slog(&mut self, _line: &Noun) {}

    fn interrupted(&mut self) -> Option<Mote> {
        None
    }
}

impl Guard for Undisturbed {
    fn begin(&mut self, _limit_ms: u32) {}

    fn free_bytes(&self) -> u64 {
        self.total_bytes()
    }

    fn total_bytes(&self) -> u64 {
        1 << LOOM_EXPONENT_DEFAULT
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serf_ipc::Session;
    use serf_ipc::protocol::Ripe;

    #[test]
    fn it_boots_answers_and_finds_its_image() {
        let pier = tempfile::tempdir().unwrap();
        let (mut serf, ripe) = InProcess::start(pier.path()).unwrap();
        assert!(matches!(&ripe, Plea::Ripe(Ripe { event, .. }) if event.0 == 0));
        let mut session: Session<&str> = Session::new();
        session.receive(ripe).unwrap();
        let life = Writ::Play {
            first: seguro_event::EventNumber(1),
            events: crate::kernel::lifecycle().to_vec(),
        };
        // A frame that comes in pieces.
        let frame = session.send(life, "life").unwrap();
        let (pleas, ended) = serf.take(&frame[..7]);
        assert!(pleas.is_empty() && ended.is_none());
        let (pleas, ended) = serf.take(&frame[7..]);
        assert!(ended.is_none());
        for plea in pleas {
            session.receive(plea).unwrap();
        }
        let event = session.event();
        assert_eq!(event.0, 2);
        let save = session.send(Writ::Save(event), "save").unwrap();
        let (pleas, ended) = serf.take(&save);
        assert!(pleas.len() == 1 && ended.is_none());
        let exit = session.send(Writ::Exit(0), "exit").unwrap();
        let (_, ended) = serf.take(&exit);
        assert_eq!(ended.unwrap().ending, Ending::Exited { status: 0 });
        let (_, ripe) = InProcess::start(pier.path()).unwrap();
        assert!(
            matches!(&ripe, Plea::Ripe(Ripe { event, .. }) if event.0 == 2),
            "{ripe:?}"
        );
    }
}
