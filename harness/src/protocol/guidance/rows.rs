//! The rows that the guidance protocol writes.

use dubench_metrics::{
    Comparison, EstimateOptions, FrechetEstimate, MetricError, Reference, compare_paired,
};
use ndarray::{ArrayView2, s};

use crate::guidance::DISPLACEMENT;
use crate::protocol::RunFacts;
use crate::protocol::rows::{mean_and_se, verdict};
use crate::store::records::MetricRow;
use crate::units::Nfe;

/// What was measured of one arm.
#[derive(Clone, Debug)]
pub(super) struct ArmSamples<'a> {
    /// Kind of its rule.
    pub(super) kind: &'a str,
    /// Facts of the run and the arm.
    pub(super) facts: RunFacts,
    /// Features of its images, in the order of the starts.
    pub(super) features: ArrayView2<'a, f32>,
    /// Whether it is a baseline.
    pub(super) is_unguided: bool,
    /// Evaluations per image that moved the trajectory.
    pub(super) nfe_trajectory: u64,
    /// Evaluations per image that the rule asked for.
    pub(super) nfe: Nfe,
    /// Time inside the network over all images.
    pub(super) seconds: f64,
    /// How far the rule moved the predictions of each image.
    pub(super) displacement: &'a [f64],
    /// Published FID, where there is one for the arm.
    pub(super) paper: Option<f64>,
}

impl ArmSamples<'_> {
    fn row(&self, metric: &str, value: f64) -> MetricRow {
        self.facts.row(self.kind, metric, Some(value)).over(self.features.nrows())
    }
}

/// All rows: FID of every arm, and for guided ones the paired difference to the unguided arm of the same sampler over the
/// same starts.
///
/// # Errors
/// [`MetricError`] for features of another dimension than the reference or values that are not finite.
pub(super) fn rows(
    reference: &Reference,
    arms: &[ArmSamples<'_>],
) -> Result<Vec<MetricRow>, MetricError> {
    let options = EstimateOptions::default();
    let mut rows = Vec::new();
    // Baselines over fewer starts, by arm and number: estimated once.
    let mut known: Vec<((usize, usize), FrechetEstimate)> = Vec::new();
    for arm in arms {
        let n = arm.features.nrows();
        let own = reference.estimate(arm.features, &options)?;
        rows.extend(fid_rows(arm, &own));
        let base = arms.iter().position(|base| {
            base.is_unguided && base.facts.arm[1] == arm.facts.arm[1] && base.features.nrows() >= n
        });
        let Some(base) = base.filter(|_| !arm.is_unguided) else { continue };
        if !known.iter().any(|(key, _)| *key == (base, n)) {
            let first = arms[base].features.slice(s![..n, ..]);
            known.push(((base, n), reference.estimate(first, &options)?));
        }
        if let Some((_, unguided)) = known.iter().find(|(key, _)| *key == (base, n)) {
            rows.extend(paired_rows(arm, &compare_paired(&own, unguided)?));
        }
    }
    Ok(rows)
}

fn fid_rows(arm: &ArmSamples<'_>, own: &FrechetEstimate) -> [MetricRow; 2] {
    let mut fid = arm.row("fid", own.fid).with_se(Some(own.se)).costing(
        arm.nfe_trajectory,
        Some(arm.nfe),
        Some(arm.seconds),
    );
    fid.paper_value = arm.paper;
    let (mean, se) = mean_and_se(arm.displacement);
    [fid, arm.row(DISPLACEMENT, mean).with_se(se)]
}

fn paired_rows(arm: &ArmSamples<'_>, comparison: &Comparison) -> [MetricRow; 2] {
    let row = |metric: &str, value: f64| arm.row(metric, value).of(super::UNGUIDED);
    let mut delta = row("delta", comparison.delta).with_se(Some(comparison.se));
    delta.verdict = Some(verdict(comparison.delta, comparison.p).to_owned());
    let mut p = row("p_value", comparison.p);
    p.reason = Some("two-sided, paired over starts".to_owned());
    [delta, p]
}

#[cfg(test)]
mod tests {
    use dubench_metrics::Gaussian;
    use ndarray::{Array1, Array2};

    use super::*;

    fn features(n: usize, shift: f32) -> Array2<f32> {
        Array2::from_shape_fn((n, 3), |(i, j)| {
            ((i + 1) as f32 * ((j + 5) as f32).sqrt()).fract() + shift
        })
    }

    fn facts(arm: &str, sampler: &str) -> RunFacts {
        RunFacts { arm: [arm, sampler].map(str::to_owned), ..RunFacts::default() }
    }

    #[test]
    fn a_guided_arm_is_held_against_the_same_starts_under_the_same_sampler() {
        let gaussian =
            Gaussian::new(Array1::from_elem(3, 0.5), Array2::eye(3) / 12.0, None).unwrap();
        let reference = Reference::new(gaussian).unwrap();
        let sets = [features(60, 0.3), features(40, 0.1), features(60, 0.0), features(60, 0.0)];
        let moved = vec![2.0; 60];
        let arm = |at: usize, name, sampler: &str, is_unguided| ArmSamples {
            kind: name,
            facts: facts(name, sampler),
            features: sets[at].view(),
            is_unguided,
            nfe_trajectory: 5,
            nfe: Nfe { trajectory: 0, estimator: 10, gradient: 10 },
            seconds: 1.0,
            displacement: &moved[..sets[at].nrows()],
            paper: None,
        };
        let arms = [
            arm(0, "unguided", "ddim-5", true),
            arm(1, "gradient", "ddim-5", false),
            arm(2, "unguided", "ddim-50", true),
            arm(3, "gradient", "ddim-50", false),
        ];
        let rows = rows(&reference, &arms).unwrap();
        let find = |sampler: &str, arm: &str, metric: &str| {
            rows.iter()
                .find(|row| row.sampler == sampler && row.arm == arm && row.metric == metric)
                .cloned()
        };
        let delta = find("ddim-5", "gradient", "delta").unwrap();
        let first =
            reference.estimate(sets[0].slice(s![..40, ..]), &EstimateOptions::default()).unwrap();
        let own = find("ddim-5", "gradient", "fid").unwrap();
        assert!((delta.value.unwrap() - (own.value.unwrap() - first.fid)).abs() < 1e-12);
        assert_eq!((delta.n, delta.verdict.as_deref()), (Some(40), Some("better")));
        assert_eq!((own.nfe_estimator, own.nfe_gradient), (Some(10), Some(10)));
        // The same images: no difference, and no significance.
        let none = find("ddim-50", "gradient", "delta").unwrap();
        assert_eq!((none.value, none.verdict.as_deref()), (Some(0.0), Some("n.s.")));
        assert!(find("ddim-5", "unguided", "delta").is_none());
        assert_eq!(find("ddim-5", "gradient", DISPLACEMENT).unwrap().value, Some(2.0));
    }
}
