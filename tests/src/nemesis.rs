//! What breaks a running ship: one trouble after the other, drawn from a seed, over real processes under load.

mod disturbance;

pub use disturbance::NetworkTrouble;

use crate::{Load, PATIENCE, Ship, network};
use anyhow::{Context, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    collections::BTreeMap,
    fmt, fs,
    path::PathBuf,
    time::{Duration, Instant},
};

/// How long members are given between two troubles, at the most.
const LULL: Duration = Duration::from_millis(1500);
/// How long a member stays away, at the most.
const AWAY: Duration = Duration::from_millis(2500);
/// How long a member that came back may take until it follows or leads.
const BACK: Duration = PATIENCE;
/// How much longer a trouble of the network lasts in one of four cases, at the most: past every patience with a silent peer.
const LONG: Duration = Duration::from_secs(12);
/// Events on their way at a time.
const WINDOW: usize = 16;
/// Events that show that the ship goes on: more than may have been on their way before.
const SOME: usize = 20;

/// A trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// Of a member.
    Member(MemberTrouble),
    /// Of the network.
    Network(NetworkTrouble),
}

/// A trouble of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MemberTrouble {
    /// SIGKILL of the member that leads; it is started again.
    KillLeader,
    /// SIGKILL of another.
    KillFollower,
    /// SIGKILL of all at once.
    KillAll,
    /// SIGSTOP of the leader past its lease, then SIGCONT.
    StopLeader,
    /// SIGSTOP of another, then SIGCONT.
    StopFollower,
    /// SIGTERM of the leader: office is handed over; it is started again.
    Restart,
    /// SIGKILL of the leader's serf.
    KillSerf,
    /// A follower's serf is stopped for a while.
    StopSerf,
    /// A follower's disk is lost: it joins anew.
    Wipe,
    /// The leader begins a new epoch, and drops the old ones, while a follower is away: it needs a snapshot.
    RollWhileAway,
}

impl MemberTrouble {
    /// All of them.
    pub const ALL: [MemberTrouble; 10] = [
        MemberTrouble::KillLeader,
        MemberTrouble::KillFollower,
        MemberTrouble::KillAll,
        MemberTrouble::StopLeader,
        MemberTrouble::StopFollower,
        MemberTrouble::Restart,
        MemberTrouble::KillSerf,
        MemberTrouble::StopSerf,
        MemberTrouble::Wipe,
        MemberTrouble::RollWhileAway,
    ];
}

