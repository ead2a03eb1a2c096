//! The thread that writes to a child.

use crate::limits::WRITE_COALESCE_BYTES;
use crossbeam_channel::{Receiver, TryRecvError};
use std::io::Write;
use std::os::unix::net::UnixStream;

/// What the writer is told.
#[derive(Debug)]
pub(super) enum Order {
    /// Write this.
    Frame(Vec<u8>),
    /// Write nothing more, and say so to the child.
    Close,
}

/// Writes frames in order until it is told to close, until nobody can tell it any more, or until the child is gone. Frames
/// that wait behind each other go out in one write. Afterwards nothing can be put in the queue.
pub(super) fn write_frames(queue: &Receiver<Order>, input: &UnixStream) {
    let mut is_open = true;
    while is_open && let Ok(Order::Frame(mut batch)) = queue.recv() {
        while is_open && batch.len() < WRITE_COALESCE_BYTES {
            match queue.try_recv() {
                Ok(Order::Frame(frame)) if batch.len() + frame.len() <= WRITE_COALESCE_BYTES => {
                    batch.extend_from_slice(&frame);
                }
                Ok(Order::Frame(frame)) => {
                    if write(input, &batch).is_err() {
                        return;
                    }
                    batch = frame;
                }
                Err(TryRecvError::Empty) => break,
                Ok(Order::Close) | Err(TryRecvError::Disconnected) => is_open = false,
            }
        }
        if write(input, &batch).is_err() {
            return;
        }
    }
    // The child may be gone already.
    let _ = input.shutdown(std::net::Shutdown::Write);
}

/// An error means that the child is gone, of which its end will tell.
fn write(mut input: &UnixStream, bytes: &[u8]) -> std::io::Result<()> {
    input.write_all(bytes)
}
