//! What the ship said may be answered without an event, and what it answered.

use super::{
    beam::Beam,
    shapes::{Entry, Grown},
};
use crate::{
    limits::{HTTP_CACHE_ANSWERS, HTTP_CACHE_BYTES},
    peek::{self, ourselves},
};
use serf_ipc::{
    FromNoun, Noun, ToNoun,
    text::{Path, cord},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The ship's cache, as far as it is known here.
#[derive(Debug, Default)]
pub(crate) struct Cache(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// From a target, as the kernel spells it (`@t`), to where its page is. Only the kernel adds to it, and has as many itself.
    grown: HashMap<String, Path>,
    answers: HashMap<Page, Kept>,
    /// Of all answers.
    bytes: usize,
    /// Counts uses.
    clock: u64,
}

#[derive(Debug)]
struct Kept {
    answer: Answer,
    used: u64,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Page {
    /// One that the ship has grown.
    Grown(Path),
    /// Any, by somebody who is logged in or not.
    Scry {
        /// Whether he is.
        is_known: bool,
        /// What.
        beam: Beam,
    },
}

/// The kernel's answer.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// It has none.
    Nothing,
    /// It is none that could be passed on.
    Strange,
    /// This.
    Entry(Arc<Entry>),
}

impl Page {
    /// What the kernel is asked.
    pub(crate) fn sample(&self) -> Noun {
        let anybody = Noun::ZERO;
        match self {
            Page::Grown(path) => peek::last(ourselves(), "ex", Noun::ZERO, path.to_noun()),
            Page::Scry { is_known: true, beam } => beam.sample(ourselves()),
            Page::Scry {
                is_known: false,
                beam,
            } => beam.sample(anybody),
        }
    }

    /// Reads what it answered.
    pub(crate) fn read(&self, answer: &Noun) -> Answer {
        if answer.as_u64() == Some(0) {
            return Answer::Nothing;
        }
        // [~ %omen path mark noun], or, where a case was named, [~ mark noun].
        let axis = match self {
            Page::Scry { beam, .. } if beam.is_fixed() => 7,
            _ => 31,
        };
        let entry = answer.slot(axis).map(Entry::from_noun);
        match entry {
            Some(Ok(entry)) => Answer::Entry(Arc::new(entry)),
            Some(Err(error)) => {
                tracing::warn!("http: the answer to a read is no page: {error}");
                Answer::Strange
            }
            None => Answer::Strange,
        }
    }

    /// Whether an answer is the same for whoever asks it again.
    fn keeps(&self, answer: &Answer) -> bool {
        match (self, answer) {
            // As long as it is not grown anew.
            (Page::Grown(_), _) => true,
            // It may be there one day.
            (Page::Scry { .. }, Answer::Nothing | Answer::Strange) => false,
            (Page::Scry { is_known, beam }, Answer::Entry(entry)) => {
                beam.is_fixed() && (*is_known || !entry.auth)
            }
        }
    }
}

impl Answer {
    fn bytes(&self) -> usize {
        match self {
            Answer::Nothing | Answer::Strange => 0,
            Answer::Entry(entry) => entry.start.data.as_ref().map_or(0, super::shapes::Body::len),
        }
    }
}

impl Cache {
    /// The ship grew a page, or took it away: what was known of it is out of date.
    pub(crate) fn grow(&self, grown: Grown) {
        let mut state = self.lock();
        if let Some(before) = state.grown.insert(grown.url, grown.path) {
            state.forget(&Page::Grown(before));
        }
    }

    /// Where the page for a target is, if it is grown.
    pub(crate) fn grown(&self, target: &[u8]) -> Option<Page> {
        let state = self.lock();
        if state.grown.is_empty() {
            return None;
        }
        let url = cord::escape(std::str::from_utf8(target).ok()?);
        state.grown.get(&url).cloned().map(Page::Grown)
    }

    /// The answer, if it is known.
    pub(crate) fn get(&self, page: &Page) -> Option<Answer> {
        let mut state = self.lock();
        state.clock += 1;
        let used = state.clock;
        let kept = state.answers.get_mut(page)?;
        kept.used = used;
        Some(kept.answer.clone())
    }

    /// Keeps an answer, unless it may be another one next time.
    pub(crate) fn put(&self, page: Page, answer: Answer) {
        let mut state = self.lock();
        let is_stale = match &page {
            Page::Grown(path) => path.0.get(2).and_then(|url| state.grown.get(url)) != Some(path),
            Page::Scry { .. } => false,
        };
        if is_stale || !page.keeps(&answer) || answer.bytes() > HTTP_CACHE_BYTES {
            return;
        }
        state.forget(&page);
        state.clock += 1;
        state.bytes += answer.bytes();
        let used = state.clock;
        state.answers.insert(page, Kept { answer, used });
        while state.answers.len() > HTTP_CACHE_ANSWERS || state.bytes > HTTP_CACHE_BYTES {
            let oldest = state.answers.iter().min_by_key(|(_, kept)| kept.used);
            let Some(oldest) = oldest.map(|(page, _)| page.clone()) else {
                return;
            };
            state.forget(&oldest);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn forget(&mut self, page: &Page) {
        if let Some(kept) = self.answers.remove(page) {
            self.bytes -= kept.answer.bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serf_ipc::n;

    fn grown(aeon: &str, url: &str) -> Grown {
        Grown {
            path: Path::from(["cache", aeon, url]),
            url: url.to_owned(),
        }
    }

    fn entry(auth: bool, len: usize) -> Answer {
        Answer::Entry(Arc::new(
            Entry::from_noun(&n![auth, "payload", n![200_u16, 0_u8], 0_u8, len as u64, 0_u8]).unwrap(),
        ))
    }

    fn scry(is_known: bool, target: &str) -> Page {
        let beam = Beam::read(target.as_bytes(), &[], "~zod").unwrap();
        Page::Scry { is_known, beam }
    }

    #[test]
    fn a_grown_page_is_found_by_its_target_until_it_is_grown_anew() {
        let cache = Cache::default();
        assert!(cache.grown(b"/a?b").is_none());
        cache.grow(grown("1", "~~~2f.a~3f.b"));
        let page = cache.grown(b"/a?b").unwrap();
        assert_eq!(page, Page::Grown(Path::from(["cache", "1", "~~~2f.a~3f.b"])));
        assert!(cache.grown(b"/a").is_none() && cache.grown(b"\xff").is_none());
        assert!(cache.get(&page).is_none());
        cache.put(page.clone(), Answer::Nothing);
        assert!(matches!(cache.get(&page), Some(Answer::Nothing)));
        cache.grow(grown("2", "~~~2f.a~3f.b"));
        assert!(cache.get(&page).is_none());
        // An answer that was on its way meanwhile is not kept.
        cache.put(page.clone(), Answer::Nothing);
        assert!(cache.get(&page).is_none());
        assert_ne!(cache.grown(b"/a?b").unwrap(), page);
    }

    #[test]
    fn what_may_change_is_not_kept() {
        let cache = Cache::default();
        let kept = |page: Page, answer: Answer| {
            cache.put(page.clone(), answer);
            cache.get(&page).is_some()
        };
        assert!(kept(scry(true, "/_~_/==1/x"), entry(true, 1)));
        assert!(kept(scry(false, "/_~_/==1/x"), entry(false, 1)));
        assert!(!kept(scry(false, "/_~_/==2/x"), entry(true, 1)));
        assert!(!kept(scry(true, "/_~_/===/x"), entry(true, 1)));
        assert!(!kept(scry(true, "/_~_/==3/x"), Answer::Nothing));
    }

    #[test]
    fn what_was_not_used_longest_goes_first() {
        let cache = Cache::default();
        let page = |number: usize| scry(true, &format!("/_~_/=={number}/x"));
        for number in 0..HTTP_CACHE_ANSWERS {
            cache.put(page(number), entry(true, 1));
        }
        assert!(cache.get(&page(0)).is_some());
        cache.put(page(HTTP_CACHE_ANSWERS), entry(true, 1));
        assert!(cache.get(&page(0)).is_some() && cache.get(&page(1)).is_none());
        cache.put(page(7), entry(true, HTTP_CACHE_BYTES));
        assert!(cache.get(&page(7)).is_some() && cache.get(&page(0)).is_none());
        assert_eq!(cache.lock().bytes, HTTP_CACHE_BYTES);
        cache.put(page(8), entry(true, HTTP_CACHE_BYTES + 1));
        assert!(cache.get(&page(8)).is_none() && cache.get(&page(7)).is_some());
    }

    #[test]
    fn an_answer_is_read_where_its_kind_has_it() {
        let noun = n![true, "payload", n![200_u16, 0_u8], 0_u8];
        let now = scry(true, "/_~_/===/x");
        let then = scry(true, "/_~_/==1/x");
        let last = n![0_u8, "omen", 0_u8, "noun", noun];
        assert!(matches!(now.read(&last), Answer::Entry(entry) if entry.auth));
        assert!(matches!(then.read(&n![0_u8, "noun", noun]), Answer::Entry(_)));
        assert!(matches!(now.read(&n![0_u8, "noun", noun]), Answer::Strange));
        assert!(matches!(now.read(&Noun::ZERO), Answer::Nothing));
        assert!(matches!(now.read(&n![0_u8, 0_u8]), Answer::Strange));
    }
}
