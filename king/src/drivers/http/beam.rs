//! `/_~_/<ship>/<desk>/<case>/<spur>`: what a client reads from the ship without an event (`spec/drivers.md` section 6).

use super::shapes::Header;
use crate::peek;
use serf_ipc::{
    Noun, ToNoun, n,
    text::{self, Path},
};

/// What a target of this kind begins with.
const PREFIX: &[u8] = b"/_~_/";

/// Ranges are widened to whole chunks of this many bytes, so that few of them are asked for and kept.
const CHUNK: u64 = 4 << 20;

/// What is read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Beam {
    /// Of another ship than our own, if so.
    ship: Vec<u8>,
    desk: Vec<u8>,
    /// None is now.
    case: Option<Vec<u8>>,
    /// With `/range/<first>/<last>` before it.
    spur: Path,
}

impl Beam {
    /// Whether a target is of this kind.
    pub(crate) fn is_meant(target: &[u8]) -> bool {
        target.starts_with(PREFIX) && target.len() > PREFIX.len()
    }

    /// Reads a target; None if it cannot be read. `our` is our own ship, with `~`.
    pub(crate) fn read(target: &[u8], headers: &[Header], our: &str) -> Option<Beam> {
        let mut rest = target.get(PREFIX.len() - 1..)?;
        let ship = part(&mut rest)?.unwrap_or_else(|| our.as_bytes().to_vec());
        let desk = part(&mut rest)?.unwrap_or_else(|| b"base".to_vec());
        let case = part(&mut rest)?;
        if case.is_none() && ship != our.as_bytes() {
            return None;
        }
        let spur: Path = std::str::from_utf8(rest).ok()?.parse().ok()?;
        let range = Range::of(headers);
        let mut knots = vec!["range".to_owned(), range.first(), range.last()];
        knots.extend(spur.0);
        Some(Beam {
            ship,
            desk,
            case,
            spur: Path(knots),
        })
    }

    /// What the kernel is asked.
    pub(crate) fn sample(&self, gang: Noun) -> Noun {
        let cord = |bytes: &[u8]| Noun::from_le_bytes(bytes);
        let spur = self.spur.to_noun();
        match &self.case {
            None => peek::last(gang, "ex", cord(&self.desk), spur),
            Some(case) => n![
                gang,
                0_u8,
                "ex",
                cord(&self.ship),
                cord(&self.desk),
                cord(case),
                spur
            ],
        }
    }

    /// Whether it is what it was: an answer about now is not kept.
    pub(crate) fn is_fixed(&self) -> bool {
        self.case.is_some()
    }
}

/// Takes the next part of a beam, `Some(None)` for a `=`. A slash before it is skipped; of two the second is the end of an
/// empty part, and begins the next one.
fn part(rest: &mut &[u8]) -> Option<Option<Vec<u8>>> {
    let bytes = rest.strip_prefix(b"/").unwrap_or(rest);
    if let Some(after) = bytes.strip_prefix(b"=") {
        *rest = after;
        return Some(None);
    }
    let end = bytes.iter().position(|byte| matches!(byte, b'/' | b'='))?;
    let (part, after) = bytes.split_at(end);
    *rest = after;
    Some(Some(part.to_vec()))
}

/// The part of a page that a client wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Range {
    /// All of it: nothing was said.
    Whole,
    /// From the first byte to the last one. Without a first one: that many from the end. With neither: what was said makes
    /// no sense, which is the kernel's to refuse.
    Bytes(Option<u64>, Option<u64>),
}

impl Range {
    fn of(headers: &[Header]) -> Range {
        let Some((_, value)) = headers.iter().find(|(name, _)| name == b"range") else {
            return Range::Whole;
        };
        match value.strip_prefix(b"bytes=").and_then(bounds) {
            None => Range::Bytes(None, None),
            Some((Some(first), _)) => {
                let first = first / CHUNK * CHUNK;
                Range::Bytes(Some(first), Some(first + (CHUNK - 1)))
            }
            Some((None, last)) => {
                Range::Bytes(None, last.and_then(|last| (last / CHUNK + 1).checked_mul(CHUNK)))
            }
        }
    }

    fn first(self) -> String {
        match self {
            Range::Whole => "0".to_owned(),
            Range::Bytes(first, _) => first.map(text::ud).unwrap_or_default(),
        }
    }

    fn last(self) -> String {
        match self {
            Range::Whole => String::new(),
            Range::Bytes(_, last) => last.map(text::ud).unwrap_or_default(),
        }
    }
}

