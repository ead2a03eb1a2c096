//! vere's command line as it is typed and scripted: no subcommand, or a pier's own `.run` (`spec/cli.md` section 1).

use super::{BareArgs, BootArgs, Cli, RunArgs};
use anyhow::{bail, ensure};
use clap::CommandFactory;
use std::{
    ffi::{OsStr, OsString},
    path::Path,
};

/// The hidden subcommand that takes these forms.
pub(super) const NAME: &str = "urbit";
/// How they look.
pub(super) const USAGE: &str = "seguro-king [OPTIONS] <PIER>\n       seguro-king -F <SHIP> [-c <PIER>] [OPTIONS]\n       \
     seguro-king -w <SHIP> -k <FILE> [-c <PIER>] [OPTIONS]\n       seguro-king -c <PIER> [OPTIONS]";
/// What the program's help says of them.
pub(super) const HELP: &str = "`seguro-king [OPTIONS] PIER` and `seguro-king -F SHIP -c PIER` work as they do with `urbit`: \
    see `boot` and `run`. pack, meld, melt, grab, cram, queu, play, prep, vile and eval are done by the serf's binary, \
    which `vere` downloads.";

/// Words that are no subcommand, and not a pier either.
const OWN_WORDS: [&str; 5] = ["help", "-h", "--help", "-V", "--version"];

/// Puts the subcommand that is meant in front of vere's forms, and the pier behind the words of a pier's `.run`.
pub(super) fn with_subcommand(words: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut words: Vec<OsString> = words.into_iter().collect();
    let Some(program) = words.first() else {
        return words;
    };
    let program = Path::new(program);
    let pier = match (program.file_name(), program.parent()) {
        (Some(name), Some(pier)) if name == ".run" => Some(pier.as_os_str().to_owned()),
        _ => None,
    };
    match words.get(1) {
        Some(first) if is_word(first) => {}
        // `-R` alone is vere's `--version`.
        Some(first) if first == "-R" || first == "--versions" => words[1] = "--version".into(),
        // Nothing at all: the help.
        None if pier.is_none() => return words,
        _ => words.insert(1, NAME.into()),
    }
    words.extend(pier);
    words
}

fn is_word(word: &OsStr) -> bool {
    let is_subcommand = |name: &str| Cli::command().find_subcommand(name).is_some();
    word.to_str()
        .is_some_and(|word| OWN_WORDS.contains(&word) || is_subcommand(word))
}

/// What the form means.
pub(super) enum Meant {
    Boot(Box<BootArgs>),
    Run(Box<RunArgs>),
}

