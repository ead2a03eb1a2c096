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
