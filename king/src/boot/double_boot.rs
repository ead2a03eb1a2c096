//! The check that a ship lives only once: what it remembers of its talk with its galaxy is held against what the galaxy remembers,
//! before anything of it reaches the world (`spec/boot.md` section 8).
//!
//! Within a cluster an office passes by itself: a packet leaves a member only after the event that made it is committed, so the
//! galaxy has acknowledged nothing that a committed log does not know. A log that was restored from an old copy knows less
//! than the galaxy does, and is refused: a ship that goes on from there is one that its peers refuse for ever.

use super::{
    fetch::Fetcher,
    rank::{Rank, name, sein},
};
use crate::{limits, peek};
use serf_ipc::{Noun, cue, n, text::p};

/// Where a galaxy's web server is; `{}` stands for the galaxy's name.
pub const DEFAULT_GALAXY_URL: &str = "https://{}.urbit.org";

const GUIDE: &str = "see https://docs.urbit.org/user-manual/id/guide-to-resets";

/// What the kernel is asked: a peek's sample, `%ax /boot`.
#[must_use]
pub fn sample() -> Noun {
    peek::last(peek::ourselves(), "ax", Noun::ZERO, n!["boot", ()])
}

/// What a ship remembers of its talk with its galaxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// A kernel that cannot tell.
    Unknown,
    /// It has never spoken to it.
    Never,
    /// It has.
    Talk(Talk),
}

/// The flow of messages to the galaxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Talk {
    galaxy: u32,
    rift: u32,
    bone: u32,
    /// The first message that is not acknowledged, and the first that is not sent.
    current: u32,
    next: u32,
}

/// What the galaxy remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Peer {
    rift: u32,
    bone: Option<u32>,
    /// The last message of the flow that it acknowledged.
    acknowledged: Option<u32>,
}

/// What comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The ship may live.
    Pass,
    /// It may, though nobody can say whether it lives elsewhere: why not.
    Unsure(&'static str),
    /// It may not.
    Refuse(Refusal),
}

/// Why a ship may not live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The galaxy has heard more of it than it remembers.
    Old,
    /// It breached since.
    Breached,
    /// It was booted before.
    Elsewhere,
}

impl Refusal {
    /// What an operator is told.
    #[must_use]
    pub fn told(self, ship: u128) -> String {
        let what = match self {
            Refusal::Old => "this is an old version of the ship, resume the latest version or breach",
            Refusal::Breached => {
                "you are trying to boot an existing ship from a keyfile, resume the latest version of the ship or breach"
            }
            Refusal::Elsewhere => {
                "this ship has already been booted elsewhere, boot the existing pier or breach"
            }
        };
        let ship = name(ship);
        format!("boot: failed: double-boot detected, refusing to boot {ship}\n{what}\n{GUIDE}")
    }
}

impl Memory {
    /// Reads the kernel's answer, `[~ %omen path mark (unit [galaxy rift life bone current next])]`.
    #[must_use]
    pub fn read(answer: &Noun) -> Memory {
        let Some(value) = answer.slot(31) else {
            return Memory::Unknown;
        };
        if *value == Noun::ZERO {
            return Memory::Never;
        }
        // As in vere, the low 32 bits of each.
        let word = |axis| value.slot(axis).map(low_word);
        let talk = || {
            Some(Talk {
                galaxy: word(6)?,
                rift: word(14)?,
                bone: value.slot(62).map(low_word)?,
                current: value.slot(126).map(low_word)?,
                next: value.slot(127).map(low_word)?,
            })
        };
        match (value.head(), talk()) {
            (Some(_), Some(talk)) => Memory::Talk(talk),
            _ => Memory::Unknown,
        }
    }
}

fn low_word(noun: &Noun) -> u32 {
    let bytes = noun.atom_bytes().unwrap_or_default();
    let mut word = [0; 4];
    for (to, from) in word.iter_mut().zip(bytes.iter()) {
        *to = *from;
    }
    u32::from_le_bytes(word)
}

/// Asks the galaxy, and judges. `rift` is that of the keys that the ship was made with. Blocks.
#[must_use]
pub fn check(fetcher: &Fetcher, galaxy_url: &str, ship: u128, memory: Memory, rift: Option<u64>) -> Verdict {
    match memory {
        Memory::Unknown => {
            Verdict::Unsure("boot: %boot scry endpoint doesn't exist, cannot protect from double-boot")
        }
        Memory::Talk(talk) => {
            let path = format!("boot/{}/{}", name(ship), talk.bone);
            talk.judge(ask(fetcher, galaxy_url, talk.galaxy.into(), &path))
        }
        Memory::Never => {
            let galaxy = galaxy_of(fetcher, galaxy_url, ship);
            let path = format!("boot/{}", name(ship));
            judge_new(ask(fetcher, galaxy_url, galaxy, &path), rift)
        }
    }
}

