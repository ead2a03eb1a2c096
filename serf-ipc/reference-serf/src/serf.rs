//! What a serf does with each writ (`spec/ipc.md` sections 5 to 8 and 10; `serf.c` of vere). There is no I/O here but the
//! image that `%save` and `%cram` write.

use crate::image::Image;
use crate::kernel::{PEEK, POKE, WISH};
use crate::nock::{Bail, Host, Mote, increment, nock, slam};
use seguro_event::{EventNumber, Mug};
use serf_ipc::protocol::{Goof, PROTOCOL, PlayBail, Plea, Ripe, WorkReply, Writ};
use serf_ipc::{Noun, jam, n};

/// The hoon version that vere v3.5's serf says it speaks (`spec/ipc.md` section 5). Nobody compares it with anything.
const HOON: u8 = 138;

/// The nock version.
const NOCK: u8 = 4;

/// The formula that the lifecycle is the subject of, `[2 [0 3] 0 2]`, and where the kernel is in its product
/// (`spec/ipc.md` section 7).
const KERNEL_IN_LIFE: u64 = 7;

/// A host that can be told when a computation begins which signals and limits may end.
pub(crate) trait Guard: Host {
    /// A computation begins, with a limit on its CPU time in milliseconds, or none if that is 0.
    fn begin(&mut self, limit_ms: u32);

    /// How many bytes of memory are left before a computation bails with `%meme`.
    fn free_bytes(&self) -> u64;

    /// How many bytes of memory there are in all.
    fn total_bytes(&self) -> u64;
}

/// Why a serf ends.
#[derive(Debug, thiserror::Error)]
pub(crate) enum End {
    /// It was told to.
    #[error("told to exit with status {0}")]
    Exit(u8),
    /// A writ that cannot be honoured. The C serf prints this and exits with 1.
    #[error("serf ({at}): {what}")]
    Refused {
        /// The serf's event number.
        at: EventNumber,
        /// What cannot be done, and why.
        what: String,
    },
    /// What the C serf takes for a mistake in itself, its king or its kernel: it aborts.
    #[error("serf ({at}): {what}")]
    Broken {
        /// The serf's event number.
        at: EventNumber,
        /// What was met.
        what: &'static str,
    },
}

/// A serf's state.
pub(crate) struct Serf {
    image: Image,
    event: EventNumber,
    /// `None` before the lifecycle.
    kernel: Option<Noun>,
    mug: Mug,
}

impl Serf {
    /// The serf as its image has it.
    pub(crate) fn new(image: Image, event: EventNumber, kernel: Option<Noun>) -> Serf {
        let mug = kernel.as_ref().map_or(Mug::UNKNOWN, Noun::mug);
        Serf {
            image,
            event,
            kernel,
            mug,
        }
    }

    /// What it says first.
    pub(crate) fn ripe(&self) -> Plea {
        Plea::Ripe(Ripe {
            pro: PROTOCOL,
            hon: HOON,
            noc: NOCK,
            event: self.event,
            mug: self.mug,
        })
    }

    /// Does what a writ says.
    pub(crate) fn answer(&mut self, writ: Writ, host: &mut dyn Guard) -> Result<Plea, End> {
        match writ {
            Writ::Exit(status) => Err(End::Exit(status)),
            Writ::Save(event) => self.save(event),
            Writ::Cram(event) => self.cram(event, host),
            Writ::Meld | Writ::Pack => Ok(Plea::Live),
            Writ::Peek { limit_ms, sample } => Ok(Plea::Peek(self.peek(limit_ms, sample, host)?)),
            Writ::Play { first, events } => self.play(first, events, host),
            Writ::QuizQuac => Ok(Plea::QuizQuac(self.masses(host)?)),
            Writ::QuizQuic => {
                let free = n![n!["open", host.free_bytes()], n!["idle", 0_u64], 0_u64];
                Ok(Plea::QuizQuic(free))
            }
            Writ::Work { limit_ms, job } => Ok(Plea::Work(self.work(limit_ms, &job, host)?)),
        }
    }

