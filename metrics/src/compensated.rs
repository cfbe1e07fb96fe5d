//! Sums that carry their rounding error with them.

use crate::simd::{Kernel, vectorised};

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
        let signed = |values: &[f64]| values.iter().map(|v| sign * v).collect::<Vec<f64>>();
        add_all(&mut self.high, &mut self.low, &signed(&other.high));
        add_all(&mut self.high, &mut self.low, &signed(&other.low));
    }

    /// Sum `i`, rounded to f64.
    pub(crate) fn value(&self, i: usize) -> f64 {
        self.high[i] + self.low[i]
    }
}

/// Adds `terms` to `high + low`, element by element (Knuth's two-sum, then renormalised).
pub(crate) fn add_all(high: &mut [f64], low: &mut [f64], terms: &[f64]) {
    vectorised(AddAll { high, low, terms });
}

struct AddAll<'a> {
    high: &'a mut [f64],
    low: &'a mut [f64],
    terms: &'a [f64],
}

impl Kernel for AddAll<'_> {
    type Output = ();

    #[expect(clippy::inline_always, reason = "see `Kernel`")]
    #[inline(always)]
    fn run(self) {
        for ((high, low), &term) in self.high.iter_mut().zip(self.low).zip(self.terms) {
            let sum = *high + term;
            let shadow = sum - *high;
            let error = (*high - (sum - shadow)) + (term - shadow);
            let rest = *low + error;
            let total = sum + rest;
            *low = rest - (total - sum);
            *high = total;
        }
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "the sum is exact")]
mod tests {
    use super::*;

    #[test]
    fn what_f64_alone_would_lose_is_kept() {
        let (mut high, mut low) = ([0.0], [0.0]);
        for term in [1.0, 1e-20, -1.0] {
            add_all(&mut high, &mut low, &[term]);
        }
        assert_eq!(high[0] + low[0], 1e-20);
    }
}
