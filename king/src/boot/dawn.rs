//! Dawn: before a ship with keys is booted, its keys are held against the contract, and the keys of those whom it will speak to
//! first are fetched: what comes out is the event that the ship begins with (`spec/boot.md` section 6).

use super::{
    feed::{Feed, FeedForm},
    keys::Ring,
    rank::{Rank, name, sein},
    roller::{Host, Point, Roller, RollerError, turf},
    sequence::Identity,
};
use crate::{console, limits};
use serf_ipc::{Noun, n};

/// Why a ship cannot be booted with these keys.
#[derive(Debug, thiserror::Error)]
pub enum DawnError {
    /// The roller does not tell what must be known.
    #[error("boot: failed to retrieve {what}: {error}")]
    Roller {
        /// What was asked for.
        what: String,
        /// Why it is not there.
        error: RollerError,
    },
    /// The contract has no keys for the ship.
    #[error(
        "boot: invalid keys for {rank} '{ship}': the contract has no networking keys for it; set them in Bridge, \
         wait until the network has taken note, and boot with the key file that Bridge gives then"
    )]
    NotKeyed {
        /// The ship's rank.
        rank: Rank,
        /// Its name.
        ship: String,
    },
    /// A moon's keys in the form that lacks what a moon needs.
    #[error(
        "boot: incorrect keyfile please use updated format: a moon's has a rift in it. Get another from the moon's planet, \
         with `|moon-cycle-keys {ship}` in its dojo"
    )]
    OldMoon {
        /// Its name.
        ship: String,
    },
    /// None of the keys is the ship's.
    #[error("boot: invalid keys for {rank} '{ship}': {}", reasons(.errors))]
    Keys {
        /// The ship's rank.
        rank: Rank,
        /// Its name.
        ship: String,
        /// What is wrong with each key; empty where there is none.
        errors: Vec<KeyError>,
    },
    /// Nobody sponsors it.
    #[error(
        "boot: {ship} has no sponsor, and without one nobody finds it; take one in Bridge (by an escape), then boot again"
    )]
    NoSponsor {
        /// Whom nobody sponsors.
        ship: String,
    },
    /// The sponsor is not on the network.
    #[error(
        "boot: {ship} has no keys on the network, so whom it sponsors cannot boot; have its owner set them, or take another sponsor in Bridge"
    )]
    SponsorNotBooted {
        /// The sponsor.
        ship: String,
    },
    /// Sponsors without end.
    #[error(
        "boot: the sponsors that the roller tells of have no galaxy at their end; name another roller with -e"
    )]
    Circle,
    /// `-H`
    #[error("boot: invalid domain specified with -H {0}; it should be like urbit.org")]
    Domain(String),
}

/// What is wrong with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// `%key-mismatch`
    #[error(
        "the key is not the ship's present one (key-mismatch): was it changed in Bridge after this key file was made?"
    )]
    KeyMismatch,
    /// `%life-mismatch`
    #[error(
        "the key's number is not that of the ship's present one (life-mismatch): get the present key file from Bridge"
    )]
    LifeMismatch,
    /// `%invalid-life`
    #[error("a comet has one key for ever, of number 1 (invalid-life)")]
    InvalidLife,
}

fn reasons(errors: &[KeyError]) -> String {
    if errors.is_empty() {
        return "the key file has none (no-key)".to_owned();
    }
    let reasons = errors.iter().map(KeyError::to_string).collect::<Vec<_>>();
    reasons.join("; ")
}

/// Makes sure that these keys are the ship's, and fetches what it needs to begin. `domain` (`-H`) takes the place of the
/// network's domains.
///
/// # Errors
/// When they are not, or when something cannot be fetched.
pub fn dawn(roller: &Roller, feed: &Feed, domain: Option<&str>) -> Result<Identity, DawnError> {
    let domain = domain.map(own_domain).transpose()?;
    let ship = feed.who;
    let rank = Rank::of(ship);
    let point = if rank.is_on_chain() {
        let what = format!("{}'s public keys", name(ship));
        say(&format!("boot: retrieving {what}"));
        Some(
            roller
                .point(ship)
                .map_err(|error| DawnError::Roller { what, error })?,
        )
    } else {
        None
    };
    say("boot: verifying keys");
    let (rift, life, ring) = verified(feed, point.as_ref())?;
    say("boot: getting sponsor");
    let first = sponsor(ship, point.as_ref())?;

    let fetch = |what: &str, ask: &dyn Fn() -> Result<Noun, RollerError>| {
        say(&format!("boot: retrieving {what}"));
        ask().map_err(|error| DawnError::Roller {
            what: what.to_owned(),
            error,
        })
    };
    let galaxies = fetch("galaxy table", &|| roller.galaxies())?;
    let domains = match domain {
        Some(domains) => domains,
        None => fetch("network domains", &|| roller.domains())?,
    };
    let sponsors = sponsors(roller, ship, first)?;
    let feed_noun = Feed::noun(ship, rift, life, ring);
    Ok(Identity::Keys {
        vent: n![
            "dawn",
            feed_noun,
            sponsors,
            galaxies,
            domains,
            Noun::ZERO,
            Noun::ZERO
        ],
        // vere gives a file of several keys to the kernel whole, one by one.
        rekeys: match feed.form {
            FeedForm::Keys => feed.keys.clone(),
            FeedForm::Seed | FeedForm::Rift(_) => Vec::new(),
        },
    })
}

