//! Taking nouns apart and putting them together: accessors, conversions, and errors that say where.

use serf_ipc::{AtPath, FromNoun, Noun, Octs, ShapeError, ToNoun, cue, jam, n, noun_struct, noun_union};

const _: fn() = || {
    fn shared_between_threads<T: Send + Sync + 'static>() {}
    shared_between_threads::<Noun>();
};

#[track_caller]
fn round_trip<T: ToNoun + FromNoun + PartialEq + std::fmt::Debug>(value: T, noun: Noun) {
    assert_eq!(value.to_noun(), noun);
    assert_eq!(T::from_noun(&noun).as_ref(), Ok(&value));
}

#[track_caller]
fn refuse<T: FromNoun + std::fmt::Debug>(noun: Noun, message: &str) {
    assert_eq!(
        T::from_noun(&noun)
            .map_err(|error| error.to_string())
            .err()
            .as_deref(),
        Some(message)
    );
}

#[test]
fn t10_atoms() {
    let words = [0, 1, 0xff, 0x100, u64::MAX];
    for word in words {
        let atom = Noun::atom(word);
        assert!(atom.is_atom() && !atom.is_cell());
        assert_eq!((atom.as_u64(), atom.as_u128()), (Some(word), Some(word.into())));
        assert_eq!(atom, Noun::from_le_bytes(&word.to_le_bytes()));
        assert_eq!(atom, Noun::from_u128(word.into()));
        assert_eq!(atom.bit_len(), Some(64 - u64::from(word.leading_zeros())));
    }
    for wide in [1 << 64, u128::MAX, 0x8000_000d_39a1_ad42_3380_0000_0000_0000] {
        let atom = Noun::from(wide);
        assert_eq!((atom.as_u64(), atom.as_u128()), (None, Some(wide)));
        assert_eq!(atom.bit_len(), Some(128 - u64::from(wide.leading_zeros())));
        assert_eq!(cue(&jam(&atom)), Ok(atom));
    }
    for len in 0..100_usize {
        let bytes: Vec<u8> = (1..=len as u8).collect();
        let padded = [bytes.as_slice(), &[0; 9]].concat();
        let atom = Noun::from_le_bytes(&padded);
        assert_eq!(atom, Noun::from_le_vec(padded));
        assert_eq!(atom.atom_bytes().as_deref(), Some(bytes.as_slice()));
        assert_eq!(atom.as_u128().is_some(), len <= 16);
        // At every distance from a byte's beginning, before more and at the end.
        for before in 0..8 {
            let noun = n![1_u64 << before, atom, atom, n![0u8, atom]];
            assert_eq!(cue(&jam(&noun)), Ok(noun));
        }
    }
    let cell = n![1u8, 2u8];
    assert_eq!(
        (cell.as_u64(), cell.as_u128(), cell.bit_len(), cell.atom_bytes()),
        (None, None, None, None)
    );
}

#[test]
fn t11_cords() {
    for text in [
        "",
        "a",
        "%work",
        "exactly8",
        "ninechars",
        "h\u{e9}llo w\u{f6}rld",
        "a text that does not lie in the atom itself",
    ] {
        let cord = Noun::cord(text);
        assert_eq!(cord.as_cord().as_deref(), Some(text));
        assert!(cord.is_cord(text));
        assert!(!cord.is_cord("work") && !n![cord, 0u8].is_cord(text));
        assert_eq!(cord, Noun::from(text));
    }
    assert!(!Noun::cord("work").is_cord("worker") && !Noun::cord("worker-of-some-kind").is_cord("worker"));
    assert_eq!(Noun::from(0xff_u8).as_cord(), None);
    assert_eq!(n![1u8, 2u8].as_cord(), None);
}

#[test]
fn t12_cells_and_slots() {
    let tree = n![n![4u8, 5u8], n![12u8, 13u8], 7u8];
    assert_eq!(tree.as_cell(), tree.head().zip(tree.tail()));
    assert_eq!(tree.split(), Ok((&n![4u8, 5u8], &n![n![12u8, 13u8], 7u8])));
    for axis in [4_u64, 5, 12, 13, 7] {
        assert_eq!(tree.slot(axis), Some(&Noun::atom(axis)));
        assert_eq!(tree.slot_big(&Noun::atom(axis)), Some(&Noun::atom(axis)));
    }
    assert_eq!(tree.slot(1), Some(&tree));
    for axis in [0, 8, 14, 1 << 63, u64::MAX] {
        assert_eq!(tree.slot(axis), None, "{axis}");
    }
    let list = Noun::list((0..200).map(Noun::atom));
    // The tail of tails: an axis of all ones; then to its head.
    let mut axis = vec![0xff; 13];
    assert_eq!(
        list.slot_big(&Noun::from_le_bytes(&axis)).and_then(Noun::head),
        Some(&Noun::atom(103))
    );
    axis[0] = 0xfe;
    assert_eq!(list.slot_big(&Noun::from_le_bytes(&axis)), Some(&Noun::atom(102)));
    axis[12] = 0x7f;
    assert_eq!(list.slot_big(&Noun::from_le_bytes(&axis)), Some(&Noun::atom(101)));
    assert_eq!(list.slot_big(&Noun::from_le_bytes(&[0xff; 100])), None);
    assert_eq!(list.slot_big(&n![1u8, 1u8]), None);
}

