//! A ship in a terminal: what is typed, what is shown, and that the terminal is given back whatever ends the king.

use anyhow::ensure;
use nix::{sys::signal::Signal, unistd::Pid};
use rustix::termios::{InputModes, LocalModes, OutputModes, Termios};
use seguro_king::{
    conn_client::{Answer, ConnClient},
    control_socket::ask_status,
};
use seguro_tests::{InTerminal, PATIENCE, Process, king, needs_reference_kernel, processes_of, serf};
use serf_ipc::{Noun, cue, n};
use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// A pier in a directory of its own; whatever still runs there is killed at the end.
struct Pier(tempfile::TempDir);

impl Pier {
    fn new() -> anyhow::Result<Pier> {
        Ok(Pier(tempfile::tempdir()?))
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("zod")
    }

    fn start(&self, words: &[&str]) -> anyhow::Result<InTerminal> {
        let path = self.path();
        let mut all = vec!["-L", "-b", "127.0.0.1"];
        all.extend(words);
        all.extend(path.to_str());
        let environment = [("SEGURO_SERF", serf().into_os_string())];
        let environment = environment
            .each_ref()
            .map(|(name, value)| (*name, value.as_os_str()));
        InTerminal::start(&king()?, &all, &environment, (40, 10))
    }

    fn boot(&self) -> anyhow::Result<InTerminal> {
        self.start(&["-F", "zod", "-B", "builtin", "-c"])
    }

    fn king(&self) -> anyhow::Result<Process> {
        let lock = fs::read_to_string(self.path().join(".vere.lock"))?;
        Ok(Process(Pid::from_raw(lock.trim().parse()?)))
    }
}

impl Drop for Pier {
    fn drop(&mut self) {
        for process in processes_of(self.0.path()) {
            let _ = process.signal(Signal::SIGKILL);
        }
    }
}

/// Has the kernel say this to dill's terminal.
fn say(pier: &Path, tag: &str, data: Noun) -> anyhow::Result<()> {
    let effect = n![n!["term", "1", 0u64], tag, data];
    let mut client = ConnClient::connect(pier)?;
    let answer = client.ask(1, "ovum", n!["d", n!["mine", 0u64], "emit", n![effect, 0u64]])?;
    ensure!(answer == Answer::Done, "{answer:?}");
    Ok(())
}

fn tour(text: &str) -> Noun {
    Noun::list(text.chars().map(|c| Noun::atom(u64::from(u32::from(c)))))
}

/// The cards of the events on dill's wire.
fn cards(pier: &Path) -> anyhow::Result<Vec<Noun>> {
    let mut cards = Vec::new();
    replog::inspect::for_each_event(pier, |event| {
        let ovum = cue(&event.jam).ok().and_then(|event| event.tail().cloned());
        let wire = n!["d", "term", "1", 0u64];
        cards.extend(ovum.and_then(|ovum| (ovum.head() == Some(&wire)).then(|| ovum.tail().cloned())?));
    })?;
    Ok(cards)
}

/// Whether keys come as they are typed, and bytes are shown as they are.
fn is_raw(modes: &Termios) -> bool {
    !modes
        .local_modes
        .intersects(LocalModes::ICANON | LocalModes::ECHO)
        && !modes.input_modes.contains(InputModes::ICRNL)
        && !modes.output_modes.contains(OutputModes::OPOST)
        && modes.local_modes.contains(LocalModes::ISIG)
}

fn is_as_found(terminal: &InTerminal) -> anyhow::Result<bool> {
    let modes = terminal.modes()?;
    let cooked = LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
    Ok(modes.local_modes.contains(cooked)
        && modes.input_modes.contains(InputModes::ICRNL)
        && modes.output_modes.contains(OutputModes::OPOST))
}

