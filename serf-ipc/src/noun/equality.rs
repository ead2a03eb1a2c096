//! Equality of nouns in time linear in the cells in memory, however they are shared.
//!
//! Two cells that are both held once are met once for each time their parents are compared, so they need no
//! record. Where one is shared, the pair is entered in a union-find forest, on the assumption that both are equal:
//! each assumption merges two classes, so there are fewer of them than cells, and if one is wrong, the whole
//! comparison answers no and the forest is discarded (Hopcroft and Karp's algorithm for automata).

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::ptr;
use std::sync::Arc;

use super::{Cell, Noun, Repr};

impl PartialEq for Noun {
    fn eq(&self, other: &Noun) -> bool {
        Unifier::default().equal(self, other)
    }
}

impl Eq for Noun {}

impl Hash for Noun {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u32(self.table_hash());
    }
}

/// Classes of shared cells that are known to be equal, kept across comparisons. The address of a cell stands for it, so
/// it is of use only while every noun that it has seen is borrowed.
#[derive(Default)]
pub(super) struct Unifier {
    parents: HashMap<*const Cell, *const Cell>,
}

impl Unifier {
    /// Whether two nouns are equal. A `false` forgets everything.
    pub(super) fn equal(&mut self, a: &Noun, b: &Noun) -> bool {
        let equal = self.unify(a, b);
        if !equal {
            self.parents.clear();
        }
        equal
    }

    fn unify(&mut self, a: &Noun, b: &Noun) -> bool {
        let mut todo = Vec::new();
        let mut pair = Some((a, b));
        while let Some((a, b)) = pair {
            match (&a.0, &b.0) {
                (Repr::Direct(a), Repr::Direct(b)) if a == b => pair = todo.pop(),
                (Repr::Big(a), Repr::Big(b)) if a.bytes() == b.bytes() => pair = todo.pop(),
                (Repr::Cell(a), Repr::Cell(b)) => {
                    if Arc::ptr_eq(a, b) {
                        pair = todo.pop();
                    } else if a.hash != b.hash {
                        return false;
                    } else if self.assumed(a, b) {
                        pair = todo.pop();
                    } else {
                        todo.push((&a.tail, &b.tail));
                        pair = Some((&a.head, &b.head));
                    }
                }
                _ => return false,
            }
        }
        true
    }

    /// Whether two cells are already taken to be equal; from now on they are.
    fn assumed(&mut self, a: &Arc<Cell>, b: &Arc<Cell>) -> bool {
        if Arc::strong_count(a) == 1 && Arc::strong_count(b) == 1 {
            return false;
        }
        let (a, b) = (self.class(Arc::as_ptr(a)), self.class(Arc::as_ptr(b)));
        if !ptr::eq(a, b) {
            self.parents.insert(a, b);
        }
        ptr::eq(a, b)
    }

    /// The cell that stands for the class of this one; halves the way there.
    fn class(&mut self, mut cell: *const Cell) -> *const Cell {
        while let Some(&parent) = self.parents.get(&cell) {
            if let Some(&grandparent) = self.parents.get(&parent) {
                self.parents.insert(cell, grandparent);
            }
            cell = parent;
        }
        cell
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use crate::{Noun, cue, jam, n};

    /// Of 400,000 hashes of 32 bits some twenty pairs are equal. Different nouns stay different all the same.
    #[test]
    fn different_nouns_with_one_hash() {
        let mut seen: HashMap<u32, Noun> = HashMap::new();
        let mut clashes = 0;
        for value in 0..400_000_u64 {
            let noun = n![value, n![value, value]];
            let Some(other) = seen.insert(noun.table_hash(), noun.clone()) else {
                continue;
            };
            assert_ne!(noun, other);
            // Shared, so that both are entered as equal before they turn out not to be.
            let pair = n![n![noun, 1u8], n![other, 1u8], noun, other];
            assert_eq!(cue(&jam(&pair)), Ok(pair.clone()));
            assert_ne!(n![pair, noun], n![pair, other]);
            clashes += 1;
        }
        assert!(clashes > 0, "the hash does not look like one of 32 random bits");
    }
}
