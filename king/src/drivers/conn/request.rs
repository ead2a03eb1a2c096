//! A client's request, from the body of its frame. What is wrong with one is known here, without the rest.

use crate::{limits, ovum::Ovum};
use serf_ipc::{Noun, cue};

/// A request and the client's name for it.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// Comes back with the answer.
    pub(super) rid: Noun,
    pub(super) request: Request,
}

/// What a client may ask.
#[derive(Clone, Debug)]
pub(super) enum Request {
    /// Run a thread: the whole card, `[%fyrd ..]`.
    Fyrd(Noun),
    /// Read the namespace: `nom`, as the kernel takes it.
    Peek(Noun),
    /// Read the runtime's own figures: a path.
    Peel(Noun),
    /// Compute this event.
    Ovum(Ovum),
    /// Defragment the serf's memory.
    Pack,
    /// Deduplicate the serf's memory.
    Meld,
}

impl Request {
    /// Its tag, as clients send it.
    pub(super) fn tag(&self) -> &'static str {
        match self {
            Request::Fyrd(_) => "fyrd",
            Request::Peek(_) => "peek",
            Request::Peel(_) => "peel",
            Request::Ovum(_) => "ovum",
            Request::Pack | Request::Meld => "urth",
        }
    }
}

/// Why a connection is closed; the code and words are vere's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The body is not a jam.
    CueNone,
    /// The stream is not newt, or a frame is too long.
    NewtDecode,
    /// Not `[rid tag data]`.
    JarBad,
    /// No such request.
    TagUnknown,
    /// An effect for this connection that is not known.
    HandleUnknown,
    /// Not `[target wire card]` with cells for the last two.
    OvumBad,
    /// Neither `%pack` nor `%meld`.
    UrthBad,
    /// The ship has no khan.
    KhanMiss,
}

impl Refusal {
    pub(super) fn code(self) -> i32 {
        match self {
            Refusal::CueNone | Refusal::NewtDecode => -1,
            Refusal::JarBad => -2,
            Refusal::TagUnknown => -3,
            Refusal::HandleUnknown => -4,
            Refusal::OvumBad => -6,
            Refusal::UrthBad => -7,
            Refusal::KhanMiss => -8,
        }
    }

    pub(super) fn words(self) -> &'static str {
        match self {
            Refusal::CueNone => "cue-none",
            Refusal::NewtDecode => "newt-decode",
            Refusal::JarBad => "jar-bad",
            Refusal::TagUnknown => "tag-unknown",
            Refusal::HandleUnknown => "handle-unknown",
            Refusal::OvumBad => "ovum-bad",
            Refusal::UrthBad => "urth-bad",
            Refusal::KhanMiss => "khan-miss",
        }
    }
}

/// Reads `[rid tag data]`. Where the C king aborts (a tag that is a cell, an event whose wire or card is an atom)
/// this is a refusal like others.
pub(super) fn parse(body: &[u8]) -> Result<Asked, Refusal> {
    let noun = cue(body).map_err(|_| Refusal::CueNone)?;
    let (rid, card) = noun.as_cell().ok_or(Refusal::JarBad)?;
    let (tag, data) = card.as_cell().ok_or(Refusal::JarBad)?;
    // The name is echoed, and written into wires: it has a length that a name has.
    if rid.bit_len().is_none_or(|bits| bits > 8 * limits::CONN_RID_BYTES) {
        return Err(Refusal::JarBad);
    }
    let request = match tag.as_u64() {
        Some(OVUM) => Request::Ovum(ovum(data).ok_or(Refusal::OvumBad)?),
        Some(PEEK) => Request::Peek(data.clone()),
        Some(PEEL) => Request::Peel(data.clone()),
        Some(FYRD) => Request::Fyrd(card.clone()),
        Some(URTH) if data.is_cord("pack") => Request::Pack,
        Some(URTH) if data.is_cord("meld") => Request::Meld,
        Some(URTH) => return Err(Refusal::UrthBad),
        _ => return Err(Refusal::TagUnknown),
    };
    Ok(Asked {
        rid: rid.clone(),
        request,
    })
}

const FYRD: u64 = u64::from_le_bytes(*b"fyrd\0\0\0\0");
const OVUM: u64 = u64::from_le_bytes(*b"ovum\0\0\0\0");
const PEEK: u64 = u64::from_le_bytes(*b"peek\0\0\0\0");
const PEEL: u64 = u64::from_le_bytes(*b"peel\0\0\0\0");
const URTH: u64 = u64::from_le_bytes(*b"urth\0\0\0\0");

