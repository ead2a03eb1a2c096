//! Numbers that can be printed: Nock can add one and nothing else, so what is shown on a page is counted in decimal.
//!
//! A number is a list of limbs, the least significant first, a limb being two decimal digits. The limb that stands for
//! `d` is the atom `128 + d`, which is also an axis: looking it up in a tree of depth 7 turns it into text, or doubles it.

use super::asm::{
    Exp, Function, again, c, eq, head, iff, inc, is_null, let_in, lookup, looped, tail, tuple, v,
};
use serf_ipc::{Noun, Octs, ToNoun, n};

/// The limb that stands for 0.
const LIMB_ZERO: u64 = 128;

/// One more than the limb that stands for 99.
const LIMB_END: u64 = 228;

/// The number `value`.
pub(crate) fn number(mut value: u64) -> Noun {
    let mut limbs = Vec::new();
    while value > 0 || limbs.is_empty() {
        limbs.push(Noun::atom(LIMB_ZERO + value % 100));
        value /= 100;
    }
    Noun::list(limbs)
}

/// A number plus one.
pub(crate) fn bump() -> Function {
    let carry = tuple([c(LIMB_ZERO), again("limb", tail(v("limbs")))]);
    let next = let_in(
        "limb",
        inc(head(v("limbs"))),
        iff(
            eq(v("limb"), c(LIMB_END)),
            carry,
            tuple([v("limb"), tail(v("limbs"))]),
        ),
    );
    let body = iff(is_null(v("limbs")), c(number(1)), next);
    Function::new("number", looped("limb", "limbs", v("number"), body))
}

/// For `[number bit]`: twice the number, plus the bit.
pub(crate) fn double() -> Function {
    let doubled = |limb: u64| {
        let twice = 2 * (limb - LIMB_ZERO);
        n![twice / 100, LIMB_ZERO + twice % 100]
    };
    let step = let_in(
        "[carry limb]",
        lookup(c(tree(doubled)), head(v("limbs"))),
        tuple([
            iff(is_null(v("bit")), v("limb"), inc(v("limb"))),
            again("limb", tuple([tail(v("limbs")), v("carry")])),
        ]),
    );
    let end = iff(is_null(v("bit")), c(0_u64), c(number(1)));
    let body = iff(is_null(v("limbs")), end, step);
    Function::new("argument", looped("limb", "[limbs bit]", v("argument"), body))
}

/// For `[number rest]`: the number's text as a list of octs, in front of `rest`.
pub(crate) fn render() -> Function {
    let padded = |limb: u64| octs(&format!("{:02}", limb - LIMB_ZERO));
    let first = |limb: u64| octs(&format!("{}", limb - LIMB_ZERO));
    let show = |tree: Noun| tuple([lookup(c(tree), head(v("limbs"))), v("rest")]);
    let body = iff(
        is_null(tail(v("limbs"))),
        show(tree(first)),
        again("limb", tuple([tail(v("limbs")), show(tree(padded))])),
    );
    Function::new("argument", looped("limb", "[limbs rest]", v("argument"), body))
}

/// `[length text]`.
pub(crate) fn octs(text: &str) -> Noun {
    Octs::from(text.as_bytes().to_vec()).to_noun()
}

/// A tree of depth 7 that holds, at the axis of each limb, what `leaf` says of it.
fn tree(leaf: impl Fn(u64) -> Noun) -> Noun {
    let mut level: Vec<Noun> = (LIMB_ZERO..2 * LIMB_ZERO)
        .map(|axis| if axis < LIMB_END { leaf(axis) } else { Noun::ZERO })
        .collect();
    while level.len() > 1 {
        level = level
            .chunks(2)
            .map(|pair| Noun::cell(pair[0].clone(), pair[1].clone()))
            .collect();
    }
    level.remove(0)
}

/// A piece of a page.
pub(crate) enum Piece {
    /// What is always the same.
    Text(&'static str),
    /// A number.
    Number(Exp),
}

/// A page as a list of octs. Nock cannot join texts, so it goes out in pieces.
pub(crate) fn page<const N: usize>(pieces: [Piece; N]) -> Exp {
    pieces
        .into_iter()
        .rev()
        .fold(c(0_u64), |rest, piece| match piece {
            Piece::Text(text) => tuple([c(octs(text)), rest]),
            Piece::Number(number) => render().call(tuple([number, rest])),
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nock::{Deaf, nock};

    fn run(function: &Function, argument: Noun) -> Noun {
        nock(argument, function.formula(), &mut Deaf).unwrap()
    }

    fn text(number: Noun) -> String {
        let pieces = run(&render(), n![number, 0_u64]);
        pieces
            .iter_list()
            .map(|piece| piece.unwrap().tail().unwrap().as_cord().unwrap())
            .collect()
    }

    #[test]
    fn numbers_print_as_decimal() {
        for value in [
            0,
            1,
            9,
            10,
            99,
            100,
            101,
            999,
            1000,
            10_000,
            1_000_001,
            1_767_225_600,
        ] {
            assert_eq!(text(number(value)), value.to_string());
        }
    }

    #[test]
    fn adding_one_carries() {
        let mut counted = number(0);
        for value in 1..=10_101 {
            counted = run(&bump(), counted);
            assert_eq!(counted, number(value), "{value}");
        }
    }

    #[test]
    fn doubling_carries() {
        for value in [0, 1, 49, 50, 99, 100, 4_949, 5_050, 9_999, 123_456_789] {
            for bit in [0, 1] {
                assert_eq!(
                    run(&double(), n![number(value), bit]),
                    number(2 * value + bit),
                    "{value} {bit}"
                );
            }
        }
    }

    #[test]
    fn a_page_is_its_pieces_in_order() {
        let body = page([Piece::Text("<b>"), Piece::Number(v("count")), Piece::Text("</b>")]);
        let made = run(&Function::new("count", body), number(1_205));
        assert_eq!(
            made,
            Noun::list([octs("<b>"), octs("12"), octs("05"), octs("</b>")])
        );
    }
}
