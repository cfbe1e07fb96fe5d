//! The area under a sparsification curve, exactly, and its derivative by the weight of each pixel.

use super::order::Packed;
use rayon::prelude::*;

/// Pixels in the order in which they are kept longest: least uncertain first.
pub(super) struct Ranked<P> {
    /// Uncertainty and pixel of each rank.
    pub(super) order: Vec<P>,
    /// Squared error of each rank.
    pub(super) squared: Vec<f64>,
}

/// A curve by number of pixels kept.
pub(super) struct ExactCurve {
    /// `c[i]`: root mean squared error of the i + 1 pixels kept.
    pub(super) rmse_of_kept: Vec<f64>,
    /// The area, `1/n sum_i c[i]`.
    pub(super) area: f64,
}

impl<P: Packed> Ranked<P> {
    /// `squared`: the squared error of a pixel.
    pub(super) fn new(order: Vec<P>, squared: impl Fn(P) -> f64 + Sync) -> Self {
        let squared = order.par_iter().with_min_len(1 << 14).map(|&p| squared(p)).collect();
        Self { order, squared }
    }

    /// The curve. Within a tie every pixel stands for the mean of the tie, so no order among them is preferred.
    pub(super) fn curve(&self) -> ExactCurve {
        let mut rmse_of_kept = Vec::with_capacity(self.order.len());
        let (mut sum, mut area, mut rank) = (0.0, 0.0, 0);
        for tie in self.order.chunk_by(|a, b| a.ties_with(*b)) {
            let total: f64 = self.squared[rank..rank + tie.len()].iter().sum();
            let mean = total / tie.len() as f64;
            for offset in 1..=tie.len() {
                rank += 1;
                let rmse = ((sum + mean * offset as f64) / rank as f64).sqrt();
                area += rmse;
                rmse_of_kept.push(rmse);
            }
            sum += total;
        }
        area /= rmse_of_kept.len() as f64;
        ExactCurve { rmse_of_kept, area }
    }

    /// Adds `dA/dw` of each pixel to the total of its image, `images` of `pixels` each.
    ///
    /// With weights, `A = sum_i (w_i / W) sqrt(S_i / W_i)` over ranks, where `S_i` and `W_i` are sums up to rank i.
    /// At unit weights
    /// `dA/dw_l = 1/n [c_l - A + 1/2 (e_l sum_{i >= l} 1 / (i c_i) - sum_{i >= l} c_i / i)]`.
    pub(super) fn add_derivative(&self, curve: &ExactCurve, pixels: usize, totals: &mut [f64]) {
        let n = self.order.len() as f64;
        let (mut inverse, mut ratio) = (0.0, 0.0);
        let mut end = self.order.len();
        for tie in self.order.chunk_by(|a, b| a.ties_with(*b)).rev() {
            let start = end - tie.len();
            let (mut constant, mut slope) = (0.0, 0.0);
            for rank in (start..end).rev() {
                let (c, kept) = (curve.rmse_of_kept[rank], (rank + 1) as f64);
                if c > 0.0 {
                    inverse += 1.0 / (kept * c);
                }
                ratio += c / kept;
                constant += c - curve.area - 0.5 * ratio;
                slope += 0.5 * inverse;
            }
            let scale = 1.0 / (n * tie.len() as f64);
            for (pixel, squared) in tie.iter().zip(&self.squared[start..end]) {
                totals[pixel.pixel() / pixels] += scale * (constant + squared * slope);
            }
            end = start;
        }
    }
}
