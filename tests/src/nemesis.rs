//! What breaks a running ship: one trouble after the other, drawn from a seed, over real processes under load.

mod disturbance;

pub use disturbance::NetworkTrouble;

use crate::{
    Load, PATIENCE, Ship, acknowledged_are_there_once, archive::Archive, clocks, disk, network,
    reference_kernel,
};
use anyhow::{Context, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use seguro_king::conn_client::{Answer, ConnClient};
use serf_ipc::{Noun, n, text::da};
use std::{
    collections::BTreeMap,
    fmt,
    path::PathBuf,
    time::{Duration, Instant, SystemTime},
};

/// How long members are given between two troubles, at the most.
const LULL: Duration = Duration::from_millis(1500);
/// How long a member stays away, at the most.
const AWAY: Duration = Duration::from_millis(2500);
/// How long a member that came back may take until it follows or leads.
const BACK: Duration = PATIENCE;
/// How much longer a trouble of the network lasts in one of four cases, at the most: past every patience with a silent peer.
const LONG: Duration = Duration::from_secs(12);
/// How long a slow member rests at a time, at the most, and how long it works in between: below every patience of its peers.
const SLOW: (Duration, Duration) = (Duration::from_millis(80), Duration::from_millis(15));
/// How long a member may be at work on a snapshot when it is killed, at the most: the transfer of a small ship's is in this time.
const JOINING: Duration = Duration::from_millis(400);
/// Bytes that a full disk still has, at the most.
const ROOM: u64 = 256 << 10;
/// Seconds by which a clock is wrong, at the most, one way or the other.
const WRONG: u64 = 600;
/// How soon a timer is to come.
const TIMER: Duration = Duration::from_secs(1);
/// How long it is waited for until it is set anew: by whoever leads then, whose clock may be another.
const TIMER_PATIENCE: Duration = Duration::from_secs(10);
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
    /// The disk of one member fills, and has room again when it was away for a while.
    FullDisk,
    /// A member's clock jumps, forwards or back, and stays as it is then; a timer that is set before, and one that is set after it, come.
    WrongClock,
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
    /// The leader begins a new epoch, and drops the old ones, while a follower is away.
    RollWhileAway,
    /// A member, whichever, begins a new epoch, and drops the old ones.
    Roll,
    /// A follower's disk is lost while the leader begins a new epoch and drops the old ones: it gets a snapshot, and is killed
    /// meanwhile.
    KillJoining,
    /// SIGTERM of one after the other; each is started again, and back before the next.
    RollingRestart,
    /// A member is stopped and let go on again and again: what stands for a slow disk, where the system has no way to make one.
    Slow,
}