/// `<first>-<last>`, either of which may be missing.
fn bounds(text: &[u8]) -> Option<(Option<u64>, Option<u64>)> {
    let (first, last) = std::str::from_utf8(text).ok()?.split_once('-')?;
    let (first, last) = (bound(first)?, bound(last)?);
    match (first, last) {
        (Some(first), Some(last)) if first > last => None,
        _ => Some((first, last)),
    }
}

fn bound(text: &str) -> Option<Option<u64>> {
    if text.is_empty() {
        return Some(None);
    }
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    // The largest number of all is no number for vere's library.
    let number = is_number
        .then(|| text.parse().ok())?
        .filter(|number| *number < u64::MAX);
    number.map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(target: &str, range: Option<&str>) -> Option<Noun> {
        let headers: Vec<Header> = range
            .map(|value| (b"range".to_vec(), value.as_bytes().to_vec()))
            .into_iter()
            .collect();
        let beam = Beam::read(target.as_bytes(), &headers, "~zod")?;
        Some(beam.sample(n!["gang"]))
    }

    fn path(knots: &[&str]) -> Noun {
        Noun::list(knots.iter().map(|knot| Noun::cord(knot)))
    }

    fn now(desk: &str, spur: &[&str]) -> Option<Noun> {
        Some(n!["gang", 1_u8, "once", "ex", desk, path(spur)])
    }

    fn then(ship: &str, desk: &str, case: &str, spur: &[&str]) -> Option<Noun> {
        Some(n!["gang", 0_u8, "ex", ship, desk, case, path(spur)])
    }

    #[test]
    fn a_target_is_a_beam() {
        assert_eq!(
            read("/_~_/===/x/y", None),
            now("base", &["range", "0", "", "x", "y"])
        );
        assert_eq!(read("/_~_/=/=/=/x", None), now("base", &["range", "0", "", "x"]));
        assert_eq!(
            read("/_~_/~zod/garden/=/x", None),
            now("garden", &["range", "0", "", "x"])
        );
        assert_eq!(read("/_~_/===/", None), now("base", &["range", "0", ""]));
        // An empty desk is two slashes.
        assert_eq!(read("/_~_/=//=/x", None), now("", &["range", "0", "", "x"]));
        assert_eq!(
            read("/_~_/~nec/base/7/x//y", None),
            then("~nec", "base", "7", &["range", "0", "", "x", "", "y"])
        );
        assert_eq!(
            read("/_~_/==7/x", None),
            then("~zod", "base", "7", &["range", "0", "", "x"])
        );
    }

    #[test]
    fn what_is_no_beam_is_none() {
        for target in [
            "/_~_/x",
            "/_~_/===",
            "/_~_/===x",
            "/_~_/===/X",
            "/_~_/===/x/",
            "/_~_/===/x?query",
            "/_~_/~nec/base/=/x",
            "/_~_/~zod/base",
            "/_~_/~zod/base/7",
        ] {
            assert_eq!(read(target, None), None, "{target}");
        }
        assert!(Beam::read(b"/_~_/===/\xff", &[], "~zod").is_none());
        assert!(!Beam::is_meant(b"/_~_/") && !Beam::is_meant(b"/_~/x") && Beam::is_meant(b"/_~_/x"));
    }

    #[test]
    fn a_range_is_widened_to_chunks() {
        let range = |range: &str| {
            let headers = [(b"range".to_vec(), range.as_bytes().to_vec())];
            let range = Range::of(&headers);
            (range.first(), range.last())
        };
        let cases = [
            ("bytes=0-1", "0", "4.194.303"),
            ("bytes=0-", "0", "4.194.303"),
            ("bytes=4194303-4194304", "0", "4.194.303"),
            ("bytes=4194304-", "4.194.304", "8.388.607"),
            ("bytes=-5", "", "4.194.304"),
            ("bytes=-4194304", "", "8.388.608"),
            ("bytes=-", "", ""),
            ("bytes=5-4", "", ""),
            ("bytes=a-", "", ""),
            ("bytes=0-1,3-4", "", ""),
            ("bytes=+1-2", "", ""),
            ("bytes=5", "", ""),
            ("lines=1-2", "", ""),
            ("bytes=18446744073709551615-", "", ""),
            ("bytes=-18446744073709551614", "", ""),
            (
                "bytes=18446744073709551614-",
                "18.446.744.073.705.357.312",
                "18.446.744.073.709.551.615",
            ),
        ];
        for (text, first, last) in cases {
            assert_eq!(range(text), (first.to_owned(), last.to_owned()), "{text}");
        }
    }
}
