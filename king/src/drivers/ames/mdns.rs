//! mDNS: tells the local network where the ship is, and the ship which others are there, each under its name as an instance of
//! `_ames._udp`. Only where `--mdns` asks for it; vere does it unasked, where the machine has avahi.
//!
//! Anybody on the local network may announce anything: what is found becomes an event only so often, and never more than the
//! ship would believe from a packet's sender. Unlike vere's king this one announces the port that the ship really has (vere's
//! says 0 unless `-p` names one), knows its own moon's or comet's announcement for its own, and a ship that speaks to this
//! machine only is announced to this machine only.

use super::{core::Core, lanes::Address, shapes};
use crate::{
    clock, console,
    drivers::udp::{Identity, cache::Cache, shared::Shared},
    limits,
    ovum::Ovum,
};
use mdns_sd::{DaemonEvent, IfKind, Receiver, ServiceDaemon, ServiceEvent, ServiceInfo};
use serf_ipc::text;
use std::{
    net::{Ipv4Addr, SocketAddrV4},
    sync::Weak,
    time::Instant,
};
use tokio::{runtime::Handle, sync::watch, task::AbortHandle};

/// The port of mDNS.
pub(super) const PORT: u16 = 5353;
/// What ships are announced as.
const SERVICE: &str = "_ames._udp.local.";
/// What stands before a fake ship's name.
const FAKE: &str = "fake-";

/// The name under which a ship is announced: without its `~`, which some parsers of URLs do not like.
pub(super) fn instance(ship: u128, is_fake: bool) -> String {
    let name = text::p::format(ship);
    let name = name.trim_start_matches('~');
    format!("{}{name}", if is_fake { FAKE } else { "" })
}

/// The ship that is announced under a service's full name, and whether it is fake.
pub(super) fn read_name(full: &str) -> Option<(u128, bool)> {
    let (instance, _) = full.split_once('.')?;
    let (name, is_fake) = match instance.strip_prefix(FAKE) {
        Some(name) => (name, true),
        None => (instance, false),
    };
    let ship = text::p::parse(&format!("~{name}")).ok()?;
    Some((ship, is_fake))
}

/// Whose announcements are heard, and what the ship was told of them.
pub(super) struct Neighbours {
    own: Identity,
    is_fake: bool,
    told: Cache<u128, Address>,
    /// When it may be told of as many at once as ever: later by a while for each that it was told of.
    full: Instant,
}

impl Neighbours {
    /// Nobody yet.
    pub(super) fn new(own: Identity, is_fake: bool, now: Instant) -> Neighbours {
        Neighbours {
            own,
            is_fake,
            told: Cache::new(limits::MDNS_SHIPS),
            full: now,
        }
    }

    /// A service was found, or is somewhere else now. What to tell the ship.
    pub(super) fn found(
        &mut self,
        name: &str,
        addresses: impl IntoIterator<Item = Ipv4Addr>,
        port: u16,
        now: Instant,
    ) -> Option<Ovum> {
        let Some((ship, is_fake)) = read_name(name) else {
            tracing::debug!("ames: strange ship from mdns: {name:?}");
            return None;
        };
        if is_fake != self.is_fake || ship == self.own.ship || port == 0 {
            return None;
        }
        // The same one each time of several; what a machine gave itself since nobody gave it one comes last.
        let addresses = addresses.into_iter().filter(|ip| self.leads_somewhere(*ip));
        let ip = addresses.min_by_key(|ip| (ip.is_link_local(), *ip))?;
        let lane = Address::from(SocketAddrV4::new(ip, port));
        if self.told.get(&ship) == Some(&lane) || !self.may_tell(now) {
            return None;
        }
        self.told.put(ship, lane, 1);
        Some(shapes::dear(ship, lane))
    }

    /// A service is gone: where it comes back the ship is told again.
    pub(super) fn gone(&mut self, name: &str) {
        if let Some((ship, is_fake)) = read_name(name)
            && is_fake == self.is_fake
        {
            self.told.remove(&ship);
        }
    }

