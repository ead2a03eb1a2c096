//! Auras, tapes and paths against the C program's and Hoon's own test vectors (`spec/testmap.md` sections 4 to 7).

#![expect(clippy::expect_used, reason = "a helper of tests may fail the test")]

use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use serf_ipc::text::{self, Aura, Path, Tape, base16, cord, da, p, path, scot, slaw};
use serf_ipc::{FromNoun, Noun, Octs, ToNoun, cue, n};

fn two_to_128() -> Noun {
    let mut bytes = [0; 17];
    bytes[16] = 1;
    Noun::from_le_bytes(&bytes)
}

#[track_caller]
fn check(aura: Aura, value: impl ToNoun, text: &str) {
    assert_eq!(scot(aura, &value.to_noun()).as_deref(), Some(text));
    assert_eq!(slaw(aura, text), Ok(value.to_noun()));
}

#[track_caller]
fn refuse(aura: Aura, texts: &[&str]) {
    for text in texts {
        let error = slaw(aura, text).expect_err(text).to_string();
        assert!(error.contains(text) && error.contains("(@"), "{error}");
    }
}

#[test]
fn t10_numbers() {
    let rows: [(Aura, &[(u64, &str)]); 4] = [
        (
            Aura::Ud,
            &[
                (0, "0"),
                (1234, "1.234"),
                (12_345_678, "12.345.678"),
                (8_589_934_592, "8.589.934.592"),
                (u64::MAX, "18.446.744.073.709.551.615"),
            ],
        ),
        (
            Aura::Ux,
            &[
                (0, "0x0"),
                (0x1234, "0x1234"),
                (0x12345, "0x1.2345"),
                (0x1_2345_6789, "0x1.2345.6789"),
                (0x123_4567_89ab_cdef, "0x123.4567.89ab.cdef"),
            ],
        ),
        (
            Aura::Uv,
            &[
                (0, "0v0"),
                (0x10, "0vg"),
                (0x12, "0vi"),
                (0x123, "0v93"),
                (0x12345, "0v28q5"),
                (0x123_4567, "0vi6hb7"),
                (0x1234_5678, "0v9.38ljo"),
                (0x1_2345_6789, "0v4h.kaps9"),
                (0x123_4567_89ab_cdef, "0v28.q5cu4.qnjff"),
                (0x85_8993_4592, "0vgm4.p6hci"),
            ],
        ),
        (
            Aura::Uw,
            &[
                (0, "0w0"),
                (0x123, "0w4z"),
                (0x1234, "0w18Q"),
                (0x12_3456, "0w4zhm"),
                (0x1_2345_6789, "0w4.zhmu9"),
                (0x123_4567_89ab_cdef, "0w4zhmu.9GYTL"),
                (0x85_8993_4592, "0w8m.9AQmi"),
                (62, "0w-"),
                (63, "0w~"),
            ],
        ),
    ];
    for (aura, rows) in rows {
        for (value, text) in rows {
            check(aura, value, text);
        }
    }
    check(
        Aura::Ud,
        two_to_128(),
        "340.282.366.920.938.463.463.374.607.431.768.211.456",
    );
    check(
        Aura::Ux,
        two_to_128(),
        "0x1.0000.0000.0000.0000.0000.0000.0000.0000",
    );
    check(Aura::Uv, two_to_128(), "0v8.00000.00000.00000.00000.00000");
    check(Aura::Uw, two_to_128(), "0w40.00000.00000.00000.00000");
    assert_eq!(scot(Aura::Ud, &n![1u8, 2u8]), None);
}

#[test]
fn t11_numbers_refused() {
    refuse(
        Aura::Ud,
        &[
            "01",
            "02",
            "003",
            "1234",
            "1234.5",
            "1234.567.8",
            "1234.56..78.",
            "123.45a",
            ".123.456",
            "-1",
            "",
            "1 ",
        ],
    );
    refuse(
        Aura::Ux,
        &[
            "0",
            "0x",
            "0x00",
            "0x0.0000",
            "0x12345",
            "0x1.234",
            "0x1.2345.",
            "0xG",
            "0xA",
            "1",
        ],
    );
    refuse(
        Aura::Uv,
        &["0v", "0v0.00000", "0vw", "0v1.2345", "0vi6hb7i", "0v1..00000"],
    );
    refuse(
        Aura::Uw,
        &[
            "0w",
            "0w0.00000",
            "0w_",
            "0w1.2345",
            "0v1",
            "0w1.ab\u{e9}cd",
            "0w1 ",
        ],
    );
    assert!(slaw(Aura::Ud, &"1".repeat(1 << 20)).is_err());
}

