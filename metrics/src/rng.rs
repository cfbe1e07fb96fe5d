//! Random subsets that depend on a seed and an index alone.

/// Draws subsets of rows: subset `i` is the same whichever others are drawn, and by which thread.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subsets {
    seed: u64,
}

impl Subsets {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// `k` of `0..n` without replacement, ascending: the start of a Fisher-Yates shuffle, sorted.
    pub(crate) fn draw(self, index: usize, n: usize, k: usize) -> Vec<usize> {
        let mut stream = SplitMix64::keyed(self.seed, index as u64);
        let mut order: Vec<usize> = (0..n).collect();
        for i in 0..k.min(n) {
            let j = i + stream.below(n - i);
            order.swap(i, j);
        }
        order.truncate(k);
        order.sort_unstable();
        order
    }
}

/// The members of `0..n` that are not in `subset`, which ascends.
pub(crate) fn complement(subset: &[usize], n: usize) -> Vec<usize> {
    let mut members = subset.iter().copied().peekable();
    (0..n).filter(|i| members.next_if_eq(i).is_none()).collect()
}

/// The generator of Steele, Lea and Flood (2014): a counter and a mixing function.
#[derive(Debug, Clone)]
pub(crate) struct SplitMix64 {
    state: u64,
}

impl SplitMix64 {
    /// The stream `index` of `seed`.
    pub(crate) fn keyed(seed: u64, index: u64) -> Self {
        let mut seeded = Self { state: seed };
        let mut keyed =
            Self { state: seeded.next_u64() ^ index.wrapping_mul(0xD134_2543_DE82_EF95) };
        Self { state: keyed.next_u64() }
    }

    pub(crate) fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform on `0..bound`, without bias: words past the last whole multiple of `bound` are drawn again.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let bound = bound as u64;
        let limit = u64::MAX - u64::MAX % bound;
        loop {
            let word = self.next_u64();
            if word < limit {
                #[expect(clippy::cast_possible_truncation, reason = "below bound, a usize")]
                return (word % bound) as usize;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitmix_gives_the_published_sequence() {
        let mut stream = SplitMix64 { state: 1_234_567 };
        assert_eq!(stream.next_u64(), 6_457_827_717_110_365_317);
        assert_eq!(stream.next_u64(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn subsets_are_ascending_exact_and_uniform() {
        let mut hits = [0_u32; 10];
        for index in 0..2000 {
            let subset = Subsets::new(3).draw(index, 10, 4);
            assert!(subset.windows(2).all(|pair| pair[0] < pair[1]));
            let rest = complement(&subset, 10);
            assert_eq!(subset.len() + rest.len(), 10);
            assert!(rest.iter().all(|i| !subset.contains(i)));
            subset.iter().for_each(|&i| hits[i] += 1);
        }
        assert!(hits.iter().all(|&h| (700..900).contains(&h)), "{hits:?}");
    }
}
