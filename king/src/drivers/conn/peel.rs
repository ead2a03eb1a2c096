//! `%peel`: the runtime's own namespace, `/help` and what it lists.

use crate::driver::{DriverContext, PierInfo};
use serf_ipc::{Noun, n};

/// The version of vere that this king stands in for.
const VERSION: &str = "3.5";

/// What a path asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Peel {
    /// Known at once: a unit.
    Now(Noun),
    /// Whether the ship is live.
    Live,
    /// The pier's figures.
    Info,
    /// The serf's memory report.
    Mass,
    /// The serf's free memory.
    Quic,
}

/// Looks a path up. `khan`: whether threads can be run.
pub(super) fn look_up(path: &Noun, context: &DriverContext, khan: bool) -> Peel {
    let knots = path.iter_list().map(|knot| knot.ok().and_then(Noun::as_cord));
    let Some(knots) = knots.collect::<Option<Vec<_>>>() else {
        return Peel::Now(Noun::ZERO);
    };
    let knots = knots.iter().map(String::as_str).collect::<Vec<_>>();
    Peel::Now(Noun::unit(match knots[..] {
        ["help"] => Some(help()),
        ["info"] => return Peel::Info,
        ["khan"] => Some(Noun::loob(khan)),
        ["live"] => return Peel::Live,
        ["mass"] => return Peel::Mass,
        ["quic"] => return Peel::Quic,
        ["v"] => Some(Noun::cord(VERSION)),
        ["who"] => Some(Noun::from_u128(context.ship.who)),
        // As in vere these are the ports that were asked for on the command line, not those that were found.
        ["port", "ames"] => Some(Noun::ZERO),
        ["port", "htls"] => Some(Noun::from(context.settings.https_port.unwrap_or(0))),
        ["port", "http"] => Some(Noun::from(context.settings.http_port.unwrap_or(0))),
        _ => None,
    }))
}

/// The paths there are, the three ports as one entry.
fn help() -> Noun {
    let entries: [&[&str]; 9] = [
        &["help"],
        &["info"],
        &["khan"],
        &["live"],
        &["mass"],
        &["quic"],
        &["port", "ames", "htls", "http"],
        &["v"],
        &["who"],
    ];
    Noun::list(entries.map(|knots| Noun::list(knots.iter().map(|knot| Noun::cord(knot)))))
}

/// The pier's figures as a `mass`: `[name 0 value]` or `[name 1 list]`.
pub(super) fn mass(info: &PierInfo) -> Noun {
    let lines = |lines: &[(String, u64)]| {
        lines
            .iter()
            .map(|(name, value)| n![name.as_str(), 0u64, *value])
            .collect::<Vec<_>>()
    };
    let group = |name: &str, masses: Vec<Noun>| n![name, 1u64, Noun::list(masses)];
    group(
        "pier",
        vec![
            group("work", lines(&info.work)),
            group("disk", lines(&info.disk)),
            group("lord", lines(&info.lord)),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drivers::fake_pier::FakePier;

    fn path(knots: &[&str]) -> Noun {
        Noun::list(knots.iter().map(|knot| Noun::cord(knot)))
    }

    #[test]
    fn what_is_known_at_once_is_answered_at_once() {
        let mut pier = FakePier::new();
        pier.settings.http_port = Some(8080);
        pier.settings.https_port = Some(8443);
        let context = pier.context();
        let look = |knots: &[&str]| look_up(&path(knots), &context, false);
        let now = |noun: Noun| Peel::Now(n![0u64, noun]);
        assert_eq!(look(&["v"]), now(Noun::cord("3.5")));
        assert_eq!(look(&["who"]), now(Noun::ZERO));
        assert_eq!(look(&["khan"]), now(Noun::NO));
        assert_eq!(look_up(&path(&["khan"]), &context, true), now(Noun::YES));
        assert_eq!(look(&["port", "http"]), now(Noun::atom(8080)));
        assert_eq!(look(&["port", "ames"]), now(Noun::ZERO));
        assert_eq!(look(&["port", "htls"]), now(Noun::atom(8443)));
        let Peel::Now(help) = look(&["help"]) else {
            panic!("no help")
        };
        assert_eq!(help.tail().unwrap().iter_list().count(), 9);
        assert_eq!(
            help.tail().unwrap().iter_list().nth(6).unwrap().unwrap(),
            &path(&["port", "ames", "htls", "http"])
        );
    }

    #[test]
    fn the_rest_is_asked_of_others_or_unknown() {
        let pier = FakePier::new();
        let context = pier.context();
        for (noun, expected) in [
            (path(&["live"]), Peel::Live),
            (path(&["info"]), Peel::Info),
            (path(&["mass"]), Peel::Mass),
            (path(&["quic"]), Peel::Quic),
            (path(&[]), Peel::Now(Noun::ZERO)),
            (path(&["live", "long"]), Peel::Now(Noun::ZERO)),
            (path(&["port", "gopher"]), Peel::Now(Noun::ZERO)),
            (path(&["what"]), Peel::Now(Noun::ZERO)),
            (Noun::cord("live"), Peel::Now(Noun::ZERO)),
            (n!["live", "live"], Peel::Now(Noun::ZERO)),
            (n![n![1u64, 2u64], 0u64], Peel::Now(Noun::ZERO)),
        ] {
            assert_eq!(look_up(&noun, &context, true), expected, "{noun:?}");
        }
    }

    #[test]
    fn figures_become_a_mass() {
        let line = |name: &str, value| vec![(name.to_owned(), value)];
        let info = PierInfo {
            work: line("effects-released", 5),
            disk: line("event", 6),
            ..PierInfo::default()
        };
        let work = n!["work", 1u64, n!["effects-released", 0u64, 5u64], 0u64];
        let disk = n!["disk", 1u64, n!["event", 0u64, 6u64], 0u64];
        assert_eq!(
            mass(&info),
            n!["pier", 1u64, work, disk, n!["lord", 1u64, 0u64], 0u64]
        );
    }
}
