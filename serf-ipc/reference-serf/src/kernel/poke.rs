//! The kernel's +poke: an event in, effects and the next kernel out.

use super::asm::{
    Exp, Function, again, and, c, crash, eq, head, hint, iff, inc, is_cell, is_null, let_in, list, looped,
    nock, or, some, switch, tail, tuple, v,
};
use super::decimal::bump;
use super::state::{state_shape, with};
use super::web;
use serf_ipc::Noun;

/// The formula of the gate that takes `[date wire tag data]` and produces `[effects kernel]`. The gate's context is the
/// kernel: `[battery state]`.
pub(crate) fn battery() -> Noun {
    let counted = let_in(
        "[count count-text now]",
        tuple([inc(v("count")), bump().call(v("count-text")), v("date")]),
        let_in(
            "[effects state]",
            cards(),
            tuple([v("effects"), v("arms"), v("state")]),
        ),
    );
    Function::new(
        concat!("[_ [date wire tag data] arms ", state_shape!(), "]"),
        counted,
    )
    .formula()
}

/// The product of a handler that changes nothing but the count.
fn effects(effects: Exp) -> Exp {
    tuple([effects, with(vec![])])
}

/// `[effects state]` of the event in scope.
fn cards() -> Exp {
    let request = || let_in("wire", tail(v("wire")), web::request());
    let cards = vec![
        ("echo", back("echo", v("data"))),
        ("wake", wake()),
        ("request", request()),
        ("request-local", request()),
        (
            "cancel-request",
            let_in("wire", tail(v("wire")), web::cancelled()),
        ),
        ("born", born()),
        ("wait", wait()),
        ("rest", rest()),
        ("boat", boat()),
        ("emit", let_in("_", well_formed(v("data")), effects(v("data")))),
        ("slog", hint("slog", v("data"), effects(c(0_u64)))),
        ("nock", back("nock", nock(head(v("data")), tail(v("data"))))),
        ("hold", held(tuple([v("data"), v("blobs")]))),
        ("drop", held(c(0_u64))),
        ("spin", let_in("_", spin(), effects(c(0_u64)))),
        ("deep", let_in("_", deep(), effects(c(0_u64)))),
        ("boom", crash("a %boom card")),
        ("doom", crash("a %doom card")),
        ("crud", crud()),
    ];
    switch("tag", cards, effects(c(0_u64)))
}

/// One effect that goes back where the event came from.
fn back(tag: &'static str, data: Exp) -> Exp {
    effects(list([tuple([v("wire"), c(tag), data])]))
}

/// The state holds these blobs from now on.
fn held(blobs: Exp) -> Exp {
    tuple([c(0_u64), with(vec![("blobs", blobs)])])
}

/// The driver of mounts is live when it has been told that there are none.
fn boat() -> Exp {
    effects(list([tuple([tail(v("wire")), c("hill"), c(0_u64)])]))
}

/// A driver begins, or begins anew after a restart: its king has forgotten all it was told.
fn born() -> Exp {
    let at_once = iff(is_null(v("deadline")), some(v("now")), v("deadline"));
    let timer = let_in("behn", tail(v("wire")), tuple([doze(at_once), with(vec![])]));
    let server = tuple([
        list([tuple([tail(v("wire")), c(web::configuration())])]),
        with(vec![("listeners", c(0_u64))]),
    ]);
    let drivers = vec![("behn", timer), ("http-server", server)];
    let_in(
        "driver",
        head(tail(v("wire"))),
        switch("driver", drivers, effects(c(0_u64))),
    )
}

/// The deadline is the date that came with the event.
fn wait() -> Exp {
    let date = || some(v("data"));
    tuple([doze(date()), with(vec![("deadline", date())])])
}

/// There is no deadline any more.
fn rest() -> Exp {
    tuple([doze(c(0_u64)), with(vec![("deadline", c(0_u64))])])
}

/// A timer fired. There is one deadline at most, so nothing is left to wait for.
fn wake() -> Exp {
    tuple([
        doze(c(0_u64)),
        with(vec![("wakes", inc(v("wakes"))), ("deadline", c(0_u64))]),
    ])
}

/// The timer driver's orders: a unit date.
fn doze(date: Exp) -> Exp {
    list([tuple([v("behn"), c("doze"), date])])
}

/// The record of an event that crashed: `[goof wire card]`. It is accepted, or the crash would be lost; but `%doom` crashes
/// here too.
fn crud() -> Exp {
    let is_request = or(eq(v("tag"), c("request")), eq(v("tag"), c("request-local")));
    let can_answer = and(is_cell(v("wire")), is_request);
    let answer = let_in("wire", tail(v("wire")), effects(web::crashed()));
    let known = let_in(
        "[wire tag _]",
        v("event"),
        iff(
            can_answer,
            answer,
            iff(
                eq(v("tag"), c("doom")),
                crash("the record of a %doom card"),
                effects(c(0_u64)),
            ),
        ),
    );
    let_in(
        "event",
        tail(v("data")),
        iff(
            and(is_cell(v("event")), is_cell(tail(v("event")))),
            known,
            effects(c(0_u64)),
        ),
    )
}

/// Crashes unless the noun is a list of `[wire tag data]`: the serf aborts if it is given anything else.
fn well_formed(effects: Exp) -> Exp {
    let effect = iff(
        is_cell(tail(head(v("left")))),
        again("effect", tail(v("left"))),
        crash("an %emit of no effect"),
    );
    looped(
        "effect",
        "left",
        effects,
        iff(is_null(v("left")), c(0_u64), effect),
    )
}

/// Counts to a number, or for ever if it is none.
fn spin() -> Exp {
    looped(
        "spin",
        "i",
        c(0_u64),
        iff(eq(v("i"), v("data")), c(0_u64), again("spin", inc(v("i")))),
    )
}

/// Recurses to a depth.
fn deep() -> Exp {
    let deeper = tuple([c(0_u64), again("deep", inc(v("i")))]);
    looped(
        "deep",
        "i",
        c(0_u64),
        iff(eq(v("i"), v("data")), c(0_u64), deeper),
    )
}
