//! Lockstep streaming: messages as hash trees whose leaves can each be checked as they come in order
//! (`spec/drivers.md` section 9).
//!
//! The tree is BLAKE3's, of chunks of 1,024 bytes, without the flag that marks its root. A first packet has the proof: the
//! hash of leaf 0, and of its sibling at each height along the left edge, which are all that the root is made of. Some of
//! the leaves then carry a pair: the two children of a subtree to their right, whose own hash is known already.

use blake3::{
    Hasher,
    hazmat::{HasherExt, Mode, merge_subtrees_non_root},
};

/// Bytes of a hash.
pub(crate) const HASH: usize = 32;
/// Bytes of a leaf.
pub(crate) const LEAF: usize = 1024;

/// The hash of a leaf or of a subtree.
pub(crate) type Hash = [u8; HASH];
/// The hashes of a subtree's two halves.
pub(crate) type Pair = [Hash; 2];

/// How many leaves a message of so many bytes has.
pub(crate) fn leaves(total: u64) -> u64 {
    total.div_ceil(LEAF as u64)
}

/// How many hashes the proof of so many leaves (at least one) has.
pub(crate) fn proof_len(leaves: u64) -> usize {
    1 + bit_length(leaves - 1) as usize
}

/// The hash of a leaf with this number.
fn leaf_hash(leaf: &[u8], number: u64) -> Hash {
    let mut hasher = Hasher::new();
    hasher.set_input_offset(number * LEAF as u64);
    hasher.update(leaf);
    hasher.finalize_non_root()
}

/// The hash of two subtrees side by side.
fn parent_hash(left: &Hash, right: &Hash) -> Hash {
    merge_subtrees_non_root(left, right, Mode::Hash)
}

/// The root that a proof proves; None of an empty one.
pub(crate) fn root(proof: &[Hash]) -> Option<Hash> {
    proof
        .iter()
        .copied()
        .reduce(|left, right| parent_hash(&left, &right))
}

/// Whether a leaf of so many carries a pair.
pub(crate) fn has_pair(leaves: u64, number: u64) -> bool {
    number != 0 && number + (2 << number.trailing_zeros()) < leaves
}

/// How many bits a number has; 0 has none.
fn bit_length(number: u64) -> u32 {
    64 - number.leading_zeros()
}

/// Checks a message's leaves, one after the other.
#[derive(Debug)]
pub(crate) struct Verifier {
    leaves: u64,
    next: u64,
    /// By height, the hashes that are known and not used yet.
    known: Vec<Pair>,
}

impl Verifier {
    /// A verifier of so many leaves (at least one) by this proof; None when the proof's length is another's.
    pub(crate) fn new(leaves: u64, proof: &[Hash]) -> Option<Verifier> {
        let (first, siblings) = proof.split_first()?;
        if leaves == 0 || proof.len() != proof_len(leaves) {
            return None;
        }
        let mut known = vec![Pair::default(); siblings.len().max(1)];
        known[0][0] = *first;
        for (pair, sibling) in known.iter_mut().zip(siblings) {
            pair[1] = *sibling;
        }
        Some(Verifier {
            leaves,
            next: 0,
            known,
        })
    }

    /// The number of the leaf that is next.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Takes the next leaf, and the pair that came with it. False if either is not the message's: nothing has changed.
    pub(crate) fn take(&mut self, leaf: &[u8], pair: Option<&Pair>) -> bool {
        let number = self.next;
        let is_leaf = (1..=LEAF).contains(&leaf.len());
        let is_sound = number < self.leaves
            && is_leaf
            && self.is_known(number, 0, &leaf_hash(leaf, number))
            && pair.is_some() == has_pair(self.leaves, number);
        if !is_sound {
            return false;
        }
        if let Some(pair) = pair {
            let height = number.trailing_zeros();
            let first = number + (1 << height);
            if !self.is_known(first, height + 1, &parent_hash(&pair[0], &pair[1])) {
                return false;
            }
            self.known[height as usize] = *pair;
        }
        self.next += 1;
        true
    }

