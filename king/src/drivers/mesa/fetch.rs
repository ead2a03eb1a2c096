//! A message of another ship's that is being fetched, fragment by fragment: what was asked for, what has come, what to ask for next
//! (`spec/drivers.md` section 9, "Pages for us").

use super::{
    gauge::Gauge,
    lss::{self, HASH, Hash, LEAF, Pair, Verifier},
    packet::{Auth, Data, Name},
};
use crate::limits;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// What a fragment has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Nothing: it was there, or is none of this message's.
    None,
    /// More of the message: more can be asked for.
    More,
    /// The message is whole.
    Done,
    /// It is not the message's: somebody lies.
    False,
}

/// A fetch.
#[derive(Debug)]
pub(crate) struct Fetch {
    /// The message's name.
    name: Name,
    /// The message's authenticator.
    auth: Auth,
    total: u64,
    root: Hash,
    verifier: Verifier,
    /// The bytes of all leaves before the verifier's next one.
    bytes: Vec<u8>,
    /// Leaves that came before their turn.
    early: BTreeMap<u64, (Vec<u8>, Option<Pair>)>,
    /// What was asked for and has not come, and when it was asked for last.
    asked: BTreeMap<u64, Instant>,
    /// The first that was never asked for.
    next: u64,
    /// When something last came that was new.
    came: Instant,
}

impl Fetch {
    /// Begins with a first packet; None where it is none of a message of several leaves.
    pub(crate) fn begin(name: Name, data: &Data, now: Instant) -> Option<Fetch> {
        let is_signed = matches!(data.auth, Auth::Sign(_) | Auth::Code(_));
        let leaves = lss::leaves(data.total);
        if !is_signed || leaves < 2 || data.total > limits::MESA_MESSAGE_BYTES {
            return None;
        }
        let (proof, rest) = data.bytes.as_chunks::<HASH>();
        let verifier = Verifier::new(leaves, proof).filter(|_| rest.is_empty())?;
        Some(Fetch {
            name,
            auth: data.auth,
            total: data.total,
            root: lss::root(proof)?,
            verifier,
            bytes: Vec::new(),
            early: BTreeMap::new(),
            asked: BTreeMap::new(),
            next: 0,
            came: now,
        })
    }

    /// The message's name, as its first packet had it.
    pub(crate) fn name(&self) -> &Name {
        &self.name
    }

    /// What stands for the whole message, and the root that it is to stand for.
    pub(crate) fn claim(&self) -> (Auth, &Hash) {
        (self.auth, &self.root)
    }

    /// The message, which is whole.
    pub(crate) fn into_data(self) -> Data {
        assert_eq!(self.bytes.len() as u64, self.total, "a message that is not whole");
        Data {
            total: self.total,
            auth: self.auth,
            bytes: self.bytes,
        }
    }

    /// The fragments to ask for now, which are taken to be asked for.
    pub(crate) fn ask(&mut self, gauge: &Gauge, now: Instant) -> Vec<u64> {
        let room = gauge.window().saturating_sub(self.asked.len());
        // What came too early waits in memory until its turn comes.
        let end = (self.verifier.next() + limits::MESA_EARLY).min(lss::leaves(self.total));
        let numbers: Vec<u64> = (self.next..end).take(room).collect();
        self.next += numbers.len() as u64;
        self.asked.extend(numbers.iter().map(|number| (*number, now)));
        numbers
    }

    /// The fragments that were asked for too long ago, which are taken to be asked for again. If there are any, the gauge is told.
    pub(crate) fn ask_again(&mut self, gauge: &mut Gauge, now: Instant) -> Vec<u64> {
        let mut lost = Vec::new();
        for (number, asked) in &mut self.asked {
            if now.saturating_duration_since(*asked) >= gauge.time_out() {
                *asked = now;
                lost.push(*number);
            }
        }
        if !lost.is_empty() {
            gauge.lost();
        }
        lost
    }

