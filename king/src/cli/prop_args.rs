//! `--prop-file`, `--prop-url`, `--prop-name`: three options of one list, in the order in which they were given.

use crate::boot::PropSource;
use clap::{
    Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches, builder::ValueParser, value_parser,
};
use std::path::PathBuf;

const FILE: &str = "prop-file";
const URL: &str = "prop-url";
const NAME: &str = "prop-name";

/// The list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PropArgs(pub(super) Vec<PropSource>);

impl Args for PropArgs {
    fn augment_args(command: Command) -> Command {
        let prop = |id: &'static str, value: &'static str, parser: ValueParser, help: &'static str| {
            Arg::new(id)
                .long(id)
                .value_name(value)
                .value_parser(parser)
                .action(ArgAction::Append)
                .help(help)
        };
        command
            .arg(prop(
                FILE,
                "FILE",
                value_parser!(PathBuf),
                "Add the events in this file, a jammed `[%prop meta tier ova]`, to the boot sequence",
            ))
            .arg(prop(
                URL,
                "URL",
                ValueParser::string(),
                "The same, from this address",
            ))
            .arg(prop(
                NAME,
                "NAME",
                ValueParser::string(),
                "The same, one of those published for the serf's version",
            ))
    }

    fn augment_args_for_update(command: Command) -> Command {
        PropArgs::augment_args(command)
    }
}

impl FromArgMatches for PropArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<PropArgs, Error> {
        let text = |id: &str| matches.get_many::<String>(id).into_iter().flatten().cloned();
        let files = matches.get_many::<PathBuf>(FILE).into_iter().flatten().cloned();
        let places = |id: &str| matches.indices_of(id).into_iter().flatten();
        let mut props = places(FILE)
            .zip(files.map(PropSource::File))
            .chain(places(URL).zip(text(URL).map(PropSource::Url)))
            .chain(places(NAME).zip(text(NAME).map(PropSource::Name)))
            .collect::<Vec<_>>();
        props.sort_by_key(|(place, _)| *place);
        Ok(PropArgs(props.into_iter().map(|(_, prop)| prop).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = PropArgs::from_arg_matches(matches)?;
        Ok(())
    }
}
