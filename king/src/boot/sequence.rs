//! The events that a new ship's log begins with, in vere's order (`spec/boot.md` section 3). Pure: time and entropy
//! are given.

use super::{Pill, Prop, keys::Ring, wyrd};
use crate::{clock, ovum::Ovum};
use serf_ipc::{Noun, SerfVersion, n};
use std::fmt;

/// As whom a ship begins: what dill passes on to jael.
#[derive(Clone)]
pub enum Identity {
    /// `[%fake ship]`
    Fake,
    /// With keys that were held against the contract.
    Keys {
        /// `[%dawn feed sponsors galaxies domains 0 ~]`. The secret key is in it.
        vent: Noun,
        /// Keys that the ship is given one by one, each with its life, in the order of the key file.
        rekeys: Vec<(u64, Ring)>,
    },
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Identity::Fake => "Fake",
            Identity::Keys { .. } => "Keys(..)",
        })
    }
}

/// What a boot sequence is made from.
#[derive(Clone, Debug)]
pub struct BootInput {
    /// The ship's number.
    pub ship: u128,
    /// As whom it begins.
    pub identity: Identity,
    /// Where the formulas and most events come from.
    pub pill: Pill,
    /// The date of the first dated event (`@da`); each further one is 2^-16 s later.
    pub now: u128,
    /// The date that names the `%wyrd` event's session (vere reads its clock once more for it).
    pub wyrd_now: u128,
    /// For which serf: it decides the kelvins that `%wyrd` tells.
    pub serf: SerfVersion,
    /// Random bytes for `%wack`.
    pub entropy: [u8; 64],
    /// `-v`: the kernel is told to be verbose.
    pub verbose: bool,
    /// `-l`: a lite boot.
    pub lite: bool,
    /// `-A`: the ovum that takes the place of the pill's base filesystem.
    pub replace_filesystem: Option<Noun>,
    /// What is added before and after userspace.
    pub props: Vec<Prop>,
}

/// The first events of a ship, numbered from 1 in the log, all with the unknown mug.
#[derive(Clone)]
pub struct BootSequence {
    /// How many of them are raw lifecycle formulas.
    pub life: u32,
    /// The formulas, then `[date ovum]`. The ship's secret key is in them.
    pub events: Vec<Noun>,
}

impl fmt::Debug for BootSequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BootSequence")
            .field("life", &self.life)
            .field("events", &self.events.len())
            .finish_non_exhaustive()
    }
}

/// Why there is no boot sequence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BootError {
    /// `-A` needs one place to put the files.
    #[error(
        "boot: -A replaces the one %into or %park event of the pill's userspace, and this pill has {0}; \
         boot without -A, or give a pill with one desk"
    )]
    Filesystems(usize),
    /// More formulas than the log's metadata can count.
    #[error("boot: the pill has {0} lifecycle formulas, more than a ship's life can count")]
    Life(usize),
}

