//! Table 1: discard the images that a score calls uncertain, and ask what that does to FID.
//!
//! One pool of images, one reference. For each score: the FID of the `n_keep` images of lowest score, and of
//! the `n_keep` of highest score, beside the distribution over random subsets of the same size. All methods share the
//! pool and the random subsets, so differences between them are not differences between draws.
//!
//! DIFFERENCE (count): the text keeps 50,000 of 60,000; the released code keeps whole batches of 128, hence
//! 49,920 or 50,944. Exactly `n_keep` here.
//!
//! DIFFERENCE (random): the released code draws one unseeded random subset. Here the row is the mean over
//! many, and its spread is what a difference is held against.

use dubench_metrics::{
    EstimateOptions, FilterStudy, FrechetEstimate, MetricError, RandomNull, RankCorrelation,
    Reference, spearman,
};
use ndarray::ArrayView2;

pub use super::judged::Kept;
use super::judged::{Yardstick, adjust};
use crate::protocol::rows::{inf_without_groups, mean_and_se};
use crate::store::records::CurveRow;

/// What is computed.
#[derive(Clone, Copy, Debug)]
pub struct FilterStudyInput<'a> {
    /// Arm of the pool.
    pub arm: &'a str,
    /// Features of the pool `[n, d]`.
    pub features: ArrayView2<'a, f32>,
    /// The reference.
    pub reference: &'a Reference,
    /// `(method, one score an image)`; higher is less certain.
    pub scores: &'a [(String, Vec<f64>)],
    /// Images kept.
    pub n_keep: usize,
    /// Random subsets at `n_keep`.
    pub n_random: usize,
    /// Points of the curve: fractions discarded are `i / n_parts` for `i = 0 ..= n_points`.
    pub curve: (u32, u32),
    /// Random subsets at each other point of the curve.
    pub n_curve_random: usize,
    /// Seed of the random subsets.
    pub seed: u64,
}

/// What one score achieves.
#[derive(Clone, Debug)]
pub struct MethodOutcome {
    /// Method name.
    pub method: String,
    /// The images of lowest score are kept.
    pub lowest: Kept,
    /// The images of highest score are kept.
    pub highest: Kept,
}

/// All numbers of the protocol.
#[derive(Clone, Debug)]
pub struct FilteringOutcome {
    /// The whole pool.
    pub full: FrechetEstimate,
    /// Random subsets of `n_keep`.
    pub null: RandomNull,
    /// Mean FID for infinitely many images of these subsets, each by its own halves.
    pub random_inf: f64,
    /// One entry a score, in the order given.
    pub methods: Vec<MethodOutcome>,
    /// Rank correlation of each pair of scores; `None` where one is constant.
    pub correlations: Vec<(String, String, Option<RankCorrelation>)>,
    /// FID against the fraction discarded.
    pub curves: Vec<CurveRow>,
}

