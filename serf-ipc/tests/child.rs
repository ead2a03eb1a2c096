//! The child process against scripts that behave in all the ways that a serf must not, and in some that it should.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may panic in its helpers too"
)]

mod common;

use common::{PATIENCE, PROGRAM, command, is_disconnected, is_running, print, ripe, say, start, wait_for};
use nix::sys::signal::{SigSet, Signal};
use seguro_event::EventNumber;
use serf_ipc::child::{
    BadPlea, ChildEvent, Ending, Gone, ProbeError, SerfChild, SerfCommand, SerfVersion, SpawnError,
};
use serf_ipc::limits::{BAD_PLEA_BYTES, MAX_UNANSWERED, STDERR_LINE_BYTES};
use serf_ipc::newt::NewtError;
use serf_ipc::protocol::{Plea, Writ};
use serf_ipc::session::{Incoming, Reply, Session};
use serf_ipc::{Noun, child, jam, n, newt};
use std::path::Path;
use std::time::{Duration, Instant};

const KILLED: Ending = Ending::Signalled {
    signal: Signal::SIGKILL as i32,
    core: false,
};

fn bad(event: ChildEvent) -> BadPlea {
    match event {
        ChildEvent::Bad(bad) => bad,
        other => panic!("{other:?}"),
    }
}

// --- what a serf should do ---

#[test]
fn t10_a_conversation() {
    let mut session = Session::new();
    let mut expected = Session::new();
    expected.receive(ripe(7)).unwrap();
    let save = expected.send(Writ::Save(EventNumber(7)), ()).unwrap();
    let script = format!(
        "{}\nhead -c {} >$D/got\n{}\ncat >/dev/null",
        say(&[ripe(7)]),
        save.len(),
        say(&[Plea::Live])
    );
    let serf = start(&script);
    let ChildEvent::Plea(plea) = serf.next() else {
        panic!("no plea")
    };
    session.receive(plea).unwrap();
    serf.child
        .send(session.send(Writ::Save(EventNumber(7)), "save").unwrap())
        .unwrap();
    let ChildEvent::Plea(plea) = serf.next() else {
        panic!("no plea")
    };
    assert_eq!(session.receive(plea), Ok(Incoming::Reply("save", Reply::Live)));
    assert_eq!(std::fs::read(serf.dir.path().join("got")).unwrap(), save);
    serf.child.close_input();
    let (events, ending) = serf.rest();
    assert_eq!(events, []);
    assert!(ending.is_success());
}

#[test]
fn t10_a_serf_has_a_process_group_of_its_own_and_its_words() {
    let serf = start("echo \"$0\" >&2; exec cat >/dev/null");
    assert_eq!(serf.line(), serf.dir.path().join("script").display().to_string());
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", serf.child.pid())).unwrap();
    let group = stat.rsplit_once(") ").unwrap().1.split(' ').nth(2).unwrap();
    assert_eq!(group, serf.child.pid().to_string());
}

#[test]
fn t10_a_serf_is_started_with_no_signal_blocked() {
    let mut blocked = SigSet::empty();
    blocked.add(Signal::SIGINT);
    blocked.add(Signal::SIGTERM);
    blocked.thread_block().unwrap();
    // A shell would clear its mask; xargs waits for its input and leaves signals alone.
    let serf = SerfChild::spawn(&SerfCommand::new("xargs", "/zod"), |_| true).unwrap();
    assert!(
        SigSet::thread_get_mask().unwrap().contains(Signal::SIGINT),
        "our own mask is as it was"
    );
    let status = std::fs::read_to_string(format!("/proc/{}/status", serf.pid())).unwrap();
    let mask = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        u64::from_str_radix(line.unwrap().trim(), 16).unwrap()
    };
    assert_eq!(mask("SigBlk:"), 0);
    assert_eq!(
        mask("SigIgn:") >> (Signal::SIGPIPE as u32 - 1) & 1,
        0,
        "SIGPIPE has its default action"
    );
}

