//! What the kernel remembers: a tuple of fields, each known by the same name in every handler.

use super::asm::{Exp, tuple, v};
use super::decimal::number;
use serf_ipc::{Noun, n};

/// The fields in their order, as a shape.
///
/// - `count`, `count-text`: events since the beginning of the ship's history, as an atom and as a number that prints;
/// - `counter`, `counter-text`: how often a POST has raised it, likewise;
/// - `wakes`: timers that fired;
/// - `now`: the date of the last event;
/// - `deadline`: the date to be woken at, as a unit;
/// - `behn`: the wire on which the timer driver was born;
/// - `listeners`: wires of the open `/events` streams;
/// - `blobs`: what `%hold` has brought, newest first.
macro_rules! state_shape {
    () => {
        "[count count-text counter counter-text wakes now deadline behn listeners blobs]"
    };
}
pub(crate) use state_shape;

/// The fields' names.
const FIELDS: [&str; 10] = [
    "count",
    "count-text",
    "counter",
    "counter-text",
    "wakes",
    "now",
    "deadline",
    "behn",
    "listeners",
    "blobs",
];

/// The state at the end of the lifecycle, whose items are events too: `count` agrees with the king's event number.
pub(crate) fn initial(life: u64) -> Noun {
    let behn = n!["behn", 0_u64];
    n![
        life,
        number(life),
        0_u64,
        number(0),
        0_u64,
        0_u64,
        0_u64,
        behn,
        0_u64,
        0_u64
    ]
}

/// The state of which the given fields are computed anew, and the others are what has their name in scope.
pub(crate) fn with(mut changes: Vec<(&'static str, Exp)>) -> Exp {
    let state = tuple(FIELDS.map(
        |field| match changes.iter().position(|(changed, _)| *changed == field) {
            Some(index) => changes.swap_remove(index).1,
            None => v(field),
        },
    ));
    assert!(changes.is_empty(), "the state has no field {:?}", changes[0].0);
    state
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shape_and_the_fields_agree() {
        let shape = format!("[{}]", FIELDS.join(" "));
        assert_eq!(shape, state_shape!());
        let state = initial(2);
        assert_eq!(state.slot((1 << FIELDS.len()) - 2), Some(&Noun::ZERO));
    }
}
