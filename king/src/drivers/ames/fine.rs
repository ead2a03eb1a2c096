//! fine: requests for published data (wails), their answers (purrs), and the pages of fragments that these are cut from
//! (`spec/drivers.md` section 8).

use super::packet::{Head, Packet};
use crate::{drivers::udp::cache::Cache, limits};
use serf_ipc::{Noun, n, text};

/// Fragments in a page: the kernel is asked for so many at once.
const PAGE: u32 = 4096;
/// Bytes of a fragment's data.
const FRAGMENT: usize = 1024;
/// Bytes of the signature before the data.
const SIGNATURE: usize = 64;
/// Bytes of the number of fragments between them.
const COUNT: usize = 4;
/// The longest path that is asked for.
const PATH: usize = 384;

/// A request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wail<'a> {
    /// Which fragment, from 1.
    pub(crate) fragment: u32,
    /// Of what.
    pub(crate) path: &'a [u8],
}

impl<'a> Wail<'a> {
    /// Reads a wail's body, nothing before and nothing after it.
    pub(crate) fn parse(body: &'a [u8]) -> Option<Wail<'a>> {
        let (tag, body) = body.split_first()?;
        let (fragment, body) = body.split_first_chunk()?;
        let (len, path) = body.split_first_chunk()?;
        let fragment = u32::from_le_bytes(*fragment);
        let len = usize::from(u16::from_le_bytes(*len));
        // There is no fragment 0: vere asks its kernel for the last page there can be.
        let is_sound = *tag == 0 && fragment != 0 && len <= PATH && path.len() == len;
        is_sound.then_some(Wail { fragment, path })
    }

    /// The number and the path, as they stand in a purr.
    fn write(&self) -> Vec<u8> {
        let len = self.path.len() as u16;
        [&self.fragment.to_le_bytes()[..], &len.to_le_bytes(), self.path].concat()
    }

    /// Which page it is in.
    pub(crate) fn page(&self) -> PageName {
        PageName {
            path: self.path.into(),
            first: 1 + (self.fragment - 1) / PAGE * PAGE,
        }
    }
}

/// A page: fragments from a first one on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PageName {
    path: Box<[u8]>,
    first: u32,
}

impl PageName {
    /// The kernel's path to it; None where the text is none.
    pub(crate) fn spur(&self) -> Option<Noun> {
        let knots = knots(&self.path)?;
        let first = text::ud(u64::from(self.first));
        let count = text::ud(u64::from(PAGE));
        Some(n!["fine", "hunk", first, count, knots])
    }
}

/// The knots of a path's text: each begins with a slash, may be empty, and has no control characters.
fn knots(path: &[u8]) -> Option<Noun> {
    let rest = path.strip_prefix(b"/")?;
    if rest.iter().any(|byte| *byte < 32 || *byte == 127) {
        return None;
    }
    Some(Noun::list(
        rest.split(|byte| *byte == b'/').map(Noun::from_le_bytes),
    ))
}

/// Who asked, and for what: kept while the kernel looks it up.
#[derive(Clone, Debug)]
pub(crate) struct Asker {
    head: Head,
    lives: (u8, u8),
    /// The ship that asks.
    pub(crate) ship: u128,
    own: u128,
    fragment: u32,
    path: Box<[u8]>,
}

impl Asker {
    pub(crate) fn new(packet: &Packet<'_>, wail: Wail<'_>) -> Asker {
        Asker {
            head: packet.head,
            lives: (packet.sender_life, packet.receiver_life),
            ship: packet.sender,
            own: packet.receiver,
            fragment: wail.fragment,
            path: wail.path.into(),
        }
    }

    /// The answer with this fragment: back to the sender, under its number and path.
    pub(crate) fn purr(&self, meow: &[u8]) -> Vec<u8> {
        let wail = Wail {
            fragment: self.fragment,
            path: &self.path,
        };
        let body = [&wail.write(), meow].concat();
        let packet = Packet {
            head: Head {
                is_request: false,
                is_ames: false,
                sender_class: self.head.receiver_class,
                receiver_class: self.head.sender_class,
                is_relayed: false,
                ..self.head
            },
            origin: None,
            sender_life: self.lives.1,
            receiver_life: self.lives.0,
            sender: self.own,
            receiver: self.ship,
            body: &body,
        };
        packet.write()
    }
}

/// What is known of a fragment.
pub(crate) enum Found {
    /// It is there: a signature, the count of fragments and the data.
    Fragment(Vec<u8>),
    /// The kernel has been asked for its page.
    Pending,
    /// Its page is there, and it is not in it; or it is no fragment.
    Nothing,
    /// Nothing is known.
    Unknown,
}

