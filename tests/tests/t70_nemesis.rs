//! A ship under one trouble after the other, drawn from a fixed seed.

use seguro_tests::nemesis::{self, Trouble};
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
