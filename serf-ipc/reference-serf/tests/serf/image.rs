//! What `%save` keeps.

use crate::talk::{Serf, pier, reference, words};
use seguro_event::EventNumber;
use serf_ipc::protocol::{Plea, Writ};
use serf_ipc::{Noun, cue, n};
use std::fs;
use std::path::{Path, PathBuf};

fn north(pier: &Path) -> PathBuf {
    pier.join(".urb/chk/north.bin")
}

/// A serf that has saved after event 5 and computed two more.
fn saved_at_five(pier: &Path) -> Serf {
    let mut serf = Serf::booted(&reference(), pier);
    for blob in 0..3_u64 {
        serf.effects(0_u64, n!["hold", blob]);
    }
    assert_eq!(serf.ask(&Writ::Save(EventNumber(5))), Plea::Live);
    serf.effects(0_u64, n!["hold", 8_u64]);
    serf.effects(0_u64, n!["hold", 9_u64]);
    serf
}

/// What a start complains of.
fn complaint(pier: &Path) -> String {
    let mut serf = Serf::start(&reference(), pier);
    assert_eq!(serf.frame(), None);
    assert_eq!(serf.ended().code(), Some(1));
    serf.complaints()
}

#[test]
fn a_killed_serf_comes_back_where_it_saved() {
    let pier = pier();
    let mut serf = saved_at_five(pier.path());
    serf.kill();
    let mut serf = Serf::start(&reference(), pier.path());
    let (event, mug) = serf.ripe();
    assert_eq!(event, EventNumber(5));
    assert_eq!(serf.peek("count"), n![5_u64]);
    assert_eq!(serf.peek("blobs"), Noun::list([2_u64, 1, 0].map(Noun::atom)));
    // The same events give the same state again.
    let events: Vec<Noun> = (0..3).map(|_| serf.job(0_u64, n!["echo", 1_u64])).collect();
    let played = serf.ask(&Writ::Play {
        first: EventNumber(6),
        events: events.clone(),
    });
    serf.kill();
    let mut serf = Serf::start(&reference(), pier.path());
    assert_eq!(serf.ripe(), (EventNumber(5), mug));
    assert_eq!(
        serf.ask(&Writ::Play {
            first: EventNumber(6),
            events
        }),
        played
    );
}

#[test]
fn nothing_saved_is_nothing_kept() {
    let pier = pier();
    let mut serf = Serf::booted(&reference(), pier.path());
    serf.kill();
    let mut serf = Serf::start(&reference(), pier.path());
    assert_eq!(serf.ripe().0, EventNumber(0));
}

#[test]
fn both_files_are_there_and_can_be_moved_to_another_pier() {
    let (old, new) = (pier(), pier());
    saved_at_five(old.path()).kill();
    fs::create_dir(new.path().join(".urb/chk")).unwrap();
    for file in ["north.bin", "south.bin"] {
        fs::copy(
            old.path().join(".urb/chk").join(file),
            new.path().join(".urb/chk").join(file),
        )
        .unwrap();
    }
    assert_eq!(Serf::start(&reference(), new.path()).ripe().0, EventNumber(5));
}

#[test]
fn a_save_at_another_event_ends_the_serf() {
    let pier = pier();
    let mut serf = saved_at_five(pier.path());
    serf.send(&Writ::Save(EventNumber(6)));
    assert_eq!(serf.frame(), None);
    assert_eq!(serf.ended().code(), Some(1));
    assert!(serf.complaints().contains("serf (7): save failed: 6"));
    assert_eq!(Serf::start(&reference(), pier.path()).ripe().0, EventNumber(5));
}

#[test]
fn what_a_crash_leaves_behind_is_the_old_image_or_the_new_one() {
    let pier = pier();
    saved_at_five(pier.path()).kill();
    let old = fs::read(north(pier.path())).unwrap();
    // Torn between writing and renaming, at every stage of it.
    for torn in [&b""[..], &old[..10], &old[..old.len() / 2], &old] {
        fs::write(pier.path().join(".urb/chk/north.bin.new"), torn).unwrap();
        fs::write(pier.path().join(".urb/chk/south.bin.new"), torn).unwrap();
        let mut serf = Serf::start(&reference(), pier.path());
        assert_eq!(serf.ripe().0, EventNumber(5));
        serf.effects(0_u64, n!["hold", 1_u64]);
        assert_eq!(serf.ask(&Writ::Save(EventNumber(6))), Plea::Live);
        fs::write(north(pier.path()), &old).unwrap();
    }
    // Torn before the first image was complete.
    fs::remove_file(north(pier.path())).unwrap();
    assert_eq!(Serf::start(&reference(), pier.path()).ripe().0, EventNumber(0));
}

#[test]
fn damage_is_noticed_wherever_it_is() {
    let pier = pier();
    saved_at_five(pier.path()).kill();
    let good = fs::read(north(pier.path())).unwrap();
    for at in [12, 16, 23, 24, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        fs::write(north(pier.path()), bad).unwrap();
        let complaint = complaint(pier.path());
        assert!(
            complaint.contains("north.bin") && complaint.contains("checksum"),
            "byte {at}: {complaint}"
        );
    }
    for length in [8, 15, 23, good.len() - 1] {
        fs::write(north(pier.path()), &good[..length]).unwrap();
        assert!(complaint(pier.path()).contains("damaged"), "{length}");
    }
    let mut newer = good.clone();
    newer[8] = 9;
    fs::write(north(pier.path()), newer).unwrap();
    assert!(complaint(pier.path()).contains("version 9"));
    fs::write(north(pier.path()), &good).unwrap();
    fs::remove_file(pier.path().join(".urb/chk/south.bin")).unwrap();
    assert!(complaint(pier.path()).contains("south.bin"));
}

#[test]
fn an_image_of_another_serf_is_refused_and_left_alone() {
    let pier = pier();
    let checkpoint = pier.path().join(".urb/chk");
    fs::create_dir(&checkpoint).unwrap();
    for file in ["north.bin", "south.bin"] {
        fs::write(checkpoint.join(file), [0_u8; 16384]).unwrap();
    }
    assert!(complaint(pier.path()).contains("not an image of the reference serf"));
    fs::remove_file(checkpoint.join("south.bin")).unwrap();
    assert!(complaint(pier.path()).contains("not an image of the reference serf"));
    assert_eq!(fs::read(checkpoint.join("north.bin")).unwrap(), [0_u8; 16384]);
}

#[test]
fn a_dry_run_writes_nothing() {
    let pier = pier();
    let mut serf = Serf::start_with(&reference(), &words(pier.path(), "160", "31"));
    serf.boot();
    assert_eq!(serf.ask(&Writ::Save(EventNumber(2))), Plea::Live);
    assert!(!north(pier.path()).exists());
}

#[test]
fn cram_writes_a_rock_and_the_image() {
    let pier = pier();
    let mut serf = Serf::booted(&reference(), pier.path());
    assert_eq!(serf.ask(&Writ::Cram(EventNumber(2))), Plea::Live);
    let rock = cue(&fs::read(pier.path().join(".urb/roc/2.jam")).unwrap()).unwrap();
    assert!(rock.head().unwrap().is_cord("arvo"));
    assert_eq!(rock.slot(7), Some(&n!["hashboard", 0_u64]));
    serf.kill();
    let mut serf = Serf::start(&reference(), pier.path());
    let (event, mug) = serf.ripe();
    assert_eq!((event, mug), (EventNumber(2), rock.slot(6).unwrap().mug()));
}
