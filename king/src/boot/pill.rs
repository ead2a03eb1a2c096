//! A pill: the kernel's lifecycle formulas, and the events that a new ship is fed first (`spec/boot.md` section 2).

use super::{FetchError, Fetcher};
use crate::{console, input, limits};
use serf_ipc::{Noun, cue};
use std::{
    io,
    path::{Path, PathBuf},
};

/// `[%pill typ bot mod use]`, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pill {
    /// What kind of pill it says it is (`brass`, `solid`); None where that is not text.
    pub kind: Option<String>,
    /// Lifecycle formulas, raw: the first events, without a date.
    pub formulas: Vec<Noun>,
    /// Kernel ova.
    pub modules: Vec<Noun>,
    /// Userspace ova.
    pub userspace: Vec<Noun>,
}

/// Why a pill cannot be booted from.
#[derive(Debug, thiserror::Error)]
pub enum PillError {
    /// The file cannot be read.
    #[error("boot: pill {path} cannot be read: {error}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The address cannot be fetched from.
    #[error("boot: failed: {0}. -B boots from a pill in a file, -u from another address")]
    Fetch(#[from] FetchError),
    /// Not a jammed cell.
    #[error("boot: failed: unable to parse pill: {0}; the file is damaged or not a pill, fetch it again")]
    Unparsable(String),
    /// The king's own pill.
    #[error(
        "boot: failed: unable to boot from ivory pill; give a brass or solid one, this king needs no ivory"
    )]
    Ivory,
    /// A pill of another format.
    #[error(
        "boot: failed: unrecognized pill (tag {0}); give a %pill as vere v3.5 boots from, brass or solid"
    )]
    Unrecognized(String),
    /// The tag fits, the rest does not.
    #[error(
        "boot: failed: unable to extract pill: {0}; it should be [%pill typ bot mod use], build it again"
    )]
    Unextractable(&'static str),
}

impl Pill {
    /// Reads and parses the pill in a file, saying so on the console as vere does.
    ///
    /// # Errors
    /// When the file cannot be read or is no pill.
    pub fn load(path: &Path) -> Result<Pill, PillError> {
        tracing::info!(target: console::TARGET, "boot: loading pill {}", path.display());
        let bytes = input::read(path).map_err(|error| PillError::Unreadable {
            path: path.to_owned(),
            error,
        })?;
        Pill::told(&bytes)
    }

    /// Fetches and parses the pill at an address, saying so on the console as vere does, and how far it is.
    ///
    /// # Errors
    /// When it cannot be fetched or is no pill.
    pub fn fetch(url: &str, fetcher: &Fetcher) -> Result<Pill, PillError> {
        tracing::info!(target: console::TARGET, "boot: downloading pill {url}");
        Pill::told(&fetcher.get(url, limits::FETCH_BYTES, Some("pill"))?)
    }

    fn told(bytes: &[u8]) -> Result<Pill, PillError> {
        let pill = Pill::parse(bytes)?;
        if let Some(kind) = &pill.kind {
            tracing::info!(target: console::TARGET, "boot: parsing %{kind} pill");
        }
        Ok(pill)
    }

    /// Parses the jam of a pill.
    ///
    /// # Errors
    /// When it is none; the words are vere's.
    pub fn parse(jam: &[u8]) -> Result<Pill, PillError> {
        let noun = cue(jam).map_err(|error| PillError::Unparsable(error.to_string()))?;
        let (tag, data) = noun
            .as_cell()
            .ok_or_else(|| PillError::Unparsable("it is an atom".to_owned()))?;
        if tag.is_cord("ivory") {
            return Err(PillError::Ivory);
        }
        if !tag.is_cord("pill") {
            return Err(PillError::Unrecognized(
                tag.as_cord().map_or("?".to_owned(), |tag| format!("%{tag}")),
            ));
        }
        let part = |axis| {
            data.slot(axis)
                .ok_or(PillError::Unextractable("it has fewer than four parts"))
        };
        let list = |noun: &Noun, error| {
            noun.iter_list()
                .map(|item| item.cloned())
                .collect::<Result<Vec<_>, _>>()
                .map_err(|_| PillError::Unextractable(error))
        };
        let formulas = list(part(6)?, "bot is not a list")?;
        if formulas.is_empty() {
            return Err(PillError::Unextractable("bot is empty"));
        }
        Ok(Pill {
            kind: part(2)?.as_cord(),
            formulas,
            modules: list(part(14)?, "mod is not a list")?,
            userspace: list(part(15)?, "use is not a list")?,
        })
    }

