//! The area under a sparsification curve, exactly, and its derivative by the weight of each pixel.

use std::ops::Range;

/// Pixels in the order in which they are kept longest: least uncertain first.
pub(super) struct Ranked<'a> {
    /// Pixel of each rank.
    pub(super) order: &'a [u32],
    /// Squared error of each pixel.
    pub(super) squared_error: &'a [f64],
    /// Ranks with equal uncertainty, in order.
    pub(super) ties: Vec<Range<usize>>,
}

/// A curve by number of pixels kept.
pub(super) struct ExactCurve {
    /// `c[i]`: root mean squared error of the i + 1 pixels kept.
    pub(super) rmse_of_kept: Vec<f64>,
    /// The area, `1/n sum_i c[i]`.
    pub(super) area: f64,
}

impl<'a> Ranked<'a> {
    /// `same(a, b)`: whether pixels a and b are equally uncertain.
    pub(super) fn new(
        order: &'a [u32],
        squared_error: &'a [f64],
        same: impl Fn(usize, usize) -> bool,
    ) -> Self {
        let mut ties = Vec::new();
        let mut start = 0;
        for rank in 1..=order.len() {
            let ended =
                rank == order.len() || !same(order[rank - 1] as usize, order[rank] as usize);
            if ended {
                ties.push(start..rank);
                start = rank;
            }
        }
        Self { order, squared_error, ties }
    }

    fn error(&self, rank: usize) -> f64 {
        self.squared_error[self.order[rank] as usize]
    }

    /// The curve. Within a tie every pixel stands for the mean of the tie, so no order among them is preferred.
    pub(super) fn curve(&self) -> ExactCurve {
        let mut rmse_of_kept = Vec::with_capacity(self.order.len());
        let mut sum = 0.0;
        for tie in &self.ties {
            let total: f64 = tie.clone().map(|rank| self.error(rank)).sum();
            let mean = total / tie.len() as f64;
            for (offset, rank) in tie.clone().enumerate() {
                let kept = sum + mean * (offset + 1) as f64;
                rmse_of_kept.push((kept / (rank + 1) as f64).sqrt());
            }
            sum += total;
        }
        let area = rmse_of_kept.iter().sum::<f64>() / rmse_of_kept.len() as f64;
        ExactCurve { rmse_of_kept, area }
    }

    /// Adds `sign dA/dw` of each pixel to the total of its image, `images` of `pixels` each.
    ///
    /// With weights, `A = sum_i (w_i / W) sqrt(S_i / W_i)` over ranks, where `S_i` and `W_i` are sums up to rank i.
    /// At unit weights
    /// `dA/dw_l = 1/n [c_l - A + 1/2 (e_l sum_{i >= l} 1 / (i c_i) - sum_{i >= l} c_i / i)]`.
    pub(super) fn add_derivative(
        &self,
        curve: &ExactCurve,
        sign: f64,
        pixels: usize,
        totals: &mut [f64],
    ) {
        let n = self.order.len() as f64;
        let (mut inverse, mut ratio) = (0.0, 0.0);
        for tie in self.ties.iter().rev() {
            let (mut constant, mut slope) = (0.0, 0.0);
            for rank in tie.clone().rev() {
                let (c, kept) = (curve.rmse_of_kept[rank], (rank + 1) as f64);
                if c > 0.0 {
                    inverse += 1.0 / (kept * c);
                }
                ratio += c / kept;
                constant += c - curve.area - 0.5 * ratio;
                slope += 0.5 * inverse;
            }
            let size = tie.len() as f64;
            for rank in tie.clone() {
                let derivative = (constant + self.error(rank) * slope) / size;
                totals[self.order[rank] as usize / pixels] += sign * derivative / n;
            }
        }
    }
}
