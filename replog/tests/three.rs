//! Three members: replication, restart, failover.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod cluster;

use cluster::{Cluster, batch, committed, led};
use replog::Start;
use seguro_event::EventNumber;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_on_all_members() {
    let mut cluster = Cluster::start(3).await;
    let (nth, term, _) = cluster.leader().await;
    for first in (1..=200).step_by(5) {
        cluster.propose(nth, term, batch(first, 5, 1024)).await;
    }
    cluster.agree(200).await;
    assert!(cluster.member(nth).lease_holds(term));
    cluster.member(nth).confirm_office(term).await.unwrap();
    for nth in 0..3 {
        cluster.stop(nth).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_was_away_catches_up() {
    let mut cluster = Cluster::start(3).await;
    let (nth, term, _) = cluster.leader().await;
    let away = (nth + 1) % 3;
    cluster.propose(nth, term, batch(1, 10, 100)).await;
    cluster.agree(10).await;
    cluster.stop(away).await;
    cluster.propose(nth, term, batch(11, 500, 100)).await;
    committed(cluster.member(nth), 510).await;
    cluster.open(away, Start::Resume).await;
    cluster.agree(510).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_leads_when_the_leader_is_gone() {
    let mut cluster = Cluster::start(3).await;
    let (first, term, _) = cluster.leader().await;
    cluster.propose(first, term, batch(1, 10, 100)).await;
    committed(cluster.member(first), 10).await;
    cluster.stop(first).await;
    let (second, next, barrier) = cluster.leader().await;
    assert_ne!(first, second);
    assert!(next > term);
    assert_eq!(barrier, EventNumber(10));
    cluster.propose(second, next, batch(11, 10, 100)).await;
    cluster.open(first, Start::Resume).await;
    cluster.agree(20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_are_stopped_and_started() {
    let mut cluster = Cluster::start(3).await;
    let (nth, term, _) = cluster.leader().await;
    cluster.propose(nth, term, batch(1, 10, 100)).await;
    cluster.agree(10).await;
    for nth in 0..3 {
        cluster.stop(nth).await;
    }
    for nth in 0..3 {
        cluster.open(nth, Start::Resume).await;
    }
    let (nth, next, barrier) = cluster.leader().await;
    assert_eq!((next > term, barrier), (true, EventNumber(10)));
    cluster.propose(nth, next, batch(11, 1, 100)).await;
    cluster.agree(11).await;
    led(cluster.member(nth)).await;
}