#[test]
fn t12_numbers_of_31_bits() {
    let big = scot(Aura::Uv, &Noun::from(1_u128 << 64)).unwrap();
    assert_eq!(text::knot_number(Aura::Uv, &big), None);
    assert_eq!(text::knot_number(Aura::Ud, "2.147.483.647"), Some(0x7fff_ffff));
    assert_eq!(text::knot_number(Aura::Ux, "0x8000.0000"), None);
    assert_eq!(text::knot_number(Aura::Uv, "0v1.2345"), None);
    assert_eq!(
        (text::ud(1234), text::ux(0xdead_beef)),
        ("1.234".to_owned(), "0xdead.beef".to_owned())
    );
    assert_eq!(text::uv(0x1234_5678), "0v9.38ljo");
}

#[test]
fn t13_base16() {
    let rows: [(&str, usize, u64); 6] = [
        ("aa", 1, 0xaa),
        ("1234", 2, 0x1234),
        ("f012", 2, 0xf012),
        ("010b", 2, 0x10b),
        ("001234", 3, 0x1234),
        ("34", 1, 0x1234),
    ];
    for (text, len, value) in rows {
        let octs = Octs::from_noun(&n![len as u64, value]).unwrap();
        assert_eq!(base16::encode(&octs), text);
    }
    assert_eq!(base16::decode("10b").unwrap().to_noun(), n![2u8, 0x10bu64]);
    assert_eq!(base16::decode("001234").unwrap().to_noun(), n![3u8, 0x1234u64]);
    assert_eq!(
        base16::decode("DEADbeef").unwrap().to_noun(),
        n![4u8, 0xdead_beefu64]
    );
    assert_eq!(base16::encode_atom(&Noun::atom(0x10b)).as_deref(), Some("010b"));
    assert!(base16::decode("12x4").is_err());
}

#[test]
fn t20_ships_are_scrambled() {
    let rows: [(u128, u128); 16] = [
        (0, 0),
        (0xffff, 0xffff),
        (0x10000, 0x423e_60bf),
        (0x10001, 0xd440_0acb),
        (0x10002, 0x0f42_9043),
        (0x1b08f, 0x76b9_20e5),
        (0x1000_0000, 0xa04b_c7fa),
        (0x1234_abcd, 0x686f_6c25),
        (0xabcd_1234, 0x04a2_20c8),
        (0xdead_beef, 0x909b_c4a9),
        (0xfffff, 0x6746_b96b),
        (0xffff_ffff, 0xbba4_dcce),
        (123_456_789, 1_897_766_331),
        (15_663_360, 1_208_402_137),
        // A moon: its planet is scrambled, what is above is not. Then one whose planet is a star, and a comet.
        (0x7_0001_0000, 0x7_423e_60bf),
        (0x7_0000_0100, 0x7_0000_0100),
    ];
    for (ship, spelt) in rows {
        assert_eq!(p::fein(ship), spelt, "{ship:x}");
        assert_eq!(p::fynd(spelt), ship, "{ship:x}");
    }
    let comet = 0xdead_beef_0123_4567_89ab_cdef_0000_0001;
    assert_eq!((p::fein(comet), p::fynd(comet)), (comet, comet));
}

#[test]
fn t21_ships_have_names() {
    let rows: [(u128, &str); 12] = [
        (0, "~zod"),
        (1, "~nec"),
        (255, "~fes"),
        (256, "~marzod"),
        (0xffff, "~fipfes"),
        (0x10000, "~dapnep-ronmyl"),
        (0xffff_ffff, "~dostec-risfen"),
        (1 << 32, "~doznec-dozzod-dozzod"),
        (0x7_0001_0000, "~dozlet-dapnep-ronmyl"),
        (u64::MAX as u128, "~fipfes-fipfes-dostec-risfen"),
        (1 << 64, "~doznec--dozzod-dozzod-dozzod-dozzod"),
        (
            u128::MAX,
            "~fipfes-fipfes-fipfes-fipfes--fipfes-fipfes-fipfes-fipfes",
        ),
    ];
    for (ship, name) in rows {
        check(Aura::P, ship, name);
    }
    assert_eq!(
        p::parse("~hastuc-dibtux").map(p::format).as_deref(),
        Ok("~hastuc-dibtux")
    );
    refuse(
        Aura::P,
        &[
            "",
            "~",
            "zod",
            "~zo",
            "~zodd",
            "~doz",
            "~dozzod",
            "~zodzod",
            "~Zod",
            "~marzod-",
            "~-marzod",
            "~marzod-zod",
            "~dozzod-marzod",
            "~marzod--marzod",
            "~marzodmarzod",
            "~mar\u{e9}od",
            "~doznec--dozzod-dozzod-dozzod",
            "~doznec-dozzod-dozzod-dozzod-dozzod",
            "~doznec--dozzod-dozzod-dozzod-dozzod--dozzod-dozzod-dozzod-dozzod",
        ],
    );
}

