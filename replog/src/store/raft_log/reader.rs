//! Reading the Raft log: from memory where it is there, in pieces where it is not.

use super::Shared;
use crate::{
    limits::RAFT_LOG_READ_BYTES,
    raft::config::{Entry, TypeConfig, Vote},
    simulated,
    store::{failure::StoreFailed, lock},
};
use futures::{Stream, stream};
use openraft::{OptionalSend, RaftLogReader};
use std::{
    fmt::Debug,
    io,
    ops::{Bound, Range, RangeBounds},
    sync::Arc,
};

/// A reader of the Raft log.
#[derive(Clone, Debug)]
pub(crate) struct Reader(pub(super) Arc<Shared>);

/// The indexes that a range means.
fn indexes(range: &impl RangeBounds<u64>) -> Range<u64> {
    let start = match range.start_bound() {
        Bound::Included(start) => *start,
        Bound::Excluded(before) => before.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(last) => last.saturating_add(1),
        Bound::Excluded(end) => *end,
        Bound::Unbounded => u64::MAX,
    };
    start..end.max(start)
}

impl Reader {
    /// Entries of `range` that the log has, in order: all where `max_bytes` allows, at least one where there is one.
    async fn read(&self, range: Range<u64>, max_bytes: usize) -> Result<Vec<Entry>, io::Error> {
        let shared = &self.0;
        loop {
            shared.health.check().map_err(io::Error::other)?;
            let view = lock(&shared.state).cache.view(range.clone(), max_bytes);
            if view.disk.is_empty() {
                return Ok(view.cached);
            }
            let Some(disk) = lock(&shared.disk).clone() else {
                return Err(super::closed());
            };
            let wanted = view.disk.clone();
            // The disk may be slow, and this thread has heartbeats to send.
            let read = simulated::blocking(move || disk.read(wanted, max_bytes)).await;
            let read = read.ok_or_else(super::closed)?;
            if lock(&shared.state).cache.version() != view.version {
                continue;
            }
            let mut entries = read.map_err(|error| io::Error::other(self.damaged(&error)))?;
            if entries.is_empty() {
                let index = view.disk.start;
                return Err(io::Error::other(
                    self.damaged(&format!("entry {index} is missing")),
                ));
            }
            if entries.len() as u64 == view.disk.end - view.disk.start {
                entries.extend(view.cached);
            }
            return Ok(entries);
        }
    }

    fn damaged(&self, error: &dyn std::fmt::Display) -> StoreFailed {
        self.0.health.fail(
            "reading entries",
            error,
            crate::store::failure::FailureKind::Corrupt,
        )
    }
}

impl RaftLogReader<TypeConfig> for Reader {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, io::Error> {
        self.read(indexes(&range), usize::MAX).await
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        self.0.health.check().map_err(io::Error::other)?;
        Ok(lock(&self.0.state).vote)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, io::Error> {
        self.read(start..end, RAFT_LOG_READ_BYTES).await
    }

    async fn entries_stream<RB>(
        &mut self,
        range: RB,
    ) -> impl Stream<Item = Result<Entry, io::Error>> + OptionalSend
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let state = (self.clone(), indexes(&range), Vec::new().into_iter());
        Box::pin(stream::try_unfold(
            state,
            async |(reader, mut range, mut piece)| {
                loop {
                    if let Some(entry) = piece.next() {
                        return Ok(Some((entry, (reader, range, piece))));
                    }
                    let entries = reader.read(range.clone(), RAFT_LOG_READ_BYTES).await?;
                    let Some(last) = entries.last() else {
                        return Ok(None);
                    };
                    range.start = last.log_id.index + 1;
                    piece = entries.into_iter();
                }
            },
        ))
    }
}
