//! A cluster of one: no listener, no election to wait for, the same code.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod cluster;

use cluster::{SHIP, all, batch, committed, config, event, led};
use replog::{Config, ProposeError, ReadError, Replog, Role, Start, Term};
use seguro_event::EventNumber;
use std::time::Duration;

#[tokio::test]
async fn a_new_ship_is_founded_and_goes_on_after_a_restart() {
    cluster::trace();
    let pier = tempfile::tempdir().unwrap();
    let log = Replog::open(config(pier.path(), &[], None, Start::Found { genesis: SHIP }))
        .await
        .unwrap();
    let (term, barrier) = led(&log).await;
    assert_eq!(barrier, EventNumber(0));
    assert_eq!(log.identity(), Some(SHIP));
    for first in (1..=100).step_by(10) {
        log.propose(term, batch(first, 10, 100)).await.unwrap();
    }
    committed(&log, 100).await;
    assert!(log.lease_holds(term));
    log.confirm_office(term).await.unwrap();
    assert_eq!(log.committed().borrow().term, term);
    assert_eq!(log.read(EventNumber(50), 1, 1).await.unwrap(), [event(50, 100)]);
    log.make_durable(EventNumber(100)).await.unwrap();
    assert_eq!(log.status().durable, EventNumber(100));
    log.close().await.unwrap();

    let log = Replog::open(config(pier.path(), &[], None, Start::Resume))
        .await
        .unwrap();
    let (again, barrier) = led(&log).await;
    assert!(again > term, "a term is one office");
    assert_eq!(barrier, EventNumber(100));
    assert_eq!(log.identity(), Some(SHIP));
    log.propose(again, batch(101, 1, 100)).await.unwrap();
    committed(&log, 101).await;
    assert_eq!(
        all(&log).await,
        (1..=101).map(|n| event(n, 100)).collect::<Vec<_>>()
    );
    log.close().await.unwrap();
}

#[tokio::test]
async fn a_start_waits_for_no_election() {
    let pier = tempfile::tempdir().unwrap();
    let never = |start| Config {
        election_timeout_min: 2 * cluster::PATIENCE,
        election_timeout_max: 3 * cluster::PATIENCE,
        ..config(pier.path(), &[], None, start)
    };
    let log = Replog::open(never(Start::Found { genesis: SHIP })).await.unwrap();
    led(&log).await;
    log.close().await.unwrap();
    let log = Replog::open(never(Start::Resume)).await.unwrap();
    led(&log).await;
    log.close().await.unwrap();
}

#[tokio::test]
async fn a_batch_that_does_not_follow_ends_the_office() {
    let pier = tempfile::tempdir().unwrap();
    let log = Replog::open(config(pier.path(), &[], None, Start::Found { genesis: SHIP }))
        .await
        .unwrap();
    let (term, _) = led(&log).await;
    log.propose(term, batch(1, 2, 10)).await.unwrap();
    // A hole: skipped, and nothing of this office can be applied after it.
    log.propose(term, batch(4, 1, 10)).await.unwrap();
    let mut role = log.role();
    role.wait_for(|role| !matches!(role, Role::Leader { term: t, .. } if *t == term))
        .await
        .unwrap();
    assert!(!log.lease_holds(term));
    assert_eq!(
        log.propose(term, batch(3, 1, 10)).await,
        Err(ProposeError::NotLeader(term))
    );
    let (next, barrier) = led(&log).await;
    assert!(next > term);
    assert_eq!(barrier, EventNumber(2));
    log.propose(next, batch(3, 1, 10)).await.unwrap();
    committed(&log, 3).await;
    log.close().await.unwrap();
}

#[tokio::test]
async fn what_is_not_there_is_an_error() {
    let pier = tempfile::tempdir().unwrap();
    let log = Replog::open(config(pier.path(), &[], None, Start::Found { genesis: SHIP }))
        .await
        .unwrap();
    let (term, _) = led(&log).await;
    assert_eq!(log.read(EventNumber(1), 10, 10).await.unwrap(), []);
    assert!(matches!(
        log.read(EventNumber(2), 10, 10).await,
        Err(ReadError::NotCommitted { .. })
    ));
    assert_eq!(
        log.propose(Term(term.0 + 1), batch(1, 1, 10)).await,
        Err(ProposeError::NotLeader(Term(term.0 + 1)))
    );
    assert!(!log.lease_holds(Term(term.0 + 1)));
    log.close().await.unwrap();
    let again = Replog::open(config(pier.path(), &[], None, Start::Found { genesis: SHIP })).await;
    assert!(again.unwrap_err().to_string().contains("holds a ship already"));
    let empty = tempfile::tempdir().unwrap();
    let none = Replog::open(config(empty.path(), &[], None, Start::Resume)).await;
    assert!(none.unwrap_err().to_string().contains("holds no ship"));
}

#[tokio::test]
async fn a_dropped_handle_frees_the_pier() {
    let pier = tempfile::tempdir().unwrap();
    let log = Replog::open(config(pier.path(), &[], None, Start::Found { genesis: SHIP }))
        .await
        .unwrap();
    let (term, _) = led(&log).await;
    log.propose(term, batch(1, 5, 10)).await.unwrap();
    committed(&log, 5).await;
    drop(log);
    let reopened = cluster::until("the pier is free", || async {
        Replog::open(config(pier.path(), &[], None, Start::Resume))
            .await
            .ok()
    });
    let log = tokio::time::timeout(Duration::from_secs(20), reopened)
        .await
        .unwrap();
    let (_, barrier) = led(&log).await;
    assert_eq!(
        barrier,
        EventNumber(5),
        "what was committed is there, though nothing was closed"
    );
    log.close().await.unwrap();
}
