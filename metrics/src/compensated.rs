//! Sums that carry their rounding error with them.

/// An array of sums, each an unevaluated pair `high + low` with about 106 bits.
///
/// Why? Adding f64 block sums in another order changes the last bit. With the error kept, the order moves
/// only bits far below the last one of the rounded result, so shards can be merged in any order and rows
/// taken out again.
#[derive(Debug, Clone)]
pub(crate) struct CompensatedSums {
    high: Vec<f64>,
    low: Vec<f64>,
}

impl CompensatedSums {
    /// `len` zeros.
    pub(crate) fn zeros(len: usize) -> Self {
        Self { high: vec![0.0; len], low: vec![0.0; len] }
    }

    /// The two parts, for code that adds to slices in parallel.
    pub(crate) fn parts_mut(&mut self) -> (&mut [f64], &mut [f64]) {
        (&mut self.high, &mut self.low)
    }

    /// Adds `sign` times another array of sums; `sign` is 1 or -1.
    pub(crate) fn add_scaled(&mut self, other: &Self, sign: f64) {
        let parts = self.high.iter_mut().zip(&mut self.low);
        for ((high, low), (&other_high, &other_low)) in parts.zip(other.high.iter().zip(&other.low))
        {
            add(high, low, sign * other_high);
            add(high, low, sign * other_low);
        }
    }

    /// Sum `i`, rounded to f64.
    pub(crate) fn value(&self, i: usize) -> f64 {
        self.high[i] + self.low[i]
    }
}

/// Adds `term` to `high + low` (Knuth's two-sum, then renormalised).
#[inline]
pub(crate) fn add(high: &mut f64, low: &mut f64, term: f64) {
    let sum = *high + term;
    let shadow = sum - *high;
    let error = (*high - (sum - shadow)) + (term - shadow);
    let rest = *low + error;
    let total = sum + rest;
    *low = rest - (total - sum);
    *high = total;
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "the sum is exact")]
mod tests {
    use super::*;

    #[test]
    fn what_f64_alone_would_lose_is_kept() {
        let (mut high, mut low) = (0.0, 0.0);
        for term in [1.0, 1e-20, -1.0] {
            add(&mut high, &mut low, term);
        }
        assert_eq!(high + low, 1e-20);
    }
}
