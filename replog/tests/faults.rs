//! What networks and disks do to a cluster of three.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod cluster;

use cluster::{Cluster, all, batch, committed, event, led, relay::Way, until};
use replog::{OpenError, ProposeError, Role, Start, TransferError};
use seguro_event::EventNumber;
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::{sleep, timeout};

/// A leader that is alone: it is certain of nothing before another is, commits nothing, and takes the others' word in the end.
async fn a_leader_alone(way: Way) {
    let cluster = Arc::new(Cluster::start(3).await);
    let (old, term, _) = cluster.leader().await;
    cluster.propose(old, term, batch(1, 10, 100)).await;
    cluster.agree(10).await;
    // At no time may two members be certain of their office.
    let (twice, ended) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let watching = {
        let (cluster, twice, ended) = (cluster.clone(), twice.clone(), ended.clone());
        tokio::task::spawn_blocking(move || {
            while !ended.load(Ordering::SeqCst) && Arc::strong_count(&cluster) > 1 {
                let certain = |member: &replog::Replog| {
                    let Role::Leader { term, .. } = *member.role().borrow() else {
                        return false;
                    };
                    member.lease_holds(term)
                };
                // The old one last: a lease that holds after the new one's has been seen is one too many.
                let others = (0..3)
                    .filter(|nth| *nth != old)
                    .any(|nth| certain(cluster.member(nth)));
                if others && cluster.member(old).lease_holds(term) {
                    twice.store(true, Ordering::SeqCst);
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        })
    };
    cluster.isolate(old, way).await;
    // Nothing of this is committed; where the lease has run out already it is not even taken.
    let _ = cluster.member(old).propose(term, batch(11, 5, 200)).await;
    until("the lease ends", || async {
        (!cluster.member(old).lease_holds(term)).then_some(())
    })
    .await;
    let lonely = timeout(Duration::from_secs(20), cluster.member(old).confirm_office(term))
        .await
        .unwrap();
    assert_eq!(lonely, Err(ProposeError::NotLeader(term)));
    let (new, next, barrier) = cluster.leader_after(term).await;
    assert_ne!(old, new);
    assert_eq!(barrier, EventNumber(10));
    cluster.propose(new, next, batch(11, 3, 100)).await;
    committed(cluster.member(new), 13).await;
    assert_eq!(cluster.member(old).committed().borrow().event, EventNumber(10));
    cluster.isolate(old, Way::Open).await;
    cluster.agree(13).await;
    until("the old leader follows", || async {
        matches!(
            *cluster.member(old).role().borrow(),
            Role::Follower { leader: Some(_) }
        )
        .then_some(())
    })
    .await;
    ended.store(true, Ordering::SeqCst);
    watching.await.unwrap();
    assert!(
        !twice.load(Ordering::SeqCst),
        "two members were certain of their office at the same time"
    );
    assert_eq!(
        all(cluster.member(old)).await[10],
        event(11, 100),
        "the others' event, not its own"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_cut_off() {
    a_leader_alone(Way::Cut).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_network_swallows_all() {
    a_leader_alone(Way::Stalled).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_was_cut_off_does_not_disturb() {
    let cluster = Cluster::start(3).await;
    let (nth, term, _) = cluster.leader().await;
    let away = (nth + 1) % 3;
    cluster.isolate(away, Way::Cut).await;
    cluster.propose(nth, term, batch(1, 10, 100)).await;
    committed(cluster.member(nth), 10).await;
    // Long enough for it to have wanted an election several times.
    sleep(3 * replog::DEFAULT_ELECTION_TIMEOUT_MAX).await;
    cluster.isolate(away, Way::Open).await;
    cluster.agree(10).await;
    sleep(replog::DEFAULT_ELECTION_TIMEOUT_MAX).await;
    let (same, still, _) = cluster.leader().await;
    assert_eq!(
        (same, still),
        (nth, term),
        "pre-vote keeps the office from being shaken"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_frame_costs_a_connection_and_nothing_else() {
    let cluster = Cluster::start(3).await;
    let (nth, term, _) = cluster.leader().await;
    let mut next = 1;
    for round in 0..20 {
        for other in (0..3).filter(|other| *other != nth) {
            cluster.relays[nth][other].damage();
        }
        cluster.propose(nth, term, batch(next, 7, 5000)).await;
        next += 7;
        if round % 5 == 0 {
            committed(cluster.member(nth), next - 1).await;
        }
    }
    cluster.agree(next - 1).await;
    let damaged: u64 = cluster.relays[nth]
        .iter()
        .map(|relay| relay.damaged.load(Ordering::SeqCst))
        .sum();
    assert!(damaged > 2, "frames were damaged");
    assert_eq!(cluster.leader().await.1, term);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_event_does_not_shake_the_office() {
    let cluster = Cluster::start(3).await;
    let (nth, term, _) = cluster.leader().await;
    cluster.propose(nth, term, batch(1, 1, 64 << 20)).await;
    cluster.propose(nth, term, batch(2, 1, 1000)).await;
    cluster.agree(2).await;
    assert_eq!(cluster.leader().await.1, term, "the same office before and after");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn office_is_handed_over() {
    let cluster = Cluster::start(3).await;
    let (old, term, _) = cluster.leader().await;
    cluster.propose(old, term, batch(1, 50, 1000)).await;
    committed(cluster.member(old), 50).await;
    let heir = cluster
        .member(old)
        .transfer_leadership(Duration::from_secs(10))
        .await
        .unwrap();
    assert!(!cluster.member(old).lease_holds(term));
    assert_eq!(
        cluster.member(old).propose(term, batch(51, 1, 10)).await,
        Err(ProposeError::NotLeader(term))
    );
    let (new, next, barrier) = cluster.leader_after(term).await;
    assert_eq!(cluster.member(new).status().id, heir);
    assert_eq!(barrier, EventNumber(50));
    cluster.propose(new, next, batch(51, 1, 10)).await;
    cluster.agree(51).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn office_goes_to_one_that_nothing_holds_back() {
    let patience = Duration::from_secs(10);
    let cluster = Cluster::start(3).await;
    let (old, term, _) = cluster.leader().await;
    let (held, free) = ((old + 1) % 3, (old + 2) % 3);
    cluster.member(held).hold_back(true);
    cluster.member(free).hold_back(true);
    let refused = cluster.member(old).transfer_to_one_that_is_near(patience).await;
    assert!(matches!(refused, Err(TransferError::NoHeir(_))), "{refused:?}");
    // The office goes on as if it had not been asked.
    cluster.propose(old, term, batch(1, 5, 100)).await;
    committed(cluster.member(old), 5).await;
    assert_eq!(cluster.leader().await.1, term);
    cluster.member(free).hold_back(false);
    let heir = cluster.member(old).transfer_to_one_that_is_near(patience).await;
    assert_eq!(heir, Ok(cluster.member(free).status().id));
    let (new, next, _) = cluster.leader_after(term).await;
    assert_eq!(new, free);
    // One that leaves hands over to whom there is.
    cluster.member(old).hold_back(true);
    cluster.member(new).transfer_leadership(patience).await.unwrap();
    let (last, _, _) = cluster.leader_after(next).await;
    assert_ne!(last, new);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_held_back_stands_only_when_nobody_else_does() {
    let mut cluster = Cluster::start(3).await;
    let (old, term, _) = cluster.leader().await;
    let (held, free) = ((old + 1) % 3, (old + 2) % 3);
    cluster.member(held).hold_back(true);
    cluster.stop(old).await;
    let (new, next, _) = cluster.leader_after(term).await;
    assert_eq!(new, free);
    cluster.open(old, Start::Resume).await;
    cluster.member(old).hold_back(true);
    committed(cluster.member(old), 0).await;
    cluster.stop(free).await;
    cluster.leader_after(next).await;
}

// ---------------------------------------------------------------------------------------------------------------
// Disks

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn wipe(pier: &Path) {
    for entry in std::fs::read_dir(pier).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            std::fs::remove_dir_all(path).unwrap();
        } else {
            std::fs::remove_file(path).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wiped_member_is_replaced_under_a_new_name() {
    let mut cluster = Cluster::start(3).await;
    let (nth, term, _) = cluster.leader().await;
    cluster.propose(nth, term, batch(1, 20, 100)).await;
    cluster.agree(20).await;
    let gone = (nth + 1) % 3;
    let old = cluster.member(gone).status().id;
    cluster.stop(gone).await;
    wipe(cluster.piers[gone].path());
    cluster.open(gone, Start::Join).await;
    let new = cluster.member(gone).status().id;
    assert_ne!(old, new);
    until("the new one votes in the old one's place", || async {
        let members = cluster.member(nth).status().members;
        let voters: Vec<_> = members
            .iter()
            .filter(|member| member.voter)
            .map(|member| member.id)
            .collect();
        (members.len() == 3 && voters.contains(&new) && !voters.contains(&old)).then_some(())
    })
    .await;
    cluster.agree(20).await;
    // It counts: the cluster lives on with it and one other.
    let (leader, term, _) = cluster.leader().await;
    let other = (0..3).find(|nth| *nth != gone && *nth != leader).unwrap();
    cluster.stop(other).await;
    let (leader, term, _) = if leader == gone {
        cluster.leader().await
    } else {
        (leader, term, EventNumber(0))
    };
    cluster.propose(leader, term, batch(21, 1, 10)).await;
    cluster.agree(21).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_was_away_while_the_log_was_purged_gets_a_snapshot() {
    let mut cluster = Cluster::start(3).await;
    let (nth, term, _) = cluster.leader().await;
    let away = (nth + 1) % 3;
    cluster.propose(nth, term, batch(1, 20, 100)).await;
    cluster.agree(20).await;
    cluster.stop(away).await;
    cluster.propose(nth, term, batch(21, 30, 100)).await;
    committed(cluster.member(nth), 50).await;
    cluster.member(nth).make_durable(EventNumber(50)).await.unwrap();
    // The serf's image, as the king would have it saved.
    let image = cluster.piers[nth].path().join(".urb/chk");
    std::fs::create_dir_all(&image).unwrap();
    std::fs::write(image.join("north.bin"), vec![3; 3 << 20]).unwrap();
    std::fs::write(image.join("south.bin"), vec![4; 16 << 10]).unwrap();
    cluster.member(nth).roll_epoch(EventNumber(50)).await.unwrap();
    cluster.member(nth).chop_epochs(1).await.unwrap();
    cluster.propose(nth, term, batch(51, 10, 100)).await;
    committed(cluster.member(nth), 60).await;
    cluster.member(nth).purge_all().await;
    until("the log is purged", || async {
        (cluster.member(nth).status().purged_index > 3).then_some(())
    })
    .await;

    cluster.open(away, Start::Resume).await;
    let mut installed = cluster.member(away).installed();
    let snapshot = timeout(cluster::PATIENCE, installed.wait_for(Option::is_some))
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!((snapshot.nth, snapshot.image), (1, Some(EventNumber(50))));
    committed(cluster.member(away), 60).await;
    let held = cluster.member(away).epoch_image(EventNumber(50));
    assert_eq!(std::fs::read(held.join("north.bin")).unwrap(), vec![3; 3 << 20]);
    let events = cluster
        .member(away)
        .read(EventNumber(51), 100, 1 << 20)
        .await
        .unwrap();
    assert_eq!(events, (51..=60).map(|n| event(n, 100)).collect::<Vec<_>>());
    assert!(
        cluster.member(away).read(EventNumber(50), 1, 1).await.is_err(),
        "before the epoch nothing is held"
    );
    // And it goes on from there.
    cluster.propose(nth, term, batch(61, 5, 100)).await;
    committed(cluster.member(away), 65).await;
    cluster.stop(away).await;
    cluster.open(away, Start::Resume).await;
    committed(cluster.member(away), 65).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_hears_nobody_gives_up_its_office() {
    let cluster = Cluster::start(3).await;
    let (old, term, _) = cluster.leader().await;
    cluster.propose(old, term, batch(1, 10, 100)).await;
    cluster.agree(10).await;
    cluster.isolate(old, Way::Cut).await;
    // Nobody proposes anything there, and nobody tells it of another leader.
    until("the office is given up", || async {
        let role = cluster.member(old).role().borrow().clone();
        (!matches!(role, Role::Leader { .. })).then_some(())
    })
    .await;
    let (new, next, _) = cluster.leader_after(term).await;
    assert_ne!(new, old);
    cluster.propose(new, next, batch(11, 3, 100)).await;
    cluster.isolate(old, Way::Open).await;
    cluster.agree(13).await;
}

/// How often the test below starts over where the office went elsewhere: a new leader was told nothing, so it misses nothing.
const ATTEMPTS: u32 = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_whose_disk_lost_what_it_stored_must_stop() {
    for _ in 0..ATTEMPTS {
        if lie_to_a_leader().await {
            return;
        }
    }
    panic!("no leader kept its office for the time of a restart, {ATTEMPTS} times over");
}

/// Puts an old copy of a member's disk back. False if the leader that had been told of the newer one did not last.
async fn lie_to_a_leader() -> bool {
    let mut cluster = Cluster::start(3).await;
    let (nth, term, _) = cluster.leader().await;
    let liar = (nth + 1) % 3;
    cluster.propose(nth, term, batch(1, 20, 100)).await;
    cluster.agree(20).await;
    cluster.stop(liar).await;
    let old = tempfile::tempdir().unwrap();
    copy(cluster.piers[liar].path(), old.path());
    cluster.open(liar, Start::Resume).await;
    let id = cluster.member(liar).status().id;
    if cluster
        .member(nth)
        .propose(term, batch(21, 20, 100))
        .await
        .is_err()
    {
        return false;
    }
    cluster.agree(40).await;
    // It may have been committed by the other two: the leader must have this one's word for it.
    until("the leader is told", || async {
        let status = cluster.member(nth).status();
        let told = status
            .members
            .iter()
            .any(|member| member.id == id && member.matched == Some(status.last_log_index));
        (told || status.term != term).then_some(())
    })
    .await;
    cluster.stop(liar).await;
    wipe(cluster.piers[liar].path());
    copy(old.path(), cluster.piers[liar].path());
    cluster.open(liar, Start::Resume).await;
    let fatal = cluster.member(liar).fatal();
    let told = until("the lie is found, or the leader gone", || async {
        let fatal = fatal.borrow().clone();
        if fatal.is_none() && cluster.member(nth).status().term != term {
            return Some(None);
        }
        fatal.map(Some)
    })
    .await;
    let Some(told) = told else { return false };
    assert!(
        told.message.contains("does not keep what it syncs"),
        "{}",
        told.message
    );
    // The others go on.
    cluster.stop(liar).await;
    let (nth, term, _) = cluster.leader().await;
    cluster.propose(nth, term, batch(41, 1, 100)).await;
    cluster.agree(41).await;
    true
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_closed_while_it_joins_leaves_nothing_open() {
    let mut cluster = Cluster::prepare(2).await;
    // Nobody answers yet.
    cluster.open(1, Start::Join).await;
    cluster.stop(1).await;
    cluster
        .open(
            0,
            Start::Found {
                genesis: cluster::SHIP,
            },
        )
        .await;
    led(cluster.member(0)).await;
    for _ in 0..5 {
        // Closed at any point between the first word and the last.
        cluster.open(1, Start::Join).await;
        cluster.stop(1).await;
    }
    cluster.open(1, Start::Join).await;
    cluster.settled().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_and_wrong_lists_are_refused() {
    let mut cluster = Cluster::prepare(3).await;
    cluster
        .open(
            0,
            Start::Found {
                genesis: cluster::SHIP,
            },
        )
        .await;
    led(cluster.member(0)).await;
    // A machine that the founder was not given.
    let stranger = cluster::addresses(1)[0];
    let pier = tempfile::tempdir().unwrap();
    let machines = [cluster.machines[0], stranger];
    let log = replog::Replog::open(cluster::config(pier.path(), &machines, Some(1), Start::Join))
        .await
        .unwrap();
    let mut fatal = log.fatal();
    let told = timeout(cluster::PATIENCE, fatal.wait_for(Option::is_some))
        .await
        .unwrap()
        .unwrap()
        .clone()
        .unwrap();
    assert!(
        told.message.contains("not among the machines"),
        "{}",
        told.message
    );
    // A list that lacks a member.
    cluster.open(1, Start::Join).await;
    cluster.open(2, Start::Join).await;
    cluster.settled().await;
    cluster.stop(1).await;
    let short = [cluster.machines[0], cluster.machines[1]];
    // A refusal leaves nothing open: the next attempt finds the pier free.
    for _ in 0..10 {
        let resumed = replog::Replog::open(cluster::config(
            cluster.piers[1].path(),
            &short,
            Some(1),
            Start::Resume,
        ))
        .await;
        assert!(
            matches!(&resumed, Err(OpenError::Config(text)) if text.contains("not among the machines")),
            "{resumed:?}"
        );
        let none =
            replog::Replog::open(cluster::config(cluster.piers[1].path(), &[], None, Start::Resume)).await;
        assert!(
            matches!(&none, Err(OpenError::Config(text)) if text.contains("give their machines")),
            "{none:?}"
        );
    }
    let outside = ["192.0.2.1:4000".parse().unwrap(), cluster.machines[1]];
    let insecure = replog::Replog::open(cluster::config(
        cluster.piers[1].path(),
        &outside,
        Some(1),
        Start::Resume,
    ))
    .await;
    assert!(matches!(insecure, Err(OpenError::Insecure(_))));
    cluster.open(1, Start::Resume).await;
    cluster.settled().await;
}