    /// Replaces the one `%into` or `%park` ovum of userspace, in its place, by `filesystem` (`-A`).
    ///
    /// # Errors
    /// How many such ova there are, when not one.
    pub fn replace_filesystem(&mut self, filesystem: Noun) -> Result<(), usize> {
        let is_filesystem = |ovum: &Noun| {
            ovum.slot(6)
                .is_some_and(|tag| tag.is_cord("into") || tag.is_cord("park"))
        };
        let mut places = self.userspace.iter_mut().filter(|ovum| is_filesystem(ovum));
        match (places.next(), places.count()) {
            (Some(place), 0) => {
                *place = filesystem;
                Ok(())
            }
            (None, _) => Err(0),
            (Some(_), more) => Err(1 + more),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serf_ipc::{jam, n};

    const TINY: &[u8] = include_bytes!("../../tests/data/tiny.pill");

    fn error(noun: &Noun) -> String {
        Pill::parse(&jam(noun)).unwrap_err().to_string()
    }

    #[test]
    fn a_pill_is_taken_apart() {
        let tiny = Pill::parse(TINY).unwrap();
        assert_eq!(tiny.kind.as_deref(), Some("tiny"));
        assert_eq!(
            (tiny.formulas.len(), tiny.modules.len(), tiny.userspace.len()),
            (2, 0, 0)
        );
        assert_eq!(tiny.formulas[0].head(), Some(&Noun::atom(2)));
    }

    #[test]
    fn the_order_of_its_lists_is_kept() {
        let list = |from: u64, to: u64| Noun::list((from..to).map(Noun::atom));
        let pill = Pill::parse(&jam(&n!["pill", "solid", list(0, 3), list(3, 5), list(5, 9)])).unwrap();
        assert_eq!(pill.formulas, [0, 1, 2].map(Noun::atom));
        assert_eq!(pill.modules, [3, 4].map(Noun::atom));
        assert_eq!(pill.userspace, [5, 6, 7, 8].map(Noun::atom));
    }

    #[test]
    fn what_is_no_pill_is_refused_in_vere_s_words() {
        let none = Noun::ZERO;
        let formulas = Noun::list([Noun::ZERO]);
        let damaged = Pill::parse(&TINY[..100]).unwrap_err().to_string();
        assert!(
            damaged.starts_with("boot: failed: unable to parse pill"),
            "{damaged}"
        );
        for (noun, words) in [
            (n![5u64], "boot: failed: unable to parse pill"),
            (
                n!["ivory", formulas.clone()],
                "boot: failed: unable to boot from ivory pill",
            ),
            (
                n!["cash", none.clone(), none.clone()],
                "boot: failed: unrecognized pill (tag %cash)",
            ),
            (
                n![formulas.clone(), none.clone()],
                "boot: failed: unrecognized pill (tag ?)",
            ),
            (
                n!["pill", "brass", formulas.clone(), none.clone()],
                "boot: failed: unable to extract pill",
            ),
            (
                n!["pill", "brass", none.clone(), none.clone(), none.clone()],
                "unable to extract pill: bot is empty",
            ),
            (
                n!["pill", "brass", 7u64, none.clone(), none.clone()],
                "unable to extract pill: bot is not a list",
            ),
            (
                n!["pill", "brass", formulas, none, 7u64],
                "unable to extract pill: use is not a list",
            ),
        ] {
            assert!(error(&noun).contains(words), "{:?}: {}", noun, error(&noun));
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let error = Pill::load(&directory.path().join("no.pill"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("no.pill cannot be read"), "{error}");
    }

    fn with_userspace(tags: &[&str]) -> Pill {
        let ovum = |tag: &str| n![n!["c", "sync", Noun::ZERO], tag, Noun::ZERO];
        let userspace = Noun::list(tags.iter().map(|tag| ovum(tag)));
        Pill::parse(&jam(&n![
            "pill",
            "solid",
            Noun::list([Noun::ZERO]),
            Noun::ZERO,
            userspace
        ]))
        .unwrap()
    }

    #[test]
    fn the_filesystem_is_replaced_in_its_place() {
        for tag in ["into", "park"] {
            let mut pill = with_userspace(&["prep", tag, "esse"]);
            let expected = [
                pill.userspace[0].clone(),
                Noun::cord("new"),
                pill.userspace[2].clone(),
            ];
            pill.replace_filesystem(Noun::cord("new")).unwrap();
            assert_eq!(pill.userspace, expected);
        }
    }

    #[test]
    fn the_filesystem_must_be_there_once() {
        assert_eq!(with_userspace(&["prep"]).replace_filesystem(Noun::ZERO), Err(0));
        assert_eq!(
            with_userspace(&["park", "into"]).replace_filesystem(Noun::ZERO),
            Err(2)
        );
    }
}
