//! A power cut in every commit: pages unsynced, torn, in any order.

use super::*;
use crate::store::torn::{Camera, Files, torn};

/// All that a log says of itself, with these files for its epoch's.
async fn contents(pier: &Path, files: &Files) -> (Option<Applied>, Vec<Event>) {
    let dir = crate::store::fast_dir();
    copy_pier(pier, dir.path());
    for (name, bytes) in files {
        fs::write(dir.path().join(".urb/log/0i0").join(name), bytes).unwrap();
    }
    let lock = PierLock::acquire(dir.path()).unwrap();
    let opened = open(&lock);
    assert_eq!(opened.foreign, None);
    let events = all(&opened.log);
    opened.log.close().await.unwrap();
    (opened.applied, events)
}

#[tokio::test]
async fn t10_events_and_their_record_are_there_together_or_not_at_all() {
    let dir = crate::store::fast_dir();
    let pier = PierLock::acquire(dir.path()).unwrap();
    let camera = Arc::new(Camera::default());
    let log = EventLog::create(&pier, &SHIP, options_with(Arc::<Camera>::clone(&camera))).unwrap();
    for round in 0..12 {
        log.append(&events(round * 10 + 1, round * 10 + 10), raft(round))
            .await
            .unwrap();
        log.sync().await.unwrap();
    }
    log.append(&[sized(121, 40_000), event(122)], raft(12))
        .await
        .unwrap();
    log.close().await.unwrap();
    let commits = camera.commits();
    assert_eq!(commits.len(), 13);
    for (nth, commit) in commits.iter().enumerate() {
        let (old, new) = (
            contents(dir.path(), &commit.before).await,
            contents(dir.path(), &commit.after).await,
        );
        assert_eq!(old.1.len(), nth * 10);
        assert_eq!(new.0.unwrap().event().0, new.1.len() as u64);
        for state in torn(commit, 4) {
            assert!(contents(dir.path(), &state).await == old, "commit {nth}");
        }
    }
}
