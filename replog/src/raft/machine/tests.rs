//! The state machine: openraft's own suite over both real stores, and what it decides itself.

use super::*;
use crate::{
    pier_lock::PierLock,
    raft::config::{Membership, Peer, log_id},
    store::{
        event_log::{EventLogOptions, IncomingEpoch},
        failure::Alarm,
        fault::NoFaults,
        raft_log::{RaftLog, RaftLogOptions},
    },
    types::{MemberId, ShipIdentity},
};
use futures::stream;
use openraft::{
    StorageError,
    entry::RaftEntry,
    storage::EntryResponder,
    testing::log::{StoreBuilder, Suite},
};
use seguro_event::Mug;
use std::collections::{BTreeMap, BTreeSet};
use tempfile::TempDir;

const SHIP: ShipIdentity = ShipIdentity {
    who: 0xfe,
    fake: true,
    life: 3,
};
const CLUSTER: ClusterId = ClusterId(7);

struct Pier {
    dir: TempDir,
    lock: PierLock,
}

fn new_log() -> (Pier, EventLog) {
    let dir = tempfile::tempdir().unwrap();
    let lock = PierLock::acquire(dir.path()).unwrap();
    let options = EventLogOptions {
        map_bytes: 1 << 28,
        vere_version: "3.5".to_owned(),
        alarm: Alarm::new(),
        faults: Arc::new(NoFaults),
    };
    let log = EventLog::create(&lock, &SHIP, options).unwrap();
    (Pier { dir, lock }, log)
}

fn new_machine() -> (Pier, Machine) {
    let (pier, log) = new_log();
    (pier, Machine::new(log, CLUSTER, Place::default(), Board::new()))
}

/// What the network does between two members, without one.
pub(super) fn carry(from: &EventLog, to: &EventLog) -> io::Result<Box<CompleteEpoch>> {
    let snapshot = from
        .snapshot()
        .map_err(other)?
        .ok_or_else(|| io::Error::other("nothing to carry"))?;
    let epoch_dir = to.epoch_dir(EventNumber::ZERO);
    let pier = epoch_dir
        .ancestors()
        .nth(3)
        .expect("an epoch lies three below the pier");
    let mut incoming =
        IncomingEpoch::begin(pier, snapshot.head().clone(), Arc::new(NoFaults)).map_err(other)?;
    let events = snapshot
        .read_events(snapshot.head().epoch.next(), 1000, 1 << 20)
        .map_err(other)?;
    incoming.append(&events).map_err(other)?;
    Ok(Box::new(incoming.complete().map_err(other)?))
}

struct Builder;

impl StoreBuilder<TypeConfig, RaftLog, Machine, Pier> for Builder {
    async fn build(&self) -> Result<(Pier, RaftLog, Machine), StorageError<TypeConfig>> {
        let (pier, machine) = new_machine();
        let options = RaftLogOptions {
            journal_bytes: 64 * 1024,
            ..RaftLogOptions::new(Alarm::new())
        };
        let log = RaftLog::open(&pier.lock, MemberId(1), options).unwrap();
        Ok((pier, log, machine))
    }
}

#[tokio::test]
async fn openraft_s_suite_over_both_stores() {
    Suite::test_all(Builder).await.unwrap();
}

fn entry(term: u64, index: u64, payload: Payload) -> Entry {
    Entry::new(log_id(Term(term), index), payload)
}

fn events(term: u64, first: u64, count: u64) -> Payload {
    let events = (first..first + count).map(|number| Event {
        number: EventNumber(number),
        mug: Mug(number as u32),
        jam: Bytes::from(format!("event {number} of term {term}")),
    });
    Payload::Normal(Command::Events {
        proposer: Term(term),
        batch: Batch::new(events.collect()).unwrap(),
    })
}

async fn apply(machine: &mut Machine, entries: impl IntoIterator<Item = Entry>) -> io::Result<()> {
    let entries: Vec<io::Result<EntryResponder<TypeConfig>>> =
        entries.into_iter().map(|entry| Ok((entry, None))).collect();
    machine.apply(stream::iter(entries)).await
}

