//! A small kernel for demonstrations and tests, assembled as Nock by this crate. TODO table

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