#[test]
fn t30_dates_are_unix_time_and_a_fraction() {
    assert_eq!(da::from_unix(0, 0), 0x8000_000c_ce9e_0d80_0000_0000_0000_0000);
    let half = da::from_unix(1_700_000_000, 500_000);
    assert_eq!(half, 0x8000_000d_33f1_fe80_8000_0000_0000_0000);
    let jammed = [
        0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xfd, 0xe3, 0x67, 0x1a, 0, 0, 0, 1,
    ];
    assert_eq!(cue(&jammed), Ok(Noun::from(half)));
    assert_eq!(da::to_unix(half), Some((1_700_000_000, 500_000)));
    assert_eq!(da::to_unix(da::from_unix(5, 999_999)), Some((5, 999_984)));
    assert_eq!(da::to_unix(da::from_unix(0, 0) - 1), None);
    let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_500);
    assert_eq!(
        (da::from_system_time(time), da::to_system_time(half)),
        (half, Some(time))
    );
    assert_eq!(
        da::from_system_time(SystemTime::UNIX_EPOCH - Duration::from_secs(1)),
        da::from_unix(0, 0)
    );
}

#[test]
fn t31_gaps_between_dates() {
    let now = da::from_unix(100, 250_000);
    assert_eq!(da::gap_ms(now, now), 0);
    assert_eq!(da::gap_ms(now, da::from_unix(99, 0)), 0);
    assert_eq!(da::gap_ms(now, da::from_unix(102, 0)), 1750);
    assert_eq!(da::gap_ms(now, now + (1 << 48)), 0);
    assert_eq!(da::gap_ms(0, u128::MAX), u64::MAX);
}

#[test]
fn t32_dates_have_text() {
    let epoch = da::from_unix(0, 0);
    let rows: [(u128, &str); 10] = [
        (epoch, "~1970.1.1"),
        (epoch + (86_399 << 64), "~1970.1.1..23.59.59"),
        (epoch + (1 << 63), "~1970.1.1..00.00.00..8000"),
        (epoch + 1, "~1970.1.1..00.00.00..0000.0000.0000.0001"),
        (da::from_unix(951_782_400, 0), "~2000.2.29"),
        (
            da::from_unix(1_795_399_618, 200_200) & !0xffff_ffff_ffff,
            "~2026.11.23..02.06.58..3340",
        ),
        (epoch - (1 << 64), "~1969.12.31..23.59.59"),
        (epoch - (62_135_596_800 << 64), "~1.1.1"),
        (epoch - (62_135_596_801 << 64), "~1-.12.31..23.59.59"),
        (0, "~292277024401-.1.1"),
    ];
    for (date, text) in rows {
        check(Aura::Da, date, text);
    }
    assert_eq!(da::parse(&da::format(u128::MAX)), Ok(u128::MAX));
    assert_eq!(da::parse("~2025.01.09..1.2.3"), da::parse("~2025.1.9..01.02.03"));
    assert_eq!(
        da::parse("~2026.11.23..02.06.58..3380"),
        Ok(0x8000_000d_39a1_ad42_3380_0000_0000_0000)
    );
    refuse(
        Aura::Da,
        &[
            "2000.1.1",
            "~2000.1",
            "~2000.1.1.1",
            "~2000.13.1",
            "~2000.0.1",
            "~2000.1.0",
            "~2000.1.32",
            "~2001.2.29",
            "~0.1.1",
            "~02000.1.1",
            "~-.1.1",
            "~2000.1.1..",
            "~2000.1.1..1.2",
            "~2000.1.1..24.00.00",
            "~2000.1.1..23.60.00",
            "~2000.1.1..23.00.60",
            "~2000.1.1..00.00.00..1",
            "~2000.1.1..00.00.00..123g",
            "~2000.1.1..00.00.00..0000.0000.0000.0000.0000",
            "~2000.1.1..00.00.00..",
            "~2000.1.1..00.00.00..1234..1234",
            "~2000.+1.1",
            "~2000.001.1",
            "~292277024402-.1.1",
            "~999999999999.1.1",
            "~9999999999999.1.1",
        ],
    );
}

#[test]
fn t40_texts() {
    for (text, escaped) in [
        ("", "~~"),
        ("hello", "~~hello"),
        ("hello world", "~~hello.world"),
        ("a.b~c-d", "~~a~.b~~c-d"),
        ("Ab\n_", "~~~41.b~a.~5f."),
        ("\u{e9}\u{1f600}", "~~~e9.~1f600."),
    ] {
        check(Aura::T, text, escaped);
    }
    assert_eq!(cord::unescape("~~a_b").as_deref(), Ok("a_b"));
    refuse(
        Aura::T,
        &[
            "~",
            "~.a",
            "~~A",
            "~~~",
            "~~~41",
            "~~~zz.",
            "~~~d800.",
            "~~~110000.",
            "~~~41~",
            "~~\u{e9}",
            "~~~+1.",
        ],
    );
    check(Aura::Ta, "some_knot.txt~1-2", "~.some_knot.txt~1-2");
    check(Aura::Ta, "", "~.");
    refuse(Aura::Ta, &["abc", "~.A", "~.a b", "~.\u{e9}"]);
    check(Aura::Tas, "work-1", "work-1");
    check(Aura::Tas, "", "");
    refuse(Aura::Tas, &["1a", "-a", "A", "a_b", "a.b"]);
}

