//! What is printed of an event that the kernel refused, in vere's words.

use crate::{console, ovum::Ovum};
use serf_ipc::Goof;

/// Prints an event's goofs with their stack traces, newest first, and whose event failed.
pub(crate) fn bailed(driver: &str, ovum: &Ovum, goofs: &[Goof]) {
    console::goofs(goofs);
    tracing::warn!(target: console::TARGET, "{driver}: %{} event on {} failed", ovum.tag(), ovum.path());
}
