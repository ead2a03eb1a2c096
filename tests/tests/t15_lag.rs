//! A member whose serf is far behind: it does not seek office, and what it has got it hands over.

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use seguro_tests::{Load, PATIENCE, Ship};

/// More events than a serf may lack and still let its member stand.
const FAR: usize = 2500;

#[test]
fn an_office_with_a_far_serf_is_handed_over() -> anyhow::Result<()> {
    let mut ship = Ship::new(3, &[])?;
    let leader = ship.boot()?;
    let (far, away) = ((leader + 1) % 3, (leader + 2) % 3);
    let piers: Vec<_> = (0..3).map(|index| ship.pier(index).to_owned()).collect();
    let piers: Vec<_> = piers.iter().map(std::path::PathBuf::as_path).collect();
    let serf = ship.cluster.wait("the follower's serf", PATIENCE, |cluster| {
        cluster.status(far)?.serf.pid
    })?;
    let serf = Pid::from_raw(i32::try_from(serf)?);
    // One stores what the leader sends, but its serf plays nothing; the other hears nothing.
    kill(serf, Signal::SIGSTOP)?;
    ship.cluster.signal(away, Signal::SIGSTOP)?;
    let load = Load::start(&piers, 64);
    load.more(FAR, PATIENCE)?;
    ship.cluster.kill(leader)?;
    // Only the one with the far serf has all that is committed: nobody else can be elected.
    ship.cluster.signal(away, Signal::SIGCONT)?;
    ship.cluster
        .wait("the other member to be live", PATIENCE, |cluster| {
            cluster.status(away)?.live.then_some(())
        })?;
    let status = ship.cluster.status(far).expect("it runs");
    assert!(status.offices > 0, "it was elected first: {status:?}");
    assert!(
        status.lag > FAR as u64 / 2,
        "and its serf plays nothing yet: {status:?}"
    );
    kill(serf, Signal::SIGCONT)?;
    load.more(100, PATIENCE)?;
    let outcomes = load.stop();
    ship.settle_and_judge(&outcomes)?;
    Ok(())
}
