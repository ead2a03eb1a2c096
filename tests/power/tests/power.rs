//! Power loss at the moments of real runs, recorded by `strace`: some of each kind. `tests/README.md` says how to look at more.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use seguro_power::{
    record::needs_recorder,
    search::{Findings, Recording},
    story::Story,
};
use std::{
    path::Path,
    process::{Command, Stdio},
};

fn record(story: Story) -> Recording {
    Recording::new(program(), story).unwrap()
}

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_recorded"))
}

fn keeps_its_promises(found: &Findings, opened: usize) {
    assert_eq!(found.opened, opened);
    assert_eq!(found.broken, 0, "{:#?}", found.told);
}

#[test]
fn t10_what_a_member_promised_is_there_after_a_power_cut() {
    if !needs_recorder("t10") {
        return;
    }
    let recording = record(Story::Ship);
    let moments = recording.moments().unwrap();
    assert!(
        moments > 400,
        "{moments} moments: the story has become shorter than it was"
    );
    keeps_its_promises(&recording.search(0..moments, 60, 1, None).unwrap(), 60);
}

#[test]
fn t20_a_raft_log_is_what_it_was_said_to_be_after_a_power_cut() {
    if !needs_recorder("t20") {
        return;
    }
    let recording = record(Story::RaftLog);
    let moments = recording.moments().unwrap();
    assert!(
        moments > 400,
        "{moments} moments: the story has become shorter than it was"
    );
    keeps_its_promises(&recording.search(0..moments, 150, 2, None).unwrap(), 150);
}

/// A process that was killed leaves what its machine has and its disk has not; the next one builds on it.
#[test]
fn t30_what_is_built_on_a_killed_process_s_files_is_there_after_a_power_cut() {
    if !needs_recorder("t30") {
        return;
    }
    for (story, from, file) in [
        (Story::RaftLog, 100, "data.mdb"),
        (Story::RaftLog, 100, "journal"),
        (Story::Ship, 300, "journal"),
    ] {
        let first = record(story);
        // Right after the last write of a commit, which is seen and not synced.
        let moment = first.unsynced_commit(from, file).unwrap();
        let second = first.after_kill(program(), moment).unwrap();
        keeps_its_promises(&second.search(0..60, 30, 3, None).unwrap(), 30);
    }
}

/// The identity's name, or that of the directory of the Raft log, is seen and not synced.
#[test]
fn t31_what_a_killed_boot_leaves_is_made_durable_by_the_next() {
    if !needs_recorder("t31") {
        return;
    }
    let first = record(Story::Ship);
    for moment in first.before_syncs_of(&["zod/.urb/raft", ""]).unwrap() {
        let second = first.after_kill(program(), moment).unwrap();
        let founded = second.first_promise().unwrap();
        keeps_its_promises(&second.search(founded..founded + 40, 20, 4, None).unwrap(), 20);
    }
}

/// A sync that is left out is missed: of a file, and of directories.
#[test]
fn t40_a_sync_that_does_not_happen_is_missed() {
    if !needs_recorder("t40") {
        return;
    }
    // A commit, and the name of a new epoch.
    for (path, nth) in [("zod/.urb/raft/journal", "5"), ("zod/.urb/log", "7")] {
        let status = Command::new(env!("CARGO_BIN_EXE_seguro-power"))
            .args(["--story", "ship", "--images", "100", "--seed", "5"])
            .args(["--without", path, "--nth", nth])
            .stderr(Stdio::null())
            .status()
            .unwrap();
        // 3: a promise was broken. A signal: LMDB met pages that it had not written.
        assert!(
            matches!(status.code(), Some(3) | None),
            "sync {nth} of {path}: {status}"
        );
    }
}
