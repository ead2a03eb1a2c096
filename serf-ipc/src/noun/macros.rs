//! Macros that write out the shapes of nouns.

/// A tuple nested to the right: `n!["live", "exit", 0u64]` is `[%live %exit 0]`.
#[macro_export]
macro_rules! n {
    ($last:expr $(,)?) => { $crate::ToNoun::to_noun(&$last) };
    ($head:expr, $($rest:expr),+ $(,)?) => {
        $crate::Noun::cell($crate::ToNoun::to_noun(&$head), $crate::n![$($rest),+])
    };
}