#[test]
fn t50_tapes() {
    assert_eq!(
        Tape::from("ab").to_noun(),
        n![u64::from(b'a'), u64::from(b'b'), 0u8]
    );
    let tape = Tape::from("h\u{e9}llo");
    assert_eq!(Tape::from_noun(&tape.to_noun()), Ok(tape));
    assert_eq!(
        Tape::from_noun(&n![0xffu8, 0x61u8, 0u8]),
        Ok(Tape::from("\u{fffd}a"))
    );
    let error = Tape::from_noun(&n![0x61u8, 0x161u64, 0u8]).unwrap_err();
    assert_eq!(error.path(), "[1]");
    assert!(Tape::from_noun(&n![0x61u8, 1u8]).is_err());
}

#[test]
fn t60_paths() {
    for (text, knots) in [
        ("/", Path::default()),
        ("/a", Path::from(["a"])),
        ("/a/b.c/~zod", Path::from(["a", "b.c", "~zod"])),
        (
            "/publ/0/xx//1/foo/g",
            Path::from(["publ", "0", "xx", "", "1", "foo", "g"]),
        ),
        ("//a", Path::from(["", "a"])),
    ] {
        assert_eq!(text.parse::<Path>(), Ok(knots.clone()));
        assert_eq!(knots.to_string(), text);
        assert_eq!(Path::from_noun(&knots.to_noun()), Ok(knots));
    }
    for text in ["", "a", "a/b", "/a/", "//", "/A", "/a b"] {
        assert!(text.parse::<Path>().is_err(), "{text}");
    }
    assert_eq!(
        Path::from(["behn", "0v1", ""]).to_noun(),
        n!["behn", "0v1", 0u8, 0u8]
    );
}

#[test]
fn t61_canonical_file_paths() {
    for path in [
        "/",
        "~.",
        "a",
        "a/b",
        "a/b/c/defg/h/ijklmnop",
        ".a",
        "/.a.b.c/..c",
    ] {
        assert!(path::is_canonical_file_path(path), "{path}");
    }
    for path in [
        "",
        ".",
        "..",
        "/.",
        "a/b/c//",
        "a/b/.",
        "/././../.",
        "/../etc",
        "//",
        "a/../b",
        "a/",
    ] {
        assert!(!path::is_canonical_file_path(path), "{path}");
    }
}

proptest! {
    #[test]
    fn t90_every_atom_has_one_text(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let atom = Noun::from_le_bytes(&bytes);
        for aura in [Aura::Ud, Aura::Uv, Aura::Uw, Aura::Ux] {
            prop_assert_eq!(slaw(aura, &scot(aura, &atom).unwrap()), Ok(atom.clone()));
        }
    }

    #[test]
    fn t91_every_ship_has_one_name(ship in any::<u128>(), bits in 0..128) {
        let ship = ship >> bits;
        prop_assert_eq!(p::fynd(p::fein(ship)), ship);
        prop_assert_eq!(p::parse(&p::format(ship)), Ok(ship));
    }

    #[test]
    fn t92_every_date_has_one_text(date in any::<u128>(), zeros in 0..128) {
        for date in [date, date >> zeros << zeros] {
            prop_assert_eq!(da::parse(&da::format(date)), Ok(date));
        }
    }

    #[test]
    fn t93_every_text_is_a_knot(text in any::<String>()) {
        let escaped = cord::escape(&text);
        prop_assert!(cord::is_knot(&escaped));
        prop_assert_eq!(cord::unescape(&escaped), Ok(text));
    }

    #[test]
    fn t94_no_text_panics(text in "[~./0-9a-zA-Z_\u{e9}x-]{0,20}") {
        for aura in [Aura::Da, Aura::P, Aura::T, Aura::Ta, Aura::Tas, Aura::Ud, Aura::Uv, Aura::Uw, Aura::Ux] {
            if let Ok(atom) = slaw(aura, &text) {
                prop_assert!(slaw(aura, &scot(aura, &atom).unwrap()) == Ok(atom));
            }
        }
        prop_assert!(text.parse::<Path>().is_ok_and(|path| path.to_string() == text) || text.parse::<Path>().is_err());
    }
}