    /// When what was asked for first is to be asked for again.
    pub(crate) fn due(&self, gauge: &Gauge) -> Option<Instant> {
        self.asked.values().min().map(|asked| *asked + gauge.time_out())
    }

    /// For how long nothing new has come.
    pub(crate) fn silence(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.came)
    }

    /// A fragment came.
    pub(crate) fn take(&mut self, number: u64, data: &Data, gauge: &mut Gauge, now: Instant) -> Progress {
        let leaves = lss::leaves(self.total);
        let is_ours =
            data.total == self.total && number < leaves && data.bytes.len() == self.leaf_len(number);
        let Some(asked) = is_ours.then(|| self.asked.remove(&number)).flatten() else {
            return Progress::None;
        };
        gauge.answered(asked, now);
        self.came = now;
        let pair = match data.auth {
            Auth::Pair(pair) => Some(pair),
            Auth::Sign(_) | Auth::Code(_) | Auth::None => None,
        };
        self.early.insert(number, (data.bytes.clone(), pair));
        while let Some((leaf, pair)) = self.early.remove(&self.verifier.next()) {
            if !self.verifier.take(&leaf, pair.as_ref()) {
                return Progress::False;
            }
            self.bytes.extend_from_slice(&leaf);
        }
        match self.verifier.next() == leaves {
            true => Progress::Done,
            false => Progress::More,
        }
    }

    /// How long the leaf with this number is. vere takes a waiting last one of 1,024 bytes for an empty one.
    fn leaf_len(&self, number: u64) -> usize {
        (self.total - number * LEAF as u64).min(LEAF as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drivers::mesa::{
        lss::tests::message,
        messages::{
            Message,
            tests::{AUTH, answer, fragment, name},
        },
        packet::{Body, Part},
    };

    fn data(message: &Message, part: Part) -> Data {
        match message.page(&name(part)).unwrap().body {
            Body::Page { data, .. } => data,
            other => panic!("not a page: {other:?}"),
        }
    }

    fn begin(bytes: &[u8], now: Instant) -> (Message, Fetch) {
        let message = Message::read(&answer(bytes)).unwrap();
        let fetch = Fetch::begin(name(Part::Init), &data(&message, Part::Init), now).unwrap();
        (message, fetch)
    }

    /// Fetches all of it, each round's fragments in the order that `order` gives them.
    fn fetch_all(bytes: &[u8], order: fn(&mut Vec<u64>)) -> Data {
        let now = Instant::now();
        let (message, mut fetch) = begin(bytes, now);
        let mut gauge = Gauge::new();
        for _ in 0..10_000 {
            let mut numbers = fetch.ask(&gauge, now);
            assert!(!numbers.is_empty(), "something is always on its way");
            order(&mut numbers);
            for number in numbers {
                match fetch.take(number, &data(&message, fragment(number)), &mut gauge, now) {
                    Progress::Done => return fetch.into_data(),
                    Progress::More => {}
                    other => panic!("{other:?} at {number}"),
                }
            }
        }
        panic!("it does not end");
    }

    #[test]
    fn a_message_is_whole_in_whatever_order_it_comes() {
        let orders: [fn(&mut Vec<u64>); 3] = [
            |_| {},
            |numbers| numbers.reverse(),
            |numbers| {
                numbers.sort_by_key(|number| number ^ 5);
            },
        ];
        for order in orders {
            // The last leaf of 3,072 and of 131,072 bytes is a full one.
            for len in [1025, 3072, 17_920, 131_072, 200_001] {
                let bytes = message(len);
                let data = fetch_all(&bytes, order);
                assert!(data.bytes == bytes && data.auth == AUTH, "{len}");
            }
        }
    }

    #[test]
    fn what_is_lost_is_asked_for_again_and_what_comes_twice_is_nothing() {
        let start = Instant::now();
        let (message, mut fetch) = begin(&message(5000), start);
        let mut gauge = Gauge::new();
        assert_eq!(fetch.ask(&gauge, start), [0]);
        assert!(fetch.ask(&gauge, start).is_empty());
        assert!(fetch.ask_again(&mut gauge, start).is_empty());
        assert_eq!(fetch.due(&gauge), Some(start + gauge.time_out()));
        let later = start + gauge.time_out();
        assert_eq!(fetch.ask_again(&mut gauge, later), [0]);
        assert_eq!(gauge.time_out(), 2 * limits::MESA_TIME_OUT_LEAST);
        let first = data(&message, fragment(0));
        assert_eq!(fetch.silence(later), later - start);
        assert_eq!(fetch.take(0, &first, &mut gauge, later), Progress::More);
        assert_eq!(fetch.take(0, &first, &mut gauge, later), Progress::None);
        assert_eq!(fetch.silence(later), Duration::ZERO);
        // Nor is what nobody asked for.
        let fourth = data(&message, fragment(4));
        assert_eq!(fetch.take(4, &fourth, &mut gauge, later), Progress::None);
        assert_eq!(fetch.take(u64::MAX, &fourth, &mut gauge, later), Progress::None);
        assert_eq!(fetch.ask(&gauge, later), [1, 2]);
    }

    #[test]
    fn a_lie_is_found_as_soon_as_its_turn_comes() {
        let now = Instant::now();
        let (message, mut fetch) = begin(&message(9000), now);
        let mut gauge = Gauge::new();
        for number in fetch.ask(&gauge, now) {
            fetch.take(number, &data(&message, fragment(number)), &mut gauge, now);
        }
        let [second, third] = fetch.ask(&gauge, now)[..] else {
            panic!("a window of two")
        };
        let mut lie = data(&message, fragment(third));
        lie.bytes[7] ^= 1;
        assert_eq!(fetch.take(third, &lie, &mut gauge, now), Progress::More);
        let truth = data(&message, fragment(second));
        assert_eq!(fetch.take(second, &truth, &mut gauge, now), Progress::False);
    }

    #[test]
    fn memory_is_bounded_while_the_first_fragment_does_not_come() {
        let now = Instant::now();
        let leaves = 4 * limits::MESA_EARLY as usize;
        let (message, mut fetch) = begin(&message(leaves * LEAF), now);
        let mut gauge = Gauge::new();
        assert_eq!(fetch.ask(&gauge, now), [0]);
        for _ in 0..2 * limits::MESA_EARLY {
            gauge.answered(now, now);
        }
        loop {
            let numbers = fetch.ask(&gauge, now);
            assert!(numbers.len() < limits::MESA_WINDOW);
            if numbers.is_empty() {
                break;
            }
            for number in numbers {
                let data = data(&message, fragment(number));
                assert_eq!(fetch.take(number, &data, &mut gauge, now), Progress::More);
            }
        }
        assert_eq!(fetch.early.len() as u64, limits::MESA_EARLY - 1);
        let first = data(&message, fragment(0));
        assert_eq!(fetch.take(0, &first, &mut gauge, now), Progress::More);
        assert!(fetch.early.is_empty() && !fetch.ask(&gauge, now).is_empty());
    }

    #[test]
    fn what_is_no_first_packet_of_several_leaves_begins_nothing() {
        let now = Instant::now();
        let good = data(&Message::read(&answer(&message(5000))).unwrap(), Part::Init);
        let begins = |data: &Data| Fetch::begin(name(Part::Init), data, now).is_some();
        assert!(begins(&good));
        let with = |change: fn(&mut Data)| {
            let mut data = good.clone();
            change(&mut data);
            data
        };
        assert!(!begins(&with(|data| data.total = 1024)));
        assert!(!begins(&with(|data| data.total = 0)));
        assert!(!begins(&with(|data| data.total = u64::MAX)));
        assert!(!begins(&with(|data| data.total = limits::MESA_MESSAGE_BYTES + 1)));
        assert!(!begins(&with(|data| data.auth = Auth::None)));
        assert!(!begins(&with(|data| data.bytes.truncate(HASH))));
        assert!(!begins(&with(|data| data.bytes.push(0))));
    }
}
