//! The thread that writes to a child.

use crate::limits::WRITE_COALESCE_BYTES;
use crossbeam_channel::{Receiver, TryRecvError};
use nix::sys::socket::{self, MsgFlags};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What the writer is told.
#[derive(Debug)]
pub(super) enum Order {
    /// Write this, from the byte of that place on.
    Frame(Vec<u8>, usize),
    /// Write nothing more, and say so to the child.
    Close,
}

/// Orders that the writer has not yet carried out: while there are any, nothing may be written past it.
#[derive(Debug, Default)]
pub(super) struct Waiting(AtomicUsize);

impl Waiting {
    /// Notes an order before it is given.
    pub(super) fn add(&self) {
        self.0.fetch_add(1, Ordering::Release);
    }

    /// Whether all that was ordered has been written. A close is never done with: nothing is written behind it.
    pub(super) fn is_none(&self) -> bool {
        self.0.load(Ordering::Acquire) == 0
    }

    fn done(&self, orders: usize) {
        self.0.fetch_sub(orders, Ordering::Release);
    }
}

/// Writes as much of `frame` as the child's socket takes at once, without waiting, and says how much that was. Whatever is
/// wrong with the socket the writer will find as well.
pub(super) fn write_now(input: &UnixStream, frame: &[u8]) -> usize {
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    socket::send(input.as_raw_fd(), frame, flags).unwrap_or(0)
}

/// Writes frames in order until it is told to close, until nobody can tell it any more, or until the child is gone. Frames
/// that wait behind each other go out in one write. Afterwards nothing can be put in the queue.
pub(super) fn write_frames(queue: &Receiver<Order>, input: &UnixStream, waiting: &Waiting) {
    let mut is_open = true;
    while is_open && let Ok(Order::Frame(mut batch, mut from)) = queue.recv() {
        let mut orders = 1;
        while is_open && batch.len() < WRITE_COALESCE_BYTES {
            match queue.try_recv() {
                Ok(Order::Frame(frame, 0)) if batch.len() + frame.len() <= WRITE_COALESCE_BYTES => {
                    batch.extend_from_slice(&frame);
                    orders += 1;
                }
                Ok(Order::Frame(frame, start)) => {
                    if write(input, &batch[from..]).is_err() {
                        return;
                    }
                    waiting.done(orders);
                    (batch, from, orders) = (frame, start, 1);
                }
                Err(TryRecvError::Empty) => break,
                Ok(Order::Close) | Err(TryRecvError::Disconnected) => is_open = false,
            }
        }
        if write(input, &batch[from..]).is_err() {
            return;
        }
        waiting.done(orders);
    }
    // The child may be gone already.
    let _ = input.shutdown(std::net::Shutdown::Write);
}

/// An error means that the child is gone, of which its end will tell.
fn write(mut input: &UnixStream, bytes: &[u8]) -> std::io::Result<()> {
    input.write_all(bytes)
}