/// Lays out the boot sequence.
///
/// # Errors
/// When the pill does not fit `-A`, or has too many formulas.
pub fn sequence(input: BootInput) -> Result<BootSequence, BootError> {
    let mut pill = input.pill;
    if let Some(filesystem) = input.replace_filesystem {
        pill.replace_filesystem(filesystem)
            .map_err(BootError::Filesystems)?;
    }
    let life = u32::try_from(pill.formulas.len()).map_err(|_| BootError::Life(pill.formulas.len()))?;

    let arvo = |card| Ovum::new("", ["arvo"], card).to_noun();
    let identity = [
        arvo(wyrd::card(input.wyrd_now, input.serf)),
        arvo(n!["whom", Noun::from_u128(input.ship)]),
        arvo(n!["wack", Noun::from_le_bytes(&input.entropy)]),
        arvo(n!["verb", Noun::ZERO, Noun::loob(!input.verbose)]),
    ];
    let (vent, rekeys) = match input.identity {
        Identity::Fake => (n!["fake", Noun::from_u128(input.ship)], Vec::new()),
        Identity::Keys { vent, rekeys } => (vent, rekeys),
    };
    let boot = Ovum::new("d", ["term", "1"], n!["boot", Noun::loob(input.lite), vent]).to_noun();
    // vere puts each key before the one that came earlier in the file.
    let rekey =
        |(life, ring): (u64, Ring)| Ovum::new("j", ["seed"], n!["rekey", life, ring.to_noun()]).to_noun();
    let (fore, hind): (Vec<_>, Vec<_>) = input.props.into_iter().partition(|prop| prop.fore);
    let events_of = |props: Vec<Prop>| props.into_iter().flat_map(|prop| prop.ova);

    let ova = identity
        .into_iter()
        .chain(pill.modules)
        .chain(events_of(fore))
        .chain([boot])
        .chain(rekeys.into_iter().rev().map(rekey))
        .chain(pill.userspace)
        .chain(events_of(hind));
    let mut dates = clock::EventClock::new(None);
    let dated = ova.map(|ovum| Noun::cell(Noun::from_u128(dates.stamp(input.now)), ovum));
    let events = pill.formulas.into_iter().chain(dated).collect();
    Ok(BootSequence { life, events })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serf_ipc::{cue, jam, text::da};

    /// When all is booted here.
    fn now() -> u128 {
        da::from_unix(1_700_000_000, 0)
    }

    const TINY: &[u8] = include_bytes!("../../tests/data/tiny.pill");
    /// Events 1 to 7 of a pier that the C king booted from `tiny.pill` with `-F zod -l`: a jam in hex a line.
    const TINY_BOOT: &str = include_str!("../../tests/data/tiny-boot.hex");

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len() / 2)
            .map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap())
            .collect()
    }

    fn input(pill: Pill) -> BootInput {
        BootInput {
            ship: 0,
            identity: Identity::Fake,
            pill,
            now: now(),
            wyrd_now: now(),
            serf: SerfVersion::V3_5,
            entropy: [7; 64],
            verbose: false,
            lite: false,
            replace_filesystem: None,
            props: Vec::new(),
        }
    }

    #[test]
    fn it_is_the_c_king_s_byte_for_byte() {
        let theirs = TINY_BOOT.lines().map(bytes).collect::<Vec<_>>();
        let noun = |index: usize| cue(&theirs[index]).unwrap();
        let mut entropy = [0; 64];
        let wack = noun(4).slot(15).unwrap().atom_bytes().unwrap().into_owned();
        entropy[..wack.len()].copy_from_slice(&wack);
        let ours = sequence(BootInput {
            now: clock::date_of(&noun(2)).unwrap(),
            entropy,
            lite: true,
            ..input(Pill::parse(TINY).unwrap())
        })
        .unwrap();
        assert_eq!(ours.life, 2);
        assert_eq!(ours.events.len(), theirs.len());
        for (index, (event, theirs)) in ours.events.iter().zip(&theirs).enumerate() {
            if index == 2 {
                // Its session knot comes from a moment that the log does not tell: all else is compared.
                let without_knot = |e: &Noun| {
                    n![
                        e.head().cloned().unwrap(),
                        e.slot(6).cloned().unwrap(),
                        e.slot(14).cloned().unwrap(),
                        e.slot(61).cloned().unwrap(),
                        e.slot(31).cloned().unwrap()
                    ]
                };
                assert_eq!(without_knot(event), without_knot(&noun(2)));
                let knot = event.slot(60).and_then(Noun::as_cord).unwrap();
                assert!(knot.starts_with("0v"), "{knot}");
            } else {
                assert_eq!(&jam(event), theirs, "event {}", index + 1);
            }
        }
    }

    /// A pill like a solid one: three formulas, no modules, `%park` and `%esse`.
    fn solid() -> Pill {
        let ovum = |wire: &str, tag: &str| n![n!["c", wire, Noun::ZERO], tag, Noun::ZERO];
        Pill {
            kind: Some("solid".to_owned()),
            formulas: [1, 2, 3].map(Noun::atom).to_vec(),
            modules: vec![ovum("kernel", "what")],
            userspace: vec![ovum("sync", "park"), ovum("essential", "esse")],
        }
    }

    fn shapes(sequence: &BootSequence) -> Vec<String> {
        let dated = &sequence.events[sequence.life as usize..];
        let shape = |event: &Noun| {
            let tag = event.slot(14).and_then(Noun::as_cord).unwrap();
            format!("{} %{tag}", crate::ovum::wire_path(event.slot(6).unwrap()))
        };
        dated.iter().map(shape).collect()
    }

    #[test]
    fn modules_come_before_boot_and_userspace_after_it() {
        let sequence = sequence(input(solid())).unwrap();
        assert_eq!(sequence.life, 3);
        assert_eq!(sequence.events[..3], [1, 2, 3].map(Noun::atom));
        assert_eq!(
            shapes(&sequence),
            [
                "//arvo %wyrd",
                "//arvo %whom",
                "//arvo %wack",
                "//arvo %verb",
                "/c/kernel %what",
                "/d/term/1 %boot",
                "/c/sync %park",
                "/c/essential %esse"
            ]
        );
    }

    #[test]
    fn dates_step_without_a_gap() {
        let sequence = sequence(input(solid())).unwrap();
        let dates = sequence.events[3..]
            .iter()
            .map(|e| clock::date_of(e).unwrap())
            .collect::<Vec<_>>();
        assert_eq!(dates[0], now());
        assert!(dates.windows(2).all(|pair| pair[1] == pair[0] + (1 << 48)));
    }

    #[test]
    fn settings_reach_their_cards() {
        let made = sequence(BootInput {
            ship: 0x1_0000,
            verbose: true,
            lite: true,
            entropy: [0; 64],
            ..input(solid())
        })
        .unwrap();
        let card = |index: usize| made.events[3 + index].slot(7).cloned().unwrap();
        assert_eq!(card(1), n!["whom", 0x1_0000u64]);
        assert_eq!(card(2), n!["wack", 0u64]);
        assert_eq!(card(3), n!["verb", Noun::ZERO, Noun::NO]);
        assert_eq!(card(5), n!["boot", Noun::YES, "fake", 0x1_0000u64]);
        let quiet = sequence(input(solid())).unwrap();
        assert_eq!(quiet.events[6].slot(7), Some(&n!["verb", Noun::ZERO, Noun::YES]));
        assert_eq!(quiet.events[8].slot(30), Some(&Noun::NO));
    }

    #[test]
    fn a_directory_takes_the_place_of_the_filesystem() {
        let replaced = n![n!["c", "sync", Noun::ZERO], "into", Noun::ZERO];
        let made = sequence(BootInput {
            replace_filesystem: Some(replaced.clone()),
            ..input(solid())
        })
        .unwrap();
        assert_eq!(made.events[3 + 6].tail(), Some(&replaced));
        let tiny = BootInput {
            replace_filesystem: Some(replaced),
            ..input(Pill::parse(TINY).unwrap())
        };
        assert_eq!(sequence(tiny).unwrap_err(), BootError::Filesystems(0));
    }

    #[test]
    fn keys_and_props_have_their_places() {
        let ring = |byte: u8| Ring::from_entropy(&[byte; 64]);
        let prop = |fore, tag: &str| Prop {
            meta: tag.to_owned(),
            fore,
            ova: vec![n![n!["g", "prop", Noun::ZERO], tag, Noun::ZERO]],
        };
        let made = sequence(BootInput {
            identity: Identity::Keys {
                vent: n!["dawn", 7u64],
                rekeys: vec![(2, ring(2)), (1, ring(1))],
            },
            props: vec![prop(false, "last"), prop(true, "one"), prop(true, "two")],
            ..input(solid())
        })
        .unwrap();
        assert_eq!(
            shapes(&made)[4..],
            [
                "/c/kernel %what",
                "/g/prop %one",
                "/g/prop %two",
                "/d/term/1 %boot",
                "/j/seed %rekey",
                "/j/seed %rekey",
                "/c/sync %park",
                "/c/essential %esse",
                "/g/prop %last"
            ]
        );
        let card = |index: usize| made.events[3 + index].slot(7).cloned().unwrap();
        assert_eq!(card(7), n!["boot", Noun::NO, "dawn", 7u64]);
        assert_eq!(card(8), n!["rekey", 1u64, ring(1).to_noun()]);
        assert_eq!(card(9), n!["rekey", 2u64, ring(2).to_noun()]);
        assert!(!format!("{made:?}").contains("dawn"), "{made:?}");
    }
}
