//! A member that is sent a snapshot in pieces of any order, some of them wrong, and that is stopped on the way: what is
//! complete in the end is what was offered, byte for byte.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::{fs, path::PathBuf, sync::LazyLock};

/// Where the pier is made, again and again: in memory if there is such a place, for it is synced often.
static PIER: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = PathBuf::from("/dev/shm");
    let above = if memory.is_dir() {
        memory
    } else {
        std::env::temp_dir()
    };
    above.join(format!("seguro-fuzz-{}", std::process::id()))
});

fuzz_target!(|script: &[u8]| {
    fs::create_dir_all(&*PIER).expect("a directory for the pier");
    let received = replog::inside::fuzz_snapshot(&PIER, script);
    let names: Vec<_> = fs::read_dir(&*PIER)
        .expect("the pier can be read")
        .map(|entry| entry.expect("the pier can be read").file_name())
        .collect();
    assert!(
        names.iter().all(|name| name == ".urb"),
        "files beside the pier's: {names:?}"
    );
    fs::remove_dir_all(&*PIER).expect("the pier can be removed");
    if let Err(error) = received {
        panic!("{error}");
    }
});
