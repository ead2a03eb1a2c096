//! A network of its own for a ship's members: a namespace each, and this process between them, which can cut, lose and hold back.
//!
//! In its namespace a member has a TUN device. What it sends to another comes to this process as IP packets, which goes on
//! with them as the [`Link`] between the two says. So it needs neither a bridge nor a kernel with `netem`, and each
//! direction is a matter of its own. The host's own interfaces are not touched.

use crate::nemesis::Dice;
use anyhow::{Context, bail, ensure};
use nix::{
    sched::{CloneFlags, setns},
    sys::signal::kill,
    unistd::{Pid, geteuid},
};
use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};
use tun_tap::{Iface, Mode};

/// Where `ip netns` keeps its names.
const NAMES: &str = "/run/netns";
/// What the names of ours begin with; the number of the process that made it, and a count, follow.
const PREFIX: &str = "seguro-";
/// Where TUN devices come from.
const TUN: &str = "/dev/net/tun";
/// The device in each namespace.
const DEVICE: &str = "raft0";
/// The port of every member: nobody else is in its namespace.
const PORT: u16 = 7000;
/// The largest packet: a device's default.
const PACKET_BYTES: usize = 1500;
/// Packets that are held back at a time; more are lost, as in any router.
const HELD_PACKETS: usize = 16 * 1024;
/// How long a packet may wait for a slow link to be free; who would wait longer is lost.
const QUEUE: Duration = Duration::from_millis(400);

/// What happens to packets on their way from one member to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// None arrives, nor what was on its way.
    pub cut: bool,
    /// How long each takes,
    pub delay: Duration,
    /// more or less by up to this: some overtake others.
    pub jitter: Duration,
    /// How many of a hundred are lost.
    pub loss_percent: u64,
    /// How many bytes pass in a second; None is as many as come.
    pub bytes_per_second: Option<u64>,
}

impl Link {
    /// Nothing passes.
    pub const CUT: Link = Link {
        cut: true,
        ..Link::GOOD
    };
    /// Everything passes at once.
    pub const GOOD: Link = Link {
        cut: false,
        delay: Duration::ZERO,
        jitter: Duration::ZERO,
        loss_percent: 0,
        bytes_per_second: None,
    };
}

/// What this machine lacks to have such networks; None when it has all.
#[must_use]
pub fn missing() -> Option<String> {
    if !geteuid().is_root() {
        return Some("network namespaces: only root makes them".into());
    }
    if let Err(error) = ip(&["-V"]) {
        return Some(format!("Debian's iproute2: {error:#}"));
    }
    if let Err(error) = File::options().read(true).write(true).open(TUN) {
        return Some(format!("TUN devices: {TUN}: {error}"));
    }
    let error = Namespace::new().err()?;
    Some(format!("network namespaces: {error:#}"))
}

/// Whether there is all that the test of this name needs for a network of its own; says so where there is not.
#[must_use]
pub fn needs_network(test: &str) -> bool {
    let missing = missing();
    if let Some(missing) = &missing {
        eprintln!("{test}: NOT RUN: it needs {missing}");
    }
    missing.is_none()
}

fn ip(words: &[&str]) -> anyhow::Result<()> {
    let output = Command::new("ip")
        .args(words)
        .output()
        .context("`ip` cannot be run")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ip {}: {}", words.join(" "), said.trim());
    Ok(())
}

/// A network namespace, which is removed when this is dropped.
#[derive(Debug)]
struct Namespace(String);

impl Namespace {
    fn new() -> anyhow::Result<Namespace> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let (process, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let name = format!("{PREFIX}{process}-{count}");
        ip(&["netns", "add", &name])?;
        let namespace = Namespace(name);
        ip(&["-n", &namespace.0, "link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    /// What `work` gives when it is done by a thread in this namespace; sockets and devices that it opens stay there.
    fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> anyhow::Result<T> {
        let file = File::open(Path::new(NAMES).join(&self.0))?;
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| -> anyhow::Result<T> {
                setns(&file, CloneFlags::CLONE_NEWNET)?;
                Ok(work())
            });
            thread
                .join()
                .unwrap_or_else(|_| bail!("what ran in the namespace panicked"))
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = ip(&["netns", "del", &self.0]);
    }
}

/// Removes what test processes left that were killed.
fn remove_left_behind() {
    let names = fs::read_dir(NAMES).into_iter().flatten().flatten();
    for name in names.filter_map(|entry| entry.file_name().into_string().ok()) {
        let process = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split('-').next()?.parse().ok());
        if process.is_some_and(|process| kill(Pid::from_raw(process), None).is_err()) {
            drop(Namespace(name));
        }
    }
}

/// One direction between two members.
#[derive(Clone, Copy, Debug)]
struct Way {
    link: Link,
    /// When what was sent so far has passed, where so many bytes pass in a second.
    free: Instant,
}

/// What is to be done with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Lost,
    Now,
    At(Instant),
}