impl FilterStudyInput<'_> {
    /// Computes everything.
    ///
    /// # Errors
    /// [`MetricError`] for features of another dimension than the reference, scores that are not finite,
    /// or a pool that is too small.
    pub fn run(&self) -> Result<FilteringOutcome, MetricError> {
        let study = FilterStudy::new(self.reference, self.features)?;
        let null = study.random_null(self.n_keep, self.n_random, self.seed)?;
        let options = EstimateOptions::default();
        let (random_inf, _) = mean_and_se(&study.random_inf(&null, &options)?);
        let full = self.reference.estimate(self.features, &options)?;
        let yardstick = Yardstick {
            reference: self.reference,
            features: self.features,
            null: &null,
            random_inf,
            full: &full,
            without: inf_without_groups(self.reference, self.features, 0..self.features.nrows())?,
        };
        let mut methods = self
            .scores
            .iter()
            .map(|(method, scores)| self.method(method, scores, &yardstick))
            .collect::<Result<Vec<_>, _>>()?;
        let both = methods.iter_mut().flat_map(|method| [&mut method.lowest, &mut method.highest]);
        adjust(both.collect())?;
        Ok(FilteringOutcome {
            methods,
            correlations: self.correlations()?,
            curves: self.curves(&study, &null)?,
            full,
            random_inf,
            null,
        })
    }

    fn method(
        &self,
        method: &str,
        scores: &[f64],
        yardstick: &Yardstick<'_>,
    ) -> Result<MethodOutcome, MetricError> {
        if scores.len() != self.features.nrows() {
            return Err(MetricError::LengthMismatch {
                what: "the scores of a method",
                got: scores.len(),
                expected: self.features.nrows(),
            });
        }
        let [lowest, highest] = ends(scores, self.n_keep);
        Ok(MethodOutcome {
            method: method.to_owned(),
            lowest: yardstick.judge(&lowest)?,
            highest: yardstick.judge(&highest)?,
        })
    }

    fn correlations(&self) -> Result<Vec<(String, String, Option<RankCorrelation>)>, MetricError> {
        let mut pairs = Vec::new();
        for (index, (method, scores)) in self.scores.iter().enumerate() {
            for (other, others) in &self.scores[..index] {
                let correlation = match spearman(scores, others) {
                    Ok(correlation) => Some(correlation),
                    // One of them is constant: there is no order to compare.
                    Err(MetricError::OutOfRange { .. }) => None,
                    Err(error) => return Err(error),
                };
                pairs.push((method.clone(), other.clone(), correlation));
            }
        }
        Ok(pairs)
    }

    /// The curves of random subsets, then those of each score, all from the whole pool on.
    fn curves(
        &self,
        study: &FilterStudy<'_>,
        null: &RandomNull,
    ) -> Result<Vec<CurveRow>, MetricError> {
        let n = self.features.nrows();
        let whole = study.whole()?;
        let points: Vec<(f64, usize)> = self.points(n);
        let mut rows = vec![self.point(["random", "random"], (0.0, n), whole)];
        rows.extend(self.random_points(study, null, &points)?);
        let keeps: Vec<usize> = points.iter().map(|(_, keep)| *keep).collect();
        for (method, scores) in self.scores {
            let curve = study.curve(scores, &keeps)?;
            for side in ["lowest", "highest"] {
                rows.push(self.point([method, side], (0.0, n), whole));
                for (at, point) in points.iter().zip(&curve) {
                    let fid = match side {
                        "lowest" => point.fid_keep_lowest,
                        _ => point.fid_keep_highest,
                    };
                    rows.push(self.point([method, side], *at, fid));
                }
            }
        }
        Ok(rows)
    }

    /// Mean and spread over random subsets at each point, by subsets of its own but where `null` has them.
    fn random_points(
        &self,
        study: &FilterStudy<'_>,
        null: &RandomNull,
        points: &[(f64, usize)],
    ) -> Result<Vec<CurveRow>, MetricError> {
        let mut rows = Vec::new();
        for (index, at) in points.iter().enumerate() {
            let drawn;
            let here = if at.1 == null.keep {
                null
            } else {
                let seed = self.seed.wrapping_add(1 + index as u64);
                drawn = study.random_null(at.1, self.n_curve_random, seed)?;
                &drawn
            };
            let mut point = self.point(["random", "random"], *at, here.mean);
            point.se = Some(here.sd);
            rows.push(point);
        }
        Ok(rows)
    }

    /// A point of a curve, without an error.
    fn point(
        &self,
        [method, side]: [&str; 2],
        (fraction, keep): (f64, usize),
        fid: f64,
    ) -> CurveRow {
        CurveRow {
            arm: self.arm.to_owned(),
            method: method.to_owned(),
            side: side.to_owned(),
            metric: "fid".to_owned(),
            x: fraction,
            value: fid,
            se: None,
            n: keep as u64,
        }
    }

    /// `(fraction discarded, images kept)` of every point but the first, as far as enough images for a distance with an error bar are left.
    fn points(&self, n: usize) -> Vec<(f64, usize)> {
        let (n_parts, n_points) = self.curve;
        (1..=n_points)
            .map(|point| {
                let discarded = f64::from(point) / f64::from(n_parts);
                (discarded, rounded((1.0 - discarded) * n as f64))
            })
            .filter(|(_, keep)| (FrechetEstimate::MIN_ROWS..n).contains(keep))
            .collect()
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of images")]
fn rounded(value: f64) -> usize {
    value.round() as usize
}

/// The `n_keep` images of lowest score and those of highest score. Equal scores are taken in the order of sample ids, in both
/// directions, as everywhere.
pub(in crate::protocol) fn ends(scores: &[f64], n_keep: usize) -> [Vec<usize>; 2] {
    let first = |order: &dyn Fn(&usize, &usize) -> std::cmp::Ordering| {
        let mut rows: Vec<usize> = (0..scores.len()).collect();
        rows.sort_by(|i, j| order(i, j).then(i.cmp(j)));
        rows.truncate(n_keep);
        rows
    };
    [
        first(&|i, j| scores[*i].total_cmp(&scores[*j])),
        first(&|i, j| scores[*j].total_cmp(&scores[*i])),
    ]
}
