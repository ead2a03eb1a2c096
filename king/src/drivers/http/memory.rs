//! The memory that requests may hold, all of them together.

use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Taken at a time, so that a request that grows does not ask for every byte.
const STEP: usize = 64 << 10;

/// What one connection's request holds of the common store, one permit a byte.
#[derive(Debug)]
pub(crate) struct Memory {
    store: Arc<Semaphore>,
    held: Option<OwnedSemaphorePermit>,
}

impl Memory {
    /// Nothing yet, of this store.
    pub(crate) fn new(store: Arc<Semaphore>) -> Memory {
        Memory { store, held: None }
    }

    /// Holds `bytes` at least. False if the store has not as many left.
    pub(crate) fn cover(&mut self, bytes: usize) -> bool {
        let held = self.held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        if bytes <= held {
            return true;
        }
        let Ok(missing) = u32::try_from((bytes - held).next_multiple_of(STEP)) else {
            return false;
        };
        let Ok(more) = Arc::clone(&self.store).try_acquire_many_owned(missing) else {
            return false;
        };
        match &mut self.held {
            Some(held) => held.merge(more),
            none => *none = Some(more),
        }
        true
    }

    /// Gives what is held away: it returns to the store when that is dropped.
    pub(crate) fn take(&mut self) -> Option<OwnedSemaphorePermit> {
        self.held.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_taken_from_all_and_comes_back() {
        let store = Arc::new(Semaphore::new(3 * STEP));
        let mut one = Memory::new(Arc::clone(&store));
        let mut other = Memory::new(Arc::clone(&store));
        assert!(one.cover(0) && store.available_permits() == 3 * STEP);
        assert!(one.cover(1) && one.cover(STEP) && store.available_permits() == 2 * STEP);
        assert!(one.cover(STEP + 1) && store.available_permits() == STEP);
        assert!(!other.cover(STEP + 1) && other.cover(STEP) && store.available_permits() == 0);
        assert!(!one.cover(3 * STEP));
        let held = one.take();
        assert_eq!(store.available_permits(), 0);
        drop(held);
        assert_eq!(store.available_permits(), 2 * STEP);
        drop(other);
        assert_eq!(store.available_permits(), 3 * STEP);
    }
}
