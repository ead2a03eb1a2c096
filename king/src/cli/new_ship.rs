//! What a new ship is made of: the options that only a boot has (`spec/cli.md` section 2, `spec/boot.md`).

use super::{prop_args::PropArgs, secret::KeyText};
use clap::Args;
use std::path::PathBuf;

/// Which ship is made, from what, where.
#[derive(Debug, Args)]
pub struct NewShipArgs {
    /// Make this fake ship, e.g. `zod` or `~zod`. Without -F and -w: a comet, whose name is mined.
    #[arg(short = 'F', long, value_name = "SHIP", conflicts_with = "name")]
    pub fake: Option<String>,
    /// Boot this ship, with its keys.
    #[arg(short = 'w', long, value_name = "SHIP")]
    pub name: Option<String>,
    /// The ship's key file, as Bridge gives it.
    #[arg(
        short = 'k',
        long,
        value_name = "FILE",
        requires = "name",
        conflicts_with = "key_string"
    )]
    pub key_file: Option<PathBuf>,
    /// What is in that file. Others on this machine can see it while this program runs: better use -k.
    #[arg(short = 'G', long, value_name = "KEY", requires = "name")]
    pub key_string: Option<KeyText>,
    /// The roller that tells what the contract has of ships. Without it: `https://roller.urbit.org/v1/azimuth`.
    #[arg(short = 'e', long = "ethereum", value_name = "URL")]
    pub roller: Option<String>,
    /// The domain that galaxies are found in, in place of the contract's.
    #[arg(short = 'H', long, value_name = "DOMAIN")]
    pub dns_root: Option<String>,
    /// Where the list of the stars for comets is. Without it: `https://bootstrap.urbit.org/comet-stars.jam`.
    #[arg(long, value_name = "URL")]
    pub comet_stars: Option<String>,
    /// The pill to boot from; `builtin` is the reference kernel.
    #[arg(
        short = 'B',
        long = "bootstrap",
        value_name = "PILL",
        conflicts_with = "pill_url"
    )]
    pub pill: Option<PathBuf>,
    /// Where to fetch the pill. Without -B, -u and -s: the one published for the serf's version.
    #[arg(short = 'u', long = "bootstrap-url", value_name = "URL")]
    pub pill_url: Option<String>,
    /// Fetch the pill published for the last commit of the Git directory that -A names.
    #[arg(short = 's', long, requires = "arvo")]
    pub autoselect_pill: bool,
    /// Use this directory for the initial filesystem.
    #[arg(short = 'A', long, value_name = "DIR")]
    pub arvo: Option<PathBuf>,
    /// Events to add to the boot sequence.
    #[command(flatten)]
    pub props: PropArgs,
    /// Lite boot.
    #[arg(short = 'l', long = "lite-boot")]
    pub lite: bool,
    /// The directory to make; must not exist. Without it, the ship's name.
    #[arg(short = 'c', long = "pier", id = "new_pier", value_name = "PIER")]
    pub pier: Option<PathBuf>,
}

impl NewShipArgs {
    /// Whether vere would take these for a new ship.
    pub(super) fn names_a_new_ship(&self) -> bool {
        self.fake.is_some() || self.name.is_some() || self.pier.is_some()
    }

    /// The first of these options that a ship that is there cannot have. (-k and -G need -w, which names a new one.)
    pub(super) fn only_for_a_new_one(&self) -> Option<&'static str> {
        let given = [
            (self.pill.is_some(), "-B/--bootstrap"),
            (self.dns_root.is_some(), "-H/--dns-root"),
            (self.pill_url.is_some(), "-u/--bootstrap-url"),
        ];
        given.iter().find(|(given, _)| *given).map(|(_, option)| *option)
    }

    /// The directory that is made.
    pub(super) fn directory(&self) -> Option<PathBuf> {
        let named = |ship: &String| PathBuf::from(ship.strip_prefix('~').unwrap_or(ship));
        let name = self.fake.as_ref().or(self.name.as_ref());
        self.pier.clone().or_else(|| name.map(named))
    }
}