/// Numbers that a seed decides (splitmix64).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// By this seed.
    #[must_use]
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    /// A number below `below`.
    pub fn below(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % below.max(1)
    }

    /// A time below `most`, in whole milliseconds.
    pub(crate) fn time(&mut self, most: Duration) -> Duration {
        Duration::from_millis(self.below(u64::try_from(most.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// What a run did and found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What this machine lacks for troubles of the network; None where they came.
    pub no_network: Option<String>,
    /// How often each trouble came.
    pub troubles: BTreeMap<Trouble, usize>,
    /// The longest time from the beginning of a trouble of the network until so many events were acknowledged that the ship had
    /// gone on in spite of it, milliseconds.
    pub gone_on_ms: BTreeMap<Trouble, u128>,
    /// Events that were acknowledged.
    pub acknowledged: usize,
    /// The last event of the ship's log.
    pub last_event: u64,
    /// The longest time without an acknowledgement, milliseconds.
    pub longest_silence_ms: u128,
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (trouble, count) in &self.troubles {
            write!(formatter, "{trouble:?}: {count} times")?;
            match self.gone_on_ms.get(trouble) {
                Some(longest) => writeln!(formatter, ", the ship went on within {longest} ms")?,
                None => writeln!(formatter)?,
            }
        }
        if let Some(missing) = &self.no_network {
            writeln!(formatter, "troubles of the network: NOT RUN: they need {missing}")?;
        }
        let Report {
            acknowledged,
            last_event,
            longest_silence_ms,
            ..
        } = self;
        write!(
            formatter,
            "{acknowledged} events acknowledged, the last one {last_event}, the longest silence {longest_silence_ms} ms"
        )
    }
}

/// Breaks a ship of three members for so long, under load, then lets it heal, and holds it to its promises. Where the machine
/// permits it, they have a network of their own, which is broken too; where not, that is said, and the rest is done.
///
/// # Errors
/// The first promise that was not kept, or a ship that does not come back.
pub fn run(seed: u64, lasting: Duration, mut say: impl FnMut(&str)) -> anyhow::Result<Report> {
    let mut dice = Dice::new(seed);
    let mut report = Report {
        no_network: network::missing(),
        ..Report::default()
    };
    let mut ship = match &report.no_network {
        Some(missing) => {
            say(&format!("troubles of the network: NOT RUN: they need {missing}"));
            Ship::new(3, &[])?
        }
        None => Ship::on_network(3, &[], seed)?,
    };
    let mut troubles = MemberTrouble::ALL.map(Trouble::Member).to_vec();
    if ship.network.is_some() {
        troubles.extend(NetworkTrouble::ALL.map(Trouble::Network));
    }
    ship.boot()?;
    let piers: Vec<PathBuf> = (0..3).map(|index| ship.pier(index).to_owned()).collect();
    let piers: Vec<_> = piers.iter().map(PathBuf::as_path).collect();
    let load = Load::start(&piers, WINDOW);
    let began = Instant::now();
    while began.elapsed() < lasting {
        pause(dice.time(LULL));
        let trouble = troubles[usize::try_from(dice.below(troubles.len() as u64))?];
        say(&format!("{:>7.2} s  {trouble:?}", began.elapsed().as_secs_f64()));
        let gone_on = strike(&mut ship, &load, trouble, &mut dice).with_context(|| format!("{trouble:?}"))?;
        if let Some(took) = gone_on.map(|took| took.as_millis()) {
            let longest = report.gone_on_ms.entry(trouble).or_default();
            *longest = took.max(*longest);
        }
        *report.troubles.entry(trouble).or_default() += 1;
        // Progress between troubles, or one would hide what another did.
        load.more(SOME, PATIENCE)
            .with_context(|| format!("after {trouble:?}\n{}", ship.cluster.tails()))?;
    }
    load.more(100, PATIENCE)?;
    let outcomes = load.stop();
    report.acknowledged = outcomes.acknowledged();
    report.longest_silence_ms = outcomes.longest_silence().as_millis();
    let logs = ship.settle_and_judge(&outcomes)?;
    report.last_event = logs.last().0;
    Ok(report)
}

/// Time in which nothing is done: the load goes on meanwhile.
fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// Does it, and undoes it. Says how long it took the ship to go on in spite of it, where that was waited for.
fn strike(
    ship: &mut Ship,
    load: &Load,
    trouble: Trouble,
    dice: &mut Dice,
) -> anyhow::Result<Option<Duration>> {
    let leader = ship.cluster.wait_live(PATIENCE)?;
    let follower = (leader + 1 + usize::try_from(dice.below(2))?) % 3;
    match trouble {
        Trouble::Member(trouble) => {
            strike_member(ship, trouble, leader, follower, dice)?;
            Ok(None)
        }
        Trouble::Network(trouble) => strike_network(ship, load, trouble, leader, follower, dice),
    }
}

fn strike_network(
    ship: &mut Ship,
    load: &Load,
    trouble: NetworkTrouble,
    leader: usize,
    follower: usize,
    dice: &mut Dice,
) -> anyhow::Result<Option<Duration>> {
    let network = ship.network.as_ref().context("a network of the ship's own")?;
    disturbance::begin(network, trouble, leader, follower, dice)?;
    let began = Instant::now();
    // Two of three always speak to each other and to the clients: the ship goes on while it lasts.
    load.more(SOME, PATIENCE)
        .with_context(|| format!("while it lasts\n{}", ship.cluster.tails()))?;
    let gone_on = began.elapsed();
    pause(dice.time(AWAY));
    if dice.below(4) == 0 {
        pause(dice.time(LONG));
    }
    network.heal();
    (0..3).try_for_each(|member| back(ship, member))?;
    Ok(Some(gone_on))
}

fn strike_member(
    ship: &mut Ship,
    trouble: MemberTrouble,
    leader: usize,
    follower: usize,
    dice: &mut Dice,
) -> anyhow::Result<()> {
    let away = dice.time(AWAY);
    match trouble {
        MemberTrouble::KillLeader | MemberTrouble::KillFollower => {
            let victim = if trouble == MemberTrouble::KillLeader {
                leader
            } else {
                follower
            };
            ship.cluster.kill(victim)?;
            pause(away);
            ship.cluster.run(victim)?;
            back(ship, victim)
        }
        MemberTrouble::KillAll => {
            for member in 0..3 {
                ship.cluster.signal(member, Signal::SIGKILL)?;
            }
            for member in 0..3 {
                ship.cluster.wait_exit(member, PATIENCE)?;
            }
            for member in 0..3 {
                ship.cluster.run(member)?;
            }
            (0..3).try_for_each(|member| back(ship, member))
        }
        MemberTrouble::StopLeader | MemberTrouble::StopFollower => {
            let victim = if trouble == MemberTrouble::StopLeader {
                leader
            } else {
                follower
            };
            ship.cluster.signal(victim, Signal::SIGSTOP)?;
            pause(away);
            ship.cluster.signal(victim, Signal::SIGCONT)?;
            back(ship, victim)
        }
        MemberTrouble::Restart => {
            let status = ship.cluster.terminate(leader, PATIENCE)?;
            ensure!(
                status.success(),
                "a member that was told to leave ended with {status}"
            );
            ship.cluster.run(leader)?;
            back(ship, leader)
        }
        MemberTrouble::KillSerf => signal_serf(ship, leader, Signal::SIGKILL),
        MemberTrouble::StopSerf => {
            signal_serf(ship, follower, Signal::SIGSTOP)?;
            pause(away);
            signal_serf(ship, follower, Signal::SIGCONT)
        }
        MemberTrouble::Wipe => {
            ship.cluster.kill(follower)?;
            fs::remove_dir_all(ship.pier(follower))?;
            ship.cluster.run(follower)?;
            back(ship, follower)
        }
        MemberTrouble::RollWhileAway => {
            ship.cluster.kill(follower)?;
            // An office that ends meanwhile is no fault of the roll's.
            let _ = seguro_king::control_socket::ask_roll(ship.pier(leader), 1);
            pause(away);
            ship.cluster.run(follower)?;
            back(ship, follower)
        }
    }
}

/// Waits until a member votes and knows who leads: else the next trouble could take the quorum, which is nobody's promise.
fn back(ship: &mut Ship, member: usize) -> anyhow::Result<()> {
    ship.cluster.wait("a member to be back", BACK, |cluster| {
        let leader = cluster.live_leader()?;
        let status = cluster.status(member)?;
        let known = cluster.status(leader)?.log;
        let votes = known
            .members
            .iter()
            .any(|other| other.id == status.log.id && other.voter);
        let three = known.voters() == Some(3) && known.members.len() == 3;
        (votes && three && status.log.leader.is_some()).then_some(())
    })
}

fn signal_serf(ship: &Ship, member: usize, signal: Signal) -> anyhow::Result<()> {
    // None: it is being started; that is trouble enough.
    if let Some(pid) = ship.cluster.status(member).and_then(|status| status.serf.pid) {
        let _ = kill(Pid::from_raw(i32::try_from(pid)?), signal);
    }
    Ok(())
}