/// Decides as vere does: a new ship if one is named, or a directory to create.
pub(super) fn meant(args: BareArgs) -> anyhow::Result<Meant> {
    let BareArgs { new, member, pier } = args;
    if new.names_a_new_ship() {
        ensure!(
            pier.is_none(),
            "too many arguments: a new ship's directory is named with -c"
        );
        return Ok(Meant::Boot(Box::new(BootArgs {
            new,
            member,
            directory: None,
        })));
    }
    if let Some(option) = new.only_for_a_new_one() {
        bail!("{option} is for a new ship only: name it with -F or -w, or leave {option} out");
    }
    match pier {
        Some(pier) => Ok(Meant::Run(Box::new(RunArgs { member, pier }))),
        None => bail!("no pier provided"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drivers::ames::nat_pmp::Gateway;
    use clap::Parser;

    fn command(words: &str) -> Vec<String> {
        with_subcommand(words.split(' ').map(OsString::from))
            .into_iter()
            .map(|word| word.into_string().unwrap())
            .collect()
    }

    fn understood(words: &str) -> anyhow::Result<Meant> {
        let cli = Cli::try_parse_from(command(words))?;
        match cli.command {
            super::super::Command::Bare(args) => meant(*args),
            other => bail!("not a bare form: {other:?}"),
        }
    }

    #[test]
    fn subcommands_stay_what_they_are() {
        for words in [
            "king run zod",
            "king help run",
            "king --version",
            "king pack zod",
            "king mass zod",
        ] {
            assert_eq!(command(words).join(" "), words);
        }
        assert_eq!(command("king -R").join(" "), "king --version");
    }

    #[test]
    fn a_name_without_a_subcommand_is_a_pier() {
        let Ok(Meant::Run(run)) = understood("king -t --loom 0x20 --http-port 8080 zod") else {
            panic!("a run")
        };
        assert_eq!(run.pier, Path::new("zod"));
        assert_eq!((run.member.loom, run.member.http_port), (32, 8080));
        // Long options may be cut short.
        let Ok(Meant::Run(run)) = understood("king --no-t --snap 3 ./zod") else {
            panic!("a run")
        };
        assert_eq!((run.member.no_tty, run.member.snap_time), (true, Some(3)));
        let Ok(Meant::Run(run)) = understood("king --jumbo-bloq 13 --nat-pmp ./zod") else {
            panic!("a run")
        };
        assert_eq!(run.member.nat_pmp, Some(Gateway::OfRoute));
    }

    #[test]
    fn a_ship_that_is_named_is_new() {
        let Ok(Meant::Boot(boot)) = understood("king -F ~zod -B solid.pill -c there -d") else {
            panic!("a boot")
        };
        assert_eq!(boot.new.directory().unwrap(), Path::new("there"));
        let Ok(Meant::Boot(boot)) = understood("king -ltF ~zod -B solid.pill") else {
            panic!("a boot")
        };
        assert_eq!(boot.new.directory().unwrap(), Path::new("zod"));
        assert!(boot.new.lite && boot.member.no_tty);
        let Ok(Meant::Boot(boot)) =
            understood("king -w sampel-palnet -k a.key -e http://127.0.0.1:1 -H a.org")
        else {
            panic!("a boot")
        };
        assert_eq!(boot.new.directory().unwrap(), Path::new("sampel-palnet"));
        assert_eq!(boot.new.key_file.as_deref(), Some(Path::new("a.key")));
        let Ok(Meant::Boot(comet)) = understood("king -c comet") else {
            panic!("a boot")
        };
        assert!(comet.new.fake.is_none() && comet.new.name.is_none());
    }

    #[test]
    fn a_key_in_the_arguments_does_not_show() {
        let Ok(Meant::Boot(boot)) = understood("king -w zod -G 0wsecret") else {
            panic!("a boot")
        };
        assert!(!format!("{boot:?}").contains("secret"));
        let words = command("king -w zod -G 0wsecret -k file");
        let error = Cli::try_parse_from(words).unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
    }

    #[test]
    fn props_keep_their_order() {
        use crate::boot::PropSource;
        let words = "king -F zod --prop-url u1 --prop-file f --prop-name n --prop-url u2";
        let Ok(Meant::Boot(boot)) = understood(words) else {
            panic!("a boot")
        };
        let url = |url: &str| PropSource::Url(url.to_owned());
        let props = [
            url("u1"),
            PropSource::File("f".into()),
            PropSource::Name("n".to_owned()),
            url("u2"),
        ];
        assert_eq!(boot.new.props.0, props);
    }

    #[test]
    fn what_vere_refuses_is_refused() {
        for words in [
            "king -F zod -B p zod",
            "king -B p zod",
            "king -u http://p zod",
            "king -H a.org zod",
            "king -k a.key zod",
            "king -G 0w0 -c zod",
            "king -F zod -w zod",
            "king -F zod -B p -u http://p",
            "king -F zod -s",
            "king -t",
            "king zod bus",
            "king --loom 19 zod",
            "king --jumbo-bloq 12 zod",
            "king --jumbo-bloq 30 zod",
            "king --nat-pmp=gateway zod",
            "king --nope zod",
        ] {
            assert!(understood(words).is_err(), "{words}");
        }
    }

    #[test]
    fn a_piers_run_names_its_pier() {
        assert_eq!(
            command("/ships/zod/.run").join(" "),
            "/ships/zod/.run urbit /ships/zod"
        );
        assert_eq!(
            command("/ships/zod/.run -d").join(" "),
            "/ships/zod/.run urbit -d /ships/zod"
        );
        assert_eq!(
            command("/ships/zod/.run pack").join(" "),
            "/ships/zod/.run pack /ships/zod"
        );
    }
}
