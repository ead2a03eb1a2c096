//! A serf to talk to.

use seguro_event::{EventNumber, Mug};
use serf_ipc::newt::{Decoder, encode};
use serf_ipc::protocol::{Plea, WorkReply, Writ};
use serf_ipc::{FromNoun, Noun, ToNoun, cue, jam, n};
use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long a serf may take for anything. The slowest test asks for seconds.
const PATIENCE: Duration = Duration::from_secs(120);

/// ~2026.1.1, about: the date of the first event.
const BEGINNING: u128 = 0x8000_000d_39a1_aa60 << 64;

/// The ends of the paths at which the kernel is asked: all that it knows, one that crashes, one that it does not know.
pub(crate) const PEEKS: [&str; 11] = [
    "count",
    "counter",
    "wakes",
    "deadline",
    "now",
    "blobs",
    "listeners",
    "boot",
    "crash",
    "whey",
    "nowhere",
];

/// What a peek at such a path gives the kernel.
pub(crate) fn peek_at(name: &str) -> Noun {
    n![n![0_u64, 0_u64], 1_u64, "once", "ax", 0_u64, name, 0_u64]
}

/// The raw items of the kernel's lifecycle, assembled once.
pub(crate) fn life() -> Vec<Noun> {
    static LIFE: OnceLock<Vec<Noun>> = OnceLock::new();
    LIFE.get_or_init(|| reference_serf::kernel::lifecycle().to_vec())
        .clone()
}

/// The program of this crate.
pub(crate) fn reference() -> PathBuf {
    env!("CARGO_BIN_EXE_reference-serf").into()
}

/// The C serf, if there is one.
pub(crate) fn vere() -> Option<PathBuf> {
    std::env::var_os("SEGURO_SERF").map(PathBuf::from)
}

/// What the kernel is tried under.
pub(crate) fn under_test() -> PathBuf {
    match vere() {
        Some(vere) => {
            println!("under {}, as SEGURO_SERF says", vere.display());
            vere
        }
        None => {
            println!("under the reference serf; set SEGURO_SERF to try the C serf");
            reference()
        }
    }
}

/// The program of this crate, and the C serf if there is one.
pub(crate) fn both() -> Vec<PathBuf> {
    if vere().is_none() {
        println!("SEGURO_SERF is not set: the reference serf only");
    }
    std::iter::once(reference()).chain(vere()).collect()
}

/// A directory that can be a pier.
pub(crate) fn pier() -> tempfile::TempDir {
    let pier = tempfile::tempdir().unwrap();
    std::fs::create_dir(pier.path().join(".urb")).unwrap();
    pier
}

/// The words of spec/ipc.md section 4.
pub(crate) fn words(pier: &Path, wag: &str, loom: &str) -> Vec<OsString> {
    let mut words: Vec<OsString> = vec!["serf".into(), pier.into()];
    words.extend(["0:0:0:0", wag, "50000", loom, "0", "0", "0", "50000"].map(OsString::from));
    words
}

pub(crate) struct Serf {
    child: Child,
    input: Option<ChildStdin>,
    frames: Receiver<Vec<u8>>,
    errors: Option<JoinHandle<String>>,
    date: u128,
}

impl Serf {
    pub(crate) fn start(program: &Path, pier: &Path) -> Serf {
        Serf::start_with(program, &words(pier, "128", "31"))
    }

    pub(crate) fn start_with(program: &Path, words: &[OsString]) -> Serf {
        let mut child = Command::new(program)
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (send, frames) = channel();
        let mut output = child.stdout.take().unwrap();
        thread::spawn(move || {
            let mut decoder = Decoder::new(usize::MAX);
            loop {
                let count = output.read(decoder.space()).unwrap();
                decoder.filled(count);
                while let Some(frame) = decoder.next_frame().unwrap() {
                    if send.send(frame).is_err() {
                        return;
                    }
                }
                if count == 0 {
                    return;
                }
            }
        });
        let mut errors = child.stderr.take().unwrap();
        let errors = thread::spawn(move || {
            let mut bytes = Vec::new();
            errors.read_to_end(&mut bytes).unwrap();
            String::from_utf8_lossy(&bytes).into_owned()
        });
        let input = child.stdin.take();
        Serf {
            child,
            input,
            frames,
            errors: Some(errors),
            date: BEGINNING,
        }
    }

    /// A serf that has booted this crate's kernel.
    pub(crate) fn booted(program: &Path, pier: &Path) -> Serf {
        let mut serf = Serf::start(program, pier);
        serf.boot();
        serf
    }

