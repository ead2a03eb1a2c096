//! A power cut in every commit: pages unsynced, torn, in any order.

use super::*;
use crate::store::torn::{Camera, Files, torn};

/// All that a log says of itself.
async fn contents(files: &Files) -> (Option<Vote>, Option<LogId>, Option<LogId>, Vec<Entry>) {
    let dir = crate::store::fast_dir();
    for (name, bytes) in files {
        std::fs::write(dir.path().join(name), bytes).unwrap();
    }
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
    append(&mut log, vec![sized(1, 20, 80_000), entry(1, 21)]).await;
    log.truncate_after(Some(log_id(Term(1), 15))).await.unwrap();
    append(&mut log, entries(2, 16..40)).await;
    log.purge(log_id(Term(1), 10)).await.unwrap();
    for index in 40..60 {
        append(&mut log, entries(2, index..index + 1)).await;
    }
    log.save_vote(&Vote::new(Term(3), MEMBER)).await.unwrap();
    log.close().await.unwrap();
    let commits = camera.commits();
    let journaled = commits.iter().filter(|commit| commit.file == "journal").count();
    assert!(
        journaled > 20 && commits.len() - journaled > 2,
        "{} commits, {journaled} of them in the journal",
        commits.len()
    );
    for (nth, commit) in commits.iter().enumerate() {
        let (old, new) = (contents(&commit.before).await, contents(&commit.after).await);
        let states = torn(commit, 6);
        let all = states.len() - 1;
        for (so_far, state) in states.iter().enumerate() {
            let found = contents(state).await;
            // All that is not zero of a record, not synced yet: it is as if it were, and nobody has been told.
            let whole = commit.file == "journal" && found == new;
            assert!(whole || found == old, "commit {nth}");
            assert!(whole || so_far < all || commit.file != "journal", "commit {nth}");
        }
        if commit.file == "journal" {
            assert!(new != old, "commit {nth} changes something");
        }
    }
}
