//! `/~_~/slog`: what the ship prints, as events for whoever is logged in and listens.

use super::{
    exchange::Exchange,
    shapes::{Body, Start},
};
use crate::{console, tank};
use serf_ipc::Noun;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// The streams that are open.
#[derive(Debug, Default)]
pub(crate) struct Slogs(Mutex<Vec<Weak<Exchange>>>);

impl Slogs {
    /// Begins one. It ends with its exchange.
    pub(crate) fn open(&self, exchange: &Arc<Exchange>) {
        let header = |name: &str, value: &str| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
        exchange.start(Start {
            status: 200,
            headers: vec![
                header("Content-Type", "text/event-stream"),
                header("Cache-Control", "no-cache"),
                header("Connection", "keep-alive"),
            ],
            data: None,
            complete: false,
        });
        self.lock().push(Arc::downgrade(exchange));
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.living().len()
    }

    /// The ship prints: a tank, or a cord as it is.
    pub(crate) fn tell(&self, what: &Noun) {
        if self.lock().is_empty() {
            return;
        }
        let text = match what.as_cord() {
            Some(text) => event(&text),
            None => tank::lines(what, console::columns())
                .iter()
                .map(|line| event(line))
                .collect(),
        };
        self.send(&text, false);
    }

    /// Something that means nothing, so that the connections stay open.
    pub(crate) fn beat(&self) {
        self.send("\n", false);
    }

    /// The end of all.
    pub(crate) fn end(&self) {
        self.send(&event("urbit shutting down"), true);
    }

    fn send(&self, text: &str, complete: bool) {
        let data = (!text.is_empty()).then(|| Body::from_bytes(text.as_bytes()));
        for stream in self.living() {
            stream.proceed(data.clone(), complete);
        }
    }

    fn living(&self) -> Vec<Arc<Exchange>> {
        let mut streams = self.lock();
        streams.retain(|stream| stream.strong_count() > 0);
        streams.iter().filter_map(Weak::upgrade).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<Exchange>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One event of a stream.
fn event(text: &str) -> String {
    format!("data:{text}\n\n")
}