    fn broken(&self, what: &'static str) -> End {
        End::Broken { at: self.event, what }
    }

    fn refused(&self, what: String) -> End {
        End::Refused { at: self.event, what }
    }

    /// Runs a computation that signals and limits may end, and turns its bail into a goof.
    fn soft(
        &self,
        limit_ms: u32,
        host: &mut dyn Guard,
        compute: impl FnOnce(&mut dyn Host) -> Result<Noun, Bail>,
    ) -> Result<Result<Noun, Goof>, End> {
        host.begin(limit_ms);
        match compute(host) {
            Ok(product) => Ok(Ok(product)),
            Err(bail) => Ok(Err(self.goof(bail, host)?)),
        }
    }

    /// `[mote tang]`: the kernel's +mook makes the tang of the trace, unprotected.
    fn goof(&self, bail: Bail, host: &mut dyn Guard) -> Result<Goof, End> {
        let mote = bail.mote.as_str().to_owned();
        let Some(kernel) = &self.kernel else {
            return Ok(Goof {
                mote,
                tang: Noun::ZERO,
            });
        };
        let mut unguarded = Unguarded(host);
        let mooked = arm(kernel, WISH, &mut unguarded)
            .and_then(|wish| slam(&wish, Noun::cord("mook"), &mut unguarded))
            .and_then(|mook| slam(&mook, n![2_u64, bail.trace], &mut unguarded));
        match mooked.as_ref().map(Noun::tail) {
            Ok(Some(tang)) => Ok(Goof {
                mote,
                tang: tang.clone(),
            }),
            _ => Err(self.broken("the kernel's +mook, asked for a crash's trace, crashed")),
        }
    }

    /// The product of the kernel's gate at `axis`.
    fn call(
        &self,
        axis: u64,
        limit_ms: u32,
        sample: Noun,
        host: &mut dyn Guard,
    ) -> Result<Result<Noun, Goof>, End> {
        self.soft(limit_ms, host, |host| match &self.kernel {
            Some(kernel) => arm(kernel, axis, host).and_then(|gate| slam(&gate, sample, host)),
            None => Err(crashed()),
        })
    }

    fn peek(&self, limit_ms: u32, sample: Noun, host: &mut dyn Guard) -> Result<Result<Noun, Goof>, End> {
        self.call(PEEK, limit_ms, sample, host)
    }

    /// Pokes the kernel with an event, and takes the new kernel if there is one. `Ok(Ok(effects))` then.
    fn poke(&mut self, limit_ms: u32, job: &Noun, host: &mut dyn Guard) -> Result<Result<Noun, Goof>, End> {
        if job.is_atom() {
            return Err(self.broken("an event that is not [date ovum]"));
        }
        let product = match self.call(POKE, limit_ms, job.clone(), host)? {
            Ok(product) => product,
            Err(goof) => return Ok(Err(goof)),
        };
        let (effects, kernel) = product
            .as_cell()
            .ok_or_else(|| self.broken("the kernel's product is not [effects kernel]"))?;
        self.advance(self.event.next(), kernel.clone());
        Ok(Ok(self.intercept(effects)?))
    }

    /// Takes the kernel after `event`.
    fn advance(&mut self, event: EventNumber, kernel: Noun) {
        self.event = event;
        self.mug = kernel.mug();
        self.kernel = Some(kernel);
    }

