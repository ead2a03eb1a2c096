//! Who answers a request: the kernel, or the runtime itself (`spec/drivers.md` section 6).

use super::{
    beam::Beam,
    cache::{Cache, Page},
    request::Head,
    sessions::Sessions,
    slogs::Slogs,
};
use serf_ipc::text::p;

/// What the runtime needs in order to answer by itself.
#[derive(Debug)]
pub(crate) struct Own {
    /// The ship's name.
    our: String,
    /// Who is logged in.
    pub(crate) sessions: Sessions,
    /// What was grown and read.
    pub(crate) cache: Cache,
    /// Who listens to what the ship prints.
    pub(crate) slogs: Slogs,
}

/// Who answers.
#[derive(Debug)]
pub(crate) enum Source {
    /// The kernel, which is told this method.
    Kernel(&'static str),
    /// The kernel's state, without an event.
    Page(Page),
    /// Nobody: what was asked for cannot be read.
    Unreadable,
    /// Nobody: the method is not known.
    Unknown,
    /// `/~_~/slog`: what the ship prints; whether the client may listen.
    Slogs(bool),
    /// `/~_~/healthz`: whether the serf is at work.
    Health,
}

impl Own {
    /// What a ship begins with.
    pub(crate) fn new(ship: u128) -> Own {
        Own {
            our: p::format(ship),
            sessions: Sessions::new(ship),
            cache: Cache::default(),
            slogs: Slogs::default(),
        }
    }

    /// Who answers a request.
    pub(crate) fn source(&self, head: &Head) -> Source {
        match own_path(&head.target) {
            Some("slog") => return Source::Slogs(self.sessions.admit(&head.headers)),
            Some("healthz") => return Source::Health,
            _ => {}
        }
        let Some(method) = head.method_name() else {
            return Source::Unknown;
        };
        if method == "GET"
            && let Some(page) = self.cache.grown(&head.target)
        {
            return Source::Page(page);
        }
        if !Beam::is_meant(&head.target) {
            return Source::Kernel(method);
        }
        match Beam::read(&head.target, &head.headers, &self.our) {
            Some(beam) => Source::Page(Page::Scry {
                is_known: self.sessions.admit(&head.headers),
                beam,
            }),
            None => Source::Unreadable,
        }
    }
}

/// The first step below `/~_~/` of a target, as vere's server library sees it: percent escapes undone, then `.` and
/// `..` followed, without the query.
fn own_path(target: &[u8]) -> Option<&'static str> {
    let path = target.split(|byte| *byte == b'?').next()?;
    // Nearly all targets are of the kernel.
    if !path.starts_with(b"/") || !path.iter().any(|byte| matches!(byte, b'%' | b'_')) {
        return None;
    }
    let plain = unescaped(path);
    let mut steps: Vec<&[u8]> = Vec::new();
    for step in plain.split(|byte| *byte == b'/').skip(1) {
        match step {
            b"." => {}
            b".." => drop(steps.pop()),
            _ => steps.push(step),
        }
    }
    match steps[..] {
        [b"~_~", b"slog", ..] => Some("slog"),
        [b"~_~", b"healthz", ..] => Some("healthz"),
        _ => None,
    }
}

/// Undoes percent escapes; what is none stays.
fn unescaped(path: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [first, after @ ..] = rest {
        let digit = |at: usize| after.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                plain.extend(u8::try_from(high << 4 | low));
                rest = &after[2..];
            }
            _ => {
                plain.push(*first);
                rest = after;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runtimes_own_paths_are_found_however_they_are_written() {
        for target in [
            "/~_~/slog",
            "/~_~/slog/",
            "/~_~/slog/x",
            "/~_~/slog?x",
            "/%7e_%7E/slog",
            "/a/../~_~/./slog",
            "/../~_~%2fslog",
            "/~_~/x/%2e%2e/slog",
        ] {
            assert_eq!(own_path(target.as_bytes()), Some("slog"), "{target}");
        }
        assert_eq!(own_path(b"/~_~/healthz/.."), None);
        assert_eq!(own_path(b"/~_~/healthz"), Some("healthz"));
        for target in [
            "/",
            "/~_~",
            "/~_~/",
            "/~_~/slogx",
            "/x/~_~/slog",
            "/~_~/slo%6",
            "/~_~/slog%",
            "/x?/~_~/slog",
            "http://zod/~_~/slog",
            "~_~/slog",
            "*",
            "/~_~/a/slog",
            "//~_~/slog",
        ] {
            assert_eq!(own_path(target.as_bytes()), None, "{target}");
        }
    }
}
