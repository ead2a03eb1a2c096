//! What ames does with a packet, an effect or an answer, decided without I/O, clock or runtime: out come [`Act`]s.

use super::{
    counters::Counters,
    fine::{Asker, Found, PageName, Pages, Wail},
    lanes::{Address, Lane, LaneCache, read_list},
    packet::{self, Kind, Packet},
    shapes::{self, Effect},
    stun::{self, Id},
    stun_client::{self, Client, Told},
};
use crate::{
    console,
    drivers::udp::{
        Identity,
        galaxies::{self, Galaxies},
        queue::Queue,
        shared::{self, Decides},
    },
    limits,
    ovum::Ovum,
    peek::Answer,
};
use serf_ipc::Goof;
use std::{collections::HashMap, net::SocketAddrV4, time::Instant};

/// What is to be done.
pub(crate) type Act = shared::Act<Question>;

/// What the kernel is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// The protocol's version.
    Version,
    /// Where a ship is.
    Lanes(u128),
    /// A page of what this ship publishes.
    Page(PageName),
}

/// A packet that waits for the kernel to say where its receiver is.
struct Waiting {
    bytes: Vec<u8>,
    /// Whence it came; None for the ship's own.
    forwarded_from: Option<SocketAddrV4>,
}

/// The driver's state.
pub(crate) struct Core {
    identity: Identity,
    /// The protocol's version, once the kernel has told it: only then packets are filtered by theirs.
    version: Option<u8>,
    /// Whether the kernel knows lanes. One that does not is given the packets for others, and forwards them itself.
    can_scry: bool,
    /// How many questions for lanes failed in a row.
    scry_failures: u64,
    lanes: LaneCache,
    waiting: HashMap<u128, Vec<Waiting>>,
    waiting_count: usize,
    pages: Pages,
    galaxies: Galaxies,
    stun: Client,
    queue: Queue,
    counters: Counters,
    acts: Vec<Act>,
    random: fn() -> Id,
}

impl Decides for Core {
    type Question = Question;

    fn hear(&mut self, from: SocketAddrV4, bytes: &[u8], now: Instant) {
        if let Some(id) = stun::read_request(bytes) {
            let response = stun::response(id, from).to_vec();
            return self.acts.push(Act::Send(from, response));
        }
        if let Some(told) = self.stun.hear(bytes, now, self.random) {
            return self.tell(told);
        }
        let packet = match Packet::parse(bytes, self.version) {
            Ok(packet) => packet,
            Err(why) => return self.counters.refused(why),
        };
        if self.can_scry && packet.receiver != self.identity.ship {
            // Only galaxies forward.
            if galaxies::galaxy(self.identity.ship).is_some() {
                self.forward(from, &packet, bytes, now);
            }
            return;
        }
        match packet.head.kind() {
            Kind::Ames => self.give(shapes::hear(from, bytes)),
            Kind::Purr => self.give(shapes::hear_purr(from, bytes)),
            Kind::Wail => self.hear_wail(&packet, now),
        }
    }

    fn heard(&mut self, refused: Option<&[Goof]>) -> bool {
        self.acts.extend(self.queue.done().map(Act::Hear));
        match refused {
            None => false,
            Some([goof]) if goof.is("evil") => {
                self.counters.evil();
                false
            }
            Some(_) => self.counters.crashed(),
        }
    }

    fn not_heard(&mut self) {
        self.queue.not_done();
        self.counters.dropped();
    }

    fn answered(&mut self, question: Question, answer: &Answer, now: Instant) {
        match question {
            Question::Version => self.version(answer),
            Question::Lanes(ship) => self.lanes(ship, answer, now),
            Question::Page(page) => self.page(&page, answer, now),
        }
    }

    fn due(&self) -> Option<Instant> {
        self.stun.due()
    }

    fn tick(&mut self, now: Instant) {
        if self.stun.due().is_none_or(|due| due > now) {
            return;
        }
        let galaxy = self.galaxies.find(self.stun.galaxy());
        match self.stun.tick(now, galaxy, (self.random)()) {
            Some(stun_client::Act::Send(to, request)) => self.acts.push(Act::Send(to, request.to_vec())),
            Some(stun_client::Act::Tell(told)) => self.tell(Some(told)),
            None => {}
        }
    }

    fn acts(&mut self) -> Vec<Act> {
        std::mem::take(&mut self.acts)
    }
}

impl Core {
    /// A driver's state at an office's beginning. `random` makes names of transactions.
    pub(crate) fn new(identity: Identity, galaxies: Galaxies, random: fn() -> Id) -> Core {
        Core {
            identity,
            version: None,
            can_scry: true,
            scry_failures: 0,
            lanes: LaneCache::new(),
            waiting: HashMap::new(),
            waiting_count: 0,
            pages: Pages::new(),
            galaxies,
            stun: Client::new(),
            queue: Queue::default(),
            counters: Counters::default(),
            acts: Vec::new(),
            random,
        }
    }

