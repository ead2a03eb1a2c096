//! A member's process: a runtime of its own beside its machine's kernel, with a clock that may stop, or run slow or fast.
//!
//! turmoil's hosts all tick together. So what runs there is only each machine's network ([`kernel`](crate::network)), and the process runs
//! here, after it, in every step: for as long as its own clock says. A process that is stopped gets no turn at all, neither its Raft
//! nor its pier nor its serf; when it goes on its clock jumps, every timer that was due fires at once, and what arrived meanwhile is
//! in its sockets. It is stopped where it waits for something, not between two instructions.

use crate::limits::TICK;
use std::{future::Future, io};
use tokio::{
    runtime::{Builder, Runtime},
    task::{JoinHandle, LocalSet},
    time::{advance, sleep},
};

/// A step of everybody's time, in the parts in which clocks differ.
const WHOLE: u64 = 1000;

/// A process. Dropped: killed.
#[derive(Debug)]
pub(crate) struct Process {
    // The first to go: what it runs for.
    runtime: Runtime,
    tasks: LocalSet,
    life: JoinHandle<()>,
    /// Thousandths of a step that its clock is behind.
    behind: u64,
    /// Whether it stood still in the last step.
    stood: bool,
}

impl Process {
    /// A process that lives so.
    pub(crate) fn start(life: impl Future<Output = ()> + 'static) -> io::Result<Process> {
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()?;
        let tasks = LocalSet::new();
        // Timers are of whole milliseconds of the clock.
        runtime.block_on(async { sleep(TICK).await });
        let life = tasks.spawn_local(life);
        Ok(Process {
            runtime,
            tasks,
            life,
            behind: 0,
            stood: false,
        })
    }

    /// It stands still for a step: its clock will have gone on.
    pub(crate) fn stand_still(&mut self, drift: i64) {
        self.behind += WHOLE.saturating_add_signed(drift);
        self.stood = true;
    }

    /// It runs for a step of everybody's time, by a clock that is off by so many thousandths. Returns by how much its clock jumped, steps.
    ///
    /// # Errors
    /// The text of its panic.
    pub(crate) fn run(&mut self, drift: i64) -> Result<u64, String> {
        self.behind += WHOLE.saturating_add_signed(drift);
        let steps = self.behind / WHOLE;
        self.behind %= WHOLE;
        let jump = match std::mem::take(&mut self.stood) {
            true => steps.saturating_sub(1),
            false => 0,
        };
        // A slow clock's step is not over: what it would do waits for the next.
        if steps > 0 {
            let step = async {
                if jump > 0 {
                    advance(TICK * jump as u32).await;
                }
                sleep(TICK * (steps - jump) as u32).await;
            };
            self.runtime.block_on(self.tasks.run_until(step));
        }
        if self.life.is_finished() {
            let ended = self.runtime.block_on(&mut self.life);
            return Err(ended.map_or_else(
                |error| error.to_string(),
                |()| "its process has returned".to_owned(),
            ));
        }
        Ok(jump)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{cell::RefCell, rc::Rc, time::Duration};
    use tokio::time::Instant;

    /// A process that notes its clock every ten milliseconds, milliseconds since its start.
    fn clock() -> (Process, Rc<RefCell<Vec<u64>>>) {
        let noted = Rc::new(RefCell::new(Vec::new()));
        let notes = Rc::clone(&noted);
        let process = Process::start(async move {
            let start = Instant::now();
            loop {
                sleep(Duration::from_millis(10)).await;
                notes.borrow_mut().push(start.elapsed().as_millis() as u64);
            }
        });
        (process.unwrap(), noted)
    }

    #[test]
    fn a_process_that_was_stopped_finds_that_it_is_later() {
        let (mut process, noted) = clock();
        (0..25).for_each(|_| assert_eq!(process.run(0), Ok(0)));
        (0..500).for_each(|_| process.stand_still(0));
        assert_eq!(*noted.borrow(), [10, 20]);
        assert_eq!(process.run(0), Ok(500));
        // Once, and not fifty times.
        assert_eq!(noted.borrow().len(), 3);
        assert!(noted.borrow()[2] >= 525);
        (0..20).for_each(|_| assert_eq!(process.run(0), Ok(0)));
        assert_eq!(noted.borrow().len(), 5);
    }

    #[test]
    fn a_clock_runs_as_fast_as_it_is_told() {
        for (drift, after) in [(-240, 76), (0, 100), (320, 132)] {
            let (mut process, noted) = clock();
            (0..1000).for_each(|_| assert_eq!(process.run(drift), Ok(0)));
            assert!(
                noted.borrow().len().abs_diff(after) <= 1,
                "{}",
                noted.borrow().len()
            );
        }
    }

    #[test]
    fn a_process_that_panics_says_so() {
        let mut process = Process::start(async { assert_eq!(1, 2) }).unwrap();
        assert!(process.run(0).unwrap_err().contains("panicked"));
    }
}
