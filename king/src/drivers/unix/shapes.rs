//! The nouns of clay's effects and events (`spec/drivers.md` section 5), as types.

use serf_ipc::{AtPath, FromNoun, Noun, Octs, ShapeError, n};

/// An effect on a wire of ours.
#[derive(Debug)]
pub(crate) enum Command {
    /// What is mounted.
    Hill(Vec<String>),
    /// Look for what changed on disk, and tell the ship.
    Dirk(String),
    /// Files changed in the ship.
    Ergo {
        /// The mount point.
        mount: String,
        /// What could be read of the list; vere aborts on the rest.
        changes: Vec<Change>,
        /// What is wrong with the first change that could not be read.
        wrong: Option<ShapeError>,
    },
    /// It is mounted no more.
    Ogre(String),
}

/// One file: its path below the mount's, and its bytes; None where it is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) path: Vec<String>,
    pub(crate) data: Option<Vec<u8>>,
}

impl Command {
    /// Reads a card; None where the tag is none of clay's.
    pub(crate) fn read(tag: &str, data: &Noun) -> Option<Result<Command, ShapeError>> {
        Some(match tag {
            "hill" => Vec::from_noun(data).at("hill").map(Command::Hill),
            "dirk" => String::from_noun(data).at("dirk").map(Command::Dirk),
            "ogre" => String::from_noun(data).at("ogre").map(Command::Ogre),
            "ergo" => read_ergo(data).at("ergo"),
            _ => return None,
        })
    }
}

fn read_ergo(data: &Noun) -> Result<Command, ShapeError> {
    let (mount, list): (String, Noun) = FromNoun::from_noun(data)?;
    let (mut changes, mut wrong) = (Vec::new(), None);
    for (at, item) in list.iter_list().enumerate() {
        match item.and_then(Change::from_noun).at_item(at) {
            Ok(change) => changes.push(change),
            Err(error) => wrong = wrong.or(Some(error.at("ergo"))),
        }
    }
    Ok(Command::Ergo {
        mount,
        changes,
        wrong,
    })
}

/// `[path (unit [type octs])]`; the type is not looked at.
impl FromNoun for Change {
    fn from_noun(noun: &Noun) -> Result<Change, ShapeError> {
        let (path, mime): (Vec<String>, Option<(Noun, Octs)>) = FromNoun::from_noun(noun)?;
        Ok(Change {
            path,
            data: mime.map(|(_, octs)| octs.data),
        })
    }
}

/// `[%boat ~]`.
pub(super) fn boat() -> Noun {
    n!["boat", ()]
}

/// `[%into mount all=| changes]`: text, whatever it is, as vere says of every file.
pub(super) fn into(mount: &str, changes: Vec<Change>) -> Noun {
    let kind = Noun::list([Noun::cord("text"), Noun::cord("plain")]);
    let changes = changes.into_iter().map(|change| {
        let data = change.data.map(|data| {
            let len = Noun::atom(data.len() as u64);
            n![&kind, len, Noun::from_le_vec(data)]
        });
        n![change.path, Noun::unit(data)]
    });
    n!["into", mount, false, Noun::list(changes)]
}

/// Reads a card for a fuzzer.
pub(crate) fn fuzz(noun: &Noun) {
    for tag in ["hill", "dirk", "ogre", "ergo"] {
        if let Some(Ok(Command::Ergo { mount, changes, .. })) = Command::read(tag, noun) {
            let Some(mount) = super::names::MountName::of(&mount) else {
                continue;
            };
            for change in &changes {
                if let Some(file) = super::names::FileName::of(&mount, &change.path) {
                    assert!(
                        file.is_of(&mount)
                            && file
                                .as_str()
                                .split('/')
                                .all(|part| !matches!(part, "" | "." | ".."))
                    );
                }
            }
            into(mount.knot(), changes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn effects_are_read() {
        let read = |tag: &str, data: Noun| Command::read(tag, &data).unwrap().unwrap();
        assert!(matches!(read("hill", n![0u64]), Command::Hill(names) if names.is_empty()));
        assert!(
            matches!(read("hill", n!["base", "kids", 0u64]), Command::Hill(names) if names == ["base", "kids"])
        );
        assert!(matches!(read("dirk", n!["base"]), Command::Dirk(mount) if mount == "base"));
        assert!(matches!(read("ogre", n!["base"]), Command::Ogre(mount) if mount == "base"));
        assert!(Command::read("cruz", &Noun::ZERO).is_none());
        let mime = n![n!["text", "plain", 0u64], 5u64, "abc"];
        let list = Noun::list([
            n![n!["a", "txt", 0u64], 0u64, &mime],
            n![n!["b", "txt", 0u64], 0u64],
            n![5u64, 0u64],
            n![n!["c", "txt", 0u64], 7u64],
        ]);
        let Command::Ergo {
            mount,
            changes,
            wrong,
        } = read("ergo", n!["base", list])
        else {
            panic!("not an %ergo")
        };
        assert_eq!(mount, "base");
        let data = |bytes: &[u8]| Some(bytes.to_vec());
        let change = |name: &str, data| Change {
            path: vec![name.to_owned(), "txt".to_owned()],
            data,
        };
        assert_eq!(changes, [change("a", data(b"abc\0\0")), change("b", None)]);
        assert!(
            wrong.unwrap().to_string().contains("ergo[2]"),
            "the first that is wrong"
        );
    }

    #[test]
    fn what_is_malformed_is_an_error() {
        for (tag, data) in [
            ("hill", n![5u64]),
            ("hill", n![n![1u64, 2u64], 0u64]),
            ("dirk", n![1u64, 2u64]),
            ("ogre", n![255u64]),
            ("ergo", n![5u64]),
            ("ergo", n![n![1u64, 2u64], 0u64]),
        ] {
            assert!(Command::read(tag, &data).unwrap().is_err(), "{tag} {data:?}");
        }
    }
}
