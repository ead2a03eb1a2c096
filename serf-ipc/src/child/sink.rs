//! Where a child's events go.

use super::ChildEvent;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

type Callback = Box<dyn FnMut(ChildEvent) -> bool + Send>;

/// The caller's sink, called by one thread at a time until it wants no more.
pub(super) struct Sink {
    callback: Mutex<Option<Callback>>,
    muted: AtomicBool,
}

impl Sink {
    pub(super) fn new(callback: impl FnMut(ChildEvent) -> bool + Send + 'static) -> Sink {
        Sink {
            callback: Mutex::new(Some(Box::new(callback))),
            muted: AtomicBool::new(false),
        }
    }

    /// Hands over an event. Whether more are wanted.
    pub(super) fn deliver(&self, event: ChildEvent) -> bool {
        let mut slot = self.callback.lock().unwrap_or_else(PoisonError::into_inner);
        if self.muted.load(Ordering::Acquire) {
            return false;
        }
        // Taken out while it is called: one that panics is not called again.
        let Some(mut callback) = slot.take() else {
            return false;
        };
        let more = callback(event);
        if more {
            *slot = Some(callback);
        }
        more
    }

    /// No event is handed over any more, but for one that is just being. This does not wait for that one, which may be
    /// waiting for the caller.
    pub(super) fn mute(&self) {
        self.muted.store(true, Ordering::Release);
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sink")
            .field("muted", &self.muted)
            .finish_non_exhaustive()
    }
}