/// A history with an office that lost its place: what its leader proposed twice, out of turn and too late.
fn troubled() -> Vec<Entry> {
    vec![
        entry(1, 1, Payload::Blank),
        entry(1, 2, events(1, 1, 3)),
        entry(1, 3, events(1, 1, 3)),
        entry(1, 4, events(1, 5, 2)),
        entry(2, 5, Payload::Blank),
        entry(2, 6, events(2, 4, 2)),
        entry(2, 7, events(1, 6, 1)),
        entry(2, 8, events(2, 7, 1)),
    ]
}

#[tokio::test]
async fn a_batch_that_does_not_follow_is_skipped_by_all_alike() {
    let mut histories = Vec::new();
    for at_once in [1, 3, 100] {
        let (_pier, mut machine) = new_machine();
        for entries in troubled().chunks(at_once) {
            apply(&mut machine, entries.to_vec()).await.unwrap();
        }
        assert_eq!(machine.last, EventNumber(7));
        assert_eq!(machine.board.skips.load(Ordering::Relaxed), 2);
        assert_eq!(
            *machine.board.ended.borrow(),
            Term(1),
            "the office whose batch was skipped is over"
        );
        assert_eq!(
            *machine.board.committed.borrow(),
            Commit {
                event: EventNumber(7),
                term: Term(2)
            }
        );
        histories.push(machine.log.read(EventNumber(1), 100, 1 << 20).unwrap());
    }
    assert!(histories.windows(2).all(|pair| pair[0] == pair[1]));
}

#[tokio::test]
async fn an_office_s_barrier_is_the_last_event_of_those_before() {
    let (_pier, mut machine) = new_machine();
    apply(
        &mut machine,
        [entry(1, 1, Payload::Blank), entry(1, 2, events(1, 1, 4))],
    )
    .await
    .unwrap();
    assert_eq!(
        *machine.board.begun.borrow(),
        Begun {
            term: Term(1),
            barrier: EventNumber(0)
        }
    );
    // In one go with its first events, as on a member that catches up.
    apply(
        &mut machine,
        [entry(3, 3, Payload::Blank), entry(3, 4, events(3, 5, 1))],
    )
    .await
    .unwrap();
    assert_eq!(
        *machine.board.begun.borrow(),
        Begun {
            term: Term(3),
            barrier: EventNumber(4)
        }
    );
}

#[tokio::test]
async fn events_and_their_place_reach_the_disk_together() {
    let (pier, mut machine) = new_machine();
    let nodes = BTreeMap::from([(MemberId(1), Peer { address: None })]);
    let membership = Membership::new(vec![BTreeSet::from([MemberId(1)])], nodes).unwrap();
    let first = entry(0, 0, Payload::Membership(membership.clone()));
    apply(
        &mut machine,
        [first, entry(1, 1, events(1, 1, 4)), entry(1, 2, Payload::Blank)],
    )
    .await
    .unwrap();
    machine.log.close().await.unwrap();
    let options = EventLogOptions {
        map_bytes: 1 << 28,
        vere_version: "3.5".to_owned(),
        alarm: Alarm::new(),
        faults: Arc::new(NoFaults),
    };
    let opened = EventLog::open(&pier.lock, options).unwrap().unwrap();
    let place = Place::read(&opened.applied.unwrap().raft).unwrap();
    assert_eq!(opened.log.last(), EventNumber(4));
    assert_eq!(place.applied, Some(log_id(Term(1), 2)));
    assert_eq!(place.membership.membership(), &membership);
    assert!(pier.dir.path().exists());
}

#[tokio::test]
async fn another_cluster_s_log_is_not_applied() {
    let genesis = |ship, cluster, baseline| {
        Payload::Normal(Command::Genesis {
            ship,
            cluster,
            baseline: EventNumber(baseline),
        })
    };
    let (_pier, mut machine) = new_machine();
    apply(&mut machine, [entry(1, 1, genesis(SHIP, CLUSTER, 0))])
        .await
        .unwrap();
    let strangers = [
        genesis(ShipIdentity { who: 1, ..SHIP }, CLUSTER, 0),
        genesis(SHIP, ClusterId(8), 0),
        genesis(SHIP, CLUSTER, 5),
    ];
    for stranger in strangers {
        apply(&mut machine, [entry(1, 2, stranger)]).await.unwrap_err();
    }
}