    /// Whether the subtree of this height that begins with this leaf has this hash.
    ///
    /// A tree whose leaves are no power of two has pairs of unlike height, whose right halves stand where a full one would: as many
    /// places higher as there are such pairs right above.
    fn is_known(&self, leaf: u64, height: u32, hash: &Hash) -> bool {
        let last = self.leaves - 1;
        let missing = (1 << bit_length(last)) - self.leaves;
        let below = (1 << bit_length(leaf ^ last)) - 1;
        let height = height + ((missing & !below) >> height).trailing_ones();
        let side = (leaf >> height & 1) as usize;
        let known = self.known.get(height as usize);
        known.is_some_and(|pair| pair[side] == *hash)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A message's tree, made the plain way: the proof, and each leaf's pair.
    pub(crate) struct Tree {
        pub(crate) proof: Vec<Hash>,
        pub(crate) pairs: Vec<Option<Pair>>,
    }

    pub(crate) fn leaf(message: &[u8], number: u64) -> &[u8] {
        let from = number as usize * LEAF;
        &message[from..message.len().min(from + LEAF)]
    }

    fn subtree(message: &[u8], first: u64, count: u64) -> Hash {
        if count == 1 {
            return leaf_hash(leaf(message, first), first);
        }
        let left = 1 << (bit_length(count - 1) - 1);
        let [left, right] = halves(message, first, count, left);
        parent_hash(&left, &right)
    }

    fn halves(message: &[u8], first: u64, count: u64, left: u64) -> Pair {
        [
            subtree(message, first, left),
            subtree(message, first + left, count - left),
        ]
    }

    impl Tree {
        pub(crate) fn of(message: &[u8]) -> Tree {
            let leaves = leaves(message.len() as u64);
            let mut proof = vec![subtree(message, 0, 1)];
            let mut covered = 1;
            while covered < leaves {
                let sibling = covered.min(leaves - covered);
                proof.push(subtree(message, covered, sibling));
                covered *= 2;
            }
            let pair = |number: u64| {
                has_pair(leaves, number).then(|| {
                    let half = 1 << number.trailing_zeros();
                    let first = number + half;
                    halves(message, first, (2 * half).min(leaves - first), half)
                })
            };
            Tree {
                proof,
                pairs: (0..leaves).map(pair).collect(),
            }
        }
    }

    /// A message like a noun's jam, which never ends with a zero.
    pub(crate) fn message(len: usize) -> Vec<u8> {
        (0..len)
            .map(|at| (at ^ at >> 8) as u8 | u8::from(at + 1 == len))
            .collect()
    }

    #[test]
    fn the_root_is_the_whole_tree() {
        for len in [1, 1023, 1024, 1025, 2048, 5125, 7 * 1024 + 1, 17_920] {
            let message = message(len);
            let tree = Tree::of(&message);
            let count = leaves(len as u64);
            assert_eq!(tree.proof.len(), proof_len(count));
            assert_eq!(root(&tree.proof), Some(subtree(&message, 0, count)), "{len}");
        }
        assert_eq!(root(&[]), None);
    }

    #[test]
    fn a_leaf_is_a_chunk_of_blake3() {
        // Of two chunks BLAKE3's own hash is known through its public door.
        let message = message(2048);
        let tree = Tree::of(&message);
        let whole = blake3::hazmat::merge_subtrees_root(&tree.proof[0], &tree.proof[1], Mode::Hash);
        assert_eq!(whole, blake3::hash(&message));
    }

    #[test]
    fn every_leaf_of_every_tree_is_taken_in_its_turn() {
        let edges = [2048, 2050, 3072, 5125, 17_920, 131_072, 131_073];
        for len in (1..40).map(|n| n * 1024 - 7).chain(edges) {
            let message = message(len);
            let tree = Tree::of(&message);
            let count = leaves(len as u64);
            let mut verifier = Verifier::new(count, &tree.proof).unwrap();
            for number in 0..count {
                let pair = tree.pairs[number as usize].as_ref();
                assert_eq!(verifier.next(), number);
                assert!(
                    verifier.take(leaf(&message, number), pair),
                    "leaf {number} of {count}"
                );
            }
            assert!(!verifier.take(b"", None), "there is no leaf {count}");
        }
    }

    #[test]
    fn nothing_false_is_taken_and_the_truth_after_it_is() {
        for len in [3 * 1024, 7 * 1024 + 1, 13 * 1024 + 5] {
            let message = message(len);
            let tree = Tree::of(&message);
            let count = leaves(len as u64);
            let mut verifier = Verifier::new(count, &tree.proof).unwrap();
            for number in 0..count {
                let (leaf, pair) = (leaf(&message, number), &tree.pairs[number as usize]);
                let mut bad = leaf.to_vec();
                bad[0] ^= 1;
                assert!(!verifier.take(&bad, pair.as_ref()));
                assert!(!verifier.take(&leaf[1..], pair.as_ref()));
                assert!(!verifier.take(&[leaf, &[0; LEAF]].concat(), pair.as_ref()));
                let strange = match pair {
                    Some(_) => None,
                    None => Some(Pair::default()),
                };
                assert!(!verifier.take(leaf, strange.as_ref()));
                if let Some([left, right]) = pair {
                    assert!(!verifier.take(leaf, Some(&[*right, *left])));
                }
                assert!(verifier.take(leaf, pair.as_ref()));
            }
        }
    }

    #[test]
    fn a_proof_has_its_length() {
        let tree = Tree::of(&message(5 * 1024));
        assert!(Verifier::new(0, &tree.proof).is_none());
        assert!(Verifier::new(4, &tree.proof).is_none());
        assert!(Verifier::new(5, &tree.proof[1..]).is_none());
        assert!(Verifier::new(5, &[]).is_none());
        assert!(Verifier::new(5, &tree.proof).is_some());
    }
}
