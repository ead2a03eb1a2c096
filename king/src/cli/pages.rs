//! Man pages and completions, from the definition that the parser and the help come from.

use super::Cli;
use anyhow::Context;
use clap::CommandFactory;
use std::path::Path;

/// Prints the completions of a shell.
pub(super) fn completions(shell: clap_complete::Shell) -> anyhow::Result<u8> {
    let mut command = Cli::command();
    let name = command.get_name().to_owned();
    clap_complete::generate(shell, &mut command, name, &mut std::io::stdout());
    Ok(0)
}

/// Writes a page for the program and one for each of its subcommands.
pub(super) fn man(directory: &Path) -> anyhow::Result<u8> {
    clap_mangen::generate_to(Cli::command(), directory)
        .with_context(|| format!("the man pages cannot be written into {}", directory.display()))?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_subcommand_that_is_shown_has_a_page() {
        let directory = tempfile::tempdir().unwrap();
        man(directory.path()).unwrap();
        let page = |name: &str| std::fs::read_to_string(directory.path().join(name));
        assert!(page("seguro-king.1").unwrap().contains("seguro"));
        for command in Cli::command()
            .get_subcommands()
            .filter(|command| !command.is_hide_set())
        {
            page(&format!("seguro-king-{}.1", command.get_name())).unwrap();
        }
        assert!(page("seguro-king-run.1").unwrap().contains("machines"));
    }
}
