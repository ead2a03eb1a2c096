//! Computations that do not end by themselves.

use crate::talk::{Serf, pier, reference, under_test, words};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serf_ipc::protocol::{Plea, WorkReply, Writ};
use serf_ipc::{Noun, n};
use std::thread;
use std::time::Duration;

/// A card that computes for ever.
fn endless() -> Noun {
    n!["spin", 0_u64, 0_u64]
}

/// The mote that an endless event ends with when it is sent a signal.
fn mote_of(signal: Signal) -> String {
    let pier = pier();
    let mut serf = Serf::booted(&under_test(), pier.path());
    let pid = Pid::from_raw(serf.pid().try_into().unwrap());
    // A signal between computations is ignored, once there has been one.
    kill(pid, signal).unwrap();
    assert_eq!(
        serf.effects(0_u64, n!["echo", 1_u64]),
        Noun::list([n![0_u64, "echo", 1_u64]])
    );
    // Nobody can tell from outside when a computation begins, so the signal is sent until it has worked.
    let job = serf.job(0_u64, endless());
    serf.send(&Writ::Work { limit_ms: 0, job });
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let sender = thread::spawn(move || {
        while stopped.recv_timeout(Duration::from_millis(50)).is_err() {
            kill(pid, signal).unwrap();
        }
    });
    let answer = serf.hear();
    stop.send(()).unwrap();
    sender.join().unwrap();
    let Plea::Work(WorkReply::Swap { event, job, .. }) = answer else {
        panic!("{answer:?}")
    };
    assert_eq!(event.0, 4);
    assert_eq!(serf.peek("count"), n![4_u64]);
    // [date wire %crud [mote tang] ovum]
    job.slot(60).unwrap().as_cord().unwrap()
}

#[test]
fn sigint_interrupts_a_computation() {
    assert_eq!(mote_of(Signal::SIGINT), "intr");
}

#[test]
fn sigterm_ends_a_computation() {
    assert_eq!(mote_of(Signal::SIGTERM), "term");
}

#[test]
fn a_time_limit_is_kept() {
    let pier = pier();
    let mut serf = Serf::booted(&under_test(), pier.path());
    let job = serf.job(0_u64, endless());
    let Plea::Work(WorkReply::Swap { job, .. }) = serf.ask(&Writ::Work { limit_ms: 100, job }) else {
        panic!("not swapped");
    };
    assert_eq!(job.slot(60).unwrap().as_cord().unwrap(), "alrm");
}

#[test]
fn a_recursion_too_deep_bails_and_the_next_event_is_computed() {
    let pier = pier();
    let mut serf = Serf::booted(&reference(), pier.path());
    serf.effects(0_u64, n!["deep", 100_000_u64]);
    assert_eq!(
        serf.motes(0_u64, n!["deep", 100_000_000_u64]),
        (true, vec!["meme".to_owned()])
    );
    serf.effects(0_u64, n!["deep", 100_000_u64]);
}

#[test]
fn a_long_loop_leaves_nothing_behind() {
    let pier = pier();
    let mut serf = Serf::booted(&reference(), pier.path());
    serf.effects(0_u64, n!["spin", 300_000_u64]);
    let status = std::fs::read_to_string(format!("/proc/{}/status", serf.pid())).unwrap();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    let kilobytes: u64 = peak.split_whitespace().next().unwrap().parse().unwrap();
    assert!(kilobytes < 32 << 10, "{kilobytes} kB");
}

#[test]
fn too_much_memory_bails_and_is_given_back() {
    let pier = pier();
    let mut serf = Serf::start_with(&reference(), &words(pier.path(), "128", "26"));
    serf.boot();
    // In the core [battery list subject], the arm goes on with a longer list, for ever.
    let longer = n![n![1_u64, 7_u64], 0_u64, 6_u64];
    let again = n![9_u64, 2_u64, 10_u64, n![6_u64, longer], 0_u64, 1_u64];
    let formula = n![
        8_u64,
        n![1_u64, 0_u64],
        8_u64,
        n![1_u64, again],
        9_u64,
        2_u64,
        0_u64,
        1_u64
    ];
    for _ in 0..2 {
        assert_eq!(
            serf.motes(0_u64, n!["nock", 0_u64, &formula]),
            (true, vec!["meme".to_owned()])
        );
    }
    serf.effects(0_u64, n!["deep", 10_000_u64]);
}
