//! The entropy of features over networks.

use ndarray::{Array2, Axis, Zip};

/// Spread of the features of each image over the networks that made it: running moments, one set of features at a time.
///
/// # Examples
/// ```
/// use dubench::protocol::generative::FeatureSpread;
/// use ndarray::array;
///
/// let mut spread = FeatureSpread::of(&array![[1.0, 2.0]]);
/// spread.add(&array![[3.0, 2.0]]);
/// // Population variances 1 and 0: H = 1/2 (ln(1 + 0.5) + ln 0.5) + ln(2 pi) + 1.
/// let expected = 0.5 * 0.75_f64.ln() + (2.0 * std::f64::consts::PI).ln() + 1.0;
/// assert!((spread.entropies(0.5)[0] - expected).abs() < 1e-12);
/// ```
#[derive(Clone, Debug)]
pub struct FeatureSpread {
    n: f64,
    mean: Array2<f64>,
    /// Sums of squared distances from the mean.
    squares: Array2<f64>,
}

impl FeatureSpread {
    /// Features `[n, d]` of the first network.
    pub fn of(features: &Array2<f32>) -> Self {
        let mean = features.mapv(f64::from);
        Self { n: 1.0, squares: Array2::zeros(mean.dim()), mean }
    }

    /// Adds the features `[n, d]` of one more network (Welford 1962).
    ///
    /// # Panics
    /// For features of another shape: those of one plan have one.
    pub fn add(&mut self, features: &Array2<f32>) {
        self.n += 1.0;
        let n = self.n;
        Zip::from(&mut self.mean).and(&mut self.squares).and(features).for_each(
            |mean, squares, value| {
                let away = f64::from(*value) - *mean;
                *mean += away / n;
                *squares += away * (f64::from(*value) - *mean);
            },
        );
    }

    /// `H = 1/2 sum_d ln(v_d + sigma^2) + D/2 (ln 2 pi + 1)` of each image, `v_d` the population variance of feature `d` over the
    /// networks, `sigma^2` that which a feature has besides: the entropy of a Gaussian of diagonal covariance (Section 3 of
    /// arXiv:2502.20946, and its released code). Where nothing varies it is `D/2 (ln(2 pi sigma^2) + 1)`, its least.
    pub fn entropies(&self, sigma2: f64) -> Vec<f64> {
        let constant = 0.5 * self.mean.ncols() as f64 * ((2.0 * std::f64::consts::PI).ln() + 1.0);
        let entropy = |squares: ndarray::ArrayView1<'_, f64>| {
            let logs = squares.iter().map(|squares| (squares / self.n + sigma2).ln());
            0.5 * logs.sum::<f64>() + constant
        };
        self.squares.axis_iter(Axis(0)).map(entropy).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `gaussian_entropy` of the released code (metodj/DIFF-UQ, `semantic_likelihood.py`), run with NumPy 2.4.6 on
    /// `sin((m + 1) (i + 2) (d + 3))` for six networks `m`, two images `i`, four features `d`.
    #[test]
    fn the_entropy_is_that_of_the_released_code() {
        let set = |m: usize| {
            Array2::from_shape_fn((2, 4), |(i, d)| (((m + 1) * (i + 2) * (d + 3)) as f32).sin())
        };
        let mut spread = FeatureSpread::of(&set(0));
        (1..6).for_each(|m| spread.add(&set(m)));
        for (got, expected) in spread.entropies(1e-3).into_iter().zip(GOLDEN) {
            assert!((got - expected).abs() < 1e-5, "{got}, expected {expected}");
        }
    }

    const GOLDEN: [f64; 2] = [2.801_951_153_920_981, 3.983_053_158_627_442];

    #[test]
    fn images_that_no_network_changes_are_at_the_floor() {
        let same = Array2::from_shape_fn((3, 7), |(i, d)| (i * 7 + d) as f32);
        let mut spread = FeatureSpread::of(&same);
        (0..5).for_each(|_| spread.add(&same));
        let floor = 3.5 * ((2.0 * std::f64::consts::PI * 1e-3).ln() + 1.0);
        assert!(spread.entropies(1e-3).into_iter().all(|h| (h - floor).abs() < 1e-12));
    }
}
