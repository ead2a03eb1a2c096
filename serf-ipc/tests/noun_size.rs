//! Nouns that are deep, long, or stand for far more than they hold: nothing recurses, and all takes linear time.
//!
//! A step that takes quadratic or exponential time here does not end while anybody waits.

use std::collections::HashSet;
use std::thread;

use serf_ipc::{Noun, cue, jam, n};

const MILLION: u64 = 1_000_000;

fn long_list() -> Noun {
    Noun::list((1..=MILLION).map(Noun::atom))
}

/// `[[[.. 3] 2] 1]`
fn left_spine() -> Noun {
    (1..=MILLION)
        .rev()
        .fold(Noun::ZERO, |deeper, item| Noun::cell(deeper, Noun::atom(item)))
}

/// 2^60 leaves.
fn doubled(leaf: Noun) -> Noun {
    (0..60).fold(leaf, |noun, _| Noun::cell(noun.clone(), noun))
}

/// Makes the noun twice and does all there is to do with it. The two have nothing in common in memory.
#[track_caller]
fn exercise(make: impl Fn() -> Noun, other: &Noun) {
    let (noun, twin) = (make(), make());
    assert!(noun == twin);
    assert!(noun != *other);
    assert_eq!(
        HashSet::from([noun.clone(), twin.clone(), other.clone()]).len(),
        2
    );
    assert_eq!(noun.mug(), twin.mug());
    assert_ne!(noun.mug(), other.mug());
    let bytes = jam(&noun);
    assert_eq!(jam(&twin), bytes);
    let read = cue(&bytes).unwrap_or_default();
    assert!(read == noun);
    assert_eq!(read.mug(), noun.mug());
    let pair = n![noun, twin];
    let with_reference = jam(&pair);
    assert!(
        with_reference.len() < bytes.len() + 32,
        "the twin was not written as a reference"
    );
    assert!(cue(&with_reference) == Ok(pair.clone()));
    assert!(format!("{pair:?}").len() < 10_000);
}

#[test]
fn t10_a_list_of_a_million() {
    exercise(long_list, &Noun::list((0..MILLION).map(Noun::atom)));
    let list = long_list();
    assert_eq!(list.mug().0, 0x489f_25da);
    assert_eq!(jam(&list).len(), 3_985_706);
    assert_eq!(
        list.iter_list().flatten().filter_map(Noun::as_u64).sum::<u64>(),
        MILLION * (MILLION + 1) / 2
    );
}

#[test]
fn t11_a_left_spine_of_a_million() {
    exercise(left_spine, &n![left_spine(), 1u8]);
}

#[test]
fn t12_sixty_cells_that_stand_for_two_to_the_sixtieth_leaves() {
    exercise(|| doubled(Noun::ZERO), &doubled(Noun::atom(1)));
    let large = "a leaf that does not fit in a word";
    exercise(|| doubled(Noun::cord(large)), &doubled(Noun::ZERO));
    assert_eq!(doubled(Noun::ZERO).slot(1 << 60), Some(&Noun::ZERO));
}

#[test]
fn t13_sharing_of_different_shapes_is_equal() {
    // The same tree, shared wholly, in its heads only, and read from bytes that refer back everywhere.
    let whole = doubled(Noun::atom(7));
    let heads = (0..60).fold((Noun::atom(7), Noun::atom(7)), |(a, b), _| {
        (Noun::cell(a.clone(), b.clone()), Noun::cell(b, a))
    });
    assert!(heads.0 == whole && heads.1 == whole);
    assert_eq!(jam(&heads.0), jam(&whole));
}

/// Each item of the first half has an equal one in the second half, and to see that, two lists that have no cell in
/// common must be found equal: once, not each time.
#[test]
fn t14_what_was_found_equal_is_not_compared_again() {
    const ITEMS: u64 = 100_000;
    let half = || {
        let shared = Noun::list((0..ITEMS).map(Noun::atom));
        Noun::list((0..ITEMS).map(|item| n![n![item, shared], shared]))
    };
    let both = n![half(), 0u8, Noun::list(half().iter_list().flatten().cloned())];
    let (first, second) = (both.head().expect("a cell"), both.slot(7).expect("a cell"));
    assert!(first == second);
    assert!(cue(&jam(&both)).expect("a jam") == both);
}

#[test]
fn t20_several_threads_let_go_at_once() {
    for _ in 0..4 {
        let noun = left_spine();
        let clones: Vec<Noun> = vec![noun; 4];
        thread::scope(|scope| {
            for clone in clones {
                // The stack would not hold a recursion of a thousand.
                let small = thread::Builder::new().stack_size(64 << 10);
                small.spawn_scoped(scope, move || drop(clone)).expect("a thread");
            }
        });
    }
}

#[test]
fn t21_a_small_stack_suffices() {
    let small = thread::Builder::new().stack_size(256 << 10);
    let all = || {
        for noun in [long_list(), left_spine(), doubled(Noun::ZERO)] {
            let read = cue(&jam(&noun)).expect("a jam");
            assert!(read == noun && read.mug() == noun.mug());
        }
    };
    small.spawn(all).expect("a thread").join().expect("no panic");
}
