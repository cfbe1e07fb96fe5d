//! The standard error where images are not independent.

use super::estimate::FrechetEstimate;
use crate::error::{Result, same_length};
use std::collections::BTreeMap;

impl FrechetEstimate {
    /// The standard error of `fid` where images of one group count as one draw:
    /// `sqrt(g / (g - 1) sum_groups (sum phi)^2) / n` with g groups; `None` for a single group, which says nothing of
    /// its spread.
    ///
    /// With copies as groups ([`equal_rows`](crate::equal_rows)) a set of n images of which g differ has the error bar
    /// of g draws. With all images in groups of their own this is `se`.
    ///
    /// # Errors
    /// [`MetricError::LengthMismatch`](crate::MetricError::LengthMismatch) unless there is one group an image; estimates
    /// made from statistics have no images.
    ///
    /// # Examples
    /// ```
    /// use dubench_metrics::{EstimateOptions, Features, Gaussian, Reference, equal_rows};
    /// use ndarray::{Array2, array, concatenate, Axis};
    /// let reference = Reference::new(Gaussian::new(array![0.0], array![[1.0]], None)?)?;
    /// let once = Array2::from_shape_fn((100, 1), |(i, _)| (i as f64 * 0.618_034).fract() * 4.0);
    /// let four_times = concatenate![Axis(0), once, once, once, once];
    /// let groups = equal_rows(&[Features::from(&four_times)]).remove(0);
    /// let of = |rows| reference.estimate(rows, &EstimateOptions::default());
    /// let (one, four) = (of(&once)?, of(&four_times)?);
    /// assert!(four.se < 0.51 * one.se); // as if there were 400 images
    /// let grouped = four.se_by_group(&groups)?.unwrap();
    /// assert!((grouped / one.se - 1.0).abs() < 0.01); // there are 100
    /// # Ok::<(), dubench_metrics::MetricError>(())
    /// ```
    pub fn se_by_group(&self, groups: &[usize]) -> Result<Option<f64>> {
        same_length("the groups of a sample", groups.len(), self.influence.len())?;
        let mut totals: BTreeMap<usize, f64> = BTreeMap::new();
        for (&group, phi) in groups.iter().zip(&self.influence) {
            *totals.entry(group).or_default() += phi;
        }
        if totals.len() < 2 {
            return Ok(None);
        }
        let g = totals.len() as f64;
        let squares: f64 = totals.values().map(|total| total * total).sum();
        Ok(Some((g / (g - 1.0) * squares).sqrt() / groups.len() as f64))
    }
}
