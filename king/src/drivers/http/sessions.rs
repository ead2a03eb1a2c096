//! Who is logged in: the runtime's own endpoints ask for it as eyre does (`spec/drivers.md` section 6).

use super::shapes::Header;
use serf_ipc::text::p;
use std::{
    collections::HashSet,
    sync::{PoisonError, RwLock},
};

/// The tokens of the sessions that are logged in.
#[derive(Debug)]
pub(crate) struct Sessions {
    /// How a cookie with a token begins.
    key: Vec<u8>,
    tokens: RwLock<HashSet<Vec<u8>>>,
}

impl Sessions {
    /// None yet, of this ship.
    pub(crate) fn new(ship: u128) -> Sessions {
        Sessions {
            key: format!("urbauth-{}=", p::format(ship)).into_bytes(),
            tokens: RwLock::default(),
        }
    }

    /// The ship says which there are.
    pub(crate) fn set(&self, tokens: HashSet<Vec<u8>>) {
        *self.tokens.write().unwrap_or_else(PoisonError::into_inner) = tokens;
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.tokens.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether a request with these headers is of one of them. Only the first `cookie` is looked at, as in the C and in eyre.
    pub(crate) fn admit(&self, headers: &[Header]) -> bool {
        let Some((_, cookies)) = headers.iter().find(|(name, _)| name == b"cookie") else {
            return false;
        };
        let Some(at) = cookies.windows(self.key.len()).position(|part| part == self.key) else {
            return false;
        };
        let value = &cookies[at + self.key.len()..];
        let end = value.iter().position(|byte| *byte == b';').unwrap_or(value.len());
        let tokens = self.tokens.read().unwrap_or_else(PoisonError::into_inner);
        tokens.contains(&value[..end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_with_a_known_token_admits() {
        let sessions = Sessions::new(0);
        let admits = |cookies: &[&str]| {
            let headers = cookies
                .iter()
                .map(|value| (b"cookie".to_vec(), value.as_bytes().to_vec()));
            sessions.admit(&headers.collect::<Vec<_>>())
        };
        assert!(!admits(&["urbauth-~zod=0v3"]));
        sessions.set(HashSet::from([b"0v3".to_vec(), b"0v4".to_vec()]));
        assert_eq!(sessions.len(), 2);
        for cookie in [
            "urbauth-~zod=0v3",
            "a=b; urbauth-~zod=0v4; c",
            "urbauth-~nec=0v3;urbauth-~zod=0v3;",
        ] {
            assert!(admits(&[cookie]), "{cookie}");
        }
        for cookie in [
            "",
            "urbauth-~zod",
            "urbauth-~zod=",
            "urbauth-~zod=0v",
            "urbauth-~zod=0v33",
            "urbauth-~nec=0v3",
            "urbauth-~zod=0v3 ",
        ] {
            assert!(!admits(&[cookie]), "{cookie}");
        }
        assert!(!admits(&[]) && !admits(&["", "urbauth-~zod=0v3"]));
        sessions.set(HashSet::new());
        assert!(!admits(&["urbauth-~zod=0v3"]));
    }
}