#[test]
fn t10_all_that_was_written_is_told_before_the_end() {
    let pleas: Vec<Plea> = (0..500).map(|count| Plea::Flog(Noun::atom(count))).collect();
    let serf = start(&format!("{}\necho last words >&2\nexit 3", say(&pleas)));
    let (events, ending) = serf.rest();
    let got: Vec<&Plea> = events
        .iter()
        .filter_map(|event| match event {
            ChildEvent::Plea(plea) => Some(plea),
            _ => None,
        })
        .collect();
    assert_eq!(got, pleas.iter().collect::<Vec<_>>());
    assert!(events.contains(&ChildEvent::Stderr("last words".to_owned())));
    assert_eq!(ending, Ending::Exited { status: 3 });
    assert!(!ending.is_crash());
}

#[test]
fn t10_frames_arrive_whole_and_in_order_large_ones_among_small() {
    let serf = start("cat >$D/got");
    let sizes = [1, 100, 3, 500_000, 1, 1, 131_072, 7, 200_000, 2];
    let mut all = Vec::new();
    for (at, size) in sizes.iter().cycle().take(200).enumerate() {
        let frame = newt::encode(&vec![at as u8 + 1; *size]);
        all.extend_from_slice(&frame);
        serf.child.send(frame).unwrap();
    }
    serf.child.close_input();
    let gone = Err(Gone {
        pid: serf.child.pid(),
    });
    wait_for("frames to be refused", || serf.child.send(vec![1]) == gone);
    assert!(serf.rest().1.is_success());
    assert!(std::fs::read(serf.dir.path().join("got")).unwrap() == all);
}

#[test]
fn t10_one_serf_does_not_hold_anothers_input_open() {
    let first = start("cat >/dev/null; echo 'end of input' >&2");
    let second = start("exec cat >/dev/null");
    first.child.close_input();
    assert_eq!(first.line(), "end of input");
    assert!(first.rest().1.is_success());
    assert!(is_running(second.child.pid()));
}

// --- endings ---

#[test]
fn t20_a_crash_is_told_from_an_exit() {
    let serf = start("ulimit -c 0; kill -ABRT $$");
    let (_, ending) = serf.rest();
    assert!(matches!(ending, Ending::Signalled { signal: 6, .. }), "{ending}");
    assert!(ending.is_crash());
    wait_for("frames to be refused", || serf.child.send(vec![0]).is_err());
}

#[test]
fn t20_a_kill_ends_a_serf_that_does_nothing() {
    let serf = start("exec sleep 1000");
    serf.child.kill();
    let (_, ending) = serf.rest();
    assert_eq!(ending, KILLED);
    assert!(!ending.is_crash());
    serf.child.kill();
    serf.child.interrupt();
}

#[test]
fn t20_an_interrupt_reaches_the_serf() {
    // `env` makes sure that the shell may trap SIGINT even if this test was started with it ignored.
    let trap = "trap \"exit 7\" INT; echo ready >&2; while :; do sleep 0.02; done";
    let serf = start(&format!("exec env --default-signal=INT /bin/sh -c '{trap}'"));
    assert_eq!(serf.line(), "ready");
    serf.child.interrupt();
    assert_eq!(serf.rest().1, Ending::Exited { status: 7 });
}

#[test]
fn t20_what_a_serf_left_running_is_ended_with_it() {
    let serf = start("sleep 1000 & echo $! >&2; exit 0");
    let left: u32 = serf.line().parse().unwrap();
    assert!(serf.rest().1.is_success());
    wait_for("the process that was left", || !is_running(left));
}

#[test]
fn t20_the_end_is_told_even_if_someone_else_holds_the_pipes() {
    // It has left the serf's process group by the time at which it says its number.
    let script = "setsid sh -c 'echo $$ >&2; exec sleep 1000' & read line; echo last words >&2; exit 4";
    let serf = start(script);
    let escaped: i32 = serf.line().parse().unwrap();
    serf.child.send(b"go on\n".to_vec()).unwrap();
    let (events, ending) = serf.rest();
    assert_eq!(events, [ChildEvent::Stderr("last words".to_owned())]);
    assert_eq!(ending, Ending::Exited { status: 4 });
    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(escaped), Signal::SIGKILL);
}