#[test]
fn t13_lists_and_units() {
    let list = Noun::list([1_u8, 2, 3].map(Noun::from));
    assert_eq!(list, n![1u8, 2u8, 3u8, 0u8]);
    assert_eq!(
        list.iter_list()
            .flatten()
            .filter_map(Noun::as_u64)
            .collect::<Vec<_>>(),
        [1, 2, 3]
    );
    assert_eq!(Noun::ZERO.iter_list().count(), 0);
    let improper = n![1u8, 2u8, 3u8];
    let items: Vec<_> = improper.iter_list().collect();
    assert_eq!(items.len(), 3);
    let error = items[2].as_ref().expect_err("improper");
    assert_eq!(
        error.to_string(),
        "[2]: expected the end of a list, found the atom 3"
    );
    assert_eq!(
        (Noun::unit(None), Noun::unit(Some(list.clone()))),
        (Noun::ZERO, n![0u8, list])
    );
    assert_eq!((Noun::loob(true), Noun::loob(false)), (Noun::YES, Noun::NO));
    assert_eq!((Noun::YES.as_u64(), Noun::NO.as_u64()), (Some(0), Some(1)));
}

#[test]
fn t20_conversions() {
    round_trip(0xff_u8, Noun::atom(0xff));
    round_trip(u16::MAX, Noun::atom(0xffff));
    round_trip(u32::MAX, Noun::atom(0xffff_ffff));
    round_trip(u64::MAX, Noun::atom(u64::MAX));
    round_trip(u128::MAX, Noun::from_le_bytes(&[0xff; 16]));
    round_trip(true, Noun::ZERO);
    round_trip(false, Noun::atom(1));
    round_trip((), Noun::ZERO);
    round_trip("text".to_owned(), Noun::cord("text"));
    round_trip(None::<u8>, Noun::ZERO);
    round_trip(Some(None::<u8>), n![0u8, 0u8]);
    round_trip(
        vec![(1_u8, true), (2, false)],
        n![n![1u8, 0u8], n![2u8, 1u8], 0u8],
    );
    round_trip(
        (1_u8, 2_u8, 3_u8, 4_u8, 5_u8, 6_u8, 7_u8, (8_u8, 9_u8)),
        n![1u8, 2u8, 3u8, 4u8, 5u8, 6u8, 7u8, 8u8, 9u8],
    );
    round_trip(n![1u8, 2u8], n![1u8, 2u8]);
    assert_eq!(n!["only one"], Noun::cord("only one"));
}

#[test]
fn t21_conversions_refused() {
    refuse::<u8>(
        Noun::atom(256),
        "expected an atom of at most 8 bits, found the atom 256",
    );
    refuse::<u64>(
        n![1u8, 2u8],
        "expected an atom of at most 64 bits, found the cell [1 2]",
    );
    refuse::<bool>(Noun::atom(2), "expected a loobean (0 or 1), found the atom 2");
    refuse::<()>(Noun::atom(2), "expected ~, found the atom 2");
    refuse::<String>(Noun::atom(0xff), "expected a cord in UTF-8, found the atom 255");
    refuse::<Option<u8>>(Noun::atom(2), "expected a unit (~ or [~ item]), found the atom 2");
    refuse::<Option<u8>>(
        n![1u8, 2u8],
        "expected a unit (~ or [~ item]), found the cell [1 2]",
    );
    refuse::<Option<u8>>(
        n![0u8, "text"],
        "u: expected an atom of at most 8 bits, found the atom %text",
    );
    refuse::<Vec<u8>>(
        n![1u8, "text", 0u8],
        "[1]: expected an atom of at most 8 bits, found the atom %text",
    );
    refuse::<Vec<u8>>(n![1u8, 2u8], "[1]: expected the end of a list, found the atom 2");
    refuse::<(u8, u8, u8)>(n![1u8, 2u8], "1: expected a cell, found the atom 2");
    refuse::<(u8, Vec<(u8, bool)>)>(
        n![1u8, n![n![1u8, 0u8], n![1u8, 7u8], 0u8]],
        "1[1].1: expected a loobean (0 or 1), found the atom 7",
    );
}

