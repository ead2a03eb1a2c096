//! Mining a comet: keys are tried until one's fingerprint is the name of a ship under a star that takes comets
//! (`spec/boot.md` section 7).

use super::{
    feed::{Feed, FeedForm},
    fetch::{FetchError, Fetcher},
    keys::Ring,
    rank::{Rank, name, sein},
};
use crate::{console, limits};
use serf_ipc::{Noun, cue};
use std::{
    collections::BTreeSet,
    num::NonZeroUsize,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
};

/// Where the list of those stars is, unless another address is named.
pub const DEFAULT_STARS_URL: &str = "https://bootstrap.urbit.org/comet-stars.jam";

/// Why no comet can be mined.
#[derive(Debug, thiserror::Error)]
pub enum CometError {
    /// The list of stars cannot be fetched.
    #[error("boot: the list of stars for comets: {0}")]
    Fetch(#[from] FetchError),
    /// It is none.
    #[error(
        "boot: the list of stars for comets at {url} is {what}; name another with --comet-stars, or try again later"
    )]
    Stars {
        /// The address.
        url: String,
        /// What it is.
        what: String,
    },
}

/// Fetches the stars that take comets.
///
/// # Errors
/// When the list cannot be had, or is none.
pub fn stars(fetcher: &Fetcher, url: &str) -> Result<BTreeSet<u128>, CometError> {
    let jam = fetcher.get(url, limits::COMET_STARS_BYTES, None)?;
    let bad = |what: &str| CometError::Stars {
        url: url.to_owned(),
        what: what.to_owned(),
    };
    let list = cue(&jam).map_err(|_| bad("no jammed list"))?;
    let star = |item: Result<&Noun, _>| {
        let ship = item.map_err(|_| bad("no list"))?.as_u128();
        let ship = ship.ok_or_else(|| bad("no list of ships"))?;
        if Rank::of(ship) == Rank::Star {
            Ok(ship)
        } else {
            Err(bad(&format!("a list with {}, which is no star", name(ship))))
        }
    };
    let stars = list
        .iter_list()
        .map(star)
        .collect::<Result<BTreeSet<_>, CometError>>()?;
    if stars.is_empty() {
        return Err(bad("empty"));
    }
    Ok(stars)
}

/// Mines a comet on all processors, from 64 random bytes.
#[must_use]
pub fn mine(stars: &BTreeSet<u128>, entropy: &[u8; 64]) -> Feed {
    say("boot: mining a comet. May take up to an hour.");
    say("If you want to boot faster, get an Urbit identity.");
    let feed = mine_with(
        stars,
        entropy,
        thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
    );
    say(&format!("boot: found comet {}", name(feed.who)));
    feed
}

/// The same on so many threads. Each tries every so many-th number from where it begins: one alone finds what the kernel's
/// `+come:dawn` finds.
fn mine_with(stars: &BTreeSet<u128>, entropy: &[u8; 64], threads: NonZeroUsize) -> Feed {
    let found = Mutex::new(None);
    let (over, tried) = (AtomicBool::new(false), AtomicU64::new(0));
    let begun = std::time::Instant::now();
    thread::scope(|scope| {
        let (done, wait) = mpsc::channel::<()>();
        for first in 0..threads.get() {
            let (found, over, tried, done) = (&found, &over, &tried, done.clone());
            scope.spawn(move || {
                let mut seed = *entropy;
                add(&mut seed, first);
                while !over.load(Ordering::Relaxed) {
                    if let Some(feed) = comet(stars, &seed) {
                        *found.lock().unwrap_or_else(PoisonError::into_inner) = Some(feed);
                        over.store(true, Ordering::Relaxed);
                    }
                    tried.fetch_add(1, Ordering::Relaxed);
                    add(&mut seed, threads.get());
                }
                drop(done);
            });
        }
        drop(done);
        while wait.recv_timeout(limits::PROGRESS_EVERY) == Err(RecvTimeoutError::Timeout) {
            let tried = tried.load(Ordering::Relaxed);
            // Of 2^16 comets one is under a given star.
            let wanted = 65_536 / stars.len().max(1);
            let rate = tried / begun.elapsed().as_secs().max(1);
            say(&format!(
                "boot: mining a comet: {tried} keys tried, {rate} a second; about one in {wanted} will do"
            ));
        }
    });
    #[expect(
        clippy::expect_used,
        reason = "invariant: the threads end when one has found it"
    )]
    let feed = found
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner)
        .expect("a comet");
    feed
}

/// The comet of these 64 bytes, if it is one under such a star.
fn comet(stars: &BTreeSet<u128>, seed: &[u8; 64]) -> Option<Feed> {
    let ring = Ring::from_entropy(seed);
    let who = ring.pass().fingerprint();
    // The fingerprint is a short number once in 2^64 times.
    let fits = Rank::of(who) == Rank::Comet && stars.contains(&sein(who));
    fits.then(|| Feed {
        who,
        form: FeedForm::Rift(0),
        keys: vec![(1, ring)],
    })
}

/// Adds to a number of 64 bytes, lowest first.
fn add(number: &mut [u8; 64], step: usize) {
    let mut carry = step;
    for byte in number {
        carry += usize::from(*byte);
        *byte = (carry & 0xff) as u8;
        carry >>= 8;
        if carry == 0 {
            return;
        }
    }
}

fn say(line: &str) {
    tracing::info!(target: console::TARGET, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use serf_ipc::{
        jam,
        text::{Aura, p, slaw},
    };

    /// `(come:dawn (gulf 256 4.351) 7)`, in the C program's own kernel, and the jam of its product.
    const WHO: &str = "~dacbus-widfyl-marfyn-wolsub--paddyl-dovper-norsud-rigwyc";
    const FEED: &str = "0x16.2902.5e47.2b9e.647d.96ae.3617.a127.9dcc.5ab4.9431.8468.0e61.f23f.743d.f2f1.352d.3d86.7e74.\
        cec7.3345.b803.fef4.4121.a3ae.4b20.e523.30f1.78a0.3451.91b2.f954.6c90.80b0.018b.3d6d.8eea.4078.9f51.1c99.bb01.586c.\
        440e.ff80.3485";

    fn seven() -> [u8; 64] {
        let mut entropy = [0; 64];
        entropy[0] = 7;
        entropy
    }

    #[test]
    fn it_is_the_kernel_s() {
        let stars = (256..=4351).collect();
        let feed = mine_with(&stars, &seven(), NonZeroUsize::MIN);
        assert_eq!(p::format(feed.who), WHO);
        let (life, ring) = &feed.keys[0];
        let noun = Feed::noun(feed.who, feed.rift().unwrap(), *life, ring);
        assert_eq!(Noun::from_le_vec(jam(&noun)), slaw(Aura::Ux, FEED).unwrap());
    }

    #[test]
    fn several_threads_find_one_too() {
        let stars = (256..65_536).step_by(64).collect::<BTreeSet<_>>();
        let feed = mine_with(&stars, &[255; 64], NonZeroUsize::new(3).unwrap());
        assert_eq!(Rank::of(feed.who), Rank::Comet);
        assert!(stars.contains(&sein(feed.who)));
        assert_eq!(feed.keys[0].1.pass().fingerprint(), feed.who);
    }

    #[test]
    fn numbers_of_64_bytes_are_added_to() {
        let mut number = [255; 64];
        add(&mut number, 3);
        assert_eq!(number, {
            let mut two = [0; 64];
            two[0] = 2;
            two
        });
        let mut number = seven();
        add(&mut number, 1000);
        assert_eq!(number[..3], [0xef, 3, 0]);
    }
}