#[test]
fn t20_dropping_the_child_kills_and_reaps_it() {
    let serf = start("echo started >&2; exec sleep 1000");
    assert_eq!(serf.line(), "started");
    let pid = serf.child.pid();
    drop(serf.child);
    assert!(
        !Path::new(&format!("/proc/{pid}")).exists(),
        "not even a zombie is left"
    );
    assert!(
        is_disconnected(&serf.events),
        "no event comes after that, and the sink is dropped"
    );
}

#[test]
fn t20_a_serf_ends_when_its_king_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let king = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_king_that_is_killed", "--ignored"])
        .env("KING_DIR", dir.path())
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert_eq!(Ending::from(king), KILLED);
    wait_for("the serf to see the end of its input", || {
        dir.path().join("ended").exists()
    });
}

#[test]
#[ignore = "a helper of t20_a_serf_ends_when_its_king_is_killed, which runs it in a process of its own"]
fn a_king_that_is_killed() {
    let dir = std::env::var_os("KING_DIR").expect("set by the test that this helps");
    let dir = Path::new(&dir);
    let script = format!(
        "echo up >&2; cat >/dev/null; echo >'{}'",
        dir.join("ended").display()
    );
    let (sender, events) = crossbeam_channel::unbounded();
    let _serf = SerfChild::spawn(&command(dir, &script), move |event| sender.send(event).is_ok()).unwrap();
    assert_eq!(
        events.recv_timeout(PATIENCE),
        Ok(ChildEvent::Stderr("up".to_owned()))
    );
    nix::sys::signal::raise(Signal::SIGKILL).unwrap();
}

// --- what a serf must not say ---

#[test]
fn t30_output_that_is_no_frame() {
    let serf = start("printf 'hello, world'; exec sleep 1000");
    let bad = bad(serf.next());
    let BadPlea::Newt {
        error: NewtError::Version { found: b'h' },
        next,
    } = &bad
    else {
        panic!("{bad:?}")
    };
    assert!(b"hello, world".starts_with(&next.start));
    assert_eq!(serf.rest(), (vec![], KILLED));
}

#[test]
fn t30_frames_before_a_bad_one_are_told() {
    let serf = start(&format!(
        "{}; {}; exec sleep 1000",
        say(&[ripe(0), Plea::Live]),
        print(&[0, 0, 0, 0, 0])
    ));
    assert_eq!(serf.next(), ChildEvent::Plea(ripe(0)));
    assert_eq!(serf.next(), ChildEvent::Plea(Plea::Live));
    assert!(matches!(
        bad(serf.next()),
        BadPlea::Newt {
            error: NewtError::Empty,
            ..
        }
    ));
    assert_eq!(serf.rest().1, KILLED);
}

#[test]
fn t30_a_frame_that_is_no_noun() {
    let serf = start(&format!(
        "{}; exec sleep 1000",
        print(&newt::encode(&[0xff; 200]))
    ));
    let bad = bad(serf.next());
    let BadPlea::Cue { body, .. } = &bad else {
        panic!("{bad:?}")
    };
    assert_eq!((&body.start[..], body.length), (&[0xff; BAD_PLEA_BYTES][..], 200));
    assert!(bad.to_string().contains("(200 bytes)"), "{bad}");
    assert_eq!(serf.rest().1, KILLED);
}

#[test]
fn t30_a_noun_that_is_no_plea() {
    let noun = n!["work", "done", 1_u64, 1_u64 << 40, ()];
    let serf = start(&format!("{}; exec sleep 1000", print(&newt::encode(&jam(&noun)))));
    let bad = bad(serf.next());
    let BadPlea::Shape { error, .. } = &bad else {
        panic!("{bad:?}")
    };
    assert_eq!(error.path(), "work.done.mug");
    assert_eq!(serf.rest().1, KILLED);
}

