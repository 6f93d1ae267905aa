//! A small generator of numbers: the same sequence for the same seed, a few nanoseconds each (xorshift64*, Vigna 2016).

/// Never for secrets.
#[derive(Debug, Clone)]
pub(crate) struct Numbers {
    state: u64,
}

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        // Zero is the one state the generator cannot leave; small seeds are spread over the word first.
        Numbers { state: (seed.wrapping_add(1)).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1 }
    }

    /// The next `count` random bits, 1 to 64.
    pub(crate) fn bits(&mut self, count: u32) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> (64 - count)
    }

    /// From 0 (included) to 1 (excluded).
    pub(crate) fn unit(&mut self) -> f64 {
        self.bits(53) as f64 / (1u64 << 53) as f64
    }

    /// True in `share` of the calls.
    pub(crate) fn chance(&mut self, share: f64) -> bool {
        self.unit() < share
    }

    /// From 0 (included) to `end` (excluded).
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.bits(64)) * u128::from(end)) >> 64) as u64
    }

    pub(crate) fn choose<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len() as u64) as usize]
    }
}
