//! At most one leader releases at any time: once a later one has begun, no earlier one releases anything.

use super::Oracle;
use crate::fact::{Fact, What};

/// The last event whose effects were released, and by whom.
#[derive(Debug, Default)]
pub(super) struct OneReleases {
    last: Option<(u64, usize)>,
}

impl Oracle for OneReleases {
    fn name(&self) -> &'static str {
        "at most one leader releases"
    }

    fn see(&mut self, fact: &Fact) -> Result<(), String> {
        let (What::Released { event, .. }, Some(member)) = (&fact.what, fact.member) else {
            return Ok(());
        };
        if let Some((last, by)) = self.last
            && *event < last
        {
            return Err(format!(
                "an effect of event {event} was released after m{by} had released one of event {last}"
            ));
        }
        self.last = Some((*event, member));
        Ok(())
    }
}