    fn leads_somewhere(&self, ip: Ipv4Addr) -> bool {
        let is_nowhere = ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast();
        !is_nowhere && ip.is_loopback() == self.own.is_local
    }

    fn may_tell(&mut self, now: Instant) -> bool {
        let full = self.full.max(now);
        let may = full < now + limits::MDNS_TELL_EVERY * limits::MDNS_TELLS;
        if may {
            self.full = full + limits::MDNS_TELL_EVERY;
        }
        may
    }
}

/// Announces the ship, and hears who else is there, until it is dropped: then the announcement is taken back.
pub(super) struct Announcer {
    daemon: ServiceDaemon,
    task: AbortHandle,
}

impl Announcer {
    /// Begins once `bound` tells the ship's port. `port` is that of mDNS.
    ///
    /// # Errors
    /// When the system gives no thread, or nothing to wait with.
    pub(super) fn new(
        runtime: &Handle,
        shared: Weak<Shared<Core>>,
        bound: watch::Receiver<Option<u16>>,
        port: u16,
    ) -> mdns_sd::Result<Announcer> {
        // A thread of its own. It announces and asks nothing before it is told what.
        let daemon = ServiceDaemon::new_with_port(port)?;
        let run = run(daemon.clone(), shared, bound);
        let task = runtime.spawn(async {
            if let Err(error) = run.await {
                tracing::info!(target: console::TARGET, "mdns: {error}");
            }
        });
        Ok(Announcer {
            daemon,
            task: task.abort_handle(),
        })
    }
}

impl Drop for Announcer {
    fn drop(&mut self) {
        self.task.abort();
        if let Err(error) = self.daemon.shutdown() {
            tracing::warn!("mdns: the announcement is not taken back: {error}");
        }
    }
}

/// Announces and hears until the driver is gone.
async fn run(
    daemon: ServiceDaemon,
    shared: Weak<Shared<Core>>,
    mut bound: watch::Receiver<Option<u16>>,
) -> mdns_sd::Result<()> {
    let port = match bound.wait_for(Option::is_some).await.map(|number| *number) {
        Ok(Some(port)) => port,
        _ => return Ok(()),
    };
    let Some((own, is_fake)) = shared
        .upgrade()
        .map(|shared| (shared.network.identity, shared.context.ship.fake))
    else {
        return Ok(());
    };
    let happens = daemon.monitor()?;
    announce(&daemon, own, is_fake, port)?;
    let mut services = daemon.browse(SERVICE)?;
    let mut neighbours = Neighbours::new(own, is_fake, clock::instant());
    let mut is_announced = false;
    loop {
        tokio::select! {
            event = services.recv_async() => match event {
                Ok(event) => hear(&mut neighbours, event, &shared),
                // More came at once than is kept for us: what is there is told anew.
                Err(_) => {
                    tokio::time::sleep(limits::MDNS_PAUSE).await;
                    services = daemon.browse(SERVICE)?;
                }
            },
            event = happening(&happens) => match event {
                DaemonEvent::Announce(..) if !std::mem::replace(&mut is_announced, true) => {
                    let scope = if own.is_local { "this machine" } else { "all interfaces" };
                    let name = instance(own.ship, is_fake);
                    tracing::info!(target: console::TARGET, "mdns: {name} registered on {scope}");
                }
                DaemonEvent::Error(error) => tracing::warn!("mdns: {error}"),
                _ => {}
            },
        }
    }
}

/// What happens to the announcement, for ever.
async fn happening(happens: &Receiver<DaemonEvent>) -> DaemonEvent {
    match happens.recv_async().await {
        Ok(event) => event,
        Err(_) => std::future::pending().await,
    }
}

