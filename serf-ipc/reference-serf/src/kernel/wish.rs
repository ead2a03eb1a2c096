//! The kernel's +wish: a cord in, what the expression means out.
//!
//! A serf wishes for `mook` when an event has crashed, and slams it with `[2 trace]` for `[2 tang]`, outside any
//! protection: if that crashed too, the serf would abort (`noun/manage.c` of vere).

use super::asm::{Function, again, c, eq, head, iff, is_null, looped, tail, tuple, v};
use serf_ipc::{Noun, n};

/// The formula of the gate. All that it does not know is a gate that produces a cord, for what the serf may print.
pub(crate) fn battery() -> Noun {
    let mook = n![mook().formula(), 0_u64, 0_u64];
    let other = n![n![1_u64, "~zod"], 0_u64, 0_u64];
    Function::new("[_ text _]", iff(eq(v("text"), c("mook")), c(mook), c(other))).formula()
}

/// The clues of this kernel's traces are printed lines (tanks) already.
fn mook() -> Function {
    let tanks = tuple([tail(head(v("left"))), again("clue", tail(v("left")))]);
    let body = looped(
        "clue",
        "left",
        v("trace"),
        iff(is_null(v("left")), c(0_u64), tanks),
    );
    Function::new("[_ [code trace] _]", tuple([v("code"), body]))
}