/// The sponsors above a ship, `(list [ship point])`, the galaxy first.
fn sponsors(roller: &Roller, ship: u128, first: u128) -> Result<Noun, DawnError> {
    let mut chain = Vec::new();
    let (mut below, mut above) = (ship, first);
    while Rank::of(below) != Rank::Galaxy {
        if chain.len() == limits::SPONSORS {
            return Err(DawnError::Circle);
        }
        let what = format!("keys for sponsor {}", name(above));
        say(&format!("boot: retrieving {what}"));
        let point = roller
            .point(above)
            .map_err(|error| DawnError::Roller { what, error })?;
        // The kernel crashes over a sponsor without keys; vere finds that out when the ship has been made.
        if point.net.is_none() {
            return Err(DawnError::SponsorNotBooted { ship: name(above) });
        }
        chain.push(n![Noun::from_u128(above), point.to_noun(above)]);
        (below, above) = (above, sponsor(above, Some(&point))?);
    }
    Ok(Noun::list(chain.into_iter().rev()))
}

/// Who sponsors a ship (`+sponsor:dawn`).
fn sponsor(ship: u128, point: Option<&Point>) -> Result<u128, DawnError> {
    let rank = Rank::of(ship);
    match rank {
        Rank::Galaxy | Rank::Moon | Rank::Comet => Ok(sein(ship)),
        Rank::Star | Rank::Planet => match point.and_then(|point| point.net.as_ref()) {
            Some(net) if net.sponsor.0 => Ok(net.sponsor.1),
            Some(_) => Err(DawnError::NoSponsor { ship: name(ship) }),
            None => Err(DawnError::NotKeyed {
                rank,
                ship: name(ship),
            }),
        },
    }
}

/// The first key that is the ship's, with its life and the ship's rift (`+veri:dawn`).
fn verified<'a>(feed: &'a Feed, point: Option<&Point>) -> Result<(u64, u64, &'a Ring), DawnError> {
    let ship = feed.who;
    let rank = Rank::of(ship);
    let net = point.and_then(|point| point.net.as_ref());
    if rank.is_on_chain() && net.is_none() {
        return Err(DawnError::NotKeyed {
            rank,
            ship: name(ship),
        });
    }
    let rift = match feed.rift() {
        Some(rift) => rift,
        None if rank == Rank::Moon => return Err(DawnError::OldMoon { ship: name(ship) }),
        None => net.map_or(0, |net| net.rift),
    };
    if let Some(net) = net
        && net.rift != rift
    {
        tracing::warn!(
            target: console::TARGET,
            "boot: the key file says that {} breached {rift} times, the contract {} times; if the ship is not heard by others, \
             get a new key file",
            name(ship), net.rift
        );
    }
    let mut errors = Vec::new();
    for (life, ring) in &feed.keys {
        let pass = ring.pass();
        let error = match (rank, net) {
            (Rank::Moon, _) => None,
            (Rank::Comet, _) if pass.fingerprint() != ship => Some(KeyError::KeyMismatch),
            (Rank::Comet, _) if *life != 1 => Some(KeyError::InvalidLife),
            (_, Some(net)) if net.pass != pass => Some(KeyError::KeyMismatch),
            (_, Some(net)) if net.life != *life => Some(KeyError::LifeMismatch),
            _ => None,
        };
        match error {
            None => return Ok((rift, *life, ring)),
            Some(error) => errors.push(error),
        }
    }
    Err(DawnError::Keys {
        rank,
        ship: name(ship),
        errors,
    })
}

/// `-H`: a list of the one domain.
fn own_domain(domain: &str) -> Result<Noun, DawnError> {
    match turf(domain) {
        Some(Host::Turf(turf)) => {
            say(&format!("boot: overriding network domains with {domain}"));
            Ok(Noun::list([turf]))
        }
        Some(Host::Address) | None => Err(DawnError::Domain(domain.to_owned())),
    }
}

fn say(line: &str) {
    tracing::info!(target: console::TARGET, "{line}");
}
