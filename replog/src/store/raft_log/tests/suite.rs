//! openraft's own test suite for stores, with the least state machine that it accepts.

use super::*;
use crate::raft::config::{SnapshotMeta, StoredMembership};
use futures::{Stream, TryStreamExt};
use openraft::{
    RaftSnapshotBuilder, StorageError,
    storage::{EntryResponder, RaftStateMachine, Snapshot},
    testing::log::{StoreBuilder, Suite},
    type_config::alias::SnapshotOf,
};

#[derive(Clone, Debug, Default)]
struct Machine {
    applied: Option<LogId>,
    membership: StoredMembership,
    snapshot: Arc<Mutex<Option<SnapshotMeta>>>,
}

impl RaftSnapshotBuilder<TypeConfig> for Machine {
    type SnapshotData = ();

    async fn build_snapshot(&mut self) -> Result<SnapshotOf<TypeConfig, ()>, io::Error> {
        let meta = SnapshotMeta {
            last_log_id: self.applied,
            last_membership: self.membership.clone(),
        };
        *lock(&self.snapshot) = Some(meta.clone());
        Ok(Snapshot { meta, snapshot: () })
    }
}

impl RaftStateMachine<TypeConfig> for Machine {
    type SnapshotData = ();
    type SnapshotBuilder = Machine;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        Ok((self.applied, self.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<EntryResponder<TypeConfig>, io::Error>> + Unpin + OptionalSend,
    {
        while let Some((entry, responder)) = entries.try_next().await? {
            self.applied = Some(entry.log_id());
            if let Payload::Membership(membership) = &entry.payload {
                self.membership = StoredMembership::new(Some(entry.log_id()), membership.clone());
            }
            if let Some(responder) = responder {
                responder.send(());
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Machine {
        self.clone()
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, (): ()) -> Result<(), io::Error> {
        self.applied = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        *lock(&self.snapshot) = Some(meta.clone());
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<SnapshotOf<TypeConfig, ()>>, io::Error> {
        Ok(lock(&self.snapshot)
            .clone()
            .map(|meta| Snapshot { meta, snapshot: () }))
    }
}

struct Builder {
    cache_bytes: usize,
}

impl StoreBuilder<TypeConfig, RaftLog, Machine, TempDir> for Builder {
    async fn build(&self) -> Result<(TempDir, RaftLog, Machine), StorageError<TypeConfig>> {
        let dir = tempfile::tempdir().unwrap();
        let options = RaftLogOptions {
            cache_bytes: self.cache_bytes,
            ..options()
        };
        let log = RaftLog::open_in(dir.path(), MEMBER, options).unwrap();
        Ok((dir, log, Machine::default()))
    }
}

#[tokio::test]
async fn t10_with_entries_from_the_disk() {
    Suite::test_all(Builder { cache_bytes: 0 }).await.unwrap();
}

#[tokio::test]
async fn t11_with_entries_from_memory() {
    Suite::test_all(Builder {
        cache_bytes: usize::MAX,
    })
    .await
    .unwrap();
}