    /// The effects as the king gets them: a `%mass` without its data, which are for the serf.
    fn intercept(&self, effects: &Noun) -> Result<Noun, End> {
        let malformed =
            || self.broken("an effect of the kernel is not [wire tag data], or they are not a list");
        let mut before = Vec::new();
        let mut rest = effects;
        while let Some((effect, after)) = rest.as_cell() {
            let (wire, card) = effect.as_cell().ok_or_else(malformed)?;
            let (tag, _) = card.as_cell().ok_or_else(malformed)?;
            if tag.is_cord("mass") {
                let bare = n![wire, "mass", 0_u64];
                return Ok(before
                    .into_iter()
                    .rev()
                    .fold(Noun::cell(bare, after.clone()), |list, effect: &Noun| {
                        Noun::cell(effect.clone(), list)
                    }));
            }
            before.push(effect);
            rest = after;
        }
        match rest.as_u64() {
            Some(0) => Ok(effects.clone()),
            _ => Err(malformed()),
        }
    }

    /// `%work`: computes an event, or else the report of its failure. (A failure with mote `%evil` would get no report, but
    /// only jets fail so, and there are none here.)
    fn work(&mut self, limit_ms: u32, job: &Noun, host: &mut dyn Guard) -> Result<WorkReply, End> {
        if self.kernel.is_none() {
            return Err(self.broken("an event before the lifecycle"));
        }
        let goof = match self.poke(limit_ms, job, host)? {
            Ok(effects) => {
                return Ok(WorkReply::Done {
                    event: self.event,
                    mug: self.mug,
                    effects,
                });
            }
            Err(goof) => goof,
        };
        let (date, ovum) = job
            .as_cell()
            .ok_or_else(|| self.broken("an event that is not [date ovum]"))?;
        let later = increment(date).ok_or_else(|| self.broken("an event whose date is a cell"))?;
        let report = n![later, n![0_u64, "arvo", 0_u64], "crud", &goof, ovum];
        match self.poke(limit_ms, &report, host)? {
            Ok(effects) => Ok(WorkReply::Swap {
                event: self.event,
                mug: self.mug,
                job: report,
                effects,
            }),
            Err(newer) => Ok(WorkReply::Bail(vec![newer, goof])),
        }
    }

    /// `%play`: the lifecycle, or events one after the other.
    fn play(&mut self, first: EventNumber, events: Vec<Noun>, host: &mut dyn Guard) -> Result<Plea, End> {
        if first != self.event.next() {
            return Err(self.broken("events to play that do not follow on the last one"));
        }
        if self.event == EventNumber::ZERO {
            return self.live(events, host);
        }
        for event in &events {
            if let Err(goof) = self.poke(0, event, host)? {
                let bail = PlayBail {
                    last_good: self.event,
                    mug: self.mug,
                    goof,
                };
                return Ok(Plea::Play(Err(bail)));
            }
        }
        Ok(Plea::Play(Ok(self.mug)))
    }

    /// The lifecycle: its first item is a formula, evaluated against the others.
    fn live(&mut self, life: Vec<Noun>, host: &mut dyn Guard) -> Result<Plea, End> {
        let length = EventNumber(life.len() as u64);
        let formula = n![2_u64, n![0_u64, 3_u64], 0_u64, 2_u64];
        let made = self.soft(0, host, |host| {
            let product = nock(Noun::list(life), formula, host)?;
            product.slot(KERNEL_IN_LIFE).cloned().ok_or_else(crashed)
        })?;
        match made {
            Ok(kernel) => {
                self.advance(length, kernel);
                Ok(Plea::Play(Ok(self.mug)))
            }
            Err(goof) => {
                let bail = PlayBail {
                    last_good: EventNumber::ZERO,
                    mug: Mug::UNKNOWN,
                    goof,
                };
                Ok(Plea::Play(Err(bail)))
            }
        }
    }

    fn save(&self, event: EventNumber) -> Result<Plea, End> {
        if event != self.event {
            return Err(self.refused(format!(
                "save failed: {event}: the king asks for another event than this one"
            )));
        }
        self.write_image()?;
        Ok(Plea::Live)
    }

    fn write_image(&self) -> Result<(), End> {
        let kernel = self.kernel.as_ref().unwrap_or(&Noun::ZERO);
        self.image
            .save(self.event, kernel)
            .map_err(|error| self.refused(format!("save failed: {error}")))
    }

