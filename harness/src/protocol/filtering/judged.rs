//! One kept set beside random subsets of its size, and beside the pool that it is kept of.

use dubench_metrics::{
    EstimateOptions, FrechetEstimate, MetricError, RandomNull, Reference, compare_overlapping, holm,
};
use ndarray::{Array2, ArrayView2, Axis};

use crate::protocol::rows::{inf_without_groups, paired_se, verdict};

/// One end of a ranking that is kept.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Places in the pool of the images that are kept, ascending.
    pub images: Vec<u64>,
    /// FID of the kept images, with its error bar.
    pub estimate: FrechetEstimate,
    /// `fid` less the mean over random subsets.
    pub delta: f64,
    /// Standard error that `delta` has over new pools, the threshold held fixed: that of FID(kept) - FID(pool) by the
    /// influence of each image. The mean over random subsets moves as the pool does.
    pub delta_se_pools: f64,
    /// `fid_inf` less the mean over random subsets, each rid of its own bias.
    pub delta_inf: f64,
    /// Its standard error over new pools; `None` for too few images.
    pub delta_inf_se: Option<f64>,
    /// Random subsets that lie as far from their mean, to either side.
    pub as_far: usize,
    /// Two-sided p-value within the pool: how often a random subset lies as far from their mean.
    pub p: f64,
    /// The same, adjusted by Holm's method over all kept sets of the pool.
    pub p_holm: f64,
    /// `better`, `worse` or `n.s.`, by the adjusted p-value.
    pub verdict: &'static str,
    /// FID for infinitely many images without each group of images; `None` for too few.
    pub without: Option<Vec<f64>>,
}

/// What kept sets are held against.
pub(super) struct Yardstick<'a> {
    pub(super) reference: &'a Reference,
    pub(super) features: ArrayView2<'a, f32>,
    pub(super) null: &'a RandomNull,
    /// Mean FID for infinitely many images of the random subsets.
    pub(super) random_inf: f64,
    pub(super) full: &'a FrechetEstimate,
    /// FID for infinitely many images of the pool without each group.
    pub(super) without: Option<Vec<f64>>,
}

impl Yardstick<'_> {
    /// Holds a kept set against random subsets of its size.
    ///
    /// `p = (1 + #{|null - mean| >= |fid - mean|}) / (1 + #null)`, two-sided, never below its floor `1 / (1 + #null)`. It is
    /// a statement about *this pool*: that the score is not a random choice among these images. Whether a fresh pool would
    /// show the same is told by `delta_se_pools`. The verdict waits for [`adjust`].
    pub(super) fn judge(&self, rows: &[usize]) -> Result<Kept, MetricError> {
        // Ascending rows: the sums of a set do not depend on the order of its ranking.
        let mut rows = rows.to_vec();
        rows.sort_unstable();
        let features: Array2<f32> = self.features.select(Axis(0), &rows);
        let estimate = self.reference.estimate(&features, &EstimateOptions::default())?;
        let ids: Vec<u64> = rows.iter().map(|row| *row as u64).collect();
        let all: Vec<u64> = (0..self.features.nrows() as u64).collect();
        let over_pools = compare_overlapping(&estimate, &ids, self.full, &all)?;
        let without = inf_without_groups(self.reference, &features, rows.iter().copied())?;
        let as_far = self.null.as_far(estimate.fid);
        let p = (1 + as_far) as f64 / (1 + self.null.fids.len()) as f64;
        Ok(Kept {
            delta: estimate.fid - self.null.mean,
            delta_se_pools: over_pools.se,
            delta_inf: estimate.fid_inf - self.random_inf,
            delta_inf_se: paired_se(without.as_deref(), self.without.as_deref()),
            without,
            as_far,
            p,
            p_holm: p,
            verdict: "n.s.",
            estimate,
            images: ids,
        })
    }
}

/// Adjusts the p-values of all kept sets, one family, and gives the verdicts. Below
/// [`crate::protocol::rows::SIGNIFICANCE`] a lower FID is `better` and a higher one `worse`; else `n.s.`.
pub(super) fn adjust(mut family: Vec<&mut Kept>) -> Result<(), MetricError> {
    let p_values: Vec<f64> = family.iter().map(|kept| kept.p).collect();
    for (kept, p) in family.iter_mut().zip(holm(&p_values)?) {
        kept.p_holm = p;
        kept.verdict = verdict(kept.delta, p);
    }
    Ok(())
}
