//! The members' serfs: the reference serf without a process, which takes its time, hangs, dies and writes its image into the pier.

use crate::{fact::What, member::here};
use reference_serf::in_process::InProcess;
use seguro_king::simulated::SimulatedSerf;
use serf_ipc::{ChildEvent, Ending, FromNoun as _, Writ, cue, newt::HEADER_BYTES};
use std::{path::Path, sync::Arc};
use tokio::{
    sync::{Notify, mpsc},
    task::{AbortHandle, spawn_local},
    time::sleep,
};

/// What may be wrong with a member's serf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It dies at what it is given next.
    Dies,
    /// It answers nothing any more.
    Hangs,
    /// Each thing takes it up to so many milliseconds more.
    Slow(u64),
}

/// A serf's other end.
struct Handle {
    frames: mpsc::UnboundedSender<Vec<u8>>,
    kill: Arc<Notify>,
    task: AbortHandle,
}

impl SimulatedSerf for Handle {
    fn send(&mut self, frame: Vec<u8>) {
        // A serf that has ended takes nothing.
        let _ = self.frames.send(frame);
    }

    fn interrupt(&mut self) {}

    fn kill(&mut self) {
        self.kill.notify_one();
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts the serf of a member.
pub(crate) fn spawn(member: usize, pier: &Path, events: mpsc::Sender<ChildEvent>) -> Box<dyn SimulatedSerf> {
    let (frames, queue) = mpsc::unbounded_channel();
    let kill = Arc::new(Notify::new());
    let (killed, pier) = (Arc::clone(&kill), pier.to_path_buf());
    let task = spawn_local(async move {
        let ending = tokio::select! {
            biased;
            () = killed.notified() => Ending::Signalled { signal: 9, core: false },
            ending = live(member, &pier, queue, &events) => ending,
        };
        here(|shared| shared.tell(Some(member), What::SerfEnded));
        let _ = events.send(ChildEvent::Exited(ending)).await;
    });
    Box::new(Handle {
        frames,
        kill,
        task: task.abort_handle(),
    })
}

async fn live(
    member: usize,
    pier: &Path,
    mut frames: mpsc::UnboundedReceiver<Vec<u8>>,
    events: &mpsc::Sender<ChildEvent>,
) -> Ending {
    let (mut serf, ripe) = match InProcess::start(pier) {
        Ok(started) => started,
        Err(ended) => return ended.ending,
    };
    let mut answers = vec![ripe];
    loop {
        for plea in answers.drain(..) {
            if events.send(ChildEvent::Plea(plea)).await.is_err() {
                return Ending::Unknown;
            }
        }
        let Some(frame) = frames.recv().await else {
            return Ending::Exited { status: 1 };
        };
        let (trouble, micros) = here(|shared| {
            let trouble = shared.slots[member].serf.get();
            let most = match trouble {
                Some(Trouble::Slow(millis)) => millis * 1000,
                _ => 600,
            };
            (trouble, shared.dice.borrow_mut().of(0..most))
        });
        sleep(std::time::Duration::from_micros(micros)).await;
        match trouble {
            Some(Trouble::Dies) => {
                here(|shared| shared.slots[member].serf.set(None));
                return Ending::Signalled {
                    signal: 11,
                    core: false,
                };
            }
            Some(Trouble::Hangs) => std::future::pending().await,
            Some(Trouble::Slow(_)) | None => {}
        }
        if let Some(event) = saves(&frame) {
            here(|shared| shared.saves(member, event));
        }
        let (pleas, ended) = serf.take(&frame);
        answers = pleas;
        if let Some(ended) = ended {
            for plea in answers {
                let _ = events.send(ChildEvent::Plea(plea)).await;
            }
            return ended.ending;
        }
    }
}

/// The event at which a frame has the serf save.
fn saves(frame: &[u8]) -> Option<u64> {
    let writ = Writ::from_noun(&cue(frame.get(HEADER_BYTES..)?).ok()?).ok()?;
    match writ {
        Writ::Save(event) => Some(event.0),
        _ => None,
    }
}
