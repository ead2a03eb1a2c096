//! The Nock machine by itself.

use crate::formulas::{Outcome, definition, formula, noun};
use proptest::prelude::*;
use reference_serf::nock::{Bail, Deaf, Host, Mote, at, edit, nock};
use serf_ipc::{Noun, n};

fn run(subject: Noun, formula: Noun) -> Option<Noun> {
    nock(subject, formula, &mut Deaf).ok()
}

/// A host that hears everything, and interrupts after some looks.
struct Ear {
    heard: Vec<Noun>,
    looks: u32,
}

impl Host for Ear {
    fn slog(&mut self, line: &Noun) {
        self.heard.push(line.clone());
    }

    fn interrupted(&mut self) -> Option<Mote> {
        self.looks = self.looks.checked_sub(1)?;
        (self.looks == 0).then_some(Mote::Intr)
    }
}

fn ear(looks: u32) -> Ear {
    Ear {
        heard: Vec::new(),
        looks,
    }
}

#[test]
fn each_operator_does_what_the_definition_says() {
    let subject = n![n![4_u64, 5_u64], n![6_u64, 14_u64, 15_u64]];
    let cases = [
        (n![0_u64, 7_u64], Some(n![14_u64, 15_u64])),
        (n![0_u64, 1_u64], Some(subject.clone())),
        (n![0_u64, 0_u64], None),
        (n![0_u64, 12_u64], None),
        (n![1_u64, 153_u64, 218_u64], Some(n![153_u64, 218_u64])),
        (
            n![2_u64, n![0_u64, 3_u64], 1_u64, 4_u64, 0_u64, 2_u64],
            Some(n![7_u64]),
        ),
        (n![3_u64, 0_u64, 2_u64], Some(Noun::YES)),
        (n![3_u64, 0_u64, 4_u64], Some(Noun::NO)),
        (n![4_u64, 0_u64, 4_u64], Some(n![5_u64])),
        (n![4_u64, 0_u64, 2_u64], None),
        (n![5_u64, n![0_u64, 4_u64], 1_u64, 4_u64], Some(Noun::YES)),
        (n![5_u64, n![0_u64, 2_u64], 1_u64, 4_u64, 5_u64], Some(Noun::YES)),
        (n![5_u64, n![0_u64, 2_u64], 1_u64, 4_u64, 6_u64], Some(Noun::NO)),
        (
            n![6_u64, n![1_u64, 0_u64], n![1_u64, 8_u64], 0_u64, 0_u64],
            Some(n![8_u64]),
        ),
        (
            n![6_u64, n![1_u64, 1_u64], n![0_u64, 0_u64], 1_u64, 9_u64],
            Some(n![9_u64]),
        ),
        (n![6_u64, n![1_u64, 2_u64], n![1_u64, 8_u64], 1_u64, 9_u64], None),
        (n![7_u64, n![0_u64, 2_u64], 4_u64, 0_u64, 3_u64], Some(n![6_u64])),
        (
            n![8_u64, n![4_u64, 0_u64, 4_u64], n![0_u64, 2_u64], 0_u64, 12_u64],
            Some(n![5_u64, 4_u64]),
        ),
        (
            n![10_u64, n![2_u64, 1_u64, 9_u64], 0_u64, 2_u64],
            Some(n![9_u64, 5_u64]),
        ),
        (n![10_u64, n![0_u64, 1_u64, 9_u64], 0_u64, 2_u64], None),
        (n![10_u64, n![1_u64, 1_u64, 9_u64], 0_u64, 2_u64], Some(n![9_u64])),
        (n![10_u64, n![4_u64, 1_u64, 9_u64], 0_u64, 2_u64], None),
        (n![11_u64, 1_u64, 0_u64, 4_u64], Some(n![4_u64])),
        (n![11_u64, n!["x", 0_u64, 0_u64], 0_u64, 4_u64], None),
        (n![12_u64, n![1_u64, 0_u64], 1_u64, 0_u64], None),
        (n![13_u64, 0_u64], None),
        (n![5_u64], None),
        (n![n![0_u64, 4_u64], 0_u64, 5_u64], Some(n![4_u64, 5_u64])),
    ];
    for (formula, expected) in cases {
        assert_eq!(run(subject.clone(), formula.clone()), expected, "{formula:?}");
    }
    // [9 b c]: decrement, by counting up to the sample.
    let count = n![
        6_u64,
        n![5_u64, n![0_u64, 7_u64], 4_u64, 0_u64, 6_u64],
        n![0_u64, 6_u64],
        9_u64,
        2_u64,
        10_u64,
        n![6_u64, 4_u64, 0_u64, 6_u64],
        0_u64,
        1_u64
    ];
    let decrement = n![
        8_u64,
        n![1_u64, 0_u64],
        8_u64,
        n![1_u64, count],
        9_u64,
        2_u64,
        0_u64,
        1_u64
    ];
    assert_eq!(run(n![43_u64], decrement), Some(n![42_u64]));
}

