//! No room: a map that is used up, a disk that is full. What was acknowledged is there, and the exit code tells.

use super::*;
use crate::store::failure::EXIT_FULL;
use std::process::Command as Process;

/// Appends until it fails; how many entries were acknowledged.
async fn fill(log: &mut RaftLog, mut acknowledged: impl FnMut(u64)) -> (u64, io::Error) {
    let mut index = 0;
    loop {
        match log.blocking_append([sized(1, index, 20_000)]).await {
            Ok(()) => acknowledged(index),
            Err(error) => return (index, io::Error::other(error)),
        }
        index += 1;
    }
}

#[tokio::test]
async fn t10_a_full_map_is_a_clean_stop() {
    let (dir, mut log) = new_log();
    let failures = log.shared.health.clone();
    let (count, error) = fill(&mut log, |_| ()).await;
    assert!(error.to_string().contains("larger map"), "{error}");
    assert_eq!(failures.check().unwrap_err().exit_code(), EXIT_FULL);
    log.close().await.unwrap_err();
    let options = RaftLogOptions {
        map_bytes: 2 * MIN_MAP_BYTES,
        ..options()
    };
    let mut log = RaftLog::open_in(dir.path(), MEMBER, options).unwrap();
    assert_eq!(read(&log, ..).await.len() as u64, count);
    append(&mut log, vec![sized(1, count, 20_000)]).await;
}

/// Fills a log in a process whose files may not grow far, and says how far it got.
#[tokio::test]
#[ignore = "run by the test below, in a process of its own"]
async fn child_fills() {
    let dir = std::env::var("RAFT_LOG_CHILD").unwrap();
    let mut log = RaftLog::open_in(Path::new(&dir), MEMBER, options()).unwrap();
    let health = log.shared.health.clone();
    let (count, error) = fill(&mut log, |_| ()).await;
    println!("{error}");
    println!("count {count} code {}", health.check().unwrap_err().exit_code());
}

#[tokio::test]
async fn t11_a_full_disk_is_a_clean_stop() {
    let dir = tempfile::tempdir().unwrap();
    let script = "trap '' XFSZ; ulimit -f 8192; exec \"$0\" \"$@\"";
    let output = Process::new("sh")
        .args(["-c", script])
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "store::raft_log::tests::full::child_fills",
            "--ignored",
            "--nocapture",
        ])
        .env("RAFT_LOG_CHILD", dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let count: u64 = said
        .lines()
        .find_map(|line| line.strip_prefix("count ")?.split(' ').next()?.parse().ok())
        .unwrap_or_else(|| panic!("{said}{}", String::from_utf8_lossy(&output.stderr)));
    assert!(
        said.contains(&format!("code {EXIT_FULL}")) && said.contains("make room"),
        "{said}"
    );
    assert!(count > 10, "{said}");
    let log = open(&dir);
    let there = read(&log, ..).await;
    assert!(there.len() as u64 >= count, "{} of {count}", there.len());
    for (index, entry) in there.iter().enumerate() {
        assert!(*entry == sized(1, index as u64, 20_000), "entry {index}");
    }
}
