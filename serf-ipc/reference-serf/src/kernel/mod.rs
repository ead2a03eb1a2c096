//! A small kernel for demonstrations and tests, assembled as Nock by this crate.
//!
//! It runs under the reference serf and under vere's alike, with the same mugs, and needs no jets: counting is done in
//! decimal, texts go out in pieces, dates are read by walking a tree with the date as its axis.
//!
//! # Events
//!
//! Every event that does not crash is counted, from the lifecycle's two items on, so that the count is the king's event
//! number. Wires are given as an event has them, with their target; effects go to the wire without it unless said
//! otherwise.
//!
//! | wire | card | what happens |
//! | --- | --- | --- |
//! | any | `[%echo data]` | the effect `[wire %echo data]`, with the whole wire |
//! | any | `[%emit effects]` | these effects, a list of `[wire tag data]`; crashes if it is none |
//! | any | `[%hold data]` | kept in the state, so that it grows |
//! | any | `[%drop ~]` | all that is held is forgotten |
//! | any | `[%slog priority tank]` | a print through the king |
//! | any | `[%spin n]` | counts to `n`, some million a second; for ever if `n` is a cell |
//! | any | `[%deep n]` | recurses to depth `n`: `%meme` if that is too deep |
//! | any | `[%nock subject formula]` | the effect `[wire %nock product]`, with the whole wire |
//! | any | `[%boom ~]` | crashes: `%exit` with a line of trace, and a `%swap` |
//! | any | `[%doom ~]` | crashes, and so does the record of the crash: a `%bail` with two goofs |
//! | `/b/behn/sev` | `[%born ~]` | `[%doze ~ date]`: the deadline, or now if there is none |
//! | any | `[%wait date]` | the deadline is set: `[%doze ~ date]` to behn |
//! | any | `[%rest ~]` | the deadline is cleared: `[%doze ~]` to behn |
//! | any | `[%wake ~]` | the wake is counted and the deadline cleared: `[%doze ~]` to behn |
//! | `/e/http-server/sev` | `[%born ~]` | `[%set-config ~ & \| \|]`: HTTP behind a proxy. Open streams are forgotten |
//! | `/e/http-server/sev/conn/seq` | `[%request ..]`, `[%request-local ..]` | `[%response ..]`, see below |
//! | `/e/http-server/sev/conn/seq` | `[%cancel-request ~]` | the stream there is forgotten |
//! | `/c/boat` | `[%boat ~]` | `[%hill ~]`: no mounts |
//! | `/arvo` with target `%$` | `[%crud goof ovum]` | accepted; an HTTP request that crashed is answered with 500 |
//! | any | any other (`%wyrd`, `%wack`, `%verb`, `%whom`, `%boot`, `%park`, `%into`, ..) | accepted silently |
//!
//! # Pages
//!
//! | method and path | what |
//! | --- | --- |
//! | GET, HEAD `/` | a page with the event's number, its time and a counter |
//! | GET, HEAD `/text` | the same as three lines: `event 12`, `time 1767225600` (seconds since 1970), `counter 3` |
//! | POST `/`, POST `/text` | raises the counter first, and tells all streams |
//! | GET `/events` | a stream (SSE) of the counter's values, never finished |
//! | POST `/boom` | crashes |
//! | all else | 404, or 405 for another method on `/` and `/text` |
//!
//! # Peeks
//!
//! The last parts of the paths: `/count` (events), `/counter`, `/wakes`, `/deadline` (a unit), `/now` (the last event's
//! date), `/blobs` and `/listeners` (lists) have mark `%noun`; `/whey` is the memory profile with mark `%mass`; `/crash`
//! crashes. `/boot` is what a king holds against the ship's galaxy, ~zod: `[~ galaxy rift life bone current next]`, where current is 1
//! and next the count of events. All others are `~`.

mod asm;
mod clock;
mod decimal;
mod peek;
mod poke;
mod state;
mod web;
mod wish;

use asm::{Function, again, c, head, iff, is_cell, kick, looped, slam, tail, tuple, v};
use serf_ipc::{Noun, jam, n};

/// The kernel's arms that a serf uses, in the core that is the kernel (`noun/vortex.c` of vere).
pub(crate) const WISH: u64 = 10;
/// See [`WISH`].
pub(crate) const PEEK: u64 = 22;
/// See [`WISH`].
pub(crate) const POKE: u64 = 23;

/// The raw items at the front of the lifecycle.
const LIFE: u64 = 2;

/// The pill: `[%pill %seguro bot mod use]`.
#[must_use]
pub fn pill() -> Noun {
    let park = n!["park", "base", 0_u64, 0_u64];
    let sync = n!["c", "sync", 0_u64];
    let boot = Noun::list(lifecycle());
    n!["pill", "seguro", boot, 0_u64, n![n![sync, park], 0_u64]]
}

/// The pill as the bytes of a pill file.
#[must_use]
pub fn pill_bytes() -> Vec<u8> {
    jam(&pill())
}

/// The raw items of the boot sequence.
#[must_use]
pub fn lifecycle() -> [Noun; 2] {
    let life = [aeon(), kernel_gate()];
    assert_eq!(life.len() as u64, LIFE, "the kernel counts the lifecycle's items");
    life
}

/// The formula that is evaluated against the rest of the lifecycle: it slams the gate that comes first with each event
/// after it, and produces the gate at the end (`spec/ipc.md` section 7).
fn aeon() -> Noun {
    let next = tuple([slam(v("gate"), head(v("rest"))), tail(v("rest"))]);
    let body = iff(is_cell(v("rest")), again("event", next), v("gate"));
    Function::new("events", looped("event", "[gate rest]", v("events"), body)).formula()
}

/// The gate whose context is the kernel: slammed with an event, it produces itself with the kernel after that event.
fn kernel_gate() -> Noun {
    let poked = tail(slam(kick(POKE, v("kernel")), v("event")));
    let battery = Function::new("[battery event kernel]", tuple([v("battery"), v("event"), poked])).formula();
    n![battery, 0_u64, kernel()]
}

/// The kernel: `[battery state]`.
fn kernel() -> Noun {
    let load = n![0_u64, 0_u64];
    let arms = n![
        load,
        gate_arm(wish::battery()),
        gate_arm(peek::battery()),
        gate_arm(poke::battery())
    ];
    n![arms, state::initial(LIFE)]
}

/// An arm that produces a gate whose context is the kernel.
fn gate_arm(battery: Noun) -> Noun {
    Function::new("kernel", tuple([c(battery), c(0_u64), v("kernel")])).formula()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arms_are_where_a_serf_looks_for_them() {
        let arms = kernel();
        for (axis, battery) in [
            (WISH, wish::battery()),
            (PEEK, peek::battery()),
            (POKE, poke::battery()),
        ] {
            assert_eq!(arms.slot(axis), Some(&gate_arm(battery)), "axis {axis}");
        }
    }
}
