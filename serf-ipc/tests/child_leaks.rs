//! Starting and ending many serfs leaves no thread, no open file and no zombie. In a process of its own, since it counts
//! what the process has.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may panic in its helpers too"
)]

mod common;

use common::{command, ripe, say, wait_for};
use serf_ipc::child::{ChildEvent, SerfChild};

/// How many entries a directory of `/proc/self` has.
fn count(what: &str) -> usize {
    std::fs::read_dir(format!("/proc/self/{what}")).unwrap().count()
}

#[test]
fn t10_nothing_is_left_of_serfs_that_have_ended() {
    let dir = tempfile::tempdir().unwrap();
    let sleeper = command(dir.path(), &format!("{}; exec sleep 1000", say(&[ripe(0)])));
    let (threads, files) = (count("task"), count("fd"));
    let mut pids = Vec::new();
    for round in 0..20 {
        let (sender, events) = crossbeam_channel::unbounded();
        let serf = SerfChild::spawn(&sleeper, move |event| sender.send(event).is_ok()).unwrap();
        pids.push(serf.pid());
        assert_eq!(events.recv(), Ok(ChildEvent::Plea(ripe(0))));
        if round % 2 == 0 {
            serf.kill();
            assert!(matches!(events.recv(), Ok(ChildEvent::Exited(_))));
        }
    }
    wait_for("the threads to end", || count("task") == threads);
    assert_eq!(count("fd"), files);
    for pid in pids {
        assert!(
            !std::path::Path::new(&format!("/proc/{pid}")).exists(),
            "{pid} is still there"
        );
    }
}