    /// Gives the ship a packet in its turn.
    fn give(&mut self, ovum: Ovum) {
        let (next, dropped) = self.queue.put(ovum);
        self.acts.extend(next.map(Act::Hear));
        if dropped {
            self.counters.dropped();
        }
    }

    fn hear_wail(&mut self, packet: &Packet<'_>, now: Instant) {
        let Some(wail) = Wail::parse(packet.body) else {
            return self.counters.bad_wail();
        };
        let page = wail.page();
        let asker = Asker::new(packet, wail);
        match self.pages.find(&page, wail.fragment) {
            Found::Fragment(meow) => self.send_own(asker.ship, asker.purr(&meow), now),
            // Who asks again while it is looked up is answered the next time.
            Found::Pending | Found::Nothing => {}
            Found::Unknown => match page.spur() {
                None => self.counters.bad_wail_path(),
                Some(spur) if self.pages.ask(page.clone(), asker) => {
                    let question = shapes::ask_page(&spur);
                    self.acts.push(Act::Ask(Question::Page(page), question));
                }
                Some(_) => self.counters.wails_dropped += 1,
            },
        }
    }

    /// The kernel's answer about a page.
    pub(crate) fn page(&mut self, page: &PageName, answer: &Answer, now: Instant) {
        let Some((asker, found)) = self.pages.answered(page, answer.noun()) else {
            return;
        };
        match found {
            Found::Fragment(meow) => self.send_own(asker.ship, asker.purr(&meow), now),
            Found::Nothing => tracing::debug!("fine: fragment number out of range"),
            Found::Unknown | Found::Pending => {}
        }
    }

    /// Sends a packet on to its receiver; one without an origin gets its sender's address as that.
    fn forward(&mut self, from: SocketAddrV4, packet: &Packet<'_>, bytes: &[u8], now: Instant) {
        let needs_origin = packet.origin.is_none() && galaxies::galaxy(packet.sender).is_none();
        let bytes = match needs_origin.then(|| packet::with_origin(bytes, Address::from(from))) {
            Some(Some(bytes)) => bytes,
            _ => bytes.to_vec(),
        };
        let waiting = Waiting {
            bytes,
            forwarded_from: Some(from),
        };
        self.send_or_ask(packet.receiver, waiting, now);
    }

    /// Sends a packet of the king's own to a ship.
    fn send_own(&mut self, ship: u128, bytes: Vec<u8>, now: Instant) {
        let waiting = Waiting {
            bytes,
            forwarded_from: None,
        };
        self.send_or_ask(ship, waiting, now);
    }

    fn send_or_ask(&mut self, ship: u128, packet: Waiting, now: Instant) {
        if let Some(galaxy) = galaxies::galaxy(ship) {
            return self.send_along(&[Lane::Galaxy(galaxy)], &packet);
        }
        if let Some(lanes) = self.lanes.find(ship, now) {
            let lanes = lanes.to_vec();
            return self.send_along(&lanes, &packet);
        }
        if self.waiting_count >= limits::AMES_WAITING {
            return self.counters.forward_dropped();
        }
        self.waiting_count += 1;
        let waiting = self.waiting.entry(ship).or_default();
        waiting.push(packet);
        if waiting.len() == 1 {
            self.acts
                .push(Act::Ask(Question::Lanes(ship), shapes::ask_lanes(ship)));
        }
    }

    /// The kernel's answer about a ship's lanes.
    pub(crate) fn lanes(&mut self, ship: u128, answer: &Answer, now: Instant) {
        let packets = self.waiting.remove(&ship).unwrap_or_default();
        self.waiting_count -= packets.len();
        match answer {
            Answer::Noun(list) => {
                self.scry_failures = 0;
                let lanes = read_list(list);
                self.lanes.learn(ship, lanes.clone(), now);
                for packet in &packets {
                    self.send_along(&lanes, packet);
                }
            }
            Answer::Nothing => {
                self.scry_failures += 1;
                if self.scry_failures > limits::AMES_SCRY_FAILURES && self.can_scry {
                    tracing::info!(target: console::TARGET, "ames: giving up scry");
                    self.can_scry = false;
                }
                // The kernel may know what to do with what is for others.
                for packet in packets {
                    if let Some(from) = packet.forwarded_from {
                        self.give(shapes::hear(from, &packet.bytes));
                    }
                }
            }
            Answer::Unavailable => {}
        }
    }

    fn send_along(&mut self, lanes: &[Lane], packet: &Waiting) {
        if lanes.is_empty() {
            return;
        }
        if packet.forwarded_from.is_some() {
            self.counters.forwarded();
        }
        let own = galaxies::galaxy(self.identity.ship);
        for lane in lanes {
            if !matches!(lane, Lane::Galaxy(galaxy) if Some(*galaxy) == own) {
                self.send(*lane, packet.bytes.clone());
            }
        }
    }

