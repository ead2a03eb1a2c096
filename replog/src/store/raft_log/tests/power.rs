//! A power cut in every commit: pages unsynced, torn, in any order.

use super::*;
use crate::store::torn::{Camera, torn};

/// All that a log says of itself.
async fn contents(file: &[u8]) -> (Option<Vote>, Option<LogId>, Option<LogId>, Vec<Entry>) {
    let dir = crate::store::fast_dir();
    std::fs::write(dir.path().join("data.mdb"), file).unwrap();
    let log = open(&dir);
    let vote = log.clone().get_log_reader().await.read_vote().await.unwrap();
    let (purged, last) = ends(&log).await;
    let entries = read(&log, ..).await;
    log.close().await.unwrap();
    (vote, purged, last, entries)
}

#[tokio::test]
async fn t10_a_commit_is_there_whole_or_not_at_all() {
    let dir = crate::store::fast_dir();
    let camera = Arc::new(Camera::default());
    let options = RaftLogOptions {
        faults: Arc::<Camera>::clone(&camera),
        ..options()
    };
    let mut log = RaftLog::open_in(dir.path(), MEMBER, options).unwrap();
    log.save_vote(&Vote::new(Term(1), MEMBER)).await.unwrap();
    append(&mut log, entries(1, 0..20)).await;
    append(&mut log, vec![sized(1, 20, 30_000), entry(1, 21)]).await;
    log.truncate_after(Some(log_id(Term(1), 15))).await.unwrap();
    append(&mut log, entries(2, 16..40)).await;
    log.purge(log_id(Term(1), 10)).await.unwrap();
    for index in 40..60 {
        append(&mut log, entries(2, index..index + 1)).await;
    }
    log.save_vote(&Vote::new(Term(3), MEMBER)).await.unwrap();
    log.close().await.unwrap();
    let commits = camera.commits();
    assert!(commits.len() > 20, "{} commits", commits.len());
    for (nth, (before, after)) in commits.iter().enumerate() {
        let (old, new) = (contents(before).await, contents(after).await);
        for state in torn(before, after, 6) {
            assert!(contents(&state).await == old, "commit {nth}");
        }
        if nth > 0 {
            assert!(
                new.3.len() != old.3.len() || new != old,
                "commit {nth} changes something"
            );
        }
    }
}
