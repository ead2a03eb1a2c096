//! What mesa does with a packet, an effect or an answer, decided without I/O, clock or runtime: out come [`Act`]s.

use super::{
    fetch::{Fetch, Progress},
    gauge::Gauge,
    interests::Interests,
    lss,
    messages::{Message, MessageName, Messages},
    packet::{self, Body, Name, Packet, Part, Refused},
    peers::{Peer, Peers},
    requests::{Key, Request, Requests},
    shapes::{self, Lane},
};
use crate::{
    console,
    drivers::udp::{
        Identity,
        cache::Cache,
        galaxies::{self, Galaxies},
        queue::Queue,
        shared::{self, Decides},
    },
    limits,
    ovum::Ovum,
    peek::Answer,
};
use serf_ipc::{Goof, Noun};
use std::{
    collections::HashSet,
    net::{Ipv4Addr, SocketAddrV4},
    time::Instant,
};

/// The logarithm of a fragment's size in bits.
const FRAGMENT: u8 = 13;
/// The same of a whole message.
const WHOLE: u8 = 31;
/// Packets that are none between two lines that say so.
const REFUSED_SAID: u64 = 100_000;

/// What is to be done.
pub(crate) type Act = shared::Act<Question>;

/// What the kernel is asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Question {
    /// Who a ship's sponsors are.
    Sponsors(u128),
    /// Where a ship is that packets are to be sent on to.
    Lanes(u128),
    /// A message of our own, of which this part was asked for.
    Message(MessageName, Name),
    /// Whether a message that is about to be fetched is its publisher's.
    Claim(Key),
}

/// How often what happened.
#[derive(Default)]
struct Counters {
    refused: u64,
    unwanted: u64,
    dropped: u64,
    forwarded: u64,
    failed: u64,
    unsendable: u64,
}

/// The driver's state.
pub(crate) struct Core {
    identity: Identity,
    galaxies: Galaxies,
    peers: Peers,
    gauges: Cache<u128, Gauge>,
    interests: Interests,
    messages: Messages,
    requests: Requests,
    /// What the kernel is asked about ships: each once at a time, and not about too many.
    asked: HashSet<Question>,
    queue: Queue,
    counters: Counters,
    acts: Vec<Act>,
}

impl Decides for Core {
    type Question = Question;

    fn hear(&mut self, from: SocketAddrV4, bytes: &[u8], now: Instant) {
        let packet = match Packet::parse(bytes) {
            _ if bytes.len() > packet::PACKET => return self.refused(Refused::Length),
            Ok(packet) => packet,
            Err(why) => return self.refused(why),
        };
        let is_own = packet.name().ship == self.identity.ship;
        match &packet.body {
            Body::Page { .. } => self.hear_page(from, packet, now),
            Body::Peek(name) if is_own => self.hear_peek(from, name, now),
            Body::Poke { .. } if is_own => self.hear_poke(from, &packet, now),
            Body::Peek(_) | Body::Poke { .. } => self.forward(from, packet, now),
        }
    }

    fn heard(&mut self, refused: Option<&[Goof]>) -> bool {
        self.acts.extend(self.queue.done().map(Act::Hear));
        let is_refused = refused.is_some();
        if is_refused {
            tracing::info!(target: console::TARGET, "mesa: hear bail");
            self.counters.failed += 1;
        }
        is_refused
    }

    fn not_heard(&mut self) {
        self.queue.not_done();
        self.counters.dropped += 1;
    }

    fn answered(&mut self, question: Question, answer: &Answer, now: Instant) {
        self.asked.remove(&question);
        match question {
            Question::Sponsors(ship) => {
                let galaxy = answer.noun().and_then(shapes::read_sponsors);
                if galaxy.is_some() {
                    self.peers.change(ship, |peer| peer.galaxy = galaxy);
                }
            }
            Question::Lanes(ship) => {
                if let Some((galaxy, direct)) = answer.noun().and_then(shapes::known_lanes) {
                    self.peers.change(ship, |peer| {
                        peer.galaxy = Some(galaxy);
                        peer.direct = direct.or(peer.direct);
                    });
                }
            }
            Question::Message(of, name) => self.message(of, &name, answer, now),
            Question::Claim(key) => self.claimed(key, answer, now),
        }
    }

