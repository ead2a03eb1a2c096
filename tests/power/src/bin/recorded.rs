//! Tells one story: the program that is recorded. `recorded STORY ROOT MARKS`.

use anyhow::{Context, bail};
use seguro_power::story::{Story, tell};
use std::{env, path::Path};

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = env::args().skip(1).collect();
    let [story, root, marks] = &words[..] else {
        bail!("recorded STORY ROOT MARKS");
    };
    let story = Story::named(story).with_context(|| format!("{story}: no such story"))?;
    tell(story, Path::new(root), Path::new(marks))
}