impl Talk {
    /// A ship that goes on where it was.
    fn judge(&self, peer: Option<Peer>) -> Verdict {
        let Some(peer) = peer else {
            return Verdict::Unsure("boot: peer-state unvailable on czar, cannot protect from double-boot");
        };
        if peer.rift != self.rift {
            return Verdict::Refuse(Refusal::Breached);
        }
        let Some(acknowledged) = peer.acknowledged else {
            return Verdict::Unsure(
                "boot: message-sink-state unvailable on czar, cannot protect from double-boot",
            );
        };
        // Of what is acknowledged and of what is sent, how much lies beyond what this ship knows to be acknowledged.
        let known = self.current.wrapping_sub(1);
        if self.next.wrapping_sub(self.current) >= acknowledged.wrapping_sub(known) {
            Verdict::Pass
        } else {
            Verdict::Refuse(Refusal::Old)
        }
    }
}

/// A ship that has not spoken to its galaxy yet: nobody else may have done so in its name since it breached.
fn judge_new(peer: Option<Peer>, rift: Option<u64>) -> Verdict {
    let Some(peer) = peer else {
        return Verdict::Pass;
    };
    let Some(rift) = rift else {
        return Verdict::Unsure("boot: keyfile rift unavailable, cannot protect from double-boot");
    };
    match rift.cmp(&u64::from(peer.rift)) {
        // The galaxy has not heard of the breach, or nothing since.
        std::cmp::Ordering::Greater => Verdict::Pass,
        std::cmp::Ordering::Equal if peer.bone.is_none() => Verdict::Pass,
        _ => Verdict::Refuse(Refusal::Elsewhere),
    }
}

/// The galaxy above a ship: as the galaxy that its number names has it, or else that one.
fn galaxy_of(fetcher: &Fetcher, galaxy_url: &str, ship: u128) -> u128 {
    let first = sein_galaxy(ship);
    let url = url(galaxy_url, first, &format!("sponsor/{}", name(ship)));
    let told = fetcher.get(&url, limits::DOUBLE_BOOT_BYTES, None).ok();
    let told = told.and_then(|body| p::parse(std::str::from_utf8(&body).ok()?.trim()).ok());
    // vere takes whatever is answered for a name.
    told.filter(|ship| Rank::of(*ship) == Rank::Galaxy)
        .unwrap_or(first)
}

fn sein_galaxy(ship: u128) -> u128 {
    let above = sein(ship);
    if above == ship { ship } else { sein_galaxy(above) }
}

fn url(galaxy_url: &str, galaxy: u128, path: &str) -> String {
    let name = name(galaxy);
    let base = galaxy_url.replace("{}", name.strip_prefix('~').unwrap_or(&name));
    format!("{base}/~/{path}")
}

/// The galaxy's memory of a ship; None where it has none, or does not answer.
fn ask(fetcher: &Fetcher, galaxy_url: &str, galaxy: u128, path: &str) -> Option<Peer> {
    let url = url(galaxy_url, galaxy, path);
    let body = match fetcher.get(&url, limits::DOUBLE_BOOT_BYTES, None) {
        Ok(body) => body,
        Err(error) => {
            tracing::info!(%error, "the galaxy does not tell what it remembers of this ship");
            return None;
        }
    };
    // [%1 galaxy rift life bone=(unit) last-acked=(unit)]
    let noun = cue(&body).ok()?;
    let word = |noun: &Noun| noun.as_u64().and_then(|value| u32::try_from(value).ok());
    let unit = |noun: &Noun| noun.tail().and_then(word);
    word(noun.slot(6)?)?;
    word(noun.slot(30)?)?;
    Some(Peer {
        rift: word(noun.slot(14)?)?,
        bone: unit(noun.slot(62)?),
        acknowledged: unit(noun.slot(63)?),
    })
}

/// What the first events of a log tell of the ship.
#[derive(Clone, Copy, Debug, Default)]
pub struct Beginning {
    rift: Option<u64>,
    has_lived: bool,
}

impl Beginning {
    /// Takes the next event. At each start a ship is told the king's versions, first of all.
    pub fn then(&mut self, event: &Noun) {
        let is_wyrd = event.slot(14).is_some_and(|tag| tag.is_cord("wyrd"));
        self.has_lived |= self.rift.is_some() && is_wyrd;
        self.rift = self.rift.or_else(|| rift_of_boot(event));
    }

