//! Random formulas, and Nock as its definition reads, to hold the machine against.

use num_bigint::BigUint;
use proptest::prelude::*;
use serf_ipc::{Noun, n};

/// Atoms around the bounds, and some that are axes.
fn atom() -> impl Strategy<Value = Noun> {
    prop_oneof![
        6 => (0..16_u64).prop_map(Noun::atom),
        1 => Just(Noun::atom(u64::MAX)),
        1 => Just(Noun::from_u128(u128::from(u64::MAX) + 1)),
        1 => Just(Noun::from_u128(u128::MAX)),
    ]
}

pub(crate) fn noun() -> impl Strategy<Value = Noun> {
    let cell =
        |inner: BoxedStrategy<Noun>| (inner.clone(), inner).prop_map(|(head, tail)| Noun::cell(head, tail));
    atom()
        .boxed()
        .prop_recursive(4, 16, 2, move |inner| cell(inner.boxed()))
}

/// Formulas whose operators have the operands that they need; their axes may be wrong, and they may loop.
pub(crate) fn formula() -> impl Strategy<Value = Noun> {
    let leaf = prop_oneof![
        atom().prop_map(|axis| n![0_u64, axis]),
        (1..8_u64).prop_map(|axis| n![0_u64, axis]),
        noun().prop_map(|constant| n![1_u64, constant]),
    ];
    leaf.prop_recursive(6, 48, 3, |inner| {
        let one = || inner.clone();
        let two = || (inner.clone(), inner.clone());
        prop_oneof![
            two().prop_map(|(head, tail)| Noun::cell(head, tail)),
            two().prop_map(|(subject, formula)| n![2_u64, subject, 1_u64, formula]),
            one().prop_map(|of| n![3_u64, of]),
            one().prop_map(|of| n![4_u64, of]),
            two().prop_map(|(left, right)| n![5_u64, left, right]),
            (one(), one(), one()).prop_map(|(test, yes, no)| n![
                6_u64,
                n![5_u64, test, 1_u64, 0_u64],
                yes,
                no
            ]),
            (one(), one(), one()).prop_map(|(test, yes, no)| n![6_u64, n![3_u64, test], yes, no]),
            (one(), one(), one()).prop_map(|(test, yes, no)| n![6_u64, test, yes, no]),
            two().prop_map(|(first, second)| n![7_u64, first, second]),
            two().prop_map(|(first, second)| n![8_u64, first, second]),
            one().prop_map(|arm| n![8_u64, n![1_u64, arm], 9_u64, 2_u64, 0_u64, 1_u64]),
            two().prop_map(|(arm, sample)| {
                n![
                    8_u64,
                    n![1_u64, arm],
                    9_u64,
                    2_u64,
                    10_u64,
                    n![3_u64, sample],
                    0_u64,
                    1_u64
                ]
            }),
            (atom(), one(), one()).prop_map(|(axis, part, whole)| n![10_u64, n![axis, part], whole]),
            (1..8_u64, one(), one()).prop_map(|(axis, part, whole)| n![10_u64, n![axis, part], whole]),
            one().prop_map(|of| n![11_u64, 7_u64, of]),
            two().prop_map(|(clue, of)| n![11_u64, n!["hint", clue], of]),
            two().prop_map(|(clue, of)| n![11_u64, n!["mean", clue], of]),
        ]
    })
}

/// What the definition makes of a formula.
#[derive(Debug, PartialEq)]
pub(crate) enum Outcome {
    Product(Noun),
    Crash,
    /// It takes longer than anyone wants to wait, perhaps for ever.
    Unknown,
}

impl From<Option<Noun>> for Outcome {
    fn from(product: Option<Noun>) -> Outcome {
        product.map_or(Outcome::Crash, Outcome::Product)
    }
}

/// Nock 4K, line by line as it is written down.
pub(crate) fn definition(subject: &Noun, formula: &Noun) -> Outcome {
    let mut steps = 3_000;
    match tar(subject, formula, &mut steps) {
        Err(()) if steps == 0 => Outcome::Unknown,
        Err(()) => Outcome::Crash,
        Ok(product) => Outcome::Product(product),
    }
}

