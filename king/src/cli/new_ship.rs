//! What a new ship is made of: the options that only a boot has (`spec/cli.md` section 2, `spec/boot.md`).

use clap::Args;
use std::path::PathBuf;

/// Which ship is made, from what, where.
#[derive(Debug, Args)]
pub struct NewShipArgs {
    /// Make this fake ship, e.g. `zod` or `~zod`.
    #[arg(short = 'F', long, value_name = "SHIP")]
    pub fake: Option<String>,
    /// The pill to boot from; `builtin` is the reference kernel.
    #[arg(short = 'B', long = "bootstrap", value_name = "PILL")]
    pub pill: Option<PathBuf>,
    /// Use this directory for the initial filesystem.
    #[arg(short = 'A', long, value_name = "DIR")]
    pub arvo: Option<PathBuf>,
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
        self.fake.is_some() || self.pier.is_some()
    }

    /// The first of these options that a ship that is there cannot have.
    pub(super) fn only_for_a_new_one(&self) -> Option<&'static str> {
        self.pill.as_ref().map(|_| "-B/--bootstrap")
    }

    /// The directory that is made.
    pub(super) fn directory(&self) -> Option<PathBuf> {
        let named = |ship: &String| PathBuf::from(ship.strip_prefix('~').unwrap_or(ship));
        self.pier.clone().or_else(|| self.fake.as_ref().map(named))
    }
}