impl Way {
    fn judge(&mut self, bytes: usize, now: Instant, dice: &mut Dice) -> Verdict {
        let link = self.link;
        if link.cut || dice.below(100) < link.loss_percent {
            return Verdict::Lost;
        }
        let mut due = now;
        if let Some(rate) = link.bytes_per_second {
            let free = self.free.max(now);
            if free > now + QUEUE {
                return Verdict::Lost;
            }
            self.free =
                free + Duration::from_secs(bytes as u64) / u32::try_from(rate).unwrap_or(u32::MAX).max(1);
            due = self.free;
        }
        due += (link.delay + dice.time(2 * link.jitter)).saturating_sub(link.jitter);
        if due > now { Verdict::At(due) } else { Verdict::Now }
    }
}

/// A packet that is held back, the next one first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Held {
    due: Instant,
    from: usize,
    to: usize,
    packet: Vec<u8>,
}

/// What all threads of a network share.
struct Router {
    devices: Vec<Iface>,
    /// By sender, then receiver.
    ways: Mutex<(Vec<Vec<Way>>, Dice)>,
}

impl Router {
    fn ways(&self) -> MutexGuard<'_, (Vec<Vec<Way>>, Dice)> {
        self.ways.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what member `from` sends, until its device is gone.
    fn take(&self, from: usize, held: &mpsc::SyncSender<Held>) {
        let mut buffer = [0; PACKET_BYTES];
        while let Ok(length) = self.devices[from].recv(&mut buffer) {
            let packet = &buffer[..length];
            let Some(to) = destination(packet).filter(|to| *to < self.devices.len()) else {
                continue;
            };
            let verdict = {
                let (ways, dice) = &mut *self.ways();
                ways[from][to].judge(length, Instant::now(), dice)
            };
            match verdict {
                Verdict::Lost => {}
                Verdict::Now => self.give(to, packet),
                Verdict::At(due) => {
                    let packet = packet.to_vec();
                    // A full queue loses it.
                    let _ = held.try_send(Held {
                        due,
                        from,
                        to,
                        packet,
                    });
                }
            }
        }
    }

    /// Gives packets that were held back, when they are due, until nobody sends any.
    fn give_held(&self, incoming: &mpsc::Receiver<Held>) {
        let mut waiting = BinaryHeap::new();
        loop {
            let due = waiting.peek().map(|Reverse(Held { due, .. })| *due);
            let wait = due.map_or(Duration::MAX, |due| due.saturating_duration_since(Instant::now()));
            match incoming.recv_timeout(wait) {
                Ok(held) if waiting.len() < HELD_PACKETS => waiting.push(Reverse(held)),
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    if let Some(Reverse(Held { from, to, packet, .. })) = waiting.pop()
                        && !self.ways().0[from][to].link.cut
                    {
                        self.give(to, &packet);
                    }
                }
            }
        }
    }

    fn give(&self, to: usize, packet: &[u8]) {
        // A device that is being removed takes none.
        let _ = self.devices[to].send(packet);
    }
}

fn host(member: usize) -> anyhow::Result<Ipv4Addr> {
    Ok(Ipv4Addr::new(10, 77, 0, u8::try_from(member + 1)?))
}

/// The member that an IPv4 packet is for.
fn destination(packet: &[u8]) -> Option<usize> {
    let [first, ..] = packet else { return None };
    let address = packet.get(16..20)?;
    (first >> 4 == 4 && address.starts_with(&[10, 77, 0]))
        .then(|| usize::from(address[3]).checked_sub(1))
        .flatten()
}

/// A network between members; its namespaces are removed when this is dropped.
pub struct Network {
    router: Arc<Router>,
    threads: Vec<JoinHandle<()>>,
    namespaces: Vec<Namespace>,
}