    fn due(&self) -> Option<Instant> {
        self.requests.first_due()
    }

    fn tick(&mut self, now: Instant) {
        while let Some(key) = self.requests.take_due(now) {
            self.again(&key, now);
        }
    }

    fn acts(&mut self) -> Vec<Act> {
        std::mem::take(&mut self.acts)
    }
}

impl Core {
    /// A driver's state at an office's beginning.
    pub(crate) fn new(identity: Identity, galaxies: Galaxies) -> Core {
        Core {
            identity,
            galaxies,
            peers: Peers::new(),
            gauges: Cache::new(limits::MESA_PEERS),
            interests: Interests::new(),
            messages: Messages::new(),
            requests: Requests::default(),
            asked: HashSet::new(),
            queue: Queue::default(),
            counters: Counters::default(),
            acts: Vec::new(),
        }
    }

    #[cfg(test)]
    pub(crate) fn has_acts(&self) -> bool {
        !self.acts.is_empty()
    }

    fn refused(&mut self, why: Refused) {
        if self.counters.refused.is_multiple_of(REFUSED_SAID) {
            tracing::info!(
                target: console::TARGET,
                "mesa: hear: sift failed: {why} ({} before)", self.counters.refused
            );
        }
        self.counters.refused += 1;
    }

    /// Somebody asks for what is ours.
    fn hear_peek(&mut self, from: SocketAddrV4, name: &Name, now: Instant) {
        let of = MessageName::of(name);
        if let Some(message) = self.messages.find(&of) {
            let page = message.page(name);
            return self.answer(from, page);
        }
        if self.messages.ask(&of) {
            self.interests.add(name, from, now);
            let question = shapes::ask_message(self.identity.ship, &of);
            self.acts
                .push(Act::Ask(Question::Message(of, name.clone()), question));
        } else if self.interests.has(name, now) {
            // Another asks for the same while it is looked up. vere answers the first only.
            self.interests.add(name, from, now);
        } else {
            self.counters.dropped += 1;
        }
    }

    /// Sends a page of ours, if there is one.
    fn answer(&mut self, to: SocketAddrV4, page: Option<Packet>) {
        match page.map(|page| page.write()) {
            Some(page) if page.len() <= packet::PACKET => self.send(to, page),
            // A path that is so long that its answer finds no place.
            Some(_) => self.counters.unsendable += 1,
            None => self.counters.unwanted += 1,
        }
    }

    /// The kernel's answer about a message of ours.
    fn message(&mut self, of: MessageName, name: &Name, answer: &Answer, now: Instant) {
        let message = answer.noun().and_then(|noun| {
            Message::read(noun)
                .inspect_err(|error| tracing::info!(target: console::TARGET, "{error}"))
                .ok()
        });
        let page = message.as_ref().and_then(|message| message.page(name));
        let has_come = message.is_some();
        self.messages.answered(of, message);
        // Where there is nothing yet, who asked stays interested: the ship may say it by itself.
        if has_come {
            for lane in self.interests.take(name, now) {
                self.answer(lane, page.clone());
            }
        }
    }

    /// Somebody tells this ship something.
    fn hear_poke(&mut self, from: SocketAddrV4, packet: &Packet, now: Instant) {
        let Body::Poke { ack, payload, data } = &packet.body else {
            return;
        };
        if data.total == 0 {
            return self.refused(Refused::Length);
        }
        self.interests.add(ack, from, now);
        if packet.hops == 0 {
            self.meet(payload.ship, |peer| peer.heard(from, now));
        } else {
            self.meet(payload.ship, |_| {});
        }
        // What it is told is being fetched.
        if self.requests.get(&Key::of(payload)).is_none() {
            self.give(shapes::heer(from, &packet.write()));
        }
    }