impl MemberTrouble {
    /// All of them.
    pub const ALL: [MemberTrouble; 14] = [
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
        MemberTrouble::Roll,
        MemberTrouble::KillJoining,
        MemberTrouble::RollingRestart,
        MemberTrouble::Slow,
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
    /// What it lacks for troubles of the disk.
    pub no_disk: Option<String>,
    /// What it lacks for troubles of the clocks.
    pub no_clocks: Option<String>,
    /// How often each trouble came.
    pub troubles: BTreeMap<Trouble, usize>,
    /// The longest time from the beginning of a trouble of the network, or of a disk, until so many events were acknowledged that the ship had
    /// gone on in spite of it, milliseconds.
    pub gone_on_ms: BTreeMap<Trouble, u128>,
    /// Events that were acknowledged.
    pub acknowledged: usize,
    /// The last event of the ship's log.
    pub last_event: u64,
    /// The longest time without an acknowledgement, milliseconds.
    pub longest_silence_ms: u128,
}

impl Report {
    /// A line for each kind of trouble that this machine cannot make.
    fn not_run(&self) -> impl Iterator<Item = String> {
        let kinds = [
            ("network", &self.no_network),
            ("disk", &self.no_disk),
            ("clocks", &self.no_clocks),
        ];
        kinds.into_iter().filter_map(|(kind, missing)| {
            let missing = missing.as_ref()?;
            Some(format!("troubles of the {kind}: NOT RUN: they need {missing}"))
        })
    }
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
        for line in self.not_run() {
            writeln!(formatter, "{line}")?;
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
/// permits it, they have a network, clocks and a disk of their own, which are broken too; where not, that is said, and the rest is done.
///
/// # Errors
/// The first promise that was not kept, or a ship that does not come back.
pub fn run(seed: u64, lasting: Duration, mut say: impl FnMut(&str)) -> anyhow::Result<Report> {
    let mut dice = Dice::new(seed);
    let mut report = Report {
        no_network: network::missing(),
        no_disk: disk::missing(),
        no_clocks: clocks::missing(),
        ..Report::default()
    };
    report.not_run().for_each(|line| say(&line));
    let mut troubles = MemberTrouble::ALL.map(Trouble::Member).to_vec();
    let peers: &[&str] = if report.no_network.is_none() {
        &["--insecure-peers"]
    } else {
        &[]
    };
    let mut ship = Ship::new(3, peers)?;
    if report.no_clocks.is_none() {
        ship.have_clocks()?;
        // As often as a member's troubles of one kind or two.
        troubles.extend([Trouble::WrongClock; 2]);
    }
    if report.no_network.is_none() {
        ship.join_network(seed)?;
        troubles.extend(NetworkTrouble::ALL.map(Trouble::Network));
    }
    if report.no_disk.is_none() {
        ship.have_disk()?;
        troubles.extend([Trouble::FullDisk; 2]);
    }
    let mut archive = Archive::default();
    ship.boot()?;
    let piers: Vec<PathBuf> = (0..3).map(|index| ship.pier(index).to_owned()).collect();
    let piers: Vec<_> = piers.iter().map(PathBuf::as_path).collect();
    let load = Load::start(&piers, WINDOW);
    let began = Instant::now();
    while began.elapsed() < lasting {
        pause(dice.time(LULL));
        let trouble = troubles[usize::try_from(dice.below(troubles.len() as u64))?];
        say(&format!("{:>7.2} s  {trouble:?}", began.elapsed().as_secs_f64()));
        let gone_on = strike(&mut ship, &load, &mut archive, trouble, &mut dice)
            .with_context(|| format!("{trouble:?}"))?;
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
    ship.stop_in_agreement()?;
    let logs = archive.complete(&ship)?;
    acknowledged_are_there_once(&logs, &outcomes)?;
    logs.dates_never_go_back()?;
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
    archive: &mut Archive,
    trouble: Trouble,
    dice: &mut Dice,
) -> anyhow::Result<Option<Duration>> {
    let leader = ship.cluster.wait_live(PATIENCE)?;
    let follower = (leader + 1 + usize::try_from(dice.below(2))?) % 3;
    match trouble {
        Trouble::Member(trouble) => {
            strike_member(ship, archive, trouble, leader, follower, dice)?;
            Ok(None)
        }
        Trouble::Network(trouble) => strike_network(ship, load, trouble, leader, follower, dice),
        Trouble::FullDisk => fill_disk(ship, load, dice).map(Some),
        Trouble::WrongClock => set_clock(ship, dice).map(|()| None),
    }
}

/// Fills the disk of the last member until it ends, and perhaps has it try again; then there is room, and it is started.
fn fill_disk(ship: &mut Ship, load: &Load, dice: &mut Dice) -> anyhow::Result<Duration> {
    let member = ship.cluster.members.len() - 1;
    let disk = ship.disk.as_ref().context("a disk of the member's own")?;
    disk.fill(dice.below(ROOM))?;
    let began = Instant::now();
    let status = ship.cluster.wait_exit(member, PATIENCE)?;
    ensure!(
        !status.success(),
        "a member whose disk was full said that all was well"
    );
    load.more(SOME, PATIENCE)
        .with_context(|| format!("while it is full\n{}", ship.cluster.tails()))?;
    let gone_on = began.elapsed();
    if dice.below(2) == 0 {
        // It ends again, at once or when it must write.
        ship.cluster.run(member)?;
        pause(dice.time(AWAY));
        if ship.cluster.is_running(member) {
            ship.cluster.kill(member)?;
        } else {
            ship.cluster.wait_exit(member, PATIENCE)?;
        }
    }
    let disk = ship.disk.as_ref().context("a disk of the member's own")?;
    disk.make_room()?;
    ship.cluster.run(member)?;
    back(ship, member)?;
    Ok(gone_on)
}

/// Sets a member's clock anew. A timer that was set before comes, and one that is set afterwards.
fn set_clock(ship: &mut Ship, dice: &mut Dice) -> anyhow::Result<()> {
    let member = usize::try_from(dice.below(3))?;
    let ahead = i64::try_from(dice.below(2 * WRONG + 1))? - i64::try_from(WRONG)?;
    // Another kernel cannot be told to set one.
    let timers = reference_kernel();
    let mut before = 0;
    if timers {
        before = wakes(ship)?;
        let _ = set_timer(ship);
    }
    let clocks = ship.clocks.as_mut().context("clocks of the members' own")?;
    clocks.set(member, ahead)?;
    pause(clocks::SEEN);
    if timers {
        a_timer_comes(ship, before).context("one that was set before")?;
        before = wakes(ship)?;
        let _ = set_timer(ship);
        a_timer_comes(ship, before).context("one that was set afterwards")?;
    }
    (0..3).try_for_each(|member| back(ship, member))
}

/// Waits until there were more timers than so many; now and then another is set, since an office may have ended.
fn a_timer_comes(ship: &mut Ship, before: u64) -> anyhow::Result<()> {
    let end = Instant::now() + PATIENCE;
    let mut anew = Instant::now() + TIMER_PATIENCE;
    while wakes(ship)? <= before {
        ensure!(
            Instant::now() < end,
            "no timer came in {} s\n{}",
            PATIENCE.as_secs(),
            ship.cluster.tails()
        );
        if Instant::now() > anew {
            let _ = set_timer(ship);
            anew = Instant::now() + TIMER_PATIENCE;
        }
        pause(Duration::from_millis(50));
    }
    Ok(())
}

/// Sets the ship's timer by the clock of the member that leads.
fn set_timer(ship: &mut Ship) -> anyhow::Result<()> {
    let leader = ship.cluster.wait_live(PATIENCE)?;
    let ahead = ship.clocks.as_ref().map_or(0, |clocks| clocks.ahead(leader));
    let due = SystemTime::now() + TIMER;
    let due = if ahead < 0 {
        due - Duration::from_secs(ahead.unsigned_abs())
    } else {
        due + Duration::from_secs(ahead.unsigned_abs())
    };
    let card = n!["wait", Noun::from_u128(da::from_system_time(due))];
    ship.client(leader)?
        .ask(1, "ovum", n!["b", n!["behn", 0u64], card])?;
    Ok(())
}

/// How many timers the reference kernel has seen.
fn wakes(ship: &mut Ship) -> anyhow::Result<u64> {
    ship.cluster
        .wait("the kernel to say how many timers came", PATIENCE, |cluster| {
            let leader = cluster.live_leader()?;
            let mut client = ConnClient::connect(&cluster.members[leader].pier).ok()?;
            client.set_patience(Some(TIMER_PATIENCE)).ok()?;
            let beam = n!["beam", "cx", n![0u64, "base", "1"], "wakes", 0u64];
            // [%peek ~ %noun count]
            match client.ask(1, "peek", n![1u64, beam]) {
                Ok(Answer::Other(answer)) => answer.slot(15)?.as_u64(),
                _ => None,
            }
        })
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
    archive: &mut Archive,
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
            archive.keep(ship.pier(follower))?;
            ship.wipe(follower)?;
            ship.cluster.run(follower)?;
            back(ship, follower)
        }
        MemberTrouble::RollWhileAway => {
            ship.cluster.kill(follower)?;
            // An office that ends meanwhile is no fault of the roll's.
            let _ = archive.roll(ship, leader)?;
            pause(away);
            ship.cluster.run(follower)?;
            back(ship, follower)
        }
        MemberTrouble::Roll => {
            let any = usize::try_from(dice.below(3))?;
            archive.roll(ship, any)?.map(drop)
        }
        MemberTrouble::KillJoining => {
            ship.cluster.kill(follower)?;
            archive.keep(ship.pier(follower))?;
            ship.wipe(follower)?;
            let _ = archive.roll(ship, leader)?;
            ship.cluster.run(follower)?;
            pause(dice.time(JOINING));
            ship.cluster.kill(follower)?;
            ship.cluster.run(follower)?;
            back(ship, follower)
        }
        MemberTrouble::RollingRestart => (0..3).try_for_each(|member| {
            let status = ship.cluster.terminate(member, PATIENCE)?;
            ensure!(
                status.success(),
                "a member that was told to leave ended with {status}"
            );
            ship.cluster.run(member)?;
            back(ship, member)
        }),
        MemberTrouble::Slow => {
            let (any, end) = (usize::try_from(dice.below(3))?, Instant::now() + 2 * away);
            while Instant::now() < end {
                ship.cluster.signal(any, Signal::SIGSTOP)?;
                pause(dice.time(SLOW.0));
                ship.cluster.signal(any, Signal::SIGCONT)?;
                pause(SLOW.1);
            }
            back(ship, any)
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
