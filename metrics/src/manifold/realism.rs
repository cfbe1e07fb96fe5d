//! Scores of single images by the real images around them: realism and rarity.

use super::blocks::{Cloud, squared_distance};
use super::overlap::mean_row;
use super::radii::squared_radii;
use crate::error::{MetricError, Result, same_length};
use crate::features::Features;
use rayon::prelude::*;

/// Realism of each fake row: `R(y) = max_x r_k(x) / d(x, y)` over real rows `x` whose reach `r_k(x)` (distance to the k-th
/// nearest other real row) is at most the median reach (Kynkäänniemi et al. 2019, arXiv:1904.06991, section 4).
///
/// Higher is more like a real image; at 1 or above the row lies inside a ball that was kept. Balls above the median are left
/// out: few and far real images would make everything between them realistic. A copy of a real image has realism infinity.
/// The paper has k = 3.
///
/// DIFFERENCE: implementations add 1e-5 to squared distances, or 1e-6 to distances, against a division by zero; here nothing
/// is added, so values are a little larger and the order is the same. Distances are f64 throughout.
///
/// # Errors
/// [`MetricError::LengthMismatch`] if the dimensions differ, [`MetricError::TooFewSamples`] for `k` real rows or fewer or no
/// fake ones, [`MetricError::NonFinite`], [`MetricError::OutOfRange`] for `k = 0`.
///
/// # Examples
/// ```
/// use dubench_metrics::manifold::realism;
/// use ndarray::array;
/// let real = array![[0.0], [1.0], [2.0], [12.0]]; // reaches 1, 1, 1, 10 for k = 1; the last one is left out
/// let scores = realism(&array![[4.0], [2.5], [11.0], [2.0]], &real, 1)?;
/// assert_eq!(scores, [0.5, 2.0, 1.0 / 9.0, f64::INFINITY]);
/// # Ok::<(), dubench_metrics::MetricError>(())
/// ```
pub fn realism<'a, 'b>(
    fake: impl Into<Features<'a>>,
    real: impl Into<Features<'b>>,
    k: usize,
) -> Result<Vec<f64>> {
    let spheres = Spheres::new(fake.into(), real.into(), k)?;
    let mut sorted = spheres.squared_radii.clone();
    sorted.sort_by(f64::total_cmp);
    let (low, high) = ((sorted.len() - 1) / 2, sorted.len() / 2);
    let median = f64::midpoint(sorted[low].sqrt(), sorted[high].sqrt());
    let kept: Vec<usize> =
        (0..sorted.len()).filter(|&i| spheres.squared_radii[i].sqrt() <= median).collect();
    Ok(spheres.of_each_fake(|row| {
        let ratio = |&i: &usize| match spheres.squared_distance(row, i) {
            0.0 => f64::INFINITY,
            distance => spheres.squared_radii[i] / distance,
        };
        kept.iter().map(ratio).fold(0.0, f64::max).sqrt()
    }))
}

/// Rarity of each fake row: the least reach `r_k(x)` of a real row `x` whose open ball holds it; `None` outside all balls
/// (Han et al. 2022, arXiv:2206.08549).
///
/// Higher is rarer among real images. The paper has k = 3.
///
/// DIFFERENCE: the released code gives 0 outside all balls, which reads as the least rare; here there is no number.
///
/// # Errors
/// As [`realism`].
///
/// # Examples
/// ```
/// use dubench_metrics::manifold::rarity;
/// use ndarray::array;
/// let real = array![[0.0], [1.0], [2.0], [12.0]]; // reaches 1, 1, 1, 10 for k = 1
/// let scores = rarity(&array![[0.5], [5.0], [2.0], [30.0]], &real, 1)?;
/// assert_eq!(scores, [Some(1.0), Some(10.0), Some(1.0), None]);
/// # Ok::<(), dubench_metrics::MetricError>(())
/// ```
pub fn rarity<'a, 'b>(
    fake: impl Into<Features<'a>>,
    real: impl Into<Features<'b>>,
    k: usize,
) -> Result<Vec<Option<f64>>> {
    let spheres = Spheres::new(fake.into(), real.into(), k)?;
    Ok(spheres.of_each_fake(|row| {
        let holds = |(i, radius): (usize, &f64)| {
            (spheres.squared_distance(row, i) < *radius).then_some(*radius)
        };
        let holding = spheres.squared_radii.iter().enumerate().filter_map(holds);
        holding.min_by(f64::total_cmp).map(f64::sqrt)
    }))
}

