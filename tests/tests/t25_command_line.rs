//! vere's command line with the name changed, as its scripts type it: no subcommand, `-d`, `-x`, `-X`, signals, the utilities.

use nix::{sys::signal::Signal, unistd::Pid};
use seguro_tests::{PATIENCE, Process, king, needs_reference_kernel, needs_urbit, pill, processes_of, serf};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

/// A directory in which ships are run in the background; whatever still runs is killed at the end.
struct Machine(tempfile::TempDir);

impl Machine {
    fn new() -> anyhow::Result<Machine> {
        Ok(Machine(tempfile::tempdir()?))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Types a command and waits for its end; what runs on in the background writes elsewhere.
    fn types(&self, words: &[&str]) -> anyhow::Result<Output> {
        let (out, err) = (self.path("stdout"), self.path("stderr"));
        let mut child = Command::new(king()?)
            .args(words)
            .env("SEGURO_SERF", serf())
            .current_dir(self.0.path())
            .stdin(Stdio::null())
            .stdout(fs::File::create(&out)?)
            .stderr(fs::File::create(&err)?)
            .spawn()?;
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if Instant::now() > deadline {
                child.kill()?;
                anyhow::bail!("{words:?} does not end: {}", fs::read_to_string(&err)?);
            }
            thread::sleep(Duration::from_millis(10));
        };
        Ok(Output {
            status,
            stdout: fs::read(out)?,
            stderr: fs::read(err)?,
        })
    }

    /// The process that `.vere.lock` names.
    fn king(&self, pier: &str) -> anyhow::Result<Process> {
        let lock = fs::read_to_string(self.path(pier).join(".vere.lock"))?;
        Ok(Process(Pid::from_raw(lock.trim().parse()?)))
    }

    /// Stops the ship as scripts do: a signal, and `.vere.lock` vanishes.
    fn stop(&self, pier: &str, signal: Signal) -> anyhow::Result<()> {
        self.king(pier)?.signal(signal)?;
        self.until(&format!("{pier} to leave"), || {
            !self.path(pier).join(".vere.lock").exists()
        })
    }

