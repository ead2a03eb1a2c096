//! What a new ship begins with, from the arguments: who it is, its pill, and what is added to it (`spec/boot.md` sections 1, 2).

use super::NewShipArgs;
use crate::{
    boot::{self, Feed, Fetcher, Identity, Pill, Prop, Roller, wyrd},
    console,
};
use anyhow::{Context, ensure};
use serf_ipc::SerfVersion;
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Where what the network's founders publish is.
const BOOTSTRAP: &str = "https://bootstrap.urbit.org";

/// Whose life it will be. All that can be seen without asking anybody is looked at first.
pub(super) enum Who {
    /// A fake ship.
    Fake(u128),
    /// A ship whose keys are here.
    Keys(Feed),
    /// A comet that is to be mined.
    Comet,
}

impl Who {
    /// Reads the ship's name and its keys.
    pub(super) fn named(args: &NewShipArgs) -> anyhow::Result<Who> {
        if let Some(fake) = &args.fake {
            return Ok(Who::Fake(boot::fake_ship(fake)?));
        }
        let Some(name) = &args.name else {
            return Ok(Who::Comet);
        };
        let ship = boot::named_ship(name)?;
        let feed = match (&args.key_file, &args.key_string) {
            (Some(file), _) => Feed::load(file)?,
            (None, Some(text)) => Feed::parse(text.reveal())?,
            (None, None) => anyhow::bail!("boot: must specify a key with -k or -G"),
        };
        feed.belongs_to(ship)?;
        Ok(Who::Keys(feed))
    }

    /// Finds out all that the ship must know of the network: its number, and as whom it begins.
    pub(super) fn dawn(self, args: &NewShipArgs, fetcher: &Fetcher) -> anyhow::Result<(u128, Identity)> {
        let feed = match self {
            Who::Fake(ship) => return Ok((ship, Identity::Fake)),
            Who::Keys(feed) => feed,
            Who::Comet => {
                let url = args.comet_stars.as_deref().unwrap_or(boot::DEFAULT_STARS_URL);
                boot::mine(&boot::stars(fetcher, url)?, &entropy()?)
            }
        };
        let url = args.roller.as_deref().unwrap_or(boot::DEFAULT_ROLLER_URL);
        let roller = Roller::new(url, fetcher.clone());
        let identity = boot::dawn(&roller, &feed, args.dns_root.as_deref())?;
        Ok((feed.who, identity))
    }
}

/// Reads or fetches the pill. The reference serf's own is the reference kernel.
pub(super) fn pill(
    args: &NewShipArgs,
    fetcher: &Fetcher,
    serf: SerfVersion,
    is_reference: bool,
) -> anyhow::Result<Pill> {
    let builtin = || Ok(Pill::parse(&reference_serf::kernel::pill_bytes())?);
    let url = match (&args.pill, &args.pill_url, &args.arvo) {
        (Some(path), ..) if path == Path::new("builtin") => return builtin(),
        (Some(path), ..) => return Ok(Pill::load(path)?),
        (None, Some(url), _) => url.clone(),
        (None, None, Some(arvo)) if args.autoselect_pill => git_pill(arvo)?,
        (None, None, _) if is_reference => return builtin(),
        (None, None, _) => format!("{BOOTSTRAP}/urbit-v{}.pill", wyrd::release(serf)),
    };
    Ok(Pill::fetch(&url, fetcher)?)
}

/// Where the pill of a Git directory's last commit to the kernel is.
fn git_pill(arvo: &Path) -> anyhow::Result<String> {
    let git = Command::new("git")
        .arg("-C")
        .arg(arvo)
        .args(["log", "-1", "HEAD", "--format=%H", "--", "sys/"])
        .output()
        .context("boot: git cannot be run: -s needs it; or name a pill with -B or -u")?;
    let commit = String::from_utf8_lossy(&git.stdout);
    let short = commit
        .get(..10)
        .filter(|short| short.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let short = short.with_context(|| {
        let said = String::from_utf8_lossy(&git.stderr);
        format!(
            "boot: git knows of no commit to sys/ in {}: {} -s needs a clone of urbit's; or name a pill with -B or -u",
            arvo.display(),
            said.trim()
        )
    })?;
    Ok(format!("{BOOTSTRAP}/git-{short}.pill"))
}

/// `-A`: the directory's files, as the event that they become.
pub(super) fn filesystem(directory: &Path) -> anyhow::Result<serf_ipc::Noun> {
    tracing::info!(target: console::TARGET, "boot: preparing filesystem from {}", directory.display());
    boot::initial_filesystem(directory).with_context(|| format!("the filesystem in {}", directory.display()))
}

/// Reads or fetches the props.
pub(super) fn props(args: &NewShipArgs, fetcher: &Fetcher, serf: SerfVersion) -> anyhow::Result<Vec<Prop>> {
    let load = |prop: &boot::PropSource| prop.load(fetcher, wyrd::release(serf)).transpose();
    Ok(args.props.0.iter().filter_map(load).collect::<Result<_, _>>()?)
}

/// Where the ship is to live: nothing may be there.
pub(super) fn place(args: &NewShipArgs, directory: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    let pier = directory
        .or_else(|| args.directory())
        .context(
        "which ship? Name a fake one with -F, or one that has keys with -w. A directory alone makes a comet there",
    )?;
    ensure!(
        !pier.exists(),
        "tried to create pier {} but it already exists; name a new directory, or `run` that one",
        pier.display()
    );
    Ok(pier)
}

/// 64 bytes of the system's entropy.
pub(super) fn entropy() -> anyhow::Result<[u8; 64]> {
    let mut entropy = [0; 64];
    getrandom::fill(&mut entropy).map_err(|error| anyhow::anyhow!("no entropy from the system: {error}"))?;
    Ok(entropy)
}
