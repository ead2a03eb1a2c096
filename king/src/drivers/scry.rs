//! `-X`: one read of the ship, written to a file below `.urb/put`, and the end. It stands in place of all drivers
//! (`spec/cli.md` section 6).

use crate::{
    console,
    driver::{Claim, Driver, DriverContext, Effect, PeekAnswer, Request},
    peek,
};
use anyhow::{Context, ensure};
use serf_ipc::{
    Noun, ToNoun, jam,
    text::{Aura, Path as Knots, path::is_canonical_file_path, scot},
};
use std::{fs, path::Path};

/// What is read, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scry {
    care: String,
    desk: String,
    spur: Knots,
    /// The file below `.urb/put`, without what comes after its dot.
    name: String,
    format: Format,
}

/// How the answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// Any noun, jammed.
    Jam,
    /// An atom, as text.
    Text(Aura),
}

impl Scry {
    /// Takes `-X`, `-Y` and `-Z`.
    ///
    /// # Errors
    /// When the path is none, or has no care and desk, or the file would lie elsewhere, or the format is unknown.
    pub fn parse(path: &str, into: Option<&str>, format: &str) -> anyhow::Result<Scry> {
        let knots: Knots = path.parse().context("-X")?;
        let mut rest = knots.0.into_iter();
        let (Some(care), Some(desk)) = (rest.next(), rest.next()) else {
            anyhow::bail!("pier: invalid scry: {path} has no care and desk, as /cx/base/sys/kelvin has");
        };
        let name = into.unwrap_or(path);
        let name = name.strip_prefix('/').unwrap_or(name);
        ensure!(
            is_canonical_file_path(name) && name != "/" && !name.contains('\0'),
            "{name} does not name a file below .urb/put: name one with -Y"
        );
        Ok(Scry {
            care,
            desk,
            spur: Knots(rest.collect()),
            name: name.to_owned(),
            format: Format::parse(format)?,
        })
    }

    fn sample(&self) -> Noun {
        peek::last(
            peek::ourselves(),
            &self.care,
            Noun::cord(&self.desk),
            self.spur.to_noun(),
        )
    }

    fn extension(&self) -> &'static str {
        match self.format {
            Format::Jam => "jam",
            Format::Text(_) => "txt",
        }
    }

    /// Takes the ship's answer. What goes wrong is told, and no more: vere leaves with 0 then too.
    fn take(&self, answer: PeekAnswer, pier: &Path) {
        if let PeekAnswer::Bailed(goof) = &answer {
            console::goofs(std::slice::from_ref(goof));
        }
        // [~ %omen path mark noun]
        let answer = answer.or_null();
        let Some(found) = answer.slot(31) else {
            return tracing::info!(target: console::TARGET, "pier: scry failed");
        };
        tracing::info!(target: console::TARGET, "pier: scry succeeded");
        if let Err(error) = self.write(pier, found) {
            tracing::error!(target: console::TARGET, "pier: {error:#}");
        }
    }

    /// Writes what was found; tells where.
    fn write(&self, pier: &Path, found: &Noun) -> anyhow::Result<()> {
        let bytes = match self.format {
            Format::Jam => jam(found),
            Format::Text(aura) => match scot(aura, found) {
                Some(text) => text.into_bytes(),
                None => {
                    tracing::info!(target: console::TARGET, "pier: cannot export cell as {}", name(aura));
                    return Ok(());
                }
            },
        };
        let path = pier
            .join(".urb/put")
            .join(format!("{}.{}", self.name, self.extension()));
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)
                .with_context(|| format!("the directory {}", directory.display()))?;
        }
        fs::write(&path, bytes).with_context(|| format!("the file {}", path.display()))?;
        tracing::info!(target: console::TARGET, "pier: scry result in {}", path.display());
        Ok(())
    }
}

const AURAS: [(&str, Aura); 9] = [
    ("da", Aura::Da),
    ("p", Aura::P),
    ("t", Aura::T),
    ("ta", Aura::Ta),
    ("tas", Aura::Tas),
    ("ud", Aura::Ud),
    ("uv", Aura::Uv),
    ("uw", Aura::Uw),
    ("ux", Aura::Ux),
];

fn name(aura: Aura) -> &'static str {
    AURAS
        .iter()
        .find(|(_, other)| *other == aura)
        .map_or("", |(name, _)| name)
}

impl Format {
    fn parse(text: &str) -> anyhow::Result<Format> {
        if text == "jam" {
            return Ok(Format::Jam);
        }
        let known = AURAS.iter().find(|(name, _)| *name == text);
        let (_, aura) = known.with_context(|| {
            let names: Vec<_> = AURAS.iter().map(|(name, _)| *name).collect();
            format!("-Z {text}: the formats are jam and {}", names.join(", "))
        })?;
        Ok(Format::Text(*aura))
    }
}

/// Makes the driver.
#[must_use]
pub fn new(context: DriverContext, scry: Scry) -> Box<dyn Driver> {
    Box::new(ScryDriver { context, scry })
}

struct ScryDriver {
    context: DriverContext,
    scry: Scry,
}

impl Driver for ScryDriver {
    fn name(&self) -> &'static str {
        "scry"
    }

    fn start(&mut self) -> anyhow::Result<()> {
        tracing::info!(target: console::TARGET, "pier: scry");
        let DriverContext { intake, pier, .. } = self.context.clone();
        let (scry, end) = (self.scry.clone(), intake.clone());
        let answered = move |answer| {
            scry.take(answer, &pier);
            tracing::info!(target: console::TARGET, "pier: exit");
            end.request(Request::Exit(0));
        };
        let sample = self.scry.sample();
        self.context
            .runtime
            .spawn(async move { intake.peek(sample, Box::new(answered)).await });
        Ok(())
    }

    fn effect(&mut self, _: &Effect<'_>) -> Claim {
        // Nobody else is there, and vere releases nothing to anybody here.
        Claim::Taken
    }

    fn is_live(&self) -> bool {
        true
    }
}