/// Pages that the kernel has given, and those that it is asked for.
pub(crate) struct Pages {
    known: Cache<PageName, Vec<Noun>>,
    /// With who asked first; others ask again.
    pending: std::collections::HashMap<PageName, Asker>,
}

impl Pages {
    pub(crate) fn new() -> Pages {
        Pages {
            known: Cache::new(limits::AMES_FINE_FRAGMENTS),
            pending: std::collections::HashMap::new(),
        }
    }

    pub(crate) fn find(&self, page: &PageName, fragment: u32) -> Found {
        if self.pending.contains_key(page) {
            return Found::Pending;
        }
        match self.known.get(page) {
            Some(fragments) => fragment_of(fragments, page, fragment),
            None => Found::Unknown,
        }
    }

    /// Notes that the kernel is asked. False when it is asked too much already.
    pub(crate) fn ask(&mut self, page: PageName, asker: Asker) -> bool {
        let has_room = self.pending.len() < limits::AMES_FINE_PEEKS;
        if has_room {
            self.pending.insert(page, asker);
        }
        has_room
    }

    /// The kernel's answer, a list of fragments, or none; the answer for who asked first.
    pub(crate) fn answered(&mut self, page: &PageName, fragments: Option<&Noun>) -> Option<(Asker, Found)> {
        let asker = self.pending.remove(page)?;
        let Some(list) = fragments else {
            return Some((asker, Found::Unknown));
        };
        let fragments: Vec<Noun> = list
            .iter_list()
            .take(PAGE as usize)
            .map_while(Result::ok)
            .cloned()
            .collect();
        let found = fragment_of(&fragments, page, asker.fragment);
        let weight = fragments.len().max(1);
        self.known.put(page.clone(), fragments, weight);
        Some((asker, found))
    }

    /// How many fragments are kept.
    pub(crate) fn len(&self) -> usize {
        self.known.weight()
    }

    /// How many pages the kernel is asked for.
    pub(crate) fn pending(&self) -> usize {
        self.pending.len()
    }
}

fn fragment_of(fragments: &[Noun], page: &PageName, fragment: u32) -> Found {
    let meow = fragment
        .checked_sub(page.first)
        .and_then(|place| fragments.get(place as usize))
        .and_then(Noun::atom_bytes);
    match meow {
        // The atom is what goes over the wire: where no data follows, the count has only the bytes that it needs.
        Some(meow) if (SIGNATURE + 1..=SIGNATURE + COUNT + FRAGMENT).contains(&meow.len()) => {
            Found::Fragment(meow.into_owned())
        }
        Some(_) => {
            tracing::warn!("fine: bad meow: a fragment of the ship's that is too short or too long");
            Found::Nothing
        }
        None => Found::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn wail_body(fragment: u32, path: &[u8]) -> Vec<u8> {
        [&[0][..], &Wail { fragment, path }.write()].concat()
    }

    #[test]
    fn a_wail_is_read_whole_or_not_at_all() {
        let body = wail_body(5, b"/c/x/1/base");
        assert_eq!(
            Wail::parse(&body),
            Some(Wail {
                fragment: 5,
                path: b"/c/x/1/base"
            })
        );
        for len in 0..body.len() {
            assert_eq!(Wail::parse(&body[..len]), None);
        }
        assert_eq!(Wail::parse(&[&body[..], b"x"].concat()), None);
        assert_eq!(Wail::parse(&[&[1][..], &body[1..]].concat()), None);
        assert_eq!(Wail::parse(&wail_body(0, b"/a")), None);
        assert!(Wail::parse(&wail_body(1, &[b'a'; PATH])).is_some());
        assert_eq!(Wail::parse(&wail_body(1, &[b'a'; PATH + 1])), None);
    }

    #[test]
    fn a_page_has_a_path_in_the_kernel() {
        let spur = |fragment, path: &[u8]| Wail { fragment, path }.page().spur();
        let list = |knots: &[&str]| Noun::list(knots.iter().map(|knot| Noun::cord(knot)));
        assert_eq!(
            spur(1, b"/c/x"),
            Some(list(&["fine", "hunk", "1", "4.096", "c", "x"]))
        );
        assert_eq!(spur(4096, b"/"), Some(list(&["fine", "hunk", "1", "4.096", ""])));
        assert_eq!(
            spur(4097, b"//a/"),
            Some(list(&["fine", "hunk", "4.097", "4.096", "", "a", ""]))
        );
        for strange in [&b""[..], b"a", b"/a\0", b"/a\x7f", b"/\n"] {
            assert_eq!(spur(1, strange), None);
        }
        assert!(spur(u32::MAX, b"/a").is_some());
    }
}