    /// Changes what is known of a ship. The kernel is asked for its galaxy until it has told it.
    fn meet(&mut self, ship: u128, change: impl FnOnce(&mut Peer)) {
        self.peers.change(ship, change);
        if self.peers.get(ship).is_some_and(|peer| peer.galaxy.is_none()) {
            self.ask_about(Question::Sponsors(ship), shapes::ask_sponsors(ship));
        }
    }

    /// Asks the kernel about a ship, unless it is being asked that already, or about too many.
    fn ask_about(&mut self, question: Question, sample: Noun) {
        if self.asked.len() < limits::MESA_MEETS && self.asked.insert(question.clone()) {
            self.acts.push(Act::Ask(question, sample));
        }
    }

    /// Sends a question for another ship on to it: galaxies do, for ships that they sponsor.
    fn forward(&mut self, from: SocketAddrV4, mut packet: Packet, now: Instant) {
        let name = packet.name().clone();
        let Some(own) = galaxies::galaxy(self.identity.ship) else {
            self.counters.unwanted += 1;
            return;
        };
        let Some(peer) = self.peers.get(name.ship) else {
            return self.ask_about(Question::Lanes(name.ship), shapes::ask_lanes(name.ship));
        };
        match peer.direct {
            Some(lane) if peer.galaxy == Some(own) => {
                packet.hop();
                self.interests.add(&name, from, now);
                self.counters.forwarded += 1;
                self.send(lane, packet.write());
            }
            _ => self.counters.unsendable += 1,
        }
    }

    /// An answer came.
    fn hear_page(&mut self, from: SocketAddrV4, packet: Packet, now: Instant) {
        let name = packet.name().clone();
        let key = Key::of(&name);
        let is_awaited = self.requests.get(&key).is_some();
        let waiting = self.interests.take(&name, now);
        if !is_awaited && waiting.is_empty() {
            self.counters.unwanted += 1;
            return;
        }
        if packet.hops == 0 {
            self.meet(name.ship, |peer| peer.heard(from, now));
        } else {
            self.meet(name.ship, |_| {});
        }
        self.send_on(from, &packet, waiting);
        match self.requests.get(&key) {
            Some(Request::Pushed(_)) if name.fragment() == 0 => self.begin(from, packet, key, now),
            // Its first packet came again, maybe by another way.
            Some(Request::Fetched(_)) if name.part != Part::Init => self.fragment(from, packet, &key, now),
            _ => {}
        }
    }

    /// Sends a page to those who wait for it.
    fn send_on(&mut self, from: SocketAddrV4, page: &Packet, waiting: Vec<SocketAddrV4>) {
        if waiting.is_empty() {
            return;
        }
        let mut page = page.clone();
        page.hop();
        if let Body::Page { next_hop, .. } = &mut page.body {
            let [a, b, c, d] = u32::from(*from.ip()).to_le_bytes();
            let [e, f] = from.port().to_le_bytes();
            *next_hop = Some([a, b, c, d, e, f]);
        }
        let bytes = page.write();
        for lane in waiting {
            self.counters.forwarded += 1;
            self.send(lane, bytes.clone());
        }
    }

    /// The first answer to a question of the ship's: the whole of a short message, or the proof of a long one.
    fn begin(&mut self, from: SocketAddrV4, packet: Packet, key: Key, now: Instant) {
        let Body::Page { name, data, .. } = &packet.body else {
            return;
        };
        if lss::leaves(data.total) == 1 {
            // No more of it is wanted: should the ship not take this, it asks again.
            self.requests.remove(&key);
            return self.give(shapes::heer(from, &packet.write()));
        }
        if name.bloq != FRAGMENT || self.requests.fetches() >= limits::MESA_FETCHES {
            self.counters.dropped += 1;
            return;
        }
        let Some(fetch) = Fetch::begin(name.clone(), data, now) else {
            self.counters.unwanted += 1;
            return;
        };
        let (auth, root) = fetch.claim();
        let Some(question) = shapes::ask_claim(name.ship, &name.path, &auth, root) else {
            return;
        };
        let due = now + limits::MESA_FETCH_PATIENCE;
        self.requests
            .put(key.clone(), Request::Fetched(Box::new(fetch)), due);
        self.acts.push(Act::Ask(Question::Claim(key), question));
    }

