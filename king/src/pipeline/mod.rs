//! Compute, commit, release: the deciding part of the one path, without I/O, clock or runtime.

/// Proof that an effect comes from a committed event: only the release makes one.
#[derive(Clone, Copy, Debug)]
pub struct Token(());

#[cfg(test)]
impl Token {
    /// For drivers' own tests, which play the release.
    pub(crate) fn for_test() -> Token {
        Token(())
    }
}
