//! The STUN client: asks the sponsoring galaxy again and again where the ship is seen from, which keeps the way through a
//! NAT open, and tells the ship (`spec/drivers.md` section 8). No I/O and no clock in here.

use super::{
    lanes::Address,
    stun::{self, Id},
};
use std::{
    net::SocketAddrV4,
    time::{Duration, Instant},
};

/// From an answer to the next request.
const KEEPALIVE: Duration = Duration::from_secs(25);
/// From a request without an answer to the next.
const RETRY: Duration = Duration::from_millis(500);
/// From there the last request has [`LAST`] to be answered. vere waits until here after the second one, where the RFC
/// would have it double its waits; its galaxies know it so.
const LONGEST: Duration = Duration::from_millis(31_500);
/// How long the last request is waited for.
const LAST: Duration = Duration::from_secs(8);
/// After so long nobody is there.
const GIVEN_UP: Duration = Duration::from_millis(39_500);
/// From there to the next beginning.
const REST: Duration = Duration::from_secs(5 + 39);

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Send this to the galaxy.
    Send(SocketAddrV4, [u8; stun::REQUEST]),
    /// Tell the ship.
    Tell(Told),
}

/// What the ship is told: `[%stun kind galaxy lane]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    /// `once`: the ship is seen from somewhere else than before. `stop`: it is seen from there again, and STUN works:
    /// it need not ping. `fail`: STUN works no more.
    pub(crate) kind: &'static str,
    /// Who was asked.
    pub(crate) galaxy: u8,
    /// Where the ship is seen from, or was last.
    pub(crate) lane: Address,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nobody to ask.
    Off,
    /// The next request waits for its time.
    Resting,
    /// Requests are on their way since then.
    Asking(Instant),
}

/// The client.
pub(crate) struct Client {
    state: State,
    id: Id,
    galaxy: u8,
    due: Option<Instant>,
    own: Address,
    works: bool,
}

impl Client {
    pub(crate) fn new() -> Client {
        Client {
            state: State::Off,
            id: [0; stun::ID],
            galaxy: 0,
            due: None,
            own: Address::default(),
            works: false,
        }
    }

    /// Begins (anew) with this galaxy, at once. `id` is random.
    pub(crate) fn begin(&mut self, galaxy: u8, now: Instant, id: Id) {
        self.galaxy = galaxy;
        self.rest_until(now, id);
    }

    /// When `tick` is to be called.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Who is asked.
    pub(crate) fn galaxy(&self) -> u8 {
        self.galaxy
    }

    /// Whether the ship has been told to rely on it.
    pub(crate) fn works(&self) -> bool {
        self.works
    }

    /// Its time has come. `galaxy` is where the galaxy is, if that is known; `id` is random.
    pub(crate) fn tick(&mut self, now: Instant, galaxy: Option<SocketAddrV4>, id: Id) -> Option<Act> {
        if self.due.is_none_or(|due| due > now) {
            return None;
        }
        self.due = None;
        match (self.state, galaxy) {
            (State::Off, _) => None,
            (State::Resting, None) => {
                self.due = Some(now + KEEPALIVE);
                None
            }
            (State::Resting, Some(galaxy)) => {
                self.state = State::Asking(now);
                self.due = Some(now + RETRY);
                Some(Act::Send(galaxy, stun::request(self.id)))
            }
            (State::Asking(since), galaxy) => {
                let asked = now.saturating_duration_since(since);
                if asked >= GIVEN_UP {
                    let told = std::mem::take(&mut self.works).then(|| self.told("fail"));
                    self.rest_until(now + REST, id);
                    return told.map(Act::Tell);
                }
                let wait = if asked >= LONGEST {
                    LAST
                } else {
                    LONGEST.max(asked + RETRY)
                };
                self.due = Some(now + wait);
                Some(Act::Send(galaxy?, stun::request(self.id)))
            }
        }
    }

    /// Reads what may be the answer. None where it is not; else what to tell the ship, if anything. `id` is random.
    pub(crate) fn hear(
        &mut self,
        bytes: &[u8],
        now: Instant,
        id: impl FnOnce() -> Id,
    ) -> Option<Option<Told>> {
        if self.state == State::Off {
            return None;
        }
        let own = Address::from(stun::read_response(bytes, self.id)?);
        let told = if own != self.own {
            self.own = own;
            Some(self.told("once"))
        } else if !self.works {
            self.works = true;
            Some(self.told("stop"))
        } else {
            None
        };
        if matches!(self.state, State::Asking(_)) {
            self.rest_until(now + KEEPALIVE, id());
        }
        Some(told)
    }