/// Balls around real rows, and the rows that are held against them.
struct Spheres<'a, 'b> {
    fake: Features<'a>,
    real: Features<'b>,
    squared_radii: Vec<f64>,
}

impl<'a, 'b> Spheres<'a, 'b> {
    fn new(fake: Features<'a>, real: Features<'b>, k: usize) -> Result<Self> {
        same_length("the features of the fake set", fake.dim(), real.dim())?;
        if k == 0 {
            return Err(MetricError::out_of_range("k of the nearest neighbour", 0, "at least 1"));
        }
        real.check_finite("the real set")?;
        fake.check_finite("the fake set")?;
        crate::error::at_least("the fake set", fake.n(), 1)?;
        let centre = mean_row(real);
        let cloud = Cloud::new(real, &centre, "the real set", k.saturating_add(1))?;
        Ok(Self { fake, real, squared_radii: squared_radii(&cloud, k) })
    }

    fn of_each_fake<T: Send>(&self, score: impl Fn(usize) -> T + Send + Sync) -> Vec<T> {
        (0..self.fake.n()).into_par_iter().map(score).collect()
    }

    fn squared_distance(&self, fake: usize, real: usize) -> f64 {
        squared_distance(self.fake, fake, self.real, real)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};

    #[test]
    fn f32_rows_give_what_f64_rows_give() {
        let rows = |n: usize, d: usize| {
            Array2::from_shape_fn((n, d), |(i, j)| ((i * 37 + j * 11) % 23) as f32 - 9.0)
        };
        let (fake, real) = (rows(40, 9) + 0.5, rows(30, 9));
        let (wide_fake, wide_real) = (fake.mapv(f64::from), real.mapv(f64::from));
        assert_eq!(realism(&fake, &real, 3).unwrap(), realism(&wide_fake, &wide_real, 3).unwrap());
        assert_eq!(rarity(&fake, &real, 3).unwrap(), rarity(&wide_fake, &wide_real, 3).unwrap());
    }

    #[test]
    fn the_rim_of_a_ball_is_outside_and_scale_moves_rarity_alone() {
        let real = array![[0.0], [1.0], [2.0], [4.0]]; // reaches 1, 1, 1, 2 for k = 1
        assert_eq!(rarity(&array![[3.0], [2.0]], &real, 1).unwrap(), [Some(2.0), Some(1.0)]);
        assert_eq!(rarity(&array![[6.0]], &real, 1).unwrap(), [None]);
        let fake = array![[3.0], [7.0]];
        let (one, ten) = (
            realism(&fake, &real, 1).unwrap(),
            realism(&(10.0 * &fake), &(10.0 * &real), 1).unwrap(),
        );
        assert_eq!(one, ten);
        assert_eq!(one, [1.0, 0.2]);
    }

    #[test]
    fn copies_of_each_other_in_the_real_set_have_balls_of_no_reach() {
        let real = array![[0.0], [0.0], [5.0], [6.0]]; // reaches 0, 0, 1, 1; the median is 1/2
        assert_eq!(realism(&array![[5.5], [0.0]], &real, 1).unwrap(), [0.0, f64::INFINITY]);
        assert_eq!(rarity(&array![[0.0]], &real, 1).unwrap(), [None]);
    }

    #[test]
    fn too_few_real_images_and_other_features_are_refused() {
        let (real, fake) = (array![[0.0], [1.0], [2.0]], array![[0.0]]);
        assert!(matches!(realism(&fake, &real, 3), Err(MetricError::TooFewSamples { .. })));
        assert!(matches!(rarity(&fake, &real, 0), Err(MetricError::OutOfRange { .. })));
        let wide = array![[0.0, 1.0]];
        assert!(matches!(rarity(&wide, &real, 1), Err(MetricError::LengthMismatch { .. })));
        let empty = Array2::<f64>::zeros((0, 1));
        assert!(matches!(realism(&empty, &real, 1), Err(MetricError::TooFewSamples { .. })));
        let nan = array![[f64::NAN]];
        assert!(matches!(realism(&nan, &real, 1), Err(MetricError::NonFinite { .. })));
    }
}