    /// The kernel says whether a message is its publisher's. Where it cannot tell, it will find out when it has the message.
    fn claimed(&mut self, key: Key, answer: &Answer, now: Instant) {
        if answer.noun().is_some_and(|noun| *noun == Noun::NO) {
            tracing::info!(target: console::TARGET, "mesa: packet auth failed verification");
            self.counters.failed += 1;
            self.requests.remove(&key);
            return;
        }
        self.go_on(&key, now);
    }

    /// A fragment came of a message that is being fetched.
    fn fragment(&mut self, from: SocketAddrV4, packet: Packet, key: &Key, now: Instant) {
        let Body::Page { name, data, next_hop } = packet.body else {
            return;
        };
        let Some(Request::Fetched(fetch)) = self.requests.get_mut(key) else {
            return;
        };
        let mut gauge = self.gauges.remove(&name.ship).unwrap_or_else(Gauge::new);
        let progress = fetch.take(name.fragment(), &data, &mut gauge, now);
        self.gauges.put(name.ship, gauge, 1);
        match progress {
            Progress::None => {}
            Progress::More => self.go_on(key, now),
            Progress::False => {
                tracing::info!(target: console::TARGET, "mesa: auth fail frag {}", name.fragment());
                self.counters.failed += 1;
                self.requests.remove(key);
            }
            Progress::Done => {
                let Some(Request::Fetched(fetch)) = self.requests.remove(key) else {
                    return;
                };
                let whole = Packet {
                    hops: packet.hops,
                    body: Body::Page {
                        name: Name {
                            bloq: WHOLE,
                            ..name.of_fragment(0)
                        },
                        data: fetch.into_data(),
                        next_hop,
                    },
                };
                self.give(shapes::heer(from, &whole.write()));
            }
        }
    }

    /// Asks for as many fragments as may be on their way.
    fn go_on(&mut self, key: &Key, now: Instant) {
        let gauge = self.gauges.get(&key.ship).cloned().unwrap_or_else(Gauge::new);
        let Some(Request::Fetched(fetch)) = self.requests.get_mut(key) else {
            return;
        };
        let numbers = fetch.ask(&gauge, now);
        let name = fetch.name().clone();
        let due = fetch.due(&gauge).unwrap_or(now + limits::MESA_FETCH_PATIENCE);
        self.requests.due(key, due);
        self.ask_for(&name, &numbers, now);
    }

    fn ask_for(&mut self, name: &Name, numbers: &[u64], now: Instant) {
        let lanes = self.ways_to(name.ship, now);
        for number in numbers {
            let peek = Packet::new(Body::Peek(name.of_fragment(*number))).write();
            for lane in &lanes {
                self.send(*lane, peek.clone());
            }
        }
    }

    /// By which ways a ship is asked: straight if it was heard so just now, or if it is ours to know; else by its galaxy too.
    fn ways_to(&self, ship: u128, now: Instant) -> Vec<SocketAddrV4> {
        let peer = self.peers.get(ship).cloned().unwrap_or_default();
        let own = galaxies::galaxy(self.identity.ship);
        let is_near = peer.is_near(now) || own.is_some() && peer.galaxy == own;
        let galaxy = peer.galaxy.or(galaxies::galaxy(ship)).filter(|_| !is_near);
        let by_galaxy = galaxy.and_then(|galaxy| self.galaxies.find(galaxy));
        let mut ways: Vec<_> = by_galaxy.into_iter().collect();
        ways.extend(peer.direct.filter(|direct| !ways.contains(direct)));
        ways
    }

