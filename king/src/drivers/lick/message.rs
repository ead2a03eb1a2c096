//! What goes over a port, each way, and its nouns (`spec/drivers.md` section 11).

use serf_ipc::{Noun, ShapeError, cue, jam, n, newt};

/// An effect on a wire of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// Open a port.
    Spin(Noun),
    /// Close it.
    Shut(Noun),
    /// Send `[mark data]` through it.
    Spit { port: Noun, message: Noun },
}

impl Command {
    /// Reads a card; None where the tag is none of lick's.
    pub(super) fn read(tag: &str, data: &Noun) -> Option<Result<Command, ShapeError>> {
        Some(match tag {
            "spin" => Ok(Command::Spin(data.clone())),
            "shut" => Ok(Command::Shut(data.clone())),
            "spit" => data.split().map(|(port, message)| Command::Spit {
                port: port.clone(),
                message: message.clone(),
            }),
            _ => return None,
        })
    }
}

/// Why a connection is closed; the code and words are vere's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The body is not a jam.
    CueNone,
    /// The stream is not newt, or a frame is too long.
    NewtDecode,
    /// Not `[mark data]`.
    PutBad,
}

impl Refusal {
    pub(super) fn code(self) -> i32 {
        match self {
            Refusal::CueNone | Refusal::NewtDecode => -1,
            Refusal::PutBad => -2,
        }
    }

    pub(super) fn words(self) -> &'static str {
        match self {
            Refusal::CueNone => "cue-none",
            Refusal::NewtDecode => "newt-decode",
            Refusal::PutBad => "put-bad",
        }
    }

    /// What the client is told: `[0 %bail code words]`, the code as 32 bits without a sign.
    pub(super) fn to_noun(self) -> Noun {
        n![0u64, "bail", self.code().cast_unsigned(), self.words()]
    }
}

/// Reads the body of a client's frame: any cell.
pub(super) fn parse(body: &[u8]) -> Result<Noun, Refusal> {
    let message = cue(body).map_err(|_| Refusal::CueNone)?;
    if message.is_atom() {
        return Err(Refusal::PutBad);
    }
    Ok(message)
}

/// The frame of a message for a client.
pub(super) fn frame(message: &Noun) -> Result<Vec<u8>, newt::NewtError> {
    let jam = jam(message);
    newt::encode_with(u32::MAX as usize, |out| out.extend_from_slice(&jam))
}

/// `[%soak port mark data]`.
pub(super) fn soak(port: &Noun, message: Noun) -> Noun {
    n!["soak", port, message]
}

/// `[%born ~]`.
pub(super) fn born() -> Noun {
    n!["born", ()]
}

/// Reads the body of a frame, which is the jam of `noun`, and a card, for a fuzzer.
pub(crate) fn fuzz(body: &[u8], noun: &Noun) {
    match parse(body) {
        Ok(message) => assert!(message == *noun && noun.is_cell()),
        Err(refusal) => assert!(noun.is_atom() && refusal == Refusal::PutBad),
    }
    for tag in ["spin", "shut", "spit"] {
        let port = match Command::read(tag, noun) {
            Some(Ok(Command::Spin(port) | Command::Shut(port) | Command::Spit { port, .. })) => port,
            _ => continue,
        };
        if let Some(path) = super::socket::PortPath::of(&port) {
            assert!(
                path.components()
                    .all(|part| !matches!(part, "" | "." | "..") && !part.contains('/'))
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_cells() {
        assert_eq!(parse(&jam(&n!["noun", 5u64])), Ok(n!["noun", 5u64]));
        assert_eq!(parse(&jam(&n![5u64])), Err(Refusal::PutBad));
        assert_eq!(parse(b""), Err(Refusal::CueNone));
        assert_eq!(parse(&[0xff; 30]), Err(Refusal::CueNone));
    }

    #[test]
    fn refusals_are_vere_s() {
        assert_eq!(
            Refusal::PutBad.to_noun(),
            n![0u64, "bail", 0xffff_fffe_u64, "put-bad"]
        );
        assert_eq!(
            Refusal::CueNone.to_noun(),
            n![0u64, "bail", 0xffff_ffff_u64, "cue-none"]
        );
    }

    #[test]
    fn effects_are_read() {
        let read = |tag: &str, data: Noun| Command::read(tag, &data);
        let port = n!["a", "b", 0u64];
        assert_eq!(read("spin", port.clone()), Some(Ok(Command::Spin(port.clone()))));
        assert_eq!(read("shut", port.clone()), Some(Ok(Command::Shut(port.clone()))));
        let message = n!["noun", 5u64];
        let spit = Command::Spit {
            port: port.clone(),
            message: message.clone(),
        };
        assert_eq!(read("spit", n![port, message]), Some(Ok(spit)));
        assert!(read("spit", n![5u64]).unwrap().is_err());
        assert_eq!(read("soak", n![0u64]), None);
    }
}