fn announce(daemon: &ServiceDaemon, own: Identity, is_fake: bool, port: u16) -> mdns_sd::Result<()> {
    let name = instance(own.ship, is_fake);
    // A machine's name is short and of one word, or some resolvers do not look for it.
    let fake = if is_fake { FAKE } else { "" };
    let host = format!("urbit-{fake}{:x}.local.", own.ship);
    let mut service = if own.is_local {
        daemon.disable_interface(IfKind::All)?;
        daemon.enable_interface(IfKind::LoopbackV4)?;
        ServiceInfo::new(SERVICE, &name, &host, Ipv4Addr::LOCALHOST.to_string(), port, None)?
    } else {
        daemon.disable_interface(vec![IfKind::IPv6, IfKind::LoopbackV4])?;
        ServiceInfo::new(SERVICE, &name, &host, "", port, None)?.enable_addr_auto()
    };
    // Who announced the ship before lost its office: the name is not given up to it.
    service.set_requires_probe(false);
    daemon.register(service)
}

fn hear(neighbours: &mut Neighbours, event: ServiceEvent, shared: &Weak<Shared<Core>>) {
    match event {
        ServiceEvent::ServiceResolved(service) => {
            let addresses = service.get_addresses_v4();
            let found = neighbours.found(
                service.get_fullname(),
                addresses,
                service.get_port(),
                clock::instant(),
            );
            if let (Some(dear), Some(shared)) = (found, shared.upgrade()) {
                // Where there is no room the ship finds the other one as it would without mDNS.
                drop(shared.context.intake.try_plan(dear, None));
            }
        }
        ServiceEvent::ServiceRemoved(_, name) => neighbours.gone(&name),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drivers::{fake_pier::FakePier, udp::Network};
    use serf_ipc::n;
    use std::sync::Arc;

    const OWN: u128 = 0x1_0100;
    const NEC: u128 = 1;
    const HOME: Ipv4Addr = Ipv4Addr::new(192, 168, 7, 9);

    fn neighbours(is_fake: bool, is_local: bool) -> Neighbours {
        Neighbours::new(Identity { ship: OWN, is_local }, is_fake, Instant::now())
    }

    fn full(instance: &str) -> String {
        format!("{instance}.{SERVICE}")
    }

    #[test]
    fn names_go_out_and_come_back() {
        assert_eq!(instance(0, true), "fake-zod");
        assert_eq!(instance(0, false), "zod");
        for ship in [0, OWN, 1 << 40, u128::MAX] {
            for is_fake in [false, true] {
                let name = instance(ship, is_fake);
                assert!(name.len() <= 63, "a label of DNS");
                assert_eq!(read_name(&full(&name)), Some((ship, is_fake)));
            }
        }
    }

    #[test]
    fn a_ship_is_told_once_where_another_is_and_again_when_that_moves_or_comes_back() {
        let now = Instant::now();
        let mut neighbours = neighbours(false, false);
        let lane = Address::from(SocketAddrV4::new(HOME, 4000));
        let told = neighbours.found(&full("nec"), [HOME], 4000, now).unwrap();
        assert_eq!(
            told.to_noun(),
            n![n!["a", "ames", 0_u64], n!["dear", NEC as u64, lane.lane()]]
        );
        assert!(neighbours.found(&full("nec"), [HOME], 4000, now).is_none());
        assert!(neighbours.found(&full("nec"), [HOME], 4001, now).is_some());
        neighbours.gone(&full("fake-nec"));
        assert!(neighbours.found(&full("nec"), [HOME], 4001, now).is_none());
        neighbours.gone(&full("nec"));
        assert!(neighbours.found(&full("nec"), [HOME], 4001, now).is_some());
    }

    #[test]
    fn what_is_no_other_ship_of_the_same_kind_is_not_told() {
        let now = Instant::now();
        let own = instance(OWN, false);
        let long = "a".repeat(200);
        for name in [
            &*own,
            "fake-nec",
            "fake-",
            "fakenec",
            "",
            "~nec",
            "NEC",
            "nec (2)",
            "nec-nec",
            "dozzod",
            "nec\\",
            "n\u{e9}c",
            "\u{1b}[2J",
            "0",
            &long,
        ] {
            let mut neighbours = neighbours(false, false);
            assert!(
                neighbours.found(&full(name), [HOME], 4000, now).is_none(),
                "{name}"
            );
            neighbours.gone(&full(name));
        }
        let mut neighbours = neighbours(false, false);
        assert!(
            neighbours.found("nec", [HOME], 4000, now).is_none(),
            "no service's name"
        );
        assert!(neighbours.found(&full("nec"), [HOME], 0, now).is_none());
        assert!(neighbours.found(&full("nec"), [], 4000, now).is_none());
    }

    #[test]
    fn a_ship_hears_of_addresses_that_it_may_send_to() {
        let now = Instant::now();
        let here = Ipv4Addr::LOCALHOST;
        let none = [
            Ipv4Addr::UNSPECIFIED,
            Ipv4Addr::BROADCAST,
            Ipv4Addr::new(224, 0, 0, 1),
        ];
        for (is_local, usable, useless) in [(false, HOME, here), (true, here, HOME)] {
            let mut neighbours = neighbours(true, is_local);
            let useless = none.into_iter().chain([useless]);
            assert!(
                neighbours
                    .found(&full("fake-nec"), useless.clone(), 4000, now)
                    .is_none()
            );
            let told = neighbours
                .found(&full("fake-nec"), useless.chain([usable]), 4000, now)
                .unwrap();
            let lane = Address::from(SocketAddrV4::new(usable, 4000));
            assert_eq!(told.card, n!["dear", NEC as u64, lane.lane()]);
        }
        let mut neighbours = neighbours(false, false);
        let made_up = Ipv4Addr::new(169, 254, 1, 1);
        let told = neighbours
            .found(&full("nec"), [made_up, HOME], 4000, now)
            .unwrap();
        let lane = Address::from(SocketAddrV4::new(HOME, 4000));
        assert_eq!(told.card, n!["dear", NEC as u64, lane.lane()]);
    }

    #[test]
    fn a_network_full_of_names_costs_an_event_now_and_then() {
        let start = Instant::now();
        let own = Identity {
            ship: OWN,
            is_local: false,
        };
        let mut neighbours = Neighbours::new(own, false, start);
        let mut tell = |ships: std::ops::Range<u128>, now| {
            let found = ships.filter(|ship| {
                let name = full(&instance(1 << 20 | *ship, false));
                neighbours.found(&name, [HOME], 4000, now).is_some()
            });
            found.count()
        };
        assert_eq!(tell(0..5000, start), limits::MDNS_TELLS as usize);
        assert_eq!(tell(0..5000, start), 0);
        assert_eq!(tell(5000..9000, start + 3 * limits::MDNS_TELL_EVERY), 3);
        assert_eq!(tell(9000..9001, start + 3 * limits::MDNS_TELL_EVERY), 0);
    }

    /// A ship of this machine, the port that it announces, and its announcer.
    fn announced(pier: &FakePier, ship: u128, at: u16, port: u16) -> (Arc<Shared<Core>>, Announcer) {
        let mut context = pier.context();
        context.ship.who = ship;
        let network = Network::new(&context);
        let core = Core::new(network.identity, network.galaxies.clone(), || [0; 12]);
        let shared = Shared::new(context, network, core);
        let (_, bound) = watch::channel(Some(at));
        let runtime = pier.runtime.handle();
        let announcer = Announcer::new(runtime, Arc::downgrade(&shared), bound, port).unwrap();
        (shared, announcer)
    }

    /// On loopback, where Linux passes multicast on to whoever joined.
    #[test]
    fn two_ships_of_this_machine_find_each_other_and_again_where_one_moves() {
        let (mut zod, mut nec) = (FakePier::new(), FakePier::new());
        // Not the port of all the world.
        let free = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let lane = |at| Address::from(SocketAddrV4::new(Ipv4Addr::LOCALHOST, at)).lane();
        let _zod = announced(&zod, 0, 4000, port);
        let first = announced(&nec, NEC, 4001, port);
        assert_eq!(zod.planned().ovum.card, n!["dear", NEC as u64, lane(4001)]);
        assert_eq!(nec.planned().ovum.card, n!["dear", 0_u64, lane(4000)]);
        // Another office of its: what the one before said of the same name counts no more.
        drop(first);
        let _second = announced(&nec, NEC, 4002, port);
        assert_eq!(zod.planned().ovum.card, n!["dear", NEC as u64, lane(4002)]);
    }
}