fn tar(a: &Noun, formula: &Noun, steps: &mut u32) -> Result<Noun, ()> {
    if *steps == 0 {
        return Err(());
    }
    *steps -= 1;
    let (operator, rest) = formula.as_cell().ok_or(())?;
    if operator.is_cell() {
        return Ok(Noun::cell(tar(a, operator, steps)?, tar(a, rest, steps)?));
    }
    let cell = |noun: &Noun| {
        noun.as_cell()
            .map(|(head, tail)| (head.clone(), tail.clone()))
            .ok_or(())
    };
    match operator.as_u64().ok_or(())? {
        0 => fas(rest, a),
        1 => Ok(rest.clone()),
        2 => {
            let (b, c) = cell(rest)?;
            let (subject, formula) = (tar(a, &b, steps)?, tar(a, &c, steps)?);
            tar(&subject, &formula, steps)
        }
        3 => Ok(Noun::loob(tar(a, rest, steps)?.is_cell())),
        4 => lus(&tar(a, rest, steps)?),
        5 => {
            let (b, c) = cell(rest)?;
            Ok(Noun::loob(tar(a, &b, steps)? == tar(a, &c, steps)?))
        }
        6 => {
            let (b, rest) = cell(rest)?;
            let (c, d) = cell(&rest)?;
            match tar(a, &b, steps)?.as_u64() {
                Some(0) => tar(a, &c, steps),
                Some(1) => tar(a, &d, steps),
                _ => Err(()),
            }
        }
        7 => {
            let (b, c) = cell(rest)?;
            tar(&tar(a, &b, steps)?, &c, steps)
        }
        8 => {
            let (b, c) = cell(rest)?;
            tar(&Noun::cell(tar(a, &b, steps)?, a.clone()), &c, steps)
        }
        9 => {
            let (b, c) = cell(rest)?;
            let core = tar(a, &c, steps)?;
            tar(&core, &fas(&b, &core)?, steps)
        }
        10 => {
            let (change, d) = cell(rest)?;
            let (b, c) = cell(&change)?;
            let whole = tar(a, &d, steps)?;
            hax(&b, tar(a, &c, steps)?, &whole)
        }
        11 => {
            let (b, c) = cell(rest)?;
            if let Ok((_, clue)) = cell(&b) {
                tar(a, &clue, steps)?;
            }
            tar(a, &c, steps)
        }
        _ => Err(()),
    }
}

fn number(noun: &Noun) -> Result<BigUint, ()> {
    noun.atom_bytes()
        .map(|bytes| BigUint::from_bytes_le(&bytes))
        .ok_or(())
}

fn lus(noun: &Noun) -> Result<Noun, ()> {
    Ok(Noun::from_le_bytes(&(number(noun)? + 1_u32).to_bytes_le()))
}

fn fas(axis: &Noun, noun: &Noun) -> Result<Noun, ()> {
    fas_at(&number(axis)?, noun)
}

fn fas_at(axis: &BigUint, noun: &Noun) -> Result<Noun, ()> {
    if *axis <= BigUint::from(1_u32) {
        return if axis.bit(0) { Ok(noun.clone()) } else { Err(()) };
    }
    let above = fas_at(&(axis >> 1), noun)?;
    let part = if axis.bit(0) { above.tail() } else { above.head() };
    part.cloned().ok_or(())
}

fn hax(axis: &Noun, part: Noun, noun: &Noun) -> Result<Noun, ()> {
    hax_at(&number(axis)?, part, noun)
}

fn hax_at(axis: &BigUint, part: Noun, noun: &Noun) -> Result<Noun, ()> {
    if *axis <= BigUint::from(1_u32) {
        return if axis.bit(0) { Ok(part) } else { Err(()) };
    }
    let whole = match axis.bit(0) {
        true => Noun::cell(fas_at(&(axis - 1_u32), noun)?, part),
        false => Noun::cell(part, fas_at(&(axis + 1_u32), noun)?),
    };
    hax_at(&(axis >> 1), whole, noun)
}
