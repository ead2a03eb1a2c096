//! A serf by itself, without a king: what an event's round trip to it and back costs.

use anyhow::{Context, bail, ensure};
use seguro_event::EventNumber;
use seguro_king::{
    boot::{BootInput, Identity, Pill, sequence},
    clock::{self, EventClock},
};
use serf_ipc::{
    ChildEvent, Incoming, Noun, SerfChild, SerfCommand, SerfVersion, Session, Writ,
    child::{Output, probe},
    limits::PROBE_TIME,
    session::Reply,
};
use std::{
    fs,
    io::Read as _,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// A serf that has booted ~zod. It is killed when this is dropped.
#[derive(Debug)]
pub struct BareSerf {
    child: SerfChild,
    socket: UnixStream,
    output: Output,
    session: Session<()>,
    dates: EventClock,
    _pier: TempDir,
}

impl BareSerf {
    /// Starts a serf and boots it. Both may be `builtin`, which is the reference serf and its kernel.
    ///
    /// # Errors
    /// When it does not boot.
    pub fn boot(serf: &Path, pill: &Path) -> anyhow::Result<BareSerf> {
        let pier = tempfile::tempdir()?;
        fs::create_dir_all(pier.path().join(".urb/chk"))?;
        let (program, version) = program(serf)?;
        let pill = match pill == Path::new("builtin") {
            true => Pill::parse(&reference_serf::kernel::pill_bytes())?,
            false => Pill::load(pill)?,
        };
        let boot = sequence(BootInput {
            ship: 0,
            identity: Identity::Fake,
            pill,
            now: clock::now(),
            wyrd_now: clock::now(),
            serf: version,
            entropy: [7; 64],
            verbose: false,
            lite: false,
            replace_filesystem: None,
            props: Vec::new(),
        })?;
        let command = SerfCommand {
            version,
            ..SerfCommand::new(program, pier.path())
        };
        // What it prints, and its end, are of no interest: its messages end too.
        let (child, socket, output) = SerfChild::spawn_with_output(&command, |_| true)?;
        socket.set_nonblocking(false)?;
        let mut serf = BareSerf {
            child,
            socket,
            output,
            session: Session::new(),
            dates: EventClock::new(boot.events.last().and_then(clock::date_of)),
            _pier: pier,
        };
        ensure!(serf.hear()?.is_none(), "the serf answers before it is asked");
        let play = Writ::Play {
            first: EventNumber(1),
            events: boot.events,
        };
        match serf.ask(play)? {
            Reply::Play(Ok(_)) => Ok(serf),
            other => bail!("the serf does not boot: {other:?}"),
        }
    }

    /// Has an ovum, `[wire card]`, computed, and waits until it is.
    ///
    /// # Errors
    /// When the serf refuses it or is gone.
    pub fn work(&mut self, ovum: &Noun) -> anyhow::Result<()> {
        let date = Noun::from_u128(self.dates.stamp(clock::now()));
        let before = self.session.event();
        let reply = self.ask(Writ::Work {
            limit_ms: 0,
            job: Noun::cell(date, ovum.clone()),
        })?;
        ensure!(
            self.session.event() > before,
            "the kernel refuses the event: {reply:?}"
        );
        Ok(())
    }

    fn ask(&mut self, writ: Writ) -> anyhow::Result<Reply> {
        let frame = self.session.send(writ, ())?;
        self.child.send(frame)?;
        self.hear()?.context("the serf wakes twice")
    }

    /// Waits for an answer; None is the serf's first word, that it is up.
    fn hear(&mut self) -> anyhow::Result<Option<Reply>> {
        loop {
            match self.output.next_message() {
                Some(ChildEvent::Plea(plea)) => match self.session.receive(plea)? {
                    Incoming::Ripe(_) => return Ok(None),
                    Incoming::Reply((), reply) => return Ok(Some(reply)),
                    Incoming::Slog { .. } | Incoming::Flog(_) => {}
                },
                Some(other) => bail!("the serf says what is no message: {other:?}"),
                None if self.output.has_ended() => bail!("the serf has ended"),
                None => {
                    let count = self.socket.read(self.output.space())?;
                    self.output.filled(count);
                }
            }
        }
    }
}

fn program(serf: &Path) -> anyhow::Result<(PathBuf, SerfVersion)> {
    if serf == Path::new("builtin") {
        // The king is also the reference serf.
        return Ok((seguro_tests::king()?, SerfVersion::V3_5));
    }
    let program = serf
        .canonicalize()
        .with_context(|| format!("the serf {} is not there", serf.display()))?;
    let version = probe(&program, PROBE_TIME)?.version;
    Ok((program, version))
}
