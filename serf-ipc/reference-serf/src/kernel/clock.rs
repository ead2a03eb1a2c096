//! Seconds since 1970 from an Urbit date, in pure Nock.
//!
//! A date is an atom of 128 bits: the upper 64 are seconds, with the highest bit set for all dates of our era, the lower
//! 64 a fraction. Nock cannot shift or divide, but it can use any atom as an axis: below its leading one, the bits of a
//! date are 127 turns to the left (0) or the right (1) from the root of a tree. A tree whose branches join again is an
//! automaton that reads those bits. For each bit of the seconds since 1970 there is one: it skips what is above that bit,
//! branches at it, then compares what is below with the epoch's own bits, which decides the borrow of the subtraction.

use super::asm::{Function, again, c, head, iff, is_null, lookup, looped, tail, tuple, v};
use super::decimal::{double, number};
use serf_ipc::Noun;

/// The seconds of 1970-01-01 in an Urbit date, without the leading bit (`~1970.1.1` is `0x8000000cce9e0d80` shifted).
const EPOCH: u64 = 0xc_ce9e_0d80;

/// The bit of a date's upper half that is always set.
const LEADING_BIT: u32 = 63;

/// Bits of a date's fraction of a second.
const FRACTION_BITS: u32 = 64;

/// Bits of the seconds since 1970 that are computed: enough until the year 2514.
const SECONDS_BITS: u32 = 34;

/// For a date from 1970 on: the seconds since then, as a [`number`].
pub(crate) fn unix_seconds() -> Function {
    let automata = Noun::list((0..SECONDS_BITS).rev().map(automaton));
    let bit = lookup(head(v("automata")), v("date"));
    let step = again(
        "bit",
        tuple([tail(v("automata")), double().call(tuple([v("seconds"), bit]))]),
    );
    let body = iff(is_null(v("automata")), v("seconds"), step);
    Function::new(
        "date",
        looped(
            "bit",
            "[automata seconds]",
            tuple([c(automata), c(number(0))]),
            body,
        ),
    )
}

/// The automaton whose product at a date is bit `bit` of the seconds since 1970.
fn automaton(bit: u32) -> Noun {
    let epoch = EPOCH >> bit & 1 == 1;
    let here = Noun::cell(borrow(bit, epoch), borrow(bit, !epoch));
    skip(LEADING_BIT - 1 - bit, here)
}

/// The automaton that reads the seconds' lowest `bits` bits, and the fraction, and tells whether they are less than the
/// epoch's; or the opposite, when `inverted`.
fn borrow(bits: u32, inverted: bool) -> Noun {
    let decided = |less: bool, left| skip(left + FRACTION_BITS, Noun::atom(u64::from(less != inverted)));
    // From the last bit up: nothing read and nothing unequal is "not less".
    (0..bits).fold(decided(false, 0), |equal, bit| match EPOCH >> bit & 1 {
        0 => Noun::cell(equal, decided(false, bit)),
        _ => Noun::cell(decided(true, bit), equal),
    })
}

/// The automaton that reads `bits` bits whatever they are, and goes on with `next`.
fn skip(bits: u32, next: Noun) -> Noun {
    (0..bits).fold(next, |next, _| Noun::cell(next.clone(), next))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nock::{Deaf, nock};

    fn seconds(date: u128) -> Option<Noun> {
        nock(Noun::from_u128(date), unix_seconds().formula(), &mut Deaf).ok()
    }

    fn date(unix: u64, fraction: u64) -> u128 {
        let seconds = (1 << 63) + EPOCH + unix;
        u128::from(seconds) << 64 | u128::from(fraction)
    }

    #[test]
    fn dates_become_seconds_since_1970() {
        let last = (1 << SECONDS_BITS) - 1;
        for unix in [
            0,
            1,
            127,
            128,
            99_999,
            1_234_567_890,
            1_767_225_600,
            u64::from(u32::MAX) + 1,
            last,
        ] {
            for fraction in [0, 1, 1 << 48, u64::MAX] {
                assert_eq!(
                    seconds(date(unix, fraction)),
                    Some(number(unix)),
                    "{unix} {fraction:x}"
                );
            }
        }
    }

    #[test]
    fn a_known_date() {
        // ~2000.1.1
        assert_eq!(seconds(0x8000_000d_070b_5100 << 64), Some(number(946_684_800)));
    }

    #[test]
    fn what_is_no_date_has_no_seconds() {
        assert_eq!(seconds(0), None);
    }
}
