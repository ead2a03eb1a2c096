//! Where a connection really goes: to the address it is meant for, but where a test has put a relay in between.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

/// Relays in a member's way to others. Empty in the product.
#[derive(Clone, Debug, Default)]
pub struct Detours(Arc<Mutex<HashMap<SocketAddr, SocketAddr>>>);

impl Detours {
    /// Connections to `to` go to `via` from now on.
    pub fn add(&self, to: SocketAddr, via: SocketAddr) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(to, via);
    }

    /// Where to go in order to reach `to`.
    pub(crate) fn on_the_way_to(&self, to: SocketAddr) -> SocketAddr {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&to)
            .copied()
            .unwrap_or(to)
    }
}