#[test]
fn big_atoms_are_incremented_and_used_as_axes() {
    let big = Noun::from_u128(u128::MAX);
    let next = run(big.clone(), n![4_u64, 0_u64, 1_u64]).unwrap();
    assert_eq!(
        next.atom_bytes().unwrap().into_owned(),
        [[0; 16].as_slice(), &[1]].concat()
    );
    assert_eq!(
        run(n![u64::MAX], n![4_u64, 0_u64, 1_u64]),
        Some(Noun::from_u128(1 << 64))
    );
    // A chain of tails, 127 deep, has its end where all the axis' bits are ones.
    let chain = (0..127).fold(n![9_u64], |tail, depth: u64| Noun::cell(Noun::atom(depth), tail));
    assert_eq!(at(&chain, &big), Some(n![9_u64]));
    assert_eq!(at(&chain, &Noun::from_u128(u128::MAX - 1)), Some(n![0_u64]));
    let edited = edit(&chain, &big, n![8_u64]).unwrap();
    assert_eq!(at(&edited, &big), Some(n![8_u64]));
    assert_eq!(edit(&chain, &next, n![8_u64]), None);
    assert_eq!(edit(&chain, &n![0_u64], n![8_u64]), None);
}

#[test]
fn trace_hints_are_on_the_trace_of_a_bail_inside_them_only() {
    let crash = n![0_u64, 0_u64];
    let hinted = |tag: &str, clue: u64, formula: Noun| n![11_u64, n![tag, 1_u64, clue], formula];
    // The first hint is over when the second one crashes.
    let formula = n![
        7_u64,
        hinted("mean", 1, n![0_u64, 1_u64]),
        hinted(
            "spot",
            2,
            n![
                4_u64,
                hinted("hunk", 3, hinted("lose", 4, hinted("other", 5, crash)))
            ]
        )
    ];
    let expected = Noun::list([n!["lose", 4_u64], n!["hunk", 3_u64], n!["spot", 2_u64]]);
    assert_eq!(
        nock(n![0_u64], formula, &mut Deaf),
        Err(Bail {
            mote: Mote::Exit,
            trace: expected
        })
    );
}

#[test]
fn slogs_are_heard_in_order() {
    let mut ear = ear(0);
    let slog = |line: u64, then: Noun| n![11_u64, n!["slog", 1_u64, line], then];
    let formula = slog(1, slog(2, n![1_u64, 5_u64]));
    assert_eq!(nock(n![0_u64], formula, &mut ear), Ok(n![5_u64]));
    assert_eq!(ear.heard, [n![1_u64], n![2_u64]]);
}

#[test]
fn an_endless_loop_in_tail_position_can_be_interrupted_and_grows_nothing() {
    // Through each of the operators that have a tail position.
    let forever = n![9_u64, 2_u64, 0_u64, 1_u64];
    for tail in [
        forever.clone(),
        n![2_u64, n![0_u64, 1_u64], 1_u64, forever.clone()],
        n![6_u64, n![1_u64, 0_u64], forever.clone(), 0_u64, 0_u64],
        n![7_u64, n![0_u64, 1_u64], forever.clone()],
        n![8_u64, n![1_u64, 0_u64], 7_u64, n![0_u64, 3_u64], forever.clone()],
        n![10_u64, n![6_u64, 1_u64, 0_u64], 0_u64, 1_u64],
        n![11_u64, 5_u64, forever.clone()],
        n![11_u64, n![5_u64, 1_u64, 5_u64], forever],
    ] {
        let arm = if tail.head() == Some(&n![10_u64]) {
            n![9_u64, 2_u64, tail]
        } else {
            tail
        };
        let core = n![arm.clone(), 0_u64, 0_u64];
        let bail = nock(core, arm, &mut ear(100)).unwrap_err();
        assert_eq!(bail.mote, Mote::Intr);
    }
}

#[test]
fn a_recursion_may_be_deep_but_not_endless() {
    // The arm conses a number in front of itself, for ever.
    let arm = n![n![1_u64, 0_u64], 9_u64, 2_u64, 0_u64, 1_u64];
    let bail = nock(n![arm.clone(), 0_u64], arm, &mut Deaf).unwrap_err();
    assert_eq!(bail.mote, Mote::Meme);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_machine_and_the_definition_agree(subject in noun(), formula in formula()) {
        let defined = definition(&subject, &formula);
        prop_assume!(defined != Outcome::Unknown);
        prop_assert_eq!(Outcome::from(run(subject, formula)), defined);
    }
}
