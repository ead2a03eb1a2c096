//! Props: events that are added to a new ship's boot sequence, before or after its userspace (`spec/boot.md` section 3).

use super::fetch::{FetchError, Fetcher};
use crate::{console, input, limits};
use serf_ipc::{Noun, cue};
use std::{fmt, io, path::PathBuf};

/// Where one comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PropSource {
    /// `--prop-file`
    File(PathBuf),
    /// `--prop-url`
    Url(String),
    /// `--prop-name`: one of those that are published for a version of the runtime.
    Name(String),
}

/// `[%prop meta tier ova]`
#[derive(Clone, PartialEq, Eq)]
pub struct Prop {
    /// What it is.
    pub meta: String,
    /// Whether its events come before those of userspace (`%fore`), or after them (`%hind`).
    pub fore: bool,
    /// Its events.
    pub ova: Vec<Noun>,
}

impl fmt::Debug for Prop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Prop({}, {} events)", self.meta, self.ova.len())
    }
}

/// Why it cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum PropError {
    /// The file cannot be read.
    #[error("events file {path} cannot be read: {error}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The address cannot be fetched from.
    #[error("boot: prop: {0}")]
    Fetch(#[from] FetchError),
    /// Not a jammed noun.
    #[error("boot: prop {0} is no jammed noun: it is damaged, or something else")]
    Unparsable(String),
    /// Its events are no list.
    #[error("boot: prop {0} is invalid: its events are no list")]
    NoList(String),
}

impl PropSource {
    /// Reads or fetches it; None for what is no prop that is known, which is told and left out as vere leaves it out. `version` is
    /// vere's, for those that are published.
    ///
    /// # Errors
    /// When it cannot be had.
    pub fn load(&self, fetcher: &Fetcher, version: &str) -> Result<Option<Prop>, PropError> {
        let (jam, origin) = match self {
            PropSource::File(path) => {
                let bytes = input::read(path).map_err(|error| PropError::Unreadable {
                    path: path.clone(),
                    error,
                })?;
                (bytes, path.display().to_string())
            }
            PropSource::Url(url) => (download(fetcher, url)?, url.clone()),
            PropSource::Name(name) => {
                let url = format!("https://bootstrap.urbit.org/props/{version}/{name}.jam");
                (download(fetcher, &url)?, url)
            }
        };
        let noun = cue(&jam).map_err(|_| PropError::Unparsable(origin.clone()))?;
        Prop::read(&noun, &origin)
    }
}

fn download(fetcher: &Fetcher, url: &str) -> Result<Vec<u8>, FetchError> {
    tracing::info!(target: console::TARGET, "boot: downloading prop {url}");
    fetcher.get(url, limits::FETCH_BYTES, Some("prop"))
}

impl Prop {
    fn read(noun: &Noun, origin: &str) -> Result<Option<Prop>, PropError> {
        let tag = |axis| {
            noun.slot(axis)
                .and_then(Noun::as_cord)
                .unwrap_or_else(|| "?".to_owned())
        };
        if !noun.head().is_some_and(|tag| tag.is_cord("prop")) {
            tracing::warn!(target: console::TARGET, "unrecognized boot sequence enhancement %{} in {origin}: left out", tag(2));
            return Ok(None);
        }
        let Some(ova) = noun.slot(15) else {
            tracing::warn!(target: console::TARGET, "invalid prop {origin}: left out");
            return Ok(None);
        };
        let (meta, tier) = (tag(6), tag(14));
        let fore = match tier.as_str() {
            "fore" => true,
            "hind" => false,
            _ => {
                tracing::warn!(target: console::TARGET, "unrecognized prop tier %{tier} in {origin}: left out");
                return Ok(None);
            }
        };
        let ova = ova
            .iter_list()
            .map(|item| item.cloned())
            .collect::<Result<_, _>>();
        let ova = ova.map_err(|_| PropError::NoList(origin.to_owned()))?;
        tracing::info!(target: console::TARGET, "prop: {tier} %{meta}");
        Ok(Some(Prop { meta, fore, ova }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serf_ipc::{jam, n};
    use std::fs;

    #[test]
    fn props_are_read_and_what_is_none_is_left_out() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("prop.jam");
        let load = |noun: &Noun| {
            fs::write(&file, jam(noun)).unwrap();
            PropSource::File(file.clone()).load(&Fetcher::default(), "3.5")
        };
        let ova = || Noun::list([Noun::atom(1), Noun::atom(2)]);
        let prop = load(&n!["prop", "groups", "hind", ova()]).unwrap().unwrap();
        assert_eq!((prop.meta.as_str(), prop.fore), ("groups", false));
        assert_eq!(prop.ova, [1, 2].map(Noun::atom));
        assert!(load(&n!["prop", "groups", "fore", ova()]).unwrap().unwrap().fore);
        for noun in [
            n!["prop", "groups", "left", ova()],
            n!["prop", "groups", "fore"],
            n!["porp", "groups", "fore", ova()],
            n![n![1_u64, 2_u64], 5_u64],
            Noun::atom(7),
        ] {
            assert_eq!(load(&noun).unwrap(), None, "{noun:?}");
        }
        let error = load(&n!["prop", "groups", "fore", 7_u64])
            .unwrap_err()
            .to_string();
        assert!(error.contains("no list"), "{error}");
        fs::write(&file, b"").unwrap();
        let error = PropSource::File(file.clone())
            .load(&Fetcher::default(), "3.5")
            .unwrap_err();
        assert!(error.to_string().contains("no jammed noun"), "{error}");
        let none = PropSource::File(directory.path().join("none")).load(&Fetcher::default(), "3.5");
        assert!(none.unwrap_err().to_string().contains("cannot be read"));
    }
}