/// `[target wire card]`. A target that is a cell is the kernel's to refuse.
fn ovum(data: &Noun) -> Option<Ovum> {
    let (target, rest) = data.as_cell()?;
    let (wire, card) = rest.as_cell()?;
    (wire.is_cell() && card.is_cell()).then(|| Ovum {
        wire: Noun::cell(target.clone(), wire.clone()),
        card: card.clone(),
    })
}

/// Reads the body of a frame, which is the jam of `noun`, for a fuzzer.
pub(crate) fn fuzz(body: &[u8], noun: &Noun) {
    let Ok(Asked { rid, request }) = parse(body) else {
        return;
    };
    let tag = Noun::cord(request.tag());
    let card = match request {
        Request::Fyrd(card) => card,
        Request::Peek(data) | Request::Peel(data) => Noun::cell(tag, data),
        Request::Ovum(Ovum { wire, card }) => match wire.as_cell() {
            Some((target, wire)) => {
                let rest = Noun::cell(wire.clone(), card);
                Noun::cell(tag, Noun::cell(target.clone(), rest))
            }
            None => Noun::cell(tag, card),
        },
        Request::Pack => Noun::cell(tag, Noun::cord("pack")),
        Request::Meld => Noun::cell(tag, Noun::cord("meld")),
    };
    assert!(
        rid.bit_len()
            .is_some_and(|bits| bits <= 8 * limits::CONN_RID_BYTES)
    );
    assert!(
        Noun::cell(rid, card) == *noun,
        "a request is what was in the frame"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use serf_ipc::{jam, n};

    fn refusal(noun: &Noun) -> Refusal {
        parse(&jam(noun)).unwrap_err()
    }

    #[test]
    fn requests_are_read() {
        let none = Noun::ZERO;
        let request = |noun: Noun| parse(&jam(&noun)).unwrap();
        assert!(
            matches!(request(n![5u64, "fyrd", 1u64, 2u64]), Asked { rid, request: Request::Fyrd(card) }
            if rid == Noun::atom(5) && card == n!["fyrd", 1u64, 2u64])
        );
        assert!(
            matches!(request(n![5u64, "peek", 1u64]).request, Request::Peek(nom) if nom == Noun::atom(1))
        );
        assert!(matches!(request(n![5u64, "peel", &none]).request, Request::Peel(path) if path == none));
        assert!(matches!(request(n![5u64, "urth", "pack"]).request, Request::Pack));
        assert!(matches!(request(n![5u64, "urth", "meld"]).request, Request::Meld));
        let Request::Ovum(ovum) = request(n![5u64, "ovum", "b", n!["behn", 0u64], "born", 0u64]).request
        else {
            panic!("not an event");
        };
        assert_eq!(ovum.to_noun(), n![n!["b", "behn", 0u64], "born", 0u64]);
    }

    #[test]
    fn what_is_malformed_is_refused() {
        let long_name = Noun::from_le_bytes(&[255; 300]);
        for (noun, expected) in [
            (n![5u64], Refusal::JarBad),
            (n![5u64, "ovum"], Refusal::JarBad),
            (n![n![1u64, 2u64], "peel", 0u64], Refusal::JarBad),
            (n![long_name, "peel", 0u64], Refusal::JarBad),
            (n![5u64, "born", 0u64], Refusal::TagUnknown),
            (n![5u64, n![1u64, 2u64], 0u64], Refusal::TagUnknown),
            (
                n![5u64, Noun::from_le_bytes(&[255; 20]), 0u64],
                Refusal::TagUnknown,
            ),
            (n![5u64, "ovum", 0u64], Refusal::OvumBad),
            (n![5u64, "ovum", "b", n!["behn", 0u64]], Refusal::OvumBad),
            (n![5u64, "ovum", "b", n!["behn", 0u64], "born"], Refusal::OvumBad),
            (n![5u64, "ovum", "b", 0u64, "born", 0u64], Refusal::OvumBad),
            (n![5u64, "urth", "burn"], Refusal::UrthBad),
            (n![5u64, "urth", 1u64, 2u64], Refusal::UrthBad),
        ] {
            assert_eq!(refusal(&noun), expected, "{noun:?}");
        }
        assert_eq!(parse(b"").unwrap_err(), Refusal::CueNone);
        assert_eq!(parse(&[0xff; 9]).unwrap_err(), Refusal::CueNone);
    }

    #[test]
    fn a_target_that_is_a_cell_is_left_to_the_kernel() {
        let asked = parse(&jam(&n![
            5u64,
            "ovum",
            n![1u64, 2u64],
            n!["behn", 0u64],
            "born",
            0u64
        ]))
        .unwrap();
        assert!(matches!(asked.request, Request::Ovum(_)));
    }
}
