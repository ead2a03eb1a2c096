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
            tuple([c(automata()), c(number(0))]),
            body,
        ),
    )
}

/// The automata for all bits, the highest first.
fn automata() -> Noun {
    let [borrow, no_borrow] = borrows();
    Noun::list((0..SECONDS_BITS).rev().map(|bit| {
        // This bit of the date, less the epoch's, less the borrow.
        let (zero, one) = match EPOCH >> bit & 1 {
            0 => (&borrow, &no_borrow),
            _ => (&no_borrow, &borrow),
        };
        let below = bit as usize;
        let here = Noun::cell(zero[below].clone(), one[below].clone());
        skips(here, LEADING_BIT - 1 - bit).remove((LEADING_BIT - 1 - bit) as usize)
    }))
}

/// For each number of bits: the automaton that reads the lowest so many of the seconds, and the fraction, and tells whether
/// they are less than the epoch's; and the one that tells the opposite.
fn borrows() -> [Vec<Noun>; 2] {
    let decided = [0, 1].map(|answer| skips(Noun::atom(answer), SECONDS_BITS + FRACTION_BITS));
    [1, 0].map(|yes: usize| {
        let (less, not_less) = (&decided[yes], &decided[1 - yes]);
        // From the last bit up: where nothing is unequal, it is not less.
        let mut borrows = vec![not_less[FRACTION_BITS as usize].clone()];
        for bit in 0..SECONDS_BITS as usize {
            let (equal, left) = (borrows[bit].clone(), bit + FRACTION_BITS as usize);
            borrows.push(match EPOCH >> bit & 1 {
                0 => Noun::cell(equal, not_less[left].clone()),
                _ => Noun::cell(less[left].clone(), equal),
            });
        }
        borrows
    })
}

/// The automata that read 0 to `bits` bits, whatever they are, and go on with `next`.
fn skips(next: Noun, bits: u32) -> Vec<Noun> {
    let skip = |next: &Noun| Some(Noun::cell(next.clone(), next.clone()));
    std::iter::successors(Some(next), skip)
        .take(bits as usize + 1)
        .collect()
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
