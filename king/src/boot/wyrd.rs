//! The `%wyrd` event, by which the king tells the kernel which kelvins it speaks: once in the boot sequence, and at
//! every start (`spec/ipc.md` section 13).

use crate::{clock, ovum::Ovum};
use serf_ipc::{Noun, SerfVersion, n};

/// The channel that vere's releases name.
const PACE: &str = "live";

/// What a king of one version of vere says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wynn {
    version: &'static str,
    zuse: u64,
    lull: u64,
    arvo: u64,
    hoon: u64,
    nock: u64,
}

/// As the C binaries send it, whatever `%ripe` says of hoon.
fn wynn(version: SerfVersion) -> Wynn {
    match version {
        SerfVersion::V1_18 => Wynn {
            version: "1.18",
            zuse: 415,
            lull: 326,
            arvo: 239,
            hoon: 139,
            nock: 4,
        },
        SerfVersion::V2_12 => Wynn {
            version: "2.12",
            zuse: 412,
            lull: 323,
            arvo: 237,
            hoon: 139,
            nock: 4,
        },
        SerfVersion::V3_5 => Wynn {
            version: "3.5",
            zuse: 410,
            lull: 322,
            arvo: 236,
            hoon: 137,
            nock: 4,
        },
    }
}

/// The release of vere that this king stands for beside such a serf: what is published for it is named by it.
#[must_use]
pub fn release(version: SerfVersion) -> &'static str {
    wynn(version).version
}

/// The card, `[%wyrd [sen 'vere' pace version ~] kelvins]`; `now` only makes the session knot.
#[must_use]
pub fn card(now: u128, version: SerfVersion) -> Noun {
    let wynn = wynn(version);
    let identity = n![
        clock::session_knot(now),
        "vere",
        PACE,
        format!("~.{}", wynn.version),
        Noun::ZERO
    ];
    let kelvins = n![
        n!["zuse", wynn.zuse],
        n!["lull", wynn.lull],
        n!["arvo", wynn.arvo],
        n!["hoon", wynn.hoon],
        n!["nock", wynn.nock],
        Noun::ZERO
    ];
    n!["wyrd", identity, kelvins]
}

/// The event of a start: `[[%$ %arvo ~] card]`.
#[must_use]
pub fn ovum(now: u128, version: SerfVersion) -> Ovum {
    Ovum::new("", ["arvo"], card(now, version))
}

/// The `%zuse` that a kernel wants in place of this king's, if among the effects of `%wyrd` there is a `%wend` that says so. (vere looks
/// for it in the effect's wire, where it cannot be; kernels so far send none.)
#[must_use]
pub fn wanted_downgrade(effects: &Noun, version: SerfVersion) -> Option<u64> {
    let own = wynn(version).zuse;
    let kelvins = |effect: &Noun| {
        let card = effect.tail()?;
        card.head()?.is_cord("wend").then(|| card.tail().cloned())?
    };
    let wanted = |kelvin: &Noun| {
        let number = kelvin.tail()?.as_u64()?;
        (kelvin.head()?.is_cord("zuse") && number != own).then_some(number)
    };
    effects
        .iter_list()
        .map_while(Result::ok)
        .filter_map(kelvins)
        .find_map(|kelvins| kelvins.iter_list().map_while(Result::ok).find_map(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wend_for_another_zuse_is_seen() {
        let effect = |tag: &str, kelvins: &[(&str, u64)]| {
            let kelvins = kelvins.iter().map(|(name, number)| n![*name, *number]);
            n![n!["", "arvo", Noun::ZERO], tag, Noun::list(kelvins)]
        };
        let wanted = |effects: Vec<Noun>| wanted_downgrade(&Noun::list(effects), SerfVersion::V3_5);
        assert_eq!(wanted(vec![]), None);
        assert_eq!(
            wanted(vec![effect("init", &[]), effect("wend", &[("zuse", 411)])]),
            Some(411)
        );
        assert_eq!(
            wanted(vec![effect("wend", &[("lull", 1), ("zuse", 409)])]),
            Some(409)
        );
        assert_eq!(wanted(vec![effect("wend", &[("zuse", 410), ("hoon", 1)])]), None);
        assert_eq!(
            wanted(vec![effect("wand", &[("zuse", 411)]), Noun::atom(7)]),
            None
        );
    }
}
