//! What the ship has in a desk, read by peeks: nothing is changed by it, and each answer waits until it is committed.
//!
//! Clay tells which mounts there are (`%hill`), and tells a file when it changes (`%ergo`); it does not tell anew what a mount has. So the
//! driver reads the desk that the mount shows: its revision (`%cw`), its files (`%ct`), and each file's page (`%cq`), all of them at that
//! revision. A page is not yet a file's bytes: that is its mark's business, and the ship converts it itself (eyre's `/_~_/`), but takes half
//! a second for each. So the conversions of the common marks are here, and one file of each mark is compared with
//! what the ship makes of it; a mark that differs, or is not known here, is left to the ship for all its files.

use super::beam::Beam;
use crate::{
    driver::{Intake, PeekAnswer},
    limits, peek,
};
use serf_ipc::{FromNoun, Noun, Octs, n, text};
use std::collections::HashMap;
use tokio::{runtime::Handle, sync::oneshot};

/// A way to ask the ship, from a thread that may wait.
pub(super) struct Ship {
    pub(super) intake: Intake,
    pub(super) runtime: Handle,
    pub(super) who: u128,
}

/// The office ended: nothing can be asked any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Over;

/// A file as the ship has it: its path, and its bytes, unless the ship cannot say.
pub(super) type ShipFile = (Vec<String>, Option<Vec<u8>>);

/// What of a desk a mount shows, at one revision.
pub(super) struct Desk {
    beam: Beam,
    revision: u64,
    /// Their paths in the desk.
    files: Vec<Vec<String>>,
}

impl Ship {
    /// What a mount of this shows now. None where the ship cannot say: it has no such desk, or another ship has it.
    pub(super) fn desk(&self, beam: Beam) -> Result<Option<Desk>, Over> {
        if beam.ship != self.who {
            return Ok(None);
        }
        let revision = match beam.revision {
            Some(revision) => Some(revision),
            None => {
                let newest = self.ask_one(once("cw", &beam.desk, &[]))?;
                newest.as_ref().and_then(read_revision).filter(|at| *at > 0)
            }
        };
        let Some(revision) = revision else {
            return Ok(None);
        };
        let listing = self.ask_one(self.at("ct", &beam.desk, revision, &[]))?;
        let files = listing.and_then(|page| Vec::<Vec<String>>::from_noun(page.tail()?).ok());
        Ok(files.map(|mut files| {
            files.retain(|path| beam.inside(path).is_some());
            Desk {
                beam,
                revision,
                files,
            }
        }))
    }

    /// Every file of a mount, given to `take` as it comes.
    pub(super) fn read(&self, desk: &Desk, mut take: impl FnMut(ShipFile)) -> Result<(), Over> {
        let mut marks = HashMap::new();
        for window in desk.files.chunks(limits::UNIX_PEEKS) {
            let asked = window
                .iter()
                .map(|path| self.at("cq", &desk.beam.desk, desk.revision, path));
            let pages = self.ask(asked.collect())?;
            for (path, page) in window.iter().zip(pages) {
                let data = match page {
                    Some(page) => self.bytes(desk, path, &page, &mut marks)?,
                    None => None,
                };
                take((desk.beam.inside(path).unwrap_or(path).to_vec(), data));
            }
        }
        Ok(())
    }

    /// A file's bytes. `marks` says which marks' conversions here are the ship's own.
    fn bytes(
        &self,
        desk: &Desk,
        path: &[String],
        page: &Noun,
        marks: &mut HashMap<String, bool>,
    ) -> Result<Option<Vec<u8>>, Over> {
        let Some((mark, data)) = page.as_cell() else {
            return Ok(None);
        };
        let mark = mark.as_cord().unwrap_or_default();
        match (convert(&mark, data), marks.get(&mark)) {
            (Some(bytes), Some(true)) => Ok(Some(bytes)),
            (guess, known) => {
                let told = self.convert(desk, path)?;
                if known.is_none() && told.is_some() {
                    marks.insert(mark, guess == told);
                }
                Ok(told)
            }
        }
    }

    /// What the ship itself makes of a file.
    fn convert(&self, desk: &Desk, path: &[String]) -> Result<Option<Vec<u8>>, Over> {
        let (who, revision) = (text::p::format(self.who), desk.revision.to_string());
        let head = ["_~_", "cx", &who, &desk.beam.desk, &revision];
        let knots: Vec<&str> = head.into_iter().chain(path.iter().map(String::as_str)).collect();
        let answer = self.ask_one(once("ex", "", &knots))?;
        let mime = answer.as_ref().and_then(page_of_once).and_then(Noun::tail);
        Ok(mime
            .and_then(|mime| <(Noun, Octs)>::from_noun(mime).ok())
            .map(|(_, octs)| octs.data))
    }