#[test]
fn t22_octets() {
    round_trip(Octs::from(vec![1, 0, 0]), n![3u8, 1u8]);
    round_trip(Octs::default(), n![0u8, 0u8]);
    assert_eq!(
        Octs::from_noun(&n![2u8, 0x01_0203u32]),
        Ok(Octs::from(vec![3, 2]))
    );
    refuse::<Octs>(
        n![1u64 << 40, 0u8],
        "expected a length within the limit of octets, found the cell [1099511627776 0]",
    );
    refuse::<Octs>(n![1u8, n![1u8, 2u8]], "1: expected an atom, found the cell [1 2]");
}

noun_struct! {
    /// A card: fields that are named as the macro's own variables must not clash with them.
    #[derive(Clone, Debug, PartialEq)]
    struct Card {
        head: u64,
        noun: Vec<Status>,
        tail: Option<u8>,
    }
}

noun_union! {
    /// Variants of every form.
    #[derive(Clone, Debug, PartialEq)]
    enum Status {
        /// A bare tag.
        "idle" => Idle,
        "gone" => Gone(()),
        "busy" => Busy(u64),
        "held" => Held { head: u64, tail: Card },
        0 => Number(Noun),
        1 => One,
    }
}

#[test]
fn t30_structs_and_unions() {
    round_trip(Status::Idle, Noun::cord("idle"));
    round_trip(Status::Gone(()), n!["gone", 0u8]);
    round_trip(Status::Busy(7), n!["busy", 7u8]);
    round_trip(Status::Number(n![1u8, 2u8]), n![0u8, 1u8, 2u8]);
    round_trip(Status::One, Noun::atom(1));
    let card = Card {
        head: 1,
        noun: vec![Status::Idle, Status::Busy(2)],
        tail: Some(3),
    };
    let noun = n![1u8, n!["idle", n!["busy", 2u8], 0u8], 0u8, 3u8];
    round_trip(card.clone(), noun.clone());
    round_trip(Status::Held { head: 9, tail: card }, n!["held", 9u8, noun]);
}

#[test]
fn t31_errors_name_the_path() {
    refuse::<Status>(
        n!["held", 9u8, 1u8, n!["idle", n!["busy", n![1u8, 2u8]], 0u8], 0u8],
        "%held.tail.noun[1].%busy: expected an atom of at most 64 bits, found the cell [1 2]",
    );
    refuse::<Status>(n!["held", 9u8], "%held.head: expected a cell, found the atom 9");
    refuse::<Status>(
        Noun::cord("gone"),
        "expected %idle or %gone or %busy or %held or %0 or %1, found the atom %gone",
    );
    refuse::<Status>(
        n!["idle", 0u8],
        "expected %idle or %gone or %busy or %held or %0 or %1, found the cell [%idle 0]",
    );
    refuse::<Card>(n![1u8, 2u8], "noun: expected a cell, found the atom 2");
    let error = u8::from_noun(&n![0u8, 0u8])
        .at("status")
        .at_item(2)
        .at("tail")
        .at("card")
        .expect_err("a cell");
    assert_eq!(error.path(), "card.tail[2].status");
    assert_eq!(error.expected(), "an atom of at most 8 bits");
    assert!(size_of::<Result<u64, ShapeError>>() <= 16);
}

#[test]
fn t40_debug_is_short() {
    let show = |noun: Noun| format!("{noun:?}");
    assert_eq!(
        show(n!["work", 12u8, "Some text", u128::MAX, n![1u8, 0u8], 0u8]),
        "[%work 12 'Some text' 0xffffffffffffffffffffffffffffffff [1 0] 0]"
    );
    assert_eq!(show(Noun::cord(&"long ".repeat(100))).len(), 1 + 64 + 2 + 1);
    assert_eq!(show(Noun::from_le_bytes(&[0xab; 500])).len(), 2 + 128 + 2);
    let deep = (0..20).fold(Noun::ZERO, |deeper, _| n![deeper, 1u8]);
    assert_eq!(show(deep), "[[[[[[[[[..] 1] 1] 1] 1] 1] 1] 1] 1]");
    let long = show(Noun::list((0..1000).map(Noun::atom)));
    assert!(long.starts_with("[0 1 2 ") && long.ends_with(" 63 ..]"), "{long}");
}