    /// `%cram`: a rock beside the image, as vere writes them (`noun/urth.c`: no jets are registered here).
    fn cram(&self, event: EventNumber, host: &mut dyn Guard) -> Result<Plea, End> {
        if event != self.event {
            return Err(self.refused(format!(
                "cram failed: {event}: the king asks for another event than this one"
            )));
        }
        let rock = n![
            "arvo",
            self.kernel.as_ref().unwrap_or(&Noun::ZERO),
            "hashboard",
            0_u64
        ];
        self.image
            .save_rock(event, &jam(&rock))
            .map_err(|error| self.refused(format!("unable to write the rock: {error}")))?;
        self.write_image()?;
        self.masses(host)?;
        Ok(Plea::Live)
    }

    /// The memory report. Like the C serf, this one cannot make it for a kernel that does not answer a peek at `/whey`.
    /// Sizes are those of jams, since nouns here share memory in ways that no one could count.
    fn masses(&self, host: &mut dyn Guard) -> Result<Noun, End> {
        let sample = n![n![0_u64, 0_u64], 1_u64, "once", 0_u64, 0_u64, "whey", 0_u64];
        let answer = self.peek(0, sample, host)?.unwrap_or(Noun::ZERO);
        let profile = answer
            .tail()
            .and_then(|omen| omen.head().filter(|tag| tag.is_cord("omen")).and(omen.slot(7)))
            .and_then(|cask| cask.head().filter(|mark| mark.is_cord("mass")).and(cask.tail()))
            .ok_or_else(|| self.broken("the kernel does not answer a peek at /whey with a %mass"))?;
        let (profile, profiled) =
            mass(profile).ok_or_else(|| self.broken("the kernel's %mass is malformed"))?;
        let kernel = self.kernel.as_ref().map_or(0, size);
        let plain = |name: &str, bytes: u64| n![name, bytes, 0_u64];
        Ok(Noun::list([
            profile,
            n!["total arvo stuff", kernel, n![plain("kernel", kernel), 0_u64]],
            plain("total jet stuff", 0),
            plain("total nock stuff", 0),
            plain("total road stuff", 0),
            plain("space profile", 0),
            plain("total marked", kernel + profiled),
            plain("free lists", 0),
            plain("sweep", 0),
            plain("loom", host.total_bytes()),
        ]))
    }
}

/// A computation that nothing ends.
struct Unguarded<'a>(&'a mut dyn Guard);

impl Host for Unguarded<'_> {
    fn slog(&mut self, line: &Noun) {
        self.0.slog(line);
    }

    fn interrupted(&mut self) -> Option<Mote> {
        None
    }
}

/// A bail without a trace.
fn crashed() -> Bail {
    Bail {
        mote: Mote::Exit,
        trace: Noun::ZERO,
    }
}

/// The product of the kernel's arm at `axis`.
fn arm(kernel: &Noun, axis: u64, host: &mut dyn Host) -> Result<Noun, Bail> {
    let formula = kernel.slot(axis).ok_or_else(crashed)?;
    nock(kernel.clone(), formula.clone(), host)
}

/// How many bytes a noun's jam has.
fn size(noun: &Noun) -> u64 {
    jam(noun).len() as u64
}

/// A kernel's `[name & data]` or `[name | masses]` as `[name bytes masses]`, and its bytes. One level of masses is enough
/// for the kernels that run here.
fn mass(profile: &Noun) -> Option<(Noun, u64)> {
    let (name, body) = profile.as_cell()?;
    let (kind, data) = body.as_cell()?;
    match kind.as_u64()? {
        0 => Some((n![name, size(data), 0_u64], size(data))),
        1 => {
            let mut parts = Vec::new();
            let mut total = 0;
            for part in data.iter_list() {
                let (name, body) = part.ok()?.as_cell()?;
                parts.push(n![name, size(body), 0_u64]);
                total += size(body);
            }
            Some((n![name, total, Noun::list(parts)], total))
        }
        _ => None,
    }
}
