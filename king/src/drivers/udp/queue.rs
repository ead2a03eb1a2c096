//! Packets on their way to the ship: so many are computed at once, some wait, and of more than that the oldest are
//! dropped, as in vere. Their senders send them again.

use crate::{limits, ovum::Ovum};
use std::collections::VecDeque;

/// The queue.
#[derive(Default)]
pub(crate) struct Queue {
    waiting: VecDeque<Ovum>,
    on_the_way: usize,
}

impl Queue {
    /// Takes a packet. What goes to the ship now, and whether an older packet was dropped.
    pub(crate) fn put(&mut self, ovum: Ovum) -> (Option<Ovum>, bool) {
        if self.on_the_way < limits::AMES_ON_THE_WAY {
            self.on_the_way += 1;
            return (Some(ovum), false);
        }
        self.waiting.push_back(ovum);
        let is_over = self.waiting.len() > limits::AMES_QUEUE;
        if is_over {
            self.waiting.pop_front();
        }
        (None, is_over)
    }

    /// One that went to the ship has its outcome. What goes next.
    pub(crate) fn done(&mut self) -> Option<Ovum> {
        let next = self.waiting.pop_front();
        if next.is_none() {
            assert!(self.on_the_way > 0, "an outcome of nothing");
            self.on_the_way -= 1;
        }
        next
    }

    /// One that was to go to the ship did not, and nothing goes in its place.
    pub(crate) fn not_done(&mut self) {
        assert!(self.on_the_way > 0, "a return of nothing");
        self.on_the_way -= 1;
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len() + self.on_the_way
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serf_ipc::n;

    fn ovum(number: usize) -> Ovum {
        Ovum::new("a", ["ames"], n!["hear", number as u64])
    }

    fn number(ovum: &Ovum) -> usize {
        ovum.card.tail().and_then(serf_ipc::Noun::as_u64).unwrap() as usize
    }

    #[test]
    fn the_oldest_of_too_many_are_dropped_and_the_order_stays() {
        let mut queue = Queue::default();
        for at in 0..limits::AMES_ON_THE_WAY {
            assert_eq!(queue.put(ovum(at)).0.map(|ovum| number(&ovum)), Some(at));
        }
        let first = limits::AMES_ON_THE_WAY;
        for at in first..first + limits::AMES_QUEUE + 2 {
            let (now, dropped) = queue.put(ovum(at));
            assert!(now.is_none());
            assert_eq!(dropped, at >= first + limits::AMES_QUEUE);
        }
        for at in first + 2..first + limits::AMES_QUEUE + 2 {
            assert_eq!(queue.done().map(|ovum| number(&ovum)), Some(at));
        }
        assert!(queue.done().is_none());
        assert_eq!(queue.len(), limits::AMES_ON_THE_WAY - 1);
        assert!(queue.put(ovum(0)).0.is_some());
    }
}