    fn rest_until(&mut self, then: Instant, id: Id) {
        self.id = id;
        self.state = State::Resting;
        self.due = Some(then);
    }

    fn told(&self, kind: &'static str) -> Told {
        Told {
            kind,
            galaxy: self.galaxy,
            lane: self.own,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const GALAXY: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 31_337);

    fn id(number: u8) -> Id {
        [number; stun::ID]
    }

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    /// A client that has just asked.
    fn asking(start: Instant) -> Client {
        let mut client = Client::new();
        assert_eq!(client.due(), None);
        client.begin(3, start, id(1));
        assert_eq!(client.due(), Some(start));
        let act = client.tick(start, Some(GALAXY), id(2));
        assert_eq!(act, Some(Act::Send(GALAXY, stun::request(id(1)))));
        client
    }

    fn answer(client: &mut Client, number: u8, port: u16, now: Instant) -> Option<Option<Told>> {
        let from = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), port);
        client.hear(&stun::response(id(number), from), now, || id(number + 1))
    }

    fn told(kind: &'static str, port: u16) -> Option<Option<Told>> {
        let lane = Address::new(Ipv4Addr::new(10, 0, 0, 1), port);
        Some(Some(Told {
            kind,
            galaxy: 3,
            lane,
        }))
    }

    #[test]
    fn the_ship_is_told_where_it_is_and_then_that_it_works() {
        let start = Instant::now();
        let mut client = asking(start);
        assert_eq!(answer(&mut client, 9, 5, start), None, "another's");
        assert_eq!(answer(&mut client, 1, 5, start), told("once", 5));
        let mut now = start;
        for (number, port, expected) in [
            (2, 5, told("stop", 5)),
            (3, 5, Some(None)),
            (4, 6, told("once", 6)),
        ] {
            now += KEEPALIVE;
            assert_eq!(client.due(), Some(now));
            let act = client.tick(now, Some(GALAXY), id(0));
            assert_eq!(act, Some(Act::Send(GALAXY, stun::request(id(number)))));
            assert_eq!(answer(&mut client, number, port, now), expected);
        }
        assert!(client.works());
        assert_eq!(answer(&mut client, 4, 6, now), None, "an answer that comes twice");
    }

    #[test]
    fn without_an_answer_it_asks_as_vere_does_and_tells_once_that_it_failed() {
        let start = Instant::now();
        let mut client = asking(start);
        assert_eq!(answer(&mut client, 1, 5, start), told("once", 5));
        let second = start + KEEPALIVE;
        client.tick(second, Some(GALAXY), id(0)).unwrap();
        assert_eq!(answer(&mut client, 2, 5, second), told("stop", 5));
        let third = second + KEEPALIVE;
        client.tick(third, Some(GALAXY), id(0)).unwrap();
        for after in [0.5, 32.0] {
            let due = client.due().unwrap();
            assert_eq!(due, third + seconds(after));
            assert_eq!(client.tick(due - seconds(0.1), Some(GALAXY), id(0)), None);
            assert!(matches!(
                client.tick(due, Some(GALAXY), id(0)),
                Some(Act::Send(..))
            ));
        }
        let end = client.due().unwrap();
        assert_eq!(end, third + seconds(40.0));
        let lane = Address::new(Ipv4Addr::new(10, 0, 0, 1), 5);
        let failed = Told {
            kind: "fail",
            galaxy: 3,
            lane,
        };
        assert_eq!(client.tick(end, Some(GALAXY), id(7)), Some(Act::Tell(failed)));
        assert_eq!(client.due(), Some(end + seconds(44.0)));
        let again = end + seconds(44.0);
        client.tick(again, Some(GALAXY), id(0)).unwrap();
        for after in [0.5, 32.0, 40.0] {
            assert_eq!(client.due(), Some(again + seconds(after)));
            let act = client.tick(again + seconds(after), Some(GALAXY), id(8));
            assert!(!matches!(act, Some(Act::Tell(_))), "it is told once");
        }
    }

    #[test]
    fn a_galaxy_that_is_nowhere_is_looked_for_later() {
        let start = Instant::now();
        let mut client = Client::new();
        client.begin(3, start, id(1));
        assert_eq!(client.tick(start, None, id(2)), None);
        assert_eq!(client.due(), Some(start + KEEPALIVE));
    }
}