    /// The %ripe, and the lifecycle.
    pub(crate) fn boot(&mut self) {
        assert_eq!(self.ripe(), (EventNumber(0), Mug(0)));
        let life = reference_serf::kernel::lifecycle();
        let played = self.ask(&Writ::Play {
            first: EventNumber(1),
            events: life.to_vec(),
        });
        assert!(matches!(played, Plea::Play(Ok(_))), "{played:?}");
    }

    /// Where the serf says that it is.
    pub(crate) fn ripe(&mut self) -> (EventNumber, Mug) {
        match self.hear() {
            Plea::Ripe(ripe) => (ripe.event, ripe.mug),
            plea => panic!("not a %ripe: {plea:?}"),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        // A serf that has ended cannot be told anything more, which the test sees by what it hears.
        let _ = self.input.as_mut().unwrap().write_all(bytes);
    }

    pub(crate) fn send_noun(&mut self, noun: &Noun) {
        self.send_bytes(&encode(&jam(noun)));
    }

    pub(crate) fn send(&mut self, writ: &Writ) {
        self.send_noun(&writ.to_noun());
    }

    /// The next frame's body; `None` if the serf has ended.
    pub(crate) fn frame(&mut self) -> Option<Vec<u8>> {
        match self.frames.recv_timeout(PATIENCE) {
            Ok(frame) => Some(frame),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("the serf has said nothing for {PATIENCE:?}"),
        }
    }

    /// The next plea.
    pub(crate) fn hear(&mut self) -> Plea {
        match self.frame() {
            Some(frame) => Plea::from_noun(&cue(&frame).unwrap()).unwrap(),
            None => panic!("the serf has ended: {}", self.complaints()),
        }
    }

    pub(crate) fn ask(&mut self, writ: &Writ) -> Plea {
        self.send(writ);
        self.hear()
    }

    /// The job of a new event, some time after the last one.
    pub(crate) fn job(&mut self, wire: impl ToNoun, card: impl ToNoun) -> Noun {
        self.date += 1 << 48;
        n![Noun::from_u128(self.date), wire, card]
    }

    /// What becomes of an event.
    pub(crate) fn work(&mut self, wire: impl ToNoun, card: impl ToNoun) -> WorkReply {
        let job = self.job(wire, card);
        match self.ask(&Writ::Work { limit_ms: 0, job }) {
            Plea::Work(reply) => reply,
            plea => panic!("not an answer to %work: {plea:?}"),
        }
    }

    /// The effects of an event that does not crash.
    pub(crate) fn effects(&mut self, wire: impl ToNoun, card: impl ToNoun) -> Noun {
        match self.work(wire, card) {
            WorkReply::Done { effects, .. } => effects,
            reply => panic!("not done: {reply:?}"),
        }
    }

    /// The motes of the goofs of an event that does crash, and whether its report was accepted.
    pub(crate) fn motes(&mut self, wire: impl ToNoun, card: impl ToNoun) -> (bool, Vec<String>) {
        match self.work(wire, card) {
            WorkReply::Done { .. } => panic!("it did not crash"),
            WorkReply::Swap { job, .. } => {
                let mote = job.slot(30 * 2).unwrap().as_cord().unwrap();
                (true, vec![mote])
            }
            WorkReply::Bail(goofs) => (false, goofs.into_iter().map(|goof| goof.mote).collect()),
        }
    }

    /// What is at `/name`.
    pub(crate) fn peek(&mut self, name: &str) -> Noun {
        let sample = n![n![0_u64, 0_u64], 1_u64, "once", "ax", 0_u64, name, 0_u64];
        match self.ask(&Writ::Peek { limit_ms: 0, sample }) {
            Plea::Peek(Ok(answer)) => answer.slot(31).unwrap().clone(),
            plea => panic!("not an answer to %peek: {plea:?}"),
        }
    }

    /// Nothing more will be sent.
    pub(crate) fn hang_up(&mut self) {
        self.input = None;
    }

    /// How the serf ended.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.child.try_wait().unwrap() {
                Some(status) => return status,
                None => assert!(Instant::now() < deadline, "the serf goes on"),
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// What a serf that has ended, or is about to, wrote on its standard error.
    pub(crate) fn complaints(&mut self) -> String {
        self.errors
            .take()
            .map(|errors| errors.join().unwrap())
            .unwrap_or_default()
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.ended();
    }
}

impl Drop for Serf {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