#[test]
fn t30_a_serf_that_closes_its_output_and_lives_on() {
    let serf = start("exec >&-; exec sleep 1000");
    assert_eq!(serf.next(), ChildEvent::Bad(BadPlea::Closed));
    assert_eq!(serf.rest().1, KILLED);
}

#[test]
fn t30_a_frame_that_is_cut_short_by_the_end_is_only_an_end() {
    let serf = start(&format!("{}; exit 5", print(&[0, 200, 0, 0, 0, 1])));
    assert_eq!(serf.rest(), (vec![], Ending::Exited { status: 5 }));
}

// --- floods and stalls ---

#[test]
fn t40_a_flood_of_standard_error_stops_nothing() {
    let script = format!(
        "yes 'a line of noise' | head -n 50000 >&2; {}; exit 0",
        say(&[ripe(3)])
    );
    let serf = start(&script);
    let (events, ending) = serf.rest();
    let noise = events
        .iter()
        .filter(|event| **event == ChildEvent::Stderr("a line of noise".to_owned()))
        .count();
    assert_eq!(noise, 50_000);
    assert!(events.contains(&ChildEvent::Plea(ripe(3))));
    assert!(ending.is_success());
}

#[test]
fn t40_a_long_line_comes_in_pieces() {
    let length = 10 * STDERR_LINE_BYTES + 1;
    let serf = start(&format!("yes x | tr -d '\\n' | head -c {length} >&2; exit 0"));
    let lengths: Vec<usize> = serf
        .rest()
        .0
        .iter()
        .map(|event| match event {
            ChildEvent::Stderr(line) => line.len(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(lengths, [&[STDERR_LINE_BYTES; 10][..], &[1]].concat());
}

#[test]
fn t40_a_serf_that_hangs_takes_all_that_a_session_lets_out() {
    let serf = start("exec sleep 1000");
    let frame = newt::encode(&[1; 1024]);
    let begin = Instant::now();
    for _ in 0..MAX_UNANSWERED {
        serf.child.send(frame.clone()).unwrap();
    }
    assert!(
        begin.elapsed() < PATIENCE / 2,
        "sending does not wait for the serf"
    );
    let pid = serf.child.pid();
    drop(serf.child);
    assert!(
        !is_running(pid),
        "a writer that is stuck does not hold up the end"
    );
    assert!(is_disconnected(&serf.events));
}

#[test]
fn t40_a_child_can_be_dropped_while_its_sink_waits() {
    let dir = tempfile::tempdir().unwrap();
    let script = format!("{}; exec sleep 1000", say(&[ripe(0), Plea::Live, Plea::Live]));
    let (sender, events) = crossbeam_channel::bounded(0);
    let serf = SerfChild::spawn(&command(dir.path(), &script), move |event| {
        sender.send(event).is_ok()
    })
    .unwrap();
    assert_eq!(events.recv_timeout(PATIENCE), Ok(ChildEvent::Plea(ripe(0))));
    let pid = serf.pid();
    drop(serf); // The sink now waits for us to take the next one, and will not be interrupted.
    assert!(!is_running(pid));
    assert!(events.iter().count() <= 1, "only what was on its way");
}

#[test]
fn t40_a_sink_that_wants_no_more_ends_the_child() {
    for (what, script) in [
        ("pleas", say(&[ripe(0), Plea::Live])),
        ("lines", "echo one >&2; echo two >&2".to_owned()),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let (sender, events) = crossbeam_channel::unbounded();
        let command = command(dir.path(), &format!("{script}; exec sleep 1000"));
        let serf = SerfChild::spawn(&command, move |event| {
            sender.send(event).unwrap();
            false
        })
        .unwrap();
        assert!(events.recv_timeout(PATIENCE).is_ok());
        wait_for(what, || !is_running(serf.pid()));
        assert!(is_disconnected(&events), "one event and no more");
    }
}

#[test]
fn t40_a_sink_that_panics_ends_the_child() {
    let dir = tempfile::tempdir().unwrap();
    let command = command(dir.path(), &format!("{}; exec sleep 1000", say(&[ripe(0)])));
    let serf = SerfChild::spawn(&command, |event| panic!("on purpose, at {event:?}")).unwrap();
    wait_for("the child to be killed", || !is_running(serf.pid()));
}

// --- starting ---

#[test]
fn t50_a_program_that_is_not_there_is_named() {
    let error = SerfChild::spawn(&SerfCommand::new("/no/such/urbit", "/zod"), |_| true).unwrap_err();
    assert!(matches!(error, SpawnError::NotFound { .. }), "{error:?}");
    assert!(error.to_string().contains("/no/such/urbit"), "{error}");
}

#[test]
fn t50_a_program_that_may_not_be_executed_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("urbit");
    std::fs::write(&program, "#!/bin/sh\n").unwrap();
    let error = SerfChild::spawn(&SerfCommand::new(&program, "/zod"), |_| true).unwrap_err();
    assert!(matches!(error, SpawnError::NotExecutable { .. }), "{error:?}");
    assert!(
        error.to_string().contains(&program.display().to_string()),
        "{error}"
    );
}

#[test]
fn t50_a_loom_that_no_serf_accepts_is_refused() {
    let command = SerfCommand {
        loom_exponent: 40,
        ..SerfCommand::new(PROGRAM, "/zod")
    };
    let error = SerfChild::spawn(&command, |_| true).unwrap_err();
    assert!(
        error.to_string().contains("2^40") && error.to_string().contains("20 to 33"),
        "{error}"
    );
}

// --- asking for the version ---

/// Asks a program that answers `-R` with this script.
fn probe(answer: &str, time: Duration) -> Result<child::Probe, ProbeError> {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("urbit");
    std::os::unix::fs::symlink(PROGRAM, &program).unwrap();
    std::fs::write(dir.path().join("urbit.answer"), answer).unwrap();
    child::probe(&program, time)
}

#[test]
fn t60_a_vere_tells_its_version() {
    let answer = "echo 'urbit 3.5-0123456789'; echo 'gmp: 6.2.1'; exec sleep 1000";
    let found = probe(answer, PATIENCE).unwrap();
    assert_eq!(
        (found.release.as_str(), found.version),
        ("3.5-0123456789", SerfVersion::V3_5)
    );
    assert_eq!(
        probe("echo 'urbit 2.11'", PATIENCE).unwrap().version,
        SerfVersion::V2_12
    );
    assert_eq!(
        probe("printf 'urbit 1.18'", PATIENCE).unwrap().version,
        SerfVersion::V1_18
    );
}

#[test]
fn t60_a_vere_that_keeps_the_log_itself_is_refused_with_the_version_that_is_needed() {
    let error = probe("echo 'urbit 4.5'", PATIENCE).unwrap_err();
    assert!(
        matches!(&error, ProbeError::TooNew { release, .. } if release == "4.5"),
        "{error:?}"
    );
    assert!(error.to_string().contains("up to v3.5"), "{error}");
}

#[test]
fn t60_a_program_that_is_no_vere_is_refused() {
    let error = probe("echo 'usage: cat [FILE]'; exit 1", PATIENCE).unwrap_err();
    assert!(
        matches!(&error, ProbeError::NotVere { said, .. } if said == "usage: cat [FILE]"),
        "{error:?}"
    );
    assert!(matches!(
        probe("exit 0", PATIENCE),
        Err(ProbeError::NotVere { .. })
    ));
    assert!(matches!(probe("yes", PATIENCE), Err(ProbeError::NotVere { .. })));
    let error = child::probe(Path::new("/no/such/urbit"), PATIENCE).unwrap_err();
    assert!(
        matches!(error, ProbeError::Spawn(SpawnError::NotFound { .. })),
        "{error:?}"
    );
}

#[test]
fn t60_a_program_that_does_not_answer_is_not_waited_for() {
    let begin = Instant::now();
    let error = probe("exec sleep 1000", Duration::from_millis(200)).unwrap_err();
    assert!(matches!(error, ProbeError::Silent { .. }), "{error:?}");
    assert!(begin.elapsed() < PATIENCE);
}