    /// Sends a packet, if its lane leads anywhere.
    fn send(&mut self, lane: Lane, bytes: Vec<u8>) {
        let to = match lane {
            Lane::Galaxy(galaxy) => self.galaxies.find(galaxy),
            Lane::Direct(address) => self.direct(address),
        };
        match to {
            Some(to) if !bytes.is_empty() => self.acts.push(Act::Send(to, bytes)),
            _ => self.counters.unsendable += 1,
        }
    }

    fn direct(&self, address: Address) -> Option<SocketAddrV4> {
        let mut to = address.socket();
        // A ship that heard from this machine calls it so.
        if to.ip().is_unspecified() {
            to.set_ip(std::net::Ipv4Addr::LOCALHOST);
        }
        let is_here = *to.ip() == std::net::Ipv4Addr::LOCALHOST;
        (to.port() != 0 && (is_here || !self.identity.is_local)).then_some(to)
    }

    /// An effect of the ship's. The domain whose galaxies are to be looked up from now on, if that is another one.
    pub(crate) fn effect(&mut self, effect: Effect, now: Instant) -> Option<String> {
        match effect {
            Effect::Send(lane, packet) => self.send(lane, packet),
            Effect::Turf(domains) => return self.turf(&domains),
            Effect::Saxo(chain) => match chain.last().copied().map(galaxies::galaxy) {
                // A galaxy is where its port says it is.
                Some(Some(galaxy)) if galaxies::galaxy(self.identity.ship).is_none() => {
                    self.stun.begin(galaxy, now, (self.random)());
                }
                Some(_) => {}
                None => tracing::info!(target: console::TARGET, "ames: empty sponsorship chain"),
            },
            Effect::Nail(ship, lanes) => self.lanes.told(ship, lanes, now),
            Effect::Init => {}
        }
        None
    }

    fn turf(&mut self, domains: &[String]) -> Option<String> {
        let Some((domain, others)) = domains.split_first() else {
            if !self.identity.is_local && !self.galaxies.has_domain() {
                tracing::info!(target: console::TARGET, "ames: turf: no domains");
            }
            return None;
        };
        if !others.is_empty() {
            tracing::info!(target: console::TARGET, "ames: turf: ignoring additional domains: {}", others.join(" "));
        }
        // A ship that speaks to this machine only has no use for addresses: unlike vere it does not ask for them.
        (self.galaxies.set_domain(domain) && !self.identity.is_local).then(|| domain.clone())
    }

    /// What DNS says of a galaxy.
    pub(crate) fn resolved(&mut self, domain: &str, galaxy: u8, address: Option<std::net::Ipv4Addr>) {
        self.galaxies.resolved(domain, galaxy, address);
    }

    /// The kernel's answer about the protocol's version.
    pub(crate) fn version(&mut self, answer: &Answer) {
        let version = match answer {
            Answer::Unavailable => return,
            Answer::Nothing => 0,
            Answer::Noun(noun) => match noun.as_u64() {
                Some(version) if version < 8 => version as u8,
                _ => {
                    tracing::info!(target: console::TARGET, "ames: strange protocol {noun:?}");
                    0
                }
            },
        };
        self.version = Some(version);
    }

    fn tell(&mut self, told: Option<Told>) {
        self.acts.extend(told.map(|told| Act::Tell(shapes::stun(told))));
    }

    /// Its figures.
    pub(crate) fn info(&self) -> Vec<(String, u64)> {
        let counters = &self.counters;
        let lines = [
            ("filtering", u64::from(self.version.is_some())),
            ("can-scry", u64::from(self.can_scry)),
            ("stun-working", u64::from(self.stun.works())),
            ("scry-cache", self.pages.len() as u64),
            ("scries-pending", self.pages.pending() as u64),
            ("cached-lanes", self.lanes.len() as u64),
            ("queued", self.queue.len() as u64),
            ("dropped", counters.dropped),
            ("forwards-dropped", counters.forwards_dropped),
            ("forwards-pending", self.waiting_count as u64),
            ("forwarded", counters.forwarded),
            ("filtered-hed", counters.head),
            ("filtered-ver", counters.version),
            ("filtered-mug", counters.mug),
            ("filtered-pre", counters.prelude),
            ("filtered-wal", counters.wails),
            ("filtered-wap", counters.wail_paths),
            ("wails-dropped", counters.wails_dropped),
            ("crashed", counters.crashed),
            ("evil", counters.evil),
            ("lane-scry-fails", self.scry_failures),
            ("unsendable", counters.unsendable),
        ];
        lines.map(|(name, value)| (name.to_owned(), value)).into()
    }
}
