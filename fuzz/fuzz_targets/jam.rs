//! Nouns with all kinds of sharing, built as the bytes say on a stack: they jam to the bytes that the naive model writes,
//! and equal nouns are equal however they were built.

#![no_main]

use libfuzzer_sys::fuzz_target;
use seguro_fuzz::jam_model;
use serf_ipc::{Noun, cue, jam};

/// Beyond this many steps the model, which looks everything up in a list, takes too long.
const STEPS: usize = 400;

fuzz_target!(|program: &[u8]| {
    let mut rest = program.iter().copied();
    let mut stack: Vec<Noun> = Vec::new();
    for _ in 0..STEPS {
        let Some(step) = rest.next() else { break };
        let argument = usize::from(step >> 3);
        let noun = match (step & 7, stack.len()) {
            // The nouns below the top one as a cell, so that chains and trees are short to say.
            (0 | 1, 2..) => match (stack.pop(), stack.pop()) {
                (Some(tail), Some(head)) => Noun::cell(head, tail),
                _ => return,
            },
            // The same noun again: shared in memory, or only equal.
            (2, 1..) => stack[argument % stack.len()].clone(),
            (3, 1..) => {
                let noun = &stack[stack.len() - 1 - argument % stack.len()];
                match cue(&jam(noun)) {
                    Ok(copy) => copy,
                    Err(error) => panic!("a jam is refused: {error}"),
                }
            }
            (4, _) => Noun::atom(u64::from(step >> 3)),
            // Around the lengths at which atoms begin to be referred to, and that of a word.
            (5, _) => Noun::from_le_bytes(&rest.by_ref().take(argument % 4).collect::<Vec<_>>()),
            (6, _) => Noun::from_le_bytes(&rest.by_ref().take(argument).collect::<Vec<_>>()),
            _ => Noun::from_le_bytes(&[&vec![0; argument][..], &[1]].concat()),
        };
        stack.push(noun);
    }
    let noun = Noun::list(stack);
    let jammed = jam(&noun);
    let Some(model) = jam_model::jam(&noun) else {
        return;
    };
    assert!(model == jammed, "the model writes other bytes");
    assert!(
        jam_model::cue(&jammed).is_ok_and(|read| read == noun && read.mug() == noun.mug()),
        "the model reads another noun"
    );
    assert!(
        cue(&jammed).is_ok_and(|read| read == noun && jam(&read) == jammed),
        "another noun is read"
    );
});
