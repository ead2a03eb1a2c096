//! Raft's state machine, which is the event log: applying an entry hands its events to the log's writer.
//!
//! Nothing is synced here: the events can be read at once, their place on disk follows in groups, and until then the Raft log
//! holds them (it is purged only up to what is durable there). How far it got, the [`Place`], goes into the event log in the
//! same transaction as the events, so that a restart goes on exactly behind them.

use crate::{
    handle::InstalledSnapshot,
    raft::{
        board::{Begun, Board},
        codec::{self, CodecError},
        config::{
            ClusterId, Command, Entry, LogId, Payload, SnapshotMeta, StoredMembership, TypeConfig, end_term,
        },
        limits::APPLY_GROUP_BYTES,
    },
    simulated::{self, Defect},
    store::event_log::{CompleteEpoch, EventLog},
    types::{Batch, Commit, Event, Term},
};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use openraft::{
    OptionalSend, RaftSnapshotBuilder,
    storage::{EntryResponder, RaftStateMachine},
};
use seguro_event::EventNumber;
use serde::{Deserialize, Serialize};
use std::{
    io,
    sync::{Arc, atomic::Ordering},
};
use tracing::{info, warn};

/// How far Raft's log is applied: kept with the events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// The last entry applied; None before the first.
    pub(crate) applied: Option<LogId>,
    /// The members there.
    pub(crate) membership: StoredMembership,
}

impl Place {
    /// Reads what [`bytes`](Self::bytes) gave.
    pub(crate) fn read(bytes: &[u8]) -> Result<Place, CodecError> {
        codec::decode("the place in Raft's log", bytes)
    }

    /// As the event log keeps it.
    pub(crate) fn bytes(&self) -> Bytes {
        codec::encode(self).into()
    }

    /// As openraft names it.
    pub(crate) fn meta(&self) -> SnapshotMeta {
        SnapshotMeta {
            last_log_id: self.applied,
            last_membership: self.membership.clone(),
        }
    }
}

/// The state machine.
#[derive(Debug)]
pub(crate) struct Machine {
    log: EventLog,
    cluster: ClusterId,
    place: Place,
    last: EventNumber,
    board: Arc<Board>,
}

/// What a snapshot's transfer works with.
#[derive(Debug)]
pub(crate) enum SnapshotData {
    /// Of the leader: its event log, from which the newest epoch is read while it is sent.
    Outgoing(EventLog),
    /// Of a follower: the epoch that was received whole.
    Incoming(Box<CompleteEpoch>),
}

/// Makes the state machine durable: that is all that a snapshot takes.
#[derive(Debug)]
pub(crate) struct Builder {
    log: EventLog,
}

/// Entries whose events are handed over together.
#[derive(Default)]
struct Group {
    events: Vec<Event>,
    bytes: usize,
    responders: Vec<openraft::storage::ApplyResponder<TypeConfig>>,
    begun: Option<Begun>,
    proposer: Option<Term>,
}

fn other(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::other(error)
}

impl Machine {
    /// The state machine over `log`, at `place`, which the log gave when it was opened.
    pub(crate) fn new(log: EventLog, cluster: ClusterId, place: Place, board: Arc<Board>) -> Machine {
        let last = log.last();
        Machine {
            log,
            cluster,
            place,
            last,
            board,
        }
    }

    fn take(&mut self, entry: Entry, group: &mut Group) -> io::Result<()> {
        let term = entry.log_id.leader_id.term;
        if self
            .place
            .applied
            .is_none_or(|applied| applied.leader_id.term < term)
        {
            group.begun = Some(Begun {
                term,
                barrier: self.last,
            });
        }
        match entry.payload {
            Payload::Blank => {}
            Payload::Membership(membership) => {
                self.place.membership = StoredMembership::new(Some(entry.log_id), membership);
            }
            Payload::Normal(Command::Genesis {
                ship,
                cluster,
                baseline,
            }) => {
                if ship != self.log.ship() || cluster != self.cluster {
                    return Err(io::Error::other(format!(
                        "entry {} says that this is cluster {cluster} of ship {:#x}, but this member belongs to cluster {} \
                         of ship {:#x}: its files were mixed up, restore the pier from a copy",
                        entry.log_id.index,
                        ship.who,
                        self.cluster,
                        self.log.ship().who,
                    )));
                }
                if self.last < baseline {
                    return Err(io::Error::other(format!(
                        "the cluster began with {baseline} events of history, of which this member holds {}: it must join \
                         anew from an empty directory",
                        self.last
                    )));
                }
            }
            Payload::Normal(Command::Events { proposer, batch }) => {
                // The same decision on every member, from the log alone.
                if batch.first() == self.last.next() {
                    self.last = batch.last();
                    group.proposer = Some(proposer);
                    group.bytes += batch.bytes();
                    group.events.extend_from_slice(batch.events());
                } else {
                    self.skip(&entry.log_id, proposer, &batch);
                }
            }
        }
        self.place.applied = Some(entry.log_id);
        Ok(())
    }

