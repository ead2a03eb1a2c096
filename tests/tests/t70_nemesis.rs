//! A ship under one trouble after the other, drawn from a fixed seed; and one under a steady load whose epochs are dropped.

use seguro_tests::{
    nemesis::{self, Trouble},
    soak,
};
use std::time::Duration;

#[test]
fn it_keeps_its_promises_under_a_nemesis() -> anyhow::Result<()> {
    let report = nemesis::run(20, Duration::from_secs(20), |line| eprintln!("{line}"))?;
    assert!(report.troubles.len() >= 3, "several troubles came: {report:?}");
    let networks = report
        .troubles
        .keys()
        .any(|trouble| matches!(trouble, Trouble::Network(_)));
    assert_eq!(
        networks,
        report.no_network.is_none(),
        "the network was broken where it could be: {report:?}"
    );
    assert!(report.acknowledged > 100, "{report:?}");
    Ok(())
}

#[test]
fn it_keeps_its_promises_while_its_epochs_are_dropped_on_every_member() -> anyhow::Result<()> {
    // What grows is judged in longer runs: see `src/bin/soak.rs`.
    let report = soak::run(Duration::from_secs(4), 3, |line| eprintln!("{line}"))?;
    eprintln!("{report}");
    assert!(report.rolls >= 12, "all members began new ones: {report:?}");
    assert!(report.acknowledged > 100 && report.answered > 10, "{report:?}");
    Ok(())
}