    /// `[%beam care [our desk %ud revision] path]`, asked with all rights.
    fn at(&self, care: &str, desk: &str, revision: u64, path: &[String]) -> Noun {
        let who = Noun::from_u128(self.who);
        n![
            n![0u64, 0u64],
            1u64,
            "beam",
            care,
            n![who, desk, "ud", revision],
            path
        ]
    }

    fn ask_one(&self, sample: Noun) -> Result<Option<Noun>, Over> {
        Ok(self.ask(vec![sample])?.pop().flatten())
    }

    /// Answers, each without its `[~ ..]`. A peek that no serf answered is asked again.
    fn ask(&self, samples: Vec<Noun>) -> Result<Vec<Option<Noun>>, Over> {
        self.runtime.block_on(async {
            let mut asked = Vec::with_capacity(samples.len());
            for sample in &samples {
                asked.push(self.send(sample).await);
            }
            let mut answers = Vec::with_capacity(samples.len());
            for (sample, mut answer) in samples.iter().zip(asked) {
                let mut tries = 1;
                answers.push(loop {
                    match answer.await {
                        Ok(PeekAnswer::Done(unit)) => break unit.tail().cloned(),
                        Ok(PeekAnswer::Bailed(_)) => break None,
                        // The office is over, or its serf died meanwhile.
                        Ok(PeekAnswer::Unavailable) if tries < limits::UNIX_PEEK_TRIES => {
                            tokio::time::sleep(limits::UNIX_PEEK_PAUSE).await;
                            tries += 1;
                            answer = self.send(sample).await;
                        }
                        Ok(PeekAnswer::Unavailable) | Err(_) => return Err(Over),
                    }
                });
            }
            Ok(answers)
        })
    }

    async fn send(&self, sample: &Noun) -> oneshot::Receiver<PeekAnswer> {
        let (tell, answer) = oneshot::channel();
        let tell = Box::new(move |answer| drop(tell.send(answer)));
        self.intake.peek(sample.clone(), tell).await;
        answer
    }
}

/// `[%once care desk path]`, asked with all rights.
fn once(care: &str, desk: &str, path: &[&str]) -> Noun {
    peek::last(
        peek::ourselves(),
        care,
        Noun::cord(desk),
        Noun::list(path.iter().map(|knot| Noun::cord(knot))),
    )
}

/// Of `[%omen path mark data]`, the answer to a `%once`, the `[mark data]`.
fn page_of_once(answer: &Noun) -> Option<&Noun> {
    answer.slot(7)
}

/// The number of a `%cass`, `[ud da]`.
fn read_revision(answer: &Noun) -> Option<u64> {
    page_of_once(answer)?.tail()?.head()?.as_u64()
}

/// A page's bytes, for marks whose way to a file is plain.
fn convert(mark: &str, data: &Noun) -> Option<Vec<u8>> {
    match mark {
        "mime" => Some(<(Noun, Octs)>::from_noun(data).ok()?.1.data),
        "txt" | "md" => {
            let lines: Vec<Noun> = FromNoun::from_noun(data).ok()?;
            let lines: Option<Vec<_>> = lines.iter().map(Noun::atom_bytes).collect();
            Some(significant(lines?.join(&b'\n')))
        }
        "woff2" => Octs::from_noun(data).ok().map(|octs| octs.data),
        "css" | "hoon" | "htm" | "html" | "ico" | "jpg" | "js" | "png" | "svg" | "udon" | "umd" | "xml" => {
            data.atom_bytes().map(std::borrow::Cow::into_owned)
        }
        _ => None,
    }
}

/// A cord's bytes: it has no zeros at its end.
fn significant(mut bytes: Vec<u8>) -> Vec<u8> {
    let len = bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    bytes.truncate(len);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_marks_have_their_bytes() {
        let text =
            |mark: &str, data: Noun| convert(mark, &data).map(|bytes| String::from_utf8(bytes).unwrap());
        assert_eq!(text("hoon", n!["|=(a=@ a)"]).unwrap(), "|=(a=@ a)");
        assert_eq!(text("txt", n!["a", 0u64, "b", 0u64]).unwrap(), "a\n\nb");
        assert_eq!(text("txt", n!["a", 0u64, 0u64]).unwrap(), "a\n");
        assert_eq!(text("txt", n![0u64]).unwrap(), "");
        assert_eq!(text("mime", n![n!["text", 0u64], 3u64, "ab"]).unwrap(), "ab\0");
        assert_eq!(text("woff2", n![2u64, "ab"]).unwrap(), "ab");
        for (mark, data) in [
            ("hoon", n![1u64, 2u64]),
            ("txt", n!["a"]),
            ("mime", n![5u64]),
            ("kelvin", n!["zuse", 410u64]),
        ] {
            assert_eq!(text(mark, data), None, "{mark}");
        }
    }
}
