//! Random numbers of a seed: SplitMix64, small enough to be read and the same for ever.

use std::ops::Range;

/// A sequence of random numbers.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The sequence of `seed` for one use of it.
    #[must_use]
    pub fn new(seed: u64, purpose: u64) -> Dice {
        let mut dice = Dice(seed ^ purpose.wrapping_mul(0xd6e8_feb8_6659_fd93));
        // Neighbouring seeds drift apart.
        let (first, second) = (dice.next(), dice.next());
        Dice(first ^ second.rotate_left(32))
    }

    /// The next number.
    #[expect(clippy::should_implement_trait, reason = "it never ends")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One of `range`, which is not empty.
    pub fn of(&mut self, range: Range<u64>) -> u64 {
        assert!(range.start < range.end, "there is something to choose from");
        range.start + self.next() % (range.end - range.start)
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.of(0..times) == 0
    }

    /// Two different ones below `count`, which is at least 2.
    pub fn pair(&mut self, count: usize) -> (usize, usize) {
        let one = self.of(0..count as u64) as usize;
        let other = self.of(0..count as u64 - 1) as usize;
        (one, if other < one { other } else { other + 1 })
    }
}