    /// The rift of the keys that the ship was made with, if it has not lived since.
    #[must_use]
    pub fn rift_if_new(&self) -> Option<u64> {
        self.rift.filter(|_| !self.has_lived)
    }
}

/// The same from the event that made the ship: `[date [/d/term/1 %boot lit %dawn feed ..]]`.
fn rift_of_boot(event: &Noun) -> Option<u64> {
    let card = event.slot(7)?;
    let dawn = card.head()?.is_cord("boot") && card.slot(14)?.is_cord("dawn");
    // feed = [[2 ~] who rift keys], as dawn makes every one.
    let feed = card.slot(30).filter(|_| dawn)?;
    feed.slot(14)?.as_u64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::test_server::{Answer, Server, impatient};
    use serf_ipc::jam;

    const SHIP: u128 = 0x1_0000;

    /// `[~ %omen path %noun value]`
    fn answer(value: Noun) -> Noun {
        n![Noun::ZERO, "omen", n!["ax", Noun::ZERO], "noun", value]
    }

    fn talk(rift: u64, current: u64, next: u64) -> Noun {
        answer(n![Noun::ZERO, 0_u64, rift, 4_u64, 12_u64, current, next])
    }

    fn galaxy(rift: u64, bone: Option<u64>, acknowledged: Option<u64>) -> Vec<u8> {
        let unit = |value: Option<u64>| Noun::unit(value.map(Noun::atom));
        jam(&n![1_u64, 0_u64, rift, 4_u64, unit(bone), unit(acknowledged)])
    }

    #[test]
    fn the_question_is_vere_s() {
        // `[%peek 0 [~ ~] 1 %once %ax ~ /boot]`, from the C program.
        let peek = n!["peek", 0_u64, sample()];
        let bytes = [
            0x01, 0x1f, 0xae, 0xac, 0x6c, 0x9d, 0xa5, 0x71, 0xc0, 0x7f, 0x73, 0x1b, 0x2b, 0x07, 0x3e, 0x0c,
            0x9f, 0x01, 0x5f, 0xec, 0xed, 0x8d, 0x2e,
        ];
        assert_eq!(jam(&peek), bytes);
    }

    #[test]
    fn the_kernel_s_answer_is_read() {
        let known = Talk {
            galaxy: 0,
            rift: 2,
            bone: 12,
            current: 5,
            next: 7,
        };
        assert_eq!(Memory::read(&talk(2, 5, 7)), Memory::Talk(known));
        assert_eq!(Memory::read(&answer(Noun::ZERO)), Memory::Never);
        for none in [
            Noun::ZERO,
            n![0_u64, 0_u64],
            answer(Noun::atom(7)),
            answer(n![0_u64, 1_u64, 2_u64]),
        ] {
            assert_eq!(Memory::read(&none), Memory::Unknown, "{none:?}");
        }
    }

    #[test]
    fn a_ship_that_remembers_less_than_its_galaxy_is_refused() {
        let peer = |rift, acknowledged| {
            Some(Peer {
                rift,
                bone: Some(12),
                acknowledged,
            })
        };
        let judge = |current, next, peer| {
            Talk {
                galaxy: 0,
                rift: 2,
                bone: 12,
                current,
                next,
            }
            .judge(peer)
        };
        // All was acknowledged, and the ship knows; or not yet; or it has sent what is on its way.
        assert_eq!(judge(5, 5, peer(2, Some(4))), Verdict::Pass);
        assert_eq!(judge(4, 5, peer(2, Some(4))), Verdict::Pass);
        assert_eq!(judge(4, 6, peer(2, Some(4))), Verdict::Pass);
        assert_eq!(judge(1, 1, peer(2, Some(0))), Verdict::Pass);
        // The galaxy acknowledged what this copy of the ship never sent.
        assert_eq!(judge(5, 5, peer(2, Some(5))), Verdict::Refuse(Refusal::Old));
        assert_eq!(judge(4, 5, peer(2, Some(9))), Verdict::Refuse(Refusal::Old));
        assert_eq!(judge(5, 5, peer(3, Some(4))), Verdict::Refuse(Refusal::Breached));
        assert!(matches!(judge(5, 5, peer(2, None)), Verdict::Unsure(_)));
        assert!(matches!(judge(5, 5, None), Verdict::Unsure(_)));
    }

    #[test]
    fn a_ship_that_lives_elsewhere_is_not_booted_again() {
        let peer = |rift, bone| {
            Some(Peer {
                rift,
                bone,
                acknowledged: None,
            })
        };
        assert_eq!(judge_new(None, Some(0)), Verdict::Pass);
        assert_eq!(judge_new(peer(1, Some(4)), Some(2)), Verdict::Pass);
        assert_eq!(judge_new(peer(1, None), Some(1)), Verdict::Pass);
        assert_eq!(
            judge_new(peer(1, Some(4)), Some(1)),
            Verdict::Refuse(Refusal::Elsewhere)
        );
        assert_eq!(
            judge_new(peer(2, None), Some(1)),
            Verdict::Refuse(Refusal::Elsewhere)
        );
        assert!(matches!(judge_new(peer(1, Some(4)), None), Verdict::Unsure(_)));
    }

    #[test]
    fn the_galaxy_is_asked_as_vere_asks_it() {
        let server = Server::start(|asked| match asked.path.as_str() {
            "/zod/~/boot/~dapnep-ronmyl/12" => Answer::Good(galaxy(2, Some(12), Some(9))),
            "/zod/~/sponsor/~dapnep-ronmyl" => Answer::Good(b"~nec".to_vec()),
            "/nec/~/boot/~dapnep-ronmyl" => Answer::Good(galaxy(0, Some(4), None)),
            _ => Answer::Status(404),
        });
        let url = format!("{}/{{}}", server.url());
        let judged = |memory: &Noun, rift| check(&impatient().once(), &url, SHIP, Memory::read(memory), rift);
        assert_eq!(judged(&talk(2, 5, 7), None), Verdict::Refuse(Refusal::Old));
        assert_eq!(judged(&talk(2, 9, 10), None), Verdict::Pass);
        assert_eq!(judged(&talk(1, 9, 10), None), Verdict::Refuse(Refusal::Breached));
        let never = answer(Noun::ZERO);
        assert_eq!(judged(&never, Some(0)), Verdict::Refuse(Refusal::Elsewhere));
        assert_eq!(judged(&never, Some(1)), Verdict::Pass);
        assert!(matches!(judged(&Noun::ZERO, None), Verdict::Unsure(_)));
        let paths = server
            .asked()
            .into_iter()
            .map(|asked| asked.path)
            .collect::<Vec<_>>();
        assert_eq!(paths.len(), 3 + 4, "{paths:?}");
    }

    #[test]
    fn a_galaxy_that_does_not_answer_stops_nobody() {
        for answer in [
            || Answer::Status(404),
            || Answer::HangUp,
            || Answer::Silence,
            || Answer::Good(b"<html>".to_vec()),
            || Answer::Good(jam(&n![1_u64, 0_u64, u64::MAX, 0_u64, 0_u64, 0_u64])),
            || Answer::Good(jam(&Noun::ZERO)),
        ] {
            let server = Server::start(move |_| answer());
            let judged = |memory: &Noun| {
                check(
                    &impatient().once(),
                    &server.url(),
                    SHIP,
                    Memory::read(memory),
                    Some(0),
                )
            };
            assert!(matches!(judged(&talk(2, 5, 7)), Verdict::Unsure(_)));
            assert_eq!(judged(&super::tests::answer(Noun::ZERO)), Verdict::Pass);
        }
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        for refusal in [Refusal::Old, Refusal::Breached, Refusal::Elsewhere] {
            let told = refusal.told(SHIP);
            assert!(
                told.contains("double-boot detected, refusing to boot ~dapnep-ronmyl"),
                "{told}"
            );
            assert!(
                told.contains("or breach") && told.contains("guide-to-resets"),
                "{told}"
            );
        }
    }

    #[test]
    fn the_rift_is_in_the_event_that_made_the_ship() {
        let feed = n![n![2_u64, Noun::ZERO], 7_u64, 5_u64, Noun::ZERO];
        let event = |card: Noun| n![1_u64, n!["d", "term", "1", Noun::ZERO], card];
        let made = event(n!["boot", Noun::NO, "dawn", feed, Noun::ZERO]);
        assert_eq!(rift_of_boot(&made), Some(5));
        assert_eq!(rift_of_boot(&event(n!["boot", Noun::NO, "fake", 7_u64])), None);
        assert_eq!(rift_of_boot(&event(n!["verb", Noun::ZERO, Noun::NO])), None);
        assert_eq!(rift_of_boot(&Noun::atom(7)), None);

        // `%wyrd` comes before the event that makes the ship, and again at its first start.
        let wyrd = event(n!["wyrd", 1_u64, 2_u64]);
        let mut beginning = Beginning::default();
        for event in [&wyrd, &made, &event(n!["park", 1_u64])] {
            beginning.then(event);
        }
        assert_eq!(beginning.rift_if_new(), Some(5));
        beginning.then(&wyrd);
        assert_eq!(beginning.rift_if_new(), None, "it has lived");
    }
}