    fn until(&self, what: &str, reached: impl Fn() -> bool) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !reached() {
            let said = || fs::read_to_string(self.path("stderr")).unwrap_or_default();
            anyhow::ensure!(Instant::now() < deadline, "waiting for {what}\n{}", said());
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    fn boot(&self, pier: &str) -> anyhow::Result<()> {
        let pill = pill();
        let words = [
            "-F",
            "zod",
            "-B",
            &pill.to_string_lossy(),
            "-c",
            pier,
            "-L",
            "-b",
            "127.0.0.1",
            "-d",
        ];
        let output = self.types(&words)?;
        anyhow::ensure!(output.status.success(), "{output:?}");
        Ok(())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        for process in processes_of(self.0.path()) {
            let _ = process.signal(Signal::SIGKILL);
        }
    }
}

fn said(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_script_boots_in_the_background_stops_and_starts_again() -> anyhow::Result<()> {
    if !needs_reference_kernel("a script boots in the background") {
        return Ok(());
    }
    let machine = Machine::new()?;
    machine.boot("there")?;
    // It returned: the ship is live, and its ports are open.
    let ports = fs::read_to_string(machine.path("there/.http.ports"))?;
    assert!(ports.contains(" insecure loopback"), "{ports}");
    let console = fs::read_to_string(machine.path("stdout"))?;
    assert!(
        console.contains("boot: running as daemon") && console.contains("): live"),
        "{console}"
    );
    machine.stop("there", Signal::SIGTERM)?;
    assert!(!machine.path("there/.http.ports").exists());

    let again = machine.types(&["-F", "zod", "-B", "builtin", "-c", "there"])?;
    assert_eq!(again.status.code(), Some(1));
    assert!(said(&again.stderr).contains("it already exists"), "{again:?}");

    let exit = machine.types(&["-t", "-L", "-b", "127.0.0.1", "-x", "there"])?;
    assert_eq!(exit.status.code(), Some(0), "{exit:?}");

    // By the pier's own name for the program, as vere's docked piers have it.
    std::os::unix::fs::symlink(king()?, machine.path("there/.run"))?;
    let run = Command::new(machine.path("there/.run"))
        .args(["-d", "-L", "-b", "127.0.0.1"])
        .env("SEGURO_SERF", serf())
        .stdin(Stdio::null())
        .stdout(fs::File::create(machine.path("stdout"))?)
        .stderr(fs::File::create(machine.path("stderr"))?)
        .status()?;
    assert!(run.success(), "{run}");
    let console = fs::read_to_string(machine.path("stdout"))?;
    assert!(console.contains("): live"), "not before it is live\n{console}");
    machine.king("there")?.signal(Signal::SIGUSR1)?;
    machine.until("a report", || {
        fs::read_to_string(machine.path("stdout")).is_ok_and(|text| text.contains("raft log"))
    })?;
    machine.stop("there", Signal::SIGTSTP)
}

#[test]
fn one_read_is_written_to_a_file() -> anyhow::Result<()> {
    if !needs_reference_kernel("one read is written to a file") {
        return Ok(());
    }
    let machine = Machine::new()?;
    machine.boot("zod")?;
    let running = machine.types(&["-X", "/cx/base/count", "zod"])?;
    assert_eq!(
        running.status.code(),
        Some(1),
        "a ship that runs is asked otherwise"
    );
    machine.stop("zod", Signal::SIGTERM)?;

    let text = machine.types(&["-X", "/cx/base/count", "-Z", "ud", "zod"])?;
    assert_eq!(text.status.code(), Some(0), "{text:?}");
    let count: u64 = fs::read_to_string(machine.path("zod/.urb/put/cx/base/count.txt"))?.parse()?;
    assert!(count > 0);
    let jam = machine.types(&["-X", "/cx/base/count", "-Y", "some/where", "zod"])?;
    assert!(said(&jam.stdout).contains("pier: scry result in"), "{jam:?}");
    let noun = serf_ipc::cue(&fs::read(machine.path("zod/.urb/put/some/where.jam"))?)?;
    assert_eq!(
        noun.as_u64(),
        Some(count + 1),
        "each run has one event, the check of versions"
    );

    let nothing = machine.types(&["-X", "/cx/no/such/thing", "-Y", "none", "zod"])?;
    assert_eq!(nothing.status.code(), Some(0), "as vere");
    assert!(said(&nothing.stdout).contains("pier: scry failed"), "{nothing:?}");
    assert!(!machine.path("zod/.urb/put/none.jam").exists());
    let wrong: [(&[&str], &str); 4] = [
        (&["-X", "no-slash"], "is not a path"),
        (&["-X", "/cx"], "has no care and desk"),
        (
            &["-X", "/cx/base/count", "-Y", "../../out"],
            "does not name a file below .urb/put",
        ),
        (&["-X", "/cx/base/count", "-Z", "no-aura"], "the formats are"),
    ];
    for (words, why) in wrong {
        let refused = machine.types(&[words, &["zod"]].concat())?;
        assert_eq!(refused.status.code(), Some(1), "{words:?}: {refused:?}");
        assert!(said(&refused.stderr).contains(why), "{words:?}: {refused:?}");
    }
    assert!(!machine.path("out.jam").exists());
    Ok(())
}

#[test]
fn utilities_are_done_by_the_serfs_binary_while_nobody_runs() -> anyhow::Result<()> {
    let Some(_) = needs_urbit("utilities are done by the serf's binary") else {
        return Ok(());
    };
    let machine = Machine::new()?;
    machine.boot("zod")?;
    for utility in ["pack", "info", "chop"] {
        let refused = machine.types(&[utility, "zod"])?;
        assert_eq!(refused.status.code(), Some(1), "{utility}: {refused:?}");
        assert!(
            said(&refused.stderr).contains("is in use by process"),
            "{refused:?}"
        );
    }
    machine.stop("zod", Signal::SIGTERM)?;
    for words in [
        &["pack", "zod"][..],
        &["meld", "zod"],
        &["grab", "zod"],
        &["cram", "zod"],
        &["play", "zod"],
    ] {
        let done = machine.types(words)?;
        assert!(done.status.success(), "{words:?}: {done:?}");
    }
    let rock = fs::read_dir(machine.path("zod/.urb/roc"))?.next();
    let rock = rock.ok_or_else(|| anyhow::anyhow!("a rock"))??.path();
    let event = rock
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let loaded = machine.types(&["queu", "-r", &event, "zod"])?;
    assert!(loaded.status.success(), "{loaded:?}");
    let info = machine.types(&["info", "zod"])?;
    assert!(said(&info.stdout).contains("epocs:\n  0i0\n"), "{info:?}");
    let rolled = machine.types(&["roll", "--keep-epochs", "1", "zod"])?;
    assert!(rolled.status.success(), "{rolled:?}");
    assert!(
        said(&rolled.stdout).contains("roll: dropped epoch 0i0"),
        "{rolled:?}"
    );
    let info = machine.types(&["info", "zod"])?;
    assert!(
        said(&info.stdout).contains(&format!("epocs:\n  0i{event}\n")),
        "{info:?}"
    );
    let run = machine.types(&["-x", "-L", "-b", "127.0.0.1", "zod"])?;
    assert_eq!(run.status.code(), Some(0), "{run:?}");
    Ok(())
}

#[test]
fn what_cannot_be_is_refused_with_a_word() -> anyhow::Result<()> {
    let machine = Machine::new()?;
    let cases: [(&[&str], &str); 10] = [
        (&["zod"], "couldn't find pier zod"),
        (&["-F", "zod", "-B", "builtin", "zod"], "too many arguments"),
        (&["-B", "builtin", "zod"], "for a new ship only"),
        (&["-t"], "no pier provided"),
        (&["--loom", "19", "zod"], "19 is not in 20 to 33"),
        (&["-d", "zod"], "couldn't find pier zod"),
        (&["next", "-a", "linux-x86_64", "zod"], "seguro-king prep PIER"),
        (&["upgrade", "zod"], "seguro-king vere DIR"),
        (&["dock", "zod"], "run `seguro-king PIER`"),
        (&["fetch-vere", "-v", "4.3", "."], "cannot be the serf"),
    ];
    for (words, why) in cases {
        let refused = machine.types(words)?;
        assert_eq!(refused.status.code(), Some(1), "{words:?}");
        assert!(said(&refused.stderr).contains(why), "{words:?}: {refused:?}");
    }
    assert!(!Path::new(&machine.path("zod")).exists());
    Ok(())
}