impl std::fmt::Debug for Network {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Network").field(&self.namespaces).finish()
    }
}

impl Network {
    /// A network of so many members, in which everything passes; `seed` decides what is lost later, as far as the order of
    /// packets does not.
    ///
    /// # Errors
    /// When it cannot be made; see [`missing`].
    pub fn new(members: usize, seed: u64) -> anyhow::Result<Network> {
        remove_left_behind();
        let (mut namespaces, mut devices) = (Vec::new(), Vec::new());
        for member in 0..members {
            let namespace = Namespace::new()?;
            let device = namespace.within(|| Iface::without_packet_info(DEVICE, Mode::Tun))?;
            devices.push(device.with_context(|| format!("a TUN device in {}", namespace.0))?);
            let (name, address) = (namespace.0.as_str(), format!("{}/24", host(member)?));
            ip(&["-n", name, "addr", "add", &address, "dev", DEVICE])?;
            ip(&["-n", name, "link", "set", DEVICE, "up"])?;
            namespaces.push(namespace);
        }
        let free = Instant::now();
        let ways = vec![
            vec![
                Way {
                    link: Link::GOOD,
                    free
                };
                members
            ];
            members
        ];
        let router = Arc::new(Router {
            devices,
            ways: Mutex::new((ways, Dice::new(seed))),
        });
        let (holding, held) = mpsc::sync_channel(HELD_PACKETS);
        let mut threads = Vec::new();
        for member in 0..members {
            let (router, holding) = (router.clone(), holding.clone());
            threads.push(std::thread::spawn(move || router.take(member, &holding)));
        }
        let shared = router.clone();
        threads.push(std::thread::spawn(move || shared.give_held(&held)));
        Ok(Network {
            router,
            threads,
            namespaces,
        })
    }

    /// Where a member's peers reach it.
    ///
    /// # Errors
    /// When there are too many members for a network's addresses.
    pub fn address(&self, member: usize) -> anyhow::Result<SocketAddr> {
        Ok((host(member)?, PORT).into())
    }

    /// What a thread does that stands where `member` does; sockets that it opens stay there.
    ///
    /// # Errors
    /// When the thread cannot be put there.
    pub fn within<T: Send>(&self, member: usize, work: impl FnOnce() -> T + Send) -> anyhow::Result<T> {
        self.namespaces[member].within(work)
    }

    /// A program, written to `directory`, that is `program` where `member` stands: the same process, by `exec`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn program(&self, member: usize, program: &Path, directory: &Path) -> anyhow::Result<PathBuf> {
        let path = directory.join(format!("{}.sh", member + 1));
        let text = format!(
            "#!/bin/sh\nexec ip netns exec {} '{}' \"$@\"\n",
            self.namespaces[member].0,
            program.display()
        );
        fs::write(&path, text).with_context(|| format!("the file {}", path.display()))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        Ok(path)
    }

    /// The link from one member to another, that way only, is like this from now on.
    pub fn one_way(&self, from: usize, to: usize, link: Link) {
        self.router.ways().0[from][to].link = link;
    }

    /// The links between two members, both ways.
    pub fn between(&self, one: usize, other: usize, link: Link) {
        self.one_way(one, other, link);
        self.one_way(other, one, link);
    }

    /// All links from a member: it is heard so.
    pub fn outward(&self, member: usize, link: Link) {
        (0..self.namespaces.len()).for_each(|other| self.one_way(member, other, link));
    }

    /// All links to a member: it hears so.
    pub fn inward(&self, member: usize, link: Link) {
        (0..self.namespaces.len()).for_each(|other| self.one_way(other, member, link));
    }

    /// All links of a member, both ways.
    pub fn around(&self, member: usize, link: Link) {
        self.outward(member, link);
        self.inward(member, link);
    }

    /// Everything passes again. What was held back still arrives when it was to.
    pub fn heal(&self) {
        (0..self.namespaces.len()).for_each(|member| self.outward(member, Link::GOOD));
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // A device that is gone ends the wait for its packets. One that cannot be removed would be waited for for ever.
        let stuck = self
            .namespaces
            .iter()
            .filter(|namespace| ip(&["-n", &namespace.0, "link", "del", DEVICE]).is_err())
            .count();
        if stuck == 0 {
            self.threads.drain(..).for_each(|thread| drop(thread.join()));
        }
    }
}