#[test]
fn a_ship_in_a_terminal_is_typed_to_and_shown() -> anyhow::Result<()> {
    if !needs_reference_kernel("a ship in a terminal") {
        return Ok(());
    }
    let pier = Pier::new()?;
    let mut terminal = pier.boot()?;
    terminal.until_shown("): live")?;
    assert!(is_raw(&terminal.modes()?));

    // Behind all that the king began with.
    say(&pier.path(), "blit", n![n!["bel", 0u64], 0u64])?;
    let before = committed(&pier.path())?;
    // A prompt on the last row; a line of the king's goes above it.
    let red = n![n![0u64, 0u64, "r"], tour("> ")];
    let prompt = Noun::list([
        n!["hop", 0u64],
        n!["wyp", 0u64],
        n!["klr", red, 0u64],
        n!["hop", 2u64],
    ]);
    say(&pier.path(), "blit", n![n!["mor", prompt], 0u64])?;
    terminal.until_shown("\x1b[10;1H\x1b[s\r\x1b[K\x1b[u\x1b[31m> \x1b[0m\x1b[u\x1b[10;3H\x1b[s")?;
    pier.king()?.signal(Signal::SIGUSR1)?;
    terminal.until_shown("\x1b[10;1H\x1b[K ship")?;
    terminal.until_shown("\n\x1b[10;1H\x1b[K\x1b[31m> \x1b[0m\x1b[u")?;

    terminal.types("hé☂\r\x1b[A\x7f".as_bytes())?;
    // Ctrl-C ends what the ship computes, and drops what was typed and not read.
    until_committed(&pier.path(), before + 5)?;
    terminal.types(&[3])?;
    terminal.until_shown("interrupt\n")?;
    terminal.resize((60, 20))?;
    say(
        &pier.path(),
        "blit",
        n![n!["sav", n!["a", "b", "txt", 0u64], "saved"], 0u64],
    )?;
    terminal.types(b"end\r")?;
    // Two that were said, seven keys, a size.
    until_committed(&pier.path(), before + 10)?;
    say(&pier.path(), "logo", Noun::atom(3))?;
    assert_eq!(terminal.end()?.code(), Some(3));
    assert!(is_as_found(&terminal)?, "{}", terminal.shown());
    assert_eq!(fs::read(pier.path().join(".urb/put/a/b.txt"))?, b"saved");

    let cards = cards(&pier.path())?;
    let typed: Vec<&Noun> = cards
        .iter()
        .filter(|card| card.head().is_some_and(|tag| tag.is_cord("belt")))
        .collect();
    let belts = [
        n!["belt", "txt", tour("hé☂")],
        n!["belt", "ret", 0u64],
        n!["belt", "aro", "u"],
        n!["belt", "bac", 0u64],
        n!["belt", "mod", "ctl", "c"],
        n!["belt", "txt", tour("end")],
        n!["belt", "ret", 0u64],
    ];
    for belt in &belts {
        assert!(typed.contains(&belt), "{belt:?} in {typed:?}");
    }
    assert_eq!(typed.len(), belts.len());
    for size in [n!["blew", 40u64, 10u64], n!["blew", 60u64, 20u64]] {
        assert!(cards.contains(&size), "{size:?} in {cards:?}");
    }
    Ok(())
}

/// How many events are committed.
fn committed(pier: &Path) -> anyhow::Result<u64> {
    Ok(ask_status(pier)?.committed)
}

/// Waits until so many events are committed.
fn until_committed(pier: &Path, events: u64) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let committed = committed(pier)?;
        if committed >= events {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{committed} events of {events}");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn the_terminal_is_given_back_whatever_ends_the_king() -> anyhow::Result<()> {
    if !needs_reference_kernel("the terminal is given back") {
        return Ok(());
    }
    let pier = Pier::new()?;
    let mut terminal = pier.boot()?;
    // Before the ship is there nobody leaves in order.
    for (keys, how) in [(&b"\x1a"[..], "Ctrl-Z"), (b"\x1c", "Ctrl-\\")] {
        terminal.until_shown("): live")?;
        assert!(is_raw(&terminal.modes()?), "{how}");
        terminal.types(keys)?;
        let status = terminal.end()?;
        assert!(!status.success(), "{how}: {status}");
        assert!(is_as_found(&terminal)?, "{how}: {}", terminal.shown());
        terminal = pier.start(&[])?;
    }
    for (signal, code) in [(Signal::SIGHUP, Some(1)), (Signal::SIGTERM, Some(0))] {
        terminal.until_shown("): live")?;
        pier.king()?.signal(signal)?;
        assert_eq!(terminal.end()?.code(), code, "{signal}: {}", terminal.shown());
        assert!(is_as_found(&terminal)?, "{signal}");
        terminal = pier.start(&[])?;
    }
    terminal.until_shown("): live")?;
    // Another king on the same pier cannot start, and says so on a terminal that is as it was.
    let mut second = pier.start(&[])?;
    assert_eq!(second.end()?.code(), Some(1));
    second.until_shown("\r\n")?;
    assert!(is_as_found(&second)?, "{}", second.shown());
    pier.king()?.signal(Signal::SIGTERM)?;
    assert!(terminal.end()?.success());

    // Without a terminal's forms none is touched.
    let mut plain = pier.start(&["-t"])?;
    plain.until_shown("): live")?;
    assert!(is_as_found(&plain)?);
    pier.king()?.signal(Signal::SIGTERM)?;
    assert!(plain.end()?.success());
    Ok(())
}