    /// `%push`: the ship sends something.
    pub(crate) fn push(&mut self, lanes: &[Lane], bytes: Vec<u8>, now: Instant) {
        let packet = match Packet::parse(&bytes) {
            Ok(packet) => packet,
            Err(why) => {
                tracing::info!(target: console::TARGET, "mesa: ef_send: sift failed: {} {why}", bytes.len());
                return;
            }
        };
        let name = packet.name();
        if let Body::Page { .. } = packet.body {
            for lane in self.interests.take(name, now) {
                self.send(lane, bytes.clone());
            }
            return;
        }
        let key = Key::of(name);
        if self.requests.get(&key).is_some() {
            return;
        }
        if self.requests.len() >= limits::MESA_REQUESTS {
            self.counters.dropped += 1;
            return;
        }
        let to: Vec<SocketAddrV4> = lanes.iter().filter_map(|lane| self.find(*lane)).collect();
        for lane in &to {
            self.send(*lane, bytes.clone());
        }
        let due = now + limits::MESA_PUSH_EVERY;
        self.requests.put(key, Request::pushed(bytes, to), due);
    }

    fn find(&self, lane: Lane) -> Option<SocketAddrV4> {
        match lane {
            Lane::Galaxy(galaxy) => self.galaxies.find(galaxy),
            Lane::Direct(address) => Some(address),
        }
    }

    /// `%nail`: where a ship is now.
    pub(crate) fn nail(&mut self, ship: u128, direct: Option<SocketAddrV4>) {
        self.peers.change(ship, |peer| peer.direct = direct);
        self.ask_about(Question::Sponsors(ship), shapes::ask_sponsors(ship));
    }

    /// Gives the ship a packet in its turn.
    fn give(&mut self, ovum: Ovum) {
        let (next, dropped) = self.queue.put(ovum);
        self.acts.extend(next.map(Act::Hear));
        self.counters.dropped += u64::from(dropped);
    }

    /// Sends a packet, if its address leads anywhere.
    fn send(&mut self, mut to: SocketAddrV4, bytes: Vec<u8>) {
        if self.identity.is_local {
            to.set_ip(Ipv4Addr::LOCALHOST);
        }
        if to.port() == 0 || to.ip().is_unspecified() || to.ip().is_broadcast() {
            self.counters.unsendable += 1;
            return;
        }
        self.acts.push(Act::Send(to, bytes));
    }

    /// A request has waited for its answer for long enough.
    fn again(&mut self, key: &Key, now: Instant) {
        match self.requests.get_mut(key) {
            Some(Request::Pushed(pushed)) => {
                let sends = pushed.again();
                let (lanes, bytes) = (pushed.lanes.clone(), pushed.bytes.clone());
                if sends == 0 {
                    self.requests.remove(key);
                } else {
                    self.requests.due(key, now + limits::MESA_PUSH_EVERY);
                }
                for lane in lanes {
                    self.send(lane, bytes.clone());
                }
            }
            Some(Request::Fetched(fetch)) if fetch.silence(now) >= limits::MESA_FETCH_PATIENCE => {
                // The ship asks again. vere asks for the same fragments until it ends.
                self.requests.remove(key);
            }
            Some(Request::Fetched(fetch)) => {
                let mut gauge = self.gauges.remove(&key.ship).unwrap_or_else(Gauge::new);
                let lost = fetch.ask_again(&mut gauge, now);
                let due = fetch.due(&gauge).unwrap_or(now + limits::MESA_FETCH_PATIENCE);
                let name = fetch.name().clone();
                self.gauges.put(key.ship, gauge, 1);
                self.requests.due(key, due);
                self.ask_for(&name, &lost, now);
            }
            None => {}
        }
    }

    /// Its figures.
    pub(crate) fn info(&self) -> Vec<(String, u64)> {
        let counters = &self.counters;
        let lines = [
            ("peers", self.peers.len() as u64),
            ("interests", self.interests.len() as u64),
            ("messages", self.messages.len() as u64),
            (
                "scries-pending",
                (self.asked.len() + self.messages.asked()) as u64,
            ),
            ("requests", self.requests.len() as u64),
            ("fetches", self.requests.fetches() as u64),
            ("queued", self.queue.len() as u64),
            ("dropped", counters.dropped),
            ("forwarded", counters.forwarded),
            ("filtered", counters.refused),
            ("unwanted", counters.unwanted),
            ("failed", counters.failed),
            ("unsendable", counters.unsendable),
        ];
        lines.map(|(name, value)| (name.to_owned(), value)).into()
    }
}
