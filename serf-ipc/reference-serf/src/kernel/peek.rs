//! The kernel's +peek: a path in, what is there out (`spec/ipc.md` section 8).

use super::asm::{Exp, Function, c, crash, eq, iff, is_null, let_in, some, switch, tail, tuple, v};
use super::state::state_shape;
use serf_ipc::{Noun, n};

/// The formula of the gate that takes `[gang sample]` and produces `~`, `[~ mark noun]`, or, for the `%once` form,
/// `[~ %omen path mark noun]`. The gate's context is the kernel.
pub(crate) fn battery() -> Noun {
    let omen = tuple([v("care"), c(0_u64), v("desk"), c(0_u64), v("spur")]);
    let once = let_in(
        "[care desk spur]",
        v("rest"),
        let_in(
            "found",
            find(),
            iff(
                is_null(v("found")),
                c(0_u64),
                some(tuple([c("omen"), omen, tail(v("found"))])),
            ),
        ),
    );
    let beam = let_in("[_ [_ _ _] spur]", v("rest"), find());
    let path = let_in("[_ _ _ _ spur]", v("sample"), find());
    let omens = let_in(
        "[kind rest]",
        v("sample"),
        switch("kind", vec![("once", once), ("beam", beam)], c(0_u64)),
    );
    let body = iff(is_null(v("form")), path, omens);
    Function::new(concat!("[_ [_ form sample] _ ", state_shape!(), "]"), body).formula()
}

/// A unit `[mark noun]`: what is at `spur`.
fn find() -> Exp {
    let noun = |field| some(tuple([c("noun"), v(field)]));
    let profile = some(tuple([c("mass"), c("state"), c(Noun::YES), v("blobs")]));
    // [galaxy rift life bone current next]: every event counts as a message to the galaxy that it has not acknowledged.
    let talk = [c(0_u64), c(0_u64), c(1_u64), c(12_u64), c(1_u64), v("count")];
    let boot = some(tuple([c("noun"), some(tuple(talk))]));
    let places = [
        ("boot", boot),
        ("count", noun("count")),
        ("counter", noun("counter")),
        ("wakes", noun("wakes")),
        ("deadline", noun("deadline")),
        ("now", noun("now")),
        ("blobs", noun("blobs")),
        ("listeners", noun("listeners")),
        ("whey", profile),
        ("crash", crash("a peek at /crash")),
    ];
    let choose = |no, (name, yes)| iff(eq(v("spur"), c(n![name, 0_u64])), yes, no);
    places.into_iter().rev().fold(c(0_u64), choose)
}