    fn skip(&self, at: &LogId, proposer: Term, batch: &Batch) {
        warn!(
            entry = at.index,
            term = %proposer,
            "events {} to {} were proposed where event {} belongs: they are skipped, on every member",
            batch.first(),
            batch.last(),
            self.last.next(),
        );
        self.board.skips.fetch_add(1, Ordering::Relaxed);
        // If it was this member's office, nothing more of it can be applied.
        end_term(&self.board.ended, proposer);
    }

    /// Hands the group's events over, and tells of them.
    async fn hand_over(&mut self, group: &mut Group) -> io::Result<()> {
        let _applying = self.board.applying.lock().await;
        self.log
            .append(&group.events, self.place.bytes())
            .await
            .map_err(other)?;
        if let Some(term) = group.proposer {
            self.board.committed.send_replace(Commit {
                event: self.last,
                term,
            });
        }
        if let Some(begun) = group.begun {
            self.board.begun.send_replace(begun);
        }
        for responder in group.responders.drain(..) {
            responder.send(());
        }
        *group = Group {
            events: std::mem::take(&mut group.events),
            responders: std::mem::take(&mut group.responders),
            ..Group::default()
        };
        group.events.clear();
        Ok(())
    }
}

impl RaftStateMachine<TypeConfig> for Machine {
    type SnapshotData = SnapshotData;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        Ok((self.place.applied, self.place.membership.clone()))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> Result<(), io::Error>
    where
        Strm: Stream<Item = Result<EntryResponder<TypeConfig>, io::Error>> + Unpin + OptionalSend,
    {
        let mut group = Group::default();
        let mut any = false;
        while let Some(next) = entries.next().await {
            let (entry, responder) = next?;
            self.take(entry, &mut group)?;
            group.responders.extend(responder);
            any = true;
            if group.bytes >= APPLY_GROUP_BYTES {
                self.hand_over(&mut group).await?;
                any = false;
            }
        }
        if any {
            self.hand_over(&mut group).await
        } else {
            Ok(())
        }
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder {
            log: self.log.clone(),
        }
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: SnapshotData,
    ) -> Result<(), io::Error> {
        let epoch = match snapshot {
            SnapshotData::Incoming(epoch) => epoch,
            #[cfg(test)]
            SnapshotData::Outgoing(log) => tests::carry(&log, &self.log)?,
            #[cfg(not(test))]
            SnapshotData::Outgoing(_) => {
                return Err(io::Error::other(
                    "a snapshot of this member's own is not installed on it",
                ));
            }
        };
        let head = epoch.head().clone();
        let place = Place::read(&head.raft).map_err(other)?;
        assert!(
            place.meta() == *meta,
            "a snapshot is installed under the name that it was offered by"
        );
        let _applying = self.board.applying.lock().await;
        self.log.install(*epoch).await.map_err(other)?;
        let begun = place.applied.map_or(Term(0), |applied| applied.leader_id.term);
        self.place = place;
        self.last = head.last();
        let image = (head.epoch > EventNumber::ZERO).then_some(head.epoch);
        info!(last = %self.last, epoch = %head.epoch, "installed a snapshot from the leader");
        self.board.installed.send_modify(|installed| {
            let nth = installed.map_or(1, |before| before.nth + 1);
            *installed = Some(InstalledSnapshot {
                nth,
                image,
                last: self.last,
            });
        });
        self.board.committed.send_replace(Commit {
            event: self.last,
            term: Term(0),
        });
        self.board.begun.send_replace(Begun {
            term: begun,
            barrier: self.last,
        });
        Ok(())
    }

    async fn get_current_snapshot(
        &mut self,
    ) -> Result<Option<openraft::type_config::alias::SnapshotOf<TypeConfig, SnapshotData>>, io::Error> {
        let place = durable_place(&self.log)?;
        if place.applied.is_none() {
            return Ok(None);
        }
        Ok(Some(openraft::storage::Snapshot {
            meta: place.meta(),
            snapshot: SnapshotData::Outgoing(self.log.clone()),
        }))
    }
}

impl RaftSnapshotBuilder<TypeConfig> for Builder {
    type SnapshotData = SnapshotData;

    async fn build_snapshot(
        &mut self,
    ) -> Result<openraft::type_config::alias::SnapshotOf<TypeConfig, SnapshotData>, io::Error> {
        if !simulated::has(Defect::PurgedTooEarly) {
            self.log.sync().await.map_err(other)?;
        }
        let place = durable_place(&self.log)?;
        Ok(openraft::storage::Snapshot {
            meta: place.meta(),
            snapshot: SnapshotData::Outgoing(self.log.clone()),
        })
    }
}

/// How far Raft's log is applied in what is on disk.
pub(crate) fn durable_place(log: &EventLog) -> io::Result<Place> {
    if simulated::has(Defect::PurgedTooEarly)
        && let Some(newest) = log.newest_record()
    {
        return Place::read(&newest).map_err(other);
    }
    match log.durable().applied {
        Some(applied) => Place::read(&applied.raft).map_err(other),
        None => Ok(Place::default()),
    }
}

#[cfg(test)]
mod tests;
